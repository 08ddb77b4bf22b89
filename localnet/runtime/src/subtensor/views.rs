//! What runtime APIs answer.

use super::pool::Fee;
use super::*;
use crate::info::{
    DynamicInfo, HyperparamEntry, HyperparamValue, Metagraph, NeuronInfo, NeuronInfoLite,
    SimSwapResult, StakeInfo, SubnetPrice, SubnetState, proportions, text,
};

/// The columns of a subnet's neurons that are stored whole, read once for all of them.
struct Columns<T> {
    netuid: NetUid,
    active: Vec<bool>,
    emission: Vec<AlphaBalance>,
    incentive: Vec<PerU16>,
    consensus: Vec<PerU16>,
    validator_trust: Vec<PerU16>,
    dividends: Vec<PerU16>,
    last_update: Vec<u64>,
    validator_permit: Vec<bool>,
    of: core::marker::PhantomData<T>,
}

impl<T: Config> Columns<T> {
    fn read(netuid: NetUid) -> Self {
        Self {
            netuid,
            active: Active::<T>::get(netuid),
            emission: Emission::<T>::get(netuid),
            incentive: Incentive::<T>::get(netuid.main()),
            consensus: Consensus::<T>::get(netuid),
            validator_trust: ValidatorTrust::<T>::get(netuid),
            dividends: Dividends::<T>::get(netuid),
            last_update: LastUpdate::<T>::get(netuid.main()),
            validator_permit: ValidatorPermit::<T>::get(netuid),
            of: core::marker::PhantomData,
        }
    }

    /// The neuron in a slot.
    fn neuron(&self, uid: u16) -> Option<NeuronInfoLite<T::AccountId>> {
        fn at<V: Copy + Default>(column: &[V], uid: u16) -> V {
            column.get(usize::from(uid)).copied().unwrap_or_default()
        }
        let netuid = self.netuid;
        let hotkey = Keys::<T>::try_get(netuid, uid).ok()?;
        let coldkey = Owner::<T>::get(&hotkey);
        let proportion = |column: &[PerU16]| Compact(at(column, uid).deconstruct());
        let stake = TotalHotkeyAlpha::<T>::get(&hotkey, netuid);
        Some(NeuronInfoLite {
            uid: uid.into(),
            netuid: netuid.into(),
            active: at(&self.active, uid),
            axon_info: Axons::<T>::get(netuid, &hotkey).unwrap_or_default(),
            prometheus_info: Prometheus::<T>::get(netuid, &hotkey).unwrap_or_default(),
            stake: vec![(coldkey.clone(), stake.into())],
            rank: 0.into(),
            emission: at(&self.emission, uid).into(),
            incentive: proportion(&self.incentive),
            consensus: proportion(&self.consensus),
            trust: 0.into(),
            validator_trust: proportion(&self.validator_trust),
            dividends: proportion(&self.dividends),
            last_update: at(&self.last_update, uid).into(),
            validator_permit: at(&self.validator_permit, uid),
            pruning_score: u16::MAX.into(),
            hotkey,
            coldkey,
        })
    }
}

impl<T: Config> Pallet<T> {
    /// One neuron.
    pub fn neuron_lite(netuid: NetUid, uid: u16) -> Option<NeuronInfoLite<T::AccountId>> {
        Columns::<T>::read(netuid).neuron(uid)
    }

    /// Every neuron.
    pub fn neurons_lite(netuid: NetUid) -> Vec<NeuronInfoLite<T::AccountId>> {
        let columns = Columns::<T>::read(netuid);
        (0..SubnetworkN::<T>::get(netuid)).filter_map(|uid| columns.neuron(uid)).collect()
    }

    /// One neuron with its weights and bonds.
    pub fn neuron(netuid: NetUid, uid: u16) -> Option<NeuronInfo<T::AccountId>> {
        Some(Self::with_rows(netuid, uid, Columns::<T>::read(netuid).neuron(uid)?))
    }

