//! What was measured, and what it says of each hotkey: on disk after every round, so that a kill
//! costs the round under way and nothing else.
//!
//! Prompts and answers are kept as digests only.

use chain_metadata::Hotkey;
use scoring::book::Book;
use scoring::evidence::Evidence;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subnet_rules::exchange::Fault;

use crate::store::{Store, StoreError, encode};

const EVIDENCE: &str = "evidence";
const BOOK: &str = "book";

/// Epochs for which exchanges are kept: three days at 72 minutes. The book keeps what they said.
pub(crate) const KEPT_EPOCHS: u64 = 60;

/// One round of questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// The subnet's epoch.
    pub epoch: u64,
    /// The finalized head whose hash was the beacon.
    pub block: u64,
    /// What came of each question.
    pub exchanges: Vec<Exchange>,
}

/// One question to one miner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// Whom.
    pub hotkey: Hotkey,
    /// Its place in the round, part of the beacon.
    pub counter: u64,
    /// Digest of the request's bytes, in hex.
    pub request: String,
    /// What came back.
    pub outcome: Outcome,
    /// What the rule found, by track.
    pub findings: Vec<(String, Evidence)>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An answer that could be judged.
    Answered {
        /// Digest of its bytes, in hex.
        answer: String,
        /// Microseconds to its last byte, by our clock.
        total_us: u64,
    },
    /// Nothing that could.
    Unanswered(Fault),
    /// Our own engine failed on it: nothing is scored.
    NotMeasured,
}

/// The book, for the rule under which it was written, and the last round begun.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledgerbook {
    /// The rule's digest. Standings under another rule say nothing.
    pub rule: String,
    /// Block of the last round begun: no round is begun twice, or a task would be asked twice.
    pub begun: u64,
    /// Standings by hotkey.
    pub book: Book,
    /// What the rule remembers, where it does.
    #[serde(default)]
    pub memory: Value,
}

impl Store {
    /// The digest of the rule that the book was last written under.
    pub fn last_rule(&self) -> Result<Option<String>, StoreError> {
        let stored = self.rows::<Ledgerbook>(BOOK, "SELECT id, body, sum FROM book", [])?.pop();
        Ok(stored.map(|(_, stored)| stored.rule))
    }

    /// The book written under `rule`, or an empty one.
    pub fn book(&self, rule: &str) -> Result<Ledgerbook, StoreError> {
        let stored = self.rows::<Ledgerbook>(BOOK, "SELECT id, body, sum FROM book", [])?.pop();
        let empty = || Ledgerbook { rule: rule.to_owned(), ..Ledgerbook::default() };
        Ok(match stored {
            Some((_, stored)) if stored.rule == rule => stored,
            Some((_, stored)) => Ledgerbook { begun: stored.begun, ..empty() },
            None => empty(),
        })
    }

    /// Writes the book, and the round that changed it. On disk when this returns.
    pub fn keep(&mut self, book: &Ledgerbook, round: Option<&Round>) -> Result<(), StoreError> {
        let (body, sum) = encode(BOOK, book)?;
        let round = round.map(|round| Ok((round, encode(EVIDENCE, round)?))).transpose()?;
        let failed = |source| StoreError::Sqlite { doing: "keep evidence in", source };
        self.transact("keep evidence in", |tx| {
            tx.execute(
                "INSERT OR REPLACE INTO book (id, body, sum) VALUES (1, ?1, ?2)",
                (body, sum),
            )
            .map_err(failed)?;
            if let Some((round, (body, sum))) = round {
                let epoch = i64::try_from(round.epoch).unwrap_or(i64::MAX);
                tx.execute(
                    "INSERT INTO evidence (epoch, body, sum) VALUES (?1, ?2, ?3)",
                    (epoch, body, sum),
                )
                .map_err(failed)?;
                let oldest =
                    i64::try_from(round.epoch.saturating_sub(KEPT_EPOCHS)).unwrap_or(i64::MAX);
                tx.execute("DELETE FROM evidence WHERE epoch < ?1", [oldest]).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// The rounds kept, oldest first.
    pub fn rounds(&self) -> Result<Vec<Round>, StoreError> {
        let rows = self.rows(EVIDENCE, "SELECT id, body, sum FROM evidence ORDER BY id", [])?;
        Ok(rows.into_iter().map(|(_, round)| round).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Owner;
    use chain_metadata::{MechId, NetUid};

    fn store(dir: &std::path::Path) -> Store {
        let owner = Owner {
            hotkey: Hotkey::from_bytes([1; 32]),
            genesis: "ab".repeat(32),
            netuid: NetUid(1),
            mechid: MechId(0),
        };
        Store::open(dir, &owner).unwrap()
    }

    fn round(epoch: u64) -> Round {
        let exchange = Exchange {
            hotkey: Hotkey::from_bytes([2; 32]),
            counter: 0,
            request: "00".into(),
            outcome: Outcome::Unanswered(Fault::Timeout),
            findings: vec![("quality".into(), Evidence::Trials { passed: 0, failed: 1 })],
        };
        Round { epoch, block: epoch * 10, exchanges: vec![exchange] }
    }

    #[test]
    fn a_round_and_its_book_survive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let book = Ledgerbook { rule: "r".into(), begun: 40, ..Ledgerbook::default() };
        store(dir.path()).keep(&book, Some(&round(4))).unwrap();
        let again = store(dir.path());
        assert_eq!(again.book("r").unwrap(), book);
        assert_eq!(again.rounds().unwrap(), [round(4)]);
    }

    #[test]
    fn standings_under_another_rule_are_not_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        let book = Ledgerbook { rule: "old".into(), begun: 40, ..Ledgerbook::default() };
        store.keep(&book, None).unwrap();
        let fresh = store.book("new").unwrap();
        assert_eq!((fresh.rule.as_str(), fresh.begun, fresh.book), ("new", 40, Book::default()));
    }

    #[test]
    fn exchanges_expire() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        let book = Ledgerbook::default();
        for epoch in [1, KEPT_EPOCHS, KEPT_EPOCHS + 2] {
            store.keep(&book, Some(&round(epoch))).unwrap();
        }
        let kept: Vec<u64> = store.rounds().unwrap().iter().map(|round| round.epoch).collect();
        assert_eq!(kept, [KEPT_EPOCHS, KEPT_EPOCHS + 2]);
    }
}
