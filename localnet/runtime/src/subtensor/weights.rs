//! Setting weights in the open.

use super::*;
use scoring::fixed::I32F32;

/// What a row of weights must pass, beside its own validity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Submitted in the open: the rate limit holds and the row counts as an update.
    Open,
    /// Revealed: the commit was the update.
    Revealed,
}

/// A row of weights as a neuron submits it.
pub(crate) struct Row {
    pub(crate) uids: Vec<u16>,
    pub(crate) values: Vec<u16>,
    pub(crate) version_key: u64,
}

impl Row {
    /// Rows from parallel lists; `None` when their lengths differ.
    pub(crate) fn zip(
        uids: Vec<Vec<u16>>,
        values: Vec<Vec<u16>>,
        version_keys: Vec<u64>,
    ) -> Option<Vec<Self>> {
        if uids.len() != values.len() || uids.len() != version_keys.len() {
            return None;
        }
        let rows = uids.into_iter().zip(values).zip(version_keys);
        Some(rows.map(|((uids, values), version_key)| Self { uids, values, version_key }).collect())
    }
}

impl<T: Config> Pallet<T> {
    /// Sets weights where weights are not committed first.
    pub(crate) fn do_set_weights(
        hotkey: &T::AccountId,
        netuid: NetUid,
        mecid: MechId,
        row: Row,
    ) -> DispatchResult {
        ensure!(!CommitRevealWeightsEnabled::<T>::get(netuid), Error::<T>::CommitRevealEnabled);
        Self::store_weights(hotkey, netuid, mecid, row, Route::Open)
    }

    /// Sets weights on many subnets; what fails is reported by event alone.
    pub(crate) fn do_batch_set_weights(
        hotkey: T::AccountId,
        netuids: Vec<Compact<NetUid>>,
        weights: Vec<Vec<(Compact<u16>, Compact<u16>)>>,
        version_keys: Vec<Compact<u64>>,
    ) -> DispatchResult {
        ensure!(
            netuids.len() == weights.len() && netuids.len() == version_keys.len(),
            Error::<T>::InputLengthsUnequal
        );
        let mut failed = false;
        for ((netuid, row), version_key) in netuids.iter().zip(weights).zip(version_keys) {
            let (uids, values) = row.into_iter().map(|(uid, value)| (uid.0, value.0)).unzip();
            let row = Row { uids, values, version_key: version_key.0 };
            if let Err(error) = Self::do_set_weights(&hotkey, netuid.0, MechId(0), row) {
                failed = true;
                Self::deposit_event(Event::BatchWeightItemFailed(netuid.0, error));
            }
        }
        Self::finish_batch(netuids, hotkey, failed);
        Ok(())
    }

    pub(crate) fn finish_batch(netuids: Vec<Compact<NetUid>>, hotkey: T::AccountId, failed: bool) {
        if failed {
            Self::deposit_event(Event::BatchCompletedWithErrors);
        }
        Self::deposit_event(Event::BatchWeightsCompleted(netuids, hotkey));
    }

    /// Checks a row and stores it, max-upscaled and in the order given.
    pub(crate) fn store_weights(
        hotkey: &T::AccountId,
        netuid: NetUid,
        mecid: MechId,
        row: Row,
        route: Route,
    ) -> DispatchResult {
        let Row { uids, values, version_key } = row;
        ensure!(!netuid.is_root(), Error::<T>::CanNotSetRootNetworkWeights);
        ensure!(uids.len() == values.len(), Error::<T>::WeightVecNotEqualSize);
        Self::ensure_mechanism(netuid, mecid)?;
        let n = SubnetworkN::<T>::get(netuid);
        ensure!(uids.len() <= usize::from(n), Error::<T>::UidsLengthExceedUidsInSubNet);
        let own = Uids::<T>::get(netuid, hotkey).ok_or(Error::<T>::HotKeyNotRegisteredInSubNet)?;
        ensure!(
            Self::has_stake_for_weights(hotkey, netuid),
            Error::<T>::NotEnoughStakeToSetWeights
        );
        ensure!(Self::accepts_version(netuid, version_key), Error::<T>::IncorrectWeightVersionKey);
        let index = netuid.index(mecid);
        // A commit made before its owner switched commit-reveal off meets the ordinary limit.
        let limited = route == Route::Open || !CommitRevealWeightsEnabled::<T>::get(netuid);
        if limited {
            ensure!(
                Self::weights_limit_passed(netuid, index, own),
                Error::<T>::SettingWeightsTooFast
            );
        }
        let is_self_weight = matches!(uids.as_slice(), [only] if *only == own);
        if !is_self_weight && Self::owner_uid(netuid) != Some(own) {
            ensure!(
                ValidatorPermit::<T>::get(netuid).get(usize::from(own)) == Some(&true),
                Error::<T>::NeuronNoValidatorPermit
            );
        }
        ensure!(!has_duplicates(&uids), Error::<T>::DuplicateUids);
        ensure!(uids.iter().all(|uid| *uid < n), Error::<T>::UidVecContainInvalidOne);
        let least = usize::from(MinAllowedWeights::<T>::get(netuid).min(n));
        ensure!(is_self_weight || uids.len() >= least, Error::<T>::WeightVecLengthIsLow);
        let limit = MaxWeightsLimit::<T>::get(netuid);
        ensure!(is_self_weight || within(&values, limit), Error::<T>::MaxWeightExceeded);

        let upscaled = max_upscale(&values);
        Weights::<T>::insert(index, own, uids.into_iter().zip(upscaled).collect::<Vec<_>>());
        if limited {
            Self::touch(index, own);
        }
        Self::deposit_event(Event::WeightsSet(index, own));
        Ok(())
    }

