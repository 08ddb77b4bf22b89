//! The validator program over a running chain.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot start has failed")]

mod calibration;
mod faults;
mod hidden;
mod hostile;
mod kill;
mod kills;
mod losses;
mod lost_chain;
mod proxy;
mod refused;
mod stage;
