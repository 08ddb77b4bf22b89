//! The decoder on this machine's processors.

use candle_core::{Device, Tensor};
use parking_lot::Mutex;

use super::{
    Rope, Segment, ops,
    weights::{Shelf, Weights},
};
use crate::{
    config::Config,
    kernel::{Isa, KvLayer, Matrix, Pool, Rounding},
    load::{Encoded, LoadError},
};

/// A model whose weights lie in this machine's memory.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(super) config: Config,
    pub(super) weights: Weights<Matrix, Vec<f32>>,
    pub(super) rope: Rope,
    pub(super) rounding: Rounding,
    pub(super) isa: Isa,
    pub(super) pool: Pool,
    /// Keys and values are rounded to bytes: [`Deviation::Int8Kv`](super::Deviation::Int8Kv).
    pub(super) int8_kv: bool,
}

/// Matrices packed for the processors' kernels.
pub(super) struct Packed;

impl Shelf for Packed {
    type Matrix = Matrix;
    type Vector = Vec<f32>;

    fn matrix(&self, encoded: &Encoded) -> Result<Matrix, LoadError> {
        Ok(Matrix::pack(encoded))
    }

    fn vector(&self, values: Vec<f32>) -> Result<Vec<f32>, LoadError> {
        Ok(values)
    }
}

impl Decoder {
    /// Runs every segment's tokens through the layers, writing their keys and values to `kv`.
    /// Returns the hidden states after the last norm, `[tokens, width]`.
    pub(crate) fn forward(
        &self,
        segments: &[Segment<'_>],
        kv: &[Mutex<KvLayer>],
    ) -> candle_core::Result<Tensor> {
        self.pool.enter(|| self.layers(segments, kv))
    }

    fn layers(
        &self,
        segments: &[Segment<'_>],
        kv: &[Mutex<KvLayer>],
    ) -> candle_core::Result<Tensor> {
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
                kv: &kv[index],
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

    /// Scores of every token for each row of `hidden`, `[rows, width]`: `[rows, vocab]`.
    pub(crate) fn logits(&self, hidden: &[f32]) -> Vec<f32> {
        let head = self.weights.head.as_ref().unwrap_or(&self.weights.embedding);
        let mut logits = self.pool.enter(|| head.product(self.isa, &self.pool, hidden));
        self.rounding.apply(&mut logits);
        logits
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