    /// Marks a neuron as updated in this block.
    pub(crate) fn touch(index: NetUidStorageIndex, uid: u16) {
        let now = Self::now();
        LastUpdate::<T>::mutate(index, |blocks| {
            if let Some(block) = blocks.get_mut(usize::from(uid)) {
                *block = now;
            }
        });
    }

    fn accepts_version(netuid: NetUid, version_key: u64) -> bool {
        let least = WeightsVersionKey::<T>::get(netuid);
        least == 0 || version_key >= least
    }

    /// Whether enough blocks passed since the neuron's last weights or commit.
    pub(crate) fn weights_limit_passed(
        netuid: NetUid,
        index: NetUidStorageIndex,
        uid: u16,
    ) -> bool {
        let last = LastUpdate::<T>::get(index).get(usize::from(uid)).copied().unwrap_or(0);
        last == 0 || Self::now().saturating_sub(last) >= WeightsSetRateLimit::<T>::get(netuid)
    }

    /// Whether the hotkey's stake reaches the threshold; the owner's always does.
    pub fn has_stake_for_weights(hotkey: &T::AccountId, netuid: NetUid) -> bool {
        if SubnetOwnerHotkey::<T>::get(netuid) == *hotkey {
            return true;
        }
        Self::total_stake(hotkey, netuid) >= StakeThreshold::<T>::get()
    }

    /// The owner's uid, if the owner hotkey is a neuron.
    pub fn owner_uid(netuid: NetUid) -> Option<u16> {
        Uids::<T>::get(netuid, SubnetOwnerHotkey::<T>::get(netuid))
    }

    /// Refuses mechanisms that do not exist.
    pub(crate) fn ensure_mechanism(netuid: NetUid, mecid: MechId) -> DispatchResult {
        let exists =
            NetworksAdded::<T>::get(netuid) && mecid.0 < MechanismCountCurrent::<T>::get(netuid).0;
        ensure!(exists, Error::<T>::MechanismDoesNotExist);
        Ok(())
    }
}

/// Whether no value is more than `limit` of 65535 of the sum.
fn within(values: &[u16], limit: u16) -> bool {
    if limit == u16::MAX {
        return true;
    }
    let sum: u64 = values.iter().map(|value| u64::from(*value)).sum();
    let largest = values.iter().copied().max().map_or(0, u64::from);
    largest.saturating_mul(u64::from(u16::MAX)) <= sum.saturating_mul(u64::from(limit))
}

fn has_duplicates(uids: &[u16]) -> bool {
    let mut sorted = uids.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
}

/// Scales values so that the largest is `u16::MAX`, in the chain's fixed point.
fn max_upscale(values: &[u16]) -> Vec<u16> {
    let largest = values.iter().copied().max().unwrap_or(0);
    if largest == 0 {
        return values.to_vec();
    }
    let (full, largest_fixed) = (I32F32::from_num(u16::MAX), I32F32::from_num(largest));
    let scale = |value: u16| {
        let value = I32F32::from_num(value);
        // Small values are multiplied first for precision, large ones divided first for room.
        if largest > 32_768 {
            value.saturating_mul(full / largest_fixed)
        } else {
            value.saturating_mul(full) / largest_fixed
        }
    };
    values.iter().map(|value| scale(*value).round().saturating_to_num::<u16>()).collect()
}

#[cfg(test)]
mod tests {
    use super::max_upscale;

    #[test]
    fn the_largest_value_becomes_full() {
        assert_eq!(max_upscale(&[1, 2, 3]), [21_845, 43_690, 65_535]);
        assert_eq!(max_upscale(&[1, 20_000, 40_000]), [2, 32_767, 65_535]);
        assert_eq!(max_upscale(&[0, 0]), [0, 0]);
        assert!(max_upscale(&[]).is_empty());
    }
}
