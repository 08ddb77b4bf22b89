//! Hotkeys that others stake on, as runtime APIs show them.

use super::*;
use crate::info::{DelegateInfo, StakeAvailability};

/// Alpha that a return is given for.
const RETURN_BASE: u64 = 1_000;

impl<T: Config> Pallet<T> {
    /// Every hotkey that has a take on record.
    pub fn delegates() -> Vec<DelegateInfo<T::AccountId>> {
        Delegates::<T>::iter_keys().filter_map(|hotkey| Self::delegate(&hotkey)).collect()
    }

    /// One of them.
    pub fn delegate(hotkey: &T::AccountId) -> Option<DelegateInfo<T::AccountId>> {
        if !Delegates::<T>::contains_key(hotkey) {
            return None;
        }
        let mut nominators: BTreeMap<T::AccountId, Vec<_>> = BTreeMap::new();
        for ((coldkey, netuid), _) in AlphaV2::<T>::iter_prefix((hotkey,)) {
            let stake = Self::stake_of(hotkey, &coldkey, netuid);
            nominators.entry(coldkey).or_default().push((netuid.into(), stake.into()));
        }
        let mut registrations: Vec<NetUid> =
            IsNetworkMember::<T>::iter_prefix(hotkey).map(|(netuid, _)| netuid).collect();
        registrations.sort_unstable();
        let permits =
            registrations.iter().copied().filter(|netuid| Self::may_validate(hotkey, *netuid));
        Some(DelegateInfo {
            delegate_ss58: hotkey.clone(),
            take: Delegates::<T>::get(hotkey).deconstruct().into(),
            owner_ss58: Owner::<T>::get(hotkey),
            validator_permits: permits.map(Compact).collect(),
            registrations: registrations.iter().copied().map(Compact).collect(),
            return_per_1000: Self::daily_return_of(hotkey, &registrations, RETURN_BASE).into(),
            total_daily_return: Self::daily_return(hotkey, &registrations).into(),
            nominators: nominators.into_iter().collect(),
        })
    }

    /// Those that a coldkey stakes on, each with the coldkey's stake.
    pub fn delegated(
        coldkey: &T::AccountId,
    ) -> Vec<(DelegateInfo<T::AccountId>, (Compact<NetUid>, Compact<AlphaBalance>))> {
        let mut stakes = Vec::new();
        for hotkey in StakingHotkeys::<T>::get(coldkey) {
            let Some(info) = Self::delegate(&hotkey) else { continue };
            for netuid in Self::networks() {
                let stake = Self::stake_of(&hotkey, coldkey, netuid);
                if stake.0 > 0 {
                    stakes.push((info.clone(), (netuid.into(), stake.into())));
                }
            }
        }
        stakes
    }

    fn may_validate(hotkey: &T::AccountId, netuid: NetUid) -> bool {
        Uids::<T>::get(netuid, hotkey).is_some_and(|uid| {
            ValidatorPermit::<T>::get(netuid).get(usize::from(uid)) == Some(&true)
        })
    }

    /// Alpha that a hotkey's nominators earned in its last epochs, scaled to a day of blocks.
    fn daily_return(hotkey: &T::AccountId, netuids: &[NetUid]) -> AlphaBalance {
        /// Blocks of twelve seconds in a day.
        const BLOCKS_PER_DAY: u64 = 7_200;
        netuids
            .iter()
            .map(|netuid| {
                let dividends = AlphaDividendsPerSubnet::<T>::get(netuid, hotkey).0;
                let epochs = BLOCKS_PER_DAY.checked_div(Tempo::<T>::get(netuid).into());
                AlphaBalance(dividends.saturating_mul(epochs.unwrap_or(0)))
            })
            .sum()
    }

    fn daily_return_of(hotkey: &T::AccountId, netuids: &[NetUid], amount: u64) -> AlphaBalance {
        let stake: u64 = netuids
            .iter()
            .map(|netuid| TotalHotkeyAlpha::<T>::get(hotkey, netuid).0)
            .fold(0, u64::saturating_add);
        let earned = u128::from(Self::daily_return(hotkey, netuids).0) * u128::from(amount);
        let part = earned.checked_div(stake.into()).unwrap_or(0);
        AlphaBalance(u64::try_from(part).unwrap_or(u64::MAX))
    }

    /// A coldkey's stake on each subnet. Nothing is ever locked here.
    pub fn stake_availability(
        coldkey: &T::AccountId,
        netuids: &[NetUid],
    ) -> BTreeMap<NetUid, StakeAvailability> {
        let hotkeys = StakingHotkeys::<T>::get(coldkey);
        let total = |netuid: NetUid| -> AlphaBalance {
            hotkeys.iter().map(|hotkey| Self::stake_of(hotkey, coldkey, netuid)).sum()
        };
        let available = |netuid: &NetUid| {
            let total = total(*netuid);
            let locked = AlphaBalance(0);
            let entry = StakeAvailability {
                total: total.into(),
                locked: locked.into(),
                available: total.into(),
            };
            (*netuid, entry)
        };
        netuids.iter().map(available).collect()
    }

    /// The fee of moving `amount` from one subnet to another, `None` being a coldkey's balance.
    pub fn stake_fee(from: Option<NetUid>, to: Option<NetUid>, amount: u64) -> u64 {
        let paying = match (from, to) {
            (Some(from), Some(to)) if from == to => return 0,
            (Some(from), _) if !from.is_root() => from,
            (_, Some(to)) => to,
            _ => return 0,
        };
        Self::buy_fee(paying, TaoBalance(amount)).0
    }

    /// Everything about every mechanism of every network.
    pub fn all_mechagraphs() -> Vec<Option<crate::info::Metagraph<T::AccountId>>> {
        Self::networks()
            .into_iter()
            .flat_map(|netuid| {
                (0..MechanismCountCurrent::<T>::get(netuid).0)
                    .map(move |mecid| Self::metagraph(netuid, MechId(mecid)))
            })
            .collect()
    }
}
