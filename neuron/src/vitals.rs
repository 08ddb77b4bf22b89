//! The dead man's watch: what the connection and the clock do to being ready, said while nothing else
//! happens, and the service manager's watchdog.
//!
//! A program beats from its own loop, never from a thread beside it: a loop that hangs is then missed
//! by whoever listens.

use std::time::Duration;

use chain::{Chain, Condition};
use tokio::time::Instant;

use crate::Health;
use crate::clock::{Skew, skew};
use crate::metrics::names;

/// Longest time between two beats, where blocks take longer: a reader of `/readyz` waits no longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(6);

/// Shortest time between two beats, where blocks are fast.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

/// See the module's documentation.
#[derive(Debug)]
pub struct Vitals {
    chain: Chain,
    health: Health,
    /// Whether every endpoint is on this machine.
    local: bool,
    /// Half the time within which the service manager wants a word; `None` where there is none.
    watchdog: Option<Duration>,
    next: Instant,
    notified: Option<Instant>,
    skew: Skew,
}

impl Vitals {
    /// Begins to beat, and tells the service manager that the program is up.
    pub fn new(chain: Chain, health: Health, local: bool) -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|within| within / 2);
        notify(sd_notify::NotifyState::Ready);
        Self {
            chain,
            health,
            local,
            watchdog,
            next: Instant::now(),
            notified: None,
            skew: Skew::None,
        }
    }

    /// When to beat next, if nothing happens before.
    pub const fn next_beat(&self) -> Instant {
        self.next
    }

    /// Says how connection and clock are: objections, gauges, a sign of life.
    pub fn beat(&mut self) {
        let condition = self.chain.condition();
        let pause = (condition.block_time / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let pause = self.watchdog.map_or(pause, |within| pause.min(within));
        self.next = Instant::now() + pause;
        self.connection(&condition);
        self.clock(&condition);
        let due = self
            .notified
            .is_none_or(|last| self.watchdog.is_some_and(|within| last.elapsed() * 2 >= within));
        if due {
            self.notified = Some(Instant::now());
            notify(sd_notify::NotifyState::Watchdog);
        }
    }

    fn connection(&self, condition: &Condition) {
        let Health { metrics, readiness } = &self.health;
        metrics.set(names::HEAD_AGE, &[], condition.head_age.as_secs_f64());
        metrics.set(names::ENDPOINT, &[], f64::from(u32::try_from(condition.place).unwrap_or(0)));
        let stalled = condition.is_stalled();
        metrics.set(names::STALLED, &[], f64::from(u8::from(stalled)));
        if stalled {
            let age = condition.head_age.as_secs();
            let what = format!("no new finalized block for {age} s from {}", condition.endpoint);
            let why = condition.trouble.as_ref().map(|trouble| format!("{what}: {trouble}"));
            readiness.object("chain", why.unwrap_or(what));
        } else {
            readiness.clear("chain");
        }
    }

    fn clock(&mut self, condition: &Condition) {
        let Health { metrics, readiness } = &self.health;
        if let Some(ahead_ms) = condition.clock_ahead_ms {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a skew")]
            metrics.set(names::CLOCK_OFFSET, &[], ahead_ms as f64 / 1_000.0);
        }
        let now = skew(condition, self.local);
        if now.is_fit() {
            readiness.clear("clock");
        } else {
            readiness.object("clock", now.to_string());
        }
        if now.is_fit() != self.skew.is_fit() {
            tracing::warn!("{now}");
        }
        self.skew = now;
    }

    /// Whether requests may be signed by this machine's clock, as of the last beat.
    pub const fn skew(&self) -> Skew {
        self.skew
    }
}

impl Drop for Vitals {
    fn drop(&mut self) {
        notify(sd_notify::NotifyState::Stopping);
    }
}

/// Where no service manager listens, nothing is said.
fn notify(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
