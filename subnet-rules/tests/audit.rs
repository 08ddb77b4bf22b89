//! The auditor's commands on the chain's recordings.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use subnet_rules::audit::{self, Args, AuditError};

const SWAPS: &str = include_str!("../../scoring/testdata/swap.json");

/// Two equal validators that disagree about two miners.
fn disagreement() -> Value {
    json!({ "name": "disagreement", "inputs": {
        "n": 4, "current_block": 1_000, "tempo": 360, "activity_cutoff_blocks": 5_000,
        "last_update": [990, 990, 1, 1], "block_at_registration": [1, 1, 1, 1],
        "last_mechanism_step_block": 0,
        "total_stake_i64f64_bits": ["18446744073709551616000", "18446744073709551616000", "0", "0"],
        "stake_threshold": 0, "validator_permit": [true, true, false, false],
        "max_allowed_validators": 2, "owner_uid": null, "kappa": 32_767,
        "bonds_moving_average": 900_000, "bonds_penalty": 65_535, "yuma3": true,
        "liquid_alpha": false, "alpha_low_high": [45_875, 58_982], "alpha_sigmoid_steepness": 1_000,
        "commit_reveal_enabled": false, "active_commits_uid_block": [],
        "weights": [[[2, 65_535]], [[3, 65_535]], [], []], "bonds": [[], [], [], []],
        "rao_emission": 1_000_000_000, "ignored": "whatever else a case holds"
    }})
}

fn args(folder: &tempfile::TempDir, cases: &Value, json: bool) -> Args {
    let file: PathBuf = folder.path().join("cases.json");
    fs::write(&file, json!({ "cases": cases }).to_string()).unwrap();
    Args { file, json, spec: 425 }
}

fn answers(out: &[u8]) -> Value {
    serde_json::from_slice(out).unwrap()
}

#[test]
fn swaps_without_their_results_get_them_back() {
    let recorded: Value = serde_json::from_str(SWAPS).unwrap();
    let mut asked = recorded["cases"].clone();
    for case in asked.as_array_mut().unwrap() {
        let case = case.as_object_mut().unwrap();
        case.retain(|key, _| !key.ends_with("_tao") && !key.starts_with("price"));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    audit::swap(&args(&folder, &asked, true), &mut out).unwrap();
    assert_eq!(answers(&out)["cases"], recorded["cases"]);
}

#[test]
fn an_epoch_is_answered_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    audit::yuma(&args(&folder, &json!([disagreement()]), true), &mut out).unwrap();
    let answer = &answers(&out)["cases"][0];
    assert_eq!(answer["name"], "disagreement");
    assert_eq!(answer["outputs"]["server_emission"], json!([0, 0, 250_000_000, 250_000_000]));
    assert_eq!(answer["outputs"]["stored_bonds"][0], json!([[2, 6_553]]));
}

#[test]
fn one_epoch_is_a_table_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    audit::yuma(&args(&folder, &json!([disagreement()]), false), &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn lists_that_disagree_are_named() {
    let mut case = disagreement();
    case["inputs"]["bonds"] = json!([[], []]);
    let folder = tempfile::tempdir().unwrap();
    let error = audit::yuma(&args(&folder, &json!([case]), true), &mut Vec::new()).unwrap_err();
    let AuditError::Case { name, source } = error else { panic!("not {error}") };
    assert_eq!(name, "disagreement");
    assert_eq!(source.to_string(), "`bonds` has 2 elements for n = 4");
}

#[test]
fn stakes_that_no_chain_holds_are_refused() {
    let mut case = disagreement();
    let most = i128::MAX.to_string();
    case["inputs"]["total_stake_i64f64_bits"] = json!([most, most, "0", "0"]);
    let folder = tempfile::tempdir().unwrap();
    let error = audit::yuma(&args(&folder, &json!([case]), true), &mut Vec::new()).unwrap_err();
    assert!(matches!(error, AuditError::Epoch { .. }), "{error}");
}

#[test]
fn a_version_without_rules_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let args = Args { spec: 1, ..args(&folder, &json!([]), true) };
    let error = audit::yuma(&args, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, AuditError::Spec { spec: 1 }), "{error}");
}
