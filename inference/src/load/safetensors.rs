//! Hugging Face directories: `config.json`, `tokenizer.json`, `*.safetensors`.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use ::safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Deserialize;

use super::{Checkpoint, HeaderError, LoadError, Source, Stored, StoredType, Tensors};
use crate::{
    NumericClass,
    config::{Config, ConfigError},
    tokenizer::{self, Tokenizer},
};

/// Longest safetensors header read. A 1000-tensor model's takes about 120 kB.
const MAX_HEADER: u64 = 2 << 20;

/// Longest `config.json` or other small JSON read.
const MAX_JSON: u64 = 1 << 20;

/// Longest `tokenizer.json` read: Llama 3's takes 17 MB.
const MAX_TOKENIZER: u64 = 64 << 20;

/// Most shard files of one checkpoint.
const MAX_SHARDS: usize = 256;

/// Bytes before the header: its length.
const PREFIX: u64 = 8;

/// Opens a directory with every `*.safetensors` file in it.
pub(super) fn open(dir: &Path) -> Result<Checkpoint, LoadError> {
    assemble(dir, &shards(dir)?)
}

/// Opens one file; configuration and tokenizer lie beside it.
pub(super) fn open_file(path: &Path) -> Result<Checkpoint, LoadError> {
    assemble(beside(path), std::slice::from_ref(&path.to_owned()))
}

fn shards(dir: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let io = |source| LoadError::Io { path: dir.to_owned(), source };
    let mut shards = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|e| e == "safetensors") {
            shards.push(path);
        }
    }
    shards.sort();
    if shards.is_empty() {
        let missing = dir.join("model.safetensors");
        return Err(LoadError::Io { path: missing, source: std::io::ErrorKind::NotFound.into() });
    }
    Ok(shards)
}

fn beside(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn assemble(dir: &Path, shards: &[PathBuf]) -> Result<Checkpoint, LoadError> {
    // The weights' headers first: a hostile file is refused before anything large is read.
    let files = Files::open(dir, shards)?;
    let path = dir.join("config.json");
    let json = small(&path, MAX_JSON)?;
    let config = Config::from_json(&json).map_err(|source| LoadError::Config { path, source })?;
    let path = dir.join("tokenizer.json");
    let json = small(&path, MAX_TOKENIZER)?;
    let settings = optional(&dir.join("tokenizer_config.json"))?;
    let template = optional(&dir.join("chat_template.jinja"))?;
    let tokenizer = Tokenizer::from_json(&json, settings.as_deref(), template, &config)
        .map_err(|source| LoadError::Tokenizer { path, source })?;
    Ok(Checkpoint { config, tokenizer, tensors: Box::new(files) })
}

/// A Hugging Face folder whose model is no decoder: its files, for whoever knows what they mean.
pub(crate) struct Folder {
    dir: PathBuf,
    files: Files,
}

impl Folder {
    /// Opens a folder, or that of a `.safetensors` file.
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let (dir, shards) = if path.is_dir() {
            (path, shards(path)?)
        } else {
            (beside(path), vec![path.to_owned()])
        };
        Ok(Self { dir: dir.to_owned(), files: Files::open(dir, &shards)? })
    }

    /// A small JSON file, read by `parse`.
    pub(crate) fn config<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, ConfigError>,
    ) -> Result<T, LoadError> {
        let json = small(&self.dir.join(name), MAX_JSON)?;
        parse(&json).map_err(|source| self.unusable(name, source))
    }

    /// A small file that need not be there.
    pub(crate) fn optional(&self, name: &str) -> Result<Option<Vec<u8>>, LoadError> {
        optional(&self.dir.join(name))
    }

    /// What is wrong with one of its files.
    pub(crate) fn unusable(&self, name: &str, source: ConfigError) -> LoadError {
        LoadError::Config { path: self.dir.join(name), source }
    }

    /// The tokenizer, without padding and without a cut, of at most `vocab` words.
    pub(crate) fn tokenizer(&self, vocab: usize) -> Result<tokenizers::Tokenizer, LoadError> {
        let path = self.dir.join("tokenizer.json");
        let json = small(&path, MAX_TOKENIZER)?;
        tokenizer::plain(&json, vocab).map_err(|source| LoadError::Tokenizer { path, source })
    }

    pub(crate) fn into_tensors(self) -> Box<dyn Tensors> {
        Box::new(self.files)
    }
}

