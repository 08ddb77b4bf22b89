//! Requests as clients send them: what is read, and the name of what is refused.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use openai_api::{Chat, Completion, Fault, FaultCode, Format, Responses, ToolChoice};
use serde_json::{Value, json};

fn chat_of(mut fields: Value) -> Result<Chat, Fault> {
    if fields.get("messages").is_none() {
        fields["messages"] = json!([{ "role": "user", "content": "hi" }]);
    }
    Chat::parse(fields.to_string().as_bytes())
}

fn fault(fields: Value) -> (FaultCode, String) {
    let shown = fields.to_string();
    let fault = chat_of(fields).expect_err(&shown);
    assert!(fault.message.contains(fault.param.as_deref().unwrap()), "{fault}");
    (fault.code, fault.param.unwrap())
}

#[test]
fn a_wrong_value_names_its_field_and_what_would_be_right() {
    for (fields, code, param) in [
        (json!({ "max_tokens": -1 }), FaultCode::Value, "max_tokens"),
        (json!({ "max_tokens": 0 }), FaultCode::Value, "max_tokens"),
        (json!({ "max_tokens": 5.0 }), FaultCode::Type, "max_tokens"),
        (json!({ "max_tokens": 1_u64 << 40 }), FaultCode::Value, "max_tokens"),
        (json!({ "max_completion_tokens": "5" }), FaultCode::Type, "max_completion_tokens"),
        (json!({ "temperature": "0.5" }), FaultCode::Type, "temperature"),
        (json!({ "temperature": -1 }), FaultCode::Value, "temperature"),
        (json!({ "temperature": 2.5 }), FaultCode::Value, "temperature"),
        (json!({ "top_p": 1.5 }), FaultCode::Value, "top_p"),
        (json!({ "min_p": -0.1 }), FaultCode::Value, "min_p"),
        (json!({ "top_k": -2 }), FaultCode::Value, "top_k"),
        (json!({ "repetition_penalty": 0 }), FaultCode::Value, "repetition_penalty"),
        (json!({ "n": 0 }), FaultCode::Value, "n"),
        (json!({ "n": 99 }), FaultCode::Value, "n"),
        (json!({ "stop": ["a", "b", "c", "d", "e"] }), FaultCode::Value, "stop"),
        (json!({ "stop": [""] }), FaultCode::Value, "stop"),
        (json!({ "stop": 5 }), FaultCode::Type, "stop"),
        (json!({ "logit_bias": { "x": 1 } }), FaultCode::Value, "logit_bias"),
        (json!({ "logit_bias": { "7": 101 } }), FaultCode::Value, "logit_bias.7"),
        (json!({ "top_logprobs": 3 }), FaultCode::Value, "top_logprobs"),
        (json!({ "logprobs": true, "top_logprobs": 21 }), FaultCode::Value, "top_logprobs"),
        (json!({ "stream_options": {} }), FaultCode::Value, "stream_options"),
        (json!({ "messages": [] }), FaultCode::Value, "messages"),
        (json!({ "messages": "hi" }), FaultCode::Type, "messages"),
        (
            json!({ "messages": [{ "role": "user", "content": 5 }] }),
            FaultCode::Type,
            "messages[0].content",
        ),
        (
            json!({ "messages": [{ "role": "king", "content": "" }] }),
            FaultCode::Value,
            "messages[0].role",
        ),
        (json!({ "messages": [{ "role": "user" }] }), FaultCode::Missing, "messages[0].content"),
        (
            json!({ "messages": [{ "role": "tool", "content": "4" }] }),
            FaultCode::Missing,
            "messages[0].tool_call_id",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url" }] }] }),
            FaultCode::Unsupported,
            "messages[0].content[0]",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": "a", "mood": "good" }] }),
            FaultCode::Unknown,
            "messages[0].mood",
        ),
        (json!({ "tool_choice": "required" }), FaultCode::Value, "tool_choice"),
        (
            json!({ "tools": [{ "type": "function", "function": { "name": "a b" } }] }),
            FaultCode::Value,
            "tools[0].function.name",
        ),
        (json!({ "tools": [{ "type": "retrieval" }] }), FaultCode::Unsupported, "tools[0].type"),
        (json!({ "response_format": { "type": "xml" } }), FaultCode::Value, "response_format.type"),
        (
            json!({ "response_format": { "type": "json_schema" } }),
            FaultCode::Missing,
            "response_format.json_schema",
        ),
        (json!({ "something_new": {} }), FaultCode::Unknown, "something_new"),
        (
            json!({ "chat_template_kwargs": { "messages": [] } }),
            FaultCode::Unsupported,
            "chat_template_kwargs.messages",
        ),
    ] {
        let shown = fields.to_string();
        assert_eq!(fault(fields), (code, param.to_owned()), "{shown}");
    }
}

