//! What a developer expects of a chain of their own: change its pace, its state, its past, its health.

use crate::client::{Client, Signing, address, connect, hex, transfer, unhex};
use jsonrpsee::ws_client::WsClientBuilder;
use localnet::{Config, History, Sealing};
use node_subtensor_runtime::{RuntimeCall, subtensor, types::NetUid};
use serde_json::{Value, json};
use std::time::Duration;

fn key(pallet: &str, item: &str) -> Vec<u8> {
    [pallet, item].map(|name| sp_io::hashing::twox_128(name.as_bytes())).concat()
}

async fn number(client: &Client, key: &[u8]) -> u64 {
    let value = client.ask("state_getStorage", [hex(key).into()]).await;
    u64::from_le_bytes(unhex(value.as_str().unwrap()).try_into().unwrap())
}

#[tokio::test]
async fn a_dump_brings_the_chain_back_as_it_was() {
    let client = connect(Config::test()).await;
    let extrinsic = client.signed("//Alice", &transfer("//Bob", 7)).await;
    client.submit(&extrinsic).await;
    let (head, root) = (client.chain.head(), client.state_root().await);
    let dump = client.ask("dev_dumpState", []).await;
    client.ask("dev_reset", []).await;
    assert_eq!(client.chain.head().number, 1);
    assert_eq!(client.next_nonce("//Alice").await, 0);
    client.ask("dev_loadState", [dump]).await;
    assert_eq!((client.chain.head(), client.state_root().await), (head, root));
    client.chain.mine(3).unwrap();
    client.chain.verify(client.chain.head().hash).unwrap();
}

#[tokio::test]
async fn a_dump_that_is_cut_or_anothers_is_refused_and_changes_nothing() {
    let client = connect(Config::test()).await;
    let head = client.chain.head();
    let dump = client.ask("dev_dumpState", []).await;
    let cut = &dump.as_str().unwrap()[..dump.as_str().unwrap().len() - 2];
    let refused = client.refusal("dev_loadState", [json!(cut)]).await;
    assert_eq!(refused.0, 4100);
    assert!(refused.1.contains("cut short"), "{refused:?}");
    let genesis = localnet::Genesis { issuance: Some(1), ..localnet::Genesis::default() };
    let other = connect(Config { genesis, ..Config::test() }).await;
    let refused = other.refusal("dev_loadState", [dump]).await;
    assert!(refused.1.contains("of the chain"), "{refused:?}");
    assert_eq!(client.chain.head(), head);
}

#[tokio::test]
async fn storage_is_set_and_removed_in_blocks_that_re_execute() {
    let client = connect(Config::test()).await;
    let tempo = [key("SubtensorModule", "Tempo"), vec![7, 0]].concat();
    client.ask("dev_setStorage", [json!([[hex(&tempo), "0x1400"]])]).await;
    assert_eq!(client.ask("state_getStorage", [hex(&tempo).into()]).await, json!("0x1400"));
    client.ask("dev_setStorage", [json!([[hex(&tempo), null]])]).await;
    assert_eq!(client.ask("state_getStorage", [hex(&tempo).into()]).await, Value::Null);
    client.chain.verify(client.chain.head().hash).unwrap();
    let refused = client.refusal("dev_setStorage", [json!([["0xzz", null]])]).await;
    assert!(refused.1.contains("0xzz"), "{refused:?}");
}

#[tokio::test]
async fn impersonation_ends_when_asked() {
    let client = connect(Config::test()).await;
    let forged = || async {
        let call = transfer("//Charlie", 1_000);
        let mut forged = client.sign("//Eve", &call, Signing { nonce: 0, tip: 0 }).await;
        let account = crate::client::public("//Eve").0;
        let at = forged.windows(32).position(|window| window == account).unwrap();
        forged[at..at + 32].copy_from_slice(&crate::client::public("//Bob").0);
        forged
    };
    client.ask("dev_impersonate", [json!(address("//Bob"))]).await;
    client.ask("dev_stopImpersonating", [json!(address("//Bob"))]).await;
    let refused = client.refusal("author_submitExtrinsic", [hex(forged().await).into()]).await;
    assert_eq!(refused.0, 1010, "{refused:?}");
}

#[tokio::test]
async fn the_pace_changes_while_the_chain_runs() {
    let client = connect(Config::test()).await;
    let mut heads =
        client.subscribe("chain_subscribeNewHeads", "chain_unsubscribeNewHeads", None).await;
    client.ask("dev_setBlockTime", [json!(20)]).await;
    for _ in 0..4 {
        heads.next().await.unwrap().unwrap();
    }
    client.ask("dev_setInstant", []).await;
    let head = client.chain.head().number;
    let extrinsic = client.signed("//Alice", &transfer("//Bob", 7)).await;
    client.submit(&extrinsic).await;
    // A block that was under way when the pace changed may have come between.
    let made = client.chain.head().number - head;
    assert!((1..=2).contains(&made), "{made} blocks for one extrinsic");
}

#[tokio::test]
async fn blocks_mined_with_the_clock_kept_take_a_millisecond_each() {
    let client = connect(Config::test()).await;
    let now = key("Timestamp", "Now");
    let before = number(&client, &now).await;
    client.ask("dev_mine", [json!({ "count": 120, "keepClock": true })]).await;
    let after = number(&client, &now).await;
    assert!(after - before < 120 * 12_000, "the chain's clock moved by {} ms", after - before);
    let unknown = client.refusal("dev_mine", [json!({ "blocks": 3 })]).await;
    assert!(unknown.1.contains("blocks"), "{unknown:?}");
}

