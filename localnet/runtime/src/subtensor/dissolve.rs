//! The end of a subnet: stakes are paid out, everything about it is forgotten.

use super::*;

/// Version from which the chain's own share is settled apart from the stakers'.
const SETTLED_WITHOUT_PROTOCOL_SINCE: u32 = 437;

impl<T: Config> Pallet<T> {
    /// Ends a subnet and pays its pool to its stakers in proportion to their alpha.
    pub(crate) fn dissolve(netuid: NetUid) -> DispatchResult {
        ensure!(!netuid.is_root(), Error::<T>::NotRootSubnet);
        Self::ensure_exists(netuid)?;
        Self::pay_out_stakers(netuid)?;
        TotalNetworks::<T>::mutate(|total| *total = total.saturating_sub(1));
        Self::forget_neurons(netuid);
        Self::forget_settings(netuid);
        Self::forget_pool(netuid);
        T::OnDissolve::dissolved(netuid);
        Self::deposit_event(Event::NetworkRemoved(netuid));
        Ok(())
    }

    /// Divides the pool as if all alpha were sold at once: stakers get their part, and what belongs
    /// to the chain's own alpha is recycled.
    fn pay_out_stakers(netuid: NetUid) -> DispatchResult {
        let positions: Vec<_> = AlphaV2::<T>::iter_keys()
            .filter(|(_, _, of)| *of == netuid)
            .map(|(hotkey, coldkey, _)| {
                let stake = Self::stake_of(&hotkey, &coldkey, netuid);
                (hotkey, coldkey, stake.0)
            })
            .collect();
        let pool = SubnetTAO::<T>::get(netuid);
        let stakes: Vec<u64> = positions.iter().map(|(_, _, stake)| *stake).collect();
        let protocol = Protocol {
            alpha: Self::protocol_alpha(netuid),
            takes_remainders: T::Rules::get().spec < SETTLED_WITHOUT_PROTOCOL_SINCE,
        };
        let parts = parts(pool.0, &stakes, protocol);
        for ((hotkey, coldkey, _), part) in positions.into_iter().zip(parts) {
            if part > 0 {
                // A staker who cannot be paid (less than the least balance) does not keep the subnet alive.
                let _ = Self::pay_from_subnet(netuid, &coldkey, TaoBalance(part));
            }
            AlphaV2::<T>::remove((&hotkey, &coldkey, netuid));
            TotalHotkeyAlpha::<T>::remove(&hotkey, netuid);
            TotalHotkeySharesV2::<T>::remove(&hotkey, netuid);
        }
        TotalStake::<T>::mutate(|total| *total = total.saturating_sub(pool));
        Self::recycle_rest_of_subnet(netuid);
        Ok(())
    }

    /// Alpha that shares in the pool and is nobody's stake: what the chain itself bought and, of
    /// subnets registered since this was introduced, the pool's own.
    fn protocol_alpha(netuid: NetUid) -> AlphaBalance {
        let bought = SubnetProtocolAlpha::<T>::get(netuid);
        if NetworkRegisteredAt::<T>::get(netuid) > TaoInRefundDeploymentBlock::<T>::get() {
            bought.saturating_add(SubnetAlphaIn::<T>::get(netuid))
        } else {
            bought
        }
    }

    fn forget_neurons(netuid: NetUid) {
        for hotkey in Self::neurons(netuid) {
            IsNetworkMember::<T>::remove(&hotkey, netuid);
        }
        for index in Self::indices(netuid).collect::<Vec<_>>() {
            Self::forget_mechanism(index);
        }
        let _ = Keys::<T>::clear_prefix(netuid, u32::MAX, None);
        let _ = Uids::<T>::clear_prefix(netuid, u32::MAX, None);
        let _ = BlockAtRegistration::<T>::clear_prefix(netuid, u32::MAX, None);
        let _ = Axons::<T>::clear_prefix(netuid, u32::MAX, None);
        let _ = Prometheus::<T>::clear_prefix(netuid, u32::MAX, None);
        let _ = NeuronCertificates::<T>::clear_prefix(netuid, u32::MAX, None);
        let _ = PendingChildKeys::<T>::clear_prefix(netuid, u32::MAX, None);
        let _ = AlphaDividendsPerSubnet::<T>::clear_prefix(netuid, u32::MAX, None);
        let _ = RootClaimed::<T>::clear_prefix((netuid,), u32::MAX, None);
        SubnetworkN::<T>::remove(netuid);
        StakeWeight::<T>::remove(netuid);
        Active::<T>::remove(netuid);
        Consensus::<T>::remove(netuid);
        Dividends::<T>::remove(netuid);
        Emission::<T>::remove(netuid);
        ValidatorTrust::<T>::remove(netuid);
        ValidatorPermit::<T>::remove(netuid);
        Self::forget_relations(netuid);
    }

