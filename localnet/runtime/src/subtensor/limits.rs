//! How often a call may be used.

use super::*;

/// Kinds of calls that one key may use once in a while; the number is the storage key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Limited {
    /// Setting children.
    SetChildren = 0,
    /// Setting a childkey take.
    SetChildkeyTake = 1,
    /// Setting the version key of weights.
    SetWeightsVersionKey = 4,
    /// Changing the number of mechanisms.
    MechanismCount = 7,
    /// Changing the split between mechanisms.
    MechanismSplit = 8,
    /// Trimming neurons.
    TrimUids = 9,
    /// Setting the owner's tempo.
    SetTempo = 10,
}

/// Blocks between two settings of children.
const CHILDREN_LIMIT: u64 = 150;
/// Blocks between two changes of mechanisms.
const MECHANISM_LIMIT: u64 = 7_200;
/// Blocks between two trims.
const TRIM_LIMIT: u64 = 216_000;
/// Blocks between two settings of the tempo by an owner.
const TEMPO_LIMIT: u64 = 360;
/// Blocks between two settings of the owner hotkey.
pub(crate) const OWNER_HOTKEY_LIMIT: u64 = 50_400;

impl<T: Config> Pallet<T> {
    fn limit_of(kind: Limited, netuid: NetUid) -> u64 {
        match kind {
            Limited::SetChildren => CHILDREN_LIMIT,
            Limited::SetChildkeyTake => TxChildkeyTakeRateLimit::<T>::get(),
            Limited::SetWeightsVersionKey => u64::from(Tempo::<T>::get(netuid))
                .saturating_mul(WeightsVersionKeyRateLimit::<T>::get()),
            Limited::MechanismCount | Limited::MechanismSplit => MECHANISM_LIMIT,
            Limited::TrimUids => TRIM_LIMIT,
            Limited::SetTempo => TEMPO_LIMIT,
        }
    }

    /// Whether `who` may use a limited call on a subnet again.
    pub(crate) fn limit_passed(kind: Limited, who: &T::AccountId, netuid: NetUid) -> bool {
        let last = TransactionKeyLastBlock::<T>::get((who, netuid, kind as u16));
        let limit = Self::limit_of(kind, netuid);
        limit == 0 || last == 0 || Self::now().saturating_sub(last) >= limit
    }

    /// Notes the use of a limited call.
    pub(crate) fn note_use(kind: Limited, who: &T::AccountId, netuid: NetUid) {
        TransactionKeyLastBlock::<T>::insert((who, netuid, kind as u16), Self::now());
    }

    /// Block of the last use under a key, 0 for never.
    pub(crate) fn last_limited(key: &RateLimitKey<T::AccountId>) -> u64 {
        LastRateLimitedBlock::<T>::get(key)
    }

    /// Whether the owner may change a hyperparameter again.
    pub(crate) fn hyperparameter_limit_passed(netuid: NetUid, which: Hyperparameter) -> bool {
        let last = Self::last_limited(&RateLimitKey::OwnerHyperparamUpdate(netuid, which));
        let epochs = u64::from(OwnerHyperparamRateLimit::<T>::get());
        let limit = u64::from(Tempo::<T>::get(netuid)).saturating_mul(epochs);
        limit == 0 || last == 0 || Self::now().saturating_sub(last) >= limit
    }

    /// Notes the owner's change of a hyperparameter.
    pub(crate) fn note_hyperparameter(netuid: NetUid, which: Hyperparameter) {
        let key = RateLimitKey::OwnerHyperparamUpdate(netuid, which);
        LastRateLimitedBlock::<T>::insert(key, Self::now());
    }

    /// Whether a take may be raised again.
    pub(crate) fn take_limit_passed(hotkey: &T::AccountId) -> bool {
        let last = Self::last_limited(&RateLimitKey::LastTxBlockDelegateTake(hotkey.clone()));
        let limit = TxDelegateTakeRateLimit::<T>::get();
        limit == 0 || last == 0 || Self::now().saturating_sub(last) > limit
    }
}
