//! Hugging Face directories: `config.json`, `tokenizer.json`, `*.safetensors`.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use ::safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Deserialize;

use super::{Checkpoint, HeaderError, LoadError, Source, Stored, StoredType, Tensors};
use crate::{
    NumericClass,
    config::{Config, ConfigError},
    tokenizer::{self, HubWords, Tokenizer},
};

/// Longest safetensors header read. A 1000-tensor model's takes about 120 kB.
const MAX_HEADER: u64 = 2 << 20;

/// Longest `config.json` or other small JSON read.
const MAX_JSON: u64 = 1 << 20;

/// Longest `tokenizer_config.json` read: with thousands of added words it takes a few MB.
const MAX_SETTINGS: u64 = 8 << 20;

/// Longest index of shards read: one of 256 experts in 60 layers takes some 6 MB.
const MAX_INDEX: u64 = 16 << 20;

/// Longest `tokenizer.json` read: Llama 3's takes 17 MB.
const MAX_TOKENIZER: u64 = 64 << 20;

/// Most shard files of one checkpoint.
const MAX_SHARDS: usize = 256;

/// Bytes before the header: its length.
const PREFIX: u64 = 8;

/// Opens a directory: the files that its index names, or its only one.
pub(super) fn open(dir: &Path) -> Result<Checkpoint, LoadError> {
    assemble(dir, Shards::of(dir)?)
}

/// Opens one file; configuration and tokenizer lie beside it. A part of several stands for all.
pub(super) fn open_file(path: &Path) -> Result<Checkpoint, LoadError> {
    let dir = beside(path);
    let shards = Shards::of_file(path)?;
    assemble(dir, shards)
}

/// The files of a checkpoint.
struct Shards {
    paths: Vec<PathBuf>,
    /// Which file a tensor is read from, where an index says so.
    index: Option<HashMap<String, String>>,
    notes: Vec<String>,
}

const INDEX: &str = "model.safetensors.index.json";

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Shards {
    /// The file alone, or all that its index names beside it.
    fn of_file(path: &Path) -> Result<Self, LoadError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let indexed = Self::indexed(beside(path))?;
        let part = indexed.filter(|shards| {
            let names = shards.index.iter().flat_map(HashMap::values);
            names.into_iter().any(|file| Some(file) == name.as_ref())
        });
        Ok(part.unwrap_or_else(|| Self::alone(path.to_owned())))
    }

    fn alone(path: PathBuf) -> Self {
        Self { paths: vec![path], index: None, notes: Vec::new() }
    }

    fn of(dir: &Path) -> Result<Self, LoadError> {
        let found = files(dir, "safetensors")?;
        let whole = dir.join("model.safetensors");
        let mut shards = match Self::indexed(dir)? {
            Some(shards) => shards,
            None if found.contains(&whole) => Self::alone(whole),
            None => match numbered(&found)?.unwrap_or_else(|| found.clone()).as_slice() {
                [] => return Err(nothing(dir)?),
                [one] => Self::alone(one.clone()),
                _ if numbered(&found)?.is_none() => {
                    return Err(LoadError::Ambiguous { path: dir.to_owned() });
                }
                parts => Self { paths: parts.to_vec(), index: None, notes: Vec::new() },
            },
        };
        let stray = found.iter().filter(|path| !shards.paths.contains(path));
        shards.notes.extend(stray.map(|path| {
            format!("{} is not part of the checkpoint and is not read", path.display())
        }));
        Ok(shards)
    }

    fn indexed(dir: &Path) -> Result<Option<Self>, LoadError> {
        let path = dir.join(INDEX);
        let Some(json) = optional_of(&path, MAX_INDEX)? else { return Ok(None) };
        let malformed =
            |source| LoadError::Config { path: path.clone(), source: ConfigError::Json(source) };
        let Index { weight_map } = serde_json::from_slice(&json).map_err(malformed)?;
        let names: BTreeSet<&String> = weight_map.values().collect();
        let mut paths = Vec::new();
        for name in names {
            // A name is a file's in this folder, and nothing else.
            let shard = dir.join(Path::new(name).file_name().unwrap_or_default());
            if !shard.is_file() {
                return Err(LoadError::Shard { path: shard, says: path.display().to_string() });
            }
            paths.push(shard);
        }
        Ok(Some(Self { paths, index: Some(weight_map), notes: Vec::new() }))
    }
}

