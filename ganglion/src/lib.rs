//! The one command: dispatches to the programs of the suite, and sets up a subnet with [`up`].
//!
//! ```text
//! ganglion up                       a whole subnet on this machine
//! ganglion localnet                 the chain alone
//! ganglion miner | validator        one neuron
//! ganglion rules | model | chain    the owner's, the engineer's and the auditor's tools
//! ```

pub mod chain;
pub mod localnet;
pub mod rules;
pub mod up;
