//! The weights journal: what was to be sent, written down before it is sent, and what became of it.
//!
//! ```text
//! Intended ──► Broadcast ──► Included ──► Settled         the row on chain is the row sent
//!     │            │             ├──────► Lost            it is not, or nobody can tell any more
//!     └────────────┴────────────────────► Lost            refused, outrun, or its era is over
//!                                │
//!                           Committed ──► (Revealing) ──► Settled   the chain revealed it
//!                                └──────────────┴───────► Lost      and it did not
//! ```
//!
//! A step is [`State::after`], which is pure: from a state and a [`Verdict`] to the states that
//! follow. They are written in one transaction, so a kill leaves the state before or the one after,
//! and every verdict can be reached from both.
//!
//! A commit is not settled when a block holds it: its reveal must be seen. One made by hash is
//! shown by us, with a second extrinsic that is written down before it is sent (`Revealing`); its
//! salt was written down with the commit.
//!
//! A row holds the signed bytes, so whatever happens after a crash, only those bytes can be sent
//! again, and a nonce is good for one extrinsic. [`Store::intend`] checks, under the file's exclusive lock,
//! that no other submission is open and that the epoch has no settled one: two are never under way.

use chain::SignedExtrinsic;
use chain_metadata::{Hotkey, Uid};
use serde::{Deserialize, Serialize};

use crate::loss::Cause;
use crate::schedule::Ledger;
use crate::store::{Store, StoreError, chained, encode, failed};

const TABLE: &str = "submission";

/// Rows read back for decisions: more than the tries of the last twenty epochs.
const RECENT: i64 = 64;

/// Rows kept: a year of epochs of 72 minutes, and then some.
const KEPT: i64 = 10_000;

/// One weight of a submission. The hotkey is whom it was meant for; the uid is where it was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    /// Whom.
    pub hotkey: Hotkey,
    /// Its slot when the weights were made.
    pub uid: Uid,
    /// The weight.
    pub value: u16,
}

/// A weight vector on its way to the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The subnet's epoch that it is for.
    pub epoch: u64,
    /// Finalized head when it was decided.
    pub decided_at: u64,
    /// The weights, ascending by uid.
    pub weights: Vec<Paid>,
    /// What opens them, where they were hidden.
    #[serde(default)]
    pub hidden: Option<Hidden>,
    /// The signed bytes, and the blocks in which they are valid.
    pub extrinsic: SignedExtrinsic,
    /// The block that holds them, once it is known.
    #[serde(default)]
    pub included: Option<u64>,
    /// How far it is.
    pub state: State,
}

/// What opens hidden weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "route", rename_all = "snake_case")]
pub enum Hidden {
    /// We show them.
    Hash {
        /// What was hashed with them.
        salt: Vec<u16>,
        /// And the version key.
        version_key: u64,
    },
    /// The chain does.
    Timelocked {
        /// The round that opens them.
        round: u64,
        /// The ciphertext.
        ciphertext: Vec<u8>,
    },
}

impl Submission {
    /// The reveal of a hash commit, as a submission of its own: open weights in other bytes.
    pub(crate) fn as_reveal(&self, reveal: SignedExtrinsic) -> Self {
        Self { hidden: None, extrinsic: reveal, state: State::Broadcast, ..self.clone() }
    }

    /// The weights alone.
    pub(crate) fn row(&self) -> Vec<(Uid, u16)> {
        self.weights.iter().map(|paid| (paid.uid, paid.value)).collect()
    }
}

/// How far a submission is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Written down; nothing was sent.
    Intended,
    /// Handed to a node, or about to be: it may be anywhere.
    Broadcast,
    /// In a finalized block.
    Included {
        /// The block.
        block: u64,
    },
    /// The chain holds a commit of these weights.
    Committed {
        /// The block.
        block: u64,
        /// The subnet's epoch that the commit belongs to.
        epoch: u64,
    },
    /// The weights behind a hash were handed to a node, or are about to be.
    Revealing {
        /// The commit's block.
        block: u64,
        /// Its epoch.
        epoch: u64,
        /// The signed bytes that show them.
        reveal: SignedExtrinsic,
    },
    /// The chain holds these weights.
    Settled {
        /// The block that made it so.
        block: u64,
    },
    /// It did not take effect and never will.
    Lost {
        /// Why.
        why: Loss,
    },
}

