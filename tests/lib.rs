//! The suite as its users meet it. Nothing of ours is mocked.
//!
//! ```text
//! e2e/      one story a file: the whole network in one process
//! interop/  other people's programs against ours: the Python SDK
//! ```
