//! The validator's process is killed at random points, over and over. No submission may be lost, none
//! sent twice, and its file must be readable every time.

use std::collections::BTreeSet;
use std::process::Child;
use std::time::Duration;

use chain::Call;
use chain_metadata::{AxonInfo, MechId};
use validator::journal::State;
use validator::store::{Owner, Store};

use crate::stage::{self, NETUID, VALIDATOR, key, until_weights_set, weights_set};

/// Kills; `GANGLION_KILLS` takes another number.
const KILLS: u32 = 20;

/// Longest life of a killed process: an epoch of the chain below, so that every part of the loop is
/// hit.
const LONGEST_LIFE_MS: u64 = 1_500;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_loses_no_submission_and_sends_none_twice() {
    let kills = std::env::var("GANGLION_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let seed = std::env::var("GANGLION_SEED").map_or(0x5eed, |seed| seed.parse().unwrap());
    println!("seed {seed}, {kills} kills");
    let node = stage::chain(&["//Miner"]);
    let url = node.url();
    let chain = stage::connect(url.clone()).await;
    let nobody_listens = AxonInfo::new("0.0.0.0".parse().unwrap(), 9);
    chain.submit(&Call::serve_axon(NETUID, &nobody_listens), &key("//Miner")).await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let owner = Owner {
        hotkey: key(VALIDATOR).hotkey(),
        genesis: hex::encode(chain.genesis_hash()),
        netuid: NETUID,
        mechid: MechId(0),
    };
    let open = || Store::open(dir.path(), &owner).expect("the file is readable after a kill");

    let start = || stage::program(&url, VALIDATOR, dir.path()).spawn().unwrap();

    // The first life ends when there is something to lose.
    let first = start();
    until_weights_set(&chain, 1).await;
    kill(first);

    let mut lives = Lives(seed);
    for _ in 0..kills {
        let child = start();
        tokio::time::sleep(lives.next()).await;
        kill(child);
        drop(open());
    }
    let last = start();
    let taken = weights_set(&chain).await.len();
    until_weights_set(&chain, taken + 2).await;
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
