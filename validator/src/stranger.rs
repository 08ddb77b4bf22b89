//! Whether somebody else acts for our hotkey on this subnet: a twin on another machine, an old copy of
//! this validator, or a person with `btcli`.
//!
//! ```text
//! LastUpdate of our slot ── our registration, before this journal ──► nothing
//!                        ── a block that the journal holds ─────────► us
//!                        └─ any other ──► a stranger: once is said, twice within ten epochs ends us
//! ```
//!
//! Commits and open weights set `LastUpdate` alike, so one number tells of both.

use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError, encode, failed};

/// Epochs within which a second act of a stranger makes a twin of him: one may be a person's.
const TWIN_EPOCHS: u64 = 10;

/// Acts kept: more than it takes to end.
const KEPT: i64 = 64;

/// Who made the last update of our slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// It was never updated, but for its registration.
    Nobody,
    /// It was before this journal began.
    Earlier,
    /// The journal holds it.
    Us,
    /// Somebody else.
    Stranger,
}

/// Decides from the block of the last update, that of the registration, the first that this journal
/// looked at, and those that hold its submissions.
pub(crate) fn author(
    last_update: u64,
    registered: u64,
    origin: u64,
    mut ours: impl Iterator<Item = u64>,
) -> Author {
    if last_update <= registered {
        Author::Nobody
    } else if ours.any(|block| block == last_update) {
        Author::Us
    } else if last_update <= origin {
        Author::Earlier
    } else {
        Author::Stranger
    }
}

/// The blocks of a twin's acts, if the strangers' acts make one.
pub(crate) fn twin(acts: &[u64], tempo: u64) -> Option<(u64, u64)> {
    let window = TWIN_EPOCHS * tempo.max(1);
    acts.windows(2).map(|pair| (pair[0], pair[1])).find(|(first, next)| next - first <= window)
}

/// Where a journal begins.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Origin {
    block: u64,
    epoch: u64,
}

/// An act of a stranger.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Act {
    pub(crate) block: u64,
}

impl Store {
    /// The head at which this journal began, and its epoch: this one, if it begins now.
    pub(crate) fn origin(&mut self, head: u64, epoch: u64) -> Result<(u64, u64), StoreError> {
        if let Some(Origin { block, epoch }) = self.begun()? {
            return Ok((block, epoch));
        }
        let (body, sum) = encode("origin", &Origin { block: head, epoch })?;
        self.transact("journal", |tx| {
            tx.execute("INSERT INTO origin (id, body, sum) VALUES (1, ?1, ?2)", (body, sum))
                .map_err(failed("journal"))?;
            Ok((head, epoch))
        })
    }

    /// Where this journal began, if it has.
    pub(crate) fn begun(&self) -> Result<Option<Origin>, StoreError> {
        let found = self.rows::<Origin>("origin", "SELECT id, body, sum FROM origin", [])?.pop();
        Ok(found.map(|(_, origin)| origin))
    }

    /// The blocks of strangers' acts, oldest first.
    pub(crate) fn strangers(&self) -> Result<Vec<u64>, StoreError> {
        let query = "SELECT id, body, sum FROM stranger ORDER BY id";
        let rows = self.rows::<Act>("stranger", query, [])?;
        Ok(rows.into_iter().map(|(_, act)| act.block).collect())
    }

    /// Writes a stranger's act down; whether it is new.
    pub(crate) fn meet_stranger(&mut self, block: u64) -> Result<bool, StoreError> {
        if self.strangers()?.contains(&block) {
            return Ok(false);
        }
        let (body, sum) = encode("stranger", &Act { block })?;
        self.transact("journal", |tx| {
            tx.execute("INSERT INTO stranger (body, sum) VALUES (?1, ?2)", (body, sum))
                .map_err(failed("journal"))?;
            let id = tx.last_insert_rowid();
            tx.execute("DELETE FROM stranger WHERE id <= ?1", [id - KEPT])
                .map_err(failed("prune"))?;
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_update_tells_whose_it_is() {
        for (last_update, author_is) in [
            (0, Author::Nobody),
            (5, Author::Nobody),
            (40, Author::Earlier),
            (95, Author::Us),
            (96, Author::Stranger),
        ] {
            assert_eq!(author(last_update, 5, 50, [60, 95].into_iter()), author_is);
        }
    }

    #[test]
    fn once_is_a_person_and_twice_is_a_twin() {
        assert_eq!(twin(&[], 20), None);
        assert_eq!(twin(&[100], 20), None);
        assert_eq!(twin(&[100, 301], 20), None, "more than ten epochs apart");
        assert_eq!(twin(&[100, 301, 320], 20), Some((301, 320)));
    }
}
