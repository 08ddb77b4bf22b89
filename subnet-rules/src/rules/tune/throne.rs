//! Who reigns, and how far each challenger has come.

use std::collections::{BTreeMap, BTreeSet};

use chain_metadata::Hotkey;
use scoring::copies::{leaders, rms_distance};
use scoring::estimators::Wealth;
use serde::{Deserialize, Serialize};

use super::{Measurement, Params, Run};
use crate::digest::Digest;
use crate::rule::Measured;

/// The commitment that reigns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reign {
    /// Which.
    pub commitment: Digest,
    /// Whose.
    pub hotkey: Hotkey,
    /// Rounds since it won.
    pub age: u64,
    /// Rounds in a row in which its artefact could not be run.
    pub absent: u32,
}

/// A commitment on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Challenger {
    /// Whose.
    pub hotkey: Hotkey,
    /// The bettor's account against the reigning one.
    pub wealth: Wealth,
    /// It was like an earlier one when that was there: a copy has no case, now or later.
    pub copied: bool,
}

/// What the rule remembers between rounds: of the commitments in the latest round alone, which bounds
/// it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Throne {
    /// Who reigns; nobody at the beginning.
    pub reign: Option<Reign>,
    /// Everybody else.
    pub challengers: BTreeMap<Digest, Challenger>,
    /// How often the crown was won.
    pub coronations: u32,
}

/// A model of the round.
struct Entry<'m> {
    hotkey: Hotkey,
    run: &'m Run,
}

impl Throne {
    /// Commitments known to be copies, ascending.
    pub(super) fn copies(&self) -> Vec<Digest> {
        let copied = self.challengers.iter().filter(|(_, one)| one.copied);
        copied.map(|(commitment, _)| *commitment).collect()
    }

    /// The throne after a round.
    pub(super) fn after(mut self, params: &Params, measured: &[Measured<Measurement>]) -> Self {
        let entries = entries(measured);
        let Some(crown_losses) = self.losses_to_beat(params, &entries) else {
            return self;
        };
        self.admit(params, &entries);
        self.bet(params, &entries, &crown_losses);
        self.crown(params, &entries);
        self
    }

    fn reigning(&self, entry: &Entry<'_>) -> bool {
        let reign = self.reign.as_ref();
        reign.is_some_and(|it| it.commitment == entry.run.commitment && it.hotkey == entry.hotkey)
    }

    /// Losses of the reigning commitment, or the floor of an empty throne. `None` in a round in which
    /// the reigning one could not be run: nobody can be compared then. After too many of those the
    /// throne is empty: refusing to be examined does not keep a crown.
    fn losses_to_beat(&mut self, params: &Params, entries: &[Entry<'_>]) -> Option<Vec<u32>> {
        let present = entries.iter().find(|entry| self.reigning(entry));
        let losses = present.map(|entry| entry.run.losses.clone());
        let Some(reign) = &mut self.reign else {
            return Some(vec![params.floor; params.batches as usize]);
        };
        reign.age += 1;
        reign.absent = if losses.is_some() { 0 } else { reign.absent + 1 };
        if reign.absent >= params.patience {
            self.reign = None;
            self.challengers.clear();
        }
        losses
    }

    /// Keeps the challengers that are there, takes in new ones, and marks copies: of the reigning one
    /// or of an earlier one.
    fn admit(&mut self, params: &Params, entries: &[Entry<'_>]) {
        let present: BTreeSet<_> = entries.iter().map(|entry| entry.run.commitment).collect();
        self.challengers.retain(|commitment, _| present.contains(commitment));
        // The reigning one was there before whoever challenges it, and a known copy leads nobody.
        let mut run: Vec<_> = entries.iter().filter(|entry| !entry.run.losses.is_empty()).collect();
        run.sort_by_key(|entry| !self.reigning(entry));
        let losses: Vec<Vec<f64>> = run.iter().map(|entry| doubles(&entry.run.losses)).collect();
        let alike = |a: usize, b: usize| {
            let reach = params.alike * mean(&losses[a]);
            rms_distance(&losses[a], &losses[b]).is_some_and(|distance| distance <= reach)
        };
        let leader_of = leaders(run.len(), alike);
        for (place, entry) in run.into_iter().enumerate() {
            if self.reigning(entry) {
                continue;
            }
            let fresh =
                Challenger { hotkey: entry.hotkey, wealth: Wealth::default(), copied: false };
            let challenger = self.challengers.entry(entry.run.commitment).or_insert(fresh);
            challenger.copied |= leader_of[place] != place;
        }
    }

    fn bet(&mut self, params: &Params, entries: &[Entry<'_>], crown_losses: &[u32]) {
        let age = self.reign.as_ref().map_or(0, |reign| reign.age);
        for entry in entries {
            let Some(challenger) = self.challengers.get_mut(&entry.run.commitment) else {
                continue;
            };
            if challenger.copied {
                continue;
            }
            for (holder, loss) in crown_losses.iter().zip(&entry.run.losses) {
                // Losses are between 1 and a maximum, so the margin is a number.
                if let Ok(margin) = params.crown.margin(age, (*holder).into(), (*loss).into()) {
                    params.crown.bet(&mut challenger.wealth, margin);
                }
            }
        }
    }

    /// The crown falls to the earliest of those commitments that have won it and that no other of them
    /// beats by ε in this round; then everybody begins again. Where several win at once, as over an
    /// empty throne, the better model wins, the earlier of equals, and being many is worth nothing.
    fn crown(&mut self, params: &Params, entries: &[Entry<'_>]) {
        let won = |entry: &&Entry<'_>| {
            let challenger = self.challengers.get(&entry.run.commitment);
            challenger.is_some_and(|one| params.crown.falls_to(&one.wealth))
        };
        let won: Vec<_> = entries.iter().filter(won).collect();
        let loss = |entry: &Entry<'_>| mean(&doubles(&entry.run.losses));
        let best = won.iter().map(|entry| loss(entry)).fold(f64::INFINITY, f64::min);
        let beaten = |entry: &Entry<'_>| best < loss(entry) * (1.0 - params.crown.epsilon.at(0));
        if let Some(entry) = won.into_iter().find(|entry| !beaten(entry)) {
            let (commitment, hotkey) = (entry.run.commitment, entry.hotkey);
            self.reign = Some(Reign { commitment, hotkey, age: 0, absent: 0 });
            self.coronations += 1;
            self.challengers.remove(&commitment);
            self.challengers.values_mut().for_each(|one| one.wealth = Wealth::default());
        }
    }
}

/// Every model of the round, the earliest commitment first.
fn entries(measured: &[Measured<Measurement>]) -> Vec<Entry<'_>> {
    let mut entries: Vec<_> = measured
        .iter()
        .flat_map(|one| one.measurement.iter().map(|run| Entry { hotkey: one.hotkey, run }))
        .collect();
    entries.sort_by_key(|entry| (entry.run.committed_at, entry.hotkey));
    entries
}

fn doubles(losses: &[u32]) -> Vec<f64> {
    losses.iter().map(|loss| f64::from(*loss)).collect()
}

fn mean(losses: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 256 batches")]
    let count = losses.len().max(1) as f64;
    losses.iter().sum::<f64>() / count
}
