//! The local chain's figures, printed as one table: `cargo bench -p localnet`.
//!
//! Every figure is of this run on this machine; nothing is asserted. The peers are the chain's own goals.

#![expect(clippy::unwrap_used, reason = "a figure that cannot be taken stops the run")]

#[path = "../tests/it/client.rs"]
#[expect(dead_code, clippy::panic, reason = "the tests use the rest")]
mod client;

use client::{Client, Signing, connect, hex, public};
use futures::{StreamExt as _, stream};
use localnet::{Config, Genesis, GenesisNeuron, GenesisSubnet, Localnet, Sealing};
use node_subtensor_runtime::{RuntimeCall, subtensor};
use std::time::{Duration, Instant};

/// Blocks of a day at 12 s.
const DAY: u32 = 7_200;
/// Hotkeys that set weights.
const HOTKEYS: u16 = 2_000;
/// Requests under way at once on the one socket.
const IN_FLIGHT: usize = 256;

fn main() {
    let begun = Instant::now();
    let chain = localnet::spawn(Config::test()).unwrap();
    row("spawn to block 1 made and endpoint open", "20 ms", millis(begun));
    empty_blocks(&chain);
    day_of_a_live_subnet();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(snapshots());
    runtime.block_on(set_weights());
}

fn empty_blocks(chain: &Localnet) {
    const BLOCKS: u32 = 10_000;
    let begun = Instant::now();
    chain.mine(BLOCKS).unwrap();
    let rate = f64::from(BLOCKS) / begun.elapsed().as_secs_f64();
    row("empty blocks a second", "5,000", format!("{rate:.0}"));
    row("RSS after 10,000 blocks", "40 MB", format!("{:.1} MB", rss_megabytes()));
}

fn day_of_a_live_subnet() {
    let config = Config { genesis: with_subnet(64), ..Config::test() };
    let chain = localnet::spawn(config).unwrap();
    let begun = Instant::now();
    chain.mine(DAY).unwrap();
    let took = begun.elapsed().as_secs_f64();
    row("a day (7,200 blocks), a live subnet of 64", "3 s", format!("{took:.2} s"));
}

async fn snapshots() {
    let client = connect(Config { genesis: with_subnet(64), ..Config::test() }).await;
    client.chain.mine(100).unwrap();
    let begun = Instant::now();
    let id = client.ask("dev_snapshot", []).await;
    row("snapshot", "10 ms", millis(begun));
    client.chain.mine(100).unwrap();
    let begun = Instant::now();
    client.ask("dev_revert", [id]).await;
    row("revert of 100 blocks", "10 ms", millis(begun));
}

async fn set_weights() {
    let config = Config {
        genesis: with_subnet(HOTKEYS),
        sealing: Sealing::Interval(Duration::from_secs(600)),
        port: 0,
        ..Config::default()
    };
    let client = connect(config).await;
    let mut extrinsics = Vec::new();
    for uid in 1..=HOTKEYS {
        extrinsics.push(own_weight(&client, uid).await);
    }
    let begun = Instant::now();
    let accepted = stream::iter(&extrinsics)
        .map(|extrinsic| client.try_ask("author_submitExtrinsic", [hex(extrinsic).into()]))
        .buffer_unordered(IN_FLIGHT)
        .filter(|answer| std::future::ready(answer.is_ok()))
        .count()
        .await;
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(accepted, extrinsics.len(), "all are accepted");
    let rate = f64::from(HOTKEYS) / took;
    row("set_weights accepted a second, one socket", "4,000", format!("{rate:.0}"));
    let begun = Instant::now();
    client.chain.mine(1).unwrap();
    row("their block", "-", millis(begun));
}

/// A neuron's weight on itself: allowed without a permit.
async fn own_weight(client: &Client, uid: u16) -> Vec<u8> {
    let call = RuntimeCall::SubtensorModule(subtensor::Call::set_weights {
        netuid: 2.into(),
        dests: vec![uid],
        weights: vec![u16::MAX],
        version_key: 0,
    });
    let who = format!("//bench{uid}");
    client.sign(&who, &call, Signing { nonce: 0, tip: 0 }).await
}

/// Netuid 2 with `neurons` staked neurons besides the owner's, no rate limit, open weights.
fn with_subnet(neurons: u16) -> Genesis {
    let neurons_of = |uid: u16| GenesisNeuron {
        hotkey: public(&format!("//bench{uid}")).into(),
        coldkey: public("//Bob").into(),
        stake: 1_000_000_000,
        root_stake: 0,
    };
    let subnet = GenesisSubnet {
        netuid: 2.into(),
        owner: public("//Alice").into(),
        owner_hotkey: public("//Alice//hot").into(),
        tao_in: 1_000_000_000_000,
        alpha_in: 1_000_000_000_000,
        started: true,
        emission_enabled: true,
        neurons: (1..=neurons).map(neurons_of).collect(),
        tempo: Some(360),
        commit_reveal: Some(false),
        weights_rate_limit: Some(0),
        immunity_period: None,
        max_allowed_uids: Some(neurons.saturating_add(1)),
        max_allowed_validators: None,
        min_allowed_weights: Some(1),
        burn: None,
        serving_rate_limit: None,
    };
    Genesis { subnets: vec![subnet], ..Genesis::default() }
}

fn millis(since: Instant) -> String {
    format!("{:.2} ms", since.elapsed().as_secs_f64() * 1e3)
}

/// Resident memory from the kernel's own account; 0 where there is none.
fn rss_megabytes() -> f64 {
    const PAGE: f64 = 4_096.0;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * PAGE / 1e6
}

#[expect(clippy::print_stdout, reason = "the table is the program's output")]
fn row(what: &str, goal: &str, measured: impl std::fmt::Display) {
    println!("{what:<44} {goal:>8} {measured:>12}");
}
