//! Rules that owners write themselves, in Starlark: a dialect of Python that always ends.
//!
//! ```text
//! Star (a Rule) -> Host -> pipe -> child process: interpreter with rule.star -> pipe -> evidence
//! ```
//!
//! The child has no files, no network, no clock, and no randomness but the stream it is given. The
//! interpreter's limits (ticks, heap, calls within calls, time) give an error at line and column;
//! limits of the system (address space, processor time) and the parent's deadline hold whatever the
//! interpreter misses. A call that fails scores nothing.

#[cfg(feature = "starlark")]
mod builtins;
#[cfg(feature = "starlark")]
pub mod host;
#[cfg(not(feature = "starlark"))]
#[path = "star/no_host.rs"]
pub mod host;
mod process;
mod protocol;
mod rule;
pub mod texts;

pub use process::{Host, HostError, Program};
pub use protocol::{Limits, Mistake};
pub use rule::{Draws, Memory, REPLY_MAX, Reply, Star, StarError};
