//! One key as the text of a file.

use std::fmt;

use chain_metadata::{Coldkey, Hotkey};
use schnorrkel::SecretKey;
use serde::{Deserialize, Serialize};
use sp_core::{Pair as _, sr25519::Pair};
use zeroize::Zeroizing;

use super::{Keypair, KeypairError};

/// The number of sr25519 in a key file.
const CRYPTO_SR25519: u8 = 1;

/// Why the text of a file is no key of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyfileError {
    /// Neither JSON, nor a seed, nor a phrase.
    #[error("this is no key file: {source}")]
    Format {
        /// What it was last taken for.
        source: KeypairError,
    },
    /// JSON without any of the fields that hold a secret.
    #[error("the file holds a public key only")]
    PublicOnly,
    /// A key of another curve.
    #[error("the key is of crypto type {crypto_type}; only sr25519 (1) signs for neurons")]
    Curve {
        /// The number in the file.
        crypto_type: u8,
    },
    /// The secret does not belong to the public key beside it.
    #[error("the secret in the file does not belong to its public key")]
    Mismatch,
}

/// The JSON of a key file. Every field is optional on reading, as the tools of the years left
/// different ones out.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_phrase: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_seed: Option<Zeroizing<String>>,
    // Some files carry a space before this name.
    #[serde(alias = " ss58Address", skip_serializing_if = "Option::is_none")]
    ss58_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crypto_type: Option<u8>,
}

impl Document {
    fn public(&self) -> Option<[u8; 32]> {
        let hex = self.public_key.as_deref().or(self.account_id.as_deref());
        let from_hex = hex.and_then(|text| unhex(text)?.as_slice().try_into().ok());
        from_hex.or_else(|| Some(*self.ss58_address.as_ref()?.parse::<Hotkey>().ok()?.as_bytes()))
    }

    /// The candidates for the key, the surest first.
    fn candidates(&self) -> Vec<Keypair> {
        let seed = self.secret_seed.as_ref().and_then(|text| {
            let seed = Zeroizing::new(unhex(text)?);
            Keypair::from_bytes(&seed).ok()
        });
        let phrase =
            self.secret_phrase.as_ref().and_then(|phrase| Keypair::from_secret(phrase).ok());
        let expanded = self.private_key.as_ref().and_then(|text| unhex(text)).map(Zeroizing::new);
        let expanded = expanded.iter().flat_map(|bytes| {
            // Written in the form of Ed25519 by btcli, in the curve's own by others.
            let ed25519 = SecretKey::from_ed25519_bytes(bytes).ok();
            let own = SecretKey::from_bytes(bytes).ok();
            ed25519
                .into_iter()
                .chain(own)
                .map(|secret| Keypair::from(Pair::from(secret.to_keypair())))
        });
        seed.into_iter().chain(phrase).chain(expanded).collect()
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok()
}

/// The key in the text of a file: JSON, a seed in hex, or a mnemonic phrase.
pub(super) fn parse_secret(text: &str) -> Result<Keypair, KeyfileError> {
    let Ok(document) = serde_json::from_str::<Document>(text) else {
        return parse_bare(text.trim());
    };
    if let Some(crypto_type) = document.crypto_type.filter(|&t| t != CRYPTO_SR25519) {
        return Err(KeyfileError::Curve { crypto_type });
    }
    let candidates = document.candidates();
    if candidates.is_empty() {
        return Err(KeyfileError::PublicOnly);
    }
    let public = document.public();
    candidates
        .into_iter()
        .find(|key| public.is_none_or(|public| *key.hotkey().as_bytes() == public))
        .ok_or(KeyfileError::Mismatch)
}

fn parse_bare(text: &str) -> Result<Keypair, KeyfileError> {
    if let Some(seed) = unhex(text).map(Zeroizing::new) {
        return Keypair::from_bytes(&seed).map_err(|source| KeyfileError::Format { source });
    }
    // A path alone would be a well-known development key: never what a file means.
    if text.starts_with('/') {
        return Err(KeyfileError::Format { source: KeypairError::Format });
    }
    Keypair::from_secret(text).map_err(|source| KeyfileError::Format { source })
}

/// The public key in the text of a file.
pub(super) fn parse_public(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    if let Ok(document) = serde_json::from_str::<Document>(text) {
        return document.public();
    }
    text.parse::<Hotkey>().ok().map(|key| *key.as_bytes())
}

/// A key with what it was made from, for writing it down.
#[derive(Clone)]
pub struct NewKey {
    keypair: Keypair,
    seed: Option<Zeroizing<[u8; 32]>>,
    phrase: Option<Zeroizing<String>>,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey({})", self.keypair.hotkey())
    }
}

impl NewKey {
    /// A key no one has had, of a phrase of twelve words.
    pub fn generate() -> Self {
        let (pair, phrase, seed) = Pair::generate_with_phrase(None);
        Self {
            keypair: Keypair::from(pair),
            seed: Some(Zeroizing::new(seed)),
            phrase: Some(Zeroizing::new(phrase)),
        }
    }

    /// The key of a secret: a phrase, a seed in hex, or a development path such as `//Alice`.
    pub fn from_secret(secret: &str) -> Result<Self, KeypairError> {
        let (pair, seed) = Pair::from_string_with_seed(secret, None)?;
        let is_phrase = secret.contains(' ') && !secret.contains('/');
        let phrase = is_phrase.then(|| Zeroizing::new(secret.to_owned()));
        Ok(Self { keypair: Keypair::from(pair), seed: seed.map(Zeroizing::new), phrase })
    }

    /// The key itself.
    pub fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// The phrase, to show to its owner once.
    pub fn phrase(&self) -> Option<&str> {
        self.phrase.as_deref().map(String::as_str)
    }

    /// The text of the file that holds the secret.
    pub(super) fn secret_text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(self.keypair.pair().as_ref().secret.to_ed25519_bytes());
        let hexed = |bytes: &[u8]| Zeroizing::new(format!("0x{}", hex::encode(bytes)));
        let document = Document {
            private_key: Some(hexed(&*secret)),
            secret_phrase: self.phrase.clone(),
            secret_seed: self.seed.as_ref().map(|seed| hexed(&**seed)),
            ..self.public_document()
        };
        Zeroizing::new(to_json(&document))
    }

    /// The text of the file that holds the public key.
    pub(super) fn public_text(&self) -> String {
        to_json(&self.public_document())
    }

    fn public_document(&self) -> Document {
        let key: Coldkey = self.keypair.coldkey();
        let hex = format!("0x{}", hex::encode(key.as_bytes()));
        Document {
            account_id: Some(hex.clone()),
            public_key: Some(hex),
            ss58_address: Some(key.to_string()),
            crypto_type: Some(CRYPTO_SR25519),
            ..Document::default()
        }
    }
}

fn to_json(document: &Document) -> String {
    // Strings and a number: serialising them cannot fail.
    serde_json::to_string(document).unwrap_or_default()
}
