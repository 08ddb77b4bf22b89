//! Runs runtime code natively over a state. A runtime panics where a node in wasm would trap (a bad
//! inherent, bytes that do not decode): here the panic is caught and becomes an error.

use crate::state::Backend;
use codec::Decode;
use node_subtensor_runtime::{
    self as runtime, Executive, Header, UncheckedExtrinsic, shown::Upgrades,
};
use sp_core::H256;
use sp_externalities::{Extensions, Externalities, set_and_run_with_externalities};
use sp_runtime::{
    ApplyExtrinsicResult,
    traits::BlakeTwo256,
    transaction_validity::{TransactionSource, TransactionValidity},
};
use sp_state_machine::{Ext, IterArgs, OverlayedChanges, backend::Backend as _};
use std::{
    any::Any,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Uncommitted changes over a state.
pub(crate) type Overlay = OverlayedChanges<BlakeTwo256>;

/// Why runtime code gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The runtime trapped.
    #[error("{0}")]
    Panicked(String),
    /// No runtime API has this method. The text is what clients look for to fall back to older calls.
    #[error("Exported method {0} is not found")]
    NoSuchMethod(String),
    /// The answer is not what the API's type says.
    #[error("{method} answered bytes that do not decode")]
    Undecodable {
        method: &'static str,
        #[source]
        source: codec::Error,
    },
}

/// Runs `code` over `backend`, collecting its changes in `overlay`.
pub(crate) fn run<R>(
    backend: &Backend,
    overlay: &mut Overlay,
    code: impl FnOnce() -> R,
) -> Result<R, CallError> {
    let mut extensions = Extensions::default();
    run_over(&mut Ext::new(overlay, backend, Some(&mut extensions)), code)
}

/// Runs `code` over externalities.
pub(crate) fn run_over<R>(
    ext: &mut dyn Externalities,
    code: impl FnOnce() -> R,
) -> Result<R, CallError> {
    catch_unwind(AssertUnwindSafe(|| set_and_run_with_externalities(ext, code)))
        .map_err(|payload| CallError::Panicked(panic_text(payload.as_ref())))
}

/// Runs `code` over `backend` and throws its changes away.
pub(crate) fn read<R>(backend: &Backend, code: impl FnOnce() -> R) -> Result<R, CallError> {
    run(backend, &mut Overlay::default(), code)
}

/// A runtime API call: SCALE arguments in, SCALE answer out.
pub(crate) fn call(
    backend: &Backend,
    method: &str,
    arguments: &[u8],
) -> Result<Vec<u8>, CallError> {
    let answer = || {
        let is_hidden = Upgrades::applied().hide_method(method);
        if is_hidden { None } else { runtime::api::dispatch(method, arguments) }
    };
    read(backend, answer)?.ok_or_else(|| CallError::NoSuchMethod(method.to_owned()))
}

/// A runtime API call whose answer's type is known.
pub(crate) fn ask<R: Decode>(
    backend: &Backend,
    method: &'static str,
    arguments: &[u8],
) -> Result<R, CallError> {
    let answer = call(backend, method, arguments)?;
    R::decode(&mut &answer[..]).map_err(|source| CallError::Undecodable { method, source })
}

/// What the pool asks: could this extrinsic be in the block after `best`?
pub(crate) fn validate(
    backend: &Backend,
    best: H256,
    extrinsic: UncheckedExtrinsic,
) -> Result<TransactionValidity, CallError> {
    read(backend, || Executive::validate_transaction(TransactionSource::External, extrinsic, best))
}

/// What applying an extrinsic in the block after `parent` returns; its changes are thrown away.
pub(crate) fn dry_run(
    state: &Backend,
    parent: &Header,
    extrinsic: UncheckedExtrinsic,
) -> Result<ApplyExtrinsicResult, CallError> {
    read(state, || {
        Executive::initialize_block(&draft_of(parent));
        Executive::apply_extrinsic(extrinsic)
    })
}

/// The header with which a block after `parent` begins.
pub(crate) fn draft_of(parent: &Header) -> Header {
    Header {
        parent_hash: parent.hash(),
        number: parent.number.saturating_add(1),
        state_root: H256::zero(),
        extrinsics_root: H256::zero(),
        digest: sp_runtime::Digest::default(),
    }
}

/// Re-executes a stored block over its parent's state, as a syncing node would. `Ok` means that the
/// runtime itself found the roots and the digest equal to the header's.
pub(crate) fn reexecute(parent: &Backend, header: &Header, body: &[u8]) -> Result<(), CallError> {
    let mut block = codec::Encode::encode(header);
    block.extend_from_slice(body);
    call(parent, "Core_execute_block", &block).map(drop)
}

/// Goes through what differs between two states, by key; ends when `tell` says so, with `false`.
pub(crate) fn differences(
    old: &Backend,
    new: &Backend,
    mut tell: impl FnMut(&[u8], Option<Vec<u8>>, Option<Vec<u8>>) -> bool,
) -> Result<bool, String> {
    let pairs = |state: &Backend| -> Result<BTreeMap<Vec<u8>, Vec<u8>>, String> {
        state.pairs(IterArgs::default())?.collect()
    };
    let (mut before, after) = (pairs(old)?, pairs(new)?);
    for (key, value) in after {
        let was = before.remove(&key);
        if was.as_ref() != Some(&value) && !tell(&key, was, Some(value)) {
            return Ok(false);
        }
    }
    Ok(before.into_iter().all(|(key, was)| tell(&key, Some(was), None)))
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "the runtime panicked".to_owned())
}