/// Why a submission never takes effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "loss", rename_all = "snake_case")]
pub enum Loss {
    /// A block holds it, and the chain refused the call.
    Refused {
        /// The error's pallet.
        pallet: String,
        /// The error's name.
        name: String,
    },
    /// The pool did not take bytes that it had never seen.
    Pool {
        /// The pool's reason.
        why: String,
    },
    /// Its era ended, and no block holds it.
    Expired {
        /// First block in which it was no longer valid.
        era_end: u64,
    },
    /// A block holds it, and the chain's row is another one.
    Unapplied {
        /// The block.
        block: u64,
    },
    /// The chain took the commit and never applied it.
    Unrevealed {
        /// Why not.
        why: Cause,
    },
    /// The epoch in which the hash had to be opened went by.
    NotShown {
        /// That epoch.
        epoch: u64,
    },
    /// Another program with this key used the nonce first.
    NonceTaken {
        /// The nonce.
        nonce: u32,
    },
    /// A block held it, or could have, and no node has the states any more that would tell.
    Unseen {
        /// That block, if it is known.
        block: Option<u64>,
    },
}

impl Loss {
    /// A name for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Pool { .. } => "pool",
            Self::Expired { .. } => "expired",
            Self::Unapplied { .. } => "unapplied",
            Self::Unrevealed { .. } => "unrevealed",
            Self::NotShown { .. } => "not_shown",
            Self::NonceTaken { .. } => "nonce_taken",
            Self::Unseen { .. } => "unseen",
        }
    }

    /// Whether the bytes alone were lost: signed anew, the same weights may still be taken.
    pub const fn is_of_the_bytes(&self) -> bool {
        matches!(self, Self::NonceTaken { .. } | Self::Expired { .. })
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { pallet, name } => write!(f, "the chain refused it: {pallet}.{name}"),
            Self::Pool { why } => write!(f, "the pool refused it: {why}"),
            Self::Expired { era_end } => write!(f, "no block before {era_end} took it"),
            Self::Unapplied { block } => {
                write!(f, "block {block} holds it, and the chain's row is another one")
            }
            Self::Unrevealed { why } => write!(f, "the chain never applied it: {why}"),
            Self::NotShown { epoch } => {
                write!(f, "epoch {epoch}, in which it had to be shown, went by")
            }
            Self::NonceTaken { nonce } => {
                write!(f, "another program with this hotkey used nonce {nonce} first")
            }
            Self::Unseen { block: Some(block) } => write!(
                f,
                "block {block} holds it, and no node has the state any more that tells whether the \
                 chain took it"
            ),
            Self::Unseen { block: None } => {
                f.write_str("no node has the blocks any more in which it could be")
            }
        }
    }
}

impl State {
    /// Whether its end is known.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Settled { .. } | Self::Lost { .. })
    }

    /// Whether its bytes may be under way: nothing else is sent meanwhile.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Intended | Self::Broadcast | Self::Included { .. })
    }

    /// Whether the chain holds a commit that waits for its reveal.
    pub const fn is_committed(&self) -> bool {
        matches!(self, Self::Committed { .. } | Self::Revealing { .. })
    }

    /// The states that follow from a verdict, in order; none if it says nothing new.
    ///
    /// # Errors
    /// The verdict contradicts the state: a settled row is lost, say.
    pub fn after(&self, verdict: &Verdict) -> Result<Vec<Self>, OutOfOrder> {
        let mut path = Vec::new();
        if *self == Self::Intended && !matches!(verdict, Verdict::Lose(_)) {
            path.push(Self::Broadcast);
        }
        let before_block = matches!(self, Self::Intended | Self::Broadcast);
        match verdict {
            Verdict::Resend if !self.is_final() => {}
            Verdict::Settle { block } if !self.is_final() => {
                if before_block {
                    path.push(Self::Included { block: *block });
                }
                path.push(Self::Settled { block: *block });
            }
            Verdict::Commit { block, epoch } if self.is_open() => {
                if before_block {
                    path.push(Self::Included { block: *block });
                }
                path.push(Self::Committed { block: *block, epoch: *epoch });
            }
            Verdict::Commit { block, epoch } if self.commit() == Some((*block, *epoch)) => {}
            Verdict::Show { reveal } => {
                let (block, epoch) = self.commit().ok_or(OutOfOrder)?;
                path.push(Self::Revealing { block, epoch, reveal: reveal.clone() });
            }
            Verdict::Lose(why) if !self.is_final() => path.push(Self::Lost { why: why.clone() }),
            // Said again of a row that has ended so.
            Verdict::Settle { block } if *self == (Self::Settled { block: *block }) => {}
            Verdict::Lose(why) if *self == (Self::Lost { why: why.clone() }) => {}
            _ => return Err(OutOfOrder),
        }
        Ok(path)
    }

    /// The block that holds the bytes, as far as this state tells.
    const fn included(&self) -> Option<u64> {
        match self {
            Self::Included { block }
            | Self::Committed { block, .. }
            | Self::Lost { why: Loss::Unapplied { block } | Loss::Unseen { block: Some(block) } } => {
                Some(*block)
            }
            _ => None,
        }
    }

    /// The block and the epoch of a commit that waits.
    const fn commit(&self) -> Option<(u64, u64)> {
        match self {
            Self::Committed { block, epoch } | Self::Revealing { block, epoch, .. } => {
                Some((*block, *epoch))
            }
            _ => None,
        }
    }
}

