//! Finality lag, time, snapshots, and old states.

use crate::client::{Client, Signing, address, connect, hex, public, transfer, unhex};
use localnet::{Config, Genesis, History, Spec};
use serde_json::json;

#[tokio::test]
async fn the_finalized_head_lags_by_as_many_blocks_as_asked() {
    let client = connect(Config { finality_lag: 3, ..Config::test() }).await;
    client.chain.mine(9).unwrap();
    assert_eq!((client.chain.head().number, client.chain.finalized().number), (10, 7));
    let head = client.ask("chain_getFinalizedHead", []).await;
    assert_eq!(head, json!(client.chain.block_hash(7).unwrap()));
}

#[tokio::test]
async fn mined_blocks_are_a_block_time_apart() {
    let client = connect(Config::test()).await;
    let key = [sp_io::hashing::twox_128(b"Timestamp"), sp_io::hashing::twox_128(b"Now")].concat();
    let now = async || client.ask("state_getStorage", [hex(&key).into()]).await;
    let milliseconds = |value: &serde_json::Value| {
        let bytes = unhex(value.as_str().unwrap());
        u64::from_le_bytes(bytes.try_into().unwrap())
    };
    let before = milliseconds(&now().await);
    assert_eq!(client.ask("dev_mine", [json!(10)]).await, json!(client.chain.head().hash));
    assert_eq!(milliseconds(&now().await), before + 120_000);
    let later = before + 5_000_000;
    client.ask("dev_setTime", [json!(later)]).await;
    client.ask("dev_newBlock", [json!({ "count": 1 })]).await;
    assert_eq!(milliseconds(&now().await), later);
}

#[tokio::test]
async fn a_revert_restores_state_head_and_nonces() {
    let client = connect(Config::test()).await;
    let root = client.state_root().await;
    let head = client.chain.head();
    let snapshot = client.ask("dev_snapshot", []).await;
    for _ in 0..3 {
        let extrinsic = client.signed("//Alice", &transfer("//Bob", 7)).await;
        client.submit(&extrinsic).await;
    }
    assert_ne!(client.state_root().await, root);
    client.ask("dev_revert", [snapshot.clone()]).await;
    assert_eq!(client.chain.head(), head);
    assert_eq!(client.state_root().await, root);
    assert_eq!(client.next_nonce("//Alice").await, 0);
    let extrinsic = client.signed("//Alice", &transfer("//Bob", 7)).await;
    client.submit(&extrinsic).await;
    client.chain.verify(client.chain.head().hash).unwrap();
    assert_eq!(client.refusal("dev_revert", [snapshot]).await.0, 4100);
}

#[tokio::test]
async fn a_snapshot_keeps_its_state_however_many_blocks_follow() {
    let client = connect(Config { history: History::States(4), ..Config::test() }).await;
    let root = client.state_root().await;
    let snapshot = client.ask("dev_snapshot", []).await;
    client.chain.mine(20).unwrap();
    client.ask("dev_revert", [snapshot]).await;
    assert_eq!(client.state_root().await, root);
    client.chain.mine(20).unwrap();
    let extrinsic = client.signed("//Alice", &transfer("//Bob", 7)).await;
    client.submit(&extrinsic).await;
    client.chain.verify(client.chain.head().hash).unwrap();
}

#[tokio::test]
async fn old_states_are_forgotten_but_not_their_blocks() {
    let client = connect(Config { history: History::States(4), ..Config::test() }).await;
    client.chain.mine(20).unwrap();
    let old = json!(client.chain.block_hash(2).unwrap());
    let refused = client.refusal("state_getStorage", [json!("0x00"), old.clone()]).await;
    assert!(refused.1.contains("State already discarded"), "{refused:?}");
    assert_eq!(client.ask("chain_getHeader", [old]).await["number"], "0x2");
    let recent = json!(client.chain.block_hash(18).unwrap());
    client.ask("state_getStorage", [json!("0x00"), recent]).await;
}

#[tokio::test]
async fn an_archive_forgets_nothing() {
    let client = connect(Config { history: History::Archive, ..Config::test() }).await;
    client.chain.mine(300).unwrap();
    client.chain.verify(client.chain.block_hash(1).unwrap()).unwrap();
}

#[test]
fn a_taken_port_is_named_with_a_hint() {
    let chain = localnet::spawn(Config::test()).unwrap();
    let second = localnet::spawn(Config { port: chain.port(), ..Config::test() }).unwrap_err();
    assert_eq!(second.to_string(), format!("port {} is taken", chain.port()));
    assert!(second.hint().unwrap().contains("--port"));
}

#[test]
fn a_stopped_chain_frees_its_port() {
    let chain = localnet::spawn(Config::test()).unwrap();
    let port = chain.port();
    chain.shutdown();
    std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
}

#[tokio::test]
async fn a_balance_can_be_set_and_its_block_re_executes() {
    let client = connect(Config::test()).await;
    client.ask("dev_setBalance", [json!(address("//Nobody")), json!(12_345_678)]).await;
    assert_eq!(client.balance("//Nobody").await, 12_345_678);
    client.chain.verify(client.chain.head().hash).unwrap();
}

