//! When to send weights: one pure decision over block heights.
//!
//! ```text
//!   epoch e                                                epoch e+1
//!   |──────────── examine ───────────|── window ──|x|
//!   last_epoch                      opens      closes  ends
//! ```
//!
//! The window opens [`SUBMIT_MARGIN_BLOCKS`] before the epoch's end, so that the last round counts,
//! and closes two heads before it: an extrinsic sent at head `h` is in block `h + 1` at best, and
//! the epoch runs at the beginning of block `ends`, before that block's extrinsics.

use std::fmt;

use chain_metadata::Obstacle;
use serde::Serialize;

/// Blocks before the epoch's end at which weights are sent: late enough that the last round counts,
/// early enough for two more tries at 12 s a block.
pub const SUBMIT_MARGIN_BLOCKS: u64 = 10;

/// Tries in one epoch. A third refusal in a row has a cause that a fourth try does not remove, and
/// the chain's previous row stays in force meanwhile.
pub const MAX_TRIES: u32 = 3;

/// Blocks between two tries: the first block in which the last one could have been, and one to see
/// that it was not.
const RETRY_BLOCKS: u64 = 2;

/// What the decision depends on. Heights are blocks; `now` is the finalized head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Finalized head.
    pub now: u64,
    /// Blocks of an epoch; 0 means that the subnet runs none.
    pub tempo: u64,
    /// The block whose beginning runs the next epoch.
    pub epoch_end: u64,
    /// Blocks before the end at which to send; `None` takes [`SUBMIT_MARGIN_BLOCKS`].
    pub margin: Option<u64>,
    /// Blocks that must lie between two settings of weights (`WeightsSetRateLimit`).
    pub rate_limit: u64,
    /// Our slot, if the hotkey is registered.
    pub seat: Option<Seat>,
    /// The version key we send, and the least that the chain takes; 0 takes any.
    pub version: Version,
    /// Whether the evidence pays anyone.
    pub payable: bool,
    /// Whether the operator lets us send.
    pub enabled: bool,
    /// What the journal says of this epoch.
    pub ledger: Ledger,
}

/// Our slot in the metagraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Whether it may set weights on others.
    pub permit: bool,
    /// The last block in which it set weights, or registered.
    pub last_update: u64,
}

/// Weights version keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version {
    /// What we send.
    pub ours: u64,
    /// The least that the chain takes (`WeightsVersionKey`); 0 takes any.
    pub asked: u64,
}

/// What the journal says of this epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    /// A submission whose end is not known yet.
    pub unresolved: bool,
    /// Weights of this epoch are on chain, or committed to it.
    pub settled: bool,
    /// The chain took weights of this hotkey in this epoch that the journal does not hold.
    pub elsewhere: bool,
    /// Submissions of this epoch that were lost.
    pub tries: u32,
    /// When the last of them was sent.
    pub last_try: Option<u64>,
}

/// What to do about weights now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Send them.
    Submit,
    /// Find out what became of the last submission; nothing else is sent before that.
    Reconcile,
    /// Not before a block that is known.
    Wait {
        /// That block.
        until: u64,
        /// Why.
        why: Waiting,
    },
    /// Not as long as this lasts.
    Hold(Holding),
}

/// Why not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// The window has not opened.
    Window,
    /// The chain's rate limit.
    RateLimit,
    /// This epoch's weights are on chain.
    Settled,
    /// This epoch's weights are on chain, and not from here.
    Elsewhere,
    /// Too close to the epoch's end for a block before it.
    Closed,
    /// The last try was just now.
    Retry,
    /// This epoch's tries are used up.
    GaveUp,
}

