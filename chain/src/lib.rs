//! The way to the chain.
//!
//! ```text
//! Chain::connect ── endpoints with fallback, a deadline on every request, one genesis
//!   heads()                      the newest finalized block, each time that there is one
//!   condition()                  how endpoints and clock fare
//!   metagraph(netuid, at)        a subnet at a block, in one runtime call
//!   prepare → broadcast          fixed bytes for a journal; included, or refused by name
//!   find_extrinsic               what became of it, after a crash
//! timelock, commit_hash          weights that nobody can read before their time
//! wallet::Wallet                 keys on disk as btcli lays them out
//! ```
//!
//! Names, not numbers: every call, storage item, error and runtime API is found in the metadata of
//! the runtime at the block in question, so an upgrade needs no new build unless it changes what
//! we use. The same code reaches finney and the local chain, through the RPC methods both serve.
//!
//! This crate never opens a coldkey's secret unless asked to by name, and never shows a secret.

mod answer;
mod at;
mod call;
pub mod cli;
mod client;
mod commitment;
mod condition;
mod error;
mod head;
mod hidden;
mod link;
mod metagraph;
mod raw_metadata;
mod submit;
mod survey;
pub mod timelock;
pub mod wallet;

pub use call::Call;
pub use chain_metadata::{
    Alpha, AxonInfo, Coldkey, EpochClock, Hotkey, Hyperparameters, MechId, NetUid, Obstacle, Route,
    Standing, Tao, Uid, Weights, obstacles,
};
pub use client::Chain;
pub use commitment::{Commitment, CommitmentError, FIELD_MAX, FIELDS_MAX};
pub use condition::Condition;
pub use error::{
    ConnectError, EndpointError, Invalid, PoolRefusal, ReadError, Refusal, SubmitError,
};
pub use head::{Head, Heads};
pub use hidden::{HashCommit, SALT_LEN, TimelockedCommit, commit_hash, new_salt};
pub use link::ConnectOptions;
pub use metagraph::{Metagraph, Neuron};
pub use submit::{ERA_BLOCKS, Event, Inclusion, SignedExtrinsic};
/// The values of dynamic calls, storage and events.
pub use subxt::dynamic::Value;
pub use wallet::Keypair;
