//! A block's emission: TAO into pools, alpha into the pots that epochs pay out.

use super::pool::Fee;
use super::*;
use scoring::emission::pots::{self, Pots};
use scoring::emission::{self, pool, share};

impl<T: Config> Pallet<T> {
    /// TAO that this block emits, in rao.
    pub fn block_emission() -> u64 {
        emission::block_emission(TotalIssuance::<T>::get().0)
    }

    /// Subnets that take part in emission.
    pub(crate) fn emitting_subnets() -> Vec<NetUid> {
        Self::subnets()
            .into_iter()
            .filter(|netuid| {
                FirstEmissionBlockNumber::<T>::get(netuid).is_some_and(|first| first <= Self::now())
                    && SubtokenEnabled::<T>::get(netuid)
                    && NetworkRegistrationAllowed::<T>::get(netuid)
            })
            .collect()
    }

    /// Emits a block's TAO and alpha and runs the epochs that are due; the subnets they ran on.
    pub(crate) fn run_coinbase(tao: u64) -> Vec<NetUid> {
        let _ = SubnetRootSellTao::<T>::clear(u32::MAX, None);
        let netuids = Self::emitting_subnets();
        let shares = Self::tao_shares(&netuids, tao);
        let root_sells = Self::root_may_sell(&netuids);
        let terms: Vec<_> = netuids
            .iter()
            .zip(shares)
            .map(|(netuid, tao)| {
                (*netuid, Self::injection(*netuid, tao), Self::alpha_emission(*netuid))
            })
            .collect();
        for (netuid, injection, _) in &terms {
            Self::inject(*netuid, injection);
        }
        for (netuid, _, alpha) in &terms {
            Self::emit_alpha(*netuid, *alpha, root_sells);
        }
        let running = Self::advance_schedule();
        let pots: Vec<_> =
            running.iter().map(|netuid| (*netuid, Self::drain_pots(*netuid))).collect();
        for (netuid, pots) in pots {
            Self::distribute(netuid, pots);
        }
        running
    }

    /// TAO of each emitting subnet.
    fn tao_shares(netuids: &[NetUid], tao: u64) -> Vec<U96F32> {
        let subnets: Vec<_> = netuids
            .iter()
            .map(|netuid| share::Subnet {
                moving_price: SubnetMovingPrice::<T>::get(netuid),
                miner_burned: MinerBurned::<T>::get(netuid),
                enabled: SubnetEmissionEnabled::<T>::get(netuid),
            })
            .collect();
        let gate = T::Rules::get().emission_gate.then(|| Self::emission_gate(&subnets));
        let shares = share::tao_shares(&subnets, gate.as_ref());
        shares.into_iter().map(|part| share::tao_of(part, tao)).collect()
    }

    /// The gate of this block; its bar is looked up again once in a while.
    fn emission_gate(subnets: &[share::Subnet]) -> share::Gate {
        if share::bar_is_due(Self::now(), EmissionGateBar::<T>::get()) {
            let rule = match EmissionBarRank::<T>::get() {
                0 => share::BarRule::Quantile(EmissionBarQuantile::<T>::get()),
                rank => share::BarRule::Rank(rank),
            };
            EmissionGateBar::<T>::put(rule.bar(&share::demand(subnets)));
        }
        share::Gate { bar: EmissionGateBar::<T>::get(), exponent: EmissionGateExponent::<T>::get() }
    }

    /// Whether root dividends are kept for root: only while alpha is dear in all.
    fn root_may_sell(netuids: &[NetUid]) -> bool {
        pots::root_sells(
            netuids.iter().map(|netuid| U96F32::saturating_from_num(Self::moving_price(*netuid))),
        )
    }

    fn injection(netuid: NetUid, tao: U96F32) -> pool::Injection {
        let alpha = Self::alpha_emission(netuid);
        pool::injection(tao, Self::alpha_price(netuid), alpha, Self::root_proportion(netuid))
    }

    /// Alpha that a subnet emits in a block.
    fn alpha_emission(netuid: NetUid) -> u64 {
        emission::block_emission(Self::alpha_issuance(netuid))
    }

    /// Alpha of a subnet, in the pool and outside.
    pub(crate) fn alpha_issuance(netuid: NetUid) -> u64 {
        SubnetAlphaIn::<T>::get(netuid).saturating_add(SubnetAlphaOut::<T>::get(netuid)).0
    }

    /// Part of root stake in a subnet's dividends.
    pub(crate) fn root_proportion(netuid: NetUid) -> U96F32 {
        pool::root_proportion(
            SubnetTAO::<T>::get(NetUid::ROOT).0,
            Self::tao_weight(),
            Self::alpha_issuance(netuid),
        )
    }

