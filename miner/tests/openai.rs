//! The `OpenAI` surface as an HTTP client meets it, over the model that ships.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, Response, StatusCode},
};
use inference::{Engine, EngineOptions, LoadOptions, Model, ModelSource};
use miner::{
    Admission, BackendSettings, Dues, OpenAi, Slots,
    openai::{Backends, Origins, Surface},
};
use neuron::Health;
use serde_json::{Value, json};
use tower::ServiceExt as _;

fn engine() -> Arc<Engine> {
    const TEMPLATE: &str = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n\
                            {% endfor %}assistant:";
    chatting(TEMPLATE)
}

/// The model that ships, taught to chat.
fn chatting(template: &str) -> Arc<Engine> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny");
    std::fs::create_dir(&path).unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tiny").join(name);
        std::fs::copy(shipped, path.join(name)).unwrap();
    }
    std::fs::write(path.join("chat_template.jinja"), template).unwrap();
    let options = LoadOptions::default().with_threads(1);
    let model = Model::load(&ModelSource::Path(path), options).unwrap();
    Arc::new(Engine::start(model, EngineOptions::default()))
}

fn surface_over(engine: Option<Arc<Engine>>, backends: &BackendSettings) -> Surface {
    Surface {
        announced: engine.as_ref().map_or("", |_| "the-id").into(),
        engine,
        names: Arc::default(),
        answer_time: Duration::from_secs(100),
        slots: Slots::new(&Admission::default()),
        dues: Dues::default(),
        health: Health::default(),
        embedder: None,
        backends: Backends::new(backends).unwrap(),
    }
}

fn surface() -> Surface {
    surface_over(Some(engine()), &BackendSettings::default())
}

