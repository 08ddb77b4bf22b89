//! What a served model is: its weights, and the arithmetic that runs over them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What the arithmetic really is, whatever the file held.
///
/// Two engines agree on a class when both store weights with these bits and multiply them as the
/// variant says. Requantising a model on load changes its class, and so its [`ModelId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum NumericClass {
    /// Weights and activations in f32.
    F32,
    /// Weights and every operator's output rounded to bf16, sums in f32.
    Bf16,
    /// Weights in blocks of 32 signed bytes with an f16 scale; activations quantised to
    /// 32 signed bytes with an f32 scale before each matrix product; sums in f32.
    Q8_0Block32,
    /// As [`Self::Q8_0Block32`], with 4-bit weights `scale·q + min` in every layer's matrices.
    Q4_1Block32,
    /// As [`Self::Q8_0Block32`], with 4-bit weights `scale·(q−8)` in every layer's matrices.
    Q4_0Block32,
}

impl NumericClass {
    /// Every class this crate can run.
    pub const ALL: [Self; 5] =
        [Self::F32, Self::Bf16, Self::Q8_0Block32, Self::Q4_1Block32, Self::Q4_0Block32];

    /// The class's name in a [`ModelId`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Q8_0Block32 => "q8_0-block32",
            Self::Q4_1Block32 => "q4_1-block32",
            Self::Q4_0Block32 => "q4_0-block32",
        }
    }

    /// Stored bits per weight of a layer's matrices, scales included.
    pub const fn weight_bits(self) -> f64 {
        match self {
            Self::F32 => 32.0,
            Self::Bf16 => 16.0,
            Self::Q8_0Block32 => 8.5,
            Self::Q4_1Block32 => 5.0,
            Self::Q4_0Block32 => 4.5,
        }
    }
}

impl fmt::Display for NumericClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for NumericClass {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|class| class.name() == text)
            .ok_or_else(|| IdError::Class(text.to_owned()))
    }
}

impl TryFrom<String> for NumericClass {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<NumericClass> for String {
    fn from(class: NumericClass) -> Self {
        class.name().to_owned()
    }
}

/// The identity of a served model: SHA-256 of its weights as loaded, in canonical order, and the
/// class of its arithmetic. Text form: `<64 hex digits>:<class>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId {
    /// SHA-256 over every tensor's name, shape, storage and values.
    pub digest: [u8; 32],
    /// What the arithmetic is.
    pub class: NumericClass,
}

impl ModelId {
    /// First 12 hex digits and the class, for tables and logs.
    pub fn short(&self) -> String {
        format!("{}…:{}", &hex::encode(self.digest)[..12], self.class)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", hex::encode(self.digest), self.class)
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelId({})", self.short())
    }
}

impl FromStr for ModelId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (digest, class) =
            text.split_once(':').ok_or_else(|| IdError::Shape(text.to_owned()))?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digest, &mut bytes)
            .map_err(|source| IdError::Digest { text: digest.to_owned(), source })?;
        Ok(Self { digest: bytes, class: class.parse()? })
    }
}

impl TryFrom<String> for ModelId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> Self {
        id.to_string()
    }
}

/// A text that is no [`ModelId`] or [`NumericClass`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// No colon between digest and class.
    #[error("model id `{0}` is not `<64 hex digits>:<class>`")]
    Shape(String),
    /// The digest is not 64 hex digits.
    #[error("model digest `{text}` is not 64 hex digits")]
    Digest {
        /// The text given.
        text: String,
        /// Why it does not decode.
        source: hex::FromHexError,
    },
    /// No such class.
    #[error(
        "unknown numeric class `{0}` (known: f32, bf16, q8_0-block32, q4_1-block32, q4_0-block32)"
    )]
    Class(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        for class in NumericClass::ALL {
            let id = ModelId { digest: [7; 32], class };
            assert_eq!(id.to_string().parse::<ModelId>().unwrap(), id);
        }
    }

    #[test]
    fn a_foreign_class_or_a_short_digest_is_refused_by_name() {
        assert!(matches!("ab:f32".parse::<ModelId>(), Err(IdError::Digest { .. })));
        assert!(
            matches!("fp4".parse::<NumericClass>(), Err(IdError::Class(name)) if name == "fp4")
        );
    }
}
