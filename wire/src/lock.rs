//! One process for each hotkey and receiver.
//!
//! Two miners behind one hotkey would each accept the same nonce, and two validators would each
//! send weights. The lock is the kernel's, so it ends with the process, however that ends.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use chain_metadata::Hotkey;

/// Held while this process acts for a hotkey in a role; released on drop.
#[derive(Debug)]
pub struct HotkeyLock {
    path: PathBuf,
    _file: File,
}

/// Why the hotkey is not ours to act for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process acts for it.
    #[error("{holder} already acts for this hotkey (it holds {})", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as far as it said so.
        holder: Holder,
    },
    /// The lock file cannot be made or locked.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The process that holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// By its process id.
    Process(u32),
    /// It has not written its id.
    Unknown,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Process(id) => write!(f, "process {id}"),
            Self::Unknown => f.write_str("another process"),
        }
    }
}

/// Longest process id that is read back from a lock file, in bytes.
const MAX_ID_LEN: u64 = 16;

impl HotkeyLock {
    /// Takes the lock of `hotkey` for `receiver` (what it does there: a role, or a role and a
    /// subnet; letters, digits and dashes) in `dir`, which is made when absent.
    ///
    /// # Errors
    /// [`LockError::Held`] at once when another process holds it, [`LockError::Io`] otherwise.
    pub fn acquire(dir: &Path, hotkey: &Hotkey, receiver: &str) -> Result<Self, LockError> {
        let path = dir.join(format!("{hotkey}.{receiver}.lock"));
        match Self::take(dir, &path) {
            Ok(file) => Ok(Self { path, _file: file }),
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&path);
                Err(LockError::Held { path, holder })
            }
            Err(TryLockError::Error(source)) => Err(LockError::Io { path, source }),
        }
    }

    fn take(dir: &Path, path: &Path) -> Result<File, TryLockError> {
        let open = || {
            fs::create_dir_all(dir)?;
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
        };
        let mut file = open().map_err(TryLockError::Error)?;
        file.try_lock()?;
        let sign = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())
        };
        sign(&mut file).map_err(TryLockError::Error)?;
        Ok(file)
    }

    /// The lock file. It stays behind: removing it would let two processes lock two files.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn holder(path: &Path) -> Holder {
    let read = || -> Option<u32> {
        let mut id = String::new();
        File::open(path).ok()?.take(MAX_ID_LEN).read_to_string(&mut id).ok()?;
        id.parse().ok()
    };
    read().map_or(Holder::Unknown, Holder::Process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hotkey_acts_once_in_each_role() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = [1, 2].map(|n| Hotkey::from_bytes([n; 32]));
        let held = HotkeyLock::acquire(dir.path(), &a, "miner").unwrap();
        let Err(LockError::Held { holder, path }) = HotkeyLock::acquire(dir.path(), &a, "miner")
        else {
            panic!("locked twice");
        };
        assert_eq!((holder, path.as_path()), (Holder::Process(std::process::id()), held.path()));
        HotkeyLock::acquire(dir.path(), &a, "validator").unwrap();
        HotkeyLock::acquire(dir.path(), &b, "miner").unwrap();
        drop(held);
        HotkeyLock::acquire(dir.path(), &a, "miner").unwrap();
    }
}
