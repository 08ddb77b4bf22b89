//! What a proxy of each kind may do for another account.

use crate::RuntimeCall;
use crate::subtensor::Call as Subtensor;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::traits::InstanceFilter;
use pallet_balances::Call as Balances;
use scale_info::TypeInfo;

/// Most rao, or alpha, of a small transfer, exclusive: half a TAO.
const SMALL_TRANSFER: u64 = 500_000_000;

/// The kinds of proxies, under the chain's names and indices. Those of bodies that the chain does not have any
/// more may do nothing.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Default,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ProxyType {
    #[default]
    Any,
    Owner,
    NonCritical,
    NonTransfer,
    Senate,
    NonFungible,
    Triumvirate,
    Governance,
    Staking,
    Registration,
    Transfer,
    SmallTransfer,
    RootWeights,
    ChildKeys,
    SudoUncheckedSetCode,
    SwapHotkey,
    SubnetLeaseBeneficiary,
    RootClaim,
    BasketTrading,
}

fn is_transfer(call: &RuntimeCall) -> bool {
    matches!(
        call,
        RuntimeCall::Balances(
            Balances::transfer_keep_alive { .. }
                | Balances::transfer_allow_death { .. }
                | Balances::transfer_all { .. }
        ) | RuntimeCall::SubtensorModule(Subtensor::transfer_stake { .. })
    )
}

fn is_small_transfer(call: &RuntimeCall) -> bool {
    match call {
        RuntimeCall::Balances(
            Balances::transfer_keep_alive { value, .. }
            | Balances::transfer_allow_death { value, .. },
        ) => *value < SMALL_TRANSFER,
        RuntimeCall::SubtensorModule(Subtensor::transfer_stake { alpha_amount, .. }) => {
            alpha_amount.0 < SMALL_TRANSFER
        }
        _ => false,
    }
}

fn is_staking(call: &Subtensor<crate::Runtime>) -> bool {
    matches!(
        call,
        Subtensor::add_stake { .. }
            | Subtensor::add_stake_limit { .. }
            | Subtensor::remove_stake { .. }
            | Subtensor::remove_stake_limit { .. }
            | Subtensor::remove_stake_full_limit { .. }
            | Subtensor::unstake_all { .. }
            | Subtensor::unstake_all_alpha { .. }
            | Subtensor::swap_stake { .. }
            | Subtensor::swap_stake_limit { .. }
            | Subtensor::move_stake { .. }
    )
}

fn is_registration(call: &Subtensor<crate::Runtime>) -> bool {
    matches!(
        call,
        Subtensor::burned_register { .. }
            | Subtensor::register { .. }
            | Subtensor::register_limit { .. }
    )
}

fn is_key_swap(call: &RuntimeCall) -> bool {
    matches!(
        call,
        RuntimeCall::SubtensorModule(
            Subtensor::swap_coldkey { .. }
                | Subtensor::announce_coldkey_swap { .. }
                | Subtensor::swap_coldkey_announced { .. }
        )
    )
}

impl InstanceFilter<RuntimeCall> for ProxyType {
    fn filter(&self, call: &RuntimeCall) -> bool {
        let subtensor = |may: fn(&Subtensor<crate::Runtime>) -> bool| match call {
            RuntimeCall::SubtensorModule(call) => may(call),
            _ => false,
        };
        match self {
            Self::Any => true,
            Self::NonTransfer => !is_transfer(call) && !is_key_swap(call),
            Self::NonFungible => {
                !matches!(call, RuntimeCall::Balances(_))
                    && !is_transfer(call)
                    && !is_key_swap(call)
                    && !subtensor(|call| is_staking(call) || is_registration(call))
                    && !subtensor(|call| matches!(call, Subtensor::root_register { .. }))
            }
            Self::Transfer => is_transfer(call),
            Self::SmallTransfer => is_small_transfer(call),
            Self::NonCritical => {
                !matches!(call, RuntimeCall::Sudo(_))
                    && !subtensor(|call| {
                        matches!(
                            call,
                            Subtensor::dissolve_network { .. } | Subtensor::root_register { .. }
                        ) || is_registration(call)
                    })
            }
            Self::Owner => {
                matches!(call, RuntimeCall::AdminUtils(_))
                    || subtensor(|call| {
                        matches!(
                            call,
                            Subtensor::set_subnet_identity { .. } | Subtensor::update_symbol { .. }
                        )
                    })
            }
            Self::Staking => subtensor(is_staking),
            Self::Registration => subtensor(is_registration),
            Self::ChildKeys => subtensor(|call| {
                matches!(call, Subtensor::set_children { .. } | Subtensor::set_childkey_take { .. })
            }),
            Self::SwapHotkey => subtensor(|call| {
                matches!(call, Subtensor::swap_hotkey { .. } | Subtensor::swap_hotkey_v2 { .. })
            }),
            Self::RootClaim => subtensor(|call| matches!(call, Subtensor::claim_root { .. })),
            Self::SubnetLeaseBeneficiary => {
                matches!(call, RuntimeCall::AdminUtils(_))
                    || subtensor(|call| matches!(call, Subtensor::start_call { .. }))
            }
            Self::SudoUncheckedSetCode
            | Self::Senate
            | Self::Triumvirate
            | Self::Governance
            | Self::RootWeights
            | Self::BasketTrading => false,
        }
    }

    fn is_superset(&self, other: &Self) -> bool {
        match (self, other) {
            (mine, other) if mine == other => true,
            (Self::Any, _) => true,
            (_, Self::Any) => false,
            (Self::NonTransfer, other) => !matches!(other, Self::Transfer | Self::SmallTransfer),
            (Self::Transfer, Self::SmallTransfer) => true,
            _ => false,
        }
    }
}