    fn with_rows(
        netuid: NetUid,
        uid: u16,
        lite: NeuronInfoLite<T::AccountId>,
    ) -> NeuronInfo<T::AccountId> {
        let row = |row: Vec<(u16, u16)>| {
            row.into_iter().map(|(uid, value)| (Compact(uid), Compact(value))).collect()
        };
        NeuronInfo {
            weights: row(Weights::<T>::get(netuid.main(), uid)),
            bonds: row(Bonds::<T>::get(netuid.main(), uid)),
            hotkey: lite.hotkey,
            coldkey: lite.coldkey,
            uid: lite.uid,
            netuid: lite.netuid,
            active: lite.active,
            axon_info: lite.axon_info,
            prometheus_info: lite.prometheus_info,
            stake: lite.stake,
            rank: lite.rank,
            emission: lite.emission,
            incentive: lite.incentive,
            consensus: lite.consensus,
            trust: lite.trust,
            validator_trust: lite.validator_trust,
            dividends: lite.dividends,
            last_update: lite.last_update,
            validator_permit: lite.validator_permit,
            pruning_score: lite.pruning_score,
        }
    }

    /// Every neuron with its weights and bonds.
    pub fn neurons_full(netuid: NetUid) -> Vec<NeuronInfo<T::AccountId>> {
        let columns = Columns::<T>::read(netuid);
        (0..SubnetworkN::<T>::get(netuid))
            .filter_map(|uid| Some(Self::with_rows(netuid, uid, columns.neuron(uid)?)))
            .collect()
    }

