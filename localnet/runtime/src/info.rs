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
