//! What nodes, providers and other programs do to a running validator: weights come again, nothing is
//! lost unsaid, and `/readyz` tells the truth meanwhile.

use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use chain::{Call, Chain, Value};
use chain_metadata::{AxonInfo, MechId, Uid, Weights};
use localnet::{History, Localnet};
use validator::journal::{Loss, State, Submission};
use validator::store::Store;

use crate::hidden::{self, Takes};
use crate::proxy::{Pinned, Proxy};
use crate::stage::{self, NETUID, VALIDATOR, key};

/// States that the nodes below keep: enough for a head on a busy machine.
const KEPT_STATES: u32 = 60;

/// Time of their blocks.
const BLOCK: Duration = Duration::from_millis(250);

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(90);

/// A validator program, killed when dropped.
struct Running {
    child: Child,
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

fn start(url: &str, state: &Path, more: &[&str]) -> Running {
    let health = free_port();
    let mut command = stage::talkative(NETUID, url, VALIDATOR, state);
    command.args(["--health-port", &health.to_string()]).args(more);
    Running { child: command.spawn().unwrap(), health }
}

impl Running {
    /// The body of `/readyz`.
    async fn readyz(&self) -> Option<String> {
        let url = format!("http://127.0.0.1:{}/readyz", self.health);
        reqwest::get(url).await.ok()?.text().await.ok()
    }

    async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.health);
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }

    /// Waits until `/readyz` says something.
    async fn until_it_says(&self, words: &str) {
        until(&format!("/readyz says `{words}`"), async || {
            self.readyz().await.is_some_and(|body| body.contains(words))
        })
        .await;
    }
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let started = tokio::time::Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A node that drops states, and a proxy before it; its one miner is announced where nobody listens.
async fn pruned() -> (Localnet, Chain, Proxy) {
    let node = stage::chain_of(BLOCK, History::States(KEPT_STATES), &["//Miner"]);
    let (chain, proxy) = beside(&node).await;
    (node, chain, proxy)
}

async fn beside(node: &Localnet) -> (Chain, Proxy) {
    let chain = stage::connect(node.url()).await;
    let nobody = AxonInfo::new("0.0.0.0".parse().unwrap(), 9);
    chain.submit(&Call::serve_axon(NETUID, &nobody), &key("//Miner")).await.unwrap();
    (chain, Proxy::before(node.port()).await)
}

/// The journal of a validator that does not run.
fn journal(chain: &Chain, dir: &Path) -> Vec<Submission> {
    let store = Store::open(dir, &stage::owner(chain, MechId(0))).unwrap();
    store.history().unwrap().into_iter().map(|(_, row)| row).collect()
}

