//! What differs between runtime versions, as data.
//!
//! A [`Rules`] value says which arithmetic a runtime of one `spec_version` performs. History is
//! replayed by choosing the entry of its time, and the chain's next change is a new entry here
//! and a branch on one of its fields, never a fork of the arithmetic.

/// Arithmetic of one runtime version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// `spec_version` of the runtime that these rules describe.
    pub spec: u32,
    /// Which consensus vector may feed liquid alpha.
    pub liquid_alpha: LiquidAlphaRule,
    /// Whether subnet shares pass the emission gate (see [`crate::emission`]).
    pub emission_gate: bool,
    /// Whether a subnet may replace Yuma by the largest staker's row.
    pub null_consensus: bool,
}

/// How a runtime chooses the consensus that liquid alpha compares weights with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiquidAlphaRule {
    /// Always the consensus of the epoch being computed.
    Current,
    /// The subnet chooses: see [`crate::yuma::ConsensusSource`].
    Selectable,
}

impl Rules {
    /// Runtime 425 (2026-06-30): the version that the golden vectors were recorded on.
    pub const SPEC_425: Self = Self {
        spec: 425,
        liquid_alpha: LiquidAlphaRule::Current,
        emission_gate: false,
        null_consensus: false,
    };

    /// Runtime 461: liquid alpha's consensus is selectable, subnet shares pass a gate.
    pub const SPEC_461: Self = Self {
        spec: 461,
        liquid_alpha: LiquidAlphaRule::Selectable,
        emission_gate: true,
        ..Self::SPEC_425
    };

    /// Runtime 475: as 461, and a subnet may choose null consensus.
    pub const SPEC_475: Self = Self { spec: 475, null_consensus: true, ..Self::SPEC_461 };

    /// Every known version, ascending.
    pub const ALL: [Self; 3] = [Self::SPEC_425, Self::SPEC_461, Self::SPEC_475];

    /// The rules in force at `spec`: the newest entry that is not newer than it.
    ///
    /// `None` for versions older than the first entry, whose arithmetic is not known here.
    pub fn for_spec(spec: u32) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|rules| rules.spec <= spec)
    }
}

impl Default for Rules {
    /// What a local chain runs unless told otherwise.
    fn default() -> Self {
        Self::SPEC_461
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_between_two_entries_runs_the_older() {
        let at = |spec| Rules::for_spec(spec).map(|rules| rules.spec);
        assert_eq!(at(424), None);
        assert_eq!(at(425), Some(425));
        assert_eq!(at(460), Some(425));
        assert_eq!(at(461), Some(461));
        assert_eq!(at(u32::MAX), Some(475));
    }
}
