//! The worked rules of `docs/rules.md`: each is checked, and holds against its cast.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use subnet_rules::arena::{Hyperparameters, Report, Settings};
use subnet_rules::native::{self, Rehearsal};
use subnet_rules::package::Package;
use subnet_rules::star::Program;

fn program() -> Program {
    Program::new(
        std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("subnet-rules"),
        &["host"],
    )
}

fn folder(name: &str) -> String {
    Path::new("../docs/examples").join(name).display().to_string()
}

fn season(name: &str, cast: &str) -> Report {
    let (package, trials) = (Package::find(&folder(name)).unwrap(), Package::trials(&folder(name)));
    let settings = Settings {
        epochs: 60,
        cast: cast.parse().unwrap(),
        validators: 2,
        seed: 4,
        chain: Hyperparameters::default(),
        panel: None,
    };
    let rehearsal = Rehearsal {
        settings: &settings,
        trials: &trials.unwrap(),
        actors: &[],
        program: &program(),
        venues: None,
    };
    native::rehearse(&package, &rehearsal, std::io::sink()).unwrap()
}

#[test]
fn the_rule_whose_answers_are_json_holds() {
    let package = Package::find(&folder("sums")).unwrap();
    native::check(&package, &Package::trials(&folder("sums")).unwrap(), &program()).unwrap();
    let report = season("sums", "honest:3,substitute:1,forger:1,lazy:1,copier:1,poison:1");
    assert!(report.holds(), "{report:#?}");
}

#[test]
fn the_rule_whose_answers_are_sealed_and_shared_holds() {
    let package = Package::find(&folder("tides")).unwrap();
    native::check(&package, &Package::trials(&folder("tides")).unwrap(), &program()).unwrap();
    let report = season("tides", "honest:3,substitute:1,lazy:1");
    assert!(report.holds(), "{report:#?}");
}

#[test]
fn check_finds_what_fails_in_a_rules_first_round() {
    let sound = Package::find(&folder("sums")).unwrap();
    let trials = Package::trials(&folder("sums")).unwrap();
    for (what, right, wrong) in [
        ("a builtin that is none", "prf.below(5)", "prf.nope(5)"),
        ("a field that is not there", "reply[\"answer\"]", "reply[\"anwser\"]"),
        ("an endless loop", "total = 0", "total = 0\n    for _ in range(1000000000): total += 1"),
        ("a track that is not declared", "\"right\", int", "\"wrong\", int"),
        ("an answer taken for a dict", "type(answer) == \"dict\" and ", ""),
    ] {
        let source = sound.source.clone().unwrap();
        assert!(source.contains(right), "{what}");
        let source = Some(source.replacen(right, wrong, 1));
        let package = Package { source, ..sound.clone() };
        assert!(native::check(&package, &trials, &program()).is_err(), "{what} went unnoticed");
    }
}
