//! Subnets: who mines, who validates, what they earn.
//!
//! ```text
//! on_initialize  prices decay ► TAO is issued ► timelocked weights open ► emission and epochs ►
//!                moving prices ► children activate                    (block_step)
//! extrinsics     register ► stake ► serve ► set weights ► administer  (calls)
//! ```
//!
//! The pallet's declaration is split by kind (storage, events, errors, calls), its behaviour by
//! subject. It does no consensus, emission or pool arithmetic of its own: it reads storage,
//! asks `scoring`, and writes storage.

mod absent;
mod accounts;
mod alpha_fees;
mod block_step;
mod calls;
mod coinbase;
mod coldkey_swap;
mod commits;
mod constants;
mod delegates;
mod dissolve;
mod distribution;
mod epoch;
mod errors;
mod events;
mod faucet;
mod genesis;
mod identity;
mod keys;
mod limits;
mod mechanisms;
mod networks;
mod neurons;
mod old_views;
mod pool;
mod registration;
mod root;
mod schedule;
mod serving;
mod settings;
mod shares;
mod staking;
mod storage;
mod swaps;
mod symbols;
mod timelock;
mod views;
mod weights;

pub use alpha_fees::{FeePosition, PaidInAlpha};
pub use faucet::FAUCET_KEY;
pub use genesis::{GenesisNeuron, GenesisSubnet};
pub(crate) use limits::{Limited, OWNER_HOTKEY_LIMIT};
pub use pallet::*;
pub use shares::SafeFloat;

use crate::types::{
    AlphaBalance, AxonInfo, ChainIdentityV2, ConsensusMode, EpochConsensus, Hyperparameter, MechId,
    NetUid, NetUidStorageIndex, NeuronCertificate, PrometheusInfo, RateLimitKey, RecycleOrBurnEnum,
    SubnetIdentityV3, TaoBalance,
};
use codec::{Compact, Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::BoundedVec;
use frame_support::dispatch::DispatchResult;
use frame_support::ensure;
use frame_support::pallet_macros::import_section;
use frame_support::traits::{ConstU32, Get};
use scale_info::TypeInfo;
use scoring::fixed::{I64F64, I96F32, U64F64, U96F32};
use scoring::variants::Rules;
use sp_core::H256;
use sp_runtime::{DispatchError, PerU16};
use std::collections::{BTreeMap, VecDeque};

/// Longest timelocked commit, in bytes.
pub const MAX_TIMELOCKED_COMMIT_BYTES: u32 = 5_000;

/// A timelocked commit.
pub type TimelockedCommit = BoundedVec<u8, ConstU32<MAX_TIMELOCKED_COMMIT_BYTES>>;

/// Progress of a dissolution. This runtime dissolves at once, so none is ever stored.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct DissolveCleanupStatus {
    /// The subnet.
    pub netuid: NetUid,
    /// What is being cleaned up.
    pub phase: u8,
    /// Where to go on.
    pub last_key: Option<Vec<u8>>,
    /// Alpha to pay out.
    pub subnet_total_alpha_value: Option<u128>,
    /// TAO paid out.
    pub subnet_distributed_tao: Option<u128>,
}

/// A network that waits for a netuid. This runtime assigns at once, so none is ever stored.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct NetworkRegistrationInfo<AccountId> {
    /// Who pays.
    pub coldkey: AccountId,
    /// Who owns.
    pub hotkey: AccountId,
    /// Kind of mechanism.
    pub mechid: u16,
    /// What the network is.
    pub identity: Option<SubnetIdentityV3>,
    /// What was paid.
    pub lock_amount: TaoBalance,
    /// Price at which its pool will be filled.
    pub median_subnet_alpha_price: U64F64,
    /// Block of the registration.
    pub registration_block: u64,
    /// The lock.
    pub lock_id: u32,
}

/// Stake that a coldkey promised not to move. No call of this runtime locks any.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct LockState {
    /// Alpha locked.
    pub locked_mass: AlphaBalance,
    /// Conviction gathered.
    pub conviction: U64F64,
    /// Block of the last change.
    pub last_update: u64,
}

/// Pallets that keep something by subnet hear of its end.
pub trait OnDissolve {
    /// The subnet is gone.
    fn dissolved(netuid: NetUid);
}

