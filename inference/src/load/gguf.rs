//! GGUF v2/v3: metadata, tokenizer and tensors in one file.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{BufReader, Read, Seek, SeekFrom},
};

use candle_core::quantized::GgmlDType;

use super::{Checkpoint, HeaderError, LoadError, Source, Stored, StoredType, Tensors};
use crate::{
    NumericClass,
    config::{self, ConfigError, Family, Metadata, Scalar, read_metadata},
    tokenizer::{GgufWords, Tokenizer},
};

/// Most metadata entries; llama.cpp's converters write about 40.
const MAX_ENTRIES: u64 = 4096;

/// Most tensors; a 70B model has about 750.
const MAX_TENSORS: u64 = 16_384;

/// Longest key, name or string outside arrays, in bytes. Chat templates run to some 10 kB.
const MAX_STRING: u64 = 1 << 20;

/// Longest strings outside arrays, all together: a hostile header must not fill the memory.
const MAX_STRINGS: u64 = 16 << 20;

/// Most elements of all arrays together: stepping over more takes noticeable time.
const MAX_ELEMENTS: u64 = 1 << 22;

/// Most elements of an array we decode: 262 144 words is the largest vocabulary known to us, with
/// up to twice as many merges.
const MAX_ARRAY: u64 = 1 << 20;

/// Longest list of numbers among the keys of an architecture: one for each layer, or each pair of a head.
const MAX_LIST: u64 = 4096;

/// Most parts of a split file.
const MAX_PARTS: usize = 1024;

/// The type of a word that is nothing special.
const NORMAL_WORD: i64 = 1;

/// Tensors that hold divisors of rotary frequencies; the last holds those for contexts longer than the
/// one that is served.
const DIVISORS: [&str; 3] =
    ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"];

/// Keys about words, those that begin with `tokenizer.ggml.` without it.
const WORD_KEYS: [&str; 37] = [
    "model",
    "pre",
    "tokens",
    "scores",
    "merges",
    "token_type",
    "token_type_count",
    "added_tokens",
    "bos_token_id",
    "eos_token_id",
    "eot_token_id",
    "eom_token_id",
    "unknown_token_id",
    "padding_token_id",
    "seperator_token_id",
    "separator_token_id",
    "cls_token_id",
    "mask_token_id",
    "prefix_token_id",
    "suffix_token_id",
    "middle_token_id",
    "fim_pre_token_id",
    "fim_suf_token_id",
    "fim_mid_token_id",
    "fim_pad_token_id",
    "fim_rep_token_id",
    "fim_sep_token_id",
    "add_bos_token",
    "add_eos_token",
    "add_space_prefix",
    "remove_extra_whitespaces",
    "precompiled_charsmap",
    "bos_token",
    "eos_token",
    "tokenizer.huggingface.json",
    "tokenizer.chat_templates",
    "tokenizer.rwkv.world",
];

/// Where the data begins is rounded up to this many bytes unless the file says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// A metadata value. Arrays are remembered by place and read when asked for.
#[derive(Clone, Debug)]
enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Array { kind: u32, length: u64, offset: u64 },
}

impl Value {
    /// False, zero, and what is empty.
    fn says_nothing(&self) -> bool {
        match self {
            Self::Unsigned(number) => *number == 0,
            Self::Signed(number) => *number == 0,
            Self::Float(number) => *number == 0.0,
            Self::Bool(flag) => !flag,
            Self::Text(text) => text.is_empty(),
            Self::Array { length, .. } => *length == 0,
        }
    }
}

/// Where a tensor lies.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Which part of a split file.
    part: usize,
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Innermost first, as GGUF lists them.
    pub(super) shape: Vec<u64>,
    /// All dimensions but the innermost together.
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) dtype: StoredType,
}

/// What is wrong with a tensor that no place can be given to.
#[derive(Clone, Debug)]
enum Odd {
    Type(u32),
    Shape(Vec<u64>),
}

pub(super) fn open(source: Source) -> Result<Checkpoint, LoadError> {
    let mut header = Header::read(source)?;
    header.check_content()?;
    let mut sources = header.further_parts()?;
    let config::Read { config, notes } = header.config()?;
    let words = header.words()?;
    let path = header.source.path.clone();
    let tokenizer = Tokenizer::from_gguf(words, &config)
        .map_err(|source| LoadError::Tokenizer { path, source })?;
    sources.insert(0, header.source);
    let tensors = GgufTensors {
        sources,
        places: header.places,
        odd: header.odd,
        family: config.family,
        head_dim: config.head_dim,
        rotated: config.parts.rotated,
    };
    Ok(Checkpoint { config, tokenizer, tensors: Box::new(tensors), notes })
}

