//! The validator program over a running chain.

#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod hostile;
mod kill;
mod lost_chain;
mod refused;
mod stage;