/// A verdict that contradicts the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the verdict contradicts the state")]
pub struct OutOfOrder;

/// A row of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubmissionId(i64);

impl Store {
    /// Writes a submission down, before anything is sent. On disk when this returns.
    pub fn intend(&mut self, submission: &Submission) -> Result<SubmissionId, StoreError> {
        for (id, earlier) in self.submissions()? {
            if earlier.state.is_open() {
                return Err(StoreError::Open { id: id.0 });
            }
            let taken = matches!(earlier.state, State::Settled { .. });
            if earlier.epoch == submission.epoch && (taken || earlier.state.is_committed()) {
                return Err(StoreError::Settled { epoch: submission.epoch });
            }
        }
        let (body, sum) = encode(TABLE, submission)?;
        self.transact("journal", |tx| {
            tx.execute("INSERT INTO submission (body, sum) VALUES (?1, ?2)", (body, &sum))
                .map_err(failed("journal"))?;
            let id = tx.last_insert_rowid();
            chained::link(tx, id, &sum)?;
            tx.execute("DELETE FROM submission WHERE id <= ?1", [id - KEPT])
                .map_err(failed("prune"))?;
            Ok(SubmissionId(id))
        })
    }

    /// Writes down what a verdict makes of a submission, all of it in one transaction; the state
    /// that it leads to. On disk when this returns.
    pub fn follow(&mut self, id: SubmissionId, verdict: &Verdict) -> Result<State, StoreError> {
        let mut submission = self.submission(id)?;
        let path = submission.state.after(verdict).map_err(|OutOfOrder| StoreError::Order {
            id: id.0,
            from: Box::new(submission.state.clone()),
            verdict: Box::new(verdict.clone()),
        })?;
        let Some(last) = path.last().cloned() else { return Ok(submission.state) };
        for state in &path {
            submission.included = state.included().or(submission.included);
        }
        submission.state = last.clone();
        let (body, sum) = encode(TABLE, &submission)?;
        self.transact("journal", |tx| {
            tx.execute(
                "UPDATE submission SET body = ?1, sum = ?2 WHERE id = ?3",
                (body, &sum, id.0),
            )
            .map_err(failed("journal"))?;
            chained::link(tx, id.0, &sum)
        })?;
        Ok(last)
    }

    /// One submission.
    pub fn submission(&self, id: SubmissionId) -> Result<Submission, StoreError> {
        let query = "SELECT id, body, sum FROM submission WHERE id = ?1";
        let row = self.rows::<Submission>(TABLE, query, [id.0])?.pop();
        row.map(|(_, submission)| submission).ok_or(StoreError::NoSubmission { id: id.0 })
    }

    /// The submissions whose commits wait for their reveal, oldest first.
    pub fn committed(&self) -> Result<Vec<(SubmissionId, Submission)>, StoreError> {
        let mut rows = self.submissions()?;
        rows.retain(|(_, row)| row.state.is_committed());
        Ok(rows)
    }

    /// The newest submissions, oldest first.
    pub fn submissions(&self) -> Result<Vec<(SubmissionId, Submission)>, StoreError> {
        let query = "SELECT id, body, sum FROM (SELECT id, body, sum FROM submission \
                     ORDER BY id DESC LIMIT ?1) ORDER BY id";
        let rows = self.rows(TABLE, query, [RECENT])?;
        Ok(rows.into_iter().map(|(id, row)| (SubmissionId(id), row)).collect())
    }

