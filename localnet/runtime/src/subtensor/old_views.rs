//! What runtime APIs answer in forms that newer ones replaced; older clients still ask for them.

use super::*;
use crate::info::{SubnetHyperparams, SubnetHyperparamsV2, SubnetInfo, SubnetInfov2};
use scoring::fixed::I32F32;

impl<T: Config> Pallet<T> {
    /// A network.
    pub fn subnet_info(netuid: NetUid) -> Option<SubnetInfo<T::AccountId>> {
        if !NetworksAdded::<T>::get(netuid) {
            return None;
        }
        Some(SubnetInfo {
            netuid: netuid.into(),
            rho: Rho::<T>::get(netuid).into(),
            kappa: Kappa::<T>::get(netuid).into(),
            difficulty: Difficulty::<T>::get(netuid).into(),
            immunity_period: ImmunityPeriod::<T>::get(netuid).into(),
            max_allowed_validators: MaxAllowedValidators::<T>::get(netuid).into(),
            min_allowed_weights: MinAllowedWeights::<T>::get(netuid).into(),
            max_weights_limit: MaxWeightsLimit::<T>::get(netuid).into(),
            scaling_law_power: ScalingLawPower::<T>::get(netuid).into(),
            subnetwork_n: SubnetworkN::<T>::get(netuid).into(),
            max_allowed_uids: MaxAllowedUids::<T>::get(netuid).into(),
            blocks_since_last_step: BlocksSinceLastStep::<T>::get(netuid).into(),
            tempo: Tempo::<T>::get(netuid).into(),
            network_modality: 0.into(),
            network_connect: Vec::new(),
            emission_values: 0.into(),
            burn: Burn::<T>::get(netuid).into(),
            owner: SubnetOwner::<T>::get(netuid),
        })
    }

    /// A network with its identity.
    pub fn subnet_info_v2(netuid: NetUid) -> Option<SubnetInfov2<T::AccountId>> {
        let info = Self::subnet_info(netuid)?;
        Some(SubnetInfov2 {
            netuid: info.netuid,
            rho: info.rho,
            kappa: info.kappa,
            difficulty: info.difficulty,
            immunity_period: info.immunity_period,
            max_allowed_validators: info.max_allowed_validators,
            min_allowed_weights: info.min_allowed_weights,
            max_weights_limit: info.max_weights_limit,
            scaling_law_power: info.scaling_law_power,
            subnetwork_n: info.subnetwork_n,
            max_allowed_uids: info.max_allowed_uids,
            blocks_since_last_step: info.blocks_since_last_step,
            tempo: info.tempo,
            network_modality: info.network_modality,
            network_connect: info.network_connect,
            emission_value: info.emission_values,
            burn: info.burn,
            owner: info.owner,
            identity: SubnetIdentitiesV3::<T>::get(netuid),
        })
    }

    /// Hyperparameters in their first form.
    pub fn hyperparameters_v1(netuid: NetUid) -> Option<SubnetHyperparams> {
        if !NetworksAdded::<T>::get(netuid) {
            return None;
        }
        let (alpha_low, alpha_high) = AlphaValues::<T>::get(netuid);
        Some(SubnetHyperparams {
            rho: Rho::<T>::get(netuid).into(),
            kappa: Kappa::<T>::get(netuid).into(),
            immunity_period: ImmunityPeriod::<T>::get(netuid).into(),
            min_allowed_weights: MinAllowedWeights::<T>::get(netuid).into(),
            max_weights_limit: MaxWeightsLimit::<T>::get(netuid).into(),
            tempo: Tempo::<T>::get(netuid).into(),
            min_difficulty: MinDifficulty::<T>::get(netuid).into(),
            max_difficulty: MaxDifficulty::<T>::get(netuid).into(),
            weights_version: WeightsVersionKey::<T>::get(netuid).into(),
            weights_rate_limit: WeightsSetRateLimit::<T>::get(netuid).into(),
            adjustment_interval: AdjustmentInterval::<T>::get(netuid).into(),
            activity_cutoff: Self::activity_cutoff(netuid).into(),
            registration_allowed: NetworkRegistrationAllowed::<T>::get(netuid),
            target_regs_per_interval: TargetRegistrationsPerInterval::<T>::get(netuid).into(),
            min_burn: MinBurn::<T>::get(netuid).into(),
            max_burn: MaxBurn::<T>::get(netuid).into(),
            bonds_moving_avg: BondsMovingAverage::<T>::get(netuid).into(),
            max_regs_per_block: MaxRegistrationsPerBlock::<T>::get(netuid).into(),
            serving_rate_limit: ServingRateLimit::<T>::get(netuid).into(),
            max_validators: MaxAllowedValidators::<T>::get(netuid).into(),
            adjustment_alpha: AdjustmentAlpha::<T>::get(netuid).into(),
            difficulty: Difficulty::<T>::get(netuid).into(),
            commit_reveal_period: RevealPeriodEpochs::<T>::get(netuid).into(),
            commit_reveal_weights_enabled: CommitRevealWeightsEnabled::<T>::get(netuid),
            alpha_high: alpha_high.into(),
            alpha_low: alpha_low.into(),
            liquid_alpha_enabled: LiquidAlphaOn::<T>::get(netuid),
        })
    }

    /// Hyperparameters in their second form.
    pub fn hyperparameters_v2(netuid: NetUid) -> Option<SubnetHyperparamsV2> {
        let v1 = Self::hyperparameters_v1(netuid)?;
        Some(SubnetHyperparamsV2 {
            rho: v1.rho,
            kappa: v1.kappa,
            immunity_period: v1.immunity_period,
            min_allowed_weights: v1.min_allowed_weights,
            max_weights_limit: v1.max_weights_limit,
            tempo: v1.tempo,
            min_difficulty: v1.min_difficulty,
            max_difficulty: v1.max_difficulty,
            weights_version: v1.weights_version,
            weights_rate_limit: v1.weights_rate_limit,
            adjustment_interval: v1.adjustment_interval,
            activity_cutoff: v1.activity_cutoff,
            registration_allowed: v1.registration_allowed,
            target_regs_per_interval: v1.target_regs_per_interval,
            min_burn: v1.min_burn,
            max_burn: v1.max_burn,
            bonds_moving_avg: v1.bonds_moving_avg,
            max_regs_per_block: v1.max_regs_per_block,
            serving_rate_limit: v1.serving_rate_limit,
            max_validators: v1.max_validators,
            adjustment_alpha: v1.adjustment_alpha,
            difficulty: v1.difficulty,
            commit_reveal_period: v1.commit_reveal_period,
            commit_reveal_weights_enabled: v1.commit_reveal_weights_enabled,
            alpha_high: v1.alpha_high,
            alpha_low: v1.alpha_low,
            liquid_alpha_enabled: v1.liquid_alpha_enabled,
            alpha_sigmoid_steepness: I32F32::from_num(AlphaSigmoidSteepness::<T>::get(netuid)),
            yuma_version: if Yuma3On::<T>::get(netuid) { 3 } else { 2 }.into(),
            subnet_is_active: SubtokenEnabled::<T>::get(netuid),
            transfers_enabled: TransferToggle::<T>::get(netuid),
            bonds_reset_enabled: BondsResetOn::<T>::get(netuid),
            user_liquidity_enabled: false,
        })
    }
}
