//! One JSON-RPC connection that outlives its sockets and its endpoints.
//!
//! ```text
//! request ──► home ──► answer
//!              ├── broken, mute ───────► its socket is closed; the next endpoint is home
//!              ├── overloaded, ill ────► the next endpoint answers, and is home
//!              ├── has not that state ─► another endpoint answers; home stays
//!              └── an error of ours ───► the caller's
//! ```
//!
//! Every request has a deadline. Requests that change nothing when they are sent twice are sent to
//! each endpoint before they fail. An endpoint that was left is gone back to: [`Link::survey`] asks
//! all of them where the chain is, and [`choose`] decides. An endpoint that serves another chain is
//! never used.

use std::{
    error::Error as StdError,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use jsonrpsee_core::client::Client;
use jsonrpsee_ws_client::WsClientBuilder;
use parking_lot::{Mutex as Guarded, RwLock};
use rustls::{ClientConfig, pki_types::CertificateDer};
use serde::de::DeserializeOwned;
use subxt::rpcs::{
    Error as RpcError, RpcClientT, UserError,
    client::{RawRpcFuture, RawRpcSubscription, RawValue},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use url::Url;

use crate::{
    ConnectError, EndpointError,
    survey::{Sighting, TIMESTAMP_KEY, choose},
};

/// Largest answer accepted. A runtime's metadata is under 1 MiB in hex, a metagraph of 4,096
/// neurons about 2 MiB.
const MAX_RESPONSE_BYTES: u32 = 64 << 20;

/// Largest request sent: a weight commit in hex is under 70 kB.
const MAX_REQUEST_BYTES: u32 = 16 << 20;

/// Notifications a slow subscriber may be behind before the connection drops the subscription.
const MAX_BUFFERED_NOTIFICATIONS: usize = 1024;

/// First time for which an endpoint that was left is not gone back to; doubles up to
/// [`LONGEST_REST`] when it has to be left again.
const FIRST_REST: Duration = Duration::from_secs(30);

/// Longest such time: a provider's quota is often by the hour.
const LONGEST_REST: Duration = Duration::from_secs(1_800);

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Longest wait for one answer. A metagraph of a full subnet takes a public node well under
    /// a second.
    pub request_deadline: Duration,
    /// Longest wait for a socket, its TLS session and the check of its genesis.
    pub connect_deadline: Duration,
    /// The genesis hash that every endpoint must have; where `None`, the first endpoint that
    /// answers sets it.
    pub genesis: Option<[u8; 32]>,
    /// Certificates (DER) trusted for `wss://` beside the system's own.
    pub extra_roots: Vec<Vec<u8>>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            request_deadline: Duration::from_secs(12),
            connect_deadline: Duration::from_secs(10),
            genesis: None,
            extra_roots: Vec::new(),
        }
    }
}

/// A request that no endpoint answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LinkError {
    #[error("{method} was not answered within {deadline:?} by {endpoint}")]
    Mute { method: String, endpoint: String, deadline: Duration },
    #[error("the connection to {endpoint} broke during {method}")]
    Broken { method: String, endpoint: String, source: Box<dyn StdError + Send + Sync> },
    #[error("{endpoint} is in trouble: {message} (code {code})")]
    Ill { endpoint: String, code: i32, message: String },
    #[error("a request was answered as a subscription, or the other way round")]
    Confused,
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl From<LinkError> for RpcError {
    fn from(error: LinkError) -> Self {
        Self::Client(Box::new(error))
    }
}

/// What a node's error speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The request: every node would answer so.
    Request,
    /// The node's memory: another may still have that state, and this one is well otherwise.
    History,
    /// The node: overloaded, limited, failing inside, or without the method.
    Node,
}

