//! The evidence log: what was drawn and measured, as a hash chain; and its replay.
//!
//! One JSON object a line. The first names the rule; every other one carries the digest of the line
//! before it, so that no line can be dropped, moved or changed. The log holds **measurements**, never
//! conclusions except the weights at an epoch's end: [`replay`] draws, judges and settles again, and
//! says whether the same weights follow. Re-measuring is another thing: it needs the model and a
//! tolerance.

mod sections;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use chain_metadata::{Hotkey, Uid, Weights};
use scoring::book::Book;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::examiner::{DrawOf, ExamineError, Examiner, MeasuredOf, Settlement};
use crate::manifest::Manifest;
use crate::package::Package;
use crate::prf::Beacon;
use crate::rule::{Draw, Measured, Rule, Subject};

pub use sections::{Section, Sections, composed_head, open_composed};

/// Longest line in bytes: a shared round of 256 miners with 4 KiB each fits.
const LINE_MAX: usize = 4 * 1024 * 1024;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body<P, S, M> {
    /// The rule that all that follows was judged by.
    Opened {
        /// Its manifest.
        #[serde(with = "as_toml")]
        manifest: Box<Manifest>,
        /// Its `rule.star`, where it has code of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
    },
    /// The composed rule whose classes' logs follow.
    Composed {
        /// Its manifest.
        #[serde(with = "as_toml")]
        manifest: Box<Manifest>,
    },
    /// Where a validator begins that has a book already: it was started again.
    Resumed {
        /// Which validator.
        validator: [u8; 32],
        /// Its standings.
        book: Box<Book>,
        /// The rule's state, as JSON.
        state: serde_json::Value,
    },
    /// A task and what was measured of its answers.
    Round {
        /// Where the task came from.
        beacon: Beacon,
        /// Whom it was for.
        subject: Subject,
        /// The task.
        draw: Draw<P, S>,
        /// The measurements.
        measured: Vec<Measured<M>>,
    },
    /// The end of an epoch.
    Settled {
        /// Whose weights: public key of the validator's hotkey.
        validator: [u8; 32],
        /// Which epoch.
        epoch: u64,
        /// The miners and their slots then.
        miners: Vec<(Hotkey, Option<Uid>)>,
        /// The slot through which the subnet burns.
        burn_uid: Option<Uid>,
        /// What was submitted.
        weights: Option<Weights>,
    },
}

