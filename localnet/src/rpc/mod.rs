//! The node's JSON-RPC, over HTTP and WebSocket on one port: the methods of a Substrate node's legacy API
//! with the aliases that Bittensor's clients use, the `v1` methods that replace it, and `dev_*` for
//! development.

mod archive;
mod args;
mod author;
mod chain;
mod chain_head;
mod dev;
mod errors;
mod faults;
mod heads;
mod state;
mod storage_items;
mod system;
mod transactions;

use crate::node::Node;
use args::Args;
pub(crate) use chain_head::Follows;
use errors::RpcError;
pub(crate) use faults::{Faults, FaultyLayer};
use jsonrpsee::{
    PendingSubscriptionSink, RpcModule, SubscriptionMessage, SubscriptionSink,
    server::{RandomStringIdProvider, ServerConfig},
    types::ErrorObjectOwned,
};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use tokio::task::{AbortHandle, JoinSet};
pub(crate) use transactions::Broadcasts;

/// As a Substrate node's default.
const MAX_REQUEST_BYTES: u32 = 15 * 1024 * 1024;
/// A metagraph of 4,096 neurons and whole-storage queries fit.
const MAX_RESPONSE_BYTES: u32 = 64 * 1024 * 1024;
const MAX_CONNECTIONS: u32 = 1_000;
/// As a Substrate node's default.
const MAX_SUBSCRIPTIONS_PER_CONNECTION: u32 = 1_024;
/// Characters of a subscription's id. Python clients want a string.
const SUBSCRIPTION_ID_LENGTH: usize = 16;

pub(crate) fn server_config() -> ServerConfig {
    ServerConfig::builder()
        .set_id_provider(RandomStringIdProvider::new(SUBSCRIPTION_ID_LENGTH))
        .max_connections(MAX_CONNECTIONS)
        .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS_PER_CONNECTION)
        .max_request_body_size(MAX_REQUEST_BYTES)
        .max_response_body_size(MAX_RESPONSE_BYTES)
        .set_tcp_no_delay(true)
        .build()
}

/// All methods.
pub(crate) fn module(node: Arc<Node>) -> Result<RpcModule<Arc<Node>>, RegisterError> {
    let mut methods = Registry(RpcModule::new(node));
    chain::register(&mut methods)?;
    heads::register(&mut methods)?;
    state::register(&mut methods)?;
    author::register(&mut methods)?;
    system::register(&mut methods)?;
    chain_head::register(&mut methods)?;
    archive::register(&mut methods)?;
    transactions::register(&mut methods)?;
    dev::register(&mut methods)?;
    let mut module = methods.0;
    let mut names: Vec<&str> = module.method_names().chain(["rpc_methods"]).collect();
    names.sort_unstable();
    let listing = serde_json::json!({ "methods": names });
    module.register_method("rpc_methods", move |_, _, _| listing.clone())?;
    Ok(module)
}

/// Two methods of one name: a mistake in this module.
pub(crate) type RegisterError = jsonrpsee::core::RegisterMethodError;

struct Registry(RpcModule<Arc<Node>>);

impl Registry {
    /// A method and its aliases, answered on the connection's own task: for what takes microseconds.
    fn method<R: Serialize + 'static>(
        &mut self,
        names: &[&'static str],
        answer: fn(&Node, Args) -> Result<R, RpcError>,
    ) -> Result<(), RegisterError> {
        for name in names {
            self.0.register_method(name, move |params, node, _| {
                reply(Args::new(&params).and_then(|args| answer(node, args)))
            })?;
        }
        Ok(())
    }

    /// A method that may take long, answered on a thread of its own.
    fn blocking<R: Serialize + 'static>(
        &mut self,
        names: &[&'static str],
        answer: fn(&Node, Args) -> Result<R, RpcError>,
    ) -> Result<(), RegisterError> {
        for name in names {
            self.0.register_blocking_method(name, move |params, node, _| {
                reply(Args::new(&params).and_then(|args| answer(&node, args)))
            })?;
        }
        Ok(())
    }
}

fn reply<R: Serialize>(answer: Result<R, RpcError>) -> Result<Value, ErrorObjectOwned> {
    let answer = answer.map_err(ErrorObjectOwned::from)?;
    serde_json::to_value(answer)
        .map_err(|error| RpcError::development(format!("the answer has no JSON: {error}")).into())
}

/// Sends `item`, when no fault holds it back; `false` when the subscriber is gone.
async fn send(node: &Node, sink: &SubscriptionSink, item: &impl Serialize) -> bool {
    tokio::select! {
        () = node.faults.thawed() => {}
        () = sink.closed() => return false,
    }
    match serde_json::value::to_raw_value(item) {
        Ok(item) => sink.send(SubscriptionMessage::from(item)).await.is_ok(),
        Err(error) => {
            tracing::error!(%error, "a notification has no JSON");
            false
        }
    }
}

/// Accepts a subscription; `None` when the subscriber is gone already.
async fn accept(pending: PendingSubscriptionSink) -> Option<SubscriptionSink> {
    pending.accept().await.ok()
}

/// What runs beside the connections. It ends with the server's runtime.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut tasks = self.0.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task)
    }
}

/// `0x`-prefixed hexadecimal.
fn hex(bytes: impl AsRef<[u8]>) -> String {
    const_hex::encode_prefixed(bytes)
}
