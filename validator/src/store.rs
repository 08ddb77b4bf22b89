//! The validator's one file: `SQLite`, owned by one process, for one hotkey on one subnet of one
//! chain.
//!
//! Every transaction is on disk before it counts (`synchronous = FULL`), the file is locked for as
//! long as it is open, every row carries a checksum over its contents, and the journal's rows are
//! chained (`chained`), so that a changed bit or a missing row is a named error and never a
//! different weight vector. A rollback journal, not a write-ahead log: what was committed is in the
//! file itself, and no second file can lose it.
//!
//! Once an epoch the file is copied ([`Store::back_up`]). A damaged file is moved aside for its copy
//! when it is opened, and that is said ([`Store::restored`]); what the copy does not know yet, the
//! chain tells.

use std::path::{Path, PathBuf};

use chain_metadata::{Hotkey, MechId, NetUid};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sp_crypto_hashing::blake2_256;

use crate::journal::{State, Verdict};

pub(crate) mod chained;

const FIRST_LAYOUT: &str = "
CREATE TABLE owner (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL, sum BLOB NOT NULL);
CREATE TABLE submission (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, sum BLOB NOT NULL);
CREATE TABLE evidence (id INTEGER PRIMARY KEY AUTOINCREMENT, epoch INTEGER NOT NULL, body TEXT NOT NULL, sum BLOB NOT NULL);
CREATE INDEX evidence_by_epoch ON evidence (epoch);
CREATE TABLE book (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL, sum BLOB NOT NULL);
";

/// The journal's chain, and what the chain showed that this journal does not know of.
const SECOND_LAYOUT: &str = "
CREATE TABLE link (seq INTEGER PRIMARY KEY, submission INTEGER NOT NULL, sum BLOB NOT NULL, chain BLOB NOT NULL);
CREATE TABLE tip (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, chain BLOB NOT NULL);
CREATE TABLE origin (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL, sum BLOB NOT NULL);
CREATE TABLE stranger (id INTEGER PRIMARY KEY, body TEXT NOT NULL, sum BLOB NOT NULL);
";

/// How a file of any earlier version becomes one of this version. Only ever appended to.
fn migrations() -> Migrations<'static> {
    Migrations::new(vec![
        M::up(FIRST_LAYOUT),
        M::up_with_hook(SECOND_LAYOUT, |tx| Ok(chained::begin(tx)?)),
    ])
}

/// Bytes of the smallest page: no file that holds anything is shorter.
const SHORTEST_FILE: u64 = 512;

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
    /// It was written by a newer version, or cannot be brought to this one.
    #[error("{} has a layout that this program cannot read", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<rusqlite_migration::Error>,
    },
    /// The journal's rows do not follow from one another: some are missing or older than they were.
    #[error("the journal's chain is broken: {what}")]
    Chain {
        /// Where.
        what: String,
    },
    /// A file cannot be copied or moved.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
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
    #[error("submission {id}, which is {from:?}, cannot become {verdict:?}")]
    Order {
        /// The row.
        id: i64,
        /// How far it was.
        from: Box<State>,
        /// What was to be written of it.
        verdict: Box<Verdict>,
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

impl StoreError {
    /// Whether the file itself is damaged: a copy of it may not be.
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Checksum { .. } | Self::Chain { .. })
    }
}

/// A failure of `SQLite` while `doing` something to the file.
pub(crate) fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Chain { what: source.to_string() }
        }
        _ => StoreError::Sqlite { doing, source },
    }
}

/// The open, locked, checked file.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    restored: Option<String>,
}

impl Store {
    /// Opens the owner's file below `dir`, making it when there is none. A damaged one is moved
    /// aside for its last good copy, where there is one.
    pub fn open(dir: &Path, owner: &Owner) -> Result<Self, StoreError> {
        let path = owner.path(dir);
        let copy = copy_of(&path);
        // SQLite takes a file shorter than a page for a new one.
        let length = std::fs::metadata(&path).map_or(0, |file| file.len());
        let gone = length < SHORTEST_FILE && copy.exists();
        let damage = if gone {
            StoreError::Damaged { path: path.clone(), what: "it is gone, its copy is not".into() }
        } else {
            match Self::open_file(&path, owner) {
                Err(error) if error.is_damage() => error,
                opened => return opened,
            }
        };
        // Only a copy that is good itself takes the file's place.
        let usable = Self::copied(&copy, owner);
        if let Err(error) = usable {
            tracing::error!(copy = %copy.display(), %error, "the last good copy is of no use");
            return Err(damage);
        }
        let aside = path.with_extension("db.damaged");
        let moved = |doing| {
            let path = path.clone();
            move |source| StoreError::File { doing, path, source }
        };
        if path.exists() {
            std::fs::rename(&path, &aside).map_err(moved("move aside"))?;
        }
        // A journal beside the damaged file is not the copy's.
        std::fs::remove_file(path.with_extension("db-journal")).ok();
        std::fs::copy(&copy, &path).map_err(moved("restore"))?;
        tracing::error!(
            error = &damage as &dyn std::error::Error, aside = %aside.display(),
            "the journal is damaged; its last good copy is used"
        );
        let restored = Some(damage.to_string());
        Ok(Self { restored, ..Self::open_file(&path, owner)? })
    }

