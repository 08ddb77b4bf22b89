//! Recordings of the real chain, replayed: same results, same events, same storage.
//!
//! Each recording starts from the development genesis of runtime 425 and holds, step by step, a
//! signed call or mined blocks, and the complete change of the state that followed.

mod replay;

use replay::Replay;

/// Replays a recording and asserts that nothing differs.
fn replays(recording: &str) {
    let differences = Replay::start().run(recording);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), head(&differences));
}

fn head(differences: &[String]) -> String {
    differences.iter().take(40).cloned().collect::<Vec<_>>().join("\n")
}

#[test]
fn the_genesis_is_the_real_chains() {
    let differences = Replay::start().compare_genesis(include_str!("traces/genesis.json"));
    assert!(differences.is_empty(), "{}", head(&differences));
}

#[test]
fn registration_replays() {
    replays(include_str!("traces/t1_registration.json"));
}

#[test]
fn staking_replays() {
    replays(include_str!("traces/t2_staking.json"));
}

#[test]
fn weights_and_epochs_replay() {
    replays(include_str!("traces/t3_weights_epochs.json"));
}

#[test]
fn hash_commit_reveal_replays() {
    replays(include_str!("traces/t4_hash_commit_reveal.json"));
}

#[test]
fn serving_and_commitments_replay() {
    replays(include_str!("traces/t8_serving_commitments.json"));
}

#[test]
fn pruning_replays() {
    replays(include_str!("traces/t9_pruning.json"));
}
