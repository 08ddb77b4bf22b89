//! Hotkeys and coldkeys, takes, parents and children.

use super::limits::Limited;
use super::*;

/// Most children of a hotkey on a subnet.
const MAX_CHILDREN: usize = 5;

/// Parents or children: a proportion of 2^64-1 and a hotkey.
pub(crate) type Relations<A> = Vec<(u64, A)>;

impl<T: Config> Pallet<T> {
    /// Notes who owns a hotkey, unless someone does already.
    pub(crate) fn create_pair(coldkey: &T::AccountId, hotkey: &T::AccountId) {
        if Owner::<T>::contains_key(hotkey) {
            return;
        }
        Owner::<T>::insert(hotkey, coldkey);
        OwnedHotkeys::<T>::mutate(coldkey, |keys| push_new(keys, hotkey));
        StakingHotkeys::<T>::mutate(coldkey, |keys| push_new(keys, hotkey));
    }

    /// Associates a hotkey with the signer.
    pub(crate) fn do_associate(coldkey: &T::AccountId, hotkey: &T::AccountId) -> DispatchResult {
        ensure!(!Self::is_subnet_account(hotkey), Error::<T>::CannotUseSystemAccount);
        Self::create_pair(coldkey, hotkey);
        Ok(())
    }

    /// What a hotkey keeps of its parents' dividends, at least the subnet's minimum.
    pub(crate) fn childkey_take(hotkey: &T::AccountId, netuid: NetUid) -> PerU16 {
        let least = MinChildkeyTakePerSubnet::<T>::get(netuid).max(MinChildkeyTake::<T>::get());
        ChildkeyTake::<T>::get(hotkey, netuid).max(least)
    }

    fn ensure_owns(coldkey: &T::AccountId, hotkey: &T::AccountId) -> Result<(), Error<T>> {
        ensure!(Owner::<T>::contains_key(hotkey), Error::<T>::HotKeyAccountNotExists);
        ensure!(Owner::<T>::get(hotkey) == *coldkey, Error::<T>::NonAssociatedColdKey);
        Ok(())
    }

    /// What a change of take must pass before it reaches a block: the bounds, then whose it is.
    pub(crate) fn check_take(
        coldkey: &T::AccountId,
        hotkey: &T::AccountId,
        take: PerU16,
    ) -> Result<(), Error<T>> {
        let (min, max) = (MinDelegateTake::<T>::get(), MaxDelegateTake::<T>::get());
        ensure!(take >= min, Error::<T>::DelegateTakeTooLow);
        ensure!(take <= max, Error::<T>::DelegateTakeTooHigh);
        Self::ensure_owns(coldkey, hotkey)
    }

    /// Refuses a take that does not move in the call's direction; a hotkey without one may take any.
    fn ensure_direction(hotkey: &T::AccountId, moves: impl Fn(PerU16) -> bool) -> DispatchResult {
        let fits = Delegates::<T>::try_get(hotkey).map_or(true, moves);
        ensure!(fits, Error::<T>::DelegateTakeTooLow);
        Ok(())
    }

    /// Lowers a take.
    pub(crate) fn do_decrease_take(
        coldkey: T::AccountId,
        hotkey: T::AccountId,
        take: PerU16,
    ) -> DispatchResult {
        Self::check_take(&coldkey, &hotkey, take)?;
        Self::ensure_direction(&hotkey, |current| take < current)?;
        Delegates::<T>::insert(&hotkey, take);
        Self::note_take(&hotkey);
        Self::deposit_event(Event::TakeDecreased(coldkey, hotkey, take));
        Ok(())
    }

    /// Raises a take.
    pub(crate) fn do_increase_take(
        coldkey: T::AccountId,
        hotkey: T::AccountId,
        take: PerU16,
    ) -> DispatchResult {
        Self::check_take(&coldkey, &hotkey, take)?;
        Self::ensure_direction(&hotkey, |current| take > current)?;
        ensure!(Self::take_limit_passed(&hotkey), Error::<T>::DelegateTxRateLimitExceeded);
        Self::note_take(&hotkey);
        Delegates::<T>::insert(&hotkey, take);
        Self::deposit_event(Event::TakeIncreased(coldkey, hotkey, take));
        Ok(())
    }

