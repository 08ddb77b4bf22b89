//! The validator's process is killed at random points, over and over. No submission may be lost, none
//! sent twice, and its file must be readable every time.

#![expect(clippy::print_stdout, reason = "how many kills, and what became of the weights")]

use std::collections::BTreeSet;
use std::process::Child;
use std::time::Duration;

use chain::{Call, Chain};
use chain_metadata::{AxonInfo, MechId};
use validator::journal::{Loss, State};
use validator::store::{Owner, Store};

use crate::hidden::{self, Takes};
use crate::stage::{self, NETUID, VALIDATOR, key, until_weights_set, weights_set};

/// Kills; `GANGLION_KILLS` takes another number.
const KILLS: u32 = 20;

/// Longest life of a killed process: an epoch of the chain below, so that every part of the loop is
/// hit.
const LONGEST_LIFE_MS: u64 = 1_500;

/// The same where weights are hidden: a commit, its reveal and the wait between them fit in.
const LONGEST_HIDDEN_LIFE_MS: u64 = 5_000;

/// Kills of a validator that hides its weights, unless `GANGLION_KILLS` says otherwise.
const HIDDEN_KILLS: u32 = 6;

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A generator of lives, printed so that a failure can be run again.
struct Lives {
    seed: u64,
    longest_ms: u64,
}

impl Lives {
    fn next(&mut self) -> Duration {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        Duration::from_millis(self.seed % self.longest_ms)
    }
}

/// A validator's folder and the chain that it works on.
struct Victim {
    url: String,
    chain: Chain,
    dir: tempfile::TempDir,
    owner: Owner,
    kills: u32,
    lives: Lives,
}

impl Victim {
    /// A validator of `url` that is to be killed `kills` times, unless `GANGLION_KILLS` says
    /// otherwise. Its one miner is announced where nobody listens.
    async fn of(url: String, kills: u32, longest_ms: u64) -> Self {
        let kills = std::env::var("GANGLION_KILLS").map_or(kills, |kills| kills.parse().unwrap());
        let seed = std::env::var("GANGLION_SEED").map_or(0x5eed, |seed| seed.parse().unwrap());
        println!("seed {seed}, {kills} kills");
        let chain = stage::connect(url.clone()).await;
        let nobody = AxonInfo::new("0.0.0.0".parse().unwrap(), 9);
        chain.submit(&Call::serve_axon(NETUID, &nobody), &key("//Miner")).await.unwrap();
        let owner = stage::owner(&chain, MechId(0));
        let dir = tempfile::tempdir().unwrap();
        Self { url, chain, dir, owner, kills, lives: Lives { seed, longest_ms } }
    }

    fn start(&self) -> Child {
        stage::program(&self.url, VALIDATOR, self.dir.path()).spawn().unwrap()
    }

    fn store(&self) -> Store {
        Store::open(self.dir.path(), &self.owner).expect("the file is readable after a kill")
    }

    /// Starts and kills it, over and over; its file is read each time.
    async fn suffer(&mut self) {
        for _ in 0..self.kills {
            let child = self.start();
            tokio::time::sleep(self.lives.next()).await;
            kill(child);
            drop(self.store());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_loses_no_submission_and_sends_none_twice() {
    let node = stage::chain(&["//Miner"]);
    let mut victim = Victim::of(node.url(), KILLS, LONGEST_LIFE_MS).await;
    let chain = victim.chain.clone();

    // The first life ends when there is something to lose.
    let first = victim.start();
    until_weights_set(&chain, 1).await;
    kill(first);
    victim.suffer().await;
    let last = victim.start();
    let taken = weights_set(&chain).await.len();
    until_weights_set(&chain, taken + 2).await;
    kill(last);

    let rows = victim.store().history().unwrap();
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

/// Blocks of the chain's events of that name about the hotkey's weights.
async fn events(chain: &Chain, name: &str) -> Vec<u64> {
    let mut blocks = Vec::new();
    for number in 1..=chain.finalized_head().await.unwrap().number {
        let block = chain.block(number).await.unwrap();
        let events = chain.events(block.hash).await.unwrap();
        blocks.extend(events.iter().filter(|event| event.name == name).map(|_| number));
    }
    blocks
}

/// Kills a validator whose commits are under way; each must end in the journal as it ended on chain.
async fn kills_amid_commits(takes: Takes, committed: &str, revealed: &str) {
    let node = hidden::chain(takes);
    let mut victim = Victim::of(node.url(), HIDDEN_KILLS, LONGEST_HIDDEN_LIFE_MS).await;
    let chain = victim.chain.clone();

    // The first life ends with a commit in flight.
    let first = victim.start();
    while events(&chain, committed).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    kill(first);
    victim.suffer().await;
    let last = victim.start();
    let before = events(&chain, revealed).await.len();
    while events(&chain, revealed).await.len() < before + 2 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    kill(last);

    let rows = victim.store().history().unwrap();
    let reveals = events(&chain, revealed).await;
    let mut taken = reveals.clone();
    let (mut open_rows, mut lost, mut in_chain) = (0, 0, 0);
    let mut epochs = BTreeSet::new();
    for (_, row) in &rows {
        assert!(epochs.insert(row.epoch), "two submissions in epoch {}", row.epoch);
        match &row.state {
            State::Settled { block } => {
                in_chain += 1;
                let at = taken.iter().position(|revealed| revealed == block);
                taken.remove(at.expect("a settled row was revealed in that block"));
            }
            State::Lost { why: Loss::NotShown { .. } } if takes == Takes::Hash => {
                (lost, in_chain) = (lost + 1, in_chain + 1);
            }
            State::Lost { why } => panic!("a commit was lost: {why}"),
            State::Committed { .. } | State::Revealing { .. } => {
                (open_rows, in_chain) = (open_rows + 1, in_chain + 1);
            }
            _ => open_rows += 1,
        }
    }
    let commits = events(&chain, committed).await;
    println!(
        "{} commits and {} reveals on chain; of {} rows {lost} were not shown in time, {open_rows} open",
        commits.len(),
        reveals.len(),
        rows.len()
    );
    // The last life was killed too: what it sent last may be on chain and open here.
    assert!(commits.len() >= in_chain && commits.len() <= in_chain + open_rows, "{commits:?}");
    assert!(taken.len() <= open_rows, "revealed and not in the journal: {taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_amid_a_timelocked_commit_neither_loses_nor_repeats_it() {
    let names = ("TimelockedWeightsCommitted", "TimelockedWeightsRevealed");
    kills_amid_commits(Takes::Timelocked, names.0, names.1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_amid_a_hash_commit_neither_loses_nor_repeats_it() {
    kills_amid_commits(Takes::Hash, "WeightsCommitted", "WeightsRevealed").await;
}
