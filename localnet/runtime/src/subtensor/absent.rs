//! Storage that the chain has and this runtime only shows: historical items, and those of parts that are
//! not here (docs/localnet.md). Clients that read them find what a chain has on which nobody used them.

use frame_support::pallet_macros::pallet_section;

/// The items.
#[pallet_section]
mod absent {
    /// Where the measurement of a basket began.
    #[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
    pub struct BetaBaselineOf {
        /// Price at the start.
        pub price_divisor: U64F64,
        /// Rate at the start.
        pub rate0: I96F32,
        /// Return up to the start.
        pub tr_splice: U64F64,
        /// Block of the start.
        pub first_block: u64,
    }

    /// Index of all baskets.
    #[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
    pub struct BetaIndexSnapshotOf {
        /// Level of what baskets hold.
        pub bag_level: U64F64,
        /// Level of what is staked in them.
        pub stake_level: U64F64,
        /// When.
        pub block: u64,
    }

    /// Progress of an index.
    #[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
    pub struct BetaIndexSweepOf {
        /// Where to go on.
        pub cursor: Vec<u8>,
        /// Weights so far.
        pub weight_sum: u128,
        /// Levels so far.
        pub rel_bag_sum: U64F64,
        /// Levels so far.
        pub rel_stake_sum: U64F64,
    }

    /// A basket's part in an index.
    #[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
    pub struct BetaIndexFundSampleOf {
        /// Value.
        pub nav: u64,
        /// Return as shown.
        pub display: U64F64,
        /// Return of stake.
        pub stake: U64F64,
    }

    /// Alpha that a registration locked.
    #[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
    pub struct MinerCollateralState {
        /// Locked now.
        pub locked: AlphaBalance,
        /// How fast earnings release it.
        pub drain_ratio: U64F64,
        /// What stays locked.
        pub min_locked: AlphaBalance,
        /// Earned since.
        pub earned: AlphaBalance,
    }

    /// A leased subnet.
    #[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
    pub struct SubnetLease<AccountId> {
        /// Who runs it.
        pub beneficiary: AccountId,
        /// Who owns it.
        pub coldkey: AccountId,
        /// Its hotkey.
        pub hotkey: AccountId,
        /// Part of the owner's alpha that contributors get.
        pub emissions_share: sp_runtime::Percent,
        /// Last block of the lease.
        pub end_block: Option<u32>,
        /// The subnet.
        pub netuid: NetUid,
        /// What it cost.
        pub cost: TaoBalance,
    }

    /// Shortest activity cutoff in blocks (historical).
    #[pallet::storage]
    pub type MinActivityCutoff<T: Config> = StorageValue<_, u16, ValueQuery, ConstU16<360>>;

    /// Blocks between the schedule of a dissolution and its execution (historical).
    #[pallet::storage]
    pub type DissolveNetworkScheduleDuration<T: Config> =
        StorageValue<_, u32, ValueQuery, ConstU32<36_000>>;

    /// Hotkey that took this one's place on a subnet.
    #[pallet::storage]
    pub type HotkeySuccessor<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Blake2_128Concat,
        T::AccountId,
        T::AccountId,
        OptionQuery,
    >;

    /// First hotkey of a chain of swaps on a subnet.
    #[pallet::storage]
    pub type HotkeyRoot<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Blake2_128Concat,
        T::AccountId,
        T::AccountId,
        OptionQuery,
    >;

    /// Coldkey that took this one's place.
    #[pallet::storage]
    pub type ColdkeySuccessor<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, T::AccountId, OptionQuery>;

    /// First coldkey of a chain of swaps.
    #[pallet::storage]
    pub type ColdkeyRoot<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, T::AccountId, OptionQuery>;

    /// Id of the next delayed staking job (historical).
    #[pallet::storage]
    pub type NextStakeJobId<T: Config> = StorageValue<_, u64, ValueQuery>;

