//! What the model reads of a chat.

use std::fmt::Write as _;

use inference::{Chat as Conversation, Engine, Json, Message, Prompt, Tokenizer};
use openai_api::{Chat, Tool, ToolChoice};
use serde::Serialize;

use super::{
    error::ApiError,
    tools::{CLOSE, OPEN},
};

/// The chat as the model's template takes it. One that knows of no tools is given them as text.
pub(super) fn of_chat(chat: &Chat, engine: &Engine) -> Result<Prompt, ApiError> {
    let none = chat.tool_choice() == ToolChoice::None;
    let tools = if none { &[][..] } else { &chat.tools[..] };
    let mut conversation = Conversation {
        messages: all_json(&chat.messages)?,
        tools: all_json(tools)?,
        arguments: chat
            .chat_template_kwargs
            .iter()
            .map(|(name, value)| Ok((name.clone(), json(value)?)))
            .collect::<Result<_, ApiError>>()?,
        ..Conversation::default()
    };
    let speaks_of_tools =
        chat.messages.iter().any(|m| m.role == "tool" || !m.tool_calls.is_empty());
    if (!none || speaks_of_tools) && !knows_tools(engine.model().tokenizer()) {
        conversation.messages = all_json(&written_out(chat))?;
        conversation.tools.clear();
    }
    Ok(Prompt::Conversation(Box::new(conversation)))
}

/// Whether the template prints tools: with one it does not print what it prints without.
fn knows_tools(tokenizer: &Tokenizer) -> bool {
    let render = |tools: &[serde_json::Value]| {
        let message = serde_json::json!({ "role": "user", "content": "" });
        let tools = tools.iter().cloned().map(Json::from).collect();
        let chat =
            Conversation { messages: vec![message.into()], tools, ..Conversation::default() };
        tokenizer.render_conversation(&chat).ok()
    };
    let function = serde_json::json!({ "name": "f", "description": "", "parameters": {} });
    render(&[]) != render(&[serde_json::json!({ "type": "function", "function": function })])
}

fn all_json(items: &[impl Serialize]) -> Result<Vec<Json>, ApiError> {
    items.iter().map(json).collect()
}

/// By way of text, which keeps the order of keys: templates print it.
fn json(item: &impl Serialize) -> Result<Json, ApiError> {
    let text = serde_json::to_string(item).map_err(|error| ApiError::failed(&error))?;
    serde_json::from_str(&text).map_err(|error| ApiError::failed(&error))
}

/// Messages of a role and a text each, and the tools before them.
fn written_out(chat: &Chat) -> Vec<Message> {
    let mut messages: Vec<Message> = chat.messages.iter().map(plain).collect();
    if chat.tool_choice() == ToolChoice::None {
        return messages;
    }
    let tools = described(&chat.tools);
    match messages.first_mut() {
        Some(first) if first.role == "system" => {
            first.content = format!("{}\n\n{tools}", first.content);
        }
        _ => messages.insert(0, Message { role: "system".to_owned(), content: tools }),
    }
    messages
}

fn plain(message: &openai_api::Message) -> Message {
    let mut content = message.content.clone().unwrap_or_default();
    for call in &message.tool_calls {
        let name = serde_json::Value::from(call.function.name.as_str());
        let arguments = &call.function.arguments;
        let arguments = if arguments.is_empty() { "{}" } else { arguments };
        if !content.is_empty() {
            content.push('\n');
        }
        write!(content, "{OPEN}\n{{\"name\": {name}, \"arguments\": {arguments}}}\n{CLOSE}")
            .expect("writing to a String cannot fail");
    }
    if message.role == "tool" {
        let content = format!("<tool_response>\n{content}\n</tool_response>");
        return Message { role: "user".to_owned(), content };
    }
    Message { role: message.role.clone(), content }
}

/// The tools, and how one is called.
fn described(tools: &[Tool]) -> String {
    let mut text = "You may call these functions:\n<tools>\n".to_owned();
    for tool in tools {
        // Plain data: serialising it cannot fail.
        let json = serde_json::to_string(tool).unwrap_or_default();
        text.push_str(&json);
        text.push('\n');
    }
    text.push_str("</tools>\nTo call one, answer with its name and arguments as JSON:\n");
    write!(text, "{OPEN}\n{{\"name\": NAME, \"arguments\": {{…}}}}\n{CLOSE}")
        .expect("writing to a String cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_their_answers_are_written_out() {
        let body = serde_json::json!({
            "messages": [
                { "role": "user", "content": "2+2?" },
                { "role": "assistant", "content": null, "tool_calls": [{
                    "id": "c1", "type": "function",
                    "function": { "name": "add", "arguments": "{\"a\":2,\"b\":2}" } }] },
                { "role": "tool", "tool_call_id": "c1", "content": "4" },
            ],
            "tools": [{ "type": "function", "function": { "name": "add", "parameters": {} } }],
        });
        let chat = Chat::parse(body.to_string().as_bytes()).unwrap();
        let messages = written_out(&chat);
        let roles: Vec<&str> = messages.iter().map(|message| message.role.as_str()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "user"]);
        assert!(messages[0].content.contains("\"name\":\"add\""));
        let call =
            "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\":2,\"b\":2}}\n</tool_call>";
        assert_eq!(messages[2].content, call);
        assert_eq!(messages[3].content, "<tool_response>\n4\n</tool_response>");
    }
}
