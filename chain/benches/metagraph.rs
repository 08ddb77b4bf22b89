//! A whole subnet over loopback, in one runtime call: 256 neurons (asked: 5 ms) and 4,096 (40 ms).
//!
//! `cargo bench -p chain --bench metagraph`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has failed")]

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
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = metagraph
}
criterion_main!(benches);
