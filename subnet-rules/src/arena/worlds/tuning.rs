//! The miners of `tune`: real byte models, trained on real text of the grammar, really run.
//!
//! A model is a table of logits, `SYMBOLS` for each of `CONTEXTS` hashes of the three bytes before. Its
//! log-probabilities are the validator's own normalisation of those logits: a table that claims more
//! than all probability gains nothing by it.

use std::collections::BTreeMap;

use super::super::cast::{Identity, Kind};
use super::super::season::{Moment, World};
use super::table::mix;
use crate::digest::Digest;
use crate::examiner::MeasuredOf;
use crate::prf::Prf;
use crate::rule::{Measured, Subject};
use crate::tune::{Exam, LOSS_MAX, Measurement, Run, Tune, TuneDraw, commitment};
use crate::world::grammar;

/// Hashes of the three bytes before: more than the text of a season fills, so that who has seen more text
/// is better to the end.
const CONTEXTS: usize = 2048;
/// Bytes told apart: ASCII folded to its lower six bits from the space on.
const SYMBOLS: usize = 64;
/// Documents that an operator learns from in an epoch, on average.
const DOCUMENTS: u64 = 60;
/// Epochs between an operator's commitments.
const PERIOD: u64 = 20;
/// Epochs' worth of documents that everybody has learnt from before the first.
const HEAD_START: u64 = 10;
/// Blocks of an epoch, for the order of commitments.
const BLOCKS: u64 = 360;
/// Count that every symbol starts with in every context.
const SMOOTHING: f64 = 0.05;
/// The last three bytes of a word.
const THREE_BYTES: u64 = 0xff_ffff;
/// What a copier adds to a logit, at most, thousandths of a nat: another digest, the same model.
const COPY_NOISE: u64 = 20;
/// Step to which a substitute rounds its logits, thousandths of a nat: it stores two bits of each.
const COARSE: i32 = 2_500;
/// Passes of training over a document, of which each costs three times a forward one.
const TRAINING_COST: u64 = 3;

/// A model's logits, thousandths of a nat.
type Logits = Vec<i16>;

/// What an operator has learnt so far.
#[derive(Debug, Clone)]
struct Trainer {
    counts: Vec<u32>,
    prf: Prf,
}

/// A commitment on chain and the artefact behind it, ready to run.
#[derive(Debug, Clone)]
struct Committed {
    commitment: Digest,
    block: u64,
    logits: Logits,
    /// Loss of each symbol in each context, micronats; empty for an artefact that does not load or is
    /// not the committed one.
    losses: Vec<u32>,
}

/// The world.
#[derive(Debug, Clone)]
pub struct Tuning {
    prf: Prf,
    trainers: BTreeMap<usize, Trainer>,
    /// By place in the cast: the latest commitment first, and the earlier ones that may still reign.
    committed: Vec<Vec<Committed>>,
    /// The epoch whose commitments are made.
    epoch: u64,
    /// The latest exam and its documents: every validator gets the same.
    exam: Option<(Exam, Vec<Vec<usize>>)>,
    work: (u64, u64),
}

impl Tuning {
    /// The world of a seed.
    pub fn new(seed: u64) -> Self {
        let prf = Prf::from_seed(seed).child("tuning");
        Self {
            prf,
            trainers: BTreeMap::new(),
            committed: Vec::new(),
            epoch: 0,
            exam: None,
            work: (0, 0),
        }
    }

    /// What everybody does before the block from which this epoch's documents are drawn.
    fn commit(&mut self, epoch: u64, who: &[Identity]) {
        self.committed.resize_with(who.len(), Vec::new);
        for (place, one) in who.iter().enumerate() {
            self.train(one, who, if epoch == 1 { HEAD_START } else { 1 });
            let due = epoch % PERIOD == one.operator as u64 * 7 % PERIOD || epoch == 1;
            let public = (one.kind == Kind::Copier).then(|| self.published(one, who)).flatten();
            let logits = match one.kind {
                Kind::Honest | Kind::Sybil if due => self.trained(one.operator),
                Kind::Substitute | Kind::Forger if due => {
                    self.trained(one.operator).into_iter().map(coarse).collect()
                }
                Kind::Lazy if epoch == 1 => vec![0; CONTEXTS * SYMBOLS],
                Kind::Poison if due => vec![i16::MAX; 7],
                Kind::Copier => match public {
                    Some(logits) => self.shaken(&logits),
                    None => continue,
                },
                _ => continue,
            };
            // A copy follows what it copies by some blocks at least.
            let latest =
                if one.kind == Kind::Copier { epoch * BLOCKS } else { epoch * BLOCKS - 20 };
            let block = latest - 1 - self.prf.below(10);
            self.publish(place, one, block, logits);
        }
    }

