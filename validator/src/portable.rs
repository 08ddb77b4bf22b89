//! The journal as one file, to move a hotkey to another machine.
//!
//! It holds what must not be forgotten on the way: the submissions with their bytes and salts, where
//! the journal began, the acts of strangers, and the book. A checksum is over all of it.
//!
//! The running validator holds the journal's lock, so an export says that it has stopped; what was
//! open then is taken over open, and the chain tells what became of it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sp_crypto_hashing::blake2_256;

use crate::evidence::Ledgerbook;
use crate::journal::Submission;
use crate::store::{Owner, Store, StoreError, chained, encode, failed};
use crate::stranger::{Act, Origin};

/// The form of the file.
const VERSION: u32 = 1;

/// Largest file that is read: a year of submissions with their bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Why a journal was not moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// The journal itself.
    #[error("the journal cannot be used")]
    Store(#[from] StoreError),
    /// The file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is no exported journal, or another version's.
    #[error("{} is no exported journal of version {VERSION}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where it differs, if it is JSON at all.
        source: Option<serde_json::Error>,
    },
    /// It was changed since it was exported.
    #[error("{} does not match its checksum", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
    },
    /// It is another hotkey's, subnet's or chain's.
    #[error(
        "{} belongs to {} on subnet {} of chain {}, not to {} on subnet {} of chain {}",
        path.display(), found.hotkey, found.netuid, found.genesis,
        expected.hotkey, expected.netuid, expected.genesis
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: Box<Owner>,
        /// Whose journal is here.
        expected: Box<Owner>,
    },
    /// There is a history here already.
    #[error("the journal here holds {submissions} submissions already")]
    NotEmpty {
        /// How many.
        submissions: usize,
    },
}

/// What is moved, and its checksum.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    version: u32,
    /// Blake2-256 of `journal` as it stands here, in hex.
    sum: String,
    /// A [`Moved`], as JSON text: what is checked is what is read.
    journal: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Moved {
    owner: Owner,
    origin: Option<Origin>,
    submissions: Vec<Submission>,
    strangers: Vec<u64>,
    book: Option<Ledgerbook>,
}

impl Store {
    /// Writes the owner's journal to a new file, readable by its owner only: it holds the salts of
    /// hidden weights. How many submissions it holds.
    ///
    /// # Errors
    /// The file is there already, or cannot be written.
    pub fn export(&self, owner: &Owner, path: &Path) -> Result<usize, MoveError> {
        let moved = Moved {
            owner: owner.clone(),
            origin: self.begun()?,
            submissions: self.history()?.into_iter().map(|(_, row)| row).collect(),
            strangers: self.strangers()?,
            book: self.last_book()?,
        };
        let form = |source| MoveError::Form { path: path.into(), source: Some(source) };
        let journal = serde_json::to_string(&moved).map_err(form)?;
        let sum = hex::encode(blake2_256(journal.as_bytes()));
        let sealed = Sealed { version: VERSION, sum, journal };
        let text = serde_json::to_string(&sealed).map_err(form)?;
        write_new(path, text.as_bytes()).map_err(|source| MoveError::File {
            doing: "write",
            path: path.into(),
            source,
        })?;
        Ok(moved.submissions.len())
    }

    /// Takes over an exported journal; how many submissions it holds.
    ///
    /// # Errors
    /// It is not this owner's, it was changed, or there is a history here already.
    pub fn import(&mut self, owner: &Owner, path: &Path) -> Result<usize, MoveError> {
        let Moved { owner: found, origin, submissions, strangers, book } = read(path)?;
        if found != *owner {
            return Err(MoveError::Foreign {
                path: path.into(),
                found: Box::new(found),
                expected: Box::new(owner.clone()),
            });
        }
        let here = self.history()?.len();
        if here > 0 {
            return Err(MoveError::NotEmpty { submissions: here });
        }
        self.transact("import into", |tx| {
            let put = failed("import into");
            for row in &submissions {
                let (body, sum) = encode("submission", row)?;
                let insert = "INSERT INTO submission (body, sum) VALUES (?1, ?2)";
                tx.execute(insert, (body, &sum)).map_err(&put)?;
                chained::link(tx, tx.last_insert_rowid(), &sum)?;
            }
            if let Some(origin) = origin {
                let insert = "INSERT OR REPLACE INTO origin (id, body, sum) VALUES (1, ?1, ?2)";
                tx.execute(insert, encode("origin", &origin)?).map_err(&put)?;
            }
            for block in strangers {
                let insert = "INSERT INTO stranger (body, sum) VALUES (?1, ?2)";
                tx.execute(insert, encode("stranger", &Act { block })?).map_err(&put)?;
            }
            if let Some(book) = &book {
                let insert = "INSERT OR REPLACE INTO book (id, body, sum) VALUES (1, ?1, ?2)";
                tx.execute(insert, encode("book", book)?).map_err(&put)?;
            }
            Ok(())
        })?;
        Ok(submissions.len())
    }

