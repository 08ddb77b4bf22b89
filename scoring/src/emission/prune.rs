//! Who makes room for a newcomer in a full subnet.

/// A uid that may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its emission in the last epoch, rao.
    pub emission: u64,
    /// Block at which it took its uid.
    pub block_at_registration: u64,
    /// Whether it is one of the owner's hotkeys that are never replaced.
    pub immortal: bool,
}

/// Whether a uid is still protected as a newcomer.
pub fn is_immune(block_at_registration: u64, block: u64, immunity_period: u64) -> bool {
    block.saturating_sub(block_at_registration) < immunity_period
}

/// The uid to replace: of those past immunity the one with the lowest emission, then the oldest,
/// then the lowest uid, if more than `min_non_immune` are past it; otherwise, by the same order,
/// one within immunity. `None` if that leaves nobody.
pub fn to_prune(
    candidates: &[Candidate],
    block: u64,
    immunity_period: u64,
    min_non_immune: u16,
) -> Option<u16> {
    let mortal = || (0..=u16::MAX).zip(candidates).filter(|(_, c)| !c.immortal);
    let immune = |c: &Candidate| is_immune(c.block_at_registration, block, immunity_period);
    let lowest = |immunity: bool| {
        mortal()
            .filter(|(_, c)| immune(c) == immunity)
            .min_by_key(|(uid, c)| (c.emission, c.block_at_registration, *uid))
            .map(|(uid, _)| uid)
    };
    let past_immunity = mortal().filter(|(_, c)| !immune(c)).count();
    lowest(past_immunity <= usize::from(min_non_immune))
}
