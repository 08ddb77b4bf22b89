//! A whole subnet over loopback, in one runtime call: 256 neurons (asked: 5 ms) and 4,096 (40 ms).
//!
//! `cargo bench -p chain --bench metagraph`; with `SDK_PYTHON`, a Python that has the SDK, the same chain
//! is also read by that, and the ratio printed: `chain/benches/compare.sh` sets it up.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark prints figures, and one that cannot start has failed"
)]

use std::ffi::OsStr;
use std::process::Command;
use std::time::Instant;

use chain::{Chain, ConnectOptions, Keypair, NetUid};
use criterion::{Criterion, criterion_group, criterion_main};
use localnet::{Config, Genesis, GenesisSubnet, Localnet};

const NETUID: NetUid = NetUid(1);

/// A chain whose subnet has this many neurons.
fn chain(neurons: u16) -> Localnet {
    let address = |path: &str| Keypair::dev(path).unwrap().hotkey().to_string();
    let owner = address("//Alice");
    let others: Vec<_> = (1..neurons)
        .map(|uid| {
            let hotkey = address(&format!("//{uid}"));
            serde_json::json!({"hotkey": hotkey, "coldkey": owner, "stake": 1_000_000_000_u64})
        })
        .collect();
    let subnet: GenesisSubnet = serde_json::from_value(serde_json::json!({
        "netuid": NETUID, "owner": owner, "owner_hotkey": address("//Owner"),
        "started": true, "max_allowed_uids": neurons, "neurons": others,
    }))
    .unwrap();
    let genesis = Genesis { subnets: vec![subnet], ..Genesis::default() };
    localnet::spawn(Config { genesis, ..Config::test() }).unwrap()
}

fn metagraph(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for neurons in [256, 4_096] {
        let node = chain(neurons);
        let chain =
            runtime.block_on(Chain::connect(&[node.url()], ConnectOptions::default())).unwrap();
        let read = || runtime.block_on(chain.metagraph(NETUID, None)).unwrap();
        assert_eq!(read().neurons.len(), usize::from(neurons));
        criterion.bench_function(&format!("metagraph of {neurons}"), |bench| bench.iter(read));
        if let Some(python) = std::env::var_os("SDK_PYTHON") {
            let ours = median((0..READS).map(|_| {
                let begun = Instant::now();
                read();
                begun.elapsed().as_secs_f64() * 1e3
            }));
            let theirs = sdk(&python, &node.url(), neurons);
            println!(
                "metagraph of {neurons} beside the SDK's: {ours:.1} ms and {theirs:.1} ms, {:.1} times as fast",
                theirs / ours
            );
        }
    }
}

/// Reads of each in the comparison.
const READS: usize = 11;

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The median time in which the SDK reads the same metagraph, ms.
fn sdk(python: &OsStr, url: &str, neurons: u16) -> f64 {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/sdk_metagraph.py");
    let (netuid, reads) = (NETUID.0.to_string(), READS.to_string());
    let ran = Command::new(python).args([script, url, &netuid, &reads]).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    let (read, time) = said.trim().split_once(' ').unwrap_or_else(|| {
        panic!("the SDK did not read: {}", String::from_utf8_lossy(&ran.stderr))
    });
    assert_eq!(read, neurons.to_string(), "it reads as many neurons");
    time.parse().unwrap()
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = metagraph
}
criterion_main!(benches);
