//! Who asks, and which bytes.

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, Request, State},
    http::{Method, header::AUTHORIZATION},
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

/// The scheme that a key is shown by; HTTP does not mind its case.
const SCHEME: &[u8] = b"bearer";

impl Key {
    pub(crate) fn new(key: &str) -> Self {
        Self(key.to_owned().into())
    }

    /// Whether a header shows the key: the scheme, blanks, the key.
    fn is_shown(&self, header: &[u8]) -> bool {
        let Some((scheme, rest)) = header.split_at_checked(SCHEME.len()) else { return false };
        scheme.eq_ignore_ascii_case(SCHEME)
            && rest.first() == Some(&b' ')
            && self.is(rest.trim_ascii())
    }

    /// Compares in a time that says nothing of where the two differ.
    fn is(&self, shown: &[u8]) -> bool {
        let differing = self.0.iter().zip(shown).fold(0, |bits, (a, b)| bits | (a ^ b));
        self.0.len() == shown.len() && differing == 0
    }
}

/// Lets pass who shows the key. What may be asked says no more than the route does, so that browsers
/// may ask it first, without the key.
pub(super) async fn check(State(key): State<Key>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    if request.method() == Method::OPTIONS || key.is_shown(shown) {
        next.run(request).await
    } else {
        ApiError::no_key().into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_whatever_the_case_of_its_scheme() {
        let key = Key::new("secret");
        for shown in ["Bearer secret", "bearer secret", "BEARER  secret "] {
            assert!(key.is_shown(shown.as_bytes()), "{shown}");
        }
        for shown in ["", "Bearer", "Bearer ", "Bearer Secret", "Bearersecret", "Basic secret"] {
            assert!(!key.is_shown(shown.as_bytes()), "{shown}");
        }
    }
}
