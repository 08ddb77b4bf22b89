//! Uids: giving them out, taking them back.

use super::*;
use scoring::emission::prune;

impl<T: Config> Pallet<T> {
    /// The mechanisms' storage indices of a subnet, the main one first.
    pub(crate) fn indices(netuid: NetUid) -> impl Iterator<Item = NetUidStorageIndex> {
        (0..MechanismCountCurrent::<T>::get(netuid).0).map(move |mecid| netuid.index(MechId(mecid)))
    }

    /// The uids of a subnet with their hotkeys, ascending.
    pub fn neurons(netuid: NetUid) -> Vec<T::AccountId> {
        (0..SubnetworkN::<T>::get(netuid)).map(|uid| Keys::<T>::get(netuid, uid)).collect()
    }

    /// Gives the next uid to a hotkey.
    pub(crate) fn append_neuron(netuid: NetUid, hotkey: &T::AccountId) -> u16 {
        let uid = SubnetworkN::<T>::get(netuid);
        let now = Self::now();
        SubnetworkN::<T>::insert(netuid, uid.saturating_add(1));
        Active::<T>::mutate(netuid, |v| v.push(true));
        Emission::<T>::mutate(netuid, |v| v.push(AlphaBalance(0)));
        Consensus::<T>::mutate(netuid, |v| v.push(PerU16::from_parts(0)));
        Dividends::<T>::mutate(netuid, |v| v.push(PerU16::from_parts(0)));
        ValidatorTrust::<T>::mutate(netuid, |v| v.push(PerU16::from_parts(0)));
        ValidatorPermit::<T>::mutate(netuid, |v| v.push(false));
        for index in Self::indices(netuid) {
            Incentive::<T>::mutate(index, |v| v.push(PerU16::from_parts(0)));
            LastUpdate::<T>::mutate(index, |v| v.push(now));
        }
        Self::seat(netuid, uid, hotkey);
        uid
    }

    /// Writes the two directions of a uid and its registration.
    fn seat(netuid: NetUid, uid: u16, hotkey: &T::AccountId) {
        Keys::<T>::insert(netuid, uid, hotkey);
        Uids::<T>::insert(netuid, hotkey, uid);
        BlockAtRegistration::<T>::insert(netuid, uid, Self::now());
        IsNetworkMember::<T>::insert(hotkey, netuid, true);
    }

    /// Gives an occupied uid to another hotkey.
    pub(crate) fn replace_neuron(netuid: NetUid, uid: u16, hotkey: &T::AccountId) {
        let old = Keys::<T>::get(netuid, uid);
        Uids::<T>::remove(netuid, &old);
        IsNetworkMember::<T>::remove(&old, netuid);
        Axons::<T>::remove(netuid, &old);
        Prometheus::<T>::remove(netuid, &old);
        NeuronCertificates::<T>::remove(netuid, &old);
        Self::clear_uid(netuid, uid);
        Self::seat(netuid, uid, hotkey);
    }

    /// Takes a uid's scores, bonds and weights, and every other row's weight on it, away.
    fn clear_uid(netuid: NetUid, uid: u16) {
        let at = usize::from(uid);
        let zero = PerU16::from_parts(0);
        let reset = |v: &mut Vec<PerU16>| {
            if let Some(value) = v.get_mut(at) {
                *value = zero;
            }
        };
        Emission::<T>::mutate(netuid, |v| {
            if let Some(value) = v.get_mut(at) {
                *value = AlphaBalance(0);
            }
        });
        Consensus::<T>::mutate(netuid, reset);
        Dividends::<T>::mutate(netuid, reset);
        ValidatorTrust::<T>::mutate(netuid, reset);
        ValidatorPermit::<T>::mutate(netuid, |v| {
            if let Some(value) = v.get_mut(at) {
                *value = false;
            }
        });
        Active::<T>::mutate(netuid, |v| {
            if let Some(value) = v.get_mut(at) {
                *value = true;
            }
        });
        StakeWeight::<T>::mutate(netuid, |v| {
            if let Some(value) = v.get_mut(at) {
                *value = 0;
            }
        });
        for index in Self::indices(netuid).collect::<Vec<_>>() {
            Self::clear_uid_in_mechanism(index, netuid, uid, reset);
        }
    }

