//! The chain's blocks, by number and by hash.
//!
//! A chain that is mined by the day has tens of thousands of blocks, nearly all empty. As values they would
//! take two kilobytes each, most of it the allocator's; here they lie encoded, one behind the other, in a few
//! large pages, and are decoded when somebody asks. The youngest is at hand as it is.

use crate::{chain::Block, disk::WrittenBlock};
use codec::{Decode, Encode};
use sp_core::H256;
use std::{collections::HashMap, sync::Arc};

/// Bytes of a page: a few hundred empty blocks. A block that is larger has a page of its own.
const PAGE: usize = 64 * 1024;

/// Where a block begins.
#[derive(Clone, Copy)]
struct Place {
    page: usize,
    start: usize,
}

/// All blocks from the first on, none missing. The first is the genesis, or where a fork begins.
pub(crate) struct Blocks {
    first: u32,
    pages: Vec<Vec<u8>>,
    /// One for each block but the youngest, by number.
    places: Vec<Place>,
    youngest: Arc<Block>,
    by_hash: HashMap<H256, u32>,
}

impl Blocks {
    pub(crate) fn new(first: Arc<Block>) -> Self {
        let by_hash = HashMap::from([(first.hash, first.header.number)]);
        let number = first.header.number;
        Self { first: number, pages: Vec::new(), places: Vec::new(), youngest: first, by_hash }
    }

    /// The height of the first block.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    pub(crate) fn youngest(&self) -> &Arc<Block> {
        &self.youngest
    }

    /// Appends the block after the youngest.
    pub(crate) fn push(&mut self, block: Arc<Block>) {
        self.by_hash.insert(block.hash, block.header.number);
        let before = std::mem::replace(&mut self.youngest, block);
        let place = self.write(&WrittenBlock::from(before.as_ref()).encode());
        self.places.push(place);
    }

    pub(crate) fn by_hash(&self, hash: &H256) -> Option<Arc<Block>> {
        self.at(*self.by_hash.get(hash)?)
    }

    /// The block of height `number`.
    pub(crate) fn at(&self, number: u32) -> Option<Arc<Block>> {
        let number = usize::try_from(number.checked_sub(self.first)?).ok()?;
        if number == self.places.len() {
            return Some(Arc::clone(&self.youngest));
        }
        let Place { page, start } = *self.places.get(number)?;
        let bytes = self.pages.get(page)?.get(start..)?;
        let written = WrittenBlock::decode(&mut &bytes[..]).ok()?;
        Some(Arc::new(written.into()))
    }

    /// From the first to the youngest.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Arc<Block>> {
        (self.first..).map_while(|number| self.at(number))
    }

    /// Drops the blocks above `number`.
    pub(crate) fn cut_to(&mut self, number: u32) {
        let Some(block) = self.at(number) else { return };
        let Ok(kept) = usize::try_from(number.saturating_sub(self.first)) else { return };
        if let Some(Place { page, start }) = self.places.get(kept).copied() {
            self.pages.truncate(page.saturating_add(1));
            if let Some(page) = self.pages.get_mut(page) {
                page.truncate(start);
            }
        }
        self.places.truncate(kept);
        self.by_hash.retain(|_, height| *height <= number);
        self.youngest = block;
    }

    fn write(&mut self, bytes: &[u8]) -> Place {
        let full = |page: &Vec<u8>| page.len().saturating_add(bytes.len()) > page.capacity();
        if self.pages.last().is_none_or(full) {
            self.pages.push(Vec::with_capacity(PAGE.max(bytes.len())));
        }
        let page = self.pages.len().saturating_sub(1);
        let start = self.pages[page].len();
        self.pages[page].extend_from_slice(bytes);
        Place { page, start }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use node_subtensor_runtime::Header;

    /// A block whose body has `size` bytes.
    fn block(number: u32, size: usize) -> Arc<Block> {
        let header = Header {
            parent_hash: H256::zero(),
            number,
            state_root: H256::from_low_u64_be(u64::try_from(size).unwrap()),
            extrinsics_root: H256::zero(),
            digest: sp_runtime::Digest::default(),
        };
        Arc::new(Block { hash: header.hash(), header, body: vec![vec![7; size].into()] })
    }

    /// A chain with a block larger than a page in it.
    fn chain() -> (Blocks, Vec<Arc<Block>>) {
        let sizes = [0, 10, PAGE - 100, 30_000, PAGE * 3, 1, 2, 3];
        let made: Vec<_> = (0..).zip(sizes).map(|(number, size)| block(number, size)).collect();
        let mut blocks = Blocks::new(Arc::clone(&made[0]));
        made[1..].iter().for_each(|block| blocks.push(Arc::clone(block)));
        (blocks, made)
    }

    fn same(found: Option<Arc<Block>>, made: &Block) {
        let found = found.unwrap();
        assert_eq!((found.hash, &found.header), (made.hash, &made.header));
        assert_eq!(found.body, made.body);
    }

    #[test]
    fn every_block_is_found_by_number_and_by_hash() {
        let (blocks, made) = chain();
        for block in &made {
            same(blocks.at(block.header.number), block);
            same(blocks.by_hash(&block.hash), block);
        }
        assert!(blocks.at(8).is_none());
        assert_eq!(blocks.iter().count(), made.len());
    }

    #[test]
    fn cut_anywhere_it_goes_on_from_there() {
        for kept in 0..8 {
            let (mut blocks, mut made) = chain();
            let gone = made.split_off(usize::try_from(kept).unwrap() + 1);
            blocks.cut_to(kept);
            assert_eq!(blocks.youngest().header.number, kept);
            assert!(gone.iter().all(|block| blocks.by_hash(&block.hash).is_none()));
            made.extend([block(kept + 1, 70_000), block(kept + 2, 5)]);
            made[made.len() - 2..].iter().for_each(|block| blocks.push(Arc::clone(block)));
            for block in &made {
                same(blocks.at(block.header.number), block);
            }
        }
    }
}
