//! The decoder in candle's own operations, for devices that no kernels of ours are written for: Metal.
//!
//! One scheduler steps it as it steps the others, over the same blocks of keys and values. It is written
//! to be right wherever candle computes, not to be the fastest there: attention gathers a sequence's keys
//! and values first, and nothing is fused.

use std::sync::Arc;

use candle_core::{D, DType, Device, Result, Tensor};

use super::{
    Rope, Segment,
    runner::{LOGIT_ROWS, Said, Verdict, Wanted},
    weights::{HeadNorms, Shelf, Weights},
};
use crate::{
    NumericClass,
    config::Config,
    device::DeviceError,
    engine::EngineOptions,
    kernel::BLOCK_TOKENS,
    load::{Encoded, LoadError, Loader},
};

/// A model whose weights lie in a device's memory.
#[derive(Debug)]
pub(crate) struct Tensors {
    config: Config,
    weights: Weights<Tensor, Tensor>,
    rope: Rope,
    device: Device,
    dtype: DType,
}

/// Tensors of `dtype` on `device`.
struct OnDevice<'a> {
    device: &'a Device,
    dtype: DType,
}

fn refused(error: &candle_core::Error) -> LoadError {
    LoadError::Device(DeviceError::Candle(error.to_string()))
}

impl OnDevice<'_> {
    fn place(&self, values: Vec<f32>, shape: (usize, usize)) -> Result<Tensor> {
        Tensor::from_vec(values, shape, self.device)?.to_dtype(self.dtype)
    }
}

impl Shelf for OnDevice<'_> {
    type Matrix = Tensor;
    type Vector = Tensor;

    fn matrix(&self, encoded: &Encoded) -> std::result::Result<Tensor, LoadError> {
        let (rows, cols) = (encoded.rows, encoded.cols);
        let mut values = vec![0.0; rows * cols];
        for (row, out) in values.chunks_exact_mut(cols).enumerate() {
            encoded.decode_row(row, out);
        }
        self.place(values, (rows, cols)).map_err(|error| refused(&error))
    }

    fn vector(&self, values: Vec<f32>) -> std::result::Result<Tensor, LoadError> {
        let width = values.len();
        self.place(values, (1, width)).map_err(|error| refused(&error))
    }
}

impl Tensors {
    /// Reads a model's tensors onto `device`, all layers but `dropped`.
    pub(crate) fn read(
        loader: &mut Loader,
        config: &Config,
        class: NumericClass,
        device: Device,
        dropped: Option<usize>,
    ) -> std::result::Result<Self, LoadError> {
        let dtype = if class == NumericClass::Bf16 { DType::BF16 } else { DType::F32 };
        let mut weights = Weights::read(loader, config, &OnDevice { device: &device, dtype })?;
        if let Some(layer) = dropped {
            weights.layers.remove(layer);
        }
        Ok(Self { config: config.clone(), weights, rope: Rope::new(config), device, dtype })
    }

    /// Weights of all matrices.
    pub(crate) fn parameters(&self) -> usize {
        self.weights.matrices().map(Tensor::elem_count).sum()
    }

    /// Bytes of a number of a weight, a key or a value.
    pub(crate) const fn number_bytes(&self) -> usize {
        if matches!(self.dtype, DType::BF16) { size_of::<half::bf16>() } else { size_of::<f32>() }
    }

    /// `x / √(mean(x²) + eps) · weight` over the last dimension, in f32 up to the product.
    fn norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let x = x.to_dtype(DType::F32)?;
        let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
        let size = (mean + f64::from(self.config.norm_eps))?.sqrt()?;
        x.broadcast_div(&size)?.to_dtype(self.dtype)?.broadcast_mul(weight)
    }

    /// Heads `[tokens, heads, head_dim]`, normed where the family does it, and rotated.
    fn placed(&self, heads: &Tensor, norm: Option<&Tensor>, turns: &Turns) -> Result<Tensor> {
        let heads = match norm {
            Some(weight) => self.norm(heads, &weight.unsqueeze(0)?)?,
            None => heads.clone(),
        };
        let (heads, half) = (heads.to_dtype(DType::F32)?, self.config.head_dim / 2);
        let (a, b) = (heads.narrow(2, 0, half)?, heads.narrow(2, half, half)?);
        let (cos, sin) = (&turns.cos, &turns.sin);
        let first = (a.broadcast_mul(cos)? - b.broadcast_mul(sin)?)?;
        let second = (b.broadcast_mul(cos)? + a.broadcast_mul(sin)?)?;
        Tensor::cat(&[first, second], 2)?.to_dtype(self.dtype)
    }
}

