//! The decoder on this machine's processors.

use candle_core::{Device, Tensor};
use parking_lot::Mutex;

use super::{
    Rope, Segment, ops,
    weights::{Dense, Feed, Shelf, Weights},
};
use crate::{
    config::{Config, Experts},
    kernel::{self, Isa, KvLayer, Matrix, Pool, Rounding},
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
            let x = self.norm_where(&hidden, layer.attention_norm.as_ref())?;
            let qkv = biased(self.linear(&x, &layer.qkv)?, layer.qkv_bias.as_ref())?;
            let attention = ops::Attention {
                model: self,
                kind: self.config.kind(index),
                head_norms: layer.head_norms.as_ref(),
                segments,
                turns: &turns,
                kv: &kv[index],
            };
            let mixed = qkv.apply_op1_no_bwd(&attention)?;
            let out = biased(self.linear(&mixed, &layer.output)?, layer.output_bias.as_ref())?;
            let out = self.norm_where(&out, layer.after_attention.as_ref())?;
            hidden = self.residual(&hidden, &out)?;
            let x = self.norm_where(&hidden, layer.ffn_norm.as_ref())?;
            let out = self.feed(&x, &layer.feed)?;
            let out = self.norm_where(&out, layer.after_ffn.as_ref())?;
            hidden = self.residual(&hidden, &out)?;
        }
        self.norm(&hidden, &self.weights.norm)
    }

    /// Scores of every token for each row of `hidden`, `[rows, width]`: `[rows, vocab]`.
    pub(crate) fn logits(&self, hidden: &[f32]) -> Vec<f32> {
        let head = self.weights.head.as_ref().unwrap_or(&self.weights.embedding);
        let mut logits = self.pool.enter(|| head.product(self.isa, &self.pool, hidden));
        let parts = &self.config.parts;
        if (parts.logit_scale - 1.0).abs() > 0.0 {
            for logit in &mut logits {
                *logit *= parts.logit_scale;
            }
        }
        if let Some(cap) = parts.logit_cap {
            kernel::soft_cap(self.isa, &mut logits, cap);
        }
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
        let mut scale = [self.config.parts.embedding_scale];
        if (scale[0] - 1.0).abs() > 0.0 {
            self.rounding.apply(&mut scale);
            for value in &mut rows {
                *value *= scale[0];
            }
            self.rounding.apply(&mut rows);
        }
        Tensor::from_vec(rows, (tokens.len(), width), &Device::Cpu)
    }

    fn feed(&self, x: &Tensor, feed: &Feed<Matrix, Vec<f32>>) -> candle_core::Result<Tensor> {
        match feed {
            Feed::Dense(dense) => self.dense(x, dense, self.config.ffn),
            Feed::Experts { router, experts } => self.experts(x, router, experts),
        }
    }

    fn dense(
        &self,
        x: &Tensor,
        dense: &Dense<Matrix, Vec<f32>>,
        ffn: usize,
    ) -> candle_core::Result<Tensor> {
        let gate_up = self.linear(x, &dense.gate_up)?;
        let gate_up = biased(gate_up, dense.gate_up_bias.as_ref())?;
        let gated = gate_up.apply_op1_no_bwd(&ops::Gated { model: self, ffn })?;
        biased(self.linear(&gated, &dense.down)?, dense.down_bias.as_ref())
    }

    /// Each token's output of the experts that its router scores highest, weighed by their shares of the
    /// softmax over all. A token's sum runs over its experts in ascending order, whatever is beside it.
    fn experts(
        &self,
        x: &Tensor,
        router: &Matrix,
        experts: &[Dense<Matrix, Vec<f32>>],
    ) -> candle_core::Result<Tensor> {
        let Some(Experts { used, ffn, normalised, .. }) = self.config.parts.experts else {
            candle_core::bail!("experts without a configuration");
        };
        let rows: Vec<f32> = x.flatten_all()?.to_vec1()?;
        let scores: Vec<f32> = self.linear(x, router)?.flatten_all()?.to_vec1()?;
        let width = self.config.width;
        let choices: Vec<Vec<(usize, f32)>> = scores
            .chunks_exact(experts.len())
            .map(|scores| kernel::choose(scores, used, normalised))
            .collect();
        let mut out = vec![0.0; rows.len()];
        for (index, expert) in experts.iter().enumerate() {
            let served = choices.iter().enumerate().filter_map(|(row, chosen)| {
                let share = chosen.iter().find(|(expert, _)| *expert == index)?.1;
                Some((row, share))
            });
            let served: Vec<(usize, f32)> = served.collect();
            if served.is_empty() {
                continue;
            }
            let part: Vec<f32> = served
                .iter()
                .flat_map(|(row, _)| &rows[row * width..(row + 1) * width])
                .copied()
                .collect();
            let part = Tensor::from_vec(part, (served.len(), width), &Device::Cpu)?;
            let done: Vec<f32> = self.dense(&part, expert, ffn)?.flatten_all()?.to_vec1()?;
            for ((row, share), done) in served.iter().zip(done.chunks_exact(width)) {
                for (out, done) in out[row * width..(row + 1) * width].iter_mut().zip(done) {
                    *out = share.mul_add(*done, *out);
                }
            }
        }
        self.rounding.apply(&mut out);
        Tensor::from_vec(out, (rows.len() / width, width), &Device::Cpu)
    }

    fn norm_where(&self, x: &Tensor, weight: Option<&Vec<f32>>) -> candle_core::Result<Tensor> {
        weight.map_or_else(|| Ok(x.clone()), |weight| self.norm(x, weight))
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

fn biased(x: Tensor, bias: Option<&Vec<f32>>) -> candle_core::Result<Tensor> {
    match bias {
        Some(bias) => x.broadcast_add(&Tensor::from_slice(bias, bias.len(), &Device::Cpu)?),
        None => Ok(x),
    }
}
