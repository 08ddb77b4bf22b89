//! Models served with candle on this machine's processors, and evidence of what ran.
//!
//! ```text
//! ModelSource ─ load ─▶ Model ─ Engine::start ─▶ Engine ─ generate / stream ─▶ Completion
//!   tiny, path, hub     ModelId                  worker   rescore           ─▶ TokenCheck…
//! ```
//!
//! A [`ModelId`] says which weights, after load, run in which arithmetic. Tokens are drawn by
//! [`gumbel-v1`](sample), or where more is asked of the distribution by
//! [`gumbel-v2`](shaping), so a seed fixes a completion, and anyone with the model can
//! [`Engine::rescore`] it with one prefill. Arithmetic is the same on every processor, whatever the
//! batch and the number of threads.
//!
//! This crate knows no chain, no hotkey and no subnet.

pub mod bench;
pub mod cli;
pub mod config;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod embedder;
mod engine;
pub mod evidence;
mod form;
pub mod hub;
mod id;
mod kernel;
mod kv;
mod load;
mod model;
pub mod sample;
pub mod shaping;
mod source;
mod tokenizer;

pub use device::{Device, DeviceError, Version};
pub use embedder::{EmbedError, Embedder, Embedding, Passage};
pub use engine::{
    Audit, Completion, Engine, EngineError, EngineOptions, Event, Finish, Job, Load,
    MAX_ALTERNATIVES, MAX_PROMPT_BYTES, MAX_STOPS, Prompt, Share, Stream, Timing, TokenCheck,
};
pub use form::{Form, FormError, MAX_FORM_BYTES, schema_in_grammar};
pub use id::{IdError, ModelId, NumericClass};
pub use load::{HeaderError, LoadError, RandomShape, requantise};
pub use model::{Deviation, LoadOptions, Model, default_threads};
pub use sample::{Sampling, SamplingError};
pub use shaping::{Shaping, ShapingError};
pub use source::{HubFile, HubModel, ModelSource};
pub use tokenizer::{Chat, Json, Message, TextStream, Tokenizer, TokenizerError};
