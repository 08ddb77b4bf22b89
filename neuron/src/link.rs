//! Which chain and which subnet, and getting there with patience.

use std::time::Duration;

use chain::{Chain, ConnectError, ConnectOptions};
use chain_metadata::NetUid;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::settings::{Kind, Setting};
use crate::{Readiness, Shutdown};

/// First wait after a failed connection; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Longest wait between two tries: under three blocks of 12 s.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The public networks by the names that btcli gives them.
const NETWORKS: [(&str, &str); 5] = [
    ("finney", "wss://entrypoint-finney.opentensor.ai:443"),
    ("test", "wss://test.finney.opentensor.ai:443"),
    ("archive", "wss://archive.chain.opentensor.ai:443"),
    ("devnet", "wss://dev.chain.opentensor.ai:443"),
    ("local", "ws://127.0.0.1:9944"),
];

/// `[chain]`: where the chain is, and which subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::unsafe_derive_deserialize,
    reason = "`select!` pins within a method; the fields hold no invariant"
)]
#[serde(default, deny_unknown_fields)]
pub struct ChainSettings {
    /// A network's name (`finney`, `test`, `local`, …) or an address `ws://…`, `wss://…`.
    pub network: String,
    /// Address that replaces the network's own, where set.
    pub endpoint: Option<String>,
    /// Further addresses of the same chain, tried in order.
    pub fallbacks: Vec<String>,
    /// The subnet.
    pub netuid: u16,
    /// Seconds to go on trying for a first connection before giving up.
    pub patience_s: u64,
}

impl Default for ChainSettings {
    fn default() -> Self {
        Self {
            network: "local".to_owned(),
            endpoint: None,
            fallbacks: Vec::new(),
            netuid: 1,
            patience_s: 600,
        }
    }
}

impl ChainSettings {
    /// The lines of a program's table for this section.
    pub fn table() -> [Setting; 5] {
        [
            Setting {
                key: "chain.network",
                flag: "network",
                short: Some('n'),
                aliases: &["subtensor.network"],
                env: &["BT_NETWORK", "BT_SUBTENSOR_NETWORK"],
                kind: Kind::Text,
                help: "finney, test, archive, devnet, local, or an address ws://… or wss://…",
            },
            Setting {
                key: "chain.endpoint",
                flag: "chain-endpoint",
                short: None,
                aliases: &["subtensor.chain_endpoint"],
                env: &["BT_CHAIN_ENDPOINT", "BT_SUBTENSOR_CHAIN_ENDPOINT"],
                kind: Kind::Text,
                help: "Address that replaces the network's own",
            },
            Setting {
                key: "chain.fallbacks",
                flag: "fallback-endpoints",
                short: None,
                aliases: &[],
                env: &["BT_FALLBACK_ENDPOINTS"],
                kind: Kind::List,
                help: "Further addresses of the same chain, tried in order",
            },
            Setting {
                key: "chain.netuid",
                flag: "netuid",
                short: None,
                aliases: &[],
                env: &["BT_NETUID"],
                kind: Kind::Integer,
                help: "The subnet",
            },
            Setting {
                key: "chain.patience_s",
                flag: "chain-patience",
                short: None,
                aliases: &[],
                env: &[],
                kind: Kind::Integer,
                help: "Seconds to go on trying for a first connection",
            },
        ]
    }

    /// The subnet.
    pub const fn netuid(&self) -> NetUid {
        NetUid(self.netuid)
    }

    /// Every address to try, in order.
    pub fn endpoints(&self) -> Vec<String> {
        let named = NETWORKS.iter().find(|(name, _)| *name == self.network).map(|(_, url)| *url);
        let first = self.endpoint.clone().unwrap_or_else(|| named.unwrap_or(&self.network).into());
        std::iter::once(first).chain(self.fallbacks.iter().cloned()).collect()
    }

    /// Whether every address is on this machine: only then are development keys accepted, and
    /// loopback axons dialled.
    pub fn is_local(&self) -> bool {
        self.endpoints().iter().all(|endpoint| is_loopback(endpoint))
    }

