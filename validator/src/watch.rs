//! Watches a hotkey's timelocked commits until the chain has revealed them, or has not.
//!
//! ```text
//! every head: read the queues ── still there ──► wait
//!                     └── gone ──► the block in which it went ── event ──► revealed
//!                                               └── no event ──► read what the chain had, diagnose
//! ```
//!
//! `LastUpdate` proves nothing: the commit sets it. Whoever made the commit, this validator or
//! another program with its key, its end is told.

use std::collections::BTreeMap;

use chain::{Chain, Head, ReadError, TimelockedCommit};
use chain_metadata::{EpochClock, Hotkey, MechId, NetUid};

use crate::loss::{Cause, Readings, diagnose};

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// The commit.
    pub commit: TimelockedCommit,
    /// The block in which the chain was done with it.
    pub block: u64,
    /// Why its weights were not applied, if they were not.
    pub lost: Option<Cause>,
}

/// The commits of one hotkey in one mechanism.
#[derive(Debug)]
pub struct Watch {
    chain: Chain,
    netuid: NetUid,
    mechid: MechId,
    hotkey: Hotkey,
    /// Commits by block and place, each with the last block in which it was seen.
    waiting: BTreeMap<(u64, u64, Vec<u8>), (TimelockedCommit, u64)>,
}

impl Watch {
    /// Begins with no commit known.
    pub const fn new(chain: Chain, netuid: NetUid, mechid: MechId, hotkey: Hotkey) -> Self {
        Self { chain, netuid, mechid, hotkey, waiting: BTreeMap::new() }
    }

    /// Adds a commit that is known from elsewhere, such as a journal.
    pub fn remember(&mut self, commit: TimelockedCommit) {
        let present = commit.block;
        self.see(commit, present);
    }

    /// How many commits wait for their reveal.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What became of commits since the last head.
    pub async fn at_head(
        &mut self,
        head: &Head,
        clock: &EpochClock,
        reveal_period: u64,
    ) -> Result<Vec<Fate>, ReadError> {
        let current = clock.epoch_of_commit(head.number + 1);
        for epoch in current.saturating_sub(reveal_period + 1)..=current {
            for commit in self.queue(epoch, head.hash).await? {
                self.see(commit, head.number);
            }
        }
        let mut ended: BTreeMap<u64, Vec<TimelockedCommit>> = BTreeMap::new();
        let mut fates = Vec::new();
        for (commit, present) in self.waiting.values().cloned().collect::<Vec<_>>() {
            let overdue = current > commit.epoch + reveal_period;
            let block = if present < head.number {
                self.vanished(&commit, present, head.number).await?
            } else if overdue {
                Some(head.number)
            } else {
                continue;
            };
            match block {
                Some(block) => ended.entry(block).or_default().push(commit),
                None => fates.push(Fate { commit, block: head.number, lost: Some(Cause::Unseen) }),
            }
        }
        for (block, commits) in ended {
            fates.extend(self.fates(block, commits).await?);
        }
        for fate in &fates {
            self.waiting.remove(&key(&fate.commit));
        }
        Ok(fates)
    }

    fn see(&mut self, commit: TimelockedCommit, block: u64) {
        let seen = self.waiting.entry(key(&commit)).or_insert((commit, block));
        seen.1 = seen.1.max(block);
    }

    /// Our commits of an epoch.
    async fn queue(&self, epoch: u64, at: [u8; 32]) -> Result<Vec<TimelockedCommit>, ReadError> {
        let queue =
            self.chain.timelocked_commits(self.netuid, self.mechid, epoch, Some(at)).await?;
        Ok(queue.into_iter().filter(|commit| commit.hotkey == self.hotkey).collect())
    }

