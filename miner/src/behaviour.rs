//! What a miner really does with a request. Anything but [`Behaviour::Honest`] is for rehearsals:
//! a subnet on the laptop needs cheats, so that its owner sees them caught.

use std::fmt;
use std::str::FromStr;

use inference::NumericClass;
use serde::{Deserialize, Serialize};

/// How a miner answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Behaviour {
    /// Runs the model whose id it announces.
    #[default]
    Honest,
    /// Announces the honest model's id and runs the same weights in a cheaper class.
    Substitute {
        /// The class it really runs.
        class: NumericClass,
    },
    /// Runs nothing, and answers every prompt with the same text.
    Lazy,
}

/// Not the name of a behaviour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of honest, substitute:CLASS, lazy")]
pub struct BehaviourError(String);

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Honest => f.write_str("honest"),
            Self::Substitute { class } => write!(f, "substitute:{class}"),
            Self::Lazy => f.write_str("lazy"),
        }
    }
}

impl FromStr for Behaviour {
    type Err = BehaviourError;

    fn from_str(text: &str) -> Result<Self, BehaviourError> {
        let unknown = || BehaviourError(text.to_owned());
        match text.split_once(':') {
            None if text == "honest" => Ok(Self::Honest),
            None if text == "lazy" => Ok(Self::Lazy),
            Some(("substitute", class)) => {
                class.parse().map(|class| Self::Substitute { class }).map_err(|_| unknown())
            }
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Behaviour {
    type Error = BehaviourError;

    fn try_from(text: String) -> Result<Self, BehaviourError> {
        text.parse()
    }
}

impl From<Behaviour> for String {
    fn from(behaviour: Behaviour) -> Self {
        behaviour.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_behaviour_is_written_as_it_is_read() {
        for text in ["honest", "lazy", "substitute:q8_0-block32"] {
            assert_eq!(text.parse::<Behaviour>().map(|b| b.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "honest:f32", "substitute", "substitute:f33"] {
            assert!(text.parse::<Behaviour>().is_err(), "{text}");
        }
    }
}