    /// Every submission kept, oldest first.
    pub fn history(&self) -> Result<Vec<(SubmissionId, Submission)>, StoreError> {
        let rows = self.rows(TABLE, "SELECT id, body, sum FROM submission ORDER BY id", [])?;
        Ok(rows.into_iter().map(|(id, row)| (SubmissionId(id), row)).collect())
    }

    /// The submission whose bytes may be under way, if there is one: always the newest.
    pub fn unresolved(&self) -> Result<Option<(SubmissionId, Submission)>, StoreError> {
        Ok(self.submissions()?.pop().filter(|(_, newest)| newest.state.is_open()))
    }

    /// What the journal says of `epoch`.
    pub fn ledger(&self, epoch: u64) -> Result<Ledger, StoreError> {
        let rows = self.submissions()?;
        let unresolved = rows.last().is_some_and(|(_, newest)| newest.state.is_open());
        let of_epoch = || rows.iter().map(|(_, row)| row).filter(|row| row.epoch == epoch);
        let lost = || of_epoch().filter(|row| matches!(row.state, State::Lost { .. }));
        // The tries are for what the chain refuses; what another program outran was not refused.
        let refused = lost()
            .filter(|row| !matches!(&row.state, State::Lost { why } if why.is_of_the_bytes()));
        Ok(Ledger {
            elsewhere: false,
            unresolved,
            settled: of_epoch()
                .any(|row| matches!(row.state, State::Settled { .. }) || row.state.is_committed()),
            tries: u32::try_from(refused.count()).unwrap_or(u32::MAX),
            last_try: lost().map(|row| row.decided_at).max(),
        })
    }
}

/// What finalized blocks show of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// A block holds it.
    InBlock {
        /// Which.
        block: u64,
        /// The error of the call (pallet, name), if it failed.
        refusal: Option<(String, String)>,
        /// Whether the chain's row after that block is the row sent.
        applied: bool,
    },
    /// A block holds a commit, and the chain took it.
    Committed {
        /// Which.
        block: u64,
        /// The subnet's epoch that it belongs to.
        epoch: u64,
    },
    /// No block up to this finalized one holds it.
    Nowhere {
        /// The last block looked at.
        finalized: u64,
        /// Whether the account has used its nonce by then.
        nonce_used: bool,
    },
    /// A block holds it or may have held it, and no node has the state that would tell more.
    Forgotten {
        /// That block, if it is known.
        block: Option<u64>,
    },
}

/// What is now known of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It took effect.
    Settle {
        /// In this block.
        block: u64,
    },
    /// The chain holds the commit; its reveal is to come.
    Commit {
        /// The commit's block.
        block: u64,
        /// Its epoch.
        epoch: u64,
    },
    /// The weights behind the commit are shown with these bytes.
    Show {
        /// The bytes.
        reveal: SignedExtrinsic,
    },
    /// It never will.
    Lose(Loss),
    /// It still can: the same bytes are, or may be, under way.
    Resend,
}

