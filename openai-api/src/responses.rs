//! `POST /v1/responses`, as far as clients insist on it: one answer, nothing stored.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    Fault,
    fields::{Fields, kind_of},
    format::Format,
    message::{FunctionCall, Message, ToolCall, content},
    refused,
    request::{Chat, Common, max_tokens, tools},
};

/// A request for a response: a chat in other words.
#[derive(Clone, Debug, PartialEq)]
pub struct Responses {
    /// The chat it comes to.
    pub chat: Chat,
    /// What the answer repeats of it.
    pub echo: Map<String, Value>,
}

/// Fields that an answer repeats.
const ECHOED: [&str; 13] = [
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "truncation",
];

impl Responses {
    /// Reads and checks a request's body.
    ///
    /// # Errors
    /// The first field at fault.
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        let mut fields = Fields::of_body(body)?;
        let echo = echo(body)?;
        let input = fields.take("input").ok_or_else(|| Fault::missing("input"))?;
        let mut messages = Vec::new();
        if let Some(text) = fields.text("instructions")? {
            messages.push(said("system", text));
        }
        messages.extend(read_input(input)?);
        let (tools, tool_choice) = tools(&mut fields, true)?;
        let response_format = text_format(&mut fields)?;
        let chat = Chat {
            max_completion_tokens: max_tokens(&mut fields, "max_output_tokens")?,
            common: Common::read(&mut fields)?,
            messages,
            logprobs: false,
            top_logprobs: None,
            response_format,
            tools,
            tool_choice: Some(tool_choice),
            parallel_tool_calls: fields.switch("parallel_tool_calls")?,
            chat_template_kwargs: fields.object("chat_template_kwargs")?.unwrap_or_default(),
        };
        if chat.common.n.is_some_and(|n| n != 1) {
            return Err(Fault::unsupported("n", "a response is one answer"));
        }
        if chat.common.return_token_ids {
            return Err(Fault::unsupported("return_token_ids", "/v1/chat/completions has them"));
        }
        fields.finish(&[refused::SHARED, refused::RESPONSES])?;
        chat.fits_together()?;
        Ok(Self { chat, echo })
    }
}

fn echo(body: &[u8]) -> Result<Map<String, Value>, Fault> {
    let mut map: Map<String, Value> = serde_json::from_slice(body).map_err(Fault::json)?;
    let defaults = json!({
        "instructions": null, "max_output_tokens": null, "metadata": {},
        "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": { "effort": null, "summary": null }, "store": false, "temperature": 1.0,
        "text": { "format": { "type": "text" } }, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled",
    });
    let echoed = ECHOED.iter().map(|name| {
        let sent = map.remove(*name).filter(|value| !value.is_null());
        ((*name).to_owned(), sent.unwrap_or_else(|| defaults[*name].clone()))
    });
    Ok(echoed.collect())
}

fn said(role: &str, text: String) -> Message {
    Message { role: role.to_owned(), content: Some(text), ..Message::default() }
}

fn read_input(input: Value) -> Result<Vec<Message>, Fault> {
    let items = match input {
        Value::String(text) => return Ok(vec![said("user", text)]),
        Value::Array(items) => items,
        other => return Err(Fault::kind("input", "text or a list of items", kind_of(&other))),
    };
    if items.is_empty() {
        return Err(Fault::value("input", "it is empty; one item is needed"));
    }
    let mut messages: Vec<Message> = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let message = read_item(item, &format!("input[{index}]"))?;
        match messages.last_mut() {
            // Calls of one turn are one message of a chat.
            Some(last) if is_call(last) && is_call(&message) => {
                last.tool_calls.extend(message.tool_calls);
            }
            _ => messages.push(message),
        }
    }
    Ok(messages)
}

fn is_call(message: &Message) -> bool {
    message.content.is_none() && !message.tool_calls.is_empty()
}

