//! Staking: TAO becomes alpha on a hotkey, and back.
//!
//! Every form of it is two halves, [`Pallet::stake`] and [`Pallet::unstake`], around the pool.

use super::pool::Fee;
use super::*;

/// A price limit of a call: TAO rao for one alpha, and whether less may be done to keep it.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) price: u64,
    pub(crate) partial: bool,
}

/// Stake of one coldkey on one hotkey of one subnet.
#[derive(Clone)]
pub(crate) struct Position<A> {
    pub(crate) coldkey: A,
    pub(crate) hotkey: A,
    pub(crate) netuid: NetUid,
}

type PositionOf<T> = Position<<T as frame_system::Config>::AccountId>;

impl<T: Config> Pallet<T> {
    fn ensure_tradable(netuid: NetUid) -> DispatchResult {
        Self::ensure_exists(netuid)?;
        ensure!(SubtokenEnabled::<T>::get(netuid), Error::<T>::SubtokenDisabled);
        Ok(())
    }

    fn ensure_hotkey(hotkey: &T::AccountId) -> DispatchResult {
        ensure!(Owner::<T>::contains_key(hotkey), Error::<T>::HotKeyAccountNotExists);
        Ok(())
    }

    /// Adds stake with an optional price limit.
    pub(crate) fn do_add_stake(
        at: PositionOf<T>,
        amount: TaoBalance,
        limit: Option<Limit>,
    ) -> DispatchResult {
        Self::ensure_tradable(at.netuid)?;
        let fee = Self::buy_fee(at.netuid, amount);
        let least = T::InitialMinStake::get();
        ensure!(amount.saturating_sub(fee) >= least, Error::<T>::AmountTooLow);
        let (amount, price) = Self::affordable_buy(at.netuid, amount, limit)?;
        ensure!(Self::spendable(&at.coldkey) >= amount, Error::<T>::NotEnoughBalanceToStake);
        Self::ensure_hotkey(&at.hotkey)?;
        if limit.is_some() {
            Self::become_delegate(&at.coldkey, &at.hotkey);
        }
        Self::stake(&at, amount, price, Fee::Charged)?;
        Ok(())
    }

    /// How much of `amount` the price limit lets through.
    fn affordable_buy(
        netuid: NetUid,
        amount: TaoBalance,
        limit: Option<Limit>,
    ) -> Result<(TaoBalance, Option<u64>), DispatchError> {
        let Some(limit) = limit else { return Ok((amount, None)) };
        let possible = Self::quote_buy(netuid, amount, Some(limit.price), Fee::Charged)?.input;
        if !limit.partial {
            ensure!(possible >= amount.0, Error::<T>::SlippageTooHigh);
        }
        Ok((TaoBalance(possible.min(amount.0)), Some(limit.price)))
    }

    /// A hotkey that takes others' stake has a take on record.
    fn become_delegate(coldkey: &T::AccountId, hotkey: &T::AccountId) {
        if !Delegates::<T>::contains_key(hotkey) && Owner::<T>::get(hotkey) != *coldkey {
            Delegates::<T>::insert(hotkey, Delegates::<T>::get(hotkey));
        }
    }

    /// Pays TAO into a pool and stakes the alpha that comes out.
    pub(crate) fn stake(
        at: &PositionOf<T>,
        amount: TaoBalance,
        price: Option<u64>,
        fee: Fee,
    ) -> Result<AlphaBalance, DispatchError> {
        let quote = Self::quote_buy(at.netuid, amount, price, fee)?;
        let (paid, fee) = (TaoBalance(quote.input), TaoBalance(quote.fee));
        let account = Self::subnet_account(at.netuid);
        Self::transfer_tao(&at.coldkey, &account, paid)
            .map_err(|_| Error::<T>::NotEnoughBalanceToStake)?;
        Self::apply_buy(at.netuid, &quote);
        Self::pay_from_subnet(at.netuid, &T::FeeRecipient::get(), fee)?;
        let alpha = AlphaBalance(quote.output);
        ensure!(alpha.0 > 0, Error::<T>::AmountTooLow);
        Self::increase_stake(&at.hotkey, &at.coldkey, at.netuid, alpha);
        Self::note_staking(&at.coldkey, &at.hotkey);
        if at.netuid.is_root() {
            Self::note_root_staker(&at.coldkey);
            Self::claims_follow_new_stake(at, alpha);
        }
        let (coldkey, hotkey) = (at.coldkey.clone(), at.hotkey.clone());
        Self::deposit_event(Event::StakeAdded(coldkey, hotkey, paid, alpha, at.netuid, fee.0));
        Ok(alpha)
    }

