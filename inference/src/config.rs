//! The shape of a decoder and what its layers compute, read from `config.json` or from GGUF metadata.
//!
//! A family is a row of a table (`family`): which norms, biases and scales its layers have, and what
//! its files call them. A field that is in none of the lists refuses the load, by name: it may change the
//! computation.

mod family;
mod hub;
mod metadata;
mod rope;

pub use family::{Activation, Family, HeadNorm, Norms};
pub(crate) use metadata::{Metadata, Read, Scalar, read as read_metadata};
pub use rope::RopeScaling;

/// Dimensions of a decoder, and what its layers compute. Built by [`Config::new`], so every field is
/// within bounds.
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
    /// Width of the feed-forward layer; of one expert's, where all layers have experts.
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
    /// What else the layers compute.
    pub parts: Parts,
}

/// What layers compute beside the plainest decoder's.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// Biases of the query, key and value projections.
    pub qkv_bias: bool,
    /// Bias of the attention's output projection.
    pub output_bias: bool,
    /// Biases of the feed-forward projections.
    pub ffn_bias: bool,
    /// What gates the feed-forward layer.
    pub activation: Activation,
    /// Factor of the embedding; 1 for most.
    pub embedding_scale: f32,
    /// Factor of what each branch adds to the residual stream.
    pub residual_scale: f32,
    /// Factor of the logits.
    pub logit_scale: f32,
    /// Factor of the products of queries and keys; `1/√head_dim` where `None`.
    pub attention_scale: Option<f32>,
    /// Attention scores are `c·tanh(s/c)`.
    pub attention_cap: Option<f32>,
    /// Logits are `c·tanh(l/c)`.
    pub logit_cap: Option<f32>,
    /// Elements of a head that are rotated, from the front; even.
    pub rotated: usize,
    /// Base of the frequencies in layers with [`LayerRope::Local`].
    pub local_theta: f64,
    /// What sets layers apart; as many as there are, or none where all are plain.
    pub kinds: Vec<LayerKind>,
    /// Experts instead of one feed-forward layer.
    pub experts: Option<Experts>,
    /// Whether the embedding is the head; where it does not say, the tensors do.
    pub tied: Option<bool>,
}

/// What sets a layer apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerKind {
    /// Tokens that a token sees, itself included; all before it where `None`.
    pub window: Option<usize>,
    /// How it rotates.
    pub rope: LayerRope,
}

/// How a layer rotates queries and keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayerRope {
    /// By [`Config::rope_theta`] and its stretch.
    #[default]
    Global,
    /// By [`Parts::local_theta`], not stretched.
    Local,
    /// By the base of all, not stretched.
    Plain,
    /// Not at all.
    None,
}

/// A layer's experts: each token goes to the few that its router scores highest, by softmax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experts {
    /// How many there are.
    pub count: usize,
    /// How many serve a token.
    pub used: usize,
    /// Width of one's feed-forward layer.
    pub ffn: usize,
    /// Whether the shares of those chosen are made to sum to one.
    pub normalised: bool,
    /// Layers that have one feed-forward layer all the same.
    pub dense: Vec<usize>,
}

/// No dimension of a model we could run exceeds this; products of two stay far from overflow.
const MAX_DIMENSION: usize = 1 << 20;

/// A configuration we cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not JSON.
    #[error("not JSON, or a field is not of the type it should be")]
    Json(#[from] serde_json::Error),
    /// A field that must be there is not.
    #[error("`{0}` is missing")]
    Missing(String),
    /// A field of another type or range.
    #[error("`{field}` is {value}, and {want} is needed")]
    Wrong {
        /// Which field.
        field: String,
        /// Its value.
        value: String,
        /// What it should be.
        want: &'static str,
    },
    /// A field that may change the computation, and that we do not know.
    #[error(
        "`{field}` = {value} is not known for {family} models here, and may change what is computed"
    )]
    Unknown {
        /// Which field.
        field: String,
        /// Its value.
        value: String,
        /// Of which family.
        family: &'static str,
    },
    /// A known field whose value asks for arithmetic that is not done.
    #[error("`{field}` = {value} is not supported ({supported})")]
    Unsupported {
        /// Which field.
        field: String,
        /// Its value.
        value: String,
        /// What is.
        supported: &'static str,
    },
    /// Weights in a form that is not read.
    #[error(
        "the weights are quantised by `{method}` (quantization_config), which is not read here: \
         take the model's unquantised files, or a GGUF of it"
    )]
    Quantised {
        /// Which method.
        method: String,
    },
    /// A family we do not run.
    #[error("architecture `{architecture}` is not supported (supported: {})", family::supported())]
    Architecture {
        /// Its name in the file.
        architecture: String,
    },
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
    #[error(
        "rope scaling of type `{0}` is not supported (supported: default, linear, dynamic, llama3, \
         yarn, longrope)"
    )]
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

