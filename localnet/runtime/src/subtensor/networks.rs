//! Networks: their cost, their birth and their end.

use super::*;
use crate::types::GLOBAL_MAX_SUBNET_COUNT;

/// Tempo of a new subnet, in blocks.
const NEW_TEMPO: u16 = 360;
/// Most neurons of a new subnet.
const NEW_MAX_UIDS: u16 = 256;
/// Most validators of a new subnet.
const NEW_MAX_VALIDATORS: u16 = 64;
/// Fewest weights of a new subnet.
const NEW_MIN_WEIGHTS: u16 = 1;
/// Immunity of a new subnet's neurons, in blocks.
const NEW_IMMUNITY: u16 = 5_000;
/// Price of a new subnet's neurons.
const NEW_BURN: TaoBalance = TaoBalance(1_000_000_000);
/// Kind of mechanism: a subnet with its own alpha.
const DYNAMIC: u16 = 1;
/// TAO emission at which the lock reduction interval is nominal, in rao a block.
const NOMINAL_BLOCK_EMISSION: u64 = 1_000_000_000;
impl<T: Config> Pallet<T> {
    /// What the next network costs: twice the last one, falling linearly to the minimum.
    pub fn network_cost() -> TaoBalance {
        let last = NetworkLastLockCost::<T>::get().0;
        let registered = Self::last_limited(&RateLimitKey::NetworkLastRegistered);
        let multiplier = if registered == 0 { 1 } else { 2 };
        let emission = u128::from(Self::block_emission());
        let interval = u128::from(NetworkLockReductionInterval::<T>::get()) * emission
            / u128::from(NOMINAL_BLOCK_EMISSION);
        let per_block =
            u64::try_from(u128::from(last).checked_div(interval).unwrap_or(0)).unwrap_or(u64::MAX);
        let elapsed = Self::now().saturating_sub(registered);
        let cost =
            last.saturating_mul(multiplier).saturating_sub(per_block.saturating_mul(elapsed));
        TaoBalance(cost.max(NetworkMinLockCost::<T>::get().0))
    }

    /// Whether networks may be registered again.
    pub(crate) fn network_limit_passed() -> bool {
        let last = Self::last_limited(&RateLimitKey::NetworkLastRegistered);
        let limit = NetworkRateLimit::<T>::get();
        limit == 0 || last == 0 || Self::now().saturating_sub(last) >= limit
    }

    /// Registers a network for a coldkey.
    pub(crate) fn do_register_network(
        coldkey: T::AccountId,
        hotkey: T::AccountId,
        identity: Option<SubnetIdentityV3>,
    ) -> DispatchResult {
        ensure!(!Self::is_subnet_account(&hotkey), Error::<T>::CannotUseSystemAccount);
        if Owner::<T>::contains_key(&hotkey) {
            ensure!(Owner::<T>::get(&hotkey) == coldkey, Error::<T>::NonAssociatedColdKey);
        }
        ensure!(Self::network_limit_passed(), Error::<T>::NetworkTxRateLimitExceeded);
        if let Some(identity) = &identity {
            ensure!(Self::is_valid_subnet_identity(identity), Error::<T>::InvalidIdentity);
        }
        let cost = Self::network_cost();
        ensure!(Self::spendable(&coldkey) >= cost, Error::<T>::CannotAffordLockCost);
        let netuid = Self::free_netuid()?;

        Self::create_pair(&coldkey, &hotkey);
        let price = Self::median_price();
        Self::init_network(netuid);
        Self::transfer_tao(&coldkey, &Self::subnet_account(netuid), cost)?;
        Self::fund_network(netuid, cost, price);
        SubnetOwner::<T>::insert(netuid, &coldkey);
        Self::append_neuron(netuid, &hotkey);
        SubnetOwnerHotkey::<T>::insert(netuid, &hotkey);
        Self::deposit_event(Event::SubnetOwnerHotkeySet(netuid, hotkey));
        NetworkLastLockCost::<T>::put(cost);
        LastRateLimitedBlock::<T>::insert(RateLimitKey::NetworkLastRegistered, Self::now());
        if let Some(identity) = identity {
            SubnetIdentitiesV3::<T>::insert(netuid, identity);
            Self::deposit_event(Event::SubnetIdentitySet(netuid));
        }
        Self::deposit_event(Event::NetworkAdded(netuid, DYNAMIC));
        Ok(())
    }

    /// The lowest free netuid, after pruning the cheapest subnet when there is none.
    fn free_netuid() -> Result<NetUid, DispatchError> {
        if Self::subnets().len() >= usize::from(SubnetLimit::<T>::get()) {
            let netuid = Self::subnet_to_prune().ok_or(Error::<T>::SubnetLimitReached)?;
            Self::dissolve(netuid)?;
            return Ok(netuid);
        }
        (1..GLOBAL_MAX_SUBNET_COUNT)
            .map(NetUid)
            .find(|netuid| !NetworksAdded::<T>::get(netuid))
            .ok_or_else(|| Error::<T>::SubnetLimitReached.into())
    }

