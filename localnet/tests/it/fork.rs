//! Chains that go on from another one's block.

use crate::client::{Client, connect, hex, public, transfer};
use localnet::{Config, Error, Fork, ForkError, Genesis, TAO};
use node_subtensor_runtime::{RuntimeCall, subtensor};
use serde_json::{Value, json};
use std::path::Path;

fn fork_of(client: &Client, at: Option<u32>, cache: Option<&Path>) -> Config {
    let fork = Fork {
        endpoint: client.chain.url(),
        at: at.map(|at| at.to_string()),
        cache: cache.map(Path::to_owned),
    };
    Config { fork: Some(fork), ..Config::test() }
}

/// A chain with a subnet and some history.
async fn original() -> Client {
    let client = connect(Config { genesis: Genesis::devnet(), ..Config::test() }).await;
    let hotkey = public("//Bob//hot").into();
    let register = subtensor::Call::register_network { hotkey };
    let register = client.signed("//Bob", &RuntimeCall::SubtensorModule(register)).await;
    client.submit(&register).await;
    let payment = client.signed("//Alice", &transfer("//Charlie", TAO)).await;
    client.submit(&payment).await;
    client
}

/// The whole state after a block.
async fn state(client: &Client, at: &Value) -> Vec<Value> {
    let mut values = Vec::new();
    let mut last = Value::Null;
    loop {
        let params = [json!("0x"), json!(500), last, at.clone()];
        let keys = client.ask("state_getKeysPaged", params).await;
        let Some(end) = keys.as_array().unwrap().last() else { break };
        last = end.clone();
        values.push(client.ask("state_queryStorageAt", [keys, at.clone()]).await);
    }
    assert!(!values.is_empty());
    values
}

#[tokio::test]
async fn a_fork_has_the_other_chains_state_and_goes_its_own_way() {
    let first = original().await;
    let at = first.chain.head();
    let (payers, hash) = (first.balance("//Alice").await, json!(at.hash));
    first.chain.mine(3).unwrap();

    let cache = tempfile::tempdir().unwrap();
    let second = connect(fork_of(&first, Some(at.number), Some(cache.path()))).await;
    assert_eq!(second.chain.head(), at, "nothing had to be set: it is the other chain's block");
    assert_eq!(second.chain.genesis_hash(), first.chain.genesis_hash());
    for earlier in 0..at.number {
        assert_eq!(second.chain.block_hash(earlier), first.chain.block_hash(earlier), "{earlier}");
    }
    assert_eq!(state(&second, &hash).await, state(&first, &hash).await);

    let payment = second.signed("//Alice", &transfer("//Charlie", 9 * TAO)).await;
    second.submit(&payment).await;
    assert!(second.balance("//Alice").await < payers - 9 * TAO);
    assert_eq!(first.balance("//Alice").await, payers, "the other chain knows nothing of it");
    let head = second.chain.mine(400).unwrap();
    assert_eq!(head.number, at.number + 401);
    for number in at.number + 1..=at.number + 3 {
        let hash = second.chain.block_hash(number).unwrap();
        second.chain.verify(hash).unwrap();
    }

    // What it fetched is kept: a third chain asks for the header and no more.
    let third = connect(fork_of(&first, Some(at.number), Some(cache.path()))).await;
    drop(first);
    assert_eq!(state(&third, &hash).await, state(&second, &hash).await);
}

#[tokio::test]
async fn a_fork_goes_back_no_further_than_it_begins() {
    let first = original().await;
    let second = connect(fork_of(&first, None, None)).await;
    let begin = second.chain.head();
    let snapshot = second.ask("dev_snapshot", []).await;
    let payment = second.signed("//Alice", &transfer("//Charlie", TAO)).await;
    second.submit(&payment).await;
    let before = second.balance("//Charlie").await;
    second.ask("dev_revert", [snapshot]).await;
    assert_eq!(second.chain.head(), begin);
    assert_eq!(second.balance("//Charlie").await, before - TAO);
    for (method, params) in [("dev_reset", vec![]), ("dev_reorg", vec![json!({ "depth": 1 })])] {
        let refused = second.refusal(method, params).await;
        assert_ne!(refused.0, 0, "{refused:?}");
    }
    assert_eq!(second.chain.head(), begin);
}

#[tokio::test]
async fn whoever_was_root_the_forks_root_is_alice() {
    let genesis = Genesis {
        sudo: "//Bob".to_owned(),
        balances: [("//Bob".to_owned(), 10 * TAO)].into(),
        ..Genesis::default()
    };
    let first = connect(Config { genesis, ..Config::test() }).await;
    let second = connect(fork_of(&first, None, None)).await;
    assert_eq!(second.chain.head().number, first.chain.head().number);
    assert_ne!(second.chain.head().hash, first.chain.head().hash, "its state is another");
    assert_eq!(second.balance("//Bob").await, 10 * TAO);
    assert!(second.balance("//Alice").await > TAO, "she did not exist");
    second.ask("dev_setStorage", [json!([[hex(b"key"), hex(b"value")]])]).await;
    let head = second.chain.head();
    assert_eq!(second.ask("state_getStorage", [hex(b"key").into()]).await, json!(hex(b"value")));
    second.chain.verify(head.hash).unwrap();
}

#[tokio::test]
async fn why_there_is_no_fork_is_said() {
    let first = original().await;
    let error = localnet::spawn(fork_of(&first, Some(1_000), None)).unwrap_err();
    assert!(matches!(error, Error::Fork(ForkError::NoBlock(_))), "{error}");
    let nobody = Fork { endpoint: "ws://127.0.0.1:9/secret".into(), at: None, cache: None };
    let error = localnet::spawn(Config { fork: Some(nobody), ..Config::test() }).unwrap_err();
    assert!(matches!(error, Error::Fork(ForkError::Unreachable { .. })), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}
