//! The block time, under the name by which clients look for it.

use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Milliseconds between blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct SlotDuration(pub u64);

/// Number of a time slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Slot(pub u64);

/// An author's key.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Public(pub [u8; 32]);

/// A pallet with one constant: there is one author and no slot to win. Its genesis configuration
/// also says which version the chain is and who receives fees, because those are facts of the
/// author.
#[frame_support::pallet]
pub mod pallet {
    use super::{Public, Slot};
    use crate::settings::{StoredFeeRecipient, StoredSlotDuration, StoredSpecVersion};
    use frame_support::pallet_prelude::*;
    use sp_runtime::AccountId32;

    /// What the runtime decides.
    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// Milliseconds between blocks, as the node was started.
        #[pallet::constant]
        type SlotDuration: Get<u64>;
    }

    /// The pallet.
    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// Who makes blocks: the one who receives fees.
    #[pallet::storage]
    pub type Authorities<T> = StorageValue<_, BoundedVec<Public, ConstU32<32>>, ValueQuery>;

    /// Slot of the block. There is no slot to win, and none is written.
    #[pallet::storage]
    pub type CurrentSlot<T> = StorageValue<_, Slot, ValueQuery>;

    /// The author at genesis.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Milliseconds between blocks.
        pub slot_duration: Option<u64>,
        /// Version that the chain reports and whose rules it follows.
        pub spec_version: Option<u32>,
        /// Who receives fees.
        pub fee_recipient: Option<AccountId32>,
        /// Nothing.
        #[serde(skip)]
        pub _marker: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if let Some(slot_duration) = &self.slot_duration {
                StoredSlotDuration::set(slot_duration);
            }
            if let Some(spec_version) = &self.spec_version {
                StoredSpecVersion::set(spec_version);
            }
            if let Some(fee_recipient) = &self.fee_recipient {
                StoredFeeRecipient::set(fee_recipient);
            }
            let author = Public(StoredFeeRecipient::get().into());
            Authorities::<T>::put(BoundedVec::truncate_from(vec![author]));
        }
    }
}
