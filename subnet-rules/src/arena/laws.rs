//! The ten laws that every rule must keep, held against a season.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::cast::{Cast, Kind};
use super::report::{Earned, warm_up};
use super::season::{Season, Unsplit, settled_mean};

/// Share of all incentive below which a kind counts as earning nothing.
const NOTHING: f64 = 0.02;
/// What k identities on the means of one may earn together, in units of one.
const SPLIT_GAIN: f64 = 1.05;
/// How sure the arena must be that a gain is none of luck before [`split`] takes it for one.
const SURE: f64 = 0.99;
/// What may be put down to luck at most, in units of one, times the root of the epochs played: a sixth of
/// one's pay in 200.
const LUCKIEST: f64 = 2.3;
/// Stretches of a long season's epochs whose means are compared: standings last, so that single epochs are
/// not independent of each other.
const STRETCHES: usize = 10;
/// Judging work allowed for each unit of answering work: one prefill, and as much again to spare.
const JUDGE_COST: u64 = 2;

/// One law and whether it held.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Law {
    /// Its number and short name.
    pub name: &'static str,
    /// Whether it held.
    pub outcome: Outcome,
    /// What was seen.
    pub detail: String,
}

/// How a law fared: what nobody could break is not said to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Somebody could have broken it, and it held.
    Holds,
    /// It broke.
    Broken,
    /// Nobody in the cast could break it.
    Untried,
}

impl Outcome {
    const fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Broken }
    }

    /// The word for it in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Broken => "BROKEN",
            Self::Untried => "untried",
        }
    }
}

impl Law {
    fn untried(name: &'static str) -> Self {
        let detail = "nobody in the cast could break it".to_owned();
        Self { name, outcome: Outcome::Untried, detail }
    }

    /// Whether it broke.
    pub const fn broken(&self) -> bool {
        matches!(self.outcome, Outcome::Broken)
    }
}

/// All ten laws.
pub(super) fn check(season: &Season, earned: &Earned, cast: &Cast) -> Vec<Law> {
    let absent = season.inapplicable.iter().map(|(kind, why)| inapplicable(*kind, why));
    let mut laws = vec![
        fresh(season),
        recomputed("L2 only serialised measurements are judged", season),
        little("L3 a copy is worth nothing", earned, &[Kind::Copier]),
        little("L4 no work is worth nothing", earned, &[Kind::Lazy]),
        split(season, cast),
        monotone(earned),
        recomputed("L7 equal logs give equal weights", season),
        little("L8 what is malformed is worth nothing", earned, &[Kind::Poison]),
        cost(season),
        guilt(season),
    ];
    laws.extend(absent);
    laws
}

/// A kind that cannot apply is said to, so that its share of 0 is not taken for a defence.
fn inapplicable(kind: Kind, why: &str) -> Law {
    let name = "kind that cannot apply";
    Law { name, outcome: Outcome::Untried, detail: format!("{kind}: {why}") }
}

fn fresh(season: &Season) -> Law {
    let (drawn, distinct) = season.draws;
    let detail = format!("{distinct} distinct tasks in {drawn} draws");
    Law { name: "L1 no task is drawn twice", outcome: Outcome::of(drawn == distinct), detail }
}

fn recomputed(name: &'static str, season: &Season) -> Law {
    let (same, looked_at) = season.recomputed;
    let detail = format!("{same} of {looked_at} epochs came out the same from their records");
    Law { name, outcome: Outcome::of(same == looked_at), detail }
}

fn little(name: &'static str, earned: &Earned, kinds: &[Kind]) -> Law {
    let present: Vec<_> =
        kinds.iter().filter_map(|kind| Some((kind, earned.share(*kind)?))).collect();
    if present.is_empty() {
        return Law::untried(name);
    }
    let detail: Vec<_> = present.iter().map(|(kind, share)| format!("{kind} {share:.4}")).collect();
    let holds = present.iter().all(|(_, share)| *share <= NOTHING);
    let detail = format!("{} of all, {NOTHING} allowed", detail.join(", "));
    Law { name, outcome: Outcome::of(holds), detail }
}

