//! What an epoch earned goes into stakes.

use super::epoch::Earned;
use super::*;
use scoring::emission::dividends::{self, Earner, Family, Holding, Parent, Takes};
use scoring::emission::pots::{self, Pots};

impl<T: Config> Pallet<T> {
    /// Runs a subnet's epoch and pays out its pots.
    pub(crate) fn distribute(netuid: NetUid, pots: Pots) {
        let earned = Self::run_epoch(netuid, pots.divided());
        let incentives: u64 = earned.iter().map(|e| e.incentive).fold(0, u64::saturating_add);
        let validator = pots.validators_after(incentives);
        let dividends = Self::dividends_with_parents(netuid, &earned);
        Self::pay_owner_cut(netuid, AlphaBalance(pots.owner));
        Self::pay_incentives(netuid, &earned);
        Self::pay_dividends(netuid, dividends, validator, pots.root);
        LastMechansimStepBlock::<T>::insert(netuid, Self::now());
    }

    fn pay_owner_cut(netuid: NetUid, amount: AlphaBalance) {
        let (Ok(coldkey), Ok(hotkey)) =
            (SubnetOwner::<T>::try_get(netuid), SubnetOwnerHotkey::<T>::try_get(netuid))
        else {
            return;
        };
        Self::increase_stake(&hotkey, &coldkey, netuid, amount);
    }

    /// Pays miners, except the owner's: theirs is burned or recycled.
    fn pay_incentives(netuid: NetUid, earned: &[Earned<T::AccountId>]) {
        let owner = SubnetOwner::<T>::get(netuid);
        let owner_hotkey = SubnetOwnerHotkey::<T>::get(netuid);
        let is_owners =
            |hotkey: &T::AccountId| *hotkey == owner_hotkey || Owner::<T>::get(hotkey) == owner;
        let (mut total, mut withheld) = (0u64, 0u64);
        // The chain pays in the order of the hotkeys, not of the uids.
        let mut earned: Vec<_> = earned.iter().map(|e| (&e.hotkey, e.incentive)).collect();
        earned.sort_unstable();
        for (hotkey, incentive) in earned {
            total = total.saturating_add(incentive);
            if is_owners(hotkey) {
                withheld = withheld.saturating_add(incentive);
                Self::withhold(netuid, AlphaBalance(incentive));
            } else {
                Self::pay_miner(netuid, hotkey, AlphaBalance(incentive));
            }
        }
        MinerBurned::<T>::insert(netuid, pots::miner_burned(withheld, total));
    }

    fn withhold(netuid: NetUid, amount: AlphaBalance) {
        match RecycleOrBurn::<T>::get(netuid) {
            RecycleOrBurnEnum::Recycle => Self::recycle_issued(netuid, amount),
            RecycleOrBurnEnum::Burn => {
                crate::alpha_assets::pallet::Pallet::<T>::burned(netuid, amount)
            }
        }
    }

    fn pay_miner(netuid: NetUid, hotkey: &T::AccountId, incentive: AlphaBalance) {
        let owner = Owner::<T>::get(hotkey);
        let chosen = AutoStakeDestination::<T>::get(&owner, netuid);
        if let Some(destination) = &chosen {
            Self::deposit_event(Event::AutoStakeAdded {
                netuid,
                destination: destination.clone(),
                hotkey: hotkey.clone(),
                owner: owner.clone(),
                incentive,
            });
        }
        let destination = chosen.unwrap_or_else(|| hotkey.clone());
        Self::increase_stake(&destination, &owner, netuid, incentive);
    }

    /// Each hotkey's dividends after its parents took theirs, by hotkey.
    fn dividends_with_parents(
        netuid: NetUid,
        earned: &[Earned<T::AccountId>],
    ) -> BTreeMap<T::AccountId, U96F32> {
        let mut dividends: BTreeMap<T::AccountId, U96F32> = BTreeMap::new();
        for Earned { hotkey, dividends: amount, .. } in earned {
            for (key, part) in Self::split_with_parents(netuid, hotkey, *amount) {
                let sum = dividends.entry(key).or_default();
                *sum = sum.saturating_add(U96F32::from_num(part));
            }
        }
        dividends
    }