async fn post(router: &Router, path: &str, body: &Value) -> (StatusCode, String) {
    let request = Request::post(path).body(Body::from(body.to_string())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn json_of((status, body): (StatusCode, String)) -> Value {
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says() {
    let router = surface().plain(None, None);
    let mut ask = json!({ "prompt": "copy: a b c", "max_tokens": 12, "seed": 5 });
    let whole = json_of(post(&router, "/v1/completions", &ask).await);
    ask["stream"] = true.into();
    let (status, events) = post(&router, "/v1/completions", &ask).await;
    assert_eq!(status, StatusCode::OK);
    let frames: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(frames.last(), Some(&"[DONE]"));
    let pieces = frames[..frames.len() - 1].iter().map(|frame| {
        let frame: Value = serde_json::from_str(frame).unwrap();
        frame["choices"][0]["text"].as_str().unwrap().to_owned()
    });
    assert_eq!(pieces.collect::<String>(), whole["choices"][0]["text"].as_str().unwrap());
}

#[tokio::test]
async fn a_score_of_the_models_own_tokens_finds_each_of_them_drawn() {
    let router = surface().plain(None, None);
    let ask = json!({ "prompt": "copy: a b c", "max_tokens": 12, "seed": 5,
                      "return_token_ids": true });
    let answer = json_of(post(&router, "/v1/completions", &ask).await);
    let mut score = json!({ "prompt": answer["prompt_token_ids"], "temperature": 1.0, "seed": 5,
                            "token_ids": answer["choices"][0]["token_ids"] });
    let drawn = |scores: &Value| -> Vec<bool> {
        let tokens = scores["tokens"].as_array().unwrap();
        tokens.iter().map(|token| token["token"] == token["seeded_token"]).collect()
    };
    let honest = drawn(&json_of(post(&router, "/v1/score", &score).await));
    assert!(!honest.is_empty() && honest.iter().all(|drawn| *drawn));
    score["seed"] = 6.into();
    let other = drawn(&json_of(post(&router, "/v1/score", &score).await));
    assert!(other.iter().any(|drawn| !drawn));
}

#[tokio::test]
async fn strangers_absurdities_and_dead_backends_are_refused_in_the_apis_words() {
    let ask = json!({ "prompt": "x" });
    let guarded = surface().plain(Some("secret".into()), None);
    assert_eq!(post(&guarded, "/v1/completions", &ask).await.0, StatusCode::UNAUTHORIZED);
    let open = surface().plain(None, None);
    for (body, code) in [
        (json!({ "prompt": [] }), "invalid_value"),
        (json!({ "prompt": [99_999_999] }), "invalid_value"),
        (json!({ "prompt": "x", "temperature": 1e9 }), "invalid_value"),
        (json!({ "prompt": "x", "max_tokens": 0 }), "invalid_value"),
        (json!({ "prompt": "x", "max_tokens": -1 }), "invalid_value"),
        (json!({ "prompt": "x", "logit_bias": { "99999999": 1 } }), "invalid_value"),
        (json!({ "prompt": "x".repeat(4096) }), "context_length_exceeded"),
        (json!([]), "invalid_json"),
    ] {
        let (status, text) = post(&open, "/v1/completions", &body).await;
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &error["error"]["code"]), (StatusCode::BAD_REQUEST, &code.into()));
    }
    let garbled = Request::post("/v1/completions").body(Body::from(&b"{\"prompt\":\"\xff\"}"[..]));
    let answer = open.clone().oneshot(garbled.unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let dead =
        BackendSettings { urls: vec!["http://127.0.0.1:9".to_owned()], ..Default::default() };
    let behind = surface_over(None, &dead).plain(None, None);
    assert_eq!(post(&behind, "/v1/completions", &ask).await.0, StatusCode::SERVICE_UNAVAILABLE);
    // None of it stopped the engine.
    assert_eq!(post(&open, "/v1/completions", &ask).await.0, StatusCode::OK);
}

const CHAT: &str = "/v1/chat/completions";

fn say(mut fields: Value) -> Value {
    fields["messages"] = json!([{ "role": "user", "content": "copy: a b c" }]);
    if fields.get("max_tokens").is_none() {
        fields["max_tokens"] = 8.into();
    }
    fields
}

/// Frames of a stream, the last of them `[DONE]`.
async fn frames(router: &Router, path: &str, body: &Value) -> Vec<Value> {
    let (status, events) = post(router, path, body).await;
    assert_eq!(status, StatusCode::OK, "{events}");
    let mut frames: Vec<&str> = events.lines().filter_map(|l| l.strip_prefix("data: ")).collect();
    assert_eq!(frames.pop(), Some("[DONE]"));
    frames.into_iter().map(|frame| serde_json::from_str(frame).unwrap()).collect()
}

async fn send(router: &Router, request: Request<Body>) -> (Response<()>, String) {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (Response::from_parts(parts, ()), String::from_utf8(body.to_vec()).unwrap())
}

fn error_of(body: &str) -> Value {
    let error: Value = serde_json::from_str(body).unwrap();
    error["error"].clone()
}

/// The table of fields that people read is the table that the server follows: each row has a value that
/// is honoured, or one that is refused by the field's name.
#[tokio::test]
async fn every_row_of_the_documented_table_is_true() {
    let router = surface().plain(None, None);
    let table = include_str!("../../docs/openai.md");
    let mut rows = 0;
    let section = table.split("\n## ").find(|part| part.starts_with("Fields of a chat")).unwrap();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [field, example, verdict, ..] = cells[..] else { panic!("{line}") };
        let field = field.trim_matches('`');
        let example = example.trim_matches('`').replace("\\|", "|");
        let value: Value = serde_json::from_str(&example).unwrap_or_else(|e| panic!("{line}: {e}"));
        let mut ask = say(json!({}));
        // What some fields need beside them.
        match field {
            "top_logprobs" => ask["logprobs"] = true.into(),
            "stream_options" => ask["stream"] = true.into(),
            "tool_choice" | "parallel_tool_calls" => {
                ask["tools"] = json!([{ "type": "function", "function": { "name": "add" } }]);
            }
            _ => {}
        }
        ask[field] = value;
        let (status, body) = post(&router, CHAT, &ask).await;
        match verdict.split([' ', ':', ';', ',']).next() {
            Some("honoured" | "taken") => assert_eq!(status, StatusCode::OK, "{line}\n{body}"),
            Some("refused") => {
                assert_eq!(status, StatusCode::BAD_REQUEST, "{line}\n{body}");
                let error = error_of(&body);
                assert!(error["param"].as_str().unwrap().starts_with(field), "{line}\n{error}");
                assert_eq!(error["code"], "unsupported_parameter", "{line}");
            }
            _ => panic!("neither honoured, taken nor refused: {line}"),
        }
        rows += 1;
    }
    assert!(rows > 60, "{rows} rows");
}

#[tokio::test]
async fn a_prompt_counts_once_however_often_it_is_answered() {
    let router = surface().plain(None, None);
    let once = json_of(post(&router, CHAT, &say(json!({ "seed": 3 }))).await);
    let thrice = json_of(post(&router, CHAT, &say(json!({ "seed": 3, "n": 3 }))).await);
    assert_eq!(thrice["choices"].as_array().unwrap().len(), 3);
    assert_eq!(thrice["usage"]["prompt_tokens"], once["usage"]["prompt_tokens"]);
    assert!(
        thrice["usage"]["completion_tokens"].as_u64() > once["usage"]["completion_tokens"].as_u64()
    );
    assert_eq!(thrice["choices"][0]["message"], once["choices"][0]["message"]);
}

#[tokio::test]
async fn tokens_joined_are_the_text_and_offsets_count_its_characters() {
    let router = surface().plain(None, None);
    for stop in [json!([]), json!(["e", "\n"])] {
        let mut ask = json!({ "prompt": "Ä", "max_tokens": 24, "seed": 11, "temperature": 2,
                              "logprobs": 3, "stop": stop });
        let whole = json_of(post(&router, "/v1/completions", &ask).await);
        let choice = &whole["choices"][0];
        let text = choice["text"].as_str().unwrap();
        let tokens = choice["logprobs"]["tokens"].as_array().unwrap();
        let offsets = choice["logprobs"]["text_offset"].as_array().unwrap();
        let mut joined = String::new();
        for (token, offset) in tokens.iter().zip(offsets) {
            assert_eq!(offset.as_u64().unwrap(), joined.chars().count() as u64);
            joined.push_str(token.as_str().unwrap());
        }
        assert_eq!(joined, text);
        ask["stream"] = true.into();
        let streamed = frames(&router, "/v1/completions", &ask).await;
        let of_pieces = |name: &str| -> Vec<Value> {
            let lists = streamed.iter().map(|f| f["choices"][0]["logprobs"][name].as_array());
            lists.flatten().flatten().cloned().collect()
        };
        assert_eq!(&of_pieces("tokens"), tokens);
        assert_eq!(&of_pieces("text_offset"), offsets);
    }
}

#[tokio::test]
async fn temperatures_that_overflow_are_greedy() {
    let router = surface().plain(None, None);
    let text = async |temperature: Value| {
        let ask = json!({ "prompt": "copy: a b c", "temperature": temperature, "seed": 5 });
        json_of(post(&router, "/v1/completions", &ask).await)["choices"][0]["text"].clone()
    };
    assert_eq!(text(json!(1e-38)).await, text(json!(0)).await);
}

#[tokio::test]
async fn an_answer_out_of_time_comes_with_what_there_is() {
    let surface = Surface { answer_time: Duration::from_millis(300), ..surface() };
    let router = surface.plain(None, None);
    // More than any machine writes in that time, with an end that never comes.
    let mut ask = json!({ "prompt": "a", "max_tokens": 4096, "ignore_eos": true });
    ask["n"] = 8.into();
    let cut = json_of(post(&router, "/v1/completions", &ask).await);
    for choice in cut["choices"].as_array().unwrap() {
        assert_eq!(choice["finish_reason"], "length");
    }
    ask["stream"] = true.into();
    let frames = frames(&router, "/v1/completions", &ask).await;
    let reasons = frames.iter().filter(|f| f["choices"][0]["finish_reason"] == "length").count();
    assert_eq!(reasons, 8);
}

#[tokio::test]
async fn a_model_has_its_names_and_the_404_lists_them() {
    let named = Surface { names: vec!["mine".to_owned(), "gpt-4o".to_owned()].into(), ..surface() };
    let router = named.plain(None, None);
    for name in ["mine", "gpt-4o", "tiny", "the-id"] {
        let answer = json_of(post(&router, CHAT, &say(json!({ "model": name }))).await);
        assert_eq!(answer["model"], "mine");
        let got = Request::get(format!("/v1/models/{name}")).body(Body::empty()).unwrap();
        assert_eq!(send(&router, got).await.0.status(), StatusCode::OK, "{name}");
    }
    let (status, body) = post(&router, CHAT, &say(json!({ "model": "gpt-9" }))).await;
    let error = error_of(&body);
    assert_eq!((status, &error["code"]), (StatusCode::NOT_FOUND, &json!("model_not_found")));
    assert!(error["message"].as_str().unwrap().contains("mine, gpt-4o, tiny"));
}

#[tokio::test]
async fn browsers_and_sloppy_clients_find_what_they_expect() {
    let settings = OpenAi { cors_origins: vec!["https://a.org".into()], ..OpenAi::default() };
    let origins = Origins::new(&settings).unwrap();
    let router = surface().plain(Some("secret".into()), origins);
    let preflight = Request::options(CHAT)
        .header("origin", "https://a.org")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    let (response, _) = send(&router, preflight.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["access-control-allow-origin"], "https://a.org");
    let ask = |method: Method, path: &str, scheme: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("{scheme} secret"));
        request.body(Body::from(say(json!({})).to_string())).unwrap()
    };
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let (response, body) = send(&router, ask(Method::POST, CHAT, scheme)).await;
        assert_eq!(response.status(), StatusCode::OK, "{scheme}: {body}");
    }
    let slashed = send(&router, ask(Method::POST, "/v1/chat/completions/", "Bearer")).await;
    assert_eq!(slashed.0.status(), StatusCode::OK);
    let (response, body) = send(&router, ask(Method::GET, CHAT, "Bearer")).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "POST");
    assert_eq!(error_of(&body)["code"], "method_not_allowed");
    let (response, body) = send(&router, ask(Method::GET, "/v2/nothing", "Bearer")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(error_of(&body)["code"], "unknown_url");
}

