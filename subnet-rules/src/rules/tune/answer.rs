//! The miner's hand in `tune`: learns from text of its own and commits to what it has learnt.

use std::sync::{Arc, Mutex, PoisonError};

use chain_metadata::Hotkey;
use serde_json::Value;

use super::model::{CONTEXTS, SYMBOLS, cells, read, write};
use crate::arena::Kind;
use crate::digest::Digest;
use crate::prf::Prf;
use crate::work::{Job, Work, WorkError};
use crate::world::grammar;

/// Documents that are learnt from in an epoch, on average.
const DOCUMENTS: u64 = 60;
/// Epochs' worth of documents that everybody has learnt from before the first.
pub(super) const HEAD_START: u64 = 10;
/// Epochs between commitments.
const PERIOD: u64 = 20;
/// Count that every symbol starts with in every context.
const SMOOTHING: f64 = 0.05;

/// What has been learnt so far.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    counts: Vec<u32>,
    prf: Prf,
}

impl Counts {
    pub(super) fn new(prf: Prf) -> Self {
        Self { counts: vec![0; CONTEXTS * SYMBOLS], prf }
    }

    /// Some epochs' learning, by one of so many who share its means; the bytes read.
    pub(super) fn learn(&mut self, epochs: u64, siblings: usize) -> u64 {
        let whole = epochs * (DOCUMENTS / 2 + self.prf.below(DOCUMENTS));
        let documents = whole / siblings as u64;
        let text = grammar::corpus(self.prf.next_u64());
        let mut bytes = 0;
        for document in text.take(usize::try_from(documents).unwrap_or(0)) {
            let text = document.text();
            bytes += text.len() as u64;
            for cell in cells(&text) {
                self.counts[cell] += 1;
            }
        }
        bytes
    }

    /// The model of it.
    pub(super) fn logits(&self) -> Vec<i16> {
        let logit = |count: &u32| {
            let value = 1000.0 * libm::log(f64::from(*count) + SMOOTHING);
            #[expect(clippy::cast_possible_truncation, reason = "within ±23,000 thousandths")]
            let rounded = libm::rint(value) as i16;
            rounded
        };
        self.counts.iter().map(logit).collect()
    }
}

/// Trains a table, and commits to a better one now and then.
#[derive(Debug)]
pub struct Trainer {
    counts: Mutex<Counts>,
    /// Epochs between commitments.
    period: u64,
    /// How much it learns in an epoch, in the usual epochs' worth.
    pace: u64,
}

impl Trainer {
    /// A trainer whose text is drawn from `seed`.
    pub fn new(seed: u64, pace: u64, period: u64) -> Self {
        let mut counts = Counts::new(Prf::from_seed(seed).child("trainer"));
        counts.learn(HEAD_START * pace, 1);
        Self { counts: Mutex::new(counts), period: period.max(1), pace }
    }
}

impl Work for Trainer {
    fn answer(&self, _job: &Job<'_>) -> Result<Value, WorkError> {
        Err(WorkError::Task("nothing is asked: models are committed on chain".into()))
    }

    fn artefact(&self, epoch: u64) -> Option<Vec<u8>> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.learn(self.pace, 1);
        epoch.is_multiple_of(self.period).then(|| write(&counts.logits()))
    }
}

/// A hand of this kind.
pub(super) fn worker(miner: &Hotkey, kind: Kind) -> Option<Arc<dyn Work>> {
    let seed = Prf::new(Digest::of("ganglion/tune/trainer", &[miner.as_bytes()]).0).next_u64();
    Some(match kind {
        Kind::Honest | Kind::Sybil => Arc::new(Trainer::new(seed, 1, PERIOD)),
        Kind::Substitute | Kind::Forger => Arc::new(Coarse(Trainer::new(seed, 1, PERIOD))),
        Kind::Colluder => return None,
        _ => Arc::new(Untrained),
    })
}

/// Rounds what it has learnt to two bits a logit.
#[derive(Debug)]
struct Coarse(Trainer);

impl Work for Coarse {
    fn answer(&self, job: &Job<'_>) -> Result<Value, WorkError> {
        self.0.answer(job)
    }

    fn artefact(&self, epoch: u64) -> Option<Vec<u8>> {
        let logits = read(&self.0.artefact(epoch)?)?;
        Some(write(&logits.into_iter().map(coarse).collect::<Vec<_>>()))
    }
}

/// Commits to a table of noughts.
#[derive(Debug)]
struct Untrained;

impl Work for Untrained {
    fn answer(&self, _job: &Job<'_>) -> Result<Value, WorkError> {
        Err(WorkError::Task("nothing is asked: models are committed on chain".into()))
    }

    fn artefact(&self, _epoch: u64) -> Option<Vec<u8>> {
        Some(write(&vec![0; CONTEXTS * SYMBOLS]))
    }
}

/// Step to which a substitute rounds its logits, thousandths of a nat: it stores two bits of each.
const COARSE: i32 = 2_500;

pub(super) fn coarse(logit: i16) -> i16 {
    i16::try_from(i32::from(logit).div_euclid(COARSE) * COARSE).unwrap_or(i16::MIN)
}
