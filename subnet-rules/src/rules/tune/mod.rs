//! `tune`: committed models compete on text that did not exist when they were committed.
//!
//! ```text
//! commitment (artefact ‖ hotkey) on chain -> beacon -> fresh documents -> losses of every model
//!   -> copies folded into the earliest -> bets of each challenger against the crown -> who reigns
//! ```
//!
//! The crown belongs to a commitment, not to a hotkey and not to a slot: whoever changes its model
//! begins as a challenger. It falls to evidence alone ([`scoring::crown`]).

mod answer;
pub mod model;
mod throne;
pub mod world;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use chain_metadata::Hotkey;
use scoring::crown::Crown;
use scoring::estimators::ParameterError;
use scoring::evidence::{Evidence, Grade};
use serde::{Deserialize, Serialize};

use crate::arena::Kind;
use crate::artefact::commitment;
use crate::digest::Digest;
use crate::exchange::{Artefact, Exchange, Exchanged, Whom};
use crate::manifest::{Manifest, ManifestError};
use crate::native::{Coded, RuleError};
use crate::prf::Prf;
use crate::rule::{Asked, Draw, Finding, JudgeError, Measured, Rule, Subject};
use crate::tools::{ToolError, Tools};
use crate::work::Work;
use crate::world::grammar;
pub use answer::Trainer;
use model::Shelf;
pub use throne::{Challenger, Reign, Throne};

/// The track that pay follows: whether the miner's commitment reigned in the round.
pub const REIGN: &str = "reign";
/// The figure that the manifest may bound: how often the crown was won.
pub const CORONATIONS: &str = "coronations";
/// Largest loss that is taken for one, micronats per byte: 64 nats.
pub const LOSS_MAX: u32 = 64_000_000;

/// `[params]` of the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Batches of a round, within 1..=256: each is one bet.
    pub batches: u32,
    /// Documents of a batch, within 1..=256.
    pub documents: u32,
    /// Loss that an empty throne demands to be beaten, micronats per byte.
    pub floor: u32,
    /// Two models are alike where the root mean square of their batches' loss differences is below this
    /// fraction of their loss.
    pub alike: f64,
    /// Rounds in a row without its artefact after which a commitment loses the crown.
    pub patience: u32,
    /// What it takes to win.
    pub crown: Crown,
}

/// A parameter out of range, or a manifest that is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TuneError {
    /// The manifest itself.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A parameter.
    #[error("rule.toml: [params]: `{parameter}` is {value}; {wanted} is wanted")]
    Parameter {
        /// Which.
        parameter: &'static str,
        /// What was given.
        value: f64,
        /// What would be valid.
        wanted: &'static str,
    },
    /// A parameter of the crown.
    #[error("rule.toml: [params]: {0}")]
    Crown(#[from] ParameterError),
    /// The track that the judge writes to is not declared.
    #[error("rule.toml: the track `{REIGN}` is missing")]
    MissingTrack,
}

/// The text of a round, and whose model must be run beside the challengers'.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exam {
    /// Seed of the documents: [`Exam::batches`].
    pub seed: u64,
    /// How many batches.
    pub batches: u32,
    /// Documents of each.
    pub documents: u32,
    /// The commitment that reigns. Validators keep its artefact: it is run as long as they have it,
    /// whatever its hotkey commits to since.
    pub reigning: Option<Digest>,
    /// Commitments known to be copies, ascending: they are not run again.
    pub copies: Vec<Digest>,
}

impl Exam {
    /// The documents, batch by batch: prompt, answer, newline.
    pub fn batches(&self) -> Vec<Vec<String>> {
        let mut corpus = grammar::corpus(self.seed);
        let batch = |_| {
            let documents = corpus.by_ref().take(self.documents as usize);
            documents.map(|document| document.text()).collect()
        };
        (0..self.batches).map(batch).collect()
    }
}

/// One committed model on the documents of a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Digest on chain; the validator has held the artefact against it.
    pub commitment: Digest,
    /// Block in which it was committed, before the beacon's.
    pub committed_at: u64,
    /// Mean loss of each batch, micronats per byte, from the validator's own forward passes; empty for
    /// a known copy.
    pub losses: Vec<u32>,
}

/// What a validator measures of one miner: its latest commitment and, where it is another, the one that
/// reigns. No artefact, another than committed, one that does not load or gives no finite loss: none.
pub type Measurement = Vec<Run>;
/// A task of this rule: there is no secret, the documents are enough.
pub type TuneDraw = Draw<Exam, ()>;

/// The rule.
#[derive(Debug, Clone)]
pub struct Tune {
    manifest: Manifest,
    params: Params,
    shelf: Arc<Shelf>,
}

