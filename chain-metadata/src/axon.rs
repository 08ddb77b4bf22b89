//! Where a neuron says it can be reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Port of an axon that was reset: address 0 and this port say "not served any more".
const RESET_PORT: u16 = 1;

/// The endpoint a neuron published with `serve_axon`. A claim of the neuron, not a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AxonInfo {
    /// Address. `0.0.0.0` where the neuron lives on this very machine: the chain refuses
    /// `127.0.0.1`.
    pub ip: IpAddr,
    /// TCP port, never 0.
    pub port: u16,
    /// The neuron's own protocol number; the SDK writes 4.
    pub protocol: u8,
    /// The neuron's own version number.
    pub version: u32,
    /// Block in which it was published; the chain fills it in.
    pub block: u64,
}

/// The address fields of an axon as the chain keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAddress {
    /// IPv4 as its 32-bit number, IPv6 as its 128-bit number.
    pub ip: u128,
    /// 4 or 6.
    pub ip_type: u8,
}

impl AxonInfo {
    /// Protocol number that the Python SDK publishes.
    pub const PROTOCOL: u8 = 4;

    /// An endpoint to publish.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self { ip, port, protocol: Self::PROTOCOL, version: 1, block: 0 }
    }

    /// What the chain stores, or `None` where nothing is served: port 0 (never served), address 0
    /// with port 1 (reset), or an address that does not fit its type.
    pub fn from_chain(
        address: RawAddress,
        port: u16,
        protocol: u8,
        version: u32,
        block: u64,
    ) -> Option<Self> {
        if port == 0 || (address.ip == 0 && port == RESET_PORT) {
            return None;
        }
        let ip = match address.ip_type {
            4 => Ipv4Addr::from(u32::try_from(address.ip).ok()?).into(),
            6 => Ipv6Addr::from(address.ip).into(),
            _ => return None,
        };
        Some(Self { ip, port, protocol, version, block })
    }

    /// The address as `serve_axon` wants it.
    pub fn raw_address(&self) -> RawAddress {
        match self.ip {
            IpAddr::V4(ip) => RawAddress { ip: u128::from(u32::from(ip)), ip_type: 4 },
            IpAddr::V6(ip) => RawAddress { ip: u128::from(ip), ip_type: 6 },
        }
    }

    /// Where to connect: an unspecified address means this machine.
    pub fn dial(&self) -> SocketAddr {
        let ip = match self.ip {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_chain() {
        for ip in ["8.8.8.8", "0.0.0.0", "2001:db8::1"] {
            let axon = AxonInfo::new(ip.parse().unwrap(), 8091);
            let raw = axon.raw_address();
            assert_eq!(AxonInfo::from_chain(raw, 8091, 4, 1, 0), Some(axon));
        }
    }

    #[test]
    fn nothing_served_is_no_axon() {
        let zero = RawAddress { ip: 0, ip_type: 4 };
        assert_eq!(AxonInfo::from_chain(zero, 0, 4, 1, 9), None, "never served");
        assert_eq!(AxonInfo::from_chain(zero, 1, 4, 1, 9), None, "reset");
        let too_wide = RawAddress { ip: 1 << 32, ip_type: 4 };
        assert_eq!(AxonInfo::from_chain(too_wide, 80, 4, 1, 9), None, "not an IPv4 address");
    }
}
