//! How the connection fares: what a program says of it, and judges it by.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::link::Link;

/// Readings of the clock that are kept. The least of them counts: a block may reach us late, and
/// none reaches us early.
const CLOCK_READINGS: usize = 4;

/// Milliseconds that make a leap: more than a block may be late by.
const LEAP_MS: i64 = 5_000;

/// Time of a block, until the chain has said.
const USUAL_BLOCK_TIME: Duration = Duration::from_secs(12);

/// How the connection fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The endpoint in use, without what may be secret in its address.
    pub endpoint: String,
    /// Its place in the list of endpoints.
    pub place: usize,
    /// Why it is not the first of the list, or why none answers; `None` when all is well.
    pub trouble: Option<String>,
    /// The newest finalized block heard of.
    pub head: Option<u64>,
    /// Since when there is no newer one.
    pub head_age: Duration,
    /// Time between two blocks, as the chain says.
    pub block_time: Duration,
    /// By how much this machine's clock is ahead of the chain's newest block, in milliseconds: the
    /// least of the last readings. From nought to the time that a block takes to come around when
    /// all is well.
    pub clock_ahead_ms: Option<i64>,
    /// Milliseconds by which the chain's own time was seen to leap ahead of ours: blocks of a local
    /// chain may be made ahead of time.
    pub leapt_ms: i64,
}

impl Condition {
    /// Block times without a new head after which something is wrong.
    pub const STALLED_BLOCKS: u32 = 3;

    /// Whether there has been no new head for too long.
    pub fn is_stalled(&self) -> bool {
        // A busy machine is late for a moment.
        self.head_age > (self.block_time * Self::STALLED_BLOCKS).max(Duration::from_secs(3))
    }
}

/// What [`Heads`](crate::Heads) write down for whoever asks.
#[derive(Debug)]
pub(crate) struct Gauge(Mutex<Readings>);

#[derive(Debug)]
struct Readings {
    head: Option<u64>,
    heard_at: Instant,
    block_time: Option<Duration>,
    clock_ms: VecDeque<i64>,
    /// The time of the newest block that was read, and when that was.
    block_at: Option<(i64, Instant)>,
    leapt_ms: i64,
}

impl Default for Gauge {
    fn default() -> Self {
        Self(Mutex::new(Readings {
            head: None,
            heard_at: Instant::now(),
            block_time: None,
            clock_ms: VecDeque::new(),
            block_at: None,
            leapt_ms: 0,
        }))
    }
}

impl Gauge {
    pub(crate) fn heard(&self, head: u64) {
        let mut readings = self.0.lock();
        if readings.head.is_none_or(|known| head > known) {
            readings.head = Some(head);
            readings.heard_at = Instant::now();
        }
    }

    /// Takes in a block's time and this machine's, Unix milliseconds both.
    pub(crate) fn clock(&self, block_ms: i64, wall_ms: i64) {
        let mut readings = self.0.lock();
        let now = Instant::now();
        if let Some((before, at)) = readings.block_at.replace((block_ms, now)) {
            let passed = i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
            let leap = block_ms.saturating_sub(before).saturating_sub(passed);
            if leap > LEAP_MS {
                readings.leapt_ms = readings.leapt_ms.saturating_add(leap);
                readings.clock_ms.clear();
            }
        }
        if readings.clock_ms.len() == CLOCK_READINGS {
            readings.clock_ms.pop_front();
        }
        readings.clock_ms.push_back(wall_ms.saturating_sub(block_ms));
    }

    pub(crate) fn knows_block_time(&self) -> bool {
        self.0.lock().block_time.is_some()
    }

    pub(crate) fn set_block_time(&self, time: Duration) {
        self.0.lock().block_time = Some(time);
    }

    pub(crate) fn block_time(&self) -> Duration {
        self.0.lock().block_time.unwrap_or(USUAL_BLOCK_TIME)
    }

    pub(crate) fn condition(&self, link: &Link) -> Condition {
        let readings = self.0.lock();
        let place = link.home();
        Condition {
            endpoint: link.name(place),
            place,
            trouble: link.trouble(),
            head: readings.head,
            head_age: readings.heard_at.elapsed(),
            block_time: readings.block_time.unwrap_or(USUAL_BLOCK_TIME),
            clock_ahead_ms: readings.clock_ms.iter().min().copied(),
            leapt_ms: readings.leapt_ms,
        }
    }
}
