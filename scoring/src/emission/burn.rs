//! What a registration costs: a price that every registration raises and every block lowers.

use crate::fixed::U64F64;

/// One, in 32 fractional bits.
const ONE: u64 = 1 << 32;

/// The bounds of a subnet's registration price, in rao.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// `MinBurn`.
    pub min: u64,
    /// `MaxBurn`; wins where the bounds cross.
    pub max: u64,
}

impl Bounds {
    fn keep(self, burn: u64) -> u64 {
        burn.max(self.min).min(self.max)
    }
}

/// What a block leaves of the price, in 32 fractional bits: the largest factor whose power
/// `half_life` is at most one half; one where the price does not decay (`half_life` 0).
pub fn decay_factor(half_life: u16) -> u64 {
    if half_life == 0 {
        return ONE;
    }
    let (mut low, mut high) = (0, ONE);
    while high.abs_diff(low) > 1 {
        let middle = low.midpoint(high);
        if power(middle, half_life) > ONE / 2 { high = middle } else { low = middle }
    }
    low
}

/// The price a block later; `factor` from [`decay_factor`].
pub fn decayed(burn: u64, factor: u64, bounds: Bounds) -> u64 {
    bounds.keep(scaled(burn, factor))
}

/// The price after a registration: `floor(burn × max(multiplier, 1))`.
pub fn raised(burn: u64, multiplier: U64F64, bounds: Bounds) -> u64 {
    let multiplier = multiplier.max(U64F64::from_num(1));
    bounds.keep(U64F64::from_num(burn).saturating_mul(multiplier).saturating_to_num())
}

/// `floor(value × factor)` for a factor of 32 fractional bits, saturating.
fn scaled(value: u64, factor: u64) -> u64 {
    let product = u128::from(value).saturating_mul(factor.into()) >> 32;
    u64::try_from(product).unwrap_or(u64::MAX)
}

/// `base^exponent` in 32 fractional bits, by squaring, each step floored as the chain does.
fn power(base: u64, exponent: u16) -> u64 {
    let (mut result, mut factor, mut rest) = (ONE, base, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result = scaled(result, factor);
        }
        rest >>= 1;
        factor = scaled(factor, factor);
    }
    result
}
