//! What a judge found, typed by what may be concluded from it.
//!
//! Evidence carries numbers that were measured or checked, never numbers that the payee reported
//! (those are [`Claimed`] until somebody checks them).

use serde::{Deserialize, Serialize};

/// A number between nought and one. The one door through which a judged number comes in: NaN,
/// infinities and anything outside are refused here and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Grade(f64);

/// A number that is no grade.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is no grade: a number between 0 and 1 is wanted")]
pub struct GradeError(f64);

impl Grade {
    /// The worst.
    pub const ZERO: Self = Self(0.0);
    /// The best.
    pub const ONE: Self = Self(1.0);

    /// Refuses whatever is not within 0..=1, NaN included; -0 becomes 0.
    pub fn new(value: f64) -> Result<Self, GradeError> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value.abs())) } else { Err(GradeError(value)) }
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Grade {
    type Error = GradeError;

    fn try_from(value: f64) -> Result<Self, GradeError> {
        Self::new(value)
    }
}

impl From<Grade> for f64 {
    fn from(grade: Grade) -> Self {
        grade.0
    }
}

/// A number between minus one and one: the stake-able outcome of a paired comparison.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Margin(f64);

/// A number that is no margin.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is no margin: a number between -1 and 1 is wanted")]
pub struct MarginError(f64);

impl Margin {
    /// Refuses whatever is not within -1..=1, NaN included.
    pub fn new(value: f64) -> Result<Self, MarginError> {
        if (-1.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(MarginError(value)) }
    }

    /// `difference / scale` clipped to -1..=1: how a loss difference becomes a bet.
    pub fn clipped(difference: f64, scale: f64) -> Result<Self, MarginError> {
        let ratio = difference / scale;
        if ratio.is_nan() { Err(MarginError(ratio)) } else { Ok(Self(ratio.clamp(-1.0, 1.0))) }
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Margin {
    type Error = MarginError;

    fn try_from(value: f64) -> Result<Self, MarginError> {
        Self::new(value)
    }
}

impl From<Margin> for f64 {
    fn from(margin: Margin) -> Self {
        margin.0
    }
}

/// A value the payee reported. It prints and serialises, for the record; a judge can only get at it
/// by [`Claimed::check`], which compares it with something measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Claimed<T>(T);

impl<T> Claimed<T> {
    /// Marks `value` as reported, not measured.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, if `holds` says that a measurement bears it out.
    pub fn check(&self, holds: impl FnOnce(&T) -> bool) -> Option<&T> {
        holds(&self.0).then_some(&self.0)
    }
}

/// One finding about one miner on one track of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Evidence {
    /// A grade: service, accuracy.
    Score(Grade),
    /// Independent trials with two outcomes.
    Trials {
        /// How many passed.
        passed: u32,
        /// How many failed.
        failed: u32,
    },
    /// Whether each token was the one the named model draws, in order. Only tokens that had a
    /// choice: a token the model was sure of says nothing about who wrote it.
    Matches(Vec<bool>),
    /// Outcomes of paired comparisons, in order; positive favours the subject.
    Margins(Vec<Margin>),
    /// Units of verified work.
    Volume(u32),
}

impl Evidence {
    /// The kind's name, as manifests write it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Score(_) => "score",
            Self::Trials { .. } => "trials",
            Self::Matches(_) => "matches",
            Self::Margins(_) => "margins",
            Self::Volume(_) => "volume",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_between_nought_and_one_are_grades() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 1.1] {
            assert!(Grade::new(bad).is_err(), "{bad}");
        }
        assert_eq!(Grade::new(-0.0).map(|grade| grade.get().to_bits()), Ok(0));
    }

    #[test]
    fn a_claim_is_read_only_where_a_measurement_bears_it_out() {
        let claimed = Claimed::new(90);
        assert_eq!(claimed.check(|tokens| *tokens <= 40), None);
        assert_eq!(claimed.check(|tokens| *tokens <= 100), Some(&90));
    }

    #[test]
    fn a_difference_over_a_zero_scale_is_refused_or_clipped() {
        assert!(Margin::clipped(0.0, 0.0).is_err());
        assert_eq!(Margin::clipped(3.0, 2.0).map(Margin::get), Ok(1.0));
    }

    #[test]
    fn a_stored_nan_does_not_come_back_as_a_grade() {
        assert!(serde_json::from_str::<Grade>("1.5").is_err());
        assert!(serde_json::from_str::<Grade>("null").is_err());
    }
}
