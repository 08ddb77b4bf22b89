//! The nonces of one caller: a sliding window that forgets only what it will refuse anyway.

use std::collections::VecDeque;

use crate::auth::UnixNanos;

/// Nonces accepted from one caller, and a floor below which all count as seen.
///
/// The floor is always a nonce that was accepted, never a reading of a clock: a clock that jumps
/// ahead and back neither locks a caller out nor lets a replay in.
#[derive(Debug, Default)]
pub(super) struct Window {
    floor: Option<UnixNanos>,
    /// Ascending, all above the floor.
    seen: VecDeque<UnixNanos>,
}

impl Window {
    /// Whether `nonce` was never accepted, as far as this window still knows.
    pub(super) fn is_new(&self, nonce: UnixNanos) -> bool {
        Some(nonce) > self.floor && self.seen.binary_search(&nonce).is_err()
    }

    /// Remembers a new `nonce`. The oldest make room: those before `horizon`, which are stale, and
    /// those that `capacity` does not hold.
    pub(super) fn insert(&mut self, nonce: UnixNanos, horizon: UnixNanos, capacity: usize) {
        // Nonces mostly rise, so this is mostly a push at the back.
        let at = self.seen.partition_point(|&seen| seen < nonce);
        self.seen.insert(at, nonce);
        while self.seen.len() > capacity || self.seen.front().is_some_and(|&n| n < horizon) {
            self.floor = self.seen.pop_front();
        }
    }

    /// Counts `nonce` and all before it as seen.
    pub(super) fn raise(&mut self, floor: UnixNanos) {
        self.floor = self.floor.max(Some(floor));
        while self.seen.front().copied().is_some_and(|n| Some(n) <= self.floor) {
            self.seen.pop_front();
        }
    }

    /// The newest nonce accepted.
    pub(super) fn newest(&self) -> Option<UnixNanos> {
        self.seen.back().copied().or(self.floor)
    }

    pub(super) const fn floor(&self) -> Option<UnixNanos> {
        self.floor
    }

    pub(super) fn seen(&self) -> impl Iterator<Item = UnixNanos> + '_ {
        self.seen.iter().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS: UnixNanos = UnixNanos(0);

    fn window(nonces: &[u64], horizon: u64, capacity: usize) -> Window {
        let mut window = Window::default();
        for &nonce in nonces {
            window.insert(UnixNanos(nonce), UnixNanos(horizon), capacity);
        }
        window
    }

    #[test]
    fn nonces_out_of_order_are_each_new_once() {
        let mut window = Window::default();
        for nonce in [50, 10, 30, 20, 40].map(UnixNanos) {
            assert!(window.is_new(nonce));
            window.insert(nonce, ALWAYS, 8);
            assert!(!window.is_new(nonce));
        }
    }

    #[test]
    fn what_makes_room_is_still_refused() {
        let full = window(&[10, 20, 30, 40], 0, 2);
        assert_eq!(full.len(), 2);
        assert!([10, 15, 20].map(UnixNanos).iter().all(|&n| !full.is_new(n)));
        assert!(full.is_new(UnixNanos(25)));

        let aged = window(&[10, 20, 30], 25, 8);
        assert_eq!((aged.len(), aged.floor()), (1, Some(UnixNanos(20))));
    }

    #[test]
    fn a_clock_that_jumped_ahead_locks_nobody_out() {
        let jumped = window(&[10, 20], 1_000_000, 8);
        assert!(jumped.is_new(UnixNanos(21)));
        assert!(!jumped.is_new(UnixNanos(20)));
    }
}
