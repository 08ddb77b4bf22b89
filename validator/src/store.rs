//! The validator's one file: `SQLite`, owned by one process, for one hotkey on one subnet of one
//! chain.
//!
//! Every transaction is on disk before it counts (`synchronous = FULL`), the file is locked for as
//! long as it is open, and every row carries a checksum over its contents, so that a changed bit is
//! a named error and never a different weight vector.

use std::path::{Path, PathBuf};

use chain_metadata::{Hotkey, MechId, NetUid};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sp_crypto_hashing::blake2_256;

use crate::journal::State;

/// Layout of the file. A file of another layout is refused, not guessed at.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS owner (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL, sum BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS submission (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, sum BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS evidence (id INTEGER PRIMARY KEY AUTOINCREMENT, epoch INTEGER NOT NULL, body TEXT NOT NULL, sum BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS evidence_by_epoch ON evidence (epoch);
CREATE TABLE IF NOT EXISTS book (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL, sum BLOB NOT NULL);
";

/// Whose file it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The validator.
    pub hotkey: Hotkey,
    /// The chain, by the hash of its block 0, in hex.
    pub genesis: String,
    /// The subnet.
    pub netuid: NetUid,
    /// The mechanism.
    pub mechid: MechId,
}

impl Owner {
    /// Where this owner's file lies below `dir`. A local chain started anew is another chain, and
    /// so has another file.
    pub fn path(&self, dir: &Path) -> PathBuf {
        let chain: String = self.genesis.chars().take(12).collect();
        dir.join(chain)
            .join(format!("netuid{}-mech{}", self.netuid, self.mechid))
            .join(format!("{}.db", self.hotkey))
    }
}

/// What went wrong with the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Its folder cannot be made.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error("another validator has {} open", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// It belongs to someone else.
    #[error(
        "{} belongs to hotkey {} on subnet {} of chain {}, not to {} on subnet {} of chain {}",
        path.display(), found.hotkey, found.netuid, found.genesis,
        expected.hotkey, expected.netuid, expected.genesis
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: Box<Owner>,
        /// Who opened it.
        expected: Box<Owner>,
    },
    /// It was written by another version.
    #[error("{} has layout {found}, this program reads {SCHEMA_VERSION}", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
    },
    /// Its pages are damaged.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What `SQLite`'s check said first.
        what: String,
    },
    /// A row does not match its checksum.
    #[error("row {id} of `{table}` does not match its checksum")]
    Checksum {
        /// The table.
        table: &'static str,
        /// The row.
        id: i64,
    },
    /// A row that matches its checksum cannot be read: another version wrote it.
    #[error("row {id} of `{table}` cannot be read")]
    Row {
        /// The table.
        table: &'static str,
        /// The row.
        id: i64,
        /// Why not.
        source: serde_json::Error,
    },
    /// A value cannot be written as a row.
    #[error("a row of `{table}` cannot be written")]
    Unwritable {
        /// The table.
        table: &'static str,
        /// Why not.
        source: serde_json::Error,
    },
    /// A submission is open already; nothing else is sent before its end is known.
    #[error("submission {id} is still open")]
    Open {
        /// Its row.
        id: i64,
    },
    /// The epoch has its weights.
    #[error("epoch {epoch} has settled weights")]
    Settled {
        /// The epoch.
        epoch: u64,
    },
    /// No such row.
    #[error("there is no submission {id}")]
    NoSubmission {
        /// The row.
        id: i64,
    },
    /// A step that cannot follow.
    #[error("submission {id} cannot go from {from:?} to {to:?}")]
    Order {
        /// The row.
        id: i64,
        /// How far it was.
        from: Box<State>,
        /// Where it should go.
        to: Box<State>,
    },
    /// `SQLite` failed: disk full, read-only, unreadable.
    #[error("cannot {doing} the validator's file")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: rusqlite::Error,
    },
}

fn sqlite(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| StoreError::Sqlite { doing, source }
}

/// The open, locked, checked file.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
}

impl Store {
    /// Opens the owner's file below `dir`, making it when there is none.
    pub fn open(dir: &Path, owner: &Owner) -> Result<Self, StoreError> {
        Self::open_file(&owner.path(dir), owner)
    }