/// What an error speaks of. Codes of JSON-RPC 2.0 (−32603 inside, −32601 no such method,
/// −32000…−32099 the server's own), of providers (429, −32005 a limit), and of Substrate: 4003 the
/// client (most often a state that was dropped), 1012 a ban in this node's pool, 1016 its pool is
/// full.
pub(crate) fn blame(error: &UserError) -> Blame {
    let says = |text: &str| error.message.contains(text);
    match error.code {
        // The client's error and the server's range are shared by a state that is gone and by
        // everything else: the node's words are all there is to tell them apart, and telling them
        // apart wrongly costs one change of endpoint.
        4003 => Blame::History,
        _ if says("tate already discarded") || says("UnknownBlock") => Blame::History,
        429 | 1012 | 1016 | -32_601 | -32_603 | -32_099..=-32_000 => Blame::Node,
        _ => Blame::Request,
    }
}

/// A socket that is open, as far as we know.
struct Session {
    client: Client,
    /// Its endpoint's place in the list.
    place: usize,
}

/// What is known of an endpoint.
#[derive(Default)]
struct Post {
    session: RwLock<Option<Arc<Session>>>,
    /// Held while connecting, so that one task connects and the others wait for it.
    connecting: Mutex<()>,
    rest: Guarded<Rest>,
}

/// How long an endpoint that was left is left alone.
#[derive(Clone, Copy, Default)]
struct Rest {
    until: Option<Instant>,
    length: Duration,
}

impl Rest {
    fn begin(&mut self, now: Instant) {
        // One that held for as long as it last rested begins anew.
        let held = self.until.is_some_and(|until| now > until + self.length);
        self.length = if self.length.is_zero() || held {
            FIRST_REST
        } else {
            (self.length * 2).min(LONGEST_REST)
        };
        self.until = Some(now + self.length);
    }

    fn lasts(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// See the module's documentation.
pub(crate) struct Link {
    endpoints: Vec<Url>,
    options: ConnectOptions,
    tls: Option<ClientConfig>,
    genesis: RwLock<Option<[u8; 32]>>,
    posts: Vec<Post>,
    /// The endpoint that is asked first.
    home: AtomicUsize,
    /// Why the first of the list is not home, or why nobody answers.
    trouble: RwLock<Option<String>>,
}

impl Link {
    /// Connects to the first endpoint that answers.
    pub(crate) async fn open(
        endpoints: &[String],
        options: ConnectOptions,
    ) -> Result<Arc<Self>, ConnectError> {
        let endpoints = endpoints.iter().map(|e| parse(e)).collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(ConnectError::NoEndpoint);
        }
        let secure = endpoints.iter().any(|e| e.scheme() == "wss");
        let tls = if secure { Some(tls_config(&options.extra_roots)?) } else { None };
        let link = Self {
            posts: endpoints.iter().map(|_| Post::default()).collect(),
            endpoints,
            tls,
            genesis: RwLock::new(options.genesis),
            home: AtomicUsize::new(0),
            trouble: RwLock::new(None),
            options,
        };
        link.session().await?;
        Ok(Arc::new(link))
    }

    /// The genesis hash every session of this link has.
    pub(crate) fn genesis(&self) -> [u8; 32] {
        self.genesis.read().unwrap_or_default()
    }

    /// The place in the list of the endpoint that is asked first.
    pub(crate) fn home(&self) -> usize {
        self.home.load(Ordering::Relaxed) % self.endpoints.len()
    }

    /// How many endpoints there are.
    pub(crate) fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// An endpoint without what may be secret in it.
    pub(crate) fn name(&self, place: usize) -> String {
        public_name(&self.endpoints[place % self.endpoints.len()])
    }

    /// Why the first endpoint of the list is not in use, or why none is; `None` when all is well.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.read().clone()
    }

