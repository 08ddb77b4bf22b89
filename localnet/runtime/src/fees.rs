//! Transaction fees: taken from the signer, paid to the author of the block.

use crate::{AccountId, Balance, Balances, FeeRecipient, Runtime, RuntimeCall, System};
use frame_support::traits::{Currency, ExistenceRequirement, Get, Imbalance, WithdrawReasons};
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

/// Takes the fee before the call and pays it, after a refund, to the author.
pub struct FeeToAuthor;

impl TxCreditHold<Runtime> for FeeToAuthor {
    type Credit = ();
}

impl OnChargeTransaction<Runtime> for FeeToAuthor {
    type Balance = Balance;
    type LiquidityInfo = Option<NegativeImbalance>;

    fn withdraw_fee(
        who: &AccountId,
        _call: &RuntimeCall,
        _info: &DispatchInfoOf<RuntimeCall>,
        fee: Balance,
        _tip: Balance,
    ) -> Result<Self::LiquidityInfo, TransactionValidityError> {
        if fee == 0 {
            return Ok(None);
        }
        let reason = WithdrawReasons::TRANSACTION_PAYMENT;
        Balances::withdraw(who, fee, reason, ExistenceRequirement::KeepAlive)
            .map(Some)
            .map_err(|_| InvalidTransaction::Payment.into())
    }

    fn can_withdraw_fee(
        who: &AccountId,
        _call: &RuntimeCall,
        _info: &DispatchInfoOf<RuntimeCall>,
        fee: Balance,
        _tip: Balance,
    ) -> Result<(), TransactionValidityError> {
        let left = Balances::free_balance(who).checked_sub(fee);
        let reason = WithdrawReasons::TRANSACTION_PAYMENT;
        let can = fee == 0
            || left.is_some_and(|left| {
                left >= Balances::minimum_balance()
                    && Balances::ensure_can_withdraw(who, fee, reason, left).is_ok()
            });
        if can { Ok(()) } else { Err(InvalidTransaction::Payment.into()) }
    }

    fn correct_and_deposit_fee(
        who: &AccountId,
        _info: &DispatchInfoOf<RuntimeCall>,
        _post_info: &PostDispatchInfoOf<RuntimeCall>,
        corrected_fee: Balance,
        _tip: Balance,
        paid: Self::LiquidityInfo,
    ) -> Result<(), TransactionValidityError> {
        let Some(paid) = paid else { return Ok(()) };
        let (fee, refund) = paid.split(corrected_fee);
        if refund.peek() == 0 {
            // The chain reports the refund of nothing; the currency would stay silent.
            System::deposit_event(pallet_balances::Event::Deposit { who: who.clone(), amount: 0 });
        }
        Balances::resolve_creating(who, refund);
        if fee.peek() > 0 {
            Balances::resolve_creating(&FeeRecipient::get(), fee);
        }
        Ok(())
    }
}
