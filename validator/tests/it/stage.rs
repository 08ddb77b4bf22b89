//! A chain with a subnet of our own, and where its validator is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chain::{Call, Chain, ConnectOptions, Keypair, Value};
use chain_metadata::{Hotkey, MechId, NetUid};
use localnet::{Genesis, GenesisSubnet, History, Localnet, Sealing};
use subnet_rules::package::Package;
use validator::store::Owner;

pub(crate) const NETUID: NetUid = NetUid(7);
pub(crate) const VALIDATOR: &str = "//Watcher";

/// Blocks of an epoch.
const TEMPO: u16 = 10;

/// Time a block takes.
const BLOCK: Duration = Duration::from_millis(100);

pub(crate) fn key(path: &str) -> Keypair {
    Keypair::dev(path).unwrap()
}

/// A chain whose subnet has a validator with stake and these miners, no rate limit that would hide a
/// second submission, and a short epoch.
pub(crate) fn chain(miners: &[&str]) -> Localnet {
    chain_of(BLOCK, History::Archive, miners)
}

/// The same, with blocks of this time and a node that keeps these states.
pub(crate) fn chain_of(block: Duration, history: History, miners: &[&str]) -> Localnet {
    let address = |path: &str| key(path).hotkey().to_string();
    let neuron = |path: &str, stake: u64| serde_json::json!({"hotkey": address(path), "coldkey": address("//Alice"), "stake": stake});
    let mut neurons = vec![neuron(VALIDATOR, 1_000_000_000_000_u64)];
    neurons.extend(miners.iter().map(|path| neuron(path, 0)));
    let subnet: GenesisSubnet = serde_json::from_value(serde_json::json!({
        "netuid": NETUID, "owner": address("//Alice"), "owner_hotkey": address("//Owner"),
        "started": true, "tempo": TEMPO, "commit_reveal": false, "weights_rate_limit": 0,
        "neurons": neurons,
    }))
    .unwrap();
    localnet::spawn(localnet::Config {
        port: 0,
        sealing: Sealing::Interval(block),
        history,
        genesis: Genesis { subnets: vec![subnet], ..Genesis::default() },
        ..localnet::Config::default()
    })
    .unwrap()
}

pub(crate) async fn connect(url: String) -> Chain {
    Chain::connect(&[url], ConnectOptions::default()).await.unwrap()
}

/// Whose journal the validator keeps there.
pub(crate) fn owner(chain: &Chain, mechid: MechId) -> Owner {
    let genesis = hex::encode(chain.genesis_hash());
    Owner { hotkey: key(VALIDATOR).hotkey(), genesis, netuid: NETUID, mechid }
}

/// The validator program, ready to be started.
pub(crate) fn program(url: &str, hotkey: &str, state: &Path) -> Command {
    program_on(NETUID, url, hotkey, state)
}

/// The validator program for another subnet.
pub(crate) fn program_on(netuid: NetUid, url: &str, hotkey: &str, state: &Path) -> Command {
    let mut command = talkative(netuid, url, hotkey, state);
    command.arg("--health=false");
    command
}

/// The validator program, which serves metrics and health where the caller says.
pub(crate) fn talkative(netuid: NetUid, url: &str, hotkey: &str, state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_validator"));
    command
        .args(["--network", url, "--netuid", &netuid.to_string(), "--wallet-hotkey", hotkey])
        .args(["--state-dir", state.to_str().unwrap(), "--quiet"])
        .args(["--rule", quick_rule(state, 1, 500).to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// `serve` with rounds of so many tasks every three blocks, in a folder beside a validator's state.
pub(crate) fn quick_rule(state: &Path, draws: u32, deadline_ms: u64) -> PathBuf {
    let mut manifest = Package::shipped("serve").unwrap().manifest;
    manifest.examine.every = Some(3);
    manifest.examine.draws = Some(draws);
    manifest.examine.deadline_ms = Some(deadline_ms);
    let folder = state.with_extension("rule");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("rule.toml"), toml::to_string(&manifest).unwrap()).unwrap();
    folder
}

/// Stores bytes as the commitment of a hotkey, whatever they are.
pub(crate) async fn store_commitment(chain: &Chain, hotkey: &Hotkey, bytes: &[u8]) {
    let twox_64 = sp_crypto_hashing::twox_64(hotkey.as_bytes());
    let key = [
        &sp_crypto_hashing::twox_128(b"Commitments")[..],
        &sp_crypto_hashing::twox_128(b"CommitmentOf"),
        &NETUID.0.to_le_bytes(),
        &twox_64,
        hotkey.as_bytes(),
    ]
    .concat();
    let item = Value::unnamed_composite([Value::from_bytes(key), Value::from_bytes(bytes)]);
    let items = Value::unnamed_composite([item]);
    let call = Call::dynamic("System", "set_storage", [("items", items)]);
    chain.submit(&Call::sudo(call), &key_of_root()).await.unwrap();
}

fn key_of_root() -> Keypair {
    key("//Alice")
}

/// One request to a node, for what the client has no method for.
pub(crate) async fn ask(url: &str, method: &str, params: &serde_json::Value) -> serde_json::Value {
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let url = url.replacen("ws://", "http://", 1);
    let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
    answer["result"].clone()
}

/// Blocks in which the chain took weights, one entry for each time.
pub(crate) async fn weights_set(chain: &Chain) -> Vec<u64> {
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

/// Waits until the chain took weights `times` times.
pub(crate) async fn until_weights_set(chain: &Chain, times: usize) {
    while weights_set(chain).await.len() < times {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
