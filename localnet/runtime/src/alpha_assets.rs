//! How much alpha was ever issued, burned and recycled, by subnet.

/// The pallet.
#[frame_support::pallet]
pub mod pallet {
    use crate::types::{AlphaBalance, NetUid};
    use frame_support::pallet_prelude::*;

    /// Nothing to decide.
    #[pallet::config]
    pub trait Config: frame_system::Config {}

    /// The pallet.
    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// Alpha emitted outside the pool.
    #[pallet::storage]
    pub type TotalAlphaIssuance<T: Config> =
        StorageMap<_, Twox64Concat, NetUid, AlphaBalance, ValueQuery>;

    /// Alpha that stays issued and belongs to nobody.
    #[pallet::storage]
    pub type AlphaBurned<T: Config> = StorageMap<_, Twox64Concat, NetUid, AlphaBalance, ValueQuery>;

    /// Alpha that left the issuance.
    #[pallet::storage]
    pub type AlphaRecycled<T: Config> =
        StorageMap<_, Twox64Concat, NetUid, AlphaBalance, ValueQuery>;

    impl<T: Config> Pallet<T> {
        /// Records an emission.
        pub fn issued(netuid: NetUid, amount: AlphaBalance) {
            TotalAlphaIssuance::<T>::mutate(netuid, |total| *total = total.saturating_add(amount));
        }

        /// Records alpha that nobody can use.
        pub fn burned(netuid: NetUid, amount: AlphaBalance) {
            if amount.0 == 0 {
                return;
            }
            AlphaBurned::<T>::mutate(netuid, |total| *total = total.saturating_add(amount));
        }

        /// Records alpha that left the issuance.
        pub fn recycled(netuid: NetUid, amount: AlphaBalance) {
            AlphaRecycled::<T>::mutate(netuid, |total| *total = total.saturating_add(amount));
            TotalAlphaIssuance::<T>::mutate(netuid, |total| *total = total.saturating_sub(amount));
        }
    }
}