fn read_item(item: Value, path: &str) -> Result<Message, Fault> {
    let mut fields = Fields::of(item, path)?;
    let kind = fields.text("type")?.unwrap_or_else(|| "message".to_owned());
    let message = match kind.as_str() {
        "message" => {
            let mut again = Map::new();
            for name in ["role", "content"] {
                again.extend(fields.take(name).map(|value| (name.to_owned(), value)));
            }
            Message::read(again.into(), path)?
        }
        "function_call" => {
            let id = fields.needed_text("call_id")?;
            let function = FunctionCall {
                name: fields.needed_text("name")?,
                arguments: fields.needed_text("arguments")?,
            };
            let call = ToolCall { id, kind: "function".to_owned(), function };
            Message { role: "assistant".into(), tool_calls: vec![call], ..Message::default() }
        }
        "function_call_output" => {
            let id = fields.needed_text("call_id")?;
            let at = fields.path("output");
            let output = fields.take("output").ok_or_else(|| Fault::missing(&at))?;
            let text = content(output, &at)?;
            Message { tool_call_id: Some(id), ..said("tool", text) }
        }
        other => {
            let why = format_args!("an item of type '{other}'; messages and functions are read");
            return Err(Fault::unsupported(path, why));
        }
    };
    // As answers carry them.
    for name in ["id", "status"] {
        fields.text(name)?;
    }
    fields.finish(&[])?;
    Ok(message)
}

fn text_format(fields: &mut Fields) -> Result<Option<Format>, Fault> {
    let Some(text) = fields.take("text") else { return Ok(None) };
    let mut text = Fields::of(text, "text")?;
    let format = text.take("format").map(|value| Format::read_flat(value, "text.format"));
    text.finish(&[refused::RESPONSE_TEXT])?;
    format.transpose()
}

/// A response.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Response {
    /// Its id.
    pub id: String,
    /// `response`.
    pub object: String,
    /// Seconds since 1970.
    pub created_at: u64,
    /// `in_progress`, `completed` or `incomplete`.
    pub status: String,
    /// Always null: an answer that failed is an error.
    pub error: Option<Value>,
    /// Why it is incomplete.
    pub incomplete_details: Option<Value>,
    /// Who answered.
    pub model: String,
    /// Messages and calls.
    pub output: Vec<ResponseItem>,
    /// What was used; null until the end.
    pub usage: Option<ResponseUsage>,
    /// What the request said.
    #[serde(flatten)]
    pub echo: Map<String, Value>,
}

/// A part of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseItem {
    /// Something said.
    Message {
        /// Its id.
        id: String,
        /// `in_progress`, `completed` or `incomplete`.
        status: String,
        /// `assistant`.
        role: String,
        /// Its text.
        content: Vec<ResponseText>,
    },
    /// A tool called.
    FunctionCall {
        /// Its id.
        id: String,
        /// What the answer refers to.
        call_id: String,
        /// The function.
        name: String,
        /// A JSON object, as text.
        arguments: String,
        /// `completed` or `incomplete`.
        status: String,
    },
}

/// Text of a message of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResponseText {
    /// `output_text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text.
    pub text: String,
    /// Always empty.
    pub annotations: Vec<Value>,
    /// Always empty.
    pub logprobs: Vec<Value>,
}

impl ResponseText {
    /// Text without more.
    pub fn plain(text: String) -> Self {
        Self { kind: "output_text".into(), text, annotations: Vec::new(), logprobs: Vec::new() }
    }
}

/// What a response used, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseUsage {
    /// Of the prompt.
    pub input_tokens: u64,
    /// Of these, computed for an earlier request.
    pub input_tokens_details: CachedTokens,
    /// Of the answer.
    pub output_tokens: u64,
    /// Of these, thoughts; they are part of the text.
    pub output_tokens_details: ReasoningTokens,
    /// Both.
    pub total_tokens: u64,
}

/// Tokens of a prompt that were computed for an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedTokens {
    /// So many.
    pub cached_tokens: u64,
}

/// Tokens that are not part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasoningTokens {
    /// Always 0.
    pub reasoning_tokens: u64,
}

impl ResponseUsage {
    /// From tokens of prompt, cache and answer.
    pub const fn new(prompt: u64, cached: u64, completion: u64) -> Self {
        Self {
            input_tokens: prompt,
            input_tokens_details: CachedTokens { cached_tokens: cached },
            output_tokens: completion,
            output_tokens_details: ReasoningTokens { reasoning_tokens: 0 },
            total_tokens: prompt + completion,
        }
    }
}
