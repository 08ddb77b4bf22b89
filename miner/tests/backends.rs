//! Servers behind a miner: real sockets that answer well, badly, and not at all.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    http::{Request, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::{StreamExt as _, stream};
use miner::{
    Admission, BackendSettings, Dues, Slots,
    openai::{Backends, Surface},
};
use neuron::{Health, Shutdown};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tower::ServiceExt as _;

const CHAT: &str = "/v1/chat/completions";

/// Servers on sockets of this machine, and how often each was asked.
struct Rig {
    urls: Vec<String>,
    asked: Vec<Arc<AtomicUsize>>,
    servers: JoinSet<()>,
}

impl Rig {
    fn new() -> Self {
        Self { urls: Vec::new(), asked: Vec::new(), servers: JoinSet::new() }
    }

    /// Adds a server that has nothing but chats.
    async fn add<R: IntoResponse + 'static>(
        self,
        answer: impl Fn(Value) -> R + Clone + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let chat = move |body: Bytes| {
            let (answer, count) = (answer.clone(), Arc::clone(&count));
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                answer(serde_json::from_slice(&body).unwrap()).into_response()
            }
        };
        self.serve(Router::new().route(CHAT, post(chat)), asked).await
    }

    async fn serve(mut self, router: Router, asked: Arc<AtomicUsize>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        self.urls.push(format!("http://{}/v1", listener.local_addr().unwrap()));
        self.asked.push(asked);
        self.servers.spawn(async move { axum::serve(listener, router).await.unwrap() });
        self
    }

    /// Adds an address where nobody listens.
    fn add_dead(mut self) -> Self {
        self.urls.push("http://127.0.0.1:9".to_owned());
        self.asked.push(Arc::default());
        self
    }

    fn backends(&self, answer_seconds: u64) -> Backends {
        let settings =
            BackendSettings { urls: self.urls.clone(), answer_seconds, ..Default::default() };
        Backends::new(&settings).unwrap().unwrap()
    }

    fn asked(&self) -> Vec<usize> {
        self.asked.iter().map(|asked| asked.load(Ordering::SeqCst)).collect()
    }
}

/// A miner's surface before these servers; it has no model of its own.
fn front(backends: Backends) -> Router {
    let surface = Surface {
        engine: None,
        announced: "".into(),
        names: Arc::default(),
        answer_time: Duration::from_secs(100),
        slots: Slots::new(&Admission::default()),
        dues: Dues::default(),
        health: Health::default(),
        embedder: None,
        backends: Some(backends),
    };
    surface.plain(None, None)
}

async fn ask(router: &Router, prompt: &str) -> (StatusCode, String) {
    let body = json!({ "messages": [{ "role": "user", "content": prompt }] });
    send(router, Request::post(CHAT).body(Body::from(body.to_string())).unwrap()).await
}

