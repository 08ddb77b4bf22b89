//! Stake as shares of a pool per hotkey and subnet.
//!
//! A hotkey's alpha is one number; each coldkey owns a share of it. Dividends raise the number
//! and so every coldkey's part at once. Shares are decimal floats of 21 digits, so that one rao
//! more or less on the largest pool still moves a share.

use super::*;
use sp_core::U256;

/// Largest mantissa, 10^21; a non-zero value keeps its mantissa in (10^20, 10^21].
const MAX_MANTISSA: u128 = 1_000_000_000_000_000_000_000;

/// Decimal digits of [`MAX_MANTISSA`].
const MAX_DIGITS: u64 = 21;

/// A non-negative decimal float.
#[derive(
    Clone,
    PartialEq,
    Eq,
    Debug,
    Default,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
    MaxEncodedLen,
)]
pub struct SafeFloat {
    mantissa: u128,
    exponent: i64,
}

/// 10^`exponent`, where anything beyond 22 digits is as good as infinite.
fn power_of_ten(exponent: u64) -> U256 {
    U256::from(10u8).pow(U256::from(exponent.min(MAX_DIGITS + 1)))
}

impl SafeFloat {
    /// The value `amount`.
    pub fn from_amount(amount: u64) -> Self {
        Self::normalized(U256::from(amount), 0)
    }

    /// Whether this is zero.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// Moves the point until the mantissa is in range, dropping digits beyond it.
    fn normalized(mut mantissa: U256, mut exponent: i64) -> Self {
        if mantissa.is_zero() {
            return Self::default();
        }
        let (ten, max) = (U256::from(10u8), U256::from(MAX_MANTISSA));
        while mantissa > max {
            mantissa /= ten;
            exponent = exponent.saturating_add(1);
        }
        while mantissa <= max / ten {
            mantissa *= ten;
            exponent = exponent.saturating_sub(1);
        }
        Self { mantissa: mantissa.low_u128(), exponent }
    }

    /// Both mantissas at the larger exponent.
    fn aligned(&self, other: &Self) -> (U256, U256, i64) {
        let shift = self.exponent.abs_diff(other.exponent);
        let (own, others) = (U256::from(self.mantissa), U256::from(other.mantissa));
        if self.exponent >= other.exponent {
            (own, others / power_of_ten(shift), self.exponent)
        } else {
            (own / power_of_ten(shift), others, other.exponent)
        }
    }

    /// The sum.
    pub fn add(&self, other: &Self) -> Self {
        if self.is_zero() {
            return other.clone();
        }
        if other.is_zero() {
            return self.clone();
        }
        let (own, others, exponent) = self.aligned(other);
        Self::normalized(own + others, exponent)
    }

    /// The difference, stopping at zero.
    pub fn saturating_sub(&self, other: &Self) -> Self {
        if self.is_zero() || other.is_zero() {
            return self.clone();
        }
        let (own, others, exponent) = self.aligned(other);
        Self::normalized(own.saturating_sub(others), exponent)
    }

    /// `self * factor / divisor`; zero when `divisor` is zero.
    pub fn mul_div(&self, factor: &Self, divisor: &Self) -> Self {
        if divisor.is_zero() {
            return Self::default();
        }
        let product = U256::from(self.mantissa) * U256::from(factor.mantissa);
        let exponent =
            self.exponent.saturating_add(factor.exponent).saturating_sub(divisor.exponent);
        Self::normalized(product / U256::from(divisor.mantissa), exponent)
    }

    /// The whole part, stopping at the largest integer.
    pub fn to_amount(&self) -> u64 {
        let scale = power_of_ten(self.exponent.unsigned_abs());
        let mantissa = U256::from(self.mantissa);
        let value =
            if self.exponent >= 0 { mantissa.saturating_mul(scale) } else { mantissa / scale };
        u64::try_from(value).unwrap_or(u64::MAX)
    }
}

impl<T: Config> Pallet<T> {
    /// Alpha (TAO on the root network) of `coldkey` on `hotkey`.
    pub fn stake_of(hotkey: &T::AccountId, coldkey: &T::AccountId, netuid: NetUid) -> AlphaBalance {
        Self::value_of_shares(hotkey, netuid, &AlphaV2::<T>::get((hotkey, coldkey, netuid)))
    }

    /// What `shares` of a hotkey's pool are worth.
    fn value_of_shares(hotkey: &T::AccountId, netuid: NetUid, shares: &SafeFloat) -> AlphaBalance {
        let total = SafeFloat::from_amount(TotalHotkeyAlpha::<T>::get(hotkey, netuid).0);
        let denominator = TotalHotkeySharesV2::<T>::get(hotkey, netuid);
        AlphaBalance(total.mul_div(shares, &denominator).to_amount())
    }