    /// A session at home, or at the next endpoint that answers, which is home from then on.
    async fn session(&self) -> Result<Arc<Session>, ConnectError> {
        let mut failures = Vec::new();
        let home = self.home();
        for offset in 0..self.endpoints.len() {
            let place = (home + offset) % self.endpoints.len();
            match self.session_at(place).await {
                Ok(session) => {
                    if place != home {
                        self.settle(place);
                    }
                    return Ok(session);
                }
                Err(error) => {
                    tracing::warn!(endpoint = %self.name(place), %error, "endpoint refused");
                    self.posts[place].rest.lock().begin(Instant::now());
                    self.note(format!("{}: {error}", self.name(place)));
                    failures.push((self.name(place), error));
                }
            }
        }
        Err(ConnectError::Unreachable { failures })
    }

    async fn session_at(&self, place: usize) -> Result<Arc<Session>, EndpointError> {
        let post = &self.posts[place];
        if let Some(session) = post.live() {
            return Ok(session);
        }
        let _connecting = post.connecting.lock().await;
        if let Some(session) = post.live() {
            return Ok(session);
        }
        let session = Arc::new(self.connect_to(place).await?);
        *post.session.write() = Some(Arc::clone(&session));
        Ok(session)
    }

    async fn connect_to(&self, place: usize) -> Result<Session, EndpointError> {
        let endpoint = &self.endpoints[place];
        let deadline = self.options.connect_deadline;
        let connect = async {
            let mut builder = WsClientBuilder::default()
                .max_request_size(MAX_REQUEST_BYTES)
                .max_response_size(MAX_RESPONSE_BYTES)
                .max_buffer_capacity_per_subscription(MAX_BUFFERED_NOTIFICATIONS)
                // The link's own deadlines are the shorter ones and know what to do.
                .request_timeout(self.options.request_deadline * 2)
                .connection_timeout(deadline * 2);
            if let Some(tls) = &self.tls {
                builder = builder.with_custom_cert_store(tls.clone());
            }
            let client = builder
                .build(endpoint.as_str())
                .await
                .map_err(|source| EndpointError::Socket { source: Box::new(source) })?;
            self.check_genesis(&client).await?;
            Ok(Session { client, place })
        };
        timeout(deadline, connect).await.map_err(|_| EndpointError::Mute { deadline })?
    }

    async fn check_genesis(&self, client: &Client) -> Result<(), EndpointError> {
        let params = RawValue::from_string("[0]".to_owned()).ok();
        let answer = RpcClientT::request_raw(client, "chain_getBlockHash", params)
            .await
            .map_err(|source| EndpointError::Genesis { source: Box::new(source) })?;
        let found = parse_hash(&answer).ok_or(EndpointError::NoGenesis)?;
        let expected = *self.genesis.write().get_or_insert(found);
        if found == expected {
            return Ok(());
        }
        Err(EndpointError::OtherChain { expected, found })
    }

    /// Makes an endpoint home.
    fn settle(&self, place: usize) {
        let before = self.home.swap(place, Ordering::Relaxed);
        if before == place {
            return;
        }
        if place == 0 {
            *self.trouble.write() = None;
        }
        tracing::warn!(from = %self.name(before), to = %self.name(place), "another endpoint is used");
    }

    /// Leaves home for the next endpoint, for a while.
    fn leave(&self, place: usize, why: &str) {
        tracing::warn!(endpoint = %self.name(place), why, "leaving the endpoint");
        self.posts[place].rest.lock().begin(Instant::now());
        self.note(why.to_owned());
        if self.home() == place && self.endpoints.len() > 1 {
            self.settle((place + 1) % self.endpoints.len());
        }
    }

    fn note(&self, why: String) {
        *self.trouble.write() = Some(why);
    }

    /// Nothing is wrong, where the first of the list is home and answers.
    fn well(&self, place: usize) {
        if place == 0 && self.trouble.read().is_some() {
            *self.trouble.write() = None;
        }
    }

    /// Closes the socket of an endpoint that has stopped, and leaves it.
    pub(crate) fn give_up(&self, place: usize, why: &str) {
        *self.posts[place].session.write() = None;
        self.leave(place, why);
    }