/// What operators of several identities earned beside what the same operators earned in the same season
/// with one identity each, and in further pairs of seasons where it is short. Luck mostly cancels, as
/// nothing else is different; what is left of it is told from how much the differences differ.
fn split(season: &Season, cast: &Cast) -> Law {
    let name = "L5 splitting does not pay";
    if cast.unsplit().is_none() {
        return Law::untried(name);
    }
    let Some(Unsplit { alone, further }) = &season.unsplit else {
        let detail = "the season was not played unsplit".to_owned();
        return Law { name, outcome: Outcome::Broken, detail };
    };
    let split = season.of(&cast.splitters());
    let pairs: Vec<(f64, f64)> = std::iter::once((settled_mean(&split), settled_mean(alone)))
        .chain(further.iter().copied())
        .collect();
    let (gained, one) = (mean(pairs.iter().map(|pair| pair.0)), mean(pairs.iter().map(|p| p.1)));
    let epochs = count_of(alone.len().max(1)) * count_of(pairs.len());
    let luck = if further.is_empty() {
        luck(&stretches(&split, alone))
    } else {
        luck(&pairs.iter().map(|(split, one)| split - one).collect::<Vec<_>>())
    };
    let allowed = one * SPLIT_GAIN + luck.min(one * LUCKIEST / epochs.sqrt());
    let detail = if one > 0.0 {
        let (gain, allowed) = (gained / one, allowed / one);
        format!("as several they earn {gain:.3} of what they earn as one, {allowed:.3} allowed")
    } else {
        format!("as several they earn {gained:.4}, as one nothing")
    };
    Law { name, outcome: Outcome::of(gained <= allowed.max(NOTHING)), detail }
}

/// Mean differences of stretches of the epochs that count.
fn stretches(split: &[f64], alone: &[f64]) -> Vec<f64> {
    let differences: Vec<f64> = split
        .iter()
        .zip(alone)
        .skip(warm_up(alone.len()))
        .map(|(split, one)| split - one)
        .collect();
    let length = differences.len().div_ceil(STRETCHES).max(1);
    differences.chunks(length).map(|stretch| mean(stretch.iter().copied())).collect()
}

/// How much the mean of these differences may be off by luck alone: Student's bound on a mean.
fn luck(differences: &[f64]) -> f64 {
    let middle = mean(differences.iter().copied());
    let squares: f64 = differences.iter().map(|one| (one - middle) * (one - middle)).sum();
    let count = count_of(differences.len());
    let Ok(student) = StudentsT::new(0.0, 1.0, count - 1.0) else { return f64::INFINITY };
    student.inverse_cdf(SURE) * (squares / (count - 1.0) / count).sqrt()
}

fn mean(of: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = count_of(of.len()).max(1.0);
    of.sum::<f64>() / count
}

#[expect(clippy::cast_precision_loss, reason = "operators and epochs are far below 2^53")]
const fn count_of(number: usize) -> f64 {
    number as f64
}

fn monotone(earned: &Earned) -> Law {
    let name = "L6 better work is never paid less";
    match (earned.operators(Kind::Substitute), earned.operators(Kind::Honest)) {
        (Some(worse), Some(honest)) => {
            let mean = |of: &[f64]| mean(of.iter().copied());
            let (worse, honest) = (mean(worse), mean(honest));
            let detail = format!("cheaper means earn {worse:.4}, the named ones {honest:.4}");
            Law { name, outcome: Outcome::of(worse <= honest), detail }
        }
        _ => Law::untried(name),
    }
}

fn cost(season: &Season) -> Law {
    let (judging, answering) = season.work;
    let holds = judging <= JUDGE_COST.saturating_mul(answering.max(1));
    let detail = format!("{judging} units judged for {answering} answered");
    Law { name: "L9 judging is bounded by serving", outcome: Outcome::of(holds), detail }
}

fn guilt(season: &Season) -> Law {
    let honest = season.identities.iter().zip(&season.convicted);
    let wronged = honest.filter(|(one, at)| !one.kind.is_cheat() && at.is_some()).count();
    let detail = format!("{wronged} who did the work were convicted");
    let outcome = Outcome::of(wronged == 0);
    Law { name: "L10 nobody is guilty without evidence", outcome, detail }
}
