//! `serve`: miners serve a named language model, and are paid for serving that one.
//!
//! Three lines of evidence, each from its own kind of measurement:
//!
//! - **identity**, a gate: on open draws the answer must be the tokens that the named model draws
//!   under the given seed. Counted only where the model had a choice; decided by a sequential test. Where
//!   the rule asks for the miner's signed account of its tokens (log-probabilities, sketches of hidden
//!   states), each group of tokens in which it lies too far from the reference's own pass is a miss.
//! - **quality**, a factor: on checkable draws, how often the miner is right where the reference is
//!   right on the same prompt, as a lower confidence bound.
//! - **service**, a factor: answered, and in the time allowed, by the validator's clock.
//!
//! What the miner says about itself enters none of them.

mod ask;
pub mod calibrate;
mod calibration;
mod measure;
mod measurement;
mod params;
pub mod table;
mod wording;
pub mod world;

#[cfg(test)]
mod tests;

use chain_metadata::Hotkey;
use scoring::evidence::{Evidence, Grade};
use serde::{Deserialize, Serialize};

pub use ask::{Finish, Reply, Task};
pub use calibration::{Calibration, CalibrationError, Cell, LEVELS};
pub use measurement::{Answer, Measurement};
pub use params::{AccountLimits, Params, ParamsError};
pub use wording::Wording;

use crate::exchange::{Exchanged, Fault};
use crate::manifest::{Manifest, ManifestError};
use crate::native::{Coded, Naming, RuleError};
use crate::prf::Prf;
use crate::rule::{Asked, Draw, Finding, JudgeError, Measured, Rule, Subject};
use crate::tools::{Reference, ToolError, Tools};
use crate::world::grammar::{self, Family, Level};

/// Names of the tracks in `rule.toml`.
pub mod track {
    /// The gate: sequential test over matches.
    pub const IDENTITY: &str = "identity";
    /// Trials against the reference.
    pub const QUALITY: &str = "quality";
    /// Score by the validator's clock.
    pub const SERVICE: &str = "service";
}

/// What a draw is judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// There is one right answer.
    Checked {
        /// Kind of question.
        family: Family,
        /// How hard.
        level: Level,
        /// The right line.
        answer: String,
    },
    /// There is none: the continuation shows who wrote it.
    Open,
}

/// A task of this rule with its secret.
pub type ServeDraw = Draw<Task, Secret>;

/// The rule.
#[derive(Debug, Clone)]
pub struct Serve {
    manifest: Manifest,
    params: Params,
    cells: Vec<Cell>,
}

