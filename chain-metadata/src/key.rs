//! Public keys: who signs work (hotkey) and who owns the money (coldkey).

use std::{fmt, str::FromStr};

use blake2::{Blake2b512, Digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The SS58 network prefix of the chain (42, generic Substrate).
pub const SS58_PREFIX: u8 = 42;

/// Hashed before the payload of an SS58 checksum.
const SS58_CONTEXT: &[u8] = b"SS58PRE";

/// Bytes of checksum that SS58 keeps for a 32-byte key.
const CHECKSUM_LEN: usize = 2;

/// Prefix, key and checksum.
const ENCODED_LEN: usize = 1 + 32 + CHECKSUM_LEN;

/// Why a text is not an address of this chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not base58.
    #[error("`{text}` is not base58")]
    NotBase58 {
        /// What was given.
        text: String,
    },
    /// Base58, but not of a prefix, a 32-byte key and a checksum.
    #[error("an address decodes to {ENCODED_LEN} bytes, not {len}")]
    Length {
        /// Decoded length.
        len: usize,
    },
    /// An address of another network.
    #[error("the address has network prefix {prefix}; this chain's is {SS58_PREFIX}")]
    Prefix {
        /// The prefix found.
        prefix: u8,
    },
    /// A mistyped address.
    #[error("the checksum of `{text}` is wrong: a character was mistyped")]
    Checksum {
        /// What was given.
        text: String,
    },
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The key with these bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes of the public key.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl From<$name> for [u8; 32] {
            fn from(key: $name) -> Self {
                key.0
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        /// The SS58 address with prefix 42.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&to_ss58(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), to_ss58(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                from_ss58(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&to_ss58(&self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

key! {
    /// The key of a neuron: signs weights, requests and answers, and holds no money.
    Hotkey
}

key! {
    /// The key of an owner: holds the money and is never needed to run a miner or a validator.
    Coldkey
}

fn checksum(payload: &[u8]) -> [u8; CHECKSUM_LEN] {
    let digest = Blake2b512::new().chain_update(SS58_CONTEXT).chain_update(payload).finalize();
    [digest[0], digest[1]]
}

fn to_ss58(key: &[u8; 32]) -> String {
    let mut bytes = Vec::with_capacity(ENCODED_LEN);
    bytes.push(SS58_PREFIX);
    bytes.extend_from_slice(key);
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum);
    bs58::encode(bytes).into_string()
}

fn from_ss58(text: &str) -> Result<[u8; 32], KeyError> {
    let bytes =
        bs58::decode(text).into_vec().map_err(|_| KeyError::NotBase58 { text: text.to_owned() })?;
    let bytes: [u8; ENCODED_LEN] =
        bytes.try_into().map_err(|b: Vec<u8>| KeyError::Length { len: b.len() })?;
    let (payload, sum) = bytes.split_at(ENCODED_LEN - CHECKSUM_LEN);
    if sum != checksum(payload) {
        return Err(KeyError::Checksum { text: text.to_owned() });
    }
    if payload[0] != SS58_PREFIX {
        return Err(KeyError::Prefix { prefix: payload[0] });
    }
    let mut key = [0; 32];
    key.copy_from_slice(&payload[1..]);
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public key of `//Alice` and its address.
    const ALICE: [u8; 32] = [
        0xd4, 0x35, 0x93, 0xc7, 0x15, 0xfd, 0xd3, 0x1c, 0x61, 0x14, 0x1a, 0xbd, 0x04, 0xa9, 0x9f,
        0xd6, 0x82, 0x2c, 0x85, 0x58, 0x85, 0x4c, 0xcd, 0xe3, 0x9a, 0x56, 0x84, 0xe7, 0xa5, 0x6d,
        0xa2, 0x7d,
    ];
    const ALICE_SS58: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

    #[test]
    fn alice_has_her_well_known_address() {
        assert_eq!(Hotkey::from_bytes(ALICE).to_string(), ALICE_SS58);
        assert_eq!(ALICE_SS58.parse(), Ok(Hotkey::from_bytes(ALICE)));
    }

    #[test]
    fn one_mistyped_character_is_noticed() {
        let mistyped = ALICE_SS58.replace("QY", "QZ");
        assert_eq!(mistyped.parse::<Coldkey>(), Err(KeyError::Checksum { text: mistyped.clone() }));
    }

    #[test]
    fn an_address_of_another_network_is_refused() {
        // `//Alice` on Polkadot, whose prefix is 0.
        let polkadot = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5";
        assert_eq!(polkadot.parse::<Coldkey>(), Err(KeyError::Prefix { prefix: 0 }));
    }

    #[test]
    fn garbage_is_not_an_address() {
        assert!(matches!("0OIl".parse::<Hotkey>(), Err(KeyError::NotBase58 { .. })));
        assert!(matches!("".parse::<Hotkey>(), Err(KeyError::Length { len: 0 })));
    }
}
