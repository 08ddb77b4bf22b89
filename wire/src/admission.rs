//! Whether a caller is heard at all, decided by its hotkey before anything is paid for it.

use std::collections::HashSet;

use chain_metadata::Hotkey;
use parking_lot::RwLock;

/// Why a hotkey is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// Not registered on this subnet.
    #[error("the hotkey is not registered here")]
    Unknown,
    /// Registered, but without a validator permit or the stake that is asked for.
    #[error("the hotkey may not query here")]
    NotPermitted,
    /// Asked more than its share.
    #[error("the hotkey asks too often")]
    TooMany,
    /// The metagraph has not been read yet.
    #[error("the metagraph is not known yet")]
    NotReady,
}

/// Decides by hotkey, before the body is read and before any curve arithmetic.
///
/// The hotkey is only claimed at that point: anybody can write a registered one into a header. So a
/// decision must be cheap, must not block, and must not charge the hotkey for the request (charge
/// it in the handler, where it is proven).
pub trait Admission: Send + Sync + 'static {
    /// Whether a request that claims to come from `hotkey` is looked at.
    ///
    /// # Errors
    /// Why not.
    fn admit(&self, hotkey: &Hotkey) -> Result<(), Denial>;
}

impl<F> Admission for F
where
    F: Fn(&Hotkey) -> Result<(), Denial> + Send + Sync + 'static,
{
    fn admit(&self, hotkey: &Hotkey) -> Result<(), Denial> {
        self(hotkey)
    }
}

impl<A: Admission + ?Sized> Admission for std::sync::Arc<A> {
    fn admit(&self, hotkey: &Hotkey) -> Result<(), Denial> {
        (**self).admit(hotkey)
    }
}

/// The hotkeys that may ask, replaced as a whole at each reading of the metagraph.
#[derive(Debug, Default)]
pub struct Roster(RwLock<Option<HashSet<Hotkey>>>);

impl Roster {
    /// A roster nobody has read yet: everyone is told to come back.
    pub fn unread() -> Self {
        Self::default()
    }

    /// From now on these hotkeys, and no others, may ask.
    pub fn replace(&self, hotkeys: impl IntoIterator<Item = Hotkey>) {
        let hotkeys = hotkeys.into_iter().collect();
        *self.0.write() = Some(hotkeys);
    }

    /// How many may ask; `None` before the first reading.
    pub fn size(&self) -> Option<usize> {
        self.0.read().as_ref().map(HashSet::len)
    }
}

impl FromIterator<Hotkey> for Roster {
    fn from_iter<I: IntoIterator<Item = Hotkey>>(hotkeys: I) -> Self {
        Self(RwLock::new(Some(hotkeys.into_iter().collect())))
    }
}

impl Admission for Roster {
    fn admit(&self, hotkey: &Hotkey) -> Result<(), Denial> {
        match &*self.0.read() {
            None => Err(Denial::NotReady),
            Some(known) if known.contains(hotkey) => Ok(()),
            Some(_) => Err(Denial::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_admits_whom_the_last_metagraph_named() {
        let [a, b] = [1, 2].map(|n| Hotkey::from_bytes([n; 32]));
        let roster = Roster::unread();
        assert_eq!(roster.admit(&a), Err(Denial::NotReady));
        roster.replace([a]);
        assert_eq!((roster.admit(&a), roster.admit(&b)), (Ok(()), Err(Denial::Unknown)));
        roster.replace([b]);
        assert_eq!((roster.admit(&a), roster.admit(&b)), (Err(Denial::Unknown), Ok(())));
    }
}