    /// Sells staked alpha and pays the TAO to its coldkey.
    pub(crate) fn unstake(
        at: &PositionOf<T>,
        amount: AlphaBalance,
        price: Option<u64>,
        fee: Fee,
    ) -> Result<TaoBalance, DispatchError> {
        let pay = |tao| Self::pay_from_subnet(at.netuid, &at.coldkey, tao);
        Ok(Self::sell_stake(at, amount, price, fee, pay)?.1)
    }

    /// Sells staked alpha and has the TAO, which is in the subnet's account, paid out; the alpha that was
    /// sold and the TAO.
    pub(crate) fn sell_stake(
        at: &PositionOf<T>,
        amount: AlphaBalance,
        price: Option<u64>,
        fee: Fee,
        pay: impl FnOnce(TaoBalance) -> DispatchResult,
    ) -> Result<(AlphaBalance, TaoBalance), DispatchError> {
        let quote = Self::quote_sell(at.netuid, amount, price, fee)?;
        let sold = AlphaBalance(quote.input);
        if at.netuid.is_root() {
            Self::claims_follow_lost_stake(at, sold);
        }
        Self::decrease_stake(&at.hotkey, &at.coldkey, at.netuid, sold);
        let fee_tao = Self::apply_sell(at.netuid, &quote)?;
        let paid = TaoBalance(quote.output);
        pay(paid)?;
        Self::pay_from_subnet(at.netuid, &T::FeeRecipient::get(), fee_tao)?;
        Self::note_staking_block(&at.coldkey, &at.hotkey);
        if at.netuid.is_root() {
            Self::forget_root_staker(&at.coldkey);
        }
        let net = sold.saturating_sub(AlphaBalance(quote.fee));
        let (coldkey, hotkey) = (at.coldkey.clone(), at.hotkey.clone());
        Self::deposit_event(Event::StakeRemoved(coldkey, hotkey, paid, net, at.netuid, quote.fee));
        Ok((sold, paid))
    }

    fn note_staking(coldkey: &T::AccountId, hotkey: &T::AccountId) {
        StakingHotkeys::<T>::mutate(coldkey, |keys| super::keys::push_new(keys, hotkey));
        Self::note_staking_block(coldkey, hotkey);
    }

    fn note_staking_block(coldkey: &T::AccountId, hotkey: &T::AccountId) {
        LastColdkeyHotkeyStakeBlock::<T>::insert(coldkey, hotkey, Self::now());
    }

    /// Removes stake with an optional price limit; more than there is means all of it.
    pub(crate) fn do_remove_stake(
        at: PositionOf<T>,
        amount: AlphaBalance,
        limit: Option<Limit>,
    ) -> DispatchResult {
        Self::ensure_tradable(at.netuid)?;
        let held = Self::stake_of(&at.hotkey, &at.coldkey, at.netuid);
        let amount = amount.min(held);
        Self::ensure_worth_moving(at.netuid, amount)?;
        Self::ensure_hotkey(&at.hotkey)?;
        let (amount, price) = Self::affordable_sell(at.netuid, amount, limit)?;
        Self::unstake(&at, amount, price, Fee::Charged)?;
        Ok(())
    }