#[tokio::test]
async fn what_shapes_the_distribution_is_honoured_and_can_be_audited() {
    let router = surface().plain(None, None);
    let ask = json!({ "prompt": "copy: a b c", "max_tokens": 24, "seed": 5, "temperature": 2,
                      "return_token_ids": true, "ignore_eos": true });
    for shaping in [
        json!({ "top_k": 2 }),
        json!({ "top_p": 0.5 }),
        json!({ "min_p": 0.4 }),
        json!({ "frequency_penalty": 2.0, "presence_penalty": 2.0 }),
        json!({ "repetition_penalty": 1.5 }),
        json!({ "logit_bias": { "5": 20.0 } }),
    ] {
        let mut ask = ask.clone();
        ask.as_object_mut().unwrap().extend(shaping.as_object().unwrap().clone());
        let answer = json_of(post(&router, "/v1/completions", &ask).await);
        let again = json_of(post(&router, "/v1/completions", &ask).await);
        assert_eq!(answer["choices"], again["choices"], "the seed fixes it: {shaping}");
        let mut score = json!({ "prompt": answer["prompt_token_ids"], "temperature": 2.0, "seed": 5,
                                "token_ids": answer["choices"][0]["token_ids"],
                                "shaping": shaping });
        let matches = |scores: &Value| -> Vec<bool> {
            let tokens = scores["tokens"].as_array().unwrap();
            tokens.iter().map(|token| token["token"] == token["seeded_token"]).collect()
        };
        let honest = json_of(post(&router, "/v1/score", &score).await);
        assert_eq!(honest["sampler"], "gumbel-v2");
        assert!(matches(&honest).iter().all(|drawn| *drawn), "{shaping}: {honest}");
        score["shaping"] = json!({});
        let other = json_of(post(&router, "/v1/score", &score).await);
        assert_eq!(other["sampler"], "gumbel-v1");
        assert!(matches(&other).iter().any(|drawn| !drawn), "{shaping} changed nothing");
    }
}