/// A file's directory: what it says of itself, and where its tensors lie.
pub(super) struct Header {
    pub(super) source: Source,
    metadata: HashMap<String, Value>,
    pub(super) places: HashMap<String, Place>,
    odd: HashMap<String, Odd>,
    /// Metadata entries.
    pub(super) entries: u64,
    /// Where the metadata's bytes lie.
    extent: std::ops::Range<u64>,
    /// Where the value of `general.file_type` lies.
    file_type: Option<u64>,
}

impl Header {
    pub(super) fn read(source: Source) -> Result<Self, LoadError> {
        let mut reader = Reader::new(source, 0)?;
        let magic = reader.bytes::<4>()?;
        let version = reader.u32()?;
        let reason = match (magic == *b"GGUF", version, version.swap_bytes()) {
            (true, 2..=3, _) => None,
            (true, _, 1..=3) => Some(HeaderError::BigEndian),
            (true, ..) => Some(HeaderError::Version(version)),
            (false, ..) => Some(HeaderError::Magic("GGUF")),
        };
        if let Some(reason) = reason {
            return Err(reader.error(reason));
        }
        // A tensor entry takes at least 24 bytes, a metadata entry 13.
        let tensors = reader.count("tensors", MAX_TENSORS, 24)?;
        let entries = reader.count("metadata entries", MAX_ENTRIES, 13)?;
        let (mut metadata, mut file_type, start) = (HashMap::new(), None, reader.position);
        for _ in 0..entries {
            let key = reader.text()?;
            let kind = reader.u32()?;
            if key == "general.file_type" && kind == KIND_U32 {
                file_type = Some(reader.position);
            }
            let value = reader.value(kind)?;
            metadata.insert(key, value);
        }
        let extent = start..reader.position;
        let mut infos = Vec::new();
        for _ in 0..tensors {
            infos.push(reader.tensor()?);
        }
        let alignment = match metadata.get("general.alignment") {
            Some(Value::Unsigned(a)) if a.is_power_of_two() && *a <= 1 << 20 => *a,
            _ => DEFAULT_ALIGNMENT,
        };
        let data = reader.position.next_multiple_of(alignment);
        let source = reader.into_source();
        let (mut places, mut odd) = (HashMap::new(), HashMap::new());
        for (name, place) in infos {
            let mut place = match place {
                Ok(place) => place,
                // Refused once it is asked for, or left over: the architecture is judged first.
                Err(reason) => {
                    odd.insert(name, reason);
                    continue;
                }
            };
            let end = place.offset.checked_add(place.length).and_then(|end| end.checked_add(data));
            if end.is_none_or(|end| end > source.length) {
                return Err(source.header(HeaderError::Truncated {
                    what: "a tensor",
                    declared: place.length,
                    available: source.length.saturating_sub(data).saturating_sub(place.offset),
                }));
            }
            place.offset += data;
            places.insert(name, place);
        }
        Ok(Self { source, metadata, places, odd, entries, extent, file_type })
    }

    /// The metadata as it lies in the file, but for the main type of its tensors.
    pub(super) fn raw_metadata(&mut self, file_type: u32) -> Result<Vec<u8>, LoadError> {
        let Self { extent, .. } = self;
        let (start, length) = (extent.start, extent.end - extent.start);
        let mut bytes = self.source.bytes("metadata", start, length)?;
        if let Some(place) = self.file_type.and_then(|at| usize::try_from(at - start).ok()) {
            bytes[place..place + 4].copy_from_slice(&file_type.to_le_bytes());
        }
        Ok(bytes)
    }

    fn unusable(&self) -> impl FnOnce(ConfigError) -> LoadError {
        let path = self.source.path.clone();
        |source| LoadError::Config { path, source }
    }

    /// Refuses a file of something else than a whole model.
    fn check_content(&self) -> Result<(), LoadError> {
        match self.text("general.type") {
            Ok("model") | Err(_) => Ok(()),
            Ok(other) => Err(self.source.header(HeaderError::Content(other.to_owned()))),
        }
    }

