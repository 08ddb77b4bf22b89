//! The runtime of the local chain: FRAME pallets with the chain's own names and encodings.
//!
//! It is run natively: no wasm is built, `std` is always there. What a block does:
//!
//! ```text
//! initialize  Timestamp, Drand pulses, Commitments, SubtensorModule: emission and epochs
//! apply       signature ► 13 extensions (nonce, fee, guards) ► call ► events
//! finalize    state root
//! ```
//!
//! [`subtensor`] holds the subnets. It never computes consensus, emission or prices itself:
//! `scoring` does, with the [`Rules`](scoring::variants::Rules) of the chain's version.
//!
//! Clients find types by path: [`RuntimeEvent`] must stay at the root of a crate of this name.

#![recursion_limit = "512"]

pub mod admin;
pub mod alpha_assets;
pub mod apis;
pub mod aura;
pub mod commitments;
pub mod drand;
pub mod extensions;
pub mod fees;
pub mod info;
pub mod limit_orders;
pub mod proxies;
pub mod settings;
pub mod shield;
pub mod shown;
mod signature;
pub mod subtensor;
pub mod swap;
pub mod tlock;
pub mod types;

use crate::info::{
    BasketPosition, BasketSummary, BasketTradingStatus, BetaPosition, BetaPricing, BetaPricingPage,
    DelegateInfo, DynamicInfo, HyperparamEntry, Metagraph, NeuronInfo, NeuronInfoLite,
    SelectiveMetagraph, SimSwapResult, StakeAvailability, StakeInfo, SubnetHyperparams,
    SubnetHyperparamsV2, SubnetInfo, SubnetInfov2, SubnetPrice, SubnetState,
};
use crate::subtensor::LockState;
use crate::types::{AlphaBalance, MechId, NetUid, TaoBalance};
use codec::Compact;
use scoring::fixed::U64F64;
pub use settings::{
    FeeRecipient, Rules, RuntimeVersionOf, SlotDuration, SpecVersion, StoredSlotDuration,
    StoredSpecVersion,
};
pub use signature::Signature;
use std::collections::BTreeMap;

use frame_support::dispatch::DispatchClass;
use frame_support::traits::{ConstU8, ConstU16, ConstU32, ConstU64, Contains};
use frame_support::weights::{IdentityFee, Weight, constants::WEIGHT_REF_TIME_PER_SECOND};
use frame_support::{PalletId, construct_runtime, derive_impl, parameter_types};
use sp_core::OpaqueMetadata;
use sp_runtime::traits::{BlakeTwo256, Block as BlockT, IdentifyAccount, Verify};
use sp_runtime::transaction_validity::{TransactionSource, TransactionValidity};
use sp_runtime::{ApplyExtrinsicResult, Percent, generic};
use sp_version::RuntimeVersion;

/// An account.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// TAO in rao.
pub type Balance = u64;
/// Transactions of an account so far.
pub type Nonce = u32;
/// Height of a block.
pub type BlockNumber = u32;
/// An account as transactions name it.
pub type Address = sp_runtime::MultiAddress<AccountId, ()>;
/// A block's header.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// The transaction extensions, in the order that clients sign.
pub type TxExtension = (
    (
        frame_system::CheckNonZeroSender<Runtime>,
        frame_system::CheckSpecVersion<Runtime>,
        frame_system::CheckTxVersion<Runtime>,
        frame_system::CheckGenesis<Runtime>,
        extensions::CheckMortality,
        extensions::CheckNonce,
        frame_system::CheckWeight<Runtime>,
    ),
    (
        pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
        extensions::SudoTransactionExtension,
        extensions::CheckShieldedTxValidity,
        extensions::SubtensorTransactionExtension,
        extensions::DrandPriority,
    ),
    extensions::CheckMetadataHash,
);
/// A transaction.
pub type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
/// A block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
/// Runs blocks.
pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

