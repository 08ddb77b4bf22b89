//! What encoders need beside decoders: norms that centre, attention that looks both ways.

use super::{Isa, LANES, Lane, Pool, isa::Kernel, math::exp};

/// `(x − mean) / √(variance + eps) · weight + bias`, row by row in place: Ba, Kiros and Hinton, *Layer
/// Normalization*, 2016. Moments in f64, in order.
pub(crate) fn layer_norm(rows: &mut [f32], weight: &[f32], bias: &[f32], eps: f64) {
    #[expect(clippy::cast_precision_loss, reason = "widths stay far below 2⁵³")]
    let width = weight.len() as f64;
    for row in rows.chunks_exact_mut(weight.len()) {
        let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / width;
        let squares = row.iter().map(|&x| (f64::from(x) - mean) * (f64::from(x) - mean));
        let scale = 1.0 / (squares.sum::<f64>() / width + eps).sqrt();
        for ((x, &weight), &bias) in row.iter_mut().zip(weight).zip(bias) {
            #[expect(clippy::cast_possible_truncation, reason = "activations are in f32")]
            let centred = ((f64::from(*x) - mean) * scale) as f32;
            *x = centred.mul_add(weight, bias);
        }
    }
}

/// Every token's queries against all tokens' keys: `softmax(q·kᵀ/√d)·v` for each head.
/// `qkv`: `[tokens, 3·width]` as `query | key | value`; the result: `[tokens, width]`.
pub(crate) fn attend_all(
    isa: Isa,
    pool: &Pool,
    qkv: &[f32],
    heads: usize,
    width: usize,
) -> Vec<f32> {
    let tokens = qkv.len() / (3 * width);
    let mut out = vec![0.0; tokens * width];
    let share = tokens.div_ceil(pool.threads()).max(1);
    let parts = out.chunks_mut(share * width).enumerate().collect();
    pool.each(parts, |(part, out)| {
        isa.run(Attention { qkv, heads, width, first: part * share, out });
    });
    out
}

struct Attention<'a> {
    qkv: &'a [f32],
    heads: usize,
    width: usize,
    /// Token of the first row of `out`.
    first: usize,
    out: &'a mut [f32],
}

impl Kernel for Attention<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { qkv, heads, width, first, out } = self;
        let head_dim = width / heads;
        #[expect(clippy::cast_precision_loss, reason = "head widths are small")]
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut scores = vec![0.0; qkv.len() / (3 * width)];
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let query = &qkv[(first + row) * 3 * width..][..width];
            for head in 0..heads {
                let range = head * head_dim..(head + 1) * head_dim;
                let query = &query[range.clone()];
                for (score, token) in scores.iter_mut().zip(qkv.chunks_exact(3 * width)) {
                    *score = dot(query, &token[width..][range.clone()]) * scale;
                }
                soften(&mut scores);
                let out = &mut out[range.clone()];
                for (&share, token) in scores.iter().zip(qkv.chunks_exact(3 * width)) {
                    for (out, &value) in out.iter_mut().zip(&token[2 * width..][range.clone()]) {
                        *out = share.mul_add(value, *out);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = Lane::ZERO;
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((sum, &a), &b) in sums.0.iter_mut().zip(a).zip(b) {
            *sum = a.mul_add(b, *sum);
        }
    }
    sums.sum()
}

#[inline(always)]
fn soften(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = exp(*score - most);
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}
