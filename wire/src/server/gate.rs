//! Stands before the routes: nothing unverified in, nothing unsigned out.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderValue,
    header::{CONNECTION, CONTENT_ENCODING, TRANSFER_ENCODING},
};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Caller, Limits, Peer, Refusal, Streamed, seats::Standing, stream::seal_as_it_goes,
    strikes::Strikes,
};
use crate::{
    admission::Admission,
    answer,
    auth::{AuthError, Claim, Signer, UnixNanos},
    metrics::{Code, Counters},
    replay::ReplayStore,
};

/// Verifies requests, hands them on as [`Caller`]s, and signs what comes back.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

pub(super) struct Inner {
    pub(super) signer: Signer,
    admission: Box<dyn Admission>,
    replay: ReplayStore,
    pub(super) limits: Limits,
    counters: Arc<Counters>,
    strikes: Strikes,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("signer", &self.0.signer).finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate for the hotkey of `signer`. The replay store brings the window of time in which
    /// nonces are accepted.
    pub fn new(
        signer: impl Into<Signer>,
        admission: impl Admission,
        replay: ReplayStore,
        limits: Limits,
        counters: Arc<Counters>,
    ) -> Self {
        let (signer, admission) = (signer.into(), Box::new(admission));
        let strikes = Strikes::default();
        Self(Arc::new(Inner { signer, admission, replay, limits, counters, strikes }))
    }

    /// Puts the gate before every route of `router`, its fallback included. Routes for everybody
    /// (health, say) are merged afterwards. Guard the outermost router: a nested one does not see
    /// the path that was signed.
    pub fn guard(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), pass))
    }
}

async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let gate = &gate.0;
    match gate.verify(request).await {
        Err(refusal) => {
            gate.counters.refuse(refusal.0);
            // A stranger's connection is not kept.
            let mut response = refusal.into_response();
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            response
        }
        Ok((caller, request)) => {
            gate.counters.verified.add_one();
            let deadline = Instant::now() + gate.limits.handler_time;
            let response = timeout_at(deadline, next.run(request)).await;
            let response = response.unwrap_or_else(|_| gate.fail(Code::HandlerTimeout));
            if response.extensions().get::<Streamed>().is_some() {
                return seal_as_it_goes(Arc::clone(gate), caller.request, response, deadline);
            }
            gate.sign(&caller, response).await
        }
    }
}

impl Inner {
    /// The whole order of checks, cheapest first.
    async fn verify(&self, request: Request) -> Result<(Caller, Request), Refusal> {
        let (mut parts, body) = request.into_parts();
        let claim = self.hear(&parts)?;
        let body = read(body, &self.limits).await?;
        let target = target(&parts.uri)?;
        let verified = claim.verify(parts.method.as_str(), target, &body).map_err(|error| {
            if let Some(ip) = ip(&parts) {
                self.strikes.add(ip, Instant::now());
            }
            refuse(&error)
        })?;
        self.replay.accept(&verified, UnixNanos::now()).map_err(|error| Refusal::from(&error))?;
        if let Some(standing) = parts.extensions.get::<Standing>() {
            standing.prove();
        }
        let caller = Caller { request: verified, body };
        parts.extensions.insert(caller.clone());
        Ok((caller, Request::from_parts(parts, Body::empty())))
    }

    /// Everything that can be decided without the body.
    fn hear(&self, parts: &http::request::Parts) -> Result<Claim, Refusal> {
        let claim = Claim::parse(&parts.headers).map_err(|error| refuse(&error))?;
        claim.addressed_to(self.signer.address()).map_err(|error| refuse(&error))?;
        let freshness = self.replay.freshness();
        freshness.check(claim.nonce(), UnixNanos::now()).map_err(|error| refuse(&error))?;
        self.admission.admit(&claim.sender())?;
        let limit = self.limits.bad_signatures_per_ip;
        if ip(parts).is_some_and(|ip| self.strikes.is_out(ip, limit, Instant::now())) {
            return Err(Refusal(Code::TooManyFailures));
        }
        target(&parts.uri)?;
        if parts.headers.contains_key(CONTENT_ENCODING) {
            return Err(Refusal(Code::Encoded));
        }
        // A length beside a transfer coding is how two servers come to disagree about where a
        // request ends; a signed body was known whole when it was sent, so its length is too.
        if parts.headers.contains_key(TRANSFER_ENCODING) {
            return Err(Refusal(Code::LengthRequired));
        }
        Ok(claim)
    }

    /// Signs a handler's answer, whatever its status.
    async fn sign(&self, caller: &Caller, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        if let Ok(body) = Limited::new(body, self.limits.answer_bytes).collect().await {
            return self.sealed(caller, parts, body.to_bytes());
        }
        let (parts, _) = self.fail(Code::AnswerTooLarge).into_parts();
        self.sealed(caller, parts, Bytes::from_static(Code::AnswerTooLarge.body().as_bytes()))
    }

    fn sealed(&self, caller: &Caller, mut parts: http::response::Parts, body: Bytes) -> Response {
        let status = parts.status.as_u16();
        answer::seal(&mut parts.headers, &self.signer, &caller.request, status, &body);
        Response::from_parts(parts, Body::from(body))
    }

    /// Counts a handler's failure, and says it to the caller.
    pub(super) fn fail(&self, code: Code) -> Response {
        self.counters.failed.add_one();
        tracing::warn!(code = code.as_str(), "a handler failed");
        Refusal(code).into_response()
    }
}

/// Where a request came from, as [`serve`](super::serve) says; `None` behind another server.
fn ip(parts: &http::request::Parts) -> Option<IpAddr> {
    parts.extensions.get::<Peer>().map(|peer| peer.0.ip())
}

fn refuse(error: &AuthError) -> Refusal {
    tracing::debug!(%error, "a request is refused");
    error.into()
}

/// The request target as it was sent, which must be a path: the other forms of HTTP's request line
/// say what to do with it elsewhere.
fn target(uri: &http::Uri) -> Result<&str, Refusal> {
    match uri.path_and_query() {
        Some(target) if uri.authority().is_none() => Ok(target.as_str()),
        _ => Err(Refusal(Code::BadTarget)),
    }
}

async fn read(body: Body, limits: &Limits) -> Result<Bytes, Refusal> {
    let declared = body.size_hint().lower();
    if declared > limits.body_bytes as u64 {
        return Err(Refusal(Code::TooLarge));
    }
    timeout(limits.body_time, collect(body, limits))
        .await
        .unwrap_or(Err(Refusal(Code::BodyTimeout)))
}

/// Grows as the bytes come: a declared length alone costs no memory.
async fn collect(mut body: Body, limits: &Limits) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    loop {
        let frame = timeout(limits.body_idle, body.frame())
            .await
            .map_err(|_| Refusal(Code::BodyTimeout))?;
        let data = match frame {
            None if whole.is_empty() => return Ok(first),
            None => return Ok(whole.freeze()),
            Some(frame) => frame.map_err(|_| Refusal(Code::BodyBroken))?.into_data(),
        };
        // Trailers are not signed and say nothing here.
        let Ok(data) = data else { continue };
        if first.len().max(whole.len()) + data.len() > limits.body_bytes {
            return Err(Refusal(Code::TooLarge));
        }
        if first.is_empty() {
            // Most bodies come in one piece, which is kept as it is.
            first = data;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&data);
        }
    }
}
