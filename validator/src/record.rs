//! The log of measurements that `ganglion rules replay` recomputes and `remeasure` checks; written where
//! answers are audited, for it holds tasks and answers in clear.
//!
//! A file for each epoch, which begins with the book as it was, so that each replays by itself and old
//! ones can go. What cannot be written is said and left out: weights do not wait for it.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use chain_metadata::{Hotkey, Uid, Weights};
use subnet_rules::log::{Body, BodyOf, Recorder};
use subnet_rules::serve::Serve;
use subnet_rules::star::Star;

use crate::audit::LOG;
use crate::evidence::Ledgerbook;
use crate::exam::Exam;

/// One exchange, as the log has it.
#[derive(Debug)]
pub(crate) enum Line {
    Serve(Box<BodyOf<Serve>>),
    Star(Box<BodyOf<Star>>),
}

/// An epoch's weights, and of whom they were made.
#[derive(Debug, Clone)]
pub(crate) struct Paid {
    pub(crate) miners: Vec<(Hotkey, Option<Uid>)>,
    pub(crate) burn_uid: Option<Uid>,
    pub(crate) weights: Weights,
}

/// Who writes, and by which rule and book.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scribe<'a> {
    pub(crate) rule: &'a Exam,
    pub(crate) validator: Hotkey,
    pub(crate) book: &'a Ledgerbook,
}

/// The log under way.
#[derive(Debug)]
pub(crate) struct Record {
    dir: Option<PathBuf>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    epoch: u64,
    rule: String,
    recorder: Recorder<BufWriter<File>>,
}

impl Record {
    /// Into this folder, if into any.
    pub(crate) const fn new(dir: Option<PathBuf>) -> Self {
        Self { dir, open: None }
    }

    /// The exchanges of a round, which the scribe's book does not hold yet.
    pub(crate) fn round(&mut self, scribe: Scribe<'_>, epoch: u64, block: u64, lines: &[Line]) {
        self.write(scribe, epoch, block, |recorder| {
            lines.iter().try_for_each(|line| match line {
                Line::Serve(body) => recorder.append::<Serve>(body),
                Line::Star(body) => recorder.append::<Star>(body),
            })
        });
    }

    /// What the book is worth at an epoch's end.
    pub(crate) fn settled(&mut self, scribe: Scribe<'_>, epoch: u64, block: u64, paid: Paid) {
        let Paid { miners, burn_uid, weights } = paid;
        let validator = *scribe.validator.as_bytes();
        let weights = Some(weights);
        let body = Body::Settled { validator, epoch, miners, burn_uid, weights };
        self.write(scribe, epoch, block, |recorder| recorder.append::<Serve>(&body));
    }

    fn write(
        &mut self,
        scribe: Scribe<'_>,
        epoch: u64,
        block: u64,
        lines: impl FnOnce(&mut Recorder<BufWriter<File>>) -> io::Result<()>,
    ) {
        let Some(dir) = &self.dir else { return };
        let digest = scribe.rule.digest().to_string();
        let current = self.open.take().filter(|open| open.epoch == epoch && open.rule == digest);
        let open = match current {
            Some(open) => Ok(open),
            None => begin(dir, scribe, epoch, block).map(|recorder| Open {
                epoch,
                rule: digest,
                recorder,
            }),
        };
        let written = open.and_then(|mut open| {
            lines(&mut open.recorder)?;
            open.recorder.flush()?;
            Ok(open)
        });
        match written {
            Ok(open) => self.open = Some(open),
            // The next round begins a new file.
            Err(error) => {
                tracing::error!(%error, dir = %dir.display(), "measurements are not logged");
            }
        }
    }
}

fn begin(
    dir: &Path,
    scribe: Scribe<'_>,
    epoch: u64,
    block: u64,
) -> io::Result<Recorder<BufWriter<File>>> {
    std::fs::create_dir_all(dir)?;
    let to = BufWriter::new(File::create_new(dir.join(format!("{epoch}-{block}{LOG}")))?);
    let mut recorder = match scribe.rule {
        Exam::Serve(rule) => Recorder::open(&**rule, to)?,
        Exam::Star(rule) => Recorder::open(&**rule, to)?,
    };
    let state = match scribe.rule {
        Exam::Serve(_) => serde_json::Value::Null,
        Exam::Star(_) => serde_json::to_value(&scribe.book.memory)?,
    };
    let (validator, book) = (*scribe.validator.as_bytes(), Box::new(scribe.book.book.clone()));
    recorder.append::<Serve>(&Body::Resumed { validator, book, state })?;
    Ok(recorder)
}
