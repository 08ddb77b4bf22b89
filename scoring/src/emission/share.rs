//! How the block's TAO is shared among subnets: by moving price, less burned incentive, gated.

use crate::fixed::{I32F32, I96F32, U64F64, U96F32};
use substrate_fixed::transcendental::{exp, ln};

/// Blocks between two looks at the gate's bar.
pub const BAR_INTERVAL: u64 = 360;

/// A subnet that may be emitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// `SubnetMovingPrice`, TAO per alpha.
    pub moving_price: I96F32,
    /// Part of the last epoch's incentive that was burned, 0..=1 (`MinerBurned`).
    pub miner_burned: U96F32,
    /// `SubnetEmissionEnabled`; if not, its share goes to the others.
    pub enabled: bool,
}

/// A gate that pays subnets below a bar a vanishing part of their share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Share at which a subnet keeps half of its weight (`EmissionGateBar`).
    pub bar: U64F64,
    /// How sharp the gate is (`EmissionGateExponent`).
    pub exponent: U64F64,
}

/// Where the bar lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarRule {
    /// At the share of this rank, 1 the largest; at the smallest positive one if there are fewer.
    Rank(u16),
    /// At the share with which the largest ones together reach this part of all.
    Quantile(U64F64),
}

/// Each subnet's part of the block's TAO: moving price × (1 − burned), through the gate if the
/// runtime has one, zero where emission is disabled, summing to one (or all zero).
pub fn tao_shares(subnets: &[Subnet], gate: Option<&Gate>) -> Vec<U64F64> {
    let mut shares = demand(subnets);
    if let Some(gate) = gate {
        shares = gate.applied(shares);
    }
    for (share, subnet) in shares.iter_mut().zip(subnets) {
        if !subnet.enabled {
            *share = ZERO;
        }
    }
    normalized(&shares)
}

/// Shares before the gate: by price, then less what was burned; the price alone where everything
/// was burned.
pub fn demand(subnets: &[Subnet]) -> Vec<U64F64> {
    let prices: Vec<U64F64> =
        subnets.iter().map(|subnet| U64F64::saturating_from_num(subnet.moving_price)).collect();
    let prices = normalized(&prices);
    let kept = |(price, subnet): (&U64F64, &Subnet)| {
        let burned = U64F64::saturating_from_num(subnet.miner_burned).min(ONE);
        price.saturating_mul(ONE.saturating_sub(burned))
    };
    let kept: Vec<U64F64> = prices.iter().zip(subnets).map(kept).collect();
    if sum(&kept) == ZERO { prices } else { normalized(&kept) }
}

/// A subnet's TAO of the block, in rao.
pub fn tao_of(share: U64F64, block_emission: u64) -> U96F32 {
    U96F32::saturating_from_num(U64F64::from_num(block_emission).saturating_mul(share))
}

/// Whether the bar is looked up again: every [`BAR_INTERVAL`] blocks, or while there is none.
pub fn bar_is_due(block: u64, bar: U64F64) -> bool {
    block.is_multiple_of(BAR_INTERVAL) || bar == ZERO
}

impl BarRule {
    /// The bar for these shares (of [`demand`]); zero, which gates nothing, if none is positive.
    pub fn bar(self, shares: &[U64F64]) -> U64F64 {
        let mut positive: Vec<U64F64> =
            shares.iter().copied().filter(|share| *share > ZERO).collect();
        positive.sort_unstable_by(|a, b| b.cmp(a));
        let found = match self {
            Self::Rank(rank) => positive.get(usize::from(rank).saturating_sub(1)).copied(),
            Self::Quantile(part) => {
                let mut reached = ZERO;
                positive.iter().copied().find(|share| {
                    reached = reached.saturating_add(*share);
                    reached >= part
                })
            }
        };
        found.or(positive.last().copied()).unwrap_or(ZERO)
    }
}

impl Gate {
    /// The shares through the gate, normalised; ungated where nothing would pass.
    fn applied(&self, shares: Vec<U64F64>) -> Vec<U64F64> {
        if self.bar == ZERO {
            return shares;
        }
        let gated: Vec<U64F64> =
            shares.iter().map(|share| share.saturating_mul(self.factor(*share))).collect();
        if sum(&gated) == ZERO { shares } else { normalized(&gated) }
    }

    /// `1 / (1 + (bar / share)^exponent)`, the power as `exp(exponent × ln)` in 32 fractional bits;
    /// zero for no share, or where the power leaves their range.
    fn factor(&self, share: U64F64) -> U64F64 {
        let power = self.bar.checked_div(share).and_then(|ratio| {
            let log = ln::<I32F32, I32F32>(I32F32::checked_from_num(ratio)?).ok()?;
            let exponent = log.checked_mul(I32F32::checked_from_num(self.exponent)?)?;
            exp::<I32F32, I32F32>(exponent).ok()
        });
        let power = power.map(U64F64::saturating_from_num);
        power.and_then(|power| ONE.checked_div(ONE.saturating_add(power))).unwrap_or(ZERO)
    }
}

const ZERO: U64F64 = U64F64::from_bits(0);
const ONE: U64F64 = U64F64::from_bits(1 << 64);

fn sum(values: &[U64F64]) -> U64F64 {
    values.iter().fold(ZERO, |sum, value| sum.saturating_add(*value))
}

/// Each value over the sum; all zero if that is zero.
fn normalized(values: &[U64F64]) -> Vec<U64F64> {
    let total = sum(values);
    values.iter().map(|value| value.checked_div(total).unwrap_or(ZERO)).collect()
}