    fn hang_up(&self, failed: &Arc<Session>) {
        let mut session = self.posts[failed.place].session.write();
        if session.as_ref().is_some_and(|current| Arc::ptr_eq(current, failed)) {
            *session = None;
        }
    }

    /// Runs one request: at home, and at the other endpoints where home cannot answer it and
    /// sending twice is harmless.
    async fn run(&self, request: Request<'_>) -> Result<Answer, RpcError> {
        // Once on each endpoint, and once more on a new socket where there is only one.
        let tries = self.endpoints.len().max(2);
        let mut failure = RpcError::from(LinkError::from(ConnectError::NoEndpoint));
        let mut elsewhere = None;
        for _ in 0..tries {
            let session = match elsewhere.take() {
                None => self.session().await.map_err(LinkError::from)?,
                Some(place) => match self.session_at(place).await {
                    Ok(session) => session,
                    Err(_) => break,
                },
            };
            let place = session.place;
            match self.attempt(&session, &request).await {
                Ok(Err(RpcError::User(error))) => match blame(&error) {
                    Blame::Request => return Err(error.into()),
                    Blame::History => {
                        let next = (place + 1) % self.endpoints.len();
                        failure = error.into();
                        if next == self.home() {
                            break;
                        }
                        elsewhere = Some(next);
                    }
                    Blame::Node => {
                        let (endpoint, code) = (self.name(place), error.code);
                        let ill = LinkError::Ill { endpoint, code, message: error.message };
                        self.leave(place, &ill.to_string());
                        failure = ill.into();
                        if self.endpoints.len() == 1 {
                            break;
                        }
                    }
                },
                Ok(answer) => {
                    self.well(place);
                    return answer;
                }
                Err(error) => {
                    self.hang_up(&session);
                    self.leave(place, &error.to_string());
                    failure = error.into();
                    if !request.is_harmless_twice() {
                        break;
                    }
                }
            }
        }
        Err(failure)
    }

    /// `Ok` is the node's answer, an error included; `Err` is the want of one.
    async fn attempt(
        &self,
        session: &Session,
        request: &Request<'_>,
    ) -> Result<Result<Answer, RpcError>, LinkError> {
        let deadline = self.options.request_deadline;
        let endpoint = || self.name(session.place);
        let method = || request.method.to_owned();
        match timeout(deadline, request.send(&session.client)).await {
            Ok(Err(RpcError::Client(source))) => {
                Err(LinkError::Broken { method: method(), endpoint: endpoint(), source })
            }
            Ok(answer) => Ok(answer),
            Err(_) => Err(LinkError::Mute { method: method(), endpoint: endpoint(), deadline }),
        }
    }

