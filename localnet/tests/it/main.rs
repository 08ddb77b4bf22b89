//! The local chain over its real socket.

mod blocks;
mod client;
mod development;
mod hostile;
mod persistence;
mod subscriptions;
