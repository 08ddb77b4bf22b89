//! What a neuron publishes about itself: at most three fields, within a space per epoch.

mod data;

pub use data::{CommitmentInfo, Data, Registration, UsageTracker};

/// The pallet.
#[frame_support::pallet]
pub mod pallet {
    use super::{CommitmentInfo, Data, Registration, UsageTracker};
    use crate::subtensor;
    use crate::types::{NetUid, TaoBalance};
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use std::collections::BTreeSet;

    /// Least space that a commitment counts.
    const MIN_SPACE: u64 = 100;
    /// Revealed commitments that stay readable by neuron.
    const KEPT_REVEALS: usize = 10;

    /// What the runtime decides.
    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>> + subtensor::Config
    {
        /// Most fields of a commitment.
        #[pallet::constant]
        type MaxFields: Get<u32>;
        /// Deposit for a commitment.
        #[pallet::constant]
        type InitialDeposit: Get<TaoBalance>;
        /// Deposit for a field.
        #[pallet::constant]
        type FieldDeposit: Get<TaoBalance>;
    }

    /// The pallet.
    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    /// Commitments that wait for a round of the beacon.
    #[pallet::storage]
    pub type TimelockedIndex<T: Config> =
        StorageValue<_, BTreeSet<(NetUid, T::AccountId)>, ValueQuery>;
    /// A neuron's commitment.
    #[pallet::storage]
    pub type CommitmentOf<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Twox64Concat,
        T::AccountId,
        Registration<BlockNumberFor<T>>,
        OptionQuery,
    >;
    /// Block of the last commitment.
    #[pallet::storage]
    pub type LastCommitment<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Twox64Concat,
        T::AccountId,
        BlockNumberFor<T>,
        OptionQuery,
    >;
    /// Block of the last bonds reset.
    #[pallet::storage]
    pub type LastBondsReset<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Twox64Concat,
        T::AccountId,
        BlockNumberFor<T>,
        OptionQuery,
    >;
    /// Timelocked commitments that were revealed: text and block.
    #[pallet::storage]
    pub type RevealedCommitments<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Twox64Concat,
        T::AccountId,
        Vec<(Vec<u8>, u64)>,
        OptionQuery,
    >;
    /// Space that a neuron used in its epoch.
    #[pallet::storage]
    pub type UsedSpaceOf<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Twox64Concat,
        T::AccountId,
        UsageTracker,
        OptionQuery,
    >;
    /// Space that a neuron may use in an epoch.
    #[pallet::storage]
    pub type MaxSpace<T: Config> = StorageValue<_, u32, ValueQuery, ConstU32<3_100>>;

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A neuron committed.
        Commitment {
            /// The subnet.
            netuid: NetUid,
            /// The neuron's hotkey.
            who: T::AccountId,
        },
        /// A neuron committed something that a round of the beacon will reveal.
        TimelockCommitment {
            /// The subnet.
            netuid: NetUid,
            /// The neuron's hotkey.
            who: T::AccountId,
            /// The round.
            reveal_round: u64,
        },
        /// A timelocked commitment was revealed.
        CommitmentRevealed {
            /// The subnet.
            netuid: NetUid,
            /// The neuron's hotkey.
            who: T::AccountId,
        },
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// More fields than allowed.
        TooManyFieldsInCommitmentInfo,
        /// The account is no neuron of the subnet.
        AccountNotAllowedCommit,
        /// The neuron's space of this epoch is used up.
        SpaceLimitExceeded,
        /// Historical.
        UnexpectedUnreserveLeftover,
        /// Historical.
        TimelockRevealFailedNotAllowed,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::reveal_timelocked();
            Weight::zero()
        }
    }

    /// Calls.
    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Replaces the signer's commitment on a subnet.
        #[pallet::call_index(0)]
        #[pallet::weight((
            Weight::from_parts(33_530_000, 0), DispatchClass::Operational, Pays::No
        ))]
        pub fn set_commitment(
            origin: OriginFor<T>,
            netuid: NetUid,
            info: Box<CommitmentInfo>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            ensure!(
                subtensor::Uids::<T>::contains_key(netuid, &who),
                Error::<T>::AccountNotAllowedCommit
            );
            ensure!(
                u32::try_from(info.fields.len()).is_ok_and(|fields| fields <= T::MaxFields::get()),
                Error::<T>::TooManyFieldsInCommitmentInfo
            );
            Self::use_space(netuid, &who, &info)?;
            let block = frame_system::Pallet::<T>::block_number();
            if info.fields.iter().any(|field| matches!(field, Data::ResetBondsFlag)) {
                subtensor::Pallet::<T>::reset_bonds(netuid, &who);
                LastBondsReset::<T>::insert(netuid, &who, block);
            }
            let reveal_round = info.reveal_round();
            let deposit = TaoBalance(0);
            CommitmentOf::<T>::insert(netuid, &who, Registration { deposit, block, info: *info });
            LastCommitment::<T>::insert(netuid, &who, block);
            TimelockedIndex::<T>::mutate(|index| match reveal_round {
                Some(_) => index.insert((netuid, who.clone())),
                None => index.remove(&(netuid, who.clone())),
            });
            Self::deposit_event(match reveal_round {
                Some(reveal_round) => Event::TimelockCommitment { netuid, who, reveal_round },
                None => Event::Commitment { netuid, who },
            });
            Ok(())
        }

        /// Sets the space of a neuron in an epoch.
        #[pallet::call_index(2)]
        #[pallet::weight(Weight::from_parts(2_856_000, 0))]
        pub fn set_max_space(origin: OriginFor<T>, new_limit: u32) -> DispatchResult {
            ensure_root(origin)?;
            MaxSpace::<T>::put(new_limit);
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// Counts a commitment against the neuron's space of the running epoch.
        fn use_space(netuid: NetUid, who: &T::AccountId, info: &CommitmentInfo) -> DispatchResult {
            let epoch = subtensor::SubnetEpochIndex::<T>::get(netuid);
            let before = UsedSpaceOf::<T>::get(netuid, who)
                .filter(|usage| usage.last_epoch == epoch)
                .unwrap_or(UsageTracker { last_epoch: epoch, used_space: 0 });
            let used_space = before.used_space.saturating_add(info.space().max(MIN_SPACE));
            ensure!(used_space <= u64::from(MaxSpace::<T>::get()), Error::<T>::SpaceLimitExceeded);
            UsedSpaceOf::<T>::insert(netuid, who, UsageTracker { last_epoch: epoch, used_space });
            Ok(())
        }

        /// Every commitment of a subnet, encoded with its deposit and block, byte by byte.
        pub fn encoded_of(netuid: NetUid) -> Vec<(T::AccountId, Vec<codec::Compact<u8>>)> {
            CommitmentOf::<T>::iter_prefix(netuid)
                .map(|(who, registration)| (who, crate::info::text(&registration.encode())))
                .collect()
        }

        /// Rounds that commitments wait for.
        pub fn awaited_rounds() -> Vec<u64> {
            let waiting = TimelockedIndex::<T>::get().into_iter();
            waiting
                .filter_map(|(netuid, who)| CommitmentOf::<T>::get(netuid, who))
                .filter_map(|registration| registration.info.reveal_round())
                .collect()
        }

        /// Opens every timelocked commitment whose pulse has come.
        fn reveal_timelocked() {
            for (netuid, who) in TimelockedIndex::<T>::get() {
                let Some(registration) = CommitmentOf::<T>::get(netuid, &who) else { continue };
                Self::reveal(netuid, who, registration);
            }
        }

        /// Opens the fields of one commitment; what cannot be opened stays as it is.
        fn reveal(
            netuid: NetUid,
            who: T::AccountId,
            mut registration: Registration<BlockNumberFor<T>>,
        ) {
            let fields = registration.info.fields.len();
            let mut opened = Vec::new();
            registration.info.fields.retain(|field| match field {
                Data::TimelockEncrypted { encrypted, reveal_round } => {
                    match subtensor::Pallet::<T>::open_timelocked(encrypted, *reveal_round) {
                        Some(text) => {
                            opened.push(text);
                            false
                        }
                        None => true,
                    }
                }
                _ => true,
            });
            if registration.info.fields.len() == fields {
                return;
            }
            let block = subtensor::Pallet::<T>::now();
            RevealedCommitments::<T>::mutate(netuid, &who, |revealed| {
                let revealed = revealed.get_or_insert_default();
                revealed.extend(opened.into_iter().map(|text| (text, block)));
                let surplus = revealed.len().saturating_sub(KEPT_REVEALS);
                revealed.drain(..surplus);
            });
            if registration.info.reveal_round().is_none() {
                TimelockedIndex::<T>::mutate(|index| index.remove(&(netuid, who.clone())));
            }
            if registration.info.fields.is_empty() {
                CommitmentOf::<T>::remove(netuid, &who);
            } else {
                CommitmentOf::<T>::insert(netuid, &who, registration);
            }
            Self::deposit_event(Event::CommitmentRevealed { netuid, who });
        }

        /// Forgets a subnet.
        pub fn forget(netuid: NetUid) {
            let _ = CommitmentOf::<T>::clear_prefix(netuid, u32::MAX, None);
            let _ = LastCommitment::<T>::clear_prefix(netuid, u32::MAX, None);
            let _ = LastBondsReset::<T>::clear_prefix(netuid, u32::MAX, None);
            let _ = RevealedCommitments::<T>::clear_prefix(netuid, u32::MAX, None);
            let _ = UsedSpaceOf::<T>::clear_prefix(netuid, u32::MAX, None);
            TimelockedIndex::<T>::mutate(|index| index.retain(|(subnet, _)| *subnet != netuid));
        }
    }
}
