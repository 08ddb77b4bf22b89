//! Encryption to the future: weights that nobody can read before a round of the chain's beacon.
//!
//! ```text
//! Beacon (Drand.BeaconConfig)      whose rounds the chain waits for
//! Payload                          what a commit hides: whose weights, and which
//! encrypt(beacon, round, ..)       ciphertext for `commit_timelocked_mechanism_weights`
//! open(ciphertext, signature)      as the chain opens it once the round's signature is out
//! ```
//!
//! The scheme is identity-based encryption over BLS12-381 as drand's quicknet uses it: the round
//! is the identity, the beacon's signature of it the identity's private key. On the wire every
//! byte string has a 64-bit length in front; the [`timelock`] crate writes those of fixed length
//! bare, so ciphertexts are written and read here.

use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use codec::{Decode, Encode};
use rand::{RngCore as _, rngs::OsRng};
use timelock::{
    block_ciphers::AESGCMBlockCipherProvider,
    engines::{EngineBLS, drand::TinyBLS381},
    ibe::fullident::Identity,
    tlock::{TLECiphertext, tld, tle},
};

use chain_metadata::{Hotkey, Weights};

/// Public key of drand's quicknet (chain hash `52db9ba7…ee9cc84e971`), compressed G2.
pub const QUICKNET_PUBLIC_KEY: [u8; 96] = hex_literal(
    b"83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c\
      8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb\
      5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
);

/// Longest ciphertext that the chain takes.
pub const MAX_COMMIT_BYTES: usize = 5_000;

/// Bytes of a compressed point of the public keys' group.
const POINT_BYTES: usize = 96;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;
/// Bytes of the cipher's nonce.
const NONCE_BYTES: usize = 12;
/// The one cipher that is known.
const CIPHER_SUITE: &[u8] = b"AES_GCM_";

const MS: u64 = 1_000;

type PublicKey = <TinyBLS381 as EngineBLS>::PublicKeyGroup;
type Signature = <TinyBLS381 as EngineBLS>::SignatureGroup;

/// A source of public rounds, each signed when it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beacon {
    /// Its public key: 96 bytes, compressed G2.
    pub public_key: Vec<u8>,
    /// Seconds between two rounds; never 0.
    pub period_s: u32,
    /// Unix seconds of round 1.
    pub genesis_s: u32,
}

impl Beacon {
    /// Whether it is the beacon that other tools take for granted.
    pub fn is_quicknet(&self) -> bool {
        self.public_key == QUICKNET_PUBLIC_KEY
    }

    /// The newest round published by a time in Unix milliseconds; 0 before the first.
    pub fn newest_round(&self, now_ms: u64) -> u64 {
        let period_ms = u64::from(self.period_s.max(1)) * MS;
        match now_ms.checked_sub(u64::from(self.genesis_s) * MS) {
            None => 0,
            Some(since) => since / period_ms + 1,
        }
    }

    /// When a round is published, in Unix milliseconds.
    pub fn published_ms(&self, round: u64) -> u64 {
        let periods = round.saturating_sub(1) * u64::from(self.period_s);
        (u64::from(self.genesis_s) + periods) * MS
    }
}

/// What a timelocked commit hides.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Payload {
    /// Public key of whose weights they are: nobody else can submit a copy.
    pub hotkey: Vec<u8>,
    /// The uids paid.
    pub uids: Vec<u16>,
    /// Their weights.
    pub values: Vec<u16>,
    /// The version key.
    pub version_key: u64,
}

impl Payload {
    /// A validator's weights.
    pub fn new(hotkey: &Hotkey, weights: &Weights, version_key: u64) -> Self {
        Self {
            hotkey: hotkey.as_bytes().to_vec(),
            uids: weights.uids(),
            values: weights.values(),
            version_key,
        }
    }

    /// Reads what `committer`'s commit hid, as the chain does; `None` where it is something else.
    ///
    /// Old programs do not name a hotkey: such weights are the committer's.
    pub fn read(bytes: &[u8], committer: &Hotkey) -> Option<Self> {
        let named = Self::decode(&mut &*bytes).ok();
        if let Some(payload) =
            named.filter(|payload| payload.hotkey.len() >= committer.as_bytes().len())
        {
            return Some(payload);
        }
        let (uids, values, version_key) = Decode::decode(&mut &*bytes).ok()?;
        Some(Self { hotkey: committer.as_bytes().to_vec(), uids, values, version_key })
    }
}