fn small(path: &Path, bound: u64) -> Result<Vec<u8>, LoadError> {
    let mut source = Source::open(path)?;
    if source.length > bound {
        let declared = source.length;
        return Err(source.header(HeaderError::Bound { what: "file size", declared, bound }));
    }
    let length = source.length;
    source.bytes("file", 0, length)
}

fn optional(path: &Path) -> Result<Option<Vec<u8>>, LoadError> {
    if path.exists() { small(path, MAX_JSON).map(Some) } else { Ok(None) }
}

/// The checkpoint that ships inside this crate.
pub(crate) fn tiny() -> Result<Checkpoint, LoadError> {
    const WEIGHTS: &[u8] = include_bytes!("../../../models/tiny/model.safetensors");
    const CONFIG: &[u8] = include_bytes!("../../../models/tiny/config.json");
    let path = || PathBuf::from(TINY);
    let tensors = SafeTensors::deserialize(WEIGHTS).map_err(|source| LoadError::Header {
        path: path(),
        reason: HeaderError::Safetensors(source),
    })?;
    let config =
        Config::from_json(CONFIG).map_err(|source| LoadError::Config { path: path(), source })?;
    let tokenizer = tiny_tokenizer(&config)?;
    Ok(Checkpoint { config, tokenizer, tensors: Box::new(Memory(tensors)) })
}

/// The shipped tokenizer, for a model of `config`.
pub(super) fn tiny_tokenizer(config: &Config) -> Result<Tokenizer, LoadError> {
    const TOKENIZER: &[u8] = include_bytes!("../../../models/tiny/tokenizer.json");
    Tokenizer::from_json(TOKENIZER, None, None, config)
        .map_err(|source| LoadError::Tokenizer { path: PathBuf::from(TINY), source })
}

/// Where the shipped checkpoint lies in this repository; its name in errors.
const TINY: &str = "models/tiny";

struct Memory(SafeTensors<'static>);

impl Memory {
    fn view(&self, name: &str) -> Result<TensorView<'_>, LoadError> {
        self.0.tensor(name).map_err(|_| LoadError::MissingTensor { name: name.to_owned() })
    }
}

impl Tensors for Memory {
    fn has(&self, name: &str) -> bool {
        self.0.tensor(name).is_ok()
    }

    fn native_class(&self) -> NumericClass {
        NumericClass::F32
    }

    fn shape(&self, name: &str) -> Result<(usize, usize), LoadError> {
        let shape: Vec<u64> = self.view(name)?.shape().iter().map(|&d| d as u64).collect();
        let path = PathBuf::from(TINY);
        matrix(name, &shape).map_err(|reason| LoadError::Header { path, reason })
    }

    fn read(&mut self, name: &str) -> Result<Stored, LoadError> {
        let (rows, cols) = self.shape(name)?;
        let view = self.view(name)?;
        let path = PathBuf::from(TINY);
        let dtype = dtype(view.dtype()).map_err(|reason| LoadError::Header { path, reason })?;
        Ok(Stored { rows, cols, dtype, bytes: view.data().to_vec() })
    }
}

#[derive(Default)]
struct Files {
    sources: Vec<Source>,
    tensors: HashMap<String, Place>,
}

#[derive(Clone, Copy)]
struct Place {
    source: usize,
    offset: u64,
    length: u64,
    rows: usize,
    cols: usize,
    dtype: StoredType,
}

