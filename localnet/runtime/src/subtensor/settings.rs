//! Hyperparameters: writing one and saying so.

use super::limits::Limited;
use super::*;
use frame_system::pallet_prelude::OriginFor;

/// Defines setters that write a map by netuid and emit an event.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $map:ident, $ty:ty => $event:ident;)*) => {
        impl<T: Config> Pallet<T> {
            $(
                $(#[$doc])*
                pub fn $name(netuid: NetUid, value: $ty) {
                    $map::<T>::insert(netuid, value);
                    Self::deposit_event(Event::$event(netuid, value));
                }
            )*
        }
    };
}

setters! {
    /// Sets the most neurons.
    set_max_allowed_uids: MaxAllowedUids, u16 => MaxAllowedUidsSet;
    /// Sets the lower bound of the most neurons.
    set_min_allowed_uids: MinAllowedUids, u16 => MinAllowedUidsSet;
    /// Sets the most validators.
    set_max_allowed_validators: MaxAllowedValidators, u16 => MaxAllowedValidatorsSet;
    /// Sets the fewest weights of a row.
    set_min_allowed_weights: MinAllowedWeights, u16 => MinAllowedWeightSet;
    /// Sets the immunity of new neurons.
    set_immunity_period: ImmunityPeriod, u16 => ImmunityPeriodSet;
    /// Sets how many neurons always remain prunable.
    set_min_non_immune_uids: MinNonImmuneUids, u16 => MinNonImmuneUidsSet;
    /// Sets the blocks between announcements.
    set_serving_rate_limit: ServingRateLimit, u64 => ServingRateLimitSet;
    /// Sets the lowest difficulty.
    set_min_difficulty: MinDifficulty, u64 => MinDifficultySet;
    /// Sets the highest difficulty.
    set_max_difficulty: MaxDifficulty, u64 => MaxDifficultySet;
    /// Sets the difficulty.
    set_difficulty: Difficulty, u64 => DifficultySet;
    /// Sets the version key of weights.
    set_weights_version_key: WeightsVersionKey, u64 => WeightsVersionKeySet;
    /// Sets the blocks between two rows.
    set_weights_rate_limit: WeightsSetRateLimit, u64 => WeightsSetRateLimitSet;
    /// Sets the interval of price adjustment.
    set_adjustment_interval: AdjustmentInterval, u16 => AdjustmentIntervalSet;
    /// Sets the weight of the old price.
    set_adjustment_alpha: AdjustmentAlpha, u64 => AdjustmentAlphaSet;
    /// Sets kappa.
    set_kappa: Kappa, u16 => KappaSet;
    /// Sets the historical activity cutoff.
    set_activity_cutoff: ActivityCutoff, u16 => ActivityCutoffSet;
    /// Sets whether neurons may register.
    set_registration_allowed: NetworkRegistrationAllowed, bool => RegistrationAllowed;
    /// Sets the target of registrations.
    set_target_registrations: TargetRegistrationsPerInterval, u16 => RegistrationPerIntervalSet;
    /// Sets the lowest price.
    set_min_burn: MinBurn, TaoBalance => MinBurnSet;
    /// Sets the highest price.
    set_max_burn: MaxBurn, TaoBalance => MaxBurnSet;
    /// Sets the share of a bond that stays.
    set_bonds_moving_average: BondsMovingAverage, u64 => BondsMovingAverageSet;
    /// Sets how strongly bonds follow clipped weights.
    set_bonds_penalty: BondsPenalty, u16 => BondsPenaltySet;
    /// Sets whether a commitment may reset bonds.
    set_bonds_reset: BondsResetOn, bool => BondsResetOnSet;
    /// Sets the most registrations in a block.
    set_max_registrations: MaxRegistrationsPerBlock, u16 => MaxRegistrationsPerBlockSet;
    /// Sets the TAO spent on registrations.
    set_rao_recycled: RAORecycledForRegistration, TaoBalance => RAORecycledForRegistrationSet;
    /// Sets whether weights are committed first.
    set_commit_reveal: CommitRevealWeightsEnabled, bool => CommitRevealEnabled;
    /// Sets the epochs between commit and reveal.
    set_reveal_period: RevealPeriodEpochs, u64 => CommitRevealPeriodsSet;
    /// Sets whether stake may change hands.
    set_transfer_toggle: TransferToggle, bool => TransferToggle;
    /// Sets the lowest childkey take of the subnet.
    set_min_childkey_take_on: MinChildkeyTakePerSubnet, PerU16 => MinChildKeyTakePerSubnetSet;
}

impl<T: Config> Pallet<T> {
    /// Whether the signer is the subnet's owner.
    pub fn is_owner(netuid: NetUid, who: &T::AccountId) -> bool {
        SubnetOwner::<T>::get(netuid) == *who
    }

    /// Admits the subnet's owner and root; who it was, `None` for root.
    pub fn ensure_owner_or_root(
        origin: OriginFor<T>,
        netuid: NetUid,
    ) -> Result<Option<T::AccountId>, DispatchError> {
        match frame_system::ensure_signed_or_root(origin)? {
            Some(who) if !Self::is_owner(netuid, &who) => Err(DispatchError::BadOrigin),
            who => Ok(who),
        }
    }

