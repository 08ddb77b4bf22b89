//! `topic`: many forecasters, one synthesis; each is paid for what the synthesis would lose without it.
//!
//! ```text
//! shared series -> sealed forecasts, opened -> copies folded into the earliest of their cluster
//!   -> mixed by Hedge, for each context apart -> truth -> loss with and without each
//! ```
//!
//! Copies are folded **before** anybody's marginal is taken: with a copy in the mixture its original
//! would seem superfluous, and both would earn nothing.

mod answer;
mod mixture;
pub mod world;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use std::sync::Arc;

use chain_metadata::Hotkey;
use scoring::evidence::{Evidence, Grade};
use serde::{Deserialize, Serialize};

pub use answer::Forecaster;

use crate::arena::Kind;
use crate::exchange::{Exchange, Exchanged, Fault, Whom};
use crate::manifest::{Manifest, ManifestError};
use crate::native::{Coded, RuleError};
use crate::prf::Prf;
use crate::rule::{Asked, Draw, Finding, JudgeError, Measured, Rule, Subject};
use crate::sealed;
use crate::tools::{ToolError, Tools};
use crate::work::Work;
use crate::world::series::{self, Series};
use mixture::Mixture;

/// The track that pay follows: what the synthesis would have lost without the forecaster.
pub const CONTRIBUTION: &str = "contribution";
/// The figure that the manifest bounds: the synthesis' mean loss over the best forecaster's.
pub const OVER_BEST: &str = "synthesis over best worker";
/// Largest forecast, thousandths: a thousand times what a series shows.
const FORECAST_MAX: i32 = 1_000_000;

/// `[params]` of the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Series of one draw, within 1..=256.
    pub series: usize,
    /// Error at which the loss is whole, thousandths: loss = min(1, (error / scale)²).
    pub scale: u32,
    /// What a past loss still counts after one round, within (0, 1).
    pub memory: f64,
    /// Rounds in which nobody earns: the first weights of a mixture are equal, so they pay identities and
    /// not skill.
    #[serde(default)]
    pub unpaid_rounds: u32,
    /// Two forecasters are alike where the root mean square of their differences is below this
    /// fraction of the least error that either shows in any context.
    pub alike: f64,
}

/// A parameter out of range, or a manifest that is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
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
    /// The track that the judge writes to is not declared.
    #[error("rule.toml: the track `{CONTRIBUTION}` is missing")]
    MissingTrack,
}

/// The series everybody is asked to continue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// In the order of the answers.
    pub series: Vec<Series>,
}

/// How they went on, thousandths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth(pub Vec<i32>);

/// What a validator measures of one exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurement {
    /// Nothing that was sealed and opened, by name.
    Unanswered(Fault),
    /// What was opened, and had been sealed.
    Opened {
        /// One forecast for each series, thousandths.
        forecast: Vec<i32>,
        /// When the seal came, microseconds after the task was sent, by the validator's clock.
        sealed_us: u64,
    },
}

/// A task of this rule with its truth.
pub type TopicDraw = Draw<Question, Truth>;

/// What a forecaster lost in one context, discounted by age.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Sum of losses.
    pub loss: f64,
    /// How many.
    pub count: f64,
}

/// What the rule remembers between rounds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// By context, then by forecaster; only of the latest round's subjects, which bounds it.
    pub contexts: Vec<BTreeMap<Hotkey, Record>>,
    /// Of each forecaster in all contexts, not discounted.
    pub workers: BTreeMap<Hotkey, Record>,
    /// Of the synthesis, not discounted.
    pub synthesis: Record,
    /// Forecasters in the latest round that were nobody's copy.
    pub distinct: usize,
    /// Who was whose copy in the latest round: the one that sealed first, then its copies.
    pub clusters: Vec<Vec<Hotkey>>,
    /// Rounds so far.
    pub rounds: u32,
}

/// The rule.
#[derive(Debug, Clone)]
pub struct Topic {
    manifest: Manifest,
    params: Params,
}

impl Topic {
    /// The rule of a manifest.
    pub fn new(manifest: Manifest) -> Result<Self, TopicError> {
        let params: Params = manifest.params()?;
        let ensure = |valid, parameter, value, wanted| {
            if valid { Ok(()) } else { Err(TopicError::Parameter { parameter, value, wanted }) }
        };
        let count = u32::try_from(params.series).unwrap_or(u32::MAX);
        ensure((1..=256).contains(&count), "series", count.into(), "a number within 1..=256")?;
        let scale = params.scale;
        ensure((1..=1_000_000).contains(&scale), "scale", scale.into(), "within 1..=1000000")?;
        let (memory, alike) = (params.memory, params.alike);
        ensure(memory > 0.0 && memory < 1.0, "memory", memory, "a number between 0 and 1")?;
        ensure((0.0..1.0).contains(&alike), "alike", alike, "a number within 0..1")?;
        manifest.tracks.get(CONTRIBUTION).ok_or(TopicError::MissingTrack)?;
        Ok(Self { manifest, params })
    }

