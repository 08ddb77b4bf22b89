//! What a season showed: who earned what, whether bounds and laws held.

mod html;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::Serialize;

use super::cast::{BURN, CHEATS, Cast, Kind};
use super::laws::{self, Law, Outcome};
use super::season::{ArenaError, Season, Settings, World, play, unsplit};
use crate::digest::Digest;
use crate::manifest::{Bound, Manifest};
use crate::rule::Rule;

/// Epochs at the beginning whose pay does not count towards shares: nobody is known yet, and whoever
/// is known first gets everything. A tenth of the season, at most this many.
const WARM_UP_MAX: usize = 10;
/// How many epochs do not count, of so many.
pub(super) fn warm_up(epochs: usize) -> usize {
    (epochs / 10).min(WARM_UP_MAX)
}

/// What one kind earned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Actor {
    /// The kind, or `burn`.
    pub kind: &'static str,
    /// Identities of it.
    pub count: usize,
    /// Share of all incentive.
    pub share: f64,
    /// The same for each identity.
    pub share_per_identity: f64,
    /// Identities that were convicted.
    pub convicted: usize,
    /// Median epoch of their convictions.
    pub median_epoch_convicted: Option<u64>,
    /// Whether it does less than the rule pays for.
    #[serde(skip)]
    pub cheats: bool,
}

/// A bound of the manifest and whether it held.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoundCheck {
    /// Which actor, and which side.
    pub name: String,
    /// The limit.
    pub limit: f64,
    /// What was seen.
    pub value: f64,
    /// Whether it held.
    pub holds: bool,
}

/// The report of a season.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The rule's name.
    pub rule: String,
    /// The rule's digest.
    pub digest: Digest,
    /// Epochs played.
    pub epochs: u64,
    /// The season's seed.
    pub seed: u64,
    /// Who earned what.
    pub actors: Vec<Actor>,
    /// The manifest's bounds on those who played.
    pub bounds: Vec<BoundCheck>,
    /// The ten laws.
    pub laws: Vec<Law>,
    /// Digest of the evidence log.
    pub log_digest: Digest,
    /// Tasks that validators drew in the season: what examining cost.
    pub draws: u64,
    /// Where a chain was played on: how far it and the epoch computed in process were apart, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apart_from_chain: Option<f64>,
    #[serde(skip)]
    plots: html::Plots,
}

/// Shares of all incentive by kind.
#[derive(Debug, Clone)]
pub(super) struct Earned {
    /// Each kind that played, and what each operator of it earned.
    kinds: Vec<(Kind, Vec<f64>)>,
    burned: f64,
}

impl Earned {
    fn of(season: &Season, cast: &Cast) -> Self {
        let warm_up = warm_up(season.incentive.len());
        let mut sums = vec![0.0; season.identities.len()];
        for epoch in season.incentive.iter().skip(warm_up) {
            sums.iter_mut().zip(epoch).for_each(|(sum, share)| *sum += share);
        }
        let burned: f64 = season.burned.iter().skip(warm_up).sum();
        let total: f64 = sums.iter().sum::<f64>() + burned;
        let part = |sum: f64| if total > 0.0 { sum / total } else { 0.0 };
        let of_kind = |kind: Kind| {
            let mut operators = BTreeMap::new();
            for (one, sum) in
                season.identities.iter().zip(&sums).filter(|(one, _)| one.kind == kind)
            {
                *operators.entry(one.operator).or_insert(0.0) += part(*sum);
            }
            (kind, operators.into_values().collect())
        };
        let played = |kind: &Kind| cast.groups().iter().any(|group| group.kind == *kind);
        let kinds = Kind::ALL.into_iter().filter(played).map(of_kind).collect();
        Self { kinds, burned: part(burned) }
    }

    /// Share of a kind, if it played.
    pub(super) fn share(&self, kind: Kind) -> Option<f64> {
        self.operators(kind).map(|operators| operators.iter().sum())
    }

    /// Share of each operator of a kind, if it played.
    pub(super) fn operators(&self, kind: Kind) -> Option<&[f64]> {
        self.kinds.iter().find(|(one, _)| *one == kind).map(|(_, operators)| operators.as_slice())
    }

    /// Share of the actor a bound names, if it played.
    fn named(&self, actor: &str) -> Option<f64> {
        let of = |wanted: &dyn Fn(Kind) -> bool| {
            let mut present = self.kinds.iter().filter(|(kind, _)| wanted(*kind)).peekable();
            present.peek()?;
            Some(present.flat_map(|(_, operators)| operators).sum())
        };
        match actor {
            BURN => Some(self.burned),
            CHEATS => of(&Kind::is_cheat),
            name => of(&|kind| kind.name() == name),
        }
    }
}

