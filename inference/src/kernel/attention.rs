//! Causal attention over a paged key–value store.

use super::{Isa, LANES, Lane, Pool, isa::Kernel, math::exp};

/// Tokens a block of the store holds.
pub(crate) const BLOCK_TOKENS: usize = 32;

/// Lanes across one block's tokens.
const BLOCK_LANES: usize = BLOCK_TOKENS / LANES;

/// Query rows given to a thread at a time.
const ROWS_PER_PART: usize = 4;

/// Dimensions of one layer's store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KvShape {
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
}

/// Keys and values of one layer, in blocks of [`BLOCK_TOKENS`] tokens.
///
/// Keys lie `[block][head][head_dim][token]`, so that one query element meets sixteen tokens at
/// once; values lie `[block][head][token][head_dim]`.
#[derive(Debug)]
pub(crate) struct KvLayer {
    shape: KvShape,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl KvLayer {
    pub(crate) fn new(shape: KvShape, blocks: usize) -> Self {
        let numbers = blocks * BLOCK_TOKENS * shape.kv_heads * shape.head_dim;
        // Zeroed memory from the system is not resident until written to.
        Self { shape, keys: vec![0.0; numbers], values: vec![0.0; numbers] }
    }

    /// Writes one token's keys and values (each `[kv_heads, head_dim]`) at `slot` of `block`.
    pub(crate) fn write(&mut self, block: u32, slot: usize, keys: &[f32], values: &[f32]) {
        let KvShape { kv_heads, head_dim } = self.shape;
        for head in 0..kv_heads {
            let unit = block as usize * kv_heads + head;
            let lanes = &mut self.keys[unit * head_dim * BLOCK_TOKENS..];
            for (d, &key) in keys[head * head_dim..][..head_dim].iter().enumerate() {
                lanes[d * BLOCK_TOKENS + slot] = key;
            }
            let start = (unit * BLOCK_TOKENS + slot) * head_dim;
            self.values[start..start + head_dim]
                .copy_from_slice(&values[head * head_dim..][..head_dim]);
        }
    }
}

/// One query row: where its sequence lies and how far it sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attend<'a> {
    /// The sequence's blocks, in order.
    pub(crate) blocks: &'a [u32],
    /// Tokens visible to the row, itself included.
    pub(crate) visible: usize,
}

impl KvLayer {
    /// `softmax(q·Kᵀ/√d)·V` for each row. `queries` and the result: `[rows, heads, head_dim]`.
    pub(crate) fn attend(
        &self,
        isa: Isa,
        pool: &Pool,
        queries: &[f32],
        heads: usize,
        rows: &[Attend<'_>],
    ) -> Vec<f32> {
        let width = heads * self.shape.head_dim;
        let mut out = vec![0.0; rows.len() * width];
        let parts: Vec<_> = queries
            .chunks(ROWS_PER_PART * width)
            .zip(rows.chunks(ROWS_PER_PART))
            .zip(out.chunks_mut(ROWS_PER_PART * width))
            .collect();
        pool.each(parts, |((queries, rows), out)| {
            isa.run(Part { layer: self, queries, heads, rows, out });
        });
        out
    }
}

struct Part<'a> {
    layer: &'a KvLayer,
    queries: &'a [f32],
    heads: usize,
    rows: &'a [Attend<'a>],
    out: &'a mut [f32],
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let KvShape { kv_heads, head_dim } = self.layer.shape;
        let longest = self.rows.iter().map(|row| row.visible).max().unwrap_or(0);
        let mut scores = vec![0.0; longest.next_multiple_of(BLOCK_TOKENS)];
        let heads = self.queries.chunks_exact(head_dim).zip(self.out.chunks_exact_mut(head_dim));
        for (index, (query, out)) in heads.enumerate() {
            let row = self.rows[index / self.heads];
            let kv_head = index % self.heads / (self.heads / kv_heads);
            self.layer.head(query, kv_head, row, &mut scores, out);
        }
    }
}

impl KvLayer {
    #[inline(always)]
    fn head(
        &self,
        query: &[f32],
        kv_head: usize,
        row: Attend<'_>,
        scores: &mut [f32],
        out: &mut [f32],
    ) {
        for (&block, scores) in row.blocks.iter().zip(scores.chunks_exact_mut(BLOCK_TOKENS)) {
            self.block_scores(query, block, kv_head, scores);
        }
        let weights = &mut scores[..row.visible];
        softmax(weights);
        out.fill(0.0);
        let head_dim = self.shape.head_dim;
        for (&block, weights) in row.blocks.iter().zip(weights.chunks(BLOCK_TOKENS)) {
            let unit = block as usize * self.shape.kv_heads + kv_head;
            let values = &self.values[unit * BLOCK_TOKENS * head_dim..];
            for (value, &weight) in values.chunks_exact(head_dim).zip(weights) {
                for (out, &v) in out.iter_mut().zip(value) {
                    *out = weight.mul_add(v, *out);
                }
            }
        }
    }

    #[inline(always)]
    fn block_scores(&self, query: &[f32], block: u32, kv_head: usize, scores: &mut [f32]) {
        let head_dim = self.shape.head_dim;
        let unit = block as usize * self.shape.kv_heads + kv_head;
        let keys = &self.keys[unit * head_dim * BLOCK_TOKENS..][..head_dim * BLOCK_TOKENS];
        let (keys, _) = keys.as_chunks::<BLOCK_TOKENS>();
        let mut sums = [Lane::ZERO; BLOCK_LANES];
        for (&q, keys) in query.iter().zip(keys) {
            for (sum, keys) in sums.iter_mut().zip(keys.as_chunks::<LANES>().0) {
                sum.fma(q, keys);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "head widths are small")]
        let scale = 1.0 / (head_dim as f32).sqrt();
        for (scores, sum) in scores.chunks_exact_mut(LANES).zip(&sums) {
            for (score, &sum) in scores.iter_mut().zip(&sum.0) {
                *score = sum * scale;
            }
        }
    }
}

/// Scores into weights that sum to one; the sum runs in sixteen lanes by position.
#[inline(always)]
fn softmax(scores: &mut [f32]) {
    let mut most = Lane([f32::NEG_INFINITY; LANES]);
    for chunk in scores.chunks(LANES) {
        for (most, &score) in most.0.iter_mut().zip(chunk) {
            *most = if score > *most { score } else { *most };
        }
    }
    let most = most.0.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = Lane::ZERO;
    for chunk in scores.chunks_mut(LANES) {
        for (sum, score) in sums.0.iter_mut().zip(chunk) {
            *score = exp(*score - most);
            *sum += *score;
        }
    }
    let scale = 1.0 / sums.sum();
    for score in scores {
        *score *= scale;
    }
}
