//! The miners of `tune`: real byte models, trained on real text of the grammar, really run.
//!
//! A model is a table of logits, `SYMBOLS` for each of `CONTEXTS` hashes of the three bytes before. Its
//! log-probabilities are the validator's own normalisation of those logits: a table that claims more
//! than all probability gains nothing by it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answer::{Counts, HEAD_START, coarse};
use super::model::{CONTEXTS, SYMBOLS, write};
use super::{Tune, TuneDraw};
use crate::arena::cast::{Identity, Kind};
use crate::arena::season::{Moment, World};
use crate::artefact::commitment;
use crate::digest::Digest;
use crate::exchange::{Artefact, Fault, Message, Sending};
use crate::prf::Prf;

/// Epochs between an operator's commitments.
const PERIOD: u64 = 20;
/// Blocks of an epoch, for the order of commitments.
const BLOCKS: u64 = 360;
/// What a copier adds to a logit, at most, thousandths of a nat: another digest, the same model.
const COPY_NOISE: u64 = 20;
/// Passes of training over a document, of which each costs three times a forward one.
const TRAINING_COST: u64 = 3;

/// A model's logits, thousandths of a nat.
type Logits = Vec<i16>;

/// A commitment on chain and the artefact behind it, ready to run.
#[derive(Debug, Clone)]
struct Committed {
    commitment: Digest,
    block: u64,
    logits: Logits,
    bytes: Arc<[u8]>,
}

/// The world.
#[derive(Debug, Clone)]
pub struct Tuning {
    prf: Prf,
    trainers: BTreeMap<usize, Counts>,
    /// By place in the cast: the latest commitment first, and the earlier ones that may still reign.
    committed: Vec<Vec<Committed>>,
    /// The epoch whose commitments are made.
    epoch: u64,
    work: (u64, u64),
}

impl Tuning {
    /// The world of a seed.
    pub fn new(seed: u64) -> Self {
        let prf = Prf::from_seed(seed).child("tuning");
        Self { prf, trainers: BTreeMap::new(), committed: Vec::new(), epoch: 0, work: (0, 0) }
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
        let counts = self.trainers.entry(who.operator).or_insert_with(|| Counts::new(seed));
        let bytes = counts.learn(epochs, who.siblings);
        self.work.1 += bytes * TRAINING_COST * who.siblings as u64;
    }

    /// The model of what an operator has learnt.
    fn trained(&self, operator: usize) -> Logits {
        self.trainers.get(&operator).map(Counts::logits).unwrap_or_default()
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
        let bytes: Arc<[u8]> = write(&logits).into();
        let digest = match who.kind {
            Kind::Forger => Digest::plain(b"another model"),
            _ => Digest::plain(&bytes),
        };
        let commitment = commitment(&digest, &who.hotkey);
        self.committed[place].insert(0, Committed { commitment, block, logits, bytes });
    }
}

impl World<Tune> for Tuning {
    fn committed(&mut self, moment: Moment, who: &[Identity]) {
        if moment.epoch > self.epoch {
            self.commit(moment.epoch, who);
            self.epoch = moment.epoch;
        }
    }

    fn artefacts(&mut self, place: usize, wanted: &[Digest]) -> Vec<Artefact> {
        let held = self.committed.get(place).map(Vec::as_slice).unwrap_or_default();
        let asked = |(at, one): &(usize, &Committed)| *at == 0 || wanted.contains(&one.commitment);
        let artefact = |(_, one): (usize, &Committed)| Artefact {
            commitment: one.commitment,
            committed_at: one.block,
            bytes: Ok(Arc::clone(&one.bytes)),
        };
        let artefacts: Vec<_> = held.iter().enumerate().filter(asked).map(artefact).collect();
        // A run of a model over the exam's text is some two thousand bytes of it.
        self.work.0 += artefacts.len() as u64 * 2_000;
        artefacts
    }

    fn reply(
        &mut self,
        _: Moment,
        _: &Identity,
        _: &Sending,
        _: &TuneDraw,
    ) -> Result<Message, Fault> {
        Err(Fault::Refused)
    }

    fn work(&self) -> (u64, u64) {
        self.work
    }
}