    /// The shape. Reads the small tensors that shape it.
    pub(super) fn config(&mut self) -> Result<config::Read, LoadError> {
        let metadata = self.shape()?;
        read_metadata(&metadata).map_err(self.unusable())
    }

    fn shape(&mut self) -> Result<Metadata, LoadError> {
        let architecture = self.text("general.architecture").map_err(self.unusable())?.to_owned();
        let prefix = format!("{architecture}.");
        let own = self.metadata.iter().filter_map(|(key, value)| {
            Some((key.strip_prefix(&prefix)?.to_owned(), value.clone()))
        });
        let own: Vec<(String, Value)> = own.collect();
        let mut entries = BTreeMap::new();
        for (name, value) in own {
            entries.insert(name, self.number_of(value)?);
        }
        let mut divisors = BTreeMap::new();
        for name in DIVISORS {
            if let Some(place) = self.places.get(name).cloned() {
                divisors.insert(name.to_owned(), self.divisors(name, &place)?);
            }
        }
        let outside = |name: &&String| !name.starts_with("blk.") || name.starts_with("blk.0.");
        Ok(Metadata {
            architecture,
            entries,
            divisors,
            tensors: self.places.keys().filter(outside).cloned().collect(),
            vocab: self.places.get("token_embd.weight").map_or(0, |place| place.rows),
            eos: self.token("eos"),
        })
    }

    fn number_of(&mut self, value: Value) -> Result<Scalar, LoadError> {
        #[expect(clippy::cast_precision_loss, reason = "sizes stay below 2⁵³")]
        Ok(match value {
            Value::Unsigned(number) => Scalar::Number(number as f64),
            Value::Signed(number) => Scalar::Number(number as f64),
            Value::Float(number) => Scalar::Number(number),
            Value::Bool(flag) => Scalar::Bool(flag),
            Value::Text(text) => Scalar::Text(text),
            Value::Array { length, .. } if length > MAX_LIST => Scalar::List(None),
            Value::Array { kind: KIND_STRING | KIND_ARRAY, .. } => Scalar::List(None),
            Value::Array { kind, length, offset } => {
                Scalar::List(Some(self.decode(length, offset, |reader| reader.number(kind))?))
            }
        })
    }

