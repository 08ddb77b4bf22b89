//! The validator's process is killed at random points, over and over. No submission may be lost, none
//! sent twice, and its file must be readable every time.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chain::{Call, Chain, ConnectOptions, Keypair};
use chain_metadata::{AxonInfo, MechId, NetUid};
use localnet::{Genesis, GenesisSubnet, History, Localnet, Sealing};
use validator::journal::State;
use validator::store::{Owner, Store};

const NETUID: NetUid = NetUid(7);
const VALIDATOR: &str = "//Watcher";

/// Kills; `GANGLION_KILLS` takes another number.
const KILLS: u32 = 20;

/// Longest life of a killed process: an epoch of the chain below, so that every part of the loop is
/// hit.
const LONGEST_LIFE_MS: u64 = 1_500;

/// A chain whose subnet has a validator with stake, no rate limit that would hide a second
/// submission, and a short epoch.
fn chain() -> Localnet {
    let address = |path: &str| Keypair::dev(path).unwrap().hotkey().to_string();
    let neuron = |path: &str, stake: u64| serde_json::json!({"hotkey": address(path), "coldkey": address("//Alice"), "stake": stake});
    let subnet: GenesisSubnet = serde_json::from_value(serde_json::json!({
        "netuid": NETUID, "owner": address("//Alice"), "owner_hotkey": address("//Owner"),
        "started": true, "tempo": 10, "commit_reveal": false, "weights_rate_limit": 0,
        "neurons": [neuron(VALIDATOR, 1_000_000_000_000_u64), neuron("//Miner", 0)],
    }))
    .unwrap();
    localnet::spawn(localnet::Config {
        port: 0,
        sealing: Sealing::Interval(Duration::from_millis(100)),
        history: History::Archive,
        genesis: Genesis { subnets: vec![subnet], ..Genesis::default() },
        ..localnet::Config::default()
    })
    .unwrap()
}

fn start(url: &str, state: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_validator"))
        .args(["--network", url, "--netuid", &NETUID.to_string(), "--wallet-hotkey", VALIDATOR])
        .args(["--state-dir", state.to_str().unwrap(), "--health=false", "--quiet"])
        .args(["--round-every", "3", "--tasks", "1", "--timeout-ms", "500"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A generator of lives, printed so that a failure can be run again.
struct Lives(u64);

impl Lives {
    fn next(&mut self) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(self.0 % LONGEST_LIFE_MS)
    }
}

/// Blocks in which the chain took weights, one entry for each time.
async fn weights_set(chain: &Chain) -> Vec<u64> {
    let mut blocks = Vec::new();
    for number in 1..=chain.finalized_head().await.unwrap().number {
        let block = chain.block(number).await.unwrap();
        let events = chain.events(block.hash).await.unwrap();
        let taken =
            events.iter().filter(|e| e.pallet == "SubtensorModule" && e.name == "WeightsSet");
        blocks.extend(taken.map(|_| number));
    }
    blocks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_loses_no_submission_and_sends_none_twice() {
    let kills = std::env::var("GANGLION_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let seed = std::env::var("GANGLION_SEED").map_or(0x5eed, |seed| seed.parse().unwrap());
    println!("seed {seed}, {kills} kills");
    let node = chain();
    let url = node.url();
    let chain =
        Chain::connect(std::slice::from_ref(&url), ConnectOptions::default()).await.unwrap();
    let nobody_listens = AxonInfo::new("0.0.0.0".parse().unwrap(), 9);
    let miner = Keypair::dev("//Miner").unwrap();
    chain.submit(&Call::serve_axon(NETUID, &nobody_listens), &miner).await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let owner = Owner {
        hotkey: Keypair::dev(VALIDATOR).unwrap().hotkey(),
        genesis: hex::encode(chain.genesis_hash()),
        netuid: NETUID,
        mechid: MechId(0),
    };
    let open = || Store::open(dir.path(), &owner).expect("the file is readable after a kill");

    // The first life ends when there is something to lose.
    let first = start(&url, dir.path());
    while weights_set(&chain).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    kill(first);

    let mut lives = Lives(seed);
    for _ in 0..kills {
        let child = start(&url, dir.path());
        tokio::time::sleep(lives.next()).await;
        kill(child);
        drop(open());
    }
    let last = start(&url, dir.path());
    let taken = weights_set(&chain).await.len();
    while weights_set(&chain).await.len() < taken + 2 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    kill(last);

    let rows = open().history().unwrap();
    let settled: Vec<(u64, u64)> = rows
        .iter()
        .filter_map(|(_, row)| match row.state {
            State::Settled { block } => Some((row.epoch, block)),
            _ => None,
        })
        .collect();
    let open_rows = rows.iter().filter(|(_, row)| !row.state.is_final()).count();
    let on_chain = weights_set(&chain).await;
    println!(
        "{} on chain, {} settled, {open_rows} open, {} rows",
        on_chain.len(),
        settled.len(),
        rows.len()
    );

    let epochs: BTreeSet<u64> = settled.iter().map(|(epoch, _)| *epoch).collect();
    assert_eq!(epochs.len(), settled.len(), "one submission an epoch: {settled:?}");
    let mut unknown = on_chain;
    for (_, block) in &settled {
        let at = unknown.iter().position(|taken| taken == block);
        unknown.remove(at.expect("a settled row is on chain"));
    }
    // The last life was killed too, so its last submission may be on chain and still open here.
    assert!(unknown.len() <= open_rows, "on chain and not in the journal: {unknown:?}");
}
