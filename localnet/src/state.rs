//! The state trie's nodes, in memory.
//!
//! Every block adds nodes and takes nodes away. The store keeps both lists for the blocks whose states it
//! still serves, so that it can go two ways: *forget* the oldest state (drop what the next block took
//! away) and *undo* the youngest block (drop what it added, restore what it took away).

use crate::fork::Remote;
use hash_db::Prefix;
use parking_lot::RwLock;
use sp_core::H256;
use sp_runtime::traits::BlakeTwo256;
use sp_state_machine::{Storage, TrieBackend, TrieBackendBuilder};
use sp_trie::{
    PrefixedMemoryDB,
    cache::{CacheSize, LocalTrieCache, SharedTrieCache},
};
use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

/// Read access to the state at one root.
pub(crate) type Backend =
    TrieBackend<Arc<dyn Storage<BlakeTwo256>>, BlakeTwo256, LocalTrieCache<BlakeTwo256>>;

/// Bytes of decoded nodes and values kept for the next reader: they are found by hash, so no block makes
/// them stale.
const CACHE: CacheSize = CacheSize::new(32 * 1024 * 1024);

/// A node's hash and its place in the trie: equal nodes at two places live and die separately.
#[derive(Clone, Copy, PartialEq, Eq, Debug, codec::Encode, codec::Decode)]
pub(crate) struct NodeKey {
    node: H256,
    place: u64,
}

impl NodeKey {
    fn new(node: &H256, place: impl Iterator<Item = u8>) -> Self {
        /// FNV-1a, 64 bits. It separates the places of *identical* nodes only.
        const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let place = place.fold(BASIS, |h, byte| (h ^ u64::from(byte)).wrapping_mul(PRIME));
        Self { node: *node, place }
    }

    fn at(node: &H256, prefix: Prefix<'_>) -> Self {
        Self::new(node, prefix.0.iter().copied().chain(prefix.1))
    }

    /// From the key of a `PrefixedMemoryDB`: the place's bytes, then the node's hash.
    fn of_prefixed(key: &[u8]) -> Self {
        let (place, node) = key.split_at(key.len().saturating_sub(H256::len_bytes()));
        Self::new(&H256::from_slice(node), place.iter().copied())
    }
}

impl std::hash::Hash for NodeKey {
    fn hash<S: Hasher>(&self, state: &mut S) {
        state.write_u64(self.node.to_low_u64_le() ^ self.place);
    }
}

/// Node hashes are uniform already: take the word as it is.
#[derive(Default)]
struct Word(u64);

impl Hasher for Word {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

type ByNode<T> = HashMap<NodeKey, T, BuildHasherDefault<Word>>;

/// What one block did to the set of nodes.
#[derive(Clone, Debug, Default, codec::Encode, codec::Decode)]
pub(crate) struct Delta {
    /// Nodes that the block's state refers to and its parent's did not.
    pub added: Vec<(NodeKey, Vec<u8>)>,
    /// Nodes that the parent's state referred to and the block's does not.
    pub removed: Vec<NodeKey>,
}

impl From<PrefixedMemoryDB<BlakeTwo256>> for Delta {
    fn from(mut changes: PrefixedMemoryDB<BlakeTwo256>) -> Self {
        let mut delta = Self::default();
        for (key, (node, references)) in changes.drain() {
            let key = NodeKey::of_prefixed(&key);
            match references {
                1.. => delta.added.push((key, node)),
                0 => {}
                _ => delta.removed.push(key),
            }
        }
        delta
    }
}

/// What is needed to undo a block, and to forget its parent.
struct Journal {
    /// Added nodes; for one that an earlier block had taken away, that block's number.
    added: Vec<(NodeKey, Option<u32>)>,
    removed: Vec<NodeKey>,
}

#[derive(Default)]
struct Nodes {
    live: ByNode<Vec<u8>>,
    /// Nodes that no state from this block on refers to.
    dying: ByNode<u32>,
    /// One entry a block, the youngest last.
    journal: VecDeque<Journal>,
    /// The youngest block whose state is stored.
    youngest: u32,
}

/// The nodes of the states from [`NodeStore::oldest`] to the youngest.
pub(crate) struct NodeStore {
    nodes: RwLock<Nodes>,
    /// Where the nodes of the first state are, when this is a fork.
    remote: Option<Remote>,
    cache: SharedTrieCache<BlakeTwo256>,
}

impl Default for NodeStore {
    fn default() -> Self {
        Self::of(Nodes::default())
    }
}

impl NodeStore {
    /// A store that holds one state, that of block `number`.
    pub(crate) fn with_state(number: u32, nodes: Vec<(NodeKey, Vec<u8>)>) -> Self {
        Self::of(Nodes { live: nodes.into_iter().collect(), youngest: number, ..Nodes::default() })
    }

