//! `chainHead_v1_*`: a client follows the head and asks about the blocks that it has pinned.
//!
//! What a client asks for runs on a thread of its own and answers through the subscription, after the reply
//! that names the operation. A client that pins more than [`MAX_PINNED`] blocks, or does not read, is told
//! to stop and starts anew.

use super::{Args, RegisterError, Registry, RpcError, accept, hex, send, storage_items::Item};
use crate::{
    chain::{Block, StateError},
    execution,
    node::Node,
};
use codec::Encode as _;
use jsonrpsee::{
    PendingSubscriptionSink, ResponsePayload, SubscriptionSink,
    types::{ErrorObjectOwned, Params, SubscriptionId},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sp_core::H256;
use sp_version::RuntimeVersion;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Blocks that a client may hold.
const MAX_PINNED: usize = 1_024;
/// Operations of one client under way at once, as a Substrate node's default.
const MAX_OPERATIONS: usize = 16;
/// Events of operations that wait for the subscription's task.
const NEWS_BUFFER: usize = 64;

/// Who follows, by subscription.
#[derive(Default)]
pub(crate) struct Follows(Mutex<HashMap<String, Arc<Follow>>>);

/// One client's pins and operations.
struct Follow {
    pinned: Mutex<HashSet<H256>>,
    stopped: Mutex<HashSet<String>>,
    operations: Arc<Semaphore>,
    next_operation: AtomicU64,
    news: mpsc::Sender<Value>,
}

/// A follow's entry, taken out when its subscription ends.
struct Entry<'a> {
    follows: &'a Follows,
    id: String,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.follows.0.lock().remove(&self.id);
    }
}

impl Follows {
    fn add(&self, id: String, news: mpsc::Sender<Value>) -> (Entry<'_>, Arc<Follow>) {
        let follow = Arc::new(Follow {
            pinned: Mutex::default(),
            stopped: Mutex::default(),
            operations: Arc::new(Semaphore::new(MAX_OPERATIONS)),
            next_operation: AtomicU64::new(0),
            news,
        });
        self.0.lock().insert(id.clone(), Arc::clone(&follow));
        (Entry { follows: self, id }, follow)
    }

    fn get(&self, id: &str) -> Option<Arc<Follow>> {
        self.0.lock().get(id).cloned()
    }
}

impl Follow {
    /// Pins a block; `false` when that is one too many.
    fn pin(&self, hash: H256) -> bool {
        let mut pinned = self.pinned.lock();
        pinned.insert(hash);
        pinned.len() <= MAX_PINNED
    }

    fn ensure_pinned(&self, hash: &H256) -> Result<(), RpcError> {
        if self.pinned.lock().contains(hash) { Ok(()) } else { Err(RpcError::invalid_block()) }
    }
}

pub(super) fn register(methods: &mut Registry) -> Result<(), RegisterError> {
    methods.0.register_subscription(
        "chainHead_v1_follow",
        "chainHead_v1_followEvent",
        "chainHead_v1_unfollow",
        |params, pending, node, _| async move { follow(&params, pending, &node).await },
    )?;
    methods.method(&["chainHead_v1_header"], |node, mut args| {
        let (id, hash) = (args.text()?, args.hash()?);
        let Some(follow) = node.follows.get(&id) else { return Ok(None) };
        follow.ensure_pinned(&hash)?;
        Ok(node.chain.block(&hash).map(|block| hex(block.header.encode())))
    })?;
    methods.method(&["chainHead_v1_unpin"], |node, mut args| {
        let (id, hashes) = (args.text()?, args.hashes()?);
        let Some(follow) = node.follows.get(&id) else { return Ok(()) };
        hashes.iter().try_for_each(|hash| follow.ensure_pinned(hash))?;
        let mut pinned = follow.pinned.lock();
        for hash in &hashes {
            pinned.remove(hash);
        }
        Ok(())
    })?;
    methods.method(&["chainHead_v1_stopOperation"], |node, mut args| {
        let (id, operation) = (args.text()?, args.text()?);
        if let Some(follow) = node.follows.get(&id) {
            follow.stopped.lock().insert(operation);
        }
        Ok(())
    })?;
    // Nothing here waits to be continued.
    methods.method(&["chainHead_v1_continue"], |_, mut args| {
        let (_, operation) = (args.text()?, args.text()?);
        Err::<(), _>(RpcError::params(format!("operation {operation} does not wait")))
    })?;
    register_operation(methods, "chainHead_v1_body", |_, _| Ok(Work::Body))?;
    register_operation(methods, "chainHead_v1_call", |_, args| {
        Ok(Work::Call { method: args.text()?, arguments: args.bytes()? })
    })?;
    register_operation(methods, "chainHead_v1_storage", |_, args| {
        let items = Item::read(args)?;
        if args.next().is_some() {
            return Err(RpcError::params("there are no child tries here".to_owned()));
        }
        Ok(Work::Storage(items))
    })
}

