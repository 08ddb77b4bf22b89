//! No request is accepted twice, not even by the next process.
//!
//! Within a process each caller has a sliding window of nonces. Between processes there
//! is either a journal (the nonces survive a kill) or a floor: a process that does not know what
//! its predecessor accepted refuses every nonce that the predecessor could have, which is all up to
//! its own start plus the protocol's allowance for clocks that run ahead.

mod journal;
mod window;

use std::{collections::HashMap, io, path::Path, path::PathBuf};

use chain_metadata::Hotkey;
use parking_lot::Mutex;

pub use journal::Distrust;
use journal::{Journal, Record};
use window::Window;

use crate::auth::{Freshness, UnixNanos, Verified};

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayLimits {
    /// Callers at a time. A subnet has at most 4,096 neurons.
    pub callers: usize,
    /// Nonces of one caller, 8 bytes each: requests it may have under way out of order. Older ones
    /// are refused, not forgotten.
    pub nonces_per_caller: usize,
}

impl Default for ReplayLimits {
    fn default() -> Self {
        Self { callers: 4096, nonces_per_caller: 4096 }
    }
}

/// Records in a journal before it is rewritten, however few of them are alive: 3 MB of file.
const COMPACT_AT: usize = 65_536;

/// Why a verified request is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Accepted before, or older than what is remembered of its sender.
    #[error("nonce {nonce} was used before")]
    Replayed {
        /// The nonce.
        nonce: UnixNanos,
    },
    /// Perhaps accepted by the process before this one.
    #[error("nonce {nonce} is before {floor}, since when this process knows what it accepted")]
    BeforeStart {
        /// The nonce.
        nonce: UnixNanos,
        /// The newest nonce that an earlier process may have accepted.
        floor: UnixNanos,
    },
    /// As many callers as are remembered are active.
    #[error("{callers} callers are active already")]
    Full {
        /// The limit.
        callers: usize,
    },
    /// The nonce cannot be written down, and the journal that lacks it cannot be removed.
    #[error("the nonce cannot be recorded")]
    Unrecorded(#[source] io::Error),
}

/// A journal that cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the replay journal {}", path.display())]
pub struct JournalError {
    path: PathBuf,
    source: io::Error,
}

/// What a store knows about the time before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// All of it.
    Complete,
    /// Nothing; nonces up to this one are refused.
    Refusing {
        /// The newest nonce that an earlier process may have accepted.
        until: UnixNanos,
        /// Why it is not known.
        why: Distrust,
    },
}

/// The nonces that were accepted.
#[derive(Debug)]
pub struct ReplayStore {
    memory: Mutex<Memory>,
    freshness: Freshness,
    limits: ReplayLimits,
    recovery: Recovery,
}

#[derive(Debug, Default)]
struct Memory {
    floor: Option<UnixNanos>,
    callers: HashMap<Hotkey, Window>,
    journal: Option<Journal>,
}

impl ReplayStore {
    /// A store that ends with the process. Nonces up to `now` and the window's `max_ahead` are
    /// refused: an earlier process may have accepted them.
    pub fn in_memory(now: UnixNanos, freshness: Freshness) -> Self {
        let until = now.after(freshness.max_ahead);
        let recovery = Recovery::Refusing { until, why: Distrust::Absent };
        Self::with_floor(Some(until), freshness, recovery)
    }

    /// A store that ends with the process, for a hotkey that no process has served before: the
    /// caller has just made it. Serves at once.
    pub fn for_new_key(freshness: Freshness) -> Self {
        Self::with_floor(None, freshness, Recovery::Complete)
    }

    /// A store whose nonces are in the file at `path`, so that the process after this one knows
    /// them and serves at once. Whoever calls this holds the hotkey's lock. Accepting then writes
    /// 49 bytes to the page cache, about a microsecond, and syncs nothing.
    ///
    /// # Errors
    /// The file cannot be read or made. One that is absent, damaged or from before a reboot is no
    /// error: then the store refuses as [`ReplayStore::in_memory`] does, and
    /// [`ReplayStore::recovery`] says so.
    pub fn open(path: &Path, now: UnixNanos, freshness: Freshness) -> Result<Self, JournalError> {
        let failed = |source| JournalError { path: path.to_owned(), source };
        let store = match Journal::read(path).map_err(failed)? {
            Ok(records) => Self::resume(&records, freshness),
            Err(why) => {
                let until = now.after(freshness.max_ahead);
                let recovery = Recovery::Refusing { until, why };
                Self::with_floor(Some(until), freshness, recovery)
            }
        };
        {
            let mut memory = store.memory.lock();
            let journal = Journal::create(path, &memory.records()).map_err(failed)?;
            memory.journal = Some(journal);
        }
        Ok(store)
    }

