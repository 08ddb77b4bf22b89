//! GGUF v2/v3: metadata, tokenizer and tensors in one file.

use std::{
    collections::HashMap,
    io::{BufReader, Read, Seek, SeekFrom},
};

use candle_core::quantized::GgmlDType;

use super::{Checkpoint, HeaderError, LoadError, Source, Stored, StoredType, Tensors};
use crate::{
    NumericClass,
    config::{Config, ConfigError, Family},
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

#[derive(Debug)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) dtype: StoredType,
}

pub(super) fn open(source: Source) -> Result<Checkpoint, LoadError> {
    let mut header = Header::read(source)?;
    let config = header.config()?;
    let words = header.words()?;
    let path = header.source.path.clone();
    let tokenizer = Tokenizer::from_gguf(words, &config)
        .map_err(|source| LoadError::Tokenizer { path, source })?;
    let permuted = config.family == Family::Llama;
    let head_dim = config.head_dim;
    let tensors = GgufTensors { source: header.source, places: header.places, permuted, head_dim };
    Ok(Checkpoint { config, tokenizer, tensors: Box::new(tensors) })
}

/// A file's directory: what it says of itself, and where its tensors lie.
pub(super) struct Header {
    pub(super) source: Source,
    metadata: HashMap<String, Value>,
    pub(super) places: HashMap<String, Place>,
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
        if magic != *b"GGUF" || !(2..=3).contains(&version) {
            return Err(reader.error(HeaderError::Magic("GGUF v2 or v3")));
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
        let mut places = HashMap::new();
        for (name, mut place) in infos {
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
        Ok(Self { source, metadata, places, entries, extent, file_type })
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

    pub(super) fn config(&self) -> Result<Config, LoadError> {
        let path = || self.source.path.clone();
        self.read_config().map_err(|source| LoadError::Config { path: path(), source })
    }

    fn read_config(&self) -> Result<Config, ConfigError> {
        let architecture = self.text("general.architecture")?;
        let family = match architecture {
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            other => return Err(ConfigError::Architecture(other.to_owned())),
        };
        let key = |name: &str| format!("{architecture}.{name}");
        if let Ok(scaling) = self.text(&key("rope.scaling.type"))
            && scaling != "none"
        {
            return Err(ConfigError::RopeScaling(scaling.to_owned()));
        }
        let width = self.size(&key("embedding_length"))?;
        let heads = self.size(&key("attention.head_count"))?;
        let kv_heads = self.size(&key("attention.head_count_kv")).unwrap_or(heads);
        let head_dim =
            self.size(&key("attention.key_length")).unwrap_or_else(|_| width / heads.max(1));
        #[expect(clippy::cast_possible_truncation, reason = "the file stores an f32")]
        let norm_eps = self.number(&key("attention.layer_norm_rms_epsilon"))? as f32;
        Config::new(Config {
            family,
            width,
            layers: self.size(&key("block_count"))?,
            heads,
            kv_heads,
            head_dim,
            ffn: self.size(&key("feed_forward_length"))?,
            vocab: self.places.get("token_embd.weight").map_or(0, |place| place.rows),
            context: self.size(&key("context_length"))?,
            rope_theta: self.number(&key("rope.freq_base")).unwrap_or(10_000.0),
            rope_scaling: None,
            norm_eps,
            eos: self.token("eos").into_iter().collect(),
        })
    }

    fn words(&mut self) -> Result<GgufWords, LoadError> {
        let tokens = self.strings("tokenizer.ggml.tokens")?;
        let merges = self.strings("tokenizer.ggml.merges")?;
        let kinds = self.integers("tokenizer.ggml.token_type")?;
        let text = |key: &str| self.text(key).ok().map(str::to_owned);
        Ok(GgufWords {
            model: text("tokenizer.ggml.model").unwrap_or_default(),
            pre: text("tokenizer.ggml.pre").unwrap_or_default(),
            chat_template: text("tokenizer.chat_template"),
            bos: self.token("bos"),
            add_bos: matches!(
                self.metadata.get("tokenizer.ggml.add_bos_token"),
                Some(Value::Bool(true))
            ),
            tokens,
            merges,
            kinds,
        })
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

    fn number(&self, key: &str) -> Result<f64, ConfigError> {
        match self.metadata.get(key) {
            Some(Value::Float(value)) => Ok(*value),
            _ => Err(ConfigError::Key(key.to_owned())),
        }
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

    fn tensor(&mut self) -> Result<(String, Place), LoadError> {
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
        let dtype = stored_type(code)
            .ok_or_else(|| self.error(HeaderError::Type { what: "tensor", code }))?;
        let size = extent(&shape, dtype);
        let (rows, cols, length) =
            size.ok_or_else(|| self.error(HeaderError::TensorShape { name: name.clone(), shape }))?;
        Ok((name, Place { offset, length, rows, cols, dtype }))
    }
}

/// Rows, columns and bytes of a tensor of one or two dimensions (innermost first, as GGUF lists them).
fn extent(shape: &[u64], dtype: StoredType) -> Option<(usize, usize, u64)> {
    let (cols, rows) = match *shape {
        [cols] => (cols, 1),
        [cols, rows] => (cols, rows),
        _ => return None,
    };
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

struct GgufTensors {
    source: Source,
    places: HashMap<String, Place>,
    /// Query and key rows lie in pairs, for a rotation of neighbours.
    permuted: bool,
    head_dim: usize,
}

impl GgufTensors {
    fn place(&self, name: &str) -> Result<&Place, LoadError> {
        let place = gguf_name(name).and_then(|name| self.places.get(&name));
        place.ok_or_else(|| LoadError::MissingTensor { name: name.to_owned() })
    }
}

impl Tensors for GgufTensors {
    fn has(&self, name: &str) -> bool {
        gguf_name(name).is_some_and(|name| self.places.contains_key(&name))
    }

    /// By the type of the first layer's largest matrix. Types without a class of their own run in the
    /// class that holds them without loss.
    fn native_class(&self) -> NumericClass {
        match self.places.get("blk.0.ffn_down.weight").map(|place| place.dtype) {
            Some(StoredType::Blocks(GgmlDType::Q8_0)) => NumericClass::Q8_0Block32,
            Some(StoredType::Blocks(GgmlDType::Q4_1)) => NumericClass::Q4_1Block32,
            Some(StoredType::Blocks(GgmlDType::Q4_0)) => NumericClass::Q4_0Block32,
            _ => NumericClass::F32,
        }
    }

    fn shape(&self, name: &str) -> Result<(usize, usize), LoadError> {
        self.place(name).map(|place| (place.rows, place.cols))
    }

    fn read(&mut self, name: &str) -> Result<Stored, LoadError> {
        let place = self.place(name)?;
        let Place { rows, cols, dtype, offset, length } = *place;
        let bytes = self.source.bytes("a tensor", offset, length)?;
        let paired = name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight");
        let bytes = if self.permuted && paired && rows.is_multiple_of(self.head_dim) {
            halves(&bytes, rows, self.head_dim)
        } else {
            bytes
        };
        Ok(Stored { rows, cols, dtype, bytes })
    }
}

/// Undoes the converter's interleaving: rows `(2j, 2j+1)` of a head go to `(j, head_dim/2 + j)`.
fn halves(bytes: &[u8], rows: usize, head_dim: usize) -> Vec<u8> {
    let stride = bytes.len() / rows;
    let mut out = Vec::with_capacity(bytes.len());
    for row in 0..rows {
        let (head, within) = (row / head_dim, row % head_dim);
        let (half, pair) = (within / (head_dim / 2), within % (head_dim / 2));
        let from = head * head_dim + pair * 2 + half;
        out.extend_from_slice(&bytes[from * stride..][..stride]);
    }
    out
}

/// The GGUF name of a canonical name.
fn gguf_name(name: &str) -> Option<String> {
    match name {
        "model.embed_tokens.weight" => return Some("token_embd.weight".to_owned()),
        "model.norm.weight" => return Some("output_norm.weight".to_owned()),
        "lm_head.weight" => return Some("output.weight".to_owned()),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (module, kind) = part.rsplit_once('.')?;
    let module = match module {
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" => "ffn_norm",
        _ => return None,
    };
    Some(format!("blk.{layer}.{module}.{kind}"))
}