construct_runtime!(
    pub struct Runtime {
        System: frame_system = 0,
        Timestamp: pallet_timestamp = 2,
        Aura: aura::pallet = 3,
        Balances: pallet_balances = 5,
        TransactionPayment: pallet_transaction_payment = 6,
        SubtensorModule: subtensor::pallet = 7,
        Utility: pallet_utility = 11,
        Sudo: pallet_sudo = 12,
        Multisig: pallet_multisig = 13,
        Proxy: pallet_proxy = 16,
        Commitments: commitments::pallet = 18,
        AdminUtils: admin::pallet = 19,
        Drand: drand::pallet = 26,
        Swap: swap::pallet = 28,
        MevShield: shield::pallet = 30,
        AlphaAssets: alpha_assets::pallet = 31,
        LimitOrders: limit_orders::pallet = 32,
    }
);

/// Most bytes of a block.
const MAX_BLOCK_BYTES: u32 = 10 * 1024 * 1024;

parameter_types! {
    /// Blocks whose hashes stay readable.
    pub const BlockHashCount: BlockNumber = 2400;
    /// Four seconds of work in a block.
    pub BlockWeights: frame_system::limits::BlockWeights =
        frame_system::limits::BlockWeights::with_sensible_defaults(
            Weight::from_parts(4 * WEIGHT_REF_TIME_PER_SECOND, u64::MAX),
            sp_runtime::Perbill::from_percent(75),
        );
    /// Ten mebibytes in a block, three quarters of them for normal transactions.
    pub BlockLength: frame_system::limits::BlockLength =
        frame_system::limits::BlockLength::builder()
            .max_length(MAX_BLOCK_BYTES)
            .modify_max_length_for_class(DispatchClass::Normal, |bytes| {
                *bytes = MAX_BLOCK_BYTES / 4 * 3;
            })
            .build();
    /// Least TAO that a staking call may move: 0.002 TAO.
    pub const MinStake: TaoBalance = TaoBalance(2_000_000);
    /// Bound of the lowest price of a neuron: 1 TAO.
    pub const MinBurnUpperBound: TaoBalance = TaoBalance(1_000_000_000);
    /// Bound of the highest price of a neuron: 0.1 TAO.
    pub const MaxBurnLowerBound: TaoBalance = TaoBalance(100_000_000);
    /// Cost of a hotkey swap: 0.1 TAO.
    pub const KeySwapCost: TaoBalance = TaoBalance(100_000_000);
    pub const KeySwapOnSubnetCost: TaoBalance = TaoBalance(1_000_000);
    /// Largest share of immune neurons that trimming may leave.
    pub const MaxImmuneUidsPercentage: Percent = Percent::from_percent(80);
    /// Seeds the subnets' accounts.
    pub const SubtensorPalletId: PalletId = PalletId(*b"subtensr");
    /// Seeds the account of burned alpha.
    pub const BurnAccountId: PalletId = PalletId(*b"burntnsr");
    /// Fees do not follow demand.
    pub FeeMultiplier: pallet_transaction_payment::Multiplier =
        pallet_transaction_payment::Multiplier::from_u32(1);
    /// Commitments are free.
    pub const NoDeposit: TaoBalance = TaoBalance(0);
}

/// A batch may not directly hold another, and a call that an upgrade moved is not where it was.
pub struct CallFilter;

impl Contains<RuntimeCall> for CallFilter {
    fn contains(call: &RuntimeCall) -> bool {
        use shown::{Upgrade, Upgrades};
        if let RuntimeCall::SubtensorModule(subtensor::Call::set_mechanism_weights { .. }) = call {
            return !Upgrades::applied().has(Upgrade::MoveCall);
        }
        if let RuntimeCall::SubtensorModule(subtensor::Call::set_mechanism_weights_moved {
            ..
        }) = call
        {
            return Upgrades::applied().has(Upgrade::MoveCall);
        }
        use pallet_utility::Call as Utility;
        let (RuntimeCall::Utility(Utility::batch { calls })
        | RuntimeCall::Utility(Utility::batch_all { calls })
        | RuntimeCall::Utility(Utility::force_batch { calls })) = call
        else {
            return true;
        };
        !calls.iter().any(|inner| {
            matches!(
                inner,
                RuntimeCall::Utility(
                    Utility::batch { .. } | Utility::batch_all { .. } | Utility::force_batch { .. }
                )
            )
        })
    }
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type Block = Block;
    type BlockHashCount = BlockHashCount;
    type Nonce = Nonce;
    type AccountId = AccountId;
    type AccountData = pallet_balances::AccountData<Balance>;
    type RuntimeEvent = shown::Event;
    type Version = RuntimeVersionOf;
    type BlockWeights = BlockWeights;
    type BlockLength = BlockLength;
    type BaseCallFilter = CallFilter;
    type SS58Prefix = ConstU16<42>;
    type MaxConsumers = ConstU32<16>;
    type ExtensionsWeightInfo = fees::FreeExtensions;
}