    /// Whether the last good copy can be opened.
    fn copied(copy: &Path, owner: &Owner) -> Result<(), StoreError> {
        if copy.exists() {
            return Self::open_file(copy, owner).map(drop);
        }
        let source = std::io::ErrorKind::NotFound.into();
        Err(StoreError::File { doing: "read", path: copy.into(), source })
    }

    fn open_file(path: &Path, owner: &Owner) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| StoreError::Folder { path: folder.into(), source })?;
        }
        let connection = Connection::open(path).map_err(failed("open"))?;
        lock(&connection).map_err(|source| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StoreError::Locked { path: path.into() }
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                StoreError::Damaged { path: path.into(), what: source.to_string() }
            }
            _ => StoreError::Sqlite { doing: "lock", source },
        })?;
        let mut store = Self { connection, path: path.into(), restored: None };
        store.check_pages(path)?;
        migrations()
            .to_latest(&mut store.connection)
            .map_err(|source| StoreError::Layout { path: path.into(), source: Box::new(source) })?;
        store.check_owner(path, owner)?;
        store.check_rows()?;
        chained::check(&store.connection)?;
        Ok(store)
    }

    /// Why the last good copy had to be used, if it had to.
    pub fn restored(&self) -> Option<&str> {
        self.restored.as_deref()
    }

    /// Copies the file, whole or not at all: the last good copy, for when the file is damaged.
    pub fn back_up(&mut self) -> Result<(), StoreError> {
        chained::check(&self.connection)?;
        let copy = copy_of(&self.path);
        let unfinished = copy.with_extension("part");
        let file = |doing| {
            let path = unfinished.clone();
            move |source| StoreError::File { doing, path, source }
        };
        if unfinished.exists() {
            std::fs::remove_file(&unfinished).map_err(file("remove"))?;
        }
        let target = unfinished.to_string_lossy();
        self.connection.execute("VACUUM INTO ?1", [target.as_ref()]).map_err(failed("copy"))?;
        let synced = std::fs::File::open(&unfinished).and_then(|copy| copy.sync_all());
        synced.map_err(file("copy to"))?;
        std::fs::rename(&unfinished, &copy).map_err(file("keep"))
    }

    /// Every row against its checksum.
    fn check_rows(&self) -> Result<(), StoreError> {
        for table in ["submission", "book", "origin", "stranger"] {
            let query = format!("SELECT id, body, sum FROM {table}");
            let mut statement = self.connection.prepare(&query).map_err(failed("read"))?;
            let rows = statement.query_map([], raw_row).map_err(failed("read"))?;
            for row in rows {
                row.map_err(failed("read"))?.check(table)?;
            }
        }
        Ok(())
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

    fn check_owner(&mut self, path: &Path, owner: &Owner) -> Result<(), StoreError> {
        let row = self
            .connection
            .query_row("SELECT id, body, sum FROM owner", [], raw_row)
            .optional()
            .map_err(failed("read"))?;
        let Some(row) = row else {
            return self.transact("claim", |tx| {
                let (body, sum) = encode("owner", owner)?;
                tx.execute("INSERT INTO owner (id, body, sum) VALUES (1, ?1, ?2)", (body, sum))
                    .map_err(failed("claim"))?;
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
            .map_err(failed(doing))?;
        let done = work(&transaction)?;
        transaction.commit().map_err(failed(doing))?;
        Ok(done)
    }

    /// Every row that `query` selects (`id, body, sum`), oldest first, checked and decoded.
    pub(crate) fn rows<T: DeserializeOwned>(
        &self,
        table: &'static str,
        query: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<(i64, T)>, StoreError> {
        let mut statement = self.connection.prepare_cached(query).map_err(failed("read"))?;
        let rows = statement.query_map(parameters, raw_row).map_err(failed("read"))?;
        rows.map(|row| {
            let row = row.map_err(failed("read"))?;
            Ok((row.id, decode(table, &row)?))
        })
        .collect()
    }
}

/// Takes the file's lock and keeps it.
fn lock(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "TRUNCATE")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")
}

/// Where the last good copy of a file is.
fn copy_of(path: &Path) -> PathBuf {
    path.with_extension("db.good")
}

struct RawRow {
    id: i64,
    body: String,
    sum: Vec<u8>,
}

impl RawRow {
    fn check(&self, table: &'static str) -> Result<(), StoreError> {
        if blake2_256(self.body.as_bytes()).as_slice() == self.sum {
            return Ok(());
        }
        Err(StoreError::Checksum { table, id: self.id })
    }
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
    row.check(table)?;
    serde_json::from_str(&row.body).map_err(|source| StoreError::Row { table, id: row.id, source })
}

#[cfg(test)]
impl Store {
    /// Runs as many statements of a step as told, with what they changed written out, looks at the
    /// files as a kill would leave them, and takes all of it back.
    pub(crate) fn killed_within(&mut self, id: i64, statements: usize, look: impl FnOnce()) {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let steps: [&str; 3] = [
            "UPDATE submission SET body = '{}' WHERE id = ?1",
            "INSERT INTO link SELECT seq + 1, ?1, sum, chain FROM tip JOIN submission WHERE 1",
            "UPDATE tip SET seq = seq + 1 WHERE ?1 > 0",
        ];
        for step in &steps[..statements] {
            tx.execute(step, [id]).unwrap();
        }
        tx.cache_flush().unwrap();
        look();
        tx.rollback().unwrap();
    }
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
                    .map_err(failed("change"))
            })
            .unwrap();
        drop(store);
        let error = Store::open(dir.path(), &owner(1)).unwrap_err();
        assert!(matches!(error, StoreError::Checksum { table: "owner", id: 1 }), "{error:?}");
    }

    /// One bit of every 397th byte, which reaches every page.
    #[test]
    fn a_flipped_bit_anywhere_is_named_or_changes_no_row() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), &owner(1)).unwrap();
        store.origin(40, 2).unwrap();
        for block in [70, 80] {
            store.meet_stranger(block).unwrap();
        }
        drop(store);
        let path = owner(1).path(dir.path());
        let good = std::fs::read(&path).unwrap();
        let (mut named, mut harmless) = (0, 0);
        for byte in (0..good.len()).step_by(397) {
            let mut bad = good.clone();
            bad[byte] ^= 1 << (byte % 8);
            std::fs::write(&path, bad).unwrap();
            std::fs::remove_file(path.with_extension("db-journal")).ok();
            match Store::open(dir.path(), &owner(1)) {
                Err(_) => named += 1,
                Ok(mut opened) => {
                    assert_eq!(opened.origin(1, 1).unwrap(), (40, 2), "byte {byte}");
                    assert_eq!(opened.strangers().unwrap(), [70, 80], "byte {byte}");
                    harmless += 1;
                }
            }
        }
        assert!(named > 0 && harmless > 0, "{named} named, {harmless} in free space");
    }

    #[test]
    fn a_file_of_the_first_version_is_brought_to_this_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = owner(1).path(dir.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let old = Connection::open(&path).unwrap();
        old.execute_batch(FIRST_LAYOUT).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let (body, sum) = encode("owner", &owner(1)).unwrap();
        old.execute("INSERT INTO owner (id, body, sum) VALUES (1, ?1, ?2)", (body, sum)).unwrap();
        let (body, sum) = encode("submission", &"row").unwrap();
        old.execute("INSERT INTO submission (body, sum) VALUES (?1, ?2)", (body, sum)).unwrap();
        drop(old);
        let store = Store::open(dir.path(), &owner(1)).unwrap();
        let links: i64 =
            store.connection.query_row("SELECT count(*) FROM link", [], |row| row.get(0)).unwrap();
        assert_eq!(links, 1);
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &owner(1)).unwrap();
        store.connection.pragma_update(None, "user_version", 99).unwrap();
        drop(store);
        let error = Store::open(dir.path(), &owner(1)).unwrap_err();
        assert!(matches!(error, StoreError::Layout { .. }), "{error:?}");
    }

    #[test]
    fn a_damaged_file_gives_way_to_its_last_good_copy() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), &owner(1)).unwrap();
        store.back_up().unwrap();
        assert_eq!(store.restored(), None);
        drop(store);
        let path = owner(1).path(dir.path());
        let good = std::fs::read(&path).unwrap();
        for length in [0, 1, 100, 4096, good.len() / 2] {
            std::fs::write(&path, &good[..length]).unwrap();
            let opened = Store::open(dir.path(), &owner(1)).unwrap();
            assert!(opened.restored().is_some(), "cut to {length}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Store::open(dir.path(), &owner(1)).unwrap().restored().is_some());
        let aside = path.with_extension("db.damaged");
        assert!(aside.exists(), "what was damaged is kept for whoever wants to look");
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
