//! Causal attention over a paged key–value store.

use super::{
    Isa, LANES, Lane, Pool,
    isa::{Dot, LaneKernel},
    math::{exp, tanh},
};

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
    /// The first token that it sees.
    pub(crate) first: usize,
    /// One past the last: tokens up to the row, itself included.
    pub(crate) visible: usize,
}

/// How products of queries and keys become scores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scores {
    /// `1/√head_dim` for most.
    pub(crate) scale: f32,
    /// Scores are `cap·tanh(score/cap)`.
    pub(crate) cap: Option<f32>,
}

impl KvLayer {
    /// `softmax(q·Kᵀ·scale)·V` for each row. `queries` and the result: `[rows, heads, head_dim]`.
    pub(crate) fn attend(
        &self,
        isa: Isa,
        pool: &Pool,
        queries: &[f32],
        heads: usize,
        scores: Scores,
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
            isa.run_lanes(Part { layer: self, queries, heads, how: scores, rows, out });
        });
        out
    }
}

/// Queries that share each key and value read: their sums fit the registers beside these.
const TILE_QUERIES: usize = 4;

struct Part<'a> {
    layer: &'a KvLayer,
    queries: &'a [f32],
    heads: usize,
    how: Scores,
    rows: &'a [Attend<'a>],
    out: &'a mut [f32],
}

impl LaneKernel for Part<'_> {
    #[inline(always)]
    fn run<D: Dot>(mut self, dot: D) {
        let longest = self.rows.iter().map(|row| row.visible).max().unwrap_or(0);
        let longest = longest.next_multiple_of(BLOCK_TOKENS);
        let mut scores = vec![0.0; longest * TILE_QUERIES];
        let mut first = 0;
        while first < self.rows.len() {
            // Rows of one sequence read the same keys.
            let blocks = self.rows[first].blocks;
            let same = self.rows[first..].iter().take_while(|row| std::ptr::eq(row.blocks, blocks));
            let count = same.count();
            for kv_head in 0..self.layer.shape.kv_heads {
                self.sequence(dot, first..first + count, kv_head, longest, &mut scores);
            }
            first += count;
        }
    }
}

/// Queries of one sequence and one key head, by index: of which row and head, from where on.
#[derive(Clone, Copy)]
struct Tile {
    /// First row of the sequence.
    row: usize,
    /// First query of the tile, counted over the sequence's rows and the key head's query heads.
    query: usize,
    kv_head: usize,
    /// Scores of a query.
    longest: usize,
}

impl Part<'_> {
    #[inline(always)]
    fn sequence<D: Dot>(
        &mut self,
        dot: D,
        rows: std::ops::Range<usize>,
        kv_head: usize,
        longest: usize,
        scores: &mut [f32],
    ) {
        let count = rows.len() * (self.heads / self.layer.shape.kv_heads);
        let mut query = 0;
        while query < count {
            let tile = Tile { row: rows.start, query, kv_head, longest };
            query += match count - query {
                1 => self.tile::<D, 1>(dot, tile, scores),
                2 => self.tile::<D, 2>(dot, tile, scores),
                3 => self.tile::<D, 3>(dot, tile, scores),
                _ => self.tile::<D, TILE_QUERIES>(dot, tile, scores),
            };
        }
    }

    /// `M` queries of one sequence; returns `M`.
    #[inline(always)]
    fn tile<D: Dot, const M: usize>(&mut self, dot: D, tile: Tile, scores: &mut [f32]) -> usize {
        let KvShape { kv_heads, head_dim } = self.layer.shape;
        let group = self.heads / kv_heads;
        let (mut places, mut queries) = ([0; M], [&[][..]; M]);
        let (mut first, mut visible) = ([0; M], [0; M]);
        for m in 0..M {
            let query = tile.query + m;
            let row = tile.row + query / group;
            places[m] = (row * self.heads + tile.kv_head * group + query % group) * head_dim;
            (first[m], visible[m]) = (self.rows[row].first, self.rows[row].visible);
            queries[m] = &self.queries[places[m]..][..head_dim];
        }
        let blocks = self.rows[tile.row].blocks;
        let most = visible.iter().copied().fold(0, usize::max);
        // Blocks that no query of the tile sees are passed over.
        let least = first.iter().copied().fold(usize::MAX, usize::min) / BLOCK_TOKENS;
        let blocks = &blocks[..blocks.len().min(most.div_ceil(BLOCK_TOKENS))];
        for (index, &block) in blocks.iter().enumerate().skip(least) {
            let unit = block as usize * kv_heads + tile.kv_head;
            let found = self.layer.block_scores(dot, &queries, unit, self.how.scale);
            for m in 0..M {
                scores[m * tile.longest + index * BLOCK_TOKENS..][..BLOCK_TOKENS]
                    .copy_from_slice(&found[m]);
            }
        }
        for m in 0..M {
            let scores = &mut scores[m * tile.longest..][..visible[m]];
            let (before, scores) = scores.split_at_mut(first[m]);
            if let Some(cap) = self.how.cap {
                for score in scores.iter_mut() {
                    *score = cap * tanh(*score / cap);
                }
            }
            softmax(scores);
            before.fill(0.0);
        }
        for start in (0..head_dim).step_by(LANES) {
            let width = LANES.min(head_dim - start);
            let mut sums = [dot.floats(&Lane::ZERO.0); M];
            for (index, &block) in blocks.iter().enumerate().skip(least) {
                let unit = block as usize * kv_heads + tile.kv_head;
                let values = &self.layer.values[unit * BLOCK_TOKENS * head_dim + start..];
                let at = index * BLOCK_TOKENS;
                let mut weights = [&[][..]; M];
                for m in 0..M {
                    let seen = visible[m].saturating_sub(at).min(BLOCK_TOKENS);
                    weights[m] = &scores[m * tile.longest + at..][..seen];
                }
                sums = weigh(dot, sums, &weights, values, head_dim, width);
            }
            for m in 0..M {
                let sum = dot.lane(sums[m]);
                self.out[places[m] + start..][..width].copy_from_slice(&sum.0[..width]);
            }
        }
        M
    }
}

