//! `btauth/1`: a request proves who sent it, to whom, with which bytes, and when.
//!
//! The signed bytes are eight lines joined by `\n`, without one at the end:
//!
//! ```text
//! btauth/1
//! sr25519 | ed25519
//! METHOD
//! request target as sent: percent-encoded path, `?query` when there is one
//! sha256 of the body, lower-case hex
//! nonce: unix time in nanoseconds, decimal
//! sender's ss58 address
//! receiver's ss58 address, or `-`
//! ```
//!
//! Reading is split where the cost is: a [`Claim`] is what the headers say (cheap, untrusted); it
//! becomes a [`Verified`] only by [`Claim::verify`], the one place that does curve arithmetic.
//! Nothing else about a request is signed, so a server must not let another header change what
//! the handler sees.

mod claim;
mod clock;
mod scheme;
mod sign;

pub use claim::{AuthError, Claim, Freshness, Verified};
pub use clock::{NonceSource, UnixNanos};
pub use scheme::{Scheme, SchemeError, Signature, SignatureError, Signer};
pub use sign::{RequestDigest, sign};

use sha2::{Digest, Sha256};

/// First line of the signed bytes.
pub const PROTOCOL: &str = "btauth/1";
/// The only value of [`HEADER_VERSION`].
pub const VERSION: &str = "1";
/// The protocol's version.
pub const HEADER_VERSION: &str = "x-bittensor-version";
/// The sender's ss58 address.
pub const HEADER_HOTKEY: &str = "x-bittensor-hotkey";
/// The receiver's ss58 address.
pub const HEADER_RECEIVER: &str = "x-bittensor-receiver";
/// Unix time in nanoseconds, decimal; never used twice by one sender.
pub const HEADER_NONCE: &str = "x-bittensor-nonce";
/// The signature scheme; absent means sr25519.
pub const HEADER_CRYPTO: &str = "x-bittensor-crypto";
/// `0x` and 128 lower-case hex digits.
pub const HEADER_SIGNATURE: &str = "x-bittensor-signature";

/// Stands for the receiver in a request bound to none.
const NO_RECEIVER: &str = "-";

/// The parts of the signed bytes.
#[derive(Clone, Copy, Debug)]
struct Payload<'a> {
    scheme: Scheme,
    method: &'a str,
    target: &'a str,
    body: &'a [u8],
    nonce: UnixNanos,
    sender: &'a str,
    receiver: Option<&'a str>,
}

impl Payload<'_> {
    /// The exact bytes that are signed.
    fn bytes(&self) -> Vec<u8> {
        let body = hex::encode(Sha256::digest(self.body));
        let nonce = self.nonce.to_string();
        [
            PROTOCOL,
            self.scheme.name(),
            self.method,
            self.target,
            &body,
            &nonce,
            self.sender,
            self.receiver.unwrap_or(NO_RECEIVER),
        ]
        .join("\n")
        .into_bytes()
    }
}