    /// Divisors of rotary frequencies.
    fn divisors(&mut self, name: &str, place: &Place) -> Result<Vec<f64>, LoadError> {
        if place.dtype != StoredType::F32 || place.rows != 1 || place.cols as u64 > MAX_LIST {
            let reason =
                HeaderError::TensorShape { name: name.to_owned(), shape: place.shape.clone() };
            return Err(self.source.header(reason));
        }
        let bytes = self.source.bytes("a tensor", place.offset, place.length)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect())
    }

    /// Opens the other parts of a split file, and takes their tensors in.
    fn further_parts(&mut self) -> Result<Vec<Source>, LoadError> {
        let count = self.size("split.count").unwrap_or(1);
        if count <= 1 {
            return Ok(Vec::new());
        }
        let own = self.size("split.no").unwrap_or(0);
        let path = self.source.path.clone();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let numbered = |part: usize| format!("-{:05}-of-{count:05}.gguf", part + 1);
        let stem = name.as_deref().and_then(|name| name.strip_suffix(&numbered(own)));
        let Some(stem) = stem.filter(|_| count <= MAX_PARTS) else {
            let says = format!("{} says it is part {} of {count}", path.display(), own + 1);
            let path = path.with_file_name(format!("…{}", numbered(usize::from(own == 0))));
            return Err(LoadError::Shard { path, says });
        };
        let part_path = |part: usize| path.with_file_name(format!("{stem}{}", numbered(part)));
        if own != 0 {
            let first = part_path(0);
            return Err(LoadError::Part { path: path.clone(), part: own + 1, of: count, first });
        }
        let mut sources = Vec::new();
        for part in 1..count {
            let part_path = part_path(part);
            if !part_path.exists() {
                return Err(LoadError::Shard { path: part_path, says: path.display().to_string() });
            }
            let mut further = Self::read(Source::open(&part_path)?)?;
            further.places.values_mut().for_each(|place| place.part = part);
            self.places.extend(further.places);
            self.odd.extend(further.odd);
            sources.push(further.source);
        }
        Ok(sources)
    }

    /// Refuses a tensor of a type that is not read.
    pub(super) fn check_types(&self) -> Result<(), LoadError> {
        self.odd.iter().next().map_or(Ok(()), |(name, odd)| Err(odd.refused(name)))
    }

    /// True where the file is one part of several.
    pub(super) fn is_split(&self) -> bool {
        self.size("split.count").is_ok_and(|count| count > 1)
    }

    fn words(&mut self) -> Result<GgufWords, LoadError> {
        let prefix = "tokenizer.";
        let known = |key: &str| {
            let name = key.strip_prefix("tokenizer.ggml.").unwrap_or(key);
            WORD_KEYS.contains(&name) || key.starts_with("tokenizer.chat_template")
        };
        let strange = self
            .metadata
            .iter()
            .find(|(key, value)| key.starts_with(prefix) && !known(key) && !value.says_nothing());
        if let Some((key, _)) = strange {
            return Err(self.source.header(HeaderError::Key { key: key.clone() }));
        }
        let has_merges = self.metadata.contains_key("tokenizer.ggml.merges");
        let tokens = self.strings("tokenizer.ggml.tokens")?;
        let merges = self.strings("tokenizer.ggml.merges")?;
        let mut kinds = self.integers("tokenizer.ggml.token_type")?;
        if kinds.is_empty() {
            kinds = vec![NORMAL_WORD; tokens.len()];
        }
        let scores = self.scores()?;
        let text = |key: &str| self.text(key).ok().map(str::to_owned);
        let flag = |name: &str| match self.metadata.get(&format!("tokenizer.ggml.{name}")) {
            Some(Value::Bool(flag)) => Some(*flag),
            _ => None,
        };
        let templates = self.metadata.iter().filter_map(|(key, value)| {
            let name = key.strip_prefix("tokenizer.chat_template")?;
            let name = if name.is_empty() { "default" } else { name.strip_prefix('.')? };
            let Value::Text(text) = value else { return None };
            Some((name.to_owned(), text.clone()))
        });
        Ok(GgufWords {
            model: text("tokenizer.ggml.model").unwrap_or_default(),
            pre: text("tokenizer.ggml.pre"),
            templates: templates.collect(),
            bos: self.token("bos"),
            eos: self.token("eos"),
            unknown: self.token("unknown"),
            padding: self.token("padding"),
            ends: ["eot", "eom"].into_iter().filter_map(|name| self.token(name)).collect(),
            add_bos: flag("add_bos_token"),
            add_eos: flag("add_eos_token"),
            space_prefix: flag("add_space_prefix"),
            squeezes_blanks: flag("remove_extra_whitespaces") == Some(true),
            normalises: self
                .metadata
                .get("tokenizer.ggml.precompiled_charsmap")
                .is_some_and(|value| !value.says_nothing()),
            name: text("general.name").unwrap_or_default(),
            tokens,
            merges: has_merges.then_some(merges),
            scores,
            kinds,
        })
    }

    fn scores(&mut self) -> Result<Vec<f32>, LoadError> {
        let Some((kind, length, offset)) = self.array("tokenizer.ggml.scores") else {
            return Ok(Vec::new());
        };
        #[expect(clippy::cast_possible_truncation, reason = "scores are stored as f32")]
        self.decode(length, offset, |reader| reader.number(kind).map(|score| score as f32))
    }

    fn token(&self, name: &str) -> Option<u32> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        self.size(&key).ok().and_then(|id| u32::try_from(id).ok())
    }

    fn text(&self, key: &str) -> Result<&str, ConfigError> {
        match self.metadata.get(key) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(ConfigError::Key(key.to_owned())),
        }
    }

    fn size(&self, key: &str) -> Result<usize, ConfigError> {
        let size = match self.metadata.get(key) {
            Some(Value::Unsigned(value)) => usize::try_from(*value).ok(),
            Some(Value::Signed(value)) => usize::try_from(*value).ok(),
            _ => None,
        };
        size.ok_or_else(|| ConfigError::Key(key.to_owned()))
    }

    fn array(&mut self, key: &str) -> Option<(u32, u64, u64)> {
        match self.metadata.get(key) {
            Some(Value::Array { kind, length, offset }) => Some((*kind, *length, *offset)),
            _ => None,
        }
    }

    /// An array of strings; empty where the key is absent.
    fn strings(&mut self, key: &str) -> Result<Vec<String>, LoadError> {
        let Some((kind, length, offset)) = self.array(key) else { return Ok(Vec::new()) };
        self.decode(length, offset, |reader| match kind {
            KIND_STRING => reader.text(),
            other => Err(reader.error(HeaderError::Type { what: "array", code: other })),
        })
    }

    /// An array of small integers; empty where the key is absent.
    fn integers(&mut self, key: &str) -> Result<Vec<i64>, LoadError> {
        let Some((kind, length, offset)) = self.array(key) else { return Ok(Vec::new()) };
        self.decode(length, offset, |reader| match reader.value(kind)? {
            Value::Signed(value) => Ok(value),
            Value::Unsigned(value) => Ok(i64::try_from(value).unwrap_or(i64::MAX)),
            _ => Err(reader.error(HeaderError::Type { what: "array", code: kind })),
        })
    }

    fn decode<T>(
        &mut self,
        length: u64,
        offset: u64,
        mut element: impl FnMut(&mut Reader) -> Result<T, LoadError>,
    ) -> Result<Vec<T>, LoadError> {
        if length > MAX_ARRAY {
            let bound = MAX_ARRAY;
            let reason = HeaderError::Bound { what: "array length", declared: length, bound };
            return Err(self.source.header(reason));
        }
        let again = Source::open(&self.source.path)?;
        let mut reader = Reader::new(again, offset)?;
        (0..length).map(|_| element(&mut reader)).collect()
    }
}

