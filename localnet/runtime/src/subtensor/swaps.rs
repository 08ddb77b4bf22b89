//! A hotkey that takes another's place: on one subnet, or everywhere.
//!
//! Slots, endpoints, commits, children and parents go along; so does the stake of everybody on it, unless
//! the owner keeps that where it is. Scores stay with the uid, which does not change.

use super::*;
use frame_support::traits::fungible::Mutate;
use frame_support::traits::tokens::{Fortitude, Precision, Preservation};

/// The swap that a coldkey asks for.
pub(crate) struct Swap<A> {
    pub coldkey: A,
    pub old: A,
    pub new: A,
    /// Whether the stake stays on the old hotkey.
    pub keep_stake: bool,
}

impl<T: Config> Pallet<T> {
    /// Swaps on `netuid`, or everywhere.
    pub(crate) fn do_swap_hotkey(
        swap: &Swap<T::AccountId>,
        netuid: Option<NetUid>,
    ) -> DispatchResult {
        let Swap { coldkey, old, new, .. } = swap;
        ensure!(
            Owner::<T>::contains_key(old) && Owner::<T>::get(old) == *coldkey,
            Error::<T>::NonAssociatedColdKey
        );
        ensure!(old != new, Error::<T>::NewHotKeyIsSameWithOld);
        ensure!(!Self::is_subnet_account(new), Error::<T>::CannotUseSystemAccount);
        ensure!(
            !Owner::<T>::contains_key(new) || Owner::<T>::get(new) == *coldkey,
            Error::<T>::NonAssociatedColdKey
        );
        match netuid {
            Some(netuid) => Self::swap_on_subnet(swap, netuid),
            None => Self::swap_everywhere(swap),
        }
    }

    fn swap_on_subnet(swap: &Swap<T::AccountId>, netuid: NetUid) -> DispatchResult {
        let Swap { coldkey, old, new, .. } = swap;
        Self::ensure_exists(netuid)?;
        ensure!(!Uids::<T>::contains_key(netuid, new), Error::<T>::HotKeyAlreadyRegisteredInSubNet);
        let last = LastHotkeySwapOnNetuid::<T>::get(netuid, coldkey);
        ensure!(
            last == 0 || Self::now() > last.saturating_add(T::HotkeySwapOnSubnetInterval::get()),
            Error::<T>::HotKeySwapOnSubnetIntervalNotPassed
        );
        Self::pay_for_swap(coldkey, T::KeySwapOnSubnetCost::get())?;
        Self::create_pair(coldkey, new);
        Self::swap_state(swap, netuid);
        LastHotkeySwapOnNetuid::<T>::insert(netuid, coldkey, Self::now());
        Self::deposit_event(Event::HotkeySwappedOnSubnet {
            coldkey: coldkey.clone(),
            old_hotkey: old.clone(),
            new_hotkey: new.clone(),
            netuid,
        });
        Ok(())
    }

    fn swap_everywhere(swap: &Swap<T::AccountId>) -> DispatchResult {
        let Swap { coldkey, old, new, keep_stake } = swap;
        let limit = TxRateLimit::<T>::get();
        let key = RateLimitKey::LastTxBlock(coldkey.clone());
        let last = Self::last_limited(&key);
        ensure!(
            limit == 0 || last == 0 || Self::now().saturating_sub(last) > limit,
            Error::<T>::HotKeySetTxRateLimitExceeded
        );
        let netuids: Vec<NetUid> = NetworksAdded::<T>::iter_keys().collect();
        ensure!(
            netuids.iter().all(|netuid| !Uids::<T>::contains_key(*netuid, new)),
            Error::<T>::HotKeyAlreadyRegisteredInSubNet
        );
        Self::pay_for_swap(coldkey, T::KeySwapCost::get())?;
        Self::create_pair(coldkey, new);
        if Delegates::<T>::contains_key(old) {
            Delegates::<T>::insert(new, Delegates::<T>::take(old));
        }
        for netuid in netuids {
            Self::swap_state(swap, netuid);
        }
        if !keep_stake {
            Owner::<T>::remove(old);
            OwnedHotkeys::<T>::mutate(coldkey, |keys| keys.retain(|key| key != old));
            AutoParentDelegationEnabled::<T>::remove(old);
        }
        LastRateLimitedBlock::<T>::insert(key, Self::now());
        Self::deposit_event(Event::HotkeySwapped {
            coldkey: coldkey.clone(),
            old_hotkey: old.clone(),
            new_hotkey: new.clone(),
        });
        Ok(())
    }

    /// The price is taken out of circulation.
    pub(crate) fn pay_for_swap(coldkey: &T::AccountId, cost: TaoBalance) -> DispatchResult {
        ensure!(Self::spendable(coldkey) >= cost, Error::<T>::NotEnoughBalanceToPaySwapHotKey);
        <pallet_balances::Pallet<T> as Mutate<T::AccountId>>::burn_from(
            coldkey,
            cost.0,
            Preservation::Preserve,
            Precision::Exact,
            Fortitude::Polite,
        )?;
        TotalIssuance::<T>::mutate(|total| *total = total.saturating_sub(cost));
        Ok(())
    }

    /// Moves all that a subnet knows of the old hotkey.
    fn swap_state(swap: &Swap<T::AccountId>, netuid: NetUid) {
        let Swap { old, new, keep_stake, .. } = swap;
        Self::swap_seat(netuid, old, new);
        Self::swap_commits(netuid, old, new);
        Self::swap_family(netuid, old, new);
        if SubnetOwnerHotkey::<T>::get(netuid) == *old {
            SubnetOwnerHotkey::<T>::insert(netuid, new);
        }
        for coldkey in AutoStakeDestinationColdkeys::<T>::take(old, netuid) {
            AutoStakeDestination::<T>::insert(&coldkey, netuid, new);
            AutoStakeDestinationColdkeys::<T>::mutate(new, netuid, |keys| {
                keys::push_new(keys, &coldkey);
            });
        }
        if !keep_stake {
            Self::swap_stake_holders(netuid, old, new);
        }
    }

