//! Root dividends: alpha that root stake may claim, tracked as a rate per TAO.

use super::staking::Position;
use super::*;

/// Coldkeys whose dividends a block claims for them.
const CLAIMS_PER_BLOCK: u64 = 5;

impl<T: Config> Pallet<T> {
    /// Gives every TAO of root stake on a hotkey its part of a dividend.
    pub(crate) fn add_root_claimable(netuid: NetUid, hotkey: &T::AccountId, amount: AlphaBalance) {
        let stake = TotalHotkeyAlpha::<T>::get(hotkey, NetUid::ROOT);
        let rate =
            I96F32::from_num(amount.0).checked_div(I96F32::from_num(stake.0)).unwrap_or_default();
        if rate == I96F32::from_num(0) && stake.0 != 0 && amount.0 != 0 {
            // Too little to share: it would be lost, so it is recycled.
            Self::recycle_issued(netuid, amount);
            return;
        }
        RootClaimable::<T>::mutate(hotkey, |rates| {
            let sum = rates.entry(netuid).or_default();
            *sum = sum.saturating_add(rate);
        });
    }

    /// New root stake starts without a claim on what came before.
    pub(crate) fn claims_follow_new_stake(at: &Position<T::AccountId>, amount: AlphaBalance) {
        for (netuid, rate) in RootClaimable::<T>::get(&at.hotkey) {
            let owed: u128 = rate.saturating_mul(I96F32::from_num(amount.0)).saturating_to_num();
            if owed > 0 {
                RootClaimed::<T>::mutate((netuid, &at.hotkey, &at.coldkey), |claimed| {
                    *claimed = claimed.saturating_add(owed);
                });
            }
        }
    }

    /// Leaving root stake takes its part of what was claimed along.
    pub(crate) fn claims_follow_lost_stake(at: &Position<T::AccountId>, amount: AlphaBalance) {
        for (netuid, rate) in RootClaimable::<T>::get(&at.hotkey) {
            let part: u128 = rate.saturating_mul(I96F32::from_num(amount.0)).saturating_to_num();
            let key = (netuid, &at.hotkey, &at.coldkey);
            if RootClaimed::<T>::contains_key(key) {
                RootClaimed::<T>::mutate(key, |claimed| *claimed = claimed.saturating_sub(part));
            }
        }
    }

    /// Notes a coldkey that has root stake.
    pub(crate) fn note_root_staker(coldkey: &T::AccountId) {
        if StakingColdkeys::<T>::contains_key(coldkey) {
            return;
        }
        let index = NumStakingColdkeys::<T>::get();
        StakingColdkeys::<T>::insert(coldkey, index);
        StakingColdkeysByIndex::<T>::insert(index, coldkey);
        NumStakingColdkeys::<T>::put(index.saturating_add(1));
    }

    /// Forgets a coldkey whose last root stake is gone.
    pub(crate) fn forget_root_staker(coldkey: &T::AccountId) {
        let has_stake = StakingHotkeys::<T>::get(coldkey)
            .iter()
            .any(|hotkey| Self::stake_of(hotkey, coldkey, NetUid::ROOT).0 > 0);
        if has_stake {
            return;
        }
        let Some(index) = StakingColdkeys::<T>::take(coldkey) else { return };
        let last = NumStakingColdkeys::<T>::get().saturating_sub(1);
        if let Some(moved) = StakingColdkeysByIndex::<T>::take(last)
            && last != index
        {
            StakingColdkeysByIndex::<T>::insert(index, &moved);
            StakingColdkeys::<T>::insert(moved, index);
        }
        NumStakingColdkeys::<T>::put(last);
    }

    /// Claims for a few coldkeys in each block.
    pub(crate) fn claim_root_dividends() {
        let total = NumStakingColdkeys::<T>::get();
        let start = if total == 0 { 0 } else { Self::now() % total };
        for step in 0..total.min(CLAIMS_PER_BLOCK) {
            let index = start.saturating_add(step) % total;
            if let Some(coldkey) = StakingColdkeysByIndex::<T>::get(index) {
                Self::do_claim_root(&coldkey, None);
            }
        }
    }

    /// Claims a coldkey's root dividends, on some subnets or all.
    pub(crate) fn do_claim_root(coldkey: &T::AccountId, only: Option<&[NetUid]>) {
        let mut tao = TaoBalance(0);
        for hotkey in StakingHotkeys::<T>::get(coldkey) {
            let at = |netuid| Position { coldkey: coldkey.clone(), hotkey: hotkey.clone(), netuid };
            for (netuid, rate) in RootClaimable::<T>::get(&hotkey) {
                if only.is_none_or(|only| only.contains(&netuid)) {
                    let claimed = Self::claim_root_on(&at(netuid), rate).unwrap_or_default();
                    tao = tao.saturating_add(claimed);
                }
            }
        }
        Self::deposit_event(Event::RootClaimed { coldkey: coldkey.clone(), tao });
    }

    /// Claims what a position is owed, if that reaches the threshold; the TAO it became.
    fn claim_root_on(at: &Position<T::AccountId>, rate: I96F32) -> Option<TaoBalance> {
        let stake = Self::stake_of(&at.hotkey, &at.coldkey, NetUid::ROOT);
        let key = (at.netuid, &at.hotkey, &at.coldkey);
        let claimed = I96F32::saturating_from_num(RootClaimed::<T>::get(key));
        let owed = rate.saturating_mul(I96F32::from_num(stake.0)).saturating_sub(claimed);
        if owed < RootClaimableThreshold::<T>::get(at.netuid) {
            return None;
        }
        let owed = AlphaBalance(owed.saturating_to_num());
        if owed.0 == 0 {
            return None;
        }
        let tao = Self::swap_claim(at, owed)?;
        RootClaimed::<T>::mutate(key, |claimed| {
            *claimed = claimed.saturating_add(u128::from(owed.0));
        });
        Some(tao)
    }

    /// Sells claimed alpha and stakes the TAO on the root network.
    fn swap_claim(at: &Position<T::AccountId>, owed: AlphaBalance) -> Option<TaoBalance> {
        let quote = Self::quote_sell(at.netuid, owed, None, super::pool::Fee::Dropped).ok()?;
        Self::apply_sell(at.netuid, &quote).ok()?;
        let tao = TaoBalance(quote.output);
        let root = Self::subnet_account(NetUid::ROOT);
        Self::pay_from_subnet(at.netuid, &root, tao).ok()?;
        let stake = AlphaBalance(tao.0);
        Self::increase_stake(&at.hotkey, &at.coldkey, NetUid::ROOT, stake);
        SubnetTAO::<T>::mutate(NetUid::ROOT, |total| *total = total.saturating_add(tao));
        SubnetAlphaOut::<T>::mutate(NetUid::ROOT, |total| *total = total.saturating_add(stake));
        TotalStake::<T>::mutate(|total| *total = total.saturating_add(tao));
        SubnetRootSellTao::<T>::mutate(at.netuid, |total| *total = total.saturating_add(tao));
        let root_at = Position { netuid: NetUid::ROOT, ..at.clone() };
        Self::claims_follow_new_stake(&root_at, stake);
        Some(tao)
    }
}