const KIND_U32: u32 = 4;
const KIND_STRING: u32 = 8;
const KIND_ARRAY: u32 = 9;

/// Bytes of a scalar of a GGUF value kind; at least as many for a string or an array.
const fn least_size(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        KIND_STRING | 10..=12 => Some(8),
        KIND_ARRAY => Some(12),
        _ => None,
    }
}

/// Reads forward, never past the file's end.
struct Reader {
    path: std::path::PathBuf,
    file: BufReader<std::fs::File>,
    position: u64,
    length: u64,
    /// Bytes of strings kept, and elements of arrays stepped over, so far.
    strings: u64,
    elements: u64,
}

impl Reader {
    fn new(source: Source, offset: u64) -> Result<Self, LoadError> {
        let Source { path, file, length } = source;
        let mut file = BufReader::new(file);
        file.seek(SeekFrom::Start(offset))
            .map_err(|source| LoadError::Io { path: path.clone(), source })?;
        Ok(Self { path, file, position: offset, length, strings: 0, elements: 0 })
    }

    fn into_source(self) -> Source {
        Source { path: self.path, file: self.file.into_inner(), length: self.length }
    }

    fn error(&self, reason: HeaderError) -> LoadError {
        LoadError::Header { path: self.path.clone(), reason }
    }

