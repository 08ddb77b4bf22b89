//! Yuma against what the chain's own runtime computed.
#![expect(clippy::unwrap_used, reason = "tests")]

mod edges;
mod equal;
mod golden;
mod laws;
mod math;
