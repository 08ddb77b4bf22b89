//! Evidence to weights to emission, in pure functions.
//!
//! This crate decides; it knows no clock, no socket and no file.
//!
//! ```text
//! yuma      stake, weights, bonds ─► consensus, incentive, dividends, bonds   (the chain's epoch)
//! emission  issuance, prices, pots ─► who is paid how much alpha and tao      (the chain's coinbase)
//! swap      the pool that prices alpha in tao                                 (the chain's AMM)
//! variants  what differs between runtime versions, as data
//! fixed     the chain's fixed-point numbers
//! ```

pub mod fixed;
pub mod variants;
pub mod yuma;