/// One entry of a safetensors header: a tensor, or `__metadata__`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Tensor(Info),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Info {
    dtype: Dtype,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Info {
    /// Where the tensor lies in a file of `file` bytes whose data begin at `data`.
    fn place(
        &self,
        name: &str,
        source: usize,
        data: u64,
        file: u64,
    ) -> Result<Option<Place>, HeaderError> {
        let (start, end) = self.data_offsets;
        let available = file.saturating_sub(data);
        if start > end || end > available {
            return Err(HeaderError::Truncated { what: "a tensor", declared: end, available });
        }
        let (Ok((rows, cols)), Ok(dtype)) = (matrix(name, &self.shape), dtype(self.dtype)) else {
            return Ok(None);
        };
        let bits = self.dtype.bitsize() as u64;
        let size = (rows as u64).checked_mul(cols as u64).and_then(|n| n.checked_mul(bits / 8));
        if size != Some(end - start) {
            let shape = self.shape.clone();
            return Err(HeaderError::TensorShape { name: name.to_owned(), shape });
        }
        Ok(Some(Place { source, offset: data + start, length: end - start, rows, cols, dtype }))
    }
}

impl Files {
    fn open(dir: &Path, shards: &[PathBuf]) -> Result<Self, LoadError> {
        if shards.len() > MAX_SHARDS {
            return Err(LoadError::Header {
                path: dir.to_owned(),
                reason: HeaderError::Bound {
                    what: "shard files",
                    declared: shards.len() as u64,
                    bound: MAX_SHARDS as u64,
                },
            });
        }
        let mut files = Self::default();
        for shard in shards {
            files.add(shard)?;
        }
        Ok(files)
    }

    fn add(&mut self, path: &Path) -> Result<(), LoadError> {
        let mut source = Source::open(path)?;
        let prefix = source.bytes("header length", 0, PREFIX)?;
        let length = prefix.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if length > MAX_HEADER.min(source.length) {
            let bound = MAX_HEADER.min(source.length);
            return Err(source.header(HeaderError::Bound {
                what: "header length",
                declared: length,
                bound,
            }));
        }
        let header = source.bytes("header", 0, PREFIX + length)?;
        let entries: HashMap<String, Entry> = serde_json::from_slice(&header[8..])
            .map_err(|e| source.header(HeaderError::Json(e)))?;
        let data = PREFIX + length;
        let index = self.sources.len();
        for (name, entry) in entries {
            let Entry::Tensor(info) = entry else { continue };
            let place = info
                .place(&name, index, data, source.length)
                .map_err(|reason| source.header(reason))?;
            // A tensor of a type or rank that no decoder uses is no concern of ours until asked for.
            if let Some(place) = place {
                self.tensors.insert(name, place);
            }
        }
        self.sources.push(source);
        Ok(())
    }
}

impl Files {
    fn place(&self, name: &str) -> Result<&Place, LoadError> {
        self.tensors.get(name).ok_or_else(|| LoadError::MissingTensor { name: name.to_owned() })
    }
}

impl Tensors for Files {
    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn native_class(&self) -> NumericClass {
        NumericClass::F32
    }

    fn shape(&self, name: &str) -> Result<(usize, usize), LoadError> {
        self.place(name).map(|place| (place.rows, place.cols))
    }

    fn read(&mut self, name: &str) -> Result<Stored, LoadError> {
        let place = *self.place(name)?;
        let source = &mut self.sources[place.source];
        let bytes = source.bytes("a tensor", place.offset, place.length)?;
        Ok(Stored { rows: place.rows, cols: place.cols, dtype: place.dtype, bytes })
    }
}

fn dtype(dtype: Dtype) -> Result<StoredType, HeaderError> {
    match dtype {
        Dtype::F32 => Ok(StoredType::F32),
        Dtype::F16 => Ok(StoredType::F16),
        Dtype::BF16 => Ok(StoredType::Bf16),
        other => Err(HeaderError::Type { what: "tensor", code: other as u32 }),
    }
}

fn matrix(name: &str, shape: &[u64]) -> Result<(usize, usize), HeaderError> {
    let wrong = || HeaderError::TensorShape { name: name.to_owned(), shape: shape.to_vec() };
    let (rows, cols) = match *shape {
        [cols] => (1, cols),
        [rows, cols] => (rows, cols),
        _ => return Err(wrong()),
    };
    match (usize::try_from(rows), usize::try_from(cols)) {
        (Ok(rows), Ok(cols)) if rows > 0 && cols > 0 => Ok((rows, cols)),
        _ => Err(wrong()),
    }
}