    fn swap_seat(netuid: NetUid, old: &T::AccountId, new: &T::AccountId) {
        if let Some(uid) = Uids::<T>::take(netuid, old) {
            Uids::<T>::insert(netuid, new, uid);
            Keys::<T>::insert(netuid, uid, new);
            IsNetworkMember::<T>::remove(old, netuid);
            IsNetworkMember::<T>::insert(new, netuid, true);
        }
        if let Some(axon) = Axons::<T>::take(netuid, old) {
            Axons::<T>::insert(netuid, new, axon);
        }
        if let Some(endpoint) = Prometheus::<T>::take(netuid, old) {
            Prometheus::<T>::insert(netuid, new, endpoint);
        }
        if let Some(certificate) = NeuronCertificates::<T>::take(netuid, old) {
            NeuronCertificates::<T>::insert(netuid, new, certificate);
        }
    }

    /// Commits keep their hiding; a hidden hotkey that differs will not open.
    fn swap_commits(netuid: NetUid, old: &T::AccountId, new: &T::AccountId) {
        for index in Self::indices(netuid).collect::<Vec<_>>() {
            if let Some(commits) = WeightCommits::<T>::take(index, old) {
                WeightCommits::<T>::insert(index, new, commits);
            }
            let epochs: Vec<u64> = TimelockedWeightCommits::<T>::iter_key_prefix(index).collect();
            for epoch in epochs {
                TimelockedWeightCommits::<T>::mutate(index, epoch, |queue| {
                    for (hotkey, ..) in queue.iter_mut().filter(|(hotkey, ..)| hotkey == old) {
                        *hotkey = new.clone();
                    }
                });
            }
        }
    }

    fn swap_family(netuid: NetUid, old: &T::AccountId, new: &T::AccountId) {
        let rename = |relations: &mut Vec<(u64, T::AccountId)>| {
            for (_, hotkey) in relations.iter_mut().filter(|(_, hotkey)| hotkey == old) {
                *hotkey = new.clone();
            }
        };
        let children = ChildKeys::<T>::take(old, netuid);
        for (_, child) in &children {
            ParentKeys::<T>::mutate(child, netuid, rename);
        }
        if !children.is_empty() {
            ChildKeys::<T>::insert(new, netuid, children);
        }
        let parents = ParentKeys::<T>::take(old, netuid);
        for (_, parent) in &parents {
            ChildKeys::<T>::mutate(parent, netuid, rename);
        }
        if !parents.is_empty() {
            ParentKeys::<T>::insert(new, netuid, parents);
        }
        if PendingChildKeys::<T>::contains_key(netuid, old) {
            let pending = PendingChildKeys::<T>::take(netuid, old);
            PendingChildKeys::<T>::insert(netuid, new, pending);
        }
        if ChildkeyTake::<T>::contains_key(old, netuid) {
            ChildkeyTake::<T>::insert(new, netuid, ChildkeyTake::<T>::take(old, netuid));
        }
    }

    /// Everybody's stake on the old hotkey goes to the new one; where it held some already, the two are
    /// added up.
    fn swap_stake_holders(netuid: NetUid, old: &T::AccountId, new: &T::AccountId) {
        let holders: Vec<T::AccountId> = AlphaV2::<T>::iter_prefix((old,))
            .filter(|((_, on), _)| *on == netuid)
            .map(|((coldkey, _), _)| coldkey)
            .collect();
        for coldkey in holders {
            let amount = Self::stake_of(old, &coldkey, netuid);
            Self::decrease_stake(old, &coldkey, netuid, amount);
            AlphaV2::<T>::remove((old, &coldkey, netuid));
            Self::increase_stake(new, &coldkey, netuid, amount);
            let elsewhere = AlphaV2::<T>::iter_prefix((old, &coldkey)).next().is_some();
            StakingHotkeys::<T>::mutate(&coldkey, |keys| {
                keys::push_new(keys, new);
                if !elsewhere {
                    keys.retain(|key| key != old);
                }
            });
            if netuid.is_root() {
                Self::swap_root_claims(&coldkey, old, new);
            }
        }
        TotalHotkeyAlpha::<T>::remove(old, netuid);
        TotalHotkeySharesV2::<T>::remove(old, netuid);
        let last = TotalHotkeyAlphaLastEpoch::<T>::take(old, netuid);
        TotalHotkeyAlphaLastEpoch::<T>::mutate(new, netuid, |total| {
            *total = total.saturating_add(last);
        });
        if netuid.is_root() {
            let rates = RootClaimable::<T>::take(old);
            RootClaimable::<T>::mutate(new, |known| {
                for (netuid, rate) in rates {
                    let known = known.entry(netuid).or_default();
                    *known = known.saturating_add(rate);
                }
            });
        }
    }

    fn swap_root_claims(coldkey: &T::AccountId, old: &T::AccountId, new: &T::AccountId) {
        for netuid in RootClaimable::<T>::get(old).into_keys() {
            let claimed = RootClaimed::<T>::take((netuid, old, coldkey));
            if claimed != 0 {
                RootClaimed::<T>::mutate((netuid, new, coldkey), |total| {
                    *total = total.saturating_add(claimed);
                });
            }
        }
    }
}