    fn with_floor(floor: Option<UnixNanos>, freshness: Freshness, recovery: Recovery) -> Self {
        let memory = Mutex::new(Memory { floor, ..Memory::default() });
        Self { memory, freshness, limits: ReplayLimits::default(), recovery }
    }

    fn resume(records: &[Record], freshness: Freshness) -> Self {
        let store = Self::with_floor(None, freshness, Recovery::Complete);
        store.memory.lock().replay(records);
        store
    }

    /// The same store with other bounds.
    #[must_use]
    pub fn with_limits(self, limits: ReplayLimits) -> Self {
        Self { limits, ..self }
    }

    /// What this store knows about the time before it.
    pub const fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The window of time that the store was made for.
    pub const fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// Nonces remembered now.
    pub fn len(&self) -> usize {
        self.memory.lock().len()
    }

    /// Whether no nonce is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Accepts a request once. Only verified ones are asked about, so nobody can use up a nonce
    /// that is not his.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn accept(&self, request: &Verified, now: UnixNanos) -> Result<(), ReplayError> {
        let &Verified { hotkey, nonce, .. } = request;
        let horizon = now.before(self.freshness.max_age);
        let memory = &mut *self.memory.lock();
        if let Some(floor) = memory.floor.filter(|&floor| nonce <= floor) {
            return Err(ReplayError::BeforeStart { nonce, floor });
        }
        if memory.callers.get(&hotkey).is_some_and(|window| !window.is_new(nonce)) {
            return Err(ReplayError::Replayed { nonce });
        }
        memory.make_room(&hotkey, horizon, self.limits.callers)?;
        memory.record(Record::Seen(hotkey, nonce)).map_err(ReplayError::Unrecorded)?;
        memory.callers.entry(hotkey).or_default().insert(
            nonce,
            horizon,
            self.limits.nonces_per_caller,
        );
        Ok(())
    }
}

impl Memory {
    /// Makes sure that one more caller fits, letting go of callers whose nonces are all stale.
    fn make_room(
        &mut self,
        hotkey: &Hotkey,
        horizon: UnixNanos,
        limit: usize,
    ) -> Result<(), ReplayError> {
        if self.callers.len() < limit || self.callers.contains_key(hotkey) {
            return Ok(());
        }
        let mut floor = self.floor;
        self.callers.retain(|_, window| {
            let active = window.newest().is_some_and(|newest| newest >= horizon);
            if !active {
                floor = floor.max(window.newest());
            }
            active
        });
        self.floor = floor;
        if self.callers.len() < limit { Ok(()) } else { Err(ReplayError::Full { callers: limit }) }
    }

    /// Writes a record down. When that fails, the journal is given up (the next process will then
    /// refuse what this one may have accepted); only when that fails too is the request refused.
    fn record(&mut self, record: Record) -> io::Result<()> {
        let live = self.len();
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let written = if journal.len() >= COMPACT_AT.max(2 * live) {
            let mut records = Self::records_of(self.floor, &self.callers);
            records.push(record);
            journal.rewrite(&records)
        } else {
            journal.append(record)
        };
        if let Err(error) = written {
            journal.disown().map_err(|_| error)?;
            self.journal = None;
            tracing::warn!(
                "the replay journal cannot be written; a restart will refuse for a while"
            );
        }
        Ok(())
    }

    fn records(&self) -> Vec<Record> {
        Self::records_of(self.floor, &self.callers)
    }

    fn records_of(floor: Option<UnixNanos>, callers: &HashMap<Hotkey, Window>) -> Vec<Record> {
        let global = floor.map(Record::GlobalFloor);
        let each = callers.iter().flat_map(|(&hotkey, window)| {
            let floor = window.floor().map(|floor| Record::Floor(hotkey, floor));
            floor.into_iter().chain(window.seen().map(move |nonce| Record::Seen(hotkey, nonce)))
        });
        global.into_iter().chain(each).collect()
    }

    fn replay(&mut self, records: &[Record]) {
        for &record in records {
            match record {
                Record::GlobalFloor(floor) => self.floor = self.floor.max(Some(floor)),
                Record::Floor(hotkey, floor) => {
                    self.callers.entry(hotkey).or_default().raise(floor);
                }
                Record::Seen(hotkey, nonce) => {
                    let window = self.callers.entry(hotkey).or_default();
                    if window.is_new(nonce) {
                        window.insert(nonce, UnixNanos(0), usize::MAX);
                    }
                }
            }
        }
    }