/// Decides from what finalized blocks show.
pub fn reconcile(extrinsic: &SignedExtrinsic, sight: &Sight) -> Verdict {
    match sight {
        Sight::InBlock { refusal: Some((pallet, name)), .. } => {
            Verdict::Lose(Loss::Refused { pallet: pallet.clone(), name: name.clone() })
        }
        Sight::InBlock { block, applied: true, .. } => Verdict::Settle { block: *block },
        Sight::InBlock { block, applied: false, .. } => {
            Verdict::Lose(Loss::Unapplied { block: *block })
        }
        Sight::Committed { block, epoch } => Verdict::Commit { block: *block, epoch: *epoch },
        Sight::Forgotten { block } => Verdict::Lose(Loss::Unseen { block: *block }),
        // A nonce is good for one extrinsic, and the blocks up to here hold another one.
        Sight::Nowhere { nonce_used: true, .. } => {
            Verdict::Lose(Loss::NonceTaken { nonce: extrinsic.nonce })
        }
        // Valid in blocks before `era_end`: once its last one is final there is no other.
        Sight::Nowhere { finalized, .. } if finalized + 1 >= extrinsic.era_end => {
            Verdict::Lose(Loss::Expired { era_end: extrinsic.era_end })
        }
        Sight::Nowhere { .. } => Verdict::Resend,
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

    fn submission(epoch: u64) -> Submission {
        let hotkey = Hotkey::from_bytes([2; 32]);
        Submission {
            epoch,
            decided_at: 90,
            weights: vec![Paid { hotkey, uid: Uid(1), value: u16::MAX }],
            hidden: None,
            extrinsic: SignedExtrinsic {
                bytes: vec![1, 2, 3],
                hash: [3; 32],
                signer: [1; 32],
                nonce: 7,
                era_birth: 90,
                era_end: 154,
            },
            included: None,
            state: State::Intended,
        }
    }

    #[test]
    fn a_submission_survives_the_process_with_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = store(dir.path());
        let id = first.intend(&submission(4)).unwrap();
        first.follow(id, &Verdict::Resend).unwrap();
        drop(first);
        let (found, row) = store(dir.path()).unresolved().unwrap().unwrap();
        let sent = Submission { state: State::Broadcast, ..submission(4) };
        assert_eq!((found, row), (id, sent));
    }

    #[test]
    fn nothing_is_intended_while_another_is_open_or_after_the_epoch_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        let id = store.intend(&submission(4)).unwrap();
        assert!(matches!(store.intend(&submission(5)), Err(StoreError::Open { .. })));
        store.follow(id, &Verdict::Resend).unwrap();
        store.follow(id, &Verdict::Settle { block: 95 }).unwrap();
        assert!(matches!(store.intend(&submission(4)), Err(StoreError::Settled { epoch: 4 })));
        assert_eq!(store.submission(id).unwrap().included, Some(95));
        store.intend(&submission(5)).unwrap();
    }

    #[test]
    fn a_commit_waits_for_its_reveal_and_the_next_epoch_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        let hidden = Hidden::Hash { salt: vec![7; 8], version_key: 3 };
        let sent = Submission { hidden: Some(hidden), ..submission(4) };
        let id = store.intend(&sent).unwrap();
        store.follow(id, &Verdict::Resend).unwrap();
        store.follow(id, &Verdict::Commit { block: 95, epoch: 4 }).unwrap();
        assert!(matches!(store.intend(&submission(4)), Err(StoreError::Settled { epoch: 4 })));
        assert!(store.ledger(4).unwrap().settled);
        let next = store.intend(&submission(5)).unwrap();
        let (found, row) = store.committed().unwrap().pop().unwrap();
        assert_eq!((found, row.hidden, row.included), (id, sent.hidden, Some(95)));
        store.follow(id, &Verdict::Show { reveal: submission(4).extrinsic }).unwrap();
        store.follow(id, &Verdict::Settle { block: 101 }).unwrap();
        assert_eq!(store.unresolved().unwrap().unwrap().0, next);
    }

    #[test]
    fn an_end_is_final_and_may_be_said_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        let id = store.intend(&submission(4)).unwrap();
        let lost = Verdict::Lose(Loss::Pool { why: "no".into() });
        store.follow(id, &lost).unwrap();
        store.follow(id, &lost).unwrap();
        assert!(matches!(store.follow(id, &Verdict::Resend), Err(StoreError::Order { .. })));
        let ledger = store.ledger(4).unwrap();
        let lost_once = Ledger { tries: 1, last_try: Some(90), ..Ledger::default() };
        assert_eq!(ledger, lost_once);
    }

    #[test]
    fn a_nonce_that_another_program_took_is_no_try() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        let id = store.intend(&submission(4)).unwrap();
        store.follow(id, &Verdict::Lose(Loss::NonceTaken { nonce: 7 })).unwrap();
        let ledger = store.ledger(4).unwrap();
        assert_eq!((ledger.tries, ledger.last_try), (0, Some(90)));
    }

    #[test]
    fn what_blocks_show_decides() {
        let extrinsic = submission(4).extrinsic;
        let in_block = |refusal, applied| Sight::InBlock { block: 95, refusal, applied };
        let refused = Some(("SubtensorModule".to_owned(), "SettingWeightsTooFast".to_owned()));
        let lost = |name: &str| {
            let (pallet, name) = ("SubtensorModule".to_owned(), name.to_owned());
            Verdict::Lose(Loss::Refused { pallet, name })
        };
        let nowhere = |finalized, nonce_used| Sight::Nowhere { finalized, nonce_used };
        for (sight, verdict) in [
            (in_block(None, true), Verdict::Settle { block: 95 }),
            (in_block(None, false), Verdict::Lose(Loss::Unapplied { block: 95 })),
            (in_block(refused, false), lost("SettingWeightsTooFast")),
            (Sight::Committed { block: 95, epoch: 4 }, Verdict::Commit { block: 95, epoch: 4 }),
            (nowhere(152, false), Verdict::Resend),
            (nowhere(153, false), Verdict::Lose(Loss::Expired { era_end: 154 })),
            (nowhere(95, true), Verdict::Lose(Loss::NonceTaken { nonce: 7 })),
            (Sight::Forgotten { block: None }, Verdict::Lose(Loss::Unseen { block: None })),
        ] {
            assert_eq!(reconcile(&extrinsic, &sight), verdict, "{sight:?}");
        }
    }

    /// One of each.
    fn states() -> Vec<State> {
        let reveal = submission(4).extrinsic;
        vec![
            State::Intended,
            State::Broadcast,
            State::Included { block: 95 },
            State::Committed { block: 95, epoch: 4 },
            State::Revealing { block: 95, epoch: 4, reveal },
            State::Settled { block: 95 },
            State::Lost { why: Loss::Expired { era_end: 154 } },
        ]
    }

    fn verdicts() -> Vec<Verdict> {
        vec![
            Verdict::Resend,
            Verdict::Settle { block: 95 },
            Verdict::Commit { block: 95, epoch: 4 },
            Verdict::Show { reveal: submission(4).extrinsic },
            Verdict::Lose(Loss::Expired { era_end: 154 }),
        ]
    }

    /// Puts a row into any state: as older versions left it, or a crash did.
    fn row_in(store: &mut Store, state: &State) -> SubmissionId {
        let row = Submission { state: State::Intended, ..submission(4) };
        let id = store.intend(&row).unwrap();
        let (body, sum) = encode(TABLE, &Submission { state: state.clone(), ..row }).unwrap();
        store
            .transact("test", |tx| {
                tx.execute("UPDATE submission SET body = ?1, sum = ?2", (body, &sum)).unwrap();
                chained::link(tx, id.0, &sum)
            })
            .unwrap();
        id
    }

    #[test]
    fn whatever_blocks_show_every_state_but_an_end_leads_somewhere() {
        for state in states() {
            for verdict in verdicts() {
                let path = state.after(&verdict);
                let waits = state.is_committed();
                let allowed = match &verdict {
                    Verdict::Show { .. } => waits,
                    Verdict::Commit { .. } => state.is_open() || waits,
                    Verdict::Resend => !state.is_final(),
                    Verdict::Settle { .. } => !matches!(state, State::Lost { .. }),
                    Verdict::Lose(_) => !matches!(state, State::Settled { .. }),
                };
                assert_eq!(path.is_ok(), allowed, "{state:?} {verdict:?}");
            }
        }
    }

    /// A kill within the transaction leaves what a copy of the files at that moment holds.
    #[test]
    fn a_kill_at_any_point_of_any_step_leaves_a_state_from_which_the_same_end_is_reached() {
        for state in states() {
            for verdict in verdicts().into_iter().filter(|v| state.after(v).is_ok()) {
                let dir = tempfile::tempdir().unwrap();
                let mut at_work = store(dir.path());
                let id = row_in(&mut at_work, &state);
                let end = state.after(&verdict).unwrap().pop().unwrap_or_else(|| state.clone());
                // Before the step, within it at each statement, and after it.
                for statements in 0..=3 {
                    let killed = tempfile::tempdir().unwrap();
                    at_work.killed_within(id.0, statements, || copy(dir.path(), killed.path()));
                    let mut again = store(killed.path());
                    let found = again.submission(id).unwrap().state;
                    assert_eq!(found, state, "half a step is no step");
                    assert_eq!(again.follow(id, &verdict).unwrap(), end);
                }
                assert_eq!(at_work.follow(id, &verdict).unwrap(), end);
                let killed = tempfile::tempdir().unwrap();
                copy(dir.path(), killed.path());
                drop(at_work);
                let mut again = store(killed.path());
                assert_eq!(again.submission(id).unwrap().state, end);
                if end.after(&verdict).is_ok() {
                    assert_eq!(again.follow(id, &verdict).unwrap(), end, "said twice");
                }
            }
        }
    }

    /// Copies a folder as it is, as a kill leaves it.
    fn copy(from: &std::path::Path, to: &std::path::Path) {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                std::fs::create_dir_all(&target).unwrap();
                copy(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
}
