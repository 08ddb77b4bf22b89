//! TAO in accounts: what a coldkey pays, what a subnet holds, what a block issues.
//!
//! The subnet's pool is a number in storage ([`SubnetTAO`]); the TAO itself lies in the subnet's
//! own account, derived from the pallet's id and the netuid.

use super::*;
use frame_support::traits::fungible::{Inspect, Mutate};
use frame_support::traits::tokens::Preservation;
use sp_runtime::traits::AccountIdConversion;

type Balances<T> = pallet_balances::Pallet<T>;

impl<T: Config> Pallet<T> {
    /// The account that holds a subnet's TAO.
    pub fn subnet_account(netuid: NetUid) -> T::AccountId {
        T::SubtensorPalletId::get().into_sub_account_truncating(netuid.0)
    }

    /// Whether `account` is a subnet's and so cannot be anyone's key.
    pub(crate) fn is_subnet_account(account: &T::AccountId) -> bool {
        NetworksAdded::<T>::iter_keys().any(|netuid| Self::subnet_account(netuid) == *account)
    }

    /// TAO that `account` may spend and stay alive.
    pub fn spendable(account: &T::AccountId) -> TaoBalance {
        let free = <Balances<T> as Inspect<T::AccountId>>::balance(account);
        let minimum = <Balances<T> as Inspect<T::AccountId>>::minimum_balance();
        TaoBalance(free.saturating_sub(minimum))
    }

    /// Moves TAO between accounts; the payer stays alive.
    pub(crate) fn transfer_tao(
        from: &T::AccountId,
        to: &T::AccountId,
        amount: TaoBalance,
    ) -> DispatchResult {
        <Balances<T> as Mutate<T::AccountId>>::transfer(
            from,
            to,
            amount.0,
            Preservation::Preserve,
        )?;
        Ok(())
    }

    /// Moves TAO out of a subnet's account, which may end.
    pub(crate) fn pay_from_subnet(
        netuid: NetUid,
        to: &T::AccountId,
        amount: TaoBalance,
    ) -> DispatchResult {
        let from = Self::subnet_account(netuid);
        <Balances<T> as Mutate<T::AccountId>>::transfer(
            &from,
            to,
            amount.0,
            Preservation::Expendable,
        )?;
        Ok(())
    }

    /// Announces a block's TAO. Nothing is in circulation before it is paid out.
    pub(crate) fn announce_issue(amount: TaoBalance) {
        Self::balances_event(pallet_balances::Event::Issued { amount: amount.0 });
    }

    /// Puts announced TAO into a subnet's account.
    pub(crate) fn issue_to_subnet(netuid: NetUid, amount: TaoBalance) {
        if amount.0 == 0 {
            return;
        }
        let account = Self::subnet_account(netuid);
        pallet_balances::TotalIssuance::<T>::mutate(|total| {
            *total = total.saturating_add(amount.0);
        });
        frame_system::Account::<T>::mutate(&account, |info| {
            info.data.free = info.data.free.saturating_add(amount.0);
        });
        Self::balances_event(pallet_balances::Event::Deposit { who: account, amount: amount.0 });
    }

    /// Recycles what a dissolved subnet's account still holds, but for the least balance.
    pub(crate) fn recycle_rest_of_subnet(netuid: NetUid) {
        let rest = Self::spendable(&Self::subnet_account(netuid));
        if rest.0 > 0 {
            Self::recycle_from(Self::subnet_account(netuid), rest);
        }
    }

    /// Recycles TAO of a subnet's account, which stays alive.
    pub(crate) fn recycle_from_subnet(netuid: NetUid, amount: TaoBalance) -> DispatchResult {
        let account = Self::subnet_account(netuid);
        ensure!(amount <= Self::spendable(&account), Error::<T>::InsufficientTaoBalance);
        Self::recycle_from(account, amount);
        Ok(())
    }

    fn recycle_from(account: T::AccountId, amount: TaoBalance) {
        frame_system::Account::<T>::mutate(&account, |info| {
            info.data.free = info.data.free.saturating_sub(amount.0);
        });
        Self::recycle_withdrawn(amount);
        Self::balances_event(pallet_balances::Event::Withdraw { who: account, amount: amount.0 });
    }

    /// Takes TAO that is in no account any more out of both issuances.
    pub fn recycle_withdrawn(amount: TaoBalance) {
        pallet_balances::TotalIssuance::<T>::mutate(|total| {
            *total = total.saturating_sub(amount.0);
        });
        TotalIssuance::<T>::mutate(|total| *total = total.saturating_sub(amount));
    }

    fn balances_event(event: pallet_balances::Event<T>) {
        frame_system::Pallet::<T>::deposit_event(<T as frame_system::Config>::RuntimeEvent::from(
            event,
        ));
    }
}
