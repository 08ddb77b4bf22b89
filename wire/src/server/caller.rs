//! What a handler knows of a request, and how it refuses one.

use axum::{
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chain_metadata::Hotkey;
use http::{HeaderValue, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;

use crate::{
    admission::Denial,
    auth::{AuthError, UnixNanos, Verified},
    metrics::Code,
    replay::ReplayError,
};

/// A verified request: who sent it, and the bytes that the sender signed.
///
/// Take it as the last argument of a handler behind a [`Gate`](super::Gate).
#[derive(Clone, Debug)]
pub struct Caller {
    pub(super) request: Verified,
    pub(super) body: Bytes,
}

impl Caller {
    /// Who sent it.
    pub const fn hotkey(&self) -> Hotkey {
        self.request.hotkey
    }

    /// Its nonce.
    pub const fn nonce(&self) -> UnixNanos {
        self.request.nonce
    }

    /// What was proven about it.
    pub const fn verified(&self) -> &Verified {
        &self.request
    }

    /// The body, byte for byte as it was signed.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as a message.
    ///
    /// # Errors
    /// A [`Refusal`] with [`Code::BadMessage`] when it is not one; it does not say where, as the
    /// sender wrote it.
    pub fn message<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| {
            tracing::debug!(caller = %self.hotkey(), %error, "a message cannot be read");
            Refusal(Code::BadMessage)
        })
    }
}

impl<S: Sync> FromRequest<S> for Caller {
    type Rejection = Refusal;

    async fn from_request(mut request: Request, _state: &S) -> Result<Self, Refusal> {
        request.extensions_mut().remove().ok_or(Refusal(Code::Unguarded))
    }
}

/// A request turned away: a status and a constant body of a few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub Code);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        (self.0.status(), [(CONTENT_TYPE, JSON)], self.0.body()).into_response()
    }
}

impl From<&AuthError> for Refusal {
    fn from(error: &AuthError) -> Self {
        Self(match error {
            AuthError::Missing { .. }
            | AuthError::Repeated { .. }
            | AuthError::Malformed { .. } => Code::Malformed,
            AuthError::WrongReceiver => Code::WrongReceiver,
            AuthError::Stale { .. } => Code::Stale,
            AuthError::Early { .. } => Code::Early,
            AuthError::BadSignature => Code::BadSignature,
        })
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self(match denial {
            Denial::Unknown => Code::Unknown,
            Denial::NotPermitted => Code::NotPermitted,
            Denial::TooMany => Code::TooMany,
            Denial::NotReady => Code::NotReady,
        })
    }
}

impl From<&ReplayError> for Refusal {
    fn from(error: &ReplayError) -> Self {
        Self(match error {
            ReplayError::Replayed { .. } => Code::Replayed,
            ReplayError::BeforeStart { .. } => Code::BeforeStart,
            ReplayError::Full { .. } => Code::TooMany,
            ReplayError::Unrecorded(_) => Code::Unrecorded,
        })
    }
}
