//! The pool that prices a subnet's alpha in TAO: a weighted constant-product pool ("balancer").
//!
//! With reserves `T` of TAO and `A` of alpha, and weights `q` of TAO and `1 − q` of alpha,
//! `T^q × A^(1−q)` is what a swap keeps, so
//!
//! ```text
//! price           (1 − q)/q × T/A                       TAO per alpha
//! buy  ΔT         ΔA = A × (1 − (T/(T+ΔT))^(q/(1−q)))
//! sell ΔA         ΔT = T × (1 − (A/(A+ΔA))^((1−q)/q))
//! inject ΔT, ΔA   q' = q·A·(T+ΔT) / (q·A·(T+ΔT) + (1−q)·T·(A+ΔA)), which keeps the price
//! ```
//!
//! Powers have 18 decimals, truncated; amounts are whole rao, truncated in favour of the pool.
//! The fee comes off the input first.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod case;
mod power;

use crate::fixed::U64F64;
use power::{SCALE, pow_scaled};

/// Parts in one: weights are `u64` parts of 10¹⁸.
pub const PERQUINTILL: u64 = 1_000_000_000_000_000_000;

/// Least weight of either side, below which powers lose their meaning.
const MIN_WEIGHT: u64 = PERQUINTILL / 100;

/// Least output-side reserve, in rao, that a swap may draw on.
pub const MINIMUM_RESERVE: u64 = 1_000_000;

/// Largest input of a swap after the fee, in input-side reserves.
const MAX_INPUT_IN_RESERVES: u64 = 1_000;

/// Price limit, in rao of TAO per alpha, of a buy that states none: 10⁶ TAO.
pub const MAX_PRICE_RAO: u64 = 1_000_000_000_000_000;

/// Price limit, in rao of TAO per alpha, of a sale that states none: 10⁻⁶ TAO.
pub const MIN_PRICE_RAO: u64 = 1_000;

/// Rao in one TAO and in one alpha.
const RAO: u64 = 1_000_000_000;

/// Weight of TAO in a pool, parts of [`PERQUINTILL`], both sides at least one hundredth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuoteWeight(u64);

impl QuoteWeight {
    /// Both sides alike: what pools start with.
    pub const HALF: Self = Self(PERQUINTILL / 2);

    /// The weight of `parts`, if both sides keep at least one hundredth.
    pub fn new(parts: u64) -> Option<Self> {
        let bounds = MIN_WEIGHT..=PERQUINTILL.saturating_sub(MIN_WEIGHT);
        bounds.contains(&parts).then_some(Self(parts))
    }

    /// Parts of [`PERQUINTILL`].
    pub fn parts(self) -> u64 {
        self.0
    }

    /// Weight of alpha.
    fn base(self) -> u64 {
        PERQUINTILL.saturating_sub(self.0)
    }
}

impl Default for QuoteWeight {
    fn default() -> Self {
        Self::HALF
    }
}

/// A subnet's pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pool {
    /// TAO reserve in rao.
    pub tao: u64,
    /// Alpha reserve in rao.
    pub alpha: u64,
    /// Weight of TAO.
    pub quote_weight: QuoteWeight,
}

/// What is paid in; the other side is paid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// TAO in, alpha out.
    Buy,
    /// Alpha in, TAO out.
    Sell,
}

/// A done swap, in rao.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swapped {
    /// What entered the pool, without the fee.
    pub paid_in: u64,
    /// What left the pool.
    pub paid_out: u64,
    /// The fee, of the input, that does not enter the pool.
    pub fee: u64,
}

/// Why a swap is refused, by the chain's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// The reserve paid from is below [`MINIMUM_RESERVE`], or the input is worth nothing.
    #[error("reserves too low: {reserve} rao to pay from")]
    ReservesTooLow {
        /// The reserve paid from, in rao.
        reserve: u64,
    },
    /// The price is at or beyond the limit before the swap.
    #[error("price {price} is at or beyond the limit {limit}")]
    PriceLimitExceeded {
        /// The pool's price, TAO per alpha.
        price: U64F64,
        /// The limit, TAO per alpha.
        limit: U64F64,
    },
    /// The input is more than a thousand times what the pool holds of it.
    #[error("input of {input} rao into a reserve of {reserve}")]
    SwapInputTooLarge {
        /// The input after the fee, in rao.
        input: u64,
        /// The reserve of the input, in rao.
        reserve: u64,
    },
}