impl Report {
    /// The report of a season.
    pub fn new(manifest: &Manifest, settings: &Settings, season: &Season) -> Self {
        let earned = Earned::of(season, &settings.cast);
        Self {
            rule: manifest.name.to_string(),
            digest: manifest.digest(),
            epochs: settings.epochs,
            seed: settings.seed,
            actors: actors(season, &earned),
            bounds: manifest
                .bounds
                .iter()
                .flat_map(|bound| checks(bound, &earned, season))
                .collect(),
            laws: laws::check(season, &earned, &settings.cast),
            log_digest: season.log,
            draws: season.draws.0,
            apart_from_chain: season.apart,
            plots: html::Plots::of(season),
        }
    }

    /// Takes in what a class of this rule was held to: its bounds, and the laws it broke.
    pub(super) fn absorb(&mut self, class: &str, part: &Self) {
        let named = |bound: &BoundCheck| BoundCheck {
            name: format!("{class}: {}", bound.name),
            ..bound.clone()
        };
        self.bounds.extend(part.bounds.iter().map(named));
        for (law, of_part) in self.laws.iter_mut().zip(&part.laws).filter(|(_, one)| one.broken()) {
            law.outcome = Outcome::Broken;
            law.detail = format!("{}; {class}: {}", law.detail, of_part.detail);
        }
    }

    /// Whether every bound and every law held.
    pub fn holds(&self) -> bool {
        self.bounds.iter().all(|bound| bound.holds) && !self.laws.iter().any(Law::broken)
    }

    /// A page of its own with tables and plots.
    pub fn html(&self) -> String {
        html::page(self)
    }
}

/// Plays a season without a log, and beside it with operators unsplit, and says what they showed;
/// `world` makes the world of a seed.
///
/// # Errors
/// As [`play`].
pub fn rehearse<R: Rule, W: World<R>>(
    rule: &Arc<R>,
    world: impl Fn(u64) -> W,
    settings: &Settings,
) -> Result<Report, ArenaError> {
    let season = play(rule, &mut world(settings.seed), settings, io::sink())?;
    let unsplit = unsplit(rule, |seed| Ok(world(seed)), settings)?;
    Ok(Report::new(rule.manifest(), settings, &Season { unsplit, ..season }))
}

fn actors(season: &Season, earned: &Earned) -> Vec<Actor> {
    let of_kind = |(kind, operators): &(Kind, Vec<f64>)| {
        let (kind, share) = (*kind, operators.iter().sum::<f64>());
        let members: Vec<_> = season
            .identities
            .iter()
            .zip(&season.convicted)
            .filter(|(one, _)| one.kind == kind)
            .collect();
        let mut epochs: Vec<_> = members.iter().filter_map(|(_, at)| **at).collect();
        epochs.sort_unstable();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a cast has at most some hundred identities"
        )]
        let share_per_identity = share / members.len().max(1) as f64;
        Actor {
            kind: kind.name(),
            count: members.len(),
            share,
            share_per_identity,
            convicted: epochs.len(),
            median_epoch_convicted: epochs.get(epochs.len() / 2).copied(),
            cheats: kind.is_cheat(),
        }
    };
    let burn = Actor {
        kind: BURN,
        count: 1,
        share: earned.burned,
        share_per_identity: earned.burned,
        convicted: 0,
        median_epoch_convicted: None,
        cheats: false,
    };
    earned.kinds.iter().map(of_kind).chain([burn]).collect()
}

/// The sides of a bound, where its actor played or its figure is known.
fn checks(bound: &Bound, earned: &Earned, season: &Season) -> Vec<BoundCheck> {
    let figure = |name: &String| {
        let of_name = season.figures.iter().find(|(figure, _)| figure == name);
        of_name.map(|(_, value)| *value)
    };
    let of_actor = bound.actor.as_ref().and_then(|actor| earned.named(actor));
    let Some(value) = of_actor.or_else(|| bound.figure.as_ref().and_then(figure)) else {
        return Vec::new();
    };
    let subject = bound.actor.as_ref().or(bound.figure.as_ref()).map_or("", String::as_str);
    let name = |side: &str| format!("{subject} {side}");
    let least = bound.at_least.map(|limit| BoundCheck {
        name: name("at least"),
        limit,
        value,
        holds: value >= limit,
    });
    let most = bound.at_most.map(|limit| BoundCheck {
        name: name("at most"),
        limit,
        value,
        holds: value <= limit,
    });
    least.into_iter().chain(most).collect()
}