#[test]
fn what_is_known_and_not_done_is_refused_by_name_and_taken_where_neutral() {
    for (name, neutral, other) in [
        ("typical_p", json!(1.0), json!(0.9)),
        ("mirostat", json!(0), json!(2)),
        ("dry_multiplier", json!(0.0), json!(0.8)),
        ("tfs_z", json!(1), json!(0.9)),
        ("top_a", json!(0), json!(0.2)),
        ("use_beam_search", json!(false), json!(true)),
        ("length_penalty", json!(1.0), json!(0.5)),
        ("stop_token_ids", json!([]), json!([2])),
        ("bad_words", json!([]), json!(["x"])),
        ("allowed_token_ids", json!(null), json!([1])),
        ("guided_grammar", json!(null), json!("root ::= \"a\"")),
        ("grammar", json!(""), json!("root ::= \"a\"")),
        ("json_schema", json!(null), json!({})),
        ("chat_template", json!(null), json!("{{ messages }}")),
        ("continue_final_message", json!(false), json!(true)),
        ("add_generation_prompt", json!(true), json!(false)),
        ("truncate_prompt_tokens", json!(null), json!(5)),
        ("prompt_logprobs", json!(null), json!(1)),
        ("modalities", json!(["text"]), json!(["text", "audio"])),
        ("audio", json!(null), json!({ "voice": "x", "format": "wav" })),
        ("store", json!(false), json!(true)),
        ("service_tier", json!("auto"), json!("priority")),
        ("functions", json!([]), json!([{ "name": "f" }])),
        ("prediction", json!(null), json!({ "type": "content", "content": "x" })),
        ("user", json!("me"), json!(5)),
        ("metadata", json!({ "a": "b" }), json!("a")),
        ("min_tokens", json!(0), json!(4)),
    ] {
        assert!(chat_of(json!({ name: neutral })).is_ok(), "{name}: {neutral}");
        assert_eq!(fault(json!({ name: other })), (FaultCode::Unsupported, name.to_owned()));
    }
}

#[test]
fn parts_roles_seeds_and_older_names_are_read() {
    let chat = chat_of(json!({
        "messages": [
            { "role": "developer", "content": "be brief" },
            { "role": "user", "content": [{ "type": "text", "text": "h" },
                                          { "type": "text", "text": "i" }] },
        ],
        "seed": -1, "stop": "a", "top_k": -1, "max_tokens": 5, "logit_bias": { "7": -100 },
        "stream": true, "stream_options": { "include_usage": true }, "temperature": null,
    }))
    .unwrap();
    assert_eq!(chat.messages[0].role, "system");
    assert_eq!(chat.messages[1].content.as_deref(), Some("hi"));
    assert_eq!((chat.common.seed, chat.common.top_k), (Some(u64::MAX), None));
    assert_eq!((chat.max_completion_tokens, chat.common.stop.len()), (Some(5), 1));
    assert!(chat.common.include_usage() && chat.common.logit_bias.len() == 1);
    assert_eq!(chat.tool_choice(), ToolChoice::None);
}

