//! The operators of a decoder layer, as candle custom operators over our kernels.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape};
use parking_lot::Mutex;

use super::{Segment, decoder::Decoder, deviation::int8_heads, rope::Turns, weights::HeadNorms};
use crate::{
    config::LayerKind,
    kernel::{self, Attend, BLOCK_TOKENS, KvLayer, Matrix, Scores},
};

/// The contiguous numbers of a tensor.
fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::RequiresContiguous { op: "inference" })?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

impl Decoder {
    /// Rounds as the class demands and hands to candle.
    fn finish(&self, mut out: Vec<f32>, width: usize) -> (CpuStorage, Shape) {
        self.rounding.apply(&mut out);
        let shape = Shape::from((out.len() / width, width));
        (CpuStorage::F32(out), shape)
    }
}

/// `x·Wᵀ`.
pub(super) struct Linear<'a> {
    pub(super) model: &'a Decoder,
    pub(super) matrix: &'a Matrix,
}

impl CustomOp1 for Linear<'_> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = numbers(storage, layout)?;
        let out = self.matrix.product(self.model.isa, &self.model.pool, x);
        Ok(self.model.finish(out, self.matrix.rows()))
    }
}

/// Root-mean-square norm.
pub(super) struct RmsNorm<'a> {
    pub(super) model: &'a Decoder,
    pub(super) weight: &'a [f32],
}

impl CustomOp1 for RmsNorm<'_> {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = numbers(storage, layout)?;
        let mut out = vec![0.0; x.len()];
        let eps = self.model.config.norm_eps;
        kernel::rms_norm(self.model.isa, x, self.weight, eps, &mut out);
        Ok(self.model.finish(out, self.weight.len()))
    }
}

/// `activation(gate)·up` of rows `[gate | up]`.
pub(super) struct Gated<'a> {
    pub(super) model: &'a Decoder,
    pub(super) ffn: usize,
}

impl CustomOp1 for Gated<'_> {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let gate_up = numbers(storage, layout)?;
        let mut out = vec![0.0; gate_up.len() / 2];
        let activation = self.model.config.parts.activation;
        kernel::gate(self.model.isa, activation, gate_up, self.ffn, &mut out);
        Ok(self.model.finish(out, self.ffn))
    }
}

/// Sum of the residual stream and a branch.
pub(super) struct Residual<'a> {
    pub(super) model: &'a Decoder,
}

impl CustomOp2 for Residual<'_> {
    fn name(&self) -> &'static str {
        "residual"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (a, b) = (numbers(s1, l1)?, numbers(s2, l2)?);
        let mut out = vec![0.0; a.len()];
        kernel::add(a, b, self.model.config.parts.residual_scale, &mut out);
        Ok(self.model.finish(out, self.model.config.width))
    }
}

/// Head norms, rotation, key–value writes and attention over rows `[queries | keys | values]`.
pub(super) struct Attention<'a> {
    pub(super) model: &'a Decoder,
    pub(super) kind: LayerKind,
    pub(super) head_norms: Option<&'a HeadNorms<Vec<f32>>>,
    pub(super) segments: &'a [Segment<'a>],
    pub(super) turns: &'a Turns,
    pub(super) kv: &'a Mutex<KvLayer>,
}

impl CustomOp1 for Attention<'_> {
    fn name(&self) -> &'static str {
        "paged-attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let config = &self.model.config;
        let (query_width, kv_width) = (config.query_width(), config.kv_width());
        let qkv = numbers(storage, layout)?;
        let mut queries = Vec::with_capacity(qkv.len());
        let mut rows = Vec::new();
        let mut kv = self.kv.lock();
        let places = self.segments.iter().flat_map(|segment| {
            (segment.start..segment.start + segment.tokens.len()).map(move |p| (segment, p))
        });
        let (mut keys, mut values) = (vec![0.0; kv_width], vec![0.0; kv_width]);
        let tokens = qkv.chunks_exact(query_width + 2 * kv_width).zip(places);
        for (index, (row, (segment, position))) in tokens.enumerate() {
            let (query, rest) = row.split_at(query_width);
            let (key, value) = rest.split_at(kv_width);
            let from = queries.len();
            queries.extend_from_slice(query);
            keys.copy_from_slice(key);
            let norms = self.head_norms;
            self.place(&mut queries[from..], norms.map(|n| n.query.as_slice()), index);
            self.place(&mut keys, norms.map(|n| n.key.as_slice()), index);
            values.copy_from_slice(value);
            if self.model.int8_kv {
                int8_heads(&mut keys, config.head_dim);
                int8_heads(&mut values, config.head_dim);
            }
            let block = segment.blocks[position / BLOCK_TOKENS];
            kv.write(block, position % BLOCK_TOKENS, &keys, &values);
            let visible = position + 1;
            let first = self.kind.window.map_or(0, |window| visible.saturating_sub(window));
            rows.push(Attend { blocks: segment.blocks, first, visible });
        }
        let scores = Scores { scale: config.attention_scale(), cap: config.parts.attention_cap };
        let heads = config.heads;
        let out = kv.attend(self.model.isa, &self.model.pool, &queries, heads, scores, &rows);
        Ok(self.model.finish(out, query_width))
    }
}

impl Attention<'_> {
    /// Norms and rotates each head of `heads`, of the pass's row `row`.
    fn place(&self, heads: &mut [f32], norm: Option<&[f32]>, row: usize) {
        let config = &self.model.config;
        let (cos, sin) = self.turns.of(self.kind.rope, row);
        if let Some(weight) = norm {
            let plain = heads.to_vec();
            kernel::rms_norm(self.model.isa, &plain, weight, config.norm_eps, heads);
        }
        for head in heads.chunks_exact_mut(config.head_dim) {
            kernel::rotate(&mut head[..2 * cos.len()], cos, sin);
        }
        self.model.rounding.apply(heads);
    }
}