    /// The rule's own parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The forecasts that were opened and have the form asked for, in the order in which
    /// they were sealed.
    fn opened<'m>(
        draw: &TopicDraw,
        measured: &'m [Measured<Measurement>],
    ) -> Vec<(Hotkey, &'m [i32])> {
        let sound = |forecast: &&Vec<i32>| {
            let bounded = |value: &i32| (-FORECAST_MAX..=FORECAST_MAX).contains(value);
            forecast.len() == draw.public.series.len() && forecast.iter().all(bounded)
        };
        let mut opened: Vec<_> = measured
            .iter()
            .filter_map(|one| {
                let Measurement::Opened { forecast, sealed_us } = &one.measurement else {
                    return None;
                };
                Some((*sealed_us, one.hotkey, Some(forecast).filter(sound)?.as_slice()))
            })
            .collect();
        opened.sort_by_key(|(sealed_us, hotkey, _)| (*sealed_us, *hotkey));
        opened.into_iter().map(|(_, hotkey, forecast)| (hotkey, forecast)).collect()
    }

    fn consistent(draw: &TopicDraw, measured: &[Measured<Measurement>]) -> Result<(), JudgeError> {
        if let Some(first) = measured.first()
            && draw.public.series.len() != draw.secret.0.len()
        {
            let what = format!("{} truths", draw.secret.0.len());
            return Err(JudgeError::Inconsistent { hotkey: first.hotkey, what });
        }
        Ok(())
    }
}

impl Rule for Topic {
    type Public = Question;
    type Secret = Truth;
    type Measurement = Measurement;
    type State = Memory;

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn exchange(&self) -> Exchange {
        Exchange::Sealed
    }

    fn whom(&self) -> Whom {
        Whom::Shared
    }

    async fn measure(
        &self,
        asked: Asked<'_, Self>,
        came: &Exchanged,
        _tools: &Tools<'_>,
    ) -> Result<Measurement, ToolError> {
        let (commit, opening) = match came {
            Exchanged::Nothing(fault) | Exchanged::Opened { opening: Err(fault), .. } => {
                return Ok(Measurement::Unanswered(*fault));
            }
            Exchanged::Opened { commit, opening: Ok(opening) } => (commit, opening),
            _ => return Ok(Measurement::Unanswered(Fault::Malformed)),
        };
        Ok(match sealed::opened(&asked.task, &asked.miner, commit, opening) {
            Ok(forecast) => Measurement::Opened { forecast, sealed_us: commit.total_us },
            Err(fault) => Measurement::Unanswered(fault),
        })
    }

    fn draw(&self, prf: &mut Prf, _subject: &Subject, _state: &Memory) -> TopicDraw {
        let (series, truth) = (0..self.params.series).map(|_| series::draw(prf)).unzip();
        Draw { public: Question { series }, secret: Truth(truth) }
    }

    fn fault(&self, measurement: &Measurement) -> Option<Fault> {
        match measurement {
            Measurement::Unanswered(fault) => Some(*fault),
            Measurement::Opened { .. } => None,
        }
    }

    fn judge(
        &self,
        draw: &TopicDraw,
        measured: &[Measured<Measurement>],
        state: &Memory,
    ) -> Result<Vec<Finding>, JudgeError> {
        Self::consistent(draw, measured)?;
        let opened = Self::opened(draw, measured);
        let mixture = Mixture::of(&self.params, draw, &opened, state);
        let paid = state.rounds >= self.params.unpaid_rounds;
        let gains: BTreeMap<_, _> = mixture.gains(draw).into_iter().filter(|_| paid).collect();
        let finding = |one: &Measured<Measurement>| Finding {
            hotkey: one.hotkey,
            track: CONTRIBUTION.to_owned(),
            evidence: Evidence::Score(gains.get(&one.hotkey).copied().unwrap_or(Grade::ZERO)),
        };
        Ok(measured.iter().map(finding).collect())
    }

    fn learn(&self, state: Memory, draw: &TopicDraw, measured: &[Measured<Measurement>]) -> Memory {
        let opened = Self::opened(draw, measured);
        let mixture = Mixture::of(&self.params, draw, &opened, &state);
        let present: Vec<_> = measured.iter().map(|one| one.hotkey).collect();
        mixture.remembered(draw, &opened, &present, state)
    }

    fn clusters(&self, state: &Memory) -> Vec<Vec<Hotkey>> {
        state.clusters.clone()
    }

    fn figures(&self, state: &Memory) -> Vec<(&'static str, f64)> {
        let mean = |record: &Record| record.loss / record.count;
        // Whoever answered less than half of the time may have picked the easy ones.
        let answered = |record: &&Record| record.count * 2.0 >= state.synthesis.count;
        let best = state.workers.values().filter(answered).map(mean).fold(f64::INFINITY, f64::min);
        // With fewer distinct forecasters than contexts there is nothing to synthesise from.
        if state.distinct < series::CONTEXTS || best.is_infinite() || best <= 0.0 {
            return Vec::new();
        }
        vec![(OVER_BEST, mean(&state.synthesis) / best)]
    }
}

impl Coded for Topic {
    const NAME: &'static str = "topic";
    type World = world::Forecasting;

    fn of(manifest: Manifest) -> Result<Self, RuleError> {
        Ok(Self::new(manifest)?)
    }

    fn world(&self, seed: u64) -> world::Forecasting {
        world::Forecasting::new(seed)
    }

    fn worker(&self, miner: &Hotkey, kind: Kind) -> Option<Arc<dyn Work>> {
        answer::worker(miner, kind)
    }
}
