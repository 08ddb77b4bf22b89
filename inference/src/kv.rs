//! Whose is which block of the paged key–value store: blocks of tokens, shared by sequences of any
//! length. What lies in them is kept where the model computes.
//!
//! A block that is full has a [`Name`]: the digest of every token up to its end. Sequences that
//! begin alike hold the same blocks, counted; a block that nobody holds keeps its contents until the
//! room is needed, the longest idle first. Arithmetic does not depend on batches, so what a block
//! holds is bit for bit what a new sequence would compute.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use crate::kernel::BLOCK_TOKENS;

/// What a full block holds: SHA-256 over the name of the block before it and its own tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Name([u8; 32]);

impl Name {
    /// The name of the block of `tokens` that follows this one.
    pub(crate) fn then(self, tokens: &[u32]) -> Self {
        let mut digest = Sha256::new_with_prefix(self.0);
        for token in tokens {
            digest.update(token.to_le_bytes());
        }
        Self(digest.finalize().into())
    }
}

/// Who holds which block.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Blocks that hold nothing.
    free: Vec<u32>,
    uses: Vec<Uses>,
    named: HashMap<Name, u32>,
    /// Named blocks that nobody holds, by when they were last held.
    idle: BTreeMap<u64, u32>,
    clock: u64,
}

#[derive(Clone, Debug, Default)]
struct Uses {
    holders: u32,
    name: Option<Name>,
    /// Key in [`Blocks::idle`] while idle.
    since: u64,
}

impl Blocks {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            free: (0..u32::try_from(count).unwrap_or(u32::MAX)).rev().collect(),
            uses: vec![Uses::default(); count],
            named: HashMap::new(),
            idle: BTreeMap::new(),
            clock: 0,
        }
    }

    /// Blocks that `tokens` occupy.
    pub(crate) const fn for_tokens(tokens: usize) -> usize {
        tokens.div_ceil(BLOCK_TOKENS)
    }

    /// All there are.
    pub(crate) const fn count(&self) -> usize {
        self.uses.len()
    }

    /// Blocks that can be taken.
    pub(crate) fn available(&self) -> usize {
        self.free.len() + self.idle.len()
    }

    /// A block to write to: an empty one, or else the one that was idle longest.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let block = match self.free.pop() {
            Some(block) => block,
            None => self.idle.pop_first()?.1,
        };
        let uses = &mut self.uses[block as usize];
        if let Some(name) = uses.name.take() {
            self.named.remove(&name);
        }
        uses.holders = 1;
        Some(block)
    }

    /// Holds the block of that name once more, if there is one.
    pub(crate) fn share(&mut self, name: Name) -> Option<u32> {
        let block = *self.named.get(&name)?;
        let uses = &mut self.uses[block as usize];
        if uses.holders == 0 {
            self.idle.remove(&uses.since);
        }
        uses.holders += 1;
        Some(block)
    }

    /// True where a block of that name could be shared.
    pub(crate) fn knows(&self, name: Name) -> bool {
        self.named.contains_key(&name)
    }

    /// True where a block of that name is held by nobody.
    pub(crate) fn is_idle(&self, name: Name) -> bool {
        self.named.get(&name).is_some_and(|&block| self.uses[block as usize].holders == 0)
    }

    /// Names a block that is full. Where another has the name already, this one stays nameless.
    pub(crate) fn publish(&mut self, block: u32, name: Name) {
        if let std::collections::hash_map::Entry::Vacant(entry) = self.named.entry(name) {
            entry.insert(block);
            self.uses[block as usize].name = Some(name);
        }
    }

    /// Lets a block go.
    pub(crate) fn give(&mut self, block: u32) {
        let uses = &mut self.uses[block as usize];
        uses.holders -= 1;
        if uses.holders > 0 {
            return;
        }
        if uses.name.is_none() {
            self.free.push(block);
            return;
        }
        self.clock += 1;
        uses.since = self.clock;
        self.idle.insert(self.clock, block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_block_is_free_when_its_last_holder_lets_go() {
        let mut blocks = Blocks::new(1);
        let block = blocks.take().unwrap();
        let name = Name::default().then(&[1, 2]);
        blocks.publish(block, name);
        assert_eq!(blocks.share(name), Some(block));
        blocks.give(block);
        assert_eq!(blocks.available(), 0);
        blocks.give(block);
        assert_eq!(blocks.available(), 1);
    }

    #[test]
    fn the_longest_idle_block_goes_first_and_takes_its_name_along() {
        let mut blocks = Blocks::new(2);
        let names = [Name::default().then(&[1]), Name::default().then(&[2])];
        for name in names {
            let block = blocks.take().unwrap();
            blocks.publish(block, name);
            blocks.give(block);
        }
        let revived = blocks.share(names[0]).unwrap();
        blocks.give(revived);
        blocks.take().unwrap();
        assert!(blocks.knows(names[0]) && !blocks.knows(names[1]));
    }

    #[test]
    fn a_name_says_the_whole_prefix() {
        let chain = |parts: &[&[u32]]| parts.iter().fold(Name::default(), |n, part| n.then(part));
        assert_ne!(chain(&[&[1], &[3]]), chain(&[&[2], &[3]]));
        assert_eq!(chain(&[&[1], &[3]]), chain(&[&[1], &[3]]));
    }
}
