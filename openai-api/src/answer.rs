//! Answers: whole, in chunks, and errors.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Fault, message::ToolCall};

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended it, or a stop text did.
    Stop,
    /// Tokens or time are used up.
    Length,
    /// Tools are called.
    ToolCalls,
}

/// What an answer used, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of the prompts, each counted once whatever the number of answers.
    pub prompt_tokens: u64,
    /// Of all answers.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
    /// Of the prompts.
    pub prompt_tokens_details: PromptDetails,
}

/// What is known of a prompt's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptDetails {
    /// Those that were computed for an earlier prompt.
    pub cached_tokens: u64,
}

/// `POST /v1/chat/completions`, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatCompletion {
    /// Its id.
    pub id: String,
    /// `chat.completion`.
    pub object: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Who answered.
    pub model: String,
    /// What exactly that is.
    pub system_fingerprint: Option<String>,
    /// The answers.
    pub choices: Vec<ChatChoice>,
    /// What they used.
    pub usage: Usage,
    /// The seed, where token ids are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Token ids of the prompt, where they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_token_ids: Option<Vec<u32>>,
}

/// One answer of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatChoice {
    /// Which.
    pub index: usize,
    /// What is said.
    pub message: Reply,
    /// How likely it was.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Its token ids, where they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<u32>>,
}

/// What the assistant says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// `assistant`.
    pub role: String,
    /// Its text; null where it only calls tools.
    pub content: Option<String>,
    /// Always null.
    pub refusal: Option<String>,
    /// Tools it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
}

/// How likely the tokens of a chat's answer were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatLogprobs {
    /// By token.
    pub content: Vec<LogprobEntry>,
    /// Always null.
    pub refusal: Option<Value>,
}

/// How likely a token was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogprobEntry {
    /// Its text; joined, the texts of all tokens are the answer's.
    pub token: String,
    /// In nats.
    pub logprob: f32,
    /// Its bytes.
    pub bytes: Option<Vec<u8>>,
    /// What was likely in its place.
    pub top_logprobs: Vec<TopLogprob>,
}

/// A token that was likely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopLogprob {
    /// Its text.
    pub token: String,
    /// In nats.
    pub logprob: f32,
    /// Its bytes.
    pub bytes: Option<Vec<u8>>,
}

/// A piece of a chat's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatChunk {
    /// The answer's id.
    pub id: String,
    /// `chat.completion.chunk`.
    pub object: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Who answers.
    pub model: String,
    /// What exactly that is.
    pub system_fingerprint: Option<String>,
    /// Pieces, by answer.
    pub choices: Vec<ChunkChoice>,
    /// What was used, in the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// A piece of one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChunkChoice {
    /// Which.
    pub index: usize,
    /// What comes to it.
    pub delta: Delta,
    /// How likely that was.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended, in its last piece.
    pub finish_reason: Option<FinishReason>,
    /// Its token ids, where they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<u32>>,
}

/// What comes to an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// `assistant`, in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// More text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// More of the calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<DeltaCall>,
}

/// More of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeltaCall {
    /// Which call of the answer.
    pub index: usize,
    /// The call.
    #[serde(flatten)]
    pub call: ToolCall,
}

/// `POST /v1/completions`, whole or a piece of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextCompletion {
    /// Its id.
    pub id: String,
    /// `text_completion`.
    pub object: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Who answered.
    pub model: String,
    /// What exactly that is.
    pub system_fingerprint: Option<String>,
    /// The answers.
    pub choices: Vec<TextChoice>,
    /// What they used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The seed, where token ids are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Token ids of the first prompt, where they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_token_ids: Option<Vec<u32>>,
}

/// One answer of a completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextChoice {
    /// Which.
    pub index: usize,
    /// Its text.
    pub text: String,
    /// How likely it was.
    pub logprobs: Option<TextLogprobs>,
    /// Why it ended.
    pub finish_reason: Option<FinishReason>,
    /// Its token ids, where they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<u32>>,
}

/// How likely the tokens of a completion were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextLogprobs {
    /// Texts of the tokens; joined they are the answer's.
    pub tokens: Vec<String>,
    /// In nats.
    pub token_logprobs: Vec<f32>,
    /// What was likely in each place.
    pub top_logprobs: Vec<Map<String, Value>>,
    /// Where each begins in the answer, in characters.
    pub text_offset: Vec<usize>,
}

/// A model that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub id: String,
    /// `model`.
    pub object: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Who serves it.
    pub owned_by: String,
    /// What exactly it is.
    pub root: String,
    /// Its context, in tokens.
    pub max_model_len: usize,
}

/// `GET /v1/models`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelList {
    /// `list`.
    pub object: String,
    /// The models.
    pub data: Vec<Model>,
}

/// An error as the API words it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// In words.
    pub message: String,
    /// Whose fault it is: `invalid_request_error`, `server_error`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The field at fault.
    pub param: Option<String>,
    /// Which error.
    pub code: Option<String>,
}

impl From<Fault> for ErrorBody {
    fn from(fault: Fault) -> Self {
        let Fault { code, param, message } = fault;
        let kind = "invalid_request_error".to_owned();
        Self { error: ErrorDetail { message, kind, param, code: Some(code.as_str().to_owned()) } }
    }
}
