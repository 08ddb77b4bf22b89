//! Tasks of every rule that is served here, at one route.
//!
//! ```text
//! Caller ─▶ Envelope ─▶ by its rule: a Served ─▶ a slot ─▶ a worker, within the rule's deadline ─▶ answer
//!                                             └─ where answers are sealed: seal now, open later
//! ```

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use axum::{Router, routing::post};
use chain_metadata::Hotkey;
use neuron::Metrics;
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use subnet_rules::artefact::{self, PIECE_MAX, Piece};
use subnet_rules::digest::Digest;
use subnet_rules::exchange::{self, Envelope, Exchange, Phase};
use subnet_rules::sealed::{Opening, Seal};
use subnet_rules::work::WorkError;
use wire::{Caller, Code, Refusal};

use crate::Slots;
use crate::worker::{Job, Worker};

/// Name of the counter of requests by outcome.
pub(crate) const REQUESTS: &str = "ganglion_miner_requests_total";
/// Openings held until they are asked for: a subnet's validators, with some tasks each.
const SEALS: usize = 1024;
/// Of the rule's deadline, what is kept for the way back.
const MARGIN: Duration = Duration::from_millis(100);

/// A rule that is served.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    /// What validators ask by; `None` takes any: a rule that names no model is named by each for its own.
    pub(crate) digest: Option<Digest>,
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) exchange: Exchange,
    pub(crate) deadline: Duration,
    pub(crate) worker: Arc<dyn Worker>,
}

/// All rules served now: the one in force, and the next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table(Arc<RwLock<Vec<Served>>>);

impl Table {
    pub(crate) fn replace(&self, served: Vec<Served>) {
        *self.0.write() = served;
    }

    pub(crate) fn all(&self) -> Vec<Served> {
        self.0.read().clone()
    }

    fn find(&self, rule: &Digest) -> Option<Served> {
        let served = self.0.read();
        let exact = served.iter().find(|served| served.digest.as_ref() == Some(rule));
        exact.or_else(|| served.iter().find(|served| served.digest.is_none())).cloned()
    }
}

/// What answers tasks.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    pub(crate) table: Table,
    pub(crate) miner: Hotkey,
    pub(crate) slots: Slots,
    pub(crate) metrics: Metrics,
    pub(crate) seals: Arc<Mutex<Seals>>,
    /// What has been committed to, by digest.
    pub(crate) artefacts: Artefacts,
}

/// Artefacts that are handed out, by digest.
pub(crate) type Artefacts = Arc<RwLock<HashMap<Digest, Arc<[u8]>>>>;

/// Openings by caller and task, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Seals {
    held: HashMap<(Hotkey, Digest), Held>,
    order: VecDeque<(Hotkey, Digest)>,
}

/// How far a task is.
#[derive(Debug)]
enum Held {
    /// Its answer is being made, or its commitment is the worker's.
    Committed,
    /// It can be opened, once.
    Sealed(Opening),
}

impl Seals {
    /// Marks a task as committed to; false where it is already.
    fn begin(&mut self, caller: Hotkey, task: Digest) -> bool {
        if self.held.contains_key(&(caller, task)) {
            return false;
        }
        if self.order.len() == SEALS
            && let Some(oldest) = self.order.pop_front()
        {
            self.held.remove(&oldest);
        }
        self.order.push_back((caller, task));
        self.held.insert((caller, task), Held::Committed);
        true
    }
}

/// Why a task is not answered.
#[derive(Debug)]
enum Refused {
    Wire(Refusal),
    /// The rule is none of those served here.
    UnknownRule(Vec<Served>),
    /// A second commitment, or an opening of nothing.
    Conflict(&'static str),
    Work(WorkError),
}

impl From<WorkError> for Refused {
    fn from(error: WorkError) -> Self {
        Self::Work(error)
    }
}

impl Refused {
    fn code(&self) -> &'static str {
        match self {
            Self::Wire(refusal) => refusal.0.as_str(),
            Self::UnknownRule(_) => "unknown_rule",
            Self::Conflict(_) | Self::Work(WorkError::Unknown) => "conflict",
            Self::Work(WorkError::Task(_)) => "bad_message",
            Self::Work(WorkError::Busy) => "too_many",
            Self::Work(_) => "worker_failed",
        }
    }

    fn response(&self) -> Response {
        let said = |status: StatusCode, why: Value| {
            (status, Json(json!({ "error": self.code(), "why": why }))).into_response()
        };
        match self {
            Self::Wire(refusal) => refusal.into_response(),
            Self::UnknownRule(served) => {
                let rules =
                    served.iter().map(|one| json!({ "rule": one.name, "digest": one.digest }));
                let body = json!({ "error": self.code(), "serves": rules.collect::<Vec<_>>() });
                (StatusCode::NOT_FOUND, Json(body)).into_response()
            }
            Self::Conflict(why) => said(StatusCode::CONFLICT, json!(why)),
            Self::Work(WorkError::Task(why)) => said(StatusCode::BAD_REQUEST, json!(why)),
            Self::Work(error @ WorkError::Unknown) => {
                said(StatusCode::CONFLICT, json!(error.to_string()))
            }
            Self::Work(WorkError::Busy) => Refusal(Code::TooMany).into_response(),
            // What failed is in our log; a caller need not know it.
            Self::Work(_) => Refusal(Code::NotReady).into_response(),
        }
    }
}

