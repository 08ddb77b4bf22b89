//! Storage of the subnet pallet: the chain's names, keys, hashers and defaults.

use frame_support::pallet_macros::pallet_section;

/// Storage items, grouped by subject.
#[pallet_section]
mod storage {
    // Networks: which exist, who owns them, when they step.

    /// Whether the subnet exists.
    #[pallet::storage]
    pub type NetworksAdded<T: Config> = StorageMap<_, Identity, NetUid, bool, ValueQuery>;

    /// How many networks exist, the root included.
    #[pallet::storage]
    pub type TotalNetworks<T: Config> = StorageValue<_, u16, ValueQuery>;

    /// How many networks may exist, the root excluded.
    #[pallet::storage]
    pub type SubnetLimit<T: Config> = StorageValue<_, u16, ValueQuery, ConstU16<128>>;

    /// Block of the registration.
    #[pallet::storage]
    pub type NetworkRegisteredAt<T: Config> = StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// How often the netuid was registered.
    #[pallet::storage]
    pub type RegisteredSubnetCounter<T: Config> = StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// Blocks in which a new network cannot be pruned.
    #[pallet::storage]
    pub type NetworkImmunityPeriod<T: Config> =
        StorageValue<_, u64, ValueQuery, ConstU64<1_296_000>>;

    /// Lowest cost of a network.
    #[pallet::storage]
    pub type NetworkMinLockCost<T: Config> =
        StorageValue<_, TaoBalance, ValueQuery, ConstTao<1_000_000_000_000>>;

    /// Cost of the network registered last.
    #[pallet::storage]
    pub type NetworkLastLockCost<T: Config> =
        StorageValue<_, TaoBalance, ValueQuery, ConstTao<1_000_000_000_000>>;

    /// Blocks over which the cost falls back to the lowest.
    #[pallet::storage]
    pub type NetworkLockReductionInterval<T: Config> =
        StorageValue<_, u64, ValueQuery, ConstU64<100_800>>;

    /// Blocks between two network registrations.
    #[pallet::storage]
    pub type NetworkRateLimit<T: Config> = StorageValue<_, u64, ValueQuery, ConstU64<7_200>>;

    /// First block in which networks may be registered.
    #[pallet::storage]
    pub type NetworkRegistrationStartBlock<T: Config> = StorageValue<_, u64, ValueQuery>;

    /// Blocks between a registration and its start call.
    #[pallet::storage]
    pub type StartCallDelay<T: Config> = StorageValue<_, u64, ValueQuery>;

    /// Cost paid for the subnet.
    #[pallet::storage]
    pub type SubnetLocked<T: Config> = StorageMap<_, Identity, NetUid, TaoBalance, ValueQuery>;

    /// Largest lock of the genesis network (historical).
    #[pallet::storage]
    pub type LargestLocked<T: Config> = StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// Coldkey of the owner.
    #[pallet::storage]
    pub type SubnetOwner<T: Config> =
        StorageMap<_, Identity, NetUid, T::AccountId, ValueQuery, ZeroAccount<T>>;

    /// Hotkey of the owner.
    #[pallet::storage]
    pub type SubnetOwnerHotkey<T: Config> =
        StorageMap<_, Identity, NetUid, T::AccountId, ValueQuery, ZeroAccount<T>>;

    /// 1 for a subnet with its own alpha.
    #[pallet::storage]
    pub type SubnetMechanism<T: Config> = StorageMap<_, Identity, NetUid, u16, ValueQuery>;

    /// Block of the first emission; set by the start call.
    #[pallet::storage]
    pub type FirstEmissionBlockNumber<T: Config> =
        StorageMap<_, Identity, NetUid, u64, OptionQuery>;

    /// Whether alpha may be bought and sold.
    #[pallet::storage]
    pub type SubtokenEnabled<T: Config> = StorageMap<_, Identity, NetUid, bool, ValueQuery>;

    /// Symbol of the alpha.
    #[pallet::storage]
    pub type TokenSymbol<T: Config> =
        StorageMap<_, Identity, NetUid, Vec<u8>, ValueQuery, DefaultSymbol>;

    /// What the owner says about the subnet.
    #[pallet::storage]
    pub type SubnetIdentitiesV3<T: Config> =
        StorageMap<_, Blake2_128Concat, NetUid, SubnetIdentityV3, OptionQuery>;

    /// Whether stake may change hands.
    #[pallet::storage]
    pub type TransferToggle<T: Config> =
        StorageMap<_, Identity, NetUid, bool, ValueQuery, ConstBool<true>>;

