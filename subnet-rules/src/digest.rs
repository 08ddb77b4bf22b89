//! A 32-byte `BLAKE2b` digest that reads and prints as hexadecimal.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `BLAKE2b`-256 of some bytes under a domain label; printed as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: 64 hexadecimal digits are wanted")]
pub struct DigestError(String);

impl Digest {
    /// Hashes `parts` under `domain`; each part is length-prefixed, so no two lists collide.
    pub fn of(domain: &str, parts: &[&[u8]]) -> Self {
        let mut hash = Blake2b::<U32>::new();
        for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// `BLAKE2b`-256 of the bytes alone, without a label: what other programs compute of them too.
    pub fn plain(bytes: &[u8]) -> Self {
        Self(Blake2b::<U32>::digest(bytes).into())
    }

    /// The first six bytes in hexadecimal: enough for people to tell two apart.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

/// JSON without spaces, the keys of each object ascending, however the value was put together: what digests
/// are taken of.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            let field = |(key, value): (&String, &Value)| {
                format!("{}:{}", Value::from(key.as_str()), canonical(value))
            };
            let fields: Vec<String> = sorted.into_iter().map(field).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        plain => plain.to_string(),
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestError(text.to_owned()))?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_its_text() {
        let digest = Digest::of("test", &[b"a", b"bc"]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn moving_a_byte_between_parts_changes_the_digest() {
        assert_ne!(Digest::of("test", &[b"a", b"bc"]), Digest::of("test", &[b"ab", b"c"]));
    }

    #[test]
    fn keys_are_in_one_order_whatever_order_they_came_in() {
        let read = |text: &str| canonical(&serde_json::from_str(text).unwrap());
        let one = read(r#"{"b":[{"d":1,"c":"ü\""}],"a":null}"#);
        assert_eq!(one, r#"{"a":null,"b":[{"c":"ü\"","d":1}]}"#);
        assert_eq!(read(r#"{"a":null,"b":[{"c":"ü\"","d":1}]}"#), one);
    }

    #[test]
    fn a_text_of_the_wrong_length_is_refused() {
        assert_eq!("ab".parse::<Digest>(), Err(DigestError("ab".into())));
    }
}