#[tokio::test]
async fn an_impersonated_accounts_signature_is_good_whatever_it_is() {
    let client = connect(Config::test()).await;
    let call = transfer("//Charlie", 1_000);
    let signing = || Signing { nonce: 0, tip: 0 };
    let mut forged = client.sign("//Eve", &call, signing()).await;
    let account = public("//Eve").0;
    let at = forged.windows(32).position(|window| window == account).unwrap();
    forged[at..at + 32].copy_from_slice(&public("//Bob").0);
    let refused = client.refusal("author_submitExtrinsic", [hex(&forged).into()]).await;
    assert_eq!(refused.0, 1010, "{refused:?}");
    client.ask("dev_impersonate", [json!(address("//Bob"))]).await;
    let before = client.balance("//Charlie").await;
    client.submit(&forged).await;
    assert_eq!(client.balance("//Charlie").await, before + 1_000);
}

async fn last_round(client: &Client) -> u64 {
    let key = [sp_io::hashing::twox_128(b"Drand"), sp_io::hashing::twox_128(b"LastStoredRound")];
    let value = client.ask("state_getStorage", [hex(key.concat()).into()]).await;
    u64::from_le_bytes(unhex(value.as_str().unwrap()).try_into().unwrap())
}

#[tokio::test]
async fn the_beacon_pulses_every_three_seconds_of_chain_time() {
    let client = connect(Config::test()).await;
    let first = last_round(&client).await;
    client.chain.mine(1).unwrap();
    assert_eq!(last_round(&client).await, first + 4);
}

#[tokio::test]
async fn withheld_pulses_come_late() {
    let client = connect(Config::test()).await;
    let first = last_round(&client).await;
    client.ask("dev_withholdPulses", [json!(2)]).await;
    client.chain.mine(2).unwrap();
    assert_eq!(last_round(&client).await, first);
    client.chain.mine(1).unwrap();
    assert_eq!(last_round(&client).await, first + 12);
}

#[tokio::test]
async fn a_warp_ends_in_the_epoch_block() {
    let genesis = Genesis { development: true, ..Genesis::default() };
    let client = connect(Config { genesis, ..Config::test() }).await;
    let key =
        [sp_io::hashing::twox_128(b"SubtensorModule"), sp_io::hashing::twox_128(b"LastEpochBlock")];
    let key = [key.concat(), 1_u16.to_le_bytes().to_vec()].concat();
    let reached = client.ask("dev_warpToEpoch", [json!(1)]).await;
    let last_epoch = client.ask("state_getStorage", [hex(&key).into()]).await;
    let last_epoch = u64::from_le_bytes(unhex(last_epoch.as_str().unwrap()).try_into().unwrap());
    assert_eq!((reached, u64::from(client.chain.head().number)), (json!(last_epoch), last_epoch));
}

#[tokio::test]
async fn the_chain_reports_the_spec_and_the_block_time_it_was_started_with() {
    let config = Config { spec: Spec::S425, genesis: Genesis::recorded(), ..Config::test() };
    let client = connect(config).await;
    let version = client.ask("state_getRuntimeVersion", []).await;
    assert_eq!(
        (&version["specVersion"], &version["specName"]),
        (&json!(425), &json!("node-subtensor"))
    );
}

/// Far ahead of the last pulse only the newest round is stored, and all that are too old go.
#[tokio::test]
async fn a_leap_in_time_leaves_no_old_pulses_behind() {
    const LEAP_MS: u64 = 200_000_000;
    let client = connect(Config::test()).await;
    let item = |name: &[u8]| {
        hex([sp_io::hashing::twox_128(b"Drand"), sp_io::hashing::twox_128(name)].concat())
    };
    let stored = async || {
        let params = [item(b"Pulses").into(), json!(1_000)];
        client.ask("state_getKeysPaged", params).await.as_array().unwrap().len()
    };
    let round = async |name: &[u8]| {
        let value = client.ask("state_getStorage", [item(name).into()]).await;
        u64::from_le_bytes(unhex(value.as_str().unwrap()).try_into().unwrap())
    };
    client.chain.mine(1).unwrap();
    client.chain.mine(1).unwrap();
    assert!(stored().await > 1);
    let now = [sp_io::hashing::twox_128(b"Timestamp"), sp_io::hashing::twox_128(b"Now")].concat();
    let now = client.ask("state_getStorage", [hex(now).into()]).await;
    let now = u64::from_le_bytes(unhex(now.as_str().unwrap()).try_into().unwrap());
    client.ask("dev_setTime", [json!(now + LEAP_MS)]).await;
    client.chain.mine(1).unwrap();
    assert_eq!(stored().await, 1);
    let (oldest, last) = (round(b"OldestStoredRound").await, round(b"LastStoredRound").await);
    assert_eq!(last - oldest, 9_999);
    client.chain.verify(client.chain.head().hash).unwrap();
}
