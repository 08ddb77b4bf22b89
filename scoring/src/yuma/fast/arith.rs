//! Arithmetic on the raw bits of non-negative numbers with 32 fractional bits.

use crate::fixed::I32F32;

/// One.
pub(super) const ONE: u64 = 1 << 32;

/// `u16::MAX` in 32 fractional bits is this times a proportion, and one ulp at the whole.
const PROPORTION: u64 = 65_537;

/// The raw bits of a number that is not negative; zero for one that is, which no share is.
pub(super) fn bits(value: I32F32) -> u64 {
    u64::try_from(value.to_bits()).unwrap_or(0)
}

/// The number with these raw bits, which are below 2⁶³.
pub(super) fn fixed(bits: u64) -> I32F32 {
    I32F32::from_bits(i64::try_from(bits).unwrap_or(i64::MAX))
}

/// `⌊a × b⌋`; the product is below 2⁶⁴ bits.
#[inline]
pub(super) fn mul(a: u64, b: u64) -> u64 {
    low((u128::from(a) * u128::from(b)) >> 32)
}

/// `⌈a × b⌉`.
#[inline]
pub(super) fn mul_up(a: u64, b: u64) -> u64 {
    low((u128::from(a) * u128::from(b)).div_ceil(1 << 32))
}

/// A stored proportion: `⌊part × 2³² / 65535⌋`, where 2³² = 65537 × 65535 + 1.
#[inline]
pub(super) fn proportion(part: u16) -> u64 {
    u64::from(part) * PROPORTION + u64::from(part == u16::MAX)
}

/// `⌊value × 65535⌋` for values up to one.
#[inline]
pub(super) fn to_u16(value: u64) -> u16 {
    u16::try_from((value * u64::from(u16::MAX)) >> 32).unwrap_or(u16::MAX)
}

/// The lower half.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "callers know that the upper half is zero")]
fn low(wide: u128) -> u64 {
    wide as u64
}

/// Divides many numbers by one: with a reciprocal and one correction, exact.
#[derive(Debug, Clone, Copy)]
pub(super) struct Divisor {
    by: u64,
    /// `⌊2⁶⁴ / by⌋`, at most `u64::MAX`.
    reciprocal: u64,
}

impl Divisor {
    /// Division by a sum; one of zero, all of whose parts are zero, leaves them so.
    pub(super) fn new(sum: u64) -> Self {
        let by = sum.max(1);
        let exact = by.is_power_of_two() && by > 1;
        Self { by, reciprocal: u64::MAX / by + u64::from(exact) }
    }

    /// `⌊value × 2³² / by⌋` for values up to 2³² whose quotient fits.
    ///
    /// The estimate misses `value/2³² × (2⁶⁴/by − ⌊2⁶⁴/by⌋) ≤ 1`, so it is right or one too low.
    #[inline]
    pub(super) fn quotient(self, value: u64) -> u64 {
        let estimate = low((u128::from(value) * u128::from(self.reciprocal)) >> 32);
        // Both products may pass 2⁶⁴, their difference does not.
        let rest = (value << 32).wrapping_sub(estimate.wrapping_mul(self.by));
        estimate + u64::from(rest >= self.by)
    }
}

/// `⌊2⁶⁴ / by⌋` for `by` above one: one over a number, as raw bits.
#[inline]
pub(super) fn inverse(by: u64) -> u64 {
    u64::MAX / by + u64::from(by.is_power_of_two())
}

/// How many exponentials are computed together: enough that none waits for its own products.
pub(super) const LANES: usize = 8;

/// Terms of the chain's series: the powers below the number of fractional bits.
const TERMS: usize = 32;

/// Largest exponent, as in [`crate::fixed::EXP_LIMIT`].
const EXP_LIMIT: u64 = 20 << 32;

/// What the chain answers for e¹: its constant, which has 23 fractional bits.
const E: u64 = 11_674_931_200;

/// Division by a small number below 2⁶³: `⌊x / i⌋ = ⌊x × multiplier / 2^(64 + shift)⌋`.
#[derive(Clone, Copy)]
struct Small {
    multiplier: u64,
    shift: u32,
}

/// For `i` the multiplier `⌊2^(64+shift) / i⌋ + 1` with the largest shift that lets it fit: it
/// exceeds the true one by at most `i ≤ 2^(shift+1)` parts, which is exact for x < 2⁶³.
const SMALL: [Small; TERMS] = {
    let mut table = [Small { multiplier: 0, shift: 0 }; TERMS];
    let mut i = 2;
    while i < TERMS {
        let shift = (i as u128 - 1).ilog2();
        let multiplier = (1_u128 << (64 + shift)) / i as u128 + 1;
        assert!(multiplier <= u64::MAX as u128, "multiplier fits");
        #[expect(clippy::cast_possible_truncation, reason = "asserted")]
        let multiplier = multiplier as u64;
        table[i] = Small { multiplier, shift };
        i += 1;
    }
    table
};

/// The chain's eˣ of several numbers at once, given and answered as raw bits, clamped to ±20.
///
/// The same products and quotients in the same order as the chain's series, so the same bits;
/// only the lanes are interleaved and the divisions multiplied.
pub(super) fn exp_lanes(x: [i64; LANES]) -> [u64; LANES] {
    let size = x.map(|x| x.unsigned_abs().min(EXP_LIMIT));
    let mut term = size;
    let mut sum = size.map(|size| size + ONE);
    for Small { multiplier, shift } in &SMALL[2..] {
        for lane in 0..LANES {
            let product = mul(term[lane], size[lane]);
            term[lane] = low((u128::from(product) * u128::from(*multiplier)) >> 64) >> shift;
            sum[lane] += term[lane];
        }
    }
    for lane in 0..LANES {
        sum[lane] = match x[lane] {
            0 => ONE,
            x if x == ONE.cast_signed() => E,
            x if x < 0 => inverse(sum[lane]),
            _ => sum[lane],
        };
    }
    sum
}

/// The chain's eˣ on raw bits: see [`crate::fixed::exp_safe`], which it equals.
pub fn exp_bits(x: i64) -> i64 {
    let [exp, ..] = exp_lanes([x; LANES]);
    exp.cast_signed()
}