    /// Subnets that are being dissolved.
    #[pallet::storage]
    pub type DissolveCleanupQueue<T: Config> = StorageValue<_, Vec<NetUid>, ValueQuery>;

    /// Progress of the subnet being dissolved.
    #[pallet::storage]
    pub type CurrentDissolveCleanupStatus<T: Config> =
        StorageValue<_, DissolveCleanupStatus, OptionQuery>;

    /// Networks waiting for a free netuid.
    #[pallet::storage]
    pub type NetworkRegistrationQueue<T: Config> =
        StorageValue<_, Vec<NetworkRegistrationInfo<T::AccountId>>, ValueQuery>;

    // Epoch schedule.

    /// Blocks between epochs.
    #[pallet::storage]
    pub type Tempo<T: Config> = StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<360>>;

    /// Block of the last epoch.
    #[pallet::storage]
    pub type LastEpochBlock<T: Config> = StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// Block of a triggered or deferred epoch, 0 for none.
    #[pallet::storage]
    pub type PendingEpochAt<T: Config> = StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// Epochs so far.
    #[pallet::storage]
    pub type SubnetEpochIndex<T: Config> = StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// Blocks since the last epoch.
    #[pallet::storage]
    pub type BlocksSinceLastStep<T: Config> = StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// Block of the last epoch that computed consensus (the name is the chain's).
    #[pallet::storage]
    pub type LastMechansimStepBlock<T: Config> = StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// Epochs that one block may run.
    #[pallet::storage]
    pub type MaxEpochsPerBlock<T: Config> = StorageValue<_, u8, ValueQuery, ConstU8<2>>;

    /// Blocks before an epoch in which hyperparameters are frozen.
    #[pallet::storage]
    pub type AdminFreezeWindow<T: Config> = StorageValue<_, u16, ValueQuery, ConstU16<10>>;

    /// Epochs between two changes of one hyperparameter by an owner.
    #[pallet::storage]
    pub type OwnerHyperparamRateLimit<T: Config> = StorageValue<_, u16, ValueQuery, ConstU16<2>>;

    /// Activity cutoff in thousandths of a tempo.
    #[pallet::storage]
    pub type ActivityCutoffFactorMilli<T: Config> =
        StorageMap<_, Identity, NetUid, u32, ValueQuery, ConstU32<13_889>>;

    /// Activity cutoff in blocks (historical).
    #[pallet::storage]
    pub type ActivityCutoff<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<5_000>>;

    /// Which rules the epoch follows.
    #[pallet::storage]
    pub type SubnetEpochConsensus<T: Config> =
        StorageMap<_, Identity, NetUid, EpochConsensus, ValueQuery>;

    /// Which consensus liquid alpha reads.
    #[pallet::storage]
    pub type LiquidAlphaConsensusMode<T: Config> =
        StorageMap<_, Identity, NetUid, ConsensusMode, ValueQuery>;

    // Hyperparameters of the epoch.

    /// Share of stake a weight needs, of 65535.
    #[pallet::storage]
    pub type Kappa<T: Config> = StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<32_767>>;

    /// Unused by the epoch.
    #[pallet::storage]
    pub type Rho<T: Config> = StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<10>>;

    /// Steepness of the liquid alpha sigmoid, in hundredths.
    #[pallet::storage]
    pub type AlphaSigmoidSteepness<T: Config> =
        StorageMap<_, Identity, NetUid, i16, ValueQuery, ConstI16<1_000>>;

    /// Bounds of liquid alpha, of 65535.
    #[pallet::storage]
    pub type AlphaValues<T: Config> =
        StorageMap<_, Identity, NetUid, (u16, u16), ValueQuery, DefaultAlphaValues>;

    /// Whether bonds move at a rate of their own.
    #[pallet::storage]
    pub type LiquidAlphaOn<T: Config> = StorageMap<_, Blake2_128Concat, NetUid, bool, ValueQuery>;

    /// Whether bonds follow Yuma 3.
    #[pallet::storage]
    pub type Yuma3On<T: Config> = StorageMap<_, Blake2_128Concat, NetUid, bool, ValueQuery>;

    /// Share of a bond that stays, of 10^6.
    #[pallet::storage]
    pub type BondsMovingAverage<T: Config> =
        StorageMap<_, Identity, NetUid, u64, ValueQuery, ConstU64<900_000>>;

    /// How strongly bonds follow clipped weights, of 65535.
    #[pallet::storage]
    pub type BondsPenalty<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<65_535>>;

    /// Whether a commitment may reset bonds.
    #[pallet::storage]
    pub type BondsResetOn<T: Config> = StorageMap<_, Identity, NetUid, bool, ValueQuery>;

