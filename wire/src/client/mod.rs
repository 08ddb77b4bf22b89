//! The validator's voice: a signed question, and an answer that is proven, bounded and timed.
//!
//! One request is one deadline. Nothing that a miner sends makes us follow it elsewhere, unpack it,
//! wait longer or hold more than the cap.

mod endpoint;
mod error;
mod fan_out;
mod stream;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chain_metadata::Hotkey;
use http::{
    HeaderValue, Method,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, TE},
};

pub use endpoint::{AddressError, Endpoint, Network};
pub use error::AnswerError;
pub use fan_out::{Outcome, Question};
pub use stream::AnswerStream;
use stream::Clock;

use crate::auth::{NonceSource, Signer, Verified, sign};

/// What one question may cost, and whom we ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From sending to the last byte of the answer.
    pub deadline: Duration,
    /// For making a connection; within the deadline.
    pub connect: Duration,
    /// Bytes of an answer's body.
    pub answer_bytes: usize,
    /// Idle connections kept for each miner.
    pub idle_per_miner: usize,
    /// How long one is kept: less than servers allow, so that we close first.
    pub idle_time: Duration,
    /// Which addresses are called.
    pub network: Network,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            answer_bytes: 4 * 1024 * 1024,
            idle_per_miner: 1,
            idle_time: Duration::from_secs(8),
            network: Network::Public,
        }
    }
}

/// The HTTP client cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client")]
pub struct ClientError(#[from] reqwest::Error);

/// Asks miners in the name of one hotkey. Cheap to clone; clones share connections and nonces.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    identity: Arc<Identity>,
    limits: Limits,
}

#[derive(Debug)]
struct Identity {
    signer: Signer,
    nonces: NonceSource,
}

/// A miner's proven answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who signed it.
    pub miner: Hotkey,
    /// Its bytes, as signed.
    pub body: Bytes,
    /// How long it took, by our clock.
    pub timing: Timing,
    /// The request that it answers.
    pub request: Verified,
}

/// Times from the moment a request is handed to the network stack, connecting included, by the
/// monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// To the answer's headers.
    pub first_byte: Duration,
    /// To the last byte of its body.
    pub total: Duration,
}

impl Client {
    /// A client that signs as `signer`.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(signer: impl Into<Signer>, limits: Limits) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            // A proxy from the environment would see every question and could answer it.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(limits.connect)
            .pool_max_idle_per_host(limits.idle_per_miner)
            .pool_idle_timeout(limits.idle_time)
            .build()?;
        let identity = Identity { signer: signer.into(), nonces: NonceSource::default() };
        Ok(Self { http, identity: Arc::new(identity), limits })
    }

    /// Who asks.
    pub fn hotkey(&self) -> Hotkey {
        self.identity.signer.hotkey()
    }

    /// The bounds of each question.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The same client, with the same connections and nonces, and another deadline.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        let limits = Limits { deadline, ..self.limits };
        Self { limits, ..self.clone() }
    }

    /// Posts `body` to `path` of a miner.
    ///
    /// # Errors
    /// Why there is no proven answer with status 200 by the deadline.
    pub async fn post(
        &self,
        endpoint: &Endpoint,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, AnswerError> {
        self.ask(Method::POST, endpoint, path, body.into()).await
    }

    /// Gets `path` of a miner, signed as any request.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub async fn get(&self, endpoint: &Endpoint, path: &str) -> Result<Answer, AnswerError> {
        self.ask(Method::GET, endpoint, path, Bytes::new()).await
    }

    /// Posts as [`Client::post`], and hands out the answer as it comes.
    ///
    /// # Errors
    /// Why there is no answer with status 200 by the deadline.
    pub async fn stream(
        &self,
        endpoint: &Endpoint,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<AnswerStream, AnswerError> {
        self.open(Method::POST, endpoint, path, body.into()).await
    }

    async fn ask(
        &self,
        method: Method,
        endpoint: &Endpoint,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, AnswerError> {
        self.open(method, endpoint, path, body).await?.whole().await
    }

    async fn open(
        &self,
        method: Method,
        endpoint: &Endpoint,
        path: &str,
        body: Bytes,
    ) -> Result<AnswerStream, AnswerError> {
        self.limits.network.check(endpoint)?;
        let (request, asked) = self.prepare(method, endpoint, path, body)?;
        let clock = Clock::start(self.limits.deadline);
        let response = clock.within(self.http.execute(request)).await??;
        AnswerStream::begin(response, endpoint.hotkey, asked, clock, self.limits.answer_bytes)
    }

    fn prepare(
        &self,
        method: Method,
        endpoint: &Endpoint,
        path: &str,
        body: Bytes,
    ) -> Result<(reqwest::Request, Verified), AnswerError> {
        let url = url(endpoint, path)?;
        let Identity { signer, nonces } = &*self.identity;
        let nonce = nonces.next();
        let receiver = Some(&endpoint.hotkey);
        let (headers, digest) = sign(signer, method.as_str(), path, &body, receiver, nonce);

        let mut request = reqwest::Request::new(method, url);
        *request.headers_mut() = headers;
        let identity = HeaderValue::from_static("identity");
        request.headers_mut().insert(ACCEPT_ENCODING, identity);
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        if !body.is_empty() {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
            *request.body_mut() = Some(body.into());
        }
        Ok((request, Verified { hotkey: signer.hotkey(), nonce, digest }))
    }
}

impl Answer {
    /// The body as a message.
    ///
    /// # Errors
    /// [`AnswerError::Malformed`].
    pub fn message<T: serde::de::DeserializeOwned>(&self) -> Result<T, AnswerError> {
        serde_json::from_slice(&self.body).map_err(AnswerError::Malformed)
    }
}

/// The URL whose request target is exactly `path`: what is signed is what is sent.
fn url(endpoint: &Endpoint, path: &str) -> Result<url::Url, AnswerError> {
    let refused = || AnswerError::Path { path: path.to_owned() };
    let url = url::Url::parse(&format!("http://{}", endpoint.socket()))
        .and_then(|base| base.join(path))
        .map_err(|_| refused())?;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let here = url.socket_addrs(|| None).is_ok_and(|to| to == [endpoint.socket()]);
    if target == path && here { Ok(url) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_what_is_sent() {
        let ip = "192.0.2.1".parse().unwrap();
        let endpoint = Endpoint { ip, port: 8091, hotkey: Hotkey::from_bytes([1; 32]) };
        for path in ["/", "/v1/generate", "/generate?stream=false", "/a%20b?c=%2e"] {
            assert_eq!(
                url(&endpoint, path).unwrap().as_str(),
                format!("http://192.0.2.1:8091{path}")
            );
        }
        for path in
            ["", "v1", "//evil.example/x", "/a/../b", "/a b", "/a#b", "http://192.0.2.2/", "?x"]
        {
            assert!(matches!(url(&endpoint, path), Err(AnswerError::Path { .. })), "{path}");
        }
    }
}
