//! Checks that refuse a call before it reaches a block, by the errors it would end in.

use crate::subtensor::{Call, Error, Pallet};
use crate::types::{AxonInfo, MechId, NetUid, PrometheusInfo};
use crate::{AccountId, Runtime, RuntimeCall};
use frame_support::ensure;

type Subtensor = Pallet<Runtime>;
type Refusal = Error<Runtime>;

/// What the pool checks of a call.
pub(super) fn check(who: &AccountId, call: &RuntimeCall) -> Result<(), Refusal> {
    Subtensor::check_coldkey_swap(who, is_of_a_coldkey_swap(call))?;
    let RuntimeCall::SubtensorModule(call) = call else { return Ok(()) };
    check_weights(who, call)?;
    check_rate_limits(who, call)?;
    check_takes(who, call)?;
    check_serving(who, call)
}

/// Whether a coldkey whose swap was announced may still make this call.
fn is_of_a_coldkey_swap(call: &RuntimeCall) -> bool {
    matches!(
        call,
        RuntimeCall::SubtensorModule(
            Call::announce_coldkey_swap { .. }
                | Call::swap_coldkey_announced { .. }
                | Call::dispute_coldkey_swap { .. }
                | Call::clear_coldkey_swap_announcement { .. }
        ) | RuntimeCall::MevShield(_)
    )
}

/// The pool's code for an error.
pub(super) fn code(error: &Refusal) -> u8 {
    match error {
        Error::ColdkeySwapAnnounced => 0,
        Error::AmountTooLow | Error::NotEnoughStakeToSetWeights => 1,
        Error::NotEnoughBalanceToStake => 2,
        Error::SubnetNotExists => 3,
        Error::HotKeyAccountNotExists => 4,
        Error::NotEnoughStakeToWithdraw => 5,
        Error::CommittingWeightsTooFast
        | Error::SettingWeightsTooFast
        | Error::NetworkTxRateLimitExceeded => 6,
        Error::InsufficientLiquidity => 7,
        Error::SlippageTooHigh => 8,
        Error::TransferDisallowed => 9,
        Error::HotKeyNotRegisteredInNetwork => 10,
        Error::InvalidIpAddress => 11,
        Error::ServingRateLimitExceeded => 12,
        Error::InvalidPort => 13,
        Error::InvalidRevealRound => 15,
        Error::NoWeightsCommitFound => 16,
        Error::RevealTooEarly => 17,
        Error::InputLengthsUnequal => 18,
        Error::HotKeyNotRegisteredInSubNet => 19,
        Error::EvmKeyAssociateRateLimitExceeded => 20,
        Error::ColdkeySwapDisputed => 21,
        Error::NonAssociatedColdKey => 25,
        Error::DelegateTakeTooLow => 26,
        Error::DelegateTakeTooHigh => 27,
        _ => 255,
    }
}

fn check_stake(who: &AccountId, netuid: NetUid) -> Result<(), Refusal> {
    ensure!(Subtensor::has_stake_for_weights(who, netuid), Refusal::NotEnoughStakeToSetWeights);
    Ok(())
}

fn check_round(round: u64) -> Result<(), Refusal> {
    let last = crate::drand::pallet::LastStoredRound::<Runtime>::get();
    ensure!(round >= last, Refusal::InvalidRevealRound);
    Ok(())
}

fn check_weights(who: &AccountId, call: &Call<Runtime>) -> Result<(), Refusal> {
    match call {
        Call::set_weights { netuid, .. }
        | Call::set_mechanism_weights { netuid, .. }
        | Call::set_mechanism_weights_moved { netuid, .. }
        | Call::commit_weights { netuid, .. }
        | Call::commit_mechanism_weights { netuid, .. } => check_stake(who, *netuid),
        Call::commit_timelocked_weights { netuid, reveal_round, .. }
        | Call::commit_timelocked_mechanism_weights { netuid, reveal_round, .. } => {
            check_stake(who, *netuid)?;
            check_round(*reveal_round)
        }
        Call::reveal_weights { netuid, uids, values, salt, version_key } => {
            check_stake(who, *netuid)?;
            check_reveal(who, *netuid, MechId(0), uids, values, salt, *version_key)
        }
        Call::reveal_mechanism_weights { netuid, mecid, uids, values, salt, version_key } => {
            check_stake(who, *netuid)?;
            check_reveal(who, *netuid, *mecid, uids, values, salt, *version_key)
        }
        Call::batch_reveal_weights { netuid, uids_list, values_list, salts_list, version_keys } => {
            check_batch_reveal(who, *netuid, uids_list, values_list, salts_list, version_keys)
        }
        Call::batch_set_weights { netuids, weights, version_keys } => {
            ensure!(
                netuids.len() == weights.len() && netuids.len() == version_keys.len(),
                Refusal::InputLengthsUnequal
            );
            netuids.iter().try_for_each(|netuid| check_stake(who, netuid.0))
        }
        Call::batch_commit_weights { netuids, commit_hashes } => {
            ensure!(netuids.len() == commit_hashes.len(), Refusal::InputLengthsUnequal);
            netuids.iter().try_for_each(|netuid| check_stake(who, netuid.0))
        }
        _ => Ok(()),
    }
}

