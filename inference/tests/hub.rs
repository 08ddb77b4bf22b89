//! Downloads against a server of the hub's layout on this machine.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;

use axum::{Router, body::Body, http::StatusCode, routing::get};
use inference::{
    HubFile, HubModel,
    hub::{FetchError, Hub},
};

const CONTENT: &str = "forty-two bytes of something like weights.";
const DIGEST: &str = "061e770100cbf5b5df96b17ce0bc7ceb866d747f6c42465139e21c027502fb02";

const MODEL: HubModel = HubModel {
    name: "toy",
    repo: "someone/toy",
    revision: "0123abcd",
    files: &[HubFile { path: "toy.gguf", sha256: DIGEST, bytes: CONTENT.len() as u64 }],
};

/// Serves `content` at the model's place; returns the endpoint.
async fn server(content: &'static str) -> String {
    let app = Router::new().route(
        "/someone/toy/resolve/0123abcd/toy.gguf",
        get(move || async move { Body::from(content) }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut owner = tokio::task::JoinSet::new();
    owner.spawn(async move { axum::serve(listener, app).await });
    owner.detach_all();
    endpoint
}

async fn fetch(
    endpoint: &str,
    cache: &Path,
    model: HubModel,
) -> Result<std::path::PathBuf, FetchError> {
    let hub = Hub::new(endpoint, cache);
    tokio::task::spawn_blocking(move || hub.fetch(&model)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pinned_file_is_fetched_once_and_kept() {
    let cache = tempfile::tempdir().unwrap();
    let path = fetch(&server(CONTENT).await, cache.path(), MODEL).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), CONTENT);
    // Nobody listens there: the second time no network is needed.
    let again = fetch("http://127.0.0.1:1", cache.path(), MODEL).await.unwrap();
    assert_eq!(again, path);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_content_is_refused_and_not_kept() {
    for content in [
        "forty-two bytes of something like malware.",
        "short",
        "much longer than the pinned file says it may be",
    ] {
        let cache = tempfile::tempdir().unwrap();
        let error = fetch(&server(content).await, cache.path(), MODEL).await.unwrap_err();
        assert!(matches!(error, FetchError::Digest { .. }), "{error}");
        assert!(Hub::new("", cache.path()).cached(&MODEL).is_none());
        let folder = cache.path().join("models/someone--toy/0123abcd");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unreachable_server_names_both_ways_out() {
    let cache = tempfile::tempdir().unwrap();
    let error = fetch("http://127.0.0.1:1", cache.path(), MODEL).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, FetchError::Unreachable { .. }));
    assert!(text.contains("network") && text.contains("pass its path"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_missing_repository_is_told_from_a_missing_network() {
    let cache = tempfile::tempdir().unwrap();
    let model = HubModel { repo: "someone/else", ..MODEL };
    let error = fetch(&server(CONTENT).await, cache.path(), model).await.unwrap_err();
    let status = StatusCode::NOT_FOUND.as_u16();
    assert!(matches!(error, FetchError::Status { status: found, .. } if found == status));
}
