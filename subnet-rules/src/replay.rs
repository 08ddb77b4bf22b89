//! A log's replay: drawn, judged and settled again.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::Arc;

use chain_metadata::Hotkey;

use crate::digest::Digest;
use crate::log::{Body, BodyOf, Lines, LogError};
use crate::package::Package;
use crate::rule::{DrawOf, MeasuredOf, Rule, Subject};
use crate::secret::{ForgedTicket, Ticket};
use crate::session::{ExamineError, Examiner, Session as _, Settlement};

/// What a replay went through.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// Rounds judged again.
    pub rounds: u64,
    /// Epochs settled again, all to the weights in the log.
    pub settled: u64,
    /// Digest of the last line.
    pub head: Digest,
    /// Each validator's latest settlement.
    pub latest: BTreeMap<Hotkey, (u64, Settlement)>,
}

/// Why a log does not replay; nothing after the named line was looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The log does not read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A round whose secret is not what the validator's key draws.
    #[error("line {line}: {source}")]
    Secret {
        /// Which.
        line: u64,
        /// What is wrong.
        source: ForgedTicket,
    },
    /// A validator resumes after it has said something.
    #[error("line {line}: the validator resumes in the middle of its own log")]
    Resumed {
        /// Number of the line.
        line: u64,
    },
    /// A composed rule's log without that of one of its classes, or with another in its place.
    #[error("the log of class `{class}` by rule `{rule}` is missing where it should begin")]
    Class {
        /// The class.
        class: String,
        /// Its rule.
        rule: String,
    },
    /// A composed rule's log with more than its classes.
    #[error("after the last class's log there is another one")]
    Surplus,
    /// A log of another rule.
    #[error("the log is of rule {logged}, not of {given}")]
    OtherRule {
        /// The rule in the log.
        logged: Digest,
        /// The rule given.
        given: Digest,
    },
    /// The beacon draws another task.
    #[error("line {line}: the beacon draws another task than the logged one")]
    OtherDraw {
        /// Which.
        line: u64,
    },
    /// It cannot be judged.
    #[error("line {line} cannot be judged")]
    Judge {
        /// Which.
        line: u64,
        /// Why.
        source: ExamineError,
    },
    /// It does not settle.
    #[error("line {line} does not settle: {source}")]
    Settle {
        /// Which.
        line: u64,
        /// Why.
        source: scoring::weigh::WeighError,
    },
    /// Other weights follow.
    #[error("line {line}: epoch {epoch} settles to other weights than the logged ones")]
    OtherWeights {
        /// Which.
        line: u64,
        /// Which epoch.
        epoch: u64,
    },
}

/// Draws, judges and settles a log again.
///
/// # Errors
/// The log does not read, or something else follows from it than it says.
pub fn replay<R: Rule>(rule: &Arc<R>, log: impl BufRead) -> Result<Replayed, ReplayError> {
    let mut lines = Lines::new(log);
    match lines.next::<BodyOf<R>>()? {
        Some(Body::Opened { manifest, source }) => {
            let logged = Package { manifest: *manifest, source }.digest();
            let given = rule.digest();
            if logged != given {
                return Err(ReplayError::OtherRule { logged, given });
            }
        }
        _ => return Err(LogError::NotOpened { line: 1 }.into()),
    }
    let (examiners, rounds_open, latest) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut again = Again { rule, examiners, rounds_open, rounds: 0, settled: 0, latest };
    while let Some(body) = lines.next::<BodyOf<R>>()? {
        again.line(lines.number, body)?;
    }
    let Again { rounds, settled, latest, .. } = again;
    Ok(Replayed { rounds, settled, head: lines.head, latest })
}

/// One examiner for each validator in the log.
struct Again<'r, R: Rule> {
    rule: &'r Arc<R>,
    examiners: BTreeMap<Hotkey, Examiner<R>>,
    /// The secret of each validator's round under way.
    rounds_open: BTreeMap<Hotkey, Digest>,
    rounds: u64,
    settled: u64,
    latest: BTreeMap<Hotkey, (u64, Settlement)>,
}

impl<R: Rule> Again<'_, R> {
    fn line(&mut self, line: u64, body: BodyOf<R>) -> Result<(), ReplayError> {
        match body {
            Body::Opened { .. } | Body::Composed { .. } => Err(LogError::NotOpened { line }.into()),
            Body::Resumed { validator, book, state } => {
                let mut resumed = Examiner::new(Arc::clone(self.rule));
                resumed
                    .resume(*book, state)
                    .map_err(|source| LogError::Malformed { line, source })?;
                match self.examiners.insert(validator, resumed) {
                    // Whoever has said something already has a book.
                    Some(_) => Err(ReplayError::Resumed { line }),
                    None => Ok(()),
                }
            }
            Body::Round { ticket, subject, counter, draw, measured } => {
                self.round(line, &ticket, (&subject, counter), &draw, &measured)
            }
            Body::Settled { validator, epoch, miners, burn_uid, weights } => {
                let examiner = self.examiner(validator);
                examiner.close();
                let settled = examiner
                    .settle(epoch, &miners, burn_uid)
                    .map_err(|source| ReplayError::Settle { line, source })?;
                self.settled += 1;
                let same = settled.weights == weights;
                self.latest.insert(validator, (epoch, settled));
                if same { Ok(()) } else { Err(ReplayError::OtherWeights { line, epoch }) }
            }
        }
    }

    fn round(
        &mut self,
        line: u64,
        ticket: &Ticket,
        (subject, counter): (&Subject, u64),
        draw: &DrawOf<R>,
        measured: &[MeasuredOf<R>],
    ) -> Result<(), ReplayError> {
        // Tasks of one secret are of one round, in which nothing is learned yet.
        let before = self.rounds_open.insert(ticket.validator, ticket.secret);
        if before != Some(ticket.secret) {
            ticket.check().map_err(|source| ReplayError::Secret { line, source })?;
        }
        let examiner = self.examiner(ticket.validator);
        if before.is_some_and(|before| before != ticket.secret) {
            examiner.close();
        }
        if examiner.draw(ticket, subject, counter).1 != *draw {
            return Err(ReplayError::OtherDraw { line });
        }
        let taken = examiner.take(ticket.beacon.epoch, draw, measured);
        taken.map_err(|source| ReplayError::Judge { line, source })?;
        self.rounds += 1;
        Ok(())
    }

    fn examiner(&mut self, validator: Hotkey) -> &mut Examiner<R> {
        let rule = self.rule;
        self.examiners.entry(validator).or_insert_with(|| Examiner::new(Arc::clone(rule)))
    }
}

#[cfg(test)]
mod tests;
