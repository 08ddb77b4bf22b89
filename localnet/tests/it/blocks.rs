//! Blocks, their contents, and their re-execution.

use crate::client::{Signing, connect, hex, transfer};
use localnet::{Config, Genesis, Spec};
use serde_json::json;

#[tokio::test]
async fn a_transfer_moves_the_balance_in_one_block() {
    let client = connect(Config::test()).await;
    let before = client.balance("//Bob").await;
    let head = client.chain.head().number;
    let extrinsic = client.signed("//Alice", &transfer("//Bob", 5_000)).await;
    client.submit(&extrinsic).await;
    assert_eq!(client.balance("//Bob").await, before + 5_000);
    assert_eq!(client.chain.head().number, head + 1);
    let block = client.ask("chain_getBlock", []).await;
    let body = block["block"]["extrinsics"].as_array().unwrap();
    assert!(body.contains(&json!(hex(&extrinsic))));
}

#[tokio::test]
async fn every_block_re_executes_to_the_same_root() {
    let client = connect(Config::test()).await;
    for rao in 1..=5 {
        let extrinsic = client.signed("//Alice", &transfer("//Bob", rao)).await;
        client.submit(&extrinsic).await;
        client.chain.mine(3).unwrap();
    }
    for number in 1..=client.chain.head().number {
        client.chain.verify(client.chain.block_hash(number).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_later_nonce_waits_for_the_earlier_one_and_both_get_in() {
    let client = connect(Config::test()).await;
    let before = client.balance("//Bob").await;
    let call = transfer("//Bob", 1_000);
    let second = client.sign("//Alice", &call, Signing { nonce: 1, tip: 0 }).await;
    let first = client.sign("//Alice", &call, Signing { nonce: 0, tip: 0 }).await;
    client.submit(&second).await;
    assert_eq!(client.balance("//Bob").await, before);
    assert_eq!(client.ask("author_pendingExtrinsics", []).await, json!([hex(&second)]));
    client.submit(&first).await;
    assert_eq!(client.balance("//Bob").await, before + 2_000);
    assert_eq!(client.next_nonce("//Alice").await, 2);
}

#[tokio::test]
async fn the_pool_counts_towards_the_next_nonce() {
    let client = connect(Config { port: 0, ..Config::default() }).await;
    let extrinsic = client.signed("//Alice", &transfer("//Bob", 1)).await;
    client.submit(&extrinsic).await;
    assert_eq!(client.next_nonce("//Alice").await, 1);
}

#[tokio::test]
async fn the_same_extrinsic_twice_and_a_lower_bid_are_refused_and_a_higher_one_wins() {
    let client = connect(Config { port: 0, ..Config::default() }).await;
    let bid = async |rao, tip| {
        client.sign("//Alice", &transfer("//Bob", rao), Signing { nonce: 0, tip }).await
    };
    let first = bid(1, 0).await;
    client.submit(&first).await;
    let twice = client.refusal("author_submitExtrinsic", [hex(&first).into()]).await;
    assert_eq!(twice.0, 1013, "{twice:?}");
    let rival = client.refusal("author_submitExtrinsic", [hex(bid(2, 0).await).into()]).await;
    assert_eq!(rival.0, 1014, "{rival:?}");
    let outbid = bid(3, 1_000_000).await;
    client.submit(&outbid).await;
    assert_eq!(client.ask("author_pendingExtrinsics", []).await, json!([hex(&outbid)]));
}

#[tokio::test]
async fn a_used_nonce_is_outdated() {
    let client = connect(Config::test()).await;
    let call = transfer("//Bob", 1);
    let extrinsic = client.sign("//Alice", &call, Signing { nonce: 0, tip: 0 }).await;
    client.submit(&extrinsic).await;
    let refused = client.refusal("author_submitExtrinsic", [hex(&extrinsic).into()]).await;
    assert_eq!(refused, (1010, "Invalid Transaction \"Transaction is outdated\"".to_owned()));
}

#[tokio::test]
async fn on_the_recorded_genesis_an_extrinsic_follows_the_timestamp_alone() {
    let config = Config { spec: Spec::S425, genesis: Genesis::recorded(), ..Config::test() };
    let client = connect(config).await;
    let extrinsic = client.signed("//Alice", &transfer("//Bob", 5_000)).await;
    client.submit(&extrinsic).await;
    let block = client.ask("chain_getBlock", []).await;
    let body = block["block"]["extrinsics"].as_array().unwrap();
    assert_eq!((body.len(), &body[1]), (2, &json!(hex(&extrinsic))));
}

#[tokio::test]
async fn what_three_hundred_blocks_at_once_did_can_be_read() {
    let client = connect(Config::test()).await;
    let head = client.chain.head().number;
    client.chain.mine(300).unwrap();
    let first = client.chain.block_hash(head + 1).unwrap();
    let events = [sp_io::hashing::twox_128(b"System"), sp_io::hashing::twox_128(b"Events")];
    let at_first = [hex(events.concat()).into(), json!(first)];
    assert!(client.ask("state_getStorage", at_first).await.is_string());
}
