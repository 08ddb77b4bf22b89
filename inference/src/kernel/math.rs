//! Element-wise operators and norms.

use std::marker::PhantomData;

use super::{Isa, LANES, Lane, isa::Kernel};
use crate::config::Activation;

/// What happens to every operator's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// Kept in f32.
    None,
    /// Rounded to the nearest bf16, ties to even.
    Bf16,
}

impl Rounding {
    pub(crate) fn apply(self, values: &mut [f32]) {
        if self == Self::Bf16 {
            for value in values {
                *value = half::bf16::from_f32(*value).to_f32();
            }
        }
    }
}

/// `e^x` to within 2 units in the last place for x ≤ 88; 0 below −87.
///
/// Cody–Waite reduction `x = n·ln 2 + r`, a degree-6 Taylor polynomial on |r| ≤ ln 2 / 2 (truncation
/// below 2⁻²⁴ relative), and `2ⁿ` put into the exponent.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding 1.5·2²³ rounds to the nearest integer and leaves it in the low bits; subtracting it
    /// again leaves the integer as a float. A cast would do, but saturates, which does not vectorise.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first of few bits: `n` times it is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -0.000_212_194_44;
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = (-n).mul_add(LN2_LOW, (-n).mul_add(LN2_HIGH, clamped));
    let mut p = 1.0 / 720.0;
    for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = r.mul_add(p, c);
    }
    // n + 127 is within 1..=254; the bits of ROUND above its low ones are shifted out.
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { p * scale }
}

/// Sums over a row of logits, with `x = (logit − max) / temperature`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Partition {
    /// The largest logit.
    pub(crate) most: f32,
    /// `Σ eˣ`.
    pub(crate) sum: f64,
    /// `Σ x·eˣ`.
    pub(crate) weighted: f64,
}

/// Logits whose powers are held at once.
const STRIDE: usize = 32 * LANES;

/// Adds each number to the sum of its lane: its place modulo [`LANES`].
#[inline(always)]
fn add_lanes(sums: &mut [f64; LANES], numbers: &[f32]) {
    let (whole, rest) = numbers.as_chunks::<LANES>();
    for chunk in whole {
        for (sum, &number) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(number);
        }
    }
    for (sum, &number) in sums.iter_mut().zip(rest) {
        *sum += f64::from(number);
    }
}

struct Partitioned<'a> {
    logits: &'a [f32],
    temperature: f32,
}

impl Kernel for Partitioned<'_> {
    type Output = Partition;

    #[inline(always)]
    fn run(self) -> Partition {
        let (whole, rest) = self.logits.as_chunks::<LANES>();
        let mut most = [f32::NEG_INFINITY; LANES];
        for chunk in whole {
            for (most, &logit) in most.iter_mut().zip(chunk) {
                *most = if logit > *most { logit } else { *most };
            }
        }
        let most = most.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
        let (mut sums, mut weighted) = ([0.0_f64; LANES], [0.0_f64; LANES]);
        let (mut powers, mut products) = ([0.0_f32; STRIDE], [0.0_f32; STRIDE]);
        for part in self.logits.chunks(STRIDE) {
            // Apart from the sums, and many at a time: else the compiler sees no loop of whole registers.
            for ((power, product), &logit) in powers.iter_mut().zip(&mut products).zip(part) {
                let x = (logit - most) / self.temperature;
                let x = if x > -f32::MAX { x } else { -f32::MAX };
                *power = exp(x);
                *product = *power * x;
            }
            let (powers, products) = (&powers[..part.len()], &products[..part.len()]);
            add_lanes(&mut sums, powers);
            add_lanes(&mut weighted, products);
        }
        Partition { most, sum: sums.iter().sum(), weighted: weighted.iter().sum() }
    }
}

/// The partition sums of softmax(logits / temperature); `temperature` > 0.
pub(crate) fn partition(isa: Isa, logits: &[f32], temperature: f32) -> Partition {
    isa.run(Partitioned { logits, temperature })
}

