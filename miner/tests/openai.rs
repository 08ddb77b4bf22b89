//! The `OpenAI` surface as an HTTP client meets it, over the model that ships.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use inference::{Engine, EngineOptions, LoadOptions, Model, ModelSource};
use miner::{
    Admission, Dues, Slots,
    openai::{Backends, Surface},
};
use neuron::Health;
use serde_json::{Value, json};
use tower::ServiceExt as _;

fn surface(backends: &[String]) -> Surface {
    let options = LoadOptions::default().with_threads(1);
    let model = Model::load(&ModelSource::Tiny, options).unwrap();
    Surface {
        announced: model.id().to_string().into(),
        engine: Arc::new(Engine::start(model, EngineOptions::default())),
        slots: Slots::new(&Admission::default()),
        dues: Dues::default(),
        health: Health::default(),
        embedder: None,
        backends: Backends::new(backends, None).unwrap(),
    }
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
    let router = surface(&[]).plain(None);
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
    let router = surface(&[]).plain(None);
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
    let guarded = surface(&[]).plain(Some("secret".into()));
    assert_eq!(post(&guarded, "/v1/completions", &ask).await.0, StatusCode::UNAUTHORIZED);
    let open = surface(&[]).plain(None);
    for (body, code) in [
        (json!({ "prompt": [] }), "invalid_value"),
        (json!({ "prompt": [99_999_999] }), "invalid_value"),
        (json!({ "prompt": "x", "temperature": 1e9 }), "invalid_value"),
        (json!({ "prompt": "x", "max_tokens": 0 }), "invalid_value"),
        (json!({ "prompt": "x", "max_tokens": -1 }), "invalid_json"),
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
    let behind = surface(&["http://127.0.0.1:9".to_owned()]).plain(None);
    assert_eq!(post(&behind, "/v1/completions", &ask).await.0, StatusCode::SERVICE_UNAVAILABLE);
    // None of it stopped the engine.
    assert_eq!(post(&open, "/v1/completions", &ask).await.0, StatusCode::OK);
}