impl Tune {
    /// The rule of a manifest.
    pub fn new(manifest: Manifest) -> Result<Self, TuneError> {
        let params: Params = manifest.params()?;
        let ensure = |valid, parameter, value, wanted| {
            if valid { Ok(()) } else { Err(TuneError::Parameter { parameter, value, wanted }) }
        };
        for (parameter, count) in [("batches", params.batches), ("documents", params.documents)] {
            ensure((1..=256).contains(&count), parameter, count.into(), "a number within 1..=256")?;
        }
        let (floor, alike, patience) = (params.floor, params.alike, params.patience);
        ensure((1..=LOSS_MAX).contains(&floor), "floor", floor.into(), "within 1..=64000000")?;
        ensure((0.0..0.5).contains(&alike), "alike", alike, "a number within 0..0.5")?;
        ensure(patience > 0, "patience", patience.into(), "at least 1")?;
        params.crown.check()?;
        manifest.tracks.get(REIGN).ok_or(TuneError::MissingTrack)?;
        Ok(Self { manifest, params, shelf: Arc::default() })
    }

    /// The rule's own parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }
}

impl Rule for Tune {
    type Public = Exam;
    type Secret = ();
    type Measurement = Measurement;
    type State = Throne;

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn exchange(&self) -> Exchange {
        Exchange::Artefact
    }

    fn whom(&self) -> Whom {
        Whom::Committed
    }

    fn wanted(&self, state: &Throne) -> Vec<Digest> {
        state.reign.iter().map(|reign| reign.commitment).collect()
    }

    async fn measure(
        &self,
        asked: Asked<'_, Self>,
        came: &Exchanged,
        _tools: &Tools<'_>,
    ) -> Result<Measurement, ToolError> {
        let Exchanged::Held(artefacts) = came else { return Ok(Vec::new()) };
        let exam = &asked.draw.public;
        let mut runs = Vec::new();
        for artefact in artefacts {
            let Ok(bytes) = &artefact.bytes else { continue };
            let Some(model) = self.shelf.model(bytes) else { continue };
            if commitment(&model.digest, &asked.miner) != artefact.commitment {
                continue;
            }
            let known_copy = exam.copies.binary_search(&artefact.commitment).is_ok();
            let losses = if known_copy { Vec::new() } else { self.shelf.losses(&model, exam) };
            let Artefact { commitment, committed_at, .. } = *artefact;
            runs.push(Run { commitment, committed_at, losses });
        }
        Ok(runs)
    }

    fn draw(&self, prf: &mut Prf, _subject: &Subject, state: &Throne) -> TuneDraw {
        let Params { batches, documents, .. } = self.params;
        let reigning = state.reign.as_ref().map(|reign| reign.commitment);
        let copies = state.copies();
        let seed = prf.next_u64();
        Draw { public: Exam { seed, batches, documents, reigning, copies }, secret: () }
    }

    fn judge(
        &self,
        draw: &TuneDraw,
        measured: &[Measured<Measurement>],
        state: &Throne,
    ) -> Result<Vec<Finding>, JudgeError> {
        let mut findings = Vec::with_capacity(measured.len());
        for Measured { hotkey, measurement } in measured {
            let sound = |run: &Run| {
                if draw.public.copies.contains(&run.commitment) {
                    return run.losses.is_empty();
                }
                run.losses.len() == draw.public.batches as usize
                    && run.losses.iter().all(|loss| (1..=LOSS_MAX).contains(loss))
            };
            if let Some(run) = measurement.iter().find(|run| !sound(run)) {
                let what = format!("losses of {:?}", run.commitment);
                return Err(JudgeError::Inconsistent { hotkey: *hotkey, what });
            }
            // A crown whose model is not there to be beaten is not paid.
            let reigns = state.reign.as_ref().is_some_and(|reign| {
                let of_reign = |run: &Run| run.commitment == reign.commitment;
                reign.hotkey == *hotkey && measurement.iter().any(of_reign)
            });
            let grade = if reigns { Grade::ONE } else { Grade::ZERO };
            let (hotkey, track) = (*hotkey, REIGN.to_owned());
            findings.push(Finding { hotkey, track, evidence: Evidence::Score(grade) });
        }
        Ok(findings)
    }

    fn learn(&self, state: Throne, _: &TuneDraw, measured: &[Measured<Measurement>]) -> Throne {
        state.after(&self.params, measured)
    }

    fn figures(&self, state: &Throne) -> Vec<(&'static str, f64)> {
        vec![(CORONATIONS, f64::from(state.coronations))]
    }
}

impl Coded for Tune {
    const NAME: &'static str = "tune";
    type World = world::Tuning;

    fn of(manifest: Manifest) -> Result<Self, RuleError> {
        Ok(Self::new(manifest)?)
    }

    fn world(&self, seed: u64) -> world::Tuning {
        world::Tuning::new(seed)
    }

    fn worker(&self, miner: &Hotkey, kind: Kind) -> Option<Arc<dyn Work>> {
        answer::worker(miner, kind)
    }
}
