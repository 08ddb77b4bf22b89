//! Checkpoint files: read, checked against their length before anything is allocated, and brought to
//! one canonical form (Hugging Face names, halves of a head rotated together) whatever the container.

mod encode;
mod gguf;
mod rewrite;
mod safetensors;

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

pub(crate) use encode::{BLOCK, Block, Encoded, Format};

pub use rewrite::requantise;

pub(crate) use safetensors::tiny;

use crate::{
    config::{Config, ConfigError},
    tokenizer::{Tokenizer, TokenizerError},
};

/// A tensor as the file holds it: row-major, `cols` innermost.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) dtype: StoredType,
    pub(crate) bytes: Vec<u8>,
}

/// Storage types of checkpoint files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoredType {
    F32,
    F16,
    Bf16,
    /// A GGML block type.
    Blocks(candle_core::quantized::GgmlDType),
}

/// A checkpoint: its shape, its words, and its tensors by canonical name.
pub(crate) struct Checkpoint {
    pub(crate) config: Config,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) tensors: Box<dyn Tensors>,
}

/// Tensors by Hugging Face name (`model.layers.0.self_attn.q_proj.weight`).
pub(crate) trait Tensors {
    fn has(&self, name: &str) -> bool;

    /// The class that keeps the file's own bits.
    fn native_class(&self) -> crate::NumericClass;

    /// Reads one tensor; one dimension means one row.
    fn read(&mut self, name: &str) -> Result<Stored, LoadError>;
}

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

/// Opens a checkpoint: a Hugging Face directory, a `.safetensors` file in one, or a `.gguf` file.
pub(crate) fn open(path: &Path) -> Result<Checkpoint, LoadError> {
    if path.is_dir() {
        return safetensors::open(path);
    }
    let mut file = Source::open(path)?;
    let mut magic = [0; 8];
    let seen = file.read_some(&mut magic)?;
    match recognise(&magic[..seen]) {
        Container::Gguf => gguf::open(file),
        Container::Safetensors => safetensors::open_file(path),
        Container::Foreign(format) => Err(LoadError::Format { path: path.to_owned(), format }),
    }
}

enum Container {
    Gguf,
    Safetensors,
    Foreign(&'static str),
}

/// Tells containers by their first bytes.
fn recognise(start: &[u8]) -> Container {
    match start {
        [b'G', b'G', b'U', b'F', ..] => Container::Gguf,
        [b'P', b'K', 3, 4, ..] => Container::Foreign("zipped pickle (PyTorch)"),
        [0x80, 2..=5, ..] => Container::Foreign("pickle (PyTorch)"),
        [b'l' | b't', b'm' | b'j', b'g', b'g', ..] => Container::Foreign("GGML"),
        [0x89, b'H', b'D', b'F', ..] => Container::Foreign("HDF5"),
        [_, _, _, _, _, _, _, _] => Container::Safetensors,
        _ => Container::Foreign("too short"),
    }
}

/// A file whose length is known.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Source {
    fn open(path: &Path) -> Result<Self, LoadError> {
        let io = |source| LoadError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        Ok(Self { path: path.to_owned(), file, length })
    }

    fn io(&self, source: io::Error) -> LoadError {
        LoadError::Io { path: self.path.clone(), source }
    }

    fn header(&self, reason: HeaderError) -> LoadError {
        LoadError::Header { path: self.path.clone(), reason }
    }

    /// Reads from the start, as much as there is.
    fn read_some(&mut self, out: &mut [u8]) -> Result<usize, LoadError> {
        let take = usize::try_from(self.length).unwrap_or(usize::MAX).min(out.len());
        self.read_at(0, &mut out[..take])?;
        Ok(take)
    }

    /// Fills `out` from `offset`.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), LoadError> {
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(out));
        read.map_err(|source| self.io(source))
    }

    /// Reads `length` bytes at `offset`, after checking that the file has them.
    fn bytes(
        &mut self,
        what: &'static str,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, LoadError> {
        let available = self.length.saturating_sub(offset);
        if length > available {
            return Err(self.header(HeaderError::Truncated { what, declared: length, available }));
        }
        let size = usize::try_from(length).map_err(|_| {
            self.header(HeaderError::Bound { what, declared: length, bound: usize::MAX as u64 })
        })?;
        let mut bytes = vec![0; size];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }
}