impl Tasks {
    /// The routes that callers reach once they are verified.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route(exchange::PATH, post(task))
            .route(artefact::PATH, post(piece))
            .with_state(self)
    }

    async fn answer(&self, caller: &Caller) -> Result<Value, Refused> {
        let envelope: Envelope<Value> = caller.message().map_err(Refused::Wire)?;
        let served = self.table.find(&envelope.rule);
        let served = served.ok_or_else(|| Refused::UnknownRule(self.table.all()))?;
        let slot = self.slots.take(caller.hotkey());
        let _slot = slot.ok_or(Refused::Wire(Refusal(Code::TooMany)))?;
        let (hotkey, task) = (caller.hotkey(), envelope.task);
        match (served.exchange, envelope.phase) {
            (Exchange::Once, Phase::Once) | (Exchange::Staged, Phase::Open) => {
                self.work(&served, &hotkey, envelope).await
            }
            (Exchange::Sealed, Phase::Commit) => {
                self.begin(hotkey, task)?;
                let answer = self.work(&served, &hotkey, envelope).await?;
                let opening = Opening { answer, salt: Digest(rand::random()) };
                let Seal { seal } = opening.seal(&task, &self.miner);
                self.seals.lock().held.insert((hotkey, task), Held::Sealed(opening));
                Ok(json!({ "seal": seal }))
            }
            (Exchange::Sealed, Phase::Open) => {
                let mut seals = self.seals.lock();
                match seals.held.insert((hotkey, task), Held::Committed) {
                    Some(Held::Sealed(opening)) => Ok(json!(opening)),
                    Some(Held::Committed) => Err(Refused::Conflict("it was opened already")),
                    None => {
                        seals.held.remove(&(hotkey, task));
                        Err(Refused::Conflict("nothing was sealed for this task"))
                    }
                }
            }
            (Exchange::Staged, Phase::Commit) => {
                self.begin(hotkey, task)?;
                self.work(&served, &hotkey, envelope).await
            }
            _ => Err(WorkError::Task("this phase is none of the rule's exchange".into()).into()),
        }
    }

    fn begin(&self, caller: Hotkey, task: Digest) -> Result<(), Refused> {
        if self.seals.lock().begin(caller, task) {
            return Ok(());
        }
        Err(Refused::Conflict("this task was committed to already"))
    }

    async fn work(
        &self,
        served: &Served,
        caller: &Hotkey,
        envelope: Envelope<Value>,
    ) -> Result<Value, Refused> {
        let within = served.deadline.saturating_sub(MARGIN).max(MARGIN);
        let job = Job {
            rule: served.name.clone(),
            version: served.version,
            phase: envelope.phase,
            id: envelope.task,
            task: envelope.body,
            caller: *caller,
            deadline_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
        };
        let working = tokio::time::timeout(within, served.worker.answer(job)).await;
        let late = |_| WorkError::Failed("it did not answer in time".into());
        let answered = working.map_err(late).and_then(|answered| answered);
        if let Err(error @ WorkError::Failed(_)) = &answered {
            tracing::error!(rule = served.name, %error, "a task is not answered");
        }
        Ok(answered?)
    }
}

async fn task(State(tasks): State<Tasks>, caller: Caller) -> Response {
    let result = tasks.answer(&caller).await;
    let code = result.as_ref().map_or_else(Refused::code, |_| "ok");
    tasks.metrics.count(REQUESTS, &[("code", code)], 1);
    match result {
        Ok(answer) => Json(answer).into_response(),
        Err(refused) => refused.response(),
    }
}

/// A piece of an artefact; what follows a whole one is empty.
async fn piece(State(tasks): State<Tasks>, caller: Caller) -> Response {
    let Piece { digest, from } = match caller.message() {
        Ok(piece) => piece,
        Err(refusal) => return refusal.into_response(),
    };
    let Some(bytes) = tasks.artefacts.read().get(&digest).cloned() else {
        return (StatusCode::NOT_FOUND, Json(json!({ "error": "no_artefact" }))).into_response();
    };
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    let to = from.saturating_add(PIECE_MAX).min(bytes.len());
    bytes[from..to].to_vec().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_committed_to_once_and_the_oldest_are_forgotten() {
        let mut seals = Seals::default();
        let caller = Hotkey::from_bytes([1; 32]);
        let task = |n: usize| Digest::of("test", &[&n.to_le_bytes()]);
        assert!(seals.begin(caller, task(0)) && !seals.begin(caller, task(0)));
        assert!(seals.begin(Hotkey::from_bytes([2; 32]), task(0)), "another caller's is another");
        (1..=SEALS).for_each(|n| assert!(seals.begin(caller, task(n))));
        assert_eq!(seals.held.len(), SEALS);
        assert!(seals.begin(caller, task(0)), "forgotten");
    }
}
