//! Why a timelocked commit came to nothing.
//!
//! The chain opens commits itself, and where it cannot apply what it finds it says so to nobody:
//! no event, no error, the commit is just gone. [`diagnose`] walks the same path as the chain, over
//! what the chain had before it, and names the step that failed.

use std::fmt;

use chain::TimelockedCommit;
use chain::timelock::{self, OpenError, Payload};
use chain_metadata::{Alpha, Hyperparameters, Standing};
use serde::{Deserialize, Serialize};

/// What the chain had before it, in the block in which a commit vanished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readings {
    /// The commit.
    pub commit: TimelockedCommit,
    /// The signature of its round, if the chain had it.
    pub signature: Option<Vec<u8>>,
    /// Whether the chain's beacon is the one that other tools take for granted.
    pub beacon_is_quicknet: bool,
    /// Whether that block left no such mechanism, or no such subnet: its commits went with it.
    pub removed: bool,
    /// Where the committer stood; `None` if the subnet is gone.
    pub standing: Option<Standing>,
    /// The subnet's rules; `None` if the subnet is gone.
    pub rules: Option<Hyperparameters>,
}

/// Why a timelocked commit came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The chain had no pulse of the round while the reveal's epoch lasted.
    PulseMissing {
        /// The round.
        round: u64,
    },
    /// The commit is no ciphertext.
    NoCiphertext,
    /// The chain's pulse of the round is no signature.
    PulseUnreadable {
        /// The round.
        round: u64,
    },
    /// It was encrypted for another round, or for another beacon than the chain's.
    Locked {
        /// Whether the chain's beacon is drand's quicknet.
        quicknet: bool,
    },
    /// It hides the weights of another hotkey.
    OtherHotkey,
    /// What it hides are no weights.
    NoPayload,
    /// The version key was too old at the reveal.
    VersionKey {
        /// What was sent.
        sent: u64,
        /// The least that the chain takes.
        asked: u64,
    },
    /// Less stake than the threshold at the reveal.
    Stake {
        /// What there was.
        has: Alpha,
        /// What there must be.
        needs: Alpha,
    },
    /// No validator permit at the reveal.
    NoPermit,
    /// Uids and values differ in number.
    Lengths {
        /// Uids.
        uids: usize,
        /// Values.
        values: usize,
    },
    /// A uid appears twice.
    DuplicateUid {
        /// Which.
        uid: u16,
    },
    /// Nobody has that uid, or there are more uids than neurons.
    UnknownUid {
        /// The largest uid paid.
        uid: u16,
        /// Neurons at the reveal.
        neurons: u16,
    },
    /// Fewer uids than the subnet wanted at the reveal.
    TooFew {
        /// How many were paid.
        paid: usize,
        /// How many had to be.
        needs: u16,
    },
    /// One uid had more than the subnet allowed at the reveal.
    TooHeavy {
        /// The most that one may have, of 65535.
        limit: u16,
    },
    /// The hotkey had lost its slot.
    Deregistered,
    /// The subnet was dissolved, or lost this mechanism, and the commits with it.
    Removed,
    /// The owner switched commit-reveal off, and the commit itself had started the rate limit.
    SwitchedOff {
        /// First block that would have taken it.
        until: u64,
    },
    /// The node no longer has the blocks that would tell.
    Unseen,
    /// None of the causes we know.
    Unexplained,
}

