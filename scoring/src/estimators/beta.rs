//! Beta–binomial: what pass rate the trials bear out.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta as BetaDistribution, ContinuousCDF};

use super::{Estimate, ParameterError, snap, within};

/// p ~ Beta(`prior_passed` + passed, `prior_failed` + failed); pay takes the lower quantile
/// 1 − `confidence`, so that few trials are worth little however well they went.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beta {
    /// Pseudo-trials passed before any evidence.
    #[serde(default = "one")]
    pub prior_passed: f64,
    /// Pseudo-trials failed before any evidence.
    #[serde(default = "one")]
    pub prior_failed: f64,
    /// Probability that the true rate lies above the bound: 0.95.
    #[serde(default = "ninety_five")]
    pub confidence: f64,
    /// What an old trial still counts after one epoch: 1 never forgets; 0.98 halves in 34 epochs.
    #[serde(default = "one")]
    pub memory: f64,
}

fn one() -> f64 {
    1.0
}

fn ninety_five() -> f64 {
    0.95
}

/// Trials so far, discounted by age.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Trials {
    /// Passed, discounted.
    pub passed: f64,
    /// Failed, discounted.
    pub failed: f64,
    /// Trials in all, not discounted.
    pub samples: u64,
    /// Epoch to which the discount has been applied.
    pub epoch: u64,
}

impl Beta {
    pub(super) fn check(&self) -> Result<(), ParameterError> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let (passed, failed) = (self.prior_passed, self.prior_failed);
        let (confidence, memory) = (self.confidence, self.memory);
        within("beta", "prior_passed", passed, positive(passed), "a number above 0")?;
        within("beta", "prior_failed", failed, positive(failed), "a number above 0")?;
        let inner = confidence > 0.5 && confidence < 1.0;
        within("beta", "confidence", confidence, inner, "a number between 0.5 and 1")?;
        within("beta", "memory", memory, memory > 0.0 && memory <= 1.0, "a number within (0, 1]")
    }

    pub(super) fn observe(&self, trials: &mut Trials, passed: u32, failed: u32, epoch: u64) {
        let age = epoch.saturating_sub(trials.epoch);
        if trials.samples > 0 && age > 0 {
            #[expect(clippy::cast_precision_loss, reason = "an age of 2^53 epochs forgets all")]
            let kept = libm::pow(self.memory, age as f64);
            trials.passed *= kept;
            trials.failed *= kept;
        }
        trials.epoch = trials.epoch.max(epoch);
        trials.passed += f64::from(passed);
        trials.failed += f64::from(failed);
        trials.samples += u64::from(passed) + u64::from(failed);
    }

    pub(super) fn estimate(&self, trials: &Trials) -> Option<Estimate> {
        if trials.samples == 0 {
            return None;
        }
        let (a, b) = (self.prior_passed + trials.passed, self.prior_failed + trials.failed);
        let low = quantile(a, b, 1.0 - self.confidence)?;
        let high = quantile(a, b, self.confidence)?;
        Some(Estimate { value: low, mean: snap(a / (a + b)), low, high, samples: trials.samples })
    }
}

/// The q-quantile of Beta(a, b).
fn quantile(a: f64, b: f64, q: f64) -> Option<f64> {
    let quantile = BetaDistribution::new(a, b).ok()?.inverse_cdf(q);
    (0.0..=1.0).contains(&quantile).then(|| snap(quantile))
}