/// Counts what does not exceed `bound`; NaN counts for nothing.
struct Within<'a> {
    values: &'a [f32],
    bound: f32,
    /// Whether signs are left out.
    sizes: bool,
}

impl Kernel for Within<'_> {
    type Output = usize;

    #[inline(always)]
    fn run(self) -> usize {
        // In words of 32 bits, as wide as the numbers.
        let mut count = 0_usize;
        for part in self.values.chunks(STRIDE) {
            let mut within = 0_u32;
            if self.sizes {
                for value in part {
                    within += u32::from(value.abs() <= self.bound);
                }
            } else {
                for value in part {
                    within += u32::from(*value <= self.bound);
                }
            }
            count += within as usize;
        }
        count
    }
}

/// How many of `logits`, none of which is NaN, are larger than `bound`.
pub(crate) fn above(isa: Isa, logits: &[f32], bound: f32) -> usize {
    logits.len() - isa.run(Within { values: logits, bound, sizes: false })
}

/// How many of `values` are NaN or infinite.
pub(crate) fn not_finite(isa: Isa, values: &[f32]) -> usize {
    values.len() - isa.run(Within { values, bound: f32::MAX, sizes: true })
}

struct RmsNorm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let width = self.weight.len();
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let mut sums = Lane::ZERO;
            let (whole, rest) = x.as_chunks::<LANES>();
            for chunk in whole {
                for (sum, &v) in sums.0.iter_mut().zip(chunk) {
                    *sum = v.mul_add(v, *sum);
                }
            }
            for (sum, &v) in sums.0.iter_mut().zip(rest) {
                *sum = v.mul_add(v, *sum);
            }
            #[expect(clippy::cast_precision_loss, reason = "widths stay far below 2²⁴")]
            let mean = sums.sum() / width as f32;
            let scale = 1.0 / (mean + self.eps).sqrt();
            for ((out, &v), &w) in out.iter_mut().zip(x).zip(self.weight) {
                *out = v * scale * w;
            }
        }
    }
}

/// `x / √(mean(x²) + eps) · weight`, row by row. `x` and `out`: `[rows, width]`.
pub(crate) fn rms_norm(isa: Isa, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    isa.run(RmsNorm { x, weight, eps, out });
}

/// `tanh` to within 3·10⁻⁷.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    // Beyond 9 it is 1 in f32.
    let power = exp(2.0 * x.abs().min(9.0));
    let size = if x.abs() < 0.05 {
        // Two terms of the series: the difference of near numbers would lose digits.
        let square = x * x;
        x.abs() * (square * (square * (2.0 / 15.0) - 1.0 / 3.0) + 1.0)
    } else {
        1.0 - 2.0 / (power + 1.0)
    };
    size.copysign(x)
}

/// What a gate is put through.
trait Curve {
    /// `#[inline(always)]`, as all that a kernel calls.
    fn at(x: f32) -> f32;
}

struct Silu;
struct Gelu;
struct GeluTanh;
struct Relu;

impl Curve for Silu {
    #[inline(always)]
    fn at(x: f32) -> f32 {
        x / (1.0 + exp(-x))
    }
}

impl Curve for Gelu {
    #[inline(always)]
    fn at(x: f32) -> f32 {
        0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
    }
}

impl Curve for GeluTanh {
    #[inline(always)]
    fn at(x: f32) -> f32 {
        /// `√(2/π)`.
        const SCALE: f32 = 0.797_884_6;
        0.5 * x * (1.0 + tanh(SCALE * x * (0.044_715 * x * x + 1.0)))
    }
}

impl Curve for Relu {
    #[inline(always)]
    fn at(x: f32) -> f32 {
        if x > 0.0 { x } else { 0.0 }
    }
}

struct Gate<'a, C> {
    rows: &'a [f32],
    ffn: usize,
    curve: PhantomData<C>,
    out: &'a mut [f32],
}

