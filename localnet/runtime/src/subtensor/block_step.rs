//! What every block does before its extrinsics.

use super::*;

impl<T: Config> Pallet<T> {
    /// One block, in the chain's order.
    pub(crate) fn block_step() {
        Self::decay_burns();
        let emission = Self::block_emission();
        if emission > 0 {
            Self::announce_issue(TaoBalance(emission));
        }
        Self::reveal_timelocked_weights();
        let running = Self::run_coinbase(emission);
        Self::update_prices();
        for netuid in running {
            Self::activate_children(netuid);
        }
        Self::claim_root_dividends();
    }
}
