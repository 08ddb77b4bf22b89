//! Rules of a subnet as checked files, and the worlds their tasks come from.
//!
//! A rule says what a validator asks a miner, how it measures and judges what came back and how that is
//! paid. It is deterministic and versioned: its digest is published on chain, so every validator
//! provably runs the same one. It never does I/O, sees no chain and no clock.
//!
//! ```text
//! finalized block + the validator's VRF -> Ticket -> draw -> task ~> miner's bytes
//!   -> measure (with tools) -> judge -> evidence -> scoring::book -> shares
//! ```

pub mod arena;
pub mod artefact;
pub mod audit;
pub mod cases;
pub mod cli;
pub mod digest;
pub mod exchange;
pub mod log;
pub mod manifest;
pub mod native;
pub mod package;
pub mod panel;
pub mod prf;
pub mod publication;
pub mod replay;
pub mod rule;
pub mod rules;
pub mod sealed;
pub mod secret;
pub mod session;
pub mod star;
pub mod tools;
pub mod work;
pub mod world;

pub use rules::{forge, serve, topic, tune};
