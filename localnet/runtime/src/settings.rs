//! What a chain is started with: its version, block time and fee recipient, kept in its state.

use crate::AccountId;
use crate::shown::{Upgrade, Upgrades};
use frame_support::parameter_types;
use frame_support::traits::Get;
use sp_version::{ApisVec, RuntimeVersion};
use std::borrow::Cow;

/// Version that a chain reports unless genesis says otherwise.
const DEFAULT_SPEC_VERSION: u32 = 461;
/// Milliseconds between blocks unless genesis says otherwise.
const DEFAULT_SLOT_DURATION: u64 = 12_000;

/// `//One`, who receives fees unless genesis says otherwise.
fn default_fee_recipient() -> AccountId {
    sp_keyring::Sr25519Keyring::One.to_account_id()
}

parameter_types! {
    /// Version that the chain reports and whose rules it follows.
    pub storage StoredSpecVersion: u32 = DEFAULT_SPEC_VERSION;
    /// Milliseconds between blocks.
    pub storage StoredSlotDuration: u64 = DEFAULT_SLOT_DURATION;
    /// Who receives fees.
    pub storage StoredFeeRecipient: AccountId = default_fee_recipient();
}

/// Whether a chain's state is at hand. Metadata is also made without one, ahead of genesis.
fn has_state() -> bool {
    sp_externalities::with_externalities(|_| ()).is_some()
}

/// Version that the chain reports.
pub struct SpecVersion;
impl Get<u32> for SpecVersion {
    fn get() -> u32 {
        if has_state() { StoredSpecVersion::get() } else { DEFAULT_SPEC_VERSION }
    }
}

/// Milliseconds between blocks.
pub struct SlotDuration;
impl Get<u64> for SlotDuration {
    fn get() -> u64 {
        if has_state() { StoredSlotDuration::get() } else { DEFAULT_SLOT_DURATION }
    }
}

/// Who receives fees.
pub struct FeeRecipient;
impl Get<AccountId> for FeeRecipient {
    fn get() -> AccountId {
        StoredFeeRecipient::get()
    }
}

/// Rules of the chain's version.
pub struct Rules;
impl Get<scoring::variants::Rules> for Rules {
    fn get() -> scoring::variants::Rules {
        scoring::variants::Rules::for_spec(SpecVersion::get()).unwrap_or_default()
    }
}

/// The version as `System` reports it.
pub struct RuntimeVersionOf;
impl Get<RuntimeVersion> for RuntimeVersionOf {
    fn get() -> RuntimeVersion {
        version(crate::RUNTIME_API_VERSIONS)
    }
}

/// The version with the given runtime APIs.
pub(crate) fn version(apis: ApisVec) -> RuntimeVersion {
    let upgrades = Upgrades::applied();
    RuntimeVersion {
        spec_name: Cow::Borrowed("node-subtensor"),
        impl_name: Cow::Borrowed("node-subtensor"),
        authoring_version: 1,
        spec_version: SpecVersion::get(),
        impl_version: 1,
        apis: shown_apis(apis, upgrades),
        // As on the chain: it changes when calls move.
        transaction_version: 1 + u32::from(upgrades.has(Upgrade::MoveCall)),
        system_version: 1,
    }
}

/// The runtime APIs without those that an upgrade removed.
fn shown_apis(apis: ApisVec, upgrades: Upgrades) -> ApisVec {
    if !upgrades.has(Upgrade::RemoveApi) {
        return apis;
    }
    let mut apis = apis.into_owned();
    apis.retain(|(id, _)| !upgrades.hide_api(id));
    Cow::Owned(apis)
}