    /// Switches of an account; the first bit refuses locked alpha.
    #[pallet::storage]
    pub type AccountFlags<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, u128, ValueQuery>;

    /// Hotkeys whose childkeys are to be looked at again.
    #[pallet::storage]
    pub type ChildkeyThresholdChecks<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, (), OptionQuery>;

    /// Hotkeys whose childkeys are suspended.
    #[pallet::storage]
    pub type ChildkeyThresholdSuspended<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, (), OptionQuery>;

    /// Alpha on its way into a basket.
    #[pallet::storage]
    pub type PendingBasketDeposits<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Identity,
        NetUid,
        AlphaBalance,
        ValueQuery,
    >;

    /// Where the next flush of deposits goes on.
    #[pallet::storage]
    pub type PendingBasketFlushCursor<T: Config> = StorageValue<_, Vec<u8>, OptionQuery>;

    /// Alpha of a hotkey in the last epoch (historical).
    #[pallet::storage]
    pub type LastHotkeyEmissionOnNetuid<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Identity,
        NetUid,
        AlphaBalance,
        ValueQuery,
    >;

    /// Fast average of the price, which bounds trades of baskets.
    #[pallet::storage]
    pub type SubnetFastMovingPrice<T: Config> =
        StorageMap<_, Identity, NetUid, U64F64, OptionQuery>;

    /// Blocks between the announcement of a coldkey's swap and the swap.
    #[pallet::storage]
    pub type ColdkeySwapAnnouncementDelay<T: Config> =
        StorageValue<_, u32, ValueQuery, ConstU32<36_000>>;

    /// Blocks, after that, until another coldkey may be announced.
    #[pallet::storage]
    pub type ColdkeySwapReannouncementDelay<T: Config> =
        StorageValue<_, u32, ValueQuery, ConstU32<7_200>>;

    /// Announced swaps: the block from which it may happen and the new coldkey's hash.
    #[pallet::storage]
    pub type ColdkeySwapAnnouncements<T: Config> =
        StorageMap<_, Twox64Concat, T::AccountId, (u32, H256), OptionQuery>;

    /// Blocks in which announced swaps were disputed.
    #[pallet::storage]
    pub type ColdkeySwapDisputes<T: Config> =
        StorageMap<_, Twox64Concat, T::AccountId, u32, OptionQuery>;

    /// Alpha staked on a subnet (historical).
    #[pallet::storage]
    pub type TotalAlphaStaked<T: Config> =
        StorageMap<_, Identity, NetUid, AlphaBalance, ValueQuery>;

    /// Shares of a hotkey before their second form.
    #[pallet::storage]
    pub type TotalHotkeyShares<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, NetUid, U64F64, ValueQuery>;

