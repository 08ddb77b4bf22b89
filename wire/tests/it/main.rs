//! A real server and a real client on the loopback, and what the world may do to either.

mod connections;
mod exchange;
mod hostile_miners;
mod mutations;
mod replay;
mod shutdown;
mod support;