    /// The first block without the commit, between one that has it and one that has not; `None` if
    /// no node has the state of that block any more.
    async fn vanished(
        &self,
        commit: &TimelockedCommit,
        mut present: u64,
        mut absent: u64,
    ) -> Result<Option<u64>, ReadError> {
        let mut dropped = None;
        while absent - present > 1 {
            let middle = present + (absent - present) / 2;
            let at = self.chain.block(middle).await?.hash;
            match self.queue(commit.epoch, at).await {
                Ok(queue) if queue.contains(commit) => present = middle,
                Ok(_) => absent = middle,
                Err(error) => {
                    self.must_be_dropped(at, error).await?;
                    (present, dropped) = (middle, Some(middle));
                }
            }
        }
        // The block before the first without it must be one that was seen to have it.
        Ok((dropped != Some(present)).then_some(absent))
    }

    /// Gives an error back, unless no node has the state of that block any more.
    async fn must_be_dropped(&self, block: [u8; 32], error: ReadError) -> Result<(), ReadError> {
        if error.is_connection() || self.chain.keeps_state(block).await? {
            return Err(error);
        }
        Ok(())
    }

    /// The ends of commits that one block was done with.
    async fn fates(
        &self,
        block: u64,
        commits: Vec<TimelockedCommit>,
    ) -> Result<Vec<Fate>, ReadError> {
        let hash = self.chain.block(block).await?.hash;
        let parent = self.chain.block(block.saturating_sub(1)).await?.hash;
        let told = self.chain.timelocked_reveals(self.netuid, self.mechid, &self.hotkey, hash);
        let revealed = match told.await {
            Ok(revealed) => revealed,
            Err(error) => {
                // Reading a block's events takes its parent's runtime.
                self.must_be_dropped(parent, error).await?;
                let unseen = |commit| Fate { commit, block, lost: Some(Cause::Unseen) };
                return Ok(commits.into_iter().map(unseen).collect());
            }
        };
        let all = revealed >= commits.len();
        let mut fates = Vec::with_capacity(commits.len());
        for commit in commits {
            let lost = if all {
                None
            } else {
                match self.readings(&commit, block, hash).await {
                    Ok(readings) => diagnose(&readings)
                        .or_else(|| (revealed == 0).then_some(Cause::Unexplained)),
                    Err(error) => {
                        self.must_be_dropped(parent, error).await?;
                        Some(Cause::Unseen)
                    }
                }
            };
            fates.push(Fate { commit, block, lost });
        }
        Ok(fates)
    }

    /// Whether the subnet and its mechanism are still there after a block.
    async fn mechanism_stands(&self, hash: [u8; 32]) -> Result<bool, ReadError> {
        match self.chain.hyperparameters(self.netuid, Some(hash)).await {
            Ok(rules) => Ok(self.mechid.0 < rules.mechanism_count),
            Err(ReadError::NoSubnet { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the chain had before it in a block: the state its parent left.
    async fn readings(
        &self,
        commit: &TimelockedCommit,
        block: u64,
        hash: [u8; 32],
    ) -> Result<Readings, ReadError> {
        let (chain, netuid) = (&self.chain, self.netuid);
        let parent = chain.block(block.saturating_sub(1)).await?.hash;
        let at = Some(parent);
        let beacon = chain.beacon(at).await?;
        let mut readings = Readings {
            commit: commit.clone(),
            removed: !self.mechanism_stands(hash).await?,
            signature: chain.pulse_signature(commit.round, at).await?,
            beacon_is_quicknet: beacon.is_some_and(|beacon| beacon.is_quicknet()),
            standing: None,
            rules: None,
        };
        let rules = match chain.hyperparameters(netuid, at).await {
            Ok(rules) => rules,
            Err(ReadError::NoSubnet { .. }) => return Ok(readings),
            Err(error) => return Err(error),
        };
        let metagraph = chain.metagraph(netuid, at).await?;
        let clock = chain.epoch_clock(netuid, at).await?;
        let standing =
            chain.standing(&metagraph, self.mechid, &self.hotkey, &rules, &clock).await?;
        readings.standing = Some(standing);
        readings.rules = Some(rules);
        Ok(readings)
    }
}

fn key(commit: &TimelockedCommit) -> (u64, u64, Vec<u8>) {
    (commit.block, commit.round, commit.ciphertext.clone())
}
