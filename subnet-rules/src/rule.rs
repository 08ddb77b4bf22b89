//! The five verbs of a rule.
//!
//! | verb | who | what |
//! |---|---|---|
//! | [`draw`](Rule::draw) | validator | a fresh task from the beacon, and the secret to judge it by |
//! | answer | miner | not here: miners do not link the judge |
//! | [`judge`](Rule::judge) | validator | measurements to typed evidence |
//! | [`learn`](Rule::learn) | validator | the rule's own state, for collective rules |
//! | pay | declared | [`Manifest`]: tracks, shape, burn |
//!
//! All of it is pure: no network, no clock, no file, and no randomness but the [`Prf`]. Every input
//! and output is serialisable, so that a rule can run in a child process and a log of measurements
//! can be judged again, to the bit, on another machine.

use chain_metadata::Hotkey;
use scoring::evidence::Evidence;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::prf::Prf;

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

/// A rule: pure, deterministic, versioned.
pub trait Rule {
    /// What a miner gets to see.
    type Public: Serialize + DeserializeOwned;
    /// What a task is judged by.
    type Secret: Serialize + DeserializeOwned;
    /// What a validator measures of an answer.
    type Measurement: Serialize + DeserializeOwned;
    /// What the rule remembers between epochs; `()` where nothing.
    type State: Serialize + DeserializeOwned + Clone + Default;

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

    /// A fresh task.
    fn draw(
        &self,
        prf: &mut Prf,
        subject: &Subject,
        state: &Self::State,
    ) -> Draw<Self::Public, Self::Secret>;

    /// Evidence from what was measured; the same on every machine.
    fn judge(
        &self,
        draw: &Draw<Self::Public, Self::Secret>,
        measured: &[Measured<Self::Measurement>],
        state: &Self::State,
    ) -> Result<Vec<Finding>, JudgeError>;

    /// The state after a round that was judged.
    fn learn(
        &self,
        state: Self::State,
        _draw: &Draw<Self::Public, Self::Secret>,
        _measured: &[Measured<Self::Measurement>],
    ) -> Self::State {
        state
    }

    /// Identities that the rule has found to be one, by what they answered: each cluster is paid once, to
    /// its first member. Only sound where miners answer the same task or show the same work; where each
    /// has a task of its own, equal answers are no sign of one hand.
    fn clusters(&self, _state: &Self::State) -> Vec<Vec<Hotkey>> {
        Vec::new()
    }

    /// What the rule knows of its own success, from its state: figures that a manifest may bound. A
    /// figure that nothing is known of yet is left out.
    fn figures(&self, _state: &Self::State) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}