    /// Splits a hotkey's dividends between its parents, by what each lends, and itself.
    fn split_with_parents(
        netuid: NetUid,
        hotkey: &T::AccountId,
        amount: u64,
    ) -> Vec<(T::AccountId, u64)> {
        let takes = Takes {
            child: Self::childkey_take(hotkey, netuid).deconstruct(),
            recycled: CKBurn::<T>::get(),
        };
        let shared = Self::family(hotkey, netuid).share(amount, Self::tao_weight(), takes);
        for recycled in shared.recycled.into_iter().filter(|alpha| *alpha > 0) {
            Self::recycle_issued(netuid, AlphaBalance(recycled));
        }
        let parents = ParentKeys::<T>::get(hotkey, netuid).into_iter().map(|(_, key)| key);
        parents.zip(shared.parents).chain([(hotkey.clone(), shared.own)]).collect()
    }

    /// A hotkey's stake on a subnet and on the root network.
    pub(crate) fn holding(hotkey: &T::AccountId, netuid: NetUid) -> Holding {
        Holding {
            alpha: TotalHotkeyAlpha::<T>::get(hotkey, netuid).0,
            root: TotalHotkeyAlpha::<T>::get(hotkey, NetUid::ROOT).0,
        }
    }

    /// A hotkey among its parents and children on a subnet.
    pub(crate) fn family(hotkey: &T::AccountId, netuid: NetUid) -> Family {
        Self::family_of(hotkey, || Owner::<T>::get(hotkey), netuid)
    }

    /// As [`Self::family`], the hotkey's owner asked for where it has parents only.
    pub(crate) fn family_of(
        hotkey: &T::AccountId,
        owner: impl Fn() -> T::AccountId,
        netuid: NetUid,
    ) -> Family {
        Family {
            own: Self::holding(hotkey, netuid),
            lent: ChildKeys::<T>::get(hotkey, netuid).iter().map(|(part, _)| *part).collect(),
            parents: ParentKeys::<T>::get(hotkey, netuid)
                .into_iter()
                .map(|(proportion, parent)| Parent {
                    proportion,
                    holding: Self::holding(&parent, netuid),
                    same_owner: Owner::<T>::get(&parent) == owner(),
                })
                .collect(),
        }
    }

    /// Pays validators' dividends in alpha and, for root stake, as claims.
    fn pay_dividends(
        netuid: NetUid,
        earned: BTreeMap<T::AccountId, U96F32>,
        validator_pot: u64,
        root_pot: u64,
    ) {
        let earners: Vec<_> = earned
            .iter()
            .map(|(hotkey, dividend)| Earner {
                dividend: *dividend,
                holding: Self::holding(hotkey, netuid),
            })
            .collect();
        let shares = dividends::divide(validator_pot, root_pot, Self::tao_weight(), &earners);
        let _ = AlphaDividendsPerSubnet::<T>::clear_prefix(netuid, u32::MAX, None);
        for (hotkey, share) in earned.keys().zip(&shares) {
            Self::pay_validator(netuid, hotkey, share.alpha);
        }
        let _ = RootAlphaDividendsPerSubnet::<T>::clear_prefix(netuid, u32::MAX, None);
        for (hotkey, share) in earned.keys().zip(&shares) {
            Self::credit_root_dividend(netuid, hotkey, share.root);
        }
    }

    fn pay_validator(netuid: NetUid, hotkey: &T::AccountId, dividend: U96F32) {
        let rest = Self::pay_take(netuid, hotkey, dividend);
        Self::increase_stake_for_all(hotkey, netuid, rest);
        AlphaDividendsPerSubnet::<T>::mutate(netuid, hotkey, |sum| {
            *sum = sum.saturating_add(rest);
        });
        let total = TotalHotkeyAlpha::<T>::get(hotkey, netuid);
        TotalHotkeyAlphaLastEpoch::<T>::insert(hotkey, netuid, total);
    }

    fn credit_root_dividend(netuid: NetUid, hotkey: &T::AccountId, dividend: U96F32) {
        let rest = Self::pay_take(netuid, hotkey, dividend);
        Self::add_root_claimable(netuid, hotkey, rest);
        RootAlphaDividendsPerSubnet::<T>::mutate(netuid, hotkey, |sum| {
            *sum = sum.saturating_add(rest);
        });
    }

    /// Stakes a hotkey's take for its owner; what is left.
    fn pay_take(netuid: NetUid, hotkey: &T::AccountId, dividend: U96F32) -> AlphaBalance {
        let (take, rest) = dividends::take(dividend, Delegates::<T>::get(hotkey).deconstruct());
        Self::increase_stake(hotkey, &Owner::<T>::get(hotkey), netuid, AlphaBalance(take));
        AlphaBalance(rest)
    }

    /// Weight of root TAO in stake.
    pub(crate) fn tao_weight() -> U96F32 {
        scoring::emission::pool::tao_weight(TaoWeight::<T>::get())
    }
}
