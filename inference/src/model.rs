//! A dense decoder over packed tokens: one forward pass serves any mix of prefills and decodes.

mod deviation;
mod ops;

pub use deviation::Deviation;

use std::path::Path;

use candle_core::{Device, Tensor};

use crate::{
    config::{Config, Family, RopeScaling},
    hub::Hub,
    id::{ModelId, NumericClass},
    kernel::{Isa, Matrix, Pool, Rounding},
    kv::KvStore,
    load::{self, Checkpoint, LoadError, Loader},
    source::ModelSource,
    tokenizer::Tokenizer,
};

/// How to load a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The class to run in; the file's own bits where `None`.
    pub class: Option<NumericClass>,
    /// Compute threads; [`default_threads`] where `None`.
    pub threads: Option<usize>,
    /// Load something else on purpose, to rehearse evidence against it.
    pub deviation: Option<Deviation>,
}

impl LoadOptions {
    /// Loads into `class`.
    #[must_use]
    pub const fn with_class(mut self, class: NumericClass) -> Self {
        self.class = Some(class);
        self
    }

    /// Loads a deviation from the model.
    #[must_use]
    pub const fn with_deviation(mut self, deviation: Option<Deviation>) -> Self {
        self.deviation = deviation;
        self
    }

    /// Computes on `threads` threads.
    #[must_use]
    pub const fn with_threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }
}

/// Compute threads unless told otherwise: one core is left to the rest of the machine, and two are
/// enough for the models that a laptop serves.
pub fn default_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.saturating_sub(1).clamp(1, 2)
}

/// A loaded model. Immutable; share it by `Arc`.
#[derive(Debug)]
pub struct Model {
    id: ModelId,
    name: String,
    config: Config,
    tokenizer: Tokenizer,
    weights: Weights,
    rope: Rope,
    rounding: Rounding,
    isa: Isa,
    pool: Pool,
    file_bits: NumericClass,
    /// Keys and values are rounded to bytes: [`Deviation::Int8Kv`].
    int8_kv: bool,
}

#[derive(Debug)]
struct Weights {
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// `None`: the embedding serves as the head.
    head: Option<Matrix>,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    qkv: Matrix,
    qkv_bias: Option<Vec<f32>>,
    head_norms: Option<HeadNorms>,
    output: Matrix,
    ffn_norm: Vec<f32>,
    gate_up: Matrix,
    down: Matrix,
}

/// Qwen 3's norms over each query and key head.
#[derive(Debug)]
struct HeadNorms {
    query: Vec<f32>,
    key: Vec<f32>,
}

/// Frequencies of the rotary embedding, one for each pair of a head's elements.
#[derive(Debug)]
struct Rope {
    frequencies: Vec<f64>,
}

impl Model {
    /// Loads a model from `source`. A hub model is fetched first if it is not in the cache.
    ///
    /// Memory: the packed weights, plus one tensor in transit.
    pub fn load(source: &ModelSource, options: LoadOptions) -> Result<Self, LoadError> {
        match source {
            ModelSource::Tiny => Self::build(source.name(), load::tiny()?, options),
            ModelSource::Path(path) => Self::open(source.name(), path, options),
            ModelSource::Hub(hub) => {
                let path = Hub::from_env()?.fetch(hub)?;
                Self::open(source.name(), &path, options)
            }
        }
    }

    fn open(name: String, path: &Path, options: LoadOptions) -> Result<Self, LoadError> {
        Self::build(name, load::open(path)?, options)
    }

    fn build(
        name: String,
        checkpoint: Checkpoint,
        options: LoadOptions,
    ) -> Result<Self, LoadError> {
        let Checkpoint { config, tokenizer, tensors } = checkpoint;
        let file_bits = tensors.native_class();
        let class = options.class.unwrap_or(file_bits);
        let deviation = options.deviation;
        let mut loader = Loader::new(tensors, class, deviation);
        let mut weights = Weights::read(&mut loader, &config)?;
        if deviation == Some(Deviation::DroppedLayer) {
            weights.layers.remove(config.layers / 2);
        }
        let id = loader.finish();
        let threads = options.threads.unwrap_or_else(default_threads);
        let rounding = if class == NumericClass::Bf16 { Rounding::Bf16 } else { Rounding::None };
        Ok(Self {
            id,
            name,
            rope: Rope::new(&config),
            config,
            tokenizer,
            weights,
            rounding,
            isa: Isa::detect(),
            pool: Pool::new(threads).map_err(LoadError::Threads)?,
            file_bits,
            int8_kv: deviation == Some(Deviation::Int8Kv),
        })
    }

    /// What this model is.
    pub const fn id(&self) -> ModelId {
        self.id
    }

    /// Its name in tables; says nothing about what it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its dimensions.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Its words.
    pub const fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The class that keeps the file's own bits; the model was requantised on load where
    /// [`Model::id`] names another.
    pub const fn file_class(&self) -> NumericClass {
        self.file_bits
    }