    /// How much of `amount` the price limit lets through.
    fn affordable_sell(
        netuid: NetUid,
        amount: AlphaBalance,
        limit: Option<Limit>,
    ) -> Result<(AlphaBalance, Option<u64>), DispatchError> {
        let Some(limit) = limit else { return Ok((amount, None)) };
        let possible = Self::quote_sell(netuid, amount, Some(limit.price), Fee::Charged)?.input;
        if !limit.partial {
            ensure!(possible >= amount.0, Error::<T>::SlippageTooHigh);
        }
        Ok((AlphaBalance(possible.min(amount.0)), Some(limit.price)))
    }

    /// Refuses alpha that is worth less than the least stake.
    fn ensure_worth_moving(netuid: NetUid, amount: AlphaBalance) -> DispatchResult {
        ensure!(amount.0 > 0, Error::<T>::AmountTooLow);
        let worth = Self::quote_sell(netuid, amount, None, Fee::Charged)
            .map_or(TaoBalance(0), |quote| TaoBalance(quote.output));
        ensure!(worth >= T::InitialMinStake::get(), Error::<T>::AmountTooLow);
        Ok(())
    }

    /// Sells a coldkey's alpha on a hotkey, on every subnet it is tradable.
    pub(crate) fn do_unstake_all(coldkey: T::AccountId, hotkey: T::AccountId) -> DispatchResult {
        Self::ensure_hotkey(&hotkey)?;
        let mut netuids = Self::subnets();
        netuids.insert(0, NetUid::ROOT);
        for netuid in netuids {
            Self::try_unstake_everything(&coldkey, &hotkey, netuid);
        }
        Ok(())
    }

    /// As [`Self::do_unstake_all`] without the root network, where the TAO is staked again.
    pub(crate) fn do_unstake_all_alpha(
        coldkey: T::AccountId,
        hotkey: T::AccountId,
    ) -> DispatchResult {
        Self::ensure_hotkey(&hotkey)?;
        let total: TaoBalance = Self::subnets()
            .into_iter()
            .map(|netuid| Self::try_unstake_everything(&coldkey, &hotkey, netuid))
            .sum();
        let root = Position { coldkey, hotkey, netuid: NetUid::ROOT };
        Self::stake(&root, total, None, Fee::Charged)?;
        Ok(())
    }

    /// Sells a whole position if that is possible; what it brought.
    fn try_unstake_everything(
        coldkey: &T::AccountId,
        hotkey: &T::AccountId,
        netuid: NetUid,
    ) -> TaoBalance {
        let at = Position { coldkey: coldkey.clone(), hotkey: hotkey.clone(), netuid };
        let held = Self::stake_of(hotkey, coldkey, netuid);
        if !SubtokenEnabled::<T>::get(netuid) || Self::ensure_worth_moving(netuid, held).is_err() {
            return TaoBalance(0);
        }
        Self::unstake(&at, held, None, Fee::Charged).unwrap_or_default()
    }

    /// Moves stake from one position to another; what it is worth in TAO.
    pub(crate) fn transition(
        from: &PositionOf<T>,
        to: &PositionOf<T>,
        amount: AlphaBalance,
        limit: Option<Limit>,
        needs_transfer: bool,
    ) -> Result<TaoBalance, DispatchError> {
        ensure!(
            from.netuid != to.netuid || from.hotkey != to.hotkey || needs_transfer,
            Error::<T>::SameNetuid
        );
        ensure!(
            !(from.netuid == to.netuid && from.hotkey == to.hotkey && from.coldkey == to.coldkey),
            Error::<T>::SameNetuid
        );
        Self::ensure_tradable(from.netuid)?;
        Self::ensure_tradable(to.netuid)?;
        Self::ensure_hotkey(&from.hotkey)?;
        Self::ensure_hotkey(&to.hotkey)?;
        let held = Self::stake_of(&from.hotkey, &from.coldkey, from.netuid);
        let amount = amount.min(held);
        ensure!(amount.0 > 0, Error::<T>::AmountTooLow);
        if needs_transfer {
            ensure!(TransferToggle::<T>::get(from.netuid), Error::<T>::TransferDisallowed);
            ensure!(TransferToggle::<T>::get(to.netuid), Error::<T>::TransferDisallowed);
        }
        if from.netuid == to.netuid {
            Self::move_within(from, to, amount)
        } else {
            Self::move_across(from, to, amount, limit)
        }
    }

