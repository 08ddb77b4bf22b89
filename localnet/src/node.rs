//! The node: the chain, its pool, and the desk at which blocks are made.
//!
//! Reading needs no lock beyond the stores' own. Everything that changes the chain goes through the desk,
//! one thing at a time.

use crate::{
    author::{self, AuthorError, BuiltBlock, Outcome},
    beacon::{Beacon, Zeal},
    chain::{Block, Chain, History, StateError},
    clock::{Clock, Pace},
    disk::{self, Checkpoint, Disk, DiskError, Record},
    execution::{self, CallError},
    pool::{Pool, PoolRefusal, Queued, Status, Watcher, tell},
    rhythm::Rhythm,
    rpc::{Broadcasts, Faults, Follows, Tasks},
    shield::Shield,
    state::Backend,
};
use codec::Encode;
use node_subtensor_runtime::{AccountId, Runtime, StoredSpecVersion, drand, shield, subtensor};
use parking_lot::{Mutex, MutexGuard};
use sp_core::{H256, sr25519};
use sp_inherents::InherentData;
use sp_runtime::transaction_validity::{
    InvalidTransaction, TransactionValidityError, UnknownTransaction,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// Snapshots that can be held at once: each keeps the states since it was taken.
const MAX_SNAPSHOTS: usize = 128;

/// When blocks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// One block each interval, empty or not.
    Interval(Duration),
    /// One block as soon as an extrinsic is ready, and none otherwise.
    Instant,
}

impl Sealing {
    fn pace(self) -> Pace {
        match self {
            Self::Interval(_) => Pace::Wall,
            Self::Instant => Pace::Slot,
        }
    }
}

/// How far the chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub best: u32,
    pub finalized: u32,
    /// How often the chain went back: heads count on from the new best when it changes.
    pub reverts: u32,
}

