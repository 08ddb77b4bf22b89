//! Chain time. This is where the local chain's blocks get their timestamps, so it is the one place of this
//! crate that looks at the wall clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a block's timestamp follows from its parent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As the wall clock goes, at least a millisecond a block.
    Wall,
    /// One block time after the parent: blocks mined ahead of the clock.
    Slot,
}

/// Milliseconds since the Unix epoch, shifted by what was mined ahead or set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, codec::Encode, codec::Decode)]
#[expect(clippy::struct_field_names, reason = "the postfix is the unit")]
pub(crate) struct Clock {
    /// The youngest block's timestamp; the genesis has none.
    last_ms: Option<u64>,
    ahead_ms: i64,
    block_time_ms: u64,
}

/// Time does not run backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the chain's time is {last_ms} ms already: it cannot become {wanted_ms} ms")]
pub(crate) struct TimeRunsForward {
    pub last_ms: u64,
    pub wanted_ms: u64,
}

impl Clock {
    pub(crate) fn new(block_time: Duration) -> Self {
        let block_time_ms = u64::try_from(block_time.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { last_ms: None, ahead_ms: 0, block_time_ms }
    }

    /// A chain whose youngest block was made elsewhere, at `last_ms`.
    pub(crate) fn going_on(block_time: Duration, last_ms: u64) -> Self {
        Self { last_ms: Some(last_ms), ..Self::new(block_time) }
    }

    /// A chain that begins again: its time is the wall clock's.
    pub(crate) fn restarted(&self) -> Self {
        Self { last_ms: None, ahead_ms: 0, block_time_ms: self.block_time_ms }
    }

    /// The next block's timestamp.
    pub(crate) fn next(&self, pace: Pace) -> u64 {
        let now = wall_ms().saturating_add_signed(self.ahead_ms);
        match (pace, self.last_ms) {
            (_, None) => now,
            (Pace::Wall, Some(last)) => now.max(last.saturating_add(1)),
            (Pace::Slot, Some(last)) => last.saturating_add(self.block_time_ms),
        }
    }

    /// A block with this timestamp was made; time goes on from there if that is ahead.
    pub(crate) fn passed(&mut self, timestamp_ms: u64, pace: Pace) {
        self.last_ms = Some(timestamp_ms);
        if pace == Pace::Slot {
            self.shift_to(timestamp_ms);
        }
    }

    /// Makes it `now_ms`; time goes on from there.
    pub(crate) fn set(&mut self, now_ms: u64) -> Result<(), TimeRunsForward> {
        let last_ms = self.last_ms.unwrap_or(0);
        if now_ms <= last_ms {
            return Err(TimeRunsForward { last_ms, wanted_ms: now_ms });
        }
        self.shift_to(now_ms);
        // Under slot time the next block is one block time after the last: make that `now_ms`.
        self.last_ms = Some(now_ms.saturating_sub(self.block_time_ms).max(last_ms));
        Ok(())
    }

    fn shift_to(&mut self, now_ms: u64) {
        let ahead = i128::from(now_ms) - i128::from(wall_ms());
        self.ahead_ms = i64::try_from(ahead).unwrap_or(i64::MAX);
    }
}

#[expect(clippy::disallowed_methods, reason = "block timestamps come from somewhere: here")]
fn wall_ms() -> u64 {
    // A clock before 1970 counts as 1970.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mined_blocks_are_one_block_time_apart_and_the_clock_goes_on_after_them() {
        let mut clock = Clock::new(Duration::from_secs(12));
        let first = clock.next(Pace::Slot);
        clock.passed(first, Pace::Slot);
        let second = clock.next(Pace::Slot);
        clock.passed(second, Pace::Slot);
        assert_eq!(second, first + 12_000);
        assert!(clock.next(Pace::Wall) > second);
    }

    #[test]
    fn a_time_that_was_set_is_the_next_blocks() {
        let mut clock = Clock::new(Duration::from_secs(12));
        clock.passed(clock.next(Pace::Slot), Pace::Slot);
        let later = clock.next(Pace::Slot) + 1_000_000;
        clock.set(later).unwrap();
        assert_eq!(clock.next(Pace::Slot), later);
    }

    #[test]
    fn time_cannot_be_set_back() {
        let mut clock = Clock::new(Duration::from_secs(12));
        clock.passed(5_000, Pace::Wall);
        let refused = clock.set(5_000).unwrap_err();
        assert_eq!(refused, TimeRunsForward { last_ms: 5_000, wanted_ms: 5_000 });
    }
}