fn positive(numbers: &[(&'static str, f64)]) -> Result<(), ConfigError> {
    match numbers.iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
        Some(&(field, value)) => Err(ConfigError::Number { field, value }),
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
        let rotated = config.parts.rotated;
        if heads % kv_heads != 0 || head_dim % 2 != 0 {
            return Err(ConfigError::Heads { heads, kv_heads, head_dim });
        }
        if rotated == 0 || !rotated.is_multiple_of(2) || rotated > head_dim {
            return Err(ConfigError::Dimension { field: "rotated head width", value: rotated });
        }
        let parts = &config.parts;
        let scale = |scale: Option<f32>| scale.map_or(1.0, f64::from);
        positive(&[
            ("rope theta", config.rope_theta),
            ("local rope theta", parts.local_theta),
            ("norm epsilon", config.norm_eps.into()),
            ("embedding scale", parts.embedding_scale.into()),
            ("residual scale", parts.residual_scale.into()),
            ("logit scale", parts.logit_scale.into()),
            ("attention scale", scale(parts.attention_scale)),
            ("attention soft-cap", scale(parts.attention_cap)),
            ("logit soft-cap", scale(parts.logit_cap)),
        ])?;
        if let Some(scaling) = &config.rope_scaling {
            scaling.check(rotated)?;
        }
        if let Some(experts) = &parts.experts {
            let Experts { count, used, ffn, .. } = *experts;
            bounded(&[("expert count", count), ("experts used", used), ("expert width", ffn)])?;
            if used > count {
                return Err(ConfigError::Dimension { field: "experts used", value: used });
            }
        }
        Ok(config)
    }

    /// Reads a Hugging Face `config.json`. `vocab` is taken from the file.
    pub fn from_json(text: &[u8]) -> Result<Self, ConfigError> {
        Self::from_hub(text, None)
    }

    /// Reads `config.json`, and the ids that end a turn from `generation_config.json`.
    pub(crate) fn from_hub(text: &[u8], generation: Option<&[u8]>) -> Result<Self, ConfigError> {
        Self::new(hub::read(text, generation)?)
    }

    /// Width of the queries of one token.
    pub const fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of the keys (or the values) of one token.
    pub const fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// What sets layer `index` apart.
    pub fn kind(&self, index: usize) -> LayerKind {
        self.parts.kinds.get(index).copied().unwrap_or_default()
    }

    /// The experts of layer `index`.
    pub fn experts(&self, index: usize) -> Option<&Experts> {
        self.parts.experts.as_ref().filter(|experts| !experts.dense.contains(&index))
    }

    /// Factor of the products of queries and keys.
    #[expect(clippy::cast_precision_loss, reason = "head widths are small")]
    pub fn attention_scale(&self) -> f32 {
        self.parts.attention_scale.unwrap_or_else(|| 1.0 / (self.head_dim as f32).sqrt())
    }

    /// The first thing that a decoder with norms before its branches, biases on its queries, keys and
    /// values, norms of heads and `SiLU` gates does not compute; `None` where such a one does.
    pub fn beyond_plain(&self) -> Option<&'static str> {
        let parts = &self.parts;
        let far = |scale: f32| (scale - 1.0).abs() > 0.0;
        let windows = parts.kinds.iter().any(|kind| kind.window.is_some_and(|w| w < self.context));
        let ropes = parts.kinds.iter().any(|kind| kind.rope != LayerRope::Global);
        let attention = self.rope_scaling.as_ref().is_some_and(RopeScaling::scales_attention);
        let checks = [
            (
                self.family.norms() != Norms::Before,
                "norms behind attention and feed-forward layers",
            ),
            (self.family.head_norm() == HeadNorm::Row, "norms over whole rows of queries and keys"),
            (self.family.norm_offset(), "norms whose weights are stored less one"),
            (self.family.is_fused(), "projections stored as one"),
            (parts.output_bias || parts.ffn_bias, "biases behind attention or feed-forward layers"),
            (parts.activation != Activation::Silu, "gates other than SiLU"),
            (far(parts.embedding_scale), "a scaled embedding"),
            (far(parts.residual_scale), "scaled branches"),
            (far(parts.logit_scale), "scaled logits"),
            (parts.attention_scale.is_some(), "a scale of its own for attention"),
            (parts.attention_cap.is_some() || parts.logit_cap.is_some(), "soft-caps"),
            (parts.rotated != self.head_dim, "heads that are rotated in part"),
            (windows, "sliding windows"),
            (ropes, "layers that rotate differently"),
            (attention, "rope scaling that scales attention"),
            (parts.experts.is_some(), "experts"),
        ];
        checks.into_iter().find_map(|(lacks, what)| lacks.then_some(what))
    }
}

impl Parts {
    /// The plainest decoder of `family`, with heads of `head_dim`.
    pub fn plain(family: Family, head_dim: usize) -> Self {
        Self {
            qkv_bias: family == Family::Qwen2,
            output_bias: false,
            ffn_bias: false,
            activation: Activation::Silu,
            embedding_scale: 1.0,
            residual_scale: 1.0,
            logit_scale: 1.0,
            attention_scale: None,
            attention_cap: None,
            logit_cap: None,
            rotated: head_dim,
            local_theta: 10_000.0,
            kinds: Vec::new(),
            experts: None,
            tied: None,
        }
    }
}
