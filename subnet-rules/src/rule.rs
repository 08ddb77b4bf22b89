//! The verbs of a rule.
//!
//! | verb | who | what |
//! |---|---|---|
//! | [`draw`](Rule::draw) | validator | a fresh task, and the secret to judge it by |
//! | answer | miner | a [worker](crate::work): miners do not link the judge |
//! | [`measure`](Rule::measure) | validator | from the bytes that came to numbers |
//! | [`judge`](Rule::judge) | validator | measurements to typed evidence |
//! | [`learn`](Rule::learn) | validator | the rule's own state, for collective rules |
//! | pay | declared | [`Manifest`]: tracks, shape, burn |
//!
//! All of it is pure but for the tools that [`measure`](Rule::measure) is handed: no network, no clock,
//! no file, and no randomness but the task's. Every input and output is serialisable, so that a rule
//! can run in a child process and a log of measurements can be judged again, to the bit, on another
//! machine.

use std::future::Future;

use chain_metadata::Hotkey;
use scoring::evidence::Evidence;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::exchange::{Exchange, Exchanged, Fault, Message, Whom};
use crate::manifest::Manifest;
use crate::prf::Prf;
use crate::secret::TaskKey;
use crate::tools::{ToolError, Tools};

/// Whom a task is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// One miner, whose task nobody else gets.
    Miner(Hotkey),
    /// All these miners, on one shared task with sealed answers.
    Shared(Vec<Hotkey>),
    /// What all these miners have committed, on one task that all validators share: nobody answers it,
    /// so it is kept from nobody, and validators that measure the same come to the same end.
    Committed(Vec<Hotkey>),
}

impl Subject {
    /// Whether the task is for this miner.
    pub fn includes(&self, hotkey: &Hotkey) -> bool {
        match self {
            Self::Miner(one) => one == hotkey,
            Self::Shared(all) | Self::Committed(all) => all.contains(hotkey),
        }
    }

    /// All whom the task is for.
    pub fn miners(&self) -> &[Hotkey] {
        match self {
            Self::Miner(one) => std::slice::from_ref(one),
            Self::Shared(all) | Self::Committed(all) => all,
        }
    }
}

/// A task and what it is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draw<Public, Secret> {
    /// What the miner gets to see.
    pub public: Public,
    /// What it does not.
    pub secret: Secret,
}

/// What a validator measured of one miner's answer to a draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured<M> {
    /// Whose answer.
    pub hotkey: Hotkey,
    /// What was measured.
    pub measurement: M,
}

/// One piece of evidence about one miner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// About whom.
    pub hotkey: Hotkey,
    /// On which of the manifest's tracks.
    pub track: String,
    /// What was found.
    pub evidence: Evidence,
}

/// A measurement that cannot be judged: the validator's own fault, so nothing is scored by it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// The measurement contradicts itself or the draw.
    #[error("the measurement of {hotkey} cannot be judged: {what}")]
    Inconsistent {
        /// Whose answer.
        hotkey: Hotkey,
        /// What does not fit.
        what: String,
    },
    /// The rule's own code failed (a rule written by an owner).
    #[error("the rule failed: {0}")]
    Rule(String),
}

/// A draw of the rule `R`.
pub type DrawOf<R> = Draw<<R as Rule>::Public, <R as Rule>::Secret>;
/// A measurement for the rule `R`.
pub type MeasuredOf<R> = Measured<<R as Rule>::Measurement>;

/// A task as one miner has it.
pub struct Asked<'a, R: Rule + ?Sized> {
    /// What was drawn.
    pub draw: &'a DrawOf<R>,
    /// Who is asked.
    pub miner: Hotkey,
    /// The task's id for that miner.
    pub task: Digest,
    /// What chooses places to open and what they are checked by.
    pub key: TaskKey,
}

impl<R: Rule + ?Sized> Clone for Asked<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Rule + ?Sized> std::fmt::Debug for Asked<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asked({} of {})", self.task.short(), self.miner)
    }
}

