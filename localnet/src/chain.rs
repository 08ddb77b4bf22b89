//! The chain: blocks by number and by hash, and the states that are still kept.

use crate::{
    blocks::Blocks,
    clock::Clock,
    disk::Checkpoint,
    execution::{self, CallError},
    fork::{Begun, Setting},
    state::{Backend, Delta, NodeStore},
};
use codec::{Compact, Encode};
use node_subtensor_runtime::{Header, Runtime};
use parking_lot::RwLock;
use sp_core::H256;
use sp_runtime::{StateVersion, traits::BlakeTwo256};
use sp_state_machine::{IterArgs, backend::Backend as _};
use sp_trie::{LayoutV0, LayoutV1, empty_trie_root};
use std::sync::Arc;

/// The trie's layout on Subtensor: values over 32 bytes are nodes of their own.
pub(crate) const STATE_VERSION: StateVersion = StateVersion::V1;

/// How many states are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// The states of the last `n` blocks. Older blocks keep their header and body.
    States(u32),
    /// Every state.
    Archive,
}

impl History {
    /// A default node keeps 256. Here somebody mines hundreds of blocks in one call and then reads their
    /// events: twice as many.
    pub const RECENT: Self = Self::States(512);
}

/// A block as clients see it.
#[derive(Debug)]
pub(crate) struct Block {
    pub hash: H256,
    pub header: Header,
    /// Encoded extrinsics, inherents first.
    pub body: Vec<Arc<[u8]>>,
}

/// Why a block's state cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error("Header was not found in the database: {0:?}")]
    UnknownBlock(H256),
    #[error("State already discarded for {0:?}")]
    Discarded(H256),
    #[error("the trie has no node for {0}")]
    Incomplete(String),
}

/// Why a block did not pass re-execution.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Execution(#[from] CallError),
}

pub(crate) struct Chain {
    nodes: Arc<NodeStore>,
    blocks: RwLock<Blocks>,
    history: History,
    genesis_hash: H256,
}

impl Chain {
    /// A chain of one block, the genesis, whose state is `storage`.
    pub(crate) fn new(storage: &sp_core::storage::Storage, history: History) -> Self {
        let empty =
            Arc::new(NodeStore::default()).backend(empty_trie_root::<LayoutV1<BlakeTwo256>>());
        let entries = storage.top.iter().map(|(key, value)| (&key[..], Some(&value[..])));
        let (state_root, changes) = empty.storage_root(entries, STATE_VERSION);
        let header = Header {
            parent_hash: H256::zero(),
            number: 0,
            state_root,
            extrinsics_root: empty_trie_root::<LayoutV0<BlakeTwo256>>(),
            digest: sp_runtime::Digest::default(),
        };
        let hash = header.hash();
        Self {
            nodes: Arc::new(NodeStore::with_state(0, Delta::from(changes).added)),
            blocks: RwLock::new(Blocks::new(Arc::new(Block { hash, header, body: Vec::new() }))),
            history,
            genesis_hash: hash,
        }
    }

    /// A chain that goes on from another one's block, with some storage `set` differently, and some
    /// `added` where there is none. With nothing to write, the block stays the other chain's, hash and all.
    pub(crate) fn forked(
        begun: Begun,
        history: History,
        set: &[Setting],
        added: &[Setting],
    ) -> Result<Self, String> {
        let Begun { remote, mut block, genesis_hash, .. } = begun;
        let nodes = Arc::new(NodeStore::forked(block.header.number, remote));
        let state = nodes.backend(block.header.state_root);
        let mut changed = Vec::new();
        for (key, value) in set {
            if state.storage(key)?.as_ref() != Some(value) {
                changed.push((&key[..], Some(&value[..])));
            }
        }
        for (key, value) in added {
            if state.storage(key)?.is_none() {
                changed.push((&key[..], Some(&value[..])));
            }
        }
        if !changed.is_empty() {
            let (root, changes) = state.storage_root(changed.into_iter(), STATE_VERSION);
            nodes.patch(changes.into());
            block.header.state_root = root;
            block.hash = block.header.hash();
        }
        let blocks = RwLock::new(Blocks::new(Arc::new(block)));
        Ok(Self { nodes, blocks, history, genesis_hash })
    }

    /// A chain that goes on from a checkpoint: states before its youngest block are gone.
    pub(crate) fn resume(checkpoint: Checkpoint, history: History) -> Option<Self> {
        let mut written = checkpoint.blocks.into_iter().map(|block| Arc::new(block.into()));
        let mut blocks = Blocks::new(written.next()?);
        let genesis_hash = blocks.youngest().hash;
        written.for_each(|block| blocks.push(block));
        let youngest = blocks.youngest().header.number;
        Some(Self {
            nodes: Arc::new(NodeStore::with_state(youngest, checkpoint.nodes)),
            blocks: RwLock::new(blocks),
            history,
            genesis_hash,
        })
    }

    /// All that [`Chain::resume`] needs.
    pub(crate) fn checkpoint(&self, clock: Clock) -> Checkpoint {
        let blocks = self.blocks.read().iter().map(|block| block.as_ref().into()).collect();
        Checkpoint { blocks, nodes: self.nodes.youngest_state(), clock }
    }

