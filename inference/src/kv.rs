//! The paged key–value store: blocks of tokens, shared by sequences of any length.

use parking_lot::Mutex;

use crate::{
    config::Config,
    kernel::{BLOCK_TOKENS, KvLayer, KvShape},
};

/// Keys and values of every layer, in one pool of blocks.
#[derive(Debug)]
pub(crate) struct KvStore {
    layers: Vec<Mutex<KvLayer>>,
    free: Vec<u32>,
}

impl KvStore {
    /// Room for at least `tokens`. Pages are touched, and so occupy memory, only once used.
    pub(crate) fn new(config: &Config, tokens: usize) -> Self {
        let blocks = tokens.div_ceil(BLOCK_TOKENS);
        let shape = KvShape { kv_heads: config.kv_heads, head_dim: config.head_dim };
        let layers = (0..config.layers).map(|_| Mutex::new(KvLayer::new(shape, blocks))).collect();
        let count = u32::try_from(blocks).unwrap_or(u32::MAX);
        Self { layers, free: (0..count).rev().collect() }
    }

    /// Blocks that `tokens` occupy.
    pub(crate) const fn blocks_for(tokens: usize) -> usize {
        tokens.div_ceil(BLOCK_TOKENS)
    }

    /// Takes `count` blocks, or none.
    pub(crate) fn take(&mut self, count: usize) -> Option<Vec<u32>> {
        let rest = self.free.len().checked_sub(count)?;
        Some(self.free.split_off(rest))
    }

    /// Gives blocks back.
    pub(crate) fn give(&mut self, blocks: Vec<u32>) {
        self.free.extend(blocks);
    }

    pub(crate) fn layer(&self, index: usize) -> &Mutex<KvLayer> {
        &self.layers[index]
    }
}
