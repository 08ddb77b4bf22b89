//! Many seasons: hyperparameters and adversary shares varied, to find where a rule is safe.

use serde::Serialize;

use super::cast::IDENTITIES_MAX;
use super::report::Report;
use super::season::Settings;
use super::subnet::Hyperparameters;
use crate::digest::Digest;

/// Stake that must agree on a weight: below, at and above the chain's own half.
const KAPPAS: [u16; 3] = [26_214, 32_767, 39_321];
/// Cheats for each that was cast.
const FACTORS: [usize; 3] = [1, 2, 4];

/// Share of all incentive that is as good as none.
const NOTHING: f64 = 0.02;

/// What one season of a sweep is played with, and what it showed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The subnet's hyperparameters.
    pub hyperparameters: Hyperparameters,
    /// Share of stake in league with colluders.
    pub stake_in_league: f64,
    /// Cheats in units of the cast's own, colluders aside.
    pub times: usize,
    /// Share of all identities that cheat.
    pub cheats: f64,
    /// Share of all incentive that all who cheat earned.
    pub earned_by_cheats: f64,
    /// Names of the bounds and laws that broke, and what the league came to.
    pub broken: Vec<String>,
    /// Whether none did.
    pub holds: bool,
}

/// A sweep: every season, and what they say together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sweep {
    /// The rule's name.
    pub rule: String,
    /// The rule's digest.
    pub digest: Digest,
    /// Epochs of each season.
    pub epochs: u64,
    /// Seed of each season.
    pub seed: u64,
    /// Every season.
    pub points: Vec<Point>,
    /// For each set of hyperparameters, how far it is safe.
    pub safe: Vec<Region>,
}

/// Where all seasons held: none with at most so much in league and at most so many cheats broke.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Region {
    /// The subnet's hyperparameters.
    pub hyperparameters: Hyperparameters,
    /// Largest share of stake in league; `None` where not even nobody in league was safe.
    pub stake_in_league: Option<f64>,
    /// Most cheats within that, in units of the cast's own.
    pub times: Option<usize>,
}

/// The seasons of a sweep around `settings`: all kappas, all sizes of the league up to all validators
/// but one, and once, twice, four times the cheats,
/// each with how many times. Casts too large for a subnet are left out.
pub fn points(settings: &Settings) -> Vec<(usize, Settings)> {
    let mut all = Vec::new();
    for kappa in KAPPAS {
        for factor in FACTORS {
            for league in 0..usize::from(settings.validators) {
                let cast = settings.cast.varied(factor, league);
                if (1..=IDENTITIES_MAX).contains(&cast.size()) {
                    let chain = Hyperparameters { kappa, ..settings.chain };
                    all.push((factor, Settings { cast, chain, ..settings.clone() }));
                }
            }
        }
    }
    all
}

impl Point {
    /// What a season with so many times the cast's cheats showed.
    pub fn new(times: usize, settings: &Settings, report: &Report) -> Self {
        let cheats = report.actors.iter().filter(|actor| actor.cheats);
        let (mut count, mut earned) = (0, 0.0);
        for cheat in cheats {
            count += cheat.count;
            earned += cheat.share;
        }
        let groups = settings.cast.groups().iter();
        let league: usize = groups
            .filter(|group| group.kind == super::Kind::Colluder)
            .map(|group| group.operators)
            .sum();
        let bounds = report.bounds.iter().filter(|bound| !bound.holds).map(|bound| &bound.name);
        let broken_laws =
            report.laws.iter().filter(|law| law.broken()).map(|law| law.name.to_owned());
        let of = |kind: super::Kind| {
            report.actors.iter().find(|actor| actor.kind == kind.name()).map(|actor| actor.share)
        };
        // What no rule may bound, as no rule can prevent it: the chain follows the majority of stake.
        let captured = of(super::Kind::Colluder).is_some_and(|share| share > NOTHING);
        let starved = of(super::Kind::Honest).is_some_and(|share| share <= NOTHING);
        let of_league = [(captured, "colluders are paid"), (starved, "the honest are not paid")];
        let broken: Vec<String> = bounds
            .cloned()
            .chain(broken_laws)
            .chain(of_league.iter().filter(|(is, _)| *is).map(|(_, name)| (*name).to_owned()))
            .collect();
        Self {
            hyperparameters: settings.chain,
            stake_in_league: share(league, usize::from(settings.validators)),
            times,
            cheats: share(count, settings.cast.size()),
            earned_by_cheats: earned,
            holds: broken.is_empty(),
            broken,
        }
    }
}

fn share(part: usize, whole: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most some hundred identities")]
    let share = part as f64 / whole.max(1) as f64;
    share
}

impl Sweep {
    /// What seasons say together; `report` is any one of theirs.
    pub fn new(report: &Report, points: Vec<Point>) -> Self {
        let safe = KAPPAS
            .into_iter()
            .filter_map(|kappa| {
                let of: Vec<_> =
                    points.iter().filter(|point| point.hyperparameters.kappa == kappa).collect();
                region(&of)
            })
            .collect();
        Self {
            rule: report.rule.clone(),
            digest: report.digest,
            epochs: report.epochs,
            seed: report.seed,
            points,
            safe,
        }
    }
}

/// The largest league that is safe with the cast's own cheats; then the most cheats within it.
fn region(points: &[&Point]) -> Option<Region> {
    let hyperparameters = points.first()?.hyperparameters;
    let mut leagues: Vec<f64> = points.iter().map(|point| point.stake_in_league).collect();
    leagues.sort_by(f64::total_cmp);
    let safe = |league: f64, times: usize| {
        let within = |point: &Point| point.stake_in_league <= league && point.times <= times;
        points.iter().filter(|point| within(point)).all(|point| point.holds)
    };
    let stake_in_league = leagues.into_iter().take_while(|league| safe(*league, 1)).last();
    let times = stake_in_league
        .and_then(|league| FACTORS.into_iter().take_while(|times| safe(league, *times)).last());
    Some(Region { hyperparameters, stake_in_league, times })
}
