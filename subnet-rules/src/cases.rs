//! Golden cases of a rule: `cases.json` beside it.
//!
//! ```json
//! [{ "name": "a right answer", "seed": 1, "measured": {…}, "findings": [["accuracy", {…}]] }]
//! ```
//!
//! The task is what the rule draws from `seed`; `"$right"` anywhere within `measured` stands for what
//! `right` in the task's secret says, where the rule has such a thing. `state` is the rule's own state
//! before, where a case needs another than the first.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chain_metadata::Hotkey;
use scoring::evidence::Evidence;
use serde::Deserialize;
use serde_json::Value;

use crate::digest::Digest;
use crate::exchange::{Exchanged, Fault, Message, Whom};
use crate::prf::Prf;
use crate::rule::{Asked, Finding, JudgeError, Measured, Rule, Subject};
use crate::secret::TaskKey;
use crate::tools::Tools;

/// Stands for the right answer in a case.
const RIGHT: &str = "$right";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    seed: u64,
    #[serde(default)]
    state: Option<Value>,
    measured: Value,
    findings: Vec<(String, Evidence)>,
}

/// A case that does not come out as written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// Not a list of cases, or a measurement the rule does not take; the source tells line and column.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    /// The rule fails on it.
    #[error("`{name}`: {source}")]
    Judge {
        /// Which case.
        name: String,
        /// Why.
        source: JudgeError,
    },
    /// The rule draws no task.
    #[error("no task is drawn: {why}")]
    Draw {
        /// Why.
        why: String,
    },
    /// Evidence on a track that is not declared.
    #[error("the judge finds something on the track `{track}`, which rule.toml does not declare")]
    Track {
        /// Which.
        track: String,
    },
    /// Something else is found.
    #[error("`{name}`: wanted {wanted:?}, found {found:?}")]
    Other {
        /// Which case.
        name: String,
        /// What the case says.
        wanted: Vec<(String, Evidence)>,
        /// What the rule says.
        found: Vec<(String, Evidence)>,
    },
}

/// Tasks that are tried of a rule.
const TRIED: u64 = 3;

/// Draws a few tasks, asks them of two miners of which one does not answer and one answers nonsense, and
/// judges what comes: what a rule does to everybody in its first round.
///
/// # Errors
/// The rule fails at it.
pub fn tried<R: Rule>(rule: &Arc<R>) -> Result<(), CaseError> {
    let miners = [Hotkey::from_bytes([1; 32]), Hotkey::from_bytes([2; 32])];
    let mut state = R::State::default();
    for seed in 0..TRIED {
        let subject = match rule.whom() {
            Whom::Each => Subject::Miner(miners[0]),
            Whom::Shared => Subject::Shared(miners.to_vec()),
            Whom::Committed => Subject::Committed(miners.to_vec()),
        };
        let key = TaskKey::from_seed(seed);
        let draw = rule.draw(&mut key.draw(), &subject, &state);
        rule.ask(&draw).map_err(|why| CaseError::Draw { why })?;
        let mut measured = Vec::new();
        for (miner, came) in subject.miners().iter().zip([
            Exchanged::Nothing(Fault::Timeout),
            Exchanged::Replied(Message::at(b"null".as_slice(), 1)),
        ]) {
            let asked = Asked { draw: &draw, miner: *miner, task: Digest([0; 32]), key };
            // What needs a tool that is not here is measured live.
            if let Some(Ok(measurement)) = at_once(rule.measure(asked, &came, &Tools::default())) {
                measured.push(Measured { hotkey: *miner, measurement });
            }
        }
        let name = format!("a task drawn from seed {seed}");
        let judged = rule.judge(&draw, &measured, &state);
        let found = judged.map_err(|source| CaseError::Judge { name: name.clone(), source })?;
        for Finding { track, .. } in found {
            if rule.manifest().tracks.get(&track).is_none() {
                return Err(CaseError::Track { track });
            }
        }
        state = rule.learn(state, &draw, &measured);
        if let Some(why) = rule.failed(&state) {
            return Err(CaseError::Judge { name, source: JudgeError::Rule(why) });
        }
    }
    Ok(())
}

/// Runs what never waits.
pub(crate) fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(work).poll(&mut context) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// Judges every case; how many there are.
pub fn check<R: Rule>(rule: &R, cases: Option<&str>) -> Result<usize, CaseError> {
    let Some(text) = cases else { return Ok(0) };
    let cases: Vec<Case> = serde_json::from_str(text)?;
    let count = cases.len();
    for case in cases {
        judge(rule, case)?;
    }
    Ok(count)
}

fn judge<R: Rule>(rule: &R, case: Case) -> Result<(), CaseError> {
    let Case { name, seed, state, mut measured, findings: wanted } = case;
    let hotkey = Hotkey::from_bytes([1; 32]);
    let state = state.map(serde_json::from_value).transpose()?.unwrap_or_default();
    let draw = rule.draw(&mut Prf::from_seed(seed), &Subject::Miner(hotkey), &state);
    fill(&mut measured, right(&serde_json::to_value(&draw.secret)?));
    let measured = [Measured { hotkey, measurement: serde_json::from_value(measured)? }];
    let found = rule
        .judge(&draw, &measured, &state)
        .map_err(|source| CaseError::Judge { name: name.clone(), source })?;
    let found: Vec<_> = found.into_iter().map(|one| (one.track, one.evidence)).collect();
    if found == wanted { Ok(()) } else { Err(CaseError::Other { name, wanted, found }) }
}

/// What `right` says, wherever it is in a secret, as text.
fn right(secret: &Value) -> Option<String> {
    match secret {
        Value::Object(fields) => match fields.get("right") {
            Some(Value::String(right)) => Some(right.clone()),
            Some(right) => Some(right.to_string()),
            None => fields.values().find_map(right),
        },
        _ => None,
    }
}

fn fill(value: &mut Value, right: Option<String>) {
    let Some(right) = right else { return };
    match value {
        Value::String(text) => *text = text.replace(RIGHT, &right),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, Some(right.clone()))),
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| fill(field, Some(right.clone())));
        }
        _ => {}
    }
}
