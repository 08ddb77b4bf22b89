//! Exponential moving average: smooths pay, proves nothing.

use serde::{Deserialize, Serialize};

use super::{Estimate, ParameterError, within};
use crate::evidence::Grade;

/// mean ← mean + `alpha` · (score − mean), starting at the first score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ema {
    /// Weight of the newest score, within (0, 1].
    pub alpha: f64,
}

/// The mean so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Smoothed {
    /// The moving average; 0 before the first score.
    pub mean: f64,
    /// The moving average of squared deviations, for the interval on a plot.
    pub variance: f64,
    /// Scores so far.
    pub samples: u64,
}

impl Ema {
    pub(super) fn check(self) -> Result<(), ParameterError> {
        let valid = self.alpha > 0.0 && self.alpha <= 1.0;
        within("ema", "alpha", self.alpha, valid, "a number within (0, 1]")
    }

    pub(super) fn observe(self, state: &mut Smoothed, score: Grade) {
        if state.samples == 0 {
            state.mean = score.get();
        } else {
            let step = score.get() - state.mean;
            state.mean = (state.mean + self.alpha * step).clamp(0.0, 1.0);
            state.variance = (1.0 - self.alpha) * (state.variance + self.alpha * step * step);
        }
        state.samples += 1;
    }
}

impl Smoothed {
    pub(super) fn estimate(&self) -> Option<Estimate> {
        if self.samples == 0 {
            return None;
        }
        let spread = libm::sqrt(self.variance);
        let (low, high) = ((self.mean - spread).max(0.0), (self.mean + spread).min(1.0));
        Some(Estimate { value: self.mean, mean: self.mean, low, high, samples: self.samples })
    }
}
