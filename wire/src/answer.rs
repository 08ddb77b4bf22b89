//! The miner's side of the bargain: an answer signed over the request that it answers.
//!
//! The signed bytes are seven lines joined by `\n`, without one at the end:
//!
//! ```text
//! ganglion-answer/1
//! sr25519 | ed25519
//! the request's nonce, decimal
//! sha256 of the request's signed bytes, lower-case hex
//! HTTP status, decimal
//! sha256 of the answer's body, lower-case hex
//! the miner's ss58 address
//! ```
//!
//! So an answer can be neither altered, nor moved to another request, caller or miner, nor repeated
//! tomorrow. No other header of an answer is signed, so none may change how its body is read.
//!
//! The signature is a header, or, when the body is sent while it is made, a trailer.

use chain_metadata::Hotkey;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use crate::auth::{Scheme, Signature, Signer, Verified};

/// First line of the signed bytes.
pub const PROTOCOL: &str = "ganglion-answer/1";
/// `0x` and 128 lower-case hex digits.
pub const HEADER_SIGNATURE: &str = "x-ganglion-signature";
/// The signature scheme; absent means sr25519.
pub const HEADER_CRYPTO: &str = "x-ganglion-crypto";

/// Why an answer is not the miner's to this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerSignatureError {
    /// No signature.
    #[error("the answer is not signed")]
    Unsigned,
    /// A signature or scheme that cannot be read.
    #[error("the answer's signature is not well formed")]
    Malformed,
    /// A signature over something else, or by someone else.
    #[error("the answer's signature does not verify")]
    Wrong,
}

/// sha256 of an answer's body.
pub(crate) type BodyDigest = [u8; 32];

fn payload(
    scheme: Scheme,
    request: &Verified,
    status: u16,
    body: BodyDigest,
    miner: &str,
) -> Vec<u8> {
    let nonce = request.nonce.to_string();
    let digest = request.digest.to_string();
    let status = status.to_string();
    let body = hex::encode(body);
    [PROTOCOL, scheme.name(), &nonce, &digest, &status, &body, miner].join("\n").into_bytes()
}

/// Adds the signature of an answer to its headers, in place of any that a handler put there.
pub fn seal(
    headers: &mut HeaderMap,
    signer: &Signer,
    request: &Verified,
    status: u16,
    body: &[u8],
) {
    seal_digest(headers, signer, request, status, Sha256::digest(body).into());
}

/// As [`seal`], to headers or to trailers, when the body is gone already.
pub(crate) fn seal_digest(
    headers: &mut HeaderMap,
    signer: &Signer,
    request: &Verified,
    status: u16,
    body: BodyDigest,
) {
    let scheme = signer.scheme();
    let signed = payload(scheme, request, status, body, signer.address());
    let signature = signer.sign(&signed).to_string();
    // Hex is visible ASCII, so the conversion cannot fail.
    if let Ok(value) = HeaderValue::from_str(&signature) {
        headers.insert(HEADER_SIGNATURE, value);
    }
    match scheme {
        Scheme::Sr25519 => headers.remove(HEADER_CRYPTO),
        Scheme::Ed25519 => headers.insert(HEADER_CRYPTO, HeaderValue::from_static(scheme.name())),
    };
}

/// Checks that `miner` signed this status and body as its answer to `request`.
///
/// # Errors
/// Why it is not so.
pub fn check(
    headers: &HeaderMap,
    miner: &Hotkey,
    request: &Verified,
    status: u16,
    body: &[u8],
) -> Result<(), AnswerSignatureError> {
    check_digest(headers, miner, request, status, Sha256::digest(body).into())
}

/// As [`check`], with the headers and trailers of an answer together.
pub(crate) fn check_digest(
    headers: &HeaderMap,
    miner: &Hotkey,
    request: &Verified,
    status: u16,
    body: BodyDigest,
) -> Result<(), AnswerSignatureError> {
    let scheme = match once(headers, HEADER_CRYPTO)? {
        None => Scheme::Sr25519,
        Some(name) => name.parse().map_err(|_| AnswerSignatureError::Malformed)?,
    };
    let signature: Signature = once(headers, HEADER_SIGNATURE)?
        .ok_or(AnswerSignatureError::Unsigned)?
        .parse()
        .map_err(|_| AnswerSignatureError::Malformed)?;
    let signed = payload(scheme, request, status, body, &miner.to_string());
    if scheme.verify(&signature, &signed, miner) {
        Ok(())
    } else {
        Err(AnswerSignatureError::Wrong)
    }
}

fn once<'h>(
    headers: &'h HeaderMap,
    name: &'static str,
) -> Result<Option<&'h str>, AnswerSignatureError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| AnswerSignatureError::Malformed)
        }
        (Some(_), Some(_)) => Err(AnswerSignatureError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use sp_core::{Pair as _, sr25519};

    use super::*;
    use crate::auth::{RequestDigest, UnixNanos};

    fn miner() -> Signer {
        sr25519::Pair::from_string("//Bob", None).unwrap().into()
    }

    fn request(nonce: u64) -> Verified {
        Verified {
            hotkey: Hotkey::from_bytes([1; 32]),
            nonce: UnixNanos(nonce),
            digest: RequestDigest([2; 32]),
        }
    }

    #[test]
    fn an_answer_holds_for_its_request_status_and_body_only() {
        let (bob, asked) = (miner(), request(7));
        let mut headers = HeaderMap::new();
        seal(&mut headers, &bob, &asked, 200, b"yes");

        let check = |request, status, body: &[u8]| {
            super::check(&headers, &bob.hotkey(), &request, status, body)
        };
        assert_eq!(check(asked, 200, b"yes"), Ok(()));
        let other = Verified { digest: RequestDigest([3; 32]), ..asked };
        for wrong in [
            check(request(8), 200, b"yes"),
            check(other, 200, b"yes"),
            check(asked, 201, b"yes"),
            check(asked, 200, b"yet"),
        ] {
            assert_eq!(wrong, Err(AnswerSignatureError::Wrong));
        }
    }

    #[test]
    fn another_miner_cannot_pass_the_answer_off_as_its_own() {
        let (bob, asked) = (miner(), request(7));
        let mut headers = HeaderMap::new();
        seal(&mut headers, &bob, &asked, 200, b"yes");
        let eve = Hotkey::from_bytes([9; 32]);
        assert_eq!(check(&headers, &eve, &asked, 200, b"yes"), Err(AnswerSignatureError::Wrong));
        headers.remove(HEADER_SIGNATURE);
        let unsigned = check(&headers, &bob.hotkey(), &asked, 200, b"yes");
        assert_eq!(unsigned, Err(AnswerSignatureError::Unsigned));
    }
}
