//! A miner to talk to, and raw bytes to talk to it with.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, routing::any};
use http::HeaderMap;
use sp_core::{Pair as _, sr25519};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use wire::{
    Admission, Caller, Client, Counters, Denial, Endpoint, Freshness, Gate, Network, ReplayStore,
    Signer, UnixNanos, auth, client, server, server::Drained,
};

pub(crate) const ECHO: &str = "/v1/echo?a=1";

pub(crate) fn key(name: &str) -> Signer {
    sr25519::Pair::from_string(name, None).unwrap().into()
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of an admission")]
pub(crate) fn anyone(_: &chain_metadata::Hotkey) -> Result<(), Denial> {
    Ok(())
}

/// Minutes of window, so that a slow machine does not make a request stale.
pub(crate) fn patient() -> Freshness {
    Freshness { max_age: Duration::from_secs(600), ..Freshness::default() }
}

/// //Bob's miner, which answers with what it was sent.
pub(crate) struct Miner {
    pub(crate) endpoint: Endpoint,
    pub(crate) counters: Arc<Counters>,
    pub(crate) calls: Arc<AtomicUsize>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinSet<Drained>,
}

impl Miner {
    pub(crate) async fn start() -> Self {
        Self::with(anyone, ReplayStore::for_new_key(patient()), server::Limits::default()).await
    }

    pub(crate) async fn limited(limits: server::Limits) -> Self {
        Self::with(anyone, ReplayStore::for_new_key(patient()), limits).await
    }

    pub(crate) async fn with(
        admission: impl Admission,
        replay: ReplayStore,
        limits: server::Limits,
    ) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let echo = Router::new().route("/v1/echo", any(echo)).with_state(Arc::clone(&calls));
        Self { calls, ..Self::serving(key("//Bob"), echo, admission, replay, limits).await }
    }

    pub(crate) async fn serving(
        signer: Signer,
        router: Router,
        admission: impl Admission,
        replay: ReplayStore,
        limits: server::Limits,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (ip, port) = (IpAddr::V4(Ipv4Addr::LOCALHOST), listener.local_addr().unwrap().port());
        let endpoint = Endpoint { ip, port, hotkey: signer.hotkey() };
        let (counters, shutdown) = (Arc::new(Counters::default()), CancellationToken::new());
        let app = Gate::new(signer, admission, replay, limits, Arc::clone(&counters)).guard(router);
        let mut serving = JoinSet::new();
        serving.spawn(wire::serve(listener, app, limits, Arc::clone(&counters), shutdown.clone()));
        Self { endpoint, counters, calls: Arc::default(), shutdown, serving }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn socket(&self) -> SocketAddr {
        self.endpoint.socket()
    }

    /// Sends bytes on a connection of their own and reads to its end.
    pub(crate) async fn exchange(&self, request: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.socket()).await.unwrap();
        // The server may answer and close before it has read everything.
        stream.write_all(request).await.unwrap_or_default();
        Reply::read(&mut stream).await
    }
}

async fn echo(State(calls): State<Arc<AtomicUsize>>, caller: Caller) -> bytes::Bytes {
    calls.fetch_add(1, Ordering::SeqCst);
    caller.body().clone()
}

pub(crate) fn client_with(limits: client::Limits) -> Client {
    Client::new(key("//Alice"), limits).unwrap()
}

pub(crate) fn local() -> client::Limits {
    client::Limits { network: Network::Local, ..client::Limits::default() }
}

/// The whole of what a server wrote on a connection.
pub(crate) struct Reply(pub(crate) Vec<u8>);

impl Reply {
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A reset after the answer is an end too.
        stream.read_to_end(&mut bytes).await.unwrap_or_default();
        Self(bytes)
    }

    /// 0 when the connection ended without an answer.
    pub(crate) fn status(&self) -> u16 {
        let text = String::from_utf8_lossy(&self.0);
        text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn body(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}

/// A request as it goes on the wire, in parts that a test can spoil.
#[derive(Clone)]
pub(crate) struct RawRequest {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl RawRequest {
    /// //Alice asks //Bob, now.
    pub(crate) fn signed(body: &[u8]) -> Self {
        Self::signed_at(UnixNanos::now(), body)
    }

    pub(crate) fn signed_at(nonce: UnixNanos, body: &[u8]) -> Self {
        let bob = key("//Bob").hotkey();
        let (headers, _) = auth::sign(&key("//Alice"), "POST", ECHO, body, Some(&bob), nonce);
        Self {
            method: "POST".to_owned(),
            target: ECHO.to_owned(),
            headers: plain(&headers),
            body: body.to_vec(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn head(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"host: miner\r\nconnection: close\r\n");
        bytes
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend(format!("content-length: {}\r\n\r\n", self.body.len()).into_bytes());
        bytes.extend(&self.body);
        bytes
    }
}

fn plain(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}
