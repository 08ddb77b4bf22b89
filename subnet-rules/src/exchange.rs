//! The seam on which every rule runs: how a task travels, whom it is for, and what comes back.
//!
//! ```text
//! Round::asks ─▶ execute ─▶ Wire::send ─▶ a miner's bytes, by the validator's clock ─▶ Exchanged ─▶ measure
//! ```
//!
//! [`execute`] is the one order of phases. A validator gives it a wire with sockets, the arena one
//! whose other end are actors; neither knows the rule.

use std::sync::Arc;

use async_trait::async_trait;
use chain_metadata::Hotkey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::sealed;
use crate::session::Round;

/// How a task travels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exchange {
    /// One request, one reply.
    #[default]
    Once,
    /// A first message binds, the second shows: the framework's [seal](crate::sealed) over the answer.
    #[serde(rename = "commit-open")]
    Sealed,
    /// As [`Sealed`](Self::Sealed) with a commitment of the rule's own, after which the rule asks for
    /// places that its secret chooses.
    Staged,
    /// Nothing is asked: what miners committed on chain before the beacon is fetched by digest.
    Artefact,
}

/// Whom a draw is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// Each miner has a task of its own.
    #[default]
    Each,
    /// All miners share one, which each validator draws for itself.
    Shared,
    /// What all have committed, on one exam that all validators share.
    Committed,
}

/// Why there is nothing to measure. Whatever it is, the miner did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// No published endpoint, or no connection.
    Unreachable,
    /// Nothing, or not all of it, within the deadline.
    Timeout,
    /// An answer that is an error or a refusal.
    Refused,
    /// The miner serves other rules.
    UnknownRule,
    /// The miner is full.
    Busy,
    /// More bytes than allowed.
    TooLarge,
    /// Not the protocol's message.
    Malformed,
    /// Not signed by the miner's hotkey over this request.
    Unsigned,
    /// Committed, and never opened.
    Unopened,
    /// No artefact that is the committed one.
    NoArtefact,
}

impl Fault {
    /// The name in counters and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::UnknownRule => "unknown rule",
            Self::Busy => "busy",
            Self::TooLarge => "too large",
            Self::Malformed => "malformed",
            Self::Unsigned => "unsigned",
            Self::Unopened => "unopened",
            Self::NoArtefact => "no artefact",
        }
    }
}

/// A message of a miner, as signed, and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its bytes.
    pub body: Arc<[u8]>,
    /// From sending the request to the first byte, by the validator's monotonic clock, microseconds.
    pub first_byte_us: u64,
    /// From sending the request to the last byte.
    pub total_us: u64,
}

impl Message {
    /// A message of these bytes, whole at one moment.
    pub fn at(body: impl Into<Arc<[u8]>>, total_us: u64) -> Self {
        Self { body: body.into(), first_byte_us: total_us, total_us }
    }

    /// A message as JSON; empty where JSON cannot write it.
    pub fn of(message: &impl Serialize, total_us: u64) -> Self {
        Self::at(serde_json::to_vec(message).unwrap_or_default(), total_us)
    }

    /// The message as a type; [`Fault::Malformed`] where it is none.
    ///
    /// # Errors
    /// The bytes are no such message.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|_| Fault::Malformed)
    }
}

/// What a miner had committed on chain, and the bytes behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// The digest on chain.
    pub commitment: Digest,
    /// The block in which it was committed.
    pub committed_at: u64,
    /// The bytes, if they could be had; they are [held against](crate::artefact::commitment) the
    /// commitment by whoever measures.
    pub bytes: Result<Arc<[u8]>, Fault>,
}

/// What came of a task for one hotkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchanged {
    /// Nothing.
    Nothing(Fault),
    /// One reply.
    Replied(Message),
    /// A commitment, and what was opened of it.
    Opened {
        /// The first message.
        commit: Message,
        /// The second.
        opening: Result<Message, Fault>,
    },
    /// What the miner has committed: its latest artefact first, then those that the rule may still
    /// want. Empty where it has committed nothing.
    Held(Vec<Artefact>),
}

/// Which message of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The only one.
    Once,
    /// The one that binds.
    Commit,
    /// The one that shows.
    Open,
}

