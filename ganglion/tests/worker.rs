//! A program of the engineer's own behind a live miner: docs/workers.md, as written.

#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chain::{Chain, ConnectOptions, Keypair};
use chain_metadata::NetUid;
use localnet::{Genesis, GenesisSubnet, Localnet, Sealing};
use serde_json::json;

const GANGLION: &str = env!("CARGO_BIN_EXE_ganglion");
const NETUID: NetUid = NetUid(1);
/// Longest wait for pay.
const PATIENCE: Duration = Duration::from_secs(240);

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn address(path: &str) -> String {
    Keypair::dev(path).unwrap().hotkey().to_string()
}

fn chain() -> Localnet {
    let neuron = |path: &str, stake: u64| json!({"hotkey": address(path), "coldkey": address(path), "stake": stake});
    let subnet: GenesisSubnet = serde_json::from_value(json!({
        "netuid": NETUID, "owner": address("//Alice"), "owner_hotkey": address("//Alice//hot"),
        "started": true, "tempo": 20, "commit_reveal": false, "weights_rate_limit": 0,
        "neurons": [
            neuron("//Charlie", 1_000_000_000_000), neuron("//Bob", 0), neuron("//Dave", 0)
        ],
    }))
    .unwrap();
    localnet::spawn(localnet::Config {
        port: 0,
        sealing: Sealing::Interval(Duration::from_millis(200)),
        genesis: Genesis { subnets: vec![subnet], ..Genesis::default() },
        ..localnet::Config::default()
    })
    .unwrap()
}

/// A child that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn start(role: &str, hotkey: &str, url: &str, state: &Path, more: &[&str]) -> Running {
    let mut command = Command::new(GANGLION);
    command
        .current_dir(repository())
        .args([role, "--network", url, "--netuid", "1", "--wallet-hotkey", hotkey, "--quiet"])
        .args(["--health=false", "--state-dir", state.to_str().unwrap()])
        .args(more)
        .stdin(Stdio::null());
    Running(command.spawn().unwrap())
}

/// Plays a rule with a worker in Python and one that answers nonsense; the stakes after some epochs.
async fn pays(rule: &str) {
    let (node, dir) = (chain(), tempfile::tempdir().unwrap());
    let url = node.url();
    let miner = ["--axon-port", "0", "--require-permit=false", "--rule", rule, "--worker-command"];
    let python = [&miner[..], &["python3 docs/examples/worker.py"]].concat();
    let nonsense = "while read -r line; do echo nonsense; done";
    let nonsense = [&miner[..], &[nonsense]].concat();
    let _bob = start("miner", "//Bob", &url, &dir.path().join("bob"), &python);
    let _dave = start("miner", "//Dave", &url, &dir.path().join("dave"), &nonsense);
    let _charlie =
        start("validator", "//Charlie", &url, &dir.path().join("charlie"), &["--rule", rule]);
    let chain = Chain::connect(&[url], ConnectOptions::default()).await.unwrap();
    let stake = async |path: &str| {
        let key = Keypair::dev(path).unwrap();
        chain.stake(&key.hotkey(), &key.coldkey(), NETUID).await.unwrap().0
    };
    let paid = async {
        while stake("//Bob").await == 0 {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(PATIENCE, paid).await.expect("the worker is paid");
    // The estimator's lower bound leaves a stranger a little, and `sums` says how little.
    let (worker, nonsense) = (stake("//Bob").await, stake("//Dave").await);
    assert!(nonsense * 20 < worker, "nonsense is paid {nonsense} beside {worker}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs python3: .ci/run runs it"]
async fn a_worker_in_python_is_paid_for_a_rule_in_starlark() {
    pays("docs/examples/sums").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes two minutes: scripts/accept workers runs it"]
async fn a_worker_in_python_is_paid_for_sealed_forecasts() {
    // `topic` as it ships takes ten rounds before it pays.
    pays("topic").await;
}
