//! The JSON-RPC methods that replace the legacy ones.

use crate::client::{Client, connect, hex, transfer, unhex};
use jsonrpsee::core::client::{Subscription, SubscriptionClientT};
use localnet::Config;
use serde_json::{Value, json};

async fn follow(client: &Client, with_runtime: bool) -> (Subscription<Value>, String) {
    let follow: Subscription<Value> = client
        .rpc
        .subscribe(
            "chainHead_v1_follow",
            jsonrpsee::rpc_params![with_runtime],
            "chainHead_v1_unfollow",
        )
        .await
        .unwrap();
    let jsonrpsee::core::client::SubscriptionKind::Subscription(id) = follow.kind() else {
        panic!("no subscription")
    };
    let id = serde_json::to_value(id).unwrap().as_str().unwrap().to_owned();
    (follow, id)
}

async fn event(follow: &mut Subscription<Value>, name: &str) -> Value {
    let event = follow.next().await.unwrap().unwrap();
    assert_eq!(event["event"], name, "{event}");
    event
}

#[tokio::test]
async fn a_follower_hears_of_every_block_and_its_finality() {
    let client = connect(Config { finality_lag: 1, ..Config::test() }).await;
    client.chain.mine(3).unwrap();
    let hash = |number: u32| json!(client.chain.block_hash(number).unwrap());
    let (mut news, _) = follow(&client, true).await;
    let begun = event(&mut news, "initialized").await;
    assert_eq!(begun["finalizedBlockHashes"], json!([hash(3)]));
    assert_eq!(begun["finalizedBlockRuntime"]["spec"]["specVersion"], 461);
    assert_eq!(event(&mut news, "newBlock").await["blockHash"], hash(4));
    assert_eq!(event(&mut news, "bestBlockChanged").await["bestBlockHash"], hash(4));
    client.chain.mine(1).unwrap();
    let new = event(&mut news, "newBlock").await;
    assert_eq!((&new["blockHash"], &new["parentBlockHash"]), (&hash(5), &hash(4)));
    event(&mut news, "bestBlockChanged").await;
    assert_eq!(event(&mut news, "finalized").await["finalizedBlockHashes"], json!([hash(4)]));
}

#[tokio::test]
async fn operations_answer_about_pinned_blocks_alone() {
    let client = connect(Config::test()).await;
    let (mut news, id) = follow(&client, false).await;
    let begun = event(&mut news, "initialized").await;
    let block = begun["finalizedBlockHashes"][0].clone();
    let call = [json!(id), block.clone(), json!("Core_version"), json!("0x")];
    let started = client.ask("chainHead_v1_call", call.clone()).await;
    assert_eq!(started["result"], "started");
    let done = event(&mut news, "operationCallDone").await;
    assert_eq!(done["operationId"], started["operationId"]);
    let spec_name = b"node-subtensor";
    let output = unhex(done["output"].as_str().unwrap());
    assert!(output.windows(spec_name.len()).any(|window| window == spec_name));

    let prefix = sp_io::hashing::twox_128(b"System");
    let items = json!([{ "key": hex(prefix), "type": "descendantsValues" }]);
    client.ask("chainHead_v1_storage", [json!(id), block.clone(), items, Value::Null]).await;
    let found = event(&mut news, "operationStorageItems").await;
    assert!(found["items"].as_array().unwrap().len() > 5, "{found}");
    event(&mut news, "operationStorageDone").await;

    client.ask("chainHead_v1_body", [json!(id), block.clone()]).await;
    assert!(event(&mut news, "operationBodyDone").await["value"].is_array());
    client.ask("chainHead_v1_unpin", [json!(id), block.clone()]).await;
    assert_eq!(client.refusal("chainHead_v1_call", call).await.0, -32_801);
    assert_eq!(client.ask("chainHead_v1_header", [json!("nobody"), block]).await, Value::Null);
}