/// Adds `Σ weight·value` over the tokens of a block, in their order, for `M` queries that see the
/// first few of them each. A token has `width` numbers; tokens lie `stride` apart.
#[inline(always)]
fn weigh<D: Dot, const M: usize>(
    dot: D,
    mut sums: [D::Floats; M],
    weights: &[&[f32]; M],
    values: &[f32],
    stride: usize,
    width: usize,
) -> [D::Floats; M] {
    let value = |token: usize| -> D::Floats {
        let value = &values[token * stride..];
        match value.first_chunk() {
            Some(whole) if width == LANES => dot.floats(whole),
            _ => {
                let mut padded = [0.0; LANES];
                padded[..width].copy_from_slice(&value[..width]);
                dot.floats(&padded)
            }
        }
    };
    let common = weights.iter().fold(BLOCK_TOKENS, |common, weights| common.min(weights.len()));
    let mut token = 0;
    while token < common {
        let value = value(token);
        for m in 0..M {
            sums[m] = dot.fma(sums[m], weights[m][token], value);
        }
        token += 1;
    }
    for m in 0..M {
        for (token, &weight) in weights[m].iter().enumerate().skip(common) {
            sums[m] = dot.fma(sums[m], weight, value(token));
        }
    }
    sums
}

impl KvLayer {
    /// Scaled products of `M` queries with the keys of one block and head, `unit`.
    #[inline(always)]
    fn block_scores<D: Dot, const M: usize>(
        &self,
        dot: D,
        queries: &[&[f32]; M],
        unit: usize,
        scale: f32,
    ) -> [[f32; BLOCK_TOKENS]; M] {
        let head_dim = self.shape.head_dim;
        let keys = &self.keys[unit * head_dim * BLOCK_TOKENS..][..head_dim * BLOCK_TOKENS];
        let (keys, _) = keys.as_chunks::<BLOCK_TOKENS>();
        let mut sums = [[dot.floats(&Lane::ZERO.0); BLOCK_LANES]; M];
        for (d, keys) in keys.iter().enumerate() {
            let (keys, _) = keys.as_chunks::<LANES>();
            let keys = [dot.floats(&keys[0]), dot.floats(&keys[1])];
            for m in 0..M {
                let query = queries[m][d];
                sums[m] =
                    [dot.fma(sums[m][0], query, keys[0]), dot.fma(sums[m][1], query, keys[1])];
            }
        }
        let mut scores = [[0.0; BLOCK_TOKENS]; M];
        for m in 0..M {
            for (scores, sum) in scores[m].chunks_exact_mut(LANES).zip(sums[m]) {
                for (score, sum) in scores.iter_mut().zip(dot.lane(sum).0) {
                    *score = sum * scale;
                }
            }
        }
        scores
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
