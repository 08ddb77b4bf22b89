//! What happens to a weight vector when it is set: upscaling, and the limit on its largest entry.

use crate::fixed::{I32F32, ZERO, normalize, proportion, safe_div, to_u16};

/// Values beyond this are scaled by a ratio instead of being multiplied first, to stay in range.
const UPSCALE_BY_RATIO_ABOVE: I32F32 = I32F32::from_bits(32_768 << 32);

const U16_MAX: I32F32 = I32F32::from_bits(65_535 << 32);

/// Scales weights so that the largest is `u16::MAX`, rounding half away from zero: how the chain
/// stores them. All-zero weights stay zero.
pub fn max_upscale(weights: &[u16]) -> Vec<u16> {
    let fixed: Vec<I32F32> = weights.iter().copied().map(I32F32::from_num).collect();
    max_upscale_fixed(&fixed)
}

/// [`max_upscale`] of fixed-point values; values that are all zero become proportions of
/// `u16::MAX`, which are zero too.
pub fn max_upscale_fixed(values: &[I32F32]) -> Vec<u16> {
    let largest = values.iter().copied().max().unwrap_or(ZERO);
    let scale = |value: &I32F32| {
        if largest == ZERO {
            return to_u16(*value);
        }
        let scaled = if largest > UPSCALE_BY_RATIO_ABOVE {
            value.saturating_mul(safe_div(U16_MAX, largest))
        } else {
            safe_div(value.saturating_mul(U16_MAX), largest)
        };
        scaled.saturating_round().saturating_to_num()
    };
    values.iter().map(scale).collect()
}

/// Weights as parts of `u16::MAX` of their sum, truncated; all-zero weights stay zero.
pub fn normalized(weights: &[u16]) -> Vec<u16> {
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let part = |weight: &u16| {
        let part = u64::from(*weight).saturating_mul(u16::MAX.into()).checked_div(sum);
        part.and_then(|part| u16::try_from(part).ok()).unwrap_or(0)
    };
    weights.iter().map(part).collect()
}

/// Whether no weight exceeds `limit` (of `u16::MAX`) of the sum; true where all are zero.
pub fn is_max_limited(weights: &[u16], limit: u16) -> bool {
    let mut fixed: Vec<I32F32> = weights.iter().copied().map(I32F32::from_num).collect();
    normalize(&mut fixed);
    fixed.into_iter().max().is_none_or(|largest| largest <= proportion(limit))
}
