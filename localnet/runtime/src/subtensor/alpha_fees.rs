//! Transaction fees paid in alpha: a coldkey without TAO sells as much of the stake that its call gives
//! up as the fee is worth.

use super::pool::Fee;
use super::staking::Position;
use super::*;

/// Version from which a fee that is worth no alpha is refused.
const NEVER_FREE_SINCE: u32 = 444;

/// A stake whose alpha may pay a fee.
pub struct FeePosition {
    /// Who pays.
    pub coldkey: sp_runtime::AccountId32,
    /// On whom the stake is.
    pub hotkey: sp_runtime::AccountId32,
    /// Where.
    pub netuid: NetUid,
}

/// A fee that was paid in alpha.
pub struct PaidInAlpha {
    netuid: NetUid,
    alpha: AlphaBalance,
    tao: TaoBalance,
}

impl<T: Config> Pallet<T> {
    /// Where a coldkey has tradable stake on a hotkey.
    pub fn fee_positions(coldkey: &T::AccountId, hotkey: &T::AccountId) -> Vec<FeePosition> {
        let mut netuids = Self::networks();
        netuids.retain(|netuid| {
            SubtokenEnabled::<T>::get(netuid) && Self::stake_of(hotkey, coldkey, *netuid).0 != 0
        });
        let position =
            |netuid| FeePosition { coldkey: coldkey.clone(), hotkey: hotkey.clone(), netuid };
        netuids.into_iter().map(position).collect()
    }

    /// What `tao` is worth in a subnet's alpha at the present price, without slippage.
    fn alpha_worth(netuid: NetUid, tao: TaoBalance) -> AlphaBalance {
        let alpha = U64F64::from_num(tao.0).checked_div(Self::alpha_price(netuid));
        AlphaBalance(alpha.unwrap_or_default().saturating_to_num())
    }

    /// Whether a stake is worth a fee.
    pub fn can_pay_fee(from: &FeePosition, fee: TaoBalance) -> bool {
        let held = Self::stake_of(&from.hotkey, &from.coldkey, from.netuid);
        let worth = Self::alpha_worth(from.netuid, fee);
        held >= worth && (T::Rules::get().spec < NEVER_FREE_SINCE || worth.0 > 0)
    }

    /// Sells alpha for a fee. The TAO goes to `author` or, without one, leaves the issuance. A fee that is
    /// worth no alpha takes all of it.
    pub fn pay_fee_in_alpha(
        from: &FeePosition,
        fee: TaoBalance,
        author: Option<T::AccountId>,
    ) -> Result<PaidInAlpha, DispatchError> {
        let netuid = from.netuid;
        let held = Self::stake_of(&from.hotkey, &from.coldkey, netuid);
        let worth = match Self::alpha_worth(netuid, fee) {
            AlphaBalance(0) => held,
            worth => worth.min(held),
        };
        ensure!(worth.0 > 0, Error::<T>::AmountTooLow);
        let at = Position { coldkey: from.coldkey.clone(), hotkey: from.hotkey.clone(), netuid };
        let pay = |tao| match &author {
            Some(author) => Self::pay_from_subnet(netuid, author, tao),
            None => Self::recycle_from_subnet(netuid, tao),
        };
        let (alpha, tao) = frame_support::storage::with_storage_layer(|| {
            Self::sell_stake(&at, worth, None, Fee::Dropped, pay)
        })?;
        Ok(PaidInAlpha { netuid, alpha, tao })
    }

    /// Says what a fee cost.
    pub fn announce_alpha_fee(who: T::AccountId, paid: PaidInAlpha) {
        let PaidInAlpha { netuid, alpha: alpha_fee, tao: tao_amount } = paid;
        Self::deposit_event(Event::TransactionFeePaidWithAlpha {
            who,
            netuid,
            alpha_fee,
            tao_amount,
        });
    }
}
