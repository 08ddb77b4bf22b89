//! Transaction fees: taken from the signer in TAO or, for calls that give stake up, in alpha.
//!
//! Up to spec 443 the author of the block receives them; since then they are recycled: they leave the
//! issuance, so that the halvings move away.

use crate::subtensor::{self, Call, FeePosition, PaidInAlpha};
use crate::types::TaoBalance;
use crate::{
    AccountId, Balance, Balances, FeeRecipient, Runtime, RuntimeCall, SubtensorModule, System,
};
use frame_support::traits::{
    Currency, ExistenceRequirement, Get, Imbalance, OnUnbalanced, WithdrawReasons,
};
use frame_support::weights::{Weight, WeightToFee};
use pallet_transaction_payment::{OnChargeTransaction, TxCreditHold};
use sp_runtime::traits::{DispatchInfoOf, PostDispatchInfoOf};
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};

/// Picoseconds of weight for one rao.
const WEIGHT_PER_RAO: u64 = 2_000;

/// Half a billionth of a TAO for a picosecond of weight.
pub struct LinearWeightToFee;

impl WeightToFee for LinearWeightToFee {
    type Balance = Balance;

    fn weight_to_fee(weight: &Weight) -> Balance {
        weight.ref_time() / WEIGHT_PER_RAO
    }
}

/// Extensions weigh nothing: what the chain charges for them is part of each call's price.
pub struct FreeExtensions;

/// Defines weights that are zero.
macro_rules! weightless {
    ($($name:ident)*) => { $(fn $name() -> Weight { Weight::zero() })* };
}

impl frame_system::ExtensionsWeightInfo for FreeExtensions {
    weightless! {
        check_genesis check_mortality_mortal_transaction check_mortality_immortal_transaction
        check_non_zero_sender check_nonce check_spec_version check_tx_version check_weight
        weight_reclaim
    }
}

impl pallet_transaction_payment::WeightInfo for FreeExtensions {
    weightless! { charge_transaction_payment }
}

type NegativeImbalance = <Balances as Currency<AccountId>>::NegativeImbalance;

/// Version from which fees are recycled.
const RECYCLED_SINCE: u32 = 444;

/// Whether fees leave the issuance instead of going to the author.
fn are_recycled() -> bool {
    crate::SpecVersion::get() >= RECYCLED_SINCE
}

/// What too small an account held when it ended leaves the issuance.
pub struct DustLeavesIssuance;

impl OnUnbalanced<pallet_balances::CreditOf<Runtime, ()>> for DustLeavesIssuance {
    fn on_nonzero_unbalanced(dust: pallet_balances::CreditOf<Runtime, ()>) {
        subtensor::TotalIssuance::<Runtime>::mutate(|total| {
            *total = total.saturating_sub(TaoBalance(dust.peek()));
        });
    }
}

/// A fee that was taken before its call.
pub enum Taken {
    /// In TAO, of which a part may be refunded.
    Tao(NegativeImbalance),
    /// In alpha, for good.
    Alpha(PaidInAlpha),
}

/// Takes the fee before the call; after a refund it goes to the author or is recycled.
pub struct ChargeFee;

impl TxCreditHold<Runtime> for ChargeFee {
    type Credit = ();
}

/// The stakes whose alpha may pay for `call`: those that it gives up. Only a single one does.
fn stakes_of(who: &AccountId, call: &RuntimeCall) -> Vec<FeePosition> {
    let RuntimeCall::SubtensorModule(call) = call else { return Vec::new() };
    match call {
        Call::remove_stake { hotkey, netuid, .. }
        | Call::remove_stake_limit { hotkey, netuid, .. }
        | Call::remove_stake_full_limit { hotkey, netuid, .. }
        | Call::recycle_alpha { hotkey, netuid, .. }
        | Call::burn_alpha { hotkey, netuid, .. }
        | Call::move_stake { origin_hotkey: hotkey, origin_netuid: netuid, .. }
        | Call::transfer_stake { hotkey, origin_netuid: netuid, .. }
        | Call::swap_stake { hotkey, origin_netuid: netuid, .. }
        | Call::swap_stake_limit { hotkey, origin_netuid: netuid, .. } => {
            vec![FeePosition { coldkey: who.clone(), hotkey: hotkey.clone(), netuid: *netuid }]
        }
        Call::unstake_all { hotkey } | Call::unstake_all_alpha { hotkey } => {
            SubtensorModule::fee_positions(who, hotkey)
        }
        Call::swap_hotkey { hotkey, netuid, .. } | Call::swap_hotkey_v2 { hotkey, netuid, .. }
            if are_recycled() =>
        {
            match netuid {
                Some(netuid) => vec![FeePosition {
                    coldkey: who.clone(),
                    hotkey: hotkey.clone(),
                    netuid: *netuid,
                }],
                None => SubtensorModule::fee_positions(who, hotkey),
            }
        }
        _ => Vec::new(),
    }
}