    /// Fewest weights in a row.
    #[pallet::storage]
    pub type MinAllowedWeights<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<1_024>>;

    /// Largest part of a row that one weight may have, of 65535; no call sets it.
    #[pallet::storage]
    pub type MaxWeightsLimit<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<65_535>>;

    /// Blocks between two rows of one neuron.
    #[pallet::storage]
    pub type WeightsSetRateLimit<T: Config> =
        StorageMap<_, Identity, NetUid, u64, ValueQuery, ConstU64<100>>;

    /// Lowest version key that may set weights.
    #[pallet::storage]
    pub type WeightsVersionKey<T: Config> = StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// Tempos between two changes of the version key.
    #[pallet::storage]
    pub type WeightsVersionKeyRateLimit<T: Config> = StorageValue<_, u64, ValueQuery, ConstU64<5>>;

    /// Whether weights are committed first.
    #[pallet::storage]
    pub type CommitRevealWeightsEnabled<T: Config> =
        StorageMap<_, Identity, NetUid, bool, ValueQuery, ConstBool<true>>;

    /// Epochs between commit and reveal.
    #[pallet::storage]
    pub type RevealPeriodEpochs<T: Config> =
        StorageMap<_, Twox64Concat, NetUid, u64, ValueQuery, ConstU64<1>>;

    /// Version of timelocked commits.
    #[pallet::storage]
    pub type CommitRevealWeightsVersion<T: Config> = StorageValue<_, u16, ValueQuery, ConstU16<4>>;

    /// Most neurons.
    #[pallet::storage]
    pub type MaxAllowedUids<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<256>>;

    /// Lower bound of the most neurons.
    #[pallet::storage]
    pub type MinAllowedUids<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<64>>;

    /// Most validators.
    #[pallet::storage]
    pub type MaxAllowedValidators<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<128>>;

    /// Blocks in which a new neuron is not pruned first.
    #[pallet::storage]
    pub type ImmunityPeriod<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<4_096>>;

    /// Neurons that always remain prunable.
    #[pallet::storage]
    pub type MinNonImmuneUids<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<10>>;

    /// Owner's neurons that are never pruned.
    #[pallet::storage]
    pub type ImmuneOwnerUidsLimit<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<1>>;

    /// Blocks between two announcements of one endpoint.
    #[pallet::storage]
    pub type ServingRateLimit<T: Config> =
        StorageMap<_, Identity, NetUid, u64, ValueQuery, ConstU64<50>>;

    /// Stake a hotkey needs to set weights.
    #[pallet::storage]
    pub type StakeThreshold<T: Config> = StorageValue<_, u64, ValueQuery>;

    /// Share of root TAO that counts as stake, of 2^64-1.
    #[pallet::storage]
    pub type TaoWeight<T: Config> =
        StorageValue<_, u64, ValueQuery, ConstU64<971_718_665_099_567_868>>;

    // Registration and its price.

    /// Price of a neuron.
    #[pallet::storage]
    pub type Burn<T: Config> =
        StorageMap<_, Identity, NetUid, TaoBalance, ValueQuery, ConstTao<100_000_000>>;

    /// Lowest price.
    #[pallet::storage]
    pub type MinBurn<T: Config> =
        StorageMap<_, Identity, NetUid, TaoBalance, ValueQuery, ConstTao<500_000>>;

    /// Highest price.
    #[pallet::storage]
    pub type MaxBurn<T: Config> =
        StorageMap<_, Identity, NetUid, TaoBalance, ValueQuery, ConstTao<100_000_000_000>>;

    /// Blocks in which the price halves.
    #[pallet::storage]
    pub type BurnHalfLife<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<360>>;

    /// Factor of the price at each registration.
    #[pallet::storage]
    pub type BurnIncreaseMult<T: Config> =
        StorageMap<_, Identity, NetUid, U64F64, ValueQuery, DefaultBurnIncrease>;

    /// Difficulty of work (historical).
    #[pallet::storage]
    pub type Difficulty<T: Config> =
        StorageMap<_, Identity, NetUid, u64, ValueQuery, ConstU64<10_000_000>>;

    /// Lowest difficulty (historical).
    #[pallet::storage]
    pub type MinDifficulty<T: Config> =
        StorageMap<_, Identity, NetUid, u64, ValueQuery, ConstU64<10_000_000>>;

    /// Highest difficulty (historical).
    #[pallet::storage]
    pub type MaxDifficulty<T: Config> =
        StorageMap<_, Identity, NetUid, u64, ValueQuery, ConstU64<4_611_686_018_427_387_903>>;