/// What an operation does.
enum Work {
    Body,
    Call { method: String, arguments: Vec<u8> },
    Storage(Vec<Item>),
}

fn register_operation(
    methods: &mut Registry,
    name: &'static str,
    read: fn(&Node, &mut Args) -> Result<Work, RpcError>,
) -> Result<(), RegisterError> {
    methods.0.register_async_method(name, move |params, node, _| async move {
        match start(&params, Arc::clone(&node), read) {
            Ok(answer) => answer,
            Err(error) => ResponsePayload::error(ErrorObjectOwned::from(error)),
        }
    })?;
    Ok(())
}

/// Starts an operation; its first event comes after the reply.
fn start(
    params: &Params<'_>,
    node: Arc<Node>,
    read: fn(&Node, &mut Args) -> Result<Work, RpcError>,
) -> Result<ResponsePayload<'static, Value>, RpcError> {
    let mut args = Args::new(params)?;
    let (id, hash) = (args.text()?, args.hash()?);
    let work = read(&node, &mut args)?;
    let refused = || ResponsePayload::success(json!({ "result": "limitReached" }));
    let Some(follow) = node.follows.get(&id) else { return Ok(refused()) };
    follow.ensure_pinned(&hash)?;
    let Ok(permit) = Arc::clone(&follow.operations).try_acquire_owned() else {
        return Ok(refused());
    };
    let operation = follow.next_operation.fetch_add(1, Ordering::Relaxed).to_string();
    let mut answer = json!({ "result": "started", "operationId": operation });
    if matches!(work, Work::Storage(_)) {
        answer["discardedItems"] = json!(0);
    }
    let (payload, replied) = ResponsePayload::success(answer).notify_on_completion();
    let running = Operation { follow, id: operation, _permit: permit };
    let owner = Arc::clone(&node);
    owner.tasks.spawn(async move {
        if replied.await.is_err() {
            return;
        }
        let run = move || running.run(&node, &hash, work);
        if let Err(error) = tokio::task::spawn_blocking(run).await {
            tracing::error!(%error, "an operation did not end");
        }
    });
    Ok(payload)
}

struct Operation {
    follow: Arc<Follow>,
    id: String,
    _permit: OwnedSemaphorePermit,
}

impl Operation {
    /// Tells the client; `false` when nobody listens or the operation was stopped.
    fn tell(&self, event: &str, more: Value) -> bool {
        if self.follow.stopped.lock().contains(&self.id) {
            return false;
        }
        let mut news = json!({ "event": event, "operationId": self.id });
        if let (Some(news), Value::Object(more)) = (news.as_object_mut(), more) {
            news.extend(more);
        }
        self.follow.news.blocking_send(news).is_ok()
    }

    fn run(&self, node: &Node, hash: &H256, work: Work) {
        let told = match work {
            Work::Body => match node.chain.block(hash) {
                Some(block) => {
                    let value: Vec<String> = block.body.iter().map(hex).collect();
                    self.tell("operationBodyDone", json!({ "value": value }))
                }
                None => self.tell("operationInaccessible", json!({})),
            },
            Work::Call { method, arguments } => {
                self.state(node, hash, |state| match execution::call(state, &method, &arguments) {
                    Ok(output) => self.tell("operationCallDone", json!({ "output": hex(output) })),
                    Err(error) => self.failed(&error.to_string()),
                })
            }
            Work::Storage(items) => self.state(node, hash, |state| {
                let page = |items: Vec<Value>| {
                    self.tell("operationStorageItems", json!({ "items": items }))
                };
                match Item::query(state, &items, page) {
                    Ok(true) => self.tell("operationStorageDone", json!({})),
                    Ok(false) => false,
                    Err(error) => self.failed(&error),
                }
            }),
        };
        if !told {
            tracing::trace!(operation = self.id, "nobody waits for it");
        }
        self.follow.stopped.lock().remove(&self.id);
    }

    fn state(
        &self,
        node: &Node,
        hash: &H256,
        with: impl FnOnce(&crate::state::Backend) -> bool,
    ) -> bool {
        match node.chain.state(hash) {
            Ok(state) => with(&state),
            Err(StateError::Incomplete(error)) => self.failed(&error),
            Err(_) => self.tell("operationInaccessible", json!({})),
        }
    }

    fn failed(&self, error: &str) -> bool {
        self.tell("operationError", json!({ "error": error }))
    }
}

/// How far a client was told.
struct Reported {
    best: u32,
    finalized: u32,
    with_runtime: bool,
}

