//! A wallet's folder.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use chain_metadata::{Coldkey, Hotkey};
use zeroize::Zeroizing;

use super::{
    KeyfileError, Keypair, NewKey, Password,
    crypt::{self, Protection},
    keyfile,
};

/// Where btcli keeps wallets: `~/.bittensor/wallets`. `None` where there is no home.
pub fn default_path() -> Option<PathBuf> {
    Some(PathBuf::from(env::var_os("HOME")?).join(".bittensor").join("wallets"))
}

/// A coldkey and one of its hotkeys, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    folder: PathBuf,
    hotkey: String,
}

/// Why a wallet cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalletError {
    /// There is no such folder.
    #[error("there is no wallet at {path}")]
    Missing {
        /// Where we looked.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others than its owner may read a secret.
    #[error("others may read {path} (mode {mode:03o}): run `chmod 600 {path}`")]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The content of a file is no key.
    #[error("{path}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: KeyfileError,
    },
    /// A public key file without a public key.
    #[error("{path} holds no public key")]
    NoPublicKey {
        /// Which file.
        path: PathBuf,
    },
    /// The key is encrypted, and no password was given.
    #[error("{path} is encrypted: a password is needed")]
    Encrypted {
        /// Which file.
        path: PathBuf,
    },
    /// The key is encrypted the way of old wallets.
    #[error("{path} is encrypted in an old way: unlock it with btcli once, which rewrites it")]
    OldEncryption {
        /// Which file.
        path: PathBuf,
    },
    /// The password does not open the file.
    #[error("the password does not open {path}, or the file is damaged")]
    Password {
        /// Which file.
        path: PathBuf,
    },
    /// A key would be overwritten.
    #[error("{path} exists; keys are never overwritten")]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// A name that would leave the folder.
    #[error("`{name}` is no name for a key")]
    Name {
        /// What was given.
        name: String,
    },
}

impl Wallet {
    /// The wallet `name` among those at `path`, with one of its hotkeys. Nothing is read yet but
    /// the folder's existence.
    pub fn open(path: &Path, name: &str, hotkey: &str) -> Result<Self, WalletError> {
        let wallet = Self::at(path, name, hotkey)?;
        if !wallet.folder.is_dir() {
            return Err(WalletError::Missing { path: wallet.folder });
        }
        Ok(wallet)
    }

    /// Writes a new wallet: the coldkey, encrypted where a password is given, and one hotkey in
    /// the clear. Files are readable by their owner alone, and none is overwritten; where the
    /// coldkey's file exists already and holds the same key, only the hotkey is added.
    pub fn create(
        path: &Path,
        name: &str,
        hotkey_name: &str,
        coldkey: &NewKey,
        hotkey: &NewKey,
        password: Option<&Password>,
    ) -> Result<Self, WalletError> {
        let wallet = Self::at(path, name, hotkey_name)?;
        make_private_folder(&wallet.folder.join("hotkeys"))?;
        let same_owner = wallet.coldkey_public().is_ok_and(|k| k == coldkey.keypair().coldkey());
        if !same_owner {
            let text = coldkey.secret_text();
            let secret = match password {
                None => text.as_bytes().to_vec(),
                Some(password) => crypt::encrypt(text.as_bytes(), password)
                    .ok_or_else(|| WalletError::Password { path: wallet.coldkey_path() })?,
            };
            write_new(&wallet.coldkey_path(), &secret)?;
            write_new(&wallet.coldkeypub_path(), coldkey.public_text().as_bytes())?;
        }
        write_new(&wallet.hotkey_path(), hotkey.secret_text().as_bytes())?;
        write_new(&wallet.hotkeypub_path(), hotkey.public_text().as_bytes())?;
        Ok(wallet)
    }

    /// The hotkey, which must be in the clear and readable by its owner alone.
    pub fn hotkey(&self) -> Result<Keypair, WalletError> {
        read_secret(&self.hotkey_path(), None)
    }

    /// The hotkey, where it is encrypted.
    pub fn unlock_hotkey(&self, password: &Password) -> Result<Keypair, WalletError> {
        read_secret(&self.hotkey_path(), Some(password))
    }

