//! The transaction pool: what may be in the next block, in which order. It knows tags, priorities and
//! bounds; whether an extrinsic is valid at all, the runtime says.

use sp_core::H256;
use sp_runtime::transaction_validity::{TransactionTag, ValidTransaction};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio::sync::mpsc;

/// Extrinsics in the pool, as a node's default.
const MAX_EXTRINSICS: usize = 8_192;

/// Bytes of all extrinsics in the pool, as a node's default.
const MAX_BYTES: usize = 20 * 1024 * 1024;

/// Statuses that a watcher may be behind. An extrinsic has at most five in its life.
pub(crate) const WATCH_BUFFER: usize = 8;

/// An extrinsic's life, as its watcher hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Status {
    /// An earlier nonce is missing.
    Future,
    Ready,
    InBlock(H256),
    Finalized(H256),
    /// Replaced by this one.
    Usurped(H256),
    /// Its block was undone, and it is not waiting for another.
    Dropped,
    Invalid,
}

impl Status {
    /// Nothing comes after it.
    pub(crate) fn is_last(self) -> bool {
        !matches!(self, Self::Future | Self::Ready | Self::InBlock(_))
    }
}

/// Who is told. A watcher that went away is not an error.
pub(crate) type Watcher = mpsc::Sender<Status>;

/// Tells `watcher`; one that hung up, or does not read, misses it.
pub(crate) fn tell(watcher: &Watcher, status: Status) {
    if watcher.try_send(status).is_err() {
        tracing::trace!(?status, "nobody listens");
    }
}

/// An extrinsic's bytes and their hash.
#[derive(Debug)]
pub(crate) struct Queued {
    pub hash: H256,
    pub bytes: Arc<[u8]>,
}

/// Why the pool did not take a valid extrinsic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolRefusal {
    /// It is here already.
    #[error("[{0:?}] is in the pool already")]
    AlreadyImported(H256),
    /// Another with the same nonce is here, and is not outbid.
    #[error("priority is too low: ({old} vs {new})")]
    PriorityTooLow {
        /// Priority of the one in the pool.
        old: u64,
        /// Priority of the one refused.
        new: u64,
    },
    /// The pool is full.
    #[error("the pool is full")]
    Full,
}

struct Entry {
    queued: Arc<Queued>,
    validity: ValidTransaction,
    /// Last block in which it is valid.
    until: u64,
    arrival: u64,
    watchers: Vec<Watcher>,
}

#[derive(Default)]
pub(crate) struct Pool {
    entries: HashMap<H256, Entry>,
    /// Which extrinsic provides a tag.
    provided: HashMap<TransactionTag, H256>,
    bytes: usize,
    arrivals: u64,
}

impl Pool {
    /// Takes an extrinsic found valid on block `best`.
    pub(crate) fn insert(
        &mut self,
        queued: Queued,
        validity: ValidTransaction,
        best: u32,
        watcher: Option<Watcher>,
    ) -> Result<(), PoolRefusal> {
        if self.entries.contains_key(&queued.hash) {
            return Err(PoolRefusal::AlreadyImported(queued.hash));
        }
        let rivals = self.rivals(&validity);
        let strongest = rivals.iter().filter_map(|hash| self.entries.get(hash));
        if let Some(old) = strongest.map(|rival| rival.validity.priority).max()
            && old >= validity.priority
        {
            return Err(PoolRefusal::PriorityTooLow { old, new: validity.priority });
        }
        let full = self.entries.len() >= MAX_EXTRINSICS.saturating_add(rivals.len())
            || self.bytes.saturating_add(queued.bytes.len()) > MAX_BYTES;
        if full {
            return Err(PoolRefusal::Full);
        }
        for rival in rivals {
            self.close(&rival, Status::Usurped(queued.hash));
        }
        for tag in &validity.provides {
            self.provided.insert(tag.clone(), queued.hash);
        }
        self.bytes = self.bytes.saturating_add(queued.bytes.len());
        self.arrivals = self.arrivals.saturating_add(1);
        let until = u64::from(best).saturating_add(validity.longevity);
        let entry = Entry {
            queued: Arc::new(queued),
            validity,
            until,
            arrival: self.arrivals,
            watchers: watcher.into_iter().collect(),
        };
        let status = if self.is_ready(&entry) { Status::Ready } else { Status::Future };
        for watcher in &entry.watchers {
            tell(watcher, status);
        }
        self.entries.insert(entry.queued.hash, entry);
        Ok(())
    }

