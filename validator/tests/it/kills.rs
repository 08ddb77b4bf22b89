//! Very many kills, half of them followed by a node that has dropped the states that would tell.
//!
//! `scripts/accept kills` runs this: it takes as long as the kills asked for.

#![expect(clippy::print_stdout, reason = "how many kills, and what became of the weights")]

use std::collections::BTreeMap;
use std::time::Duration;

use chain::{Call, Chain};
use chain_metadata::{AxonInfo, MechId};
use localnet::{History, Localnet};
use validator::journal::{Loss, State};
use validator::loss::Cause;
use validator::store::Store;

use crate::hidden::{self, Takes};
use crate::stage::{self, NETUID, VALIDATOR, key};

/// States that the node keeps: a life is shorter, an outage is longer.
const KEPT_STATES: u32 = 80;

/// Blocks made while nobody is there, after every second kill: more than an era and the states kept.
const OUTAGE_BLOCKS: u32 = 160;

/// Longest life: an epoch, a reveal and the waits between them.
const LONGEST_LIFE_MS: u64 = 4_000;

/// Longest wait for weights after the last kill.
const PATIENCE: Duration = Duration::from_secs(180);

/// Random numbers of a printed seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |value| value.parse().unwrap())
}

/// Follows the chain and keeps what it says of weights, before the states are dropped.
async fn witness(node: &Localnet, from: &mut u64, seen: &mut BTreeMap<u64, Vec<String>>) {
    let chain = stage::connect(node.url()).await;
    let head = chain.finalized_head().await.unwrap().number;
    for number in *from..=head {
        let block = chain.block(number).await.unwrap();
        let events = chain.events(block.hash).await.unwrap_or_default();
        let ours = events.iter().filter(|event| {
            matches!(
                event.name.as_str(),
                "WeightsSet"
                    | "TimelockedWeightsCommitted"
                    | "TimelockedWeightsRevealed"
                    | "WeightsCommitted"
                    | "WeightsRevealed"
            )
        });
        let names: Vec<_> = ours.map(|event| event.name.clone()).collect();
        if !names.is_empty() {
            seen.insert(number, names);
        }
    }
    *from = head + 1;
}

async fn last_update(chain: &Chain) -> u64 {
    let metagraph = chain.metagraph(NETUID, None).await.unwrap();
    metagraph.neuron_of(&key(VALIDATOR).hotkey()).unwrap().last_update
}

async fn suffer(takes: Takes) {
    let kills = number("GANGLION_KILLS", 6);
    let seed = number("GANGLION_SEED", 0x5eed);
    let mut random = Random(seed);
    let node = hidden::chain_of(takes, Duration::from_millis(100), History::States(KEPT_STATES));
    let chain = stage::connect(node.url()).await;
    let nobody = AxonInfo::new("0.0.0.0".parse().unwrap(), 9);
    chain.submit(&Call::serve_axon(NETUID, &nobody), &key("//Miner")).await.unwrap();
    let owner = stage::owner(&chain, MechId(0));
    let dir = tempfile::tempdir().unwrap();
    let (mut from, mut seen) = (1, BTreeMap::new());
    for kill in 0..kills {
        let mut child = stage::program(&node.url(), VALIDATOR, dir.path()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(random.below(LONGEST_LIFE_MS))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        drop(Store::open(dir.path(), &owner).expect("the journal is readable after a kill"));
        witness(&node, &mut from, &mut seen).await;
        if kill % 2 == 1 {
            node.mine(OUTAGE_BLOCKS).unwrap();
            witness(&node, &mut from, &mut seen).await;
        }
    }
    let before = last_update(&chain).await;
    let mut child = stage::program(&node.url(), VALIDATOR, dir.path()).spawn().unwrap();
    let started = tokio::time::Instant::now();
    while last_update(&chain).await == before {
        assert!(started.elapsed() < PATIENCE, "wedged after {kills} kills, seed {seed}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    witness(&node, &mut from, &mut seen).await;

    let rows = Store::open(dir.path(), &owner).unwrap().history().unwrap();
    let mut ends = BTreeMap::<String, u32>::new();
    let mut told = Vec::new();
    for (_, row) in &rows {
        let end = match &row.state {
            State::Settled { .. } => "settled".to_owned(),
            State::Lost { why: Loss::Unrevealed { why: Cause::Unseen } } => "lost: unseen".into(),
            State::Lost { why } => format!("lost: {}", why.name()),
            State::Committed { .. } | State::Revealing { .. } => "committed".into(),
            _ => "open".into(),
        };
        *ends.entry(end).or_default() += 1;
        told.extend(row.included.map(|block| (row.epoch, block)));
    }
    println!("{takes:?}: seed {seed}, {kills} kills, {} rows, {ends:?}", rows.len());
    let mut blocks: Vec<u64> = told.iter().map(|(_, block)| *block).collect();
    blocks.sort_unstable();
    blocks.dedup();
    assert_eq!(blocks.len(), told.len(), "no block is told twice");
    let mut epochs: Vec<u64> = told.iter().map(|(epoch, _)| *epoch).collect();
    epochs.dedup();
    assert_eq!(epochs.len(), told.len(), "no epoch is told twice");
    // What the chain took is in the journal, but for what was open at the last kill.
    let taken = |name: &str| {
        matches!(name, "WeightsSet" | "TimelockedWeightsCommitted" | "WeightsCommitted")
    };
    let taken: Vec<u64> = seen
        .iter()
        .filter(|(_, names)| names.iter().any(|name| taken(name)))
        .filter(|(_, names)| !names.iter().any(|name| name.ends_with("Revealed")))
        .map(|(block, _)| *block)
        .collect();
    let untold: Vec<_> = taken.iter().filter(|block| !blocks.contains(block)).collect();
    let open = ends.get("open").copied().unwrap_or(0);
    assert!(untold.len() <= usize::try_from(open).unwrap(), "taken and not told: {untold:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_over_open_weights_lose_nothing_unsaid() {
    suffer(Takes::Open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_over_timelocked_weights_lose_nothing_unsaid() {
    suffer(Takes::Timelocked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_over_hashed_weights_lose_nothing_unsaid() {
    suffer(Takes::Hash).await;
}
