//! Serve a model and be paid for it.
//!
//! ```text
//! load model → Engine          the hotkey's lock, its replay journal
//! registered? → serve_axon     once, and again only when the address changes
//! metagraph → Roster           who may ask: validators with a permit, or those allowed by name
//! owner's rule → work          which work the subnet wants, and what does it here
//! wire::serve → tasks          one envelope → a slot → a worker → signed reply
//!             → openai         the same for clients of that API; also on a listener of its own
//! ```
//!
//! It never opens a coldkey, never registers itself, and never imports the validator: the two meet
//! on the wire, so each checks the other.

mod admission;
mod axon;
mod behaviour;
pub mod cli;
mod config;
mod craft;
mod error;
pub mod openai;
mod run;
mod tasks;
mod work;
mod worker;

pub use admission::{Dues, Slots, may_ask};
pub use axon::{Publish, publish};
pub use behaviour::{Behaviour, BehaviourError};
pub use config::{
    Admission, Axon, BackendSettings, Config, OpenAi, Rehearsal, State, WorkSettings,
};
pub use error::Error;
pub use run::{Parts, Status, run, run_with};
pub use work::WorkshopError;
