//! BERT's layers: attention that looks both ways, norms after each residual.
//!
//! Devlin et al., *BERT: Pre-training of Deep Bidirectional Transformers*, 2019; names and shapes of
//! tensors as Hugging Face's `BertModel` has them.

use serde::Deserialize;

use crate::{
    config::{ConfigError, bounded},
    id::{ModelId, NumericClass},
    kernel::{Isa, Matrix, Pool, attend_all, layer_norm},
    load::{LoadError, Loader, Tensors},
    model::default_threads,
};

/// An encoder's dimensions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) width: usize,
    layers: usize,
    heads: usize,
    ffn: usize,
    pub(super) vocab: usize,
    /// Positions that have an embedding.
    pub(super) positions: usize,
    kinds: usize,
    norm_eps: f64,
}

/// `config.json`, as far as we read it.
#[derive(Deserialize)]
struct Raw {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "one")]
    type_vocab_size: usize,
    layer_norm_eps: f64,
    hidden_act: String,
    position_embedding_type: Option<String>,
}

const fn one() -> usize {
    1
}

impl Shape {
    pub(super) fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let raw: Raw = serde_json::from_slice(json)?;
        let positions = raw.position_embedding_type.as_deref().unwrap_or("absolute");
        if raw.model_type != "bert" || positions != "absolute" {
            return Err(ConfigError::NoEncoder(format!("{} ({positions})", raw.model_type)));
        }
        if raw.hidden_act != "gelu" {
            return Err(ConfigError::Activation(raw.hidden_act));
        }
        let shape = Self {
            width: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            ffn: raw.intermediate_size,
            vocab: raw.vocab_size,
            positions: raw.max_position_embeddings,
            kinds: raw.type_vocab_size,
            norm_eps: raw.layer_norm_eps,
        };
        bounded(&[
            ("hidden size", shape.width),
            ("layer count", shape.layers),
            ("head count", shape.heads),
            ("feed-forward width", shape.ffn),
            ("vocabulary size", shape.vocab),
            ("position count", shape.positions),
            ("type count", shape.kinds),
        ])?;
        if !shape.width.is_multiple_of(shape.heads) {
            let (heads, head_dim) = (shape.heads, shape.width / shape.heads);
            return Err(ConfigError::Heads { heads, kv_heads: heads, head_dim });
        }
        let eps = shape.norm_eps;
        if !(eps.is_finite() && eps > 0.0) {
            return Err(ConfigError::Number { field: "norm epsilon", value: eps });
        }
        Ok(shape)
    }
}

/// `y = x·Wᵀ + b`.
#[derive(Debug)]
struct Affine {
    matrix: Matrix,
    bias: Vec<f32>,
}

/// Scale and shift of a layer norm.
#[derive(Debug)]
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    qkv: Affine,
    output: Affine,
    attention_norm: Norm,
    up: Affine,
    down: Affine,
    ffn_norm: Norm,
}

/// A loaded encoder, in f32.
#[derive(Debug)]
pub(super) struct Encoder {
    shape: Shape,
    words: Matrix,
    positions: Matrix,
    /// The embedding of the first type of text, which every token here is of.
    kind: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    isa: Isa,
    pool: Pool,
}

impl Encoder {
    /// Loads the tensors in canonical order; the second is what was loaded.
    pub(super) fn load(
        tensors: Box<dyn Tensors>,
        shape: Shape,
        threads: Option<usize>,
    ) -> Result<(Self, ModelId), LoadError> {
        let mut loader = Loader::new(tensors, NumericClass::F32, None);
        let mut reader = Reader { prefix: "", loader: &mut loader };
        // A model of a task holds the encoder under this name.
        if !reader.loader.has("embeddings.word_embeddings.weight") {
            reader.prefix = "bert.";
        }
        let width = shape.width;
        let words = reader.table("embeddings.word_embeddings", shape.vocab, width)?;
        let positions = reader.table("embeddings.position_embeddings", shape.positions, width)?;
        let kinds = reader.table("embeddings.token_type_embeddings", shape.kinds, width)?;
        let mut kind = vec![0.0; width];
        kinds.row(0, &mut kind);
        let norm = reader.norm("embeddings.LayerNorm", width)?;
        let layers =
            (0..shape.layers).map(|index| reader.layer(&shape, index)).collect::<Result<_, _>>()?;
        let id = loader.finish();
        let pool =
            Pool::new(threads.unwrap_or_else(default_threads)).map_err(LoadError::Threads)?;
        let isa = Isa::detect();
        Ok((Self { shape, words, positions, kind, norm, layers, isa, pool }, id))
    }

