//! A confidence sequence: an interval for a mean that holds at every look at once.

use serde::{Deserialize, Serialize};

use super::{Estimate, ParameterError, within};
use crate::evidence::Grade;

/// Largest bet: keeps ln(1 − λ) bounded by 0.7 nat a score.
const LARGEST_BET: f64 = 0.5;

/// Predictable plug-in empirical-Bernstein sequence for scores x ∈ [0, 1]:
///
/// ```text
/// Σλx/Σλ ± (ln(2/alpha) + Σ v·ψ(λ)) / Σλ     ψ(λ) = (−ln(1 − λ) − λ)/4,  v = 4·(x − μ before)²
/// λ at t  = √(2·ln(2/alpha) / (σ²·t·ln(1 + t))), at most ½, from μ and σ² of the scores before
/// ```
///
/// P(the mean ever leaves its interval) ≤ `alpha`, for scores with a common conditional mean.
/// I. Waudby-Smith, A. Ramdas, *Estimating means of bounded random variables by betting*, JRSS B
/// 2024, theorem 2.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Probability that the mean is ever outside.
    pub alpha: f64,
}

/// The sums behind the interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Σλ.
    pub bets: f64,
    /// Σλx.
    pub weighted: f64,
    /// Σ v·ψ(λ).
    pub spread: f64,
    /// Σx.
    pub sum: f64,
    /// Σ(x − μ)², each by the mean after it.
    pub squares: f64,
    /// Scores so far.
    pub samples: u64,
}

impl Sums {
    /// Mean of the scores and one phantom score of ½.
    fn mean(&self) -> f64 {
        (0.5 + self.sum) / (self.count() + 1.0)
    }

    /// Variance of the scores and one phantom score of variance ¼.
    fn variance(&self) -> f64 {
        (0.25 + self.squares) / (self.count() + 1.0)
    }

    fn count(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 scores")]
        let count = self.samples as f64;
        count
    }
}

impl Sequence {
    pub(super) fn check(self) -> Result<(), ParameterError> {
        let valid = self.alpha > 0.0 && self.alpha < 1.0;
        within("sequence", "alpha", self.alpha, valid, "a number between 0 and 1")
    }

    pub(super) fn observe(self, sums: &mut Sums, score: Grade) {
        let x = score.get();
        let time = sums.count() + 1.0;
        let wanted = 2.0 * self.log_term() / (sums.variance() * time * libm::log1p(time));
        let bet = libm::sqrt(wanted).min(LARGEST_BET);
        let off = x - sums.mean();
        sums.spread += off * off * (-libm::log1p(-bet) - bet);
        sums.bets += bet;
        sums.weighted += bet * x;
        sums.sum += x;
        sums.samples += 1;
        let off_after = x - sums.mean();
        sums.squares += off_after * off_after;
    }

    pub(super) fn estimate(self, sums: &Sums) -> Option<Estimate> {
        if sums.samples == 0 {
            return None;
        }
        let centre = sums.weighted / sums.bets;
        let half = (self.log_term() + sums.spread) / sums.bets;
        let (low, high) = ((centre - half).max(0.0), (centre + half).min(1.0));
        let mean = sums.sum / sums.count();
        Some(Estimate { value: low, mean, low, high, samples: sums.samples })
    }

    fn log_term(self) -> f64 {
        libm::log(2.0 / self.alpha)
    }
}
