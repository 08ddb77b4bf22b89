//! `ganglion chain`, as a user types it.

use chain::cli::{Args, CliError, Outcome, run};
use clap::Parser;

use crate::chain;

#[derive(Debug, Parser)]
struct Chain {
    #[command(flatten)]
    args: Args,
}

async fn typed(words: &[&str]) -> (Result<Outcome, CliError>, String) {
    let args = Chain::parse_from(["chain"].iter().chain(words)).args;
    let mut out = Vec::new();
    let outcome = run(args, &mut out).await;
    (outcome, String::from_utf8(out).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fact_holds_on_the_local_chain_or_is_declared_absent() {
    let localnet = chain();
    let (outcome, printed) = typed(&["check", &localnet.url(), "--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let red: Vec<_> = findings
        .iter()
        .filter(|f| f["verdict"] == "missing" || f["verdict"] == "changed")
        .collect();
    assert_eq!(red, [] as [&serde_json::Value; 0]);
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(report["spec_version"], 461);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_runtime_is_checked_like_the_live_one() {
    let localnet = chain();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("local.scale");
    let file = file.to_str().unwrap();
    typed(&["metadata", &localnet.url(), "-o", file]).await.0.unwrap();
    let (outcome, table) = typed(&["check", file]).await;
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert!(table.contains("0 red"), "{table}");
    let (outcome, printed) = typed(&["diff", file, &localnet.url()]).await;
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(printed, "nothing that the suite uses differs\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_metadata_or_no_chain_is_the_callers_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.scale");
    std::fs::write(&file, b"not metadata").unwrap();
    for words in [["check", file.to_str().unwrap()], ["check", "/nowhere/at/all"]] {
        let error = typed(&words).await.0.unwrap_err();
        assert!(error.is_usage() && error.hint().is_some(), "{error}");
    }
    let localnet = chain();
    let error = typed(&["metagraph", "-n", "77", "--endpoint", &localnet.url()]).await.0;
    let error = error.unwrap_err();
    assert!(error.is_usage() && error.hint().is_some(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_is_printed_in_tao_and_in_rao() {
    let localnet = chain();
    let alice = chain::Keypair::dev("//Alice").unwrap().coldkey().to_string();
    let url = localnet.url();
    let (_, printed) = typed(&["balance", &alice, "--endpoint", &url, "--json"]).await;
    let answer: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(answer["rao"], 1_000_000_u64 * 1_000_000_000);
}

/// What users test their own code against: the local chain's metadata as it is now.
#[tokio::test(flavor = "multi_thread")]
async fn the_recording_that_ships_is_of_this_local_chain() {
    const RECORDING: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../chain-metadata/testdata/localnet.scale.gz");
    const LARGEST: u64 = 200_000;
    let localnet = chain();
    if std::env::var_os("UPDATE").is_some() {
        typed(&["metadata", &localnet.url(), "-o", RECORDING]).await.0.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let now = folder.path().join("now.scale");
    typed(&["metadata", &localnet.url(), "-o", now.to_str().unwrap()]).await.0.unwrap();
    let again = folder.path().join("again.scale");
    typed(&["metadata", RECORDING, "-o", again.to_str().unwrap()]).await.0.unwrap();
    let read = |path| std::fs::read(path).unwrap();
    assert!(read(now) == read(again), "another runtime: run this test with UPDATE=1");
    assert!(std::fs::metadata(RECORDING).unwrap().len() < LARGEST);
}