    fn claim(&mut self, what: &'static str, bytes: u64) -> Result<(), LoadError> {
        let available = self.length.saturating_sub(self.position);
        if bytes > available {
            return Err(self.error(HeaderError::Truncated { what, declared: bytes, available }));
        }
        self.position += bytes;
        Ok(())
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<(), LoadError> {
        self.claim("a field", out.len() as u64)?;
        self.file
            .read_exact(out)
            .map_err(|source| LoadError::Io { path: self.path.clone(), source })
    }

    fn skip(&mut self, what: &'static str, bytes: u64) -> Result<(), LoadError> {
        self.claim(what, bytes)?;
        let offset = i64::try_from(bytes).map_err(|_| self.error(HeaderError::Utf8))?;
        self.file
            .seek_relative(offset)
            .map_err(|source| LoadError::Io { path: self.path.clone(), source })
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, LoadError> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, LoadError> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A count whose elements take at least `least` bytes each.
    fn count(&mut self, what: &'static str, bound: u64, least: u64) -> Result<u64, LoadError> {
        let declared = self.u64()?;
        if declared > bound {
            return Err(self.error(HeaderError::Bound { what, declared, bound }));
        }
        let available = self.length.saturating_sub(self.position);
        if declared * least > available {
            return Err(self.error(HeaderError::Truncated {
                what,
                declared: declared * least,
                available,
            }));
        }
        Ok(declared)
    }

    fn text(&mut self) -> Result<String, LoadError> {
        let length = self.count("a string", MAX_STRING, 1)?;
        self.strings += length;
        if self.strings > MAX_STRINGS {
            let (what, declared, bound) = ("strings in all", self.strings, MAX_STRINGS);
            return Err(self.error(HeaderError::Bound { what, declared, bound }));
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_STRING")]
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| self.error(HeaderError::Utf8))
    }

    /// A number, or a truth as 0 or 1.
    fn number(&mut self, kind: u32) -> Result<f64, LoadError> {
        #[expect(clippy::cast_precision_loss, reason = "sizes stay below 2⁵³")]
        Ok(match self.value(kind)? {
            Value::Unsigned(number) => number as f64,
            Value::Signed(number) => number as f64,
            Value::Float(number) => number,
            Value::Bool(flag) => u8::from(flag).into(),
            _ => return Err(self.error(HeaderError::Type { what: "array", code: kind })),
        })
    }

    fn value(&mut self, kind: u32) -> Result<Value, LoadError> {
        Ok(match kind {
            0 => Value::Unsigned(self.bytes::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.bytes()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.bytes()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes()?).into()),
            7 => Value::Bool(self.bytes::<1>()?[0] != 0),
            KIND_STRING => Value::Text(self.text()?),
            KIND_ARRAY => self.array()?,
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            code => return Err(self.error(HeaderError::Type { what: "value", code })),
        })
    }

    /// Remembers an array's place and steps over it.
    fn array(&mut self) -> Result<Value, LoadError> {
        let kind = self.u32()?;
        let least = match least_size(kind) {
            Some(size) if kind != KIND_ARRAY => size,
            _ => return Err(self.error(HeaderError::Type { what: "array", code: kind })),
        };
        let length = self.count("an array", MAX_ELEMENTS, least)?;
        self.elements += length;
        if self.elements > MAX_ELEMENTS {
            let (what, declared, bound) = ("array elements in all", self.elements, MAX_ELEMENTS);
            return Err(self.error(HeaderError::Bound { what, declared, bound }));
        }
        let offset = self.position;
        if kind == KIND_STRING {
            for _ in 0..length {
                let bytes = self.count("a string", MAX_STRING, 1)?;
                self.skip("a string", bytes)?;
            }
        } else {
            self.skip("an array", length * least)?;
        }
        Ok(Value::Array { kind, length, offset })
    }

    fn tensor(&mut self) -> Result<(String, Result<Place, Odd>), LoadError> {
        let name = self.text()?;
        let dimensions = self.u32()?;
        if dimensions > 4 {
            let reason = HeaderError::Bound {
                what: "tensor dimensions",
                declared: dimensions.into(),
                bound: 4,
            };
            return Err(self.error(reason));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.u64()?);
        }
        let code = self.u32()?;
        let offset = self.u64()?;
        let Some(dtype) = stored_type(code) else { return Ok((name, Err(Odd::Type(code)))) };
        let Some((rows, cols, length)) = extent(&shape, dtype) else {
            return Ok((name, Err(Odd::Shape(shape))));
        };
        Ok((name, Ok(Place { part: 0, offset, length, shape, rows, cols, dtype })))
    }
}

/// Rows, columns and bytes of a tensor (innermost dimension first, as GGUF lists them); all dimensions
/// but the innermost make rows.
fn extent(shape: &[u64], dtype: StoredType) -> Option<(usize, usize, u64)> {
    let (&cols, outer) = shape.split_first()?;
    let rows = outer.iter().try_fold(1_u64, |rows, &size| rows.checked_mul(size))?;
    let (block, bytes) = match dtype {
        StoredType::F32 => (1, 4),
        StoredType::F16 | StoredType::Bf16 => (1, 2),
        StoredType::Blocks(dtype) => (dtype.block_size() as u64, dtype.type_size() as u64),
    };
    if cols == 0 || rows == 0 || cols % block != 0 {
        return None;
    }
    let length = (cols / block).checked_mul(bytes)?.checked_mul(rows)?;
    Some((usize::try_from(rows).ok()?, usize::try_from(cols).ok()?, length))
}

const fn stored_type(code: u32) -> Option<StoredType> {
    Some(match code {
        0 => StoredType::F32,
        1 => StoredType::F16,
        2 => StoredType::Blocks(GgmlDType::Q4_0),
        3 => StoredType::Blocks(GgmlDType::Q4_1),
        6 => StoredType::Blocks(GgmlDType::Q5_0),
        7 => StoredType::Blocks(GgmlDType::Q5_1),
        8 => StoredType::Blocks(GgmlDType::Q8_0),
        10 => StoredType::Blocks(GgmlDType::Q2K),
        11 => StoredType::Blocks(GgmlDType::Q3K),
        12 => StoredType::Blocks(GgmlDType::Q4K),
        13 => StoredType::Blocks(GgmlDType::Q5K),
        14 => StoredType::Blocks(GgmlDType::Q6K),
        30 => StoredType::Bf16,
        _ => return None,
    })
}

