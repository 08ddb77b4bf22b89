//! `transaction_v1_*` and `transactionWatch_v1_*`: sending extrinsics and hearing of them.

use super::{Args, RegisterError, Registry, RpcError, accept, send};
use crate::{
    node::{Node, SubmitError},
    pool::{PoolRefusal, Status, WATCH_BUFFER},
};
use jsonrpsee::{
    PendingSubscriptionSink,
    types::{ErrorObjectOwned, Params},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sp_core::H256;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{sync::mpsc, task::AbortHandle};

/// Broadcasts that have not been stopped, of all clients.
const MAX_BROADCASTS: usize = 1_024;
/// Heads at which a refused extrinsic is tried again.
const MAX_TRIES: u32 = 256;

/// Extrinsics that are sent until they are taken or stopped.
#[derive(Default)]
pub(crate) struct Broadcasts {
    running: Mutex<HashMap<String, AbortHandle>>,
    next: AtomicU64,
}

pub(super) fn register(methods: &mut Registry) -> Result<(), RegisterError> {
    methods.0.register_async_method("transaction_v1_broadcast", |params, node, _| async move {
        let bytes = Args::new(&params).and_then(|mut args| args.bytes());
        super::reply(bytes.map(|bytes| broadcast(Arc::clone(&node), bytes)))
    })?;
    methods.method(&["transaction_v1_stop"], |node, mut args| {
        let id = args.text()?;
        let running = node.broadcasts.running.lock().remove(&id);
        let running = running.ok_or_else(|| RpcError::params(format!("no broadcast {id}")))?;
        running.abort();
        Ok(())
    })?;
    methods.0.register_subscription(
        "transactionWatch_v1_submitAndWatch",
        "transactionWatch_v1_watchEvent",
        "transactionWatch_v1_unwatch",
        |params, pending, node, _| async move { submit_and_watch(&params, pending, &node).await },
    )?;
    Ok(())
}

/// Sends an extrinsic, at each head again, until the pool takes it; `None` when there are too many.
fn broadcast(node: Arc<Node>, bytes: Vec<u8>) -> Option<String> {
    let broadcasts = Arc::clone(&node.broadcasts);
    let mut running = broadcasts.running.lock();
    if running.len() >= MAX_BROADCASTS {
        running.retain(|_, task| !task.is_finished());
    }
    if running.len() >= MAX_BROADCASTS {
        return None;
    }
    let id = broadcasts.next.fetch_add(1, Ordering::Relaxed).to_string();
    let owner = Arc::clone(&node);
    running.insert(id.clone(), owner.tasks.spawn(send_until_taken(node, bytes)));
    Some(id)
}

async fn send_until_taken(node: Arc<Node>, bytes: Vec<u8>) {
    let mut changes = node.follow();
    for _ in 0..MAX_TRIES {
        changes.mark_unchanged();
        let (node, bytes) = (Arc::clone(&node), bytes.clone());
        let submit = tokio::task::spawn_blocking(move || node.submit(&bytes, None)).await;
        match submit {
            Ok(Ok(_) | Err(SubmitError::Pool(PoolRefusal::AlreadyImported(_)))) => return,
            Ok(Err(error)) => tracing::debug!(%error, "not taken yet"),
            Err(error) => return tracing::error!(%error, "a broadcast ended"),
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Where in its block an extrinsic is.
fn place(node: &Node, block: &H256, extrinsic: &H256) -> Value {
    let index = node.chain.block(block).and_then(|block| {
        block.body.iter().position(|bytes| H256(sp_io::hashing::blake2_256(bytes)) == *extrinsic)
    });
    json!({ "hash": block, "index": index })
}

fn event(node: &Node, status: Status, extrinsic: &H256) -> Value {
    match status {
        Status::Ready | Status::Future => json!({ "event": "validated" }),
        Status::InBlock(block) => json!({
            "event": "bestChainBlockIncluded", "block": place(node, &block, extrinsic),
        }),
        Status::Finalized(block) => {
            json!({ "event": "finalized", "block": place(node, &block, extrinsic) })
        }
        Status::Usurped(by) => {
            json!({ "event": "invalid", "error": format!("replaced by {by:?}") })
        }
        Status::Dropped => json!({ "event": "dropped", "error": "its block was undone" }),
        Status::Invalid => json!({ "event": "invalid", "error": "no longer valid" }),
    }
}

/// Tells an extrinsic's life; what is refused is told as well, and ends it.
async fn submit_and_watch(params: &Params<'_>, pending: PendingSubscriptionSink, node: &Arc<Node>) {
    let bytes = match Args::new(params).and_then(|mut args| args.bytes()) {
        Ok(bytes) => bytes,
        Err(error) => return pending.reject(ErrorObjectOwned::from(error)).await,
    };
    let hash = H256(sp_io::hashing::blake2_256(&bytes));
    let Some(sink) = accept(pending).await else { return };
    let (watcher, mut statuses) = mpsc::channel(WATCH_BUFFER);
    let submit = {
        let node = Arc::clone(node);
        move || node.submit(&bytes, Some(watcher))
    };
    let refused = match tokio::task::spawn_blocking(submit).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(error) = refused {
        // Whether it is heard or not: it is the last word.
        let _ = send(node, &sink, &json!({ "event": "invalid", "error": error })).await;
        return;
    }
    loop {
        let status: Option<Status> = tokio::select! {
            () = sink.closed() => None,
            status = statuses.recv() => status,
        };
        let Some(status) = status else { return };
        if !send(node, &sink, &event(node, status, &hash)).await || status.is_last() {
            return;
        }
    }
}