/// Cosines and sines of a pass, each `[tokens, 1, head_dim/2]`.
struct Turns {
    cos: Tensor,
    sin: Tensor,
}

/// Such a model, with the keys and values of its sequences.
#[derive(Debug)]
pub(crate) struct Session {
    model: Arc<Tensors>,
    /// One a layer: `[blocks·BLOCK_TOKENS, kv_width]`.
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
    pub(super) blocks: usize,
}

/// One segment as a pass sees it.
struct Span<'a> {
    segment: &'a Segment<'a>,
    /// Its first row.
    row: usize,
    /// Slots of all tokens that it sees, in order.
    slots: Tensor,
    /// `[1, tokens, visible]`: 0 where a token sees, −∞ where it does not; `None` for one token.
    mask: Option<Tensor>,
}

impl Session {
    pub(super) fn new(
        model: Arc<Tensors>,
        options: EngineOptions,
    ) -> std::result::Result<Self, DeviceError> {
        let blocks = options.kv_tokens.max(1).div_ceil(BLOCK_TOKENS);
        let shape = (blocks * BLOCK_TOKENS, model.config.kv_width());
        let store = || -> Result<Vec<Tensor>> {
            let layers = 0..model.weights.layers.len();
            layers.map(|_| Tensor::zeros(shape, model.dtype, &model.device)).collect()
        };
        let failed = |error: candle_core::Error| DeviceError::Candle(error.to_string());
        let (keys, values) = (store().map_err(failed)?, store().map_err(failed)?);
        Ok(Self { model, keys, values, blocks })
    }