/// Why an extrinsic was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error("the bytes are not an extrinsic")]
    Undecodable(#[source] codec::Error),
    #[error("invalid: {0:?}")]
    Invalid(InvalidTransaction),
    #[error("validity unknown: {0:?}")]
    Unknown(UnknownTransaction),
    #[error(transparent)]
    Pool(#[from] PoolRefusal),
    #[error(transparent)]
    Execution(#[from] CallError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Author(#[from] AuthorError),
}

/// Why the chain cannot become another one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplaceError {
    #[error("the dump is cut short, damaged, or of another version: nothing was loaded")]
    NoDump,
    #[error("the dump is of the chain {theirs:?}, this one is {ours:?}: nothing was loaded")]
    OtherChain { ours: H256, theirs: H256 },
    #[error("the chain could not be written to disk")]
    Disk(#[from] DiskError),
    #[error("the chain is too long for one dump")]
    TooLong(#[source] std::io::Error),
    #[error("this chain is a fork, whose state is another chain's")]
    Forked,
    #[error("{depth} blocks cannot be undone: {reason}")]
    TooDeep { depth: u32, reason: &'static str },
    #[error(transparent)]
    Author(#[from] AuthorError),
}

/// Why a snapshot cannot be taken or gone back to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("{MAX_SNAPSHOTS} snapshots are held already: revert to one of them first")]
    TooMany,
    #[error("there is no snapshot {0}")]
    Unknown(u64),
    #[error("the revert could not be written to disk")]
    Disk(#[from] DiskError),
}

struct Snapshot {
    number: u32,
    clock: Clock,
}

/// Where blocks are made.
struct Desk {
    clock: Clock,
    shield: Shield,
    beacon: Beacon,
    disk: Option<Disk>,
    snapshots: BTreeMap<u64, Snapshot>,
    next_snapshot: u64,
    /// Who waits for a block to be final, oldest block first.
    unfinalized: VecDeque<(Arc<Block>, Vec<Watcher>)>,
}

pub(crate) struct Node {
    pub(crate) chain: Chain,
    /// When blocks are made, which may change.
    pub(crate) rhythm: Rhythm,
    /// What is ill on demand.
    pub(crate) faults: Faults,
    pub(crate) follows: Follows,
    pub(crate) broadcasts: Arc<Broadcasts>,
    pub(crate) tasks: Tasks,
    /// The state of block 0, to begin again. A fork has another chain's.
    genesis: Option<sp_core::storage::Storage>,
    history: History,
    keep_clock: bool,
    /// The sudo key, when it is a development key.
    pub(crate) sudo: Option<sr25519::Pair>,
    pool: Mutex<Pool>,
    desk: Mutex<Desk>,
    progress: watch::Sender<Progress>,
    finality_lag: u32,
}

/// What a node is made of.
pub(crate) struct Parts {
    pub chain: Chain,
    pub clock: Clock,
    pub disk: Option<Disk>,
    pub beacon: Beacon,
    pub sudo: Option<sr25519::Pair>,
    pub sealing: Sealing,
    pub finality_lag: u32,
    pub genesis: Option<sp_core::storage::Storage>,
    pub history: History,
    /// Blocks that are mined ahead take no time.
    pub keep_clock: bool,
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Self {
        let best = parts.chain.best().header.number;
        let finalized = best.saturating_sub(parts.finality_lag);
        Self {
            chain: parts.chain,
            rhythm: Rhythm::new(parts.sealing),
            faults: Faults::default(),
            follows: Follows::default(),
            broadcasts: Arc::default(),
            tasks: Tasks::default(),
            genesis: parts.genesis,
            history: parts.history,
            keep_clock: parts.keep_clock,
            sudo: parts.sudo,
            pool: Mutex::default(),
            desk: Mutex::new(Desk {
                clock: parts.clock,
                shield: Shield::generate(),
                beacon: parts.beacon,
                disk: parts.disk,
                snapshots: BTreeMap::new(),
                next_snapshot: 1,
                unfinalized: VecDeque::new(),
            }),
            progress: watch::Sender::new(Progress { best, finalized, reverts: 0 }),
            finality_lag: parts.finality_lag,
        }
    }

    /// The youngest final block.
    pub(crate) fn finalized(&self) -> Arc<Block> {
        let number = self.progress.borrow().finalized;
        self.chain.block_at(number).unwrap_or_else(|| self.chain.best())
    }

    /// Hears of every change of the chain's head.
    pub(crate) fn follow(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(crate) fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock()
    }

    /// Takes an extrinsic into the pool; under instant sealing it is in a block when this returns, unless
    /// it waits for an earlier nonce.
    pub(crate) fn submit(
        &self,
        bytes: &[u8],
        watcher: Option<Watcher>,
    ) -> Result<H256, SubmitError> {
        let hash = self.enqueue(bytes, watcher)?;
        if self.rhythm.sealing() == Sealing::Instant && !self.pool.lock().ready().is_empty() {
            self.seal()?;
        }
        Ok(hash)
    }

    fn enqueue(&self, bytes: &[u8], watcher: Option<Watcher>) -> Result<H256, SubmitError> {
        let hash = H256(sp_io::hashing::blake2_256(bytes));
        let (best, state) = self.chain.best_state();
        let extrinsic = author::decode(bytes).map_err(SubmitError::Undecodable)?;
        let validity = match execution::validate(&state, best.hash, extrinsic)? {
            Ok(validity) => validity,
            Err(TransactionValidityError::Invalid(why)) => return Err(SubmitError::Invalid(why)),
            Err(TransactionValidityError::Unknown(why)) => return Err(SubmitError::Unknown(why)),
        };
        let queued = Queued { hash, bytes: bytes.into() };
        self.pool.lock().insert(queued, validity, best.header.number, watcher)?;
        Ok(hash)
    }

    /// The next nonce of `account`, counting what waits in the pool.
    pub(crate) fn next_nonce(&self, account: &AccountId) -> Result<u32, CallError> {
        let (_, state) = self.chain.best_state();
        let method = "AccountNonceApi_account_nonce";
        let mut nonce: u32 = execution::ask(&state, method, &account.encode())?;
        let pool = self.pool.lock();
        while pool.provides(&(account, nonce).encode()) {
            nonce = nonce.saturating_add(1);
        }
        Ok(nonce)
    }

    /// Makes one block at the sealing's own pace.
    pub(crate) fn seal(&self) -> Result<Arc<Block>, AuthorError> {
        let pace = self.rhythm.sealing().pace();
        self.seal_at(&mut self.desk.lock(), pace, Zeal::EveryRound)
    }

    /// Makes `count` blocks ahead of time; the youngest block. Each is one block time after its parent or,
    /// when the clock is kept, a millisecond.
    pub(crate) fn mine(&self, count: u32, keep_clock: bool) -> Result<Arc<Block>, AuthorError> {
        let pace = if keep_clock || self.keep_clock { Pace::Wall } else { Pace::Slot };
        for left in (0..count).rev() {
            let zeal = if left == 0 { Zeal::EveryRound } else { Zeal::Awaited };
            self.seal_at(&mut self.desk.lock(), pace, zeal)?;
        }
        Ok(self.chain.best())
    }

    /// The next `blocks` blocks carry no pulse of the beacon.
    pub(crate) fn withhold_pulses(&self, blocks: u32) {
        self.desk.lock().beacon.withhold(blocks);
    }

    /// Sets the next block's time, in milliseconds.
    pub(crate) fn set_time(&self, now_ms: u64) -> Result<(), crate::clock::TimeRunsForward> {
        self.desk.lock().clock.set(now_ms)
    }

    /// Remembers the chain as it is.
    pub(crate) fn snapshot(&self) -> Result<u64, SnapshotError> {
        let mut desk = self.desk.lock();
        if desk.snapshots.len() >= MAX_SNAPSHOTS {
            return Err(SnapshotError::TooMany);
        }
        let id = desk.next_snapshot;
        let snapshot = Snapshot { number: self.chain.best().header.number, clock: desk.clock };
        desk.snapshots.insert(id, snapshot);
        desk.next_snapshot = id.saturating_add(1);
        Ok(id)
    }

    /// Goes back to snapshot `id`: younger blocks, the pool and younger snapshots are gone, and so is `id`.
    pub(crate) fn revert(&self, id: u64) -> Result<Arc<Block>, SnapshotError> {
        let mut desk = self.desk.lock();
        let snapshot = desk.snapshots.get(&id).ok_or(SnapshotError::Unknown(id))?;
        let (number, clock) = (snapshot.number, snapshot.clock);
        self.pool.lock().clear();
        self.undo_to(&mut desk, number, clock)?;
        desk.snapshots.split_off(&id);
        Ok(self.chain.best())
    }

    /// Undoes the blocks above `number`.
    fn undo_to(&self, desk: &mut Desk, number: u32, clock: Clock) -> Result<(), DiskError> {
        if let Some(disk) = &mut desk.disk {
            disk.append(&Record::Revert { to: number, clock })?;
        }
        desk.clock = clock;
        desk.snapshots.retain(|_, snapshot| snapshot.number <= number);
        let kept = desk.unfinalized.partition_point(|(block, _)| block.header.number <= number);
        for (_, watchers) in desk.unfinalized.split_off(kept) {
            for watcher in &watchers {
                tell(watcher, Status::Dropped);
            }
        }
        self.chain.revert_to(number);
        self.went_back(number, number);
        Ok(())
    }

    fn went_back(&self, best: u32, finalized: u32) {
        self.progress.send_modify(|progress| {
            progress.best = best;
            progress.finalized = progress.finalized.min(finalized);
            progress.reverts = progress.reverts.wrapping_add(1);
        });
    }

    /// Replaces the youngest `depth` blocks by as many others and one more, with the same extrinsics as far as
    /// they are still valid. Final blocks are replaced only if `even_final`.
    pub(crate) fn reorg(&self, depth: u32, even_final: bool) -> Result<Arc<Block>, ReplaceError> {
        let too_deep = |reason| ReplaceError::TooDeep { depth, reason };
        let undone = {
            let mut desk = self.desk.lock();
            let best = self.chain.best().header.number;
            let target = best.checked_sub(depth).ok_or_else(|| too_deep("the chain is shorter"))?;
            if target < self.chain.oldest_state() {
                return Err(too_deep("the state below them is gone; start with --archive"));
            }
            if target < self.progress.borrow().finalized && !even_final {
                return Err(too_deep(
                    "they are final; start with --finality-lag, or ask with \"final\": true",
                ));
            }
            let blocks = target.saturating_add(1)..=best;
            let undone: Vec<_> = blocks.filter_map(|number| self.chain.block_at(number)).collect();
            // Time goes on from where it was, so that the new blocks are others.
            let clock = desk.clock;
            self.undo_to(&mut desk, target, clock)?;
            undone
        };
        for extrinsic in undone.iter().flat_map(|block| &block.body) {
            // Inherents are not taken, and what a shielded extrinsic held is found in it again.
            if let Err(error) = self.enqueue(extrinsic, None) {
                tracing::debug!(%error, "not taken again");
            }
        }
        let keep_clock = self.rhythm.sealing() != Sealing::Instant;
        Ok(self.mine(depth.saturating_add(1), keep_clock)?)
    }

    /// Begins again from the genesis; the first block.
    pub(crate) fn reset(&self) -> Result<Arc<Block>, ReplaceError> {
        let genesis = self.genesis.as_ref().ok_or(ReplaceError::Forked)?;
        let mut desk = self.desk.lock();
        let clock = desk.clock.restarted();
        self.become_chain(&mut desk, Chain::new(genesis, self.history), clock)?;
        Ok(self.seal_at(&mut desk, self.rhythm.sealing().pace(), Zeal::EveryRound)?)
    }

    /// The whole chain, to be loaded again.
    pub(crate) fn dump(&self) -> Result<Vec<u8>, ReplaceError> {
        if self.genesis.is_none() {
            return Err(ReplaceError::Forked);
        }
        let desk = self.desk.lock();
        disk::dump(self.chain.checkpoint(desk.clock)).map_err(ReplaceError::TooLong)
    }

    /// Becomes the chain that was dumped; its head.
    pub(crate) fn load(&self, dump: &[u8]) -> Result<Arc<Block>, ReplaceError> {
        if self.genesis.is_none() {
            return Err(ReplaceError::Forked);
        }
        let checkpoint: Checkpoint = disk::undump(dump).ok_or(ReplaceError::NoDump)?;
        let clock = checkpoint.clock;
        let chain = Chain::resume(checkpoint, self.history).ok_or(ReplaceError::NoDump)?;
        let (ours, theirs) = (self.chain.genesis_hash(), chain.genesis_hash());
        if ours != theirs {
            return Err(ReplaceError::OtherChain { ours, theirs });
        }
        self.become_chain(&mut self.desk.lock(), chain, clock)?;
        Ok(self.chain.best())
    }

    fn become_chain(&self, desk: &mut Desk, chain: Chain, clock: Clock) -> Result<(), DiskError> {
        if let Some(disk) = &mut desk.disk {
            disk.restart(chain.checkpoint(clock))?;
        }
        self.pool.lock().clear();
        desk.snapshots.clear();
        desk.clock = clock;
        for (_, watchers) in desk.unfinalized.drain(..) {
            for watcher in &watchers {
                tell(watcher, Status::Dropped);
            }
        }
        self.chain.replace(chain);
        let best = self.chain.best().header.number;
        self.went_back(best, best.saturating_sub(self.finality_lag));
        Ok(())
    }

    /// Changes when blocks are made.
    pub(crate) fn set_sealing(&self, sealing: Sealing) {
        self.rhythm.set(sealing);
    }

    /// The version that the chain reports after block `at`.
    pub(crate) fn spec_at(&self, at: &H256) -> Option<u32> {
        let value = self.chain.storage(at, &StoredSpecVersion::key()).ok()??;
        codec::Decode::decode(&mut &value[..]).ok()
    }

    /// What an extrinsic would do in the block after the best.
    pub(crate) fn trace(&self, extrinsic: &[u8]) -> Result<serde_json::Value, SubmitError> {
        let extrinsic = author::decode(extrinsic).map_err(SubmitError::Undecodable)?;
        let (best, state) = self.chain.best_state();
        Ok(crate::trace::trace(&state, &best.header, extrinsic)?)
    }

    /// What applying an extrinsic in the block after `at` would return.
    pub(crate) fn dry_run(
        &self,
        at: &H256,
        extrinsic: &[u8],
    ) -> Result<sp_runtime::ApplyExtrinsicResult, SubmitError> {
        let extrinsic = author::decode(extrinsic).map_err(SubmitError::Undecodable)?;
        let block = self.chain.block(at).ok_or(StateError::UnknownBlock(*at))?;
        let state = self.chain.state(at)?;
        Ok(execution::dry_run(&state, &block.header, extrinsic)?)
    }

    fn seal_at(&self, desk: &mut Desk, pace: Pace, zeal: Zeal) -> Result<Arc<Block>, AuthorError> {
        let (parent, state) = self.chain.best_state();
        let timestamp = desk.clock.next(pace);
        let inherents = desk.inherents(&state, timestamp, zeal).map_err(|error| {
            let number = parent.header.number.saturating_add(1);
            AuthorError::Runtime { number, reason: error.to_string() }
        })?;
        let (queue, built) = self.build(&parent, &state, &inherents, &desk.shield)?;
        let BuiltBlock { block, delta, outcomes } = built;
        let mut clock = desk.clock;
        clock.passed(timestamp, pace);
        if let Some(disk) = &mut desk.disk {
            let record = Record::Block { block: (&block).into(), delta: delta.clone(), clock };
            let number = block.header.number;
            disk.append(&record).map_err(|source| AuthorError::Disk { number, source })?;
        }
        desk.clock = clock;
        let oldest_snapshot = desk.snapshots.values().map(|snapshot| snapshot.number).min();
        let block = self.chain.append(block, delta, oldest_snapshot);
        self.settle(desk, &block, queue.iter().zip(outcomes));
        Ok(block)
    }

    /// Builds a block from what is ready. An extrinsic that stops the runtime is found and thrown out.
    fn build(
        &self,
        parent: &Block,
        state: &Backend,
        inherents: &InherentData,
        shield: &Shield,
    ) -> Result<(Vec<Arc<Queued>>, BuiltBlock), AuthorError> {
        let build = |queue: &[_]| author::build(parent, state, inherents, queue, shield);
        let queue = self.pool.lock().ready();
        match build(&queue) {
            Err(AuthorError::Runtime { reason, .. }) if !queue.is_empty() => {
                tracing::error!(reason, "an extrinsic stopped the runtime; looking for it");
                let (harmless, harmful): (Vec<_>, Vec<_>) =
                    queue.into_iter().partition(|one| build(&[Arc::clone(one)]).is_ok());
                let mut pool = self.pool.lock();
                for one in &harmful {
                    pool.close(&one.hash, Status::Invalid);
                }
                drop(pool);
                let built = build(&harmless)?;
                Ok((harmless, built))
            }
            built => Ok((queue, built?)),
        }
    }

    /// Clears the pool of what `block` decided, and tells watchers.
    fn settle<'a>(
        &self,
        desk: &mut Desk,
        block: &Arc<Block>,
        outcomes: impl Iterator<Item = (&'a Arc<Queued>, Outcome)>,
    ) {
        let number = block.header.number;
        let mut included = Vec::new();
        let mut pool = self.pool.lock();
        for (queued, outcome) in outcomes {
            match outcome {
                Outcome::Included => included.extend(pool.take(&queued.hash)),
                Outcome::Invalid(reason) => {
                    tracing::debug!(hash = ?queued.hash, ?reason, "no longer valid");
                    pool.close(&queued.hash, Status::Invalid);
                }
                Outcome::Postponed => {}
            }
        }
        pool.expire(number);
        self.reconsider_future(&mut pool, block);
        drop(pool);
        for watcher in &included {
            tell(watcher, Status::InBlock(block.hash));
        }
        if !included.is_empty() {
            desk.unfinalized.push_back((Arc::clone(block), included));
        }
        let finalized = number.saturating_sub(self.finality_lag);
        let waiting = desk.unfinalized.partition_point(|(b, _)| b.header.number <= finalized);
        for (block, watchers) in desk.unfinalized.drain(..waiting) {
            for watcher in &watchers {
                tell(watcher, Status::Finalized(block.hash));
            }
        }
        self.progress.send_modify(|progress| {
            progress.best = number;
            progress.finalized = progress.finalized.max(finalized);
        });
    }

    /// Extrinsics that waited for a nonce may have got it by this block.
    fn reconsider_future(&self, pool: &mut Pool, block: &Block) {
        let waiting = pool.future();
        if waiting.is_empty() {
            return;
        }
        let (_, state) = self.chain.best_state();
        for queued in waiting {
            let validity = author::decode(&queued.bytes)
                .ok()
                .and_then(|extrinsic| execution::validate(&state, block.hash, extrinsic).ok());
            match validity {
                Some(Ok(validity)) => pool.revise(&queued.hash, validity),
                _ => pool.close(&queued.hash, Status::Invalid),
            }
        }
    }

    /// Runs `method` on the state after `at`.
    pub(crate) fn call(
        &self,
        at: &H256,
        method: &str,
        arguments: &[u8],
    ) -> Result<Vec<u8>, NodeError> {
        Ok(execution::call(&self.chain.state(at)?, method, arguments)?)
    }
}

/// Why a state did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Execution(#[from] CallError),
}

impl Desk {
    /// What the block after `state` begins with.
    fn inherents(
        &mut self,
        state: &Backend,
        timestamp_ms: u64,
        zeal: Zeal,
    ) -> Result<InherentData, CallError> {
        let (last, awaited, announced) = execution::read(state, || {
            let mut awaited = subtensor::Pallet::<Runtime>::awaited_rounds();
            awaited.extend(node_subtensor_runtime::Commitments::awaited_rounds());
            let announced = shield::pallet::NextKey::<Runtime>::get();
            (drand::pallet::LastStoredRound::<Runtime>::get(), awaited, announced)
        })?;
        let pulses = self.beacon.pulses(timestamp_ms, last, &awaited, zeal);
        let mut data = InherentData::new();
        data.replace_data(*b"timstap0", &timestamp_ms);
        // There is one author, whose key lives as long as its process: it is announced once.
        if announced.is_none_or(|key| key[..] != *self.shield.public()) {
            data.replace_data(*b"mevshld0", &self.shield.public());
        }
        data.replace_data(*b"drandpls", &pulses);
        Ok(data)
    }
}