impl Cause {
    /// A name for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PulseMissing { .. } => "pulse_missing",
            Self::NoCiphertext => "no_ciphertext",
            Self::PulseUnreadable { .. } => "pulse_unreadable",
            Self::Locked { .. } => "locked",
            Self::OtherHotkey => "other_hotkey",
            Self::NoPayload => "no_payload",
            Self::VersionKey { .. } => "version_key",
            Self::Stake { .. } => "stake",
            Self::NoPermit => "no_permit",
            Self::Lengths { .. } => "lengths",
            Self::DuplicateUid { .. } => "duplicate_uid",
            Self::UnknownUid { .. } => "unknown_uid",
            Self::TooFew { .. } => "too_few",
            Self::TooHeavy { .. } => "too_heavy",
            Self::Deregistered => "deregistered",
            Self::Removed => "removed",
            Self::SwitchedOff { .. } => "switched_off",
            Self::Unseen => "unseen",
            Self::Unexplained => "unexplained",
        }
    }

    /// What to do about it.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::PulseMissing { .. } => {
                "compare this machine's clock with the chain's, and ask whether its drand pulses \
                 are late: an earlier round would have opened in time"
            }
            Self::NoCiphertext | Self::NoPayload | Self::Lengths { .. } => {
                "the commit was not made by this program or in another format: send with one \
                 program only, and update it"
            }
            Self::PulseUnreadable { .. } => {
                "the chain stored a damaged pulse: nothing of that round opens; the next commit will"
            }
            Self::Locked { quicknet: false } => {
                "the chain has a beacon of its own: a program that takes quicknet for granted (the \
                 Python SDK does) commits what never opens here; this validator asks the chain"
            }
            Self::Locked { quicknet: true } => {
                "the commit names another round than it was encrypted for: update the program that \
                 made it"
            }
            Self::OtherHotkey => {
                "somebody's commit was copied or signed with the wrong hotkey: check --wallet-hotkey \
                 of every program that uses this key"
            }
            Self::VersionKey { .. } => {
                "the owner raised the version key: update the validator, then set weights.version_key"
            }
            Self::Stake { .. } => "stake more to this hotkey: it is below the network's threshold",
            Self::NoPermit => {
                "the hotkey lost its validator permit: it needs more stake than the weakest \
                 permitted validator"
            }
            Self::DuplicateUid { .. } => "the program that made the commit pays one uid twice",
            Self::UnknownUid { .. } => {
                "the subnet was trimmed, or the weights were made for another one: the next commit \
                 uses the new metagraph"
            }
            Self::TooFew { .. } => {
                "the owner raised min_allowed_weights: the rule must pay more miners"
            }
            Self::TooHeavy { .. } => "the subnet limits single weights: the rule must spread more",
            Self::Deregistered => "register the hotkey again: it lost its slot before the reveal",
            Self::Removed => {
                "the subnet or its mechanism is gone: set weights.mechid to one that is there, or leave"
            }
            Self::SwitchedOff { .. } => {
                "commit-reveal is off now: the next weights go in the open, once the rate limit is over"
            }
            Self::Unseen => {
                "the validator was down for longer than the node keeps states: use an archive node, \
                 or read the weights on chain"
            }
            Self::Unexplained => {
                "the chain may have rules that this program does not know: run `ganglion chain check`"
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PulseMissing { round } => write!(f, "the chain had no pulse of round {round}"),
            Self::NoCiphertext => f.write_str("the commit is no ciphertext"),
            Self::PulseUnreadable { round } => {
                write!(f, "the chain's pulse of round {round} is no signature")
            }
            Self::Locked { .. } => {
                f.write_str("the commit was encrypted for another round or another beacon")
            }
            Self::OtherHotkey => f.write_str("the commit hides the weights of another hotkey"),
            Self::NoPayload => f.write_str("what the commit hides are no weights"),
            Self::VersionKey { sent, asked } => {
                write!(f, "the chain wanted version key {asked} at the reveal, sent was {sent}")
            }
            Self::Stake { has, needs } => {
                write!(f, "the hotkey had {has} of the {needs} that weights need at the reveal")
            }
            Self::NoPermit => f.write_str("the hotkey had no validator permit at the reveal"),
            Self::Lengths { uids, values } => write!(f, "{uids} uids came with {values} values"),
            Self::DuplicateUid { uid } => write!(f, "uid {uid} was paid twice"),
            Self::UnknownUid { uid, neurons } => {
                write!(f, "uid {uid} was paid, and the subnet had {neurons} neurons at the reveal")
            }
            Self::TooFew { paid, needs } => {
                write!(f, "{paid} uids were paid, and the subnet wanted {needs} at the reveal")
            }
            Self::TooHeavy { limit } => {
                write!(f, "one uid had more than {limit} of 65535 of all weights")
            }
            Self::Deregistered => f.write_str("the hotkey had no slot at the reveal"),
            Self::Removed => {
                f.write_str("the subnet, or its mechanism, was removed before the reveal")
            }
            Self::SwitchedOff { until } => write!(
                f,
                "commit-reveal was switched off, and the commit's own rate limit lasted until \
                 block {until}"
            ),
            Self::Unseen => f.write_str("the node no longer has the blocks that would tell why"),
            Self::Unexplained => f.write_str("the chain applied nothing, for no cause we know"),
        }
    }
}

