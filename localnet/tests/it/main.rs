//! The local chain over its real socket.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod blocks;
mod client;
mod development;
mod emission;
mod fork;
mod habits;
mod hostile;
mod money;
mod persistence;
mod subscriptions;
mod v1;
