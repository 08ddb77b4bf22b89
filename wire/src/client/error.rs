//! How a question can end without an answer.

use std::time::Duration;

use super::AddressError;
use crate::answer::AnswerSignatureError;

/// Why a miner did not answer. Whatever it is, the miner is treated as silent, and the reason is
/// counted under [`AnswerError::code`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The published address is not one that is called; nothing was sent.
    #[error("the miner was not asked")]
    Address(#[from] AddressError),
    /// No complete answer by the deadline.
    #[error("no complete answer within {after:?}")]
    Timeout {
        /// The deadline.
        after: Duration,
    },
    /// The body is larger than is read.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The cap in bytes.
        limit: usize,
    },
    /// The body is compressed; it was not asked to be, and is not unpacked.
    #[error("the answer is encoded, which was not asked for")]
    Encoded,
    /// The answer is not the miner's to this request.
    #[error("the answer is not the miner's to this request")]
    BadSignature(#[from] AnswerSignatureError),
    /// The miner, or someone in its place, answered with another status than 200. Redirects are not
    /// followed and end here too.
    #[error("the miner answered with status {0}")]
    Status(u16),
    /// The connection could not be made, or broke.
    #[error("the connection failed")]
    Connection(#[source] reqwest::Error),
    /// What came is not HTTP.
    #[error("what came is not HTTP")]
    Garbage(#[source] reqwest::Error),
    /// The signed body is not the message that was asked for.
    #[error("the answer cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// The request cannot be put on the wire: its path is not one.
    #[error("`{path}` is not a path and query")]
    Path {
        /// What was given.
        path: String,
    },
    /// The task that asked ended before it had an answer (the program is shutting down).
    #[error("asking was given up")]
    Abandoned,
}

impl AnswerError {
    /// A short name for counters and evidence.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Timeout { .. } => "timeout",
            Self::TooLarge { .. } => "too_large",
            Self::Encoded => "encoded",
            Self::BadSignature(_) => "bad_signature",
            Self::Status(_) => "status",
            Self::Connection(_) => "connection",
            Self::Garbage(_) => "garbage",
            Self::Malformed(_) => "malformed",
            Self::Path { .. } => "path",
            Self::Abandoned => "abandoned",
        }
    }
}

impl From<reqwest::Error> for AnswerError {
    /// Sorts out what hyper could not read as HTTP from what did not arrive at all.
    fn from(error: reqwest::Error) -> Self {
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            if inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
                return Self::Garbage(error);
            }
            cause = inner.source();
        }
        Self::Connection(error)
    }
}