    /// Connects, trying again until the patience ends or `shutdown`, and saying each time that it
    /// does.
    ///
    /// An address that can never work (no URL, another chain's scheme) fails at once.
    pub async fn connect(
        &self,
        readiness: &Readiness,
        shutdown: &Shutdown,
    ) -> Result<Chain, LinkError> {
        let endpoints = self.endpoints();
        let patience = Duration::from_secs(self.patience_s);
        let (mut waited, mut wait) = (Duration::ZERO, FIRST_WAIT);
        loop {
            let attempt = Chain::connect(&endpoints, ConnectOptions::default());
            let error = tokio::select! {
                connected = attempt => match connected {
                    Ok(chain) => {
                        readiness.clear("chain");
                        return Ok(chain);
                    }
                    Err(error) => error,
                },
                () = shutdown.cancelled() => return Err(LinkError::Interrupted),
            };
            if !matches!(error, ConnectError::Unreachable { .. }) {
                return Err(LinkError::Address { source: error });
            }
            if waited >= patience {
                return Err(LinkError::GaveUp { waited_s: waited.as_secs(), source: error });
            }
            tracing::warn!(%error, retry_in = ?wait, "the chain cannot be reached; trying again");
            readiness.object("chain", error.to_string());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => return Err(LinkError::Interrupted),
            }
            waited += wait;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// Whether an address is of this machine: `localhost` or a loopback address, and nothing that only
/// looks like one.
fn is_loopback(endpoint: &str) -> bool {
    let Ok(url) = Url::parse(endpoint) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Why there is no chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// An address that can never work.
    #[error("the chain's address is wrong")]
    Address {
        /// In which way.
        source: ConnectError,
    },
    /// Nobody answered for as long as we were told to try.
    #[error("no chain after trying for {waited_s} s")]
    GaveUp {
        /// Seconds waited between tries.
        waited_s: u64,
        /// The last failure.
        source: ConnectError,
    },
    /// The user ended the program first.
    #[error("interrupted while connecting")]
    Interrupted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(network: &str) -> ChainSettings {
        ChainSettings { network: network.into(), ..ChainSettings::default() }
    }

    #[test]
    fn a_network_is_a_name_or_an_address_and_an_endpoint_replaces_it() {
        assert_eq!(at("local").endpoints(), ["ws://127.0.0.1:9944"]);
        assert_eq!(at("ws://10.0.0.1:1").endpoints(), ["ws://10.0.0.1:1"]);
        let named = ChainSettings {
            endpoint: Some("ws://a:1".into()),
            fallbacks: vec!["ws://b:2".into()],
            ..at("finney")
        };
        assert_eq!(named.endpoints(), ["ws://a:1", "ws://b:2"]);
    }

    #[test]
    fn a_chain_is_local_only_when_every_address_is() {
        for (network, local) in [
            ("local", true),
            ("ws://localhost:1/x", true),
            ("ws://[::1]:9944", true),
            ("finney", false),
            ("ws://127.0.0.2:9944", true),
            ("ws://127.0.0.1.evil.example:9944", false),
            ("ws://127.0.0.1:1@host.example", false),
            ("ws://localhost:x@192.0.2.2:9", false),
            ("ws://127.0.0.1@192.0.2.2", false),
            ("ws://192.0.2.2/#@127.0.0.1", false),
            ("ws://[::1]:1@192.0.2.2", false),
            ("127.0.0.1:9944", false),
        ] {
            assert_eq!(at(network).is_local(), local, "{network}");
        }
        let mixed = ChainSettings { fallbacks: vec!["wss://far.example".into()], ..at("local") };
        assert!(!mixed.is_local());
    }

    #[tokio::test]
    async fn patience_ends_with_the_reason() {
        let settings = ChainSettings { patience_s: 0, ..at("ws://127.0.0.1:9") };
        let readiness = Readiness::default();
        let error = settings.connect(&readiness, &Shutdown::new()).await.unwrap_err();
        assert!(matches!(error, LinkError::GaveUp { waited_s: 0, .. }));
    }
}
