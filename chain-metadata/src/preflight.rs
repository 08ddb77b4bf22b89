//! What would the chain say to these weights? Asked before anything is signed.
//!
//! ```text
//! Hyperparameters ─► Route          open, by hash, or timelocked: what the subnet takes
//! Standing + Weights ─► obstacles   each reason for which the chain would refuse, by name
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Alpha, Hyperparameters, Uid, Weights};

/// The version of timelocked commits that we write.
pub const TIMELOCK_VERSION: u16 = 4;

/// Commits that a hotkey may have open in one mechanism.
pub const MAX_OPEN_COMMITS: usize = 10;

/// How weights reach the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// As they are.
    Open,
    /// As a hash, and shown by us in the reveal's epoch.
    HashCommit,
    /// Encrypted for a round of the chain's beacon; the chain reveals them itself.
    Timelocked,
}

impl Route {
    /// The route that a subnet's own rules leave: the timelocked one where the chain has a beacon
    /// and takes commits of our version, as it needs us only once.
    pub const fn of(rules: &Hyperparameters, has_beacon: bool) -> Self {
        match (rules.commit_reveal_enabled, has_beacon, rules.commit_reveal_version) {
            (false, ..) => Self::Open,
            (true, true, TIMELOCK_VERSION) => Self::Timelocked,
            (true, ..) => Self::HashCommit,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::HashCommit => "hash commit",
            Self::Timelocked => "timelocked commit",
        })
    }
}

/// Where a hotkey stands in a subnet, as far as weights depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The block in which the weights would be at the earliest.
    pub block: u64,
    /// Its slot, if it has one.
    pub uid: Option<Uid>,
    /// Whether it is the owner's hotkey, which needs neither permit nor stake.
    pub is_owner: bool,
    /// Whether it has a validator permit.
    pub permit: bool,
    /// Its stake as the epoch counts it.
    pub stake: Alpha,
    /// The least stake that may set weights.
    pub stake_threshold: Alpha,
    /// Block of its last weights or commit in this mechanism, or of its registration.
    pub last_update: u64,
    /// Neurons of the subnet.
    pub neurons: u16,
    /// Its commits in this mechanism that wait for their reveal.
    pub open_commits: usize,
    /// The most that one uid may have of all weights, of 65535.
    pub max_weight: u16,
}

/// One reason for which the chain would refuse weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "obstacle", rename_all = "snake_case")]
pub enum Obstacle {
    /// The hotkey has no slot.
    Unregistered,
    /// Less stake than the chain's threshold.
    Stake {
        /// What it has.
        has: Alpha,
        /// What it needs.
        needs: Alpha,
    },
    /// The version key is too old.
    VersionKey {
        /// Ours.
        ours: u64,
        /// The least that the chain takes.
        asked: u64,
    },
    /// Too soon after the last weights or commit.
    RateLimit {
        /// First block that takes weights again.
        until: u64,
    },
    /// No permit to weigh others.
    NoPermit,
    /// A uid that nobody has.
    UnknownUid {
        /// Which.
        uid: Uid,
        /// Neurons of the subnet.
        neurons: u16,
    },
    /// Fewer uids than the subnet wants.
    TooFew {
        /// How many are paid.
        paid: usize,
        /// How many must be.
        needs: u16,
    },
    /// One uid has more than the subnet allows.
    TooHeavy {
        /// Which.
        uid: Uid,
        /// The most one may have, of 65535.
        limit: u16,
    },
    /// The queue of commits is full.
    CommitsFull {
        /// How many wait.
        open: usize,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unregistered => f.write_str("the hotkey is not registered"),
            Self::Stake { has, needs } => {
                write!(f, "the hotkey has {has} of the {needs} that setting weights needs")
            }
            Self::VersionKey { ours, asked } => {
                write!(f, "the chain wants version key {asked}, ours is {ours}")
            }
            Self::RateLimit { until } => write!(f, "the rate limit lasts until block {until}"),
            Self::NoPermit => f.write_str("no validator permit yet"),
            Self::UnknownUid { uid, neurons } => {
                write!(f, "uid {uid} is paid, and the subnet has {neurons} neurons")
            }
            Self::TooFew { paid, needs } => {
                write!(f, "{paid} uids are paid, and the subnet wants at least {needs}")
            }
            Self::TooHeavy { uid, limit } => {
                write!(f, "uid {uid} has more than {limit} of 65535 of all weights")
            }
            Self::CommitsFull { open } => {
                write!(f, "{open} commits wait for their reveal; the chain takes no more")
            }
        }
    }
}