async fn follow(params: &Params<'_>, pending: PendingSubscriptionSink, node: &Arc<Node>) {
    let with_runtime = match Args::new(params).and_then(|mut args| args.boolean()) {
        Ok(with_runtime) => with_runtime,
        Err(error) => return pending.reject(ErrorObjectOwned::from(error)).await,
    };
    let mut changes = node.follow();
    let Some(sink) = accept(pending).await else { return };
    let id = match sink.subscription_id() {
        SubscriptionId::Str(id) => id.into_owned(),
        SubscriptionId::Num(id) => id.to_string(),
    };
    let (news, mut operations) = mpsc::channel(NEWS_BUFFER);
    let (_entry, follow) = node.follows.add(id, news);
    let begun = *changes.borrow_and_update();
    let Some(mut reported) = initialize(node, &follow, &sink, begun.finalized, with_runtime).await
    else {
        return;
    };
    loop {
        let seen = *changes.borrow_and_update();
        if seen.reverts != begun.reverts {
            break;
        }
        if !report(node, &follow, &sink, &mut reported, seen.best, seen.finalized).await {
            break;
        }
        tokio::select! {
            () = sink.closed() => return,
            changed = changes.changed() => if changed.is_err() { return },
            news = operations.recv() => match news {
                Some(news) => if !send(node, &sink, &news).await { return },
                None => return,
            },
        }
    }
    // Whether it is heard or not: it is the last word.
    let _ = send(node, &sink, &json!({ "event": "stop" })).await;
}

/// Begins with the finalized head.
async fn initialize(
    node: &Node,
    follow: &Follow,
    sink: &SubscriptionSink,
    finalized: u32,
    with_runtime: bool,
) -> Option<Reported> {
    let block = node.chain.block_at(finalized)?;
    follow.pin(block.hash);
    let mut event = json!({ "event": "initialized", "finalizedBlockHashes": [block.hash] });
    if with_runtime {
        event["finalizedBlockRuntime"] = runtime(node, &block.hash);
    }
    let reported = Reported { best: finalized, finalized, with_runtime };
    send(node, sink, &event).await.then_some(reported)
}

/// Tells of blocks up to `best` and of their finality; `false` ends the subscription.
async fn report(
    node: &Node,
    follow: &Follow,
    sink: &SubscriptionSink,
    reported: &mut Reported,
    best: u32,
    finalized: u32,
) -> bool {
    let before = reported.best;
    while reported.best < best {
        let Some(block) = node.chain.block_at(reported.best.saturating_add(1)) else { break };
        if !follow.pin(block.hash) || !send(node, sink, &new_block(node, &block, reported)).await {
            return false;
        }
        reported.best = block.header.number;
    }
    if reported.best > before
        && let Some(block) = node.chain.block_at(reported.best)
    {
        let event = json!({ "event": "bestBlockChanged", "bestBlockHash": block.hash });
        if !send(node, sink, &event).await {
            return false;
        }
    }
    let news = reported.finalized.saturating_add(1)..=finalized.min(reported.best);
    let hashes: Vec<H256> =
        news.filter_map(|number| Some(node.chain.block_at(number)?.hash)).collect();
    if hashes.is_empty() {
        return true;
    }
    reported.finalized = finalized.min(reported.best);
    let event = json!({
        "event": "finalized", "finalizedBlockHashes": hashes, "prunedBlockHashes": [],
    });
    send(node, sink, &event).await
}

fn new_block(node: &Node, block: &Block, reported: &Reported) -> Value {
    let parent = block.header.parent_hash;
    let is_new = reported.with_runtime && node.spec_at(&block.hash) != node.spec_at(&parent);
    json!({
        "event": "newBlock",
        "blockHash": block.hash,
        "parentBlockHash": parent,
        "newRuntime": if is_new { runtime(node, &block.hash) } else { Value::Null },
    })
}

fn runtime(node: &Node, hash: &H256) -> Value {
    let version = node.chain.state(hash).map_err(|error| error.to_string()).and_then(|state| {
        execution::ask::<RuntimeVersion>(&state, "Core_version", &[]).map_err(|e| e.to_string())
    });
    match version {
        Err(error) => json!({ "type": "invalid", "error": error }),
        Ok(version) => {
            let apis: serde_json::Map<String, Value> =
                version.apis.iter().map(|(id, version)| (hex(id), json!(version))).collect();
            json!({ "type": "valid", "spec": {
                "specName": version.spec_name,
                "implName": version.impl_name,
                "specVersion": version.spec_version,
                "implVersion": version.impl_version,
                "transactionVersion": version.transaction_version,
                "apis": apis,
            }})
        }
    }
}