    /// Adds a block's TAO and alpha to a pool and buys alpha with what does not fit.
    fn inject(netuid: NetUid, terms: &pool::Injection) {
        let excess = TaoBalance(terms.excess_tao.saturating_to_num());
        SubnetExcessTao::<T>::insert(netuid, TaoBalance(0));
        if excess.0 > 0 {
            Self::buy_with_excess(netuid, excess);
        }
        let tao = TaoBalance(terms.tao_in.saturating_to_num());
        let alpha = AlphaBalance(terms.alpha_in.saturating_to_num());
        Self::issue_to_subnet(netuid, tao);
        Self::add_liquidity(netuid, tao, alpha);
        SubnetTaoInEmission::<T>::insert(netuid, tao);
        SubnetAlphaInEmission::<T>::insert(netuid, alpha);
        if alpha.0 > 0 {
            crate::alpha_assets::pallet::Pallet::<T>::issued(netuid, alpha);
        }
        if tao.0 > 0 {
            Self::note_issued(tao);
            TotalStake::<T>::mutate(|total| *total = total.saturating_add(tao));
            Self::note_protocol_flow(netuid, tao);
        }
    }

    fn buy_with_excess(netuid: NetUid, excess: TaoBalance) {
        let Ok(quote) = Self::quote_buy(netuid, excess, None, Fee::Dropped) else { return };
        Self::issue_to_subnet(netuid, excess);
        Self::note_issued(excess);
        Self::apply_buy(netuid, &quote);
        SubnetExcessTao::<T>::insert(netuid, excess);
        SubnetProtocolAlpha::<T>::mutate(netuid, |total| {
            *total = total.saturating_add(AlphaBalance(quote.output));
        });
        Self::note_protocol_flow(netuid, excess);
    }

    fn note_issued(amount: TaoBalance) {
        TotalIssuance::<T>::mutate(|total| *total = total.saturating_add(amount));
    }

    fn note_protocol_flow(netuid: NetUid, amount: TaoBalance) {
        SubnetProtocolFlow::<T>::mutate(netuid, |flow| {
            *flow = flow.saturating_add(i64::try_from(amount.0).unwrap_or(i64::MAX));
        });
    }

    /// Emits a block's alpha to owner, miners, validators and root.
    fn emit_alpha(netuid: NetUid, alpha_out: u64, root_sells: bool) {
        let created = AlphaBalance(alpha_out);
        SubnetAlphaOutEmission::<T>::insert(netuid, created);
        crate::alpha_assets::pallet::Pallet::<T>::issued(netuid, created);
        SubnetAlphaOut::<T>::mutate(netuid, |total| *total = total.saturating_add(created));
        let cut = OwnerCutEnabled::<T>::get(netuid).then(SubnetOwnerCut::<T>::get);
        let split = pots::split(alpha_out, cut, Self::root_proportion(netuid));
        let add = |amount: u64| {
            move |pot: &mut AlphaBalance| *pot = pot.saturating_add(AlphaBalance(amount))
        };
        if cut.is_some() {
            PendingOwnerCut::<T>::mutate(netuid, add(split.owner));
        }
        PendingServerEmission::<T>::mutate(netuid, add(split.server));
        PendingValidatorEmission::<T>::mutate(netuid, add(split.validator));
        if root_sells {
            PendingRootAlphaDivs::<T>::mutate(netuid, add(split.root));
        } else if split.root > 0 {
            Self::recycle_issued(netuid, AlphaBalance(split.root));
        }
    }

    /// Takes alpha out of the issuance.
    pub(crate) fn recycle_issued(netuid: NetUid, amount: AlphaBalance) {
        SubnetAlphaOut::<T>::mutate(netuid, |total| *total = total.saturating_sub(amount));
        crate::alpha_assets::pallet::Pallet::<T>::recycled(netuid, amount);
    }

    fn drain_pots(netuid: NetUid) -> Pots {
        let empty = |pot: &mut AlphaBalance| core::mem::take(pot).0;
        Pots {
            server: PendingServerEmission::<T>::mutate(netuid, empty),
            validator: PendingValidatorEmission::<T>::mutate(netuid, empty),
            root: PendingRootAlphaDivs::<T>::mutate(netuid, empty),
            owner: PendingOwnerCut::<T>::mutate(netuid, empty),
        }
    }

    /// Moves every emitting subnet's average price and root proportion by one block.
    pub(crate) fn update_prices() {
        for netuid in Self::emitting_subnets() {
            let clock = pool::PriceClock {
                alpha: SubnetMovingAlpha::<T>::get(),
                halving_blocks: EMAPriceHalvingBlocks::<T>::get(netuid),
                first_emission_block: FirstEmissionBlockNumber::<T>::get(netuid)
                    .unwrap_or_default(),
            };
            let old = SubnetMovingPrice::<T>::get(netuid);
            let moved = pool::moving_price(old, Self::alpha_price(netuid), clock, Self::now());
            SubnetMovingPrice::<T>::insert(netuid, moved);
            RootProp::<T>::insert(netuid, Self::root_proportion(netuid));
        }
    }
}
