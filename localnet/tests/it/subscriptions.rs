//! What a client is told without asking again.

use crate::client::{connect, hex, transfer};
use jsonrpsee::core::client::{Subscription, SubscriptionClientT};
use localnet::Config;
use serde_json::{Value, json};

async fn numbers(heads: &mut Subscription<Value>, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let header = heads.next().await.unwrap().unwrap();
        let number = header["number"].as_str().unwrap().strip_prefix("0x").unwrap().to_owned();
        numbers.push(u64::from_str_radix(&number, 16).unwrap());
    }
    numbers
}

#[tokio::test]
async fn finalized_heads_come_in_order_and_none_is_skipped() {
    let client = connect(Config { finality_lag: 2, ..Config::test() }).await;
    client.chain.mine(2).unwrap();
    let (subscribe, unsubscribe) =
        ("chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads");
    let mut heads = client.subscribe(subscribe, unsubscribe, None).await;
    client.chain.mine(500).unwrap();
    assert_eq!(numbers(&mut heads, 501).await, (1..=501).collect::<Vec<u64>>());
}

#[tokio::test]
async fn heads_go_on_from_the_snapshot_after_a_revert() {
    let client = connect(Config::test()).await;
    let mut heads =
        client.subscribe("chain_subscribeNewHeads", "chain_unsubscribeNewHeads", None).await;
    let snapshot = client.ask("dev_snapshot", []).await;
    client.chain.mine(2).unwrap();
    assert_eq!(numbers(&mut heads, 3).await, [1, 2, 3]);
    client.ask("dev_revert", [snapshot]).await;
    assert_eq!(numbers(&mut heads, 1).await, [1]);
    client.chain.mine(1).unwrap();
    assert_eq!(numbers(&mut heads, 1).await, [2]);
}

#[tokio::test]
async fn a_watched_extrinsic_is_ready_then_in_a_block_then_final() {
    let client = connect(Config { finality_lag: 1, ..Config::test() }).await;
    let extrinsic = client.signed("//Alice", &transfer("//Bob", 1)).await;
    let (submit, unwatch) = ("author_submitAndWatchExtrinsic", "author_unwatchExtrinsic");
    let mut statuses = client.subscribe(submit, unwatch, Some(&hex(&extrinsic))).await;
    assert_eq!(statuses.next().await.unwrap().unwrap(), json!("ready"));
    let block = json!(client.chain.head().hash);
    assert_eq!(statuses.next().await.unwrap().unwrap(), json!({ "inBlock": block }));
    client.chain.mine(1).unwrap();
    assert_eq!(statuses.next().await.unwrap().unwrap(), json!({ "finalized": block }));
}

#[tokio::test]
async fn a_refused_extrinsic_cannot_be_watched() {
    let client = connect(Config::test()).await;
    let refused = client
        .rpc
        .subscribe::<Value, _>(
            "author_submitAndWatchExtrinsic",
            jsonrpsee::rpc_params!["0x00"],
            "author_unwatchExtrinsic",
        )
        .await;
    assert!(refused.unwrap_err().to_string().contains("1002"));
}

#[tokio::test]
async fn a_storage_subscription_tells_only_what_changed() {
    let client = connect(Config::test()).await;
    let now =
        hex([sp_io::hashing::twox_128(b"Timestamp"), sp_io::hashing::twox_128(b"Now")].concat());
    let code = hex(b":code");
    let params = jsonrpsee::rpc_params![[&now, &code]];
    let mut news: Subscription<Value> = client
        .rpc
        .subscribe("state_subscribeStorage", params, "state_unsubscribeStorage")
        .await
        .unwrap();
    let first = news.next().await.unwrap().unwrap();
    assert_eq!(first["changes"].as_array().unwrap().len(), 2);
    client.chain.mine(1).unwrap();
    let second = news.next().await.unwrap().unwrap();
    assert_eq!(second["changes"][0][0], json!(now));
    assert_eq!(second["changes"].as_array().unwrap().len(), 1);
}
