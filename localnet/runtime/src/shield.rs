//! Transactions that only the author of the block can read before it is made.
//!
//! The author announces a key two blocks ahead; a client encrypts a signed extrinsic to it and
//! submits the ciphertext. Decryption is the author's work, outside the runtime.

/// The pallet.
#[frame_support::pallet]
pub mod pallet {
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use sp_runtime::traits::Hash;

    /// Longest public key.
    pub const MAX_KEY_BYTES: u32 = 2048;
    /// Longest ciphertext.
    pub const MAX_CIPHERTEXT_BYTES: u32 = 8192;
    /// Length of an ML-KEM-768 public key.
    const KEY_BYTES: usize = 1184;

    /// A public key.
    pub type ShieldEncKey = BoundedVec<u8, ConstU32<MAX_KEY_BYTES>>;
    /// Inherent data: the author's next public key as `Vec<u8>`.
    pub const INHERENT_IDENTIFIER: sp_inherents::InherentIdentifier = *b"mevshld0";

    /// Nothing to decide.
    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {}

    /// The pallet.
    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// Key of this block's author.
    #[pallet::storage]
    pub type CurrentKey<T> = StorageValue<_, ShieldEncKey, OptionQuery>;
    /// Key of the next block's author: ciphertexts in the pool are read with it.
    #[pallet::storage]
    pub type PendingKey<T> = StorageValue<_, ShieldEncKey, OptionQuery>;
    /// Key to encrypt to.
    #[pallet::storage]
    pub type NextKey<T> = StorageValue<_, ShieldEncKey, OptionQuery>;

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A ciphertext was submitted.
        EncryptedSubmitted {
            /// Hash of submitter and ciphertext.
            id: T::Hash,
            /// The submitter.
            who: T::AccountId,
        },
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// A key of another length.
        BadEncKeyLen,
    }

    /// Calls.
    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Moves every key one block on and adds the author's next.
        #[pallet::call_index(0)]
        #[pallet::weight((Weight::zero(), DispatchClass::Mandatory))]
        pub fn announce_next_key(
            origin: OriginFor<T>,
            enc_key: Option<ShieldEncKey>,
        ) -> DispatchResult {
            ensure_none(origin)?;
            if let Some(key) = &enc_key {
                ensure!(key.len() == KEY_BYTES, Error::<T>::BadEncKeyLen);
            }
            CurrentKey::<T>::set(PendingKey::<T>::take());
            PendingKey::<T>::set(NextKey::<T>::take());
            NextKey::<T>::set(enc_key);
            Ok(())
        }

        /// Carries an encrypted extrinsic to the author.
        #[pallet::call_index(1)]
        #[pallet::weight(Weight::from_parts(100_000_000, 0))]
        pub fn submit_encrypted(
            origin: OriginFor<T>,
            ciphertext: BoundedVec<u8, ConstU32<MAX_CIPHERTEXT_BYTES>>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let id = T::Hashing::hash_of(&(who.clone(), &ciphertext));
            Self::deposit_event(Event::EncryptedSubmitted { id, who });
            Ok(())
        }
    }

    #[pallet::inherent]
    impl<T: Config> ProvideInherent for Pallet<T> {
        type Call = Call<T>;
        type Error = sp_inherents::MakeFatalError<()>;
        const INHERENT_IDENTIFIER: sp_inherents::InherentIdentifier = INHERENT_IDENTIFIER;

        fn create_inherent(data: &InherentData) -> Option<Self::Call> {
            let key = data.get_data::<Vec<u8>>(&INHERENT_IDENTIFIER).ok().flatten()?;
            Some(Call::announce_next_key { enc_key: Some(key.try_into().ok()?) })
        }

        fn is_inherent(call: &Self::Call) -> bool {
            matches!(call, Call::announce_next_key { .. })
        }
    }
}
