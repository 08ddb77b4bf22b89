//! A signing key.

use std::fmt;

use chain_metadata::{Coldkey, Hotkey};
use sp_core::{Pair as _, crypto::SecretStringError, sr25519::Pair};
use subxt::{
    SubstrateConfig,
    utils::{AccountId32, MultiSignature},
};

/// An sr25519 key pair. It shows its address and never its secret, which the curve library wipes
/// when the pair is dropped.
#[derive(Clone)]
pub struct Keypair(Pair);

/// Why a text is no key. The text itself is not repeated: it is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeypairError {
    /// Not a phrase, a seed or a derivation path.
    #[error("this is neither a mnemonic phrase, nor a seed in hex, nor a path such as //Alice")]
    Format,
    /// A phrase with a wrong word or checksum.
    #[error("the mnemonic phrase has a wrong word, or the words are in the wrong order")]
    Phrase,
    /// A seed or secret of the wrong length.
    #[error("a seed has 32 bytes, an expanded secret 64")]
    Length,
}

impl From<SecretStringError> for KeypairError {
    fn from(error: SecretStringError) -> Self {
        match error {
            SecretStringError::InvalidPhrase => Self::Phrase,
            SecretStringError::InvalidSeedLength => Self::Length,
            _ => Self::Format,
        }
    }
}

impl From<Pair> for Keypair {
    fn from(pair: Pair) -> Self {
        Self(pair)
    }
}

impl Keypair {
    /// The key that every development chain funds under this path, such as `//Alice`.
    pub fn dev(path: &str) -> Result<Self, KeypairError> {
        Self::from_secret(path)
    }

    /// The key of a secret: a mnemonic phrase, a 32-byte seed in hex, or either with derivations.
    pub fn from_secret(secret: &str) -> Result<Self, KeypairError> {
        Ok(Self(Pair::from_string(secret, None)?))
    }

    /// The key of a 32-byte seed, or of the 64 bytes it expands to.
    pub fn from_bytes(secret: &[u8]) -> Result<Self, KeypairError> {
        Ok(Self(Pair::from_seed_slice(secret)?))
    }

    /// The public key, as one that signs for a neuron.
    pub fn hotkey(&self) -> Hotkey {
        Hotkey::from_bytes(self.0.public().0)
    }

    /// The public key, as one that owns money.
    pub fn coldkey(&self) -> Coldkey {
        Coldkey::from_bytes(self.0.public().0)
    }

    /// The pair of the curve library.
    pub fn pair(&self) -> &Pair {
        &self.0
    }

    /// Signs a message in the context `substrate`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).0
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keypair({})", self.hotkey())
    }
}

impl subxt::tx::Signer<SubstrateConfig> for Keypair {
    fn account_id(&self) -> AccountId32 {
        AccountId32(self.0.public().0)
    }

    fn sign(&self, payload: &[u8]) -> MultiSignature {
        MultiSignature::Sr25519(self.sign(payload))
    }
}
