//! `forge`: miners do exact integer work on demand, and are paid for how much of it they can do.
//!
//! ```text
//! key -> a chain of matrix products -> a root for each product, in time by the validator's clock
//!   -> steps to open, chosen after the roots -> each opened step checked in n² -> trials and a grade
//! ```
//!
//! Answers are arrays, not text. Nothing needs a tolerance: integers are the same on every machine.

pub mod work;

#[cfg(test)]
mod tests;

use scoring::evidence::{Evidence, Grade};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::{Manifest, ManifestError};
use crate::prf::Prf;
use crate::rule::{Draw, Finding, JudgeError, Measured, Rule, Subject};

/// Names of the tracks in `rule.toml`.
pub mod track {
    /// The gate: whether opened steps were right.
    pub const WORK: &str = "work";
    /// The factor: time allowed over time taken.
    pub const THROUGHPUT: &str = "throughput";
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

/// The work asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What every matrix is drawn from; nobody else has this key.
    pub key: Digest,
    /// Rows and columns.
    pub size: usize,
    /// Products in the chain.
    pub depth: usize,
}

/// What chooses the steps to open and the check vectors: told to nobody before the roots are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub Digest);

/// A task of this rule with its secret.
pub type ForgeDraw = Draw<Task, Secret>;

/// A step as the miner opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The product before it; empty for the first.
    pub before: Vec<i32>,
    /// Its product.
    pub product: Vec<i32>,
}

/// What a validator measures of one exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurement {
    /// No roots in time, or not as many as asked for.
    Unanswered,
    /// Roots came.
    Worked {
        /// One for each product.
        roots: Vec<Digest>,
        /// Whether each step that [`Forge::to_open`] chose was opened and right.
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
        for name in [track::WORK, track::THROUGHPUT] {
            manifest.tracks.get(name).ok_or(ForgeError::MissingTrack(name))?;
        }
        Ok(Self { manifest, params })
    }

    /// The rule's own parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The steps that must be opened, from 1, once the roots are in: they choose themselves by roots
    /// and secret, so a miner cannot know them before and a validator cannot pick them after.
    pub fn to_open(&self, secret: Secret, roots: &[Digest]) -> Vec<usize> {
        let steps: Vec<_> = (1..=self.params.depth).collect();
        challenge(secret, roots).sample(&steps, self.params.opened)
    }

    /// Holds openings against roots and task, one verdict for each step to open: the measuring hand of
    /// the validator, at some n² steps for each.
    pub fn examine(&self, draw: &ForgeDraw, roots: &[Digest], openings: &[Opening]) -> Vec<bool> {
        let mut prf = challenge(draw.secret, roots).child("check");
        let steps = self.to_open(draw.secret, roots);
        let right = steps.iter().enumerate().map(|(place, step)| {
            openings
                .get(place)
                .is_some_and(|opening| step_is_right(&draw.public, *step, roots, opening, &mut prf))
        });
        right.collect()
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

    fn findings(
        &self,
        draw: &ForgeDraw,
        one: &Measured<Measurement>,
    ) -> Result<Vec<Finding>, JudgeError> {
        let finding = |track: &str, evidence| Finding {
            hotkey: one.hotkey,
            track: track.to_owned(),
            evidence,
        };
        let Measurement::Worked { roots, right, total_us } = &one.measurement else {
            return Ok(vec![finding(track::THROUGHPUT, Evidence::Score(Grade::ZERO))]);
        };
        if roots.len() != draw.public.depth || right.len() != self.params.opened {
            let what = format!("{} roots and {} verdicts", roots.len(), right.len());
            return Err(JudgeError::Inconsistent { hotkey: one.hotkey, what });
        }
        // Wrong work has no throughput, however soon it came.
        let all_right = right.iter().all(|right| *right);
        let grade = if all_right { self.throughput(*total_us) } else { Grade::ZERO };
        Ok(vec![
            finding(track::WORK, Evidence::Matches(right.clone())),
            finding(track::THROUGHPUT, Evidence::Score(grade)),
        ])
    }
}

/// The stream that everything after the roots is drawn from.
fn challenge(secret: Secret, roots: &[Digest]) -> Prf {
    let parts: Vec<&[u8]> =
        std::iter::once(&secret.0).chain(roots).map(|digest| digest.0.as_slice()).collect();
    Prf::new(Digest::of("ganglion/forge/challenge", &parts).0)
}

fn step_is_right(
    task: &Task,
    step: usize,
    roots: &[Digest],
    opening: &Opening,
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
    type Secret = Secret;
    type Measurement = Measurement;
    type State = ();

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn draw(&self, prf: &mut Prf, _subject: &Subject, (): &()) -> ForgeDraw {
        let Params { size, depth, .. } = self.params;
        let key = Digest(prf.child("matrices").key());
        Draw {
            public: Task { key, size, depth },
            secret: Secret(Digest(prf.child("secret").key())),
        }
    }

    fn judge(
        &self,
        draw: &ForgeDraw,
        measured: &[Measured<Measurement>],
        (): &(),
    ) -> Result<Vec<Finding>, JudgeError> {
        let mut findings = Vec::new();
        for one in measured {
            findings.extend(self.findings(draw, one)?);
        }
        Ok(findings)
    }
}
