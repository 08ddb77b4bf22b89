//! What a miner really does with a task. Anything but honest work is for rehearsals: a subnet on the laptop
//! needs cheats, so that its owner sees them caught. The kinds are the arena's.

use std::fmt;
use std::str::FromStr;

use inference::NumericClass;
use serde::{Deserialize, Serialize};
use subnet_rules::arena::Kind;

/// How a miner answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Behaviour {
    /// The part it plays.
    pub kind: Kind,
    /// The class that a substitute runs the named weights in.
    pub class: Option<NumericClass>,
}

/// The class of a substitute that names none.
const CHEAP: NumericClass = NumericClass::Q4_0Block32;

impl Default for Behaviour {
    fn default() -> Self {
        Self::HONEST
    }
}

/// Not the name of a behaviour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no part to play: {known}, or substitute:CLASS")]
pub struct BehaviourError {
    given: String,
    known: String,
}

impl Behaviour {
    /// Does the work.
    pub const HONEST: Self = Self { kind: Kind::Honest, class: None };

    /// Whether it does what the rule pays for.
    pub const fn is_honest(self) -> bool {
        matches!(self.kind, Kind::Honest)
    }

    /// The class that is run in place of the named one.
    pub fn substitute(self) -> Option<NumericClass> {
        (self.kind == Kind::Substitute).then(|| self.class.unwrap_or(CHEAP))
    }

    /// Whether an engine of it writes nothing.
    pub(crate) const fn is_idle(self) -> bool {
        !matches!(self.kind, Kind::Honest | Kind::Sybil | Kind::Substitute)
    }

    /// Whether it ends its answers at once.
    pub(crate) const fn ends_early(self) -> bool {
        matches!(self.kind, Kind::EarlyEnd)
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class {
            Some(class) => write!(f, "{}:{class}", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}

impl FromStr for Behaviour {
    type Err = BehaviourError;

    fn from_str(text: &str) -> Result<Self, BehaviourError> {
        let unknown = || BehaviourError {
            given: text.to_owned(),
            known: Kind::ALL.map(Kind::name).join(", "),
        };
        let (name, class) = match text.split_once(':') {
            Some((name, class)) => (name, Some(class.parse().map_err(|_| unknown())?)),
            None => (text, None),
        };
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(unknown)?;
        if class.is_some() && kind != Kind::Substitute {
            return Err(unknown());
        }
        Ok(Self { kind, class })
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
        for text in ["honest", "lazy", "early-end", "substitute", "substitute:q8_0-block32"] {
            assert_eq!(text.parse::<Behaviour>().map(|b| b.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "honest:f32", "substitute:f33", "king"] {
            assert!(text.parse::<Behaviour>().is_err(), "{text}");
        }
    }
}
