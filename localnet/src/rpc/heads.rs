//! `chain_subscribe*`: every head, in order. A subscriber holds a number, not a queue: one that is slow
//! reads on from where it was, and nothing is buffered for it.

use super::{RegisterError, Registry, accept, chain::header, send};
use crate::node::{Node, Progress};
use jsonrpsee::PendingSubscriptionSink;
use std::sync::Arc;

pub(super) fn register(methods: &mut Registry) -> Result<(), RegisterError> {
    let best: fn(&Progress) -> u32 = |progress| progress.best;
    let finalized: fn(&Progress) -> u32 = |progress| progress.finalized;
    let subscriptions = [
        ("chain_subscribeNewHeads", "chain_newHead", "chain_unsubscribeNewHeads", best),
        ("chain_subscribeNewHead", "chain_newHead", "chain_unsubscribeNewHead", best),
        ("chain_subscribeAllHeads", "chain_allHead", "chain_unsubscribeAllHeads", best),
        (
            "chain_subscribeFinalizedHeads",
            "chain_finalizedHead",
            "chain_unsubscribeFinalizedHeads",
            finalized,
        ),
        (
            "chain_subscribeFinalisedHeads",
            "chain_finalizedHead",
            "chain_unsubscribeFinalisedHeads",
            finalized,
        ),
    ];
    for (subscribe, notification, unsubscribe, head) in subscriptions {
        methods.0.register_subscription(
            subscribe,
            notification,
            unsubscribe,
            move |_, pending, node, _| follow(pending, Arc::clone(&node), head),
        )?;
    }
    Ok(())
}

async fn follow(pending: PendingSubscriptionSink, node: Arc<Node>, head: fn(&Progress) -> u32) {
    let mut changes = node.follow();
    // Read before the client hears that it is subscribed: from then on it misses no head.
    let mut seen = *changes.borrow_and_update();
    let Some(sink) = accept(pending).await else { return };
    let mut next = head(&seen);
    loop {
        while next <= head(&seen) {
            let Some(block) = node.chain.block_at(next) else { break };
            if !send(&node, &sink, &header(&block)).await {
                return;
            }
            next = next.saturating_add(1);
        }
        let before = seen;
        tokio::select! {
            () = sink.closed() => return,
            changed = changes.changed() => match changed {
                Ok(()) => seen = *changes.borrow_and_update(),
                Err(_) => return,
            },
        }
        if seen.reverts != before.reverts {
            next = head(&seen);
        }
    }
}
