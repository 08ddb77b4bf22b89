//! Evidence of what ran.

mod fingerprint;

pub(crate) use fingerprint::Sketcher;
pub use fingerprint::{DIRECTIONS, GROUP_TOKENS, SCHEME, Sketch, SketchError};