    /// Some epochs' learning. The means of one operator are divided among its identities, which learn
    /// apart: the same model twice would be one.
    fn train(&mut self, who: &Identity, all: &[Identity], epochs: u64) {
        let learns =
            matches!(who.kind, Kind::Honest | Kind::Sybil | Kind::Substitute | Kind::Forger);
        let first = all.iter().find(|one| one.operator == who.operator) == Some(who);
        if !learns || !first {
            return;
        }
        let seed = self.prf.child(&format!("trainer {}", who.operator));
        let trainer = self
            .trainers
            .entry(who.operator)
            .or_insert_with(|| Trainer { counts: vec![0; CONTEXTS * SYMBOLS], prf: seed });
        let whole = epochs * (DOCUMENTS / 2 + trainer.prf.below(DOCUMENTS));
        let documents = whole / who.siblings as u64;
        let text = grammar::corpus(trainer.prf.next_u64());
        let mut bytes = 0;
        for document in text.take(usize::try_from(documents).unwrap_or(0)) {
            let text = document.text();
            bytes += text.len() as u64;
            for cell in cells(&text) {
                trainer.counts[cell] += 1;
            }
        }
        self.work.1 += bytes * TRAINING_COST * who.siblings as u64;
    }

    /// The model of what an operator has learnt.
    fn trained(&self, operator: usize) -> Logits {
        let Some(trainer) = self.trainers.get(&operator) else { return Logits::new() };
        let logit = |count: &u32| {
            let value = 1000.0 * libm::log(f64::from(*count) + SMOOTHING);
            #[expect(clippy::cast_possible_truncation, reason = "within ±23,000 thousandths")]
            let rounded = libm::rint(value) as i16;
            rounded
        };
        trainer.counts.iter().map(logit).collect()
    }

    /// What a copier finds on chain and has not copied: the latest model of one honest miner.
    fn published(&self, who: &Identity, all: &[Identity]) -> Option<Logits> {
        let honest: Vec<_> =
            (0..all.len()).filter(|place| all[*place].kind == Kind::Honest).collect();
        let victim = *honest.get(who.operator % honest.len().max(1))?;
        let original = self.committed[victim].first()?;
        let place = all.iter().position(|one| one == who)?;
        let copied_since =
            self.committed[place].first().is_some_and(|copy| copy.block > original.block);
        (!copied_since).then(|| original.logits.clone())
    }

    fn shaken(&mut self, logits: &[i16]) -> Logits {
        let noise = |logit: &i16| {
            let by = i16::try_from(self.prf.below(COPY_NOISE + 1)).unwrap_or(0);
            logit.saturating_add(by)
        };
        logits.iter().map(noise).collect()
    }

    /// Puts a commitment on chain. The forger's is to other bytes than it hands out.
    fn publish(&mut self, place: usize, who: &Identity, block: u64, logits: Logits) {
        let bytes: Vec<u8> = logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
        let claimed: &[u8] = if who.kind == Kind::Forger { b"another model" } else { &bytes };
        let on_chain = commitment(claimed, &who.hotkey);
        let as_committed = commitment(&bytes, &who.hotkey) == on_chain;
        let loads = logits.len() == CONTEXTS * SYMBOLS;
        let losses = if as_committed && loads { normalised(&logits) } else { Vec::new() };
        let committed = Committed { commitment: on_chain, block, logits, losses };
        self.committed[place].insert(0, committed);
    }

