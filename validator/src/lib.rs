//! Examine miners, keep evidence, set weights; never silently dead, never a wrong or lost vector.
//!
//! ```text
//! chain head → metagraph → panel → Ticket (VRF) → draw → exchange over sockets → measure → judge
//!    → Book by hotkey → schedule::decide → weigh → journal (fsync) → set_weights
//!    → found on chain (hidden ones: revealed) → settled → epoch → what it paid
//! ```
//!
//! [`run`]'s loop reads like that line. Decisions are pure ([`schedule`], [`subnet_rules::panel`],
//! [`journal::reconcile`]); what they depend on is read at one finalized block, or from one file
//! ([`store`]). State belongs to hotkeys; a uid appears only where the chain wants one. Prompts and
//! answers are not kept, only their digests.

mod adoption;
mod artefacts;
mod audit;
pub mod cli;
mod config;
mod courier;
mod error;
mod evidence;
pub mod journal;
pub mod loss;
pub mod portable;
mod record;
mod reference;
pub mod remeasure;
mod round;
mod run;
pub mod schedule;
mod sockets;
mod status;
pub mod store;
mod stranger;
pub mod watch;

/// Arguments with which this program hosts rules in Starlark.
pub const HOST: [&str; 2] = ["rules", "host"];

pub use config::{Config, Rounds, RuleSettings, State, WeightSettings};
pub use error::Error;
pub use evidence::{Exchange, Outcome, Round};
pub use reference::EngineReference;
pub use run::{Parts, run, run_with};
pub use status::{MinerStatus, Status};