impl pallet_timestamp::Config for Runtime {
    type Moment = u64;
    type OnTimestampSet = ();
    type MinimumPeriod = ConstU64<0>;
    type WeightInfo = ();
}

impl aura::pallet::Config for Runtime {
    type SlotDuration = SlotDuration;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Runtime {
    type AccountStore = System;
    type RuntimeEvent = shown::Event;
    type Balance = Balance;
    type ExistentialDeposit = ConstU64<500>;
    type DustRemoval = fees::DustLeavesIssuance;
    type MaxLocks = ConstU32<50>;
    type MaxReserves = ConstU32<50>;
    type MaxFreezes = ConstU32<50>;
}

#[derive_impl(pallet_transaction_payment::config_preludes::TestDefaultConfig)]
impl pallet_transaction_payment::Config for Runtime {
    type RuntimeEvent = shown::Event;
    type OnChargeTransaction = fees::ChargeFee;
    type OperationalFeeMultiplier = ConstU8<5>;
    type WeightInfo = fees::FreeExtensions;
    type WeightToFee = fees::LinearWeightToFee;
    type LengthToFee = IdentityFee<Balance>;
    type FeeMultiplierUpdate = pallet_transaction_payment::ConstFeeMultiplier<FeeMultiplier>;
}

impl pallet_utility::Config for Runtime {
    type RuntimeEvent = shown::Event;
    type RuntimeCall = RuntimeCall;
    type PalletsOrigin = OriginCaller;
    type WeightInfo = ();
}

impl pallet_sudo::Config for Runtime {
    type RuntimeEvent = shown::Event;
    type RuntimeCall = RuntimeCall;
    type WeightInfo = ();
}

impl pallet_multisig::Config for Runtime {
    type RuntimeEvent = shown::Event;
    type RuntimeCall = RuntimeCall;
    type Currency = Balances;
    type DepositBase = ConstU64<132_000_000>;
    type DepositFactor = ConstU64<32_000_000>;
    type MaxSignatories = ConstU32<100>;
    type WeightInfo = ();
    type BlockNumberProvider = System;
}

impl pallet_proxy::Config for Runtime {
    type RuntimeEvent = shown::Event;
    type RuntimeCall = RuntimeCall;
    type Currency = Balances;
    type ProxyType = proxies::ProxyType;
    type ProxyDepositBase = ConstU64<60_000_000>;
    type ProxyDepositFactor = ConstU64<33_000_000>;
    type MaxProxies = ConstU32<20>;
    type WeightInfo = ();
    type MaxPending = ConstU32<75>;
    type CallHasher = BlakeTwo256;
    type AnnouncementDepositBase = ConstU64<36_000_000>;
    type AnnouncementDepositFactor = ConstU64<68_000_000>;
    type BlockNumberProvider = System;
}

impl commitments::pallet::Config for Runtime {
    type MaxFields = ConstU32<3>;
    type InitialDeposit = NoDeposit;
    type FieldDeposit = NoDeposit;
}

impl admin::pallet::Config for Runtime {}
impl drand::pallet::Config for Runtime {}
impl swap::pallet::Config for Runtime {}
impl shield::pallet::Config for Runtime {}
impl limit_orders::pallet::Config for Runtime {}
impl alpha_assets::pallet::Config for Runtime {}

impl subtensor::OnDissolve for Runtime {
    fn dissolved(netuid: NetUid) {
        Commitments::forget(netuid);
    }
}

impl subtensor::Config for Runtime {
    type Rules = Rules;
    type FeeRecipient = FeeRecipient;
    type OnDissolve = Runtime;
    type InitialStartCallDelay = ConstU64<0>;
    type InitialMinStake = MinStake;
    type MinBurnUpperBound = MinBurnUpperBound;
    type MaxBurnLowerBound = MaxBurnLowerBound;
    type MinTempo = ConstU16<360>;
    type MaxTempo = ConstU16<50_400>;
    type MinActivityCutoffFactorMilli = ConstU32<1_000>;
    type MaxActivityCutoffFactorMilli = ConstU32<50_000>;
    type KeySwapCost = KeySwapCost;
    type KeySwapOnSubnetCost = KeySwapOnSubnetCost;
    type HotkeySwapOnSubnetInterval = ConstU64<1>;
    type MaxImmuneUidsPercentage = MaxImmuneUidsPercentage;
    type SubtensorPalletId = SubtensorPalletId;
    type BurnAccountId = BurnAccountId;
}

/// Some fields of a mechanism's metagraph.
fn selective(
    netuid: NetUid,
    mecid: MechId,
    indexes: &[u16],
) -> Option<SelectiveMetagraph<AccountId>> {
    let all = SubtensorModule::metagraph(netuid, mecid)?;
    Some(SelectiveMetagraph::of(all, indexes, || Commitments::encoded_of(netuid)))
}

sp_api::impl_runtime_apis! {
    impl sp_api::Core<Block> for Runtime {
        fn version() -> RuntimeVersion {
            settings::version(RUNTIME_API_VERSIONS)
        }
        fn execute_block(block: <Block as BlockT>::LazyBlock) {
            Executive::execute_block(block);
        }
        fn initialize_block(
            header: &<Block as BlockT>::Header,
        ) -> sp_runtime::ExtrinsicInclusionMode {
            Executive::initialize_block(header)
        }
    }

    impl sp_api::Metadata<Block> for Runtime {
        fn metadata() -> OpaqueMetadata {
            shown::metadata()
        }
        fn metadata_at_version(version: u32) -> Option<OpaqueMetadata> {
            shown::metadata_at_version(version)
        }
        fn metadata_versions() -> Vec<u32> {
            Runtime::metadata_versions()
        }
    }

    impl sp_block_builder::BlockBuilder<Block> for Runtime {
        fn apply_extrinsic(extrinsic: <Block as BlockT>::Extrinsic) -> ApplyExtrinsicResult {
            Executive::apply_extrinsic(extrinsic)
        }
        fn finalize_block() -> <Block as BlockT>::Header {
            Executive::finalize_block()
        }
        fn inherent_extrinsics(
            data: sp_inherents::InherentData,
        ) -> Vec<<Block as BlockT>::Extrinsic> {
            data.create_extrinsics()
        }
        fn check_inherents(
            block: <Block as BlockT>::LazyBlock,
            data: sp_inherents::InherentData,
        ) -> sp_inherents::CheckInherentsResult {
            data.check_extrinsics(&block)
        }
    }

    impl sp_transaction_pool::runtime_api::TaggedTransactionQueue<Block> for Runtime {
        fn validate_transaction(
            source: TransactionSource,
            tx: <Block as BlockT>::Extrinsic,
            block_hash: <Block as BlockT>::Hash,
        ) -> TransactionValidity {
            Executive::validate_transaction(source, tx, block_hash)
        }
    }

    impl frame_system_rpc_runtime_api::AccountNonceApi<Block, AccountId, Nonce> for Runtime {
        fn account_nonce(account: AccountId) -> Nonce {
            System::account_nonce(account)
        }
    }

    impl pallet_transaction_payment_rpc_runtime_api::TransactionPaymentApi<Block, Balance>
        for Runtime
    {
        fn query_info(
            uxt: <Block as BlockT>::Extrinsic,
            len: u32,
        ) -> pallet_transaction_payment_rpc_runtime_api::RuntimeDispatchInfo<Balance> {
            TransactionPayment::query_info(uxt, len)
        }
        fn query_fee_details(
            uxt: <Block as BlockT>::Extrinsic,
            len: u32,
        ) -> pallet_transaction_payment::FeeDetails<Balance> {
            TransactionPayment::query_fee_details(uxt, len)
        }
        fn query_weight_to_fee(weight: Weight) -> Balance {
            TransactionPayment::weight_to_fee(weight)
        }
        fn query_length_to_fee(length: u32) -> Balance {
            TransactionPayment::length_to_fee(length)
        }
    }

    impl apis::NeuronInfoRuntimeApi<Block> for Runtime {
        fn get_neurons(netuid: NetUid) -> Vec<NeuronInfo<AccountId>> {
            SubtensorModule::neurons_full(netuid)
        }
        fn get_neuron(netuid: NetUid, uid: u16) -> Option<NeuronInfo<AccountId>> {
            SubtensorModule::neuron(netuid, uid)
        }
        fn get_neurons_lite(netuid: NetUid) -> Vec<NeuronInfoLite<AccountId>> {
            SubtensorModule::neurons_lite(netuid)
        }
        fn get_neuron_lite(netuid: NetUid, uid: u16) -> Option<NeuronInfoLite<AccountId>> {
            SubtensorModule::neuron_lite(netuid, uid)
        }
    }

    impl apis::AuraApi<Block> for Runtime {
        fn slot_duration() -> aura::SlotDuration {
            aura::SlotDuration(<SlotDuration as frame_support::traits::Get<u64>>::get())
        }
        fn authorities() -> Vec<aura::Public> {
            aura::pallet::Authorities::<Runtime>::get().into_inner()
        }
    }

    impl apis::SubnetInfoRuntimeApi<Block> for Runtime {
        fn get_subnet_info(netuid: NetUid) -> Option<SubnetInfo<AccountId>> {
            SubtensorModule::subnet_info(netuid)
        }
        fn get_subnets_info() -> Vec<Option<SubnetInfo<AccountId>>> {
            SubtensorModule::networks().into_iter().map(SubtensorModule::subnet_info).collect()
        }
        fn get_subnet_info_v2(netuid: NetUid) -> Option<SubnetInfov2<AccountId>> {
            SubtensorModule::subnet_info_v2(netuid)
        }
        fn get_subnets_info_v2() -> Vec<Option<SubnetInfov2<AccountId>>> {
            SubtensorModule::networks().into_iter().map(SubtensorModule::subnet_info_v2).collect()
        }
        fn get_subnet_hyperparams(netuid: NetUid) -> Option<SubnetHyperparams> {
            SubtensorModule::hyperparameters_v1(netuid)
        }
        fn get_subnet_hyperparams_v2(netuid: NetUid) -> Option<SubnetHyperparamsV2> {
            SubtensorModule::hyperparameters_v2(netuid)
        }
        fn get_selective_metagraph(
            netuid: NetUid,
            metagraph_indexes: Vec<u16>,
        ) -> Option<SelectiveMetagraph<AccountId>> {
            selective(netuid, info::MAIN, &metagraph_indexes)
        }
        fn get_selective_mechagraph(
            netuid: NetUid,
            subid: MechId,
            metagraph_indexes: Vec<u16>,
        ) -> Option<SelectiveMetagraph<AccountId>> {
            selective(netuid, subid, &metagraph_indexes)
        }
        fn get_all_dynamic_info() -> Vec<Option<DynamicInfo<AccountId>>> {
            SubtensorModule::networks().into_iter().map(SubtensorModule::dynamic_info).collect()
        }
        fn get_dynamic_info(netuid: NetUid) -> Option<DynamicInfo<AccountId>> {
            SubtensorModule::dynamic_info(netuid)
        }
        fn get_metagraph(netuid: NetUid) -> Option<Metagraph<AccountId>> {
            SubtensorModule::metagraph(netuid, info::MAIN)
        }
        fn get_all_metagraphs() -> Vec<Option<Metagraph<AccountId>>> {
            SubtensorModule::networks()
                .into_iter()
                .map(|netuid| SubtensorModule::metagraph(netuid, info::MAIN))
                .collect()
        }
        fn get_all_mechagraphs() -> Vec<Option<Metagraph<AccountId>>> {
            SubtensorModule::all_mechagraphs()
        }
        fn get_mechagraph(netuid: NetUid, mecid: MechId) -> Option<Metagraph<AccountId>> {
            SubtensorModule::metagraph(netuid, mecid)
        }
        fn get_subnet_state(netuid: NetUid) -> Option<SubnetState<AccountId>> {
            SubtensorModule::subnet_state(netuid)
        }
        fn get_subnet_to_prune() -> Option<NetUid> {
            SubtensorModule::subnet_to_prune()
        }
        fn get_subnet_account_id(netuid: NetUid) -> Option<AccountId> {
            SubtensorModule::account_of(netuid)
        }
        fn get_next_epoch_start_block(netuid: NetUid) -> Option<u64> {
            SubtensorModule::next_epoch_block(netuid)
        }
        fn get_block_emission() -> TaoBalance {
            TaoBalance(SubtensorModule::block_emission())
        }
        fn get_coldkey_auto_stake_hotkey(coldkey: AccountId, netuid: NetUid) -> Option<AccountId> {
            subtensor::AutoStakeDestination::<Runtime>::get(coldkey, netuid)
        }
        fn get_subnet_hyperparams_v3(netuid: NetUid) -> Option<Vec<HyperparamEntry>> {
            SubtensorModule::hyperparameters(netuid)
        }
    }

    impl apis::BetaBasketRuntimeApi<Block> for Runtime {
        fn get_root_basket_owed(_: AccountId) -> TaoBalance {
            TaoBalance(0)
        }
        fn get_basket_payout(_: AccountId, _: AccountId) -> TaoBalance {
            TaoBalance(0)
        }
        fn get_validator_basket_nav(_: AccountId) -> TaoBalance {
            TaoBalance(0)
        }
        fn get_validator_basket(_: AccountId) -> Vec<(NetUid, AlphaBalance, TaoBalance)> {
            Vec::new()
        }
        fn get_root_basket_total_nav() -> TaoBalance {
            TaoBalance(0)
        }
        fn get_root_basket_positions(_: AccountId) -> Vec<(AccountId, u64, TaoBalance)> {
            Vec::new()
        }
        fn get_validator_basket_summary(hotkey: AccountId) -> BasketSummary<AccountId> {
            BasketSummary {
                hotkey,
                nav_tao: TaoBalance(0),
                spot_nav_tao: TaoBalance(0),
                shares: 0,
                deposited_tao: TaoBalance(0),
                redeemed_tao: TaoBalance(0),
                holdings: Vec::new(),
            }
        }
        fn get_all_validator_baskets() -> Vec<BasketSummary<AccountId>> {
            Vec::new()
        }
        fn get_basket_position(_: AccountId, _: AccountId) -> Option<BasketPosition<AccountId>> {
            None
        }
        fn get_root_basket_portfolio(_: AccountId) -> Vec<BasketPosition<AccountId>> {
            Vec::new()
        }
        fn get_beta_pricing(_: AccountId) -> Option<BetaPricing<AccountId>> {
            None
        }
        fn get_all_beta_pricing(_: Option<AccountId>, _: u32) -> BetaPricingPage<AccountId> {
            BetaPricingPage { pricing: Vec::new(), next: None }
        }
        fn get_beta_index() -> (U64F64, U64F64) {
            (U64F64::from_num(1), U64F64::from_num(1))
        }
        fn get_beta_position(_: AccountId, _: AccountId) -> Option<BetaPosition<AccountId>> {
            None
        }
        fn get_beta_portfolio(_: AccountId) -> Vec<BetaPosition<AccountId>> {
            Vec::new()
        }
        fn get_basket_trading_status(_: AccountId) -> BasketTradingStatus {
            BasketTradingStatus {
                enabled: false,
                frozen: false,
                refill_blocks: 0,
                tao_available: TaoBalance(0),
                budget_tao: TaoBalance(0),
            }
        }
    }

    impl apis::StakeInfoRuntimeApi<Block> for Runtime {
        fn get_stake_info_for_coldkey(coldkey_account: AccountId) -> Vec<StakeInfo<AccountId>> {
            SubtensorModule::stake_info_for_coldkey(&coldkey_account)
        }
        fn get_stake_info_for_coldkeys(
            coldkey_accounts: Vec<AccountId>,
        ) -> Vec<(AccountId, Vec<StakeInfo<AccountId>>)> {
            let stakes = |coldkey: AccountId| {
                let stakes = SubtensorModule::stake_info_for_coldkey(&coldkey);
                (coldkey, stakes)
            };
            coldkey_accounts.into_iter().map(stakes).collect()
        }
        fn get_stake_info_for_hotkey_coldkey_netuid(
            hotkey_account: AccountId,
            coldkey_account: AccountId,
            netuid: NetUid,
        ) -> Option<StakeInfo<AccountId>> {
            Some(SubtensorModule::stake_info(&hotkey_account, &coldkey_account, netuid))
        }
        fn get_stake_availability_for_coldkeys(
            coldkey_accounts: Vec<AccountId>,
            netuids: Option<Vec<NetUid>>,
        ) -> BTreeMap<AccountId, BTreeMap<NetUid, StakeAvailability>> {
            let netuids = netuids.unwrap_or_else(SubtensorModule::networks);
            let available = |coldkey: AccountId| {
                let stakes = SubtensorModule::stake_availability(&coldkey, &netuids);
                (coldkey, stakes)
            };
            coldkey_accounts.into_iter().map(available).collect()
        }
        fn get_stake_fee(
            origin: Option<(AccountId, NetUid)>,
            _origin_coldkey_account: AccountId,
            destination: Option<(AccountId, NetUid)>,
            _destination_coldkey_account: AccountId,
            amount: u64,
        ) -> u64 {
            let netuid = |place: Option<(AccountId, NetUid)>| place.map(|(_, netuid)| netuid);
            SubtensorModule::stake_fee(netuid(origin), netuid(destination), amount)
        }
        fn get_coldkey_lock(coldkey: AccountId, netuid: NetUid) -> Option<LockState> {
            subtensor::Lock::<Runtime>::iter_prefix_values((coldkey, netuid)).next()
        }
        fn get_hotkey_conviction(_hotkey: AccountId, _netuid: NetUid) -> U64F64 {
            U64F64::from_num(0)
        }
        fn get_most_convicted_hotkey_on_subnet(_netuid: NetUid) -> Option<AccountId> {
            None
        }
    }

    impl apis::DelegateInfoRuntimeApi<Block> for Runtime {
        fn get_delegates() -> Vec<DelegateInfo<AccountId>> {
            SubtensorModule::delegates()
        }
        fn get_delegate(delegate_account: AccountId) -> Option<DelegateInfo<AccountId>> {
            SubtensorModule::delegate(&delegate_account)
        }
        fn get_delegated(
            delegatee_account: AccountId,
        ) -> Vec<(DelegateInfo<AccountId>, (Compact<NetUid>, Compact<AlphaBalance>))> {
            SubtensorModule::delegated(&delegatee_account)
        }
    }

    impl pallet_transaction_payment_rpc_runtime_api::TransactionPaymentCallApi<
        Block, Balance, RuntimeCall,
    > for Runtime
    {
        fn query_call_info(
            call: RuntimeCall,
            len: u32,
        ) -> pallet_transaction_payment_rpc_runtime_api::RuntimeDispatchInfo<Balance> {
            TransactionPayment::query_call_info(call, len)
        }
        fn query_call_fee_details(
            call: RuntimeCall,
            len: u32,
        ) -> pallet_transaction_payment::FeeDetails<Balance> {
            TransactionPayment::query_call_fee_details(call, len)
        }
        fn query_weight_to_fee(weight: Weight) -> Balance {
            TransactionPayment::weight_to_fee(weight)
        }
        fn query_length_to_fee(length: u32) -> Balance {
            TransactionPayment::length_to_fee(length)
        }
    }

    impl apis::SubnetRegistrationRuntimeApi<Block> for Runtime {
        fn get_network_registration_cost() -> TaoBalance {
            SubtensorModule::network_cost()
        }
    }

    impl apis::SwapRuntimeApi<Block> for Runtime {
        fn current_alpha_price(netuid: NetUid) -> u64 {
            SubtensorModule::price_in_rao(netuid)
        }
        fn current_alpha_price_all() -> Vec<SubnetPrice> {
            SubtensorModule::prices()
        }
        fn sim_swap_tao_for_alpha(netuid: NetUid, tao: TaoBalance) -> SimSwapResult {
            SubtensorModule::sim_buy(netuid, tao)
        }
        fn sim_swap_alpha_for_tao(netuid: NetUid, alpha: AlphaBalance) -> SimSwapResult {
            SubtensorModule::sim_sell(netuid, alpha)
        }
    }
}
