//! Weights committed by hash and revealed an epoch or more later.

use super::weights::{Route, Row};
use super::*;

/// Commits that a neuron may have open in a mechanism.
const MAX_OPEN_COMMITS: usize = 10;

impl<T: Config> Pallet<T> {
    /// The epoch that a commit in this block belongs to: an epoch that is due counts as run.
    pub(crate) fn commit_epoch(netuid: NetUid) -> u64 {
        let index = SubnetEpochIndex::<T>::get(netuid);
        index.saturating_add(u64::from(Self::is_epoch_due(netuid, Self::now())))
    }

    /// Whether a commit can no longer be revealed.
    pub(crate) fn is_commit_expired(netuid: NetUid, epoch: u64) -> bool {
        let last = epoch.saturating_add(RevealPeriodEpochs::<T>::get(netuid));
        Self::commit_epoch(netuid) > last
    }

    /// Whether a commit is to be revealed now.
    pub(crate) fn is_reveal_epoch(netuid: NetUid, epoch: u64) -> bool {
        epoch.saturating_add(RevealPeriodEpochs::<T>::get(netuid)) == Self::commit_epoch(netuid)
    }

    /// What a neuron commits to.
    pub fn commit_hash(
        hotkey: &T::AccountId,
        index: NetUidStorageIndex,
        uids: &[u16],
        values: &[u16],
        salt: &[u16],
        version_key: u64,
    ) -> H256 {
        let preimage = (hotkey, index, uids, values, salt, version_key).encode();
        H256(sp_io::hashing::blake2_256(&preimage))
    }

    /// What every commit must pass; the neuron's uid.
    pub(crate) fn ensure_may_commit(
        hotkey: &T::AccountId,
        netuid: NetUid,
        mecid: MechId,
    ) -> Result<u16, DispatchError> {
        Self::ensure_mechanism(netuid, mecid)?;
        ensure!(CommitRevealWeightsEnabled::<T>::get(netuid), Error::<T>::CommitRevealDisabled);
        let uid = Uids::<T>::get(netuid, hotkey).ok_or(Error::<T>::HotKeyNotRegisteredInSubNet)?;
        ensure!(
            Self::weights_limit_passed(netuid, netuid.index(mecid), uid),
            Error::<T>::CommittingWeightsTooFast
        );
        Ok(uid)
    }

    /// Stores the hash of a row.
    pub(crate) fn do_commit_weights(
        hotkey: T::AccountId,
        netuid: NetUid,
        mecid: MechId,
        hash: H256,
    ) -> DispatchResult {
        let uid = Self::ensure_may_commit(&hotkey, netuid, mecid)?;
        let index = netuid.index(mecid);
        let mut queue = WeightCommits::<T>::get(index, &hotkey).unwrap_or_default();
        while queue.front().is_some_and(|commit| Self::is_commit_expired(netuid, commit.1)) {
            queue.pop_front();
        }
        ensure!(queue.len() < MAX_OPEN_COMMITS, Error::<T>::TooManyUnrevealedCommits);
        queue.push_back((hash, Self::commit_epoch(netuid), Self::now(), 0));
        WeightCommits::<T>::insert(index, &hotkey, queue);
        Self::touch(index, uid);
        Self::deposit_event(Event::WeightsCommitted(hotkey, index, hash));
        Ok(())
    }

    /// Commits on many subnets; what fails is reported by event alone.
    pub(crate) fn do_batch_commit_weights(
        hotkey: T::AccountId,
        netuids: Vec<Compact<NetUid>>,
        hashes: Vec<H256>,
    ) -> DispatchResult {
        ensure!(netuids.len() == hashes.len(), Error::<T>::InputLengthsUnequal);
        let mut failed = false;
        for (netuid, hash) in netuids.iter().zip(hashes) {
            let done = Self::do_commit_weights(hotkey.clone(), netuid.0, MechId(0), hash);
            if let Err(error) = done {
                failed = true;
                Self::deposit_event(Event::BatchWeightItemFailed(netuid.0, error));
            }
        }
        Self::finish_batch(netuids, hotkey, failed);
        Ok(())
    }

    /// Shows the row behind a commit, which becomes the neuron's weights.
    pub(crate) fn do_reveal_weights(
        hotkey: T::AccountId,
        netuid: NetUid,
        mecid: MechId,
        row: Row,
        salt: &[u16],
    ) -> DispatchResult {
        ensure!(CommitRevealWeightsEnabled::<T>::get(netuid), Error::<T>::CommitRevealDisabled);
        let hash = Self::take_commit(&hotkey, netuid, mecid, &row, salt)?;
        Self::store_weights(&hotkey, netuid, mecid, row, Route::Revealed)?;
        Self::deposit_event(Event::WeightsRevealed(hotkey, netuid.index(mecid), hash));
        Ok(())
    }