/// GGML's name of a type that is not read.
fn type_name(code: u32) -> String {
    let name = match code {
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        40 => "NVFP4",
        code => return format!("GGML type {code}"),
    };
    name.to_owned()
}

/// What GGUF files may hold.
const READ_TYPES: &str = "read: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K";

struct GgufTensors {
    /// The file, or its parts in order.
    sources: Vec<Source>,
    places: HashMap<String, Place>,
    odd: HashMap<String, Odd>,
    family: Family,
    head_dim: usize,
    /// Elements of a head that are rotated.
    rotated: usize,
}

/// A tensor in the file, or an expert's part of one.
struct Found<'a> {
    name: String,
    place: &'a Place,
    /// Which of the outermost slices.
    expert: Option<usize>,
}

impl Found<'_> {
    fn experts(&self) -> usize {
        self.place.shape.get(2).and_then(|count| usize::try_from(*count).ok()).unwrap_or(1)
    }

    fn rows(&self) -> usize {
        if self.expert.is_some() { self.place.rows / self.experts() } else { self.place.rows }
    }
}

impl GgufTensors {
    fn find(&self, name: &str) -> Option<Found<'_>> {
        gguf_names(self.family, name).into_iter().find_map(|(name, expert)| {
            let place = self.places.get(&name)?;
            Some(Found { name, place, expert })
        })
    }

    fn needs(&self, name: &str) -> Result<Found<'_>, LoadError> {
        let Some(found) = self.find(name) else {
            let names = gguf_names(self.family, name);
            let odd = names.iter().find_map(|(name, _)| Some((name, self.odd.get(name)?)));
            return Err(match odd {
                Some((name, odd)) => odd.refused(name),
                None => LoadError::MissingTensor { name: name.to_owned() },
            });
        };
        let flat = found.place.shape.len() <= 2;
        let fits = match found.expert {
            None => flat,
            Some(expert) => found.place.shape.len() == 3 && expert < found.experts(),
        };
        if fits {
            Ok(found)
        } else {
            Err(Odd::Shape(found.place.shape.clone()).refused(&found.name))
        }
    }
}

impl Odd {
    fn refused(&self, name: &str) -> LoadError {
        let stored = match self {
            Self::Type(code) => type_name(*code),
            Self::Shape(shape) => format!("an array of {shape:?}"),
        };
        LoadError::Stored { name: name.to_owned(), stored, read: READ_TYPES }
    }
}

impl Tensors for GgufTensors {
    fn has(&self, name: &str) -> bool {
        let names = gguf_names(self.family, name);
        names.iter().any(|(name, _)| self.places.contains_key(name) || self.odd.contains_key(name))
    }

    /// By the type of the first layer's largest matrix. Types without a class of their own run in the
    /// class that holds them without loss.
    fn native_class(&self) -> NumericClass {
        let names =
            ["blk.0.ffn_down.weight", "blk.0.ffn_down_exps.weight", "blk.0.ffn_down.0.weight"];
        let place = names.into_iter().find_map(|name| self.places.get(name));
        match place.map(|place| place.dtype) {
            Some(StoredType::Blocks(GgmlDType::Q8_0)) => NumericClass::Q8_0Block32,
            Some(StoredType::Blocks(GgmlDType::Q4_1)) => NumericClass::Q4_1Block32,
            Some(StoredType::Blocks(GgmlDType::Q4_0)) => NumericClass::Q4_0Block32,
            _ => NumericClass::F32,
        }
    }

    fn holds_norms_whole(&self) -> bool {
        true
    }

    fn left_over(&self, asked: &BTreeSet<String>) -> Option<String> {
        let mut read: HashMap<&str, usize> = HashMap::new();
        for name in asked {
            let names = gguf_names(self.family, name).into_iter();
            for (name, _) in names {
                if let Some((name, _)) = self.places.get_key_value(&name) {
                    *read.entry(name).or_default() += 1;
                }
            }
        }
        let is_whole = |name: &str, place: &Place| match place.shape.get(2) {
            Some(&experts) => read.get(name).is_some_and(|&count| count as u64 >= experts),
            None => read.contains_key(name),
        };
        let mut names: Vec<&String> = self
            .places
            .iter()
            .filter(|(name, place)| !is_whole(name, place) && !DIVISORS.contains(&name.as_str()))
            .map(|(name, _)| name)
            .chain(self.odd.keys())
            .collect();
        names.sort_unstable();
        names.first().map(|name| (*name).clone())
    }