    /// Compute threads.
    pub const fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Instruction set of the kernels.
    pub const fn kernels(&self) -> &'static str {
        self.isa.name()
    }

    /// Stored bits per weight over all matrices, scales included.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for display")]
    pub fn weight_bits(&self) -> f64 {
        self.weight_bytes() as f64 * 8.0 / self.parameters() as f64
    }

    /// Weights of all matrices.
    pub fn parameters(&self) -> usize {
        self.weights.matrices().map(Matrix::weights).sum()
    }

    /// Bytes of keys and values that one token of a sequence takes, over all layers.
    pub const fn kv_bytes_per_token(&self) -> usize {
        2 * self.config.layers * self.config.kv_width() * size_of::<f32>()
    }

    /// Bytes of packed weights.
    pub fn weight_bytes(&self) -> usize {
        self.weights.matrices().map(Matrix::bytes).sum()
    }
}

impl Weights {
    fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        let layers = self
            .layers
            .iter()
            .flat_map(|layer| [&layer.qkv, &layer.output, &layer.gate_up, &layer.down]);
        layers.chain([&self.embedding]).chain(&self.head)
    }
}

impl Weights {
    /// Reads every tensor in canonical order.
    fn read(loader: &mut Loader, config: &Config) -> Result<Self, LoadError> {
        let (width, vocab) = (config.width, config.vocab);
        let embedding = loader.words("model.embed_tokens.weight", vocab, width)?;
        let layers =
            (0..config.layers).map(|i| Layer::read(loader, config, i)).collect::<Result<_, _>>()?;
        let norm = loader.vector("model.norm.weight", width)?;
        let head = if loader.has("lm_head.weight") {
            Some(Matrix::pack(&loader.words("lm_head.weight", vocab, width)?))
        } else {
            None
        };
        Ok(Self { embedding: Matrix::pack(&embedding), layers, norm, head })
    }
}

impl Layer {
    fn read(loader: &mut Loader, config: &Config, index: usize) -> Result<Self, LoadError> {
        let (width, query, kv, ffn) =
            (config.width, config.query_width(), config.kv_width(), config.ffn);
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let attention_norm = loader.vector(&name("input_layernorm.weight"), width)?;
        let mut qkv = loader.matrix(&name("self_attn.q_proj.weight"), query, width)?;
        qkv.stack(&loader.matrix(&name("self_attn.k_proj.weight"), kv, width)?);
        qkv.stack(&loader.matrix(&name("self_attn.v_proj.weight"), kv, width)?);
        let qkv_bias = match config.family {
            Family::Qwen2 => {
                let mut bias = loader.vector(&name("self_attn.q_proj.bias"), query)?;
                bias.extend(loader.vector(&name("self_attn.k_proj.bias"), kv)?);
                bias.extend(loader.vector(&name("self_attn.v_proj.bias"), kv)?);
                Some(bias)
            }
            Family::Llama | Family::Qwen3 => None,
        };
        let head_norms = match config.family {
            Family::Qwen3 => Some(HeadNorms {
                query: loader.vector(&name("self_attn.q_norm.weight"), config.head_dim)?,
                key: loader.vector(&name("self_attn.k_norm.weight"), config.head_dim)?,
            }),
            Family::Llama | Family::Qwen2 => None,
        };
        let output = loader.matrix(&name("self_attn.o_proj.weight"), width, query)?;
        let ffn_norm = loader.vector(&name("post_attention_layernorm.weight"), width)?;
        let mut gate_up = loader.matrix(&name("mlp.gate_proj.weight"), ffn, width)?;
        gate_up.stack(&loader.matrix(&name("mlp.up_proj.weight"), ffn, width)?);
        let down = loader.matrix(&name("mlp.down_proj.weight"), width, ffn)?;
        Ok(Self {
            attention_norm,
            qkv: Matrix::pack(&qkv),
            qkv_bias,
            head_norms,
            output: Matrix::pack(&output),
            ffn_norm,
            gate_up: Matrix::pack(&gate_up),
            down: Matrix::pack(&down),
        })
    }
}

impl Rope {
    fn new(config: &Config) -> Self {
        let pairs = 0..config.head_dim / 2;
        Self { frequencies: pairs.map(|pair| frequency(config, pair)).collect() }
    }

