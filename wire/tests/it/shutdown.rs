//! A server ends in order: no more connections, what is under way ends, what does not is cut.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::post};
use tokio::{net::TcpStream, sync::Notify, task::JoinSet};
use wire::{AnswerError, Caller, Client, Endpoint, ReplayStore, server::Drained, server::Limits};

use crate::support::{ECHO, Miner, anyone, client_with, key, local, patient};

/// A miner whose handler says that it began, and ends when told to.
async fn slow_miner(limits: Limits) -> (Miner, Arc<Notify>, Arc<Notify>) {
    let (began, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&began), Arc::clone(&end));
    let handler = move |caller: Caller| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            tell.notify_one();
            wait.notified().await;
            caller.body().clone()
        }
    };
    let router = Router::new().route("/v1/echo", post(handler));
    let replay = ReplayStore::for_new_key(patient());
    (Miner::serving(key("//Bob"), router, anyone, replay, limits).await, began, end)
}

fn asking(client: &Client, endpoint: Endpoint) -> JoinSet<Result<wire::Answer, AnswerError>> {
    let client = client.clone();
    let mut asking = JoinSet::new();
    asking.spawn(async move { client.post(&endpoint, ECHO, "hello").await });
    asking
}

#[tokio::test]
async fn a_request_under_way_is_answered_and_no_new_one_is_taken() {
    let (mut miner, began, end) = slow_miner(Limits::default()).await;
    let mut asked = asking(&client_with(local()), miner.endpoint);
    began.notified().await;
    miner.shutdown.cancel();
    while TcpStream::connect(miner.socket()).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    end.notify_one();
    let answer = asked.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(&answer.body[..], b"hello");
    let drained = miner.serving.join_next().await.unwrap().unwrap();
    assert_eq!(drained, Drained { cut: 0 });
    assert_eq!(miner.counters.connections_open.get(), 0);
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_time_is_cut() {
    let limits = Limits { drain_time: Duration::from_millis(50), ..Limits::default() };
    let (mut miner, began, _end) = slow_miner(limits).await;
    let mut asked = asking(&client_with(local()), miner.endpoint);
    began.notified().await;
    miner.shutdown.cancel();
    let drained = miner.serving.join_next().await.unwrap().unwrap();
    assert_eq!(drained, Drained { cut: 1 });
    let cut = asked.join_next().await.unwrap().unwrap();
    assert!(matches!(cut, Err(AnswerError::Connection(_))), "{cut:?}");
}

#[tokio::test]
async fn a_handler_that_does_not_end_is_answered_for() {
    let limits = Limits { handler_time: Duration::from_millis(50), ..Limits::default() };
    let (miner, _began, _end) = slow_miner(limits).await;
    let late = client_with(local()).post(&miner.endpoint, ECHO, "hello").await;
    assert!(matches!(late, Err(AnswerError::Status(504))), "{late:?}");
    assert_eq!(miner.counters.failed.get(), 1);
}