async fn fetch(router: &Router, path: &str) -> (StatusCode, String) {
    send(router, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn send(router: &Router, request: Request<Body>) -> (StatusCode, String) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn prompt_of(body: &Value) -> &str {
    body["messages"][0]["content"].as_str().unwrap()
}

/// Each piece by itself: a server that fails before it has sent anything closes without an answer.
async fn slowly<T>(piece: T) -> T {
    tokio::time::sleep(Duration::from_millis(50)).await;
    piece
}

fn fine(_: Value) -> Json<Value> {
    Json(json!({ "ok": true }))
}

/// Fine, but for one prompt.
fn poisoned(body: Value) -> Response {
    if prompt_of(&body) == "poison" {
        let error = json!({ "error": { "message": "my own words" } });
        return (StatusCode::INTERNAL_SERVER_ERROR, Json(error)).into_response();
    }
    fine(body).into_response()
}

#[tokio::test]
async fn a_servers_own_error_is_relayed_and_takes_nobody_out() {
    let rig = Rig::new().add(poisoned).await.add(poisoned).await;
    let router = front(rig.backends(60));
    let (status, body) = ask(&router, "poison").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(body.contains("my own words"), "{body}");
    assert_eq!(rig.asked().iter().sum::<usize>(), 1, "one server was asked once");
    for _ in 0..4 {
        assert_eq!(ask(&router, "fine").await.0, StatusCode::OK);
    }
    // Not even the last one that answers is given up for its errors.
    for _ in 0..20 {
        assert_eq!(ask(&router, "poison").await.0, StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert_eq!(ask(&router, "fine").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_server_that_is_away_is_passed_over_and_another_answers() {
    let away = |_| (StatusCode::BAD_GATEWAY, "upstream is gone");
    let rig = Rig::new().add_dead().add(away).await.add(fine).await;
    let router = front(rig.backends(60));
    for _ in 0..6 {
        assert_eq!(ask(&router, "x").await.0, StatusCode::OK);
    }
    assert_eq!(rig.asked(), [0, 1, 6]);
    let alone = Rig::new().add(away).await;
    let router = front(alone.backends(60));
    for _ in 0..3 {
        let (status, body) = ask(&router, "x").await;
        assert_eq!((status, body.as_str()), (StatusCode::BAD_GATEWAY, "upstream is gone"));
    }
    assert_eq!(alone.asked(), [3], "the last one is asked all the same");
    let dead = front(Rig::new().add_dead().backends(60));
    let (status, body) = ask(&dead, "x").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("no_backend"));
}

#[tokio::test]
async fn what_was_read_and_not_answered_in_time_is_not_computed_twice() {
    let slow = || post(|| async { std::future::pending::<()>().await });
    let asked = Arc::new(AtomicUsize::new(0));
    let mut rig = Rig::new();
    for _ in 0..2 {
        let count = Arc::clone(&asked);
        let counted = slow().layer(axum::middleware::map_request(move |request: Request<Body>| {
            count.fetch_add(1, Ordering::SeqCst);
            async { request }
        }));
        rig = rig.serve(Router::new().route(CHAT, counted), Arc::default()).await;
    }
    let router = front(rig.backends(1));
    let (status, body) = ask(&router, "x").await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{body}");
    assert!(body.contains("\"timeout\"") && body.contains("1 seconds"), "{body}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_and_whole_events() {
    for broken in [true, false] {
        let answer = move |_| {
            let pieces =
                [Ok("data: {\"n\":1}\n\ndata: {\"n\""), Ok(":2}\n\ndata: {\"n\":"), Err("gone")];
            let sent = stream::iter(pieces.into_iter().take(if broken { 3 } else { 2 }));
            ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(sent.then(slowly)))
        };
        let rig = Rig::new().add(answer).await;
        let (status, events) = ask(&front(rig.backends(60)), "x").await;
        assert_eq!(status, StatusCode::OK);
        let frames: Vec<&str> = events.lines().filter_map(|l| l.strip_prefix("data: ")).collect();
        assert_eq!(frames[..2], ["{\"n\":1}", "{\"n\":2}"]);
        let error: Value = serde_json::from_str(frames[2]).unwrap();
        assert_eq!(error["error"]["code"], "backend_broke_off");
        assert_eq!(frames[3..], ["[DONE]"]);
    }
}

#[tokio::test]
async fn a_stream_that_ends_is_passed_on_to_the_byte() {
    const WHOLE: &str = ": ping\r\n\r\ndata: {\"n\":1}\n\ndata: [DONE]\n\n";
    let answer = |_| {
        let pieces = stream::iter(WHOLE.as_bytes().chunks(7)).map(Ok::<_, Infallible>);
        ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces))
    };
    let rig = Rig::new().add(answer).await;
    assert_eq!(ask(&front(rig.backends(60)), "x").await.1, WHOLE);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_not_half_an_answer() {
    let answer = |_| {
        let pieces = stream::iter([Ok("{\"choices\": ["), Err("gone")]);
        ([(CONTENT_TYPE, "application/json")], Body::from_stream(pieces.then(slowly)))
    };
    let rig = Rig::new().add(answer).await;
    let (status, body) = ask(&front(rig.backends(60)), "x").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(body.contains("backend_broke_off"), "{body}");
}

#[tokio::test]
async fn any_answer_is_a_sign_of_life_and_names_agree() {
    let models = |names: &'static [&'static str]| {
        let data: Vec<Value> = names.iter().map(|name| json!({ "id": name })).collect();
        let list = json!({ "object": "list", "data": data });
        Router::new().route("/v1/models", get(move || async move { Json(list) }))
    };
    // The first has chats alone, the others models alone.
    let rig = Rig::new().add(fine).await;
    let rig = rig.serve(models(&["a", "b"]), Arc::default()).await;
    let rig = rig.serve(models(&["b", "org/c"]), Arc::default()).await;
    let backends = rig.backends(60);
    let shutdown = Shutdown::new();
    let mut watching = JoinSet::new();
    watching.spawn(backends.clone().watch(shutdown.clone()));
    let router = front(backends);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(fetch(&router, "/health").await.0, StatusCode::OK);
    let list: Value = serde_json::from_str(&fetch(&router, "/v1/models").await.1).unwrap();
    let names: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "b", "org/c"]);
    for name in names {
        assert_eq!(fetch(&router, &format!("/v1/models/{name}")).await.0, StatusCode::OK, "{name}");
    }
    let (status, body) = fetch(&router, "/v1/models/d").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("a, b, org/c"), "{body}");
    shutdown.cancel();
    drop(watching);
}
