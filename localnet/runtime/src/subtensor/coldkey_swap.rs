//! A coldkey that takes another's place: announced by its hash, done after a delay, disputed in between.

use super::*;
use sp_runtime::traits::Hash as _;

impl<T: Config> Pallet<T> {
    fn block() -> u32 {
        u32::try_from(Self::now()).unwrap_or(u32::MAX)
    }

    /// Notes the hash of the new coldkey. The first announcement costs a swap; another may follow some time
    /// after the first has come due.
    pub(crate) fn do_announce_coldkey_swap(
        coldkey: T::AccountId,
        new_coldkey_hash: T::Hash,
    ) -> DispatchResult {
        if let Some((due, _)) = ColdkeySwapAnnouncements::<T>::get(&coldkey) {
            let again = due.saturating_add(ColdkeySwapReannouncementDelay::<T>::get());
            ensure!(Self::block() >= again, Error::<T>::ColdkeySwapReannouncedTooEarly);
        } else {
            Self::pay_for_swap(&coldkey, T::KeySwapCost::get())?;
        }
        let due = Self::block().saturating_add(ColdkeySwapAnnouncementDelay::<T>::get());
        let hash = H256::from_slice(new_coldkey_hash.as_ref());
        ColdkeySwapAnnouncements::<T>::insert(&coldkey, (due, hash));
        Self::deposit_event(Event::ColdkeySwapAnnounced { who: coldkey, new_coldkey_hash });
        Ok(())
    }

    /// Swaps as announced.
    pub(crate) fn do_swap_coldkey_announced(
        coldkey: T::AccountId,
        new: T::AccountId,
    ) -> DispatchResult {
        let (due, hash) = ColdkeySwapAnnouncements::<T>::get(&coldkey)
            .ok_or(Error::<T>::ColdkeySwapAnnouncementNotFound)?;
        let new_hash = sp_runtime::traits::BlakeTwo256::hash_of(&new);
        ensure!(hash == new_hash, Error::<T>::AnnouncedColdkeyHashDoesNotMatch);
        ensure!(Self::block() >= due, Error::<T>::ColdkeySwapTooEarly);
        ColdkeySwapAnnouncements::<T>::remove(&coldkey);
        Self::swap_coldkeys(&coldkey, &new)
    }

    /// Holds an announced swap.
    pub(crate) fn do_dispute_coldkey_swap(coldkey: T::AccountId) -> DispatchResult {
        ensure!(
            ColdkeySwapAnnouncements::<T>::contains_key(&coldkey),
            Error::<T>::ColdkeySwapAnnouncementNotFound
        );
        ensure!(
            !ColdkeySwapDisputes::<T>::contains_key(&coldkey),
            Error::<T>::ColdkeySwapAlreadyDisputed
        );
        ColdkeySwapDisputes::<T>::insert(&coldkey, Self::block());
        Self::deposit_event(Event::ColdkeySwapDisputed { coldkey });
        Ok(())
    }

    /// Withdraws an announcement that has been due for some time.
    pub(crate) fn do_clear_coldkey_swap(coldkey: T::AccountId) -> DispatchResult {
        let (due, _) = ColdkeySwapAnnouncements::<T>::get(&coldkey)
            .ok_or(Error::<T>::ColdkeySwapAnnouncementNotFound)?;
        let from = due.saturating_add(ColdkeySwapReannouncementDelay::<T>::get());
        ensure!(Self::block() >= from, Error::<T>::ColdkeySwapClearTooEarly);
        ColdkeySwapAnnouncements::<T>::remove(&coldkey);
        Self::deposit_event(Event::ColdkeySwapCleared { who: coldkey });
        Ok(())
    }

    /// Gives all that is `old`'s to `new`, which must be nobody's key yet.
    pub(crate) fn swap_coldkeys(old: &T::AccountId, new: &T::AccountId) -> DispatchResult {
        ensure!(StakingHotkeys::<T>::get(new).is_empty(), Error::<T>::ColdKeyAlreadyAssociated);
        ensure!(!Owner::<T>::contains_key(new), Error::<T>::NewColdKeyIsHotkey);
        if let Some(identity) = IdentitiesV2::<T>::take(old) {
            IdentitiesV2::<T>::insert(new, identity);
        }
        for netuid in Self::networks() {
            if SubnetOwner::<T>::get(netuid) == *old {
                SubnetOwner::<T>::insert(netuid, new);
            }
            if let Some(hotkey) = AutoStakeDestination::<T>::take(old, netuid) {
                AutoStakeDestinationColdkeys::<T>::mutate(&hotkey, netuid, |coldkeys| {
                    coldkeys.retain(|coldkey| coldkey != old);
                    super::keys::push_new(coldkeys, new);
                });
                AutoStakeDestination::<T>::insert(new, netuid, hotkey);
            }
        }
        for hotkey in StakingHotkeys::<T>::get(old) {
            Self::give_stake_on(&hotkey, old, new);
        }
        StakingHotkeys::<T>::insert(new, StakingHotkeys::<T>::take(old));
        for hotkey in OwnedHotkeys::<T>::take(old) {
            Owner::<T>::insert(&hotkey, new);
            OwnedHotkeys::<T>::mutate(new, |keys| super::keys::push_new(keys, &hotkey));
        }
        let rest = Self::spendable(old);
        if rest.0 > 0 {
            Self::transfer_tao(old, new, rest)?;
        }
        let (old_coldkey, new_coldkey) = (old.clone(), new.clone());
        Self::deposit_event(Event::ColdkeySwapped { old_coldkey, new_coldkey });
        Ok(())
    }

    /// Moves a coldkey's shares in a hotkey's pools; the pools themselves do not change.
    fn give_stake_on(hotkey: &T::AccountId, old: &T::AccountId, new: &T::AccountId) {
        let mut netuids = Self::networks();
        netuids.retain(|netuid| AlphaV2::<T>::contains_key((hotkey, old, netuid)));
        for netuid in netuids {
            let shares = AlphaV2::<T>::take((hotkey, old, netuid));
            AlphaV2::<T>::insert((hotkey, new, netuid), shares);
            let claimed = RootClaimed::<T>::take((netuid, hotkey, old));
            if claimed > 0 {
                RootClaimed::<T>::insert((netuid, hotkey, new), claimed);
            }
            if netuid.is_root() {
                Self::note_root_staker(new);
                Self::forget_root_staker(old);
            }
        }
    }

    /// Whether a coldkey that announced its swap, or whose swap is disputed, may make a call.
    pub(crate) fn check_coldkey_swap(
        who: &T::AccountId,
        is_of_the_swap: bool,
    ) -> Result<(), Error<T>> {
        if !ColdkeySwapAnnouncements::<T>::contains_key(who) {
            return Ok(());
        }
        ensure!(!ColdkeySwapDisputes::<T>::contains_key(who), Error::<T>::ColdkeySwapDisputed);
        ensure!(is_of_the_swap, Error::<T>::ColdkeySwapAnnounced);
        Ok(())
    }
}