    /// Sets the owner's tempo.
    pub(crate) fn do_set_tempo(
        coldkey: T::AccountId,
        netuid: NetUid,
        tempo: u16,
    ) -> DispatchResult {
        Self::ensure_exists(netuid)?;
        ensure!(Self::is_owner(netuid, &coldkey), DispatchError::BadOrigin);
        ensure!(
            Self::limit_passed(Limited::SetTempo, &coldkey, netuid),
            Error::<T>::TxRateLimitExceeded
        );
        ensure!(!Self::is_frozen(netuid), Error::<T>::AdminActionProhibitedDuringWeightsWindow);
        let bounds = T::MinTempo::get()..=T::MaxTempo::get();
        ensure!(bounds.contains(&tempo), Error::<T>::TempoOutOfBounds);
        Self::apply_tempo(netuid, tempo);
        Self::note_use(Limited::SetTempo, &coldkey, netuid);
        Ok(())
    }

    /// Sets the owner's activity cutoff.
    pub(crate) fn do_set_cutoff_factor(
        coldkey: T::AccountId,
        netuid: NetUid,
        factor_milli: u32,
    ) -> DispatchResult {
        Self::ensure_exists(netuid)?;
        ensure!(Self::is_owner(netuid, &coldkey), DispatchError::BadOrigin);
        let which = Hyperparameter::ActivityCutoffFactorMilli;
        ensure!(Self::hyperparameter_limit_passed(netuid, which), Error::<T>::TxRateLimitExceeded);
        ensure!(!Self::is_frozen(netuid), Error::<T>::AdminActionProhibitedDuringWeightsWindow);
        Self::set_cutoff_factor(netuid, factor_milli)?;
        Self::note_hyperparameter(netuid, which);
        Ok(())
    }

    /// Emits an event on behalf of the admin pallet.
    pub fn announce(event: Event<T>) {
        Self::deposit_event(event);
    }

    /// Sets the activity cutoff in thousandths of a tempo.
    pub fn set_cutoff_factor(netuid: NetUid, factor_milli: u32) -> DispatchResult {
        let (min, max) =
            (T::MinActivityCutoffFactorMilli::get(), T::MaxActivityCutoffFactorMilli::get());
        ensure!(
            (min..=max).contains(&factor_milli),
            Error::<T>::ActivityCutoffFactorMilliOutOfBounds
        );
        ActivityCutoffFactorMilli::<T>::insert(netuid, factor_milli);
        Self::deposit_event(Event::ActivityCutoffFactorMilliSet { netuid, factor_milli });
        Ok(())
    }

    /// Makes another hotkey the owner's.
    pub fn set_owner_hotkey(netuid: NetUid, hotkey: T::AccountId) {
        SubnetOwnerHotkey::<T>::insert(netuid, &hotkey);
        Self::deposit_event(Event::SubnetOwnerHotkeySet(netuid, hotkey));
    }

    /// Trims a subnet to its best neurons; the owner's and, as far as the bound allows, immune
    /// ones stay.
    pub fn trim_neurons(netuid: NetUid, max: u16) -> DispatchResult {
        Self::ensure_exists(netuid)?;
        ensure!(
            max >= MinAllowedUids::<T>::get(netuid) && max <= MaxAllowedUids::<T>::get(netuid),
            Error::<T>::InvalidValue
        );
        let n = SubnetworkN::<T>::get(netuid);
        if n > max {
            Self::trim_to(netuid, n, max)?;
        }
        MaxAllowedUids::<T>::insert(netuid, max);
        Ok(())
    }

    fn trim_to(netuid: NetUid, n: u16, max: u16) -> DispatchResult {
        let immortals = Self::owner_immortals(netuid);
        let is_kept = |uid: u16| {
            Self::is_immune(netuid, uid) || immortals.contains(&Keys::<T>::get(netuid, uid))
        };
        let immune = (0..n).filter(|uid| is_kept(*uid)).count();
        let share = sp_runtime::Percent::from_rational(immune as u64, u64::from(max));
        ensure!(
            share < T::MaxImmuneUidsPercentage::get(),
            Error::<T>::TrimmingWouldExceedMaxImmunePercentage
        );
        let emission = Emission::<T>::get(netuid);
        let mut mortal: Vec<_> = (0..n)
            .filter(|uid| !is_kept(*uid))
            .map(|uid| (emission.get(usize::from(uid)).copied().unwrap_or_default(), uid))
            .collect();
        // The lower uid stays where emission is the same.
        mortal.sort_unstable_by_key(|(emission, uid)| (core::cmp::Reverse(*emission), *uid));
        mortal.truncate(usize::from(max).saturating_sub(immune));
        let mut kept: Vec<u16> = (0..n).filter(|uid| is_kept(*uid)).collect();
        kept.extend(mortal.into_iter().map(|(_, uid)| uid));
        kept.sort_unstable();
        Self::keep_neurons(netuid, &kept);
        Ok(())
    }
}
