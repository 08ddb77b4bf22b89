//! Where a miner says it is, and whether we go there.
//!
//! The address comes from the chain, where anybody can write anything: a validator that follows it
//! blindly can be sent to its own metadata service or to a database next door.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use chain_metadata::Hotkey;

/// A miner: where to reach it, and who must sign its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The published address.
    pub ip: IpAddr,
    /// The published port.
    pub port: u16,
    /// The miner's hotkey.
    pub hotkey: Hotkey,
}

impl Endpoint {
    /// The socket it listens on.
    pub const fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }
}

/// Which addresses are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Only hosts of the public internet.
    #[default]
    Public,
    /// Also this machine and its private networks: for a subnet on the laptop.
    Local,
}

/// Why an address is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not a host of the public internet.
    #[error("{ip} is not an address of the public internet")]
    NotPublic {
        /// The address.
        ip: IpAddr,
    },
    /// Not an address of any one host.
    #[error("{ip} is not an address of a host")]
    NotAHost {
        /// The address.
        ip: IpAddr,
    },
    /// A port on which something else than a miner is expected.
    #[error("port {port} is not one that a miner listens on")]
    Port {
        /// The port.
        port: u16,
    },
}

/// Ports of services that understand a few lines of a stranger's HTTP, or are harmed by them: mail,
/// name service, file sharing, databases, caches, container and cluster control. Port 0 is nobody's.
const REFUSED_PORTS: [u16; 35] = [
    0, 7, 19, 20, 21, 22, 23, 25, 53, 69, 110, 111, 135, 137, 138, 139, 143, 161, 179, 389, 445,
    465, 587, 636, 1433, 2049, 2375, 2379, 3306, 3389, 5432, 6379, 9200, 11211, 27017,
];

impl Network {
    /// Whether `endpoint` is called.
    ///
    /// # Errors
    /// Why not.
    pub fn check(self, endpoint: &Endpoint) -> Result<(), AddressError> {
        self.check_socket(endpoint.socket())
    }

    /// Whether this address is called, whoever may be there.
    ///
    /// # Errors
    /// Why not.
    pub fn check_socket(self, socket: SocketAddr) -> Result<(), AddressError> {
        let (ip, port) = (socket.ip(), socket.port());
        if REFUSED_PORTS.contains(&port) {
            return Err(AddressError::Port { port });
        }
        if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Err(AddressError::NotAHost { ip });
        }
        match self {
            Self::Public if !is_public(ip) => Err(AddressError::NotPublic { ip }),
            Self::Public | Self::Local => Ok(()),
        }
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// Not in the IANA special-purpose registry of IPv4, and unicast.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    /// (network, prefix length)
    const SPECIAL: [(Ipv4Addr, u32); 15] = [
        (Ipv4Addr::UNSPECIFIED, 8),           // this network
        (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
        (Ipv4Addr::new(100, 64, 0, 0), 10),   // carrier-grade NAT
        (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
        (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local: cloud metadata lives here
        (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
        (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
        (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
        (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
        (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
        (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarking
        (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
        (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
        (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
        (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, broadcast
    ];
    let bits = u32::from(ip);
    SPECIAL.iter().all(|&(network, len)| (bits ^ u32::from(network)) >> (32 - len) != 0)
}

/// In the global unicast space, and in none of its parts that are special or carry an IPv4 address
/// (which would be one more way to spell a private one).
fn is_public_v6(ip: Ipv6Addr) -> bool {
    /// The only space that is given out to hosts; `64:ff9b::/96`, `::ffff:0:0/96`, `fc00::/7`,
    /// `fe80::/10` and `ff00::/8` are all outside.
    const GLOBAL_UNICAST: (u128, u32) = (0x2000 << 112, 3);
    /// (network, prefix length)
    const SPECIAL: [(u128, u32); 6] = [
        (0x2001 << 112, 23),          // protocol assignments, Teredo among them
        (0x2001_0db8 << 96, 32),      // documentation
        (0x2002 << 112, 16),          // 6to4
        (0x2620_004f_8000 << 80, 48), // AS112
        (0x3ffe << 112, 16),          // 6bone, returned
        (0x3fff << 112, 20),          // documentation
    ];
    let bits = u128::from(ip);
    let within = |(network, len): (u128, u32)| (bits ^ network) >> (128 - len) == 0;
    within(GLOBAL_UNICAST) && !SPECIAL.into_iter().any(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(network: Network, ip: &str, port: u16) -> Result<(), AddressError> {
        let ip = ip.parse().unwrap();
        network.check(&Endpoint { ip, port, hotkey: Hotkey::from_bytes([1; 32]) })
    }

    #[test]
    fn addresses_that_are_not_the_public_internet_are_not_called() {
        for ip in [
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.254",
            "127.0.0.1",
            "127.0.0.2",
            "127.255.255.255",
            "169.254.169.254",
            "169.254.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "240.0.0.1",
            "255.255.255.254",
            "::1",
            "::2",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:7f00:1::",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2620:4f:8000::1",
            "3ffe::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
        ] {
            assert!(
                matches!(check(Network::Public, ip, 8091), Err(AddressError::NotPublic { .. })),
                "{ip}"
            );
        }
        for ip in ["0.0.0.0", "::", "224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1"] {
            for network in [Network::Public, Network::Local] {
                let refused = check(network, ip, 8091);
                assert!(matches!(refused, Err(AddressError::NotAHost { .. })), "{ip}");
            }
        }
    }

    #[test]
    fn hosts_of_the_public_internet_are_called() {
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.0.0.1",
            "128.0.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.254",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
            "2003::1",
        ] {
            assert_eq!(check(Network::Public, ip, 8091), Ok(()), "{ip}");
        }
        assert_eq!(check(Network::Local, "127.0.0.2", 8091), Ok(()));
        assert_eq!(check(Network::Local, "192.168.1.7", 8091), Ok(()));
    }

    #[test]
    fn ports_of_other_services_are_not_called() {
        for port in [0, 22, 25, 2375, 6379, 11211] {
            assert_eq!(check(Network::Local, "127.0.0.1", port), Err(AddressError::Port { port }));
        }
    }
}
