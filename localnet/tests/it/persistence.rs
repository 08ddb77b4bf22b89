//! `--state DIR`.

use crate::client::{connect, transfer};
use localnet::{Config, Genesis};
use std::{fs::OpenOptions, io::Write as _, path::Path};

fn kept_in(dir: &Path) -> Config {
    Config { state_dir: Some(dir.to_owned()), ..Config::test() }
}

#[tokio::test]
async fn a_chain_goes_on_where_it_was_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let client = connect(kept_in(dir.path())).await;
    let extrinsic = client.signed("//Alice", &transfer("//Bob", 9)).await;
    client.submit(&extrinsic).await;
    let (head, bob) = (client.chain.head(), client.balance("//Bob").await);
    drop(client);

    let client = connect(kept_in(dir.path())).await;
    assert_eq!(client.chain.head(), head);
    assert_eq!(client.balance("//Bob").await, bob);
    assert_eq!(client.next_nonce("//Alice").await, 1);
    client.chain.mine(3).unwrap();
    client.chain.verify(client.chain.head().hash).unwrap();
}

#[tokio::test]
async fn a_revert_is_kept_too() {
    let dir = tempfile::tempdir().unwrap();
    let client = connect(kept_in(dir.path())).await;
    let snapshot = client.ask("dev_snapshot", []).await;
    client.chain.mine(5).unwrap();
    client.ask("dev_revert", [snapshot]).await;
    let head = client.chain.mine(2).unwrap();
    drop(client);
    assert_eq!(localnet::spawn(kept_in(dir.path())).unwrap().head(), head);
}

#[test]
fn a_record_cut_short_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let chain = localnet::spawn(kept_in(dir.path())).unwrap();
    let head = chain.mine(4).unwrap();
    drop(chain);
    let log = dir.path().join("chain.log");
    OpenOptions::new().append(true).open(log).unwrap().write_all(&[9, 0, 0, 0, 1, 2, 3]).unwrap();
    let chain = localnet::spawn(kept_in(dir.path())).unwrap();
    assert_eq!(chain.head(), head);
    let next = chain.mine(1).unwrap();
    drop(chain);
    assert_eq!(localnet::spawn(kept_in(dir.path())).unwrap().head(), next);
}

#[test]
fn a_directory_serves_one_process_and_one_genesis() {
    let dir = tempfile::tempdir().unwrap();
    let chain = localnet::spawn(kept_in(dir.path())).unwrap();
    let second = localnet::spawn(kept_in(dir.path())).unwrap_err();
    assert!(matches!(second, localnet::Error::Disk(localnet::DiskError::InUse { .. })), "{second}");
    drop(chain);
    let genesis = Genesis { sudo: "//Bob".to_owned(), ..Genesis::default() };
    let other = localnet::spawn(Config { genesis, ..kept_in(dir.path()) }).unwrap_err();
    assert!(
        matches!(other, localnet::Error::Disk(localnet::DiskError::OtherChain { .. })),
        "{other}"
    );
    assert!(other.hint().is_some());
}