impl<C: Curve> Kernel for Gate<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let rows = self.rows.chunks_exact(2 * self.ffn);
        for (row, out) in rows.zip(self.out.chunks_exact_mut(self.ffn)) {
            let (gate, up) = row.split_at(self.ffn);
            for ((out, &g), &u) in out.iter_mut().zip(gate).zip(up) {
                *out = C::at(g) * u;
            }
        }
    }
}

/// `activation(gate)·up`, from rows `[gate | up]` of `2·ffn` to rows of `ffn`.
pub(crate) fn gate(isa: Isa, activation: Activation, gate_up: &[f32], ffn: usize, out: &mut [f32]) {
    fn run<C: Curve>(isa: Isa, gate_up: &[f32], ffn: usize, out: &mut [f32]) {
        isa.run(Gate { rows: gate_up, ffn, curve: PhantomData::<C>, out });
    }
    match activation {
        Activation::Silu => run::<Silu>(isa, gate_up, ffn, out),
        Activation::Gelu => run::<Gelu>(isa, gate_up, ffn, out),
        Activation::GeluTanh => run::<GeluTanh>(isa, gate_up, ffn, out),
        Activation::Relu => run::<Relu>(isa, gate_up, ffn, out),
    }
}

struct SoftCap<'a> {
    values: &'a mut [f32],
    cap: f32,
}

impl Kernel for SoftCap<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for value in self.values {
            *value = self.cap * tanh(*value / self.cap);
        }
    }
}

/// `cap·tanh(value/cap)` in place.
pub(crate) fn soft_cap(isa: Isa, values: &mut [f32], cap: f32) {
    isa.run(SoftCap { values, cap });
}

/// The `used` highest of a router's scores, the lowest index of equals first, in ascending order of
/// index, and their shares of the softmax over all; `normalised`: shares that sum to one.
pub(crate) fn choose(scores: &[f32], used: usize, normalised: bool) -> Vec<(usize, f32)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let most = order.first().map_or(0.0, |&best| scores[best]);
    let power = |index: usize| exp(scores[index] - most);
    let all = if normalised { used } else { scores.len() };
    let sum: f32 = order[..all.min(order.len())].iter().map(|&index| power(index)).sum();
    order.truncate(used);
    order.sort_unstable();
    order.into_iter().map(|index| (index, power(index) / sum)).collect()
}

/// `a + scale·b` into `out`.
pub(crate) fn add(a: &[f32], b: &[f32], scale: f32, out: &mut [f32]) {
    if (scale - 1.0).abs() > 0.0 {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = scale.mul_add(*b, *a);
        }
        return;
    }
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = a + b;
    }
}

/// Rotates a head by its position: halves `(a, b)` become `(a·cos − b·sin, b·cos + a·sin)`.
/// `cos` and `sin`: one number for each pair.
#[inline(always)]
pub(crate) fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (low, high) = head.split_at_mut(cos.len());
    for (((a, b), &cos), &sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
        let (x, y) = (*a, *b);
        *a = x * cos - y * sin;
        *b = y * cos + x * sin;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_of_the_last_place() {
        for step in -86_000..88_000 {
            #[expect(clippy::cast_precision_loss, reason = "small integers")]
            let x = step as f32 / 1000.0;
            let (got, want) = (f64::from(exp(x)), libm::exp(f64::from(x)));
            assert!((got - want).abs() <= want * 2.4e-7, "exp({x}) = {got}, not {want}");
        }
        assert_eq!(exp(f32::NEG_INFINITY).to_bits(), 0);
    }

    #[test]
    fn norms_are_the_same_bits_on_every_instruction_set() {
        let x: Vec<f32> = (0..3 * 37_u16).map(|i| f32::from(i % 13) - 6.3).collect();
        let weight: Vec<f32> = (0..37_u16).map(|i| f32::from(i) / 7.0).collect();
        let outputs: Vec<Vec<u32>> = Isa::available()
            .into_iter()
            .map(|isa| {
                let mut out = vec![0.0; x.len()];
                rms_norm(isa, &x, &weight, 1e-5, &mut out);
                out.iter().map(|v| v.to_bits()).collect()
            })
            .collect();
        assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