    /// A store whose first state, that of block `number`, is fetched as it is read.
    pub(crate) fn forked(number: u32, remote: Remote) -> Self {
        let nodes = Nodes { youngest: number, ..Nodes::default() };
        Self { remote: Some(remote), ..Self::of(nodes) }
    }

    fn of(nodes: Nodes) -> Self {
        let cache = SharedTrieCache::new(CACHE, None);
        Self { nodes: RwLock::new(nodes), remote: None, cache }
    }

    /// Adds nodes to the first state.
    pub(crate) fn patch(&self, delta: Delta) {
        self.nodes.write().live.extend(delta.added);
    }

    /// Appends the next block's changes.
    pub(crate) fn commit(&self, delta: Delta) {
        let mut nodes = self.nodes.write();
        let number = nodes.youngest.saturating_add(1);
        let mut added = Vec::with_capacity(delta.added.len());
        for (key, node) in delta.added {
            added.push((key, nodes.dying.remove(&key)));
            nodes.live.insert(key, node);
        }
        for key in &delta.removed {
            nodes.dying.insert(*key, number);
        }
        nodes.journal.push_back(Journal { added, removed: delta.removed });
        nodes.youngest = number;
    }

    /// The oldest block whose state can still be read.
    pub(crate) fn oldest(&self) -> u32 {
        self.nodes.read().oldest()
    }

    /// Forgets the states of all blocks before `number`.
    pub(crate) fn forget_before(&self, number: u32) {
        let mut nodes = self.nodes.write();
        while nodes.oldest() < number.min(nodes.youngest) {
            let taken_away_at = nodes.oldest().saturating_add(1);
            let Some(journal) = nodes.journal.pop_front() else { return };
            for key in journal.removed {
                if nodes.dying.get(&key) == Some(&taken_away_at) {
                    nodes.dying.remove(&key);
                    nodes.live.remove(&key);
                }
            }
        }
    }

    /// Undoes the youngest blocks until `number` is the youngest. States already forgotten cannot come
    /// back: stops at the oldest.
    pub(crate) fn undo_to(&self, number: u32) {
        let mut nodes = self.nodes.write();
        while nodes.youngest > number {
            let Some(journal) = nodes.journal.pop_back() else { return };
            for key in journal.removed {
                nodes.dying.remove(&key);
            }
            for (key, was_dying_since) in journal.added {
                match was_dying_since {
                    Some(block) => {
                        nodes.dying.insert(key, block);
                    }
                    None => {
                        nodes.live.remove(&key);
                    }
                }
            }
            nodes.youngest = nodes.youngest.saturating_sub(1);
        }
    }

    /// Takes `other`'s nodes in the place of its own.
    pub(crate) fn replace(&self, other: &Self) {
        *self.nodes.write() = std::mem::take(&mut *other.nodes.write());
    }

    /// The nodes of the youngest state alone.
    pub(crate) fn youngest_state(&self) -> Vec<(NodeKey, Vec<u8>)> {
        let nodes = self.nodes.read();
        let alive = nodes.live.iter().filter(|(key, _)| !nodes.dying.contains_key(key));
        alive.map(|(key, node)| (*key, node.clone())).collect()
    }

