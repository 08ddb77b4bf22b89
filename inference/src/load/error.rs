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
    /// A tensor of the checkpoint is none that the architecture computes with.
    #[error(
        "tensor {name} is not read by this architecture as its configuration describes it: what is \
         computed would be another model"
    )]
    Unread {
        /// Its name in the file.
        name: String,
    },
    /// A tensor is stored in a way that is not read.
    #[error("tensor {name} is stored as {stored}, which is not read here ({read})")]
    Stored {
        /// Its name in the file.
        name: String,
        /// How it is stored.
        stored: String,
        /// What is read.
        read: &'static str,
    },
    /// A part of the checkpoint is not there.
    #[error("{} is missing: {says} names it", path.display())]
    Shard {
        /// Which file.
        path: PathBuf,
        /// What names it.
        says: String,
    },
    /// Which of several files make the checkpoint is not said.
    #[error(
        "{} holds several .safetensors files and no model.safetensors.index.json: name one of them, \
         or add the index",
        path.display()
    )]
    Ambiguous {
        /// The folder.
        path: PathBuf,
    },
    /// A part of a split file was named, and not the first.
    #[error("{} is part {part} of {of}: name the first part, {}", path.display(), first.display())]
    Part {
        /// The file.
        path: PathBuf,
        /// Which part it is.
        part: usize,
        /// How many there are.
        of: usize,
        /// The first one.
        first: PathBuf,
    },
    /// A folder without what is read.
    #[error("{} has no {wanted}{}", path.display(), hint)]
    Incomplete {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        wanted: &'static str,
        /// What is there instead, and what to do.
        hint: String,
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
    /// A version that is not read.
    #[error(
        "is a GGUF file of version {0}, and versions 2 and 3 are read here: convert the model again"
    )]
    Version(u32),
    /// Numbers in the other order.
    #[error("is a big-endian GGUF file, and little-endian ones are read here: convert it")]
    BigEndian,
    /// A GGUF file of something else than a model.
    #[error("is a GGUF file of type `{0}`, not of a model")]
    Content(String),
    /// A key about words that is not known.
    #[error("`{key}` is not known here, and may change how text becomes tokens")]
    Key {
        /// Which key.
        key: String,
    },
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
