//! The ways in which the chain drops a timelocked commit without a word, each brought about on the
//! real local chain and named by a running validator of the hotkey before another epoch is over.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chain::Value;
use chain::timelock::{Beacon, Payload, QUICKNET_PUBLIC_KEY, encrypt};
use chain::{Call, Chain, ConnectOptions, Keypair};
use chain_metadata::{Alpha, MechId, NetUid};
use codec::Encode as _;
use localnet::{Config, Genesis, GenesisSubnet, Localnet};
use neuron::{ChainSettings, HealthSettings, Shutdown, WalletSettings};
use sp_crypto_hashing::{blake2_128, twox_128};
use tokio::sync::watch;
use tokio::task::JoinSet;
use validator::loss::Cause;
use validator::watch::Watch;
use validator::{Parts, Status, WeightSettings};

use crate::stage;

const NETUID: NetUid = NetUid(7);
const TEMPO: u32 = 20;
const STAKE: u64 = 1_000_000_000_000;
/// Blocks from a commit to the time of its round.
const ROUND_AHEAD: u64 = 3;
const BLOCK_MS: u64 = 12_000;

/// Longest wait for a validator to read the blocks that are there.
const PATIENCE: Duration = Duration::from_secs(60);

/// A subnet with an owner (uid 0), a validator (1) and a miner (2), its first epoch over, and a
/// validator program for each of the two, which sends nothing.
struct Stage {
    node: Localnet,
    chain: Chain,
    beacon: Beacon,
    observers: BTreeMap<&'static str, watch::Receiver<Status>>,
    _running: JoinSet<Result<(), validator::Error>>,
    _state: tempfile::TempDir,
}

/// A running validator of a hotkey that sends no weights of its own.
fn observe(
    url: &str,
    hotkey: &str,
    state: &Path,
    running: &mut JoinSet<Result<(), validator::Error>>,
) -> watch::Receiver<Status> {
    let chain =
        ChainSettings { endpoint: Some(url.into()), netuid: NETUID.0, ..Default::default() };
    let config = validator::Config {
        chain,
        wallet: WalletSettings { hotkey: hotkey.into(), ..WalletSettings::default() },
        health: HealthSettings { enabled: false, ..HealthSettings::default() },
        state: validator::State { dir: state.to_owned(), audit: None },
        weights: WeightSettings { enabled: false, ..WeightSettings::default() },
        ..validator::Config::default()
    };
    let (sender, status) = watch::channel(Status::waiting(stage::key(hotkey).hotkey()));
    let parts = Parts { status: Some(sender), ..Parts::default() };
    running.spawn(validator::run_with(config, parts, Shutdown::new()));
    status
}

impl Stage {
    async fn new() -> Self {
        let address = |path: &str| Keypair::dev(path).unwrap().hotkey().to_string();
        let neuron = |path: &str, stake: u64| serde_json::json!({"hotkey": address(path), "coldkey": address("//Alice"), "stake": stake});
        let subnet: GenesisSubnet = serde_json::from_value(serde_json::json!({
            "netuid": NETUID, "owner": address("//Alice"), "owner_hotkey": address("//Owner"),
            "started": true, "tempo": TEMPO, "commit_reveal": true, "weights_rate_limit": 0,
            "immunity_period": 1, "max_allowed_uids": 3,
            "neurons": [neuron("//Watcher", STAKE), neuron("//Miner", 0)],
        }))
        .unwrap();
        let genesis = Genesis { subnets: vec![subnet], ..Genesis::default() };
        let node = localnet::spawn(Config { genesis, ..Config::test() }).unwrap();
        let chain = Chain::connect(&[node.url()], ConnectOptions::default()).await.unwrap();
        let beacon = chain.beacon(None).await.unwrap().unwrap();
        let state = tempfile::tempdir().unwrap();
        let mut running = JoinSet::new();
        let observers = ["//Watcher", "//Miner"]
            .map(|hotkey| (hotkey, observe(&node.url(), hotkey, state.path(), &mut running)));
        let observers = observers.into_iter().collect();
        let stage = Self { node, chain, beacon, observers, _running: running, _state: state };
        stage.root("sudo_set_admin_freeze_window", [("window", 0)]).await;
        let args = [("netuid", u128::from(NETUID.0)), ("min", 0)];
        stage.root("sudo_set_min_non_immune_uids", args).await;
        stage.node.mine(TEMPO + 2).unwrap();
        stage
    }