    pub(crate) fn genesis_hash(&self) -> H256 {
        self.genesis_hash
    }

    /// The youngest block.
    pub(crate) fn best(&self) -> Arc<Block> {
        Arc::clone(self.blocks.read().youngest())
    }

    pub(crate) fn block(&self, hash: &H256) -> Option<Arc<Block>> {
        self.blocks.read().by_hash(hash)
    }

    pub(crate) fn block_at(&self, number: u32) -> Option<Arc<Block>> {
        self.blocks.read().at(number)
    }

    /// The hash of block `number`: of those before a fork, as far as the state remembers them.
    pub(crate) fn hash_at(&self, number: u32) -> Option<H256> {
        let (block, first) = {
            let blocks = self.blocks.read();
            (blocks.at(number), blocks.first())
        };
        match (block, number) {
            (Some(block), _) => Some(block.hash),
            (None, 0) => Some(self.genesis_hash),
            (None, _) if number < first => {
                let key = frame_system::BlockHash::<Runtime>::hashed_key_for(number);
                let hash = self.best_state().1.storage(&key).ok()??;
                (hash.len() == H256::len_bytes()).then(|| H256::from_slice(&hash))
            }
            (None, _) => None,
        }
    }

    /// The state after `hash`.
    pub(crate) fn state(&self, hash: &H256) -> Result<Backend, StateError> {
        let block = self.block(hash).ok_or(StateError::UnknownBlock(*hash))?;
        if block.header.number < self.nodes.oldest() {
            return Err(StateError::Discarded(*hash));
        }
        Ok(self.nodes.cached(block.header.state_root))
    }

    /// The state after the youngest block, and that block.
    pub(crate) fn best_state(&self) -> (Arc<Block>, Backend) {
        let best = self.best();
        let state = self.state_of(&best);
        (best, state)
    }

    fn state_of(&self, block: &Block) -> Backend {
        self.nodes.backend(block.header.state_root)
    }

    /// Appends `block`, made on the youngest one, and forgets states that fall out of the history, except
    /// those from `keep_from` on.
    pub(crate) fn append(&self, block: Block, delta: Delta, keep_from: Option<u32>) -> Arc<Block> {
        let number = block.header.number;
        let block = Arc::new(block);
        self.nodes.commit(delta);
        self.blocks.write().push(Arc::clone(&block));
        if let History::States(kept) = self.history {
            let oldest = number.saturating_add(1).saturating_sub(kept.max(1));
            self.nodes.forget_before(keep_from.map_or(oldest, |pinned| oldest.min(pinned)));
        }
        block
    }

    /// Drops all blocks above `number`.
    pub(crate) fn revert_to(&self, number: u32) {
        let mut blocks = self.blocks.write();
        blocks.cut_to(number);
        self.nodes.undo_to(number);
    }

    /// Becomes `other`, a chain with the same genesis.
    pub(crate) fn replace(&self, other: Self) {
        let mut blocks = self.blocks.write();
        self.nodes.replace(&other.nodes);
        *blocks = other.blocks.into_inner();
    }

    /// The oldest block whose state can still be read.
    pub(crate) fn oldest_state(&self) -> u32 {
        self.nodes.oldest()
    }

    /// The value at `key` after block `at`.
    pub(crate) fn storage(&self, at: &H256, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.state(at)?.storage(key).map_err(StateError::Incomplete)
    }

    /// Up to `count` keys below `prefix`, after (not including) `start`.
    pub(crate) fn keys(
        &self,
        at: &H256,
        prefix: &[u8],
        count: usize,
        start: Option<&[u8]>,
    ) -> Result<Vec<Vec<u8>>, StateError> {
        let state = self.state(at)?;
        let mut range = IterArgs::default();
        range.prefix = Some(prefix);
        range.start_at = start;
        range.start_at_exclusive = true;
        let keys = state.keys(range).map_err(StateError::Incomplete)?;
        keys.take(count).collect::<Result<_, _>>().map_err(StateError::Incomplete)
    }

    /// Trie nodes that prove the values (or the absence) of `keys`.
    pub(crate) fn read_proof(
        &self,
        at: &H256,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Vec<u8>>, StateError> {
        let state = self.state(at)?;
        let proof = sp_state_machine::prove_read(state, keys)
            .map_err(|error| StateError::Incomplete(error.to_string()))?;
        Ok(proof.into_iter_nodes().collect())
    }

    /// Runs block `hash` again from its parent's state through `Core_execute_block`.
    pub(crate) fn verify(&self, hash: &H256) -> Result<(), VerifyError> {
        let block = self.block(hash).ok_or(StateError::UnknownBlock(*hash))?;
        let parent = self.state(&block.header.parent_hash)?;
        let count = u32::try_from(block.body.len()).unwrap_or(u32::MAX);
        let mut body = Compact(count).encode();
        body.extend(block.body.iter().flat_map(|extrinsic| extrinsic.iter().copied()));
        Ok(execution::reexecute(&parent, &block.header, &body)?)
    }

    /// How many trie nodes are in memory.
    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }
}