#[test]
fn a_request_is_read_as_it_is_written() {
    let chat = chat_of(json!({
        "model": "m", "temperature": 0.5, "seed": 3, "stop": ["x"],
        "tools": [{ "type": "function", "function": { "name": "add", "parameters": {} } }],
        "tool_choice": { "type": "function", "function": { "name": "add" } },
    }))
    .unwrap();
    let again = Chat::parse(serde_json::to_string(&chat).unwrap().as_bytes()).unwrap();
    assert_eq!(again, chat);
}

#[test]
fn forms_are_one_whoever_spelled_them() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": "integer" } } });
    let spelled = [
        json!({ "response_format": { "type": "json_schema",
                "json_schema": { "name": "answer", "schema": schema } } }),
        json!({ "guided_json": schema }),
        json!({ "guided_json": schema.to_string() }),
        json!({ "structured_outputs": { "json": schema } }),
        json!({ "response_format": { "type": "json_object", "schema": schema } }),
    ];
    for fields in spelled {
        let format = chat_of(fields).unwrap().response_format;
        assert!(
            matches!(format, Some(Format::JsonSchema { json_schema }) if json_schema.schema == schema)
        );
    }
    let twice = json!({ "guided_json": schema, "guided_regex": "a" });
    assert_eq!(fault(twice), (FaultCode::Value, "guided_regex".to_owned()));
}

#[test]
fn prompts_are_text_or_ids_and_no_more_than_are_answered() {
    let parse = |fields: Value| Completion::parse(fields.to_string().as_bytes());
    for (prompt, count) in
        [(json!("a"), 1), (json!([1, 2]), 1), (json!(["a", "b"]), 2), (json!([[1, 2], [3]]), 2)]
    {
        assert_eq!(parse(json!({ "prompt": prompt })).unwrap().prompt.len(), count);
    }
    for (fields, param) in [
        (json!({}), "prompt"),
        (json!({ "prompt": [] }), "prompt"),
        (json!({ "prompt": 5 }), "prompt"),
        (json!({ "prompt": [1, -2] }), "prompt"),
        (json!({ "prompt": ["a", 5] }), "prompt[1]"),
        (json!({ "prompt": ["a", "b", "c"], "n": 3 }), "prompt"),
        (json!({ "prompt": "a", "logprobs": 6 }), "logprobs"),
        (json!({ "prompt": "a", "best_of": 3 }), "best_of"),
        (json!({ "prompt": "a", "echo": true }), "echo"),
        (json!({ "prompt": "a", "suffix": "x" }), "suffix"),
    ] {
        let shown = fields.to_string();
        assert_eq!(parse(fields).expect_err(&shown).param.as_deref(), Some(param), "{shown}");
    }
    for body in ["", "[]", "{", "\"a\"", "{\"prompt\":\"\u{0}\"}"] {
        assert_eq!(Completion::parse(body.as_bytes()).unwrap_err().code, FaultCode::Json, "{body}");
    }
}

#[test]
fn a_response_is_a_chat_in_other_words() {
    let parse = |fields: Value| Responses::parse(fields.to_string().as_bytes());
    let asked = parse(json!({
        "instructions": "be brief",
        "input": [
            { "role": "user", "content": [{ "type": "input_text", "text": "2+2?" }] },
            { "type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}" },
            { "type": "function_call", "call_id": "c2", "name": "add", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "c1", "output": "4" },
        ],
        "tools": [{ "type": "function", "name": "add", "parameters": {}, "strict": true }],
        "max_output_tokens": 9,
    }))
    .unwrap();
    let roles: Vec<&str> = asked.chat.messages.iter().map(|m| m.role.as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool"]);
    assert_eq!(asked.chat.messages[2].tool_calls.len(), 2);
    assert_eq!(asked.chat.max_completion_tokens, Some(9));
    assert_eq!(asked.echo["max_output_tokens"], 9);
    for (field, value) in [
        ("previous_response_id", json!("r")),
        ("background", json!(true)),
        ("truncation", json!("auto")),
        ("tools", json!([{ "type": "web_search" }])),
    ] {
        let fault = parse(json!({ "input": "x", field: value })).unwrap_err();
        assert_eq!(fault.code, FaultCode::Unsupported);
        assert!(fault.param.unwrap().starts_with(field));
    }
}
