//! Standings by hotkey.
//!
//! A rule declares its [`Tracks`]; evidence comes in by track; [`Book::assess`] says what each hotkey
//! is worth and why. Slots are reused and hotkeys are not: nothing here knows a uid, so a newcomer
//! starts from nothing whoever held its slot before.

use std::collections::BTreeMap;

use chain_metadata::Hotkey;
use serde::{Deserialize, Serialize};

use crate::estimators::{Estimate, Estimator, KindError, ParameterError, State, Verdict};
use crate::evidence::Evidence;

/// What a track's standing does to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// No pay until it passes, none once it fails.
    Gate,
    /// Pay is multiplied by it.
    Factor,
    /// Shown, not paid by.
    Shown,
}

/// One line of evidence about a subject.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Track {
    /// How evidence becomes standing.
    pub estimator: Estimator,
    /// What the standing does.
    pub role: Role,
    /// Pieces of evidence below which a factor is unknown.
    #[serde(default)]
    pub min_samples: u64,
}

/// The tracks of a rule by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tracks(BTreeMap<String, Track>);

/// Why tracks are not valid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TracksError {
    /// A parameter out of range.
    #[error("track `{track}`: {source}")]
    Parameter {
        /// Which track.
        track: String,
        /// Which parameter.
        source: ParameterError,
    },
    /// An estimator that never passes a verdict cannot be a gate.
    #[error("track `{track}`: {estimator} passes no verdict, so it cannot be a gate")]
    NoVerdict {
        /// Which track.
        track: String,
        /// Its estimator.
        estimator: &'static str,
    },
    /// An estimator that estimates nothing cannot be a factor.
    #[error("track `{track}`: {estimator} estimates no value, so it cannot be a factor")]
    NoValue {
        /// Which track.
        track: String,
        /// Its estimator.
        estimator: &'static str,
    },
    /// Nothing to pay by.
    #[error("no track is a factor: there is nothing to pay by")]
    NoFactor,
}

/// Why evidence was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// No such track.
    #[error("the rule has no track `{track}`")]
    UnknownTrack {
        /// The name that came.
        track: String,
    },
    /// The track takes another kind.
    #[error("track `{track}`: {source}")]
    Kind {
        /// Which track.
        track: String,
        /// What came and what was wanted.
        source: KindError,
    },
}

impl Tracks {
    /// Checks every parameter and role.
    pub fn new(tracks: BTreeMap<String, Track>) -> Result<Self, TracksError> {
        let unchecked = Self(tracks);
        unchecked.check()?;
        Ok(unchecked)
    }

    /// Whether what was deserialised is valid.
    pub fn check(&self) -> Result<(), TracksError> {
        for (name, track) in &self.0 {
            let estimator = track.estimator.name();
            track
                .estimator
                .check()
                .map_err(|source| TracksError::Parameter { track: name.clone(), source })?;
            match (track.role, track.estimator) {
                (Role::Gate, Estimator::Beta(_) | Estimator::Ema(_) | Estimator::Sequence(_)) => {
                    return Err(TracksError::NoVerdict { track: name.clone(), estimator });
                }
                (Role::Factor, Estimator::Sprt(_)) => {
                    return Err(TracksError::NoValue { track: name.clone(), estimator });
                }
                _ => {}
            }
        }
        let pays = self.0.values().any(|track| track.role == Role::Factor);
        if pays { Ok(()) } else { Err(TracksError::NoFactor) }
    }

    /// The track of this name.
    pub fn get(&self, name: &str) -> Option<&Track> {
        self.0.get(name)
    }

    /// Tracks in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Track)> {
        self.0.iter().map(|(name, track)| (name.as_str(), track))
    }
}

/// What is known of one hotkey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Epoch of the first evidence.
    pub since_epoch: u64,
    /// Epoch of the latest evidence.
    pub latest_epoch: u64,
    tracks: BTreeMap<String, State>,
}

impl Standing {
    /// The state of a track, if evidence ever came on it.
    pub fn track(&self, name: &str) -> Option<&State> {
        self.tracks.get(name)
    }
}

/// What a hotkey is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// Too little evidence on a track to say.
    Unknown {
        /// The first such track.
        track: String,
    },
    /// Nothing: a gate did not pass.
    Gated {
        /// The first such gate.
        track: String,
        /// What it said.
        verdict: Verdict,
    },
    /// The product of its factors.
    Worth(f64),
}

/// What a hotkey is worth, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// The conclusion.
    pub worth: Worth,
    /// Every gate and what it says.
    pub gates: BTreeMap<String, Verdict>,
    /// Every factor with evidence and what it is worth.
    pub factors: BTreeMap<String, Estimate>,
}

impl Assessment {
    /// What pay shapes start from: the worth, or 0 where it is unknown or gated.
    pub fn score(&self) -> f64 {
        match self.worth {
            Worth::Worth(worth) => worth,
            Worth::Unknown { .. } | Worth::Gated { .. } => 0.0,
        }
    }