    /// Gives `coldkey` more stake on `hotkey`.
    pub(crate) fn increase_stake(
        hotkey: &T::AccountId,
        coldkey: &T::AccountId,
        netuid: NetUid,
        amount: AlphaBalance,
    ) {
        if amount.0 == 0 {
            return;
        }
        let (total, denominator, update) = Self::share_update(hotkey, netuid, amount);
        let own = AlphaV2::<T>::get((hotkey, coldkey, netuid));
        Self::store_shares(
            hotkey,
            coldkey,
            netuid,
            denominator.add(&update),
            own.add(&update),
            total.saturating_add(amount),
        );
    }

    /// Takes stake of `coldkey` off `hotkey`. The caller has checked that it is there.
    pub(crate) fn decrease_stake(
        hotkey: &T::AccountId,
        coldkey: &T::AccountId,
        netuid: NetUid,
        amount: AlphaBalance,
    ) {
        if amount.0 == 0 {
            return;
        }
        let (total, denominator, update) = Self::share_update(hotkey, netuid, amount);
        let own = AlphaV2::<T>::get((hotkey, coldkey, netuid));
        Self::store_shares(
            hotkey,
            coldkey,
            netuid,
            denominator.saturating_sub(&update),
            own.saturating_sub(&update),
            total.saturating_sub(amount),
        );
    }

    /// Raises the stake of every coldkey on `hotkey` in proportion.
    pub(crate) fn increase_stake_for_all(
        hotkey: &T::AccountId,
        netuid: NetUid,
        amount: AlphaBalance,
    ) {
        let total = TotalHotkeyAlpha::<T>::get(hotkey, netuid).saturating_add(amount);
        Self::store_total(hotkey, netuid, total);
    }

    /// The pool of a hotkey and the shares that `amount` is worth in it.
    fn share_update(
        hotkey: &T::AccountId,
        netuid: NetUid,
        amount: AlphaBalance,
    ) -> (AlphaBalance, SafeFloat, SafeFloat) {
        let total = TotalHotkeyAlpha::<T>::get(hotkey, netuid);
        let denominator = TotalHotkeySharesV2::<T>::get(hotkey, netuid);
        let update = SafeFloat::from_amount(amount.0);
        let shares = if denominator.is_zero() {
            update
        } else {
            update.mul_div(&denominator, &SafeFloat::from_amount(total.0))
        };
        (total, denominator, shares)
    }

    fn store_shares(
        hotkey: &T::AccountId,
        coldkey: &T::AccountId,
        netuid: NetUid,
        denominator: SafeFloat,
        own: SafeFloat,
        total: AlphaBalance,
    ) {
        if denominator.is_zero() {
            TotalHotkeySharesV2::<T>::remove(hotkey, netuid);
        } else {
            TotalHotkeySharesV2::<T>::insert(hotkey, netuid, denominator);
        }
        if own.is_zero() {
            AlphaV2::<T>::remove((hotkey, coldkey, netuid));
        } else {
            AlphaV2::<T>::insert((hotkey, coldkey, netuid), own);
        }
        Self::store_total(hotkey, netuid, total);
    }

    fn store_total(hotkey: &T::AccountId, netuid: NetUid, total: AlphaBalance) {
        if total.0 == 0 {
            TotalHotkeyAlpha::<T>::remove(hotkey, netuid);
        } else {
            TotalHotkeyAlpha::<T>::insert(hotkey, netuid, total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SafeFloat;

    #[test]
    fn an_amount_is_stored_with_twenty_one_digits() {
        let one_alpha = SafeFloat::from_amount(1_000_000_000);
        assert_eq!((one_alpha.mantissa, one_alpha.exponent), (10u128.pow(21), -12));
        let recorded = SafeFloat::from_amount(90_695_657_285);
        assert_eq!((recorded.mantissa, recorded.exponent), (906_956_572_850_000_000_000, -10));
    }

    #[test]
    fn shares_of_a_grown_pool_are_worth_more() {
        let (all, own) = (SafeFloat::from_amount(100), SafeFloat::from_amount(25));
        assert_eq!(SafeFloat::from_amount(1_000).mul_div(&own, &all).to_amount(), 250);
    }

    #[test]
    fn taking_more_than_there_is_leaves_nothing() {
        let small = SafeFloat::from_amount(3);
        assert!(small.saturating_sub(&SafeFloat::from_amount(4)).is_zero());
    }
}
