//! The receiver's side: what the headers claim, and the one way to believe it.

use std::time::Duration;

use chain_metadata::Hotkey;
use http::HeaderMap;

use super::{
    HEADER_CRYPTO, HEADER_HOTKEY, HEADER_NONCE, HEADER_RECEIVER, HEADER_SIGNATURE, HEADER_VERSION,
    Payload, RequestDigest, Scheme, Signature, UnixNanos, VERSION,
};

/// Length of every ss58 address of a 32-byte key under prefix 42: checked before base58 is decoded.
const ADDRESS_LEN: usize = 48;

/// Why a request is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// A header that must be there is not.
    #[error("header {header} is missing")]
    Missing {
        /// Its name.
        header: &'static str,
    },
    /// A header is there twice: the two sides might read different ones.
    #[error("header {header} is given more than once")]
    Repeated {
        /// Its name.
        header: &'static str,
    },
    /// A header is not in the one spelling the protocol has for its value.
    #[error("header {header} is not well formed")]
    Malformed {
        /// Its name.
        header: &'static str,
    },
    /// Signed for another receiver, or for none.
    #[error("the request was signed for another receiver")]
    WrongReceiver,
    /// The nonce is too old.
    #[error("the request is {age:?} old; at most {limit:?} is accepted")]
    Stale {
        /// Time from the nonce to now.
        age: Duration,
        /// The most that is accepted.
        limit: Duration,
    },
    /// The nonce is too far ahead of our clock.
    #[error("the request is {ahead:?} ahead of this clock; at most {limit:?} is accepted")]
    Early {
        /// Time from now to the nonce.
        ahead: Duration,
        /// The most that is accepted.
        limit: Duration,
    },
    /// The signature is not the sender's over these bytes.
    #[error("the signature does not verify")]
    BadSignature,
}

/// The window of wall-clock time in which a nonce is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Oldest nonce accepted, before now.
    pub max_age: Duration,
    /// Newest nonce accepted, after now: how far the sender's clock may be ahead of ours.
    pub max_ahead: Duration,
}

impl Default for Freshness {
    /// The protocol's: 10 s back, 2 s ahead.
    fn default() -> Self {
        Self { max_age: Duration::from_secs(10), max_ahead: Duration::from_secs(2) }
    }
}

impl Freshness {
    /// Whether `nonce` is inside the window around `now`; its edges are inside.
    ///
    /// # Errors
    /// [`AuthError::Stale`] or [`AuthError::Early`], with by how much.
    pub fn check(&self, nonce: UnixNanos, now: UnixNanos) -> Result<(), AuthError> {
        let (age, ahead) = (now.since(nonce), nonce.since(now));
        if age > self.max_age {
            return Err(AuthError::Stale { age, limit: self.max_age });
        }
        if ahead > self.max_ahead {
            return Err(AuthError::Early { ahead, limit: self.max_ahead });
        }
        Ok(())
    }
}

/// What a request's headers say, well formed and not yet believed.
#[derive(Clone, Debug)]
pub struct Claim {
    scheme: Scheme,
    sender: Hotkey,
    sender_address: String,
    receiver: Option<String>,
    nonce: UnixNanos,
    signature: Signature,
}

impl Claim {
    /// Reads the headers' shape: each at most once, each in its one spelling.
    ///
    /// # Errors
    /// [`AuthError::Missing`], [`AuthError::Repeated`] or [`AuthError::Malformed`].
    pub fn parse(headers: &HeaderMap) -> Result<Self, AuthError> {
        if required(headers, HEADER_VERSION)? != VERSION {
            return Err(AuthError::Malformed { header: HEADER_VERSION });
        }
        let sender_address = required(headers, HEADER_HOTKEY)?;
        let nonce = required(headers, HEADER_NONCE)?;
        let signature = required(headers, HEADER_SIGNATURE)?;
        let receiver = optional(headers, HEADER_RECEIVER)?.map(str::to_owned);
        let scheme = match optional(headers, HEADER_CRYPTO)? {
            None => Scheme::Sr25519,
            Some(name) => {
                name.parse().map_err(|_| AuthError::Malformed { header: HEADER_CRYPTO })?
            }
        };
        Ok(Self {
            scheme,
            sender: address(sender_address)?,
            sender_address: sender_address.to_owned(),
            receiver,
            nonce: UnixNanos::parse(nonce).ok_or(AuthError::Malformed { header: HEADER_NONCE })?,
            signature: signature
                .parse()
                .map_err(|_| AuthError::Malformed { header: HEADER_SIGNATURE })?,
        })
    }

    /// Who says to have sent the request.
    pub const fn sender(&self) -> Hotkey {
        self.sender
    }

    /// The request's nonce, as claimed.
    pub const fn nonce(&self) -> UnixNanos {
        self.nonce
    }

    /// Whether the request is meant for `address`. One bound to no receiver is meant for nobody: it
    /// could be replayed to every other miner.
    ///
    /// # Errors
    /// [`AuthError::WrongReceiver`].
    pub fn addressed_to(&self, address: &str) -> Result<(), AuthError> {
        match &self.receiver {
            Some(receiver) if receiver == address => Ok(()),
            _ => Err(AuthError::WrongReceiver),
        }
    }