#[tokio::test]
async fn an_answer_has_the_form_that_was_asked_for() {
    let router = surface().plain(None, None);
    let schema = json!({ "type": "object", "required": ["b", "a"], "additionalProperties": false,
        "properties": { "b": { "type": "boolean" }, "a": { "enum": ["x", "y"] } } });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "s", "schema": schema } });
    for seed in 0..4 {
        let text = async |fields: Value| {
            let mut ask = say(json!({ "seed": seed, "temperature": 1.5, "max_tokens": 200 }));
            ask.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let answer = json_of(post(&router, CHAT, &ask).await);
            assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");
            answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
        };
        let answer: Value =
            serde_json::from_str(&text(json!({ "response_format": format })).await).unwrap();
        assert!(answer["b"].is_boolean() && ["x", "y"].contains(&answer["a"].as_str().unwrap()));
        let chosen = text(json!({ "guided_choice": ["red", "green", "blue"] })).await;
        assert!(["red", "green", "blue"].contains(&chosen.as_str()));
        let matched = text(json!({ "guided_regex": "[0-9]{3}-[a-c]{2}" })).await;
        assert!(matched.len() == 6 && matched.as_bytes()[3] == b'-', "{matched}");
    }
    let object = say(json!({ "seed": 1, "response_format": { "type": "json_object" },
                             "max_tokens": 60 }));
    let text =
        json_of(post(&router, CHAT, &object).await)["choices"][0]["message"]["content"].clone();
    assert!(text.as_str().unwrap().starts_with('{'));
    let wrong = json!({ "type": "json_schema", "json_schema": { "name": "s",
        "schema": { "type": "object", "properties": { "a": { "type": "colour" } } } } });
    let (status, body) = post(&router, CHAT, &say(json!({ "response_format": wrong }))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(error_of(&body)["param"], "response_format");
}

