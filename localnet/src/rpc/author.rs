//! `author_*`: submitting extrinsics and watching them. Under instant sealing a submission makes a block,
//! so it runs on a thread of its own.

use super::{Args, RegisterError, Registry, RpcError, accept, hex, send};
use crate::{
    node::Node,
    pool::{Status, WATCH_BUFFER},
};
use jsonrpsee::{PendingSubscriptionSink, types::ErrorObjectOwned, types::Params};
use std::sync::Arc;
use tokio::sync::mpsc;

pub(super) fn register(methods: &mut Registry) -> Result<(), RegisterError> {
    methods.blocking(&["author_submitExtrinsic"], |node, mut args| {
        Ok(node.submit(&args.bytes()?, None)?)
    })?;
    methods.method(&["author_pendingExtrinsics"], |node, _| {
        Ok(node.pool().all().map(|queued| hex(&queued.bytes)).collect::<Vec<_>>())
    })?;
    methods.0.register_subscription(
        "author_submitAndWatchExtrinsic",
        "author_extrinsicUpdate",
        "author_unwatchExtrinsic",
        |params, pending, node, _| async move { submit_and_watch(&params, pending, &node).await },
    )?;
    Ok(())
}

/// Rejects the subscription when the extrinsic is refused; else tells its statuses to the last.
async fn submit_and_watch(params: &Params<'_>, pending: PendingSubscriptionSink, node: &Arc<Node>) {
    let (watcher, mut statuses) = mpsc::channel(WATCH_BUFFER);
    let submitted = match Args::new(params).and_then(|mut args| args.bytes()) {
        Err(error) => Err(error),
        Ok(bytes) => {
            let node = Arc::clone(node);
            let submit = move || node.submit(&bytes, Some(watcher));
            match tokio::task::spawn_blocking(submit).await {
                Ok(submitted) => submitted.map_err(RpcError::from),
                Err(error) => Err(RpcError::development(error.to_string())),
            }
        }
    };
    if let Err(error) = submitted {
        return pending.reject(ErrorObjectOwned::from(error)).await;
    }
    let Some(sink) = accept(pending).await else { return };
    loop {
        let status: Option<Status> = tokio::select! {
            () = sink.closed() => None,
            status = statuses.recv() => status,
        };
        let Some(status) = status else { return };
        if !send(node, &sink, &status).await || status.is_last() {
            return;
        }
    }
}
