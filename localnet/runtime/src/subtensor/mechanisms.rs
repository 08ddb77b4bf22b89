//! Mechanisms: several sets of weights that share a subnet's neurons and emission.

use super::*;

/// Neurons that all mechanisms of a subnet may hold together.
const MAX_UIDS_IN_ALL: u16 = 256;

impl<T: Config> Pallet<T> {
    /// Splits alpha between a subnet's mechanisms; the rest goes to the main one.
    pub fn split_emission(netuid: NetUid, alpha: u64) -> Vec<u64> {
        let count = MechanismCountCurrent::<T>::get(netuid).0;
        let split = MechanismEmissionSplit::<T>::get(netuid);
        scoring::emission::mechanisms::split(alpha, count, split.as_deref())
    }

    /// Sets how many mechanisms a subnet has; removed ones lose what they stored.
    pub(crate) fn set_mechanism_count(netuid: NetUid, count: MechId) -> DispatchResult {
        Self::ensure_exists(netuid)?;
        ensure!(count.0 > 0 && count <= MaxMechanismCount::<T>::get(), Error::<T>::InvalidValue);
        let uids = MaxAllowedUids::<T>::get(netuid).saturating_mul(u16::from(count.0));
        ensure!(count.0 == 1 || uids <= MAX_UIDS_IN_ALL, Error::<T>::TooManyUIDsPerMechanism);
        let old = MechanismCountCurrent::<T>::get(netuid);
        for mecid in count.0..old.0 {
            Self::forget_mechanism(netuid.index(MechId(mecid)));
        }
        let (n, now) = (SubnetworkN::<T>::get(netuid), Self::now());
        for mecid in old.0..count.0 {
            let index = netuid.index(MechId(mecid));
            Incentive::<T>::insert(index, vec![PerU16::from_parts(0); usize::from(n)]);
            LastUpdate::<T>::insert(index, vec![now; usize::from(n)]);
        }
        if old != count {
            MechanismCountCurrent::<T>::insert(netuid, count);
            MechanismEmissionSplit::<T>::remove(netuid);
        }
        Ok(())
    }

    /// Sets the split between mechanisms.
    pub(crate) fn set_mechanism_split(netuid: NetUid, split: Option<Vec<u16>>) -> DispatchResult {
        Self::ensure_exists(netuid)?;
        let Some(split) = split else {
            MechanismEmissionSplit::<T>::remove(netuid);
            return Ok(());
        };
        let count = usize::from(MechanismCountCurrent::<T>::get(netuid).0);
        let sum: u32 = split.iter().map(|part| u32::from(*part)).sum();
        ensure!(split.len() == count && sum == u32::from(u16::MAX), Error::<T>::InvalidValue);
        MechanismEmissionSplit::<T>::insert(netuid, split);
        Ok(())
    }

    pub(crate) fn forget_mechanism(index: NetUidStorageIndex) {
        let _ = Weights::<T>::clear_prefix(index, u32::MAX, None);
        let _ = Bonds::<T>::clear_prefix(index, u32::MAX, None);
        let _ = WeightCommits::<T>::clear_prefix(index, u32::MAX, None);
        let _ = TimelockedWeightCommits::<T>::clear_prefix(index, u32::MAX, None);
        Incentive::<T>::remove(index);
        LastUpdate::<T>::remove(index);
        ConsensusByMechanism::<T>::remove(index);
    }
}
