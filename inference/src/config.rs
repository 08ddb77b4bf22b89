//! The shape of a dense decoder, read from `config.json` or from GGUF metadata.

use serde::Deserialize;

/// Families this crate runs. They differ in which biases and norms the attention carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// Llama 2/3, `SmolLM2`, Mistral without a window.
    Llama,
    /// Biases on the query, key and value projections.
    Qwen2,
    /// A norm over each query and key head.
    Qwen3,
}

impl Family {
    /// Its name in GGUF files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }
}

/// Dimensions of a dense decoder. Built by [`Config::new`], so every field is within bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Which family of models.
    pub family: Family,
    /// Width of the residual stream.
    pub width: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Width of the feed-forward layer.
    pub ffn: usize,
    /// Token ids.
    pub vocab: usize,
    /// Longest sequence in tokens.
    pub context: usize,
    /// Base of the rotary embedding's frequencies.
    pub rope_theta: f64,
    /// Stretch of the rotary frequencies, for models trained to longer contexts.
    pub rope_scaling: Option<RopeScaling>,
    /// Epsilon of the RMS norms.
    pub norm_eps: f32,
    /// Ids that end a completion.
    pub eos: Vec<u32>,
}

/// Llama 3.1's frequency stretch.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct RopeScaling {
    /// How much the low frequencies are slowed.
    pub factor: f64,
    /// Wavelengths longer than `original / low_freq_factor` are slowed in full.
    pub low_freq_factor: f64,
    /// Wavelengths shorter than `original / high_freq_factor` are left alone.
    pub high_freq_factor: f64,
    /// Context length of the original training.
    pub original_max_position_embeddings: f64,
}

/// No dimension of a model we could run exceeds this; products of two stay far from overflow.
const MAX_DIMENSION: usize = 1 << 20;

/// A configuration we cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not JSON, or a field is missing or of another type.
    #[error("a field is missing, or not of the type it should be")]
    Json(#[from] serde_json::Error),
    /// A family we do not run.
    #[error("architecture `{0}` is not supported (supported: llama, qwen2, qwen3)")]
    Architecture(String),
    /// A model that is no encoder, or one of a kind that we do not run.
    #[error(
        "architecture `{0}` makes no embeddings here (supported: bert with absolute positions)"
    )]
    NoEncoder(String),
    /// An activation that we do not compute.
    #[error("activation `{0}` is not supported in an encoder (supported: gelu)")]
    Activation(String),
    /// A way from tokens to a text that we do not go.
    #[error("only pooling by the mean, or by the first token, is supported")]
    Pooling,
    /// A dimension is zero or absurd.
    #[error("{field} = {value} is not within 1..={MAX_DIMENSION}")]
    Dimension {
        /// Which dimension.
        field: &'static str,
        /// Its value.
        value: usize,
    },
    /// Heads do not divide.
    #[error("{heads} query heads of width {head_dim} do not fit {kv_heads} key heads")]
    Heads {
        /// Query heads.
        heads: usize,
        /// Key and value heads.
        kv_heads: usize,
        /// Width of one head.
        head_dim: usize,
    },
    /// A number that must be positive and finite is not.
    #[error("{field} = {value} is not positive and finite")]
    Number {
        /// Which number.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// A stretch of the rotary embedding that we do not know.
    #[error("rope scaling of type `{0}` is not supported (supported: llama3)")]
    RopeScaling(String),
    /// The GGUF lacks a key or holds another type there.
    #[error("GGUF metadata key `{0}` is missing or of the wrong type")]
    Key(String),
}

/// Refuses the first dimension that is zero or absurd.
pub(crate) fn bounded(dimensions: &[(&'static str, usize)]) -> Result<(), ConfigError> {
    match dimensions.iter().find(|(_, value)| !(1..=MAX_DIMENSION).contains(value)) {
        Some(&(field, value)) => Err(ConfigError::Dimension { field, value }),
        None => Ok(()),
    }
}

impl Config {
    /// Checks every bound.
    pub fn new(config: Self) -> Result<Self, ConfigError> {
        bounded(&[
            ("hidden size", config.width),
            ("layer count", config.layers),
            ("head count", config.heads),
            ("key head count", config.kv_heads),
            ("head width", config.head_dim),
            ("feed-forward width", config.ffn),
            ("vocabulary size", config.vocab),
        ])?;
        if !(1..=MAX_DIMENSION * 16).contains(&config.context) {
            return Err(ConfigError::Dimension { field: "context", value: config.context });
        }
        let Self { heads, kv_heads, head_dim, .. } = config;
        if heads % kv_heads != 0 || head_dim % 2 != 0 {
            return Err(ConfigError::Heads { heads, kv_heads, head_dim });
        }
        for (field, value) in
            [("rope theta", config.rope_theta), ("norm epsilon", config.norm_eps.into())]
        {
            if !(value.is_finite() && value > 0.0) {
                return Err(ConfigError::Number { field, value });
            }
        }
        Ok(config)
    }

    /// Reads a Hugging Face `config.json`. `vocab` is taken from the file.
    pub fn from_json(text: &[u8]) -> Result<Self, ConfigError> {
        let raw: Raw = serde_json::from_slice(text)?;
        let family = match raw.model_type.as_str() {
            "llama" | "mistral" => Family::Llama,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            other => return Err(ConfigError::Architecture(other.to_owned())),
        };
        Self::new(Self {
            family,
            width: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            kv_heads: raw.num_key_value_heads.unwrap_or(raw.num_attention_heads),
            head_dim: raw
                .head_dim
                .unwrap_or_else(|| raw.hidden_size / raw.num_attention_heads.max(1)),
            ffn: raw.intermediate_size,
            vocab: raw.vocab_size,
            context: raw.max_position_embeddings,
            rope_theta: raw.rope_theta,
            rope_scaling: raw.rope_scaling.map(RawScaling::read).transpose()?.flatten(),
            norm_eps: raw.rms_norm_eps,
            eos: raw.eos_token_id.map_or_else(Vec::new, OneOrMany::into_vec),
        })
    }

    /// Width of the queries of one token.
    pub const fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of the keys (or the values) of one token.
    pub const fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

#[derive(Deserialize)]
struct Raw {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "default_theta")]
    rope_theta: f64,
    rope_scaling: Option<RawScaling>,
    #[serde(default = "default_eps")]
    rms_norm_eps: f32,
    eos_token_id: Option<OneOrMany>,
}

/// What `transformers` takes where a Llama configuration names no base.
const fn default_theta() -> f64 {
    10_000.0
}

/// What `transformers` takes where a Llama configuration names no epsilon.
const fn default_eps() -> f32 {
    1e-6
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}

#[derive(Deserialize)]
struct RawScaling {
    #[serde(alias = "type")]
    rope_type: String,
    #[serde(flatten)]
    rest: serde_json::Value,
}

impl RawScaling {
    fn read(self) -> Result<Option<RopeScaling>, ConfigError> {
        match self.rope_type.as_str() {
            "default" => Ok(None),
            "llama3" => Ok(Some(serde_json::from_value(self.rest)?)),
            other => Err(ConfigError::RopeScaling(other.to_owned())),
        }
    }
}
