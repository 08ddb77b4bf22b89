//! Hyperparameters: who may set which, within which bounds.
//!
//! Root may set what it likes; an owner may change each hyperparameter once in a few epochs.
//! Shortly before an epoch neither may, so that nobody reads weights under changed rules.

mod calls;

use frame_support::pallet_macros::import_section;

/// The pallet.
#[import_section(calls::calls)]
#[frame_support::pallet]
pub mod pallet {
    use crate::subtensor::{self, Event as SubtensorEvent, Limited, Pallet as Subtensor};
    use crate::types::{
        ConsensusMode, Hyperparameter as H, MechId, NetUid, RateLimitKey, RecycleOrBurnEnum,
        TaoBalance,
    };
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use scoring::fixed::{I96F32, U64F64};
    use sp_runtime::PerU16;

    /// Weight of every admin call.
    const ADMIN_WEIGHT: Weight = Weight::from_parts(338_302_000, 0);
    /// Shortest historical activity cutoff, in blocks.
    const MIN_ACTIVITY_CUTOFF: u16 = 360;
    /// Largest moving average of bonds that an owner may set, in millionths.
    const OWNER_MAX_BONDS_AVERAGE: u64 = 975_000;
    /// Most epochs between commit and reveal.
    const MAX_REVEAL_PERIOD: u64 = 100;
    /// Most neurons of an owner that are never pruned.
    const MAX_IMMUNE_OWNER_NEURONS: u16 = 10;
    /// Longest half-life of the price of a neuron, in blocks.
    const MAX_BURN_HALF_LIFE: u16 = 36_100;
    /// Largest factor of the price at a registration.
    const MAX_BURN_INCREASE: u64 = 3;
    /// Lowest bound of liquid alpha, of 65535.
    const MIN_LIQUID_ALPHA: u16 = 1_638;
    /// Most neurons of any subnet.
    const MAX_UIDS: u16 = 256;
    /// Version from which owners set the tempo through this pallet.
    const OWNERS_SET_TEMPO_SINCE: u32 = 459;

    /// Nothing to decide.
    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>> + subtensor::Config
    {
    }

    /// The pallet.
    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    #[allow(missing_docs, reason = "the names say it")]
    pub enum Event<T: Config> {
        #[codec(index = 1)]
        Yuma3EnableToggled { netuid: NetUid, enabled: bool },
        #[codec(index = 2)]
        BondsResetToggled { netuid: NetUid, enabled: bool },
        #[codec(index = 3)]
        BurnHalfLifeSet { netuid: NetUid, burn_half_life: u16 },
        #[codec(index = 4)]
        BurnIncreaseMultSet { netuid: NetUid, burn_increase_mult: U64F64 },
        #[codec(index = 5)]
        SubnetEmissionEnabledSet { netuid: NetUid, enabled: bool },
    }

    /// Why a call was refused, in the chain's order.
    #[pallet::error]
    #[allow(missing_docs, reason = "the names say it")]
    pub enum Error<T> {
        SubnetDoesNotExist,
        MaxValidatorsLargerThanMaxUIds,
        MaxAllowedUIdsLessThanCurrentUIds,
        BondsMovingAverageMaxReached,
        NegativeSigmoidSteepness,
        ValueNotInBounds,
        MinAllowedUidsGreaterThanCurrentUids,
        MinAllowedUidsGreaterThanMaxAllowedUids,
        MaxAllowedUidsLessThanMinAllowedUids,
        MaxAllowedUidsGreaterThanDefaultMaxAllowedUids,
        InvalidValue,
        NotPermittedOnRootSubnet,
        POWRegistrationDisabled,
        Deprecated,
        CollateralLockShareTooHigh,
        CollateralDrainRatioOutOfBounds,
        GrandpaChangeDelayMustBeZero,
    }

    type Who<T> = Option<<T as frame_system::Config>::AccountId>;

    impl<T: Config> Pallet<T> {
        fn announce(event: SubtensorEvent<T>) {
            Subtensor::<T>::announce(event);
        }

        fn ensure_exists(netuid: NetUid) -> DispatchResult {
            let exists = subtensor::NetworksAdded::<T>::get(netuid);
            ensure!(exists, Error::<T>::SubnetDoesNotExist);
            Ok(())
        }

        fn ensure_outside_window(netuid: NetUid) -> DispatchResult {
            ensure!(
                !Subtensor::<T>::is_frozen(netuid),
                subtensor::Error::<T>::AdminActionProhibitedDuringWeightsWindow
            );
            Ok(())
        }

        fn root_outside_window(origin: OriginFor<T>, netuid: NetUid) -> DispatchResult {
            ensure_root(origin)?;
            Self::ensure_outside_window(netuid)
        }

        fn owner_or_root_outside_window(
            origin: OriginFor<T>,
            netuid: NetUid,
        ) -> Result<Who<T>, DispatchError> {
            let who = Subtensor::<T>::ensure_owner_or_root(origin, netuid)?;
            Self::ensure_outside_window(netuid)?;
            Ok(who)
        }