impl<R: Rule + ?Sized> Copy for Asked<'_, R> {}

/// A rule: deterministic, versioned.
pub trait Rule: Send + Sync + 'static {
    /// What a miner gets to see.
    type Public: Serialize + DeserializeOwned + PartialEq + Send + Sync;
    /// What a task is judged by.
    type Secret: Serialize + DeserializeOwned + PartialEq + Send + Sync;
    /// What a validator measures of an answer.
    type Measurement: Serialize + DeserializeOwned + Send + Sync;
    /// What the rule remembers between epochs; `()` where nothing.
    type State: Serialize + DeserializeOwned + Clone + Default + Send + Sync;

    /// The declared part: name, tracks, pay, bounds.
    fn manifest(&self) -> &Manifest;

    /// What validators adopt the rule by; a rule with code of its own adds its source.
    fn digest(&self) -> Digest {
        self.manifest().digest()
    }

    /// The text of the rule's own code, where it has one: a log holds it, to be judged by again.
    fn source(&self) -> Option<&str> {
        None
    }

    /// How a task travels.
    fn exchange(&self) -> Exchange {
        Exchange::Once
    }

    /// Whom a draw is for.
    fn whom(&self) -> Whom {
        Whom::Each
    }

    /// A fresh task.
    fn draw(&self, prf: &mut Prf, subject: &Subject, state: &Self::State) -> DrawOf<Self>;

    /// What a miner is sent of a draw.
    ///
    /// # Errors
    /// The rule's own fault: nobody is asked.
    fn ask(&self, draw: &DrawOf<Self>) -> Result<Value, String> {
        serde_json::to_value(&draw.public).map_err(|error| error.to_string())
    }

    /// What a miner must open of what it has committed to, where the rule chooses
    /// ([`Exchange::Staged`]).
    ///
    /// # Errors
    /// The commitment is none.
    fn challenge(&self, _asked: &Asked<'_, Self>, _commit: &Message) -> Result<Value, Fault> {
        Ok(Value::Null)
    }

    /// Commitments that are run beside each miner's latest ([`Exchange::Artefact`]).
    fn wanted(&self, _state: &Self::State) -> Vec<Digest> {
        Vec::new()
    }

    /// From what came of a task to numbers: the one place where a miner's bytes are read.
    ///
    /// # Errors
    /// A tool failed: nothing is said of the miner.
    fn measure(
        &self,
        asked: Asked<'_, Self>,
        came: &Exchanged,
        tools: &Tools<'_>,
    ) -> impl Future<Output = Result<Self::Measurement, ToolError>> + Send;

    /// Why a measurement is of no answer, where it is of none: for whoever reads what came of a round.
    fn fault(&self, _measurement: &Self::Measurement) -> Option<Fault> {
        None
    }

    /// Evidence from what was measured; the same on every machine.
    fn judge(
        &self,
        draw: &DrawOf<Self>,
        measured: &[MeasuredOf<Self>],
        state: &Self::State,
    ) -> Result<Vec<Finding>, JudgeError>;

    /// The state after a round that was judged.
    fn learn(
        &self,
        state: Self::State,
        _draw: &DrawOf<Self>,
        _measured: &[MeasuredOf<Self>],
    ) -> Self::State {
        state
    }

    /// Identities that the rule has found to be one, by what they answered: each cluster is paid once, to
    /// its first member. Only sound where miners answer the same task or show the same work; where each
    /// has a task of its own, equal answers are no sign of one hand.
    fn clusters(&self, _state: &Self::State) -> Vec<Vec<Hotkey>> {
        Vec::new()
    }

    /// Why the rule judges nothing any more, if it does not: its own code failed.
    fn failed(&self, _state: &Self::State) -> Option<String> {
        None
    }

    /// What the rule knows of its own success, from its state: figures that a manifest may bound. A
    /// figure that nothing is known of yet is left out.
    fn figures(&self, _state: &Self::State) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}