/// Every reason for which the chain would refuse these weights, now or at their reveal. Ascending
/// and distinct uids, and a largest value of 65535, are what [`Weights`] always has.
pub fn obstacles(
    rules: &Hyperparameters,
    standing: &Standing,
    weights: &Weights,
    version_key: u64,
) -> Vec<Obstacle> {
    let Some(own) = standing.uid else { return vec![Obstacle::Unregistered] };
    let mut found = Vec::new();
    let Standing { stake: has, stake_threshold: needs, .. } = *standing;
    if has < needs && !standing.is_owner {
        found.push(Obstacle::Stake { has, needs });
    }
    let asked = rules.weights_version_key;
    if asked != 0 && version_key < asked {
        found.push(Obstacle::VersionKey { ours: version_key, asked });
    }
    let until = standing.last_update + rules.weights_rate_limit;
    if standing.last_update != 0 && standing.block < until {
        found.push(Obstacle::RateLimit { until });
    }
    let only_itself = weights.uids() == [own.0];
    if !standing.permit && !standing.is_owner && !only_itself {
        found.push(Obstacle::NoPermit);
    }
    if let Some((uid, _)) = weights.iter().find(|(uid, _)| uid.0 >= standing.neurons) {
        found.push(Obstacle::UnknownUid { uid, neurons: standing.neurons });
    }
    let least = rules.min_allowed_weights.min(standing.neurons);
    if weights.len() < usize::from(least) && !only_itself {
        found.push(Obstacle::TooFew { paid: weights.len(), needs: least });
    }
    if let Some(uid) = too_heavy(weights, standing.max_weight).filter(|_| !only_itself) {
        found.push(Obstacle::TooHeavy { uid, limit: standing.max_weight });
    }
    if rules.commit_reveal_enabled && standing.open_commits >= MAX_OPEN_COMMITS {
        found.push(Obstacle::CommitsFull { open: standing.open_commits });
    }
    found
}

/// A uid whose part of the sum is above the limit, of 65535.
fn too_heavy(weights: &Weights, limit: u16) -> Option<Uid> {
    if limit == u16::MAX {
        return None;
    }
    let sum: u64 = weights.iter().map(|(_, value)| u64::from(value)).sum();
    let part = |value: u16| u64::from(value) * u64::from(u16::MAX) / sum;
    weights.iter().find(|&(_, value)| part(value) > u64::from(limit)).map(|(uid, _)| uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Hyperparameters {
        Hyperparameters {
            tempo: 360,
            commit_reveal_enabled: true,
            reveal_period_epochs: 1,
            commit_reveal_version: 4,
            weights_rate_limit: 100,
            weights_version_key: 0,
            min_allowed_weights: 1,
            max_allowed_validators: 64,
            max_allowed_uids: 256,
            activity_cutoff_blocks: 5_000,
            immunity_period: 5_000,
            serving_rate_limit: 50,
            kappa: 32_767,
            burn: 1,
            mechanism_count: 1,
            subtoken_enabled: true,
            yuma3: true,
            liquid_alpha: false,
        }
    }

    fn standing() -> Standing {
        Standing {
            block: 1_000,
            uid: Some(Uid(3)),
            is_owner: false,
            permit: true,
            stake: Alpha(1_000),
            stake_threshold: Alpha(1_000),
            last_update: 900,
            neurons: 8,
            open_commits: 0,
            max_weight: u16::MAX,
        }
    }

    fn weights() -> Weights {
        Weights::from_shares(&[(Uid(1), 1.0), (Uid(2), 3.0)]).unwrap().unwrap()
    }

    #[test]
    fn the_chains_own_rules_choose_the_route() {
        let open = Hyperparameters { commit_reveal_enabled: false, ..rules() };
        let next = Hyperparameters { commit_reveal_version: 5, ..rules() };
        assert_eq!(Route::of(&open, true), Route::Open);
        assert_eq!(Route::of(&rules(), true), Route::Timelocked);
        assert_eq!(Route::of(&rules(), false), Route::HashCommit);
        assert_eq!(Route::of(&next, true), Route::HashCommit);
    }

    #[test]
    fn weights_in_order_meet_no_obstacle() {
        assert_eq!(obstacles(&rules(), &standing(), &weights(), 0), []);
    }

    #[test]
    fn each_obstacle_is_named_with_its_values() {
        type Change = fn(&mut Hyperparameters, &mut Standing);
        let cases: [(Change, Obstacle); 9] = [
            (|_, s| s.uid = None, Obstacle::Unregistered),
            (|_, s| s.stake = Alpha(999), Obstacle::Stake { has: Alpha(999), needs: Alpha(1_000) }),
            (|r, _| r.weights_version_key = 8, Obstacle::VersionKey { ours: 7, asked: 8 }),
            (|_, s| s.last_update = 901, Obstacle::RateLimit { until: 1_001 }),
            (|_, s| s.permit = false, Obstacle::NoPermit),
            (|_, s| s.neurons = 2, Obstacle::UnknownUid { uid: Uid(2), neurons: 2 }),
            (|r, _| r.min_allowed_weights = 3, Obstacle::TooFew { paid: 2, needs: 3 }),
            (|_, s| s.max_weight = 40_000, Obstacle::TooHeavy { uid: Uid(2), limit: 40_000 }),
            (|_, s| s.open_commits = 10, Obstacle::CommitsFull { open: 10 }),
        ];
        for (change, expected) in cases {
            let (mut rules, mut standing) = (rules(), standing());
            change(&mut rules, &mut standing);
            assert_eq!(obstacles(&rules, &standing, &weights(), 7), [expected]);
        }
    }

    #[test]
    fn the_owner_needs_no_permit_and_nobody_needs_one_to_weigh_itself() {
        let poor = Standing { permit: false, stake: Alpha(0), ..standing() };
        let owner = Standing { is_owner: true, ..poor };
        assert_eq!(obstacles(&rules(), &owner, &weights(), 0), []);
        let itself = Weights::only(Uid(3));
        let unpermitted = Standing { permit: false, ..standing() };
        assert_eq!(obstacles(&rules(), &unpermitted, &itself, 0), []);
    }
}
