//! What answers a rule's tasks: this program's own hand, its engine, or a program of the engineer's.
//!
//! Whatever it is, it stands outside: who may ask, how many at a time, deadlines, seals and signatures
//! are the miner's. A worker that dies, hangs or talks nonsense costs the miner that one answer.

mod command;
mod engine;
mod url;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chain_metadata::Hotkey;
use serde::Serialize;
use serde_json::Value;
use subnet_rules::digest::Digest;
use subnet_rules::exchange::Phase;
use subnet_rules::work::{self, Work, WorkError};

pub(crate) use command::Command;
pub(crate) use engine::Writer;
pub(crate) use url::Url;

/// Longest answer of a worker, bytes: what the server sends at most.
pub(crate) const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// One message to be answered, as a program of the engineer's gets it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Job {
    /// Name of the rule.
    pub(crate) rule: String,
    /// Its version.
    pub(crate) version: u32,
    /// Which message of the exchange.
    pub(crate) phase: Phase,
    /// The task's id.
    pub(crate) id: Digest,
    /// The task, or what is to be opened.
    pub(crate) task: Value,
    /// Who asks.
    pub(crate) caller: Hotkey,
    /// Time that is left for the answer, ms.
    pub(crate) deadline_ms: u64,
}

impl Job {
    fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

/// Answers tasks.
#[async_trait]
pub(crate) trait Worker: Send + Sync + fmt::Debug {
    /// The answer's body.
    async fn answer(&self, job: Job) -> Result<Value, WorkError>;

    /// The artefact to commit to from an epoch on, where there is a new one.
    async fn artefact(&self, _epoch: u64) -> Result<Option<Vec<u8>>, WorkError> {
        Ok(None)
    }
}

/// A hand that ships with a rule; it computes in threads of its own.
#[derive(Debug)]
pub(crate) struct Native(pub(crate) Arc<dyn Work>);

#[async_trait]
impl Worker for Native {
    async fn answer(&self, job: Job) -> Result<Value, WorkError> {
        let work = Arc::clone(&self.0);
        let answering = tokio::task::spawn_blocking(move || {
            let Job { phase, id, task, caller, .. } = job;
            work.answer(&work::Job { caller: &caller, task: id, phase, body: &task })
        });
        answering.await.map_err(|error| WorkError::Failed(error.to_string()))?
    }

    async fn artefact(&self, epoch: u64) -> Result<Option<Vec<u8>>, WorkError> {
        let work = Arc::clone(&self.0);
        let making = tokio::task::spawn_blocking(move || work.artefact(epoch));
        making.await.map_err(|error| WorkError::Failed(error.to_string()))
    }
}
