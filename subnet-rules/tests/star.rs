//! Rules in Starlark: what they can do, and what stops them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/runaways.rs"]
mod runaways;

use std::time::Duration;

use chain_metadata::Hotkey;
use runaways::RUNAWAYS;
use serde_json::{Value, json};
use subnet_rules::package::Package;
use subnet_rules::prf::Prf;
use subnet_rules::rule::{Rule as _, Subject};
use subnet_rules::star::{Host, HostError, Limits, Memory, Mistake, Program, Star};

fn program() -> Program {
    Program::new(
        std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("subnet-rules"),
        &["host"],
    )
}

fn start(source: &str) -> Result<Host, HostError> {
    Host::start(&program(), "rule.star", source, json!({ "depth": 3 }), Limits::default())
}

fn host(source: &str) -> Host {
    start(source).unwrap()
}

fn mistake(source: &str) -> Mistake {
    let error = start(source).and_then(|mut host| host.call("f", vec![], None)).unwrap_err();
    match error {
        HostError::Mistake(mistake) => mistake,
        other => panic!("{other}"),
    }
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn values_go_in_and_come_out_unchanged() {
    let mut host = host("def f(x): return x");
    for value in
        [json!(null), json!(0.1), json!([1, "a", {"b": true}]), json!(-9_007_199_254_740_993_i64)]
    {
        assert_eq!(host.call("f", vec![value.clone()], None).unwrap(), value);
    }
}

#[test]
fn the_parameters_of_the_manifest_are_there_and_cannot_be_changed() {
    let mut host = host("def f(): return params['depth']\ndef g(): params['depth'] = 4");
    assert_eq!(host.call("f", vec![], None).unwrap(), json!(3));
    assert!(host.call("g", vec![], None).is_err());
}

#[test]
fn equal_keys_give_equal_randomness_and_no_key_gives_none() {
    let mut host = host("def f(): return [prf.below(1000), prf.unit(), prf.sample([1, 2, 3], 2)]");
    let mut call = |key| host.call("f", vec![], key);
    assert_eq!(call(Some([1; 32])).unwrap(), call(Some([1; 32])).unwrap());
    assert_ne!(call(Some([1; 32])).unwrap(), call(Some([2; 32])).unwrap());
    assert!(call(None).unwrap_err().to_string().contains("no randomness here"));
}

#[test]
fn nothing_of_the_machine_can_be_reached() {
    for name in ["open", "print", "load", "__import__", "input", "exec", "time", "json"] {
        let source = format!("def f(): return {name}");
        assert!(start(&source).is_err(), "{name}");
    }
    assert!(start("load('other.star', 'x')").is_err());
}

#[test]
fn nothing_is_kept_between_calls() {
    let mut host = host("seen = []\ndef f(): seen.append(1)");
    assert!(host.call("f", vec![], None).is_err(), "what the file defined is frozen");
}

#[test]
fn a_mistake_is_pointed_at_by_line_and_column_with_a_hint() {
    let found = mistake("def f():\n    return 2 ** 31\n");
    assert_eq!((found.line, found.column), (2, 14), "{found}");
    assert!(found.hint.as_ref().unwrap().contains("math.pow"), "{found:?}");
    let found = mistake("def f():\n    x = 1\n    return [1][x]\n");
    assert_eq!(found.line, 3, "{found}");
    let found = mistake("def f():\n    return nothing_of_the_sort\n");
    assert!(found.line == 2 && found.hint.is_some(), "{found:?}");
}

/// What the parent may grow by: other tests of this process run beside. A rule may take twice this.
const SLACK: u64 = 32 * 1024 * 1024;

#[test]
fn runaway_rules_are_stopped_and_cost_the_parent_nothing() {
    for (name, source) in RUNAWAYS {
        let limits = Limits { time: Duration::from_millis(500), ..Limits::default() };
        let before = resident();
        // Some are evaluated while the file is read, the others when they are called.
        let error = run(source, limits).unwrap_err();
        assert!(resident() < before + SLACK, "{name}: {error}");
    }
}

fn run(source: &str, limits: Limits) -> Result<Value, HostError> {
    Host::start(&program(), "rule.star", source, json!({}), limits)
        .and_then(|mut host| host.call("f", vec![], None))
}

#[test]
fn a_host_serves_again_after_it_was_stopped() {
    let mut host = host("def f(n): return len('x' * n)");
    assert!(host.call("f", vec![json!(2_147_483_647)], None).is_err());
    assert_eq!(host.call("f", vec![json!(5)], None).unwrap(), json!(5));
}

#[test]
fn a_source_of_brackets_alone_ends_its_own_process_at_most() {
    let deep = format!("x = {}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(start(&deep).is_err());
}

#[test]
fn what_is_no_number_is_refused_where_it_is_made() {
    let mut host = host("def f(): return math.log(0)\ndef g(): return math.number('nan')");
    assert!(host.call("f", vec![], None).unwrap_err().to_string().contains("no finite number"));
    assert_eq!(host.call("g", vec![], None).unwrap(), Value::Null);
}

#[test]
fn a_grade_out_of_range_is_refused_where_it_is_given() {
    let error = host("def f(): return score('m', 't', 1.5)").call("f", vec![], None).unwrap_err();
    assert!(error.to_string().contains("rule.star:1:"), "{error}");
}

/// What is remembered after one round, if the rule says of a state that `clusters` are one.
fn after_a_round(clusters: &str) -> Memory {
    let mut package = Package::shipped("ledger").unwrap();
    let source = package.source.unwrap();
    package.source = Some(format!("{source}\ndef clusters(state): return {clusters}\n"));
    let rule = Star::start(&package, &program(), Limits::default()).unwrap();
    let subject = Subject::Miner(Hotkey::from_bytes([7; 32]));
    let draw = rule.draw(&mut Prf::from_seed(1), &subject, &Memory::default());
    rule.learn(Memory::default(), &draw, &[])
}

#[test]
fn a_rule_that_cannot_say_who_is_one_judges_nothing_and_says_so() {
    assert_eq!(after_a_round("[]").failed, None);
    for broken in ["3", "[[\"nobody\"]]", "state[0]"] {
        let failed = after_a_round(broken).failed.unwrap();
        assert!(failed.contains("clusters") || failed.contains("rule.star"), "{broken}: {failed}");
    }
}