/// The one stake whose alpha may pay for `call`.
fn stake_of(who: &AccountId, call: &RuntimeCall) -> Option<FeePosition> {
    let [only] = <[FeePosition; 1]>::try_from(stakes_of(who, call)).ok()?;
    Some(only)
}

impl OnChargeTransaction<Runtime> for ChargeFee {
    type Balance = Balance;
    type LiquidityInfo = Option<Taken>;

    fn withdraw_fee(
        who: &AccountId,
        call: &RuntimeCall,
        _info: &DispatchInfoOf<RuntimeCall>,
        fee: Balance,
        _tip: Balance,
    ) -> Result<Self::LiquidityInfo, TransactionValidityError> {
        if fee == 0 {
            return Ok(None);
        }
        let reason = WithdrawReasons::TRANSACTION_PAYMENT;
        if let Ok(paid) = Balances::withdraw(who, fee, reason, ExistenceRequirement::KeepAlive) {
            return Ok(Some(Taken::Tao(paid)));
        }
        let stake = stake_of(who, call).ok_or(InvalidTransaction::Payment)?;
        let author = (!are_recycled()).then(FeeRecipient::get);
        let paid = SubtensorModule::pay_fee_in_alpha(&stake, TaoBalance(fee), author)
            .map_err(|_| InvalidTransaction::Payment)?;
        Ok(Some(Taken::Alpha(paid)))
    }

    fn can_withdraw_fee(
        who: &AccountId,
        call: &RuntimeCall,
        _info: &DispatchInfoOf<RuntimeCall>,
        fee: Balance,
        _tip: Balance,
    ) -> Result<(), TransactionValidityError> {
        let left = Balances::free_balance(who).checked_sub(fee);
        let reason = WithdrawReasons::TRANSACTION_PAYMENT;
        let has_tao = fee == 0
            || left.is_some_and(|left| {
                left >= Balances::minimum_balance()
                    && Balances::ensure_can_withdraw(who, fee, reason, left).is_ok()
            });
        let has_alpha = || {
            stake_of(who, call)
                .is_some_and(|stake| SubtensorModule::can_pay_fee(&stake, TaoBalance(fee)))
        };
        if has_tao || has_alpha() { Ok(()) } else { Err(InvalidTransaction::Payment.into()) }
    }

    fn correct_and_deposit_fee(
        who: &AccountId,
        _info: &DispatchInfoOf<RuntimeCall>,
        _post_info: &PostDispatchInfoOf<RuntimeCall>,
        corrected_fee: Balance,
        _tip: Balance,
        taken: Self::LiquidityInfo,
    ) -> Result<(), TransactionValidityError> {
        match taken {
            None => {}
            Some(Taken::Tao(paid)) => settle(who, corrected_fee, paid),
            Some(Taken::Alpha(paid)) => SubtensorModule::announce_alpha_fee(who.clone(), paid),
        }
        Ok(())
    }
}

/// Refunds what a call did not cost and passes the rest on.
fn settle(who: &AccountId, corrected_fee: Balance, paid: NegativeImbalance) {
    let (fee, refund) = paid.split(corrected_fee);
    if refund.peek() == 0 {
        // The chain reports the refund of nothing; the currency would stay silent.
        System::deposit_event(pallet_balances::Event::Deposit { who: who.clone(), amount: 0 });
    }
    Balances::resolve_creating(who, refund);
    if fee.peek() == 0 {
        return;
    }
    if are_recycled() {
        SubtensorModule::recycle_withdrawn(TaoBalance(fee.peek()));
        // Its own drop would report the end of the TAO, of which the chain says nothing.
        core::mem::forget(fee);
    } else {
        Balances::resolve_creating(&FeeRecipient::get(), fee);
    }
}