    /// Whether neurons may register.
    #[pallet::storage]
    pub type NetworkRegistrationAllowed<T: Config> =
        StorageMap<_, Identity, NetUid, bool, ValueQuery, ConstBool<true>>;

    /// Whether neurons may register by work (historical).
    #[pallet::storage]
    pub type NetworkPowRegistrationAllowed<T: Config> =
        StorageMap<_, Identity, NetUid, bool, ValueQuery>;

    /// Share of the price that is locked as collateral, of 65535.
    #[pallet::storage]
    pub type CollateralLockShare<T: Config> = StorageMap<_, Identity, NetUid, u16, ValueQuery>;

    /// How fast earnings release collateral.
    #[pallet::storage]
    pub type CollateralDrainRatio<T: Config> =
        StorageMap<_, Identity, NetUid, U64F64, ValueQuery, DefaultOne>;

    /// Registrations in this block.
    #[pallet::storage]
    pub type RegistrationsThisBlock<T: Config> = StorageMap<_, Identity, NetUid, u16, ValueQuery>;

    /// Registrations in this interval (historical).
    #[pallet::storage]
    pub type RegistrationsThisInterval<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery>;

    /// Target of registrations (historical).
    #[pallet::storage]
    pub type TargetRegistrationsPerInterval<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<2>>;

    /// Most registrations in a block (historical).
    #[pallet::storage]
    pub type MaxRegistrationsPerBlock<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<1>>;

    /// Interval of price adjustment (historical).
    #[pallet::storage]
    pub type AdjustmentInterval<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<100>>;

    /// Weight of the old price (historical).
    #[pallet::storage]
    pub type AdjustmentAlpha<T: Config> = StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// TAO spent on registrations.
    #[pallet::storage]
    pub type RAORecycledForRegistration<T: Config> =
        StorageMap<_, Identity, NetUid, TaoBalance, ValueQuery>;

    // Neurons by uid.

    /// How many neurons.
    #[pallet::storage]
    pub type SubnetworkN<T: Config> = StorageMap<_, Identity, NetUid, u16, ValueQuery>;

    /// Hotkey of a uid.
    #[pallet::storage]
    pub type Keys<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Identity,
        u16,
        T::AccountId,
        ValueQuery,
        ZeroAccount<T>,
    >;

    /// Uid of a hotkey.
    #[pallet::storage]
    pub type Uids<T: Config> =
        StorageDoubleMap<_, Identity, NetUid, Blake2_128Concat, T::AccountId, u16, OptionQuery>;

    /// Whether the hotkey is a neuron.
    #[pallet::storage]
    pub type IsNetworkMember<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, NetUid, bool, ValueQuery>;

    /// Block of the registration.
    #[pallet::storage]
    pub type BlockAtRegistration<T: Config> =
        StorageDoubleMap<_, Identity, NetUid, Identity, u16, u64, ValueQuery>;

    /// Stake of each uid, of 65535.
    #[pallet::storage]
    pub type StakeWeight<T: Config> = StorageMap<_, Identity, NetUid, Vec<u16>, ValueQuery>;

    /// Whether each uid set weights lately.
    #[pallet::storage]
    pub type Active<T: Config> = StorageMap<_, Identity, NetUid, Vec<bool>, ValueQuery>;

    /// Consensus of each uid.
    #[pallet::storage]
    pub type Consensus<T: Config> = StorageMap<_, Identity, NetUid, Vec<PerU16>, ValueQuery>;

    /// Consensus of each uid in a mechanism.
    #[pallet::storage]
    pub type ConsensusByMechanism<T: Config> =
        StorageMap<_, Identity, NetUidStorageIndex, Vec<PerU16>, ValueQuery>;

    /// Incentive of each uid in a mechanism.
    #[pallet::storage]
    pub type Incentive<T: Config> =
        StorageMap<_, Identity, NetUidStorageIndex, Vec<PerU16>, ValueQuery>;

    /// Dividends of each uid.
    #[pallet::storage]
    pub type Dividends<T: Config> = StorageMap<_, Identity, NetUid, Vec<PerU16>, ValueQuery>;

    /// Alpha of each uid in the last epoch.
    #[pallet::storage]
    pub type Emission<T: Config> = StorageMap<_, Identity, NetUid, Vec<AlphaBalance>, ValueQuery>;

    /// Block of the last weights or commit of each uid in a mechanism.
    #[pallet::storage]
    pub type LastUpdate<T: Config> =
        StorageMap<_, Identity, NetUidStorageIndex, Vec<u64>, ValueQuery>;

