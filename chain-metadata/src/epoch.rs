//! When a subnet's next epoch is.

use serde::{Deserialize, Serialize};

/// Blocks without a step after which an epoch is due whatever the schedule says (the longest
/// tempo there is).
pub const MAX_BLOCKS_SINCE_STEP: u64 = 50_400;

/// The state of one subnet's epoch schedule after a block, as of spec 423: the period is `tempo`
/// blocks, counted from the last epoch.
///
/// Not modelled: a block runs at most `MaxEpochsPerBlock` epochs and defers the others by a
/// block. The deferral shows up in `pending_epoch_at` of the next reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochClock {
    /// Blocks between two epochs; 0 stops them.
    pub tempo: u16,
    /// Block of the last epoch.
    pub last_epoch_block: u64,
    /// Block for which an extra epoch was asked; 0 for none.
    pub pending_epoch_at: u64,
    /// Epochs so far; commits are kept under this number.
    pub subnet_epoch_index: u64,
    /// Blocks since the last epoch that ran.
    pub blocks_since_last_step: u64,
}

impl EpochClock {
    /// Whether the epoch runs at the beginning of a block, given the state before it.
    pub fn is_due(&self, block: u64) -> bool {
        let asked_for = self.pending_epoch_at > 0 && block >= self.pending_epoch_at;
        self.tempo > 0
            && (asked_for
                || self.blocks_since_last_step > MAX_BLOCKS_SINCE_STEP
                || block.saturating_sub(self.last_epoch_block) >= u64::from(self.tempo))
    }

    /// The epoch to which a commit in `block` belongs: if the epoch is due in that very block, the
    /// commit already counts for the next one, because extrinsics run after it.
    pub fn epoch_of_commit(&self, block: u64) -> u64 {
        self.subnet_epoch_index + u64::from(self.is_due(block))
    }

    /// The state after `block`, given the state before it.
    #[must_use]
    pub fn after(mut self, block: u64) -> Self {
        if self.is_due(block) {
            self.last_epoch_block = block;
            self.pending_epoch_at = 0;
            self.subnet_epoch_index += 1;
            self.blocks_since_last_step = 0;
        } else {
            self.blocks_since_last_step += 1;
        }
        self
    }

    /// The first block after `now` whose epoch runs, given the state after block `now`. `None`
    /// while the tempo is 0.
    pub fn next_epoch_block(&self, now: u64) -> Option<u64> {
        if self.tempo == 0 {
            return None;
        }
        let scheduled = self.last_epoch_block + u64::from(self.tempo);
        let overdue =
            now + 1 + (MAX_BLOCKS_SINCE_STEP + 1).saturating_sub(self.blocks_since_last_step);
        let asked = if self.pending_epoch_at > 0 { self.pending_epoch_at } else { u64::MAX };
        Some(scheduled.min(overdue).min(asked).max(now + 1))
    }

    /// The block in which a commit made in `commit_block` (after `now`) is revealed, `period`
    /// epochs later, given the state after block `now`. The reveal runs before that block's epoch,
    /// so its weights count in it. `None` while the tempo is 0.
    pub fn reveal_block(&self, now: u64, commit_block: u64, period: u64) -> Option<u64> {
        let (mut clock, mut block) = (*self, now);
        while let Some(next) = clock.next_epoch_block(block).filter(|&next| next < commit_block) {
            clock = clock.at_epoch(next);
            block = next;
        }
        let target = clock.at(block, commit_block).epoch_of_commit(commit_block) + period;
        loop {
            let next = clock.next_epoch_block(block)?;
            if clock.subnet_epoch_index + 1 >= target && next >= commit_block {
                return Some(next.max(commit_block));
            }
            clock = clock.at_epoch(next);
            block = next;
        }
    }

    /// The state before `later`, no epoch lying between it and `now`.
    fn at(mut self, now: u64, later: u64) -> Self {
        self.blocks_since_last_step += later.saturating_sub(now + 1);
        self
    }

    /// The state after the epoch in `block`.
    fn at_epoch(mut self, block: u64) -> Self {
        self.last_epoch_block = block;
        self.pending_epoch_at = 0;
        self.subnet_epoch_index += 1;
        self.blocks_since_last_step = 0;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(tempo: u16, last: u64) -> EpochClock {
        EpochClock {
            tempo,
            last_epoch_block: last,
            pending_epoch_at: 0,
            subnet_epoch_index: 5,
            blocks_since_last_step: 20,
        }
    }

    /// Block by block, as the chain does it.
    fn simulate_next(mut clock: EpochClock, now: u64) -> u64 {
        let mut block = now + 1;
        while !clock.is_due(block) {
            clock = clock.after(block);
            block += 1;
        }
        block
    }

    /// Block by block, as the SDK does it: commit in the next block, first block whose epoch
    /// number is the commit's plus the period.
    fn simulate_reveal(mut clock: EpochClock, now: u64, commit_block: u64, period: u64) -> u64 {
        let mut block = now + 1;
        let mut target = None;
        loop {
            if block == commit_block {
                target = Some(clock.epoch_of_commit(block) + period);
            }
            if target.is_some_and(|target| clock.epoch_of_commit(block) >= target) {
                return block;
            }
            clock = clock.after(block);
            block += 1;
        }
    }

    #[test]
    fn the_period_is_the_tempo() {
        assert_eq!(clock(360, 100).next_epoch_block(120), Some(460));
        assert_eq!(clock(360, 100).next_epoch_block(459), Some(460));
        assert_eq!(clock(360, 460).next_epoch_block(460), Some(820));
    }

    #[test]
    fn a_stopped_subnet_has_no_next_epoch() {
        assert_eq!(clock(0, 100).next_epoch_block(120), None);
        assert_eq!(clock(0, 100).reveal_block(120, 121, 1), None);
    }

    #[test]
    fn the_next_epoch_is_what_a_simulation_finds() {
        for tempo in [1, 2, 7, 360] {
            for now in 100..110 {
                for pending in [0, 104, 112, 900] {
                    for since in [0, 20, MAX_BLOCKS_SINCE_STEP - 3, MAX_BLOCKS_SINCE_STEP + 9] {
                        let mut clock = clock(tempo, 100);
                        clock.pending_epoch_at = pending;
                        clock.blocks_since_last_step = since;
                        let found = clock.next_epoch_block(now);
                        assert_eq!(found, Some(simulate_next(clock, now)), "{clock:?} at {now}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_reveal_is_in_the_block_that_the_sdk_computes() {
        // tempo 360, last 100, head 120, period 1.
        assert_eq!(clock(360, 100).reveal_block(120, 121, 1), Some(460));
        for tempo in [1, 2, 7, 20] {
            for now in 100..130 {
                for ahead in 1..4 {
                    for period in 1..4 {
                        let clock = clock(tempo, 100);
                        let found = clock.reveal_block(now, now + ahead, period);
                        let expected = simulate_reveal(clock, now, now + ahead, period);
                        assert_eq!(found, Some(expected), "{clock:?} at {now}+{ahead}, {period}");
                    }
                }
            }
        }
    }
}