    /// Angles of every token of a pass, in f64 by fdlibm's functions and rounded once: the same
    /// numbers everywhere.
    fn turns(&self, segments: &[Segment<'_>]) -> Turns {
        let positions = segments.iter().flat_map(|s| s.start..s.start + s.tokens.len());
        let angles = positions.flat_map(|position| {
            #[expect(clippy::cast_precision_loss, reason = "contexts stay below 2⁵³")]
            self.frequencies.iter().map(move |f| position as f64 * f)
        });
        #[expect(clippy::cast_possible_truncation, reason = "rotation is in f32")]
        let (cos, sin) = angles.map(|a| (libm::cos(a) as f32, libm::sin(a) as f32)).unzip();
        Turns { cos, sin, half: self.frequencies.len() }
    }
}

/// Cosines and sines of a pass, `[tokens, head_dim/2]`.
struct Turns {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Turns {
    fn of(&self, row: usize) -> (&[f32], &[f32]) {
        let range = row * self.half..(row + 1) * self.half;
        (&self.cos[range.clone()], &self.sin[range])
    }
}

#[expect(clippy::cast_precision_loss, reason = "head widths are small")]
fn frequency(config: &Config, pair: usize) -> f64 {
    let exponent = -2.0 * pair as f64 / config.head_dim as f64;
    let frequency = libm::pow(config.rope_theta, exponent);
    config.rope_scaling.map_or(frequency, |scaling| stretched(frequency, scaling))
}

/// Llama 3.1: long wavelengths slowed by `factor`, short ones kept, a linear blend between.
fn stretched(frequency: f64, scaling: RopeScaling) -> f64 {
    let turns = scaling.original_max_position_embeddings * frequency / std::f64::consts::TAU;
    let RopeScaling { factor, low_freq_factor: low, high_freq_factor: high, .. } = scaling;
    let blend = ((turns - low) / (high - low)).clamp(0.0, 1.0);
    frequency * (blend + (1.0 - blend) / factor)
}

/// One sequence's part of a forward pass.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    /// New tokens.
    pub(crate) tokens: &'a [u32],
    /// Position of the first of them.
    pub(crate) start: usize,
    /// The sequence's blocks of the key–value store; they cover `start + tokens.len()`.
    pub(crate) blocks: &'a [u32],
}

impl Model {
    /// Runs every segment's tokens through the layers, writing their keys and values to `kv`.
    /// Returns the hidden states after the last norm, `[tokens, width]`.
    pub(crate) fn forward(
        &self,
        segments: &[Segment<'_>],
        kv: &KvStore,
    ) -> candle_core::Result<Tensor> {
        self.pool.enter(|| self.layers(segments, kv))
    }

    fn layers(&self, segments: &[Segment<'_>], kv: &KvStore) -> candle_core::Result<Tensor> {
        let mut hidden = self.embed(segments)?;
        let turns = self.rope.turns(segments);
        for (index, layer) in self.weights.layers.iter().enumerate() {
            let x = self.norm(&hidden, &layer.attention_norm)?;
            let mut qkv = self.linear(&x, &layer.qkv)?;
            if let Some(bias) = &layer.qkv_bias {
                qkv = qkv.broadcast_add(&Tensor::from_slice(bias, bias.len(), &Device::Cpu)?)?;
            }
            let attention = ops::Attention {
                model: self,
                head_norms: layer.head_norms.as_ref(),
                segments,
                turns: &turns,
                kv: kv.layer(index),
            };
            let mixed = qkv.apply_op1_no_bwd(&attention)?;
            hidden = self.residual(&hidden, &self.linear(&mixed, &layer.output)?)?;
            let x = self.norm(&hidden, &layer.ffn_norm)?;
            let gate_up = self.linear(&x, &layer.gate_up)?;
            let gated = gate_up.apply_op1_no_bwd(&ops::SiluMul { model: self })?;
            hidden = self.residual(&hidden, &self.linear(&gated, &layer.down)?)?;
        }
        self.norm(&hidden, &self.weights.norm)
    }

    /// Scores of every token for each hidden row: `[rows, vocab]`.
    pub(crate) fn logits(&self, hidden: &Tensor) -> candle_core::Result<Vec<f32>> {
        let head = self.weights.head.as_ref().unwrap_or(&self.weights.embedding);
        self.pool.enter(|| self.linear(hidden, head)?.flatten_all()?.to_vec1())
    }

    fn embed(&self, segments: &[Segment<'_>]) -> candle_core::Result<Tensor> {
        let width = self.config.width;
        let tokens: Vec<u32> = segments.iter().flat_map(|s| s.tokens).copied().collect();
        let mut rows = vec![0.0; tokens.len() * width];
        for (&token, row) in tokens.iter().zip(rows.chunks_exact_mut(width)) {
            self.weights.embedding.row(token as usize, row);
        }
        Tensor::from_vec(rows, (tokens.len(), width), &Device::Cpu)
    }

    fn norm(&self, x: &Tensor, weight: &[f32]) -> candle_core::Result<Tensor> {
        x.apply_op1_no_bwd(&ops::RmsNorm { model: self, weight })
    }

    fn linear(&self, x: &Tensor, matrix: &Matrix) -> candle_core::Result<Tensor> {
        x.apply_op1_no_bwd(&ops::Linear { model: self, matrix })
    }

    fn residual(&self, a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
        a.apply_op2_no_bwd(b, &ops::Residual { model: self })
    }
}
