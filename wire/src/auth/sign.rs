//! The sender's side.

use std::fmt;

use chain_metadata::Hotkey;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::{
    HEADER_CRYPTO, HEADER_HOTKEY, HEADER_NONCE, HEADER_RECEIVER, HEADER_SIGNATURE, HEADER_VERSION,
    Payload, Scheme, Signer, UnixNanos, VERSION,
};

/// sha256 of a request's signed bytes: one value that stands for its method, target, body, nonce,
/// sender and receiver. An answer is signed over it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestDigest(pub [u8; 32]);

impl RequestDigest {
    pub(super) fn of(payload: &[u8]) -> Self {
        Self(Sha256::digest(payload).into())
    }
}

/// Lower-case hex.
impl fmt::Display for RequestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RequestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestDigest({self})")
    }
}

/// Signs a request: the headers to send it with, and the digest its answer must be bound to.
///
/// `method` is upper case and `target` the path and query exactly as they will be sent; `nonce`
/// must be new, from a [`NonceSource`](super::NonceSource).
pub fn sign(
    signer: &Signer,
    method: &str,
    target: &str,
    body: &[u8],
    receiver: Option<&Hotkey>,
    nonce: UnixNanos,
) -> (HeaderMap, RequestDigest) {
    let scheme = signer.scheme();
    let sender = signer.address();
    let receiver = receiver.map(Hotkey::to_string);
    let payload =
        Payload { scheme, method, target, body, nonce, sender, receiver: receiver.as_deref() }
            .bytes();

    let mut headers = HeaderMap::with_capacity(6);
    let mut put = |name: &'static str, value: &str| {
        // Addresses, decimals and hex are visible ASCII, so the conversion cannot fail.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put(HEADER_VERSION, VERSION);
    put(HEADER_HOTKEY, sender);
    put(HEADER_NONCE, &nonce.to_string());
    put(HEADER_SIGNATURE, &signer.sign(&payload).to_string());
    if scheme != Scheme::Sr25519 {
        put(HEADER_CRYPTO, scheme.name());
    }
    if let Some(receiver) = &receiver {
        put(HEADER_RECEIVER, receiver);
    }
    (headers, RequestDigest::of(&payload))
}
