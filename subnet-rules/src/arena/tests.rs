use super::worlds::serving::{self, Serving};
use super::*;
use crate::rule::Rule;
use crate::serve::Serve;

fn rule() -> Serve {
    Serve::shipped(serving::MODEL, &serving::calibration()).unwrap()
}

fn season(cast: &str, epochs: u64, validators: u16, seed: u64) -> Report {
    let rule = rule();
    let settings = Settings { epochs, cast: cast.parse().unwrap(), validators, seed };
    let season = play(&rule, &mut Serving::new(&rule, seed), &settings, std::io::sink()).unwrap();
    Report::new(rule.manifest(), &settings, &season)
}

#[test]
fn the_honest_miner_earns_everything_against_a_substitute_and_a_lazy_one() {
    let report = season("honest:1,substitute:1,lazy:1", 24, 2, 1);
    assert!(report.holds(), "{report:#?}");
    assert!(report.actors[0].share >= 0.95, "{report:#?}");
}

#[test]
fn every_kind_of_cheat_together_breaks_no_bound() {
    let cast = "honest:4,lazy:1,copier:1,sybil:2x3,forger:1,substitute:2,poison:1,colluder:1";
    let report = season(cast, 20, 3, 2);
    assert!(report.holds(), "{report:#?}");
}

#[test]
fn equal_seeds_play_equal_seasons() {
    let digest = |seed| season("honest:2,forger:1", 2, 1, seed).log_digest;
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(4));
}
