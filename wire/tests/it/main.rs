//! A real server and a real client on the loopback, and what the world may do to either.

#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod connections;
mod exchange;
mod hostile_miners;
mod mutations;
mod replay;
mod shutdown;
mod streams;
mod support;
