//! Other servers of the same API that answer in the engine's place: balanced by what they have under
//! way, failed over by whether they answer. This is how a miner outgrows one machine.
//!
//! What a server says of a request is the caller's to read, whatever its status; only a server that is
//! not there, or says that what is behind it is not, is passed over for a while. A request that was
//! read and not answered in time is not sent to another: it would be computed twice.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, StatusCode, header::CONTENT_TYPE, header::RETRY_AFTER},
    response::{IntoResponse as _, Response},
};
use futures::{Stream, StreamExt as _, stream::BoxStream};
use neuron::Shutdown;
use parking_lot::Mutex;
use reqwest::{Client, Url, redirect};
use serde_json::{Value, json};

use super::{error::ApiError, reply::value};
use crate::config::BackendSettings;

/// Between two looks at whether a server answers.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Longest answer to such a look, and to a question for models.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// Where a server is looked at. Any answer will do: not every server has this path.
const PROBE_PATH: &str = "/health";

/// How long a server is passed over that says that it cannot answer.
const REST: Duration = Duration::from_secs(10);

/// Errors of a server one after the other, each of a request of its own, after which it is the server
/// that is at fault and not the requests.
const FAILURES: u32 = 5;

/// Longest answer that is not streamed: embeddings of 2048 texts come to some 60 MB.
const ANSWER_BYTES: usize = 64 << 20;

/// Longest event of a stream.
const EVENT_BYTES: usize = 1 << 20;

/// Servers behind this one.
#[derive(Clone, Debug)]
pub struct Backends(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    key: Option<String>,
    /// Longest silence of a server, its first byte included.
    silence: Duration,
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    url: Url,
    health: Mutex<Health>,
    /// Requests under way there, from here.
    busy: Arc<AtomicUsize>,
}

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Health {
    /// Whether it answers at all.
    reachable: bool,
    /// Errors one after the other.
    failures: u32,
    /// Until when it is passed over.
    rests_until: Option<Instant>,
}

/// How an attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Answered(StatusCode),
    Unreachable,
}

impl Health {
    const NEW: Self = Self { reachable: true, failures: 0, rests_until: None };

    /// What is known after one more attempt.
    fn after(self, outcome: Outcome, now: Instant) -> Self {
        let Outcome::Answered(status) = outcome else { return Self { reachable: false, ..self } };
        let failures = if status.is_server_error() { self.failures + 1 } else { 0 };
        let rests = is_away(status) || failures >= FAILURES;
        Self {
            reachable: true,
            failures: if rests { 0 } else { failures },
            rests_until: if rests { Some(now + REST) } else { self.rests_until },
        }
    }

    fn is_fit(self, now: Instant) -> bool {
        self.reachable && self.rests_until.is_none_or(|until| until <= now)
    }
}

/// Statuses by which a server says that what should answer is not there.
fn is_away(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
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
    /// Servers by their address, with or without `/v1` at its end; `None` for no addresses.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(settings: &BackendSettings) -> Result<Option<Self>, BackendError> {
        let servers = settings.urls.iter().map(|url| Server::new(url));
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() {
            return Ok(None);
        }
        let silence = Duration::from_secs(settings.answer_seconds);
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(settings.connect_seconds))
            .read_timeout(silence)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(BackendError::Client)?;
        Ok(Some(Self(Arc::new(Inner { client, key: settings.key.clone(), silence, servers }))))
    }

    /// True while some server answers.
    pub fn any_up(&self) -> bool {
        self.0.servers.iter().any(|server| server.health.lock().reachable)
    }

    /// Looks after the servers until `shutdown`: one that was not reached is used again once it
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
        let mut last = None;
        for server in self.0.in_order() {
            let under_way = UnderWay::start(&server.busy);
            let request = self.0.client.post(server.at(path)).body(body.clone());
            let request = self.0.with_key(request.header(CONTENT_TYPE, "application/json"));
            match request.send().await {
                // It was read and may be under way: a second try would compute it twice.
                Err(error) if error.is_timeout() && !error.is_connect() => {
                    tracing::warn!(url = %server.at(path), seconds = self.0.silence.as_secs(),
                        "a backend did not answer in time; `backends.answer_seconds` is the limit");
                    return Err(ApiError::backend_timeout(self.0.silence.as_secs()));
                }
                Err(error) => server.note(Outcome::Unreachable, path, &chain(&error)),
                Ok(answer) => {
                    let status = answer.status();
                    server.note(Outcome::Answered(status), path, status.as_str());
                    // Full or away: another may have room, or be there.
                    let pass = status == StatusCode::TOO_MANY_REQUESTS || is_away(status);
                    if !pass {
                        return relay(answer, path, under_way).await;
                    }
                    last = Some((answer, under_way));
                }
            }
        }
        match last {
            Some((answer, under_way)) => relay(answer, path, under_way).await,
            None => Err(ApiError::no_backend(self.0.servers.len())),
        }
    }

    /// What all servers that answer serve, each name once.
    pub(super) async fn models(&self) -> Result<Vec<Value>, ApiError> {
        let asked = self.0.servers.iter().map(|server| self.0.models_of(server));
        let lists: Vec<Vec<Value>> =
            futures::future::join_all(asked).await.into_iter().flatten().collect();
        if lists.is_empty() {
            return Err(ApiError::no_backend(self.0.servers.len()));
        }
        let mut models: Vec<Value> = Vec::new();
        for model in lists.into_iter().flatten() {
            if !models.iter().any(|known| known["id"] == model["id"]) {
                models.push(model);
            }
        }
        Ok(models)
    }
}

