//! `forge`: miners do exact integer work on demand, and are paid for how much of it they can do.
//!
//! ```text
//! key -> a chain of matrix products -> a root for each product, in time by the validator's clock
//!   -> steps to open, chosen after the roots -> each opened step checked in n² -> trials and a grade
//! ```
//!
//! Answers are arrays, not text. Nothing needs a tolerance: integers are the same on every machine.

mod answer;
mod ask;
pub mod work;
pub mod world;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use chain_metadata::Hotkey;
use scoring::evidence::{Evidence, Grade};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use answer::Smith;
pub use ask::{Opening, Openings, Products, Roots, Steps, Task};

use crate::arena::Kind;
use crate::digest::Digest;
use crate::exchange::{Exchange, Exchanged, Fault, Message};
use crate::manifest::{Manifest, ManifestError};
use crate::native::{Coded, RuleError};
use crate::prf::Prf;
use crate::rule::{Asked, Draw, Finding, JudgeError, Measured, Rule, Subject};
use crate::tools::{ToolError, Tools};
use crate::work::Work;

/// Names of the tracks in `rule.toml`.
pub mod track {
    /// The gate: whether opened steps were right.
    pub const WORK: &str = "work";
    /// The factor: time allowed over time taken.
    pub const THROUGHPUT: &str = "throughput";
    /// The factor: how often what was committed was opened.
    pub const OPENED: &str = "opened";
}

/// `[params]` of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Rows and columns, within 8..=1024: up to there every sum fits its integer.
    pub size: usize,
    /// Products in the chain, within 1..=64: each needs the one before, so they cannot be shared out.
    pub depth: usize,
    /// How many of them are opened, within 1..=depth.
    pub opened: usize,
    /// Time that the named hardware takes for the chain, microseconds.
    pub allowed_us: u64,
}

/// A parameter out of range, or a manifest that is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgeError {
    /// The manifest itself.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A parameter.
    #[error("rule.toml: [params]: `{parameter}` is {value}; {wanted} is wanted")]
    Parameter {
        /// Which.
        parameter: &'static str,
        /// What was given.
        value: u64,
        /// What would be valid.
        wanted: &'static str,
    },
    /// A track that the judge writes to is not declared.
    #[error("rule.toml: the track `{0}` is missing")]
    MissingTrack(&'static str),
}

/// A task of this rule; its secret is its key's.
pub type ForgeDraw = Draw<Task, ()>;

/// What a validator measures of one exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurement {
    /// No roots in time, or not as many as asked for.
    Unanswered(Fault),
    /// Roots came, and nothing was opened of them: whoever opens only what suits it shows as much.
    Unopened(Fault),
    /// Roots came, and were opened.
    Worked {
        /// Whether each step that `Forge::to_open` chose was opened and right.
        right: Vec<bool>,
        /// From sending the task to the last byte of the roots, on the validator's monotonic clock.
        total_us: u64,
    },
}

/// The rule.
#[derive(Debug, Clone)]
pub struct Forge {
    manifest: Manifest,
    params: Params,
}

impl Forge {
    /// The rule of a manifest.
    pub fn new(manifest: Manifest) -> Result<Self, ForgeError> {
        let params: Params = manifest.params()?;
        let ensure = |valid, parameter, value: u64, wanted| {
            if valid { Ok(()) } else { Err(ForgeError::Parameter { parameter, value, wanted }) }
        };
        let Params { size, depth, opened, allowed_us } = params;
        ensure((8..=1024).contains(&size), "size", size as u64, "a number within 8..=1024")?;
        ensure(
            (1..=work::DEPTH_MAX).contains(&depth),
            "depth",
            depth as u64,
            "a number within 1..=64",
        )?;
        let some = (1..=depth).contains(&opened);
        ensure(some, "opened", opened as u64, "a number within 1..=depth")?;
        ensure(allowed_us > 0, "allowed_us", allowed_us, "at least 1")?;
        for name in [track::WORK, track::THROUGHPUT, track::OPENED] {
            manifest.tracks.get(name).ok_or(ForgeError::MissingTrack(name))?;
        }
        Ok(Self { manifest, params })
    }

    /// The rule's own parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The steps that must be opened, from 1, once the roots are in.
    fn to_open(&self, asked: &Asked<'_, Self>, commit: &[u8]) -> Vec<usize> {
        let steps: Vec<_> = (1..=self.params.depth).collect();
        let mut prf = asked.key.open(&asked.miner, &asked.task, commit);
        prf.sample(&steps, self.params.opened)
    }

    /// Holds openings against roots and task, one verdict for each step to open: some n² steps for each.
    fn examine(
        &self,
        asked: &Asked<'_, Self>,
        roots: &Roots,
        commit: &Message,
        opening: &Message,
    ) -> Vec<bool> {
        let openings = opening.read::<Openings>().map_or_else(|_| Vec::new(), |all| all.steps);
        let mut prf = asked.key.check(&asked.miner, &asked.task, &commit.body, &opening.body);
        let steps = self.to_open(asked, &commit.body);
        let right = steps.iter().enumerate().map(|(place, step)| {
            let opened = openings.get(place).and_then(Opening::products);
            opened.is_some_and(|opened| {
                step_is_right(&asked.draw.public, *step, &roots.roots, &opened, &mut prf)
            })
        });
        right.collect()
    }

    fn depth(&self) -> u32 {
        u32::try_from(self.params.depth).unwrap_or(u32::MAX)
    }

