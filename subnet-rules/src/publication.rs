//! What an owner puts on chain about the rule in force, and the signature beside the rule's files.
//!
//! The commitment says which bytes and where they lie; the signature says that the owner meant them,
//! wherever they were copied to. Neither is trusted for more: who pulls a rule computes its digest.

use std::fmt;

use chain_metadata::Hotkey;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// First word of the commitment's first field.
pub const MARK: &str = "ganglion-rule/1";
/// Longest location, bytes: a field of a commitment.
pub const LOCATION_MAX: usize = 128;

/// The rule in force: its digest, and where its files are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Publication {
    digest: Digest,
    location: String,
}

/// A location that a commitment cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{location}` is no location: 1 to {LOCATION_MAX} printable ASCII characters without spaces are wanted"
)]
pub struct LocationError {
    location: String,
}

impl Publication {
    /// Of a rule's digest and the place its files are at: a folder, or an address `https://…` below
    /// which they lie.
    ///
    /// # Errors
    /// A location that a commitment cannot hold.
    pub fn new(digest: Digest, location: &str) -> Result<Self, LocationError> {
        let fits = (1..=LOCATION_MAX).contains(&location.len());
        if fits && location.chars().all(|c| c.is_ascii_graphic()) {
            return Ok(Self { digest, location: location.to_owned() });
        }
        Err(LocationError { location: location.chars().take(2 * LOCATION_MAX).collect() })
    }

    /// The rule's digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Where its files are.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The fields of the commitment: `ganglion-rule/1 DIGEST`, then the location.
    pub fn fields(&self) -> [Vec<u8>; 2] {
        [format!("{MARK} {}", self.digest).into_bytes(), self.location.clone().into_bytes()]
    }

    /// Reads a commitment's fields; `None` where they publish no rule. What else they hold is others'.
    pub fn from_fields(fields: &[Vec<u8>]) -> Option<Self> {
        fields.windows(2).find_map(|pair| {
            let (mark, digest) = std::str::from_utf8(&pair[0]).ok()?.split_once(' ')?;
            let digest = (mark == MARK).then(|| digest.parse().ok())??;
            Self::new(digest, std::str::from_utf8(&pair[1]).ok()?).ok()
        })
    }
}

impl fmt::Display for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.digest, self.location)
    }
}

/// `rule.sig` beside a rule's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Whose: the hotkey of the subnet's owner.
    pub owner: Hotkey,
    /// Over what: the rule's digest.
    pub digest: Digest,
    /// sr25519, 64 bytes in hexadecimal.
    pub signature: String,
}

impl Signature {
    /// The bytes that an owner signs: no other message of the suite begins like them.
    pub fn message(digest: &Digest) -> Vec<u8> {
        format!("{MARK} {digest}").into_bytes()
    }

    /// The signature's bytes, if it is one of `owner` over `digest` by its own words.
    pub fn of(&self, owner: &Hotkey, digest: &Digest) -> Option<[u8; 64]> {
        let mut bytes = [0; 64];
        let named = self.owner == *owner && self.digest == *digest;
        (named && hex::decode_to_slice(&self.signature, &mut bytes).is_ok()).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_survives_the_chain() {
        let published = Publication::new(Digest([7; 32]), "https://rules.example/serve").unwrap();
        let fields = published.fields();
        assert!(fields.iter().all(|field| field.len() <= LOCATION_MAX));
        assert_eq!(Publication::from_fields(&fields), Some(published));
    }

    #[test]
    fn other_commitments_are_no_publication() {
        let good = Publication::new(Digest([7; 32]), "/srv/rules").unwrap().fields().to_vec();
        let mut cases = vec![vec![], vec![b"namespace:name:hash".to_vec()], good[..1].to_vec()];
        cases.push(vec![b"ganglion-rule/2 00".to_vec(), good[1].clone()]);
        cases.push(vec![good[0].clone(), b"a b".to_vec()]);
        cases.push(vec![good[0].clone(), vec![0xff]]);
        cases.push(vec![vec![0xff; 80], good[1].clone()]);
        for fields in cases {
            assert_eq!(Publication::from_fields(&fields), None, "{fields:?}");
        }
    }

    #[test]
    fn a_location_that_does_not_fit_is_refused() {
        for location in ["", "a b", &"x".repeat(LOCATION_MAX + 1), "ö"] {
            assert!(Publication::new(Digest([7; 32]), location).is_err(), "{location}");
        }
    }

    #[test]
    fn a_signature_is_of_one_owner_over_one_digest() {
        let (owner, digest) = (Hotkey::from_bytes([1; 32]), Digest([7; 32]));
        let good = Signature { owner, digest, signature: "ab".repeat(64) };
        assert_eq!(good.of(&owner, &digest), Some([0xab; 64]));
        assert_eq!(good.of(&Hotkey::from_bytes([2; 32]), &digest), None);
        assert_eq!(good.of(&owner, &Digest([8; 32])), None);
        let short = Signature { signature: "ab".into(), ..good };
        assert_eq!(short.of(&owner, &digest), None);
    }
}