/// Files of a kind in a folder.
fn files(dir: &Path, kind: &str) -> Result<Vec<PathBuf>, LoadError> {
    let io = |source| LoadError::Io { path: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|e| e == kind) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// All parts of a checkpoint whose files are `…-00001-of-00002.safetensors` and so on; `None` where
/// they are not.
fn numbered(files: &[PathBuf]) -> Result<Option<Vec<PathBuf>>, LoadError> {
    let parts = |path: &PathBuf| -> Option<(String, usize)> {
        let stem = path.file_stem()?.to_str()?;
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        number.parse::<usize>().ok()?;
        Some((stem.to_owned(), count.parse().ok()?))
    };
    let Some((stem, count)) = files.first().and_then(parts) else { return Ok(None) };
    if count > MAX_SHARDS
        || files.iter().any(|path| parts(path).as_ref() != Some(&(stem.clone(), count)))
    {
        return Ok(None);
    }
    let expected = (1..=count)
        .map(|part| files[0].with_file_name(format!("{stem}-{part:05}-of-{count:05}.safetensors")));
    let expected: Vec<PathBuf> = expected.collect();
    match expected.iter().find(|path| !files.contains(path)) {
        Some(path) => {
            Err(LoadError::Shard { path: path.clone(), says: files[0].display().to_string() })
        }
        None => Ok(Some(expected)),
    }
}

/// What is wrong with a folder that has no weights that are read.
fn nothing(dir: &Path) -> Result<LoadError, LoadError> {
    let (path, wanted) = (dir.to_owned(), "model.safetensors");
    let first = |kind: &str| -> Result<Option<String>, LoadError> {
        Ok(files(dir, kind)?.first().map(|path| path.display().to_string()))
    };
    let hint = match (first("gguf")?, first("bin")?.or(first("pt")?).or(first("pth")?)) {
        (Some(gguf), _) => format!("; to run {gguf}, name that file"),
        (None, Some(pickle)) => {
            format!("; {pickle} is a pickle, which runs code when it is read: convert it")
        }
        (None, None) => String::new(),
    };
    Ok(LoadError::Incomplete { path, wanted, hint })
}

fn beside(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn assemble(dir: &Path, shards: Shards) -> Result<Checkpoint, LoadError> {
    // The weights' headers first: a hostile file is refused before anything large is read.
    let files = Files::open(dir, &shards)?;
    let path = dir.join("config.json");
    let json = small(&path, MAX_JSON)?;
    let generation = optional(&dir.join("generation_config.json"))?;
    let config = Config::from_hub(&json, generation.as_deref())
        .map_err(|source| LoadError::Config { path, source })?;
    let tokenizer = words(dir, &config)?;
    Ok(Checkpoint { config, tokenizer, tensors: Box::new(files), notes: shards.notes })
}

fn words(dir: &Path, config: &Config) -> Result<Tokenizer, LoadError> {
    let path = dir.join("tokenizer.json");
    if !path.exists() {
        let old = ["tokenizer.model", "vocab.json", "tekken.json"];
        let hint =
            old.into_iter().find(|name| dir.join(name).exists()).map_or_else(String::new, |name| {
                format!(
                    "; {name} alone is not read: `AutoTokenizer.from_pretrained(folder)\
                     .save_pretrained(folder)` of transformers writes tokenizer.json"
                )
            });
        return Err(LoadError::Incomplete { path: dir.to_owned(), wanted: "tokenizer.json", hint });
    }
    let tokenizer = small(&path, MAX_TOKENIZER)?;
    let read = |name: &str| optional(&dir.join(name));
    let mut templates = Vec::new();
    if let Some(text) = read("chat_template.jinja")? {
        templates.push(("default".to_owned(), text));
    }
    let more = dir.join("additional_chat_templates");
    for path in if more.is_dir() { self::files(&more, "jinja")? } else { Vec::new() } {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        templates.push((name.unwrap_or_default(), small(&path, MAX_JSON)?));
    }
    let settings = optional_of(&dir.join("tokenizer_config.json"), MAX_SETTINGS)?;
    let (special, template_json) = (read("special_tokens_map.json")?, read("chat_template.json")?);
    let files = HubWords {
        tokenizer: &tokenizer,
        settings: settings.as_deref(),
        special: special.as_deref(),
        template_json: template_json.as_deref(),
        templates,
    };
    Tokenizer::from_json(files, config).map_err(|source| LoadError::Tokenizer { path, source })
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
            (path, Shards::of(path)?)
        } else {
            (beside(path), Shards::of_file(path)?)
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
    optional_of(path, MAX_JSON)
}

fn optional_of(path: &Path, bound: u64) -> Result<Option<Vec<u8>>, LoadError> {
    if path.exists() { small(path, bound).map(Some) } else { Ok(None) }
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
    let tensors = Box::new(Memory(tensors));
    Ok(Checkpoint { config, tokenizer, tensors, notes: Vec::new() })
}

/// The shipped tokenizer, for a model of `config`.
pub(super) fn tiny_tokenizer(config: &Config) -> Result<Tokenizer, LoadError> {
    const TOKENIZER: &[u8] = include_bytes!("../../../models/tiny/tokenizer.json");
    let files = HubWords { tokenizer: TOKENIZER, ..HubWords::default() };
    Tokenizer::from_json(files, config)
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
    fn left_over(&self, asked: &BTreeSet<String>) -> Option<String> {
        let mut names = self.0.names().into_iter();
        names.find(|name| !asked.contains(*name)).map(str::to_owned)
    }

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
    /// Tensors of a type or rank that is not read, and which it is: refused once they are asked for, or
    /// left over.
    odd: HashMap<String, String>,
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
    ) -> Result<Result<Place, String>, HeaderError> {
        let (start, end) = self.data_offsets;
        let available = file.saturating_sub(data);
        if start > end || end > available {
            return Err(HeaderError::Truncated { what: "a tensor", declared: end, available });
        }
        let Ok(dtype) = dtype(self.dtype) else {
            return Ok(Err(format!("{:?}", self.dtype)));
        };
        let Ok((rows, cols)) = matrix(name, &self.shape) else {
            return Ok(Err(format!("an array of {:?}", self.shape)));
        };
        let bits = self.dtype.bitsize() as u64;
        let size = (rows as u64).checked_mul(cols as u64).and_then(|n| n.checked_mul(bits / 8));
        if size != Some(end - start) {
            let shape = self.shape.clone();
            return Err(HeaderError::TensorShape { name: name.to_owned(), shape });
        }
        Ok(Ok(Place { source, offset: data + start, length: end - start, rows, cols, dtype }))
    }
}

impl Files {
    fn open(dir: &Path, shards: &Shards) -> Result<Self, LoadError> {
        let paths = &shards.paths;
        if paths.len() > MAX_SHARDS {
            return Err(LoadError::Header {
                path: dir.to_owned(),
                reason: HeaderError::Bound {
                    what: "shard files",
                    declared: paths.len() as u64,
                    bound: MAX_SHARDS as u64,
                },
            });
        }
        let mut files = Self::default();
        for path in paths {
            files.add(path, shards.index.as_ref())?;
        }
        let missing =
            |name: &&String| !files.tensors.contains_key(*name) && !files.odd.contains_key(*name);
        match shards.index.iter().flat_map(HashMap::keys).find(missing) {
            Some(name) => Err(LoadError::MissingTensor { name: name.clone() }),
            None => Ok(files),
        }
    }

    /// Takes in a file's tensors; of those that an index lists, only where it says that they are here.
    fn add(
        &mut self,
        path: &Path,
        index: Option<&HashMap<String, String>>,
    ) -> Result<(), LoadError> {
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
        let (number, file) = (self.sources.len(), path.file_name().unwrap_or_default());
        for (name, entry) in entries {
            let Entry::Tensor(info) = entry else { continue };
            let place = info
                .place(&name, number, data, source.length)
                .map_err(|reason| source.header(reason))?;
            if index.and_then(|index| index.get(&name)).is_some_and(|owner| **owner != *file) {
                continue;
            }
            match place {
                Ok(place) => drop(self.tensors.insert(name, place)),
                Err(stored) => drop(self.odd.insert(name, stored)),
            }
        }
        self.sources.push(source);
        Ok(())
    }
}

impl Files {
    fn place(&self, name: &str) -> Result<&Place, LoadError> {
        self.tensors.get(name).ok_or_else(|| match self.odd.get(name) {
            Some(stored) => {
                let (name, stored) = (name.to_owned(), stored.clone());
                LoadError::Stored {
                    name,
                    stored,
                    read: "read: matrices and vectors of F32, F16, BF16",
                }
            }
            None => LoadError::MissingTensor { name: name.to_owned() },
        })
    }
}

/// Ends of the names of tensors that hold nothing learned, which old checkpoints bring.
const BUFFERS: [&str; 2] = [".rotary_emb.inv_freq", ".attention.masked_bias"];

impl Tensors for Files {
    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name) || self.odd.contains_key(name)
    }

    fn left_over(&self, asked: &BTreeSet<String>) -> Option<String> {
        let is_buffer = |name: &str| BUFFERS.iter().any(|end| name.ends_with(end));
        let all = self.tensors.keys().chain(self.odd.keys());
        let mut names: Vec<&String> =
            all.filter(|name| !asked.contains(*name) && !is_buffer(name)).collect();
        names.sort_unstable();
        names.first().map(|name| (*name).clone())
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
