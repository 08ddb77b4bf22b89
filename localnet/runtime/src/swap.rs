//! Pools of TAO and alpha: fee rates and balancer weights. The arithmetic is `scoring::swap`.

/// The pallet.
#[frame_support::pallet]
pub mod pallet {
    use crate::types::{AlphaBalance, NetUid, TaoBalance};
    use codec::DecodeWithMemTracking;
    use frame_support::pallet_prelude::*;
    use frame_support::traits::ConstU16;
    use frame_system::pallet_prelude::*;
    use sp_runtime::Perquintill;

    /// Default fee, of 65535: 0.05 %.
    const DEFAULT_FEE_RATE: u16 = 33;
    /// Highest fee, of 65535.
    const MAX_FEE_RATE: u16 = 10_000;

    /// Weights of a pool: TAO has `quote`, alpha the rest.
    #[derive(
        Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
    )]
    pub struct Balancer {
        /// Weight of TAO.
        pub quote: Perquintill,
    }

    impl Default for Balancer {
        fn default() -> Self {
            Self { quote: Perquintill::from_rational(1u64, 2) }
        }
    }

    /// Nothing to decide.
    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {}

    /// The pallet.
    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// Fee on what goes into a pool, of 65535.
    #[pallet::storage]
    pub type FeeRate<T: Config> =
        StorageMap<_, Twox64Concat, NetUid, u16, ValueQuery, ConstU16<DEFAULT_FEE_RATE>>;
    /// Weights of a pool.
    #[pallet::storage]
    pub type SwapBalancer<T: Config> = StorageMap<_, Twox64Concat, NetUid, Balancer, ValueQuery>;
    /// Whether a pool was used.
    #[pallet::storage]
    pub type PalSwapInitialized<T: Config> = StorageMap<_, Twox64Concat, NetUid, bool, ValueQuery>;
    /// TAO that waits to be added.
    #[pallet::storage]
    pub type BalancerTaoReservoir<T: Config> =
        StorageMap<_, Twox64Concat, NetUid, TaoBalance, ValueQuery>;
    /// Alpha that waits to be added.
    #[pallet::storage]
    pub type BalancerAlphaReservoir<T: Config> =
        StorageMap<_, Twox64Concat, NetUid, AlphaBalance, ValueQuery>;

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A fee changed.
        FeeRateSet {
            /// The subnet.
            netuid: NetUid,
            /// The fee, of 65535.
            rate: u16,
        },
    }

    /// Why a swap was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// The fee is above the highest.
        FeeRateTooHigh,
        /// Nothing goes in.
        InsufficientInputAmount,
        /// The pool holds too little.
        InsufficientLiquidity,
        /// The price is beyond the limit.
        PriceLimitExceeded,
        /// The account holds too little.
        InsufficientBalance,
        /// Historical.
        InvalidTickRange,
        /// Historical.
        InvalidLiquidityValue,
        /// The pool holds less than its floor.
        ReservesTooLow,
        /// There is no pool.
        MechanismDoesNotExist,
        /// Alpha is not traded yet.
        SubtokenDisabled,
        /// One side of the pool is out of proportion.
        ReservesOutOfBalance,
        /// Too much for the pool.
        SwapInputTooLarge,
        /// Historical.
        Deprecated,
    }

    /// Calls.
    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets a pool's fee.
        #[pallet::call_index(0)]
        #[pallet::weight(Weight::from_parts(20_000_000, 0))]
        pub fn set_fee_rate(origin: OriginFor<T>, netuid: NetUid, rate: u16) -> DispatchResult {
            ensure_root(origin)?;
            ensure!(rate <= MAX_FEE_RATE, Error::<T>::FeeRateTooHigh);
            FeeRate::<T>::insert(netuid, rate);
            Self::deposit_event(Event::FeeRateSet { netuid, rate });
            Ok(())
        }
    }
}
