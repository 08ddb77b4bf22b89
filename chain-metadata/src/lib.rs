//! What the chain says, in Rust.
//!
//! ```text
//! NetUid Uid MechId    Hotkey Coldkey    Tao Alpha      the chain's words, as types
//! Weights  AxonInfo  Hyperparameters  EpochClock        what we send and what we read
//! advice, pool_code                                     every refusal, with what to do about it
//! ```
//!
//! This crate is a leaf: it knows no clock, no socket and no file. Bytes come in, values and
//! verdicts come out.

mod axon;
mod balance;
mod key;
mod number;
mod weights;

pub use axon::{AxonInfo, RawAddress};
pub use balance::{Alpha, AmountError, RAO_PER_UNIT, Tao};
pub use key::{Coldkey, Hotkey, KeyError, SS58_PREFIX};
pub use number::{MECHANISM_STRIDE, MechId, NetUid, Uid};
pub use weights::{Weights, WeightsError};
