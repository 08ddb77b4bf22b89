//! The ten laws that every rule must keep, held against a season.

use serde::Serialize;

use super::cast::Kind;
use super::report::Earned;
use super::season::Season;

/// Share of all incentive below which a kind counts as earning nothing.
const NOTHING: f64 = 0.02;
/// What k identities on the means of one may earn together, in units of one.
const SPLIT_GAIN: f64 = 1.05;
/// Standard errors that a gain must be beyond before [`split`] takes it for one: 99 in 100 seasons of
/// luck stay within.
const SURE: f64 = 2.326;
/// What may be put down to luck at most, in units of one, times the root of the season's epochs: half of
/// one's pay in 20 epochs, a sixth in 200. Operators may also be unequal by skill, and a crown makes them
/// so for long: neither excuses a gain.
const LUCKIEST: f64 = 2.3;
/// Judging work allowed for each unit of answering work: one prefill, and as much again to spare.
const JUDGE_COST: u64 = 2;

/// One law and whether it held.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Law {
    /// Its number and short name.
    pub name: &'static str,
    /// Whether it held.
    pub holds: bool,
    /// What was seen; or that nobody in the cast could break it.
    pub detail: String,
}

/// All ten laws.
pub(super) fn check(season: &Season, earned: &Earned) -> Vec<Law> {
    let absent = season.inapplicable.iter().map(|(kind, why)| inapplicable(*kind, why));
    let mut laws = vec![
        fresh(season),
        recomputed("L2 only serialised measurements are judged", season),
        little("L3 a copy is worth nothing", earned, &[Kind::Copier]),
        little("L4 no work is worth nothing", earned, &[Kind::Lazy]),
        split(earned, season.incentive.len()),
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
    Law { name, holds: true, detail: format!("{kind}: {why}") }
}

fn fresh(season: &Season) -> Law {
    let (drawn, distinct) = season.draws;
    let detail = format!("{distinct} distinct tasks in {drawn} draws");
    Law { name: "L1 no task is drawn twice", holds: drawn == distinct, detail }
}

fn recomputed(name: &'static str, season: &Season) -> Law {
    let (same, looked_at) = season.recomputed;
    let detail = format!("{same} of {looked_at} epochs came out the same from their records");
    Law { name, holds: same == looked_at, detail }
}

fn little(name: &'static str, earned: &Earned, kinds: &[Kind]) -> Law {
    let present: Vec<_> =
        kinds.iter().filter_map(|kind| Some((kind, earned.share(*kind)?))).collect();
    if present.is_empty() {
        return Law { name, holds: true, detail: "nobody in the cast could break it".to_owned() };
    }
    let detail: Vec<_> = present.iter().map(|(kind, share)| format!("{kind} {share:.4}")).collect();
    let holds = present.iter().all(|(_, share)| *share <= NOTHING);
    Law { name, holds, detail: format!("{} of all, {NOTHING} allowed", detail.join(", ")) }
}

/// What operators of many identities earned beside those of one, on the same means. Luck is told apart
/// from a gain by how unequally the operators of one did: a bound on the difference of two means that
/// share their spread.
fn split(earned: &Earned, epochs: usize) -> Law {
    let name = "L5 splitting does not pay";
    let (Some(many), Some(one)) = (earned.operators(Kind::Sybil), earned.operators(Kind::Honest))
    else {
        return Law { name, holds: true, detail: "nobody in the cast could break it".to_owned() };
    };
    let (gained, alone) = (mean(many), mean(one));
    let most = alone * LUCKIEST / count_of(epochs.max(1)).sqrt();
    let allowed = alone * SPLIT_GAIN + luck(many.len(), one).min(most);
    let detail = if alone > 0.0 {
        let (gain, allowed) = (gained / alone, allowed / alone);
        format!("an operator of many earns {gain:.3} of an operator of one, {allowed:.3} allowed")
    } else {
        format!("an operator of many earns {gained:.4}, operators of one nothing")
    };
    Law { name, holds: gained <= allowed, detail }
}

/// How much more than the mean of `like` the mean of `count` more of them may be by luck alone. The
/// normal bound, also where there are few: it takes too little for luck then, which is the strict side.
fn luck(count: usize, like: &[f64]) -> f64 {
    let mean = mean(like);
    let squares = like.iter().map(|earned| (earned - mean) * (earned - mean)).sum::<f64>();
    let spread = (squares / (count_of(like.len()) - 1.0).max(1.0)).sqrt();
    SURE * spread * (1.0 / count_of(count) + 1.0 / count_of(like.len())).sqrt()
}

fn mean(earned: &[f64]) -> f64 {
    earned.iter().sum::<f64>() / count_of(earned.len()).max(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "operators and epochs are far below 2^53")]
const fn count_of(number: usize) -> f64 {
    number as f64
}

fn monotone(earned: &Earned) -> Law {
    let name = "L6 better work is never paid less";
    match (earned.operators(Kind::Substitute), earned.operators(Kind::Honest)) {
        (Some(worse), Some(honest)) => {
            let (worse, honest) = (mean(worse), mean(honest));
            let detail = format!("cheaper means earn {worse:.4}, the named ones {honest:.4}");
            Law { name, holds: worse <= honest, detail }
        }
        _ => Law { name, holds: true, detail: "nobody in the cast could break it".to_owned() },
    }
}

fn cost(season: &Season) -> Law {
    let (judging, answering) = season.work;
    let holds = judging <= JUDGE_COST.saturating_mul(answering.max(1));
    let detail = format!("{judging} units judged for {answering} answered");
    Law { name: "L9 judging is bounded by serving", holds, detail }
}

fn guilt(season: &Season) -> Law {
    let honest = season.identities.iter().zip(&season.convicted);
    let wronged = honest.filter(|(one, at)| !one.kind.is_cheat() && at.is_some()).count();
    let detail = format!("{wronged} who did the work were convicted");
    Law { name: "L10 nobody is guilty without evidence", holds: wronged == 0, detail }
}