#[tokio::test]
async fn tools_are_called_with_arguments_that_fit() {
    let router = surface().plain(None, None);
    let tool = |name: &str| {
        json!({ "type": "function", "function": { "name": name, "parameters": {
        "type": "object", "required": ["n"], "additionalProperties": false,
        "properties": { "n": { "enum": [1, 2, 3] } } } } })
    };
    let tools = json!([tool("add"), tool("sub")]);
    let named = json!({ "type": "function", "function": { "name": "sub" } });
    for (choice, name) in [(json!("required"), None), (named, Some("sub"))] {
        let mut ask = say(json!({ "tools": tools, "tool_choice": choice, "seed": 4,
                                  "parallel_tool_calls": false, "max_tokens": 200 }));
        let whole = json_of(post(&router, CHAT, &ask).await);
        let choice = &whole["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{whole}");
        assert_eq!(choice["message"]["content"], Value::Null);
        let call = &choice["message"]["tool_calls"][0];
        let called = call["function"]["name"].as_str().unwrap();
        assert!(name.is_none_or(|name| name == called));
        let arguments: Value =
            serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert!((1..=3).contains(&arguments["n"].as_u64().unwrap()));
        ask["stream"] = true.into();
        let streamed = frames(&router, CHAT, &ask).await;
        let calls: Vec<&Value> =
            streamed.iter().filter_map(|f| f["choices"][0]["delta"]["tool_calls"].get(0)).collect();
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0]["function"], call["function"]);
        assert_eq!(streamed.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
    }
    // Left free, the model that ships only talks.
    let free = say(json!({ "tools": tools, "seed": 4, "max_tokens": 12 }));
    let talked = json_of(post(&router, CHAT, &free).await);
    assert!(talked["choices"][0]["message"]["content"].is_string(), "{talked}");
}

