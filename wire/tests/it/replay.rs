//! A captured request is worth nothing, today or after a restart.

use std::time::Duration;

use wire::{Code, Freshness, ReplayStore, UnixNanos, server};

use crate::support::{Miner, RawRequest, anyone};

async fn miner(replay: ReplayStore) -> Miner {
    Miner::with(anyone, replay, server::Limits::default()).await
}

/// Requests with nonces from now to as far ahead as the protocol allows, less what it takes to send
/// them.
fn captured() -> Vec<Vec<u8>> {
    let now = UnixNanos::now();
    (0u32..40)
        .map(|n| {
            let nonce = now.after(Duration::from_millis(40) * n);
            RawRequest::signed_at(nonce, format!("request {n}").as_bytes()).bytes()
        })
        .collect()
}

#[tokio::test]
async fn a_request_is_accepted_once() {
    let miner = miner(ReplayStore::for_new_key(Freshness::default())).await;
    let request = RawRequest::signed(b"once").bytes();
    assert_eq!(miner.exchange(&request).await.status(), 200);
    let again = miner.exchange(&request).await;
    assert_eq!((again.status(), again.body().as_str()), (401, Code::Replayed.body()));
    assert_eq!(miner.calls(), 1);
}

#[tokio::test]
async fn one_of_many_parallel_copies_is_accepted() {
    let miner = miner(ReplayStore::for_new_key(Freshness::default())).await;
    let request = RawRequest::signed(b"once").bytes();
    let copies = (0..16).map(|_| miner.exchange(&request));
    let accepted = futures_all(copies).await.iter().filter(|r| r.status() == 200).count();
    assert_eq!((accepted, miner.calls()), (1, 1));
}

async fn futures_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut out = Vec::new();
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        futures.retain_mut(|future| match future.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => {
                out.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    out
}

#[tokio::test]
async fn a_miner_that_was_killed_knows_what_it_had_accepted_and_serves_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("replay");
    // A first process has been here, long enough ago that its floor is past.
    let past = UnixNanos::now().before(Duration::from_secs(60));
    let open = |now| ReplayStore::open(&path, now, Freshness::default()).unwrap();
    drop(open(past));

    let killed = miner(open(UnixNanos::now())).await;
    let captured = captured();
    for request in &captured {
        assert_eq!(killed.exchange(request).await.status(), 200);
    }
    // Neither shut down nor dropped: a killed process does neither.
    let restarted = miner(open(UnixNanos::now())).await;
    for request in &captured {
        assert_eq!(restarted.exchange(request).await.status(), 401);
    }
    assert_eq!(restarted.calls(), 0);
    assert_eq!(restarted.exchange(&RawRequest::signed(b"new").bytes()).await.status(), 200);
    drop(killed);
}

#[tokio::test]
async fn a_miner_without_a_journal_refuses_what_it_may_have_accepted_before() {
    let store = |now| ReplayStore::in_memory(now, Freshness::default());
    let killed = miner(store(UnixNanos::now().before(Duration::from_secs(60)))).await;
    let captured = captured();
    for request in &captured {
        assert_eq!(killed.exchange(request).await.status(), 200);
    }
    let restarted = miner(store(UnixNanos::now())).await;
    for request in &captured {
        let reply = restarted.exchange(request).await;
        assert_eq!((reply.status(), reply.body().as_str()), (401, Code::BeforeStart.body()));
    }
    assert_eq!(restarted.calls(), 0);
}
