//! Testing by betting: is a mean above zero? Valid however often one looks.

use serde::{Deserialize, Serialize};

use super::{Estimate, ParameterError, Verdict, within};
use crate::evidence::Margin;

/// Largest bet, as a share of wealth: wealth stays at least half after the worst outcome.
const LARGEST_BET: f64 = 0.5;

/// Wealth K ← K · (1 + λ·x) over margins x ∈ [−1, 1], starting at 1, with the bet λ ∈ [0, ½] chosen
/// before x is seen: λ = mean / second moment of the margins so far (aGRAPA). If the mean is not
/// above zero, K is a non-negative supermartingale, and P(K ever ≥ 1/`alpha`) ≤ `alpha` (Ville).
/// I. Waudby-Smith, A. Ramdas, *Estimating means of bounded random variables by betting*, JRSS B 2024.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EProcess {
    /// Probability that a mean of zero is ever taken for a positive one.
    pub alpha: f64,
}

/// The bettor's account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Wealth {
    /// ln K, nats.
    pub log: f64,
    /// Largest ln K so far: what Ville's inequality speaks of.
    pub peak: f64,
    /// Sum of margins.
    pub sum: f64,
    /// Sum of squared margins.
    pub squares: f64,
    /// Bets so far.
    pub samples: u64,
}

impl EProcess {
    pub(super) fn check(self) -> Result<(), ParameterError> {
        let valid = self.alpha > 0.0 && self.alpha < 1.0;
        within("e_process", "alpha", self.alpha, valid, "a number between 0 and 1")
    }

    /// ln K at which the claim is accepted, nats.
    pub fn accepts_at(self) -> f64 {
        -libm::log(self.alpha)
    }

    /// Takes one margin in.
    pub fn observe(self, wealth: &mut Wealth, margin: Margin) {
        let x = margin.get();
        wealth.log += libm::log1p(wealth.bet() * x);
        wealth.peak = wealth.peak.max(wealth.log);
        wealth.sum += x;
        wealth.squares += x * x;
        wealth.samples += 1;
    }

    pub(super) fn verdict(self, wealth: &Wealth) -> Verdict {
        if wealth.peak >= self.accepts_at() { Verdict::Pass } else { Verdict::NoEvidence }
    }

    pub(super) fn estimate(self, wealth: &Wealth) -> Option<Estimate> {
        if wealth.samples == 0 {
            return None;
        }
        let value = (wealth.log / self.accepts_at()).clamp(0.0, 1.0);
        Some(Estimate { value, mean: value, low: value, high: value, samples: wealth.samples })
    }
}

impl Wealth {
    /// The next bet: depends on the past alone. One phantom margin of ±1 keeps the first bets small.
    fn bet(&self) -> f64 {
        (self.sum / (self.squares + 1.0)).clamp(0.0, LARGEST_BET)
    }
}
