use std::sync::{Arc, Mutex};

use chain_metadata::Hotkey;
use scoring::evidence::{Evidence, Grade};

use super::*;
use crate::exchange::{Exchanged, Fault, Message, Sending};
use crate::manifest::Manifest;
use crate::prf::Prf;
use crate::rule::{Asked, Finding, JudgeError, Measured, Rule, Subject};
use crate::serve::world::{self as serving, Serving};
use crate::serve::{self, Measurement, Serve};
use crate::tools::{ToolError, Tools};

fn rule() -> Arc<Serve> {
    Arc::new(Serve::shipped(serving::MODEL, &serving::calibration()).unwrap())
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
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bug {
    /// The guard's condition is inverted.
    InvertedGuard,
    /// The guard never fires.
    NoGuard,
    /// Time is not looked at.
    NoClock,
    /// The ticket is not used.
    StaleTicket,
    /// One token that matches is enough.
    OneMatchIsEnough,
    /// More tokens that match than not are enough.
    MajorityIsEnough,
    /// What is found depends on what was judged before.
    HiddenState,
    /// What is found goes to the miner that was measured before.
    EvidenceOfAnother,
    /// Measured: the miner's own text is judged, not what its tokens read as, and tokens are not held
    /// against the reference.
    TokensUnread,
    /// Measured: the time to the first byte is taken for the whole.
    NoTime,
    /// Measured: tokens that do not match are left out.
    MissesDropped,
    /// Measured: tokens are compared with each other's neighbours.
    ShiftedByOne,
    /// Measured: of a reply only the first tokens are read.
    CutShort,
}

const BUGS: [Bug; 13] = [
    Bug::InvertedGuard,
    Bug::NoGuard,
    Bug::NoClock,
    Bug::StaleTicket,
    Bug::OneMatchIsEnough,
    Bug::MajorityIsEnough,
    Bug::HiddenState,
    Bug::EvidenceOfAnother,
    Bug::TokensUnread,
    Bug::NoTime,
    Bug::MissesDropped,
    Bug::ShiftedByOne,
    Bug::CutShort,
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
    rule: Arc<Serve>,
    bug: Bug,
    judged: Mutex<usize>,
    before: Mutex<Option<Hotkey>>,
}

impl Bugged {
    fn new(bug: Bug) -> Arc<Self> {
        Arc::new(Self { rule: rule(), bug, judged: Mutex::default(), before: Mutex::default() })
    }

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
                let mut judged = self.judged.lock().unwrap();
                *judged += 1;
                let seventh = judged.is_multiple_of(7);
                Evidence::Score(if seventh { Grade::ZERO } else { Grade::ONE })
            }
            (Bug::NoClock, Evidence::Score(_)) => Evidence::Score(Grade::ONE),
            (_, evidence) => evidence,
        }
    }

    /// What a faulty reading makes of a measurement.
    fn misread(&self, measurement: Measurement) -> Measurement {
        let mut answer = match measurement {
            Measurement::Answered(answer) => answer,
            fault @ Measurement::Unanswered(_) => return fault,
        };
        match self.bug {
            Bug::TokensUnread => {
                answer.checks.iter_mut().for_each(|check| check.matched = true);
                answer.account = answer.account.map(|_| Vec::new());
            }
            Bug::NoTime => answer.total_us = 1,
            Bug::MissesDropped => {
                answer.checks.retain(|check| check.matched);
                answer.token_ids.truncate(answer.checks.len().max(1));
                if answer.checks.is_empty() && answer.reference.is_none() {
                    answer.checks = vec![crate::tools::TokenMeasure::new(0.0, 0.0, true)];
                }
                answer.account = answer.account.map(|_| Vec::new());
            }
            Bug::ShiftedByOne => answer.checks.iter_mut().for_each(|check| {
                check.matched = check.margin_milli > 0;
            }),
            Bug::CutShort => {
                answer.checks.truncate(1);
                answer.token_ids.truncate(1);
                answer.account = answer.account.map(|_| Vec::new());
            }
            _ => {}
        }
        Measurement::Answered(answer)
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
        let prf = if matches!(self.bug, Bug::StaleTicket) { &mut stale } else { prf };
        self.rule.draw(prf, subject, state)
    }

    async fn measure(
        &self,
        asked: Asked<'_, Self>,
        came: &Exchanged,
        tools: &Tools<'_>,
    ) -> Result<Measurement, ToolError> {
        let Asked { draw, miner, task, key } = asked;
        let measured = self.rule.measure(Asked { draw, miner, task, key }, came, tools).await?;
        Ok(self.misread(measured))
    }

    fn judge(
        &self,
        draw: &serve::ServeDraw,
        measured: &[Measured<serve::Measurement>],
        state: &(),
    ) -> Result<Vec<Finding>, JudgeError> {
        let findings = self.rule.judge(draw, measured, state)?.into_iter();
        let mut before = self.before.lock().unwrap();
        let whose = |hotkey: Hotkey| match self.bug {
            Bug::EvidenceOfAnother => before.unwrap_or(hotkey),
            _ => hotkey,
        };
        let spoilt = findings
            .map(|one| Finding {
                hotkey: whose(one.hotkey),
                evidence: self.spoil(one.evidence),
                ..one
            })
            .collect();
        *before = measured.first().map(|one| one.hotkey);
        Ok(spoilt)
    }
}

impl World<Bugged> for Serving {
    fn drawn(&mut self, moment: Moment, draw: &serve::ServeDraw) {
        World::<Serve>::drawn(self, moment, draw);
    }

    fn reply(
        &mut self,
        moment: Moment,
        who: &Identity,
        sending: &Sending,
        draw: &serve::ServeDraw,
    ) -> Result<Message, Fault> {
        World::<Serve>::reply(self, moment, who, sending, draw)
    }

    fn tools(&self) -> Tools<'_> {
        World::<Serve>::tools(self)
    }

    fn work(&self) -> (u64, u64) {
        World::<Serve>::work(self)
    }
}

#[test]
fn every_planted_bug_makes_the_arena_fail() {
    let cast: Cast = "honest:2,sybil:1x3,substitute:1,lazy:1,poison:1,forger:1".parse().unwrap();
    let settings = Settings {
        epochs: 40,
        cast,
        validators: 1,
        seed: 1,
        chain: Hyperparameters::default(),
        panel: None,
    };
    for bug in BUGS {
        let rule = Bugged::new(bug);
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
    let text = include_str!("../rules/serve/rule.toml");
    for (name, right, wrong) in DECLARED {
        assert!(text.contains(right), "{name}: the manifest has no `{right}`");
        let manifest = Manifest::parse(&text.replacen(right, wrong, 1)).unwrap();
        let rule = Serve::of_model(manifest, serving::MODEL, &serving::calibration()).unwrap();
        let rule = Arc::new(rule);
        let report = rehearse(&rule, |seed| Serving::new(&rule, seed), &settings).unwrap();
        assert!(!report.holds(), "{name} went unnoticed");
    }
}
