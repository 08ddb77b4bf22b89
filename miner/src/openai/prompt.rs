//! What the model reads of a chat.

use std::fmt::Write as _;

use inference::{Engine, Message, Prompt};
use openai_api::{Chat, Tool, ToolChoice};

use super::{
    error::ApiError,
    tools::{CLOSE, OPEN},
};

/// The chat as the model's template takes it, with the tools written into it as text.
pub(super) fn of_chat(chat: &Chat, _engine: &Engine) -> Result<Prompt, ApiError> {
    if let Some((name, _)) = chat.chat_template_kwargs.iter().next() {
        let effort = name == "reasoning_effort";
        let param = if effort { name.clone() } else { format!("chat_template_kwargs.{name}") };
        return Err(ApiError::unsupported(&param, "the template takes messages only"));
    }
    if let Some(index) = chat.messages.iter().position(|message| message.name.is_some()) {
        let param = format!("messages[{index}].name");
        return Err(ApiError::unsupported(&param, "the template takes roles only"));
    }
    Ok(Prompt::Chat(written_out(chat)))
}

/// Messages of a role and a text each: for templates that know of no tools.
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
