//! The miner's hand: what answers a rule's tasks.
//!
//! A worker gets a task and gives an answer. Who may ask, how many at a time, deadlines, seals and
//! signatures are the miner's. Rules ship one each; an engineer brings a program of his own.

use std::fmt;

use chain_metadata::Hotkey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::digest::Digest;
use crate::exchange::Phase;

/// One message to be answered.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Who asks.
    pub caller: &'a Hotkey,
    /// The task's id.
    pub task: Digest,
    /// Which message of its exchange. Where the framework seals, a worker sees
    /// [`Commit`](Phase::Commit) alone and answers as if it were the only one.
    pub phase: Phase,
    /// The public task, or what is to be opened.
    pub body: &'a Value,
}

/// Answers a rule's tasks; called from a thread that may compute.
pub trait Work: Send + Sync + fmt::Debug {
    /// The answer's body.
    ///
    /// # Errors
    /// The task is none of the rule's, or it cannot be answered.
    fn answer(&self, job: &Job<'_>) -> Result<Value, WorkError>;

    /// The artefact to commit to from this epoch on, where the rule asks for nothing and there is a new
    /// one.
    fn artefact(&self, _epoch: u64) -> Option<Vec<u8>> {
        None
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// The caller's fault.
    #[error("this is no task of the rule: {0}")]
    Task(String),
    /// Something is to be opened that was not committed to, or long ago.
    #[error("nothing is held of this task")]
    Unknown,
    /// As many tasks wait as may.
    #[error("the worker is full")]
    Busy,
    /// The worker's own fault.
    #[error("the worker failed: {0}")]
    Failed(String),
}

/// A task as the worker's type.
///
/// # Errors
/// It is none.
pub fn asked<T: DeserializeOwned>(body: &Value) -> Result<T, WorkError> {
    T::deserialize(body).map_err(|error| WorkError::Task(error.to_string()))
}

/// An answer as JSON.
///
/// # Errors
/// JSON cannot write it.
pub fn answered(answer: &impl Serialize) -> Result<Value, WorkError> {
    serde_json::to_value(answer).map_err(|error| WorkError::Failed(error.to_string()))
}
