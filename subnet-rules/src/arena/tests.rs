use std::cell::Cell;

use chain_metadata::Hotkey;
use scoring::evidence::{Evidence, Grade};

use super::worlds::serving::{self, Serving};
use super::*;
use crate::manifest::Manifest;
use crate::prf::Prf;
use crate::rule::{Finding, JudgeError, Measured, Rule, Subject};
use crate::serve::{self, Serve};

fn rule() -> Serve {
    Serve::shipped(serving::MODEL, &serving::calibration()).unwrap()
}

fn season(cast: &str, epochs: u64, validators: u16, seed: u64) -> Report {
    let rule = rule();
    let settings = Settings {
        epochs,
        cast: cast.parse().unwrap(),
        validators,
        seed,
        chain: Hyperparameters::default(),
        panel: None,
    };
    rehearse(&rule, |seed| Serving::new(&rule, seed), &settings).unwrap()
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
fn a_panel_costs_less_and_still_convicts() {
    let rule = rule();
    let cast: Cast = "honest:4,substitute:2,forger:1,lazy:1".parse().unwrap();
    let settings = |panel| Settings {
        epochs: 60,
        cast: cast.clone(),
        validators: 1,
        seed: 3,
        chain: Hyperparameters::default(),
        panel,
    };
    let world = |seed| Serving::new(&rule, seed);
    let all = rehearse(&rule, world, &settings(None)).unwrap();
    let some = rehearse(&rule, world, &settings(Some(3))).unwrap();
    assert_eq!(some.draws * 8, all.draws * 3);
    assert!(some.holds(), "{some:#?}");
    let convicted = |report: &Report| report.actors.iter().map(|one| one.convicted).sum::<usize>();
    assert_eq!(convicted(&some), convicted(&all));
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

#[test]
fn no_rule_is_safe_where_the_majority_of_stake_is_in_league() {
    let rule = rule();
    let point = |colluders: usize| {
        let settings = Settings {
            epochs: 12,
            cast: format!("honest:2,colluder:{colluders}").parse().unwrap(),
            validators: 5,
            seed: 1,
            chain: Hyperparameters::default(),
            panel: None,
        };
        let report = rehearse(&rule, |seed| Serving::new(&rule, seed), &settings).unwrap();
        Point::new(1, &settings, &report)
    };
    assert!(point(1).holds, "{:?}", point(1));
    let captured = point(3);
    assert!(captured.broken.iter().any(|what| what == "colluders are paid"), "{captured:?}");
}

/// A bug planted in a rule that is otherwise right.
#[derive(Debug, Clone, Copy)]
enum Bug {
    /// The guard's condition is inverted.
    InvertedGuard,
    /// The guard never fires.
    NoGuard,
    /// Time is not looked at.
    NoClock,
    /// The beacon is not used.
    StaleBeacon,
    /// One token that matches is enough.
    OneMatchIsEnough,
    /// More tokens that match than not are enough.
    MajorityIsEnough,
    /// What is found depends on what was judged before.
    HiddenState,
    /// What is found goes to the miner that was measured before.
    EvidenceOfAnother,
}

const BUGS: [Bug; 8] = [
    Bug::InvertedGuard,
    Bug::NoGuard,
    Bug::NoClock,
    Bug::StaleBeacon,
    Bug::OneMatchIsEnough,
    Bug::MajorityIsEnough,
    Bug::HiddenState,
    Bug::EvidenceOfAnother,
];

/// Bugs in what is declared: what is put for what.
const DECLARED: [(&str, &str, &str); 3] = [
    ("a gate that is only shown", "role = \"gate\"", "role = \"shown\""),
    ("time that is only shown", "[tracks.service]\nrole = \"factor\"", SHOWN_SERVICE),
    ("rates at which eight bits pass", RATES, "honest = 0.9\ncheat = 0.5"),
];
const SHOWN_SERVICE: &str = "[tracks.service]\nrole = \"shown\"";
const RATES: &str = "honest = 0.999999\ncheat = 0.975";

struct Bugged {
    rule: Serve,
    bug: Bug,
    judged: Cell<usize>,
    before: Cell<Option<Hotkey>>,
}

impl Bugged {
    fn spoil(&self, evidence: Evidence) -> Evidence {
        match (self.bug, evidence) {
            (Bug::InvertedGuard, Evidence::Matches(bits)) => {
                Evidence::Matches(bits.into_iter().map(|matched| !matched).collect())
            }
            (Bug::NoGuard, Evidence::Matches(bits)) => Evidence::Matches(vec![true; bits.len()]),
            (Bug::OneMatchIsEnough, Evidence::Matches(bits)) => {
                Evidence::Matches(vec![bits.contains(&true)])
            }
            (Bug::MajorityIsEnough, Evidence::Matches(bits)) => {
                let matched = bits.iter().filter(|matched| **matched).count();
                Evidence::Matches(vec![matched * 2 > bits.len()])
            }
            (Bug::HiddenState, Evidence::Score(_)) => {
                self.judged.set(self.judged.get() + 1);
                Evidence::Score(if self.judged.get().is_multiple_of(7) {
                    Grade::ZERO
                } else {
                    Grade::ONE
                })
            }
            (Bug::NoClock, Evidence::Score(_)) => Evidence::Score(Grade::ONE),
            (_, evidence) => evidence,
        }
    }
}

impl Rule for Bugged {
    type Public = serve::Task;
    type Secret = serve::Secret;
    type Measurement = serve::Measurement;
    type State = ();

    fn manifest(&self) -> &Manifest {
        self.rule.manifest()
    }

    fn draw(&self, prf: &mut Prf, subject: &Subject, state: &()) -> serve::ServeDraw {
        let mut stale = Prf::from_seed(0);
        let prf = if matches!(self.bug, Bug::StaleBeacon) { &mut stale } else { prf };
        self.rule.draw(prf, subject, state)
    }

    fn judge(
        &self,
        draw: &serve::ServeDraw,
        measured: &[Measured<serve::Measurement>],
        state: &(),
    ) -> Result<Vec<Finding>, JudgeError> {
        let findings = self.rule.judge(draw, measured, state)?.into_iter();
        let whose = |hotkey: Hotkey| match self.bug {
            Bug::EvidenceOfAnother => self.before.get().unwrap_or(hotkey),
            _ => hotkey,
        };
        let spoilt = findings
            .map(|one| Finding {
                hotkey: whose(one.hotkey),
                evidence: self.spoil(one.evidence),
                ..one
            })
            .collect();
        self.before.set(measured.first().map(|one| one.hotkey));
        Ok(spoilt)
    }
}

impl World<Bugged> for Serving {
    fn subjects(&self, identities: &[Identity]) -> Vec<Subject> {
        World::<Serve>::subjects(self, identities)
    }

    fn measure(
        &mut self,
        moment: Moment,
        draw: &serve::ServeDraw,
        who: &[Identity],
    ) -> Vec<Measured<serve::Measurement>> {
        World::<Serve>::measure(self, moment, draw, who)
    }

    fn work(&self) -> (u64, u64) {
        World::<Serve>::work(self)
    }
}

#[test]
fn every_planted_bug_makes_the_arena_fail() {
    let cast: Cast = "honest:2,sybil:1x3,substitute:1".parse().unwrap();
    let settings = Settings {
        epochs: 40,
        cast,
        validators: 1,
        seed: 1,
        chain: Hyperparameters::default(),
        panel: None,
    };
    for bug in BUGS {
        let rule = Bugged { rule: rule(), bug, judged: Cell::default(), before: Cell::default() };
        let world = |seed| Serving::new(&rule.rule, seed);
        let report = rehearse(&rule, world, &settings).unwrap();
        assert!(!report.holds(), "{bug:?} went unnoticed");
    }
}

#[test]
fn every_bug_in_what_is_declared_makes_the_arena_fail() {
    let cast: Cast = "honest:2,sybil:1x3,substitute:1".parse().unwrap();
    let settings = Settings {
        epochs: 40,
        cast,
        validators: 1,
        seed: 1,
        chain: Hyperparameters::default(),
        panel: None,
    };
    let text = include_str!("../../rules/serve/rule.toml");
    for (name, right, wrong) in DECLARED {
        assert!(text.contains(right), "{name}: the manifest has no `{right}`");
        let manifest = Manifest::parse(&text.replacen(right, wrong, 1)).unwrap();
        let rule = Serve::of_model(manifest, serving::MODEL, &serving::calibration()).unwrap();
        let report = rehearse(&rule, |seed| Serving::new(&rule, seed), &settings).unwrap();
        assert!(!report.holds(), "{name} went unnoticed");
    }
}
