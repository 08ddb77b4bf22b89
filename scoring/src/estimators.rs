//! From evidence to a standing with its uncertainty.
//!
//! | estimator | evidence | says |
//! |---|---|---|
//! | [`Beta`] | trials | a lower bound of the pass rate |
//! | [`Ema`] | score | a smoothed mean; for pay only, never for a verdict |
//! | [`Sprt`] | matches | which of two rates, with both error rates bounded |
//! | [`Sequence`] | score | an interval for the mean, valid at every look |
//! | [`EProcess`] | margins | whether a mean is above zero, looked at as often as you like |
//!
//! Pay on lower bounds, accuse on sequential tests. Every transcendental goes through `libm`, every
//! sum runs in the order of the evidence, and what statrs computes is snapped to a grid
//! ([`GRID`]), so that two machines that read the same log hold the same standing.

mod beta;
mod ema;
mod eprocess;
mod sequence;
mod sprt;

use serde::{Deserialize, Serialize};

pub use beta::{Beta, Trials};
pub use ema::{Ema, Smoothed};
pub use eprocess::{EProcess, Wealth};
pub use sequence::{Sequence, Sums};
pub use sprt::{Sprt, Test};

use crate::evidence::Evidence;

/// Steps in a unit to which quantiles are rounded: far coarser than the last bits in which two
/// machines' libraries may differ, far finer than what moves a 16-bit weight.
pub const GRID: f64 = 1_048_576.0;

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The evidence clears the subject.
    Pass,
    /// The evidence convicts it.
    Fail,
    /// Nothing is shown either way, which is no pass.
    NoEvidence,
}

/// What a factor is worth, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// What pay multiplies with: the lower bound where there is one.
    pub value: f64,
    /// The middle of what is believed.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Pieces of evidence behind it.
    pub samples: u64,
}

/// How a track's evidence becomes its standing; declared in a rule's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Beta–binomial.
    Beta(Beta),
    /// Exponential moving average.
    Ema(Ema),
    /// Wald's sequential probability ratio test.
    Sprt(Sprt),
    /// Betting e-process.
    EProcess(EProcess),
    /// Confidence sequence.
    Sequence(Sequence),
}

/// A parameter that makes no estimator.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{estimator}: {parameter} is {value}, {wanted} is wanted")]
pub struct ParameterError {
    /// Of which estimator.
    pub estimator: &'static str,
    /// Which parameter.
    pub parameter: &'static str,
    /// What was given.
    pub value: f64,
    /// What would be valid.
    pub wanted: &'static str,
}

/// Evidence of a kind the estimator cannot use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the estimator {estimator} takes {wanted}, not {given}")]
pub struct KindError {
    /// Which estimator.
    pub estimator: &'static str,
    /// The kind it takes.
    pub wanted: &'static str,
    /// The kind that came.
    pub given: &'static str,
}

/// What an estimator has made of the evidence so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Of [`Beta`].
    Trials(Trials),
    /// Of [`Ema`].
    Smoothed(Smoothed),
    /// Of [`Sprt`].
    Test(Test),
    /// Of [`EProcess`].
    Wealth(Wealth),
    /// Of [`Sequence`].
    Sums(Sums),
}

impl Estimator {
    /// Whether the parameters make sense.
    pub fn check(&self) -> Result<(), ParameterError> {
        match self {
            Self::Beta(beta) => beta.check(),
            Self::Ema(ema) => ema.check(),
            Self::Sprt(sprt) => sprt.check(),
            Self::EProcess(process) => process.check(),
            Self::Sequence(sequence) => sequence.check(),
        }
    }

    /// The name in manifests.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Beta(_) => "beta",
            Self::Ema(_) => "ema",
            Self::Sprt(_) => "sprt",
            Self::EProcess(_) => "e_process",
            Self::Sequence(_) => "sequence",
        }
    }

    /// The kind of evidence it takes.
    pub fn takes(&self) -> &'static str {
        match self {
            Self::Beta(_) => "trials",
            Self::Ema(_) | Self::Sequence(_) => "score",
            Self::Sprt(_) => "matches",
            Self::EProcess(_) => "margins",
        }
    }

    /// The standing of somebody of whom nothing is known.
    pub fn start(&self) -> State {
        match self {
            Self::Beta(_) => State::Trials(Trials::default()),
            Self::Ema(_) => State::Smoothed(Smoothed::default()),
            Self::Sprt(_) => State::Test(Test::default()),
            Self::EProcess(_) => State::Wealth(Wealth::default()),
            Self::Sequence(_) => State::Sums(Sums::default()),
        }
    }

    /// Takes in one piece of evidence, measured in `epoch`.
    pub fn observe(
        &self,
        state: &mut State,
        evidence: &Evidence,
        epoch: u64,
    ) -> Result<(), KindError> {
        match (self, state, evidence) {
            (Self::Beta(beta), State::Trials(trials), Evidence::Trials { passed, failed }) => {
                beta.observe(trials, *passed, *failed, epoch);
            }
            (Self::Ema(ema), State::Smoothed(mean), Evidence::Score(score)) => {
                ema.observe(mean, *score);
            }
            (Self::Sprt(sprt), State::Test(test), Evidence::Matches(matches)) => {
                for matched in matches {
                    sprt.observe(test, *matched, epoch);
                }
            }
            (Self::Sequence(sequence), State::Sums(sums), Evidence::Score(score)) => {
                sequence.observe(sums, *score);
            }
            (Self::EProcess(process), State::Wealth(wealth), Evidence::Margins(margins)) => {
                for margin in margins {
                    process.observe(wealth, *margin);
                }
            }
            _ => {
                let (wanted, given) = (self.takes(), evidence.kind());
                return Err(KindError { estimator: self.name(), wanted, given });
            }
        }
        Ok(())
    }

    /// What a gate on this track says in `epoch`.
    pub fn verdict(&self, state: &State, epoch: u64) -> Verdict {
        match (self, state) {
            (Self::Sprt(sprt), State::Test(test)) => sprt.verdict(test, epoch),
            (Self::EProcess(process), State::Wealth(wealth)) => process.verdict(wealth),
            // An average passes no verdict, and a state of another estimator says nothing.
            _ => Verdict::NoEvidence,
        }
    }

    /// What a factor on this track is worth; `None` without evidence.
    pub fn estimate(&self, state: &State) -> Option<Estimate> {
        match (self, state) {
            (Self::Beta(beta), State::Trials(trials)) => beta.estimate(trials),
            (Self::Ema(_), State::Smoothed(mean)) => mean.estimate(),
            (Self::EProcess(process), State::Wealth(wealth)) => process.estimate(wealth),
            (Self::Sequence(sequence), State::Sums(sums)) => sequence.estimate(sums),
            _ => None,
        }
    }
}

/// Rounds to the [`GRID`].
fn snap(x: f64) -> f64 {
    libm::rint(x * GRID) / GRID
}

/// The check that most parameters share.
pub(crate) fn within(
    estimator: &'static str,
    parameter: &'static str,
    value: f64,
    valid: bool,
    wanted: &'static str,
) -> Result<(), ParameterError> {
    // A NaN fails every comparison, so `valid` is false for it.
    if valid { Ok(()) } else { Err(ParameterError { estimator, parameter, value, wanted }) }
}