    /// An admin call with root's rights.
    async fn root<const N: usize>(&self, name: &str, args: [(&'static str, u128); N]) {
        let args = args.map(|(name, value)| (name, Value::u128(value)));
        self.sudo(Call::admin(name, args)).await;
    }

    async fn sudo(&self, call: Call) {
        let alice = Keypair::dev("//Alice").unwrap();
        self.chain.submit(&Call::sudo(call), &alice).await.unwrap();
    }

    /// Sets the raw value of a storage key.
    async fn store(&self, key: &[u8], value: &[u8]) {
        let item = Value::unnamed_composite([Value::from_bytes(key), Value::from_bytes(value)]);
        let items = Value::unnamed_composite([item]);
        self.sudo(Call::dynamic("System", "set_storage", [("items", items)])).await;
    }

    /// Mines into a new epoch; a round that is out a few blocks from there, and long before the
    /// reveal at the epoch's end.
    async fn round(&self) -> u64 {
        let head = self.chain.finalized_head().await.unwrap();
        let clock = self.chain.epoch_clock(NETUID, Some(head.hash)).await.unwrap();
        let blocks = clock.next_epoch_block(head.number).unwrap() - head.number + 1;
        self.node.mine(u32::try_from(blocks).unwrap()).unwrap();
        let head = self.chain.finalized_head().await.unwrap();
        let time = self.chain.time_of(head.hash).await.unwrap().unwrap();
        self.beacon.newest_round(time + ROUND_AHEAD * BLOCK_MS)
    }
}

/// What a case commits, and what it does to the chain before the reveal.
struct Commit {
    who: &'static str,
    round: u64,
    bytes: Vec<u8>,
}

fn row(uids: &[u16]) -> Payload {
    let hotkey = Keypair::dev("//Watcher").unwrap().hotkey();
    let values = uids.iter().map(|_| u16::MAX).collect();
    Payload { hotkey: hotkey.as_bytes().to_vec(), uids: uids.to_vec(), values, version_key: 5 }
}

impl Stage {
    /// The validator's commit of these bytes, well encrypted.
    async fn sealed(&self, message: &[u8]) -> Commit {
        let round = self.round().await;
        Commit { who: "//Watcher", round, bytes: encrypt(&self.beacon, round, message).unwrap() }
    }

    /// Commits, lets `meanwhile` happen, and says how the watch explains the end; the running validator
    /// of the hotkey must name the same, at most an epoch after it.
    async fn end(&self, commit: Commit, meanwhile: impl AsyncFnOnce(&Self)) -> Option<Cause> {
        let signer = Keypair::dev(commit.who).unwrap();
        let mut observer = self.observers[commit.who].clone();
        let before = self.caught_up(&mut observer).await.reveals;
        let call =
            Call::commit_timelocked_weights(NETUID, MechId(0), &commit.bytes, commit.round, 4);
        self.chain.submit(&call, &signer).await.unwrap();
        let mut watch = Watch::new(self.chain.clone(), NETUID, MechId(0), signer.hotkey());
        assert_eq!(self.look(&mut watch).await, [], "it waits");
        assert_eq!(watch.waiting(), 1);
        meanwhile(self).await;
        // The end of this epoch and of the next one, in which a late pulse could still come.
        for _ in 0..=2 * TEMPO + 2 {
            let ends = self.look(&mut watch).await;
            let named = self.caught_up(&mut observer).await.reveals;
            if let [end] = &ends[..] {
                let name = end.as_ref().map_or("applied", Cause::name);
                let mut expected = before.clone();
                *expected.entry(name).or_default() += 1;
                assert_eq!(named, expected, "the running validator names it in the same block");
                return *end;
            }
            assert_eq!(ends, []);
            self.node.mine(1).unwrap();
        }
        panic!("the commit has no end");
    }

    /// What a running validator says at the newest block.
    async fn caught_up(&self, observer: &mut watch::Receiver<Status>) -> Status {
        let head = u64::from(self.node.head().number);
        let read = observer.wait_for(|status| status.block >= head);
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.expect("the validator reads every block").expect("it runs").clone()
    }

    async fn look(&self, watch: &mut Watch) -> Vec<Option<Cause>> {
        let head = self.chain.finalized_head().await.unwrap();
        let Ok(clock) = self.chain.epoch_clock(NETUID, Some(head.hash)).await else {
            panic!("the subnet is there")
        };
        let fates = watch.at_head(&head, &clock, 1).await.unwrap();
        fates.into_iter().map(|fate| fate.lost).collect()
    }
}

async fn nothing(_: &Stage) {}

#[tokio::test(flavor = "multi_thread")]
async fn good_weights_are_revealed_and_nothing_is_lost() {
    let stage = Stage::new().await;
    let commit = stage.sealed(&row(&[2]).encode()).await;
    assert_eq!(stage.end(commit, nothing).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_in_the_old_format_are_the_committers_and_count() {
    let stage = Stage::new().await;
    let Payload { uids, values, version_key, .. } = row(&[2]);
    let commit = stage.sealed(&(uids, values, version_key).encode()).await;
    assert_eq!(stage.end(commit, nothing).await, None);
    let chain = &stage.chain;
    let me = Keypair::dev("//Watcher").unwrap().hotkey();
    let uid = chain.uid_of(NETUID, &me, None).await.unwrap().unwrap();
    let row = chain.weights_row(NETUID, MechId(0), uid, None).await.unwrap();
    assert_eq!(row, [(chain_metadata::Uid(2), u16::MAX)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_mechanism_takes_its_commits_with_it_and_is_named() {
    let stage = Stage::new().await;
    let second = MechId(1);
    let mechanisms = async |count: u128| {
        let args = [("netuid", u128::from(NETUID.0)), ("mechanism_count", count)];
        stage.root("sudo_set_mechanism_count", args).await;
    };
    mechanisms(2).await;
    let commit = stage.sealed(&row(&[2]).encode()).await;
    let signer = Keypair::dev(commit.who).unwrap();
    let call = Call::commit_timelocked_weights(NETUID, second, &commit.bytes, commit.round, 4);
    stage.chain.submit(&call, &signer).await.unwrap();
    let mut watch = Watch::new(stage.chain.clone(), NETUID, second, signer.hotkey());
    assert_eq!(stage.look(&mut watch).await, []);
    mechanisms(1).await;
    stage.node.mine(3).unwrap();
    assert_eq!(stage.look(&mut watch).await, [Some(Cause::Removed)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_opened_is_told_apart() {
    let stage = Stage::new().await;
    let good = row(&[2]).encode();

    let round = stage.round().await + 1_000_000;
    let late =
        Commit { who: "//Watcher", round, bytes: encrypt(&stage.beacon, round, &good).unwrap() };
    assert_eq!(stage.end(late, nothing).await, Some(Cause::PulseMissing { round }));

    let garbage = Commit { bytes: vec![1, 2, 3], ..stage.sealed(&good).await };
    assert_eq!(stage.end(garbage, nothing).await, Some(Cause::NoCiphertext));

    let quicknet = Beacon { public_key: QUICKNET_PUBLIC_KEY.to_vec(), ..stage.beacon.clone() };
    let round = stage.round().await;
    let bytes = encrypt(&quicknet, round, &good).unwrap();
    let sdk = Commit { who: "//Watcher", round, bytes };
    assert_eq!(stage.end(sdk, nothing).await, Some(Cause::Locked { quicknet: false }));

    let damaged = stage.sealed(&good).await;
    let round = damaged.round;
    let damage = async |stage: &Stage| {
        stage.node.mine(u32::try_from(ROUND_AHEAD).unwrap() + 2).unwrap();
        let hashed = [&blake2_128(&round.encode())[..], &round.encode()].concat();
        let key = [&twox_128(b"Drand")[..], &twox_128(b"Pulses"), &hashed].concat();
        stage.store(&key, &(round, vec![0_u8; 32], vec![1_u8; 48]).encode()).await;
    };
    assert_eq!(stage.end(damaged, damage).await, Some(Cause::PulseUnreadable { round }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hides_no_valid_weights_is_told_apart() {
    let stage = Stage::new().await;
    let mut copied = row(&[2]);
    copied.hotkey = Keypair::dev("//Miner").unwrap().hotkey().as_bytes().to_vec();
    let mut uneven = row(&[0, 2]);
    uneven.values.pop();
    let cases = [
        (copied.encode(), Cause::OtherHotkey),
        (b"no weights".to_vec(), Cause::NoPayload),
        (row(&[2, 77]).encode(), Cause::UnknownUid { uid: 77, neurons: 3 }),
        (row(&[2, 2]).encode(), Cause::DuplicateUid { uid: 2 }),
        (uneven.encode(), Cause::Lengths { uids: 2, values: 1 }),
    ];
    for (message, cause) in cases {
        let commit = stage.sealed(&message).await;
        assert_eq!(stage.end(commit, nothing).await, Some(cause));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_change_before_the_reveal_are_named() {
    let stage = Stage::new().await;
    let netuid = u128::from(NETUID.0);
    let good = row(&[2]).encode();

    let raise = async |stage: &Stage| {
        let args = [("netuid", netuid), ("weights_version_key", 9)];
        stage.root("sudo_set_weights_version_key", args).await;
    };
    let commit = stage.sealed(&good).await;
    let cause = Cause::VersionKey { sent: 5, asked: 9 };
    assert_eq!(stage.end(commit, raise).await, Some(cause));
    stage
        .root("sudo_set_weights_version_key", [("netuid", netuid), ("weights_version_key", 0)])
        .await;

    let demand = async |stage: &Stage| {
        let args = [("netuid", netuid), ("min_allowed_weights", 3)];
        stage.root("sudo_set_min_allowed_weights", args).await;
    };
    let commit = stage.sealed(&good).await;
    assert_eq!(stage.end(commit, demand).await, Some(Cause::TooFew { paid: 1, needs: 3 }));
    stage
        .root("sudo_set_min_allowed_weights", [("netuid", netuid), ("min_allowed_weights", 1)])
        .await;

    let limit = async |stage: &Stage| {
        let key = [&twox_128(b"SubtensorModule")[..], &twox_128(b"MaxWeightsLimit")].concat();
        let key = [key, NETUID.0.encode()].concat();
        stage.store(&key, &30_000_u16.encode()).await;
    };
    let commit = stage.sealed(&good).await;
    assert_eq!(stage.end(commit, limit).await, Some(Cause::TooHeavy { limit: 30_000 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committer_who_has_lost_his_standing_is_told_so() {
    let stage = Stage::new().await;
    let mut of_miner = row(&[0, 1]);
    of_miner.hotkey = Keypair::dev("//Miner").unwrap().hotkey().as_bytes().to_vec();
    let miners = async || Commit { who: "//Miner", ..stage.sealed(&of_miner.encode()).await };

    assert_eq!(stage.end(miners().await, nothing).await, Some(Cause::NoPermit));

    let replaced = async |stage: &Stage| {
        let newcomer = Keypair::dev("//Newcomer").unwrap().hotkey();
        let bob = Keypair::dev("//Bob").unwrap();
        stage.chain.submit(&Call::burned_register(NETUID, &newcomer), &bob).await.unwrap();
    };
    assert_eq!(stage.end(miners().await, replaced).await, Some(Cause::Deregistered));
    let head = stage.chain.finalized_head().await.unwrap();
    let me = Keypair::dev("//Watcher").unwrap().hotkey();
    let metagraph = stage.chain.metagraph(NETUID, Some(head.hash)).await.unwrap();
    let before = metagraph.neuron_of(&me).unwrap().total_stake;

    let threshold = before.rao() * 1_000;
    let demand = async |stage: &Stage| {
        stage.root("sudo_set_stake_threshold", [("min_stake", u128::from(threshold))]).await;
    };
    let commit = stage.sealed(&row(&[0, 2]).encode()).await;
    match stage.end(commit, demand).await {
        Some(Cause::Stake { has, needs }) => {
            assert!(has >= before);
            assert_eq!(needs, Alpha(threshold));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_outlives_commit_reveal_meets_the_rate_limit_that_it_started() {
    let stage = Stage::new().await;
    let netuid = u128::from(NETUID.0);
    let switch_off = async |stage: &Stage| {
        let args = [("netuid", Value::u128(netuid)), ("enabled", Value::bool(false))];
        stage.sudo(Call::admin("sudo_set_commit_reveal_weights_enabled", args)).await;
        let args = [("netuid", netuid), ("weights_set_rate_limit", 1_000)];
        stage.root("sudo_set_weights_set_rate_limit", args).await;
    };
    let commit = stage.sealed(&row(&[2]).encode()).await;
    let end = stage.end(commit, switch_off).await;
    assert!(matches!(end, Some(Cause::SwitchedOff { .. })), "{end:?}");
}