/// The pallet.
#[import_section(storage::storage)]
#[import_section(absent::absent)]
#[import_section(constants::constants)]
#[import_section(events::events)]
#[import_section(errors::errors)]
#[import_section(calls::calls)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use crate::types::{ConstMech, ConstPerU16, ConstTao};
    use frame_support::PalletId;
    use frame_support::pallet_prelude::*;
    use frame_support::traits::{
        BuildGenesisConfig, ConstBool, ConstI16, ConstU8, ConstU16, ConstU64,
    };
    use frame_system::pallet_prelude::*;
    use sp_runtime::AccountId32;

    /// What the runtime decides.
    #[pallet::config]
    pub trait Config:
        frame_system::Config<
            RuntimeEvent: From<Event<Self>>,
            AccountId = AccountId32,
            AccountData = pallet_balances::AccountData<u64>,
        > + pallet_balances::Config<Balance = u64>
        + crate::swap::pallet::Config
        + crate::alpha_assets::pallet::Config
        + crate::drand::pallet::Config
    {
        /// Rules of consensus and emission.
        type Rules: Get<Rules>;
        /// Who receives fees.
        type FeeRecipient: Get<Self::AccountId>;
        /// Who else forgets a dissolved subnet.
        type OnDissolve: OnDissolve;
        /// Blocks between a network's registration and its start call.
        #[pallet::constant]
        type InitialStartCallDelay: Get<u64>;
        /// Least TAO that a staking call may move.
        #[pallet::constant]
        type InitialMinStake: Get<TaoBalance>;
        /// Bound of the lowest price of a neuron, exclusive.
        #[pallet::constant]
        type MinBurnUpperBound: Get<TaoBalance>;
        /// Bound of the highest price of a neuron.
        #[pallet::constant]
        type MaxBurnLowerBound: Get<TaoBalance>;
        /// Shortest tempo that an owner may set.
        #[pallet::constant]
        type MinTempo: Get<u16>;
        /// Longest tempo that an owner may set, and longest time between epochs.
        #[pallet::constant]
        type MaxTempo: Get<u16>;
        /// Smallest activity cutoff factor.
        #[pallet::constant]
        type MinActivityCutoffFactorMilli: Get<u32>;
        /// Largest activity cutoff factor.
        #[pallet::constant]
        type MaxActivityCutoffFactorMilli: Get<u32>;
        /// Cost of a hotkey swap.
        #[pallet::constant]
        type KeySwapCost: Get<TaoBalance>;
        /// Cost of a hotkey swap on one subnet.
        #[pallet::constant]
        type KeySwapOnSubnetCost: Get<TaoBalance>;
        /// Blocks between two swaps of one coldkey on one subnet.
        #[pallet::constant]
        type HotkeySwapOnSubnetInterval: Get<u64>;
        /// Largest share of immune neurons that trimming may leave, in percent.
        #[pallet::constant]
        type MaxImmuneUidsPercentage: Get<sp_runtime::Percent>;
        /// Seeds the subnets' accounts.
        #[pallet::constant]
        type SubtensorPalletId: Get<PalletId>;
        /// Seeds the account of burned alpha.
        #[pallet::constant]
        type BurnAccountId: Get<PalletId>;
    }

    /// The pallet.
    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    /// Nobody's account, the default owner.
    pub struct ZeroAccount<T>(core::marker::PhantomData<T>);
    impl<T: Config> Get<T::AccountId> for ZeroAccount<T> {
        fn get() -> T::AccountId {
            AccountId32::new([0; 32])
        }
    }

    /// Defines storage defaults that no constant type expresses.
    macro_rules! defaults {
        ($($name:ident: $ty:ty = $value:expr;)*) => {$(
            /// A storage default.
            pub struct $name;
            impl Get<$ty> for $name {
                fn get() -> $ty {
                    $value
                }
            }
        )*};
    }

    defaults! {
        DefaultSymbol: Vec<u8> = "𝜏".as_bytes().to_vec();
        DefaultAlphaValues: (u16, u16) = (45_875, 58_982);
        DefaultBurnIncrease: U64F64 = U64F64::from_bits(0x0000_0000_0000_0001_428f_5c28_f5c2_9000);
        DefaultOne: U64F64 = U64F64::from_num(1);
        DefaultClaimThreshold: I96F32 = I96F32::from_num(500_000);
        DefaultMovingAlpha: I96F32 = I96F32::from_bits(0x3255);
        DefaultBarQuantile: U64F64 = U64F64::from_bits(0x9c28_f5c2_8f5c_2800);
        DefaultGateExponent: U64F64 = U64F64::from_num(3);
    }

    /// The networks at genesis.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Subnets, the root excluded.
        pub subnets: Vec<GenesisSubnet>,
        /// Whether netuid 1 is the real chain's development network.
        pub development: bool,
        /// Nothing.
        #[serde(skip)]
        pub _marker: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            Pallet::<T>::found_root();
            if self.development {
                Pallet::<T>::found_development();
            } else {
                // Root takes stake, as on finney; the development network's sudo must allow it first.
                SubtokenEnabled::<T>::insert(NetUid::ROOT, true);
            }
            for subnet in &self.subnets {
                Pallet::<T>::found_subnet(subnet);
            }
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::block_step();
            Self::show_upgrade();
            Weight::zero()
        }
    }
}

impl<T: Config> Pallet<T> {
    /// Emits the event that an upgrade brought, if it was applied.
    fn show_upgrade() {
        use crate::shown::{Upgrade, Upgrades};
        if Upgrades::applied().has(Upgrade::AddEvent) {
            let spec_version = T::Version::get().spec_version;
            Self::deposit_event(Event::DevUpgraded { spec_version });
        }
    }

    /// Height of the block being made.
    pub fn now() -> u64 {
        sp_runtime::traits::UniqueSaturatedInto::unique_saturated_into(
            frame_system::Pallet::<T>::block_number(),
        )
    }

    /// Every subnet, the root excluded, ascending.
    pub fn subnets() -> Vec<NetUid> {
        let mut netuids: Vec<_> =
            NetworksAdded::<T>::iter_keys().filter(|netuid| !netuid.is_root()).collect();
        netuids.sort_unstable();
        netuids
    }

    /// Every network, ascending.
    pub fn networks() -> Vec<NetUid> {
        let mut netuids: Vec<_> = NetworksAdded::<T>::iter_keys().collect();
        netuids.sort_unstable();
        netuids
    }

    /// The account of a network that exists.
    pub fn account_of(netuid: NetUid) -> Option<T::AccountId> {
        NetworksAdded::<T>::get(netuid).then(|| Self::subnet_account(netuid))
    }

    /// Refuses a netuid that does not exist.
    pub(crate) fn ensure_exists(netuid: NetUid) -> DispatchResult {
        ensure!(NetworksAdded::<T>::get(netuid), Error::<T>::SubnetNotExists);
        Ok(())
    }
}
