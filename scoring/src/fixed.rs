//! The chain's fixed-point numbers and the few operations on them that consensus is made of.
//!
//! Multiplication floors (an arithmetic shift), division truncates toward zero, and a division
//! that has no answer (by zero, or out of range) is zero. `u16` proportions are
//! `floor(x × 65535)`, saturating. Nothing here, nor anything that uses it, touches a float.

use substrate_fixed::transcendental;
pub use substrate_fixed::types::{I32F32, I64F64, I96F32, U64F64, U96F32};

/// Zero, as every consensus quantity starts.
pub const ZERO: I32F32 = I32F32::from_bits(0);
/// One.
pub const ONE: I32F32 = I32F32::from_bits(1 << 32);
/// One half, where liquid alpha's sigmoid is centred.
pub const HALF: I32F32 = I32F32::from_bits(1 << 31);

/// Exponents beyond ±this are clamped, so that `exp` stays inside [`I32F32`] (e²⁰ < 2³¹).
pub const EXP_LIMIT: I32F32 = I32F32::from_bits(20 << 32);

/// `numerator / denominator`, or zero where that has no answer.
pub fn safe_div(numerator: I32F32, denominator: I32F32) -> I32F32 {
    numerator.checked_div(denominator).unwrap_or(ZERO)
}

/// `part / u16::MAX`: a stored proportion as a number in 0..=1.
pub fn proportion(part: u16) -> I32F32 {
    I32F32::from_num(part).saturating_div(I32F32::from_num(u16::MAX))
}

/// `floor(value × u16::MAX)`, saturating: how proportions are stored.
pub fn to_u16(value: I32F32) -> u16 {
    value.saturating_mul(I32F32::from_num(u16::MAX)).saturating_to_num()
}

/// eˣ for x clamped to ±[`EXP_LIMIT`], by the chain's own series: not correctly rounded.
pub fn exp_safe(x: I32F32) -> I32F32 {
    let clamped = x.clamp(-EXP_LIMIT, EXP_LIMIT);
    // Within the limits the series cannot overflow; the chain answers zero if it ever did.
    transcendental::exp(clamped).unwrap_or(ZERO)
}

/// Divides each element by the vector's sum; a vector that sums to zero stays as it is.
pub fn normalize(vector: &mut [I32F32]) {
    let sum = sum(vector.iter().copied());
    normalize_by(vector, sum);
}

/// Divides each element by `sum`, unless that is zero.
pub fn normalize_by(vector: &mut [I32F32], sum: I32F32) {
    if sum != ZERO {
        for value in vector {
            *value = safe_div(*value, sum);
        }
    }
}

/// Sum that stays at the type's bound instead of wrapping.
pub fn sum(values: impl IntoIterator<Item = I32F32>) -> I32F32 {
    values.into_iter().fold(ZERO, I32F32::saturating_add)
}
