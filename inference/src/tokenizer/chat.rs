//! A conversation as a request brings it: messages, tools and arguments that a template may print.

use minijinja::{Value, value::ValueKind};
use serde::{Deserialize, Serialize};

/// One message of a chat, of a role and a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`; the template decides what it accepts.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// A JSON value whose keys keep the order they came in, as templates print them.
///
/// Read it from text (`serde_json::from_str::<Json>`), not by way of `serde_json::Value`, which sorts
/// keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Value);

impl Json {
    pub(super) fn value(&self) -> Value {
        self.0.clone()
    }

    /// The text of a field, where it is one.
    pub fn get_text(&self, field: &str) -> Option<String> {
        self.0.get_attr(field).ok().and_then(|value| value.as_str().map(str::to_owned))
    }

    /// Bytes of it as JSON.
    pub fn bytes(&self) -> usize {
        serde_json::to_vec(&self.0).map_or(0, |json| json.len())
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        Self(Value::from_serialize(value))
    }
}

/// Everything that a chat template is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chat {
    /// Messages with all their fields: `role`, `content`, `tool_calls`, `tool_call_id`, `name`, …
    pub messages: Vec<Json>,
    /// Definitions of tools, as the `OpenAI` API has them.
    pub tools: Vec<Json>,
    /// Further variables of the template (`chat_template_kwargs`), such as `enable_thinking`.
    pub arguments: Vec<(String, Json)>,
    /// Whether the model goes on with the last message, instead of opening one of its own.
    pub continues: bool,
}

impl Chat {
    /// Bytes of all that the template is given, as JSON.
    pub fn bytes(&self) -> usize {
        let arguments = self.arguments.iter().map(|(_, json)| json);
        self.messages.iter().chain(&self.tools).chain(arguments).map(Json::bytes).sum()
    }

    /// The messages, with the arguments of tool calls as objects: the API has them as JSON in a text,
    /// and templates print objects.
    pub(super) fn messages_for_templates(&self) -> Value {
        self.messages.iter().map(|message| with_objects(&message.0)).collect()
    }
}

impl From<&[Message]> for Chat {
    fn from(messages: &[Message]) -> Self {
        let json = |message: &Message| Json(Value::from_serialize(message));
        Self { messages: messages.iter().map(json).collect(), ..Self::default() }
    }
}

/// A map with one field changed.
fn with_field(map: &Value, field: &str, value: &Value) -> Value {
    let keys = map.try_iter().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    let pair = |key: Value| {
        let old = map.get_item(&key).unwrap_or_default();
        if key.as_str() == Some(field) { (key, value.clone()) } else { (key, old) }
    };
    keys.into_iter().map(pair).collect()
}

fn with_objects(message: &Value) -> Value {
    let calls = message.get_attr("tool_calls").unwrap_or_default();
    if calls.kind() != ValueKind::Seq {
        return message.clone();
    }
    let calls = calls.try_iter().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    let calls: Value = calls.iter().map(call_with_object).collect();
    with_field(message, "tool_calls", &calls)
}

fn call_with_object(call: &Value) -> Value {
    let function = call.get_attr("function").unwrap_or_default();
    let arguments = function.get_attr("arguments").unwrap_or_default();
    let object = arguments
        .as_str()
        .and_then(|text| serde_json::from_str::<Json>(text).ok())
        .filter(|json| json.0.kind() == ValueKind::Map);
    match object {
        Some(Json(object)) => {
            with_field(call, "function", &with_field(&function, "arguments", &object))
        }
        None => call.clone(),
    }
}
