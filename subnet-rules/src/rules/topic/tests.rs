use scoring::evidence::Evidence;

use super::world::Forecasting;
use super::*;
use crate::arena::{Hyperparameters, Report, Season, Settings, play, rehearse, unsplit};
use crate::package::Package;

fn rule() -> Topic {
    Topic::new(Package::find("topic").unwrap().manifest).unwrap()
}

fn season(cast: &str, epochs: u64) -> (Season, Report) {
    let (rule, seed) = (Arc::new(rule()), 11);
    let settings = Settings {
        epochs,
        cast: cast.parse().unwrap(),
        validators: 2,
        seed,
        chain: Hyperparameters::default(),
        panel: None,
    };
    let season = play(&rule, &mut Forecasting::new(seed), &settings, std::io::sink()).unwrap();
    let unsplit = unsplit(&rule, |seed| Ok(Forecasting::new(seed)), &settings).unwrap();
    let season = Season { unsplit, ..season };
    let report = Report::new(rule.manifest(), &settings, &season);
    (season, report)
}

/// What the identity at a place in the cast earned over the season's second half.
fn earned(season: &Season, identity: usize) -> f64 {
    let half = &season.incentive[season.incentive.len() / 2..];
    half.iter().map(|epoch| epoch[identity]).sum()
}

#[test]
fn one_out_pay_is_not_griefed_by_eight_copies_of_the_best() {
    let (alone, _) = season("honest:4", 60);
    let (copied, report) = season("honest:4,copier:8", 60);
    assert!(report.holds(), "{report:#?}");
    assert!(report.actors[1].share <= 0.02, "{report:#?}");
    let kept = earned(&copied, 0) / earned(&alone, 0);
    assert!(kept >= 0.75, "the copied one kept {kept}");
}

#[test]
fn three_identities_on_the_data_of_one_earn_no_more_than_one() {
    let (one, _) = season("honest:5,sybil:1x1", 60);
    let (three, _) = season("honest:5,sybil:1x3", 60);
    let split: f64 = (5..8).map(|identity| earned(&three, identity)).sum();
    let gain = split / earned(&one, 5);
    assert!(gain <= 1.05, "{gain}");
}

#[test]
fn the_whole_cast_breaks_no_bound() {
    let cast = "honest:8,lazy:2,copier:2,sybil:2x3,forger:1,substitute:1,poison:1,colluder:1";
    let settings = Settings {
        epochs: 120,
        cast: cast.parse().unwrap(),
        validators: 3,
        seed: 5,
        chain: Hyperparameters::default(),
        panel: None,
    };
    let rule = Arc::new(rule());
    let report = rehearse(&rule, Forecasting::new, &settings).unwrap();
    assert!(report.holds(), "{report:#?}");
    assert!(report.bounds.iter().any(|bound| bound.name == "synthesis over best worker at most"));
}

const MINER: Hotkey = Hotkey::from_bytes([1; 32]);

/// The evidence about one miner that answers the truth, after `spoil`.
fn judged(spoil: impl FnOnce(&mut Vec<i32>)) -> Evidence {
    let rule = rule();
    let draw = rule.draw(&mut Prf::from_seed(1), &Subject::Shared(vec![MINER]), &Memory::default());
    let mut forecast = draw.secret.0.clone();
    spoil(&mut forecast);
    evidence(&rule, &draw, Measurement::Opened { forecast, sealed_us: 1 })
}

fn evidence(rule: &Topic, draw: &TopicDraw, measurement: Measurement) -> Evidence {
    let measured = Measured { hotkey: MINER, measurement };
    let state = Memory { rounds: rule.params().unpaid_rounds, ..Memory::default() };
    rule.judge(draw, &[measured], &state).unwrap().remove(0).evidence
}

#[test]
fn the_truth_alone_contributes_everything() {
    assert_eq!(judged(|_| ()), Evidence::Score(Grade::ONE));
}

#[test]
fn what_has_not_the_form_asked_for_contributes_nothing() {
    let nothing = Evidence::Score(Grade::ZERO);
    assert_eq!(judged(|answer| answer.truncate(3)), nothing, "too short");
    assert_eq!(judged(|answer| answer[0] = i32::MIN), nothing, "out of bounds");
    let rule = rule();
    let draw = rule.draw(&mut Prf::from_seed(1), &Subject::Shared(vec![MINER]), &Memory::default());
    assert_eq!(evidence(&rule, &draw, Measurement::Unanswered(Fault::Unopened)), nothing);
}