    /// The latest commitment, and the one that reigns where it is an earlier one.
    fn runs(&mut self, place: usize, exam: &Exam, cells: &[Vec<usize>]) -> Measurement {
        let reigns = |one: &Committed| Some(one.commitment) == exam.reigning;
        let latest = self.committed[place].first().map(|one| one.commitment);
        let wanted = |one: &&Committed| Some(one.commitment) == latest || reigns(one);
        let runnable = |one: &&Committed| !one.losses.is_empty();
        let chosen: Vec<_> = self.committed[place].iter().filter(wanted).filter(runnable).collect();
        let bytes: usize = cells.iter().map(Vec::len).sum();
        let is_copy = |one: &Committed| exam.copies.binary_search(&one.commitment).is_ok();
        let run = |one: &Committed| {
            let of_batch = |cells: &Vec<usize>| mean_loss(&one.losses, cells);
            let losses =
                if is_copy(one) { Vec::new() } else { cells.iter().map(of_batch).collect() };
            Run { commitment: one.commitment, committed_at: one.block, losses }
        };
        let runs: Vec<_> = chosen.into_iter().map(run).collect();
        let made = runs.iter().filter(|run| !run.losses.is_empty()).count();
        self.work.0 += (bytes * made) as u64;
        runs
    }
}

fn coarse(logit: i16) -> i16 {
    i16::try_from(i32::from(logit).div_euclid(COARSE) * COARSE).unwrap_or(i16::MIN)
}

/// Where in a table each byte of a text is looked up.
fn cells(text: &str) -> impl Iterator<Item = usize> + '_ {
    let symbol = |byte: u8| usize::from(byte.wrapping_sub(b' ')) % SYMBOLS;
    let mut before = 0_u64;
    text.bytes().map(move |byte| {
        let context = usize::try_from(mix(before) % CONTEXTS as u64).unwrap_or(0);
        before = (before << 8 | u64::from(byte)) & THREE_BYTES;
        context * SYMBOLS + symbol(byte)
    })
}

/// Where each batch of an exam is looked up.
fn documents(exam: &Exam) -> Vec<Vec<usize>> {
    let batch = |texts: &Vec<String>| texts.iter().flat_map(|text| cells(text)).collect();
    exam.batches().iter().map(batch).collect()
}

/// −ln softmax of each context's logits, micronats.
fn normalised(logits: &[i16]) -> Vec<u32> {
    let mut losses = Vec::with_capacity(logits.len());
    for row in logits.chunks_exact(SYMBOLS) {
        let most = row.iter().copied().max().unwrap_or(0);
        let below = |logit: &i16| f64::from(i32::from(most) - i32::from(*logit)) / 1000.0;
        let total: f64 = row.iter().map(|logit| libm::exp(-below(logit))).sum();
        let log_total = libm::log(total);
        losses.extend(row.iter().map(|logit| micronats(below(logit) + log_total)));
    }
    losses
}

fn micronats(nats: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what a loss may be"
    )]
    let rounded = libm::rint(nats * 1e6).clamp(1.0, f64::from(LOSS_MAX)) as u32;
    rounded
}

fn mean_loss(losses: &[u32], cells: &[usize]) -> u32 {
    let sum: u64 = cells.iter().map(|cell| u64::from(losses[*cell])).sum();
    let mean = sum / cells.len().max(1) as u64;
    u32::try_from(mean).unwrap_or(LOSS_MAX).clamp(1, LOSS_MAX)
}

impl World<Tune> for Tuning {
    fn subjects(&self, identities: &[Identity]) -> Vec<Subject> {
        vec![Subject::Committed(identities.iter().map(|one| one.hotkey).collect())]
    }

    fn measure(
        &mut self,
        moment: Moment,
        draw: &TuneDraw,
        who: &[Identity],
    ) -> Vec<MeasuredOf<Tune>> {
        if moment.epoch > self.epoch {
            self.commit(moment.epoch, who);
            self.epoch = moment.epoch;
        }
        let cells = match self.exam.take() {
            Some((exam, cells)) if exam == draw.public => cells,
            _ => documents(&draw.public),
        };
        let measured = |(place, one): (usize, &Identity)| Measured {
            hotkey: one.hotkey,
            measurement: self.runs(place, &draw.public, &cells),
        };
        let measured = who.iter().enumerate().map(measured).collect();
        self.exam = Some((draw.public.clone(), cells));
        measured
    }

    fn work(&self) -> (u64, u64) {
        self.work
    }
}
