//! Who asks, and which bytes.

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, Request, State},
    http::header::AUTHORIZATION,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use chain_metadata::Hotkey;
use wire::Caller;

use super::{BODY_BYTES, error::ApiError};

/// A request's body, and its sender where the gate proved one.
pub(super) struct Asked {
    pub(super) caller: Option<Hotkey>,
    pub(super) body: Bytes,
}

impl<S: Sync> FromRequest<S> for Asked {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, _state: &S) -> Result<Self, ApiError> {
        if let Some(caller) = request.extensions_mut().remove::<Caller>() {
            return Ok(Self { caller: Some(caller.hotkey()), body: caller.body().clone() });
        }
        let body = to_bytes(request.into_body(), BODY_BYTES).await;
        Ok(Self { caller: None, body: body.map_err(|_| ApiError::too_large(BODY_BYTES))? })
    }
}

/// The key that plain clients must show.
#[derive(Clone)]
pub(crate) struct Key(Bytes);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    pub(crate) fn new(key: &str) -> Self {
        Self(format!("Bearer {key}").into())
    }

    /// Compares in a time that says nothing of where the two differ.
    fn is(&self, shown: &[u8]) -> bool {
        let differing = self.0.iter().zip(shown).fold(0, |bits, (a, b)| bits | (a ^ b));
        self.0.len() == shown.len() && differing == 0
    }
}

pub(super) async fn check(State(key): State<Key>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    if key.is(shown) { next.run(request).await } else { ApiError::no_key().into_response() }
}