    /// Forgets what hotkeys keep by subnet under their own key.
    fn forget_relations(netuid: NetUid) {
        ChildKeys::<T>::translate::<Vec<(u64, T::AccountId)>, _>(|_, of, v| {
            (of != netuid).then_some(v)
        });
        ParentKeys::<T>::translate::<Vec<(u64, T::AccountId)>, _>(|_, of, v| {
            (of != netuid).then_some(v)
        });
        TotalHotkeyAlphaLastEpoch::<T>::translate::<AlphaBalance, _>(|_, of, v| {
            (of != netuid).then_some(v)
        });
        let limited: Vec<_> =
            TransactionKeyLastBlock::<T>::iter_keys().filter(|(_, of, _)| *of == netuid).collect();
        for key in limited {
            TransactionKeyLastBlock::<T>::remove(key);
        }
        RootClaimable::<T>::translate::<BTreeMap<NetUid, I96F32>, _>(|_, mut rates| {
            rates.remove(&netuid);
            Some(rates)
        });
    }

    fn forget_settings(netuid: NetUid) {
        NetworksAdded::<T>::remove(netuid);
        NetworkRegisteredAt::<T>::remove(netuid);
        SubnetOwner::<T>::remove(netuid);
        SubnetOwnerHotkey::<T>::remove(netuid);
        SubnetMechanism::<T>::remove(netuid);
        FirstEmissionBlockNumber::<T>::remove(netuid);
        SubtokenEnabled::<T>::remove(netuid);
        TokenSymbol::<T>::remove(netuid);
        SubnetIdentitiesV3::<T>::remove(netuid);
        TransferToggle::<T>::remove(netuid);
        Tempo::<T>::remove(netuid);
        LastEpochBlock::<T>::remove(netuid);
        PendingEpochAt::<T>::remove(netuid);
        SubnetEpochIndex::<T>::remove(netuid);
        BlocksSinceLastStep::<T>::remove(netuid);
        LastMechansimStepBlock::<T>::remove(netuid);
        ActivityCutoffFactorMilli::<T>::remove(netuid);
        ActivityCutoff::<T>::remove(netuid);
        SubnetEpochConsensus::<T>::remove(netuid);
        LiquidAlphaConsensusMode::<T>::remove(netuid);
        Self::forget_hyperparameters(netuid);
        MechanismCountCurrent::<T>::remove(netuid);
        MechanismEmissionSplit::<T>::remove(netuid);
    }

    fn forget_hyperparameters(netuid: NetUid) {
        Kappa::<T>::remove(netuid);
        Rho::<T>::remove(netuid);
        AlphaSigmoidSteepness::<T>::remove(netuid);
        AlphaValues::<T>::remove(netuid);
        LiquidAlphaOn::<T>::remove(netuid);
        Yuma3On::<T>::remove(netuid);
        BondsMovingAverage::<T>::remove(netuid);
        BondsPenalty::<T>::remove(netuid);
        BondsResetOn::<T>::remove(netuid);
        MinAllowedWeights::<T>::remove(netuid);
        MaxWeightsLimit::<T>::remove(netuid);
        WeightsSetRateLimit::<T>::remove(netuid);
        WeightsVersionKey::<T>::remove(netuid);
        CommitRevealWeightsEnabled::<T>::remove(netuid);
        RevealPeriodEpochs::<T>::remove(netuid);
        MaxAllowedUids::<T>::remove(netuid);
        MaxAllowedValidators::<T>::remove(netuid);
        ImmunityPeriod::<T>::remove(netuid);
        ImmuneOwnerUidsLimit::<T>::remove(netuid);
        ServingRateLimit::<T>::remove(netuid);
        Burn::<T>::remove(netuid);
        MinBurn::<T>::remove(netuid);
        MaxBurn::<T>::remove(netuid);
        BurnHalfLife::<T>::remove(netuid);
        BurnIncreaseMult::<T>::remove(netuid);
        NetworkRegistrationAllowed::<T>::remove(netuid);
        RegistrationsThisBlock::<T>::remove(netuid);
        RegistrationsThisInterval::<T>::remove(netuid);
        MaxRegistrationsPerBlock::<T>::remove(netuid);
        TargetRegistrationsPerInterval::<T>::remove(netuid);
        RAORecycledForRegistration::<T>::remove(netuid);
    }

