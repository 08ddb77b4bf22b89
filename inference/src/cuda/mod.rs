//! The CUDA backend: a device, its memory, our kernels, and a decoder made of them.
//!
//! ```text
//! probe ─▶ Device ─▶ Weights (bf16, uploaded as they are read)
//!             └────▶ Session: paged keys and values, workspace, graphs ─ step ─▶ answers
//! ```
//!
//! The scheduler is the CPU's: a [`Session`] is what it steps where the model lies on a device. Rows
//! of hidden state are rounded to bf16 wherever the class says so, and no row's bits depend on the
//! rows beside it: products sum in one order whatever the tile, and attention cuts a sequence at fixed
//! positions. Tokens are drawn on the device; only what was asked for comes back.
//!
//! NVIDIA's driver is opened when it is needed, never linked: the program starts without it.

mod driver;
mod kernels;
mod plan;
mod probe;
mod session;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use session::{Found, Session};
pub(crate) use weights::{Loaded, Opened};