    fn clear_uid_in_mechanism(
        index: NetUidStorageIndex,
        netuid: NetUid,
        uid: u16,
        reset: impl Fn(&mut Vec<PerU16>),
    ) {
        let now = Self::now();
        Incentive::<T>::mutate(index, reset);
        LastUpdate::<T>::mutate(index, |v| {
            if let Some(value) = v.get_mut(usize::from(uid)) {
                *value = now;
            }
        });
        Weights::<T>::remove(index, uid);
        Bonds::<T>::remove(index, uid);
        for other in 0..SubnetworkN::<T>::get(netuid) {
            if Weights::<T>::get(index, other).iter().any(|(target, _)| *target == uid) {
                Weights::<T>::mutate(index, other, |row| {
                    row.iter_mut().filter(|(target, _)| *target == uid).for_each(|(_, w)| *w = 0);
                });
            }
        }
    }

    /// Clears what every neuron holds of a hotkey by bonds.
    pub fn reset_bonds(netuid: NetUid, hotkey: &T::AccountId) {
        if !BondsResetOn::<T>::get(netuid) {
            return;
        }
        let Some(uid) = Uids::<T>::get(netuid, hotkey) else { return };
        for index in Self::indices(netuid).collect::<Vec<_>>() {
            let holders: Vec<u16> = Bonds::<T>::iter_prefix(index).map(|(uid, _)| uid).collect();
            for holder in holders {
                Bonds::<T>::mutate(index, holder, |row| row.retain(|(of, _)| *of != uid));
            }
        }
    }

    /// Whether a uid registered lately.
    pub(crate) fn is_immune(netuid: NetUid, uid: u16) -> bool {
        let period = u64::from(ImmunityPeriod::<T>::get(netuid));
        prune::is_immune(BlockAtRegistration::<T>::get(netuid, uid), Self::now(), period)
    }

    /// Hotkeys of the owner that are never pruned: the owner hotkey first, then by age.
    pub(crate) fn owner_immortals(netuid: NetUid) -> Vec<T::AccountId> {
        let owner = SubnetOwner::<T>::get(netuid);
        let mut owned: Vec<(u64, u16, T::AccountId)> = OwnedHotkeys::<T>::get(&owner)
            .into_iter()
            .filter_map(|hotkey| {
                let uid = Uids::<T>::get(netuid, &hotkey)?;
                Some((BlockAtRegistration::<T>::get(netuid, uid), uid, hotkey))
            })
            .collect();
        owned.sort_unstable();
        let main = SubnetOwnerHotkey::<T>::get(netuid);
        let mut immortals: Vec<_> =
            Uids::<T>::contains_key(netuid, &main).then_some(main).into_iter().collect();
        for (_, _, hotkey) in owned {
            if !immortals.contains(&hotkey) {
                immortals.push(hotkey);
            }
        }
        immortals.truncate(usize::from(ImmuneOwnerUidsLimit::<T>::get(netuid)).max(1));
        immortals
    }

    /// The uid that a newcomer replaces: least emission, then oldest, then lowest; an immune one
    /// only when too few others are left.
    pub fn neuron_to_prune(netuid: NetUid) -> Option<u16> {
        let immortals = Self::owner_immortals(netuid);
        let emission = Emission::<T>::get(netuid);
        let candidates: Vec<_> = Self::neurons(netuid)
            .into_iter()
            .zip(0u16..)
            .map(|(hotkey, uid)| prune::Candidate {
                emission: emission.get(usize::from(uid)).copied().unwrap_or_default().0,
                block_at_registration: BlockAtRegistration::<T>::get(netuid, uid),
                immortal: immortals.contains(&hotkey),
            })
            .collect();
        let period = u64::from(ImmunityPeriod::<T>::get(netuid));
        let least = MinNonImmuneUids::<T>::get(netuid);
        prune::to_prune(&candidates, Self::now(), period, least)
    }

