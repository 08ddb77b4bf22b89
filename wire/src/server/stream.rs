//! An answer that is sent while it is made, signed in a trailer at its end.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_LENGTH, TRAILER},
};
use hyper::body::Frame;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, Sleep, sleep_until};

use super::gate::Inner;
use crate::{answer, auth::Verified, metrics::Code};

/// Marks a handler's response as one whose body is sent as it comes, not when it is whole: put it
/// into the response's extensions.
///
/// The signature is then a trailer. HTTP lets a server send one only to a client that says
/// `TE: trailers`, as ours does; others get the body without a proof. A body that outlasts the
/// handler's time or the answer's cap is broken off, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed;

/// The names of the trailers.
const TRAILERS: HeaderValue = HeaderValue::from_static("x-ganglion-signature, x-ganglion-crypto");

pub(super) fn seal_as_it_goes(
    gate: Arc<Inner>,
    request: Verified,
    response: Response,
    deadline: Instant,
) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(TRAILER, TRAILERS);
    let sealed = Sealed {
        body,
        left: gate.limits.answer_bytes,
        digest: Sha256::new(),
        deadline: Box::pin(sleep_until(deadline)),
        status: parts.status.as_u16(),
        gate,
        request,
        ended: false,
    };
    Response::from_parts(parts, Body::new(sealed))
}

/// A body that counts and digests what passes, and signs when it ends.
struct Sealed {
    body: Body,
    /// Bytes that may still pass.
    left: usize,
    digest: Sha256,
    deadline: Pin<Box<Sleep>>,
    status: u16,
    gate: Arc<Inner>,
    request: Verified,
    ended: bool,
}

type Framed = Result<Frame<Bytes>, axum::BoxError>;

impl Sealed {
    fn pass(&mut self, data: Bytes) -> Framed {
        let Some(left) = self.left.checked_sub(data.len()) else {
            return self.break_off(Code::AnswerTooLarge);
        };
        self.left = left;
        self.digest.update(&data);
        Ok(Frame::data(data))
    }

    fn sign(&mut self) -> Frame<Bytes> {
        self.ended = true;
        let digest = self.digest.finalize_reset().into();
        let mut trailers = HeaderMap::new();
        let signer = &self.gate.signer;
        answer::seal_digest(&mut trailers, signer, &self.request, self.status, digest);
        Frame::trailers(trailers)
    }

    fn break_off(&mut self, code: Code) -> Framed {
        self.ended = true;
        self.gate.fail(code);
        Err(io::Error::other(code.as_str()).into())
    }
}

impl hyper::body::Body for Sealed {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Framed>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(self.break_off(Code::HandlerTimeout)));
        }
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(Some(Ok(self.sign()))),
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
                Some(Ok(frame)) => frame,
            };
            // Trailers of the handler's own are not signed, so they are not sent.
            if let Ok(data) = frame.into_data() {
                return Poll::Ready(Some(self.pass(data)));
            }
        }
    }
}