#[tokio::test]
async fn a_response_is_the_chats_answer_in_other_words() {
    let router = surface().plain(None, None);
    let chat = say(json!({ "seed": 6, "max_tokens": 12 }));
    let chat = json_of(post(&router, CHAT, &chat).await);
    let text = &chat["choices"][0]["message"]["content"];
    let mut ask = json!({ "input": "copy: a b c", "seed": 6, "max_output_tokens": 12 });
    let whole = json_of(post(&router, "/v1/responses", &ask).await);
    assert_eq!(&whole["output"][0]["content"][0]["text"], text);
    assert_eq!(whole["usage"]["output_tokens"], chat["usage"]["completion_tokens"]);
    ask["stream"] = true.into();
    let (_, events) = post(&router, "/v1/responses", &ask).await;
    let events: Vec<Value> = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let deltas = events.iter().filter(|e| e["type"] == "response.output_text.delta");
    let told: String = deltas.map(|e| e["delta"].as_str().unwrap()).collect();
    assert_eq!(told, text.as_str().unwrap());
    let last = events.last().unwrap();
    assert_eq!(last["response"]["output"][0]["content"], whole["output"][0]["content"]);
    assert_eq!(last["response"]["status"], whole["status"]);
    let stored = json!({ "input": "x", "previous_response_id": "r1" });
    let (_, body) = post(&router, "/v1/responses", &stored).await;
    assert_eq!(error_of(&body)["param"], "previous_response_id");
    let long = json!({ "input": "x".repeat(4096) });
    let (_, body) = post(&router, "/v1/responses", &long).await;
    assert_eq!(error_of(&body)["param"], "input");
}

#[tokio::test]
async fn tools_calls_names_and_arguments_reach_the_template() {
    const TEMPLATE: &str = "{% if tools %}{{ tools[0].function.name }} {% endif %}\
        {% for m in messages %}{{ m.role }} {{ m.name }} {{ m.content }} \
        {% for call in m.tool_calls %}{{ call.function.arguments.n }} {% endfor %}\
        {{ m.tool_call_id }};{% endfor %}{{ thinking_hard }} {{ reasoning_effort }}";
    let engine = chatting(TEMPLATE);
    let router =
        surface_over(Some(Arc::clone(&engine)), &BackendSettings::default()).plain(None, None);
    let ask = json!({
        "messages": [
            { "role": "user", "name": "Bo", "content": "hi" },
            { "role": "assistant", "content": "so", "tool_calls": [{ "id": "c1", "type": "function",
                "function": { "name": "add", "arguments": "{\"n\":7}" } }] },
            { "role": "tool", "tool_call_id": "c1", "content": "4" },
        ],
        "tools": [{ "type": "function", "function": { "name": "add" } }],
        "chat_template_kwargs": { "thinking_hard": "yes" }, "reasoning_effort": "low",
        "return_token_ids": true, "max_tokens": 4,
    });
    let answer = json_of(post(&router, CHAT, &ask).await);
    let ids: Vec<u32> = serde_json::from_value(answer["prompt_token_ids"].clone()).unwrap();
    let prompt = engine.decode(&ids).unwrap();
    assert_eq!(prompt, "add user Bo hi ;assistant  so 7 ;tool  4 c1;yes low");
}
