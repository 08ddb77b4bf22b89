//! A block's alpha over owner, miners, validators and root; pots that an epoch drains.

use crate::fixed::U96F32;

/// Alpha that waits for the epoch, in rao.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pots {
    /// For the subnet's owner (`PendingOwnerCut`).
    pub owner: u64,
    /// For miners (`PendingServerEmission`).
    pub server: u64,
    /// For alpha's share of the validators (`PendingValidatorEmission`).
    pub validator: u64,
    /// For root's share of the validators (`PendingRootAlphaDivs`).
    pub root: u64,
}

impl Pots {
    /// The pots after a block.
    #[must_use]
    pub fn plus(self, block: Self) -> Self {
        Self {
            owner: self.owner.saturating_add(block.owner),
            server: self.server.saturating_add(block.server),
            validator: self.validator.saturating_add(block.validator),
            root: self.root.saturating_add(block.root),
        }
    }

    /// What the epoch divides: everything but the owner's.
    pub fn divided(self) -> u64 {
        self.server.saturating_add(self.validator).saturating_add(self.root)
    }

    /// What alpha's share of the validators is, given what the epoch paid to miners: if that is
    /// nothing, the miners' pot falls to the validators.
    pub fn validators_after(self, paid_to_miners: u64) -> u64 {
        match paid_to_miners {
            0 => self.validator.saturating_add(self.server),
            _ => self.validator,
        }
    }
}

/// Splits a block's alpha: the owner's cut (parts of `u16::MAX`; `None` where it is switched off),
/// then half to miners, and of the other half root's part to root and the rest to validators. Each
/// is truncated to rao.
pub fn split(alpha: u64, owner_cut: Option<u16>, root_proportion: U96F32) -> Pots {
    let half = U96F32::from_bits(1 << 31);
    let whole = U96F32::from_num(alpha);
    let cut = owner_cut.map_or(U96F32::default(), |parts| {
        U96F32::from_num(parts).checked_div(U96F32::from_num(u16::MAX)).unwrap_or_default()
    });
    let owner = whole.saturating_mul(cut);
    let rest = whole.saturating_sub(owner);
    let root = root_proportion.saturating_mul(rest).saturating_mul(half);
    let server = rest.saturating_mul(half);
    let validator = rest.saturating_sub(server).saturating_sub(root);
    Pots {
        owner: owner.saturating_to_num(),
        server: server.saturating_to_num(),
        validator: validator.saturating_to_num(),
        root: root.saturating_to_num(),
    }
}

/// Whether root's alpha is kept for root: only while the moving prices of the subnets that are
/// emitted to sum to more than one; otherwise it is recycled.
pub fn root_sells(moving_prices: impl IntoIterator<Item = U96F32>) -> bool {
    let sum = moving_prices.into_iter().fold(U96F32::default(), U96F32::saturating_add);
    sum > U96F32::from_num(1)
}

/// The part of miners' incentive that was withheld because it went to the owner (`MinerBurned`).
pub fn miner_burned(withheld: u64, incentive: u64) -> U96F32 {
    U96F32::from_num(withheld).checked_div(U96F32::from_num(incentive)).unwrap_or_default()
}
