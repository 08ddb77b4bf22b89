//! A decoder's tensors, wherever they are kept.

use crate::{
    config::{Config, Family},
    load::{Encoded, LoadError, Loader},
};

/// Where a tensor is put once it is read.
pub(crate) trait Shelf {
    /// A matrix, ready for products.
    type Matrix;
    /// A norm's weights or a bias.
    type Vector;

    fn matrix(&self, encoded: &Encoded) -> Result<Self::Matrix, LoadError>;
    fn vector(&self, values: Vec<f32>) -> Result<Self::Vector, LoadError>;
}

/// All tensors.
#[derive(Debug)]
pub(crate) struct Weights<M, V> {
    pub(crate) embedding: M,
    pub(crate) layers: Vec<Layer<M, V>>,
    pub(crate) norm: V,
    /// `None`: the embedding serves as the head.
    pub(crate) head: Option<M>,
}

/// One layer's tensors.
#[derive(Debug)]
pub(crate) struct Layer<M, V> {
    pub(crate) attention_norm: V,
    pub(crate) qkv: M,
    pub(crate) qkv_bias: Option<V>,
    pub(crate) head_norms: Option<HeadNorms<V>>,
    pub(crate) output: M,
    pub(crate) ffn_norm: V,
    pub(crate) gate_up: M,
    pub(crate) down: M,
}

/// Qwen 3's norms over each query and key head.
#[derive(Debug)]
pub(crate) struct HeadNorms<V> {
    pub(crate) query: V,
    pub(crate) key: V,
}

impl<M, V> Weights<M, V> {
    /// Every matrix.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &M> {
        let layers = self
            .layers
            .iter()
            .flat_map(|layer| [&layer.qkv, &layer.output, &layer.gate_up, &layer.down]);
        layers.chain([&self.embedding]).chain(&self.head)
    }

    /// Reads every tensor in canonical order, and shelves it.
    pub(crate) fn read(
        loader: &mut Loader,
        config: &Config,
        shelf: &impl Shelf<Matrix = M, Vector = V>,
    ) -> Result<Self, LoadError> {
        let (width, vocab) = (config.width, config.vocab);
        let embedding =
            shelf.matrix(&loader.words("model.embed_tokens.weight", vocab, width)?)?;
        let layers = (0..config.layers)
            .map(|index| Layer::read(loader, config, shelf, index))
            .collect::<Result<_, _>>()?;
        let norm = shelf.vector(loader.vector("model.norm.weight", width)?)?;
        let head = if loader.has("lm_head.weight") {
            Some(shelf.matrix(&loader.words("lm_head.weight", vocab, width)?)?)
        } else {
            None
        };
        Ok(Self { embedding, layers, norm, head })
    }
}

impl<M, V> Layer<M, V> {
    fn read(
        loader: &mut Loader,
        config: &Config,
        shelf: &impl Shelf<Matrix = M, Vector = V>,
        index: usize,
    ) -> Result<Self, LoadError> {
        let (width, query, kv, ffn) =
            (config.width, config.query_width(), config.kv_width(), config.ffn);
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let attention_norm =
            shelf.vector(loader.vector(&name("input_layernorm.weight"), width)?)?;
        let mut qkv = loader.matrix(&name("self_attn.q_proj.weight"), query, width)?;
        qkv.stack(&loader.matrix(&name("self_attn.k_proj.weight"), kv, width)?);
        qkv.stack(&loader.matrix(&name("self_attn.v_proj.weight"), kv, width)?);
        let qkv = shelf.matrix(&qkv)?;
        let qkv_bias = match config.family {
            Family::Qwen2 => {
                let mut bias = loader.vector(&name("self_attn.q_proj.bias"), query)?;
                bias.extend(loader.vector(&name("self_attn.k_proj.bias"), kv)?);
                bias.extend(loader.vector(&name("self_attn.v_proj.bias"), kv)?);
                Some(shelf.vector(bias)?)
            }
            Family::Llama | Family::Qwen3 => None,
        };
        let head_norms = match config.family {
            Family::Qwen3 => {
                let mut norm =
                    |part: &str| shelf.vector(loader.vector(&name(part), config.head_dim)?);
                let query = norm("self_attn.q_norm.weight")?;
                Some(HeadNorms { query, key: norm("self_attn.k_norm.weight")? })
            }
            Family::Llama | Family::Qwen2 => None,
        };
        let output =
            shelf.matrix(&loader.matrix(&name("self_attn.o_proj.weight"), width, query)?)?;
        let ffn_norm =
            shelf.vector(loader.vector(&name("post_attention_layernorm.weight"), width)?)?;
        let mut gate_up = loader.matrix(&name("mlp.gate_proj.weight"), ffn, width)?;
        gate_up.stack(&loader.matrix(&name("mlp.up_proj.weight"), ffn, width)?);
        let gate_up = shelf.matrix(&gate_up)?;
        let down = shelf.matrix(&loader.matrix(&name("mlp.down_proj.weight"), width, ffn)?)?;
        Ok(Self { attention_norm, qkv, qkv_bias, head_norms, output, ffn_norm, gate_up, down })
    }
}
