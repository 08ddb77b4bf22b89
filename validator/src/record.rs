//! The log of measurements that `ganglion rules replay` recomputes and `remeasure` checks; written where
//! answers are audited, for it holds tasks and answers in clear.
//!
//! A file for each epoch, which begins with the book as it was, so that each replays by itself and old
//! ones can go. What cannot be written is said and left out: weights do not wait for it.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use chain_metadata::{Hotkey, Uid, Weights};
use subnet_rules::log::{Body, Recorder};
use subnet_rules::session::Session;

use crate::audit::LOG;

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
    pub(crate) session: &'a dyn Session,
    pub(crate) validator: Hotkey,
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

    /// What was measured in a round, which the scribe's book does not hold yet.
    pub(crate) fn round(&mut self, scribe: Scribe<'_>, epoch: u64, block: u64, lines: &[String]) {
        self.write(scribe, epoch, block, lines);
    }

    /// What the book is worth at an epoch's end.
    pub(crate) fn settled(&mut self, scribe: Scribe<'_>, epoch: u64, block: u64, paid: Paid) {
        let Paid { miners, burn_uid, weights } = paid;
        let (validator, weights) = (scribe.validator, Some(weights));
        let body = Body::<(), (), ()>::Settled { validator, epoch, miners, burn_uid, weights };
        // Every part of it can be written as JSON.
        let line = serde_json::to_string(&body).unwrap_or_default();
        self.write(scribe, epoch, block, &[line]);
    }

    fn write(&mut self, scribe: Scribe<'_>, epoch: u64, block: u64, lines: &[String]) {
        let Some(dir) = &self.dir else { return };
        let digest = scribe.session.digest().to_string();
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
            lines.iter().try_for_each(|line| open.recorder.append_text(line))?;
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
    let mut recorder = Recorder::new(to);
    let preamble = scribe.session.preamble(scribe.validator)?;
    preamble.iter().try_for_each(|line| recorder.append_text(line))?;
    Ok(recorder)
}
