//! A log's answers measured again: by another machine, engine or numeric class.
//!
//! `replay` recomputes what follows from measurements, to the bit. Whether the measurements themselves
//! were right is another question, answered here with the model at hand and a tolerance: within one
//! numeric class the numbers are the same; across classes honest ones differ a little.

use std::io::BufRead;

use serde::Serialize;
use subnet_rules::log::{self, Body, LogError};
use subnet_rules::serve::{Measurement, Secret, Serve, ServeDraw};
use subnet_rules::tools::{Reference, TokenMeasure, ToolError};

/// What differs by at most so much agrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Nat, of a token's entropy and of its margin.
    pub nat: f64,
    /// Share of tokens that may disagree, and of answers whose reference may be another.
    pub share: f64,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Remeasured {
    /// Answers measured again.
    pub answers: u64,
    /// Of these, such that this model cannot have measured: unknown ids, or other lengths.
    pub unreadable: u64,
    /// Tokens of open draws.
    pub tokens: u64,
    /// Of these, such that the log calls drawn by the seed and we do not, or the reverse.
    pub flipped: u64,
    /// Of these, flipped or further than the tolerance.
    pub disagree: u64,
    /// Largest difference of entropy, nat.
    pub entropy_max: f64,
    /// Largest difference of margin, nat.
    pub margin_max: f64,
    /// Checkable draws for which the log has the reference's answer.
    pub references: u64,
    /// Of these, such to which our reference gives another answer.
    pub references_differ: u64,
}

/// Why a log is not measured again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemeasureError {
    /// The log does not read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log is not of `serve`.
    #[error("the log is of `{rule}`, whose answers no model measures")]
    NotServe {
        /// Its rule.
        rule: String,
    },
    /// The log's rule is for another model.
    #[error("the log's rule is for the model {named}, and this is {ours}")]
    OtherModel {
        /// What it names.
        named: String,
        /// What is loaded here.
        ours: String,
    },
    /// The engine failed.
    #[error("the engine failed")]
    Engine(#[from] ToolError),
}

impl Remeasured {
    /// Whether it agrees with the log.
    pub fn agrees(&self, tolerance: Tolerance) -> bool {
        let within = |count: u64, of: u64| {
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            let (count, of) = (count as f64, of as f64);
            count <= tolerance.share * of
        };
        within(self.disagree, self.tokens)
            && within(self.references_differ, self.references)
            && within(self.unreadable, self.answers)
    }
}

/// Measures the answers of a log of `serve` again, at most `most` of them, `said` being told of each.
///
/// # Errors
/// The log is none of `serve` on this model's weights, does not read, or the engine failed.
pub async fn remeasure<L: BufRead>(
    reference: &dyn Reference,
    open: impl Fn() -> std::io::Result<L>,
    tolerance: Tolerance,
    most: u64,
    mut said: impl FnMut(&Remeasured),
) -> Result<Remeasured, RemeasureError> {
    let unread = |source| LogError::Read { line: 1, source };
    let package = log::package_of(open().map_err(unread)?)?;
    let manifest = &package.manifest;
    let not_serve = || RemeasureError::NotServe { rule: manifest.name.to_string() };
    let rule = Serve::new(manifest.clone()).map_err(|_| not_serve())?;
    let (named, ours) = (rule.params().model.clone(), reference.model());
    if weights(&named) != weights(&ours) {
        return Err(RemeasureError::OtherModel { named, ours });
    }
    let mut sum = Remeasured::default();
    for body in log::bodies::<Serve>(open().map_err(unread)?) {
        let Body::Round { draw, measured, .. } = body? else { continue };
        for one in measured {
            let Measurement::Answered(answer) = one.measurement else { continue };
            if sum.answers == most {
                return Ok(sum);
            }
            sum.answers += 1;
            let ids = &answer.token_ids;
            match reference.read(&draw.public.sampled(), ids, None).await? {
                None => sum.unreadable += 1,
                Some(read) if draw.secret == Secret::Open => {
                    sum.compare(&answer.checks, &read.tokens, tolerance.nat);
                }
                Some(_) => sum.reference(reference, &draw, answer.reference.as_deref()).await?,
            }
            said(&sum);
        }
    }
    Ok(sum)
}

/// The digest of the weights in the text of a model's id.
fn weights(model: &str) -> &str {
    model.split(':').next().unwrap_or(model)
}

impl Remeasured {
    fn compare(&mut self, logged: &[TokenMeasure], ours: &[TokenMeasure], nat: f64) {
        if logged.len() != ours.len() {
            self.unreadable += 1;
            return;
        }
        let apart = |a: u32, b: u32| f64::from(a.abs_diff(b)) / 1000.0;
        for (logged, ours) in logged.iter().zip(ours) {
            let entropy = apart(logged.entropy_mnat, ours.entropy_mnat);
            let margin = apart(logged.margin_milli, ours.margin_milli);
            let flipped = logged.matched != ours.matched;
            self.tokens += 1;
            self.flipped += u64::from(flipped);
            self.disagree += u64::from(flipped || entropy > nat || margin > nat);
            self.entropy_max = self.entropy_max.max(entropy);
            self.margin_max = self.margin_max.max(margin);
        }
    }

    async fn reference(
        &mut self,
        reference: &dyn Reference,
        draw: &ServeDraw,
        logged: Option<&str>,
    ) -> Result<(), ToolError> {
        let Some(logged) = logged else { return Ok(()) };
        self.references += 1;
        let ours = reference.write(&draw.public.sampled()).await?;
        self.references_differ += u64::from(ours != logged);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIGHT: Tolerance = Tolerance { nat: 0.001, share: 0.0 };

    #[test]
    fn a_flipped_token_disagrees_and_a_rounded_one_does_not() {
        let logged = [TokenMeasure::new(1.0, 0.0, true), TokenMeasure::new(2.0, 0.5, false)];
        let mut same = Remeasured::default();
        same.compare(&logged, &[TokenMeasure::new(1.001, 0.0, true), logged[1]], TIGHT.nat);
        assert!(same.agrees(TIGHT), "{same:?}");
        let mut flipped = Remeasured::default();
        flipped.compare(&logged, &[logged[0], TokenMeasure::new(2.0, 0.5, true)], TIGHT.nat);
        assert_eq!((flipped.flipped, flipped.disagree), (1, 1));
        assert!(!flipped.agrees(TIGHT) && flipped.agrees(Tolerance { share: 0.5, ..TIGHT }));
    }

    #[test]
    fn another_length_is_nothing_that_this_model_measured() {
        let mut sum = Remeasured { answers: 1, ..Remeasured::default() };
        sum.compare(&[TokenMeasure::new(1.0, 0.0, true)], &[], 9.0);
        assert!(!sum.agrees(TIGHT));
    }
}