    fn rivals(&self, validity: &ValidTransaction) -> HashSet<H256> {
        validity.provides.iter().filter_map(|tag| self.provided.get(tag).copied()).collect()
    }

    /// Whether all that `entry` requires is in the pool (or on the chain, and so no longer required).
    fn is_ready(&self, entry: &Entry) -> bool {
        entry.validity.requires.iter().all(|tag| self.provided.contains_key(tag))
    }

    /// What can be in the next block, in order: higher priority first, then first come; nothing before what
    /// it requires.
    pub(crate) fn ready(&self) -> Vec<Arc<Queued>> {
        let mut waiting: Vec<&Entry> = self.entries.values().collect();
        waiting.sort_unstable_by_key(|e| (std::cmp::Reverse(e.validity.priority), e.arrival));
        let mut order = Vec::with_capacity(waiting.len());
        let mut provided: HashSet<&TransactionTag> = HashSet::new();
        loop {
            let before = order.len();
            waiting.retain(|entry| {
                let met = entry.validity.requires.iter().all(|tag| provided.contains(tag));
                if met {
                    provided.extend(&entry.validity.provides);
                    order.push(Arc::clone(&entry.queued));
                }
                !met
            });
            if order.len() == before {
                return order;
            }
        }
    }

    /// Those that wait for something that is not in the pool.
    pub(crate) fn future(&self) -> Vec<Arc<Queued>> {
        let ready: HashSet<H256> = self.ready().iter().map(|queued| queued.hash).collect();
        let waiting = self.entries.values().filter(|e| !ready.contains(&e.queued.hash));
        waiting.map(|entry| Arc::clone(&entry.queued)).collect()
    }

    /// What `hash` requires has changed.
    pub(crate) fn revise(&mut self, hash: &H256, validity: ValidTransaction) {
        if let Some(entry) = self.entries.get_mut(hash) {
            entry.validity.requires = validity.requires;
            let watchers = entry.watchers.clone();
            if self.entries.get(hash).is_some_and(|entry| self.is_ready(entry)) {
                for watcher in &watchers {
                    tell(watcher, Status::Ready);
                }
            }
        }
    }

    /// Takes `hash` out; its watchers are the caller's now.
    pub(crate) fn take(&mut self, hash: &H256) -> Vec<Watcher> {
        let Some(entry) = self.entries.remove(hash) else { return Vec::new() };
        self.bytes = self.bytes.saturating_sub(entry.queued.bytes.len());
        for tag in &entry.validity.provides {
            if self.provided.get(tag) == Some(hash) {
                self.provided.remove(tag);
            }
        }
        entry.watchers
    }

    /// Takes `hash` out and tells its watchers `last`.
    pub(crate) fn close(&mut self, hash: &H256, last: Status) {
        for watcher in self.take(hash) {
            tell(&watcher, last);
        }
    }