#[tokio::test]
async fn a_reorganisation_replaces_blocks_and_keeps_their_extrinsics() {
    let config = Config { finality_lag: 8, ..Config::test() };
    let client = connect(config).await;
    client.chain.mine(2).unwrap();
    let before = client.balance("//Bob").await;
    let extrinsic = client.signed("//Alice", &transfer("//Bob", 7)).await;
    client.submit(&extrinsic).await;
    let old = client.chain.head();
    client.ask("dev_reorg", [json!(2)]).await;
    assert_eq!(client.chain.head().number, old.number + 1);
    assert_ne!(client.chain.block_hash(old.number), Some(old.hash));
    assert_eq!(client.balance("//Bob").await, before + 7);
    client.chain.verify(client.chain.head().hash).unwrap();
}

#[tokio::test]
async fn final_and_forgotten_blocks_are_not_replaced() {
    let client = connect(Config { history: History::States(4), ..Config::test() }).await;
    client.chain.mine(10).unwrap();
    let refused = client.refusal("dev_reorg", [json!(2)]).await;
    assert!(refused.1.contains("--finality-lag"), "{refused:?}");
    client.ask("dev_reorg", [json!({ "depth": 2, "final": true })]).await;
    let refused = client.refusal("dev_reorg", [json!({ "depth": 9, "final": true })]).await;
    assert!(refused.1.contains("--archive"), "{refused:?}");
}

#[tokio::test]
async fn faults_refuse_freeze_and_end() {
    let client = connect(Config::test()).await;
    client.ask("dev_fault", [json!({ "refuse": 2, "code": -32_603 })]).await;
    assert_eq!(client.refusal("system_chain", []).await.0, -32_603);
    assert_eq!(client.refusal("system_chain", []).await.0, -32_603);
    client.ask("system_chain", []).await;
    client.ask("dev_fault", [json!({ "freeze_ms": 3_600_000 })]).await;
    let frozen = client.ask("system_chain", []);
    let thaw = async {
        tokio::task::yield_now().await;
        client.ask("dev_fault", []).await
    };
    let (name, _) = tokio::join!(frozen, thaw);
    assert_eq!(name, json!("Bittensor Local"));
    let refused = client.refusal("dev_fault", [json!({ "sleep": 3 })]).await;
    assert!(refused.1.contains("sleep"), "{refused:?}");
}

#[tokio::test]
async fn dropped_connections_close_and_new_ones_open() {
    let client = connect(Config::test()).await;
    let other = WsClientBuilder::default().build(client.chain.url()).await.unwrap();
    client.ask("dev_fault", [json!({ "drop": true })]).await;
    other.on_disconnect().await;
    // The socket is opened again a moment after the connections are closed.
    let again = loop {
        if let Ok(again) = WsClientBuilder::default().build(client.chain.url()).await {
            break again;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let name: String =
        jsonrpsee::core::client::ClientT::request(&again, "system_chain", jsonrpsee::rpc_params![])
            .await
            .unwrap();
    assert_eq!(name, "Bittensor Local");
}

#[tokio::test]
async fn an_upgrade_bumps_the_version_and_tells_who_listens() {
    let client = connect(Config::test()).await;
    let mut versions = client
        .subscribe("state_subscribeRuntimeVersion", "state_unsubscribeRuntimeVersion", None)
        .await;
    let spec = |version: Value| version["specVersion"].as_u64().unwrap();
    assert_eq!(spec(versions.next().await.unwrap().unwrap()), 461);
    for (steps, name) in
        (1..).zip(["retype-field", "move-call", "add-event", "remove-storage", "remove-api"])
    {
        client.ask("dev_upgrade", [json!(name)]).await;
        assert_eq!(spec(versions.next().await.unwrap().unwrap()), 461 + steps, "{name}");
        let again = client.refusal("dev_upgrade", [json!(name)]).await;
        assert!(again.1.contains("already"), "{again:?}");
    }
    client.chain.mine(2).unwrap();
    client.chain.verify(client.chain.head().hash).unwrap();
    let gone = client
        .refusal("state_call", [json!("NeuronInfoRuntimeApi_get_neurons"), json!("0x0100")])
        .await;
    assert!(gone.1.contains("is not found"), "{gone:?}");
    let unknown = client.refusal("dev_upgrade", [json!("nothing")]).await;
    assert!(unknown.1.contains("retype-field"), "{unknown:?}");
}

#[tokio::test]
async fn a_moved_call_works_under_its_new_index_alone() {
    let client = connect(Config::test()).await;
    let old = RuntimeCall::SubtensorModule(subtensor::Call::set_mechanism_weights {
        netuid: NetUid(1),
        mecid: node_subtensor_runtime::types::MechId(0),
        dests: vec![0],
        weights: vec![1],
        version_key: 0,
    });
    let mut moved = codec::Encode::encode(&old);
    assert_eq!(moved[..2], [7, 119]);
    moved[1] = 219;
    client.ask("dev_upgrade", [json!("move-call")]).await;
    // Commit-reveal is on by default: the call is known, and refused for its own reason.
    let signed = client.sign_bytes("//Bob", &moved, Signing { nonce: 0, tip: 0 }).await;
    client.submit(&signed).await;
    assert_eq!(client.next_nonce("//Bob").await, 1);
}

#[tokio::test]
async fn a_pruned_node_answers_for_as_many_states_as_it_keeps() {
    let config =
        Config { history: History::States(2), sealing: Sealing::Instant, ..Config::test() };
    let client = connect(config).await;
    client.chain.mine(5).unwrap();
    let at = |number: u32| json!(client.chain.block_hash(number).unwrap());
    client.ask("state_getStorage", [json!("0x00"), at(5)]).await;
    let refused = client.refusal("state_getStorage", [json!("0x00"), at(4)]).await;
    assert!(refused.1.contains("State already discarded"), "{refused:?}");
}