    /// The subnet with the lowest moving price beyond its immunity; the older on a tie.
    pub fn subnet_to_prune() -> Option<NetUid> {
        let now = Self::now();
        let immunity = NetworkImmunityPeriod::<T>::get();
        Self::subnets()
            .into_iter()
            .filter(|netuid| now >= NetworkRegisteredAt::<T>::get(netuid).saturating_add(immunity))
            .min_by_key(|netuid| {
                (SubnetMovingPrice::<T>::get(netuid), NetworkRegisteredAt::<T>::get(netuid))
            })
    }

    /// Writes a new subnet's hyperparameters.
    pub(crate) fn init_network(netuid: NetUid) {
        SubnetworkN::<T>::insert(netuid, 0);
        NetworksAdded::<T>::insert(netuid, true);
        Tempo::<T>::insert(netuid, NEW_TEMPO);
        LastEpochBlock::<T>::insert(
            netuid,
            Self::now().saturating_sub(u64::from(netuid.0 % NEW_TEMPO)),
        );
        NetworkRegistrationAllowed::<T>::insert(netuid, true);
        Self::deposit_event(Event::RegistrationAllowed(netuid, true));
        TotalNetworks::<T>::mutate(|total| *total = total.saturating_add(1));
        Self::set_max_allowed_uids(netuid, NEW_MAX_UIDS);
        Self::set_max_allowed_validators(netuid, NEW_MAX_VALIDATORS);
        Self::set_min_allowed_weights(netuid, NEW_MIN_WEIGHTS);
        Self::set_immunity_period(netuid, NEW_IMMUNITY);
        RegistrationsThisInterval::<T>::insert(netuid, 0);
        RAORecycledForRegistration::<T>::insert(netuid, TaoBalance(0));
        Kappa::<T>::insert(netuid, Kappa::<T>::get(netuid));
        ActivityCutoff::<T>::insert(netuid, ActivityCutoff::<T>::get(netuid));
        Yuma3On::<T>::insert(netuid, true);
        Burn::<T>::insert(netuid, NEW_BURN);
        NetworkRegisteredAt::<T>::insert(netuid, Self::now());
        RegisteredSubnetCounter::<T>::mutate(netuid, |count| *count = count.saturating_add(1));
        TokenSymbol::<T>::insert(netuid, Self::free_symbol_for(netuid));
    }

    /// Fills a new subnet's pool at the median price.
    pub(crate) fn fund_network(netuid: NetUid, cost: TaoBalance, price: U64F64) {
        let tao = TaoBalance(cost.0.max(NetworkMinLockCost::<T>::get().0));
        let alpha = U64F64::from_num(tao.0).checked_div(price).unwrap_or_default();
        SubnetLocked::<T>::insert(netuid, cost);
        SubnetTAO::<T>::insert(netuid, tao);
        SubnetAlphaIn::<T>::insert(netuid, AlphaBalance(alpha.saturating_to_num()));
        SubnetAlphaOut::<T>::insert(netuid, AlphaBalance(0));
        SubnetVolume::<T>::insert(netuid, 0);
        SubnetMechanism::<T>::insert(netuid, DYNAMIC);
        SubnetEmissionEnabled::<T>::insert(netuid, false);
        TotalStake::<T>::mutate(|total| *total = total.saturating_add(tao));
    }

    /// The median of the subnets' prices; 1 when there are none.
    fn median_price() -> U64F64 {
        let mut prices: Vec<_> = Self::subnets()
            .into_iter()
            .map(Self::alpha_price)
            .filter(|price| *price > U64F64::from_num(0))
            .collect();
        prices.sort_unstable();
        let middle = prices.len() / 2;
        match (prices.get(middle), middle.checked_sub(1).and_then(|below| prices.get(below))) {
            (Some(upper), Some(lower)) if prices.len() % 2 == 0 => (*upper + *lower) / 2,
            (Some(only), _) => *only,
            _ => U64F64::from_num(1),
        }
    }

    /// Starts emission and trading.
    pub(crate) fn do_start_call(coldkey: &T::AccountId, netuid: NetUid) -> DispatchResult {
        Self::ensure_exists(netuid)?;
        ensure!(SubnetOwner::<T>::get(netuid) == *coldkey, DispatchError::BadOrigin);
        ensure!(
            FirstEmissionBlockNumber::<T>::get(netuid).is_none(),
            Error::<T>::FirstEmissionBlockNumberAlreadySet
        );
        let earliest =
            NetworkRegisteredAt::<T>::get(netuid).saturating_add(StartCallDelay::<T>::get());
        ensure!(Self::now() >= earliest, Error::<T>::NeedWaitingMoreBlocksToStarCall);
        let first = Self::now().saturating_add(1);
        FirstEmissionBlockNumber::<T>::insert(netuid, first);
        SubtokenEnabled::<T>::insert(netuid, true);
        Self::deposit_event(Event::FirstEmissionBlockNumberSet(netuid, first));
        Ok(())
    }
}