    fn open_file(path: &Path, owner: &Owner) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| StoreError::Folder { path: folder.into(), source })?;
        }
        let connection = Connection::open(path).map_err(sqlite("open"))?;
        lock(&connection).map_err(|source| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StoreError::Locked { path: path.into() }
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                StoreError::Damaged { path: path.into(), what: source.to_string() }
            }
            _ => StoreError::Sqlite { doing: "lock", source },
        })?;
        let mut store = Self { connection };
        store.check_pages(path)?;
        store.check_layout(path)?;
        store.check_owner(path, owner)?;
        Ok(store)
    }

    fn check_pages(&self, path: &Path) -> Result<(), StoreError> {
        let verdict: Result<String, _> =
            self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
        match verdict {
            Ok(ok) if ok == "ok" => Ok(()),
            Ok(what) => Err(StoreError::Damaged { path: path.into(), what }),
            Err(source) => Err(StoreError::Damaged { path: path.into(), what: source.to_string() }),
        }
    }

    fn check_layout(&self, path: &Path) -> Result<(), StoreError> {
        let found: i64 = self
            .connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(sqlite("read"))?;
        match found {
            SCHEMA_VERSION => Ok(()),
            0 => self
                .connection
                .execute_batch(&format!(
                    "BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                ))
                .map_err(sqlite("lay out")),
            found => Err(StoreError::Layout { path: path.into(), found }),
        }
    }

    fn check_owner(&mut self, path: &Path, owner: &Owner) -> Result<(), StoreError> {
        let row = self
            .connection
            .query_row("SELECT id, body, sum FROM owner", [], raw_row)
            .optional()
            .map_err(sqlite("read"))?;
        let Some(row) = row else {
            return self.transact("claim", |tx| {
                let (body, sum) = encode("owner", owner)?;
                tx.execute("INSERT INTO owner (id, body, sum) VALUES (1, ?1, ?2)", (body, sum))
                    .map_err(sqlite("claim"))?;
                Ok(())
            });
        };
        let found: Owner = decode("owner", &row)?;
        if &found == owner {
            return Ok(());
        }
        Err(StoreError::Foreign {
            path: path.into(),
            found: Box::new(found),
            expected: Box::new(owner.clone()),
        })
    }

    /// Runs `work` in one transaction that is on disk when this returns `Ok`.
    pub(crate) fn transact<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sqlite(doing))?;
        let done = work(&transaction)?;
        transaction.commit().map_err(sqlite(doing))?;
        Ok(done)
    }

    /// Every row that `query` selects (`id, body, sum`), oldest first, checked and decoded.
    pub(crate) fn rows<T: DeserializeOwned>(
        &self,
        table: &'static str,
        query: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<(i64, T)>, StoreError> {
        let mut statement = self.connection.prepare_cached(query).map_err(sqlite("read"))?;
        let rows = statement.query_map(parameters, raw_row).map_err(sqlite("read"))?;
        rows.map(|row| {
            let row = row.map_err(sqlite("read"))?;
            Ok((row.id, decode(table, &row)?))
        })
        .collect()
    }
}

/// Takes the file's lock and keeps it; WAL without shared memory, since there is no one to share.
fn lock(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")
}

struct RawRow {
    id: i64,
    body: String,
    sum: Vec<u8>,
}

fn raw_row(row: &rusqlite::Row<'_>) -> Result<RawRow, rusqlite::Error> {
    Ok(RawRow { id: row.get(0)?, body: row.get(1)?, sum: row.get(2)? })
}

/// A value as a row's body and checksum.
pub(crate) fn encode(
    table: &'static str,
    value: &impl Serialize,
) -> Result<(String, Vec<u8>), StoreError> {
    let body =
        serde_json::to_string(value).map_err(|source| StoreError::Unwritable { table, source })?;
    let sum = blake2_256(body.as_bytes()).to_vec();
    Ok((body, sum))
}

fn decode<T: DeserializeOwned>(table: &'static str, row: &RawRow) -> Result<T, StoreError> {
    if blake2_256(row.body.as_bytes()).as_slice() != row.sum {
        return Err(StoreError::Checksum { table, id: row.id });
    }
    serde_json::from_str(&row.body).map_err(|source| StoreError::Row { table, id: row.id, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(seed: u8) -> Owner {
        Owner {
            hotkey: Hotkey::from_bytes([seed; 32]),
            genesis: "ab".repeat(32),
            netuid: NetUid(1),
            mechid: MechId(0),
        }
    }

    #[test]
    fn a_second_validator_of_the_same_hotkey_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = Store::open(dir.path(), &owner(1)).unwrap();
        let second = Store::open(dir.path(), &owner(1)).unwrap_err();
        assert!(matches!(second, StoreError::Locked { .. }), "{second:?}");
        drop(first);
        Store::open(dir.path(), &owner(1)).unwrap();
    }

    #[test]
    fn a_file_of_another_hotkey_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), &owner(1)).unwrap());
        let path = owner(1).path(dir.path());
        let error = Store::open_file(&path, &owner(2)).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { found, .. } if *found == owner(1)));
    }

    #[test]
    fn a_changed_row_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), &owner(1)).unwrap();
        store
            .transact("change", |tx| {
                tx.execute("UPDATE owner SET body = replace(body, '1', '2')", [])
                    .map_err(sqlite("change"))
            })
            .unwrap();
        drop(store);
        let error = Store::open(dir.path(), &owner(1)).unwrap_err();
        assert!(matches!(error, StoreError::Checksum { table: "owner", id: 1 }), "{error:?}");
    }

    #[test]
    fn a_file_cut_short_or_overwritten_anywhere_is_never_read_as_good() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), &owner(1)).unwrap());
        let path = owner(1).path(dir.path());
        let good = std::fs::read(&path).unwrap();
        // The owner's row holds this text; wherever it is damaged, opening must not succeed.
        let text = owner(1).genesis;
        let at = good.windows(text.len()).position(|w| w == text.as_bytes()).unwrap();
        for byte in [at, at + 5, at + text.len() - 1] {
            let mut bad = good.clone();
            bad[byte] ^= 1;
            std::fs::write(&path, bad).unwrap();
            assert!(Store::open(dir.path(), &owner(1)).is_err(), "byte {byte}");
        }
        for length in [100, 4096, good.len() / 2] {
            std::fs::write(&path, &good[..length]).unwrap();
            assert!(Store::open(dir.path(), &owner(1)).is_err(), "cut to {length}");
        }
    }
}
