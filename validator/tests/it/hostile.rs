//! Miners that send anything but an answer. Each counts as one who did not answer, by name, and the
//! validator goes on.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, routing::post};
use chain::{Call, Chain};
use chain_metadata::{AxonInfo, Hotkey};
use neuron::{ChainSettings, HealthSettings, ModelSettings, Shutdown, WalletSettings};
use subnet_rules::exchange;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use validator::{Config, Parts, RuleSettings, Status, WeightSettings};
use wire::{Counters, Denial, Freshness, Gate, ReplayStore};

use crate::stage::{self, NETUID, VALIDATOR, key};

/// What a miner sends, and what the validator calls it.
const SIGNED: [(&str, &str, &str); 7] = [
    (
        "//NaN",
        r#"{"model":"m","token_ids":[NaN],"text":"","finish":"stop","prompt_tokens":1}"#,
        "malformed",
    ),
    (
        "//Negative",
        r#"{"model":"m","token_ids":[-1],"text":"","finish":"stop","prompt_tokens":1}"#,
        "malformed",
    ),
    (
        "//Foreign",
        r#"{"model":"m","token_ids":[4294967295],"text":"","finish":"stop","prompt_tokens":1}"#,
        "malformed",
    ),
    (
        "//Empty",
        r#"{"model":"m","token_ids":[],"text":"","finish":"stop","prompt_tokens":1}"#,
        "malformed",
    ),
    ("//Long", "LONG", "malformed"),
    ("//Deep", "DEEP", "malformed"),
    ("//Garbage", "\u{1}\u{2} not json", "malformed"),
];

/// Miners that never come to signing anything.
const UNSIGNED: [(&str, &str); 4] = [
    ("//Mute", "timeout"),
    ("//Unsigned", "unsigned"),
    ("//Huge", "too large"),
    ("//Hangup", "unreachable"),
];

fn body(wanted: &str) -> String {
    let ids = |count| vec!["1"; count].join(",");
    match wanted {
        "LONG" => format!(
            r#"{{"model":"m","token_ids":[{}],"text":"","finish":"length","prompt_tokens":1}}"#,
            ids(5_000)
        ),
        "DEEP" => "[".repeat(100_000),
        plain => plain.to_owned(),
    }
}

/// A miner with the real server, whose handler answers `body` to everything.
async fn signing(path: &str, body: String, tasks: &mut JoinSet<()>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let limits = wire::server::Limits::default();
    let counters = Arc::new(Counters::default());
    let replay = ReplayStore::for_new_key(Freshness::default());
    let anyone = |_: &Hotkey| Ok::<(), Denial>(());
    let gate = Gate::new(key(path).pair().clone(), anyone, replay, limits, Arc::clone(&counters));
    let router = Router::new().route(exchange::PATH, post(async move || body.clone()));
    let router = gate.guard(router);
    tasks.spawn(async move {
        wire::serve(listener, router, limits, counters, Shutdown::new()).await;
    });
    port
}

/// A miner that speaks on the bare socket.
async fn bare(path: &'static str, tasks: &mut JoinSet<()>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            if !matches!(stream.read(&mut request).await, Ok(1..)) {
                continue;
            }
            match path {
                "//Mute" => open.push(stream),
                "//Unsigned" => {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                    stream.write_all(answer).await.ok();
                }
                "//Huge" => {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
                    stream.write_all(answer).await.ok();
                    open.push(stream);
                }
                _ => {}
            }
        }
    });
    port
}

async fn publish(chain: &Chain, path: &str, port: u16) {
    let axon = AxonInfo::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    chain.submit(&Call::serve_axon(NETUID, &axon), &key(path)).await.unwrap();
}

fn config(url: String, state: &std::path::Path) -> Config {
    Config {
        chain: ChainSettings { endpoint: Some(url), netuid: NETUID.0, ..ChainSettings::default() },
        wallet: WalletSettings { hotkey: VALIDATOR.into(), ..WalletSettings::default() },
        model: ModelSettings::default(),
        health: HealthSettings { enabled: false, ..HealthSettings::default() },
        state: validator::State { dir: state.to_owned(), audit: None },
        rounds: validator::Rounds::default(),
        rule: RuleSettings {
            source: stage::quick_rule(state, 2, 1_500).display().to_string(),
            ..RuleSettings::default()
        },
        weights: WeightSettings::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_miners_send_is_counted_by_name_and_the_validator_goes_on() {
    let paths: Vec<&str> =
        SIGNED.iter().map(|(path, ..)| *path).chain(UNSIGNED.map(|(path, _)| path)).collect();
    let node = stage::chain(&paths);
    let chain = stage::connect(node.url()).await;
    let mut tasks = JoinSet::new();
    for (path, sent, _) in SIGNED {
        publish(&chain, path, signing(path, body(sent), &mut tasks).await).await;
    }
    for (path, _) in UNSIGNED {
        publish(&chain, path, bare(path, &mut tasks).await).await;
    }

    let dir = tempfile::tempdir().unwrap();
    let (sender, mut status) = watch::channel(Status::waiting(key(VALIDATOR).hotkey()));
    let parts = Parts { status: Some(sender), ..Parts::default() };
    let shutdown = Shutdown::new();
    let mut running = JoinSet::new();
    running.spawn(validator::run_with(config(node.url(), dir.path()), parts, shutdown.clone()));
    let asked = |status: &Status| status.rounds >= 3 && status.weights_set >= 1;
    let last = tokio::time::timeout(Duration::from_secs(120), status.wait_for(asked))
        .await
        .expect("rounds end, and weights are set")
        .unwrap()
        .clone();
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();

    let faults: BTreeMap<Hotkey, _> =
        last.miners.iter().map(|miner| (miner.hotkey, miner.fault.clone())).collect();
    let wanted =
        SIGNED.iter().map(|(path, _, fault)| (*path, *fault)).chain(UNSIGNED.iter().copied());
    for (path, fault) in wanted {
        let said = faults[&key(path).hotkey()].clone();
        assert_eq!(said.as_deref(), Some(fault), "{path}");
    }
    for miner in &last.miners {
        assert_eq!(miner.answered, 0, "{miner:?}");
        assert!(miner.requests >= 6, "{miner:?}");
        assert_eq!(miner.weight.unwrap_or(0), 0, "{miner:?}");
    }
}
