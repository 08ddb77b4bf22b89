//! Checkpoint files: read, checked against their length before anything is allocated, and brought to
//! one canonical form (Hugging Face names, halves of a head rotated together) whatever the container.

mod encode;
mod error;
mod gguf;
mod loader;
mod random;
mod rewrite;
mod safetensors;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

pub use error::{HeaderError, LoadError};

pub(crate) use encode::{BLOCK, Block, Encoded, Format};

pub use random::RandomShape;
pub use rewrite::requantise;

pub(crate) use loader::Loader;
pub(crate) use random::random;
#[cfg(test)]
pub(crate) use random::small;
pub(crate) use safetensors::{Folder, tiny};

use crate::{config::Config, tokenizer::Tokenizer};

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
    /// What was done that a user should know.
    pub(crate) notes: Vec<String>,
}

/// Tensors by Hugging Face name (`model.layers.0.self_attn.q_proj.weight`).
pub(crate) trait Tensors {
    fn has(&self, name: &str) -> bool;

    /// The class that keeps the file's own bits.
    fn native_class(&self) -> crate::NumericClass;

    /// The first tensor that is none of those `asked` for by canonical name, as the file names it.
    fn left_over(&self, asked: &BTreeSet<String>) -> Option<String>;

    /// Whether norms' weights are whole where a family's checkpoints hold them less one.
    fn holds_norms_whole(&self) -> bool {
        false
    }

    /// Rows and columns of a tensor, before anything is read or allocated for it.
    fn shape(&self, name: &str) -> Result<(usize, usize), LoadError>;

    /// Reads one tensor; one dimension means one row.
    fn read(&mut self, name: &str) -> Result<Stored, LoadError>;
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
