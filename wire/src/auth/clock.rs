//! The wall clock, read here and nowhere else in the crate.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Nanoseconds since the unix epoch: the clock of `btauth/1`, and a nonce in it.
///
/// 64 bits reach the year 2554.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// The system's clock now; 0 when it stands before 1970, so that every nonce is then too early.
    #[expect(clippy::disallowed_methods, reason = "the protocol's freshness is wall-clock time")]
    pub fn now() -> Self {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// This much later, at most the end of time.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }

    /// This much earlier, at least the epoch.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(by)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Reads a nonce header: decimal digits without sign, space, separator or leading zero, so that
    /// one nonce has one spelling.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        if plain { text.parse().ok().map(Self) } else { None }
    }
}

/// Decimal, as in the nonce header.
impl fmt::Display for UnixNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Nonces of one sender: the clock, moved on where it has not moved itself.
#[derive(Debug, Default)]
pub struct NonceSource(AtomicU64);

impl NonceSource {
    /// A nonce greater than every earlier one of this source.
    pub fn next(&self) -> UnixNanos {
        self.after_reading(UnixNanos::now())
    }

    fn after_reading(&self, now: UnixNanos) -> UnixNanos {
        let step = |last: u64| Some(now.0.max(last.saturating_add(1)));
        let last = match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(last) | Err(last) => last,
        };
        UnixNanos(now.0.max(last.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_has_one_spelling() {
        assert_eq!(
            UnixNanos::parse("1752076800000000000"),
            Some(UnixNanos(1_752_076_800_000_000_000))
        );
        for other in [
            "",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1_0",
            "01",
            "0",
            "1.0",
            "1e3",
            "0x1",
            "１",
            "18446744073709551616",
        ] {
            assert_eq!(UnixNanos::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn nonces_rise_while_the_clock_stands_or_steps_back() {
        let source = NonceSource::default();
        let times = [5, 5, 3, 9].map(UnixNanos);
        assert_eq!(times.map(|now| source.after_reading(now)), [5, 6, 7, 9].map(UnixNanos));
    }
}
