//! What the sudo key's holder does on a development chain. Each act is an ordinary signed extrinsic, so that
//! the chain's history re-executes like any other.

use crate::{
    author::AuthorError,
    chain::StateError,
    execution::{self, CallError},
    node::{Node, SubmitError},
};
use codec::{Compact, Encode};
use frame_support::{storage::storage_prefix, traits::Get as _};
use node_subtensor_runtime::{
    AccountId, Runtime, RuntimeCall, RuntimeEvent, SpecVersion, StoredSpecVersion,
    shown::{UPGRADES_KEY, Upgrade, Upgrades},
};
use sp_core::{H256, Pair, sr25519};
use sp_runtime::MultiAddress;
use sp_version::RuntimeVersion;

/// Below this prefix the runtime looks for accounts whose signatures it takes unseen.
const IMPERSONATION_PREFIX: &[u8] = b":dev:impersonate:";

/// Longer payloads are hashed before they are signed.
const MAX_SIGNED_PAYLOAD: usize = 256;

/// Why the operator's act did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorError {
    #[error(
        "the sudo key is not a development key (such as //Alice), so the node cannot sign with it"
    )]
    NoKey,
    #[error("this upgrade was applied already")]
    Applied,
    #[error(transparent)]
    State(#[from] StateError),
    #[error("there is nothing to set")]
    Nothing,
    #[error("the extrinsic was refused")]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Execution(#[from] CallError),
    #[error(transparent)]
    Author(#[from] AuthorError),
    #[error("the chain refused it: {0}")]
    Dispatch(String),
}

/// Sets an account's free balance, in rao.
pub(crate) fn set_balance(node: &Node, who: AccountId, rao: u64) -> Result<H256, OperatorError> {
    let who = MultiAddress::Id(who);
    let call = pallet_balances::Call::force_set_balance { who, new_free: rao };
    act(node, RuntimeCall::Balances(call))
}

/// Makes every signature by `who` a good one.
pub(crate) fn impersonate(node: &Node, who: &AccountId) -> Result<H256, OperatorError> {
    let key = [IMPERSONATION_PREFIX, AsRef::<[u8]>::as_ref(who)].concat();
    let call = frame_system::Call::set_storage { items: vec![(key, vec![1])] };
    act(node, RuntimeCall::System(call))
}

/// Ends what [`impersonate`] began.
pub(crate) fn stop_impersonating(node: &Node, who: &AccountId) -> Result<H256, OperatorError> {
    let key = [IMPERSONATION_PREFIX, AsRef::<[u8]>::as_ref(who)].concat();
    set_storage(node, vec![(key, None)])
}

/// A raw key and its value; `None` removes the key.
pub(crate) type Written = (Vec<u8>, Option<Vec<u8>>);

/// Writes raw storage.
pub(crate) fn set_storage(node: &Node, pairs: Vec<Written>) -> Result<H256, OperatorError> {
    let (mut items, mut keys) = (Vec::new(), Vec::new());
    for (key, value) in pairs {
        match value {
            Some(value) => items.push((key, value)),
            None => keys.push(key),
        }
    }
    let calls = [
        (!items.is_empty()).then_some(frame_system::Call::set_storage { items }),
        (!keys.is_empty()).then_some(frame_system::Call::kill_storage { keys }),
    ];
    let mut calls: Vec<_> = calls.into_iter().flatten().map(RuntimeCall::System).collect();
    match calls.len() {
        0 => Err(OperatorError::Nothing),
        1 => act(node, calls.remove(0)),
        _ => act(node, RuntimeCall::Utility(pallet_utility::Call::batch_all { calls })),
    }
}

/// Applies an upgrade: bumps the version and shows what it changes.
pub(crate) fn upgrade(node: &Node, upgrade: Upgrade) -> Result<H256, OperatorError> {
    let (_, state) = node.chain.best_state();
    let (applied, spec) = execution::read(&state, || (Upgrades::applied(), SpecVersion::get()))?;
    if applied.has(upgrade) {
        return Err(OperatorError::Applied);
    }
    let spec = spec.saturating_add(1);
    let mut pairs = vec![
        (UPGRADES_KEY.to_vec(), Some(applied.with(upgrade).bytes())),
        (StoredSpecVersion::key().to_vec(), Some(spec.encode())),
    ];
    if upgrade == Upgrade::RemoveStorage {
        let prefix = storage_prefix(b"SubtensorModule", b"MaxWeightsLimit");
        let head = node.chain.best().hash;
        let keys = node.chain.keys(&head, &prefix, usize::MAX, None)?;
        pairs.extend(keys.into_iter().map(|key| (key, None)));
    }
    set_storage(node, pairs)
}

/// Dispatches `call` as root in a block of its own; the block's hash.
fn act(node: &Node, call: RuntimeCall) -> Result<H256, OperatorError> {
    let key = node.sudo.as_ref().ok_or(OperatorError::NoKey)?;
    let call = RuntimeCall::Sudo(pallet_sudo::Call::sudo { call: Box::new(call) });
    let extrinsic = sign(node, key, &call)?;
    let before = node.chain.best().hash;
    node.submit(&extrinsic, None)?;
    // Instant sealing has made the block already.
    if node.chain.best().hash == before {
        node.seal()?;
    }
    let (best, state) = node.chain.best_state();
    let outcome = execution::read(&state, || {
        let events = frame_system::Pallet::<Runtime>::read_events_no_consensus();
        let of_sudo = events.filter_map(|record| match record.event.0 {
            RuntimeEvent::Sudo(pallet_sudo::Event::Sudid { sudo_result }) => Some(sudo_result),
            _ => None,
        });
        of_sudo.last()
    })?;
    match outcome {
        Some(Ok(())) => Ok(best.hash),
        Some(Err(error)) => Err(OperatorError::Dispatch(format!("{error:?}"))),
        None => Err(OperatorError::Dispatch("the key is not the sudo key any more".to_owned())),
    }
}

/// An immortal extrinsic in format 4.
fn sign(node: &Node, key: &sr25519::Pair, call: &RuntimeCall) -> Result<Vec<u8>, OperatorError> {
    let (_, state) = node.chain.best_state();
    let version: RuntimeVersion = execution::ask(&state, "Core_version", &[])?;
    let nonce = node.next_nonce(&key.public().into())?;
    let genesis = node.chain.genesis_hash();
    let (immortal, tip, no_metadata_hash) = (0_u8, Compact(0_u64), 0_u8);
    let extra = (immortal, Compact(nonce), tip, no_metadata_hash).encode();
    let implicit =
        (version.spec_version, version.transaction_version, genesis, genesis, Option::<H256>::None);
    let mut payload = [call.encode(), extra.clone(), implicit.encode()].concat();
    if payload.len() > MAX_SIGNED_PAYLOAD {
        payload = sp_io::hashing::blake2_256(&payload).to_vec();
    }
    let (signed_v4, id, sr25519_signature) = (0x84_u8, 0_u8, 1_u8);
    let head = (signed_v4, id, key.public().0, sr25519_signature, key.sign(&payload));
    Ok([head.encode(), extra, call.encode()].concat().encode())
}