    /// 1 within the time allowed, then allowed / taken: faster earns nothing.
    fn throughput(&self, total_us: u64) -> Grade {
        let allowed_us = self.params.allowed_us;
        if total_us <= allowed_us {
            return Grade::ONE;
        }
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a task are below 2^53")]
        let ratio = allowed_us as f64 / total_us as f64;
        Grade::new(ratio).unwrap_or(Grade::ZERO)
    }

    fn findings(&self, one: &Measured<Measurement>) -> Result<Vec<Finding>, JudgeError> {
        let finding = |track: &str, evidence| Finding {
            hotkey: one.hotkey,
            track: track.to_owned(),
            evidence,
        };
        let (right, total_us) = match &one.measurement {
            Measurement::Unanswered(_) => {
                return Ok(vec![finding(track::THROUGHPUT, Evidence::Score(Grade::ZERO))]);
            }
            Measurement::Unopened(_) => {
                return Ok(vec![
                    // Whoever hides a step has at least one to hide, and opens when luck asks for others:
                    // all of the chain counts.
                    finding(track::OPENED, Evidence::Trials { passed: 0, failed: self.depth() }),
                    finding(track::THROUGHPUT, Evidence::Score(Grade::ZERO)),
                ]);
            }
            Measurement::Worked { right, total_us } => (right, total_us),
        };
        if right.len() != self.params.opened {
            let what = format!("{} verdicts", right.len());
            return Err(JudgeError::Inconsistent { hotkey: one.hotkey, what });
        }
        // Wrong work has no throughput, however soon it came.
        let all_right = right.iter().all(|right| *right);
        let grade = if all_right { self.throughput(*total_us) } else { Grade::ZERO };
        Ok(vec![
            finding(track::WORK, Evidence::Matches(right.clone())),
            finding(track::OPENED, Evidence::Trials { passed: 1, failed: 0 }),
            finding(track::THROUGHPUT, Evidence::Score(grade)),
        ])
    }
}

fn step_is_right(
    task: &Task,
    step: usize,
    roots: &[Digest],
    opening: &Products,
    prf: &mut Prf,
) -> bool {
    let root = |step: usize| roots.get(step - 1);
    if root(step) != Some(&work::root(&opening.product)) {
        return false;
    }
    let x = if step == 1 {
        work::matrix(&task.key, 0, task.size)
    } else if root(step - 1) == Some(&work::root(&opening.before)) {
        work::after(&task.key, step - 1, task.size, &opening.before)
    } else {
        return false;
    };
    work::checks(task.size, &work::matrix(&task.key, step, task.size), &x, &opening.product, prf)
}

impl Rule for Forge {
    type Public = Task;
    type Secret = ();
    type Measurement = Measurement;
    type State = ();

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn exchange(&self) -> Exchange {
        Exchange::Staged
    }

    fn draw(&self, prf: &mut Prf, _subject: &Subject, (): &()) -> ForgeDraw {
        let Params { size, depth, .. } = self.params;
        Draw { public: Task { key: Digest(prf.child("matrices").key()), size, depth }, secret: () }
    }

    fn challenge(&self, asked: &Asked<'_, Self>, commit: &Message) -> Result<Value, Fault> {
        let roots: Roots = commit.read()?;
        if roots.roots.len() != self.params.depth {
            return Err(Fault::Malformed);
        }
        let steps = self.to_open(asked, &commit.body);
        serde_json::to_value(Steps { steps }).map_err(|_| Fault::Malformed)
    }

    async fn measure(
        &self,
        asked: Asked<'_, Self>,
        came: &Exchanged,
        _tools: &Tools<'_>,
    ) -> Result<Measurement, ToolError> {
        Ok(match came {
            Exchanged::Nothing(fault) => Measurement::Unanswered(*fault),
            Exchanged::Opened { commit, opening } => match (commit.read::<Roots>(), opening) {
                (Err(fault), _) => Measurement::Unanswered(fault),
                (Ok(_), Err(fault)) => Measurement::Unopened(*fault),
                (Ok(roots), Ok(opening)) => {
                    let right = self.examine(&asked, &roots, commit, opening);
                    Measurement::Worked { right, total_us: commit.total_us }
                }
            },
            _ => Measurement::Unanswered(Fault::Malformed),
        })
    }

    fn fault(&self, measurement: &Measurement) -> Option<Fault> {
        match measurement {
            Measurement::Unanswered(fault) | Measurement::Unopened(fault) => Some(*fault),
            Measurement::Worked { .. } => None,
        }
    }

    fn judge(
        &self,
        _draw: &ForgeDraw,
        measured: &[Measured<Measurement>],
        (): &(),
    ) -> Result<Vec<Finding>, JudgeError> {
        let mut findings = Vec::new();
        for one in measured {
            findings.extend(self.findings(one)?);
        }
        Ok(findings)
    }
}

impl Coded for Forge {
    const NAME: &'static str = "forge";
    type World = world::Forging;

    fn of(manifest: Manifest) -> Result<Self, RuleError> {
        Ok(Self::new(manifest)?)
    }

    fn world(&self, seed: u64) -> world::Forging {
        world::Forging::new(self, seed)
    }

    fn worker(&self, _miner: &Hotkey, kind: Kind) -> Option<Arc<dyn Work>> {
        answer::worker(self.params.clone(), kind)
    }
}
