//! What runtime APIs return: the chain's structures, field by field.

use crate::types::{
    AlphaBalance, AxonInfo, ChainIdentityV2, MechId, NetUid, PrometheusInfo, SubnetIdentityV3,
    TaoBalance,
};
use codec::{Compact, Decode, Encode};
use scale_info::TypeInfo;
use scoring::fixed::{I32F32, I96F32, U64F64};
use sp_runtime::PerU16;

/// Defines structures whose fields are named as the chain names them.
macro_rules! structures {
    ($($(#[$doc:meta])* $name:ident $(<$a:ident>)? { $($field:ident: $ty:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
        #[allow(missing_docs, reason = "the names are the chain's")]
        pub struct $name $(<$a>)? { $(pub $field: $ty,)* }
    )*};
}

structures! {
    /// A neuron with its weights and bonds.
    NeuronInfo<A> {
        hotkey: A,
        coldkey: A,
        uid: Compact<u16>,
        netuid: Compact<NetUid>,
        active: bool,
        axon_info: AxonInfo,
        prometheus_info: PrometheusInfo,
        stake: Vec<(A, Compact<AlphaBalance>)>,
        rank: Compact<u16>,
        emission: Compact<AlphaBalance>,
        incentive: Compact<u16>,
        consensus: Compact<u16>,
        trust: Compact<u16>,
        validator_trust: Compact<u16>,
        dividends: Compact<u16>,
        last_update: Compact<u64>,
        validator_permit: bool,
        weights: Vec<(Compact<u16>, Compact<u16>)>,
        bonds: Vec<(Compact<u16>, Compact<u16>)>,
        pruning_score: Compact<u16>,
    }

    /// A neuron.
    NeuronInfoLite<A> {
        hotkey: A,
        coldkey: A,
        uid: Compact<u16>,
        netuid: Compact<NetUid>,
        active: bool,
        axon_info: AxonInfo,
        prometheus_info: PrometheusInfo,
        stake: Vec<(A, Compact<AlphaBalance>)>,
        rank: Compact<u16>,
        emission: Compact<AlphaBalance>,
        incentive: Compact<u16>,
        consensus: Compact<u16>,
        trust: Compact<u16>,
        validator_trust: Compact<u16>,
        dividends: Compact<u16>,
        last_update: Compact<u64>,
        validator_permit: bool,
        pruning_score: Compact<u16>,
    }

    /// Stake of a coldkey on a hotkey.
    StakeInfo<A> {
        hotkey: A,
        coldkey: A,
        netuid: Compact<NetUid>,
        stake: Compact<AlphaBalance>,
        locked: Compact<u64>,
        emission: Compact<AlphaBalance>,
        tao_emission: Compact<TaoBalance>,
        drain: Compact<u64>,
        is_registered: bool,
    }

    /// Stake of a coldkey on a subnet and what of it can move.
    StakeAvailability {
        total: Compact<AlphaBalance>,
        locked: Compact<AlphaBalance>,
        available: Compact<AlphaBalance>,
    }

    /// A subnet with its pool.
    DynamicInfo<A> {
        netuid: Compact<NetUid>,
        owner_hotkey: A,
        owner_coldkey: A,
        subnet_name: Vec<Compact<u8>>,
        token_symbol: Vec<Compact<u8>>,
        tempo: Compact<u16>,
        last_step: Compact<u64>,
        blocks_since_last_step: Compact<u64>,
        emission: Compact<u64>,
        alpha_in: Compact<AlphaBalance>,
        alpha_out: Compact<AlphaBalance>,
        tao_in: Compact<TaoBalance>,
        alpha_out_emission: Compact<AlphaBalance>,
        alpha_in_emission: Compact<AlphaBalance>,
        tao_in_emission: Compact<TaoBalance>,
        pending_alpha_emission: Compact<AlphaBalance>,
        pending_root_emission: Compact<TaoBalance>,
        subnet_volume: Compact<u128>,
        network_registered_at: Compact<u64>,
        subnet_identity: Option<SubnetIdentityV3>,
        moving_price: I96F32,
    }

    /// Everything about a subnet and its neurons.
    Metagraph<A> {
        netuid: Compact<NetUid>,
        name: Vec<Compact<u8>>,
        symbol: Vec<Compact<u8>>,
        identity: Option<SubnetIdentityV3>,
        network_registered_at: Compact<u64>,
        owner_hotkey: A,
        owner_coldkey: A,
        block: Compact<u64>,
        tempo: Compact<u16>,
        last_step: Compact<u64>,
        blocks_since_last_step: Compact<u64>,
        subnet_emission: Compact<u64>,
        alpha_in: Compact<AlphaBalance>,
        alpha_out: Compact<AlphaBalance>,
        tao_in: Compact<TaoBalance>,
        alpha_out_emission: Compact<AlphaBalance>,
        alpha_in_emission: Compact<AlphaBalance>,
        tao_in_emission: Compact<TaoBalance>,
        pending_alpha_emission: Compact<AlphaBalance>,
        pending_root_emission: Compact<TaoBalance>,
        subnet_volume: Compact<u128>,
        moving_price: I96F32,
        rho: Compact<u16>,
        kappa: Compact<u16>,
        min_allowed_weights: Compact<u16>,
        max_weights_limit: Compact<u16>,
        weights_version: Compact<u64>,
        weights_rate_limit: Compact<u64>,
        activity_cutoff: Compact<u64>,
        max_validators: Compact<u16>,
        num_uids: Compact<u16>,
        max_uids: Compact<u16>,
        burn: Compact<TaoBalance>,
        difficulty: Compact<u64>,
        registration_allowed: bool,
        pow_registration_allowed: bool,
        immunity_period: Compact<u16>,
        min_difficulty: Compact<u64>,
        max_difficulty: Compact<u64>,
        min_burn: Compact<TaoBalance>,
        max_burn: Compact<TaoBalance>,
        adjustment_alpha: Compact<u64>,
        adjustment_interval: Compact<u16>,
        target_regs_per_interval: Compact<u16>,
        max_regs_per_block: Compact<u16>,
        serving_rate_limit: Compact<u64>,
        commit_reveal_weights_enabled: bool,
        commit_reveal_period: Compact<u64>,
        liquid_alpha_enabled: bool,
        alpha_high: Compact<u16>,
        alpha_low: Compact<u16>,
        bonds_moving_avg: Compact<u64>,
        hotkeys: Vec<A>,
        coldkeys: Vec<A>,
        identities: Vec<Option<ChainIdentityV2>>,
        axons: Vec<AxonInfo>,
        active: Vec<bool>,
        validator_permit: Vec<bool>,
        pruning_score: Vec<Compact<u16>>,
        last_update: Vec<Compact<u64>>,
        emission: Vec<Compact<AlphaBalance>>,
        dividends: Vec<Compact<PerU16>>,
        incentives: Vec<Compact<PerU16>>,
        consensus: Vec<Compact<PerU16>>,
        trust: Vec<Compact<PerU16>>,
        rank: Vec<Compact<u16>>,
        block_at_registration: Vec<Compact<u64>>,
        alpha_stake: Vec<Compact<AlphaBalance>>,
        tao_stake: Vec<Compact<TaoBalance>>,
        total_stake: Vec<Compact<TaoBalance>>,
        tao_dividends_per_hotkey: Vec<(A, Compact<TaoBalance>)>,
        alpha_dividends_per_hotkey: Vec<(A, Compact<AlphaBalance>)>,
        collateral_locked: Vec<Compact<AlphaBalance>>,
        collateral_min: Vec<Compact<AlphaBalance>>,
        collateral_earned: Vec<Compact<AlphaBalance>>,
    }

    /// The columns of a subnet's neurons that older clients read.
    SubnetState<A> {
        netuid: Compact<NetUid>,
        hotkeys: Vec<A>,
        coldkeys: Vec<A>,
        active: Vec<bool>,
        validator_permit: Vec<bool>,
        pruning_score: Vec<Compact<u16>>,
        last_update: Vec<Compact<u64>>,
        emission: Vec<Compact<AlphaBalance>>,
        dividends: Vec<Compact<PerU16>>,
        incentives: Vec<Compact<PerU16>>,
        consensus: Vec<Compact<PerU16>>,
        trust: Vec<Compact<PerU16>>,
        rank: Vec<Compact<u16>>,
        block_at_registration: Vec<Compact<u64>>,
        alpha_stake: Vec<Compact<AlphaBalance>>,
        tao_stake: Vec<Compact<TaoBalance>>,
        total_stake: Vec<Compact<TaoBalance>>,
        emission_history: Vec<Vec<Compact<AlphaBalance>>>,
    }

    /// A subnet as the oldest clients read it.
    SubnetInfo<A> {
        netuid: Compact<NetUid>,
        rho: Compact<u16>,
        kappa: Compact<u16>,
        difficulty: Compact<u64>,
        immunity_period: Compact<u16>,
        max_allowed_validators: Compact<u16>,
        min_allowed_weights: Compact<u16>,
        max_weights_limit: Compact<u16>,
        scaling_law_power: Compact<u16>,
        subnetwork_n: Compact<u16>,
        max_allowed_uids: Compact<u16>,
        blocks_since_last_step: Compact<u64>,
        tempo: Compact<u16>,
        network_modality: Compact<u16>,
        network_connect: Vec<[u16; 2]>,
        emission_values: Compact<u64>,
        burn: Compact<TaoBalance>,
        owner: A,
    }

    /// The same with the subnet's identity.
    SubnetInfov2<A> {
        netuid: Compact<NetUid>,
        rho: Compact<u16>,
        kappa: Compact<u16>,
        difficulty: Compact<u64>,
        immunity_period: Compact<u16>,
        max_allowed_validators: Compact<u16>,
        min_allowed_weights: Compact<u16>,
        max_weights_limit: Compact<u16>,
        scaling_law_power: Compact<u16>,
        subnetwork_n: Compact<u16>,
        max_allowed_uids: Compact<u16>,
        blocks_since_last_step: Compact<u64>,
        tempo: Compact<u16>,
        network_modality: Compact<u16>,
        network_connect: Vec<[u16; 2]>,
        emission_value: Compact<u64>,
        burn: Compact<TaoBalance>,
        owner: A,
        identity: Option<SubnetIdentityV3>,
    }

    /// Hyperparameters in their first form.
    SubnetHyperparams {
        rho: Compact<u16>,
        kappa: Compact<u16>,
        immunity_period: Compact<u16>,
        min_allowed_weights: Compact<u16>,
        max_weights_limit: Compact<u16>,
        tempo: Compact<u16>,
        min_difficulty: Compact<u64>,
        max_difficulty: Compact<u64>,
        weights_version: Compact<u64>,
        weights_rate_limit: Compact<u64>,
        adjustment_interval: Compact<u16>,
        activity_cutoff: Compact<u64>,
        registration_allowed: bool,
        target_regs_per_interval: Compact<u16>,
        min_burn: Compact<TaoBalance>,
        max_burn: Compact<TaoBalance>,
        bonds_moving_avg: Compact<u64>,
        max_regs_per_block: Compact<u16>,
        serving_rate_limit: Compact<u64>,
        max_validators: Compact<u16>,
        adjustment_alpha: Compact<u64>,
        difficulty: Compact<u64>,
        commit_reveal_period: Compact<u64>,
        commit_reveal_weights_enabled: bool,
        alpha_high: Compact<u16>,
        alpha_low: Compact<u16>,
        liquid_alpha_enabled: bool,
    }

    /// Hyperparameters in their second form.
    SubnetHyperparamsV2 {
        rho: Compact<u16>,
        kappa: Compact<u16>,
        immunity_period: Compact<u16>,
        min_allowed_weights: Compact<u16>,
        max_weights_limit: Compact<u16>,
        tempo: Compact<u16>,
        min_difficulty: Compact<u64>,
        max_difficulty: Compact<u64>,
        weights_version: Compact<u64>,
        weights_rate_limit: Compact<u64>,
        adjustment_interval: Compact<u16>,
        activity_cutoff: Compact<u64>,
        registration_allowed: bool,
        target_regs_per_interval: Compact<u16>,
        min_burn: Compact<TaoBalance>,
        max_burn: Compact<TaoBalance>,
        bonds_moving_avg: Compact<u64>,
        max_regs_per_block: Compact<u16>,
        serving_rate_limit: Compact<u64>,
        max_validators: Compact<u16>,
        adjustment_alpha: Compact<u64>,
        difficulty: Compact<u64>,
        commit_reveal_period: Compact<u64>,
        commit_reveal_weights_enabled: bool,
        alpha_high: Compact<u16>,
        alpha_low: Compact<u16>,
        liquid_alpha_enabled: bool,
        alpha_sigmoid_steepness: I32F32,
        yuma_version: Compact<u16>,
        subnet_is_active: bool,
        transfers_enabled: bool,
        bonds_reset_enabled: bool,
        user_liquidity_enabled: bool,
    }

    /// What a hotkey's basket is worth.
    BasketSummary<A> {
        hotkey: A,
        nav_tao: TaoBalance,
        spot_nav_tao: TaoBalance,
        shares: u64,
        deposited_tao: TaoBalance,
        redeemed_tao: TaoBalance,
        holdings: Vec<BasketHolding>,
    }

    /// Alpha in a basket.
    BasketHolding {
        netuid: NetUid,
        alpha: AlphaBalance,
        spot_tao: TaoBalance,
        realizable_tao: TaoBalance,
    }

    /// A coldkey's part of a basket.
    BasketPosition<A> {
        hotkey: A,
        beta: u64,
        beta_total: u64,
        nav_tao: TaoBalance,
        value_tao: TaoBalance,
        spot_value_tao: TaoBalance,
    }

    /// Prices and returns of a basket.
    BetaPricing<A> {
        hotkey: A,
        spot_price: U64F64,
        display_price: U64F64,
        stake_price: U64F64,
        staker_yield: U64F64,
        staker_twr: U64F64,
        bag_index: U64F64,
        stake_index: U64F64,
        first_block: u64,
        provisional: bool,
        spot_nav_tao: TaoBalance,
        shares: u64,
        display_shares: U64F64,
    }

    /// Some baskets' prices, and where the next begin.
    BetaPricingPage<A> {
        pricing: Vec<BetaPricing<A>>,
        next: Option<A>,
    }

    /// A coldkey's part of a basket at its price.
    BetaPosition<A> {
        hotkey: A,
        beta: u64,
        display_beta: U64F64,
        display_price: U64F64,
        value_tao: TaoBalance,
        spot_value_tao: TaoBalance,
        provisional: bool,
    }

    /// Whether a basket may trade, and how much.
    BasketTradingStatus {
        enabled: bool,
        frozen: bool,
        refill_blocks: u64,
        tao_available: TaoBalance,
        budget_tao: TaoBalance,
    }

    /// A hotkey that others stake on.
    DelegateInfo<A> {
        delegate_ss58: A,
        take: Compact<u16>,
        nominators: Vec<(A, Vec<(Compact<NetUid>, Compact<AlphaBalance>)>)>,
        owner_ss58: A,
        registrations: Vec<Compact<NetUid>>,
        validator_permits: Vec<Compact<NetUid>>,
        return_per_1000: Compact<AlphaBalance>,
        total_daily_return: Compact<AlphaBalance>,
    }

    /// What a swap would do.
    SimSwapResult {
        tao_amount: TaoBalance,
        alpha_amount: AlphaBalance,
        tao_fee: TaoBalance,
        alpha_fee: AlphaBalance,
        tao_slippage: TaoBalance,
        alpha_slippage: AlphaBalance,
    }

    /// A subnet's price in rao for one alpha.
    SubnetPrice {
        netuid: NetUid,
        price: u64,
    }

    /// A hyperparameter by name.
    HyperparamEntry {
        name: Vec<u8>,
        value: HyperparamValue,
    }
}

/// A hyperparameter's value with its kind.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
#[allow(missing_docs, reason = "the names are the chain's")]
pub enum HyperparamValue {
    Bool(bool),
    U16(Compact<u16>),
    U32(Compact<u32>),
    U64(Compact<u64>),
    U128(Compact<u128>),
    TaoBalance(Compact<TaoBalance>),
    I32F32(I32F32),
    U64F64(U64F64),
}

/// Text as the chain's structures hold it.
pub fn text(bytes: &[u8]) -> Vec<Compact<u8>> {
    bytes.iter().copied().map(Compact).collect()
}

/// Proportions as the chain's structures hold them.
pub fn proportions(values: Vec<PerU16>) -> Vec<Compact<PerU16>> {
    values.into_iter().map(Compact).collect()
}

/// The main mechanism.
pub const MAIN: MechId = MechId(0);

/// Defines the metagraph of which a client names the fields it wants, and how it is cut out of the whole.
macro_rules! selective {
    ($($index:literal $field:ident: $ty:ty,)*) => {
        /// The fields of a metagraph that were asked for.
        #[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
        #[allow(missing_docs, reason = "the names are the chain's")]
        pub struct SelectiveMetagraph<A> {
            pub netuid: Compact<NetUid>,
            $(pub $field: Option<$ty>,)*
            pub validators: Option<Vec<Compact<u16>>>,
            pub commitments: Option<Vec<(A, Vec<Compact<u8>>)>>,
            pub collateral_locked: Option<Vec<Compact<AlphaBalance>>>,
            pub collateral_min: Option<Vec<Compact<AlphaBalance>>>,
            pub collateral_earned: Option<Vec<Compact<AlphaBalance>>>,
        }

        impl<A> SelectiveMetagraph<A> {
            /// Cuts the fields with these numbers out of a metagraph; numbers of no field are passed over.
            pub fn of(
                all: Metagraph<A>,
                indexes: &[u16],
                commitments: impl FnOnce() -> Vec<(A, Vec<Compact<u8>>)>,
            ) -> Self {
                let wants = |index: u16| indexes.contains(&index);
                let permitted = (0u16..).zip(&all.validator_permit).filter(|(_, permit)| **permit);
                let validators = permitted.map(|(uid, _)| Compact(uid)).collect();
                Self {
                    netuid: all.netuid,
                    validators: wants(VALIDATORS).then_some(validators),
                    commitments: wants(COMMITMENTS).then(commitments),
                    collateral_locked: wants(COLLATERAL).then_some(all.collateral_locked),
                    collateral_min: wants(COLLATERAL + 1).then_some(all.collateral_min),
                    collateral_earned: wants(COLLATERAL + 2).then_some(all.collateral_earned),
                    $($field: wants($index).then_some(all.$field),)*
                }
            }
        }
    };
}

/// Numbers of the fields that a whole metagraph lacks, and of the first of the three on collateral.
const VALIDATORS: u16 = 72;
const COMMITMENTS: u16 = 73;
const COLLATERAL: u16 = 74;

selective! {
    1 name: Vec<Compact<u8>>,
    2 symbol: Vec<Compact<u8>>,
    3 identity: Option<SubnetIdentityV3>,
    4 network_registered_at: Compact<u64>,
    5 owner_hotkey: A,
    6 owner_coldkey: A,
    7 block: Compact<u64>,
    8 tempo: Compact<u16>,
    9 last_step: Compact<u64>,
    10 blocks_since_last_step: Compact<u64>,
    11 subnet_emission: Compact<u64>,
    12 alpha_in: Compact<AlphaBalance>,
    13 alpha_out: Compact<AlphaBalance>,
    14 tao_in: Compact<TaoBalance>,
    15 alpha_out_emission: Compact<AlphaBalance>,
    16 alpha_in_emission: Compact<AlphaBalance>,
    17 tao_in_emission: Compact<TaoBalance>,
    18 pending_alpha_emission: Compact<AlphaBalance>,
    19 pending_root_emission: Compact<TaoBalance>,
    20 subnet_volume: Compact<u128>,
    21 moving_price: I96F32,
    22 rho: Compact<u16>,
    23 kappa: Compact<u16>,
    24 min_allowed_weights: Compact<u16>,
    25 max_weights_limit: Compact<u16>,
    26 weights_version: Compact<u64>,
    27 weights_rate_limit: Compact<u64>,
    28 activity_cutoff: Compact<u64>,
    29 max_validators: Compact<u16>,
    30 num_uids: Compact<u16>,
    31 max_uids: Compact<u16>,
    32 burn: Compact<TaoBalance>,
    33 difficulty: Compact<u64>,
    34 registration_allowed: bool,
    35 pow_registration_allowed: bool,
    36 immunity_period: Compact<u16>,
    37 min_difficulty: Compact<u64>,
    38 max_difficulty: Compact<u64>,
    39 min_burn: Compact<TaoBalance>,
    40 max_burn: Compact<TaoBalance>,
    41 adjustment_alpha: Compact<u64>,
    42 adjustment_interval: Compact<u16>,
    43 target_regs_per_interval: Compact<u16>,
    44 max_regs_per_block: Compact<u16>,
    45 serving_rate_limit: Compact<u64>,
    46 commit_reveal_weights_enabled: bool,
    47 commit_reveal_period: Compact<u64>,
    48 liquid_alpha_enabled: bool,
    49 alpha_high: Compact<u16>,
    50 alpha_low: Compact<u16>,
    51 bonds_moving_avg: Compact<u64>,
    52 hotkeys: Vec<A>,
    53 coldkeys: Vec<A>,
    54 identities: Vec<Option<ChainIdentityV2>>,
    55 axons: Vec<AxonInfo>,
    56 active: Vec<bool>,
    57 validator_permit: Vec<bool>,
    58 pruning_score: Vec<Compact<u16>>,
    59 last_update: Vec<Compact<u64>>,
    60 emission: Vec<Compact<AlphaBalance>>,
    61 dividends: Vec<Compact<PerU16>>,
    62 incentives: Vec<Compact<PerU16>>,
    63 consensus: Vec<Compact<PerU16>>,
    64 trust: Vec<Compact<PerU16>>,
    65 rank: Vec<Compact<u16>>,
    66 block_at_registration: Vec<Compact<u64>>,
    67 alpha_stake: Vec<Compact<AlphaBalance>>,
    68 tao_stake: Vec<Compact<TaoBalance>>,
    69 total_stake: Vec<Compact<TaoBalance>>,
    70 tao_dividends_per_hotkey: Vec<(A, Compact<TaoBalance>)>,
    71 alpha_dividends_per_hotkey: Vec<(A, Compact<AlphaBalance>)>,
}