/// Why nothing was encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// The beacon's key is no point of the curve.
    #[error("the chain's beacon has a public key of {len} bytes that is no point of BLS12-381 G2")]
    PublicKey {
        /// Its length.
        len: usize,
    },
    /// The cipher failed.
    #[error("the message cannot be encrypted ({0:?})")]
    Cipher(timelock::tlock::Error),
    /// The chain takes shorter ones only.
    #[error("the commit has {len} bytes; the chain takes {MAX_COMMIT_BYTES}")]
    TooLong {
        /// Its length.
        len: usize,
    },
}

/// Why a commit does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The commit is no ciphertext.
    #[error("the commit is no ciphertext")]
    Ciphertext,
    /// The pulse's signature is no point of the curve.
    #[error("the pulse's signature is no point of BLS12-381 G1")]
    Signature,
    /// It was encrypted for another round or another beacon.
    #[error("the commit was encrypted for another round or another beacon")]
    Locked,
}

/// Encrypts a message for a round of a beacon, as the chain reads it.
pub fn encrypt(beacon: &Beacon, round: u64, message: &[u8]) -> Result<Vec<u8>, EncryptError> {
    let mut key = [0; 32];
    OsRng.fill_bytes(&mut key);
    let len = beacon.public_key.len();
    let public = PublicKey::deserialize_compressed(&*beacon.public_key)
        .map_err(|_| EncryptError::PublicKey { len })?;
    let identity = Identity::new(b"", &sp_crypto_hashing::sha2_256(&round.to_be_bytes()));
    let sealed =
        tle::<TinyBLS381, AESGCMBlockCipherProvider, _>(public, key, message, identity, OsRng)
            .map_err(EncryptError::Cipher)?;
    let bytes = write(&sealed).ok_or(EncryptError::PublicKey { len })?;
    if bytes.len() > MAX_COMMIT_BYTES {
        return Err(EncryptError::TooLong { len: bytes.len() });
    }
    Ok(bytes)
}

/// Opens a commit with the signature of its round.
pub fn open(ciphertext: &[u8], signature: &[u8]) -> Result<Vec<u8>, OpenError> {
    let ciphertext = parse(ciphertext).ok_or(OpenError::Ciphertext)?;
    let signature =
        Signature::deserialize_compressed(signature).map_err(|_| OpenError::Signature)?;
    tld::<TinyBLS381, AESGCMBlockCipherProvider>(ciphertext, signature)
        .map_err(|_| OpenError::Locked)
}

/// Writes a ciphertext as the chain reads it. `None` only if the library's own layout changed.
fn write(sealed: &TLECiphertext<TinyBLS381>) -> Option<Vec<u8>> {
    let mut bare = Vec::with_capacity(sealed.compressed_size());
    sealed.serialize_compressed(&mut bare).ok()?;
    let (point, rest) = bare.split_at_checked(POINT_BYTES)?;
    let (v, rest) = rest.split_at_checked(HASH_BYTES)?;
    let (w, rest) = rest.split_at_checked(HASH_BYTES)?;
    let mut written = point.to_vec();
    for part in [v, w] {
        written.extend_from_slice(&(part.len() as u64).to_le_bytes());
        written.extend_from_slice(part);
    }
    written.extend_from_slice(rest);
    Some(written)
}

/// Reads a ciphertext, every length checked before anything is allocated for it.
fn parse(bytes: &[u8]) -> Option<TLECiphertext<TinyBLS381>> {
    let (point, mut rest) = bytes.split_at_checked(POINT_BYTES)?;
    let (v, w) = (take(&mut rest)?, take(&mut rest)?);
    let (body, suite) = (take(&mut rest)?, take(&mut rest)?);
    if v.len() != HASH_BYTES || w.len() != HASH_BYTES || suite != CIPHER_SUITE {
        return None;
    }
    let mut sealed = body;
    take(&mut sealed)?;
    if take(&mut sealed)?.len() != NONCE_BYTES || !sealed.is_empty() {
        return None;
    }
    let mut bare = [point, v, w].concat();
    for part in [body, suite] {
        bare.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bare.extend_from_slice(part);
    }
    TLECiphertext::deserialize_compressed(&*bare).ok()
}

