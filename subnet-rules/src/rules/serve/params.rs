//! `[params]` of the `serve` rule.

use scoring::evidence::Grade;
use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use super::measurement::Answer;
use crate::manifest::ManifestError;
use crate::tools::GroupMeasure;
use crate::world::grammar::ANSWER_MAX;

const _: () = assert!(ANSWER_MAX + 1 == 25, "the least `max_tokens`");

/// The rule's own parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The named model: digest of its weights and its numeric class.
    #[serde(default)]
    pub model: String,
    /// Share of draws without a right answer, within 0.05..=0.95.
    pub open_share: f64,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// Divisor of the logits, above 0: at 0 no token has a choice, and nothing is ever proven.
    pub temperature: f32,
    /// Entropy from which a token counts as evidence of identity, thousandths of a nat.
    pub min_entropy_mnat: u32,
    /// Time allowed before the first token, ms.
    pub allowed_base_ms: u32,
    /// Time allowed for each token, ms.
    pub allowed_per_token_ms: u32,
    /// What the miner's own account of its tokens must agree in, if it is asked for one. It sees finer
    /// deviations than the draws do, and a forger passes it, who writes with one model and reads with
    /// another: so it convicts, and never clears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountLimits>,
    /// Pass rates of the named model.
    #[serde(default)]
    pub calibration: Calibration,
}

/// How far a group of tokens in a miner's account may lie from the reference's pass. Both 0 where
/// engines of the class agree to the bit; else what `ganglion model calibrate` measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountLimits {
    /// Mean distance of log-probabilities, millionths of a nat.
    pub likelihood_micro: u32,
    /// Distance of sketches, millionths.
    pub sketch_micro: u32,
}

impl AccountLimits {
    pub(super) const fn allow(self, group: GroupMeasure) -> bool {
        group.likelihood_micro <= self.likelihood_micro && group.sketch_micro <= self.sketch_micro
    }
}

/// A parameter out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{parameter}` is {value}; {wanted} is wanted")]
pub struct ParamsError {
    /// Which.
    pub parameter: &'static str,
    /// What was given.
    pub value: String,
    /// What would be valid.
    pub wanted: &'static str,
}

/// Bounds of `max_tokens`: a byte-level model needs one token a byte of the longest answer, and one to
/// end it.
const MAX_TOKENS: std::ops::RangeInclusive<u32> = 25..=4096;

impl Params {
    pub(super) fn check(&self) -> Result<(), ParamsError> {
        let ensure = |valid, parameter, value: &dyn ToString, wanted| {
            if valid {
                Ok(())
            } else {
                Err(ParamsError { parameter, value: value.to_string(), wanted })
            }
        };
        let (share, temperature) = (self.open_share, self.temperature);
        let some_of_both = (0.05..=0.95).contains(&share);
        ensure(some_of_both, "open_share", &share, "a share within 0.05..=0.95")?;
        let warm = temperature > 0.0 && temperature <= 5.0;
        ensure(warm, "temperature", &temperature, "a number within (0, 5]")?;
        let roomy = MAX_TOKENS.contains(&self.max_tokens);
        ensure(roomy, "max_tokens", &self.max_tokens, "a number within 25..=4096")?;
        let entropy = self.min_entropy_mnat;
        ensure(entropy >= 100, "min_entropy_mnat", &entropy, "at least 100")?;
        let pace = self.allowed_per_token_ms;
        ensure(pace >= 1, "allowed_per_token_ms", &pace, "at least 1")
    }

    pub(super) fn to_table(&self) -> Result<toml::Table, ManifestError> {
        // Serialising to TOML fails for no value of this type; reading back is the check.
        let text = toml::to_string(self).unwrap_or_default();
        toml::from_str(&text).map_err(|source| ManifestError::Params { source })
    }

    /// 1 within the time allowed for that many tokens, then allowed / taken: faster than allowed
    /// earns nothing, so there is no race to be first.
    pub(super) fn service(&self, answer: &Answer) -> Grade {
        let tokens = answer.token_ids.len().min(self.max_tokens as usize) as u64;
        let allowed_ms =
            u64::from(self.allowed_base_ms) + u64::from(self.allowed_per_token_ms) * tokens;
        let (allowed, taken) = (allowed_ms * 1000, answer.total_us);
        if taken <= allowed {
            return Grade::ONE;
        }
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a reply are below 2^53")]
        let ratio = allowed as f64 / taken as f64;
        Grade::new(ratio).unwrap_or(Grade::ZERO)
    }
}
