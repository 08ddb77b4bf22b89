//! The encryption of key files: an XSalsa20-Poly1305 box under a key that Argon2 makes of a
//! password.

use std::{env, fmt, fs, io, path::PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use crypto_secretbox::{KeyInit as _, Nonce, XSalsa20Poly1305, aead::Aead as _};
use rand::RngCore as _;
use zeroize::Zeroizing;

/// Begins an encrypted key file; a 24-byte nonce and the box follow.
const HEADER: &[u8] = b"$NACL";

/// Length of the nonce after the header.
const NONCE_LEN: usize = 24;

/// The salt of every key file: the format has no room for another.
const SALT: [u8; 16] = [
    0x13, 0x71, 0x83, 0xdf, 0xf1, 0x5a, 0x09, 0xbc, 0x9c, 0x90, 0xb5, 0x51, 0x87, 0x39, 0xe9, 0xb1,
];

/// Argon2i passes (libsodium's "sensitive").
const PASSES: u32 = 8;

/// Argon2i memory in KiB, half a GiB (libsodium's "sensitive").
const MEMORY_KIB: u32 = 512 * 1024;

/// How older wallets encrypted; btcli rewrites such a file when it is unlocked.
const OLD_HEADERS: [&[u8]; 2] = [b"$ANSIBLE_VAULT", b"gAAAAA"];

/// How a file is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    None,
    Box,
    Old,
}

pub(super) fn protection(bytes: &[u8]) -> Protection {
    if bytes.starts_with(HEADER) {
        Protection::Box
    } else if OLD_HEADERS.iter().any(|header| bytes.starts_with(header)) {
        Protection::Old
    } else {
        Protection::None
    }
}

/// A password, wiped when dropped and never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Why no password could be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Neither variable is set.
    #[error("set BT_WALLET_PASSWORD_FILE or BT_WALLET_PASSWORD to unlock the key")]
    Unset,
    /// The file cannot be read.
    #[error("cannot read the password from {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Password {
    /// A password from where the program asked for it.
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    /// The password from `BT_WALLET_PASSWORD_FILE` (its first line) or `BT_WALLET_PASSWORD`.
    pub fn from_env() -> Result<Self, PasswordError> {
        if let Some(path) = env::var_os("BT_WALLET_PASSWORD_FILE").map(PathBuf::from) {
            let text = fs::read_to_string(&path)
                .map(Zeroizing::new)
                .map_err(|source| PasswordError::File { path, source })?;
            return Ok(Self::new(text.lines().next().unwrap_or_default().to_owned()));
        }
        env::var("BT_WALLET_PASSWORD").map(Self::new).map_err(|_| PasswordError::Unset)
    }

    /// The box under this password, or `None` where Argon2 has not the memory.
    fn cipher(&self) -> Option<XSalsa20Poly1305> {
        let mut key = Zeroizing::new([0; 32]);
        let params = Params::new(MEMORY_KIB, PASSES, 1, Some(key.len())).ok()?;
        Argon2::new(Algorithm::Argon2i, Version::V0x13, params)
            .hash_password_into(self.0.as_bytes(), &SALT, &mut *key)
            .ok()?;
        Some(XSalsa20Poly1305::new(key.as_slice().into()))
    }
}

/// The plain bytes of an encrypted file; `None` where the password is wrong or the file damaged.
/// Takes seconds and half a GiB of memory, by design.
pub(super) fn decrypt(bytes: &[u8], password: &Password) -> Option<Zeroizing<Vec<u8>>> {
    let body = bytes.strip_prefix(HEADER)?;
    let (nonce, sealed) = body.split_at_checked(NONCE_LEN)?;
    password.cipher()?.decrypt(Nonce::from_slice(nonce), sealed).ok().map(Zeroizing::new)
}

/// An encrypted file of plain bytes.
pub(super) fn encrypt(plain: &[u8], password: &Password) -> Option<Vec<u8>> {
    let mut nonce = Nonce::default();
    rand::rngs::OsRng.fill_bytes(&mut nonce);
    let sealed = password.cipher()?.encrypt(&nonce, plain).ok()?;
    Some([HEADER, &nonce, &sealed].concat())
}
