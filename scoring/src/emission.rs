//! What the chain mints each block and whom it pays: from issuance to a neuron's alpha.
//!
//! ```text
//! issuance ─► block_emission                     TAO minted this block
//! prices, burns, gate ─► share::tao_shares       each subnet's part of it
//! part, price ─► pool::Injection                 what enters its pool, what buys alpha there
//! alpha minted ─► pots::split                    owner, miners, validators, root
//! epoch ─► dividends::{from_parents, divide}     validators' pots to hotkeys, parents, takes
//! registrations ─► burn, prune                   what a uid costs, who makes room for it
//! ```
//!
//! All amounts are rao (10⁻⁹ TAO or alpha); all functions are pure, and the local chain calls them.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod burn;
pub mod dividends;
pub mod mechanisms;
pub mod pool;
pub mod pots;
pub mod prune;
pub mod share;

use crate::fixed::I96F32;
use substrate_fixed::transcendental::log2;

/// Rao minted in a block before the first halving.
pub const BLOCK_EMISSION: u64 = 1_000_000_000;

/// Rao of TAO, and of each subnet's alpha, that will ever be issued.
pub const MAX_SUPPLY: u64 = 21_000_000_000_000_000;

/// Rao minted in the block after `issuance` rao: [`BLOCK_EMISSION`] halved once for each time that
/// what is left to issue has halved; nothing once all is issued. TAO and every subnet's alpha
/// follow the same curve, each by its own issuance.
pub fn block_emission(issuance: u64) -> u64 {
    let one = I96F32::from_num(1);
    let left = I96F32::from_num(issuance)
        .checked_div(I96F32::from_num(MAX_SUPPLY))
        .map_or(one, |issued| one.saturating_sub(issued));
    let halvings = one.checked_div(left).and_then(|inverse| log2::<I96F32, I96F32>(inverse).ok());
    match halvings {
        Some(halvings) if issuance < MAX_SUPPLY => {
            BLOCK_EMISSION.checked_shr(halvings.saturating_to_num()).unwrap_or(0)
        }
        _ => 0,
    }
}

/// Rao to mint in the block: [`block_emission`], cut so that issuance never passes [`MAX_SUPPLY`].
pub fn mintable(issuance: u64) -> u64 {
    block_emission(issuance).min(MAX_SUPPLY.saturating_sub(issuance))
}
