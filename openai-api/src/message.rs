//! One message of a chat.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Fault,
    fields::{Fields, kind_of},
    refused,
};

/// One message of a chat. Text in parts is joined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What was said; nothing where the assistant only called tools.
    pub content: Option<String>,
    /// Who of several in that role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Tools that the assistant called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call a tool answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// What the assistant thought before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// What the answer refers to.
    pub id: String,
    /// `function`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is called.
    pub function: FunctionCall,
}

/// A function and what it is called with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// Its name.
    pub name: String,
    /// A JSON object, as text.
    pub arguments: String,
}

const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

impl Message {
    pub(crate) fn read(value: Value, path: &str) -> Result<Self, Fault> {
        let mut fields = Fields::of(value, path)?;
        let role = fields.needed_text("role")?;
        if !ROLES.contains(&role.as_str()) {
            let why = format_args!("'{role}' is none of {}", ROLES.join(", "));
            return Err(Fault::value(&fields.path("role"), why));
        }
        let at = fields.path("content");
        let content = fields.take("content").map(|value| content(value, &at)).transpose()?;
        let calls_at = fields.path("tool_calls");
        let calls = fields.list("tool_calls")?.unwrap_or_default();
        let tool_calls = (0..)
            .zip(calls)
            .map(|(index, call)| ToolCall::read(call, &format!("{calls_at}[{index}]")))
            .collect::<Result<Vec<_>, _>>()?;
        if !tool_calls.is_empty() && role != "assistant" {
            return Err(Fault::value(&calls_at, "only the assistant calls tools"));
        }
        if content.is_none() && role != "assistant" {
            return Err(Fault::missing(&at));
        }
        let tool_call_id = fields.text("tool_call_id")?;
        if role == "tool" && tool_call_id.is_none() {
            return Err(Fault::missing(&fields.path("tool_call_id")));
        }
        let message = Self {
            // The newer name of the same role, which templates do not know.
            role: if role == "developer" { "system".to_owned() } else { role },
            content,
            name: fields.text("name")?,
            tool_calls,
            tool_call_id,
            reasoning_content: fields.text("reasoning_content")?,
        };
        fields.finish(&[refused::MESSAGE])?;
        Ok(message)
    }
}

impl ToolCall {
    fn read(value: Value, path: &str) -> Result<Self, Fault> {
        let mut fields = Fields::of(value, path)?;
        let kind = fields.text("type")?.unwrap_or_else(|| "function".to_owned());
        if kind != "function" {
            return Err(Fault::unsupported(&fields.path("type"), "only functions are called"));
        }
        let at = fields.path("function");
        let inner = fields.take("function").ok_or_else(|| Fault::missing(&at))?;
        let mut inner = Fields::of(inner, &at)?;
        let function = FunctionCall {
            name: inner.needed_text("name")?,
            arguments: inner.needed_text("arguments")?,
        };
        let parsed = serde_json::from_str::<Value>(&function.arguments);
        if !function.arguments.is_empty() && !parsed.is_ok_and(|value| value.is_object()) {
            return Err(Fault::value(&inner.path("arguments"), "it is no JSON object"));
        }
        inner.finish(&[])?;
        let call = Self { id: fields.needed_text("id")?, kind, function };
        fields.take("index");
        fields.finish(&[])?;
        Ok(call)
    }
}

/// Text, or parts that are text.
pub(crate) fn content(value: Value, path: &str) -> Result<String, Fault> {
    match value {
        Value::String(text) => Ok(text),
        Value::Array(parts) => {
            let each =
                (0..).zip(parts).map(|(index, item)| part(item, &format!("{path}[{index}]")));
            each.collect()
        }
        other => Err(Fault::kind(path, "a string or an array of parts", kind_of(&other))),
    }
}

fn part(value: Value, path: &str) -> Result<String, Fault> {
    const TEXTS: [&str; 3] = ["text", "input_text", "output_text"];
    let mut fields = Fields::of(value, path)?;
    let kind = fields.needed_text("type")?;
    if !TEXTS.contains(&kind.as_str()) {
        let why = format_args!("a part of type '{kind}'; only text is read");
        return Err(Fault::unsupported(path, why));
    }
    let text = fields.needed_text("text")?;
    for name in ["annotations", "logprobs"] {
        fields.take(name);
    }
    fields.finish(&[refused::MESSAGE])?;
    Ok(text)
}
