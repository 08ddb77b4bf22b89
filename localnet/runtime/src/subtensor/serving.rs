//! Endpoints that neurons announce.

use super::*;

/// Refused: 127.0.0.1, whatever the neuron means by it.
const LOOPBACK_V4: u128 = 0x7f00_0001;
/// Refused: the broadcast address, and everything above it.
const BROADCAST_V4: u128 = 0xffff_ffff;
/// Refused: `::1`.
const LOOPBACK_V6: u128 = 1;

/// Whether an address can be announced.
fn is_valid_ip(ip_type: u8, ip: u128) -> bool {
    match ip_type {
        4 => ip < BROADCAST_V4 && ip != LOOPBACK_V4,
        6 => ip < u128::MAX && ip != LOOPBACK_V6,
        _ => false,
    }
}

impl<T: Config> Pallet<T> {
    /// What an axon announcement must pass.
    pub(crate) fn check_axon(
        hotkey: &T::AccountId,
        netuid: NetUid,
        axon: &AxonInfo,
    ) -> Result<(), Error<T>> {
        ensure!(Uids::<T>::contains_key(netuid, hotkey), Error::<T>::HotKeyNotRegisteredInNetwork);
        ensure!(matches!(axon.ip_type, 4 | 6), Error::<T>::InvalidIpType);
        // Address 0 withdraws the endpoint.
        ensure!(axon.ip == 0 || is_valid_ip(axon.ip_type, axon.ip), Error::<T>::InvalidIpAddress);
        let last = Axons::<T>::get(netuid, hotkey).map(|axon| axon.block);
        ensure!(Self::serving_limit_passed(netuid, last), Error::<T>::ServingRateLimitExceeded);
        ensure!(axon.port != 0, Error::<T>::InvalidPort);
        Ok(())
    }

    /// What a metrics announcement must pass.
    pub(crate) fn check_prometheus(
        hotkey: &T::AccountId,
        netuid: NetUid,
        info: &PrometheusInfo,
    ) -> Result<(), Error<T>> {
        ensure!(Uids::<T>::contains_key(netuid, hotkey), Error::<T>::HotKeyNotRegisteredInNetwork);
        ensure!(matches!(info.ip_type, 4 | 6), Error::<T>::InvalidIpType);
        ensure!(info.ip != 0 && is_valid_ip(info.ip_type, info.ip), Error::<T>::InvalidIpAddress);
        let last = Prometheus::<T>::get(netuid, hotkey).map(|info| info.block);
        ensure!(Self::serving_limit_passed(netuid, last), Error::<T>::ServingRateLimitExceeded);
        ensure!(info.port != 0, Error::<T>::InvalidPort);
        Ok(())
    }

    fn serving_limit_passed(netuid: NetUid, last: Option<u64>) -> bool {
        let limit = ServingRateLimit::<T>::get(netuid);
        let last = last.unwrap_or(0);
        limit == 0 || last == 0 || Self::now().saturating_sub(last) >= limit
    }

    /// Announces an endpoint, with a TLS key if the certificate can be stored.
    pub(crate) fn do_serve_axon(
        hotkey: T::AccountId,
        netuid: NetUid,
        axon: AxonInfo,
        certificate: Option<Vec<u8>>,
    ) -> DispatchResult {
        Self::check_axon(&hotkey, netuid, &axon)?;
        if let Some(certificate) = certificate.and_then(parse_certificate) {
            NeuronCertificates::<T>::insert(netuid, &hotkey, certificate);
        }
        Axons::<T>::insert(netuid, &hotkey, AxonInfo { block: Self::now(), ..axon });
        Self::deposit_event(Event::AxonServed(netuid, hotkey));
        Ok(())
    }

    /// Announces a metrics endpoint.
    pub(crate) fn do_serve_prometheus(
        hotkey: T::AccountId,
        netuid: NetUid,
        info: PrometheusInfo,
    ) -> DispatchResult {
        Self::check_prometheus(&hotkey, netuid, &info)?;
        Prometheus::<T>::insert(netuid, &hotkey, PrometheusInfo { block: Self::now(), ..info });
        Self::deposit_event(Event::PrometheusServed(netuid, hotkey));
        Ok(())
    }
}

/// The first byte names the algorithm, the rest is the key; a longer one is not stored.
fn parse_certificate(bytes: Vec<u8>) -> Option<NeuronCertificate> {
    let (algorithm, key) = bytes.split_first()?;
    Some(NeuronCertificate { algorithm: *algorithm, public_key: key.to_vec().try_into().ok()? })
}
