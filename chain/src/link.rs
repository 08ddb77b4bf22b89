//! One JSON-RPC connection that outlives its sockets.
//!
//! Every request has a deadline. A socket that broke or stayed mute is dropped, and the next
//! request opens another, at the next endpoint in turn; requests that only read are then sent
//! again. An endpoint that serves another chain is never used.

use std::{
    error::Error as StdError,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jsonrpsee_core::client::Client;
use jsonrpsee_ws_client::WsClientBuilder;
use parking_lot::RwLock;
use rustls::{ClientConfig, pki_types::CertificateDer};
use subxt::rpcs::{
    Error as RpcError, RpcClientT,
    client::{RawRpcFuture, RawRpcSubscription, RawValue},
};
use tokio::{sync::Mutex, time::timeout};
use url::Url;

use crate::{ConnectError, EndpointError};

/// Largest answer accepted. A runtime's metadata is under 1 MiB in hex, a metagraph of 4,096
/// neurons about 2 MiB.
const MAX_RESPONSE_BYTES: u32 = 64 << 20;

/// Largest request sent: a weight commit in hex is under 70 kB.
const MAX_REQUEST_BYTES: u32 = 16 << 20;

/// Notifications a slow subscriber may be behind before the connection drops the subscription.
const MAX_BUFFERED_NOTIFICATIONS: usize = 1024;

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
    Mute { method: String, endpoint: Url, deadline: Duration },
    #[error("the connection to {endpoint} broke during {method}")]
    Broken { method: String, endpoint: Url, source: Box<dyn StdError + Send + Sync> },
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

/// A socket that is open, as far as we know.
struct Session {
    client: Client,
    /// Its endpoint's place in the list.
    place: usize,
}

/// See the module's documentation.
pub(crate) struct Link {
    endpoints: Vec<Url>,
    options: ConnectOptions,
    tls: Option<ClientConfig>,
    genesis: RwLock<Option<[u8; 32]>>,
    session: RwLock<Option<Arc<Session>>>,
    /// Held while connecting, so that one task connects and the others wait for it.
    connecting: Mutex<()>,
    /// The endpoint to try first.
    first: AtomicUsize,
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
            endpoints,
            tls,
            genesis: RwLock::new(options.genesis),
            session: RwLock::new(None),
            connecting: Mutex::new(()),
            first: AtomicUsize::new(0),
            options,
        };
        link.session().await?;
        Ok(Arc::new(link))
    }

    /// The genesis hash every session of this link has.
    pub(crate) fn genesis(&self) -> [u8; 32] {
        self.genesis.read().unwrap_or_default()
    }

    /// The endpoint in use, or to be tried next.
    pub(crate) fn endpoint(&self) -> &Url {
        let session = self.session.read().clone();
        let place = session.map_or_else(|| self.first.load(Ordering::Relaxed), |s| s.place);
        &self.endpoints[place % self.endpoints.len()]
    }

    async fn session(&self) -> Result<Arc<Session>, ConnectError> {
        if let Some(session) = self.live_session() {
            return Ok(session);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(session) = self.live_session() {
            return Ok(session);
        }
        let session = Arc::new(self.connect().await?);
        *self.session.write() = Some(Arc::clone(&session));
        Ok(session)
    }

    fn live_session(&self) -> Option<Arc<Session>> {
        self.session.read().clone().filter(|session| session.client.is_connected())
    }

    /// Tries each endpoint once, beginning after the one that failed last.
    async fn connect(&self) -> Result<Session, ConnectError> {
        let mut failures = Vec::new();
        for offset in 0..self.endpoints.len() {
            let place = (self.first.load(Ordering::Relaxed) + offset) % self.endpoints.len();
            match self.connect_to(place).await {
                Ok(session) => {
                    self.first.store(place, Ordering::Relaxed);
                    return Ok(session);
                }
                Err(error) => {
                    tracing::warn!(endpoint = %self.endpoints[place], %error, "endpoint refused");
                    failures.push((self.endpoints[place].to_string(), error));
                }
            }
        }
        Err(ConnectError::Unreachable { failures })
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

    /// Drops a session that failed, so that the next request goes to the next endpoint.
    fn drop_session(&self, failed: &Arc<Session>) {
        let mut session = self.session.write();
        if session.as_ref().is_some_and(|current| Arc::ptr_eq(current, failed)) {
            *session = None;
            self.first.store((failed.place + 1) % self.endpoints.len(), Ordering::Relaxed);
        }
    }

    /// Runs one request, on another session if the first one fails and sending twice is harmless.
    async fn run(&self, request: Request<'_>) -> Result<Answer, RpcError> {
        // A read is tried once on each endpoint, and once more where there is only one.
        let tries = if request.is_read() { self.endpoints.len().max(2) } else { 1 };
        let mut failure = LinkError::from(ConnectError::NoEndpoint);
        for _ in 0..tries {
            let session = self.session().await.map_err(LinkError::from)?;
            match self.attempt(&session, &request).await {
                Ok(answer) => return answer,
                Err(error) => {
                    tracing::warn!(%error, "request failed, leaving the endpoint");
                    self.drop_session(&session);
                    failure = error;
                }
            }
        }
        Err(failure.into())
    }

    /// `Ok` is the node's answer, an error included; `Err` is the want of one.
    async fn attempt(
        &self,
        session: &Session,
        request: &Request<'_>,
    ) -> Result<Result<Answer, RpcError>, LinkError> {
        let deadline = self.options.request_deadline;
        let endpoint = || self.endpoints[session.place].clone();
        let method = || request.method.to_owned();
        match timeout(deadline, request.send(&session.client)).await {
            Ok(Err(RpcError::Client(source))) => {
                Err(LinkError::Broken { method: method(), endpoint: endpoint(), source })
            }
            Ok(answer) => Ok(answer),
            Err(_) => Err(LinkError::Mute { method: method(), endpoint: endpoint(), deadline }),
        }
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
    /// Whether sending it twice changes nothing on the chain.
    fn is_read(&self) -> bool {
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
        f.debug_struct("Link").field("endpoints", &self.endpoints).finish_non_exhaustive()
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
