//! Wald's sequential probability ratio test between two match rates.

use serde::{Deserialize, Serialize};

use super::{ParameterError, Verdict, within};

/// Tokens of the named model match what the seed draws at rate `honest`, those of a cheat at
/// `cheat` or less. Per token
///
/// Λ += ln(`cheat`/`honest`) on a match, ln((1−`cheat`)/(1−`honest`)) on a miss;
///
/// Λ ≥ ln((1−`beta`)/`alpha`) convicts for good, Λ ≤ ln(`beta`/(1−`alpha`)) clears and starts the
/// next test (A. Wald, *Sequential tests of statistical hypotheses*, 1945). One test convicts an
/// honest subject with probability ≤ `alpha`/(1−`beta`), so `alpha` is set for all the tests of a
/// miner's life.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sprt {
    /// Match rate of the named model, as calibrated.
    pub honest: f64,
    /// Match rate from which on a subject is somebody else.
    pub cheat: f64,
    /// Probability that one test convicts the honest.
    pub alpha: f64,
    /// Probability that one test clears a cheat.
    pub beta: f64,
    /// Epochs for which a pass lasts: whoever then shows no new evidence is unproven again.
    pub fresh_epochs: u64,
}

/// A test under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Log-likelihood ratio of the test under way, nats; positive speaks for the cheat.
    pub llr: f64,
    /// Tokens seen in all.
    pub tokens: u64,
    /// Of these, not what the seed draws.
    pub missed: u64,
    /// Tests that cleared.
    pub passes: u64,
    /// Epoch of the latest pass.
    pub passed_at: Option<u64>,
    /// Epoch of the conviction.
    pub convicted_at: Option<u64>,
}

impl Sprt {
    pub(super) fn check(&self) -> Result<(), ParameterError> {
        let open = |x: f64| x > 0.0 && x < 1.0;
        within("sprt", "honest", self.honest, open(self.honest), "a number between 0 and 1")?;
        let below = self.cheat > 0.0 && self.cheat < self.honest;
        within("sprt", "cheat", self.cheat, below, "a number between 0 and `honest`")?;
        let rare = |x: f64| x > 0.0 && x < 0.5;
        within("sprt", "alpha", self.alpha, rare(self.alpha), "a number between 0 and 0.5")?;
        within("sprt", "beta", self.beta, rare(self.beta), "a number between 0 and 0.5")
    }

    /// Λ at which a test convicts, nats.
    pub fn convicts_at(&self) -> f64 {
        libm::log((1.0 - self.beta) / self.alpha)
    }

    /// Λ at which a test clears, nats.
    pub fn clears_at(&self) -> f64 {
        libm::log(self.beta / (1.0 - self.alpha))
    }

    /// Tokens that a subject with match rate `rate` needs on average for the verdict it drifts to
    /// (Wald's approximation: boundary over drift); infinite where there is no drift.
    pub fn expected_tokens(&self, rate: f64) -> f64 {
        let drift = rate * self.step(true) + (1.0 - rate) * self.step(false);
        let boundary = if drift > 0.0 { self.convicts_at() } else { self.clears_at() };
        boundary / drift
    }

    fn step(&self, matched: bool) -> f64 {
        if matched {
            libm::log(self.cheat / self.honest)
        } else {
            libm::log((1.0 - self.cheat) / (1.0 - self.honest))
        }
    }

    pub(super) fn observe(&self, test: &mut Test, matched: bool, epoch: u64) {
        test.tokens += 1;
        test.missed += u64::from(!matched);
        if test.convicted_at.is_some() {
            return;
        }
        test.llr += self.step(matched);
        if test.llr >= self.convicts_at() {
            test.convicted_at = Some(epoch);
        } else if test.llr <= self.clears_at() {
            test.passes += 1;
            test.passed_at = Some(epoch);
            test.llr = 0.0;
        }
    }

    pub(super) fn verdict(&self, test: &Test, epoch: u64) -> Verdict {
        match (test.convicted_at, test.passed_at) {
            (Some(_), _) => Verdict::Fail,
            (None, Some(at)) if epoch.saturating_sub(at) <= self.fresh_epochs => Verdict::Pass,
            (None, _) => Verdict::NoEvidence,
        }
    }
}