    /// The coldkey. For commands of its owner only: nothing that runs a neuron needs it.
    pub fn unlock_coldkey(&self, password: Option<&Password>) -> Result<Keypair, WalletError> {
        read_secret(&self.coldkey_path(), password)
    }

    /// The coldkey's public key; its secret stays shut.
    pub fn coldkey_public(&self) -> Result<Coldkey, WalletError> {
        read_public(&self.coldkeypub_path()).map(Coldkey::from_bytes)
    }

    /// The hotkey's public key, from its public file or else from the key itself.
    pub fn hotkey_public(&self) -> Result<Hotkey, WalletError> {
        match read_public(&self.hotkeypub_path()) {
            Ok(key) => Ok(Hotkey::from_bytes(key)),
            // Wallets of older tools have no such file.
            Err(WalletError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.hotkey().map(|key| key.hotkey())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the coldkey's file is encrypted.
    pub fn coldkey_is_encrypted(&self) -> Result<bool, WalletError> {
        let path = self.coldkey_path();
        let bytes = Zeroizing::new(read(&path)?);
        Ok(crypt::protection(&bytes) != Protection::None)
    }

    /// The wallet's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The hotkey's file.
    pub fn hotkey_path(&self) -> PathBuf {
        self.folder.join("hotkeys").join(&self.hotkey)
    }

    fn hotkeypub_path(&self) -> PathBuf {
        self.folder.join("hotkeys").join(format!("{}pub.txt", self.hotkey))
    }

    fn coldkey_path(&self) -> PathBuf {
        self.folder.join("coldkey")
    }

    fn coldkeypub_path(&self) -> PathBuf {
        self.folder.join("coldkeypub.txt")
    }

    fn at(path: &Path, name: &str, hotkey: &str) -> Result<Self, WalletError> {
        for name in [name, hotkey] {
            let inside = !name.is_empty() && !name.contains(['/', '\\', '\0']);
            if !inside || name == "." || name == ".." {
                return Err(WalletError::Name { name: name.to_owned() });
            }
        }
        Ok(Self { folder: path.join(name), hotkey: hotkey.to_owned() })
    }
}

fn at_path(path: &Path) -> impl FnOnce(io::Error) -> WalletError + '_ {
    |source| WalletError::File { path: path.to_owned(), source }
}

fn read(path: &Path) -> Result<Vec<u8>, WalletError> {
    fs::read(path).map_err(at_path(path))
}

fn read_secret(path: &Path, password: Option<&Password>) -> Result<Keypair, WalletError> {
    refuse_exposed(path)?;
    let owned = || path.to_owned();
    let bytes = Zeroizing::new(read(path)?);
    let plain = match (crypt::protection(&bytes), password) {
        (Protection::None, _) => bytes,
        (Protection::Old, _) => return Err(WalletError::OldEncryption { path: owned() }),
        (Protection::Box, None) => return Err(WalletError::Encrypted { path: owned() }),
        (Protection::Box, Some(password)) => crypt::decrypt(&bytes, password)
            .ok_or_else(|| WalletError::Password { path: owned() })?,
    };
    let text = Zeroizing::new(String::from_utf8_lossy(&plain).into_owned());
    keyfile::parse_secret(&text).map_err(|source| WalletError::Key { path: owned(), source })
}

fn read_public(path: &Path) -> Result<[u8; 32], WalletError> {
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    keyfile::parse_public(&text).ok_or_else(|| WalletError::NoPublicKey { path: path.to_owned() })
}

#[cfg(unix)]
fn refuse_exposed(path: &Path) -> Result<(), WalletError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).map_err(at_path(path))?.permissions().mode() & 0o777;
    let for_others = mode & 0o077;
    if for_others == 0 {
        return Ok(());
    }
    Err(WalletError::Exposed { path: path.to_owned(), mode })
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path) -> Result<(), WalletError> {
    Ok(())
}

fn make_private_folder(path: &Path) -> Result<(), WalletError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(at_path(path))
}

/// Writes a file that does not exist yet, whole or not at all, readable by its owner alone.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), WalletError> {
    if path.exists() {
        return Err(WalletError::Exists { path: path.to_owned() });
    }
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = write_private(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path));
    written.map_err(at_path(path))
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
