//! Pools: quotes from `scoring::swap`, applied to storage.
//!
//! The root network has no pool: there a TAO is an alpha.

use super::*;
use crate::swap::pallet::{
    Balancer, Error as SwapPalletError, FeeRate, PalSwapInitialized, SwapBalancer,
};
use scoring::swap::{self, MAX_PRICE_RAO, MIN_PRICE_RAO, QuoteWeight, Side, SwapError, limit_of};
use sp_runtime::Perquintill;

/// Rao in a TAO.
const RAO: u64 = 1_000_000_000;

/// Whether a swap pays the pool's fee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fee {
    /// It pays.
    Charged,
    /// It is free: the chain's own swap, or the second half of a move.
    Dropped,
}

/// What a swap would do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote {
    /// What goes in, fee included.
    pub(crate) input: u64,
    /// Part of the input that is the fee.
    pub(crate) fee: u64,
    /// What comes out.
    pub(crate) output: u64,
}

impl<T: Config> Pallet<T> {
    pub(crate) fn pool(netuid: NetUid) -> swap::Pool {
        let parts = SwapBalancer::<T>::get(netuid).quote.deconstruct();
        swap::Pool {
            tao: SubnetTAO::<T>::get(netuid).0,
            alpha: SubnetAlphaIn::<T>::get(netuid).0,
            quote_weight: QuoteWeight::new(parts).unwrap_or_default(),
        }
    }

    fn has_pool(netuid: NetUid) -> bool {
        !netuid.is_root() && SubnetMechanism::<T>::get(netuid) != 0
    }

    /// TAO for one alpha.
    pub fn alpha_price(netuid: NetUid) -> U64F64 {
        if Self::has_pool(netuid) { Self::pool(netuid).price() } else { U64F64::from_num(1) }
    }

    /// Moving average of the price; 1 where there is no pool.
    pub(crate) fn moving_price(netuid: NetUid) -> U64F64 {
        if Self::has_pool(netuid) {
            U64F64::saturating_from_num(SubnetMovingPrice::<T>::get(netuid))
        } else {
            U64F64::from_num(1)
        }
    }

    /// What `amount` of alpha is worth at the present price.
    pub(crate) fn worth_at_price(netuid: NetUid, amount: AlphaBalance) -> TaoBalance {
        let worth = Self::alpha_price(netuid).saturating_mul(U64F64::from_num(amount.0));
        TaoBalance(worth.saturating_to_num())
    }

    fn fee_rate(netuid: NetUid, fee: Fee) -> u16 {
        match fee {
            Fee::Charged => FeeRate::<T>::get(netuid),
            Fee::Dropped => 0,
        }
    }

    /// The fee of a buy.
    pub(crate) fn buy_fee(netuid: NetUid, amount: TaoBalance) -> TaoBalance {
        if Self::has_pool(netuid) {
            TaoBalance(swap::fee_of(amount.0, FeeRate::<T>::get(netuid)))
        } else {
            TaoBalance(0)
        }
    }

    /// What a buy of alpha would do, up to a price in rao.
    pub(crate) fn quote_buy(
        netuid: NetUid,
        amount: TaoBalance,
        price: Option<u64>,
        fee: Fee,
    ) -> Result<Quote, DispatchError> {
        Self::quote(netuid, Side::Buy, amount.0, price.unwrap_or(MAX_PRICE_RAO), fee)
    }

    /// What a sale of alpha would do, down to a price in rao.
    pub(crate) fn quote_sell(
        netuid: NetUid,
        amount: AlphaBalance,
        price: Option<u64>,
        fee: Fee,
    ) -> Result<Quote, DispatchError> {
        Self::quote(netuid, Side::Sell, amount.0, price.unwrap_or(MIN_PRICE_RAO), fee)
    }

    fn quote(
        netuid: NetUid,
        side: Side,
        amount: u64,
        price: u64,
        fee: Fee,
    ) -> Result<Quote, DispatchError> {
        if !Self::has_pool(netuid) {
            return Ok(Quote { input: amount, fee: 0, output: amount });
        }
        let rate = Self::fee_rate(netuid, fee);
        let swapped = Self::pool(netuid)
            .quote_within(side, amount, rate, limit_of(price))
            .map_err(|error| pallet_error::<T>(&error))?;
        Ok(Quote {
            input: swapped.paid_in.saturating_add(swapped.fee),
            fee: swapped.fee,
            output: swapped.paid_out,
        })
    }

    /// Buys and recycles alpha for a registration. The fee stays with the subnet.
    pub(crate) fn buy_and_recycle(netuid: NetUid, amount: TaoBalance) -> DispatchResult {
        let quote = Self::quote_buy(netuid, amount, None, Fee::Charged)?;
        Self::apply_buy(netuid, &quote);
        let bought = AlphaBalance(quote.output);
        SubnetAlphaOut::<T>::mutate(netuid, |total| *total = total.saturating_sub(bought));
        // The whole price counts as flow, because no fee leaves.
        note_flow::<T>(netuid, i128::from(quote.fee));
        Ok(())
    }

    /// Moves the pool by a buy whose TAO has arrived.
    pub(crate) fn apply_buy(netuid: NetUid, quote: &Quote) {
        Self::initialize_pool(netuid);
        let net = TaoBalance(quote.input.saturating_sub(quote.fee));
        let alpha = AlphaBalance(quote.output);
        SubnetAlphaIn::<T>::mutate(netuid, |total| *total = total.saturating_sub(alpha));
        SubnetAlphaOut::<T>::mutate(netuid, |total| *total = total.saturating_add(alpha));
        SubnetTAO::<T>::mutate(netuid, |total| *total = total.saturating_add(net));
        TotalStake::<T>::mutate(|total| *total = total.saturating_add(TaoBalance(quote.input)));
        note_volume::<T>(netuid, quote.input);
        note_flow::<T>(netuid, i128::from(net.0));
    }

