//! Constants of the chain that nothing here computes with: finney's values, as its metadata lists them.
//! Clients read some of them as defaults.

use frame_support::pallet_macros::pallet_section;

/// The constants.
#[pallet_section]
mod constants {
    /// Constants.
    #[pallet::extra_constants]
    impl<T: Config> Pallet<T> {
        /// As finney has it.
        #[pallet::constant_name(InitialIssuance)]
        fn initial_issuance() -> TaoBalance {
            TaoBalance(0)
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMinAllowedWeights)]
        fn initial_min_allowed_weights() -> u16 {
            1_024
        }

        /// As finney has it.
        #[pallet::constant_name(InitialEmissionValue)]
        fn initial_emission_value() -> u16 {
            0
        }

        /// As finney has it.
        #[pallet::constant_name(InitialTempo)]
        fn initial_tempo() -> u16 {
            360
        }

        /// As finney has it.
        #[pallet::constant_name(InitialDifficulty)]
        fn initial_difficulty() -> u64 {
            10_000_000
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMaxDifficulty)]
        fn initial_max_difficulty() -> u64 {
            4_611_686_018_427_387_903
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMinDifficulty)]
        fn initial_min_difficulty() -> u64 {
            10_000_000
        }

        /// As finney has it.
        #[pallet::constant_name(InitialRAORecycledForRegistration)]
        fn initial_rao_recycled_for_registration() -> TaoBalance {
            TaoBalance(0)
        }

        /// As finney has it.
        #[pallet::constant_name(InitialBurn)]
        fn initial_burn() -> TaoBalance {
            TaoBalance(100_000_000)
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMaxBurn)]
        fn initial_max_burn() -> TaoBalance {
            TaoBalance(100_000_000_000)
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMinBurn)]
        fn initial_min_burn() -> TaoBalance {
            TaoBalance(500_000)
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMinTransfer)]
        fn initial_min_transfer() -> TaoBalance {
            TaoBalance(100_000)
        }

        /// As finney has it.
        #[pallet::constant_name(InitialAdjustmentInterval)]
        fn initial_adjustment_interval() -> u16 {
            100
        }

        /// As finney has it.
        #[pallet::constant_name(InitialBondsMovingAverage)]
        fn initial_bonds_moving_average() -> u64 {
            900_000
        }

        /// As finney has it.
        #[pallet::constant_name(InitialBondsPenalty)]
        fn initial_bonds_penalty() -> u16 {
            65_535
        }

        /// As finney has it.
        #[pallet::constant_name(InitialBondsResetOn)]
        fn initial_bonds_reset_on() -> bool {
            false
        }

        /// As finney has it.
        #[pallet::constant_name(InitialTargetRegistrationsPerInterval)]
        fn initial_target_registrations_per_interval() -> u16 {
            2
        }

        /// As finney has it.
        #[pallet::constant_name(InitialRho)]
        fn initial_rho() -> u16 {
            10
        }

        /// As finney has it.
        #[pallet::constant_name(InitialAlphaSigmoidSteepness)]
        fn initial_alpha_sigmoid_steepness() -> i16 {
            1_000
        }

        /// As finney has it.
        #[pallet::constant_name(InitialKappa)]
        fn initial_kappa() -> u16 {
            32_767
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMinAllowedUids)]
        fn initial_min_allowed_uids() -> u16 {
            64
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMaxAllowedUids)]
        fn initial_max_allowed_uids() -> u16 {
            256
        }

        /// As finney has it.
        #[pallet::constant_name(InitialValidatorPruneLen)]
        fn initial_validator_prune_len() -> u64 {
            1
        }

        /// As finney has it.
        #[pallet::constant_name(InitialScalingLawPower)]
        fn initial_scaling_law_power() -> u16 {
            50
        }

        /// As finney has it.
        #[pallet::constant_name(InitialImmunityPeriod)]
        fn initial_immunity_period() -> u16 {
            4_096
        }

        /// As finney has it.
        #[pallet::constant_name(InitialActivityCutoff)]
        fn initial_activity_cutoff() -> u16 {
            5_000
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMaxRegistrationsPerBlock)]
        fn initial_max_registrations_per_block() -> u16 {
            1
        }

        /// As finney has it.
        #[pallet::constant_name(InitialPruningScore)]
        fn initial_pruning_score() -> u16 {
            65_535
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMaxAllowedValidators)]
        fn initial_max_allowed_validators() -> u16 {
            128
        }

        /// As finney has it.
        #[pallet::constant_name(InitialDefaultDelegateTake)]
        fn initial_default_delegate_take() -> u16 {
            11_796
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMinDelegateTake)]
        fn initial_min_delegate_take() -> u16 {
            0
        }

        /// As finney has it.
        #[pallet::constant_name(InitialDefaultChildKeyTake)]
        fn initial_default_child_key_take() -> u16 {
            0
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMinChildKeyTake)]
        fn initial_min_child_key_take() -> u16 {
            0
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMaxChildKeyTake)]
        fn initial_max_child_key_take() -> u16 {
            11_796
        }

        /// As finney has it.
        #[pallet::constant_name(InitialWeightsVersionKey)]
        fn initial_weights_version_key() -> u64 {
            0
        }

        /// As finney has it.
        #[pallet::constant_name(InitialServingRateLimit)]
        fn initial_serving_rate_limit() -> u64 {
            50
        }

        /// As finney has it.
        #[pallet::constant_name(InitialTxRateLimit)]
        fn initial_tx_rate_limit() -> u64 {
            1_000
        }

        /// As finney has it.
        #[pallet::constant_name(InitialTxDelegateTakeRateLimit)]
        fn initial_tx_delegate_take_rate_limit() -> u64 {
            216_000
        }

        /// As finney has it.
        #[pallet::constant_name(InitialTxChildKeyTakeRateLimit)]
        fn initial_tx_child_key_take_rate_limit() -> u64 {
            216_000
        }

        /// As finney has it.
        #[pallet::constant_name(InitialAdjustmentAlpha)]
        fn initial_adjustment_alpha() -> u64 {
            0
        }

        /// As finney has it.
        #[pallet::constant_name(InitialNetworkImmunityPeriod)]
        fn initial_network_immunity_period() -> u64 {
            1_296_000
        }

        /// As finney has it.
        #[pallet::constant_name(InitialNetworkMinLockCost)]
        fn initial_network_min_lock_cost() -> TaoBalance {
            TaoBalance(1_000_000_000_000)
        }

        /// As finney has it.
        #[pallet::constant_name(InitialSubnetOwnerCut)]
        fn initial_subnet_owner_cut() -> u16 {
            11_796
        }

        /// As finney has it.
        #[pallet::constant_name(InitialNetworkLockReductionInterval)]
        fn initial_network_lock_reduction_interval() -> u64 {
            100_800
        }

        /// As finney has it.
        #[pallet::constant_name(InitialNetworkRateLimit)]
        fn initial_network_rate_limit() -> u64 {
            7_200
        }

        /// As finney has it.
        #[pallet::constant_name(AlphaHigh)]
        fn alpha_high() -> u16 {
            58_982
        }

        /// As finney has it.
        #[pallet::constant_name(AlphaLow)]
        fn alpha_low() -> u16 {
            45_875
        }

        /// As finney has it.
        #[pallet::constant_name(LiquidAlphaOn)]
        fn liquid_alpha_on() -> bool {
            false
        }

        /// As finney has it.
        #[pallet::constant_name(Yuma3On)]
        fn yuma3_on() -> bool {
            false
        }

        /// As finney has it.
        #[pallet::constant_name(InitialColdkeySwapAnnouncementDelay)]
        fn initial_coldkey_swap_announcement_delay() -> u32 {
            36_000
        }

        /// As finney has it.
        #[pallet::constant_name(InitialColdkeySwapReannouncementDelay)]
        fn initial_coldkey_swap_reannouncement_delay() -> u32 {
            7_200
        }

        /// As finney has it.
        #[pallet::constant_name(InitialDissolveNetworkScheduleDuration)]
        fn initial_dissolve_network_schedule_duration() -> u32 {
            36_000
        }

        /// As finney has it.
        #[pallet::constant_name(InitialTaoWeight)]
        fn initial_tao_weight() -> u64 {
            971_718_665_099_567_868
        }

        /// As finney has it.
        #[pallet::constant_name(InitialEmaPriceHalvingPeriod)]
        fn initial_ema_price_halving_period() -> u64 {
            201_600
        }

        /// As finney has it.
        #[pallet::constant_name(LeaseDividendsDistributionInterval)]
        fn lease_dividends_distribution_interval() -> u32 {
            100
        }

        /// As finney has it.
        #[pallet::constant_name(InitialMaxEpochsPerBlock)]
        fn initial_max_epochs_per_block() -> u8 {
            2
        }
    }
}
