//! The two curves of a hotkey: signing, and verifying without the traps.

use std::{fmt, str::FromStr};

use chain_metadata::Hotkey;
use sp_core::{Pair as _, ed25519, sr25519};

/// How a hotkey signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Schnorr over Ristretto, context `substrate`: what wallets make by default.
    Sr25519,
    /// RFC 8032.
    Ed25519,
}

impl Scheme {
    /// The name in headers and in signed bytes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sr25519 => "sr25519",
            Self::Ed25519 => "ed25519",
        }
    }

    /// Whether `signature` is `signer`'s over `message`, under this scheme alone.
    ///
    /// Keys that any signature would fit (the identity of Ristretto, small-order Edwards points)
    /// verify nothing.
    pub fn verify(self, signature: &Signature, message: &[u8], signer: &Hotkey) -> bool {
        match self {
            Self::Sr25519 => verify_sr25519(signature, message, signer),
            Self::Ed25519 => verify_ed25519(signature, message, signer),
        }
    }
}

fn verify_sr25519(signature: &Signature, message: &[u8], signer: &Hotkey) -> bool {
    /// The encoding of Ristretto's identity: with it as the key, `R = sB` fits any message.
    const IDENTITY: [u8; 32] = [0; 32];
    let key = *signer.as_bytes();
    key != IDENTITY
        && sr25519::Pair::verify(
            &sr25519::Signature::from_raw(signature.0),
            message,
            &sr25519::Public::from_raw(key),
        )
}

fn verify_ed25519(signature: &Signature, message: &[u8], signer: &Hotkey) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    ed25519_dalek::VerifyingKey::from_bytes(signer.as_bytes())
        .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// The name of no scheme we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature scheme is neither sr25519 nor ed25519")]
pub struct SchemeError;

impl FromStr for Scheme {
    type Err = SchemeError;

    fn from_str(name: &str) -> Result<Self, SchemeError> {
        [Self::Sr25519, Self::Ed25519].into_iter().find(|s| s.name() == name).ok_or(SchemeError)
    }
}

/// 64 bytes of signature, of either scheme.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; Self::LEN]);

impl Signature {
    const LEN: usize = 64;
    const PREFIX: &'static str = "0x";
}

/// `0x` and lower-case hex, as in the headers.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, hex::encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

/// A text that is not `0x` and 128 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signature is `0x` and 128 lower-case hex digits")]
pub struct SignatureError;

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let digits = text.strip_prefix(Self::PREFIX).ok_or(SignatureError)?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(SignatureError);
        }
        let mut bytes = [0; Self::LEN];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| SignatureError)?;
        Ok(Self(bytes))
    }
}

/// A hotkey's secret, ready to sign. Cloning shares no state; printing shows the address only.
#[derive(Clone)]
pub struct Signer {
    secret: Secret,
    hotkey: Hotkey,
    address: String,
}

#[derive(Clone)]
enum Secret {
    Sr25519(Box<sr25519::Pair>),
    Ed25519(Box<ed25519::Pair>),
}

impl Signer {
    fn new(secret: Secret) -> Self {
        let public = match &secret {
            Secret::Sr25519(pair) => pair.public().0,
            Secret::Ed25519(pair) => pair.public().0,
        };
        let hotkey = Hotkey::from_bytes(public);
        Self { secret, hotkey, address: hotkey.to_string() }
    }

    /// Who signs.
    pub const fn hotkey(&self) -> Hotkey {
        self.hotkey
    }

    /// The hotkey's ss58 address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How it signs.
    pub const fn scheme(&self) -> Scheme {
        match self.secret {
            Secret::Sr25519(_) => Scheme::Sr25519,
            Secret::Ed25519(_) => Scheme::Ed25519,
        }
    }

    /// The signature over `message`.
    pub fn sign(&self, message: &[u8]) -> Signature {
        match &self.secret {
            Secret::Sr25519(pair) => Signature(pair.sign(message).0),
            Secret::Ed25519(pair) => Signature(pair.sign(message).0),
        }
    }
}

impl From<sr25519::Pair> for Signer {
    fn from(pair: sr25519::Pair) -> Self {
        Self::new(Secret::Sr25519(Box::new(pair)))
    }
}

impl From<ed25519::Pair> for Signer {
    fn from(pair: ed25519::Pair) -> Self {
        Self::new(Secret::Ed25519(Box::new(pair)))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} {})", self.scheme().name(), self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_fits_every_signature_verifies_nothing() {
        // `s = 0`, `R` = the identity: valid for any message under an identity key.
        let mut sr25519 = [0; 64];
        sr25519[63] = 0x80;
        let identity = Hotkey::from_bytes([0; 32]);
        assert!(!Scheme::Sr25519.verify(&Signature(sr25519), b"anything", &identity));

        let mut edwards_identity = [0; 32];
        edwards_identity[0] = 1;
        let mut ed25519 = [0; 64];
        ed25519[0] = 1;
        let key = Hotkey::from_bytes(edwards_identity);
        assert!(!Scheme::Ed25519.verify(&Signature(ed25519), b"anything", &key));
    }

    #[test]
    fn a_signature_is_read_in_its_one_spelling() {
        let signature = Signature([0xab; 64]);
        let text = signature.to_string();
        assert_eq!(text.parse(), Ok(signature));
        let bare = text.trim_start_matches("0x").to_owned();
        let upper = format!("0x{}", bare.to_uppercase());
        for other in
            [&bare, &upper, &text[..128], &format!("{text}00"), &format!("0X{bare}"), "0x", ""]
        {
            assert_eq!(other.parse::<Signature>(), Err(SignatureError), "{other:?}");
        }
    }

    #[test]
    fn printing_a_signer_shows_no_secret() {
        let pair = sr25519::Pair::from_seed(&[7; 32]);
        let signer = Signer::from(pair.clone());
        let printed = format!("{signer:?}");
        assert_eq!(printed, format!("Signer(sr25519 {})", signer.hotkey()));
        assert!(!printed.contains(&hex::encode(pair.to_raw_vec())));
    }
}