    fn last_book(&self) -> Result<Option<Ledgerbook>, StoreError> {
        let books = self.rows::<Ledgerbook>("book", "SELECT id, body, sum FROM book", [])?;
        Ok(books.into_iter().next().map(|(_, book)| book))
    }
}

fn read(path: &Path) -> Result<Moved, MoveError> {
    let file = |source| MoveError::File { doing: "read", path: path.into(), source };
    let form = |source| MoveError::Form { path: path.into(), source: Some(source) };
    if std::fs::metadata(path).map_err(file)?.len() > MAX_BYTES {
        return Err(MoveError::Form { path: path.into(), source: None });
    }
    let text = std::fs::read_to_string(path).map_err(file)?;
    let sealed: Sealed = serde_json::from_str(&text).map_err(form)?;
    if sealed.version != VERSION {
        return Err(MoveError::Form { path: path.into(), source: None });
    }
    if hex::encode(blake2_256(sealed.journal.as_bytes())) != sealed.sum {
        return Err(MoveError::Checksum { path: path.into() });
    }
    serde_json::from_str(&sealed.journal).map_err(form)
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Paid, State, Verdict};
    use chain::SignedExtrinsic;
    use chain_metadata::{Hotkey, MechId, NetUid, Uid};

    fn owner(netuid: u16) -> Owner {
        Owner {
            hotkey: Hotkey::from_bytes([1; 32]),
            genesis: "ab".repeat(32),
            netuid: NetUid(netuid),
            mechid: MechId(0),
        }
    }

    fn submission(epoch: u64) -> Submission {
        let extrinsic = SignedExtrinsic {
            bytes: vec![1, 2, 3],
            hash: [3; 32],
            signer: [1; 32],
            nonce: 7,
            era_birth: 90,
            era_end: 154,
        };
        let paid = Paid { hotkey: Hotkey::from_bytes([2; 32]), uid: Uid(1), value: u16::MAX };
        Submission {
            epoch,
            decided_at: 90,
            weights: vec![paid],
            hidden: None,
            extrinsic,
            included: None,
            state: State::Intended,
        }
    }

    #[test]
    fn a_journal_is_moved_with_what_is_open_and_what_strangers_did() {
        let [from, to] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let file = to.path().join("journal.json");
        let mut old = Store::open(from.path(), &owner(1)).unwrap();
        old.origin(40, 2).unwrap();
        old.meet_stranger(70).unwrap();
        let settled = old.intend(&submission(4)).unwrap();
        old.follow(settled, &Verdict::Settle { block: 95 }).unwrap();
        let open = old.intend(&submission(5)).unwrap();
        old.follow(open, &Verdict::Resend).unwrap();
        assert_eq!(old.export(&owner(1), &file).unwrap(), 2);

        let mut new = Store::open(to.path(), &owner(1)).unwrap();
        assert_eq!(new.import(&owner(1), &file).unwrap(), 2);
        assert_eq!(new.history().unwrap(), old.history().unwrap());
        assert_eq!(new.origin(999, 99).unwrap(), (40, 2));
        assert_eq!(new.strangers().unwrap(), [70]);
        assert_eq!(new.unresolved().unwrap().unwrap().0, open);
        let again = new.import(&owner(1), &file).unwrap_err();
        assert!(matches!(again, MoveError::NotEmpty { submissions: 2 }), "{again}");
    }

    #[test]
    fn a_file_that_was_changed_or_is_another_hotkeys_is_refused() {
        let [from, to] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let file = to.path().join("journal.json");
        let mut old = Store::open(from.path(), &owner(1)).unwrap();
        old.intend(&submission(4)).unwrap();
        old.export(&owner(1), &file).unwrap();
        let there = old.export(&owner(1), &file).unwrap_err();
        assert!(matches!(there, MoveError::File { .. }), "nothing is overwritten");

        let mut new = Store::open(to.path(), &owner(2)).unwrap();
        let foreign = new.import(&owner(2), &file).unwrap_err();
        assert!(matches!(foreign, MoveError::Foreign { .. }), "{foreign}");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("65535", "65534")).unwrap();
        let changed = new.import(&owner(2), &file).unwrap_err();
        assert!(matches!(changed, MoveError::Checksum { .. }), "{changed}");
        std::fs::write(&file, &text[..text.len() / 2]).unwrap();
        let cut = new.import(&owner(2), &file).unwrap_err();
        assert!(matches!(cut, MoveError::Form { .. }), "{cut}");
        assert!(new.history().unwrap().is_empty());
    }
}
