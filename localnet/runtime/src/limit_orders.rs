//! The switch of the chain's limit orders, which clients read; orders themselves are not taken here.

/// A pallet with one value.
#[frame_support::pallet]
pub mod pallet {
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    /// Nothing to decide.
    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {}

    /// The pallet.
    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// Whether orders would be taken.
    #[pallet::storage]
    pub type LimitOrdersEnabled<T> = StorageValue<_, bool, ValueQuery>;

    /// The switch at genesis.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Its position; off is not written.
        pub enabled: bool,
        /// Nothing.
        #[serde(skip)]
        pub _marker: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if self.enabled {
                LimitOrdersEnabled::<T>::put(true);
            }
        }
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(fn deposit_event)]
    pub enum Event<T: Config> {
        /// The switch was set.
        #[codec(index = 4)]
        LimitOrdersPalletStatusChanged {
            /// Its position now.
            enabled: bool,
        },
    }

    /// Calls.
    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets the switch.
        #[pallet::call_index(3)]
        #[pallet::weight(Weight::from_parts(10_000_000, 0))]
        pub fn set_pallet_status(origin: OriginFor<T>, enabled: bool) -> DispatchResult {
            ensure_root(origin)?;
            LimitOrdersEnabled::<T>::put(enabled);
            Self::deposit_event(Event::LimitOrdersPalletStatusChanged { enabled });
            Ok(())
        }
    }
}