/// Why a manifest is not one of `serve`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The manifest itself.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A parameter out of range.
    #[error("rule.toml: [params]: {0}")]
    Params(#[from] ParamsError),
    /// No level at which the reference can be told from a guess.
    #[error("rule.toml: [params.calibration]: {0}")]
    Calibration(#[from] CalibrationError),
    /// A track that the judge writes to is not declared.
    #[error("rule.toml: the track `{0}` is missing")]
    MissingTrack(&'static str),
}

/// The manifest as shipped, without a model and its calibration.
const SHIPPED: &str = include_str!("rule.toml");

impl Serve {
    /// The rule of a manifest.
    pub fn new(manifest: Manifest) -> Result<Self, ServeError> {
        let params: Params = manifest.params()?;
        params.check()?;
        for name in [track::IDENTITY, track::QUALITY, track::SERVICE] {
            manifest.tracks.get(name).ok_or(ServeError::MissingTrack(name))?;
        }
        let cells = params.calibration.cells()?;
        Ok(Self { manifest, params, cells })
    }

    /// The shipped manifest for `model` (the full text of its id), calibrated on that model.
    pub fn shipped(model: &str, calibration: &Calibration) -> Result<Self, ServeError> {
        Self::of_model(Manifest::parse(SHIPPED)?, model, calibration)
    }

    /// A manifest's rule for another model, calibrated on that one.
    pub fn of_model(
        mut manifest: Manifest,
        model: &str,
        calibration: &Calibration,
    ) -> Result<Self, ServeError> {
        let mut params: Params = manifest.params()?;
        model.clone_into(&mut params.model);
        params.temperature = calibration.wording.temperature();
        params.max_tokens = calibration.wording.max_tokens();
        params.calibration = calibration.clone();
        manifest.params = params.to_table()?;
        Self::new(manifest)
    }

    /// The rule's own parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The cells that checkable draws come from.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn task(&self, question: &str, seed: u64) -> Task {
        Task {
            model: self.params.model.clone(),
            prompt: self.params.calibration.wording.prompt(question),
            max_tokens: self.params.max_tokens,
            temperature: self.params.temperature,
            seed,
            evidence: self.params.account.is_some(),
        }
    }

    /// Evidence from one answer.
    fn findings(
        &self,
        draw: &ServeDraw,
        measured: &Measured<Measurement>,
    ) -> Result<Vec<(&'static str, Evidence)>, JudgeError> {
        let hotkey = measured.hotkey;
        let answer = match &measured.measurement {
            Measurement::Answered(answer) if self.complete(draw, answer) => answer,
            Measurement::Answered(_) | Measurement::Unanswered(_) => return Ok(unanswered(draw)),
        };
        if ends_early(answer) {
            // The cheapest whole answer there is: an end that the named model does not draw.
            let miss = (track::IDENTITY, Evidence::Matches(vec![false]));
            return Ok(unanswered(draw).into_iter().chain([miss]).collect());
        }
        let service = (track::SERVICE, Evidence::Score(self.params.service(answer)));
        let proof = match &draw.secret {
            Secret::Checked { answer: right, .. } => {
                let trial = trial(right, answer, hotkey)?;
                trial.map(|trial| (track::QUALITY, trial))
            }
            Secret::Open => Some((track::IDENTITY, self.matches(answer, hotkey)?)),
        };
        Ok(proof.into_iter().chain([service]).collect())
    }

    /// Whether the answer is what was asked for: of the named model, within the cap, ended by the
    /// model or by the cap. Anything else takes the value worst for the miner.
    fn complete(&self, draw: &ServeDraw, answer: &Answer) -> bool {
        let tokens = answer.token_ids.len();
        let cap = draw.public.max_tokens as usize;
        let named = answer.model.check(|model| *model == self.params.model).is_some();
        let ended = answer.stopped || tokens == cap;
        // An account is asked for with every draw, and held against the open ones.
        let open = draw.secret == Secret::Open;
        let accounted = !open || self.params.account.is_none() || answer.account.is_some();
        named && ended && accounted && (1..=cap).contains(&tokens)
    }

    /// Which tokens were the seed's, among those where the model had a choice.
    fn matches(&self, answer: &Answer, hotkey: Hotkey) -> Result<Evidence, JudgeError> {
        let (checks, tokens) = (answer.checks.len(), answer.token_ids.len());
        if checks != tokens {
            let what = format!("{checks} checks for {tokens} tokens of an open draw");
            return Err(JudgeError::Inconsistent { hotkey, what });
        }
        let counted = answer
            .checks
            .iter()
            .filter(|check| check.entropy_mnat >= self.params.min_entropy_mnat)
            .map(|check| check.matched);
        Ok(Evidence::Matches(counted.chain(self.deviations(answer)).collect()))
    }

    /// A miss for each group of tokens of which the miner's account lies too far from the reference's.
    fn deviations(&self, answer: &Answer) -> impl Iterator<Item = bool> {
        let groups = answer.account.iter().flatten();
        let limits = self.params.account;
        groups
            .filter(move |group| limits.is_some_and(|limits| !limits.allow(**group)))
            .map(|_| false)
    }
}

/// Perturbed score by which a wrong end loses beyond what honest engines of another class show, thousandths:
/// the largest honest margin measured is 180.
const END_CUT_MILLI: u32 = 500;

/// Whether an open answer was ended where the seed does not end it.
fn ends_early(answer: &Answer) -> bool {
    let last = answer.checks.last();
    answer.stopped && last.is_some_and(|last| !last.matched && last.margin_milli > END_CUT_MILLI)
}

/// Whether the miner is right where the reference is right; nothing where the reference is wrong,
/// since there the prompt asks for more than the named model can do.
fn trial(right: &str, answer: &Answer, hotkey: Hotkey) -> Result<Option<Evidence>, JudgeError> {
    let reference = answer.reference.as_ref().ok_or_else(|| JudgeError::Inconsistent {
        hotkey,
        what: "a checkable draw without the reference's answer".to_owned(),
    })?;
    if !grammar::grade(right, reference) {
        return Ok(None);
    }
    let passed = grammar::grade(right, &answer.text) && whole_line(answer);
    Ok(Some(Evidence::Trials { passed: u32::from(passed), failed: u32::from(!passed) }))
}

/// A line that the cap cut off was not given, however right its beginning.
fn whole_line(answer: &Answer) -> bool {
    answer.stopped || answer.text.trim_start().contains('\n')
}

/// What no answer, or an incomplete one, is worth: nothing, and a failed trial if there was one.
fn unanswered(draw: &ServeDraw) -> Vec<(&'static str, Evidence)> {
    let service = (track::SERVICE, Evidence::Score(Grade::ZERO));
    match draw.secret {
        Secret::Checked { .. } => {
            vec![(track::QUALITY, Evidence::Trials { passed: 0, failed: 1 }), service]
        }
        Secret::Open => vec![service],
    }
}

impl Rule for Serve {
    type Public = Task;
    type Secret = Secret;
    type Measurement = Measurement;
    type State = ();

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn draw(&self, prf: &mut Prf, _subject: &Subject, (): &()) -> ServeDraw {
        // A stream of its own: what the seed shows says nothing of the question's numbers.
        let seed = prf.child("seed").next_u64();
        if prf.chance(self.params.open_share) {
            return Draw { public: self.task(&grammar::open(prf), seed), secret: Secret::Open };
        }
        let cell = self.cells[prf.index(self.cells.len())];
        let task = grammar::task(prf, cell.family, cell.level);
        let secret =
            Secret::Checked { family: task.family, level: task.level, answer: task.answer };
        Draw { public: self.task(&task.prompt, seed), secret }
    }

    async fn measure(
        &self,
        asked: Asked<'_, Self>,
        came: &Exchanged,
        tools: &Tools<'_>,
    ) -> Result<Measurement, ToolError> {
        measure::measure(asked, came, tools, self.params.account.is_some()).await
    }

    fn fault(&self, measurement: &Measurement) -> Option<Fault> {
        match measurement {
            Measurement::Unanswered(fault) => Some(*fault),
            Measurement::Answered(_) => None,
        }
    }

    fn judge(
        &self,
        draw: &ServeDraw,
        measured: &[Measured<Measurement>],
        (): &(),
    ) -> Result<Vec<Finding>, JudgeError> {
        let mut findings = Vec::new();
        for one in measured {
            let of_one = self.findings(draw, one)?.into_iter().map(|(track, evidence)| Finding {
                hotkey: one.hotkey,
                track: track.to_owned(),
                evidence,
            });
            findings.extend(of_one);
        }
        Ok(findings)
    }
}

impl Coded for Serve {
    const NAME: &'static str = "serve";
    type World = world::Serving;

    fn of(manifest: Manifest) -> Result<Self, RuleError> {
        Ok(Self::new(manifest)?)
    }

    fn rehearsed(manifest: Manifest) -> Result<Self, RuleError> {
        Ok(Self::of_model(manifest, world::MODEL, &world::calibration())?)
    }

    fn world(&self, seed: u64) -> world::Serving {
        world::Serving::new(self, seed)
    }

    fn naming(manifest: Manifest, reference: &dyn Reference) -> Naming<'_> {
        Box::pin(async move {
            let calibration = calibrate::known_or_measured(reference).await?;
            let rule = Self::of_model(manifest, &reference.model(), &calibration)?;
            Ok(rule.manifest)
        })
    }

    fn names(manifest: &Manifest) -> Option<String> {
        let model = manifest.params.get("model")?.as_str()?;
        Some(model.to_owned()).filter(|model| !model.is_empty())
    }

    fn unnamed(manifest: &Manifest) -> Option<&'static str> {
        Self::names(manifest).is_none().then_some("model")
    }
}
