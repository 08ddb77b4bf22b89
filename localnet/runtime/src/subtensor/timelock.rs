//! Weights encrypted for a round of the beacon: the chain opens them itself.

use super::weights::{Route, Row};
use super::*;

/// Commits that a neuron may make in an epoch of a mechanism.
const MAX_COMMITS_PER_EPOCH: usize = 10;

/// What a timelocked commit encrypts.
#[derive(Encode, Decode)]
struct Payload {
    /// Whose weights: nobody else can submit a copy.
    hotkey: Vec<u8>,
    uids: Vec<u16>,
    values: Vec<u16>,
    version_key: u64,
}

/// What commits encrypted before they named their hotkey; the chain still takes it.
#[derive(Encode, Decode)]
struct LegacyPayload {
    uids: Vec<u16>,
    values: Vec<u16>,
    version_key: u64,
}

/// The row behind a commit of `hotkey`; `None` for another's, and for what is no row.
fn hidden_row(bytes: &[u8], hotkey: &[u8]) -> Option<Row> {
    if let Ok(payload) = Payload::decode(&mut &*bytes)
        && let Some(named) = payload.hotkey.get(..hotkey.len())
    {
        let Payload { uids, values, version_key, .. } = payload;
        return (named == hotkey).then_some(Row { uids, values, version_key });
    }
    let LegacyPayload { uids, values, version_key } = LegacyPayload::decode(&mut &*bytes).ok()?;
    Some(Row { uids, values, version_key })
}

impl<T: Config> Pallet<T> {
    /// Stores encrypted weights until their round.
    pub(crate) fn do_commit_timelocked(
        hotkey: T::AccountId,
        netuid: NetUid,
        mecid: MechId,
        commit: TimelockedCommit,
        round: u64,
        version: u16,
    ) -> DispatchResult {
        Self::ensure_mechanism(netuid, mecid)?;
        ensure!(CommitRevealWeightsEnabled::<T>::get(netuid), Error::<T>::CommitRevealDisabled);
        ensure!(
            version == CommitRevealWeightsVersion::<T>::get(),
            Error::<T>::IncorrectCommitRevealVersion
        );
        let uid = Self::ensure_may_commit(&hotkey, netuid, mecid)?;
        ensure!(
            round >= crate::drand::pallet::LastStoredRound::<T>::get(),
            Error::<T>::InvalidRevealRound
        );
        let index = netuid.index(mecid);
        let hash = H256(sp_io::hashing::blake2_256(&commit));
        TimelockedWeightCommits::<T>::try_mutate(index, Self::commit_epoch(netuid), |queue| {
            let own = queue.iter().filter(|entry| entry.0 == hotkey).count();
            ensure!(own < MAX_COMMITS_PER_EPOCH, Error::<T>::TooManyUnrevealedCommits);
            queue.push_back((hotkey.clone(), Self::now(), commit, round));
            Ok::<_, DispatchError>(())
        })?;
        Self::touch(index, uid);
        Self::deposit_event(Event::TimelockedWeightsCommitted(hotkey, index, hash, round));
        Ok(())
    }

    /// Opens what is to be opened in this block, on every subnet whose epoch is not put off.
    pub(crate) fn reveal_timelocked_weights() {
        let deferred = Self::deferred_epochs();
        for netuid in Self::subnets().into_iter().filter(|netuid| !deferred.contains(netuid)) {
            for mecid in 0..MechanismCountCurrent::<T>::get(netuid).0 {
                Self::reveal_mechanism(netuid, MechId(mecid));
            }
        }
    }

    fn reveal_mechanism(netuid: NetUid, mecid: MechId) {
        let index = netuid.index(mecid);
        let current = Self::commit_epoch(netuid);
        let period = RevealPeriodEpochs::<T>::get(netuid);
        let Some(epoch) = current.checked_sub(period) else { return };
        let expired: Vec<u64> = TimelockedWeightCommits::<T>::iter_key_prefix(index)
            .filter(|stored| *stored < epoch)
            .collect();
        for stored in expired {
            TimelockedWeightCommits::<T>::remove(index, stored);
        }
        let queue = TimelockedWeightCommits::<T>::take(index, epoch);
        let waiting: VecDeque<_> = queue
            .into_iter()
            .filter(|(hotkey, _, commit, round)| {
                !Self::reveal_commit(netuid, mecid, hotkey, commit, *round)
            })
            .collect();
        if !waiting.is_empty() {
            TimelockedWeightCommits::<T>::insert(index, epoch, waiting);
        }
    }

    /// Opens one commit; `false` while its pulse is missing. What cannot be read, names another
    /// hotkey or is refused as weights is lost without a word, as on the real chain.
    fn reveal_commit(
        netuid: NetUid,
        mecid: MechId,
        hotkey: &T::AccountId,
        commit: &TimelockedCommit,
        round: u64,
    ) -> bool {
        if !crate::drand::pallet::Pulses::<T>::contains_key(round) {
            return false;
        }
        let row = Self::open_timelocked(commit, round)
            .and_then(|bytes| hidden_row(&bytes, hotkey.as_ref()));
        let Some(row) = row else { return true };
        if Self::store_weights(hotkey, netuid, mecid, row, Route::Revealed).is_ok() {
            let index = netuid.index(mecid);
            Self::deposit_event(Event::TimelockedWeightsRevealed(index, hotkey.clone()));
        }
        true
    }

    /// Rounds whose pulses are missing and that commits wait for, ascending.
    pub fn awaited_rounds() -> Vec<u64> {
        let queues = TimelockedWeightCommits::<T>::iter_values();
        let mut rounds: Vec<u64> = queues
            .flat_map(|queue| queue.into_iter().map(|(_, _, _, round)| round))
            .filter(|round| !crate::drand::pallet::Pulses::<T>::contains_key(round))
            .collect();
        rounds.sort_unstable();
        rounds.dedup();
        rounds
    }

    /// Decrypts what was encrypted for a round whose pulse is stored.
    pub fn open_timelocked(ciphertext: &[u8], round: u64) -> Option<Vec<u8>> {
        let pulse = crate::drand::pallet::Pulses::<T>::get(round)?;
        crate::tlock::open(ciphertext, &pulse.signature)
    }
}