    /// One request to one endpoint, whoever is home.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        place: usize,
        method: &str,
        params: &str,
        deadline: Duration,
    ) -> Result<T, RpcError> {
        let asked = async {
            let session = self.session_at(place).await.map_err(|error| {
                let failures = vec![(self.name(place), error)];
                LinkError::from(ConnectError::Unreachable { failures })
            })?;
            let params = RawValue::from_string(params.to_owned()).ok();
            RpcClientT::request_raw(&session.client, method, params).await
        };
        let answer = timeout(deadline, asked).await.map_err(|_| LinkError::Mute {
            method: method.to_owned(),
            endpoint: self.name(place),
            deadline,
        })??;
        serde_json::from_str(answer.get()).map_err(RpcError::Deserialization)
    }

    /// Where the chain is, as one endpoint sees it; `None` if it does not say within the deadline.
    pub(crate) async fn sight(&self, place: usize, deadline: Duration) -> Option<Sighting> {
        let look = async {
            let hash: String = self.ask(place, "chain_getFinalizedHead", "[]", deadline).await?;
            let params = format!("[\"{hash}\"]");
            let (finalized, best, time) = tokio::try_join!(
                self.ask::<HeaderNumber>(place, "chain_getHeader", &params, deadline),
                self.ask::<HeaderNumber>(place, "chain_getHeader", "[]", deadline),
                self.ask::<Option<String>>(place, "state_getStorage", TIMESTAMP_KEY, deadline),
            )?;
            Ok::<_, RpcError>(Sighting::new(finalized.number()?, best.number()?, time.as_deref()))
        };
        match timeout(deadline, Box::pin(look)).await {
            Ok(Ok(sighting)) => Some(sighting),
            Ok(Err(error)) => {
                tracing::debug!(endpoint = %self.name(place), %error, "no sight of the chain");
                None
            }
            Err(_) => None,
        }
    }

    /// Asks every endpoint where the chain is, and makes the best of them home. What home said.
    pub(crate) async fn survey(&self, deadline: Duration, max_lag: u64) -> Option<Sighting> {
        let all = (0..self.endpoints.len()).map(|place| self.sight(place, deadline));
        let sightings = join_all(all).await;
        let now = Instant::now();
        let resting: Vec<bool> =
            self.posts.iter().map(|post| post.rest.lock().lasts(now)).collect();
        let home = self.home();
        let chosen = choose(home, &sightings, &resting, max_lag);
        if sightings[home].is_none() {
            self.give_up(home, &format!("{} does not answer", self.name(home)));
        }
        if chosen != home {
            if let Some(lag) = sightings[home].zip(sightings[chosen]).map(|(a, b)| b.ahead_of(&a)) {
                self.posts[home].rest.lock().begin(now);
                if lag > 0 {
                    self.note(format!("{} is {lag} blocks behind", self.name(home)));
                }
            }
            self.settle(chosen);
        }
        sightings[self.home()]
    }
}

/// The height in a header.
#[derive(serde::Deserialize)]
struct HeaderNumber {
    number: String,
}

impl HeaderNumber {
    fn number(&self) -> Result<u64, RpcError> {
        let digits = self.number.trim_start_matches("0x");
        u64::from_str_radix(digits, 16)
            .map_err(|error| RpcError::Deserialization(serde::de::Error::custom(error)))
    }
}

impl Post {
    fn live(&self) -> Option<Arc<Session>> {
        self.session.read().clone().filter(|session| session.client.is_connected())
    }
}

/// A request that can be sent more than once.
struct Request<'a> {
    method: &'a str,
    params: Option<Box<RawValue>>,
    /// The method that ends the subscription, if this begins one.
    unsubscribe: Option<&'a str>,
}

enum Answer {
    Value(Box<RawValue>),
    Stream(RawRpcSubscription),
}

impl Request<'_> {
    /// Whether sending it again, after we do not know what became of it, changes nothing. An
    /// extrinsic takes effect once, but who sends it again must know that it was sent before.
    fn is_harmless_twice(&self) -> bool {
        !self.method.starts_with("author_") && !self.method.starts_with("dev_")
    }

    async fn send(&self, client: &Client) -> Result<Answer, RpcError> {
        let params = self.params.clone();
        match self.unsubscribe {
            None => client.request_raw(self.method, params).await.map(Answer::Value),
            Some(unsubscribe) => {
                client.subscribe_raw(self.method, params, unsubscribe).await.map(Answer::Stream)
            }
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.endpoints.iter().map(public_name).collect();
        f.debug_struct("Link").field("endpoints", &names).finish_non_exhaustive()
    }
}