    /// Keeps only some neurons and renumbers them in order.
    pub(crate) fn keep_neurons(netuid: NetUid, kept: &[u16]) {
        let n = SubnetworkN::<T>::get(netuid);
        let hotkeys = Self::neurons(netuid);
        let blocks: Vec<u64> =
            (0..n).map(|uid| BlockAtRegistration::<T>::get(netuid, uid)).collect();
        let renumber: BTreeMap<u16, u16> = kept.iter().copied().zip(0u16..).collect();
        for (uid, hotkey) in (0..n).zip(&hotkeys) {
            Keys::<T>::remove(netuid, uid);
            BlockAtRegistration::<T>::remove(netuid, uid);
            if !renumber.contains_key(&uid) {
                Uids::<T>::remove(netuid, hotkey);
                IsNetworkMember::<T>::remove(hotkey, netuid);
                Axons::<T>::remove(netuid, hotkey);
                Prometheus::<T>::remove(netuid, hotkey);
                NeuronCertificates::<T>::remove(netuid, hotkey);
                AlphaDividendsPerSubnet::<T>::remove(netuid, hotkey);
            }
        }
        for (old, new) in &renumber {
            let at = usize::from(*old);
            if let (Some(hotkey), Some(block)) = (hotkeys.get(at), blocks.get(at)) {
                Keys::<T>::insert(netuid, new, hotkey);
                Uids::<T>::insert(netuid, hotkey, new);
                BlockAtRegistration::<T>::insert(netuid, new, block);
            }
        }
        Self::renumber_vectors(netuid, kept);
        for index in Self::indices(netuid).collect::<Vec<_>>() {
            Self::renumber_rows(index, n, &renumber);
        }
        SubnetworkN::<T>::insert(netuid, u16::try_from(kept.len()).unwrap_or(n));
    }

    fn renumber_vectors(netuid: NetUid, kept: &[u16]) {
        fn pick<V: Clone + Default>(values: &mut Vec<V>, kept: &[u16]) {
            *values = kept
                .iter()
                .map(|uid| values.get(usize::from(*uid)).cloned().unwrap_or_default())
                .collect();
        }
        Active::<T>::mutate(netuid, |v| pick(v, kept));
        Emission::<T>::mutate(netuid, |v| pick(v, kept));
        Consensus::<T>::mutate(netuid, |v| pick(v, kept));
        Dividends::<T>::mutate(netuid, |v| pick(v, kept));
        ValidatorTrust::<T>::mutate(netuid, |v| pick(v, kept));
        ValidatorPermit::<T>::mutate(netuid, |v| pick(v, kept));
        StakeWeight::<T>::mutate(netuid, |v| pick(v, kept));
        for index in Self::indices(netuid).collect::<Vec<_>>() {
            Incentive::<T>::mutate(index, |v| pick(v, kept));
            LastUpdate::<T>::mutate(index, |v| pick(v, kept));
        }
    }

    fn renumber_rows(index: NetUidStorageIndex, n: u16, renumber: &BTreeMap<u16, u16>) {
        let moved = |row: Vec<(u16, u16)>| -> Vec<(u16, u16)> {
            row.into_iter().filter_map(|(uid, value)| Some((*renumber.get(&uid)?, value))).collect()
        };
        let weights: Vec<_> = (0..n).map(|uid| Weights::<T>::take(index, uid)).collect();
        let bonds: Vec<_> = (0..n).map(|uid| Bonds::<T>::take(index, uid)).collect();
        for ((uid, weights), bonds) in (0..n).zip(weights).zip(bonds) {
            if let Some(new) = renumber.get(&uid) {
                Weights::<T>::insert(index, new, moved(weights));
                Bonds::<T>::insert(index, new, moved(bonds));
            }
        }
    }
}
