//! `state_*`: storage, runtime calls, metadata, and what changes.

use super::{Args, RegisterError, Registry, RpcError, accept, hex, send};
use crate::{
    execution,
    node::{Node, NodeError},
};
use codec::Decode;
use jsonrpsee::{PendingSubscriptionSink, types::ErrorObjectOwned, types::Params};
use serde_json::{Value, json};
use sp_core::H256;
use sp_version::RuntimeVersion;

/// Keys in one answer. A Substrate node allows 1,000; tools that read the whole state ask for more.
const MAX_KEYS: usize = 1_000_000;
/// Keys when the client does not say how many.
const DEFAULT_KEYS: u64 = 1_000;
/// Blocks whose changes one query looks through.
const MAX_QUERIED_BLOCKS: u32 = 10_000;
/// Keys that one subscription may watch.
const MAX_WATCHED_KEYS: usize = 1_024;

pub(super) fn register(methods: &mut Registry) -> Result<(), RegisterError> {
    methods.blocking(&["state_call", "state_callAt"], |node, mut args| {
        let (method, arguments) = (args.text()?, args.bytes()?);
        let at = args.block(node)?;
        Ok(hex(node.call(&at, &method, &arguments)?))
    })?;
    methods.blocking(&["state_getMetadata"], |node, mut args| {
        let at = args.block(node)?;
        let opaque: Vec<u8> = execution::ask(&node.chain.state(&at)?, "Metadata_metadata", &[])?;
        Ok(hex(opaque))
    })?;
    methods.method(&["state_getRuntimeVersion", "chain_getRuntimeVersion"], |node, mut args| {
        let at = args.block(node)?;
        Ok(runtime_version(node, &at)?)
    })?;
    methods.method(&["state_getStorage", "state_getStorageAt"], |node, mut args| {
        let value = value(node, &mut args)?;
        Ok(value.map(hex))
    })?;
    methods.method(&["state_getStorageSize", "state_getStorageSizeAt"], |node, mut args| {
        let value = value(node, &mut args)?;
        Ok(value.map(|value| value.len()))
    })?;
    methods.method(&["state_getStorageHash", "state_getStorageHashAt"], |node, mut args| {
        let value = value(node, &mut args)?;
        Ok(value.map(|value| H256(sp_io::hashing::blake2_256(&value))))
    })?;
    methods.blocking(&["state_getKeysPaged", "state_getKeysPagedAt"], |node, mut args| {
        let prefix = args.optional_bytes()?.unwrap_or_default();
        let count = args.optional_number()?.unwrap_or(DEFAULT_KEYS);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > MAX_KEYS {
            return Err(RpcError::params(format!("{count} keys asked for, {MAX_KEYS} at most")));
        }
        let start = args.optional_bytes()?;
        keys(node, &mut args, &prefix, count, start.as_deref())
    })?;
    methods.blocking(&["state_getKeys", "state_getKeysAt"], |node, mut args| {
        let prefix = args.optional_bytes()?.unwrap_or_default();
        keys(node, &mut args, &prefix, MAX_KEYS, None)
    })?;
    methods.blocking(&["state_queryStorageAt"], |node, mut args| {
        let keys = args.keys()?;
        let at = args.block(node)?;
        Ok(json!([changes(node, &at, &keys)?]))
    })?;
    methods.blocking(&["state_queryStorage"], |node, mut args| {
        let keys = args.keys()?;
        let (from, to) = (args.hash()?, args.block(node)?);
        query_range(node, &keys, &from, &to)
    })?;
    methods.blocking(&["state_getReadProof"], |node, mut args| {
        let keys = args.keys()?;
        let at = args.block(node)?;
        let proof: Vec<String> = node.chain.read_proof(&at, &keys)?.iter().map(hex).collect();
        Ok(json!({ "at": at, "proof": proof }))
    })?;
    methods.0.register_subscription(
        "state_subscribeStorage",
        "state_storage",
        "state_unsubscribeStorage",
        |params, pending, node, _| async move { watch_storage(&params, pending, &node).await },
    )?;
    for (subscribe, unsubscribe) in [
        ("state_subscribeRuntimeVersion", "state_unsubscribeRuntimeVersion"),
        ("chain_subscribeRuntimeVersion", "chain_unsubscribeRuntimeVersion"),
    ] {
        methods.0.register_subscription(
            subscribe,
            "state_runtimeVersion",
            unsubscribe,
            |_, pending, node, _| async move { watch_version(pending, &node).await },
        )?;
    }
    Ok(())
}

fn value(node: &Node, args: &mut Args) -> Result<Option<Vec<u8>>, RpcError> {
    let key = args.bytes()?;
    let at = args.block(node)?;
    Ok(node.chain.storage(&at, &key)?)
}

