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
}

struct Bugged(Serve, Bug);

impl Bugged {
    fn spoil(&self, evidence: Evidence) -> Evidence {
        match (self.1, evidence) {
            (Bug::InvertedGuard, Evidence::Matches(bits)) => {
                Evidence::Matches(bits.into_iter().map(|matched| !matched).collect())
            }
            (Bug::NoGuard, Evidence::Matches(bits)) => Evidence::Matches(vec![true; bits.len()]),
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
        self.0.manifest()
    }

    fn draw(&self, prf: &mut Prf, subject: &Subject, state: &()) -> serve::ServeDraw {
        let mut stale = Prf::from_seed(0);
        let prf = if matches!(self.1, Bug::StaleBeacon) { &mut stale } else { prf };
        self.0.draw(prf, subject, state)
    }

    fn judge(
        &self,
        draw: &serve::ServeDraw,
        measured: &[Measured<serve::Measurement>],
        state: &(),
    ) -> Result<Vec<Finding>, JudgeError> {
        let findings = self.0.judge(draw, measured, state)?.into_iter();
        Ok(findings.map(|one| Finding { evidence: self.spoil(one.evidence), ..one }).collect())
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
    let settings = Settings { epochs: 40, cast, validators: 1, seed: 1 };
    for bug in [Bug::InvertedGuard, Bug::NoGuard, Bug::NoClock, Bug::StaleBeacon] {
        let rule = Bugged(rule(), bug);
        let mut world = Serving::new(&rule.0, 1);
        let season = play(&rule, &mut world, &settings, std::io::sink()).unwrap();
        let report = Report::new(rule.manifest(), &settings, &season);
        assert!(!report.holds(), "{bug:?} went unnoticed");
    }
}
