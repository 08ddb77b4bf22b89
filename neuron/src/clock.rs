//! Whether this machine's clock is fit to sign by.
//!
//! Signed requests are good for ten seconds and must not come from the future, so a validator whose
//! clock is off is refused by every miner, through no fault of theirs. The chain's newest block tells:
//! its time is its author's, and it reaches us a little later.

use std::fmt;
use std::time::Duration;

use chain::Condition;

/// By how much a clock may seem ahead of the newest block: what a block takes to be made and to come
/// around, and under the two seconds of skew that a request is granted, or not much over.
const MOST_AHEAD: Duration = Duration::from_millis(2_500);

/// By how much it may seem behind: no block is from the future, and authors' clocks are off a little
/// too.
const MOST_BEHIND: Duration = Duration::from_millis(1_500);

/// A local chain whose blocks were made ahead of time has a clock of its own, which says nothing of
/// ours.
const OWN_TIME: Duration = Duration::from_secs(60);

/// What the newest blocks say of this machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skew {
    /// It agrees, or nothing is known yet.
    None,
    /// It is ahead by about this much, or the node is late.
    Ahead(Duration),
    /// It is behind by about this much.
    Behind(Duration),
}

/// Decides from the least of the last readings of the clock against block time
/// ([`Condition::clock_ahead_ms`]). `local` says that every endpoint is on this machine.
pub fn skew(condition: &Condition, local: bool) -> Skew {
    let Some(ahead_ms) = condition.clock_ahead_ms else { return Skew::None };
    let ahead_ms = if local { ahead_ms.saturating_add(condition.leapt_ms) } else { ahead_ms };
    let amount = Duration::from_millis(ahead_ms.unsigned_abs());
    // While no new block comes, their age says nothing of the clock.
    if ahead_ms > 0 && amount > MOST_AHEAD && !condition.is_stalled() {
        Skew::Ahead(amount)
    } else if ahead_ms < 0 && amount > MOST_BEHIND && !(local && amount > OWN_TIME) {
        Skew::Behind(amount)
    } else {
        Skew::None
    }
}

impl Skew {
    /// Whether requests may be signed by this clock.
    pub const fn is_fit(self) -> bool {
        matches!(self, Self::None)
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("this machine's clock agrees with the chain's"),
            Self::Ahead(by) => write!(
                f,
                "this machine's clock is {:.1} s ahead of the chain's newest block, or the node is \
                 late: miners refuse what it signs",
                by.as_secs_f64()
            ),
            Self::Behind(by) => write!(
                f,
                "this machine's clock is {:.1} s behind the chain's newest block: miners refuse what \
                 it signs",
                by.as_secs_f64()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(clock_ahead_ms: Option<i64>, head_age_s: u64) -> Condition {
        Condition {
            endpoint: String::new(),
            place: 0,
            trouble: None,
            head: Some(7),
            head_age: Duration::from_secs(head_age_s),
            block_time: Duration::from_secs(12),
            clock_ahead_ms,
            leapt_ms: 0,
        }
    }

    #[test]
    fn a_clock_that_is_off_is_told_from_a_block_that_took_its_time() {
        let seconds = Duration::from_secs;
        for (ahead_ms, skew_is) in [
            (0, Skew::None),
            (2_400, Skew::None),
            (-1_400, Skew::None),
            (3_000, Skew::Ahead(seconds(3))),
            (11_000, Skew::Ahead(seconds(11))),
            (-15_000, Skew::Behind(seconds(15))),
            (-9_000_000, Skew::Behind(seconds(9_000))),
        ] {
            assert_eq!(skew(&at(Some(ahead_ms), 1), false), skew_is, "{ahead_ms}");
        }
        assert_eq!(skew(&at(None, 1), false), Skew::None);
    }

    #[test]
    fn a_stalled_chain_and_a_local_one_made_ahead_of_time_say_nothing() {
        assert_eq!(skew(&at(Some(40_000), 40), false), Skew::None);
        assert_eq!(skew(&at(Some(-9_000_000), 1), true), Skew::None);
        let leapt = Condition { leapt_ms: 45_000, ..at(Some(-45_000), 1) };
        assert_eq!(skew(&leapt, true), Skew::None);
        assert!(!skew(&leapt, false).is_fit(), "a public chain does not leap");
        let off = skew(&at(Some(-15_000), 1), true);
        assert_eq!(off, Skew::Behind(Duration::from_secs(15)));
    }
}
