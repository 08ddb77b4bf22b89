//! What the two sides of `serve` say to each other.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a miner is asked: all that its engine needs to draw the same tokens as the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The model that the rule names.
    pub model: String,
    /// Text to continue; not a chat.
    pub prompt: String,
    /// Most tokens to draw, the one that ends the completion included.
    pub max_tokens: u32,
    /// Divisor of the logits.
    pub temperature: f32,
    /// Seed of `gumbel-v1`.
    pub seed: u64,
    /// Whether the miner's signed account of its tokens is wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub evidence: bool,
}

/// What the miner says it wrote. All of it is claimed: nothing here is evidence by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The id of the model that the miner says it ran.
    pub model: String,
    /// The tokens, in order.
    pub token_ids: Vec<u32>,
    /// Their text; the validator reads the ids itself.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt after the template.
    pub prompt_tokens: u32,
    /// Where asked for: the answer as an auditor's tool reads it, signed by the miner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
}

/// Why a completion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// The task's `max_tokens` were used up.
    Length,
}