async fn root<const N: usize>(chain: &Chain, name: &str, args: [(&'static str, u128); N]) {
    let args = args.map(|(name, value)| (name, Value::u128(value)));
    chain.submit(&Call::sudo(Call::admin(name, args)), &key("//Alice")).await.unwrap();
}

/// The block of the validator's last weights or commit, as the chain has it.
async fn updated(chain: &Chain) -> u64 {
    let metagraph = chain.metagraph(NETUID, None).await.unwrap();
    metagraph.neuron_of(&key(VALIDATOR).hotkey()).unwrap().last_update
}

/// Waits until the chain takes weights or a commit once more.
async fn until_updated(chain: &Chain) {
    let before = updated(chain).await;
    until("weights are taken", async || updated(chain).await > before).await;
}

/// Waits until the chain has applied weights.
async fn until_applied(chain: &Chain) {
    let uid = chain.uid_of(NETUID, &key(VALIDATOR).hotkey(), None).await.unwrap().unwrap();
    let row = async || chain.weights_row(NETUID, MechId(0), uid, None).await.unwrap();
    until("weights are applied", async || !row().await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_longer_than_states_are_kept_ends_with_weights() {
    let (node, chain, proxy) = pruned().await;
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(&proxy.url(), dir.path(), &[]);
    until_updated(&chain).await;
    proxy.set(|manners| manners.frozen = true);
    running.until_it_says("no new finalized block").await;
    node.mine(3 * KEPT_STATES).unwrap();
    proxy.set(|manners| manners.frozen = false);
    until_updated(&chain).await;
    assert!(running.child.try_wait().unwrap().is_none(), "it runs");
}

/// A row is open when the validator is killed, and the states that would tell what became of it are
/// gone when it starts again. `taken` says whether the node got the bytes.
async fn killed_with_an_open_row(takes: Takes, taken: bool) -> Vec<Submission> {
    let node = hidden::chain_of(takes, BLOCK, History::States(KEPT_STATES));
    let (chain, proxy) = beside(&node).await;
    let dir = tempfile::tempdir().unwrap();
    let running = start(&proxy.url(), dir.path(), &[]);
    proxy.set(|manners| {
        manners.drops_extrinsics = !taken;
        manners.freezes_after_extrinsic = taken;
    });
    proxy.next_extrinsic().await;
    drop(running);
    node.mine(3 * KEPT_STATES).unwrap();
    proxy.set(|manners| (manners.drops_extrinsics, manners.frozen) = (false, false));
    let running = start(&proxy.url(), dir.path(), &[]);
    until_updated(&chain).await;
    until_applied(&chain).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(running);
    journal(&chain, dir.path())
}

#[tokio::test(flavor = "multi_thread")]
async fn open_weights_in_a_block_whose_state_is_gone_are_told_from_what_is_left() {
    let rows = killed_with_an_open_row(Takes::Open, true).await;
    // `LastUpdate` names the block, so the chain took them.
    assert!(matches!(rows[0].state, State::Settled { .. }), "{:?}", rows[0].state);
    assert!(rows.len() > 1, "and others followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_no_block_took_are_lost_by_name_and_others_follow() {
    let rows = killed_with_an_open_row(Takes::Open, false).await;
    let State::Lost { why: Loss::Expired { .. } } = rows[0].state else {
        panic!("{:?}", rows[0].state)
    };
    assert!(rows.len() > 1, "and others followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_in_a_block_whose_state_is_gone_are_lost_by_name_and_others_follow() {
    for takes in [Takes::Timelocked, Takes::Hash] {
        let rows = killed_with_an_open_row(takes, true).await;
        assert!(matches!(rows[0].state, State::Lost { .. }), "{:?}", rows[0].state);
        assert!(rows.len() > 1, "and others followed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_a_pool_drops_are_sent_again_and_shutdown_is_heard() {
    let (_node, chain, proxy) = pruned().await;
    let dir = tempfile::tempdir().unwrap();
    proxy.set(|manners| manners.drops_extrinsics = true);
    let mut running = start(&proxy.url(), dir.path(), &[]);
    proxy.next_extrinsic().await;
    proxy.next_extrinsic().await;
    proxy.set(|manners| manners.drops_extrinsics = false);
    until_updated(&chain).await;
    proxy.set(|manners| manners.frozen = true);
    let id = rustix::process::Pid::from_child(&running.child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || running.child.wait().unwrap().code());
    assert_eq!(ended.await.unwrap(), Some(130));
    let rows = journal(&chain, dir.path());
    let states: Vec<_> = rows.iter().map(|row| (row.epoch, &row.state)).collect();
    assert!(!states.iter().any(|(_, state)| matches!(state, State::Lost { .. })), "{states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_that_another_program_took_costs_no_epoch() {
    let node = hidden::chain(Takes::Open);
    let (chain, proxy) = beside(&node).await;
    let dir = tempfile::tempdir().unwrap();
    proxy.set(|manners| manners.drops_extrinsics = true);
    let running = start(&proxy.url(), dir.path(), &[]);
    proxy.next_extrinsic().await;
    // Another program with the same hotkey acts in that moment.
    let elsewhere = AxonInfo::new("0.0.0.0".parse().unwrap(), 9);
    chain.submit(&Call::serve_axon(NETUID, &elsewhere), &key(VALIDATOR)).await.unwrap();
    proxy.set(|manners| manners.drops_extrinsics = false);
    let settled = "ganglion_validator_weight_submissions_total{end=\"settled\"} 1";
    until(settled, async || running.metrics().await.contains(settled)).await;
    drop(running);
    let rows = journal(&chain, dir.path());
    let State::Lost { why: Loss::NonceTaken { .. } } = rows[0].state else { panic!("{rows:?}") };
    assert!(matches!(rows[1].state, State::Settled { .. }), "{:?}", rows[1].state);
    assert_eq!(rows[0].epoch, rows[1].epoch, "signed anew in the same window");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_that_speak_of_the_node_lead_to_the_fallback() {
    for error in [
        (-32_005, "limit exceeded"),
        (-32_603, "Internal error"),
        (429, "Too Many Requests"),
        (-32_000, "State already discarded for 0x00"),
    ] {
        let (node, chain, proxy) = pruned().await;
        let dir = tempfile::tempdir().unwrap();
        let fallback = format!("--fallback-endpoints={}", node.url());
        let running = start(&proxy.url(), dir.path(), &[&fallback]);
        until_updated(&chain).await;
        proxy.set(|manners| {
            manners.errors.insert("state_", error);
            manners.errors.insert("author_", error);
        });
        until_updated(&chain).await;
        drop(running);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cause_of_an_error_is_on_readyz() {
    let (_node, chain, proxy) = pruned().await;
    let dir = tempfile::tempdir().unwrap();
    let running = start(&proxy.url(), dir.path(), &[]);
    until_updated(&chain).await;
    proxy.set(|manners| {
        manners.errors.insert("state_", (-32_005, "daily limit exceeded"));
    });
    running.until_it_says("daily limit exceeded").await;
    proxy.set(|manners| manners.errors.clear());
    until("ready", async || running.readyz().await.unwrap().contains("\"ready\":true")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_head_stands_still_is_left_for_the_fallback() {
    let (node, chain, proxy) = pruned().await;
    let dir = tempfile::tempdir().unwrap();
    let fallback = format!("--fallback-endpoints={}", node.url());
    let running = start(&proxy.url(), dir.path(), &[&fallback]);
    until_updated(&chain).await;
    let head = chain.finalized_head().await.unwrap();
    let header = serde_json::json!({
        "parentHash": format!("0x{}", "00".repeat(32)), "number": format!("0x{:x}", head.number),
        "stateRoot": format!("0x{}", "00".repeat(32)),
        "extrinsicsRoot": format!("0x{}", "00".repeat(32)), "digest": {"logs": []},
    });
    let hash = format!("0x{}", hex::encode(head.hash));
    proxy.set(|manners| manners.pinned = Some(Pinned { hash, header }));
    until_updated(&chain).await;
    let metrics = running.metrics().await;
    assert!(metrics.contains("ganglion_chain_endpoint_index 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn why_no_weights_are_sent_is_an_objection_a_gauge_and_passes() {
    let (_node, chain, proxy) = pruned().await;
    let dir = tempfile::tempdir().unwrap();
    root(&chain, "sudo_set_admin_freeze_window", [("window", 0)]).await;
    let running = start(&proxy.url(), dir.path(), &[]);
    until_updated(&chain).await;
    let netuid = u128::from(NETUID.0);
    let cases = [
        ("sudo_set_weights_version_key", "weights_version_key", 5, 0, "version key 5", "outdated"),
        ("sudo_set_min_allowed_weights", "min_allowed_weights", 3, 1, "at least 3", "obstacle"),
        ("sudo_set_tempo", "tempo", 0, 10, "runs no epochs", "no_epochs"),
    ];
    for (call, field, bad, good, words, decision) in cases {
        root(&chain, call, [("netuid", netuid), (field, bad)]).await;
        running.until_it_says(words).await;
        let gauge = format!("ganglion_validator_decision{{decision=\"{decision}\"}} 1");
        until(&gauge, async || running.metrics().await.contains(&gauge)).await;
        root(&chain, call, [("netuid", netuid), (field, good)]).await;
        until("it passes", async || !running.readyz().await.unwrap().contains(words)).await;
    }
    root(&chain, "sudo_set_stake_threshold", [("min_stake", u128::from(u64::MAX))]).await;
    // At the epoch's end the permit goes too.
    running.until_it_says("no weights are sent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_differs_from_the_chains_is_an_objection() {
    let (node, chain, proxy) = pruned().await;
    let dir = tempfile::tempdir().unwrap();
    let head = chain.finalized_head().await.unwrap();
    let ahead = chain.time_of(head.hash).await.unwrap().unwrap() + 11_000;
    stage::ask(&node.url(), "dev_setTime", &serde_json::json!([ahead])).await;
    // A leap that a program sees is a local chain's own; what it finds at its start is a clock.
    loop {
        let head = chain.finalized_head().await.unwrap();
        if chain.time_of(head.hash).await.unwrap().unwrap() >= ahead {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let running = start(&proxy.url(), dir.path(), &[]);
    running.until_it_says("behind the chain's newest block").await;
}

/// A second validator ends at once, with an exit code of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_of_the_hotkey_is_refused_wherever_its_state_lies() {
    let (_node, chain, proxy) = pruned().await;
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let _first = start(&proxy.url(), dirs[0].path(), &[]);
    until_updated(&chain).await;
    let mut second = start(&proxy.url(), dirs[1].path(), &[]);
    assert_eq!(second.child.wait().unwrap().code(), Some(4));
}

/// As a validator on another machine would.
#[tokio::test(flavor = "multi_thread")]
async fn weights_from_elsewhere_are_said_once_and_end_the_validator_the_second_time() {
    let node = hidden::chain(Takes::Open);
    let (chain, proxy) = beside(&node).await;
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(&proxy.url(), dir.path(), &[]);
    until_updated(&chain).await;
    let weights = Weights::from_shares(&[(Uid(2), 1.0)]).unwrap().unwrap();
    let foreign = Call::set_weights(NETUID, MechId(0), &weights, 0);
    chain.submit(&foreign, &key(VALIDATOR)).await.unwrap();
    running.until_it_says("another program set weights with this hotkey").await;
    assert!(running.child.try_wait().unwrap().is_none());
    chain.submit(&foreign, &key(VALIDATOR)).await.unwrap();
    let ended = tokio::task::spawn_blocking(move || running.child.wait().unwrap().code());
    assert_eq!(ended.await.unwrap(), Some(4));
    drop(node);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commitment_of_the_owner_that_nobody_can_read_stops_no_weights() {
    let (_node, chain, proxy) = pruned().await;
    let dir = tempfile::tempdir().unwrap();
    let bytes = vec![0xff; 40];
    stage::store_commitment(&chain, &key("//Owner").hotkey(), &bytes).await;
    let running = start(&proxy.url(), dir.path(), &[]);
    until_updated(&chain).await;
    running.until_it_says("\"part\":\"owner\"").await;
}
