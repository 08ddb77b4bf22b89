//! Why a checkpoint is not loaded.

use std::{io, path::PathBuf};

use crate::{config::ConfigError, tokenizer::TokenizerError};

/// A model that cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A format that executes code when read, or one that we do not read.
    #[error("{} is a {format} file, which is not read here (read: .safetensors, .gguf, a Hugging Face directory)", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What it seems to be.
        format: &'static str,
    },
    /// The header is malformed.
    #[error("{}: {reason}", path.display())]
    Header {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: HeaderError,
    },
    /// The shape is unsupported.
    #[error("{}: unusable configuration", path.display())]
    Config {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// The tokenizer cannot be built.
    #[error("{}: unusable tokenizer", path.display())]
    Tokenizer {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: TokenizerError,
    },
    /// A tensor that the architecture needs is absent.
    #[error("tensor {name} is missing")]
    MissingTensor {
        /// Canonical name.
        name: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor {name} is {rows}×{cols}, and the configuration says {want_rows}×{want_cols}")]
    Shape {
        /// Canonical name.
        name: String,
        /// Rows found.
        rows: usize,
        /// Columns found.
        cols: usize,
        /// Rows needed.
        want_rows: usize,
        /// Columns needed.
        want_cols: usize,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor {name} holds a value that is not finite")]
    NotFinite {
        /// Canonical name.
        name: String,
    },
    /// A width that blocks of 32 do not divide.
    #[error("class {class} needs widths that are multiples of 32; tensor {name} has {cols}")]
    BlockWidth {
        /// Canonical name.
        name: String,
        /// Its width.
        cols: usize,
        /// The class asked for.
        class: crate::NumericClass,
    },
    /// candle could not decode a tensor.
    #[error("tensor {name} does not decode")]
    Decode {
        /// Canonical name.
        name: String,
        /// Why.
        source: candle_core::Error,
    },
    /// The compute threads could not be started.
    #[error("cannot start the compute threads")]
    Threads(#[source] rayon::ThreadPoolBuildError),
    /// The device cannot take the model.
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
    /// The model could not be fetched.
    #[error(transparent)]
    Fetch(#[from] crate::hub::FetchError),
}

/// What is wrong with a header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The file ends before something it declares.
    #[error("declares {what} of {declared} bytes where {available} remain: truncated or hostile")]
    Truncated {
        /// What was declared.
        what: &'static str,
        /// Its declared size.
        declared: u64,
        /// Bytes left in the file.
        available: u64,
    },
    /// A count or length beyond our bound.
    #[error("declares {what} = {declared}, beyond the bound of {bound}")]
    Bound {
        /// What was declared.
        what: &'static str,
        /// Its declared value.
        declared: u64,
        /// The most accepted.
        bound: u64,
    },
    /// The magic number or version is another format's.
    #[error("is not a {0} file that is read here")]
    Magic(&'static str),
    /// A type code we do not know.
    #[error("uses unknown {what} type {code}")]
    Type {
        /// Of a tensor or of a value.
        what: &'static str,
        /// The code found.
        code: u32,
    },
    /// A tensor whose shape is no matrix or whose width its blocks do not divide.
    #[error("tensor {name} has an unusable shape {shape:?}")]
    TensorShape {
        /// Name in the file.
        name: String,
        /// Its dimensions.
        shape: Vec<u64>,
    },
    /// Text that is not UTF-8.
    #[error("holds text that is not UTF-8")]
    Utf8,
    /// The safetensors header is not the JSON it should be.
    #[error("has a header that is not a safetensors table")]
    Json(#[source] serde_json::Error),
    /// The safetensors file is malformed.
    #[error("has a malformed safetensors header: {0}")]
    Safetensors(#[source] ::safetensors::SafeTensorError),
}