/// Within a line a manifest is TOML text, as its owner wrote it: what an untyped number in JSON
/// becomes depends on how the parser was built, and a rule's parameters are untyped here.
mod as_toml {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _, ser::Error as _};

    use super::Manifest;

    pub(super) fn serialize<S: Serializer>(
        manifest: &Manifest,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&toml::to_string(manifest).map_err(S::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Box<Manifest>, D::Error> {
        let text = String::deserialize(deserializer)?;
        Manifest::parse(&text).map(Box::new).map_err(D::Error::custom)
    }
}

/// A line of the log of rule `R`.
pub type BodyOf<R> = Body<<R as Rule>::Public, <R as Rule>::Secret, <R as Rule>::Measurement>;

#[derive(Serialize, Deserialize)]
struct Line<B> {
    before: Digest,
    body: B,
}

/// Writes a log, or only takes its digest.
#[derive(Debug)]
pub struct Recorder<W> {
    to: W,
    head: Digest,
}

impl<W: Write> Recorder<W> {
    /// Begins a log of `rule`.
    pub fn open<R: Rule>(rule: &R, to: W) -> io::Result<Self> {
        let mut recorder = Self { to, head: Digest([0; 32]) };
        let (manifest, source) = (Box::new(rule.manifest().clone()), rule.source());
        let source = source.map(str::to_owned);
        recorder.append::<R>(&Body::Opened { manifest, source })?;
        Ok(recorder)
    }

    /// Adds a line.
    pub fn append<R: Rule>(&mut self, body: &BodyOf<R>) -> io::Result<()> {
        let line = serde_json::to_string(&Line { before: self.head, body })?;
        self.head = digest_of(line.as_bytes());
        self.to.write_all(line.as_bytes())?;
        self.to.write_all(b"\n")
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// Digest of the last line, and with it of the whole log.
    pub fn head(&self) -> Digest {
        self.head
    }
}

fn digest_of(line: &[u8]) -> Digest {
    Digest::of("ganglion/log/1", &[line])
}

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
    pub latest: BTreeMap<[u8; 32], (u64, Settlement)>,
}

/// The rule that a log begins with: what to build it of, before [`replay`].
pub fn package_of(log: impl BufRead) -> Result<Package, ReplayError> {
    let mut lines = Lines { log, number: 0, head: Digest([0; 32]) };
    let first = lines.next::<Body<IgnoredAny, IgnoredAny, IgnoredAny>>()?;
    if let Some(Body::Opened { .. }) = first {
        // Nothing of a line is used before the next one vouches for it.
        lines.next::<IgnoredAny>()?;
    }
    match first {
        Some(Body::Opened { manifest, source }) => Ok(Package { manifest: *manifest, source }),
        Some(Body::Composed { manifest }) => Ok(Package { manifest: *manifest, source: None }),
        _ => Err(ReplayError::NotOpened { line: 1 }),
    }
}

/// Why a log does not replay; nothing after the named line was looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file could not be read.
    #[error("line {line} cannot be read")]
    Read {
        /// Which, from 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// The file ends within a line.
    #[error("line {line} is cut off: the log is truncated")]
    Truncated {
        /// Which.
        line: u64,
    },
    /// Longer than any round.
    #[error("line {line} has more than {LINE_MAX} bytes")]
    TooLong {
        /// Which.
        line: u64,
    },
    /// Not a line of this rule's log.
    #[error("line {line} is no line of this log")]
    Malformed {
        /// Which.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The chain of digests breaks: the line before was changed, or lines were dropped or moved.
    #[error("line {line} follows {expected}, but the line before it is {found}")]
    Broken {
        /// Which.
        line: u64,
        /// What the line says it follows.
        expected: Digest,
        /// What comes before it.
        found: Digest,
    },
    /// The log does not begin with the rule.
    #[error("line {line} names no rule, and the log must begin with it and name it once")]
    NotOpened {
        /// Which.
        line: u64,
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
pub fn replay<R: Rule>(rule: &R, log: impl BufRead) -> Result<Replayed, ReplayError>
where
    R::Public: PartialEq,
    R::Secret: PartialEq,
{
    let mut lines = Lines { log, number: 0, head: Digest([0; 32]) };
    match lines.next::<BodyOf<R>>()? {
        Some(Body::Opened { manifest, source }) => {
            let logged = Package { manifest: *manifest, source }.digest();
            let given = rule.digest();
            if logged != given {
                return Err(ReplayError::OtherRule { logged, given });
            }
        }
        _ => return Err(ReplayError::NotOpened { line: 1 }),
    }
    let (examiners, blocks, latest) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut again = Again { rule, examiners, blocks, rounds: 0, settled: 0, latest };
    while let Some(body) = lines.next::<BodyOf<R>>()? {
        again.line(lines.number, body)?;
    }
    let Again { rounds, settled, latest, .. } = again;
    Ok(Replayed { rounds, settled, head: lines.head, latest })
}

/// Reads lines and checks their chain.
/// The lines of a log after the one that names its rule, in order, as long as they form a chain.
pub fn bodies<R: Rule>(log: impl BufRead) -> impl Iterator<Item = Result<BodyOf<R>, ReplayError>> {
    let mut lines = Lines { log, number: 0, head: Digest([0; 32]) };
    std::iter::from_fn(move || lines.next::<BodyOf<R>>().transpose()).skip(1)
}

struct Lines<L> {
    log: L,
    number: u64,
    head: Digest,
}

impl<L: BufRead> Lines<L> {
    fn next<B: DeserializeOwned>(&mut self) -> Result<Option<B>, ReplayError> {
        let line = self.number + 1;
        let mut bytes = Vec::new();
        let mut limited = io::Read::take(&mut self.log, LINE_MAX as u64);
        limited
            .read_until(b'\n', &mut bytes)
            .map_err(|source| ReplayError::Read { line, source })?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.pop() != Some(b'\n') {
            let full = bytes.len() + 1 == LINE_MAX;
            return Err(if full {
                ReplayError::TooLong { line }
            } else {
                ReplayError::Truncated { line }
            });
        }
        let read: Line<B> = serde_json::from_slice(&bytes)
            .map_err(|source| ReplayError::Malformed { line, source })?;
        if read.before != self.head {
            return Err(ReplayError::Broken { line, expected: read.before, found: self.head });
        }
        self.number = line;
        self.head = digest_of(&bytes);
        Ok(Some(read.body))
    }
}

/// One examiner for each validator in the log.
struct Again<'r, R: Rule> {
    rule: &'r R,
    examiners: BTreeMap<[u8; 32], Examiner<'r, R>>,
    /// The block of each validator's round under way.
    blocks: BTreeMap<[u8; 32], [u8; 32]>,
    rounds: u64,
    settled: u64,
    latest: BTreeMap<[u8; 32], (u64, Settlement)>,
}

impl<'r, R: Rule> Again<'r, R>
where
    R::Public: PartialEq,
    R::Secret: PartialEq,
{
    fn line(&mut self, line: u64, body: BodyOf<R>) -> Result<(), ReplayError> {
        match body {
            Body::Opened { .. } | Body::Composed { .. } => Err(ReplayError::NotOpened { line }),
            Body::Resumed { validator, book, state } => {
                let state = serde_json::from_value(state)
                    .map_err(|source| ReplayError::Malformed { line, source })?;
                let resumed = Examiner::resumed(self.rule, *book, state);
                match self.examiners.insert(validator, resumed) {
                    // Whoever has said something already has a book.
                    Some(_) => Err(ReplayError::Resumed { line }),
                    None => Ok(()),
                }
            }
            Body::Round { beacon, subject, draw, measured } => {
                self.round(line, &beacon, &subject, &draw, &measured)
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
        beacon: &Beacon,
        subject: &Subject,
        draw: &DrawOf<R>,
        measured: &[MeasuredOf<R>],
    ) -> Result<(), ReplayError> {
        // Tasks of one block are of one round, in which nothing is learned yet.
        let closed = self.blocks.insert(beacon.validator, beacon.block_hash);
        let examiner = self.examiner(beacon.validator);
        if closed.is_some_and(|before| before != beacon.block_hash) {
            examiner.close();
        }
        if examiner.draw(beacon, subject) != *draw {
            return Err(ReplayError::OtherDraw { line });
        }
        let taken = examiner.take(beacon.epoch, draw, measured);
        taken.map_err(|source| ReplayError::Judge { line, source })?;
        self.rounds += 1;
        Ok(())
    }

    fn examiner(&mut self, validator: [u8; 32]) -> &mut Examiner<'r, R> {
        let rule = self.rule;
        self.examiners.entry(validator).or_insert_with(|| Examiner::new(rule))
    }
}

#[cfg(test)]
mod tests;
