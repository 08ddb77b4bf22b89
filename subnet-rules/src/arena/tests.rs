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
    let report = season("honest:1,substitute:1,lazy:1", 120, 1, 1);
    assert!(report.holds(), "{report:#?}");
    assert!(report.actors[0].share >= 0.95, "{report:#?}");
}

#[test]
fn every_kind_of_cheat_together_breaks_no_bound() {
    let cast = "honest:4,lazy:1,copier:1,sybil:2x3,forger:1,substitute:2,poison:1,colluder:1";
    let report = season(cast, 40, 3, 2);
    assert!(report.holds(), "{report:#?}");
}

#[test]
fn equal_seeds_play_equal_seasons() {
    let digest = |seed| season("honest:2,forger:1", 2, 1, seed).log_digest;
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(4));
}

#[test]
fn a_colluder_with_half_the_stake_breaks_the_bound_and_the_arena_says_so() {
    let report = season("honest:2,colluder:1", 6, 2, 1);
    let broken: Vec<_> = report.bounds.iter().filter(|bound| !bound.holds).collect();
    assert!(broken.iter().any(|bound| bound.name == "cheats at most"), "{broken:?}");
}
