//! What nodes and other programs do to a running miner.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../../validator/tests/it/proxy.rs"]
mod proxy;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chain::{Call, Chain, ConnectOptions, Keypair};
use chain_metadata::{AxonInfo, NetUid};
use localnet::{Genesis, GenesisSubnet, History, Localnet, Sealing};
use proxy::Proxy;

const NETUID: NetUid = NetUid(7);
const MINER: &str = "//Miner";
const KEPT_STATES: u32 = 60;
const BLOCK: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(90);

/// A miner program, killed when dropped.
struct Running {
    child: Child,
    axon: u16,
    health: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(url: &str, state: &Path) -> Running {
    let (axon, health) = (free_port(), free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_miner"));
    command
        .args(["--network", url, "--netuid", &NETUID.to_string(), "--wallet-hotkey", MINER])
        .args(["--state-dir", state.to_str().unwrap(), "--quiet", "--model", "tiny"])
        .args(["--axon-port", &axon.to_string(), "--health-port", &health.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Running { child: command.spawn().unwrap(), axon, health }
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let started = tokio::time::Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Running {
    async fn until_it_says(&self, words: &str) {
        let url = format!("http://127.0.0.1:{}/readyz", self.health);
        let says = async || match reqwest::get(&url).await {
            Ok(answer) => answer.text().await.is_ok_and(|body| body.contains(words)),
            Err(_) => false,
        };
        until(&format!("/readyz says `{words}`"), says).await;
    }

    /// Waits until the chain names this miner's port.
    async fn until_published(&self, chain: &Chain) {
        let port = async || axon(chain).await.map(|axon| axon.port);
        until("the endpoint is published", async || port().await == Some(self.axon)).await;
    }
}

async fn axon(chain: &Chain) -> Option<AxonInfo> {
    let metagraph = chain.metagraph(NETUID, None).await.unwrap();
    metagraph.neuron_of(&Keypair::dev(MINER).unwrap().hotkey()).unwrap().axon
}

async fn stage() -> (Localnet, Chain, Proxy) {
    let address = |path: &str| Keypair::dev(path).unwrap().hotkey().to_string();
    let subnet: GenesisSubnet = serde_json::from_value(serde_json::json!({
        "netuid": NETUID, "owner": address("//Alice"), "owner_hotkey": address("//Owner"),
        "started": true, "tempo": 10, "serving_rate_limit": 0,
        "neurons": [{"hotkey": address(MINER), "coldkey": address("//Alice"), "stake": 0}],
    }))
    .unwrap();
    let node = localnet::spawn(localnet::Config {
        port: 0,
        sealing: Sealing::Interval(BLOCK),
        history: History::States(KEPT_STATES),
        genesis: Genesis { subnets: vec![subnet], ..Genesis::default() },
        ..localnet::Config::default()
    })
    .unwrap();
    let chain = Chain::connect(&[node.url()], ConnectOptions::default()).await.unwrap();
    let proxy = Proxy::before(node.port()).await;
    (node, chain, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_a_pool_dropped_is_published_and_an_outage_survived() {
    let (node, chain, proxy) = stage().await;
    let dir = tempfile::tempdir().unwrap();
    proxy.set(|manners| manners.drops_extrinsics = true);
    let mut running = start(&proxy.url(), dir.path());
    proxy.next_extrinsic().await;
    proxy.set(|manners| manners.drops_extrinsics = false);
    running.until_published(&chain).await;

    proxy.set(|manners| manners.frozen = true);
    running.until_it_says("no new finalized block").await;
    node.mine(3 * KEPT_STATES).unwrap();
    proxy.set(|manners| manners.frozen = false);
    running.until_it_says("\"ready\":true").await;

    // While a publication is under way and the node is mute, the end is heard.
    proxy.set(|manners| manners.frozen = true);
    let id = rustix::process::Pid::from_child(&running.child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || running.child.wait().unwrap().code());
    assert_eq!(ended.await.unwrap(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_is_heard_while_a_publication_is_under_way() {
    let (_node, _chain, proxy) = stage().await;
    let dir = tempfile::tempdir().unwrap();
    proxy.set(|manners| manners.drops_extrinsics = true);
    let mut running = start(&proxy.url(), dir.path());
    proxy.next_extrinsic().await;
    let id = rustix::process::Pid::from_child(&running.child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || running.child.wait().unwrap().code());
    assert_eq!(ended.await.unwrap(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twin_is_refused_on_this_machine_and_told_by_what_it_publishes_elsewhere() {
    let (_node, chain, proxy) = stage().await;
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut running = start(&proxy.url(), dirs[0].path());
    running.until_published(&chain).await;
    let mut second = start(&proxy.url(), dirs[1].path());
    assert_eq!(second.child.wait().unwrap().code(), Some(4));

    let miner = Keypair::dev(MINER).unwrap();
    let elsewhere = AxonInfo::new("0.0.0.0".parse().unwrap(), 9);
    chain.submit(&Call::serve_axon(NETUID, &elsewhere), &miner).await.unwrap();
    running.until_it_says("another program published 0.0.0.0:9").await;
    running.until_published(&chain).await;
    // It must have seen its own again before another counts.
    tokio::time::sleep(BLOCK * 12).await;
    chain.submit(&Call::serve_axon(NETUID, &elsewhere), &miner).await.unwrap();
    let ended = tokio::task::spawn_blocking(move || running.child.wait().unwrap().code());
    assert_eq!(ended.await.unwrap(), Some(4));
}