    fn forget_pool(netuid: NetUid) {
        SubnetLocked::<T>::remove(netuid);
        SubnetTAO::<T>::remove(netuid);
        SubnetAlphaIn::<T>::remove(netuid);
        SubnetAlphaOut::<T>::remove(netuid);
        SubnetProtocolAlpha::<T>::remove(netuid);
        SubnetVolume::<T>::remove(netuid);
        SubnetTaoInEmission::<T>::remove(netuid);
        SubnetAlphaInEmission::<T>::remove(netuid);
        SubnetAlphaOutEmission::<T>::remove(netuid);
        SubnetExcessTao::<T>::remove(netuid);
        SubnetMovingPrice::<T>::remove(netuid);
        MinerBurned::<T>::remove(netuid);
        SubnetTaoFlow::<T>::remove(netuid);
        SubnetProtocolFlow::<T>::remove(netuid);
        OwnerCutEnabled::<T>::remove(netuid);
        RecycleOrBurn::<T>::remove(netuid);
        PendingServerEmission::<T>::remove(netuid);
        PendingValidatorEmission::<T>::remove(netuid);
        PendingRootAlphaDivs::<T>::remove(netuid);
        PendingOwnerCut::<T>::remove(netuid);
        crate::swap::pallet::SwapBalancer::<T>::remove(netuid);
        crate::swap::pallet::PalSwapInitialized::<T>::remove(netuid);
        crate::swap::pallet::FeeRate::<T>::remove(netuid);
    }
}

/// The chain's own share in a dissolved pool.
#[derive(Clone, Copy)]
struct Protocol {
    alpha: AlphaBalance,
    /// Whether it may be given a rao that rounding left, as a staker may.
    takes_remainders: bool,
}

/// Each stake's part of a pool that all alpha shares, rounded down; what rounding leaves goes, rao
/// by rao, to those it took most from, the earlier first.
fn parts(pool: u64, stakes: &[u64], protocol: Protocol) -> Vec<u64> {
    let pool = u128::from(pool);
    let shares = || stakes.iter().copied().chain([protocol.alpha.0]).map(u128::from);
    let total: u128 = shares().sum();
    let divided = |share: u128| {
        let value = pool.saturating_mul(share);
        (value.checked_div(total).unwrap_or(0), value.checked_rem(total).unwrap_or(0))
    };
    let mut parts: Vec<(u128, u128)> = shares().map(divided).collect();
    if !protocol.takes_remainders {
        parts.truncate(stakes.len());
    }
    let remainders: u128 = parts.iter().map(|(_, rest)| rest).sum();
    let left = usize::try_from(remainders.checked_div(total).unwrap_or(0)).unwrap_or(0);
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|at| core::cmp::Reverse(parts.get(*at).map(|(_, rest)| *rest)));
    for at in order.into_iter().take(left) {
        if let Some((part, _)) = parts.get_mut(at) {
            *part = part.saturating_add(1);
        }
    }
    parts.truncate(stakes.len());
    parts.into_iter().map(|(part, _)| u64::try_from(part).unwrap_or(u64::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::{AlphaBalance, Protocol, parts};

    fn beside(alpha: u64, takes_remainders: bool) -> Protocol {
        Protocol { alpha: AlphaBalance(alpha), takes_remainders }
    }

    #[test]
    fn what_rounding_leaves_goes_to_those_it_took_most_from() {
        let alone = beside(0, true);
        assert_eq!(parts(100, &[1, 1, 1], alone), [34, 33, 33]);
        assert_eq!(parts(100, &[1, 2], alone), [33, 67]);
        assert_eq!(parts(100, &[1, 1], beside(2, true)), [25, 25]);
        assert_eq!(parts(100, &[], alone), Vec::<u64>::new());
    }

    #[test]
    fn the_chains_own_share_takes_part_in_the_split_of_remainders_or_not() {
        // 7 among 2 + 2 + 3 of alpha is exact; 8 leaves 2/7, 2/7 and 3/7: one rao, the chain's.
        assert_eq!(parts(8, &[2, 2], beside(3, true)), [2, 2]);
        assert_eq!(parts(8, &[2, 2], beside(3, false)), [2, 2]);
        // 10 leaves 6/7, 6/7 and 2/7: two rao; without the chain's share the stakers' 12/7 give one.
        assert_eq!(parts(10, &[2, 2], beside(3, true)), [3, 3]);
        assert_eq!(parts(10, &[2, 2], beside(3, false)), [3, 2]);
    }
}
