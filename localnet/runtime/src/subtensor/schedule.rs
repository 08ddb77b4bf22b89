//! When a subnet's epoch runs.

use super::*;
use std::collections::BTreeSet;

impl<T: Config> Pallet<T> {
    /// Whether the subnet's epoch is due in `block`.
    pub(crate) fn is_epoch_due(netuid: NetUid, block: u64) -> bool {
        let tempo = u64::from(Tempo::<T>::get(netuid));
        if tempo == 0 {
            return false;
        }
        let pending = PendingEpochAt::<T>::get(netuid);
        (pending > 0 && block >= pending)
            || BlocksSinceLastStep::<T>::get(netuid) > u64::from(T::MaxTempo::get())
            || block.saturating_sub(LastEpochBlock::<T>::get(netuid)) >= tempo
    }

    /// Block of the next epoch, unless the subnet has none.
    pub fn next_epoch_block(netuid: NetUid) -> Option<u64> {
        let tempo = u64::from(Tempo::<T>::get(netuid));
        if tempo == 0 || !NetworksAdded::<T>::get(netuid) {
            return None;
        }
        let regular = LastEpochBlock::<T>::get(netuid).saturating_add(tempo);
        match PendingEpochAt::<T>::get(netuid) {
            0 => Some(regular),
            pending => Some(regular.min(pending)),
        }
    }

    /// Whether a neuron vector is as long as the subnet: an epoch over anything else would pay
    /// the wrong uid.
    pub(crate) fn is_epoch_input_consistent(netuid: NetUid) -> bool {
        let n = usize::from(SubnetworkN::<T>::get(netuid));
        let mut hotkeys = Self::neurons(netuid);
        hotkeys.sort_unstable();
        hotkeys.dedup();
        hotkeys.len() == n
    }

    /// Subnets whose epoch is due in this block and does not fit in it.
    pub(crate) fn deferred_epochs() -> BTreeSet<NetUid> {
        let now = Self::now();
        let due = Self::subnets().into_iter().filter(|netuid| Self::is_epoch_due(*netuid, now));
        due.skip(usize::from(MaxEpochsPerBlock::<T>::get())).collect()
    }

    /// Advances every subnet's schedule by one block; the subnets whose epoch runs now.
    pub(crate) fn advance_schedule() -> Vec<NetUid> {
        let now = Self::now();
        let room = usize::from(MaxEpochsPerBlock::<T>::get());
        let mut running = Vec::new();
        for netuid in Self::subnets() {
            BlocksSinceLastStep::<T>::mutate(netuid, |blocks| *blocks = blocks.saturating_add(1));
            if !Self::is_epoch_due(netuid, now) {
                continue;
            }
            if running.len() >= room {
                Self::defer_epoch(netuid, now);
                continue;
            }
            if Self::is_epoch_input_consistent(netuid) {
                BlocksSinceLastStep::<T>::insert(netuid, 0);
                running.push(netuid);
            } else {
                Self::deposit_event(Event::EpochSkipped { netuid, block: now });
            }
            LastEpochBlock::<T>::insert(netuid, now);
            PendingEpochAt::<T>::insert(netuid, 0);
            SubnetEpochIndex::<T>::mutate(netuid, |index| *index = index.saturating_add(1));
        }
        running
    }

    fn defer_epoch(netuid: NetUid, now: u64) {
        let to_block = now.saturating_add(1);
        PendingEpochAt::<T>::insert(netuid, to_block);
        Self::deposit_event(Event::EpochDeferred { netuid, from_block: now, to_block });
    }

    /// Whether hyperparameters are frozen because an epoch is near.
    pub(crate) fn is_frozen(netuid: NetUid) -> bool {
        let tempo = u64::from(Tempo::<T>::get(netuid));
        if tempo == 0 {
            return false;
        }
        if PendingEpochAt::<T>::get(netuid) > 0 {
            return true;
        }
        let next = LastEpochBlock::<T>::get(netuid).saturating_add(tempo);
        next.saturating_sub(Self::now()) < u64::from(AdminFreezeWindow::<T>::get())
    }

    /// Brings the owner's next epoch forward.
    pub(crate) fn do_trigger_epoch(owner: T::AccountId, netuid: NetUid) -> DispatchResult {
        ensure!(
            !CommitRevealWeightsEnabled::<T>::get(netuid),
            Error::<T>::DynamicTempoBlockedByCommitReveal
        );
        ensure!(PendingEpochAt::<T>::get(netuid) == 0, Error::<T>::EpochTriggerAlreadyPending);
        let window = u64::from(AdminFreezeWindow::<T>::get());
        let tempo = u64::from(Tempo::<T>::get(netuid));
        let next = LastEpochBlock::<T>::get(netuid).saturating_add(tempo);
        ensure!(next.saturating_sub(Self::now()) >= window, Error::<T>::AutoEpochAlreadyImminent);
        let fires_at = Self::now().saturating_add(window);
        PendingEpochAt::<T>::insert(netuid, fires_at);
        Self::deposit_event(Event::EpochTriggered { netuid, by: owner, fires_at });
        Ok(())
    }

    /// Sets a tempo and starts its cycle in this block.
    pub(crate) fn apply_tempo(netuid: NetUid, tempo: u16) {
        Tempo::<T>::insert(netuid, tempo);
        LastEpochBlock::<T>::insert(netuid, Self::now());
        if PendingEpochAt::<T>::get(netuid) > 0 {
            PendingEpochAt::<T>::insert(netuid, 0);
        }
        Self::deposit_event(Event::TempoSet(netuid, tempo));
    }
}
