//! What coldkeys and owners say about themselves.

use super::*;

/// Longest short field, in bytes.
const SHORT: usize = 256;
/// Longest long field, in bytes.
const LONG: usize = 1_024;

fn fit(fields: &[(&Vec<u8>, usize)]) -> bool {
    fields.iter().all(|(field, longest)| field.len() <= *longest)
}

impl<T: Config> Pallet<T> {
    /// Whether every field is short enough.
    pub(crate) fn is_valid_subnet_identity(identity: &SubnetIdentityV3) -> bool {
        fit(&[
            (&identity.subnet_name, SHORT),
            (&identity.github_repo, LONG),
            (&identity.subnet_contact, LONG),
            (&identity.subnet_url, LONG),
            (&identity.discord, SHORT),
            (&identity.description, LONG),
            (&identity.logo_url, LONG),
            (&identity.additional, LONG),
        ])
    }

    fn is_valid_identity(identity: &ChainIdentityV2) -> bool {
        fit(&[
            (&identity.name, SHORT),
            (&identity.url, SHORT),
            (&identity.github_repo, SHORT),
            (&identity.image, LONG),
            (&identity.discord, SHORT),
            (&identity.description, LONG),
            (&identity.additional, LONG),
        ])
    }

    /// Sets a coldkey's identity; one of its hotkeys must be a neuron.
    pub(crate) fn do_set_identity(
        coldkey: T::AccountId,
        identity: ChainIdentityV2,
    ) -> DispatchResult {
        let is_neuron = OwnedHotkeys::<T>::get(&coldkey)
            .iter()
            .any(|hotkey| IsNetworkMember::<T>::iter_prefix(hotkey).any(|(_, member)| member));
        ensure!(is_neuron, Error::<T>::HotKeyNotRegisteredInNetwork);
        ensure!(Self::is_valid_identity(&identity), Error::<T>::InvalidIdentity);
        IdentitiesV2::<T>::insert(&coldkey, identity);
        Self::deposit_event(Event::ChainIdentitySet(coldkey));
        Ok(())
    }

    /// Sets a subnet's identity.
    pub(crate) fn do_set_subnet_identity(
        coldkey: &T::AccountId,
        netuid: NetUid,
        identity: SubnetIdentityV3,
    ) -> DispatchResult {
        ensure!(SubnetOwner::<T>::get(netuid) == *coldkey, Error::<T>::NotSubnetOwner);
        ensure!(Self::is_valid_subnet_identity(&identity), Error::<T>::InvalidIdentity);
        SubnetIdentitiesV3::<T>::insert(netuid, identity);
        Self::deposit_event(Event::SubnetIdentitySet(netuid));
        Ok(())
    }

    /// Sets a subnet's symbol, if it is free.
    pub(crate) fn do_update_symbol(netuid: NetUid, symbol: Vec<u8>) -> DispatchResult {
        ensure!(Self::is_symbol(&symbol), Error::<T>::SymbolDoesNotExist);
        let taken = TokenSymbol::<T>::iter().any(|(_, used)| used == symbol);
        ensure!(!taken, Error::<T>::SymbolAlreadyInUse);
        TokenSymbol::<T>::insert(netuid, symbol.clone());
        Self::deposit_event(Event::SymbolUpdated { netuid, symbol });
        Ok(())
    }
}
