//! Bad signatures, held against where they come from.
//!
//! Registered hotkeys are public, so anybody can send requests in their names that cost a curve
//! operation each to see through. The hotkey cannot be blamed for those; the address can.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::seats::origin;

/// Addresses remembered. Beyond it a new offender goes unpunished until an old one is forgiven:
/// that costs curve operations, never an honest caller's service.
const MAX_OFFENDERS: usize = 4096;

/// After this long without a bad signature an address has a clean sheet.
const FORGIVEN_AFTER: Duration = Duration::from_secs(10);

/// The offenders.
#[derive(Debug, Default)]
pub(super) struct Strikes(Mutex<HashMap<IpAddr, Sheet>>);

#[derive(Clone, Copy, Debug)]
struct Sheet {
    strikes: u32,
    last: Instant,
}

impl Strikes {
    /// Whether `ip` has used up the `limit` of bad signatures it is allowed.
    pub(super) fn is_out(&self, ip: IpAddr, limit: u32, now: Instant) -> bool {
        let is_out = |sheet: &Sheet| sheet.strikes >= limit && !sheet.is_forgiven(now);
        self.0.lock().get(&origin(ip)).is_some_and(is_out)
    }

    /// Notes a bad signature from `ip`. Loopback addresses have none: there it is a proxy of ours
    /// that speaks, for everybody.
    pub(super) fn add(&self, ip: IpAddr, now: Instant) {
        if ip.to_canonical().is_loopback() {
            return;
        }
        let mut sheets = self.0.lock();
        if sheets.len() >= MAX_OFFENDERS {
            sheets.retain(|_, sheet| !sheet.is_forgiven(now));
        }
        let origin = origin(ip);
        if sheets.len() >= MAX_OFFENDERS && !sheets.contains_key(&origin) {
            return;
        }
        let sheet = sheets.entry(origin).or_insert(Sheet { strikes: 0, last: now });
        let earlier = if sheet.is_forgiven(now) { 0 } else { sheet.strikes };
        *sheet = Sheet { strikes: earlier.saturating_add(1), last: now };
    }
}

impl Sheet {
    fn is_forgiven(&self, now: Instant) -> bool {
        now.duration_since(self.last) > FORGIVEN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_out_after_its_strikes_and_forgiven_with_time() {
        let (strikes, start) = (Strikes::default(), Instant::now());
        let [offender, other, here] =
            ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        for _ in 0..3 {
            assert!(!strikes.is_out(offender, 3, start));
            strikes.add(offender, start);
            strikes.add(here, start);
        }
        assert!(strikes.is_out(offender, 3, start));
        assert!(!strikes.is_out(other, 3, start) && !strikes.is_out(here, 3, start));
        let later = start + FORGIVEN_AFTER + Duration::from_millis(1);
        assert!(!strikes.is_out(offender, 3, later));
        strikes.add(offender, later);
        assert!(!strikes.is_out(offender, 3, later));
    }

    #[test]
    fn offenders_beyond_the_bound_are_not_remembered() {
        let (strikes, now) = (Strikes::default(), Instant::now());
        for n in 0..=u32::try_from(MAX_OFFENDERS).unwrap() {
            strikes.add(IpAddr::from((0x0b00_0000 + n).to_be_bytes()), now);
        }
        assert_eq!(strikes.0.lock().len(), MAX_OFFENDERS);
    }
}