#[tokio::test]
async fn a_follower_is_stopped_when_the_chain_goes_back() {
    let client = connect(Config::test()).await;
    let snapshot = client.ask("dev_snapshot", []).await;
    let (mut news, _) = follow(&client, false).await;
    event(&mut news, "initialized").await;
    client.ask("dev_revert", [snapshot]).await;
    event(&mut news, "stop").await;
}

#[tokio::test]
async fn the_archive_knows_every_block_and_what_changed() {
    let client = connect(Config::test()).await;
    client.chain.mine(3).unwrap();
    let head = json!(client.chain.head().hash);
    assert_eq!(client.ask("archive_v1_finalizedHeight", []).await, json!(4));
    assert_eq!(client.ask("archive_v1_hashByHeight", [json!(4)]).await, json!([head]));
    assert_eq!(client.ask("archive_v1_hashByHeight", [json!(99)]).await, json!([]));
    let called =
        client.ask("archive_v1_call", [head.clone(), json!("Core_version"), json!("0x")]).await;
    assert_eq!(called["success"], true);
    let nothing = format!("0x{}", "00".repeat(32));
    let missing = [json!(nothing), json!("Core_version"), json!("0x")];
    assert_eq!(client.ask("archive_v1_call", missing).await, Value::Null);
    let mut diff: Subscription<Value> = client
        .rpc
        .subscribe(
            "archive_v1_storageDiff",
            jsonrpsee::rpc_params![head],
            "archive_v1_storageDiff_stopStorageDiff",
        )
        .await
        .unwrap();
    let now = hex([&b"Timestamp"[..], b"Now"].map(sp_io::hashing::twox_128).concat());
    let mut changed = Vec::new();
    loop {
        let event = diff.next().await.unwrap().unwrap();
        if event["event"] == "storageDiffDone" {
            break;
        }
        changed.push(event);
    }
    let of_time = changed.iter().find(|event| event["key"] == json!(now)).unwrap();
    assert_eq!(of_time["type"], "modified");
}

#[tokio::test]
async fn a_broadcast_is_sent_until_it_is_taken() {
    let client = connect(Config::test()).await;
    let before = client.balance("//Bob").await;
    let extrinsic = client.signed("//Alice", &transfer("//Bob", 7)).await;
    let mut heads =
        client.subscribe("chain_subscribeNewHeads", "chain_unsubscribeNewHeads", None).await;
    heads.next().await.unwrap().unwrap();
    let id = client.ask("transaction_v1_broadcast", [hex(extrinsic).into()]).await;
    heads.next().await.unwrap().unwrap();
    assert_eq!(client.balance("//Bob").await, before + 7);
    client.ask("transaction_v1_stop", [id.clone()]).await;
    assert_eq!(client.refusal("transaction_v1_stop", [id]).await.0, -32_602);
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_does_nothing() {
    let client = connect(Config::test()).await;
    let head = client.chain.head();
    let extrinsic = client.signed("//Alice", &transfer("//Bob", 7)).await;
    let ok = client.ask("system_dryRun", [hex(&extrinsic).into()]).await;
    assert_eq!(ok, json!("0x0000"));
    let extrinsic = client.signed("//Alice", &transfer("//Bob", u64::MAX)).await;
    let failed = client.ask("system_dryRun", [hex(&extrinsic).into()]).await;
    assert!(failed.as_str().unwrap().starts_with("0x0001"), "{failed}");
    assert_eq!(client.chain.head(), head);
}

#[tokio::test]
async fn a_query_over_blocks_names_those_that_changed_a_key() {
    let client = connect(Config::test()).await;
    let first = json!(client.chain.head().hash);
    client.chain.mine(3).unwrap();
    let now = hex([&b"Timestamp"[..], b"Now"].map(sp_io::hashing::twox_128).concat());
    let sets = client.ask("state_queryStorage", [json!([now]), first.clone()]).await;
    assert_eq!(sets.as_array().unwrap().len(), 4);
    let sets = client.ask("state_queryStorage", [json!(["0x77"]), first]).await;
    assert_eq!(sets.as_array().unwrap().len(), 1, "the first is told in any case");
}
