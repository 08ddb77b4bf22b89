//! Evidence to weights to emission, in pure functions.
//!
//! This crate decides; it knows no clock, no socket and no file.
//!
//! ```text
//! evidence    what was measured about a miner, typed by what may be concluded from it
//! estimators  evidence ─► standing with its uncertainty, verdicts
//! book        standings by hotkey ─► what each is worth, and why
//! crown       who holds a prize that only evidence takes away
//! ranking, hedge, robust, copies  strengths, mixtures, medians, clusters: what rules build on
//! pay, weigh  worth ─► shares ─► the weights that the chain takes
//!
//! yuma      stake, weights, bonds ─► consensus, incentive, dividends, bonds   (the chain's epoch)
//! preview   my weights, before the epoch ─► my trust and dividends; after it, what differed
//! emission  issuance, prices, pots ─► who is paid how much alpha and tao      (the chain's coinbase)
//! swap      the pool that prices alpha in tao                                 (the chain's AMM)
//! variants  what differs between runtime versions, as data
//! fixed     the chain's fixed-point numbers
//! ```

pub mod book;
pub mod copies;
pub mod crown;
pub mod emission;
pub mod estimators;
pub mod evidence;
pub mod fixed;
pub mod hedge;
pub mod pay;
pub mod preview;
pub mod ranking;
pub mod robust;
pub mod swap;
pub mod variants;
pub mod weigh;
pub mod yuma;