    fn len(&self) -> usize {
        self.callers.values().map(Window::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::RequestDigest;

    /// In nanoseconds, so that tests read in seconds.
    const SECOND: u64 = 1_000_000_000;
    const START: UnixNanos = UnixNanos(1_000 * SECOND);

    fn at(seconds: u64) -> UnixNanos {
        UnixNanos(START.0 + seconds * SECOND)
    }

    fn request(caller: u8, nonce: UnixNanos) -> Verified {
        Verified { hotkey: Hotkey::from_bytes([caller; 32]), nonce, digest: RequestDigest([0; 32]) }
    }

    #[test]
    fn a_request_is_accepted_once_from_each_caller() {
        let store = ReplayStore::for_new_key(Freshness::default());
        store.accept(&request(1, START), START).unwrap();
        store.accept(&request(2, START), START).unwrap();
        let again = store.accept(&request(1, START), at(5));
        assert!(matches!(again, Err(ReplayError::Replayed { nonce: START })));
    }

    #[test]
    fn a_store_without_a_past_refuses_what_an_earlier_process_may_have_accepted() {
        let store = ReplayStore::in_memory(START, Freshness::default());
        let early = store.accept(&request(1, at(2)), at(1));
        assert!(matches!(early, Err(ReplayError::BeforeStart { floor, .. }) if floor == at(2)));
        store.accept(&request(1, at(3)), at(3)).unwrap();
    }

    #[test]
    fn the_next_process_knows_the_nonces_and_serves_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("replay");
        let open = |now| ReplayStore::open(&path, now, Freshness::default()).unwrap();

        let first = open(START);
        first.accept(&request(1, at(3)), at(3)).unwrap();
        first.accept(&request(1, at(5)), at(3)).unwrap();
        drop(first);

        let second = open(at(3));
        assert_eq!(second.recovery(), Recovery::Complete);
        for nonce in [at(3), at(5)] {
            let replay = second.accept(&request(1, nonce), at(4));
            assert!(matches!(replay, Err(ReplayError::Replayed { .. })));
        }
        second.accept(&request(1, at(4)), at(4)).unwrap();
        drop(second);

        // The floor of the first, who knew nothing of the time before it, holds for all after it.
        let third = open(at(4));
        let early = third.accept(&request(2, at(2)), at(4));
        assert!(matches!(early, Err(ReplayError::BeforeStart { .. })));
    }

    #[test]
    fn a_damaged_journal_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("replay");
        std::fs::write(&path, b"GNGLRPL1 and then something else").unwrap();
        let store = ReplayStore::open(&path, START, Freshness::default()).unwrap();
        let refusing = Recovery::Refusing { until: at(2), why: Distrust::Damaged };
        assert_eq!(store.recovery(), refusing);
    }

    #[test]
    fn memory_is_bounded_by_refusing() {
        let limits = ReplayLimits { callers: 2, nonces_per_caller: 3 };
        let store = ReplayStore::for_new_key(Freshness::default()).with_limits(limits);
        for n in 0..10 {
            store.accept(&request(1, at(n)), at(n)).unwrap();
            store.accept(&request(2, at(n)), at(n)).unwrap();
        }
        assert_eq!(store.len(), 6);
        let third = request(3, at(9));
        assert!(matches!(store.accept(&third, at(9)), Err(ReplayError::Full { callers: 2 })));
        // Once the others are quiet for longer than a nonce lives, there is room; what was let go
        // is still refused.
        let later = request(3, at(25));
        store.accept(&later, at(25)).unwrap();
        assert!(store.accept(&request(1, at(9)), at(9)).is_err());
    }

    #[test]
    fn a_journal_is_rewritten_before_it_grows_without_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("replay");
        let store = ReplayStore::open(&path, START, Freshness::default()).unwrap();
        let limits = ReplayLimits { nonces_per_caller: 16, ..ReplayLimits::default() };
        let store = store.with_limits(limits);
        let first = at(3).0;
        let past_compaction = COMPACT_AT as u64 + 10;
        for nonce in first..first + past_compaction {
            store.accept(&request(1, UnixNanos(nonce)), at(3)).unwrap();
        }
        assert!(std::fs::metadata(&path).unwrap().len() < 4096);
        drop(store);
        let next = ReplayStore::open(&path, at(3), Freshness::default()).unwrap();
        for nonce in [first, first + past_compaction - 1] {
            let replay = next.accept(&request(1, UnixNanos(nonce)), at(3));
            assert!(matches!(replay, Err(ReplayError::Replayed { .. })));
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        /// Whatever the order, the clock and the restarts.
        #[test]
        fn nothing_is_accepted_twice(
            steps in proptest::collection::vec((1u8..4, 0u64..60, 0u64..40, 0u8..16), 1..120)
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("replay");
            let open = |now| {
                let limits = ReplayLimits { callers: 2, nonces_per_caller: 8 };
                ReplayStore::open(&path, now, Freshness::default()).unwrap().with_limits(limits)
            };
            let mut store = open(START);
            let mut accepted = std::collections::HashSet::new();
            for (caller, nonce, now, restart) in steps {
                if restart == 0 {
                    store = open(at(now));
                }
                if store.accept(&request(caller, at(nonce)), at(now)).is_ok() {
                    proptest::prop_assert!(accepted.insert((caller, nonce)));
                }
            }
        }
    }
}