    /// [`Self::score`], between the products of the factors' lower and upper ends; nothing but 0
    /// where it is unknown or gated.
    pub fn range(&self) -> Range {
        match self.worth {
            Worth::Worth(score) => Range {
                low: self.factors.values().map(|factor| factor.low).product(),
                score,
                high: self.factors.values().map(|factor| factor.high).product(),
            },
            Worth::Unknown { .. } | Worth::Gated { .. } => Range::default(),
        }
    }
}

/// A score and the interval it is held to lie in.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Range {
    /// The interval's lower end.
    pub low: f64,
    /// What pay starts from.
    pub score: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl std::ops::Add for Range {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            low: self.low + other.low,
            score: self.score + other.score,
            high: self.high + other.high,
        }
    }
}

/// Standings of all hotkeys that evidence ever came about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Book {
    standings: BTreeMap<Hotkey, Standing>,
}

impl Book {
    /// Takes in what a judge found about `hotkey` in `epoch`: all of it, or nothing if one piece
    /// does not fit its track.
    pub fn record(
        &mut self,
        tracks: &Tracks,
        hotkey: Hotkey,
        epoch: u64,
        findings: &[(String, Evidence)],
    ) -> Result<(), BookError> {
        let known = self.standings.get(&hotkey).cloned();
        let mut standing = known.unwrap_or_else(|| Standing {
            since_epoch: epoch,
            latest_epoch: epoch,
            tracks: BTreeMap::new(),
        });
        for (name, evidence) in findings {
            let track =
                tracks.get(name).ok_or_else(|| BookError::UnknownTrack { track: name.clone() })?;
            let state =
                standing.tracks.entry(name.clone()).or_insert_with(|| track.estimator.start());
            track
                .estimator
                .observe(state, evidence, epoch)
                .map_err(|source| BookError::Kind { track: name.clone(), source })?;
        }
        standing.latest_epoch = standing.latest_epoch.max(epoch);
        self.standings.insert(hotkey, standing);
        Ok(())
    }

    /// What `hotkey` is worth in `epoch`.
    pub fn assess(&self, tracks: &Tracks, hotkey: &Hotkey, epoch: u64) -> Assessment {
        let standing = self.standings.get(hotkey);
        let state = |name: &str| standing.and_then(|standing| standing.track(name));
        let of_role = |role| tracks.iter().filter(move |(_, track)| track.role == role);

        let gates: BTreeMap<_, _> = of_role(Role::Gate)
            .map(|(name, track)| {
                let verdict = state(name).map(|state| track.estimator.verdict(state, epoch));
                (name.to_owned(), verdict.unwrap_or(Verdict::NoEvidence))
            })
            .collect();
        let mut factors = BTreeMap::new();
        let mut unknown = None;
        for (name, track) in of_role(Role::Factor) {
            match state(name).and_then(|state| track.estimator.estimate(state)) {
                Some(estimate) => {
                    if estimate.samples < track.min_samples {
                        unknown.get_or_insert_with(|| name.to_owned());
                    }
                    factors.insert(name.to_owned(), estimate);
                }
                None => {
                    unknown.get_or_insert_with(|| name.to_owned());
                }
            }
        }
        Assessment { worth: worth(&gates, &factors, unknown), gates, factors }
    }

    /// A book of these hotkeys alone: to try a round's evidence on, before [`Self::merge`].
    #[must_use]
    pub fn clone_of(&self, hotkeys: impl IntoIterator<Item = Hotkey>) -> Self {
        let known = |hotkey| Some((hotkey, self.standings.get(&hotkey)?.clone()));
        Self { standings: hotkeys.into_iter().filter_map(known).collect() }
    }

    /// Takes over the standings of another book, replacing those of the same hotkeys.
    pub fn merge(&mut self, other: Self) {
        self.standings.extend(other.standings);
    }

    /// What is known of a hotkey.
    pub fn standing(&self, hotkey: &Hotkey) -> Option<&Standing> {
        self.standings.get(hotkey)
    }

    /// All hotkeys with a standing, in their order.
    pub fn hotkeys(&self) -> impl Iterator<Item = &Hotkey> {
        self.standings.keys()
    }

    /// Drops the standings of hotkeys for which `keep` is false: the bound on the book's size.
    pub fn retain(&mut self, mut keep: impl FnMut(&Hotkey, &Standing) -> bool) {
        self.standings.retain(|hotkey, standing| keep(hotkey, standing));
    }
}

/// A conviction outweighs missing evidence, which outweighs what the factors say.
fn worth(
    gates: &BTreeMap<String, Verdict>,
    factors: &BTreeMap<String, Estimate>,
    unknown: Option<String>,
) -> Worth {
    for wanted in [Verdict::Fail, Verdict::NoEvidence] {
        if let Some((track, verdict)) = gates.iter().find(|(_, verdict)| **verdict == wanted) {
            return Worth::Gated { track: track.clone(), verdict: *verdict };
        }
    }
    match unknown {
        Some(track) => Worth::Unknown { track },
        None => Worth::Worth(factors.values().map(|estimate| estimate.value).product()),
    }
}

#[cfg(test)]
mod tests;
