//! Rules of a subnet as checked files, and the worlds their tasks come from.
//!
//! A rule says what a validator asks a miner, how it judges what came back and how that is paid. It
//! is pure, deterministic and versioned: its digest is published on chain, so every validator
//! provably runs the same one. It never does I/O, sees no chain and no clock.
//!
//! ```text
//! beacon (block hash, rule, hotkeys) -> Prf -> draw -> task -> miner's answer
//!   -> measurement (by the validator) -> judge -> evidence -> scoring::book -> shares
//! ```

pub mod arena;
pub mod audit;
pub mod cases;
pub mod cli;
pub mod digest;
pub mod examiner;
pub mod forge;
pub mod log;
pub mod manifest;
pub mod native;
pub mod package;
pub mod panel;
pub mod prf;
pub mod publication;
pub mod rule;
pub mod sealed;
pub mod serve;
pub mod star;
pub mod topic;
pub mod tune;
pub mod world;
