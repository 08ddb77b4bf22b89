//! An answer as it comes, proven once it is whole.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use chain_metadata::Hotkey;
use http::{HeaderMap, StatusCode, header::CONTENT_ENCODING};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use sha2::{Digest, Sha256};
use tokio::time::timeout_at;

use super::{Answer, AnswerError, Timing};
use crate::{answer, auth::Verified};

/// One question's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    deadline: Duration,
}

impl Clock {
    pub(super) fn start(deadline: Duration) -> Self {
        Self { start: Instant::now(), deadline }
    }

    /// What `future` comes to, if it does before the deadline.
    pub(super) async fn within<F: Future>(&self, future: F) -> Result<F::Output, AnswerError> {
        let end = tokio::time::Instant::from_std(self.start) + self.deadline;
        timeout_at(end, future).await.map_err(|_| AnswerError::Timeout { after: self.deadline })
    }
}

/// An answer that is still coming. What [`AnswerStream::chunk`] hands out is not proven until it
/// has returned `None`: show it to whoever waits, but score nothing before.
#[derive(Debug)]
pub struct AnswerStream {
    body: reqwest::Body,
    /// The answer's headers, and its trailers once they have come.
    headers: HeaderMap,
    digest: Sha256,
    received: usize,
    limit: usize,
    miner: Hotkey,
    asked: Verified,
    clock: Clock,
    timing: Timing,
    ended: bool,
}

impl AnswerStream {
    pub(super) fn begin(
        response: reqwest::Response,
        miner: Hotkey,
        asked: Verified,
        clock: Clock,
        limit: usize,
    ) -> Result<Self, AnswerError> {
        let first_byte = clock.start.elapsed();
        let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        if parts.status != StatusCode::OK {
            return Err(AnswerError::Status(parts.status.as_u16()));
        }
        if parts.headers.contains_key(CONTENT_ENCODING) {
            return Err(AnswerError::Encoded);
        }
        if body.size_hint().lower() > limit as u64 {
            return Err(AnswerError::TooLarge { limit });
        }
        let timing = Timing { first_byte, total: first_byte };
        let (headers, digest) = (parts.headers, Sha256::new());
        Ok(Self {
            body,
            headers,
            digest,
            received: 0,
            limit,
            miner,
            asked,
            clock,
            timing,
            ended: false,
        })
    }

    /// The next bytes; `None` when all have come and are proven to be the miner's answer.
    ///
    /// # Errors
    /// Why there will be no proven answer by the deadline.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, AnswerError> {
        while !self.ended {
            let frame = self.clock.within(self.body.frame()).await?;
            self.timing.total = self.clock.start.elapsed();
            let Some(frame) = frame else {
                self.ended = true;
                self.prove()?;
                break;
            };
            match frame?.into_data() {
                Ok(data) => return self.take_in(data).map(Some),
                Err(other) => self.headers.extend(other.into_trailers().unwrap_or_default()),
            }
        }
        Ok(None)
    }

    /// Times so far, by our clock.
    pub const fn timing(&self) -> Timing {
        self.timing
    }

    /// All of the answer, proven.
    ///
    /// # Errors
    /// As [`AnswerStream::chunk`].
    pub async fn whole(mut self) -> Result<Answer, AnswerError> {
        let mut body = BytesMut::new();
        while let Some(data) = self.chunk().await? {
            body.extend_from_slice(&data);
        }
        let Self { miner, timing, asked: request, .. } = self;
        Ok(Answer { miner, body: body.freeze(), timing, request })
    }

    fn take_in(&mut self, data: Bytes) -> Result<Bytes, AnswerError> {
        self.received += data.len();
        if self.received > self.limit {
            self.ended = true;
            return Err(AnswerError::TooLarge { limit: self.limit });
        }
        self.digest.update(&data);
        Ok(data)
    }

    fn prove(&mut self) -> Result<(), AnswerError> {
        let digest = self.digest.finalize_reset().into();
        let status = StatusCode::OK.as_u16();
        answer::check_digest(&self.headers, &self.miner, &self.asked, status, digest)?;
        Ok(())
    }
}