impl RpcClientT for Link {
    fn request_raw<'a>(
        &'a self,
        method: &'a str,
        params: Option<Box<RawValue>>,
    ) -> RawRpcFuture<'a, Box<RawValue>> {
        Box::pin(async move {
            match self.run(Request { method, params, unsubscribe: None }).await? {
                Answer::Value(value) => Ok(value),
                Answer::Stream(_) => Err(LinkError::Confused.into()),
            }
        })
    }

    fn subscribe_raw<'a>(
        &'a self,
        sub: &'a str,
        params: Option<Box<RawValue>>,
        unsub: &'a str,
    ) -> RawRpcFuture<'a, RawRpcSubscription> {
        Box::pin(async move {
            match self.run(Request { method: sub, params, unsubscribe: Some(unsub) }).await? {
                Answer::Stream(stream) => Ok(stream),
                Answer::Value(_) => Err(LinkError::Confused.into()),
            }
        })
    }
}

/// Scheme, host and port: a provider's key often stands in the path or before the host.
fn public_name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = if url.path().len() > 1 || url.query().is_some() { "/…" } else { "" };
    format!("{}://{host}{port}{path}", url.scheme())
}

fn parse(endpoint: &str) -> Result<Url, ConnectError> {
    let url = Url::parse(endpoint)
        .map_err(|source| ConnectError::NotAUrl { endpoint: endpoint.to_owned(), source })?;
    if !matches!(url.scheme(), "ws" | "wss") {
        return Err(ConnectError::Scheme { endpoint: endpoint.to_owned() });
    }
    Ok(url)
}

fn parse_hash(answer: &RawValue) -> Option<[u8; 32]> {
    let text: String = serde_json::from_str(answer.get()).ok()?;
    let mut hash = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x")?, &mut hash).ok()?;
    Some(hash)
}

/// The system's roots and the caller's, with a crypto provider named here: two providers may be
/// compiled in, and then rustls refuses to choose.
fn tls_config(extra_roots: &[Vec<u8>]) -> Result<ClientConfig, ConnectError> {
    let tls = |source| ConnectError::Tls { source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = extra_roots.iter().map(|der| CertificateDer::from(der.clone()));
    let verifier =
        rustls_platform_verifier::Verifier::new_with_extra_roots(roots, Arc::clone(&provider))
            .map_err(tls)?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: i32, message: &str) -> UserError {
        UserError { code, message: message.into(), data: None }
    }

    #[test]
    fn errors_are_blamed_on_the_request_the_history_or_the_node() {
        for (code, message, expected) in [
            (-32_005, "limit exceeded", Blame::Node),
            (429, "Too Many Requests", Blame::Node),
            (-32_603, "Internal error", Blame::Node),
            (-32_000, "Server error", Blame::Node),
            (-32_099, "Server error", Blame::Node),
            (-32_000, "State already discarded for 0x01", Blame::History),
            (4003, "Client error: UnknownBlock: State already discarded", Blame::History),
            (-32_602, "Invalid params", Blame::Request),
            (1010, "Invalid Transaction", Blame::Request),
            (1013, "Already Imported", Blame::Request),
            (1014, "Priority is too low", Blame::Request),
            (1016, "Immediately Dropped", Blame::Node),
        ] {
            assert_eq!(blame(&error(code, message)), expected, "{code} {message}");
        }
    }

    #[test]
    fn an_endpoint_that_fails_again_rests_for_longer_and_one_that_held_begins_anew() {
        let start = Instant::now();
        let mut rest = Rest::default();
        assert!(!rest.lasts(start));
        rest.begin(start);
        assert!(rest.lasts(start + FIRST_REST / 2) && !rest.lasts(start + FIRST_REST));
        rest.begin(start + FIRST_REST);
        assert_eq!(rest.length, FIRST_REST * 2);
        let later = start + FIRST_REST * 10;
        rest.begin(later);
        assert_eq!(rest.length, FIRST_REST);
    }

    #[test]
    fn what_may_be_a_secret_in_an_address_is_not_shown() {
        let url = parse("wss://user:pass@node.example:443/v1/KEY?token=x").unwrap();
        assert_eq!(public_name(&url), "wss://node.example/…");
        let plain = parse("ws://127.0.0.1:9944").unwrap();
        assert_eq!(public_name(&plain), "ws://127.0.0.1:9944");
    }
}