fn keys(
    node: &Node,
    args: &mut Args,
    prefix: &[u8],
    count: usize,
    start: Option<&[u8]>,
) -> Result<Vec<String>, RpcError> {
    let at = args.block(node)?;
    // The first page: Python clients name the prefix itself as the key to start after.
    let start = start.filter(|start| !start.is_empty());
    Ok(node.chain.keys(&at, prefix, count, start)?.iter().map(hex).collect())
}

/// The values of `keys` after block `at`, as a change set.
fn changes(node: &Node, at: &H256, keys: &[Vec<u8>]) -> Result<Value, RpcError> {
    let changes = keys
        .iter()
        .map(|key| Ok(json!([hex(key), node.chain.storage(at, key)?.map(hex)])))
        .collect::<Result<Vec<Value>, RpcError>>()?;
    Ok(json!({ "block": at, "changes": changes }))
}

/// The values of `keys` after block `from`, then those that each block up to `to` changed.
fn query_range(
    node: &Node,
    keys: &[Vec<u8>],
    from: &H256,
    to: &H256,
) -> Result<Vec<Value>, RpcError> {
    let number = |hash: &H256| {
        let block = node.chain.block(hash).ok_or(crate::chain::StateError::UnknownBlock(*hash));
        block.map(|block| block.header.number)
    };
    let (first, last) = (number(from)?, number(to)?);
    if last < first || last.saturating_sub(first) > MAX_QUERIED_BLOCKS {
        let why =
            format!("blocks {first} to {last}: at most {MAX_QUERIED_BLOCKS}, the older first");
        return Err(RpcError::params(why));
    }
    let mut known: Vec<Option<Option<Vec<u8>>>> = vec![None; keys.len()];
    let mut sets = Vec::new();
    for block in (first..=last).filter_map(|number| node.chain.block_at(number)) {
        let mut news = Vec::new();
        for (key, known) in keys.iter().zip(&mut known) {
            let value = node.chain.storage(&block.hash, key)?;
            if known.as_ref() != Some(&value) {
                news.push(json!([hex(key), value.as_ref().map(hex)]));
                *known = Some(value);
            }
        }
        if !news.is_empty() {
            sets.push(json!({ "block": block.hash, "changes": news }));
        }
    }
    Ok(sets)
}

fn runtime_version(node: &Node, at: &H256) -> Result<RuntimeVersion, NodeError> {
    Ok(execution::ask(&node.chain.state(at)?, "Core_version", &[])?)
}

/// Tells the values of some keys, then those that a block changed.
async fn watch_storage(params: &Params<'_>, pending: PendingSubscriptionSink, node: &Node) {
    let keys = Args::new(params).and_then(|mut args| args.keys());
    let keys = match keys {
        Ok(keys) if keys.len() <= MAX_WATCHED_KEYS => keys,
        Ok(keys) => {
            let why = format!("{} keys to watch, {MAX_WATCHED_KEYS} at most", keys.len());
            return pending.reject(ErrorObjectOwned::from(RpcError::params(why))).await;
        }
        Err(error) => return pending.reject(ErrorObjectOwned::from(error)).await,
    };
    let mut changed = node.follow();
    let Some(sink) = accept(pending).await else { return };
    let mut known: Vec<Option<Option<Vec<u8>>>> = vec![None; keys.len()];
    loop {
        changed.mark_unchanged();
        let at = node.chain.best().hash;
        let mut news = Vec::new();
        for (key, known) in keys.iter().zip(&mut known) {
            // A state that a revert took away while it was read: the next change brings another.
            let Ok(value) = node.chain.storage(&at, key) else { continue };
            if known.as_ref() != Some(&value) {
                news.push(json!([hex(key), value.as_ref().map(hex)]));
                *known = Some(value);
            }
        }
        if !news.is_empty() && !send(node, &sink, &json!({ "block": at, "changes": news })).await {
            return;
        }
        tokio::select! {
            () = sink.closed() => return,
            alive = changed.changed() => if alive.is_err() { return },
        }
    }
}

/// Tells the runtime's version, and again when `dev_upgrade` has changed it.
async fn watch_version(pending: PendingSubscriptionSink, node: &Node) {
    let mut changes = node.follow();
    let Some(sink) = accept(pending).await else { return };
    let mut told = None;
    loop {
        changes.mark_unchanged();
        let best = node.chain.best().hash;
        let spec = node.spec_at(&best);
        if told != Some(spec) {
            // A state that a revert took away while it was read: the next change brings another.
            if let Ok(version) = runtime_version(node, &best) {
                if !send(node, &sink, &version).await {
                    return;
                }
                told = Some(spec);
            }
        }
        tokio::select! {
            () = sink.closed() => return,
            alive = changes.changed() => if alive.is_err() { return },
        }
    }
}

/// Decodes what a runtime API answered.
pub(super) fn decoded<T: Decode>(method: &'static str, answer: &[u8]) -> Result<T, RpcError> {
    T::decode(&mut &answer[..])
        .map_err(|source| execution::CallError::Undecodable { method, source }.into())
}