    /// Reveals many commits of one subnet in order: all of them or none.
    pub(crate) fn do_batch_reveal_weights(
        hotkey: T::AccountId,
        netuid: NetUid,
        rows: Vec<Row>,
        salts: Vec<Vec<u16>>,
    ) -> DispatchResult {
        ensure!(rows.len() == salts.len(), Error::<T>::InputLengthsUnequal);
        ensure!(CommitRevealWeightsEnabled::<T>::get(netuid), Error::<T>::CommitRevealDisabled);
        let mut hashes = Vec::with_capacity(rows.len());
        for (row, salt) in rows.into_iter().zip(salts) {
            hashes.push(Self::take_commit(&hotkey, netuid, MechId(0), &row, &salt)?);
            Self::store_weights(&hotkey, netuid, MechId(0), row, Route::Revealed)?;
        }
        Self::deposit_event(Event::WeightsBatchRevealed(hotkey, netuid, hashes));
        Ok(())
    }

    /// Finds the commit of a row and drops it with everything older.
    fn take_commit(
        hotkey: &T::AccountId,
        netuid: NetUid,
        mecid: MechId,
        row: &Row,
        salt: &[u16],
    ) -> Result<H256, DispatchError> {
        let index = netuid.index(mecid);
        let hash = Self::commit_hash(hotkey, index, &row.uids, &row.values, salt, row.version_key);
        let mut queue =
            WeightCommits::<T>::get(index, hotkey).ok_or(Error::<T>::NoWeightsCommitFound)?;
        let mut expired = false;
        while let Some(commit) = queue.front() {
            if !Self::is_commit_expired(netuid, commit.1) {
                break;
            }
            expired |= commit.0 == hash;
            queue.pop_front();
        }
        let Some(at) = queue.iter().position(|commit| commit.0 == hash) else {
            ensure!(!expired, Error::<T>::ExpiredWeightCommit);
            ensure!(!queue.is_empty(), Error::<T>::NoWeightsCommitFound);
            return Err(Error::<T>::InvalidRevealCommitHashNotMatch.into());
        };
        let in_epoch = queue.get(at).is_some_and(|commit| Self::is_reveal_epoch(netuid, commit.1));
        ensure!(in_epoch, Error::<T>::RevealTooEarly);
        queue.drain(..=at);
        if queue.is_empty() {
            WeightCommits::<T>::remove(index, hotkey);
        } else {
            WeightCommits::<T>::insert(index, hotkey, queue);
        }
        Ok(hash)
    }

    /// Whether a reveal would find its commit and its epoch, for the pool.
    pub(crate) fn ensure_reveal_in_window(
        hotkey: &T::AccountId,
        netuid: NetUid,
        mecid: MechId,
        hash: H256,
    ) -> Result<(), Error<T>> {
        let epoch = WeightCommits::<T>::get(netuid.index(mecid), hotkey)
            .and_then(|queue| queue.iter().find(|commit| commit.0 == hash).map(|commit| commit.1))
            .ok_or(Error::<T>::NoWeightsCommitFound)?;
        ensure!(Self::is_reveal_epoch(netuid, epoch), Error::<T>::RevealTooEarly);
        Ok(())
    }

    /// Block of a neuron's earliest commit that is still open, of either kind.
    pub(crate) fn earliest_commits(netuid: NetUid, mecid: MechId) -> BTreeMap<T::AccountId, u64> {
        let index = netuid.index(mecid);
        let mut earliest = BTreeMap::new();
        let mut note = |hotkey: T::AccountId, block: u64| {
            earliest.entry(hotkey).and_modify(|b: &mut u64| *b = block.min(*b)).or_insert(block);
        };
        for (hotkey, queue) in WeightCommits::<T>::iter_prefix(index) {
            let open = queue.iter().find(|commit| !Self::is_commit_expired(netuid, commit.1));
            if let Some(commit) = open {
                note(hotkey, commit.2);
            }
        }
        for (epoch, queue) in TimelockedWeightCommits::<T>::iter_prefix(index) {
            if !Self::is_commit_expired(netuid, epoch) {
                for (hotkey, block, _, _) in queue {
                    note(hotkey, block);
                }
            }
        }
        earliest
    }
}
