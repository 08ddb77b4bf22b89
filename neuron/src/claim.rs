//! One process on this machine for each chain, subnet, hotkey and role, wherever its state lies.
//!
//! Two programs with state folders of their own do not see each other's files, and both would act:
//! weights would be lost, and one request be accepted by two miners. On Linux the claim is a name in
//! the kernel (an abstract socket), which leaves no file behind and ends with the process however that
//! ends; elsewhere it is a lock on a file in the system's folder for temporary files.
//!
//! One hotkey on two subnets is two claims. Another machine is out of reach: what a twin there does
//! shows on the chain.

use std::io;

use chain::Chain;
use chain_metadata::{Hotkey, NetUid};

/// Held while this process acts for a hotkey; released on drop.
#[derive(Debug)]
pub struct Claim {
    _held: Held,
}

/// Why the hotkey is not ours to act for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Another process acts for it.
    #[error("another {role} on this machine acts for {hotkey} on subnet {netuid} of this chain")]
    Held {
        /// The role.
        role: &'static str,
        /// The hotkey.
        hotkey: Hotkey,
        /// The subnet.
        netuid: NetUid,
    },
    /// The system does not let us claim anything.
    #[error("cannot make sure that no other {role} acts for this hotkey")]
    Io {
        /// The role.
        role: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl Claim {
    /// Claims a hotkey in a role on a subnet of a chain, which is told by its first block: chains of
    /// tests begin alike.
    ///
    /// # Errors
    /// At once, when another process holds the claim.
    pub async fn of_chain(
        chain: &Chain,
        netuid: NetUid,
        hotkey: &Hotkey,
        role: &'static str,
    ) -> Result<Self, ClaimError> {
        // A node without that block has the genesis all the same.
        let first = chain.block(1).await.map_or(chain.genesis_hash(), |block| block.hash);
        Self::take(&first, netuid, hotkey, role)
    }

    /// Claims a hotkey in a role on a subnet of the chain with this identity.
    ///
    /// # Errors
    /// At once, when another process holds the claim.
    pub fn take(
        chain: &[u8; 32],
        netuid: NetUid,
        hotkey: &Hotkey,
        role: &'static str,
    ) -> Result<Self, ClaimError> {
        let chain = chain.iter().take(8).fold(0_u64, |id, byte| id << 8 | u64::from(*byte));
        match hold(&format!("ganglion-{chain:016x}-{netuid}-{hotkey}-{role}")) {
            Ok(held) => Ok(Self { _held: held }),
            Err(error) if is_held(&error) => {
                Err(ClaimError::Held { role, hotkey: *hotkey, netuid })
            }
            Err(source) => Err(ClaimError::Io { role, source }),
        }
    }
}

fn is_held(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::WouldBlock)
}

#[cfg(target_os = "linux")]
type Held = std::os::unix::net::UnixDatagram;

#[cfg(target_os = "linux")]
fn hold(name: &str) -> io::Result<Held> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
type Held = std::fs::File;

#[cfg(not(target_os = "linux"))]
fn hold(name: &str) -> io::Result<Held> {
    let path = std::env::temp_dir().join(name).with_extension("lock");
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.try_lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hotkey_acts_once_in_each_role_on_each_subnet_of_each_chain() {
        let hotkey = Hotkey::from_bytes([0xc1; 32]);
        let other = Hotkey::from_bytes([0xc2; 32]);
        let take = |genesis, netuid, hotkey, role| {
            Claim::take(&[genesis; 32], NetUid(netuid), hotkey, role)
        };
        let held = take(1, 7, &hotkey, "validator").unwrap();
        let refused = take(1, 7, &hotkey, "validator").unwrap_err();
        assert!(matches!(refused, ClaimError::Held { netuid: NetUid(7), .. }), "{refused}");
        let _beside = [
            take(2, 7, &hotkey, "validator").unwrap(),
            take(1, 8, &hotkey, "validator").unwrap(),
            take(1, 7, &other, "validator").unwrap(),
            take(1, 7, &hotkey, "miner").unwrap(),
        ];
        drop(held);
        take(1, 7, &hotkey, "validator").unwrap();
    }
}