    /// Trust of each uid as a validator.
    #[pallet::storage]
    pub type ValidatorTrust<T: Config> = StorageMap<_, Identity, NetUid, Vec<PerU16>, ValueQuery>;

    /// Whether each uid may validate.
    #[pallet::storage]
    pub type ValidatorPermit<T: Config> = StorageMap<_, Identity, NetUid, Vec<bool>, ValueQuery>;

    /// Weights of a uid in a mechanism, as submitted and max-upscaled.
    #[pallet::storage]
    pub type Weights<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUidStorageIndex,
        Identity,
        u16,
        Vec<(u16, u16)>,
        ValueQuery,
    >;

    /// Bonds of a uid in a mechanism.
    #[pallet::storage]
    pub type Bonds<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUidStorageIndex,
        Identity,
        u16,
        Vec<(u16, u16)>,
        ValueQuery,
    >;

    /// Endpoint of a hotkey.
    #[pallet::storage]
    pub type Axons<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Blake2_128Concat,
        T::AccountId,
        AxonInfo,
        OptionQuery,
    >;

    /// Metrics endpoint of a hotkey.
    #[pallet::storage]
    pub type Prometheus<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Blake2_128Concat,
        T::AccountId,
        PrometheusInfo,
        OptionQuery,
    >;

    /// TLS key of a hotkey.
    #[pallet::storage]
    pub type NeuronCertificates<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Blake2_128Concat,
        T::AccountId,
        NeuronCertificate,
        OptionQuery,
    >;

    // Weights that are not revealed yet.

    /// Hash commits: hash, epoch, block, unused.
    #[pallet::storage]
    pub type WeightCommits<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        NetUidStorageIndex,
        Twox64Concat,
        T::AccountId,
        VecDeque<(H256, u64, u64, u64)>,
        OptionQuery,
    >;

    /// Timelocked commits of an epoch: hotkey, block, ciphertext, round.
    #[pallet::storage]
    pub type TimelockedWeightCommits<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        NetUidStorageIndex,
        Twox64Concat,
        u64,
        VecDeque<(T::AccountId, u64, TimelockedCommit, u64)>,
        ValueQuery,
    >;

    // Mechanisms.

    /// Most mechanisms of a subnet.
    #[pallet::storage]
    pub type MaxMechanismCount<T: Config> = StorageValue<_, MechId, ValueQuery, ConstMech<2>>;

    /// Mechanisms of a subnet.
    #[pallet::storage]
    pub type MechanismCountCurrent<T: Config> =
        StorageMap<_, Twox64Concat, NetUid, MechId, ValueQuery, ConstMech<1>>;

    /// Emission of each mechanism, of 65535; equal when absent.
    #[pallet::storage]
    pub type MechanismEmissionSplit<T: Config> =
        StorageMap<_, Twox64Concat, NetUid, Vec<u16>, OptionQuery>;

    // Who owns which key.

    /// Coldkey of a hotkey.
    #[pallet::storage]
    pub type Owner<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, T::AccountId, ValueQuery, ZeroAccount<T>>;

    /// Hotkeys of a coldkey.
    #[pallet::storage]
    pub type OwnedHotkeys<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Vec<T::AccountId>, ValueQuery>;

    /// Hotkeys on which a coldkey has stake.
    #[pallet::storage]
    pub type StakingHotkeys<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Vec<T::AccountId>, ValueQuery>;

    /// Block of a coldkey's last swap of a hotkey on a subnet.
    #[pallet::storage]
    pub type LastHotkeySwapOnNetuid<T: Config> =
        StorageDoubleMap<_, Identity, NetUid, Blake2_128Concat, T::AccountId, u64, ValueQuery>;

    /// Take of a hotkey.
    #[pallet::storage]
    pub type Delegates<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, PerU16, ValueQuery, ConstPerU16<11_796>>;

    /// Highest take.
    #[pallet::storage]
    pub type MaxDelegateTake<T: Config> = StorageValue<_, PerU16, ValueQuery, ConstPerU16<11_796>>;

    /// Lowest take.
    #[pallet::storage]
    pub type MinDelegateTake<T: Config> = StorageValue<_, PerU16, ValueQuery>;

    /// Highest childkey take.
    #[pallet::storage]
    pub type MaxChildkeyTake<T: Config> = StorageValue<_, PerU16, ValueQuery, ConstPerU16<11_796>>;

    /// Lowest childkey take.
    #[pallet::storage]
    pub type MinChildkeyTake<T: Config> = StorageValue<_, PerU16, ValueQuery>;

    /// Lowest childkey take on a subnet.
    #[pallet::storage]
    pub type MinChildkeyTakePerSubnet<T: Config> =
        StorageMap<_, Identity, NetUid, PerU16, ValueQuery>;

