//! Opening what was encrypted for a round of the beacon.
//!
//! A ciphertext is an identity-based encryption of a key under the beacon's public key, the round
//! being the identity, and a message under that key. The round's signature is the identity's
//! private key. On the wire every byte string has a 64-bit length; [`timelock`] writes those of
//! fixed length bare, so the ciphertext is written again before it is handed over.

use ark_serialize::CanonicalDeserialize;
use timelock::block_ciphers::AESGCMBlockCipherProvider;
use timelock::engines::EngineBLS;
use timelock::engines::drand::TinyBLS381;
use timelock::tlock::{TLECiphertext, tld};

/// Bytes of a compressed point of the public keys' group.
const POINT_BYTES: usize = 96;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;
/// Bytes of the cipher's nonce.
const NONCE_BYTES: usize = 12;
/// The one cipher that is known.
const CIPHER_SUITE: &[u8] = b"AES_GCM_";

type Signature = <TinyBLS381 as EngineBLS>::SignatureGroup;

/// Decrypts a ciphertext with the round's signature; `None` if it is not one of that round.
pub fn open(ciphertext: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
    let ciphertext = parse(ciphertext)?;
    let signature = Signature::deserialize_compressed(signature).ok()?;
    tld::<TinyBLS381, AESGCMBlockCipherProvider>(ciphertext, signature).ok()
}

/// Reads a ciphertext, every length checked before anything is allocated for it.
fn parse(bytes: &[u8]) -> Option<TLECiphertext<TinyBLS381>> {
    let (point, mut rest) = bytes.split_at_checked(POINT_BYTES)?;
    let v = take(&mut rest)?;
    let w = take(&mut rest)?;
    let body = take(&mut rest)?;
    let suite = take(&mut rest)?;
    if v.len() != HASH_BYTES || w.len() != HASH_BYTES || suite != CIPHER_SUITE {
        return None;
    }
    let mut sealed = body;
    take(&mut sealed)?;
    if take(&mut sealed)?.len() != NONCE_BYTES || !sealed.is_empty() {
        return None;
    }
    let mut written = [point, v, w].concat();
    for part in [body, suite] {
        written.extend_from_slice(&(part.len() as u64).to_le_bytes());
        written.extend_from_slice(part);
    }
    TLECiphertext::deserialize_compressed(written.as_slice()).ok()
}

/// Takes a byte string with its length off the front.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (taken, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::open;

    /// A commit of the real chain for round 1000 of its beacon, its payload and the signature.
    const COMMIT: &str = "a419e056ff5ea56c49f81f5e31c29fe1420ee55404b81e8acdec76489785de23d0add8f34c8896ffac83\
        533767c585c3081990dcf06b59c53fe9ef253e8e4a75f9a92a61c35eeb32e19c0f2f1a97b489a062080f\
        2a3d29ce2f71ec4763df88b3200000000000000083d6b099ada9f392035e28f3142674b93a1cd394a7e9\
        e984874d4961b5d5cf7a20000000000000005ec80f640d6c835401541fa78257d4da703a148802d77174\
        1789e0c6e06caf005b000000000000003f0000000000000063abb88b1f52cf11cba671c437d595403fb5\
        354f3fc2aac61ff6f8677973cc24b90aeb3f15abd28be881f080a97dcb83ea47b7f69b99d55698597093\
        716b010c00000000000000000efec87c5749ec1157912e08000000000000004145535f47434d5f";
    const PAYLOAD: &str = "80aa0000000000000000000000000000000000000000000000000000000000000104000004dea3010000\
        0000000000";
    const SIGNATURE: &str = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e\
        4b6b63ed5e39";

    #[test]
    fn a_commit_of_the_real_chain_opens_with_its_rounds_signature() {
        let bytes = |text: &str| hex::decode(text).unwrap();
        assert_eq!(open(&bytes(COMMIT), &bytes(SIGNATURE)), Some(bytes(PAYLOAD)));
    }

    #[test]
    fn a_damaged_commit_never_opens_and_never_panics() {
        let (commit, signature) = (hex::decode(COMMIT).unwrap(), hex::decode(SIGNATURE).unwrap());
        for at in (0..commit.len()).step_by(7) {
            let mut damaged = commit.clone();
            damaged[at] ^= 0x80;
            assert_eq!(open(&damaged, &signature), None, "byte {at}");
            assert_eq!(open(&commit[..at], &signature), None, "{at} bytes");
        }
    }
}
