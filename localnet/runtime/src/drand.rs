//! Pulses of the randomness beacon that timelocked weights are encrypted for.
//!
//! The local chain runs its own beacon: its author signs one round per period with a key that
//! genesis names in [`pallet::BeaconConfig`], and hands the pulses over by inherent. Signatures
//! are not verified here, because the same process made them.

/// The pallet.
#[frame_support::pallet]
pub mod pallet {
    use codec::DecodeWithMemTracking;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use sp_core::crypto::UncheckedFrom;
    use sp_runtime::{MultiSignature, MultiSigner};

    /// A round of the beacon.
    pub type RoundNumber = u64;
    /// Longest public key or signature of the beacon.
    pub type OpaqueKey = BoundedVec<u8, ConstU32<144>>;
    /// A hash of the beacon.
    pub type OpaqueHash = BoundedVec<u8, ConstU32<32>>;
    /// Pulses that stay readable.
    const KEPT_PULSES: u64 = 10_000;
    /// Inherent data: `Vec<(round, randomness, signature)>`, absent or empty for none.
    pub const INHERENT_IDENTIFIER: sp_inherents::InherentIdentifier = *b"drandpls";

    /// Which scheme the beacon signs with.
    #[derive(
        Clone,
        PartialEq,
        Eq,
        Debug,
        Default,
        Encode,
        Decode,
        DecodeWithMemTracking,
        TypeInfo,
        MaxEncodedLen,
    )]
    pub struct Metadata {
        /// Beacon identifier.
        pub beacon_id: OpaqueHash,
    }

    /// The beacon, as its `info` document describes it.
    #[derive(
        Clone,
        PartialEq,
        Eq,
        Debug,
        Default,
        Encode,
        Decode,
        DecodeWithMemTracking,
        TypeInfo,
        MaxEncodedLen,
    )]
    pub struct BeaconConfiguration {
        /// Public key in G2, compressed.
        pub public_key: OpaqueKey,
        /// Seconds between rounds.
        pub period: u32,
        /// Unix time of the first round.
        pub genesis_time: u32,
        /// Chain hash.
        pub hash: OpaqueHash,
        /// Group hash.
        pub group_hash: OpaqueHash,
        /// Scheme name.
        pub scheme_id: OpaqueHash,
        /// Beacon name.
        pub metadata: Metadata,
    }

    /// One round, signed.
    #[derive(
        Clone,
        PartialEq,
        Eq,
        Debug,
        Default,
        Encode,
        Decode,
        DecodeWithMemTracking,
        TypeInfo,
        MaxEncodedLen,
    )]
    pub struct Pulse {
        /// Round number.
        pub round: RoundNumber,
        /// Hash of the signature.
        pub randomness: OpaqueHash,
        /// Signature over the round number: decrypts what was locked for the round.
        pub signature: OpaqueKey,
    }

    /// What an author submits.
    #[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
    pub struct PulsesPayload<Public, BlockNumber> {
        /// Block of the submission.
        pub block_number: BlockNumber,
        /// The pulses.
        pub pulses: Vec<Pulse>,
        /// Who submits.
        pub public: Public,
    }

    /// What root sets a beacon with.
    #[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
    pub struct BeaconConfigurationPayload<Public, BlockNumber> {
        /// Block of the submission.
        pub block_number: BlockNumber,
        /// The beacon.
        pub config: BeaconConfiguration,
        /// Who submits.
        pub public: Public,
    }

    /// Nothing to decide.
    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {}

    /// The pallet.
    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// The beacon.
    #[pallet::storage]
    pub type BeaconConfig<T> = StorageValue<_, BeaconConfiguration, ValueQuery>;
    /// Pulses by round.
    #[pallet::storage]
    pub type Pulses<T> = StorageMap<_, Blake2_128Concat, RoundNumber, Pulse, OptionQuery>;
    /// Newest round.
    #[pallet::storage]
    pub type LastStoredRound<T> = StorageValue<_, RoundNumber, ValueQuery>;
    /// Oldest round.
    #[pallet::storage]
    pub type OldestStoredRound<T> = StorageValue<_, RoundNumber, ValueQuery>;
    /// Block from which unsigned pulses are taken again.
    #[pallet::storage]
    pub type NextUnsignedAt<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

    /// The beacon at genesis; without a public key the chain has no beacon.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Public key in G2, compressed (96 bytes).
        pub beacon_public_key: Vec<u8>,
        /// Unix time of the first round.
        pub genesis_time: u32,
        /// Seconds between rounds.
        pub period: u32,
        /// Nothing.
        #[serde(skip)]
        pub _marker: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if self.beacon_public_key.is_empty() {
                return;
            }
            BeaconConfig::<T>::put(BeaconConfiguration {
                public_key: self.beacon_public_key.clone().try_into().unwrap_or_default(),
                period: self.period,
                genesis_time: self.genesis_time,
                scheme_id: b"bls-unchained-g1-rfc9380".to_vec().try_into().unwrap_or_default(),
                metadata: Metadata {
                    beacon_id: b"localnet".to_vec().try_into().unwrap_or_default(),
                },
                ..Default::default()
            });
        }
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// The beacon changed.
        BeaconConfigChanged,
        /// Pulses arrived.
        NewPulse {
            /// Their rounds.
            rounds: Vec<RoundNumber>,
        },
        /// The oldest round changed.
        SetOldestStoredRound(u64),
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// Nothing was there.
        NoneValue,
        /// Too much to store.
        StorageOverflow,
        /// The beacon cannot be reached.
        DrandConnectionFailure,
        /// The signature is wrong.
        UnverifiedPulse,
        /// The round is not newer.
        InvalidRoundNumber,
        /// The signature cannot be checked.
        PulseVerificationError,
    }

    /// Calls.
    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Stores pulses, oldest first; each round must be newer than the last.
        #[pallet::call_index(0)]
        #[pallet::weight((Weight::from_parts(5_708_000_000, 0), DispatchClass::Mandatory))]
        pub fn write_pulse(
            origin: OriginFor<T>,
            pulses_payload: PulsesPayload<MultiSigner, BlockNumberFor<T>>,
            signature: Option<MultiSignature>,
        ) -> DispatchResult {
            ensure_none(origin)?;
            // The author signed the pulses itself, see the crate's text.
            let _ = signature;
            let mut last = LastStoredRound::<T>::get();
            let mut rounds = Vec::with_capacity(pulses_payload.pulses.len());
            for pulse in pulses_payload.pulses {
                ensure!(pulse.round > last, Error::<T>::InvalidRoundNumber);
                last = pulse.round;
                rounds.push(last);
                Pulses::<T>::insert(last, pulse);
            }
            let Some(first) = rounds.first() else { return Ok(()) };
            if OldestStoredRound::<T>::get() == 0 {
                OldestStoredRound::<T>::put(first);
            }
            LastStoredRound::<T>::put(last);
            Self::forget_old_pulses(last);
            Self::deposit_event(Event::NewPulse { rounds });
            Ok(())
        }

        /// Replaces the beacon; the author goes on signing with its own key.
        #[pallet::call_index(1)]
        #[pallet::weight(Weight::from_parts(8_766_000, 0))]
        pub fn set_beacon_config(
            origin: OriginFor<T>,
            config_payload: BeaconConfigurationPayload<MultiSigner, BlockNumberFor<T>>,
            signature: Option<MultiSignature>,
        ) -> DispatchResult {
            ensure_root(origin)?;
            // Root needs no signature beside its own.
            let _ = signature;
            BeaconConfig::<T>::put(config_payload.config);
            Self::deposit_event(Event::BeaconConfigChanged);
            Ok(())
        }

        /// Says which stored round is the oldest.
        #[pallet::call_index(2)]
        #[pallet::weight(Weight::from_parts(4_370_000, 0))]
        pub fn set_oldest_stored_round(origin: OriginFor<T>, oldest_round: u64) -> DispatchResult {
            ensure_root(origin)?;
            OldestStoredRound::<T>::put(oldest_round);
            Self::deposit_event(Event::SetOldestStoredRound(oldest_round));
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// Rounds that were never stored (a chain that is mined ahead skips thousands) cost nothing here.
        fn forget_old_pulses(last: RoundNumber) {
            let (before, kept_from) =
                (OldestStoredRound::<T>::get(), last.saturating_sub(KEPT_PULSES).saturating_add(1));
            if kept_from <= before {
                return;
            }
            if kept_from - before <= KEPT_PULSES {
                (before..kept_from).for_each(Pulses::<T>::remove);
            } else {
                let old = Pulses::<T>::iter_keys().filter(|round| *round < kept_from);
                old.collect::<Vec<_>>().into_iter().for_each(Pulses::<T>::remove);
            }
            OldestStoredRound::<T>::put(kept_from);
        }

        fn payload(data: &InherentData) -> Option<Vec<Pulse>> {
            let raw: Vec<(RoundNumber, Vec<u8>, Vec<u8>)> =
                data.get_data(&INHERENT_IDENTIFIER).ok().flatten()?;
            let pulses: Option<Vec<_>> = raw
                .into_iter()
                .map(|(round, randomness, signature)| {
                    Some(Pulse {
                        round,
                        randomness: randomness.try_into().ok()?,
                        signature: signature.try_into().ok()?,
                    })
                })
                .collect();
            pulses.filter(|pulses| !pulses.is_empty())
        }
    }

    #[pallet::inherent]
    impl<T: Config> ProvideInherent for Pallet<T> {
        type Call = Call<T>;
        type Error = sp_inherents::MakeFatalError<()>;
        const INHERENT_IDENTIFIER: sp_inherents::InherentIdentifier = INHERENT_IDENTIFIER;

        fn create_inherent(data: &InherentData) -> Option<Self::Call> {
            let pulses = Self::payload(data)?;
            let public = MultiSigner::Sr25519(sp_core::sr25519::Public::unchecked_from([0; 32]));
            let block_number = frame_system::Pallet::<T>::block_number();
            let pulses_payload = PulsesPayload { block_number, pulses, public };
            Some(Call::write_pulse { pulses_payload, signature: None })
        }

        fn is_inherent(call: &Self::Call) -> bool {
            matches!(call, Call::write_pulse { .. })
        }
    }
}