    fn move_within(
        from: &PositionOf<T>,
        to: &PositionOf<T>,
        amount: AlphaBalance,
    ) -> Result<TaoBalance, DispatchError> {
        let worth = Self::worth_at_price(from.netuid, amount);
        ensure!(worth >= T::InitialMinStake::get(), Error::<T>::AmountTooLow);
        if from.netuid.is_root() {
            Self::claims_follow_lost_stake(from, amount);
        }
        Self::decrease_stake(&from.hotkey, &from.coldkey, from.netuid, amount);
        Self::increase_stake(&to.hotkey, &to.coldkey, to.netuid, amount);
        Self::note_staking(&to.coldkey, &to.hotkey);
        if to.netuid.is_root() {
            Self::note_root_staker(&to.coldkey);
            Self::claims_follow_new_stake(to, amount);
            Self::forget_root_staker(&from.coldkey);
        }
        let netuid = from.netuid;
        let (coldkey, hotkey) = (from.coldkey.clone(), from.hotkey.clone());
        Self::deposit_event(Event::StakeRemoved(coldkey, hotkey, worth, amount, netuid, 0));
        let (coldkey, hotkey) = (to.coldkey.clone(), to.hotkey.clone());
        Self::deposit_event(Event::StakeAdded(coldkey, hotkey, worth, amount, netuid, 0));
        Ok(worth)
    }

    fn move_across(
        from: &PositionOf<T>,
        to: &PositionOf<T>,
        amount: AlphaBalance,
        limit: Option<Limit>,
    ) -> Result<TaoBalance, DispatchError> {
        let amount = match limit {
            Some(limit) => Self::affordable_move(from.netuid, to.netuid, amount, limit)?,
            None => {
                Self::ensure_worth_moving(from.netuid, amount)?;
                amount
            }
        };
        // One fee for the whole way: on the side that has a pool.
        let (first, second) = if from.netuid.is_root() {
            (Fee::Dropped, Fee::Charged)
        } else {
            (Fee::Charged, Fee::Dropped)
        };
        let tao = Self::unstake(from, amount, None, first)?;
        if tao.0 == 0 {
            return Ok(tao);
        }
        if from.coldkey != to.coldkey {
            Self::transfer_tao(&from.coldkey, &to.coldkey, tao)?;
        }
        Self::become_delegate(&to.coldkey, &to.hotkey);
        Self::stake(to, tao, None, second)?;
        Ok(tao)
    }

    /// How much alpha can move before the ratio of the two prices falls to the limit.
    fn affordable_move(
        from: NetUid,
        to: NetUid,
        amount: AlphaBalance,
        limit: Limit,
    ) -> Result<AlphaBalance, DispatchError> {
        let possible = Self::most_that_moves(from, to, amount, limit.price);
        if !limit.partial {
            ensure!(possible >= amount, Error::<T>::SlippageTooHigh);
        }
        Ok(possible.min(amount))
    }

    /// Burns staked alpha: it stays issued.
    pub(crate) fn do_burn_alpha(at: PositionOf<T>, amount: AlphaBalance) -> DispatchResult {
        let amount = Self::take_alpha(&at, amount)?;
        crate::alpha_assets::pallet::Pallet::<T>::burned(at.netuid, amount);
        Self::deposit_event(Event::AlphaBurned(at.coldkey, at.hotkey, amount, at.netuid));
        Ok(())
    }

    /// Recycles staked alpha: it leaves the issuance.
    pub(crate) fn do_recycle_alpha(at: PositionOf<T>, amount: AlphaBalance) -> DispatchResult {
        let amount = Self::take_alpha(&at, amount)?;
        ensure!(
            SubnetAlphaOut::<T>::get(at.netuid) >= amount,
            Error::<T>::NotEnoughAlphaOutToRecycle
        );
        Self::recycle_issued(at.netuid, amount);
        Self::deposit_event(Event::AlphaRecycled(at.coldkey, at.hotkey, amount, at.netuid));
        Ok(())
    }

