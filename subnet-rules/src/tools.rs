//! What a validator measures with: never the rule, always handed to it.
//!
//! A rule's `measure` is one function, live and in the arena; what it needs beside the miner's bytes is
//! here. Each tool has two implementors: the real one in the validator, a cheap one in the arena. An
//! error of a tool is ours and says nothing of the miner.

use async_trait::async_trait;
use chain_metadata::Hotkey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything there is to measure with.
#[derive(Clone, Copy, Default)]
pub struct Tools<'t> {
    /// The model that a rule names.
    pub reference: Option<&'t dyn Reference>,
}

impl std::fmt::Debug for Tools<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reference = self.reference.map(Reference::model);
        f.debug_struct("Tools").field("reference", &reference).finish()
    }
}

impl<'t> Tools<'t> {
    /// The reference model.
    ///
    /// # Errors
    /// There is none here.
    pub fn reference(&self) -> Result<&'t dyn Reference, ToolError> {
        self.reference.ok_or(ToolError::Missing(Need::Engine))
    }
}

/// A tool that a rule may need, as `needs` in `rule.toml` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// A reference engine with the model that the rule names.
    Engine,
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Engine => "engine",
        })
    }
}

/// Why a measurement was not made: the validator's own fault, so nothing is scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// The rule needs what is not here.
    #[error("the rule needs the tool `{0}`, which is not here")]
    Missing(Need),
    /// A tool failed.
    #[error("a tool of the validator's failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ToolError {
    /// A tool's own error.
    pub fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(source.into())
    }
}

/// Everything that determines a completion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampled<'a> {
    /// Text to continue; not a chat.
    pub prompt: &'a str,
    /// Most tokens to draw.
    pub max_tokens: u32,
    /// Divisor of the logits.
    pub temperature: f32,
    /// Seed of `gumbel-v1`.
    pub seed: u64,
}

/// A miner's signed account of its tokens, as it came.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// Who should have signed it.
    pub miner: &'a Hotkey,
    /// Which model it says it ran.
    pub model: &'a str,
    /// The account.
    pub evidence: &'a Value,
}

/// What a reference makes of claimed tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// One for each token.
    pub tokens: Vec<TokenMeasure>,
    /// One for each group of tokens, where an account was given and is of these tokens.
    pub account: Option<Vec<GroupMeasure>>,
}

/// A language model to hold answers against.
#[async_trait]
pub trait Reference: Send + Sync {
    /// Its id, in full.
    fn model(&self) -> String;

    /// Whether a token ends a completion.
    fn ends(&self, token: u32) -> bool;

    /// Tokens as text; `None` for ids that are none of the model's.
    fn text(&self, ids: &[u32]) -> Option<String>;

    /// Holds claimed tokens against its own draws; `None` where the ids are none of the model's, or too
    /// many for it.
    ///
    /// # Errors
    /// The tool failed.
    async fn read(
        &self,
        of: &Sampled<'_>,
        ids: &[u32],
        account: Option<Account<'_>>,
    ) -> Result<Option<Read>, ToolError>;

    /// What it writes itself.
    ///
    /// # Errors
    /// The tool failed.
    async fn write(&self, of: &Sampled<'_>) -> Result<String, ToolError>;
}

/// One claimed token held against the reference's own draw. Integers, so that a log reads back
/// to the bit; written as `[entropy_mnat, margin_milli, matched]`, for there are many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32, bool)", into = "(u32, u32, bool)")]
pub struct TokenMeasure {
    /// Entropy of the distribution drawn from, in thousandths of a nat.
    pub entropy_mnat: u32,
    /// How far the token's perturbed score lies behind the best, in thousandths; 0 where it is best.
    pub margin_milli: u32,
    /// Whether it is the token that the seed draws.
    pub matched: bool,
}

/// A miner's account of a group of tokens held against the reference model's pass. Integers, so that a
/// log reads back to the bit; written as `[likelihood_micro, sketch_micro]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
pub struct GroupMeasure {
    /// Mean distance of log-probabilities, millionths of a nat.
    pub likelihood_micro: u32,
    /// Distance of the sketches of hidden states, millionths.
    pub sketch_micro: u32,
}

impl GroupMeasure {
    /// Rounds what was measured; a number that is none is as far as can be.
    pub fn new(likelihood_nat: f64, sketch: f64) -> Self {
        let micro = |x: f64| millionths(x).unwrap_or(u32::MAX);
        Self { likelihood_micro: micro(likelihood_nat), sketch_micro: micro(sketch) }
    }
}

impl From<(u32, u32)> for GroupMeasure {
    fn from((likelihood_micro, sketch_micro): (u32, u32)) -> Self {
        Self { likelihood_micro, sketch_micro }
    }
}

impl From<GroupMeasure> for (u32, u32) {
    fn from(measure: GroupMeasure) -> Self {
        (measure.likelihood_micro, measure.sketch_micro)
    }
}

/// Rounded up: what is not nothing stays so.
fn millionths(x: f64) -> Option<u32> {
    let scaled = (x * 1e6).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked range")]
    (0.0..=f64::from(u32::MAX)).contains(&scaled).then_some(scaled as u32)
}

impl TokenMeasure {
    /// Rounds what an engine measured; a number that is none is taken as no entropy and the largest
    /// margin, which convicts nobody and clears nobody.
    pub fn new(entropy_nat: f32, margin: f32, matched: bool) -> Self {
        Self {
            entropy_mnat: thousandths(entropy_nat).unwrap_or(0),
            margin_milli: thousandths(margin).unwrap_or(u32::MAX),
            matched,
        }
    }
}

impl From<(u32, u32, bool)> for TokenMeasure {
    fn from((entropy_mnat, margin_milli, matched): (u32, u32, bool)) -> Self {
        Self { entropy_mnat, margin_milli, matched }
    }
}

impl From<TokenMeasure> for (u32, u32, bool) {
    fn from(measure: TokenMeasure) -> Self {
        (measure.entropy_mnat, measure.margin_milli, measure.matched)
    }
}

fn thousandths(x: f32) -> Option<u32> {
    let scaled = (f64::from(x) * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked range")]
    (0.0..=f64::from(u32::MAX)).contains(&scaled).then_some(scaled as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_that_is_no_number_is_no_evidence() {
        let measure = TokenMeasure::new(f32::NAN, f32::NAN, false);
        assert_eq!((measure.entropy_mnat, measure.margin_milli), (0, u32::MAX));
    }

    #[test]
    fn an_account_that_is_no_number_is_as_far_as_can_be() {
        let none = GroupMeasure::new(f64::NAN, f64::INFINITY);
        assert_eq!((none.likelihood_micro, none.sketch_micro), (u32::MAX, u32::MAX));
        let some = GroupMeasure::new(1e-9, 0.0);
        assert_eq!((some.likelihood_micro, some.sketch_micro), (1, 0));
    }

    #[test]
    fn measures_round_to_thousandths() {
        let measure = TokenMeasure::new(0.4996, 1.25, true);
        assert_eq!((measure.entropy_mnat, measure.margin_milli), (500, 1250));
    }
}