    /// Checks the signature over what was received. `method` and `target` are the request line's,
    /// `body` every byte of the body. Replay is checked afterwards, by whoever remembers.
    ///
    /// # Errors
    /// [`AuthError::BadSignature`].
    pub fn verify(self, method: &str, target: &str, body: &[u8]) -> Result<Verified, AuthError> {
        let payload = Payload {
            scheme: self.scheme,
            method,
            target,
            body,
            nonce: self.nonce,
            sender: &self.sender_address,
            receiver: self.receiver.as_deref(),
        }
        .bytes();
        if !self.scheme.verify(&self.signature, &payload, &self.sender) {
            return Err(AuthError::BadSignature);
        }
        Ok(Verified { hotkey: self.sender, nonce: self.nonce, digest: RequestDigest::of(&payload) })
    }
}

/// A request whose signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who sent it.
    pub hotkey: Hotkey,
    /// Its nonce.
    pub nonce: UnixNanos,
    /// sha256 of what was signed.
    pub digest: RequestDigest,
}

fn required<'h>(headers: &'h HeaderMap, header: &'static str) -> Result<&'h str, AuthError> {
    optional(headers, header)?.ok_or(AuthError::Missing { header })
}

fn optional<'h>(
    headers: &'h HeaderMap,
    header: &'static str,
) -> Result<Option<&'h str>, AuthError> {
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(AuthError::Repeated { header });
    }
    value.to_str().map(Some).map_err(|_| AuthError::Malformed { header })
}

fn address(text: &str) -> Result<Hotkey, AuthError> {
    let malformed = AuthError::Malformed { header: HEADER_HOTKEY };
    if text.len() != ADDRESS_LEN {
        return Err(malformed);
    }
    text.parse().map_err(|_| malformed)
}

#[cfg(test)]
mod tests {
    use sp_core::{Pair as _, ed25519, sr25519};

    use super::super::{Signer, sign};
    use super::*;

    const NONCE: UnixNanos = UnixNanos(1_752_076_800_000_000_000);
    const TARGET: &str = "/generate?stream=false";
    const BODY: &[u8] = br#"{"prompt": "hello"}"#;

    fn sr25519(name: &str) -> Signer {
        sr25519::Pair::from_string(name, None).unwrap().into()
    }

    fn ed25519(name: &str) -> Signer {
        ed25519::Pair::from_string(name, None).unwrap().into()
    }

    #[test]
    fn the_golden_request_has_the_golden_signature() {
        let (alice, bob) = (ed25519("//Alice"), sr25519("//Bob"));
        let (headers, _) = sign(&alice, "POST", TARGET, BODY, Some(&bob.hotkey()), NONCE);
        assert_eq!(headers[HEADER_HOTKEY], "5FA9nQDVg267DEd8m1ZypXLBnvN7SFxYwV7ndqSYGiN9TTpu");
        assert_eq!(headers[HEADER_CRYPTO], "ed25519");
        assert_eq!(
            headers[HEADER_SIGNATURE],
            "0x1a6b631988bf1f7ea093ab9d5acf61f05c316d0b0e428b24b487b75a5f6ee0e1\
             a56a26918fdf871b6cf09437e6588023a4ce423cf622621b2a7feee17612f704"
        );
        let claim = Claim::parse(&headers).unwrap();
        assert_eq!(claim.addressed_to(bob.address()), Ok(()));
        assert_eq!(claim.verify("POST", TARGET, BODY).unwrap().hotkey, alice.hotkey());
    }

    #[test]
    fn the_signed_bytes_are_the_eight_lines() {
        let (alice, bob) = (sr25519("//Alice"), sr25519("//Bob"));
        let payload = Payload {
            scheme: Scheme::Sr25519,
            method: "POST",
            target: TARGET,
            body: BODY,
            nonce: NONCE,
            sender: alice.address(),
            receiver: None,
        };
        let expected = "btauth/1\nsr25519\nPOST\n/generate?stream=false\n\
            341c57448e531310fbbe83f44cea2a5e838bd9e8a6b82b269f01d0dbbc23c3cc\n\
            1752076800000000000\n5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY\n-";
        assert_eq!(String::from_utf8(payload.bytes()).unwrap(), expected);
        let bound = Payload { receiver: Some(bob.address()), ..payload }.bytes();
        assert_eq!(bound.len(), 227);
    }

    #[test]
    fn what_one_scheme_signed_another_does_not_verify() {
        let alice = ed25519("//Alice");
        let (mut headers, _) = sign(&alice, "POST", TARGET, BODY, None, NONCE);
        headers.remove(HEADER_CRYPTO);
        let claim = Claim::parse(&headers).unwrap();
        assert_eq!(claim.verify("POST", TARGET, BODY), Err(AuthError::BadSignature));
    }

    #[test]
    fn a_request_bound_to_nobody_is_addressed_to_nobody() {
        let alice = sr25519("//Alice");
        let (headers, _) = sign(&alice, "POST", TARGET, BODY, None, NONCE);
        let claim = Claim::parse(&headers).unwrap();
        assert_eq!(claim.addressed_to("-"), Err(AuthError::WrongReceiver));
    }

    #[test]
    fn the_window_includes_its_edges_and_nothing_beyond() {
        let window = Freshness::default();
        let nanosecond = Duration::from_nanos(1);
        let check = |now: UnixNanos| window.check(NONCE, now);
        assert_eq!(check(NONCE.after(window.max_age)), Ok(()));
        assert_eq!(check(NONCE.before(window.max_ahead)), Ok(()));
        let (age, limit) = (window.max_age + nanosecond, window.max_age);
        assert_eq!(check(NONCE.after(age)), Err(AuthError::Stale { age, limit }));
        let (ahead, limit) = (window.max_ahead + nanosecond, window.max_ahead);
        assert_eq!(check(NONCE.before(ahead)), Err(AuthError::Early { ahead, limit }));
    }
}