    /// Moves the pool by a sale, then sells the fee too; what the fee is worth in TAO.
    pub(crate) fn apply_sell(netuid: NetUid, quote: &Quote) -> Result<TaoBalance, DispatchError> {
        Self::initialize_pool(netuid);
        Self::sell(netuid, quote.input.saturating_sub(quote.fee), quote.output);
        if quote.fee == 0 {
            return Ok(TaoBalance(0));
        }
        let fee = Self::quote_sell(netuid, AlphaBalance(quote.fee), None, Fee::Dropped)
            .map_or(0, |quote| quote.output);
        Self::sell(netuid, quote.fee, fee);
        Ok(TaoBalance(fee))
    }

    fn sell(netuid: NetUid, alpha: u64, tao: u64) {
        let (alpha, paid) = (AlphaBalance(alpha), TaoBalance(tao));
        SubnetAlphaIn::<T>::mutate(netuid, |total| *total = total.saturating_add(alpha));
        SubnetAlphaOut::<T>::mutate(netuid, |total| *total = total.saturating_sub(alpha));
        SubnetTAO::<T>::mutate(netuid, |total| *total = total.saturating_sub(paid));
        TotalStake::<T>::mutate(|total| *total = total.saturating_sub(paid));
        note_volume::<T>(netuid, tao);
        note_flow::<T>(netuid, -i128::from(tao));
    }

    fn initialize_pool(netuid: NetUid) {
        if Self::has_pool(netuid) && !PalSwapInitialized::<T>::get(netuid) {
            PalSwapInitialized::<T>::insert(netuid, true);
            SwapBalancer::<T>::insert(netuid, SwapBalancer::<T>::get(netuid));
        }
    }

    /// Adds a block's emission to a pool and moves its weights so that the price stays. What
    /// would move the weights out of bounds is not added.
    pub(crate) fn add_liquidity(netuid: NetUid, tao: TaoBalance, alpha: AlphaBalance) {
        let Some(pool) = Self::pool(netuid).injected(tao.0, alpha.0) else { return };
        let quote = Perquintill::from_parts(pool.quote_weight.parts());
        SwapBalancer::<T>::insert(netuid, Balancer { quote });
        SubnetTAO::<T>::insert(netuid, TaoBalance(pool.tao));
        SubnetAlphaIn::<T>::insert(netuid, AlphaBalance(pool.alpha));
    }

    /// The most alpha that can move between two subnets before the ratio of their prices falls
    /// to `limit` (of 10^9), found by halving.
    pub(crate) fn most_that_moves(
        from: NetUid,
        to: NetUid,
        amount: AlphaBalance,
        limit: u64,
    ) -> AlphaBalance {
        let keeps_limit = |alpha: u64| {
            let ratio = Self::price_ratio_after(from, to, AlphaBalance(alpha));
            ratio.is_some_and(|ratio| ratio >= limit_of(limit))
        };
        if keeps_limit(amount.0) {
            return amount;
        }
        let (mut low, mut high) = (0, amount.0);
        while high.saturating_sub(low) > 1 {
            let middle = low.midpoint(high);
            if keeps_limit(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        AlphaBalance(low)
    }

    /// Price of `from` over price of `to` after moving `amount`.
    fn price_ratio_after(from: NetUid, to: NetUid, amount: AlphaBalance) -> Option<U64F64> {
        let (mut origin, mut target) = (Self::pool(from), Self::pool(to));
        let tao = if Self::has_pool(from) {
            let fee = FeeRate::<T>::get(from);
            origin.swap(Side::Sell, amount.0, fee, limit_of(MIN_PRICE_RAO)).ok()?.paid_out
        } else {
            amount.0
        };
        if Self::has_pool(to) {
            target.swap(Side::Buy, tao, 0, limit_of(MAX_PRICE_RAO)).ok()?;
        }
        let price = |netuid, pool: swap::Pool| {
            if Self::has_pool(netuid) { pool.price() } else { U64F64::from_num(1) }
        };
        price(from, origin).checked_div(price(to, target))
    }

    /// The price in rao for one alpha.
    pub fn price_in_rao(netuid: NetUid) -> u64 {
        Self::alpha_price(netuid).saturating_mul(U64F64::from_num(RAO)).saturating_to_num()
    }
}

fn note_volume<T: Config>(netuid: NetUid, tao: u64) {
    SubnetVolume::<T>::mutate(netuid, |total| *total = total.saturating_add(u128::from(tao)));
}

fn note_flow<T: Config>(netuid: NetUid, tao: i128) {
    SubnetTaoFlow::<T>::mutate(netuid, |flow| {
        *flow = flow.saturating_add(i64::try_from(tao).unwrap_or(i64::MAX));
    });
}

fn pallet_error<T: Config>(error: &SwapError) -> DispatchError {
    match error {
        SwapError::ReservesTooLow { .. } => SwapPalletError::<T>::ReservesTooLow.into(),
        SwapError::PriceLimitExceeded { .. } => SwapPalletError::<T>::PriceLimitExceeded.into(),
        SwapError::SwapInputTooLarge { .. } => SwapPalletError::<T>::SwapInputTooLarge.into(),
        _ => SwapPalletError::<T>::InsufficientLiquidity.into(),
    }
}
