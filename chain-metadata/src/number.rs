//! The chain's small numbers: which subnet, which slot, which mechanism.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

/// Distance between two mechanisms of one subnet in [`NetUid::storage_index`]
/// (`GLOBAL_MAX_SUBNET_COUNT` of the runtime).
pub const MECHANISM_STRIDE: u16 = 4096;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

number! {
    /// A subnet. 0 is the root.
    NetUid(u16)
}

number! {
    /// A neuron's slot within a subnet. Slots are reused: state belongs to a
    /// [`Hotkey`](crate::Hotkey), and a `Uid` appears only where the chain wants one.
    Uid(u16)
}

number! {
    /// A mechanism of a subnet. Every subnet has mechanism 0.
    MechId(u8)
}

impl NetUid {
    /// The root network, which holds TAO stake and has no miners.
    pub const ROOT: Self = Self(0);

    /// The key under which the chain keeps weights, bonds, incentives, update blocks and commits
    /// of one mechanism: `mechanism × 4096 + netuid`.
    ///
    /// Saturates for mechanisms past the 15th, which no runtime allows.
    pub fn storage_index(self, mechanism: MechId) -> u16 {
        u16::from(mechanism.0).saturating_mul(MECHANISM_STRIDE).saturating_add(self.0)
    }
}

impl Uid {
    /// The slot as an index into a per-neuron vector.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mechanism_is_4096_apart_in_storage() {
        assert_eq!(NetUid(7).storage_index(MechId(0)), 7);
        assert_eq!(NetUid(7).storage_index(MechId(3)), 12_295);
    }
}
