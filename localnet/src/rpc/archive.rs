//! `archive_v1_*` and `chainSpec_v1_*`: any block of the chain by its hash, and what chain it is.

use super::{
    Args, RegisterError, Registry, RpcError, accept, hex, send, storage_items::Item, system,
};
use crate::node::Node;
use codec::Encode as _;
use jsonrpsee::{
    PendingSubscriptionSink,
    types::{ErrorObjectOwned, Params},
};
use serde_json::{Value, json};
use sp_core::H256;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Pages of a storage answer that wait to be sent.
const PAGES: usize = 4;

pub(super) fn register(methods: &mut Registry) -> Result<(), RegisterError> {
    methods.method(&["chainSpec_v1_chainName"], |_, _| Ok(system::CHAIN))?;
    methods.method(&["chainSpec_v1_properties"], |_, _| Ok(system::properties()))?;
    methods.method(&["chainSpec_v1_genesisHash", "archive_v1_genesisHash"], |node, _| {
        Ok(node.chain.genesis_hash())
    })?;
    methods
        .method(&["archive_v1_finalizedHeight"], |node, _| Ok(node.finalized().header.number))?;
    methods.method(&["archive_v1_hashByHeight"], |node, mut args| {
        let height = u32::try_from(args.number()?).ok();
        let block = height.and_then(|height| node.chain.block_at(height));
        Ok(block.map(|block| block.hash).into_iter().collect::<Vec<H256>>())
    })?;
    methods.method(&["archive_v1_header"], |node, mut args| {
        let hash = args.hash()?;
        Ok(node.chain.block(&hash).map(|block| hex(block.header.encode())))
    })?;
    methods.method(&["archive_v1_body"], |node, mut args| {
        let hash = args.hash()?;
        let body = |block: Arc<crate::chain::Block>| -> Vec<String> {
            block.body.iter().map(hex).collect()
        };
        Ok(node.chain.block(&hash).map(body))
    })?;
    methods.blocking(&["archive_v1_call"], |node, mut args| {
        let (hash, method, arguments) = (args.hash()?, args.text()?, args.bytes()?);
        if node.chain.block(&hash).is_none() {
            return Ok(Value::Null);
        }
        Ok(match node.call(&hash, &method, &arguments) {
            Ok(output) => json!({ "success": true, "value": hex(output) }),
            Err(error) => json!({ "success": false, "error": error.to_string() }),
        })
    })?;
    methods.0.register_subscription(
        "archive_v1_storage",
        "archive_v1_storageEvent",
        "archive_v1_stopStorage",
        |params, pending, node, _| async move {
            storage(&params, pending, Arc::clone(&node)).await;
        },
    )?;
    methods.0.register_subscription(
        "archive_v1_storageDiff",
        "archive_v1_storageDiffEvent",
        "archive_v1_storageDiff_stopStorageDiff",
        |params, pending, node, _| async move {
            storage_diff(&params, pending, Arc::clone(&node)).await;
        },
    )?;
    Ok(())
}

/// Reads and sends pages from a thread of their own.
async fn serve(
    node: Arc<Node>,
    pending: PendingSubscriptionSink,
    read: impl FnOnce(&dyn Fn(Value) -> bool) -> Result<bool, String> + Send + 'static,
    event: &'static str,
) {
    let Some(sink) = accept(pending).await else { return };
    let (pages, mut next) = mpsc::channel::<Value>(PAGES);
    let reader = tokio::task::spawn_blocking(move || {
        let done = read(&|item| pages.blocking_send(item).is_ok());
        let last = match done {
            Ok(true) => json!({ "event": format!("{event}Done") }),
            Ok(false) => return,
            Err(error) => json!({ "event": format!("{event}Error"), "error": error }),
        };
        if pages.blocking_send(last).is_err() {
            tracing::trace!("nobody reads on");
        }
    });
    while let Some(item) = next.recv().await {
        if !send(&node, &sink, &item).await {
            break;
        }
    }
    drop(next);
    if let Err(error) = reader.await {
        tracing::error!(%error, "a storage answer did not end");
    }
}

async fn storage(params: &Params<'_>, pending: PendingSubscriptionSink, node: Arc<Node>) {
    let asked = Args::new(params).and_then(|mut args| Ok((args.hash()?, Item::read(&mut args)?)));
    let (hash, items) = match asked {
        Ok(asked) => asked,
        Err(error) => return pending.reject(ErrorObjectOwned::from(error)).await,
    };
    let listener = Arc::clone(&node);
    let read = move |tell: &dyn Fn(Value) -> bool| {
        let state = node.chain.state(&hash).map_err(|error| error.to_string())?;
        Item::query(&state, &items, |page| {
            page.into_iter().all(|mut item| {
                item["event"] = json!("storage");
                tell(item)
            })
        })
    };
    serve(listener, pending, read, "storage").await;
}

/// What differs between a block's state and an earlier one's, by default its parent's.
async fn storage_diff(params: &Params<'_>, pending: PendingSubscriptionSink, node: Arc<Node>) {
    let asked = Args::new(params).and_then(|mut args| {
        let hash = args.hash()?;
        if args.next().is_some_and(|items| items != json!([])) {
            return Err(RpcError::params("only whole states are compared: no items".to_owned()));
        }
        Ok((hash, args.optional_hash()?))
    });
    let (hash, before) = match asked {
        Ok(asked) => asked,
        Err(error) => return pending.reject(ErrorObjectOwned::from(error)).await,
    };
    let listener = Arc::clone(&node);
    let read = move |tell: &dyn Fn(Value) -> bool| {
        let parent = node.chain.block(&hash).map(|block| block.header.parent_hash);
        let before = before.or(parent).ok_or("the block is not known")?;
        let state = |hash: &H256| node.chain.state(hash).map_err(|error| error.to_string());
        let (old, new) = (state(&before)?, state(&hash)?);
        crate::execution::differences(&old, &new, |key, old, new| {
            let kind = match (&old, &new) {
                (None, _) => "added",
                (_, None) => "deleted",
                _ => "modified",
            };
            tell(json!({
                "event": "storageDiff", "key": hex(key), "value": new.map(hex), "type": kind,
            }))
        })
    };
    serve(listener, pending, read, "storageDiff").await;
}