impl Inner {
    /// The fit ones first, the least busy of them before; then the others, as there may be no better.
    fn in_order(&self) -> Vec<&Server> {
        let now = Instant::now();
        let mut servers: Vec<&Server> = self.servers.iter().collect();
        servers.sort_by_key(|server| {
            (!server.health.lock().is_fit(now), server.busy.load(Ordering::Relaxed))
        });
        servers
    }

    fn with_key(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    async fn probe(&self, server: &Server) {
        let url = server.at(PROBE_PATH);
        let request = self.with_key(self.client.get(url.clone())).timeout(PROBE_TIME);
        let (reachable, said) = match request.send().await {
            Ok(answer) => (true, answer.status().to_string()),
            Err(error) => (false, chain(&error)),
        };
        let before = std::mem::replace(&mut server.health.lock().reachable, reachable);
        match (before, reachable) {
            (true, false) => tracing::warn!(%url, said, "a backend does not answer"),
            (false, true) => tracing::info!(%url, said, "a backend answers again"),
            _ => tracing::trace!(%url, said, "a backend was looked at"),
        }
    }

    /// The models a server lists; `None` where it does not answer.
    async fn models_of(&self, server: &Server) -> Option<Vec<Value>> {
        let url = server.at("/v1/models");
        let answer = self.with_key(self.client.get(url)).timeout(PROBE_TIME).send().await.ok()?;
        let mut list: Value = answer.json().await.unwrap_or_default();
        Some(list["data"].as_array_mut().map(std::mem::take).unwrap_or_default())
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
        Ok(Self { url, health: Mutex::new(Health::NEW), busy: Arc::default() })
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&(base + path));
        url
    }

    /// Takes in how an attempt went, and says what follows from it.
    fn note(&self, outcome: Outcome, path: &str, said: &str) {
        let now = Instant::now();
        let mut health = self.health.lock();
        let before = *health;
        *health = before.after(outcome, now);
        if before.is_fit(now) && !health.is_fit(now) {
            let url = self.at(path);
            tracing::warn!(%url, said, "a backend is passed over while others answer");
        }
    }
}

/// An error with its causes: reqwest's own text leaves out why.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
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

/// The answer: streams as they come, others once they are whole, so that one that breaks off is an
/// error and not half an answer. Of the headers, those that say how to read it.
async fn relay(
    answer: reqwest::Response,
    path: &str,
    under_way: UnderWay,
) -> Result<Response, ApiError> {
    const KEPT: [HeaderName; 2] = [CONTENT_TYPE, RETRY_AFTER];
    let status = answer.status();
    let headers = answer.headers().clone();
    let streamed = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let body = answer.bytes_stream();
    let mut response = if streamed {
        let events = Events::new(body.boxed(), Dialect::of(path), under_way);
        let mut response = (status, Body::from_stream(events)).into_response();
        response.extensions_mut().insert(wire::Streamed);
        response
    } else {
        (status, whole(body.boxed(), path).await?).into_response()
    };
    for name in KEPT {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}

type Pieces = BoxStream<'static, reqwest::Result<Bytes>>;

async fn whole(mut body: Pieces, path: &str) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| {
            tracing::warn!(path, error = chain(&error), "a backend broke off its answer");
            ApiError::backend_broke()
        })?;
        if bytes.len() + piece.len() > ANSWER_BYTES {
            tracing::warn!(path, "a backend's answer has more than {ANSWER_BYTES} bytes");
            return Err(ApiError::backend_broke());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// With a frame `[DONE]`.
    Done,
    /// With an event of its own.
    Event,
}

