//! What the chain says, in Rust.
//!
//! ```text
//! NetUid Uid MechId    Hotkey Coldkey    Tao Alpha      the chain's words, as types
//! Weights  AxonInfo  Hyperparameters  EpochClock        what we send and what we read
//! Route, obstacles                                    how weights go, and what would refuse them
//! advice, pool_code                                     every refusal, with what to do about it
//! facts → check(metadata), diff(before, after)          does a runtime still offer what we use
//! ```
//!
//! This crate is a leaf: it knows no clock, no socket and no file. Bytes come in, values and
//! verdicts come out.

mod advice;
mod axon;
mod balance;
mod conformance;
mod epoch;
mod fact;
mod hyperparameters;
mod key;
mod number;
mod preflight;
mod runtime;
mod shape;
mod weights;

pub use advice::{PoolCode, advice, errors, pool_code};
pub use axon::{AxonInfo, RawAddress};
pub use balance::{Alpha, AmountError, RAO_PER_UNIT, Tao};
pub use conformance::{Difference, Finding, Report, Verdict, check, diff};
pub use epoch::{EpochClock, MAX_BLOCKS_SINCE_STEP};
pub use fact::{Fact, Shape, What, facts};
pub use hyperparameters::{Hyperparameters, activity_cutoff};
pub use key::{Coldkey, Hotkey, KeyError, SS58_PREFIX};
pub use number::{MECHANISM_STRIDE, MechId, NetUid, Uid};
pub use preflight::{MAX_OPEN_COMMITS, Obstacle, Route, Standing, TIMELOCK_VERSION, obstacles};
pub use runtime::MetadataError;
pub use shape::shape;
pub use weights::{Weights, WeightsError};
