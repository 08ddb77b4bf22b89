//! Golden cases of a rule: `cases.json` beside it.
//!
//! ```json
//! [{ "name": "a right answer", "seed": 1, "measured": {…}, "findings": [["accuracy", {…}]] }]
//! ```
//!
//! The task is what the rule draws from `seed`; `"$right"` anywhere within `measured` stands for what
//! `right` in the task's secret says, where the rule has such a thing. `state` is the rule's own state
//! before, where a case needs another than the first.

use chain_metadata::Hotkey;
use scoring::evidence::Evidence;
use serde::Deserialize;
use serde_json::Value;

use crate::prf::Prf;
use crate::rule::{JudgeError, Measured, Rule, Subject};

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
