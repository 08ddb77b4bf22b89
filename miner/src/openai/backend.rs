//! Other servers of the same API that answer in the engine's place: balanced by what they have under
//! way, failed over by whether they answer. This is how a miner outgrows one machine.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use futures::{Stream, StreamExt as _, stream::BoxStream};
use neuron::Shutdown;
use reqwest::{Client, Url, redirect};

use super::error::ApiError;

/// Time to reach a server.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// Longest silence of a server, its first token included.
const SILENCE: Duration = Duration::from_secs(60);

/// Between two looks at whether a server answers.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Longest answer to such a look.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// Servers behind this one.
#[derive(Clone, Debug)]
pub struct Backends(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    key: Option<String>,
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    url: Url,
    up: AtomicBool,
    /// Requests under way there, from here.
    busy: Arc<AtomicUsize>,
}

/// Backends that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Not the address of a server.
    #[error("`{url}` is no http:// or https:// address of a server")]
    Url {
        /// What was given.
        url: String,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up the client for backends")]
    Client(#[source] reqwest::Error),
}

impl Backends {
    /// Servers by their address, with or without `/v1` at its end; `None` for no addresses. `key` is
    /// shown to all of them.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(urls: &[String], key: Option<String>) -> Result<Option<Self>, BackendError> {
        let servers = urls.iter().map(|url| Server::new(url)).collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() {
            return Ok(None);
        }
        let client = Client::builder()
            .connect_timeout(CONNECT_TIME)
            .read_timeout(SILENCE)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(BackendError::Client)?;
        Ok(Some(Self(Arc::new(Inner { client, key, servers }))))
    }

    /// True while some server answers.
    pub fn any_up(&self) -> bool {
        self.0.servers.iter().any(Server::is_up)
    }

    /// Looks after the servers until `shutdown`: one that was given up is used again once it
    /// answers.
    pub async fn watch(self, shutdown: Shutdown) {
        loop {
            let probes = self.0.servers.iter().map(|server| self.0.probe(server));
            futures::future::join_all(probes).await;
            tokio::select! {
                () = tokio::time::sleep(PROBE_EVERY) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Hands a request's bytes to the servers, the least busy first, until one answers it.
    pub(super) async fn forward(&self, path: &str, body: Bytes) -> Result<Response, ApiError> {
        self.ask(
            |client, url| {
                client.post(url).header(CONTENT_TYPE, "application/json").body(body.clone())
            },
            path,
        )
        .await
    }

    /// As [`Self::forward`], for what is only read.
    pub(super) async fn fetch(&self, path: &str) -> Result<Response, ApiError> {
        self.ask(reqwest::Client::get, path).await
    }

    async fn ask(
        &self,
        request: impl Fn(&Client, Url) -> reqwest::RequestBuilder,
        path: &str,
    ) -> Result<Response, ApiError> {
        let mut servers: Vec<&Server> = self.0.servers.iter().filter(|s| s.is_up()).collect();
        servers.sort_by_key(|server| server.busy.load(Ordering::Relaxed));
        let mut refused = None;
        for server in servers {
            let under_way = UnderWay::start(&server.busy);
            let mut request = request(&self.0.client, server.at(path));
            if let Some(key) = &self.0.key {
                request = request.bearer_auth(key);
            }
            match request.send().await {
                Err(error) => server.give_up(&error),
                Ok(answer) if answer.status().is_server_error() => {
                    let status = answer.status();
                    server.give_up(&status);
                }
                // Full is not broken: another may have room.
                Ok(answer) if answer.status() == StatusCode::TOO_MANY_REQUESTS => {
                    refused = Some(relay(answer, under_way));
                }
                Ok(answer) => return Ok(relay(answer, under_way)),
            }
        }
        refused.ok_or_else(|| ApiError::no_backend(self.0.servers.len()))
    }
}

impl Inner {
    async fn probe(&self, server: &Server) {
        let answers = |path: &'static str| async move {
            let mut request = self.client.get(server.at(path)).timeout(PROBE_TIME);
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            request.send().await.is_ok_and(|answer| answer.status().is_success())
        };
        // Not every server has the first.
        let up = answers("/health").await || answers("/v1/models").await;
        if server.up.swap(up, Ordering::Relaxed) != up {
            tracing::warn!(url = %server.url, up, "a backend changed");
        }
    }
}

impl Server {
    fn new(text: &str) -> Result<Self, BackendError> {
        let wrong = || BackendError::Url { url: text.to_owned() };
        let base = text.trim_end_matches('/').trim_end_matches("/v1");
        let url = Url::parse(base).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(wrong());
        }
        Ok(Self { url, up: AtomicBool::new(true), busy: Arc::default() })
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&(base + path));
        url
    }

    fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Passes a server over until it answers a look again.
    fn give_up(&self, why: &dyn std::fmt::Display) {
        self.up.store(false, Ordering::Relaxed);
        tracing::warn!(url = %self.url, %why, "a backend does not answer");
    }
}

/// One request at a server.
#[derive(Debug)]
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn start(busy: &Arc<AtomicUsize>) -> Self {
        busy.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(busy))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that counts as under way until it ends.
struct Relayed {
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    _under_way: UnderWay,
}

impl Stream for Relayed {
    type Item = reqwest::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.body.poll_next_unpin(cx)
    }
}

/// The answer as it comes. Of the headers, those that say how to read it.
fn relay(answer: reqwest::Response, under_way: UnderWay) -> Response {
    const KEPT: [HeaderName; 2] = [CONTENT_TYPE, axum::http::header::RETRY_AFTER];
    let status = answer.status();
    let headers = answer.headers().clone();
    let streamed = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let body = Relayed { body: answer.bytes_stream().boxed(), _under_way: under_way };
    let mut response = (status, Body::from_stream(body)).into_response();
    for name in KEPT {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    if streamed {
        response.extensions_mut().insert(wire::Streamed);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_with_and_without_the_version() {
        for url in ["http://a:1", "http://a:1/", "http://a:1/v1", "http://a:1/v1/"] {
            let server = Server::new(url).unwrap();
            assert_eq!(server.at("/v1/models").as_str(), "http://a:1/v1/models");
        }
        let under = Server::new("https://b/models/x/v1").unwrap();
        assert_eq!(under.at("/health").as_str(), "https://b/models/x/health");
        for wrong in ["a:1", "ftp://a", "", "http://"] {
            assert!(Server::new(wrong).is_err(), "{wrong}");
        }
    }
}