/// What keeps us from sending, with no block at which it ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holding {
    /// The subnet runs no epochs.
    NoEpochs,
    /// The hotkey has no slot.
    Unregistered,
    /// The slot has no validator permit.
    NoPermit,
    /// The chain wants a newer version key.
    Outdated {
        /// The least that it takes.
        asked: u64,
        /// Ours.
        ours: u64,
    },
    /// Nothing measured that pays anyone: no data is no submission.
    NothingToPay,
    /// The chain would refuse them.
    Obstacle(Obstacle),
    /// The operator has switched sending off.
    Off,
}

impl Decision {
    /// Every name of a decision, for metrics.
    pub const NAMES: [&'static str; 16] = [
        "submit",
        "reconcile",
        "window",
        "rate_limit",
        "settled",
        "elsewhere",
        "closed",
        "retry",
        "gave_up",
        "no_epochs",
        "unregistered",
        "no_permit",
        "outdated",
        "nothing_to_pay",
        "obstacle",
        "off",
    ];

    /// Its name, one of [`NAMES`](Self::NAMES).
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Reconcile => "reconcile",
            Self::Wait { why, .. } => match why {
                Waiting::Window => "window",
                Waiting::RateLimit => "rate_limit",
                Waiting::Settled => "settled",
                Waiting::Elsewhere => "elsewhere",
                Waiting::Closed => "closed",
                Waiting::Retry => "retry",
                Waiting::GaveUp => "gave_up",
            },
            Self::Hold(why) => match why {
                Holding::NoEpochs => "no_epochs",
                Holding::Unregistered => "unregistered",
                Holding::NoPermit => "no_permit",
                Holding::Outdated { .. } => "outdated",
                Holding::NothingToPay => "nothing_to_pay",
                Holding::Obstacle(_) => "obstacle",
                Holding::Off => "off",
            },
        }
    }

    /// Why no weights will be sent as things stand; `None` where they will, were, or are not to be.
    pub fn objection(&self) -> Option<String> {
        match self {
            Self::Hold(Holding::Off) => None,
            Self::Hold(why) => Some(format!("no weights are sent: {why}")),
            Self::Wait { why: why @ (Waiting::GaveUp | Waiting::Elsewhere), .. } => {
                Some(format!("no weights are sent: {why}"))
            }
            Self::Submit | Self::Reconcile | Self::Wait { .. } => None,
        }
    }

    /// Whether weights would be sent at some later head of this epoch: then what stands in their
    /// way is worth saying now.
    pub const fn is_ahead(&self) -> bool {
        matches!(
            self,
            Self::Submit
                | Self::Wait { why: Waiting::Window | Waiting::RateLimit | Waiting::Retry, .. }
        )
    }
}

/// Epochs without settled weights after which something is wrong, beyond those that the chain's rate
/// limit takes: one may be missed for a node's sake, two are a cause.
const MISSED_EPOCHS: u64 = 2;

/// Why so many epochs without settled weights are too many; `None` if they are not.
pub fn overdue(epochs: u64, tempo: u64, rate_limit: u64) -> Option<String> {
    let usual = rate_limit / tempo.max(1) + 1;
    (epochs > usual + MISSED_EPOCHS)
        .then(|| format!("no weights were settled on chain for {epochs} epochs"))
}

/// Decides. See the module's picture.
pub fn decide(moment: &Moment) -> Decision {
    match standing(moment) {
        Ok(seat) => timing(moment, seat),
        Err(decision) => decision,
    }
}

/// Whether we may send at all in this epoch.
fn standing(moment: &Moment) -> Result<Seat, Decision> {
    let Moment { ledger, version, epoch_end, .. } = *moment;
    if ledger.unresolved {
        return Err(Decision::Reconcile);
    }
    if moment.tempo == 0 {
        return Err(Decision::Hold(Holding::NoEpochs));
    }
    let Some(seat) = moment.seat else {
        return Err(Decision::Hold(Holding::Unregistered));
    };
    if !moment.enabled {
        return Err(Decision::Hold(Holding::Off));
    }
    if ledger.settled {
        return Err(Decision::Wait { until: epoch_end, why: Waiting::Settled });
    }
    if ledger.elsewhere {
        return Err(Decision::Wait { until: epoch_end, why: Waiting::Elsewhere });
    }
    if !seat.permit {
        return Err(Decision::Hold(Holding::NoPermit));
    }
    if version.asked != 0 && version.ours < version.asked {
        let Version { ours, asked } = version;
        return Err(Decision::Hold(Holding::Outdated { asked, ours }));
    }
    if !moment.payable {
        return Err(Decision::Hold(Holding::NothingToPay));
    }
    if ledger.tries >= MAX_TRIES {
        return Err(Decision::Wait { until: epoch_end, why: Waiting::GaveUp });
    }
    Ok(seat)
}

