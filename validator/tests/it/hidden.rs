//! A subnet that takes hidden weights only: they are committed, revealed, and counted.

use std::time::Duration;

use chain::{Call, Chain, ConnectOptions, Keypair, Route};
use chain_metadata::{AxonInfo, MechId};
use localnet::{Genesis, GenesisSubnet, History, Localnet, Sealing};
use validator::journal::{Hidden, State};
use validator::store::{Owner, Store};

use crate::stage::{self, NETUID, VALIDATOR};

/// Longest wait for a settled commit: five epochs of the chain below on a machine with much to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// A chain with commit-reveal on. Its epochs last four seconds, longer than a round of the beacon.
fn chain(beacon: bool) -> Localnet {
    let address = |path: &str| Keypair::dev(path).unwrap().hotkey().to_string();
    let neuron = |path: &str, stake: u64| serde_json::json!({"hotkey": address(path), "coldkey": address("//Alice"), "stake": stake});
    let subnet: GenesisSubnet = serde_json::from_value(serde_json::json!({
        "netuid": NETUID, "owner": address("//Alice"), "owner_hotkey": address("//Owner"),
        "started": true, "tempo": 40, "commit_reveal": true, "weights_rate_limit": 0,
        "neurons": [neuron(VALIDATOR, 1_000_000_000_000), neuron("//Miner", 0)],
    }))
    .unwrap();
    localnet::spawn(localnet::Config {
        port: 0,
        sealing: Sealing::Interval(Duration::from_millis(100)),
        history: History::Archive,
        genesis: Genesis { beacon, subnets: vec![subnet], ..Genesis::default() },
        ..localnet::Config::default()
    })
    .unwrap()
}

/// Runs the validator until the chain has applied its weights; what opened them.
async fn settled(node: &Localnet) -> Hidden {
    let url = node.url();
    let chain =
        Chain::connect(std::slice::from_ref(&url), ConnectOptions::default()).await.unwrap();
    let nobody_listens = AxonInfo::new("0.0.0.0".parse().unwrap(), 9);
    let miner = Keypair::dev("//Miner").unwrap();
    chain.submit(&Call::serve_axon(NETUID, &nobody_listens), &miner).await.unwrap();
    let hotkey = Keypair::dev(VALIDATOR).unwrap().hotkey();
    let uid = chain.uid_of(NETUID, &hotkey, None).await.unwrap().unwrap();

    let dir = tempfile::tempdir().unwrap();
    let mut running = stage::program(&url, VALIDATOR, dir.path()).spawn().unwrap();
    let started = tokio::time::Instant::now();
    let row = async || chain.weights_row(NETUID, MechId(0), uid, None).await.unwrap();
    while row().await.is_empty() {
        assert!(started.elapsed() < PATIENCE, "no weights on chain");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // A head or two, to see and write down what was applied.
    tokio::time::sleep(Duration::from_secs(2)).await;
    running.kill().unwrap();
    running.wait().unwrap();

    let owner = Owner {
        hotkey,
        genesis: hex::encode(chain.genesis_hash()),
        netuid: NETUID,
        mechid: MechId(0),
    };
    let rows = Store::open(dir.path(), &owner).unwrap().history().unwrap();
    let first = &rows.first().unwrap().1;
    let State::Settled { block } = first.state else { panic!("{:?}", first.state) };
    let at = Some(chain.block(block).await.unwrap().hash);
    let applied = chain.weights_row(NETUID, MechId(0), uid, at).await.unwrap();
    let sent: Vec<_> = first.weights.iter().map(|paid| (paid.uid, paid.value)).collect();
    assert_eq!(applied, sent);
    first.hidden.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timelocked_commit_is_settled_when_the_chain_has_revealed_it() {
    let hidden = settled(&chain(true)).await;
    assert!(matches!(hidden, Hidden::Timelocked { .. }), "{hidden:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_chain_without_a_beacon_a_hash_is_committed_and_shown_in_its_epoch() {
    let hidden = settled(&chain(false)).await;
    assert!(matches!(hidden, Hidden::Hash { .. }), "{hidden:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_route_is_the_one_that_the_chain_itself_asks_for() {
    let node = chain(true);
    let chain = Chain::connect(&[node.url()], ConnectOptions::default()).await.unwrap();
    let rules = chain.hyperparameters(NETUID, None).await.unwrap();
    let beacon = chain.beacon(None).await.unwrap();
    assert_eq!(Route::of(&rules, beacon.is_some()), Route::Timelocked);
    assert!(!beacon.unwrap().is_quicknet(), "a local chain signs its own rounds");
}