/// A message on its way to one miner.
#[derive(Debug, Clone, PartialEq)]
pub struct Sending {
    /// The task's place in its round.
    pub place: usize,
    /// To whom.
    pub miner: Hotkey,
    /// The task's id.
    pub task: Digest,
    /// Which message.
    pub phase: Phase,
    /// What is asked: the public task, or with [`Phase::Open`] what is to be opened.
    pub body: Arc<Value>,
}

/// The other end: miners behind sockets, or actors.
#[async_trait]
pub trait Wire: Send {
    /// Sends all of it at once; what came of each, in order.
    async fn send(&mut self, batch: Vec<Sending>) -> Vec<Result<Message, Fault>>;

    /// What each miner has committed, in order; of earlier commitments those that are `wanted`.
    async fn artefacts(&mut self, miners: &[Hotkey], wanted: &[Digest]) -> Vec<Vec<Artefact>>;
}

/// A task's place, a miner, and what came of asking it.
pub type Outcome = (usize, Hotkey, Exchanged);

/// Asks all that a round has drawn: phase by phase, everybody at once.
pub async fn execute(round: &dyn Round, wire: &mut dyn Wire) -> Vec<Outcome> {
    match round.exchange() {
        Exchange::Once => once(round, wire).await,
        Exchange::Sealed | Exchange::Staged => commit_open(round, wire).await,
        Exchange::Artefact => artefacts(round, wire).await,
    }
}

async fn once(round: &dyn Round, wire: &mut dyn Wire) -> Vec<Outcome> {
    let batch = round.asks(Phase::Once);
    let whom: Vec<_> = batch.iter().map(|ask| (ask.place, ask.miner)).collect();
    let replies = wire.send(batch).await.into_iter().map(|reply| match reply {
        Ok(reply) => Exchanged::Replied(reply),
        Err(fault) => Exchanged::Nothing(fault),
    });
    whom.into_iter().zip(replies).map(|((place, miner), came)| (place, miner, came)).collect()
}

async fn commit_open(round: &dyn Round, wire: &mut dyn Wire) -> Vec<Outcome> {
    let batch = round.asks(Phase::Commit);
    let asked: Vec<_> = batch.iter().map(|ask| (ask.place, ask.miner, ask.task)).collect();
    let commits = wire.send(batch).await;
    let mut came: Vec<Outcome> = Vec::with_capacity(asked.len());
    // Where in `came` each of the second messages belongs.
    let (mut seconds, mut places) = (Vec::new(), Vec::new());
    for ((place, miner, task), commit) in asked.into_iter().zip(commits) {
        let challenged = commit.and_then(|commit| {
            let challenge = match round.exchange() {
                Exchange::Staged => round.challenge(place, &miner, &commit)?,
                _ => sealed::is_seal(&commit).map(|()| Value::Null)?,
            };
            Ok((commit, challenge))
        });
        came.push(match challenged {
            Err(fault) => (place, miner, Exchanged::Nothing(fault)),
            Ok((commit, challenge)) => {
                let body = Arc::new(challenge);
                seconds.push(Sending { place, miner, task, phase: Phase::Open, body });
                places.push(came.len());
                (place, miner, Exchanged::Opened { commit, opening: Err(Fault::Unopened) })
            }
        });
    }
    for (at, opened) in places.into_iter().zip(wire.send(seconds).await) {
        if let Some((_, _, Exchanged::Opened { opening, .. })) = came.get_mut(at) {
            *opening = opened;
        }
    }
    came
}

async fn artefacts(round: &dyn Round, wire: &mut dyn Wire) -> Vec<Outcome> {
    let batch = round.asks(Phase::Once);
    let miners: Vec<Hotkey> = batch.iter().map(|ask| ask.miner).collect();
    let held = wire.artefacts(&miners, &round.wanted()).await;
    let outcome =
        |(ask, held): (Sending, Vec<Artefact>)| (ask.place, ask.miner, Exchanged::Held(held));
    batch.into_iter().zip(held).map(outcome).collect()
}

/// Where a miner takes tasks of every rule.
pub const PATH: &str = "/v1/task";

/// A message of an exchange as it travels: one form for all rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope<B> {
    /// By which rule is asked.
    pub rule: Digest,
    /// The task's id.
    pub task: Digest,
    /// Which message of its exchange.
    pub phase: Phase,
    /// The message.
    pub body: B,
}