    fn note_take(hotkey: &T::AccountId) {
        let key = RateLimitKey::LastTxBlockDelegateTake(hotkey.clone());
        LastRateLimitedBlock::<T>::insert(key, Self::now());
    }

    /// Sets what a hotkey keeps of its parents' dividends.
    pub(crate) fn do_set_childkey_take(
        coldkey: &T::AccountId,
        hotkey: T::AccountId,
        netuid: NetUid,
        take: PerU16,
    ) -> DispatchResult {
        ensure!(
            Owner::<T>::contains_key(&hotkey) && Owner::<T>::get(&hotkey) == *coldkey,
            Error::<T>::NonAssociatedColdKey
        );
        ensure!(take <= MaxChildkeyTake::<T>::get(), Error::<T>::InvalidChildkeyTake);
        let current = ChildkeyTake::<T>::get(&hotkey, netuid);
        ensure!(
            take <= current || Self::limit_passed(Limited::SetChildkeyTake, &hotkey, netuid),
            Error::<T>::TxChildkeyTakeRateLimitExceeded
        );
        Self::note_use(Limited::SetChildkeyTake, &hotkey, netuid);
        ChildkeyTake::<T>::insert(&hotkey, netuid, take);
        Self::deposit_event(Event::ChildKeyTakeSet(hotkey, take));
        Ok(())
    }

    /// Schedules new children for a hotkey.
    pub(crate) fn do_set_children(
        coldkey: &T::AccountId,
        hotkey: T::AccountId,
        netuid: NetUid,
        children: Relations<T::AccountId>,
    ) -> DispatchResult {
        ensure!(
            Self::limit_passed(Limited::SetChildren, &hotkey, netuid),
            Error::<T>::TxRateLimitExceeded
        );
        ensure!(!netuid.is_root(), Error::<T>::RegistrationNotPermittedOnRootSubnet);
        Self::ensure_exists(netuid)?;
        ensure!(
            Owner::<T>::contains_key(&hotkey) && Owner::<T>::get(&hotkey) == *coldkey,
            Error::<T>::NonAssociatedColdKey
        );
        Self::check_children(&hotkey, netuid, &children)?;
        let start = Self::now().saturating_add(PendingChildKeyCooldown::<T>::get());
        PendingChildKeys::<T>::insert(netuid, &hotkey, (children.clone(), start));
        Self::note_use(Limited::SetChildren, &hotkey, netuid);
        Self::deposit_event(Event::SetChildrenScheduled(hotkey, netuid, start, children));
        Ok(())
    }

    fn check_children(
        hotkey: &T::AccountId,
        netuid: NetUid,
        children: &Relations<T::AccountId>,
    ) -> DispatchResult {
        ensure!(children.len() <= MAX_CHILDREN, Error::<T>::TooManyChildren);
        ensure!(children.iter().all(|(_, child)| child != hotkey), Error::<T>::InvalidChild);
        let total = children.iter().try_fold(0u64, |sum, (part, _)| sum.checked_add(*part));
        ensure!(total.is_some(), Error::<T>::ProportionOverflow);
        let mut distinct: Vec<_> = children.iter().map(|(_, child)| child).collect();
        distinct.sort_unstable();
        distinct.dedup();
        ensure!(distinct.len() == children.len(), Error::<T>::DuplicateChild);
        let parents = ParentKeys::<T>::get(hotkey, netuid);
        let is_parent = |key: &T::AccountId| parents.iter().any(|(_, parent)| parent == key);
        ensure!(
            children.iter().all(|(_, child)| !is_parent(child)),
            Error::<T>::ChildParentInconsistency
        );
        Ok(())
    }

