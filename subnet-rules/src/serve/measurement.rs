//! What a validator must measure of an answer to a `serve` task.
//!
//! Numbers and texts only, nothing of the miner's own account except what is marked so: with these
//! the judge is a pure function, and a log of them can be judged again anywhere.

use scoring::evidence::Claimed;
use serde::{Deserialize, Serialize};

/// One exchange, as the validator saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurement {
    /// Nothing that can be judged came in time.
    Unanswered(Fault),
    /// A reply with a valid signature came in time.
    Answered(Answer),
}

/// Why there is nothing to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// No published endpoint, or no connection.
    Unreachable,
    /// Nothing, or not all of it, within the deadline.
    Timeout,
    /// An answer that is an error or a refusal.
    Refused,
    /// More bytes than allowed.
    TooLarge,
    /// Not the protocol's message.
    Malformed,
    /// Not signed by the miner's hotkey over this request.
    Unsigned,
}

/// A reply, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The model the miner says it ran.
    pub model: Claimed<String>,
    /// The reply's token ids: the one canonical form of the answer. Text and checks below are the
    /// validator's own reading of these ids; a text that the miner sent is not used.
    pub token_ids: Vec<u32>,
    /// Whether the last id is one that ends a completion, by the validator's own tokenizer.
    pub stopped: bool,
    /// The ids as text, by the validator's own tokenizer.
    pub text: String,
    /// Open draws: one check for each id, from one prefill of the reference model. Else empty.
    pub checks: Vec<TokenMeasure>,
    /// Checkable draws: what the reference model wrote on the same prompt with the same seed (where
    /// all ids are what it would draw, that is `text`). Else `None`.
    pub reference: Option<String>,
    /// Open draws, where the rule asks for it: how far the miner's signed account of its tokens lies from
    /// the reference model's own pass, one for each group of tokens. `None` where it sent none that is of
    /// this answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Vec<GroupMeasure>>,
    /// From sending the request to the first byte of the reply, on the validator's monotonic clock.
    pub first_byte_us: u64,
    /// From sending the request to the last byte of the reply.
    pub total_us: u64,
}

/// One claimed token held against the reference model's own draw. Integers, so that a log reads back
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
