//! What a validator must measure of an answer to a `serve` task.
//!
//! Numbers and texts only, nothing of the miner's own account except what is marked so: with these
//! the judge is a pure function, and a log of them can be judged again anywhere.

use scoring::evidence::Claimed;
use serde::{Deserialize, Serialize};

use crate::exchange::Fault;
use crate::tools::{GroupMeasure, TokenMeasure};

/// One exchange, as the validator saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurement {
    /// Nothing that can be judged came in time.
    Unanswered(Fault),
    /// A reply with a valid signature came in time.
    Answered(Answer),
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