impl SwapError {
    /// The chain's name of the error.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ReservesTooLow { .. } => "ReservesTooLow",
            Self::PriceLimitExceeded { .. } => "PriceLimitExceeded",
            Self::SwapInputTooLarge { .. } => "SwapInputTooLarge",
        }
    }
}

impl Pool {
    /// TAO per alpha; zero if there is no alpha.
    pub fn price(&self) -> U64F64 {
        price(self.tao, self.alpha, self.quote_weight)
    }

    /// What a swap of `amount` rao would do, at any price that the chain allows.
    ///
    /// # Errors
    /// As [`Self::swap`].
    pub fn quote(&self, side: Side, amount: u64, fee_rate: u16) -> Result<Swapped, SwapError> {
        let limit = match side {
            Side::Buy => MAX_PRICE_RAO,
            Side::Sell => MIN_PRICE_RAO,
        };
        self.quote_within(side, amount, fee_rate, limit_of(limit))
    }

    /// What a swap of `amount` rao would do if it stops where the price reaches `limit` (TAO per
    /// alpha, see [`limit_of`]). `fee_rate` is parts of `u16::MAX` of the input.
    ///
    /// # Errors
    /// [`SwapError`], by the chain's order of checks.
    pub fn quote_within(
        &self,
        side: Side,
        amount: u64,
        fee_rate: u16,
        limit: U64F64,
    ) -> Result<Swapped, SwapError> {
        let (reserve_in, reserve_out) = self.reserves(side);
        if reserve_out < MINIMUM_RESERVE {
            return Err(SwapError::ReservesTooLow { reserve: reserve_out });
        }
        let price = self.price();
        let within = |price: U64F64| match side {
            Side::Buy => price < limit,
            Side::Sell => price > limit,
        };
        if !within(price) {
            return Err(SwapError::PriceLimitExceeded { price, limit });
        }
        let mut fee = fee_of(amount, fee_rate);
        let mut paid_in = amount.saturating_sub(fee);
        if paid_in > reserve_in.saturating_mul(MAX_INPUT_IN_RESERVES) {
            return Err(SwapError::SwapInputTooLarge { input: paid_in, reserve: reserve_in });
        }
        let after = self.after(side, paid_in, self.output(side, paid_in)).price();
        if !(within(after) || after == limit) {
            paid_in = self.input_to(side, price, limit);
            fee = fee_on_top(paid_in, fee_rate);
        }
        let paid_out = self.output(side, paid_in);
        if paid_in > 0 && paid_out == 0 {
            return Err(SwapError::ReservesTooLow { reserve: reserve_out });
        }
        Ok(Swapped { paid_in, paid_out, fee })
    }

    /// Swaps `amount` rao and moves the reserves; see [`Self::quote_within`].
    ///
    /// # Errors
    /// [`SwapError`]; the pool is untouched then.
    pub fn swap(
        &mut self,
        side: Side,
        amount: u64,
        fee_rate: u16,
        limit: U64F64,
    ) -> Result<Swapped, SwapError> {
        let swapped = self.quote_within(side, amount, fee_rate, limit)?;
        *self = self.after(side, swapped.paid_in, swapped.paid_out);
        Ok(swapped)
    }

    /// The pool with liquidity added and its weight moved so that the price stays; `None` if the
    /// weight would leave its bounds.
    pub fn injected(&self, tao: u64, alpha: u64) -> Option<Self> {
        let after_tao = u128::from(self.tao).saturating_add(tao.into());
        let after_alpha = u128::from(self.alpha).saturating_add(alpha.into());
        let base =
            weighted(self.quote_weight.base(), u128::from(self.tao).saturating_mul(after_alpha));
        let quote =
            weighted(self.quote_weight.parts(), u128::from(self.alpha).saturating_mul(after_tao));
        let quote_weight = match quote.saturating_add(base) {
            0 => QuoteWeight::HALF,
            sum => QuoteWeight::new(power::mul_div(quote, PERQUINTILL, sum))?,
        };
        Some(Self {
            tao: self.tao.saturating_add(tao),
            alpha: self.alpha.saturating_add(alpha),
            quote_weight,
        })
    }