/// Whether this head is one to send at.
fn timing(moment: &Moment, seat: Seat) -> Decision {
    let Moment { now, epoch_end, .. } = *moment;
    let opens = epoch_end.saturating_sub(margin(moment));
    // Sent at head h, the extrinsic is checked as of block h + 1.
    let allowed = (seat.last_update + moment.rate_limit).saturating_sub(1);
    let retry = moment.ledger.last_try.map_or(0, |block| block + RETRY_BLOCKS);
    let waits = [(opens, Waiting::Window), (allowed, Waiting::RateLimit), (retry, Waiting::Retry)];
    let latest =
        waits.into_iter().filter(|&(until, _)| now < until).max_by_key(|&(until, _)| until);
    match latest {
        Some((until, why)) => Decision::Wait { until, why },
        None if now + 1 >= epoch_end => Decision::Wait { until: epoch_end, why: Waiting::Closed },
        None => Decision::Submit,
    }
}

/// The margin, never more than half an epoch: with a short tempo there must be time to examine.
fn margin(moment: &Moment) -> u64 {
    moment.margin.unwrap_or(SUBMIT_MARGIN_BLOCKS).min((moment.tempo / 2).max(2))
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit => f.write_str("send weights"),
            Self::Reconcile => f.write_str("look for the last submission on chain"),
            Self::Wait { until, why } => write!(f, "{why} (block {until})"),
            Self::Hold(why) => why.fmt(f),
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Window => "examining until the window opens",
            Self::RateLimit => "the chain's rate limit",
            Self::Settled => "weights are on chain",
            Self::Elsewhere => "weights of this epoch are on chain, sent by another program",
            Self::Closed => "too late for this epoch",
            Self::Retry => "about to try again",
            Self::GaveUp => "gave up for this epoch",
        })
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEpochs => f.write_str("the subnet runs no epochs (tempo 0)"),
            Self::Unregistered => f.write_str("the hotkey is not registered"),
            Self::NoPermit => f.write_str("no validator permit yet"),
            Self::Outdated { asked, ours } => {
                write!(f, "the chain wants version key {asked}, ours is {ours}")
            }
            Self::NothingToPay => f.write_str("nothing measured that pays anyone"),
            Self::Obstacle(obstacle) => obstacle.fmt(f),
            Self::Off => f.write_str("sending weights is switched off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tempo 100, the epoch ends at 1000, no rate limit, everything in order.
    fn at(now: u64) -> Moment {
        Moment {
            now,
            tempo: 100,
            epoch_end: 1000,
            margin: None,
            rate_limit: 0,
            seat: Some(Seat { permit: true, last_update: 500 }),
            version: Version::default(),
            payable: true,
            enabled: true,
            ledger: Ledger::default(),
        }
    }

    #[test]
    fn weights_are_sent_inside_the_window_only() {
        let wait = |until, why| Decision::Wait { until, why };
        for (now, decision) in [
            (900, wait(990, Waiting::Window)),
            (989, wait(990, Waiting::Window)),
            (990, Decision::Submit),
            (998, Decision::Submit),
            (999, wait(1000, Waiting::Closed)),
            (1000, wait(1000, Waiting::Closed)),
        ] {
            assert_eq!(decide(&at(now)), decision, "at {now}");
        }
    }

    #[test]
    fn a_short_tempo_leaves_half_of_it_for_examining() {
        let short = |now| Moment { tempo: 10, epoch_end: 610, ..at(now) };
        assert_eq!(decide(&short(604)), Decision::Wait { until: 605, why: Waiting::Window });
        assert_eq!(decide(&short(605)), Decision::Submit);
    }

    #[test]
    fn the_rate_limit_counts_to_the_block_the_extrinsic_can_be_in() {
        let limited = |now| Moment {
            rate_limit: 100,
            seat: Some(Seat { permit: true, last_update: 895 }),
            ..at(now)
        };
        assert_eq!(decide(&limited(993)), Decision::Wait { until: 994, why: Waiting::RateLimit });
        assert_eq!(decide(&limited(994)), Decision::Submit);
    }

    #[test]
    fn what_forbids_sending_is_named() {
        type Case = (fn(&mut Moment), Decision);
        let held: [Case; 10] = [
            (|m| m.enabled = false, Decision::Hold(Holding::Off)),
            (|m| m.tempo = 0, Decision::Hold(Holding::NoEpochs)),
            (|m| m.seat = None, Decision::Hold(Holding::Unregistered)),
            (
                |m| m.seat = Some(Seat { permit: false, last_update: 0 }),
                Decision::Hold(Holding::NoPermit),
            ),
            (
                |m| m.version = Version { ours: 1, asked: 2 },
                Decision::Hold(Holding::Outdated { asked: 2, ours: 1 }),
            ),
            (|m| m.payable = false, Decision::Hold(Holding::NothingToPay)),
            (|m| m.ledger.unresolved = true, Decision::Reconcile),
            (|m| m.ledger.settled = true, Decision::Wait { until: 1000, why: Waiting::Settled }),
            (
                |m| m.ledger.elsewhere = true,
                Decision::Wait { until: 1000, why: Waiting::Elsewhere },
            ),
            (|m| m.ledger.tries = MAX_TRIES, Decision::Wait { until: 1000, why: Waiting::GaveUp }),
        ];
        for (change, decision) in held {
            let mut moment = at(995);
            change(&mut moment);
            assert_eq!(decide(&moment), decision);
            assert!(Decision::NAMES.contains(&decision.name()));
            let silent = matches!(
                decision,
                Decision::Hold(Holding::Off)
                    | Decision::Reconcile
                    | Decision::Wait { why: Waiting::Settled, .. }
            );
            assert_eq!(decision.objection().is_none(), silent, "{decision}");
        }
    }

    #[test]
    fn epochs_without_weights_are_too_many_beyond_those_of_the_rate_limit() {
        assert_eq!(overdue(3, 360, 100), None);
        assert!(overdue(4, 360, 100).is_some());
        assert_eq!(overdue(8, 20, 100), None, "a rate limit of five epochs");
        assert!(overdue(9, 20, 100).unwrap().contains("9 epochs"));
    }

    #[test]
    fn a_lost_try_is_repeated_after_two_blocks() {
        let mut moment = at(992);
        moment.ledger = Ledger { tries: 1, last_try: Some(991), ..Ledger::default() };
        assert_eq!(decide(&moment), Decision::Wait { until: 993, why: Waiting::Retry });
        moment.now = 993;
        assert_eq!(decide(&moment), Decision::Submit);
    }

    #[test]
    fn in_every_epoch_of_every_tempo_there_is_a_head_to_send_at() {
        for tempo in 2..=360 {
            let sends = |now| {
                let epoch_end = 1000 + tempo;
                decide(&Moment { tempo, epoch_end, ..at(now) }) == Decision::Submit
            };
            // The head at which an extrinsic is included in the epoch's last block at the latest.
            assert!((1000..1000 + tempo).any(sends), "tempo {tempo}");
            assert!(!sends(1000 + tempo - 1), "tempo {tempo}");
        }
    }
}
