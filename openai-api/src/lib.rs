//! The `OpenAI` API's requests and answers as checked types: what a server takes in and what it sends,
//! shared by everything here that speaks it.
//!
//! ```text
//! bytes ─ Chat::parse ─▶ Chat         every field is read, neutral, or refused by its name
//!                     └▶ Fault        which field, which range: an ErrorBody as the API words it
//! ChatCompletion, ChatChunk, …        what goes back
//! ```
//!
//! Nothing that a caller sends is dropped: a field that would change the answer and is not done is a
//! [`Fault`] with that field's name, and so is one that nobody knows. `docs/openai.md` is the table.
//!
//! This crate opens no socket, knows no model, and computes nothing.

mod answer;
mod fault;
mod fields;
mod format;
mod message;
mod refused;
mod request;
mod responses;
mod tools;

pub use answer::{
    ChatChoice, ChatChunk, ChatCompletion, ChatLogprobs, ChunkChoice, Delta, DeltaCall, ErrorBody,
    ErrorDetail, FinishReason, LogprobEntry, Model, ModelList, PromptDetails, Reply, TextChoice,
    TextCompletion, TextLogprobs, TopLogprob, Usage,
};
pub use fault::{Fault, FaultCode};
pub use format::{Format, Schema};
pub use message::{FunctionCall, Message, ToolCall};
pub use request::{
    Chat, Common, Completion, MAX_CHOICES, MAX_STOPS, MAX_TEMPERATURE, MAX_TOKENS,
    MAX_TOP_LOGPROBS, PromptInput, StreamOptions,
};
pub use responses::{
    CachedTokens, ReasoningTokens, Response, ResponseItem, ResponseText, ResponseUsage, Responses,
};
pub use tools::{Function, Tool, ToolChoice};