        /// Admits root and the owner, whose changes of one hyperparameter are spaced.
        fn owner_or_root(
            origin: OriginFor<T>,
            netuid: NetUid,
            which: H,
        ) -> Result<Who<T>, DispatchError> {
            let who = Subtensor::<T>::ensure_owner_or_root(origin, netuid)?;
            ensure!(
                who.is_none() || Subtensor::<T>::hyperparameter_limit_passed(netuid, which),
                subtensor::Error::<T>::TxRateLimitExceeded
            );
            Self::ensure_outside_window(netuid)?;
            Ok(who)
        }

        /// Notes an owner's change.
        fn changed(who: Who<T>, netuid: NetUid, which: H) {
            if who.is_some() {
                Subtensor::<T>::note_hyperparameter(netuid, which);
            }
        }

        /// As [`Self::owner_or_root`], for calls that have a limit of their own.
        fn owner_or_root_limited(
            origin: OriginFor<T>,
            netuid: NetUid,
            kind: Limited,
        ) -> Result<Who<T>, DispatchError> {
            let who = Subtensor::<T>::ensure_owner_or_root(origin, netuid)?;
            let passed = |owner: &T::AccountId| Subtensor::<T>::limit_passed(kind, owner, netuid);
            ensure!(who.as_ref().is_none_or(passed), subtensor::Error::<T>::TxRateLimitExceeded);
            Self::ensure_outside_window(netuid)?;
            Ok(who)
        }

        /// Notes an owner's use of such a call.
        fn used(who: Who<T>, netuid: NetUid, kind: Limited) {
            if let Some(owner) = who {
                Subtensor::<T>::note_use(kind, &owner, netuid);
            }
        }

        /// Admits who may set a tempo: root any, later also the owner within bounds.
        fn tempo_setter(
            origin: OriginFor<T>,
            netuid: NetUid,
            tempo: u16,
        ) -> Result<Who<T>, DispatchError> {
            if T::Rules::get().spec < OWNERS_SET_TEMPO_SINCE {
                Self::root_outside_window(origin, netuid)?;
                return Ok(None);
            }
            let who = Self::owner_or_root_limited(origin, netuid, Limited::SetTempo)?;
            let bounds = T::MinTempo::get()..=T::MaxTempo::get();
            ensure!(
                who.is_none() || bounds.contains(&tempo),
                subtensor::Error::<T>::TempoOutOfBounds
            );
            Ok(who)
        }

        fn check_max_uids(netuid: NetUid, max: u16) -> DispatchResult {
            ensure!(
                max >= subtensor::MinAllowedUids::<T>::get(netuid),
                Error::<T>::MaxAllowedUidsLessThanMinAllowedUids
            );
            ensure!(
                max >= subtensor::SubnetworkN::<T>::get(netuid),
                Error::<T>::MaxAllowedUIdsLessThanCurrentUIds
            );
            ensure!(max <= MAX_UIDS, Error::<T>::MaxAllowedUidsGreaterThanDefaultMaxAllowedUids);
            let mechanisms = u16::from(subtensor::MechanismCountCurrent::<T>::get(netuid).0);
            ensure!(
                mechanisms <= 1 || max.saturating_mul(mechanisms) <= MAX_UIDS,
                subtensor::Error::<T>::TooManyUIDsPerMechanism
            );
            Ok(())
        }

        fn set_alpha_values(netuid: NetUid, low: u16, high: u16) -> DispatchResult {
            ensure!(
                subtensor::LiquidAlphaOn::<T>::get(netuid),
                subtensor::Error::<T>::LiquidAlphaDisabled
            );
            ensure!(high >= MIN_LIQUID_ALPHA, subtensor::Error::<T>::AlphaHighTooLow);
            ensure!(
                (MIN_LIQUID_ALPHA..=high).contains(&low),
                subtensor::Error::<T>::AlphaLowOutOfRange
            );
            subtensor::AlphaValues::<T>::insert(netuid, (low, high));
            Ok(())
        }

        fn set_owner_hotkey(
            origin: OriginFor<T>,
            netuid: NetUid,
            hotkey: T::AccountId,
        ) -> DispatchResult {
            let who = Subtensor::<T>::ensure_owner_or_root(origin, netuid)?;
            let key = RateLimitKey::SetSNOwnerHotkey(netuid);
            let last = subtensor::LastRateLimitedBlock::<T>::get(&key);
            let now = Subtensor::<T>::now();
            let elapsed = now.saturating_sub(last);
            ensure!(
                who.is_none() || last == 0 || elapsed >= subtensor::OWNER_HOTKEY_LIMIT,
                subtensor::Error::<T>::TxRateLimitExceeded
            );
            Self::ensure_outside_window(netuid)?;
            subtensor::LastRateLimitedBlock::<T>::insert(key, now);
            Subtensor::<T>::set_owner_hotkey(netuid, hotkey);
            Ok(())
        }
    }
}
