//! Events of the subnet pallet under the indices of spec 461.

use frame_support::pallet_macros::pallet_section;

/// The events that this runtime emits.
#[pallet_section]
mod events {
    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(crate) fn deposit_event)]
    pub enum Event<T: Config> {
        /// Subnet, mechanism kind.
        #[codec(index = 0)]
        NetworkAdded(NetUid, u16),
        /// Subnet.
        #[codec(index = 1)]
        NetworkRemoved(NetUid),
        /// Coldkey, hotkey, TAO, alpha, subnet, fee.
        #[codec(index = 2)]
        StakeAdded(T::AccountId, T::AccountId, TaoBalance, AlphaBalance, NetUid, u64),
        /// Coldkey, hotkey, TAO, alpha, subnet, fee.
        #[codec(index = 3)]
        StakeRemoved(T::AccountId, T::AccountId, TaoBalance, AlphaBalance, NetUid, u64),
        /// Coldkey, from hotkey and subnet, to hotkey and subnet, TAO.
        #[codec(index = 4)]
        StakeMoved(T::AccountId, T::AccountId, NetUid, T::AccountId, NetUid, TaoBalance),
        /// Mechanism index, uid.
        #[codec(index = 5)]
        WeightsSet(NetUidStorageIndex, u16),
        /// Subnet, uid, hotkey.
        #[codec(index = 7)]
        NeuronRegistered(NetUid, u16, T::AccountId),
        /// Max allowed uids set.
        #[codec(index = 10)]
        MaxAllowedUidsSet(NetUid, u16),
        /// Difficulty set.
        #[codec(index = 12)]
        DifficultySet(NetUid, u64),
        /// Adjustment interval set.
        #[codec(index = 13)]
        AdjustmentIntervalSet(NetUid, u16),
        /// Registration per interval set.
        #[codec(index = 14)]
        RegistrationPerIntervalSet(NetUid, u16),
        /// Max registrations per block set.
        #[codec(index = 15)]
        MaxRegistrationsPerBlockSet(NetUid, u16),
        /// Activity cutoff set.
        #[codec(index = 16)]
        ActivityCutoffSet(NetUid, u16),
        /// Rho set.
        #[codec(index = 17)]
        RhoSet(NetUid, u16),
        /// Alpha sigmoid steepness set.
        #[codec(index = 18)]
        AlphaSigmoidSteepnessSet(NetUid, i16),
        /// Kappa set.
        #[codec(index = 19)]
        KappaSet(NetUid, u16),
        /// Min allowed weight set.
        #[codec(index = 20)]
        MinAllowedWeightSet(NetUid, u16),
        /// Weights set rate limit set.
        #[codec(index = 23)]
        WeightsSetRateLimitSet(NetUid, u64),
        /// Immunity period set.
        #[codec(index = 24)]
        ImmunityPeriodSet(NetUid, u16),
        /// Bonds moving average set.
        #[codec(index = 25)]
        BondsMovingAverageSet(NetUid, u64),
        /// Bonds penalty set.
        #[codec(index = 26)]
        BondsPenaltySet(NetUid, u16),
        /// Bonds reset on set.
        #[codec(index = 27)]
        BondsResetOnSet(NetUid, bool),
        /// Max allowed validators set.
        #[codec(index = 28)]
        MaxAllowedValidatorsSet(NetUid, u16),
        /// Subnet, hotkey.
        #[codec(index = 29)]
        AxonServed(NetUid, T::AccountId),
        /// Subnet, hotkey.
        #[codec(index = 30)]
        PrometheusServed(NetUid, T::AccountId),
        /// Weights version key set.
        #[codec(index = 33)]
        WeightsVersionKeySet(NetUid, u64),
        /// Min difficulty set.
        #[codec(index = 34)]
        MinDifficultySet(NetUid, u64),
        /// Max difficulty set.
        #[codec(index = 35)]
        MaxDifficultySet(NetUid, u64),
        /// Serving rate limit set.
        #[codec(index = 36)]
        ServingRateLimitSet(NetUid, u64),
        /// Burn set.
        #[codec(index = 37)]
        BurnSet(NetUid, TaoBalance),
        /// Max burn set.
        #[codec(index = 38)]
        MaxBurnSet(NetUid, TaoBalance),
        /// Min burn set.
        #[codec(index = 39)]
        MinBurnSet(NetUid, TaoBalance),
        /// Max epochs per block set.
        #[codec(index = 40)]
        MaxEpochsPerBlockSet(u8),
        /// Tx rate limit set.
        #[codec(index = 41)]
        TxRateLimitSet(u64),
        /// Tx delegate take rate limit set.
        #[codec(index = 42)]
        TxDelegateTakeRateLimitSet(u64),
        /// Tx child key take rate limit set.
        #[codec(index = 43)]
        TxChildKeyTakeRateLimitSet(u64),
        /// Admin freeze window set.
        #[codec(index = 44)]
        AdminFreezeWindowSet(u16),
        /// Owner hyperparam rate limit set.
        #[codec(index = 45)]
        OwnerHyperparamRateLimitSet(u16),
        /// Min child key take set.
        #[codec(index = 46)]
        MinChildKeyTakeSet(PerU16),
        /// Min child key take per subnet set.
        #[codec(index = 47)]
        MinChildKeyTakePerSubnetSet(NetUid, PerU16),
        /// Max child key take set.
        #[codec(index = 48)]
        MaxChildKeyTakeSet(PerU16),
        /// Hotkey, take.
        #[codec(index = 49)]
        ChildKeyTakeSet(T::AccountId, PerU16),
        /// Registration allowed.
        #[codec(index = 51)]
        RegistrationAllowed(NetUid, bool),
        /// Tempo set.
        #[codec(index = 53)]
        TempoSet(NetUid, u16),
        /// Raorecycled for registration set.
        #[codec(index = 54)]
        RAORecycledForRegistrationSet(NetUid, TaoBalance),
        /// Stake threshold set.
        #[codec(index = 55)]
        StakeThresholdSet(u64),
        /// Adjustment alpha set.
        #[codec(index = 56)]
        AdjustmentAlphaSet(NetUid, u64),
        /// Account, rao.
        #[codec(index = 57)]
        Faucet(T::AccountId, u64),
        /// Subnet owner cut set.
        #[codec(index = 58)]
        SubnetOwnerCutSet(u16),
        /// Network rate limit set.
        #[codec(index = 59)]
        NetworkRateLimitSet(u64),
        /// Network immunity period set.
        #[codec(index = 60)]
        NetworkImmunityPeriodSet(u64),
        /// Start call delay set.
        #[codec(index = 61)]
        StartCallDelaySet(u64),
        /// Network min lock cost set.
        #[codec(index = 62)]
        NetworkMinLockCostSet(TaoBalance),
        /// Subnet limit set.
        #[codec(index = 63)]
        SubnetLimitSet(u16),
        /// Network lock cost reduction interval set.
        #[codec(index = 64)]
        NetworkLockCostReductionIntervalSet(u64),
        /// Coldkey, hotkey, take.
        #[codec(index = 65)]
        TakeDecreased(T::AccountId, T::AccountId, PerU16),
        /// Coldkey, hotkey, take.
        #[codec(index = 66)]
        TakeIncreased(T::AccountId, T::AccountId, PerU16),
        /// A hotkey took another's place everywhere.
        #[codec(index = 67)]
        HotkeySwapped {
            /// Who owns both.
            coldkey: T::AccountId,
            /// The hotkey before.
            old_hotkey: T::AccountId,
            /// The hotkey now.
            new_hotkey: T::AccountId,
        },
        /// Max delegate take set.
        #[codec(index = 68)]
        MaxDelegateTakeSet(PerU16),
        /// Min delegate take set.
        #[codec(index = 69)]
        MinDelegateTakeSet(PerU16),
        /// A coldkey said by which it will be replaced.
        #[codec(index = 70)]
        ColdkeySwapAnnounced { who: T::AccountId, new_coldkey_hash: T::Hash },
        /// Root withdrew an announcement and its dispute.
        #[codec(index = 71)]
        ColdkeySwapReset { who: T::AccountId },
        /// A coldkey took another's place.
        #[codec(index = 72)]
        ColdkeySwapped { old_coldkey: T::AccountId, new_coldkey: T::AccountId },
        /// A coldkey's announced swap was disputed.
        #[codec(index = 73)]
        ColdkeySwapDisputed { coldkey: T::AccountId },
        /// Hotkey, subnet, block, children.
        #[codec(index = 76)]
        SetChildrenScheduled(T::AccountId, NetUid, u64, Vec<(u64, T::AccountId)>),
        /// Hotkey, subnet, children.
        #[codec(index = 77)]
        SetChildren(T::AccountId, NetUid, Vec<(u64, T::AccountId)>),
        /// Coldkey.
        #[codec(index = 78)]
        ChainIdentitySet(T::AccountId),
        /// Subnet identity set.
        #[codec(index = 79)]
        SubnetIdentitySet(NetUid),
        /// Subnet identity removed.
        #[codec(index = 80)]
        SubnetIdentityRemoved(NetUid),
        /// Hotkey, mechanism index, hash.
        #[codec(index = 86)]
        WeightsCommitted(T::AccountId, NetUidStorageIndex, H256),
        /// Hotkey, mechanism index, hash.
        #[codec(index = 87)]
        WeightsRevealed(T::AccountId, NetUidStorageIndex, H256),
        /// Hotkey, subnet, hashes.
        #[codec(index = 88)]
        WeightsBatchRevealed(T::AccountId, NetUid, Vec<H256>),
        /// Subnets, hotkey.
        #[codec(index = 89)]
        BatchWeightsCompleted(Vec<Compact<NetUid>>, T::AccountId),
        /// At least one item of a batch failed.
        #[codec(index = 90)]
        BatchCompletedWithErrors,
        /// Subnet, reason.
        #[codec(index = 91)]
        BatchWeightItemFailed(NetUid, sp_runtime::DispatchError),
        /// From and to coldkey, hotkey, from and to subnet, TAO.
        #[codec(index = 92)]
        StakeTransferred(T::AccountId, T::AccountId, T::AccountId, NetUid, NetUid, TaoBalance),
        /// Coldkey, hotkey, from and to subnet, TAO.
        #[codec(index = 93)]
        StakeSwapped(T::AccountId, T::AccountId, NetUid, NetUid, TaoBalance),
        /// Transfer toggle.
        #[codec(index = 94)]
        TransferToggle(NetUid, bool),
        /// Subnet owner hotkey set.
        #[codec(index = 95)]
        SubnetOwnerHotkeySet(NetUid, T::AccountId),
        /// First emission block number set.
        #[codec(index = 96)]
        FirstEmissionBlockNumberSet(NetUid, u64),
        /// Coldkey, hotkey, alpha, subnet.
        #[codec(index = 97)]
        AlphaRecycled(T::AccountId, T::AccountId, AlphaBalance, NetUid),
        /// Coldkey, hotkey, alpha, subnet.
        #[codec(index = 98)]
        AlphaBurned(T::AccountId, T::AccountId, AlphaBalance, NetUid),
        /// Commit reveal periods set.
        #[codec(index = 101)]
        CommitRevealPeriodsSet(NetUid, u64),
        /// Commit reveal enabled.
        #[codec(index = 102)]
        CommitRevealEnabled(NetUid, bool),
        /// A hotkey took another's place on a subnet.
        #[codec(index = 103)]
        HotkeySwappedOnSubnet {
            /// Who owns both.
            coldkey: T::AccountId,
            /// The hotkey before.
            old_hotkey: T::AccountId,
            /// The hotkey now.
            new_hotkey: T::AccountId,
            /// The subnet.
            netuid: NetUid,
        },
        /// Symbol updated.
        #[codec(index = 106)]
        SymbolUpdated { netuid: NetUid, symbol: Vec<u8> },
        /// Commit reveal version set.
        #[codec(index = 107)]
        CommitRevealVersionSet(u16),
        /// Hotkey, mechanism index, hash of the ciphertext, round.
        #[codec(index = 108)]
        TimelockedWeightsCommitted(T::AccountId, NetUidStorageIndex, H256, u64),
        /// Mechanism index, hotkey.
        #[codec(index = 109)]
        TimelockedWeightsRevealed(NetUidStorageIndex, T::AccountId),
        /// Auto stake added.
        #[codec(index = 110)]
        AutoStakeAdded {
            netuid: NetUid,
            destination: T::AccountId,
            hotkey: T::AccountId,
            owner: T::AccountId,
            incentive: AlphaBalance,
        },
        /// Incentive alpha emitted to miners.
        #[codec(index = 111)]
        IncentiveAlphaEmittedToMiners { netuid: NetUidStorageIndex, emissions: Vec<AlphaBalance> },
        /// Min allowed uids set.
        #[codec(index = 112)]
        MinAllowedUidsSet(NetUid, u16),
        /// Auto stake destination set.
        #[codec(index = 113)]
        AutoStakeDestinationSet { coldkey: T::AccountId, netuid: NetUid, hotkey: T::AccountId },
        /// Min non immune uids set.
        #[codec(index = 114)]
        MinNonImmuneUidsSet(NetUid, u16),
        /// Root claimed.
        #[codec(index = 115)]
        RootClaimed { coldkey: T::AccountId, tao: TaoBalance },
        /// Add stake burn.
        #[codec(index = 125)]
        AddStakeBurn {
            netuid: NetUid,
            hotkey: T::AccountId,
            amount: TaoBalance,
            alpha: AlphaBalance,
        },
        /// A coldkey withdrew its announcement.
        #[codec(index = 127)]
        ColdkeySwapCleared { who: T::AccountId },
        /// A coldkey without TAO paid a transaction's fee in alpha.
        #[codec(index = 128)]
        TransactionFeePaidWithAlpha {
            who: T::AccountId,
            netuid: NetUid,
            alpha_fee: AlphaBalance,
            tao_amount: TaoBalance,
        },
        /// Burn half life set.
        #[codec(index = 129)]
        BurnHalfLifeSet { netuid: NetUid, burn_half_life: u16 },
        /// Burn increase mult set.
        #[codec(index = 130)]
        BurnIncreaseMultSet { netuid: NetUid, burn_increase_mult: U64F64 },
        /// Hotkey, state.
        #[codec(index = 131)]
        AutoParentDelegationEnabledSet { hotkey: T::AccountId, enabled: bool },
        /// Activity cutoff factor milli set.
        #[codec(index = 135)]
        ActivityCutoffFactorMilliSet { netuid: NetUid, factor_milli: u32 },
        /// Epoch triggered.
        #[codec(index = 136)]
        EpochTriggered { netuid: NetUid, by: T::AccountId, fires_at: u64 },
        /// Epoch deferred.
        #[codec(index = 137)]
        EpochDeferred { netuid: NetUid, from_block: u64, to_block: u64 },
        /// Epoch skipped.
        #[codec(index = 138)]
        EpochSkipped { netuid: NetUid, block: u64 },
        /// Liquid alpha consensus mode set.
        #[codec(index = 146)]
        LiquidAlphaConsensusModeSet(NetUid, ConsensusMode),
        /// An upgrade of a development chain brought an event; hidden until then.
        #[codec(index = 250)]
        DevUpgraded { spec_version: u32 },
    }
}
