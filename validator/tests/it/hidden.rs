//! A subnet that takes hidden weights only: they are committed, revealed, and counted.

use std::time::Duration;

use chain::{Call, Chain, Keypair, Route, Value};
use chain_metadata::{AxonInfo, MechId};
use localnet::{Genesis, GenesisSubnet, History, Localnet, Sealing};
use validator::journal::{Hidden, State};
use validator::store::Store;

use crate::stage::{self, NETUID, VALIDATOR};

/// Longest wait for a settled commit: five epochs of the chain below on a machine with much to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the subnet takes weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Open,
    Timelocked,
    /// There is no beacon.
    Hash,
}

/// A chain with a subnet of four neurons at most. Its epochs last ten seconds, longer than a round of
/// the beacon.
pub(crate) fn chain(takes: Takes) -> Localnet {
    chain_of(takes, Duration::from_millis(250), History::Archive)
}

/// The same, with blocks of this time and a node that keeps these states.
pub(crate) fn chain_of(takes: Takes, block: Duration, history: History) -> Localnet {
    let beacon = takes != Takes::Hash;
    let address = |path: &str| Keypair::dev(path).unwrap().hotkey().to_string();
    let neuron = |path: &str, stake: u64| serde_json::json!({"hotkey": address(path), "coldkey": address("//Alice"), "stake": stake});
    let subnet: GenesisSubnet = serde_json::from_value(serde_json::json!({
        "netuid": NETUID, "owner": address("//Alice"), "owner_hotkey": address("//Owner"),
        "started": true, "tempo": 40, "commit_reveal": takes != Takes::Open,
        "weights_rate_limit": 0, "max_allowed_uids": 4,
        "neurons": [neuron(VALIDATOR, 1_000_000_000_000), neuron("//Miner", 0)],
    }))
    .unwrap();
    localnet::spawn(localnet::Config {
        port: 0,
        sealing: Sealing::Interval(block),
        history,
        genesis: Genesis { beacon, subnets: vec![subnet], ..Genesis::default() },
        ..localnet::Config::default()
    })
    .unwrap()
}

/// Gives the subnet a second mechanism.
async fn add_mechanism(chain: &Chain) {
    let args = [("netuid", u128::from(NETUID.0)), ("mechanism_count", 2)];
    let args = args.map(|(name, value)| (name, Value::u128(value)));
    let open = [("window", Value::u128(0))];
    for call in [
        Call::admin("sudo_set_admin_freeze_window", open),
        Call::admin("sudo_set_mechanism_count", args),
    ] {
        chain.submit(&Call::sudo(call), &stage::key("//Alice")).await.unwrap();
    }
}

/// Runs the validator until the chain has applied its weights in a mechanism; what opened them.
async fn settled(node: &Localnet, mechid: MechId) -> Option<Hidden> {
    let url = node.url();
    let chain = stage::connect(url.clone()).await;
    if mechid != MechId(0) {
        add_mechanism(&chain).await;
    }
    let nobody_listens = AxonInfo::new("0.0.0.0".parse().unwrap(), 9);
    chain.submit(&Call::serve_axon(NETUID, &nobody_listens), &stage::key("//Miner")).await.unwrap();
    let hotkey = stage::key(VALIDATOR).hotkey();
    let uid = chain.uid_of(NETUID, &hotkey, None).await.unwrap().unwrap();

    let dir = tempfile::tempdir().unwrap();
    let mut program = stage::program(&url, VALIDATOR, dir.path());
    let mut running = program.args(["--mechid", &mechid.0.to_string()]).spawn().unwrap();
    let started = tokio::time::Instant::now();
    let row = async |mechid| chain.weights_row(NETUID, mechid, uid, None).await.unwrap();
    while row(mechid).await.is_empty() {
        assert!(started.elapsed() < PATIENCE, "no weights on chain");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // A head or two, to see and write down what was applied.
    tokio::time::sleep(Duration::from_secs(2)).await;
    running.kill().unwrap();
    running.wait().unwrap();
    if mechid != MechId(0) {
        assert_eq!(row(MechId(0)).await, [], "the main mechanism's row is its own");
    }

    let owner = stage::owner(&chain, mechid);
    let rows = Store::open(dir.path(), &owner).unwrap().history().unwrap();
    let first = &rows.first().unwrap().1;
    let State::Settled { block } = first.state else { panic!("{:?}", first.state) };
    let at = Some(chain.block(block).await.unwrap().hash);
    let applied = chain.weights_row(NETUID, mechid, uid, at).await.unwrap();
    let sent: Vec<_> = first.weights.iter().map(|paid| (paid.uid, paid.value)).collect();
    assert_eq!(applied, sent);
    first.hidden.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timelocked_commit_is_settled_when_the_chain_has_revealed_it() {
    let hidden = settled(&chain(Takes::Timelocked), MechId(0)).await;
    assert!(matches!(hidden, Some(Hidden::Timelocked { .. })), "{hidden:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_chain_without_a_beacon_a_hash_is_committed_and_shown_in_its_epoch() {
    let hidden = settled(&chain(Takes::Hash), MechId(0)).await;
    assert!(matches!(hidden, Some(Hidden::Hash { .. })), "{hidden:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_mechanism_takes_weights_on_every_route() {
    let second = MechId(1);
    assert_eq!(settled(&chain(Takes::Open), second).await, None);
    let hidden = settled(&chain(Takes::Timelocked), second).await;
    assert!(matches!(hidden, Some(Hidden::Timelocked { .. })), "{hidden:?}");
    let hidden = settled(&chain(Takes::Hash), second).await;
    assert!(matches!(hidden, Some(Hidden::Hash { .. })), "{hidden:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_route_is_the_one_that_the_chain_itself_asks_for() {
    let node = chain(Takes::Timelocked);
    let chain = stage::connect(node.url()).await;
    let rules = chain.hyperparameters(NETUID, None).await.unwrap();
    let beacon = chain.beacon(None).await.unwrap();
    assert_eq!(Route::of(&rules, beacon.is_some()), Route::Timelocked);
    assert!(!beacon.unwrap().is_quicknet(), "a local chain signs its own rounds");
}