    /// Childkey take.
    #[pallet::storage]
    pub type ChildkeyTake<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, NetUid, PerU16, ValueQuery>;

    /// Children of a hotkey: proportion of 2^64-1 and hotkey.
    #[pallet::storage]
    pub type ChildKeys<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Identity,
        NetUid,
        Vec<(u64, T::AccountId)>,
        ValueQuery,
    >;

    /// Parents of a hotkey.
    #[pallet::storage]
    pub type ParentKeys<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Identity,
        NetUid,
        Vec<(u64, T::AccountId)>,
        ValueQuery,
    >;

    /// Children that wait, and the block at which they may start.
    #[pallet::storage]
    pub type PendingChildKeys<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Blake2_128Concat,
        T::AccountId,
        (Vec<(u64, T::AccountId)>, u64),
        ValueQuery,
    >;

    /// Blocks that children wait.
    #[pallet::storage]
    pub type PendingChildKeyCooldown<T: Config> = StorageValue<_, u64, ValueQuery, ConstU64<7_200>>;

    /// Whether root validators become parents of new owners.
    #[pallet::storage]
    pub type AutoParentDelegationEnabled<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, bool, ValueQuery, ConstBool<true>>;

    /// Where a coldkey wants its incentive.
    #[pallet::storage]
    pub type AutoStakeDestination<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Identity,
        NetUid,
        T::AccountId,
        OptionQuery,
    >;

    /// Coldkeys that want their incentive on a hotkey.
    #[pallet::storage]
    pub type AutoStakeDestinationColdkeys<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Identity,
        NetUid,
        Vec<T::AccountId>,
        ValueQuery,
    >;

    /// What a coldkey says about itself.
    #[pallet::storage]
    pub type IdentitiesV2<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, ChainIdentityV2, OptionQuery>;

    /// Cost of a childkey burn (historical).
    #[pallet::storage]
    pub type CKBurn<T: Config> = StorageValue<_, u64, ValueQuery>;

    // When a call was last used.

    /// Blocks between two calls of one key.
    #[pallet::storage]
    pub type TxRateLimit<T: Config> = StorageValue<_, u64, ValueQuery, ConstU64<1_000>>;

    /// Blocks between two take increases.
    #[pallet::storage]
    pub type TxDelegateTakeRateLimit<T: Config> =
        StorageValue<_, u64, ValueQuery, ConstU64<216_000>>;

    /// Blocks between two childkey take changes.
    #[pallet::storage]
    pub type TxChildkeyTakeRateLimit<T: Config> =
        StorageValue<_, u64, ValueQuery, ConstU64<216_000>>;

    /// Last use by limit.
    #[pallet::storage]
    pub type LastRateLimitedBlock<T: Config> =
        StorageMap<_, Identity, RateLimitKey<T::AccountId>, u64, ValueQuery>;

