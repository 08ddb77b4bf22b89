//! Bugs planted in a rule that is otherwise right: each must make the arena fail.
//!
//! The rule is `ledger`, whose source can be changed by a word; bugs of the framework's own and of
//! `serve` are planted beside the arena.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use subnet_rules::arena::{Hyperparameters, Report, Settings, rehearse};
use subnet_rules::exchange::Exchange;
use subnet_rules::manifest::Manifest;
use subnet_rules::package::{Package, Trials};
use subnet_rules::star::texts::Texts;
use subnet_rules::star::{Limits, Program, Star};

/// A bug: its name, and what is put for what.
type Bug = (&'static str, &'static str, &'static str);

/// The same task for all and for ever.
const STALE: &str = r#"
def draw(subject, state):
    prompt = "Ann has 1 eggs. Ben has 2 eggs. How many eggs does Ann have?"
    return {"public": {"prompt": prompt, "allowed_ms": 4000}, "secret": {"right": 1}}

def other(subject, state):"#;

/// In `rule.star`.
const IN_THE_SOURCE: [Bug; 8] = [
    (
        "inverted guard",
        "matches(miner, \"able\", [right])",
        "matches(miner, \"able\", [not right])",
    ),
    (
        "guard that never fires",
        "matches(miner, \"able\", [right])",
        "matches(miner, \"able\", [True])",
    ),
    ("any number is right", "math.close(number, draw[\"secret\"][\"right\"], 0)", "number >= 0"),
    ("close is right", "draw[\"secret\"][\"right\"], 0)", "draw[\"secret\"][\"right\"], 1000)"),
    (
        "a text that contains the number is right",
        "number != None and math.close(number, draw[\"secret\"][\"right\"], 0)",
        "str(draw[\"secret\"][\"right\"]) in reply[\"text\"].split()",
    ),
    (
        "the clock is not looked at",
        "score(miner, \"service\", service(reply[\"ms\"]))",
        "score(miner, \"service\", 1)",
    ),
    ("the beacon is not used", "def draw(subject, state):", STALE),
    ("the truth of another line", "{\"right\": held[asked]}", "{\"right\": held[giver]}"),
];

/// In `rule.toml`.
const IN_THE_MANIFEST: [Bug; 3] = [
    ("a gate that is only shown", "role = \"gate\"", "role = \"shown\""),
    ("guilt for a trifle", "alpha = 1e-6", "alpha = 0.3"),
    ("a cheat as good as the honest", "cheat = 0.6", "cheat = 0.2"),
];

fn season(package: &Package, trials: &Trials) -> Report {
    let program = Program::new(
        std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("subnet-rules"),
        &["host"],
    );
    let cast = "honest:3,sybil:1x3,forger:1,substitute:2,lazy:1,copier:1".parse().unwrap();
    let settings = Settings {
        epochs: 120,
        cast,
        validators: 1,
        seed: 1,
        chain: Hyperparameters::default(),
        panel: None,
    };
    let rule = Arc::new(Star::start(package, &program, Limits::default()).unwrap());
    let cast = trials.cast.as_deref();
    let world = |seed| Texts::start(&program, cast, &[], Exchange::Once, seed).unwrap();
    rehearse(&rule, world, &settings).unwrap()
}

fn ledger() -> (Package, Trials) {
    (Package::find("ledger").unwrap(), Package::trials("ledger").unwrap())
}

#[test]
fn the_rule_without_a_bug_holds() {
    let (package, trials) = ledger();
    let report = season(&package, &trials);
    assert!(report.holds(), "{report:#?}");
}

#[test]
fn every_bug_in_the_source_makes_the_arena_fail() {
    let (package, trials) = ledger();
    for (name, right, wrong) in IN_THE_SOURCE {
        let source = package.source.clone().unwrap();
        assert!(source.contains(right), "{name}: the source has no `{right}`");
        let bugged = Package { source: Some(source.replace(right, wrong)), ..package.clone() };
        assert!(!season(&bugged, &trials).holds(), "{name} went unnoticed");
    }
}

#[test]
fn every_bug_in_the_manifest_makes_the_arena_fail() {
    let (package, trials) = ledger();
    let text = include_str!("../src/rules/ledger/rule.toml");
    for (name, right, wrong) in IN_THE_MANIFEST {
        assert!(text.contains(right), "{name}: the manifest has no `{right}`");
        let manifest = Manifest::parse(&text.replacen(right, wrong, 1)).unwrap();
        let bugged = Package { manifest, ..package.clone() };
        assert!(!season(&bugged, &trials).holds(), "{name} went unnoticed");
    }
}