/// Takes a byte string with its length off the front.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (taken, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// Bytes of a hex constant.
const fn hex_literal(text: &[u8; 192]) -> [u8; 96] {
    const fn digit(c: u8) -> u8 {
        if c.is_ascii_digit() { c - b'0' } else { c - b'a' + 10 }
    }
    let mut bytes = [0; 96];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = digit(text[2 * at]) << 4 | digit(text[2 * at + 1]);
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        round: u64,
        signature: String,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        hotkey_hex: String,
        uids: Vec<u16>,
        values: Vec<u16>,
        version_key: String,
        payload_hex: String,
        commit_hex: String,
    }

    fn vectors() -> Vectors {
        serde_json::from_str(include_str!("../testdata/timelock.json")).unwrap()
    }

    fn quicknet() -> Beacon {
        let public_key = QUICKNET_PUBLIC_KEY.to_vec();
        Beacon { public_key, period_s: 3, genesis_s: 1_692_803_367 }
    }

    #[test]
    fn commits_of_the_real_chain_open_and_ours_look_like_them() {
        let vectors = vectors();
        let signature = hex::decode(&vectors.signature).unwrap();
        for case in vectors.cases {
            let payload = Payload {
                hotkey: hex::decode(case.hotkey_hex).unwrap(),
                uids: case.uids,
                values: case.values,
                version_key: case.version_key.parse().unwrap(),
            };
            assert_eq!(hex::encode(payload.encode()), case.payload_hex);
            let theirs = hex::decode(&case.commit_hex).unwrap();
            let ours = encrypt(&quicknet(), vectors.round, &payload.encode()).unwrap();
            assert_eq!(ours.len(), theirs.len());
            for commit in [theirs, ours] {
                let opened = open(&commit, &signature).unwrap();
                let committer = Hotkey::from([0; 32]);
                assert_eq!(Payload::read(&opened, &committer), Some(payload.clone()));
            }
        }
    }

    #[test]
    fn weights_that_name_no_hotkey_are_the_committers() {
        let committer = Hotkey::from([7; 32]);
        let legacy = (vec![0_u16, 2], vec![1_u16, u16::MAX], 5_u64).encode();
        let read = Payload::read(&legacy, &committer).unwrap();
        let expected = Payload {
            hotkey: vec![7; 32],
            uids: vec![0, 2],
            values: vec![1, u16::MAX],
            version_key: 5,
        };
        assert_eq!(read, expected);
        assert_eq!(Payload::read(b"no weights", &committer), None);
    }

    #[test]
    fn what_does_not_open_says_why() {
        let signature = hex::decode(vectors().signature).unwrap();
        let right = encrypt(&quicknet(), 1_000, b"weights").unwrap();
        let early = encrypt(&quicknet(), 1_001, b"weights").unwrap();
        assert_eq!(open(&right, &signature), Ok(b"weights".to_vec()));
        assert_eq!(open(&early, &signature), Err(OpenError::Locked));
        assert_eq!(open(&right[..90], &signature), Err(OpenError::Ciphertext));
        assert_eq!(open(&right, &signature[1..]), Err(OpenError::Signature));
    }

    #[test]
    fn a_beacon_that_is_no_point_and_a_message_too_long_are_refused() {
        let broken = Beacon { public_key: vec![1; 96], ..quicknet() };
        let refused = encrypt(&broken, 1, b"");
        assert!(matches!(refused, Err(EncryptError::PublicKey { len: 96 })));
        let refused = encrypt(&quicknet(), 1, &[0; MAX_COMMIT_BYTES]);
        assert!(matches!(refused, Err(EncryptError::TooLong { .. })));
    }

    #[test]
    fn a_round_is_the_newest_from_its_publication_to_the_next() {
        let beacon = quicknet();
        let published = beacon.published_ms(1_000);
        assert_eq!(beacon.newest_round(published - 1), 999);
        assert_eq!(beacon.newest_round(published), 1_000);
        assert_eq!(beacon.newest_round(published + 2_999), 1_000);
        assert_eq!(beacon.newest_round(0), 0);
    }
}
