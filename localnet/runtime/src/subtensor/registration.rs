//! Neurons buy their uid: the price falls with time and rises with each registration.

use super::*;
use scoring::emission::burn;

impl<T: Config> Pallet<T> {
    /// Registers a hotkey for at most `limit` TAO.
    pub(crate) fn do_register(
        coldkey: &T::AccountId,
        netuid: NetUid,
        hotkey: &T::AccountId,
        limit: Option<u64>,
    ) -> DispatchResult {
        ensure!(!netuid.is_root(), Error::<T>::RegistrationNotPermittedOnRootSubnet);
        Self::ensure_exists(netuid)?;
        ensure!(
            NetworkRegistrationAllowed::<T>::get(netuid),
            Error::<T>::SubNetRegistrationDisabled
        );
        ensure!(
            !Uids::<T>::contains_key(netuid, hotkey),
            Error::<T>::HotKeyAlreadyRegisteredInSubNet
        );
        let price = Burn::<T>::get(netuid);
        ensure!(
            limit.is_none_or(|limit| price.0 <= limit),
            Error::<T>::RegistrationPriceLimitExceeded
        );
        ensure!(Self::spendable(coldkey) >= price, Error::<T>::NotEnoughBalanceToStake);
        ensure!(!Self::is_subnet_account(hotkey), Error::<T>::CannotUseSystemAccount);
        Self::create_pair(coldkey, hotkey);
        ensure!(Owner::<T>::get(hotkey) == *coldkey, Error::<T>::NonAssociatedColdKey);
        let seat = Self::seat_for_newcomer(netuid)?;

        Self::transfer_tao(coldkey, &Self::subnet_account(netuid), price)?;
        Self::buy_and_recycle(netuid, price)?;
        let spent = RAORecycledForRegistration::<T>::get(netuid).saturating_add(price);
        RAORecycledForRegistration::<T>::insert(netuid, spent);
        Self::deposit_event(Event::RAORecycledForRegistrationSet(netuid, spent));
        let uid = match seat {
            Some(uid) => {
                Self::replace_neuron(netuid, uid, hotkey);
                uid
            }
            None => Self::append_neuron(netuid, hotkey),
        };
        RegistrationsThisBlock::<T>::mutate(netuid, |count| *count = count.saturating_add(1));
        Self::raise_burn(netuid);
        Self::deposit_event(Event::NeuronRegistered(netuid, uid, hotkey.clone()));
        Ok(())
    }

    /// The uid a newcomer replaces, or none while uids are free.
    fn seat_for_newcomer(netuid: NetUid) -> Result<Option<u16>, DispatchError> {
        let max = MaxAllowedUids::<T>::get(netuid);
        ensure!(max != 0, Error::<T>::NoNeuronIdAvailable);
        if SubnetworkN::<T>::get(netuid) < max {
            return Ok(None);
        }
        let uid = Self::neuron_to_prune(netuid).ok_or(Error::<T>::NoNeuronIdAvailable)?;
        Ok(Some(uid))
    }

    fn raise_burn(netuid: NetUid) {
        let (multiplier, bounds) = (BurnIncreaseMult::<T>::get(netuid), Self::burn_bounds(netuid));
        Burn::<T>::mutate(netuid, |price| {
            *price = TaoBalance(burn::raised(price.0, multiplier, bounds));
        });
    }

    fn burn_bounds(netuid: NetUid) -> burn::Bounds {
        burn::Bounds { min: MinBurn::<T>::get(netuid).0, max: MaxBurn::<T>::get(netuid).0 }
    }

    /// Lets every network's price fall by one block and starts a new count of registrations.
    pub(crate) fn decay_burns() {
        // Root's epochs never run, so its counter restarts every block once the first falls due.
        if Self::is_epoch_due(NetUid::ROOT, Self::now()) {
            RegistrationsThisInterval::<T>::insert(NetUid::ROOT, 0);
        }
        // The genesis block's prices stand until the second block.
        let decays = Self::now() > 1;
        let netuids: Vec<NetUid> = NetworksAdded::<T>::iter_keys().collect();
        for netuid in netuids {
            RegistrationsThisBlock::<T>::insert(netuid, 0);
            if decays {
                let factor = burn::decay_factor(BurnHalfLife::<T>::get(netuid));
                let price = Burn::<T>::get(netuid).0;
                let fallen = burn::decayed(price, factor, Self::burn_bounds(netuid));
                Burn::<T>::insert(netuid, TaoBalance(fallen));
            }
        }
    }

    /// Seats a hotkey on the root network, displacing the smallest stake when it is full.
    pub(crate) fn do_root_register(
        coldkey: &T::AccountId,
        hotkey: &T::AccountId,
    ) -> DispatchResult {
        let root = NetUid::ROOT;
        ensure!(NetworksAdded::<T>::get(root), Error::<T>::RootNetworkDoesNotExist);
        ensure!(
            !Uids::<T>::contains_key(root, hotkey),
            Error::<T>::HotKeyAlreadyRegisteredInSubNet
        );
        Self::create_pair(coldkey, hotkey);
        ensure!(Owner::<T>::get(hotkey) == *coldkey, Error::<T>::NonAssociatedColdKey);
        let uid = if SubnetworkN::<T>::get(root) < MaxAllowedUids::<T>::get(root) {
            Self::append_neuron(root, hotkey)
        } else {
            let uid = Self::smallest_root_seat(hotkey)?;
            Self::replace_neuron(root, uid, hotkey);
            uid
        };
        if !Delegates::<T>::contains_key(hotkey) {
            Delegates::<T>::insert(hotkey, Delegates::<T>::get(hotkey));
        }
        RegistrationsThisInterval::<T>::mutate(root, |count| *count = count.saturating_add(1));
        RegistrationsThisBlock::<T>::mutate(root, |count| *count = count.saturating_add(1));
        Self::deposit_event(Event::NeuronRegistered(root, uid, hotkey.clone()));
        Ok(())
    }

    /// The root seat with the least stake, if `hotkey` has more.
    fn smallest_root_seat(hotkey: &T::AccountId) -> Result<u16, DispatchError> {
        let stake_of = |hotkey: &T::AccountId| TotalHotkeyAlpha::<T>::get(hotkey, NetUid::ROOT);
        let (least, uid) = Self::neurons(NetUid::ROOT)
            .iter()
            .zip(0u16..)
            .map(|(seated, uid)| (stake_of(seated), uid))
            .min()
            .ok_or(Error::<T>::NoNeuronIdAvailable)?;
        ensure!(stake_of(hotkey) > least, Error::<T>::StakeTooLowForRoot);
        Ok(uid)
    }
}