    /// Shares of a coldkey on a hotkey before their second form.
    #[pallet::storage]
    pub type Alpha<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, T::AccountId>,
            NMapKey<Blake2_128Concat, T::AccountId>,
            NMapKey<Identity, NetUid>,
        ),
        U64F64,
        ValueQuery,
    >;

    /// Generation of a hotkey's share pool.
    #[pallet::storage]
    pub type AlphaSharePoolEpoch<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, NetUid, u64, ValueQuery>;

    /// Generation of a coldkey's shares on a hotkey.
    #[pallet::storage]
    pub type AlphaShareEpoch<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, T::AccountId>,
            NMapKey<Blake2_128Concat, T::AccountId>,
            NMapKey<Identity, NetUid>,
        ),
        u64,
        ValueQuery,
    >;

    /// Who locks alpha on a hotkey.
    #[pallet::storage]
    pub type LockingColdkeys<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Identity, NetUid>,
            NMapKey<Blake2_128Concat, T::AccountId>,
            NMapKey<Blake2_128Concat, T::AccountId>,
        ),
        (),
        OptionQuery,
    >;

    /// Alpha locked on a hotkey for good.
    #[pallet::storage]
    pub type HotkeyLock<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Blake2_128Concat,
        T::AccountId,
        LockState,
        OptionQuery,
    >;

    /// Alpha locked on a hotkey that unlocks by and by.
    #[pallet::storage]
    pub type DecayingHotkeyLock<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Blake2_128Concat,
        T::AccountId,
        LockState,
        OptionQuery,
    >;

    /// Alpha locked on a subnet's owner for good.
    #[pallet::storage]
    pub type OwnerLock<T: Config> = StorageMap<_, Identity, NetUid, LockState, OptionQuery>;

    /// Alpha locked on a subnet's owner that unlocks by and by.
    #[pallet::storage]
    pub type DecayingOwnerLock<T: Config> = StorageMap<_, Identity, NetUid, LockState, OptionQuery>;

    /// Whether a coldkey's lock unlocks by and by.
    #[pallet::storage]
    pub type DecayingLock<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, NetUid, bool, OptionQuery>;

    /// Blocks in which conviction grows by a factor of e.
    #[pallet::storage]
    pub type MaturityRate<T: Config> = StorageValue<_, u64, ValueQuery, ConstU64<934_866>>;

    /// Blocks in which a lock falls by a factor of e.
    #[pallet::storage]
    pub type UnlockRate<T: Config> = StorageValue<_, u64, ValueQuery, ConstU64<934_866>>;

    /// Cursor of the first form of shares (historical).
    #[pallet::storage]
    pub type AlphaMapLastKey<T: Config> = StorageValue<_, Option<Vec<u8>>, ValueQuery>;

    /// Cursor of the second form of shares (historical).
    #[pallet::storage]
    pub type AlphaV2MapLastKey<T: Config> = StorageValue<_, Option<Vec<u8>>, ValueQuery>;

    /// Whether the chain's own flow is left out of flows (historical).
    #[pallet::storage]
    pub type NetTaoFlowEnabled<T: Config> = StorageValue<_, bool, ValueQuery, ConstBool<true>>;

    /// Average of the chain's own flow (historical).
    #[pallet::storage]
    pub type SubnetEmaProtocolFlow<T: Config> =
        StorageMap<_, Identity, NetUid, (u64, I64F64), OptionQuery>;

    /// Flow that counts as none (historical).
    #[pallet::storage]
    pub type TaoFlowCutoff<T: Config> = StorageValue<_, I64F64, ValueQuery>;

    /// Exponent of flows (historical).
    #[pallet::storage]
    pub type FlowNormExponent<T: Config> = StorageValue<_, U64F64, ValueQuery, DefaultOne>;

    /// Weight of a block in the average of flows (historical).
    #[pallet::storage]
    pub type FlowEmaSmoothingFactor<T: Config> =
        StorageValue<_, u64, ValueQuery, ConstU64<29_597_889_189_277>>;

    /// Work that registered somebody (historical).
    #[pallet::storage]
    pub type UsedWork<T: Config> = StorageMap<_, Identity, Vec<u8>, u64, ValueQuery>;

    /// Registrations by work in this interval (historical).
    #[pallet::storage]
    pub type POWRegistrationsThisInterval<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery>;

    /// Registrations by price in this interval (historical).
    #[pallet::storage]
    pub type BurnRegistrationsThisInterval<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery>;

    /// Historical.
    #[pallet::storage]
    pub type ValidatorPruneLen<T: Config> =
        StorageMap<_, Identity, NetUid, u64, ValueQuery, ConstU64<1>>;

    /// Historical.
    #[pallet::storage]
    pub type ScalingLawPower<T: Config> =
        StorageMap<_, Identity, NetUid, u16, ValueQuery, ConstU16<50>>;

    /// Block of the last price adjustment (historical).
    #[pallet::storage]
    pub type LastAdjustmentBlock<T: Config> = StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// Id of the next lock in the registration queue.
    #[pallet::storage]
    pub type NetworkRegistrationLockId<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// Average stake of a hotkey.
    #[pallet::storage]
    pub type VotingPower<T: Config> =
        StorageDoubleMap<_, Identity, NetUid, Blake2_128Concat, T::AccountId, u64, ValueQuery>;

    /// Sum of a subnet's voting power.
    #[pallet::storage]
    pub type TotalVotingPower<T: Config> = StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// Whether a subnet tracks voting power.
    #[pallet::storage]
    pub type VotingPowerTrackingEnabled<T: Config> =
        StorageMap<_, Identity, NetUid, bool, ValueQuery>;

    /// Block at which tracking ends.
    #[pallet::storage]
    pub type VotingPowerDisableAtBlock<T: Config> =
        StorageMap<_, Identity, NetUid, u64, ValueQuery>;

    /// Weight of an epoch in voting power.
    #[pallet::storage]
    pub type VotingPowerEmaAlpha<T: Config> =
        StorageMap<_, Identity, NetUid, u64, ValueQuery, ConstU64<3_570_000_000_000_000>>;

    /// Historical.
    #[pallet::storage]
    pub type LoadedEmission<T: Config> =
        StorageMap<_, Identity, NetUid, Vec<(T::AccountId, u64, u64)>, OptionQuery>;

    /// Last transaction of a key (historical).
    #[pallet::storage]
    pub type LastTxBlock<T: Config> = StorageMap<_, Identity, T::AccountId, u64, ValueQuery>;

    /// Last change of a childkey take (historical).
    #[pallet::storage]
    pub type LastTxBlockChildKeyTake<T: Config> =
        StorageMap<_, Identity, T::AccountId, u64, ValueQuery>;

    /// Last change of a take (historical).
    #[pallet::storage]
    pub type LastTxBlockDelegateTake<T: Config> =
        StorageMap<_, Identity, T::AccountId, u64, ValueQuery>;

    /// Timelocked commits in their first form.
    #[pallet::storage]
    pub type CRV3WeightCommits<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        NetUidStorageIndex,
        Twox64Concat,
        u64,
        Vec<(T::AccountId, TimelockedCommit, u64)>,
        ValueQuery,
    >;

    /// Timelocked commits in their second form.
    #[pallet::storage]
    pub type CRV3WeightCommitsV2<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        NetUidStorageIndex,
        Twox64Concat,
        u64,
        Vec<(T::AccountId, u64, TimelockedCommit, u64)>,
        ValueQuery,
    >;

    /// Whether baskets may trade.
    #[pallet::storage]
    pub type BasketTradingEnabled<T: Config> = StorageValue<_, bool, ValueQuery>;

    /// Hotkeys whose baskets may not trade.
    #[pallet::storage]
    pub type BasketTradingFrozen<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, (), OptionQuery>;

    /// Part of a basket that may trade in a day, of 65535.
    #[pallet::storage]
    pub type BasketDailyTurnoverCap<T: Config> = StorageValue<_, u16, ValueQuery, ConstU16<6_553>>;

    /// Part of a pool that a trade may move, of 65535.
    #[pallet::storage]
    pub type BasketLiquidityCap<T: Config> = StorageValue<_, u16, ValueQuery, ConstU16<6_553>>;

    /// Turnover of a basket: block and amount.
    #[pallet::storage]
    pub type BasketTradeBucket<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, (u64, u64), OptionQuery>;

    /// Part of a basket that one subnet may have, of 65535.
    #[pallet::storage]
    pub type BasketConcentrationCap<T: Config> = StorageValue<_, u16, ValueQuery, ConstU16<4_096>>;

    /// Shares of a hotkey's basket.
    #[pallet::storage]
    pub type BasketShares<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, u64, ValueQuery>;

    /// Shares that a TAO of root stake on a hotkey earned.
    #[pallet::storage]
    pub type BasketRate<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, I96F32, ValueQuery>;

    /// Where the measurement of a basket began.
    #[pallet::storage]
    pub type BetaBaseline<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, BetaBaselineOf, OptionQuery>;

    /// Time-weighted return of a basket.
    #[pallet::storage]
    pub type BasketTwr<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, U64F64, ValueQuery, DefaultOne>;

    /// Index of all baskets.
    #[pallet::storage]
    pub type BetaIndexSnapshot<T: Config> = StorageValue<_, BetaIndexSnapshotOf, OptionQuery>;

    /// Progress of the next index.
    #[pallet::storage]
    pub type BetaIndexSweep<T: Config> = StorageValue<_, BetaIndexSweepOf, OptionQuery>;

    /// A basket's part in the next index.
    #[pallet::storage]
    pub type BetaIndexFundSample<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, BetaIndexFundSampleOf, OptionQuery>;

    /// Shares that a coldkey took out of a basket.
    #[pallet::storage]
    pub type BasketClaimed<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Blake2_128Concat,
        T::AccountId,
        i128,
        ValueQuery,
    >;

    /// TAO that went into a basket.
    #[pallet::storage]
    pub type BasketDepositedTao<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, TaoBalance, ValueQuery>;

    /// TAO that came out of a basket.
    #[pallet::storage]
    pub type BasketRedeemedTao<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, TaoBalance, ValueQuery>;

    /// EVM address of a neuron, and since when.
    #[pallet::storage]
    pub type AssociatedEvmAddress<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        NetUid,
        Twox64Concat,
        u16,
        (sp_core::H160, u64),
        OptionQuery,
    >;

    /// Neurons of an EVM address, and since when.
    #[pallet::storage]
    pub type AssociatedUidsByEvmAddress<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        NetUid,
        Twox64Concat,
        sp_core::H160,
        BoundedVec<(u16, u64), ConstU32<32>>,
        ValueQuery,
    >;

    /// Leases.
    #[pallet::storage]
    pub type SubnetLeases<T: Config> =
        StorageMap<_, Twox64Concat, u32, SubnetLease<T::AccountId>, OptionQuery>;

    /// Share of a contributor in a lease.
    #[pallet::storage]
    pub type SubnetLeaseShares<T: Config> =
        StorageDoubleMap<_, Twox64Concat, u32, Identity, T::AccountId, U64F64, ValueQuery>;

    /// Lease of a subnet.
    #[pallet::storage]
    pub type SubnetUidToLeaseId<T: Config> = StorageMap<_, Twox64Concat, NetUid, u32, OptionQuery>;

    /// Id of the next lease.
    #[pallet::storage]
    pub type NextSubnetLeaseId<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// Alpha that a lease has not paid out yet.
    #[pallet::storage]
    pub type AccumulatedLeaseDividends<T: Config> =
        StorageMap<_, Twox64Concat, u32, AlphaBalance, ValueQuery>;

    /// Subnets registered after this block share their pool with its own alpha when they end.
    #[pallet::storage]
    pub type TaoInRefundDeploymentBlock<T: Config> = StorageValue<_, u64, ValueQuery>;

    /// Alpha that a miner's registration locked.
    #[pallet::storage]
    pub type MinerCollateral<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Identity, NetUid>,
            NMapKey<Blake2_128Concat, T::AccountId>,
            NMapKey<Blake2_128Concat, T::AccountId>,
        ),
        MinerCollateralState,
        OptionQuery,
    >;

    /// Collateral of a coldkey on a subnet.
    #[pallet::storage]
    pub type ColdkeyMinerCollateral<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Blake2_128Concat,
        T::AccountId,
        AlphaBalance,
        ValueQuery,
    >;

    /// Hotkeys on which a coldkey has collateral.
    #[pallet::storage]
    pub type ColdkeyCollateralHotkeys<T: Config> = StorageDoubleMap<
        _,
        Identity,
        NetUid,
        Blake2_128Concat,
        T::AccountId,
        BoundedVec<T::AccountId, ConstU32<256>>,
        ValueQuery,
    >;

    /// Migrations that ran.
    #[pallet::storage]
    pub type HasMigrationRun<T: Config> = StorageMap<_, Identity, Vec<u8>, bool, ValueQuery>;
}