    fn take_alpha(at: &PositionOf<T>, amount: AlphaBalance) -> Result<AlphaBalance, DispatchError> {
        Self::ensure_exists(at.netuid)?;
        ensure!(!at.netuid.is_root(), Error::<T>::CannotBurnOrRecycleOnRootSubnet);
        ensure!(SubtokenEnabled::<T>::get(at.netuid), Error::<T>::SubtokenDisabled);
        Self::ensure_hotkey(&at.hotkey)?;
        let held = Self::stake_of(&at.hotkey, &at.coldkey, at.netuid);
        ensure!(amount <= held, Error::<T>::NotEnoughStakeToWithdraw);
        Self::decrease_stake(&at.hotkey, &at.coldkey, at.netuid, amount);
        Ok(amount)
    }

    /// Buys alpha with TAO and burns it.
    pub(crate) fn do_add_stake_burn(
        at: PositionOf<T>,
        amount: TaoBalance,
        limit: Option<TaoBalance>,
    ) -> DispatchResult {
        Self::ensure_tradable(at.netuid)?;
        Self::ensure_hotkey(&at.hotkey)?;
        ensure!(Self::spendable(&at.coldkey) >= amount, Error::<T>::NotEnoughBalanceToStake);
        let price = limit.map(|limit| limit.0);
        let alpha = Self::stake(&at, amount, price, Fee::Charged)?;
        Self::do_burn_alpha(at.clone(), alpha)?;
        let Position { hotkey, netuid, .. } = at;
        Self::deposit_event(Event::AddStakeBurn { netuid, hotkey, amount, alpha });
        Ok(())
    }
}

impl<T: Config> Pallet<T> {
    /// Moves stake between hotkeys and subnets of one coldkey.
    pub(crate) fn do_move_stake(
        coldkey: T::AccountId,
        from: (T::AccountId, NetUid),
        to: (T::AccountId, NetUid),
        amount: AlphaBalance,
        limit: Option<Limit>,
    ) -> DispatchResult {
        let from = Position { coldkey: coldkey.clone(), hotkey: from.0, netuid: from.1 };
        let to = Position { coldkey, hotkey: to.0, netuid: to.1 };
        let tao = Self::transition(&from, &to, amount, limit, false)?;
        Self::deposit_event(Event::StakeMoved(
            from.coldkey,
            from.hotkey,
            from.netuid,
            to.hotkey,
            to.netuid,
            tao,
        ));
        Ok(())
    }

    /// Gives stake to another coldkey.
    pub(crate) fn do_transfer_stake(
        coldkey: T::AccountId,
        destination: T::AccountId,
        hotkey: T::AccountId,
        netuids: (NetUid, NetUid),
        amount: AlphaBalance,
    ) -> DispatchResult {
        let from = Position { coldkey, hotkey: hotkey.clone(), netuid: netuids.0 };
        let to = Position { coldkey: destination, hotkey, netuid: netuids.1 };
        let tao = Self::transition(&from, &to, amount, None, true)?;
        Self::deposit_event(Event::StakeTransferred(
            from.coldkey,
            to.coldkey,
            from.hotkey,
            from.netuid,
            to.netuid,
            tao,
        ));
        Ok(())
    }

    /// Moves stake between subnets.
    pub(crate) fn do_swap_stake(
        coldkey: T::AccountId,
        hotkey: T::AccountId,
        netuids: (NetUid, NetUid),
        amount: AlphaBalance,
        limit: Option<Limit>,
    ) -> DispatchResult {
        ensure!(netuids.0 != netuids.1, Error::<T>::SameNetuid);
        let at = |netuid| Position { coldkey: coldkey.clone(), hotkey: hotkey.clone(), netuid };
        let (from, to) = (at(netuids.0), at(netuids.1));
        let tao = Self::transition(&from, &to, amount, limit, false)?;
        Self::deposit_event(Event::StakeSwapped(coldkey, hotkey, from.netuid, to.netuid, tao));
        Ok(())
    }
}