    /// How many nodes are stored.
    pub(crate) fn len(&self) -> usize {
        let fetched = self.remote.as_ref().map_or(0, Remote::len);
        self.nodes.read().live.len().saturating_add(fetched)
    }

    /// The state below `root`, for one read of little: what a block or the pool needs.
    pub(crate) fn backend(self: &Arc<Self>, root: H256) -> Backend {
        TrieBackendBuilder::new(self.storage(), root)
            .with_optional_cache(None::<LocalTrieCache<BlakeTwo256>>)
            .build()
    }

    /// The state below `root`, with the cache that readers share: for answers over the socket, which walk
    /// whole subnets and are asked again. Filling it costs more than a block's few reads would gain.
    pub(crate) fn cached(self: &Arc<Self>, root: H256) -> Backend {
        let cache = self.cache.local_cache_untrusted();
        TrieBackendBuilder::new_with_cache(self.storage(), root, cache).build()
    }

    fn storage(self: &Arc<Self>) -> Arc<dyn Storage<BlakeTwo256>> {
        Arc::<Self>::clone(self)
    }
}

impl Nodes {
    fn oldest(&self) -> u32 {
        let kept = u32::try_from(self.journal.len()).unwrap_or(u32::MAX);
        self.youngest.saturating_sub(kept)
    }
}

impl Storage<BlakeTwo256> for NodeStore {
    fn get(&self, node: &H256, prefix: Prefix<'_>) -> Result<Option<Vec<u8>>, String> {
        let here = self.nodes.read().live.get(&NodeKey::at(node, prefix)).cloned();
        match (here, &self.remote) {
            (None, Some(remote)) => remote.get(node, prefix),
            (here, _) => Ok(here),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> NodeKey {
        NodeKey::new(&H256::repeat_byte(n), std::iter::empty())
    }
    fn delta(added: &[u8], removed: &[u8]) -> Delta {
        Delta {
            added: added.iter().map(|n| (key(*n), vec![*n])).collect(),
            removed: removed.iter().map(|n| key(*n)).collect(),
        }
    }
    fn live(store: &NodeStore) -> Vec<u8> {
        let mut nodes: Vec<u8> = store.nodes.read().live.values().map(|v| v[0]).collect();
        nodes.sort_unstable();
        nodes
    }

    #[test]
    fn a_removed_node_stays_until_its_last_state_is_forgotten() {
        let store = NodeStore::with_state(0, vec![(key(1), vec![1])]);
        store.commit(delta(&[2], &[1]));
        assert_eq!(live(&store), [1, 2]);
        store.forget_before(1);
        assert_eq!((live(&store), store.oldest()), (vec![2], 1));
    }

    #[test]
    fn a_node_that_came_back_survives_the_forgetting_of_its_removal() {
        let store = NodeStore::with_state(0, vec![(key(1), vec![1])]);
        store.commit(delta(&[2], &[1]));
        store.commit(delta(&[1], &[2]));
        store.forget_before(2);
        assert_eq!(live(&store), [1]);
    }

    #[test]
    fn undoing_a_block_restores_what_was_there_before_it() {
        let store = NodeStore::with_state(0, vec![(key(1), vec![1])]);
        store.commit(delta(&[2], &[1]));
        store.commit(delta(&[1, 3], &[2]));
        store.undo_to(1);
        assert_eq!(live(&store), [1, 2]);
        store.forget_before(1);
        assert_eq!(live(&store), [2]);
    }

    #[test]
    fn the_youngest_state_is_never_forgotten() {
        let store = NodeStore::with_state(0, vec![(key(1), vec![1])]);
        store.commit(delta(&[2], &[]));
        store.forget_before(u32::MAX);
        assert_eq!((store.oldest(), live(&store)), (1, vec![1, 2]));
    }
}