    pub(super) const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The last layer's vectors, `[tokens, width]`. Tokens are words of the model, no more than there
    /// are positions.
    pub(super) fn forward(&self, tokens: &[u32]) -> Vec<f32> {
        self.pool.enter(|| {
            let mut hidden = self.embed(tokens);
            for layer in &self.layers {
                hidden = self.layer(layer, &hidden);
            }
            hidden
        })
    }

    fn embed(&self, tokens: &[u32]) -> Vec<f32> {
        let width = self.shape.width;
        let mut hidden = vec![0.0; tokens.len() * width];
        let (mut word, mut place) = (vec![0.0; width], vec![0.0; width]);
        for ((position, &token), row) in
            tokens.iter().enumerate().zip(hidden.chunks_exact_mut(width))
        {
            self.words.row(token as usize, &mut word);
            self.positions.row(position, &mut place);
            for (((out, word), place), kind) in
                row.iter_mut().zip(&word).zip(&place).zip(&self.kind)
            {
                *out = word + kind + place;
            }
        }
        self.normed(&mut hidden, &self.norm);
        hidden
    }

    fn layer(&self, layer: &Layer, hidden: &[f32]) -> Vec<f32> {
        let qkv = self.affine(&layer.qkv, hidden);
        let mixed = attend_all(self.isa, &self.pool, &qkv, self.shape.heads, self.shape.width);
        let mut out = self.affine(&layer.output, &mixed);
        add_to(&mut out, hidden);
        self.normed(&mut out, &layer.attention_norm);
        let mut up = self.affine(&layer.up, &out);
        for x in &mut up {
            *x = gelu(*x);
        }
        let mut down = self.affine(&layer.down, &up);
        add_to(&mut down, &out);
        self.normed(&mut down, &layer.ffn_norm);
        down
    }

    fn affine(&self, affine: &Affine, x: &[f32]) -> Vec<f32> {
        let mut out = affine.matrix.product(self.isa, &self.pool, x);
        for row in out.chunks_exact_mut(affine.bias.len()) {
            add_to(row, &affine.bias);
        }
        out
    }

    fn normed(&self, rows: &mut [f32], norm: &Norm) {
        layer_norm(rows, &norm.weight, &norm.bias, self.shape.norm_eps);
    }
}

fn add_to(sum: &mut [f32], other: &[f32]) {
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum += other;
    }
}

/// `x·Φ(x)`, with Φ the normal distribution function: Hendrycks and Gimpel, *Gaussian Error Linear
/// Units*, 2016. By fdlibm's `erf`: the same bits everywhere.
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// Reads tensors by the names of `BertModel`.
struct Reader<'a> {
    prefix: &'static str,
    loader: &'a mut Loader,
}

impl Reader<'_> {
    fn name(&self, part: &str, kind: &str) -> String {
        format!("{}{part}.{kind}", self.prefix)
    }

    fn table(&mut self, part: &str, rows: usize, cols: usize) -> Result<Matrix, LoadError> {
        let name = self.name(part, "weight");
        Ok(Matrix::pack(&self.loader.words(&name, rows, cols)?))
    }

    fn norm(&mut self, part: &str, width: usize) -> Result<Norm, LoadError> {
        let weight = self.loader.vector(&self.name(part, "weight"), width)?;
        let bias = self.loader.vector(&self.name(part, "bias"), width)?;
        Ok(Norm { weight, bias })
    }

    fn affine(&mut self, parts: &[String], rows: usize, cols: usize) -> Result<Affine, LoadError> {
        let mut matrix: Option<crate::load::Encoded> = None;
        let mut bias = Vec::new();
        for part in parts {
            let next = self.loader.matrix(&self.name(part, "weight"), rows, cols)?;
            bias.extend(self.loader.vector(&self.name(part, "bias"), rows)?);
            match &mut matrix {
                Some(above) => above.stack(&next),
                None => matrix = Some(next),
            }
        }
        let matrix = matrix.ok_or_else(|| LoadError::MissingTensor { name: String::new() })?;
        Ok(Affine { matrix: Matrix::pack(&matrix), bias })
    }

    fn layer(&mut self, shape: &Shape, index: usize) -> Result<Layer, LoadError> {
        let Shape { width, ffn, .. } = *shape;
        let part = |name: &str| format!("encoder.layer.{index}.{name}");
        let qkv = ["query", "key", "value"].map(|name| part(&format!("attention.self.{name}")));
        Ok(Layer {
            qkv: self.affine(&qkv, width, width)?,
            output: self.affine(&[part("attention.output.dense")], width, width)?,
            attention_norm: self.norm(&part("attention.output.LayerNorm"), width)?,
            up: self.affine(&[part("intermediate.dense")], ffn, width)?,
            down: self.affine(&[part("output.dense")], width, ffn)?,
            ffn_norm: self.norm(&part("output.LayerNorm"), width)?,
        })
    }
}
