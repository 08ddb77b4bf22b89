//! What to announce on chain, and when.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use chain_metadata::AxonInfo;

use crate::config::Axon;

/// What to do about the published endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// The chain says what we would say.
    Unchanged,
    /// Publish this.
    Now(AxonInfo),
    /// Publish, but not before this block: the chain's serving rate limit.
    Wait {
        /// The first head at which it is allowed.
        until: u64,
    },
}

/// Decides, at finalized head `now`, from what is published and what should be. `rate_limit` blocks
/// must lie between two publications.
pub fn publish(
    published: Option<&AxonInfo>,
    wanted: &AxonInfo,
    now: u64,
    rate_limit: u64,
) -> Publish {
    let Some(published) = published else {
        return Publish::Now(*wanted);
    };
    if same_place(published, wanted) {
        return Publish::Unchanged;
    }
    // Sent at head h, it is checked as of block h + 1.
    let until = (published.block + rate_limit).saturating_sub(1);
    if now < until { Publish::Wait { until } } else { Publish::Now(*wanted) }
}

/// What others publish for our hotkey after we did: once may be a person's doing, twice is a twin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rivals {
    /// Whether what we want was seen on chain, or sent there, and was ours to lose.
    ours: bool,
    seen: Vec<AxonInfo>,
}

/// Acts that make a twin.
const TWIN_ACTS: usize = 2;

impl Rivals {
    /// We have published.
    pub(crate) const fn published(&mut self) {
        self.ours = true;
    }

    /// Takes in what the chain shows; whether it makes a twin.
    pub(crate) fn see(&mut self, published: &AxonInfo, wanted: &AxonInfo) -> bool {
        if same_place(published, wanted) {
            self.ours = true;
        } else if std::mem::take(&mut self.ours) {
            tracing::error!(
                ip = %published.ip, port = published.port, block = published.block,
                "another program published an endpoint for this hotkey"
            );
            self.seen.push(*published);
        }
        self.seen.len() >= TWIN_ACTS
    }

    /// The last of them.
    pub(crate) fn last(&self) -> Option<&AxonInfo> {
        self.seen.last()
    }
}

fn same_place(a: &AxonInfo, b: &AxonInfo) -> bool {
    (a.ip, a.port, a.protocol, a.version) == (b.ip, b.port, b.protocol, b.version)
}

/// The endpoint to announce for a listener at `bound`; `None` where no address that a validator
/// could call is known.
pub(crate) fn announced(axon: &Axon, bound: SocketAddr, local_chain: bool) -> Option<AxonInfo> {
    let this_machine = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let ip = match axon.external_ip {
        Some(ip) => ip,
        None if local_chain => this_machine,
        None if bound.ip().is_unspecified() || bound.ip().is_loopback() => return None,
        None => bound.ip(),
    };
    Some(AxonInfo::new(ip, axon.external_port.unwrap_or(bound.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axon(port: u16, block: u64) -> AxonInfo {
        AxonInfo { block, ..AxonInfo::new("0.0.0.0".parse().unwrap(), port) }
    }

    #[test]
    fn what_is_published_already_is_not_published_again() {
        assert_eq!(publish(Some(&axon(8091, 5)), &axon(8091, 0), 6, 50), Publish::Unchanged);
        assert_eq!(publish(None, &axon(8091, 0), 6, 50), Publish::Now(axon(8091, 0)));
    }

    #[test]
    fn a_change_waits_for_the_serving_rate_limit() {
        let change = |now| publish(Some(&axon(8091, 6)), &axon(9000, 0), now, 50);
        assert_eq!(change(54), Publish::Wait { until: 55 });
        assert_eq!(change(55), Publish::Now(axon(9000, 0)));
    }

    #[test]
    fn what_another_publishes_over_ours_is_said_once_and_a_twin_twice() {
        let (ours, theirs) = (axon(8091, 5), axon(9000, 7));
        let mut rivals = Rivals::default();
        assert!(!rivals.see(&theirs, &ours), "what was there before us");
        assert!(rivals.last().is_none());
        rivals.published();
        assert!(!rivals.see(&theirs, &ours));
        assert!(!rivals.see(&theirs, &ours), "the same act, until we publish again");
        assert_eq!(rivals.last(), Some(&theirs));
        assert!(!rivals.see(&ours, &ours));
        assert!(rivals.see(&theirs, &ours));
    }

    #[test]
    fn on_a_public_chain_an_address_that_nobody_can_call_is_not_announced() {
        let bound = "0.0.0.0:8091".parse().unwrap();
        assert_eq!(announced(&Axon::default(), bound, false), None);
        let local = announced(&Axon::default(), bound, true).unwrap();
        assert_eq!((local.ip.to_string().as_str(), local.port), ("0.0.0.0", 8091));
        let set = Axon { external_ip: Some("8.8.8.8".parse().unwrap()), ..Axon::default() };
        assert_eq!(announced(&set, bound, false).unwrap().ip.to_string(), "8.8.8.8");
    }
}
