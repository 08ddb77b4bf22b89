//! When the author's thread makes blocks. It may change while the chain runs.

use crate::node::Sealing;
use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};

struct State {
    sealing: Sealing,
    stopped: bool,
}

pub(crate) struct Rhythm {
    state: Mutex<State>,
    changed: Condvar,
}

impl Rhythm {
    pub(crate) fn new(sealing: Sealing) -> Self {
        Self { state: Mutex::new(State { sealing, stopped: false }), changed: Condvar::new() }
    }

    pub(crate) fn sealing(&self) -> Sealing {
        self.state.lock().sealing
    }

    pub(crate) fn set(&self, sealing: Sealing) {
        self.state.lock().sealing = sealing;
        self.changed.notify_all();
    }

    /// Ends the author's thread.
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Waits until the next block is due; `false` when there is none any more. `slot` is when the last one
    /// was: slots are multiples of the interval from there, so that a slow block does not delay those after
    /// it, and slots that are missed altogether are skipped.
    pub(crate) fn wait(&self, slot: &mut Instant) -> bool {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return false;
            }
            match state.sealing {
                Sealing::Instant => {
                    self.changed.wait(&mut state);
                    *slot = Instant::now();
                }
                Sealing::Interval(interval) => {
                    let due = *slot + interval.max(Duration::from_millis(1));
                    let sealing = state.sealing;
                    let waited = self.changed.wait_until(&mut state, due);
                    if waited.timed_out() && state.sealing == sealing && !state.stopped {
                        let now = Instant::now();
                        let is_missed = now.duration_since(due) > interval;
                        *slot = if is_missed { now } else { due };
                        return true;
                    }
                }
            }
        }
    }
}