    /// Last use by key, subnet and kind of call.
    #[pallet::storage]
    pub type TransactionKeyLastBlock<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, T::AccountId>,
            NMapKey<Identity, NetUid>,
            NMapKey<Identity, u16>,
        ),
        u64,
        ValueQuery,
    >;

    /// Last staking by coldkey and hotkey.
    #[pallet::storage]
    pub type LastColdkeyHotkeyStakeBlock<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        T::AccountId,
        Twox64Concat,
        T::AccountId,
        u64,
        OptionQuery,
    >;

    // Stake.

    /// TAO issued.
    #[pallet::storage]
    pub type TotalIssuance<T: Config> = StorageValue<_, TaoBalance, ValueQuery>;

    /// TAO in pools and on the root network.
    #[pallet::storage]
    pub type TotalStake<T: Config> = StorageValue<_, TaoBalance, ValueQuery>;

    /// TAO emitted in a block.
    #[pallet::storage]
    pub type BlockEmission<T: Config> = StorageValue<_, u64, ValueQuery, ConstU64<1_000_000_000>>;

    /// Least stake of a nominator.
    #[pallet::storage]
    pub type NominatorMinRequiredStake<T: Config> = StorageValue<_, u64, ValueQuery>;

    /// Blocks before root stake may leave.
    #[pallet::storage]
    pub type RootStakeUnlockInterval<T: Config> = StorageValue<_, u64, ValueQuery>;

    /// Alpha on a hotkey.
    #[pallet::storage]
    pub type TotalHotkeyAlpha<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Identity,
        NetUid,
        AlphaBalance,
        ValueQuery,
    >;

    /// Alpha on a hotkey at the last epoch.
    #[pallet::storage]
    pub type TotalHotkeyAlphaLastEpoch<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Identity,
        NetUid,
        AlphaBalance,
        ValueQuery,
    >;

    /// Shares of a hotkey.
    #[pallet::storage]
    pub type TotalHotkeySharesV2<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Identity,
        NetUid,
        SafeFloat,
        ValueQuery,
    >;

    /// Shares of a coldkey on a hotkey.
    #[pallet::storage]
    pub type AlphaV2<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, T::AccountId>,
            NMapKey<Blake2_128Concat, T::AccountId>,
            NMapKey<Identity, NetUid>,
        ),
        SafeFloat,
        ValueQuery,
    >;

    /// Dividends of a hotkey in the last epoch.
    #[pallet::storage]
    pub type AlphaDividendsPerSubnet<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Blake2_128Concat,
        T::AccountId,
        AlphaBalance,
        ValueQuery,
    >;

    /// Root dividends of a hotkey in the last epoch.
    #[pallet::storage]
    pub type RootAlphaDividendsPerSubnet<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Blake2_128Concat,
        T::AccountId,
        AlphaBalance,
        ValueQuery,
    >;

    /// Root dividends that each TAO on a hotkey may claim.
    #[pallet::storage]
    pub type RootClaimable<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, BTreeMap<NetUid, I96F32>, ValueQuery>;

    /// Root dividends that a coldkey claimed.
    #[pallet::storage]
    pub type RootClaimed<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Identity, NetUid>,
            NMapKey<Blake2_128Concat, T::AccountId>,
            NMapKey<Blake2_128Concat, T::AccountId>,
        ),
        u128,
        ValueQuery,
    >;

    /// Least root dividends that are claimed.
    #[pallet::storage]
    pub type RootClaimableThreshold<T: Config> =
        StorageMap<_, Blake2_128Concat, NetUid, I96F32, ValueQuery, DefaultClaimThreshold>;

    /// Coldkeys with root stake, by index.
    #[pallet::storage]
    pub type StakingColdkeysByIndex<T: Config> =
        StorageMap<_, Identity, u64, T::AccountId, OptionQuery>;

    /// Index of a coldkey with root stake.
    #[pallet::storage]
    pub type StakingColdkeys<T: Config> = StorageMap<_, Identity, T::AccountId, u64, OptionQuery>;

    /// How many coldkeys have root stake.
    #[pallet::storage]
    pub type NumStakingColdkeys<T: Config> = StorageValue<_, u64, ValueQuery>;

    /// Stake that a coldkey locked.
    #[pallet::storage]
    pub type Lock<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, T::AccountId>,
            NMapKey<Identity, NetUid>,
            NMapKey<Blake2_128Concat, T::AccountId>,
        ),
        LockState,
        OptionQuery,
    >;

    // Pools and emission.

    /// TAO in the pool.
    #[pallet::storage]
    pub type SubnetTAO<T: Config> = StorageMap<_, Identity, NetUid, TaoBalance, ValueQuery>;

    /// Alpha in the pool.
    #[pallet::storage]
    pub type SubnetAlphaIn<T: Config> = StorageMap<_, Identity, NetUid, AlphaBalance, ValueQuery>;

    /// Alpha outside the pool.
    #[pallet::storage]
    pub type SubnetAlphaOut<T: Config> = StorageMap<_, Identity, NetUid, AlphaBalance, ValueQuery>;

    /// Alpha that the chain bought.
    #[pallet::storage]
    pub type SubnetProtocolAlpha<T: Config> =
        StorageMap<_, Identity, NetUid, AlphaBalance, ValueQuery>;

    /// TAO that went in and out of the pool.
    #[pallet::storage]
    pub type SubnetVolume<T: Config> = StorageMap<_, Identity, NetUid, u128, ValueQuery>;

    /// TAO injected in this block.
    #[pallet::storage]
    pub type SubnetTaoInEmission<T: Config> =
        StorageMap<_, Identity, NetUid, TaoBalance, ValueQuery>;

    /// Alpha injected in this block.
    #[pallet::storage]
    pub type SubnetAlphaInEmission<T: Config> =
        StorageMap<_, Identity, NetUid, AlphaBalance, ValueQuery>;

    /// Alpha emitted in this block.
    #[pallet::storage]
    pub type SubnetAlphaOutEmission<T: Config> =
        StorageMap<_, Identity, NetUid, AlphaBalance, ValueQuery>;

    /// TAO that bought alpha in this block.
    #[pallet::storage]
    pub type SubnetExcessTao<T: Config> = StorageMap<_, Identity, NetUid, TaoBalance, ValueQuery>;

    /// TAO from root dividends sold in this block.
    #[pallet::storage]
    pub type SubnetRootSellTao<T: Config> = StorageMap<_, Identity, NetUid, TaoBalance, ValueQuery>;

    /// Moving average of the price.
    #[pallet::storage]
    pub type SubnetMovingPrice<T: Config> = StorageMap<_, Identity, NetUid, I96F32, ValueQuery>;

    /// Weight of the newest price.
    #[pallet::storage]
    pub type SubnetMovingAlpha<T: Config> = StorageValue<_, I96F32, ValueQuery, DefaultMovingAlpha>;

    /// Blocks after which the newest price counts half.
    #[pallet::storage]
    pub type EMAPriceHalvingBlocks<T: Config> =
        StorageMap<_, Identity, NetUid, u64, ValueQuery, ConstU64<201_600>>;

    /// Share of root stake in the dividends.
    #[pallet::storage]
    pub type RootProp<T: Config> = StorageMap<_, Identity, NetUid, U96F32, ValueQuery>;

    /// Share of the last incentive that was the owner's.
    #[pallet::storage]
    pub type MinerBurned<T: Config> = StorageMap<_, Identity, NetUid, U96F32, ValueQuery>;

    /// Net TAO flow.
    #[pallet::storage]
    pub type SubnetTaoFlow<T: Config> = StorageMap<_, Identity, NetUid, i64, ValueQuery>;

    /// Average of the TAO flow.
    #[pallet::storage]
    pub type SubnetEmaTaoFlow<T: Config> =
        StorageMap<_, Identity, NetUid, (u64, I64F64), OptionQuery>;

    /// Net TAO flow of the chain itself.
    #[pallet::storage]
    pub type SubnetProtocolFlow<T: Config> = StorageMap<_, Identity, NetUid, i64, ValueQuery>;

    /// Whether the subnet receives TAO.
    #[pallet::storage]
    pub type SubnetEmissionEnabled<T: Config> =
        StorageMap<_, Identity, NetUid, bool, ValueQuery, ConstBool<true>>;

    /// Owner's part of the alpha, of 65535.
    #[pallet::storage]
    pub type SubnetOwnerCut<T: Config> = StorageValue<_, u16, ValueQuery, ConstU16<11_796>>;

    /// Whether the owner takes its part.
    #[pallet::storage]
    pub type OwnerCutEnabled<T: Config> =
        StorageMap<_, Identity, NetUid, bool, ValueQuery, ConstBool<true>>;

    /// Whether the owner's part is locked.
    #[pallet::storage]
    pub type OwnerCutAutoLockEnabled<T: Config> = StorageMap<_, Identity, NetUid, bool, ValueQuery>;

    /// What happens to the owner's incentive.
    #[pallet::storage]
    pub type RecycleOrBurn<T: Config> =
        StorageMap<_, Identity, NetUid, RecycleOrBurnEnum, ValueQuery>;

    /// Alpha for miners at the next epoch.
    #[pallet::storage]
    pub type PendingServerEmission<T: Config> =
        StorageMap<_, Identity, NetUid, AlphaBalance, ValueQuery>;

    /// Alpha for validators at the next epoch.
    #[pallet::storage]
    pub type PendingValidatorEmission<T: Config> =
        StorageMap<_, Identity, NetUid, AlphaBalance, ValueQuery>;

    /// Alpha for root stake at the next epoch.
    #[pallet::storage]
    pub type PendingRootAlphaDivs<T: Config> =
        StorageMap<_, Identity, NetUid, AlphaBalance, ValueQuery>;

    /// Alpha for the owner at the next epoch.
    #[pallet::storage]
    pub type PendingOwnerCut<T: Config> = StorageMap<_, Identity, NetUid, AlphaBalance, ValueQuery>;

    /// Rank whose share is the bar of the emission gate.
    #[pallet::storage]
    pub type EmissionBarRank<T: Config> = StorageValue<_, u16, ValueQuery, ConstU16<32>>;

    /// Share of emission that defines the bar when the rank is 0.
    #[pallet::storage]
    pub type EmissionBarQuantile<T: Config> =
        StorageValue<_, U64F64, ValueQuery, DefaultBarQuantile>;

    /// Exponent of the emission gate.
    #[pallet::storage]
    pub type EmissionGateExponent<T: Config> =
        StorageValue<_, U64F64, ValueQuery, DefaultGateExponent>;

    /// Bar of the emission gate.
    #[pallet::storage]
    pub type EmissionGateBar<T: Config> = StorageValue<_, U64F64, ValueQuery>;
}