/// The step at which the chain failed; `None` if it should have applied the weights. In the
/// chain's own order.
pub fn diagnose(readings: &Readings) -> Option<Cause> {
    if readings.removed {
        return Some(Cause::Removed);
    }
    let (payload, rest) = match open(readings) {
        Ok(payload) => (payload, readings),
        Err(cause) => return Some(cause),
    };
    let (Some(rules), Some(standing)) = (&rest.rules, &rest.standing) else {
        return Some(Cause::Removed);
    };
    may_set(rules, standing, &payload).or_else(|| row(rules, standing, &payload))
}

/// What the commit hides.
fn open(readings: &Readings) -> Result<Payload, Cause> {
    let TimelockedCommit { round, ref ciphertext, hotkey, .. } = readings.commit;
    let Some(signature) = &readings.signature else { return Err(Cause::PulseMissing { round }) };
    let quicknet = readings.beacon_is_quicknet;
    let opened = timelock::open(ciphertext, signature).map_err(|error| match error {
        OpenError::Ciphertext => Cause::NoCiphertext,
        OpenError::Signature => Cause::PulseUnreadable { round },
        _ => Cause::Locked { quicknet },
    })?;
    let payload = Payload::read(&opened, &hotkey).ok_or(Cause::NoPayload)?;
    if !payload.hotkey.starts_with(hotkey.as_bytes()) {
        return Err(Cause::OtherHotkey);
    }
    Ok(payload)
}

/// Whether the committer could set weights at all.
fn may_set(rules: &Hyperparameters, standing: &Standing, payload: &Payload) -> Option<Cause> {
    let (uids, values) = (payload.uids.len(), payload.values.len());
    if uids != values {
        return Some(Cause::Lengths { uids, values });
    }
    let Some(own) = standing.uid else { return Some(Cause::Deregistered) };
    let Standing { stake: has, stake_threshold: needs, .. } = *standing;
    if has < needs && !standing.is_owner {
        return Some(Cause::Stake { has, needs });
    }
    let (sent, asked) = (payload.version_key, rules.weights_version_key);
    if asked != 0 && sent < asked {
        return Some(Cause::VersionKey { sent, asked });
    }
    let until = standing.last_update + rules.weights_rate_limit;
    if !rules.commit_reveal_enabled && standing.block < until {
        return Some(Cause::SwitchedOff { until });
    }
    let free = standing.permit || standing.is_owner || payload.uids == [own.0];
    (!free).then_some(Cause::NoPermit)
}

/// Whether the row itself was valid.
fn row(rules: &Hyperparameters, standing: &Standing, payload: &Payload) -> Option<Cause> {
    let neurons = standing.neurons;
    let mut uids = payload.uids.clone();
    uids.sort_unstable();
    if let Some(pair) = uids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Some(Cause::DuplicateUid { uid: pair[0] });
    }
    if let Some(&uid) = uids.last().filter(|&&uid| uid >= neurons) {
        return Some(Cause::UnknownUid { uid, neurons });
    }
    let only_itself = standing.uid.is_some_and(|own| payload.uids == [own.0]);
    let needs = rules.min_allowed_weights.min(neurons);
    if uids.len() < usize::from(needs) && !only_itself {
        return Some(Cause::TooFew { paid: uids.len(), needs });
    }
    let limit = standing.max_weight;
    let sum: u64 = payload.values.iter().map(|&value| u64::from(value)).sum();
    let largest = payload.values.iter().copied().max().map_or(0, u64::from);
    let too_heavy = largest * u64::from(u16::MAX) > sum * u64::from(limit);
    (too_heavy && !only_itself).then_some(Cause::TooHeavy { limit })
}
