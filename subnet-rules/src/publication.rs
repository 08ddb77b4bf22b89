//! What an owner puts on chain about the rule in force, and the signature beside the rule's files.
//!
//! The commitment says which bytes and where they lie; the signature says that the owner meant them,
//! wherever they were copied to. Neither is trusted for more: who pulls a rule computes its digest.

use std::fmt;
use std::str::FromStr;

use chain_metadata::Hotkey;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Longest text of a commitment that every runtime takes, bytes.
pub const COMMITMENT_MAX: usize = 128;
/// First word of the commitment.
const MARK: &str = "ganglion-rule/1";
/// Longest location: what the mark, the digest and two spaces leave.
pub const LOCATION_MAX: usize = COMMITMENT_MAX - MARK.len() - 64 - 2;

/// The rule in force: its digest and where its files are. Prints as the text of the commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    digest: Digest,
    location: String,
}

/// A text that publishes no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicationError {
    /// Not the form `ganglion-rule/1 DIGEST LOCATION`.
    #[error("`{0}` publishes no rule: `{MARK} DIGEST LOCATION` is wanted")]
    Form(String),
    /// A location that a commitment cannot hold.
    #[error("the location has {0} bytes; 1 to {LOCATION_MAX} without spaces are possible")]
    Location(usize),
}

impl Publication {
    /// Of a rule's digest and the place its files are at.
    pub fn new(digest: Digest, location: &str) -> Result<Self, PublicationError> {
        let fits = (1..=LOCATION_MAX).contains(&location.len());
        if fits && location.chars().all(|c| c.is_ascii_graphic()) {
            Ok(Self { digest, location: location.to_owned() })
        } else {
            Err(PublicationError::Location(location.len()))
        }
    }

    /// The rule's digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Where its files are.
    pub fn location(&self) -> &str {
        &self.location
    }
}

impl fmt::Display for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK} {} {}", self.digest, self.location)
    }
}

impl FromStr for Publication {
    type Err = PublicationError;

    fn from_str(text: &str) -> Result<Self, PublicationError> {
        let form = || PublicationError::Form(text.to_owned());
        let mut words = text.split(' ');
        let (mark, digest, location) = (words.next(), words.next(), words.next());
        let (Some(MARK), Some(digest), Some(location), None) =
            (mark, digest, location, words.next())
        else {
            return Err(form());
        };
        Self::new(digest.parse().map_err(|_| form())?, location)
    }
}

/// `rule.sig` beside a rule's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Whose: the subnet owner's hotkey.
    pub owner: Hotkey,
    /// Over what: the rule's digest.
    pub digest: Digest,
    /// sr25519, 64 bytes in hexadecimal.
    pub signature: String,
}

/// The bytes that an owner signs: no other message of the suite begins like them.
pub fn signed_bytes(digest: &Digest) -> Vec<u8> {
    format!("{MARK} {digest}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_survives_the_chain() {
        let published = Publication::new(Digest([7; 32]), "/srv/rules/serve").unwrap();
        let text = published.to_string();
        assert!(text.len() <= COMMITMENT_MAX);
        assert_eq!(text.parse(), Ok(published));
    }

    #[test]
    fn other_commitments_are_no_publication() {
        for text in
            ["", "ganglion-rule/1", "ganglion-rule/1 ab c", "namespace:name:hash", "a b c d"]
        {
            assert!(text.parse::<Publication>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_location_that_does_not_fit_is_refused_by_its_length() {
        let long = "x".repeat(LOCATION_MAX + 1);
        let refused = Publication::new(Digest([7; 32]), &long);
        assert_eq!(refused, Err(PublicationError::Location(LOCATION_MAX + 1)));
        assert!(Publication::new(Digest([7; 32]), "a b").is_err());
    }
}
