//! The faucet of development chains: TAO for work, as clients' `wallet faucet` does it.

use super::*;
use frame_support::traits::fungible::Mutate;
use sp_core::U256;
use sp_io::hashing::{keccak_256, sha2_256};

/// Raw storage key whose presence opens the faucet.
pub const FAUCET_KEY: &[u8] = b":dev:faucet:";
/// What one proof earns: 1,000 TAO.
const REWARD: TaoBalance = TaoBalance(1_000_000_000_000);
/// Hashes that a proof takes on average.
const DIFFICULTY: u64 = 1_000_000;
/// Blocks for which a proof is good.
const FRESH_BLOCKS: u64 = 3;

impl<T: Config> Pallet<T> {
    /// Checks a proof that the signer worked on a recent block, and pays for it.
    pub(crate) fn do_faucet(
        coldkey: T::AccountId,
        block_number: u64,
        nonce: u64,
        work: &[u8],
    ) -> DispatchResult {
        ensure!(sp_io::storage::exists(FAUCET_KEY), Error::<T>::FaucetDisabled);
        let now = Self::now();
        ensure!(
            block_number <= now && now.saturating_sub(block_number) < FRESH_BLOCKS,
            Error::<T>::InvalidWorkBlock
        );
        let seal = Self::seal(block_number, nonce, &coldkey);
        let fits = U256::from_big_endian(&seal).checked_mul(U256::from(DIFFICULTY)).is_some();
        ensure!(fits, Error::<T>::InvalidDifficulty);
        ensure!(work == seal, Error::<T>::InvalidSeal);
        ensure!(!UsedWork::<T>::contains_key(work), Error::<T>::InvalidSeal);
        UsedWork::<T>::insert(work.to_vec(), now);
        pallet_balances::Pallet::<T>::mint_into(&coldkey, REWARD.0)?;
        TotalIssuance::<T>::mutate(|total| *total = total.saturating_add(REWARD));
        Self::deposit_event(Event::Faucet(coldkey, REWARD.0));
        Ok(())
    }

    fn seal(block_number: u64, nonce: u64, coldkey: &T::AccountId) -> [u8; 32] {
        let number: frame_system::pallet_prelude::BlockNumberFor<T> =
            sp_runtime::traits::UniqueSaturatedInto::unique_saturated_into(block_number);
        let block = frame_system::Pallet::<T>::block_hash(number);
        let bound = keccak_256(&[block.as_ref(), AsRef::<[u8]>::as_ref(coldkey)].concat());
        keccak_256(&sha2_256(&[&nonce.to_le_bytes()[..], &bound].concat()))
    }
}
