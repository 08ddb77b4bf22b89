//! The chain's runtime APIs.

use crate::AccountId;
use crate::aura::{Public, SlotDuration};
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
use std::collections::BTreeMap;

sp_api::decl_runtime_apis! {
    /// Authors of blocks.
    pub trait AuraApi {
        /// Milliseconds between blocks.
        fn slot_duration() -> SlotDuration;
        /// Who makes them: one.
        fn authorities() -> Vec<Public>;
    }

    /// Neurons.
    pub trait NeuronInfoRuntimeApi {
        /// Every neuron with its weights and bonds.
        fn get_neurons(netuid: NetUid) -> Vec<NeuronInfo<AccountId>>;
        /// One neuron with its weights and bonds.
        fn get_neuron(netuid: NetUid, uid: u16) -> Option<NeuronInfo<AccountId>>;
        /// Every neuron.
        fn get_neurons_lite(netuid: NetUid) -> Vec<NeuronInfoLite<AccountId>>;
        /// One neuron.
        fn get_neuron_lite(netuid: NetUid, uid: u16) -> Option<NeuronInfoLite<AccountId>>;
    }

    /// Subnets.
    #[api_version(2)]
    pub trait SubnetInfoRuntimeApi {
        /// A network in its oldest form.
        fn get_subnet_info(netuid: NetUid) -> Option<SubnetInfo<AccountId>>;
        /// Every network in its oldest form.
        fn get_subnets_info() -> Vec<Option<SubnetInfo<AccountId>>>;
        /// The same with its identity.
        fn get_subnet_info_v2(netuid: NetUid) -> Option<SubnetInfov2<AccountId>>;
        /// The same with their identities.
        fn get_subnets_info_v2() -> Vec<Option<SubnetInfov2<AccountId>>>;
        /// Hyperparameters in their first form.
        fn get_subnet_hyperparams(netuid: NetUid) -> Option<SubnetHyperparams>;
        /// Hyperparameters in their second form.
        fn get_subnet_hyperparams_v2(netuid: NetUid) -> Option<SubnetHyperparamsV2>;
        /// Some fields of a network's metagraph, by number.
        fn get_selective_metagraph(
            netuid: NetUid,
            metagraph_indexes: Vec<u16>,
        ) -> Option<SelectiveMetagraph<AccountId>>;
        /// Some fields of a mechanism's metagraph, by number.
        fn get_selective_mechagraph(
            netuid: NetUid,
            subid: MechId,
            metagraph_indexes: Vec<u16>,
        ) -> Option<SelectiveMetagraph<AccountId>>;
        /// Every network with its pool.
        fn get_all_dynamic_info() -> Vec<Option<DynamicInfo<AccountId>>>;
        /// A network with its pool.
        fn get_dynamic_info(netuid: NetUid) -> Option<DynamicInfo<AccountId>>;
        /// Everything about a network and its neurons.
        fn get_metagraph(netuid: NetUid) -> Option<Metagraph<AccountId>>;
        /// Everything about every network.
        fn get_all_metagraphs() -> Vec<Option<Metagraph<AccountId>>>;
        /// Everything about every mechanism.
        fn get_all_mechagraphs() -> Vec<Option<Metagraph<AccountId>>>;
        /// Everything about a mechanism.
        fn get_mechagraph(netuid: NetUid, mecid: MechId) -> Option<Metagraph<AccountId>>;
        /// The columns of a network's neurons.
        fn get_subnet_state(netuid: NetUid) -> Option<SubnetState<AccountId>>;
        /// The subnet that the next network would replace.
        fn get_subnet_to_prune() -> Option<NetUid>;
        /// The account that holds a subnet's TAO.
        fn get_subnet_account_id(netuid: NetUid) -> Option<AccountId>;
        /// Block of the next epoch.
        fn get_next_epoch_start_block(netuid: NetUid) -> Option<u64>;
        /// TAO of the next block.
        fn get_block_emission() -> TaoBalance;
        /// Where a coldkey's incentive goes.
        fn get_coldkey_auto_stake_hotkey(coldkey: AccountId, netuid: NetUid) -> Option<AccountId>;
        /// Hyperparameters by name.
        fn get_subnet_hyperparams_v3(netuid: NetUid) -> Option<Vec<HyperparamEntry>>;
    }

    /// Baskets of alpha that root stake is invested in. Nobody has one here: root stake stays TAO.
    pub trait BetaBasketRuntimeApi {
        /// What a coldkey could take out of all baskets.
        fn get_root_basket_owed(coldkey: AccountId) -> TaoBalance;
        /// What a coldkey could take out of one basket.
        fn get_basket_payout(hotkey: AccountId, coldkey: AccountId) -> TaoBalance;
        /// Value of a hotkey's basket.
        fn get_validator_basket_nav(hotkey: AccountId) -> TaoBalance;
        /// What a hotkey's basket holds: subnet, alpha, its value.
        fn get_validator_basket(hotkey: AccountId) -> Vec<(NetUid, AlphaBalance, TaoBalance)>;
        /// Value of all baskets.
        fn get_root_basket_total_nav() -> TaoBalance;
        /// A coldkey's shares: hotkey, shares, their value.
        fn get_root_basket_positions(coldkey: AccountId) -> Vec<(AccountId, u64, TaoBalance)>;
        /// A hotkey's basket.
        fn get_validator_basket_summary(hotkey: AccountId) -> BasketSummary<AccountId>;
        /// Every basket.
        fn get_all_validator_baskets() -> Vec<BasketSummary<AccountId>>;
        /// A coldkey's part of a basket.
        fn get_basket_position(
            hotkey: AccountId,
            coldkey: AccountId,
        ) -> Option<BasketPosition<AccountId>>;
        /// A coldkey's parts of all baskets.
        fn get_root_basket_portfolio(coldkey: AccountId) -> Vec<BasketPosition<AccountId>>;
        /// Prices of a basket.
        fn get_beta_pricing(hotkey: AccountId) -> Option<BetaPricing<AccountId>>;
        /// Prices of many baskets.
        fn get_all_beta_pricing(
            start_after: Option<AccountId>,
            limit: u32,
        ) -> BetaPricingPage<AccountId>;
        /// Index of all baskets: of what they hold and of what is staked in them.
        fn get_beta_index() -> (U64F64, U64F64);
        /// A coldkey's part of a basket at its price.
        fn get_beta_position(
            hotkey: AccountId,
            coldkey: AccountId,
        ) -> Option<BetaPosition<AccountId>>;
        /// A coldkey's parts of all baskets at their prices.
        fn get_beta_portfolio(coldkey: AccountId) -> Vec<BetaPosition<AccountId>>;
        /// Whether a basket may trade.
        fn get_basket_trading_status(hotkey: AccountId) -> BasketTradingStatus;
    }

    /// Stakes.
    pub trait StakeInfoRuntimeApi {
        /// Every stake of a coldkey.
        fn get_stake_info_for_coldkey(coldkey_account: AccountId) -> Vec<StakeInfo<AccountId>>;
        /// Every stake of many coldkeys.
        fn get_stake_info_for_coldkeys(
            coldkey_accounts: Vec<AccountId>,
        ) -> Vec<(AccountId, Vec<StakeInfo<AccountId>>)>;
        /// One stake.
        fn get_stake_info_for_hotkey_coldkey_netuid(
            hotkey_account: AccountId,
            coldkey_account: AccountId,
            netuid: NetUid,
        ) -> Option<StakeInfo<AccountId>>;
        /// What of each stake can move.
        fn get_stake_availability_for_coldkeys(
            coldkey_accounts: Vec<AccountId>,
            netuids: Option<Vec<NetUid>>,
        ) -> BTreeMap<AccountId, BTreeMap<NetUid, StakeAvailability>>;
        /// The fee of moving `amount`, in what moves.
        fn get_stake_fee(
            origin: Option<(AccountId, NetUid)>,
            origin_coldkey_account: AccountId,
            destination: Option<(AccountId, NetUid)>,
            destination_coldkey_account: AccountId,
            amount: u64,
        ) -> u64;
        /// What a coldkey locked.
        fn get_coldkey_lock(coldkey: AccountId, netuid: NetUid) -> Option<LockState>;
        /// Conviction behind a hotkey: none, nothing is ever locked here.
        fn get_hotkey_conviction(hotkey: AccountId, netuid: NetUid) -> U64F64;
        /// The hotkey with the most conviction.
        fn get_most_convicted_hotkey_on_subnet(netuid: NetUid) -> Option<AccountId>;
    }

    /// Hotkeys that others stake on.
    pub trait DelegateInfoRuntimeApi {
        /// Every one.
        fn get_delegates() -> Vec<DelegateInfo<AccountId>>;
        /// One.
        fn get_delegate(delegate_account: AccountId) -> Option<DelegateInfo<AccountId>>;
        /// Those that a coldkey stakes on, with its stakes.
        fn get_delegated(
            delegatee_account: AccountId,
        ) -> Vec<(DelegateInfo<AccountId>, (Compact<NetUid>, Compact<AlphaBalance>))>;
    }

    /// Registration of networks.
    pub trait SubnetRegistrationRuntimeApi {
        /// What the next network costs.
        fn get_network_registration_cost() -> TaoBalance;
    }

    /// Pools.
    pub trait SwapRuntimeApi {
        /// TAO rao for one alpha.
        fn current_alpha_price(netuid: NetUid) -> u64;
        /// The same for every network.
        fn current_alpha_price_all() -> Vec<SubnetPrice>;
        /// What buying alpha would do.
        fn sim_swap_tao_for_alpha(netuid: NetUid, tao: TaoBalance) -> SimSwapResult;
        /// What selling alpha would do.
        fn sim_swap_alpha_for_tao(netuid: NetUid, alpha: AlphaBalance) -> SimSwapResult;
    }
}
