//! Where the chain is, as several endpoints see it, and which of them to believe.

use std::time::Duration;

/// Blocks by which an endpoint may be behind the newest that is known: a block takes a moment to
/// come around, and two endpoints are never asked in the same one.
const MAX_LAG: u64 = 3;

/// And no less than this time, where blocks are fast.
const MAX_LAG_TIME: Duration = Duration::from_secs(3);

/// Blocks by which an endpoint may be behind.
pub(crate) fn max_lag(block_time: Duration) -> u64 {
    let blocks = MAX_LAG_TIME.as_millis() / block_time.as_millis().max(1);
    u64::try_from(blocks).unwrap_or(u64::MAX).max(MAX_LAG)
}

/// Parameters that ask for `Timestamp.Now` after the newest block: twox128 of both words, the same
/// in every runtime.
pub(crate) const TIMESTAMP_KEY: &str =
    r#"["0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb"]"#;

/// Where the chain is, as one endpoint sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// Height of its newest finalized block.
    pub(crate) finalized: u64,
    /// Height of its newest block.
    pub(crate) best: u64,
    /// The author's clock at that block, Unix milliseconds.
    pub(crate) time_ms: Option<u64>,
}

impl Sighting {
    /// `time` is the stored value, in hex.
    pub(crate) fn new(finalized: u64, best: u64, time: Option<&str>) -> Self {
        Self { finalized, best, time_ms: time.and_then(timestamp) }
    }

    /// Blocks by which this is further, in finalized blocks or in any.
    pub(crate) fn ahead_of(&self, other: &Self) -> u64 {
        let finalized = self.finalized.saturating_sub(other.finalized);
        finalized.max(self.best.saturating_sub(other.best))
    }
}

/// Eight bytes, little-endian, in hex.
fn timestamp(hex: &str) -> Option<u64> {
    let mut bytes = [0; 8];
    hex::decode_to_slice(hex.strip_prefix("0x")?, &mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes))
}

/// The endpoint to use: the first of the list that is not behind and not resting; else the one in
/// use, if it is not behind; else the first that is not behind.
pub(crate) fn choose(
    home: usize,
    sightings: &[Option<Sighting>],
    resting: &[bool],
    max_lag: u64,
) -> usize {
    let known = || sightings.iter().flatten();
    let finalized = known().map(|sighting| sighting.finalized).max().unwrap_or(0);
    let best = known().map(|sighting| sighting.best).max().unwrap_or(0);
    let is_fit = |place: usize| {
        sightings[place].is_some_and(|sighting| {
            sighting.finalized + max_lag >= finalized && sighting.best + max_lag >= best
        })
    };
    let places = || 0..sightings.len();
    let rested = places().find(|&place| is_fit(place) && !resting[place]);
    rested
        .or_else(|| Some(home).filter(|&home| is_fit(home)))
        .or_else(|| places().find(|&place| is_fit(place)))
        .unwrap_or(home)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sp_crypto_hashing::twox_128;

    fn at(finalized: u64, best: u64) -> Sighting {
        Sighting { finalized, best, time_ms: None }
    }

    #[test]
    fn an_endpoint_that_is_behind_or_mute_is_left_and_gone_back_to() {
        let none = [false; 2];
        // In order: who is home, what both say, who rests, who is to be home.
        for (home, sightings, resting, chosen) in [
            (0, [Some(at(98, 100)), Some(at(98, 101))], none, 0),
            (0, [Some(at(95, 97)), Some(at(98, 101))], none, 1),
            (0, [Some(at(33, 141)), Some(at(141, 143))], none, 1),
            (0, [None, Some(at(98, 101))], none, 1),
            (1, [Some(at(98, 100)), Some(at(98, 101))], none, 0),
            (1, [Some(at(98, 100)), Some(at(98, 101))], [true, false], 1),
            (0, [Some(at(98, 100)), None], [true, true], 0),
            (0, [None, None], none, 0),
            (1, [Some(at(98, 100)), Some(at(33, 35))], [true, true], 0),
        ] {
            assert_eq!(choose(home, &sightings, &resting, MAX_LAG), chosen, "{home} {sightings:?}");
        }
    }

    #[test]
    fn the_timestamps_key_is_the_runtimes() {
        let key = [twox_128(b"Timestamp"), twox_128(b"Now")].concat();
        assert_eq!(TIMESTAMP_KEY, format!("[\"0x{}\"]", hex::encode(key)));
        assert_eq!(timestamp("0x0100000000000000"), Some(1));
        assert_eq!(timestamp("0x01"), None);
    }
}