    /// What the pool pays for `paid_in`, in rao.
    fn output(&self, side: Side, paid_in: u64) -> u64 {
        let (reserve_in, reserve_out) = self.reserves(side);
        let (exponent, of) = match side {
            Side::Buy => (self.quote_weight.parts(), self.quote_weight.base()),
            Side::Sell => (self.quote_weight.base(), self.quote_weight.parts()),
        };
        let after = u128::from(reserve_in.saturating_add(paid_in));
        let kept = pow_scaled(reserve_in.into(), after, exponent, of);
        let kept = ratio(kept).min(U64F64::from_num(1));
        let sold = U64F64::from_num(1).saturating_sub(kept);
        U64F64::from_num(reserve_out).saturating_mul(sold).saturating_to_num()
    }

    /// The input that moves the price from `price` to `limit`, in rao.
    fn input_to(&self, side: Side, price: U64F64, limit: U64F64) -> u64 {
        let (reserve_in, _) = self.reserves(side);
        let (from, to, exponent) = match side {
            Side::Buy => (limit, price, self.quote_weight.base()),
            Side::Sell => (price, limit, self.quote_weight.parts()),
        };
        let grown = ratio(pow_scaled(from.to_bits(), to.to_bits(), exponent, PERQUINTILL));
        let added = grown.saturating_sub(U64F64::from_num(1));
        U64F64::from_num(reserve_in).saturating_mul(added).saturating_to_num()
    }

    /// Reserves paid into and out of.
    fn reserves(&self, side: Side) -> (u64, u64) {
        match side {
            Side::Buy => (self.tao, self.alpha),
            Side::Sell => (self.alpha, self.tao),
        }
    }

    fn after(&self, side: Side, paid_in: u64, paid_out: u64) -> Self {
        let (tao, alpha) = match side {
            Side::Buy => (self.tao.saturating_add(paid_in), self.alpha.saturating_sub(paid_out)),
            Side::Sell => (self.tao.saturating_sub(paid_out), self.alpha.saturating_add(paid_in)),
        };
        Self { tao, alpha, quote_weight: self.quote_weight }
    }
}

/// A price limit as calls state it, in rao of TAO per alpha, as TAO per alpha.
pub fn limit_of(rao: u64) -> U64F64 {
    U64F64::from_num(rao).checked_div(U64F64::from_num(RAO)).unwrap_or_default()
}

/// The fee of an input: `floor(amount × rate / u16::MAX)`, the rate truncated to 64 bits.
pub fn fee_of(amount: u64, rate: u16) -> u64 {
    let rate = U64F64::from_num(rate).checked_div(U64F64::from_num(u16::MAX)).unwrap_or_default();
    U64F64::from_num(amount).saturating_mul(rate).saturating_to_num()
}

/// The fee that comes on top of an input which is already net of it.
fn fee_on_top(net: u64, rate: u16) -> u64 {
    let rest = U64F64::from_num(u16::MAX.saturating_sub(rate));
    let rate = U64F64::from_num(rate).checked_div(rest).unwrap_or_default();
    U64F64::from_num(net).saturating_mul(rate).saturating_to_num()
}

fn price(tao: u64, alpha: u64, weight: QuoteWeight) -> U64F64 {
    let divide = |a: u64, b: u64| U64F64::from_num(a).checked_div(U64F64::from_num(b));
    let weights = divide(weight.base(), weight.parts()).unwrap_or_default();
    let reserves = divide(tao, alpha).unwrap_or_default();
    weights.saturating_mul(reserves)
}

/// `scaled / SCALE`.
fn ratio(scaled: u64) -> U64F64 {
    U64F64::from_num(scaled).checked_div(U64F64::from_num(SCALE)).unwrap_or_default()
}

/// `value × parts / PERQUINTILL`, rounded to nearest, half up.
fn weighted(parts: u64, value: u128) -> u128 {
    let one = u128::from(PERQUINTILL);
    let (whole, rest) = (value.checked_div(one), value.checked_rem(one));
    let (whole, rest) = (whole.unwrap_or(0), rest.unwrap_or(0));
    let half = u128::from(PERQUINTILL / 2);
    let rounded = rest.saturating_mul(parts.into()).saturating_add(half).checked_div(one);
    whole.saturating_mul(parts.into()).saturating_add(rounded.unwrap_or(0))
}