    /// Starts the children whose time has come on a subnet whose epoch just ran.
    pub(crate) fn activate_children(netuid: NetUid) {
        let now = Self::now();
        let due: Vec<_> = PendingChildKeys::<T>::iter_prefix(netuid)
            .filter(|(_, (_, start))| *start <= now)
            .collect();
        for (hotkey, (children, _)) in due {
            PendingChildKeys::<T>::remove(netuid, &hotkey);
            if Self::check_children(&hotkey, netuid, &children).is_ok() {
                Self::replace_children(&hotkey, netuid, children);
            }
        }
    }

    fn replace_children(hotkey: &T::AccountId, netuid: NetUid, children: Relations<T::AccountId>) {
        for (_, child) in ChildKeys::<T>::get(hotkey, netuid) {
            ParentKeys::<T>::mutate(&child, netuid, |parents| {
                parents.retain(|(_, parent)| parent != hotkey);
            });
            if ParentKeys::<T>::get(&child, netuid).is_empty() {
                ParentKeys::<T>::remove(&child, netuid);
            }
        }
        for (part, child) in &children {
            ParentKeys::<T>::mutate(child, netuid, |parents| {
                parents.push((*part, hotkey.clone()));
            });
        }
        if children.is_empty() {
            ChildKeys::<T>::remove(hotkey, netuid);
        } else {
            ChildKeys::<T>::insert(hotkey, netuid, &children);
        }
        Self::deposit_event(Event::SetChildren(hotkey.clone(), netuid, children));
    }

    /// A hotkey's stake as consensus counts it: inherited alpha plus weighted root TAO, in rao.
    pub fn total_stake(hotkey: &T::AccountId, netuid: NetUid) -> u64 {
        Self::stake_for_epoch(hotkey, netuid).saturating_to_num()
    }

    /// As [`Self::total_stake`], not rounded.
    pub(crate) fn stake_for_epoch(hotkey: &T::AccountId, netuid: NetUid) -> I64F64 {
        let held = Self::family(hotkey, netuid).inherited();
        scoring::yuma::total_stake(held.alpha, held.root, TaoWeight::<T>::get())
    }

    /// Sets whether a hotkey becomes a parent of new owners.
    pub(crate) fn do_set_auto_parent(
        coldkey: &T::AccountId,
        hotkey: T::AccountId,
        enabled: bool,
    ) -> DispatchResult {
        Self::ensure_owns(coldkey, &hotkey)?;
        AutoParentDelegationEnabled::<T>::insert(&hotkey, enabled);
        Self::deposit_event(Event::AutoParentDelegationEnabledSet { hotkey, enabled });
        Ok(())
    }

    /// Sends a coldkey's incentive on a subnet to a hotkey.
    pub(crate) fn do_set_auto_stake(
        coldkey: T::AccountId,
        netuid: NetUid,
        hotkey: T::AccountId,
    ) -> DispatchResult {
        Self::ensure_exists(netuid)?;
        ensure!(Uids::<T>::contains_key(netuid, &hotkey), Error::<T>::HotKeyNotRegisteredInSubNet);
        let old = AutoStakeDestination::<T>::get(&coldkey, netuid);
        ensure!(old.as_ref() != Some(&hotkey), Error::<T>::SameAutoStakeHotkeyAlreadySet);
        if let Some(old) = old {
            AutoStakeDestinationColdkeys::<T>::mutate(&old, netuid, |keys| {
                keys.retain(|key| *key != coldkey);
            });
        }
        AutoStakeDestination::<T>::insert(&coldkey, netuid, &hotkey);
        AutoStakeDestinationColdkeys::<T>::mutate(&hotkey, netuid, |keys| push_new(keys, &coldkey));
        Self::deposit_event(Event::AutoStakeDestinationSet { coldkey, netuid, hotkey });
        Ok(())
    }
}

/// Adds a key to a list that does not hold it.
pub(crate) fn push_new<A: Clone + PartialEq>(keys: &mut Vec<A>, key: &A) {
    if !keys.contains(key) {
        keys.push(key.clone());
    }
}