fn check_reveal(
    who: &AccountId,
    netuid: NetUid,
    mecid: MechId,
    uids: &[u16],
    values: &[u16],
    salt: &[u16],
    version_key: u64,
) -> Result<(), Refusal> {
    let hash = Subtensor::commit_hash(who, netuid.index(mecid), uids, values, salt, version_key);
    Subtensor::ensure_reveal_in_window(who, netuid, mecid, hash)
}

fn check_batch_reveal(
    who: &AccountId,
    netuid: NetUid,
    uids: &[Vec<u16>],
    values: &[Vec<u16>],
    salts: &[Vec<u16>],
    version_keys: &[u64],
) -> Result<(), Refusal> {
    ensure!(
        uids.len() == values.len() && uids.len() == salts.len() && uids.len() == version_keys.len(),
        Refusal::InputLengthsUnequal
    );
    check_stake(who, netuid)?;
    uids.iter().zip(values).zip(salts).zip(version_keys).try_for_each(
        |(((uids, values), salt), key)| {
            check_reveal(who, netuid, MechId(0), uids, values, salt, *key)
        },
    )
}

fn check_rate_limits(who: &AccountId, call: &Call<Runtime>) -> Result<(), Refusal> {
    match call {
        Call::set_weights { netuid, .. } => check_set(who, *netuid, MechId(0)),
        Call::set_mechanism_weights { netuid, mecid, .. }
        | Call::set_mechanism_weights_moved { netuid, mecid, .. } => {
            check_set(who, *netuid, *mecid)
        }
        Call::commit_weights { netuid, .. } => {
            check_limit(who, *netuid, MechId(0), Refusal::CommittingWeightsTooFast)
        }
        Call::commit_mechanism_weights { netuid, mecid, .. } => {
            check_limit(who, *netuid, *mecid, Refusal::CommittingWeightsTooFast)
        }
        Call::register_network { .. } => {
            ensure!(Subtensor::network_limit_passed(), Refusal::NetworkTxRateLimitExceeded);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// With commit-reveal on, setting weights fails for that reason in the block.
fn check_set(who: &AccountId, netuid: NetUid, mecid: MechId) -> Result<(), Refusal> {
    if crate::subtensor::CommitRevealWeightsEnabled::<Runtime>::get(netuid) {
        return Ok(());
    }
    check_limit(who, netuid, mecid, Refusal::SettingWeightsTooFast)
}

fn check_limit(
    who: &AccountId,
    netuid: NetUid,
    mecid: MechId,
    refusal: Refusal,
) -> Result<(), Refusal> {
    let Some(uid) = crate::subtensor::Uids::<Runtime>::get(netuid, who) else { return Ok(()) };
    ensure!(Subtensor::weights_limit_passed(netuid, netuid.index(mecid), uid), refusal);
    Ok(())
}

fn check_takes(who: &AccountId, call: &Call<Runtime>) -> Result<(), Refusal> {
    match call {
        Call::increase_take { hotkey, take } | Call::decrease_take { hotkey, take } => {
            Subtensor::check_take(who, hotkey, *take)
        }
        _ => Ok(()),
    }
}

fn check_serving(who: &AccountId, call: &Call<Runtime>) -> Result<(), Refusal> {
    match call {
        Call::serve_axon { netuid, ip, port, ip_type, .. }
        | Call::serve_axon_tls { netuid, ip, port, ip_type, .. } => {
            let axon = AxonInfo { ip: *ip, port: *port, ip_type: *ip_type, ..AxonInfo::default() };
            Subtensor::check_axon(who, *netuid, &axon)
        }
        Call::serve_prometheus { netuid, ip, port, ip_type, .. } => {
            let info = PrometheusInfo {
                ip: *ip,
                port: *port,
                ip_type: *ip_type,
                ..PrometheusInfo::default()
            };
            Subtensor::check_prometheus(who, *netuid, &info)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Refusal, code};
    use codec::Decode;
    use scale_info::{TypeDef, TypeInfo};
    use std::collections::BTreeMap;

    #[test]
    fn errors_have_the_real_chains_codes() {
        let codes = include_str!("../../tests/vectors/pool_errors.json");
        let codes: BTreeMap<String, u8> = serde_json::from_str(codes).unwrap();
        let TypeDef::Variant(errors) = Refusal::type_info().type_def else { panic!("no variants") };
        for (name, expected) in codes {
            let error = errors.variants.iter().find(|error| error.name == name);
            let error = error.unwrap_or_else(|| panic!("no error {name}"));
            let error = Refusal::decode(&mut [error.index].as_slice()).unwrap();
            assert_eq!(code(&error), expected, "{name}");
        }
        assert_eq!(code(&Refusal::DuplicateUids), 255);
    }
}