    /// Closes what is no longer valid after block `best`.
    pub(crate) fn expire(&mut self, best: u32) {
        let next = u64::from(best).saturating_add(1);
        let old: Vec<H256> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.until < next)
            .map(|(hash, _)| *hash)
            .collect();
        for hash in old {
            self.close(&hash, Status::Invalid);
        }
    }

    /// Empties the pool.
    pub(crate) fn clear(&mut self) {
        for entry in std::mem::take(self).entries.into_values() {
            for watcher in &entry.watchers {
                tell(watcher, Status::Dropped);
            }
        }
    }

    /// All extrinsics, ready or not.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Queued>> {
        self.entries.values().map(|entry| &entry.queued)
    }

    /// Whether some extrinsic provides `tag`.
    pub(crate) fn provides(&self, tag: &[u8]) -> bool {
        self.provided.contains_key(tag)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(n: u8) -> Queued {
        Queued { hash: H256::repeat_byte(n), bytes: vec![n; 10].into() }
    }
    fn nonce(n: u8, priority: u64) -> ValidTransaction {
        let requires = if n == 0 { Vec::new() } else { vec![vec![n - 1]] };
        ValidTransaction {
            priority,
            requires,
            provides: vec![vec![n]],
            longevity: 64,
            propagate: true,
        }
    }
    fn order(pool: &Pool) -> Vec<u8> {
        pool.ready().iter().map(|queued| queued.bytes[0]).collect()
    }

    #[test]
    fn nonces_go_in_order_whatever_their_priority() {
        let mut pool = Pool::default();
        pool.insert(queued(2), nonce(2, 9), 0, None).unwrap();
        pool.insert(queued(0), nonce(0, 1), 0, None).unwrap();
        assert_eq!(order(&pool), [0], "nonce 1 is missing");
        pool.insert(queued(1), nonce(1, 5), 0, None).unwrap();
        assert_eq!(order(&pool), [0, 1, 2]);
    }

    #[test]
    fn the_same_nonce_is_replaced_only_by_a_higher_priority() {
        let mut pool = Pool::default();
        let (sender, mut statuses) = mpsc::channel(WATCH_BUFFER);
        pool.insert(queued(1), nonce(0, 5), 0, Some(sender)).unwrap();
        let refused = pool.insert(queued(2), nonce(0, 5), 0, None).unwrap_err();
        assert_eq!(refused, PoolRefusal::PriorityTooLow { old: 5, new: 5 });
        pool.insert(queued(3), nonce(0, 6), 0, None).unwrap();
        assert_eq!(order(&pool), [3]);
        assert_eq!(statuses.try_recv().unwrap(), Status::Ready);
        assert_eq!(statuses.try_recv().unwrap(), Status::Usurped(H256::repeat_byte(3)));
    }

    #[test]
    fn the_same_extrinsic_is_refused_twice() {
        let mut pool = Pool::default();
        pool.insert(queued(1), nonce(0, 5), 0, None).unwrap();
        let refused = pool.insert(queued(1), nonce(0, 7), 0, None).unwrap_err();
        assert_eq!(refused, PoolRefusal::AlreadyImported(H256::repeat_byte(1)));
    }

    #[test]
    fn a_full_pool_refuses_and_keeps_what_it_has() {
        let mut pool = Pool::default();
        let big =
            |n: u8| Queued { hash: H256::repeat_byte(n), bytes: vec![n; MAX_BYTES / 2].into() };
        pool.insert(big(1), nonce(0, 1), 0, None).unwrap();
        pool.insert(big(2), nonce(7, 1), 0, None).unwrap();
        assert_eq!(pool.insert(queued(3), nonce(9, 99), 0, None), Err(PoolRefusal::Full));
        assert_eq!(pool.len(), 2);
    }

    #[test]
    fn an_extrinsic_past_its_era_is_closed_as_invalid() {
        let mut pool = Pool::default();
        let (sender, mut statuses) = mpsc::channel(WATCH_BUFFER);
        pool.insert(queued(1), nonce(0, 5), 10, Some(sender)).unwrap();
        pool.expire(73);
        assert_eq!(pool.len(), 1);
        pool.expire(74);
        assert_eq!(pool.len(), 0);
        assert_eq!(statuses.try_recv().unwrap(), Status::Ready);
        assert_eq!(statuses.try_recv().unwrap(), Status::Invalid);
    }
}
