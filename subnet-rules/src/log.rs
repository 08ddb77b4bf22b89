//! The evidence log: what was drawn and measured, as a hash chain.
//!
//! One JSON object a line. The first names the rule; every other one carries the digest of the line
//! before it, so that no line can be dropped, moved or changed. The log holds **measurements**, never
//! conclusions except the weights at an epoch's end: a [replay](crate::replay) draws, judges and settles
//! again, and says whether the same weights follow. Re-measuring is another thing: it needs the model
//! and a tolerance.

mod sections;

use std::io::{self, BufRead, Write};

use chain_metadata::{Hotkey, Uid, Weights};
use scoring::book::Book;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::package::Package;
use crate::rule::{Draw, Measured, Rule, Subject};
use crate::secret::Ticket;

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
        validator: Hotkey,
        /// Its standings.
        book: Box<Book>,
        /// The rule's state, as JSON.
        state: serde_json::Value,
    },
    /// A task and what was measured of its answers.
    Round {
        /// What the round's tasks were drawn from.
        ticket: Box<Ticket>,
        /// Whom it was for.
        subject: Subject,
        /// Which of its round.
        counter: u64,
        /// The task.
        draw: Draw<P, S>,
        /// The measurements.
        measured: Vec<Measured<M>>,
    },
    /// The end of an epoch.
    Settled {
        /// Whose weights.
        validator: Hotkey,
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

impl<P, S, M> Body<P, S, M> {
    /// The line that a log of `rule` begins with.
    pub fn opened<R: Rule>(rule: &R) -> Self {
        let manifest = Box::new(rule.manifest().clone());
        Self::Opened { manifest, source: rule.source().map(str::to_owned) }
    }
}

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
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open<R: Rule>(rule: &R, to: W) -> io::Result<Self> {
        let mut recorder = Self::new(to);
        recorder.append::<R>(&Body::opened(rule))?;
        Ok(recorder)
    }

    /// A log that has no line yet.
    pub fn new(to: W) -> Self {
        Self { to, head: Digest([0; 32]) }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn append<R: Rule>(&mut self, body: &BodyOf<R>) -> io::Result<()> {
        self.append_text(&serde_json::to_string(body)?)
    }

    /// Adds a line whose body is written already.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn append_text(&mut self, body: &str) -> io::Result<()> {
        let line = format!(r#"{{"before":"{}","body":{body}}}"#, self.head);
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

/// Why a log does not read; nothing after the named line was looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
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
}

/// The rule that a log begins with: what to build it of, before it is replayed.
pub fn package_of(log: impl BufRead) -> Result<Package, LogError> {
    let mut lines = Lines::new(log);
    let first = lines.next::<Body<IgnoredAny, IgnoredAny, IgnoredAny>>()?;
    if let Some(Body::Opened { .. }) = first {
        // Nothing of a line is used before the next one vouches for it.
        lines.next::<IgnoredAny>()?;
    }
    match first {
        Some(Body::Opened { manifest, source }) => Ok(Package { manifest: *manifest, source }),
        Some(Body::Composed { manifest }) => Ok(Package { manifest: *manifest, source: None }),
        _ => Err(LogError::NotOpened { line: 1 }),
    }
}

/// The lines of a log after the one that names its rule, in order, as long as they form a chain.
pub fn bodies<R: Rule>(log: impl BufRead) -> impl Iterator<Item = Result<BodyOf<R>, LogError>> {
    let mut lines = Lines::new(log);
    std::iter::from_fn(move || lines.next::<BodyOf<R>>().transpose()).skip(1)
}

/// Reads lines and checks their chain.
#[derive(Debug)]
pub(crate) struct Lines<L> {
    log: L,
    /// Of the latest line, from 1.
    pub(crate) number: u64,
    /// Its digest.
    pub(crate) head: Digest,
}

impl<L: BufRead> Lines<L> {
    pub(crate) const fn new(log: L) -> Self {
        Self { log, number: 0, head: Digest([0; 32]) }
    }

    pub(crate) fn next<B: DeserializeOwned>(&mut self) -> Result<Option<B>, LogError> {
        let line = self.number + 1;
        let mut bytes = Vec::new();
        let mut limited = io::Read::take(&mut self.log, LINE_MAX as u64);
        limited.read_until(b'\n', &mut bytes).map_err(|source| LogError::Read { line, source })?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.pop() != Some(b'\n') {
            let full = bytes.len() + 1 == LINE_MAX;
            return Err(if full {
                LogError::TooLong { line }
            } else {
                LogError::Truncated { line }
            });
        }
        let read: Line<B> = serde_json::from_slice(&bytes)
            .map_err(|source| LogError::Malformed { line, source })?;
        if read.before != self.head {
            return Err(LogError::Broken { line, expected: read.before, found: self.head });
        }
        self.number = line;
        self.head = digest_of(&bytes);
        Ok(Some(read.body))
    }
}