    fn shape(&self, name: &str) -> Result<(usize, usize), LoadError> {
        self.needs(name).map(|found| (found.rows(), found.place.cols))
    }

    fn read(&mut self, name: &str) -> Result<Stored, LoadError> {
        let found = self.needs(name)?;
        let (rows, count) = (found.rows(), found.place.rows as u64);
        let Place { part, offset, length, cols, dtype, .. } = *found.place;
        let length = length / count * rows as u64;
        let offset = offset + found.expert.unwrap_or(0) as u64 * length;
        let bytes = self.sources[part].bytes("a tensor", offset, length)?;
        Ok(Stored { rows, cols, dtype, bytes: self.halved(name, bytes, rows, cols) })
    }
}

impl GgufTensors {
    /// Rows of queries and keys in the order of checkpoints.
    fn halved(&self, name: &str, bytes: Vec<u8>, rows: usize, cols: usize) -> Vec<u8> {
        let turns = |kind: &str| {
            name.ends_with(&format!("q_proj.{kind}")) || name.ends_with(&format!("k_proj.{kind}"))
        };
        let rows = match (self.family.is_interleaved(), turns("weight"), turns("bias")) {
            (true, true, _) => rows,
            (true, _, true) => cols,
            _ => return bytes,
        };
        if rows.is_multiple_of(self.head_dim) {
            halves(&bytes, rows, self.head_dim, self.rotated)
        } else {
            bytes
        }
    }
}

/// Undoes the converter's interleaving: rows `(2j, 2j+1)` of a head's rotated part go to
/// `(j, rotated/2 + j)`.
fn halves(bytes: &[u8], rows: usize, head_dim: usize, rotated: usize) -> Vec<u8> {
    let stride = bytes.len() / rows;
    let mut out = Vec::with_capacity(bytes.len());
    for row in 0..rows {
        let (head, within) = (row / head_dim, row % head_dim);
        let (half, pair) = (within / (rotated / 2), within % (rotated / 2));
        let place = if within < rotated { pair * 2 + half } else { within };
        out.extend_from_slice(&bytes[(head * head_dim + place) * stride..][..stride]);
    }
    out
}

/// The names that a GGUF file may have for a canonical name, and of which expert it holds the tensor
/// where it holds those of all.
fn gguf_names(family: Family, name: &str) -> Vec<(String, Option<usize>)> {
    let whole = |name: &str| vec![(name.to_owned(), None)];
    match name {
        "model.embed_tokens.weight" => return whole("token_embd.weight"),
        "model.norm.weight" => return whole("output_norm.weight"),
        "lm_head.weight" => return whole("output.weight"),
        _ => {}
    }
    layer_names(family, name).unwrap_or_default()
}

fn layer_names(family: Family, name: &str) -> Option<Vec<(String, Option<usize>)>> {
    let (layer, part) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (module, kind) = part.rsplit_once('.')?;
    let names = family.layer_names();
    let experts = family.expert_names();
    let is = |norm: Option<&str>| norm == Some(module);
    if let Some(path) = module.strip_prefix(experts.module)
        && let Some((expert, part)) = path.strip_prefix(".experts.").and_then(|p| p.split_once('.'))
    {
        let expert: usize = expert.parse().ok()?;
        let part = match part {
            part if part == experts.gate => "ffn_gate",
            part if part == experts.up => "ffn_up",
            part if part == experts.down => "ffn_down",
            _ => return None,
        };
        let stacked = (format!("blk.{layer}.{part}_exps.{kind}"), Some(expert));
        return Some(vec![stacked, (format!("blk.{layer}.{part}.{expert}.{kind}"), None)]);
    }
    let router = format!("{}.{}", experts.module, experts.router);
    let module = match module {
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.qkv_proj" => "attn_qkv",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" | "mlp.gate_up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        module if module == router => "ffn_gate_inp",
        _ if is(names.before_attention) => "attn_norm",
        _ if is(names.after_attention) => "post_attention_norm",
        _ if is(names.before_ffn) => "ffn_norm",
        _ if is(names.after_ffn) => "post_ffw_norm",
        _ => return None,
    };
    Some(vec![(format!("blk.{layer}.{module}.{kind}"), None)])
}