    pub(super) fn step(&self, segments: &[Segment<'_>], wanted: &[Wanted]) -> Result<Vec<Said>> {
        let (model, vocab) = (&self.model, self.model.config.vocab);
        let states = self.forward(segments)?;
        let head = model.weights.head.as_ref().unwrap_or(&model.weights.embedding).t()?;
        let mut said = Vec::with_capacity(wanted.len());
        for part in wanted.chunks(LOGIT_ROWS) {
            let rows: Vec<u32> = part.iter().map(|wanted| place(wanted.row)).collect();
            let rows = Tensor::from_vec(rows, part.len(), &model.device)?;
            let hidden = states.index_select(&rows, 0)?;
            let logits = hidden.matmul(&head)?.to_dtype(DType::F32)?.flatten_all()?;
            let logits = logits.to_vec1::<f32>()?;
            let hidden = hidden.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            let each = part.iter().zip(logits.chunks_exact(vocab)).zip(hidden);
            said.extend(each.map(|((wanted, logits), hidden)| Said {
                verdict: Verdict::of(wanted, logits),
                hidden: if wanted.hidden { hidden } else { Vec::new() },
            }));
        }
        Ok(said)
    }

    /// Hidden states after the last norm, `[tokens, width]`.
    fn forward(&self, segments: &[Segment<'_>]) -> Result<Tensor> {
        let (model, config) = (&*self.model, &self.model.config);
        let tokens: Vec<u32> = segments.iter().flat_map(|s| s.tokens).copied().collect();
        let count = tokens.len();
        let ids = Tensor::from_vec(tokens, count, &model.device)?;
        let mut hidden = model.weights.embedding.index_select(&ids, 0)?;
        let turns = self.turns(segments, count)?;
        let spans = self.spans(segments)?;
        for (index, layer) in model.weights.layers.iter().enumerate() {
            let Some(plain) = layer.plain() else {
                candle_core::bail!("a layer of a kind that is refused when it is loaded");
            };
            let x = model.norm(&hidden, plain.attention_norm)?;
            let mut qkv = x.matmul(&layer.qkv.t()?)?;
            if let Some(bias) = &layer.qkv_bias {
                qkv = qkv.broadcast_add(bias)?;
            }
            let (query, kv) = (config.query_width(), config.kv_width());
            let heads = |from: usize, heads: usize| {
                qkv.narrow(1, from, heads * config.head_dim)?.reshape((
                    count,
                    heads,
                    config.head_dim,
                ))
            };
            let norms = layer.head_norms.as_ref();
            let (query_norm, key_norm) = (
                norms.map(|HeadNorms { query, .. }| query),
                norms.map(|HeadNorms { key, .. }| key),
            );
            let queries = model.placed(&heads(0, config.heads)?, query_norm, &turns)?;
            let keys = model.placed(&heads(query, config.kv_heads)?, key_norm, &turns)?;
            let values = qkv.narrow(1, query + kv, kv)?.contiguous()?;
            self.write(index, &spans, &keys.reshape((count, kv))?, &values)?;
            let mixed = self.attend(index, &spans, &queries)?;
            hidden = (hidden + mixed.matmul(&layer.output.t()?)?)?;
            let x = model.norm(&hidden, plain.ffn_norm)?;
            let gate_up = x.matmul(&plain.gate_up.t()?)?;
            let (gate, up) =
                (gate_up.narrow(1, 0, config.ffn)?, gate_up.narrow(1, config.ffn, config.ffn)?);
            let gated = (gate.contiguous()?.silu()? * up)?;
            hidden = (hidden + gated.matmul(&plain.down.t()?)?)?;
        }
        model.norm(&hidden, &model.weights.norm)
    }

    fn turns(&self, segments: &[Segment<'_>], count: usize) -> Result<Turns> {
        let (cos, sin) = self.model.rope.of(segments);
        let shape = (count, 1, self.model.config.head_dim / 2);
        let tensor = |numbers| Tensor::from_vec(numbers, shape, &self.model.device);
        Ok(Turns { cos: tensor(cos)?, sin: tensor(sin)? })
    }

    fn spans<'a>(&self, segments: &'a [Segment<'a>]) -> Result<Vec<Span<'a>>> {
        let (mut row, device) = (0, &self.model.device);
        let span = |segment: &'a Segment<'a>| {
            let (start, tokens) = (segment.start, segment.tokens.len());
            let visible = start + tokens;
            let slots: Vec<u32> =
                (0..visible).map(|position| place(slot(segment, position))).collect();
            let slots = Tensor::from_vec(slots, visible, device)?;
            let hides = |row: usize| {
                (0..visible).map(move |p| if p <= start + row { 0.0 } else { f32::NEG_INFINITY })
            };
            let mask = if tokens == 1 {
                None
            } else {
                let mask: Vec<f32> = (0..tokens).flat_map(hides).collect();
                Some(Tensor::from_vec(mask, (1, tokens, visible), device)?)
            };
            row += tokens;
            Ok(Span { segment, row: row - tokens, slots, mask })
        };
        segments.iter().map(span).collect()
    }

    /// Writes keys and values `[tokens, kv_width]` to their blocks, a run of one block at a time.
    fn write(
        &self,
        layer: usize,
        spans: &[Span<'_>],
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<()> {
        for Span { segment, row, .. } in spans {
            let (mut done, tokens) = (0, segment.tokens.len());
            while done < tokens {
                let position = segment.start + done;
                let run = (BLOCK_TOKENS - position % BLOCK_TOKENS).min(tokens - done);
                let at = slot(segment, position);
                for (store, new) in [(&self.keys[layer], keys), (&self.values[layer], values)] {
                    store.slice_set(&new.narrow(0, row + done, run)?.contiguous()?, 0, at)?;
                }
                done += run;
            }
        }
        Ok(())
    }

    /// `softmax(q·Kᵀ/√d)·V` of queries `[tokens, heads, head_dim]`: `[tokens, query_width]`.
    fn attend(&self, layer: usize, spans: &[Span<'_>], queries: &Tensor) -> Result<Tensor> {
        let Config { heads, kv_heads, head_dim, .. } = self.model.config;
        let group = heads / kv_heads;
        #[expect(clippy::cast_precision_loss, reason = "head widths are small")]
        let scale = 1.0 / (head_dim as f64).sqrt();
        let mixed = |span: &Span<'_>| {
            let (tokens, visible) = (span.segment.tokens.len(), span.slots.elem_count());
            // `[kv_heads, visible, head_dim]`.
            let seen = |store: &Tensor| {
                let seen = store.index_select(&span.slots, 0)?;
                seen.reshape((visible, kv_heads, head_dim))?.transpose(0, 1)?.contiguous()
            };
            let (keys, values) = (seen(&self.keys[layer])?, seen(&self.values[layer])?);
            let queries = queries
                .narrow(0, span.row, tokens)?
                .reshape((tokens, kv_heads, group, head_dim))?
                .permute((1, 2, 0, 3))?
                .contiguous()?
                .reshape((kv_heads, group * tokens, head_dim))?;
            let scores = queries.matmul(&keys.t()?.contiguous()?)?.to_dtype(DType::F32)?;
            let mut scores = (scores * scale)?.reshape((kv_heads * group, tokens, visible))?;
            if let Some(mask) = &span.mask {
                scores = scores.broadcast_add(mask)?;
            }
            let powers = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
            let weights = powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?;
            let weights = weights.to_dtype(self.model.dtype)?;
            weights
                .reshape((kv_heads, group * tokens, visible))?
                .matmul(&values)?
                .reshape((kv_heads, group, tokens, head_dim))?
                .permute((2, 0, 1, 3))?
                .contiguous()?
                .reshape((tokens, heads * head_dim))
        };
        let mixed: Vec<Tensor> = spans.iter().map(mixed).collect::<Result<_>>()?;
        Tensor::cat(&mixed, 0)
    }
}

/// Where a position of a sequence lies in the store.
const fn slot(segment: &Segment<'_>, position: usize) -> usize {
    segment.blocks[position / BLOCK_TOKENS] as usize * BLOCK_TOKENS + position % BLOCK_TOKENS
}

/// An index as candle takes it.
fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        LoadOptions, Sampling,
        config::Family,
        load,
        model::{Backend, runner::Runner},
    };

    fn wanted(row: usize, claimed: Option<u32>) -> Wanted {
        let sampling = Sampling::new(0.8, 7).unwrap();
        let shape = None;
        Wanted { row, sampling, shape, position: 3, claimed, alternatives: 0, hidden: true }
    }

    /// A small model by our kernels, and in candle's operations on candle's own processor backend.
    fn runners(family: Family, options: EngineOptions) -> [Runner; 2] {
        let class = NumericClass::F32;
        let loader = || {
            let (config, tensors) = load::small(family);
            (config, Loader::new(tensors, class, None))
        };
        let (config, mut ours) = loader();
        let load = LoadOptions::default().with_class(class).with_threads(1);
        let Backend::Cpu(decoder) = Backend::read(&mut ours, &config, class, load).unwrap() else {
            panic!("not on the processors");
        };
        let (config, mut theirs) = loader();
        let model = Tensors::read(&mut theirs, &config, class, Device::Cpu, None).unwrap();
        [Runner::host(decoder, options), Runner::tensors(Arc::new(model), options).unwrap()]
    }

    #[test]
    fn candles_operations_agree_with_our_kernels_over_prefills_decodes_and_scattered_blocks() {
        for family in [Family::Llama, Family::Qwen2, Family::Qwen3] {
            agree(family);
        }
    }

    fn agree(family: Family) {
        let options = EngineOptions { kv_tokens: 8 * BLOCK_TOKENS, ..EngineOptions::default() };
        let mut runners = runners(family, options);
        let tokens = |first: u32, count: u32| -> Vec<u32> {
            (0..count).map(|i| 40 + (first * 31 + i * 7) % 180).collect()
        };
        let (long, short, more) = (tokens(1, 45), tokens(2, 5), tokens(3, 2));
        let segment = |tokens, start, blocks| Segment { tokens, start, blocks };
        let steps = [
            // A prefill over two blocks, and another sequence beside it; then a decode and a chunk.
            (vec![segment(&long, 0, &[6, 1][..]), segment(&short, 0, &[3])], vec![44, 49]),
            (vec![segment(&more[..1], 45, &[6, 1]), segment(&more, 5, &[3])], vec![0, 1, 2]),
        ];
        for (segments, rows) in &steps {
            let wanted: Vec<Wanted> = rows.iter().map(|&row| wanted(row, Some(50))).collect();
            let said = runners.each_mut().map(|runner| runner.step(segments, &wanted).unwrap());
            for (ours, theirs) in said[0].iter().zip(&said[1]) {
                let apart = ours.hidden.iter().zip(&theirs.hidden).map(|(a, b)| (a - b).abs());
                let size = ours.hidden.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                assert!(apart.fold(0.0, f32::max) < 1e-3 * size, "{family:?}");
                let (Verdict::Checked(ours), Verdict::Checked(theirs)) =
                    (&ours.verdict, &theirs.verdict)
                else {
                    panic!("{ours:?} {theirs:?}");
                };
                assert_eq!((ours.rank, ours.seeded_token), (theirs.rank, theirs.seeded_token));
                assert!((ours.logprob - theirs.logprob).abs() < 1e-3);
                assert!((ours.entropy_nat - theirs.entropy_nat).abs() < 1e-3);
            }
        }
    }
}
