//! What enters a subnet's pool each block, and the price that its share follows.

use crate::fixed::{I96F32, U64F64, U96F32};

/// A subnet's TAO of one block: part enters its pool beside new alpha, the excess buys alpha there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injection {
    /// TAO into the pool, in rao.
    pub tao_in: U96F32,
    /// Alpha minted into the pool, in rao.
    pub alpha_in: U96F32,
    /// TAO that buys alpha from the pool, in rao, without a fee.
    pub excess_tao: U96F32,
}

/// Divides a subnet's `tao` of a block: as much enters the pool as alpha may be minted beside it
/// at `price`, which is at most root's part of the block's alpha.
///
/// So an old subnet, of whose stake root is a small part, gets purchases instead of liquidity.
pub fn injection(
    tao: U96F32,
    price: U64F64,
    alpha_emission: u64,
    root_proportion: U96F32,
) -> Injection {
    let price = U96F32::saturating_from_num(price);
    let cap = root_proportion.saturating_mul(U96F32::from_num(alpha_emission));
    let alpha = tao.checked_div(price).unwrap_or_default();
    let (tao_in, alpha_in) =
        if alpha > cap { (cap.saturating_mul(price), cap) } else { (tao, alpha) };
    Injection { tao_in, alpha_in, excess_tao: tao.saturating_sub(tao_in) }
}

/// Root's part of the stake in a subnet: `root × weight / (root × weight + alpha issued)`, with
/// root TAO and alpha in rao and the weight of [`tao_weight`].
pub fn root_proportion(root_tao: u64, tao_weight: U96F32, alpha_issuance: u64) -> U96F32 {
    let root = U96F32::from_num(root_tao).saturating_mul(tao_weight);
    root.checked_div(root.saturating_add(U96F32::from_num(alpha_issuance))).unwrap_or_default()
}

/// `TaoWeight` (parts of `u64::MAX`): how much alpha a TAO on root counts for.
pub fn tao_weight(parts: u64) -> U96F32 {
    U96F32::from_num(parts).checked_div(U96F32::from_num(u64::MAX)).unwrap_or_default()
}

/// What the moving price reads besides itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceClock {
    /// Weight of the newest price in the long run (`SubnetMovingAlpha`).
    pub alpha: I96F32,
    /// Blocks after which that weight is half reached (`EMAPriceHalvingBlocks`).
    pub halving_blocks: u64,
    /// `FirstEmissionBlockNumber`: the block after the subnet's start.
    pub first_emission_block: u64,
}

/// The moving price after a block: `α·min(price, 1) + (1 − α)·old` with
/// `α = alpha × b / (b + halving)`, `b` the blocks since the start.
pub fn moving_price(old: I96F32, price: U64F64, clock: PriceClock, block: u64) -> I96F32 {
    let started = clock.first_emission_block.saturating_sub(1);
    let blocks = U64F64::from_num(block.saturating_sub(started));
    let scale = blocks.saturating_add(U64F64::from_num(clock.halving_blocks));
    let progress = blocks.checked_div(scale).unwrap_or_default();
    let alpha = U64F64::saturating_from_num(clock.alpha).saturating_mul(progress);
    let one = U64F64::from_num(1);
    let new = alpha.saturating_mul(price.min(one));
    let kept = one.saturating_sub(alpha).saturating_mul(U64F64::saturating_from_num(old));
    I96F32::saturating_from_num(new.saturating_add(kept))
}
