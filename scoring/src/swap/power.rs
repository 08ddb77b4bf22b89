//! Rational powers of ratios, exact to the last of eighteen decimals.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "big integers grow as they need; no divisor here is zero"
)]

use num_bigint::{BigInt, BigUint};

/// Powers are whole multiples of one part in this.
pub(super) const SCALE: u64 = 1_000_000_000_000_000_000;

/// Bits after the point of a first attempt: 64 of the answer, the rest so that the neighbourhood of
/// a whole number, where the attempt is not enough, is all but never met.
const BITS: usize = 192;

/// Bits after the point of the second attempt. A power this close to a whole number is one.
const MORE_BITS: usize = 1_152;

/// Bits that the series below may get wrong, generously: their steps err by one unit each, a few
/// hundred times, and the exponent (≤ 99) and the powers of two (≤ 2¹⁴) multiply that.
const UNSURE_BITS: usize = 64;

/// How often the exponential's argument is halved before its series, to shorten that.
const HALVINGS: usize = 8;

/// `floor(SCALE × (numerator / denominator)^(exponent / of))`, at most `u64::MAX`; zero where the
/// base or the exponent is not a number.
///
/// This is the chain's 1,024-bit answer, reached with 192 bits wherever those decide it. Only where
/// the power is hundreds of orders of magnitude below one part (a weight at its bound and an input
/// hundreds of times the reserve) does the chain's own series diverge; here it is zero.
pub(super) fn pow_scaled(numerator: u128, denominator: u128, exponent: u64, of: u64) -> u64 {
    if numerator == 0 || denominator == 0 || of == 0 {
        return 0;
    }
    if numerator == denominator || exponent == 0 {
        return SCALE;
    }
    if exponent == of {
        let scaled = BigUint::from(numerator) * SCALE / denominator;
        return u64::try_from(scaled).unwrap_or(u64::MAX);
    }
    [BITS, MORE_BITS]
        .into_iter()
        .find_map(|bits| Series::new(bits).pow(numerator, denominator, exponent, of))
        // Undecided at every precision: the power is whole, and the last attempt rounds to it.
        .unwrap_or_else(|| Series::new(MORE_BITS).nearest(numerator, denominator, exponent, of))
}

/// `floor(a × b / c)`, or `u64::MAX` if that is more; `c` is not zero.
pub(super) fn mul_div(a: u128, b: u64, c: u128) -> u64 {
    u64::try_from(BigUint::from(a) * b / c).unwrap_or(u64::MAX)
}

/// Fixed-point series with `bits` bits after the point; every step floors.
struct Series {
    bits: usize,
    ln_2: BigInt,
}

impl Series {
    fn new(bits: usize) -> Self {
        let third = (BigInt::from(1) << bits) / 3;
        let mut series = Self { bits, ln_2: BigInt::ZERO };
        series.ln_2 = series.two_atanh(&third);
        series
    }

    /// The floor, unless the error could move it.
    fn pow(&self, numerator: u128, denominator: u128, exponent: u64, of: u64) -> Option<u64> {
        let Some(power) = self.scaled(numerator, denominator, exponent, of) else {
            return Some(u64::MAX);
        };
        let unsure = BigInt::from(1) << (UNSURE_BITS + u64::BITS as usize);
        let low: BigInt = (&power - &unsure) >> self.bits;
        let high: BigInt = (power + unsure) >> self.bits;
        (low == high).then(|| u64::try_from(low).unwrap_or(u64::MAX))
    }

    /// The nearest whole number.
    fn nearest(&self, numerator: u128, denominator: u128, exponent: u64, of: u64) -> u64 {
        let half = BigInt::from(1) << (self.bits - 1);
        let power = self.scaled(numerator, denominator, exponent, of);
        power.map_or(u64::MAX, |p| u64::try_from((p + half) >> self.bits).unwrap_or(u64::MAX))
    }

    /// `SCALE × base^(exponent / of)`, or `None` where it is sure to be beyond `u64::MAX`.
    fn scaled(&self, numerator: u128, denominator: u128, exponent: u64, of: u64) -> Option<BigInt> {
        let log = self.ln(numerator, denominator) * exponent / of;
        // e³² × SCALE > u64::MAX.
        if log > BigInt::from(32) << self.bits {
            return None;
        }
        Some(self.exp(&log) * SCALE)
    }

    /// Natural logarithm of a ratio: powers of two, and a remainder between ½ and 2.
    fn ln(&self, numerator: u128, denominator: u128) -> BigInt {
        let twos = i64::from(denominator.leading_zeros()) - i64::from(numerator.leading_zeros());
        let shift = |value: u128, by: i64| BigInt::from(value) << by.max(0).unsigned_abs();
        let (a, b) = (shift(numerator, -twos), shift(denominator, twos));
        let z = ((&a - &b) << self.bits) / (a + b);
        &self.ln_2 * twos + self.two_atanh(&z)
    }

    /// `2 atanh z = 2 (z + z³/3 + z⁵/5 + …)` for |z| ≤ ⅓: ln((1+z)/(1−z)).
    fn two_atanh(&self, z: &BigInt) -> BigInt {
        let square = self.mul(z, z);
        let (mut power, mut sum) = (z.clone(), z.clone());
        for odd in (3_u32..).step_by(2) {
            power = self.mul(&power, &square);
            let term: BigInt = &power / odd;
            if term == BigInt::ZERO || term == BigInt::from(-1) {
                break;
            }
            sum += term;
        }
        sum << 1
    }

    /// eˣ: powers of two, then the series of what remains, halved [`HALVINGS`] times.
    fn exp(&self, x: &BigInt) -> BigInt {
        let mut twos = x / &self.ln_2;
        let mut rest = x - &twos * &self.ln_2;
        if rest < BigInt::ZERO {
            rest += &self.ln_2;
            twos -= 1;
        }
        let small: BigInt = rest >> HALVINGS;
        let one = BigInt::from(1) << self.bits;
        let (mut term, mut sum) = (small.clone(), &one + &small);
        for n in 2_u32.. {
            term = self.mul(&term, &small) / n;
            if term == BigInt::ZERO {
                break;
            }
            sum += &term;
        }
        for _ in 0..HALVINGS {
            sum = self.mul(&sum, &sum);
        }
        let twos = i64::try_from(twos).unwrap_or(i64::MIN);
        match usize::try_from(twos) {
            Ok(up) => sum << up,
            Err(_) => sum >> twos.unsigned_abs(),
        }
    }

    fn mul(&self, a: &BigInt, b: &BigInt) -> BigInt {
        (a * b) >> self.bits
    }
}