impl Dialect {
    fn of(path: &str) -> Self {
        if path.ends_with("/responses") { Self::Event } else { Self::Done }
    }

    /// Whether these events end the stream.
    fn ends(self, events: &[u8]) -> bool {
        let marks: &[&str] = match self {
            Self::Done => &["[DONE]"],
            Self::Event => &["response.completed", "response.incomplete", "response.failed"],
        };
        marks.iter().any(|mark| contains(events, mark.as_bytes()))
    }

    /// An error as a stream tells it, and the end.
    fn error(self, error: &ApiError) -> Bytes {
        let body = error.body();
        match self {
            Self::Done => format!("data: {}\n\ndata: [DONE]\n\n", value(&body)),
            Self::Event => {
                let error = body.error;
                let data = json!({ "type": "error", "code": error.code, "param": error.param,
                                   "message": error.message });
                format!("event: error\ndata: {data}\n\n")
            }
        }
        .into()
    }
}

fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}

/// A stream of whole events, that counts as under way until it ends. One that breaks off ends with an
/// error; the event that it broke off in is not passed on.
struct Events {
    body: Pieces,
    dialect: Dialect,
    held: Vec<u8>,
    /// Whether the frame that ends a stream was passed on.
    ended: bool,
    over: bool,
    _under_way: UnderWay,
}

impl Events {
    fn new(body: Pieces, dialect: Dialect, under_way: UnderWay) -> Self {
        let (held, ended, over) = (Vec::new(), false, false);
        Self { body, dialect, held, ended, over, _under_way: under_way }
    }

    /// The whole events among the bytes held.
    fn release(&mut self) -> Option<Bytes> {
        let after = |mark: &[u8]| {
            let at = self.held.windows(mark.len()).rposition(|window| window == mark);
            at.map(|at| at + mark.len())
        };
        let end = after(b"\n\n").max(after(b"\r\n\r\n"))?;
        let rest = self.held.split_off(end);
        let events = std::mem::replace(&mut self.held, rest);
        self.ended |= self.dialect.ends(&events);
        Some(events.into())
    }

    /// What is passed on once nothing more comes.
    fn close(&mut self, why: &str) -> Option<Bytes> {
        self.over = true;
        // Some servers leave out the last line break.
        if self.dialect.ends(&self.held) {
            self.held.extend_from_slice(b"\n\n");
            return self.release();
        }
        if self.ended {
            return None;
        }
        tracing::warn!(why, "a backend broke off a stream");
        Some(self.dialect.error(&ApiError::backend_broke()))
    }
}

impl Stream for Events {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.over {
            let next = std::task::ready!(self.body.poll_next_unpin(cx));
            let out = match next {
                Some(Ok(bytes)) => {
                    self.held.extend_from_slice(&bytes);
                    let events = self.release();
                    if self.held.len() > EVENT_BYTES {
                        self.held.clear();
                        self.close("an event is too long")
                    } else {
                        events
                    }
                }
                Some(Err(error)) => self.close(&chain(&error)),
                None => self.close("it ended before its end"),
            };
            if let Some(out) = out {
                return Poll::Ready(Some(Ok(out)));
            }
        }
        Poll::Ready(None)
    }
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

    fn away(status: u16) -> Outcome {
        Outcome::Answered(StatusCode::from_u16(status).unwrap())
    }

    #[test]
    fn a_server_is_passed_over_for_being_away_and_not_for_one_bad_request() {
        let now = Instant::now();
        let after = |outcomes: &[Outcome]| {
            outcomes.iter().fold(Health::NEW, |health, outcome| health.after(*outcome, now))
        };
        for fit in [&[away(200)][..], &[away(500)], &[away(429)], &[away(404)]] {
            assert!(after(fit).is_fit(now), "{fit:?}");
        }
        for unfit in [&[away(502)][..], &[away(503)], &[away(504)], &[Outcome::Unreachable]] {
            assert!(!after(unfit).is_fit(now), "{unfit:?}");
        }
        assert!(!after(&[away(500); FAILURES as usize]).is_fit(now));
        let mut mended = [away(500); FAILURES as usize];
        mended[2] = away(200);
        assert!(after(&mended).is_fit(now));
        assert!(after(&[away(502)]).is_fit(now + REST));
    }
}
