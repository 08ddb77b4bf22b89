//! One validator's use of a rule: draw, judge, remember, settle.
//!
//! The arena plays with it, [`crate::log::replay`] recomputes with it: both run the same code.

use chain_metadata::{Hotkey, Uid, Weights};
use scoring::book::{Assessment, Book, BookError};
use scoring::weigh::{Payee, Shares, WeighError, shares, weigh};

use crate::manifest::Manifest;
use crate::prf::Beacon;
use crate::rule::{Draw, Finding, JudgeError, Measured, Rule, Subject};

/// A draw of the rule `R`.
pub type DrawOf<R> = Draw<<R as Rule>::Public, <R as Rule>::Secret>;
/// A measurement for the rule `R`.
pub type MeasuredOf<R> = Measured<<R as Rule>::Measurement>;

/// A rule with a book and the rule's state.
#[derive(Debug)]
pub struct Examiner<'r, R: Rule> {
    rule: &'r R,
    book: Book,
    state: R::State,
    /// The state after the round under way, once something was learned in it.
    next: Option<R::State>,
}

/// Why a round changed nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExamineError {
    /// It could not be judged.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// What the judge found does not fit the rule's tracks.
    #[error("{hotkey}: {source}")]
    Book {
        /// About whom.
        hotkey: Hotkey,
        /// What does not fit.
        source: BookError,
    },
}

/// What an epoch's end decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// What each payee is worth and why, in their order.
    pub assessments: Vec<(Hotkey, Assessment)>,
    /// Shares; `None` where nobody showed anything.
    pub shares: Option<Shares>,
    /// What the chain gets; `None` is no submission.
    pub weights: Option<Weights>,
}

impl<'r, R: Rule> Examiner<'r, R> {
    /// Begins with an empty book.
    pub fn new(rule: &'r R) -> Self {
        Self::resumed(rule, Book::default(), R::State::default())
    }

    /// Goes on with a book and a state from before.
    pub fn resumed(rule: &'r R, book: Book, state: R::State) -> Self {
        Self { rule, book, state, next: None }
    }

    /// The task that a beacon draws for a subject.
    pub fn draw(&self, beacon: &Beacon, subject: &Subject) -> DrawOf<R> {
        let mut prf = match subject {
            Subject::Committed(_) => beacon.common().prf(),
            Subject::Miner(_) | Subject::Shared(_) => beacon.prf(),
        };
        self.rule.draw(&mut prf, subject, &self.state)
    }

    /// Judges what was measured of a draw and takes it in: all of it or nothing. All draws of a round
    /// are made and judged in the state at its beginning; what is learned counts from its
    /// [end](Self::close) on.
    pub fn take(
        &mut self,
        epoch: u64,
        draw: &DrawOf<R>,
        measured: &[MeasuredOf<R>],
    ) -> Result<Vec<Finding>, ExamineError> {
        let findings = self.rule.judge(draw, measured, &self.state)?;
        let mut book = self.book.clone_of(findings.iter().map(|finding| finding.hotkey));
        for finding in &findings {
            let Finding { hotkey, track, evidence } = finding.clone();
            book.record(&self.rule.manifest().tracks, hotkey, epoch, &[(track, evidence)])
                .map_err(|source| ExamineError::Book { hotkey, source })?;
        }
        self.book.merge(book);
        let next = self.next.take().unwrap_or_else(|| self.state.clone());
        self.next = Some(self.rule.learn(next, draw, measured));
        Ok(findings)
    }

    /// Ends a round.
    pub fn close(&mut self) {
        if let Some(next) = self.next.take() {
            self.state = next;
        }
    }

    /// What the miners are worth now, and the weights that follow.
    pub fn settle(
        &self,
        epoch: u64,
        miners: &[(Hotkey, Option<Uid>)],
        burn_uid: Option<Uid>,
    ) -> Result<Settlement, WeighError> {
        let manifest = self.rule.manifest();
        let assess = |hotkey| self.book.assess(&manifest.tracks, hotkey, epoch);
        let assessments: Vec<_> =
            miners.iter().map(|(hotkey, _)| (*hotkey, assess(hotkey))).collect();
        let mut payees: Vec<_> = miners
            .iter()
            .zip(&assessments)
            .map(|((hotkey, uid), (_, it))| Payee { hotkey: *hotkey, uid: *uid, worth: it.score() })
            .collect();
        paid_once(&mut payees, &self.rule.clusters(&self.state));
        let shares = shares(&payees, &manifest.pay.shape, manifest.pay.burn)?;
        let weights = shares.as_ref().map(|shares| weigh(shares, burn_uid)).transpose()?.flatten();
        Ok(Settlement { assessments, shares, weights })
    }

    /// What a miner is worth now.
    pub fn assess(&self, hotkey: &Hotkey, epoch: u64) -> Assessment {
        self.book.assess(&self.rule.manifest().tracks, hotkey, epoch)
    }

    /// The rule's declared part.
    pub fn manifest(&self) -> &Manifest {
        self.rule.manifest()
    }

    /// The standings.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The rule's own state.
    pub fn state(&self) -> &R::State {
        &self.state
    }
}

/// Leaves the worth of each cluster to its first member that is a payee.
pub fn paid_once(payees: &mut [Payee], clusters: &[Vec<Hotkey>]) {
    for cluster in clusters {
        let place = |hotkey: &Hotkey| payees.iter().position(|payee| payee.hotkey == *hotkey);
        let others: Vec<usize> = cluster.iter().filter_map(place).skip(1).collect();
        for other in others {
            payees[other].worth = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_paid_once_whoever_of_it_is_there() {
        let key = |n: u8| Hotkey::from_bytes([n; 32]);
        let payee = |n: u8| Payee { hotkey: key(n), uid: None, worth: f64::from(n) };
        let mut payees = [payee(1), payee(2), payee(3), payee(4)];
        paid_once(&mut payees, &[vec![key(9), key(3), key(1)], vec![key(4)]]);
        let worth: Vec<f64> = payees.iter().map(|payee| payee.worth).collect();
        assert_eq!(worth, [0.0, 2.0, 3.0, 4.0]);
    }
}
