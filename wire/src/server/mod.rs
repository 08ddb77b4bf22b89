//! The miner's ear: connections with bounds, requests with a proven caller, answers with a signature.
//!
//! [`serve`] takes connections and bounds what each may cost; [`Gate`] stands before the routes and
//! lets only verified requests through; a handler takes a [`Caller`], whose body is the very bytes
//! that were verified.
//!
//! ```text
//! connection caps → header cap and time → shape, receiver, freshness → admission by hotkey
//!     → bad signatures by address → body cap and time → signature → replay → handler → signed answer
//! ```
//!
//! What comes earlier is cheaper: an unknown key costs a header parse, never a body or a curve
//! operation.

mod accept;
mod caller;
mod gate;
mod seats;
mod stall;
mod stream;
mod strikes;

use std::time::Duration;

pub use accept::{Drained, Peer, serve};
pub use caller::{Caller, Refusal};
pub use gate::Gate;
pub use stream::Streamed;

/// What a connection and a request may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at a time. For one more, one without a verified request is closed.
    pub connections: usize,
    /// Connections open at a time from one address (one /64 for IPv6).
    pub connections_per_ip: usize,
    /// Bad signatures from one address before its requests are refused unverified for a while.
    pub bad_signatures_per_ip: u32,
    /// Time for a request's headers, and for the quiet between requests.
    pub header_time: Duration,
    /// Bytes of request line and headers.
    pub header_bytes: usize,
    /// Number of headers.
    pub headers: usize,
    /// Bytes of body.
    pub body_bytes: usize,
    /// Time between two pieces of a body.
    pub body_idle: Duration,
    /// Time for a whole body.
    pub body_time: Duration,
    /// Time for a handler to answer.
    pub handler_time: Duration,
    /// Bytes of an answer.
    pub answer_bytes: usize,
    /// Time in which a reader must take some of an answer.
    pub write_stall: Duration,
    /// Time for requests under way to end once shutdown is asked for.
    pub drain_time: Duration,
}

impl Default for Limits {
    /// For a miner that validators ask: 1 MiB prompts, answers of minutes, everything else in
    /// seconds.
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_ip: 128,
            bad_signatures_per_ip: 64,
            header_time: Duration::from_secs(10),
            header_bytes: 16 * 1024,
            headers: 64,
            body_bytes: 1024 * 1024,
            body_idle: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            handler_time: Duration::from_secs(120),
            answer_bytes: 4 * 1024 * 1024,
            write_stall: Duration::from_secs(10),
            drain_time: Duration::from_secs(10),
        }
    }
}
