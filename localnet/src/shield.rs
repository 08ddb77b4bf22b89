//! The MEV shield's author side: an ML-KEM-768 key pair, and the opening of shielded extrinsics.
//!
//! A shielded extrinsic is
//! `twox_128(public key) (16) ‖ length of the encapsulation (u16 LE) ‖ encapsulation ‖ nonce (24) ‖ box`,
//! where the box is XChaCha20-Poly1305 under the shared secret, without associated data. Inside is a whole
//! signed extrinsic.

use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce, aead::Aead};
use ml_kem::{Ciphertext, EncodedSizeUser, KemCore, MlKem768, kem::Decapsulate};

/// Bytes of the cipher's nonce.
const NONCE: usize = 24;

type DecapsulationKey = <MlKem768 as KemCore>::DecapsulationKey;

/// One key pair for the life of the chain's process: there is one author, so nothing is gained by rotation.
pub(crate) struct Shield {
    secret: Box<DecapsulationKey>,
    public: Vec<u8>,
    /// What a ciphertext for this key begins with.
    tag: [u8; 16],
}

impl Shield {
    pub(crate) fn generate() -> Self {
        let (secret, public) = MlKem768::generate(&mut rand::rngs::OsRng);
        let public = public.as_bytes().to_vec();
        let tag = sp_io::hashing::twox_128(&public);
        Self { secret: Box::new(secret), public, tag }
    }

    /// The encapsulation key, 1,184 bytes, as `MevShield.NextKey` shows it.
    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The extrinsic inside, or `None` when this is not a box for our key. On chain an unreadable box is
    /// an ordinary extrinsic without effect, so there is nothing to report.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let rest = sealed.strip_prefix(&self.tag[..])?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (encapsulation, rest) =
            rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let encapsulation = Ciphertext::<MlKem768>::try_from(encapsulation).ok()?;
        let key = self.secret.decapsulate(&encapsulation).ok()?;
        XChaCha20Poly1305::new(key.as_slice().into())
            .decrypt(XNonce::from_slice(nonce), sealed)
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ml_kem::{Encoded, kem::Encapsulate};

    fn seal(public: &[u8], plain: &[u8]) -> Vec<u8> {
        type Key = <MlKem768 as KemCore>::EncapsulationKey;
        let key = Key::from_bytes(&Encoded::<Key>::try_from(public).unwrap());
        let (encapsulation, secret) = key.encapsulate(&mut rand::rngs::OsRng).unwrap();
        let nonce = [7_u8; NONCE];
        let cipher = XChaCha20Poly1305::new(secret.as_slice().into());
        let mut out = sp_io::hashing::twox_128(public).to_vec();
        out.extend(u16::try_from(encapsulation.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&encapsulation);
        out.extend(nonce);
        out.extend(cipher.encrypt(XNonce::from_slice(&nonce), plain).unwrap());
        out
    }

    #[test]
    fn the_author_opens_what_was_sealed_for_its_key() {
        let shield = Shield::generate();
        assert_eq!(shield.public().len(), 1184);
        assert_eq!(shield.open(&seal(shield.public(), b"inner")).unwrap(), b"inner");
    }

    #[test]
    fn a_box_for_another_key_or_cut_anywhere_does_not_open() {
        let shield = Shield::generate();
        assert_eq!(shield.open(&seal(Shield::generate().public(), b"inner")), None);
        let sealed = seal(shield.public(), b"inner");
        for length in 0..sealed.len() {
            assert_eq!(shield.open(&sealed[..length]), None, "cut to {length} bytes");
        }
    }
}