    /// A subnet with its pool.
    pub fn dynamic_info(netuid: NetUid) -> Option<DynamicInfo<T::AccountId>> {
        if !NetworksAdded::<T>::get(netuid) {
            return None;
        }
        let identity = SubnetIdentitiesV3::<T>::get(netuid);
        let symbol = TokenSymbol::<T>::get(netuid);
        let name = identity
            .as_ref()
            .map(|identity| identity.subnet_name.clone())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| Self::default_name(netuid));
        Some(DynamicInfo {
            netuid: netuid.into(),
            owner_hotkey: SubnetOwnerHotkey::<T>::get(netuid),
            owner_coldkey: SubnetOwner::<T>::get(netuid),
            subnet_name: text(&name),
            token_symbol: text(&symbol),
            tempo: Tempo::<T>::get(netuid).into(),
            last_step: LastMechansimStepBlock::<T>::get(netuid).into(),
            blocks_since_last_step: BlocksSinceLastStep::<T>::get(netuid).into(),
            emission: 0.into(),
            alpha_in: SubnetAlphaIn::<T>::get(netuid).into(),
            alpha_out: SubnetAlphaOut::<T>::get(netuid).into(),
            tao_in: SubnetTAO::<T>::get(netuid).into(),
            alpha_out_emission: SubnetAlphaOutEmission::<T>::get(netuid).into(),
            alpha_in_emission: SubnetAlphaInEmission::<T>::get(netuid).into(),
            tao_in_emission: SubnetTaoInEmission::<T>::get(netuid).into(),
            pending_alpha_emission: PendingValidatorEmission::<T>::get(netuid)
                .saturating_add(PendingServerEmission::<T>::get(netuid))
                .into(),
            pending_root_emission: TaoBalance(0).into(),
            subnet_volume: SubnetVolume::<T>::get(netuid).into(),
            network_registered_at: NetworkRegisteredAt::<T>::get(netuid).into(),
            subnet_identity: identity,
            moving_price: SubnetMovingPrice::<T>::get(netuid),
        })
    }

    /// Everything about a subnet and one mechanism's neurons.
    pub fn metagraph(netuid: NetUid, mecid: MechId) -> Option<Metagraph<T::AccountId>> {
        if mecid.0 >= MechanismCountCurrent::<T>::get(netuid).0 {
            return None;
        }
        let index = netuid.index(mecid);
        let hotkeys = Self::neurons(netuid);
        let coldkeys: Vec<_> = hotkeys.iter().map(Owner::<T>::get).collect();
        let n = hotkeys.len();
        let held: Vec<_> = hotkeys
            .iter()
            .zip(&coldkeys)
            .map(|(hotkey, owner)| Self::family_of(hotkey, || owner.clone(), netuid).inherited())
            .collect();
        let mut identities = BTreeMap::new();
        // Validators have some, and are few.
        let dividends: BTreeMap<_, _> = AlphaDividendsPerSubnet::<T>::iter_prefix(netuid).collect();
        let tao_weight = TaoWeight::<T>::get();
        let total_stake = held.iter().map(|held| {
            let total = scoring::yuma::total_stake(held.alpha, held.root, tao_weight);
            Compact(TaoBalance(total.saturating_to_num()))
        });
        Some(Metagraph {
            identities: coldkeys
                .iter()
                .map(|coldkey| {
                    // Many hotkeys are one coldkey's.
                    let known = identities.entry(coldkey.clone());
                    known.or_insert_with(|| IdentitiesV2::<T>::get(coldkey)).clone()
                })
                .collect(),
            axons: hotkeys
                .iter()
                .map(|hotkey| Axons::<T>::get(netuid, hotkey).unwrap_or_default())
                .collect(),
            active: Active::<T>::get(netuid),
            validator_permit: ValidatorPermit::<T>::get(netuid),
            pruning_score: vec![Compact(u16::MAX); n],
            last_update: LastUpdate::<T>::get(index).into_iter().map(Compact).collect(),
            emission: Emission::<T>::get(netuid).into_iter().map(Compact).collect(),
            dividends: proportions(Dividends::<T>::get(netuid)),
            incentives: proportions(Incentive::<T>::get(index)),
            consensus: proportions(Consensus::<T>::get(netuid)),
            trust: proportions(vec![PerU16::from_parts(0); n]),
            rank: vec![Compact(0); n],
            block_at_registration: (0..SubnetworkN::<T>::get(netuid))
                .map(|uid| BlockAtRegistration::<T>::get(netuid, uid).into())
                .collect(),
            alpha_stake: held.iter().map(|held| AlphaBalance(held.alpha).into()).collect(),
            tao_stake: held.iter().map(|held| TaoBalance(held.root).into()).collect(),
            total_stake: total_stake.collect(),
            tao_dividends_per_hotkey: Vec::new(),
            alpha_dividends_per_hotkey: hotkeys
                .iter()
                .map(|key| {
                    let dividend = dividends.get(key).copied().unwrap_or_default();
                    (key.clone(), dividend.into())
                })
                .collect(),
            // Registration locks no collateral here.
            collateral_locked: vec![Compact(AlphaBalance(0)); n],
            collateral_min: vec![Compact(AlphaBalance(0)); n],
            collateral_earned: vec![Compact(AlphaBalance(0)); n],
            coldkeys,
            hotkeys,
            ..Self::empty_metagraph(netuid)?
        })
    }

    /// The columns of a subnet's neurons; what was paid in earlier epochs is not kept.
    pub fn subnet_state(netuid: NetUid) -> Option<SubnetState<T::AccountId>> {
        let all = Self::metagraph(netuid, MechId(0))?;
        Some(SubnetState {
            netuid: all.netuid,
            hotkeys: all.hotkeys,
            coldkeys: all.coldkeys,
            active: all.active,
            validator_permit: all.validator_permit,
            pruning_score: all.pruning_score,
            last_update: all.last_update,
            emission: all.emission,
            dividends: all.dividends,
            incentives: all.incentives,
            consensus: all.consensus,
            trust: all.trust,
            rank: all.rank,
            block_at_registration: all.block_at_registration,
            alpha_stake: all.alpha_stake,
            tao_stake: all.tao_stake,
            total_stake: all.total_stake,
            emission_history: Vec::new(),
        })
    }

    /// A subnet's metagraph without its neurons: every column is empty.
    fn empty_metagraph(netuid: NetUid) -> Option<Metagraph<T::AccountId>> {
        let d = Self::dynamic_info(netuid)?;
        let (alpha_low, alpha_high) = AlphaValues::<T>::get(netuid);
        Some(Metagraph {
            netuid: d.netuid,
            name: d.subnet_name,
            symbol: d.token_symbol,
            identity: d.subnet_identity,
            network_registered_at: d.network_registered_at,
            owner_hotkey: d.owner_hotkey,
            owner_coldkey: d.owner_coldkey,
            block: Self::now().into(),
            tempo: d.tempo,
            last_step: d.last_step,
            blocks_since_last_step: d.blocks_since_last_step,
            subnet_emission: d.emission,
            alpha_in: d.alpha_in,
            alpha_out: d.alpha_out,
            tao_in: d.tao_in,
            alpha_out_emission: d.alpha_out_emission,
            alpha_in_emission: d.alpha_in_emission,
            tao_in_emission: d.tao_in_emission,
            pending_alpha_emission: d.pending_alpha_emission,
            pending_root_emission: d.pending_root_emission,
            subnet_volume: d.subnet_volume,
            moving_price: d.moving_price,
            rho: Rho::<T>::get(netuid).into(),
            kappa: Kappa::<T>::get(netuid).into(),
            min_allowed_weights: MinAllowedWeights::<T>::get(netuid).into(),
            max_weights_limit: MaxWeightsLimit::<T>::get(netuid).into(),
            weights_version: WeightsVersionKey::<T>::get(netuid).into(),
            weights_rate_limit: WeightsSetRateLimit::<T>::get(netuid).into(),
            activity_cutoff: Self::activity_cutoff(netuid).into(),
            max_validators: MaxAllowedValidators::<T>::get(netuid).into(),
            num_uids: SubnetworkN::<T>::get(netuid).into(),
            max_uids: MaxAllowedUids::<T>::get(netuid).into(),
            burn: Burn::<T>::get(netuid).into(),
            difficulty: Difficulty::<T>::get(netuid).into(),
            registration_allowed: NetworkRegistrationAllowed::<T>::get(netuid),
            pow_registration_allowed: NetworkPowRegistrationAllowed::<T>::get(netuid),
            immunity_period: ImmunityPeriod::<T>::get(netuid).into(),
            min_difficulty: MinDifficulty::<T>::get(netuid).into(),
            max_difficulty: MaxDifficulty::<T>::get(netuid).into(),
            min_burn: MinBurn::<T>::get(netuid).into(),
            max_burn: MaxBurn::<T>::get(netuid).into(),
            adjustment_alpha: AdjustmentAlpha::<T>::get(netuid).into(),
            adjustment_interval: AdjustmentInterval::<T>::get(netuid).into(),
            target_regs_per_interval: TargetRegistrationsPerInterval::<T>::get(netuid).into(),
            max_regs_per_block: MaxRegistrationsPerBlock::<T>::get(netuid).into(),
            serving_rate_limit: ServingRateLimit::<T>::get(netuid).into(),
            commit_reveal_weights_enabled: CommitRevealWeightsEnabled::<T>::get(netuid),
            commit_reveal_period: RevealPeriodEpochs::<T>::get(netuid).into(),
            liquid_alpha_enabled: LiquidAlphaOn::<T>::get(netuid),
            alpha_high: alpha_high.into(),
            alpha_low: alpha_low.into(),
            bonds_moving_avg: BondsMovingAverage::<T>::get(netuid).into(),
            identities: Vec::new(),
            axons: Vec::new(),
            active: Vec::new(),
            validator_permit: Vec::new(),
            pruning_score: Vec::new(),
            last_update: Vec::new(),
            emission: Vec::new(),
            dividends: Vec::new(),
            incentives: Vec::new(),
            consensus: Vec::new(),
            trust: Vec::new(),
            rank: Vec::new(),
            block_at_registration: Vec::new(),
            alpha_stake: Vec::new(),
            tao_stake: Vec::new(),
            total_stake: Vec::new(),
            tao_dividends_per_hotkey: Vec::new(),
            alpha_dividends_per_hotkey: Vec::new(),
            collateral_locked: Vec::new(),
            collateral_min: Vec::new(),
            collateral_earned: Vec::new(),
            coldkeys: Vec::new(),
            hotkeys: Vec::new(),
        })
    }

    /// Stake of a coldkey on one hotkey of one subnet.
    pub fn stake_info(
        hotkey: &T::AccountId,
        coldkey: &T::AccountId,
        netuid: NetUid,
    ) -> StakeInfo<T::AccountId> {
        StakeInfo {
            hotkey: hotkey.clone(),
            coldkey: coldkey.clone(),
            netuid: netuid.into(),
            stake: Self::stake_of(hotkey, coldkey, netuid).into(),
            locked: 0.into(),
            emission: AlphaDividendsPerSubnet::<T>::get(netuid, hotkey).into(),
            tao_emission: TaoBalance(0).into(),
            drain: 0.into(),
            is_registered: Uids::<T>::contains_key(netuid, hotkey),
        }
    }

    /// Every stake of a coldkey.
    pub fn stake_info_for_coldkey(coldkey: &T::AccountId) -> Vec<StakeInfo<T::AccountId>> {
        let mut netuids = Self::subnets();
        netuids.insert(0, NetUid::ROOT);
        let mut stakes = Vec::new();
        for hotkey in StakingHotkeys::<T>::get(coldkey) {
            for netuid in &netuids {
                let info = Self::stake_info(&hotkey, coldkey, *netuid);
                if info.stake.0.0 > 0 {
                    stakes.push(info);
                }
            }
        }
        stakes
    }

    /// Prices of every network.
    pub fn prices() -> Vec<SubnetPrice> {
        let mut netuids = Self::subnets();
        netuids.insert(0, NetUid::ROOT);
        let price = |netuid| SubnetPrice { netuid, price: Self::price_in_rao(netuid) };
        netuids.into_iter().map(price).collect()
    }

    /// What buying alpha with TAO would do.
    pub fn sim_buy(netuid: NetUid, tao: TaoBalance) -> SimSwapResult {
        let quote = Self::quote_buy(netuid, tao, None, Fee::Charged).ok();
        let (fee, alpha) = quote.map_or((0, 0), |quote| (quote.fee, quote.output));
        let net = U64F64::from_num(tao.0.saturating_sub(fee));
        let ideal = net.checked_div(Self::alpha_price(netuid)).unwrap_or_default();
        SimSwapResult {
            tao_amount: tao,
            alpha_amount: AlphaBalance(alpha),
            tao_fee: TaoBalance(fee),
            alpha_fee: AlphaBalance(0),
            tao_slippage: TaoBalance(0),
            alpha_slippage: AlphaBalance(ideal.saturating_to_num::<u64>().saturating_sub(alpha)),
        }
    }

    /// What selling alpha for TAO would do.
    pub fn sim_sell(netuid: NetUid, alpha: AlphaBalance) -> SimSwapResult {
        let quote = Self::quote_sell(netuid, alpha, None, Fee::Charged).ok();
        let (fee, tao) = quote.map_or((0, 0), |quote| (quote.fee, quote.output));
        let net = AlphaBalance(alpha.0.saturating_sub(fee));
        let ideal = Self::worth_at_price(netuid, net);
        SimSwapResult {
            tao_amount: TaoBalance(tao),
            alpha_amount: alpha,
            tao_fee: TaoBalance(0),
            alpha_fee: AlphaBalance(fee),
            tao_slippage: ideal.saturating_sub(TaoBalance(tao)),
            alpha_slippage: AlphaBalance(0),
        }
    }

    /// The hyperparameters of a subnet by name.
    pub fn hyperparameters(netuid: NetUid) -> Option<Vec<HyperparamEntry>> {
        use HyperparamValue as V;
        if !NetworksAdded::<T>::get(netuid) {
            return None;
        }
        let (low, high) = AlphaValues::<T>::get(netuid);
        let cutoff = u16::try_from(Self::activity_cutoff(netuid)).unwrap_or(u16::MAX);
        let steepness = scoring::fixed::I32F32::from_num(AlphaSigmoidSteepness::<T>::get(netuid));
        let values = [
            ("rho", V::U16(Rho::<T>::get(netuid).into())),
            ("kappa", V::U16(Kappa::<T>::get(netuid).into())),
            ("immunity_period", V::U16(ImmunityPeriod::<T>::get(netuid).into())),
            ("min_allowed_weights", V::U16(MinAllowedWeights::<T>::get(netuid).into())),
            ("max_weights_limit", V::U16(MaxWeightsLimit::<T>::get(netuid).into())),
            ("tempo", V::U16(Tempo::<T>::get(netuid).into())),
            ("weights_version", V::U64(WeightsVersionKey::<T>::get(netuid).into())),
            ("weights_rate_limit", V::U64(WeightsSetRateLimit::<T>::get(netuid).into())),
            ("activity_cutoff", V::U16(cutoff.into())),
            ("activity_cutoff_factor", V::U32(ActivityCutoffFactorMilli::<T>::get(netuid).into())),
            ("registration_allowed", V::Bool(NetworkRegistrationAllowed::<T>::get(netuid))),
            (
                "target_regs_per_interval",
                V::U16(TargetRegistrationsPerInterval::<T>::get(netuid).into()),
            ),
            ("min_burn", V::TaoBalance(MinBurn::<T>::get(netuid).into())),
            ("max_burn", V::TaoBalance(MaxBurn::<T>::get(netuid).into())),
            ("burn_half_life", V::U16(BurnHalfLife::<T>::get(netuid).into())),
            ("burn_increase_mult", V::U64F64(BurnIncreaseMult::<T>::get(netuid))),
            ("bonds_moving_avg", V::U64(BondsMovingAverage::<T>::get(netuid).into())),
            ("max_regs_per_block", V::U16(MaxRegistrationsPerBlock::<T>::get(netuid).into())),
            ("serving_rate_limit", V::U64(ServingRateLimit::<T>::get(netuid).into())),
            ("max_validators", V::U16(MaxAllowedValidators::<T>::get(netuid).into())),
            ("commit_reveal_period", V::U64(RevealPeriodEpochs::<T>::get(netuid).into())),
            (
                "commit_reveal_weights_enabled",
                V::Bool(CommitRevealWeightsEnabled::<T>::get(netuid)),
            ),
            ("alpha_high", V::U16(high.into())),
            ("alpha_low", V::U16(low.into())),
            ("liquid_alpha_enabled", V::Bool(LiquidAlphaOn::<T>::get(netuid))),
            ("alpha_sigmoid_steepness", V::I32F32(steepness)),
            ("yuma_version", V::U16(if Yuma3On::<T>::get(netuid) { 3 } else { 2 }.into())),
            ("subnet_is_active", V::Bool(SubtokenEnabled::<T>::get(netuid))),
            ("transfers_enabled", V::Bool(TransferToggle::<T>::get(netuid))),
            ("bonds_reset_enabled", V::Bool(BondsResetOn::<T>::get(netuid))),
            ("user_liquidity_enabled", V::Bool(false)),
            ("owner_cut_enabled", V::Bool(OwnerCutEnabled::<T>::get(netuid))),
            ("owner_cut_auto_lock_enabled", V::Bool(OwnerCutAutoLockEnabled::<T>::get(netuid))),
            (
                "min_childkey_take",
                V::U16(MinChildkeyTakePerSubnet::<T>::get(netuid).deconstruct().into()),
            ),
        ];
        let entry = |(name, value): (&str, V)| HyperparamEntry { name: name.into(), value };
        Some(values.into_iter().map(entry).collect())
    }
}
