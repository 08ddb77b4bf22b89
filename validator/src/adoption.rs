//! Following the owner's rule: whose digest stands on chain, from the first epoch that begins after it
//! was published.
//!
//! ```text
//! published ──► fetched, checked, kept ──► the epoch it was published in ends ──► in force
//!                   └── not to be had, or not for this validator: said at every head, by name
//! ```

use chain_metadata::EpochClock;
use subnet_rules::digest::Digest;
use subnet_rules::package::Package;
use tokio::task::JoinSet;
use wire::Network;

use neuron::library::{FetchError, Files, Published, Shelf, fetch};

/// Blocks between the first two tries to fetch a rule; doubles from then on.
const FIRST_WAIT: u64 = 5;
/// Most blocks between two tries.
const LONGEST_WAIT: u64 = 300;

/// How far a validator is with the owner's rule.
#[derive(Debug)]
pub(crate) struct Adoption {
    follow: bool,
    network: Network,
    shelf: Shelf,
    /// The publication last seen.
    published: Option<Published>,
    /// Its files, once they are here.
    here: Option<Package>,
    fetching: JoinSet<(Digest, Result<Files, FetchError>)>,
    /// Why it is not in force.
    trouble: Option<String>,
    /// It never will be, as published.
    given_up: bool,
    tries: u32,
    retry_at: u64,
}

/// Whether a publication is in force: from the first epoch that begins after its block.
pub(crate) const fn due(published: &Published, clock: &EpochClock) -> bool {
    published.block < clock.last_epoch_block
}

impl Adoption {
    pub(crate) fn new(follow: bool, network: Network, shelf: Shelf) -> Self {
        Self {
            follow,
            network,
            shelf,
            published: None,
            here: None,
            fetching: JoinSet::new(),
            trouble: None,
            given_up: false,
            tries: 0,
            retry_at: 0,
        }
    }

    /// Takes in what the chain says at a head, and fetches what is new.
    pub(crate) fn see(&mut self, published: Option<Published>, in_force: Digest, height: u64) {
        let known = self.published.as_ref().map(|known| &known.publication);
        if known != published.as_ref().map(|new| &new.publication) {
            if let Some(Published { publication, owner, block }) = &published {
                tracing::info!(rule = %publication, %owner, block, "the owner has published a rule");
            }
            let (follow, network, shelf) = (self.follow, self.network, self.shelf.clone());
            *self = Self { published, ..Self::new(follow, network, shelf) };
        }
        self.gather();
        let Some(published) = &self.published else { return };
        let digest = published.publication.digest();
        let settled = digest == in_force || self.here.is_some() || self.given_up;
        if settled || !self.follow || !self.fetching.is_empty() || height < self.retry_at {
            return;
        }
        self.here = self.shelf.get(&digest);
        if self.here.is_none() {
            let (published, network) = (published.clone(), self.network);
            self.fetching.spawn(async move { (digest, fetch(&published, network, &[]).await) });
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.tries.min(16)).min(LONGEST_WAIT);
        (self.tries, self.retry_at) = (self.tries + 1, height + wait);
    }

    /// Takes in what was fetched.
    fn gather(&mut self) {
        while let Some(fetched) = self.fetching.try_join_next() {
            // A task that was cut off is tried again.
            let Ok((digest, fetched)) = fetched else { continue };
            let current = self.published.as_ref().map(|one| one.publication.digest());
            if current != Some(digest) {
                continue;
            }
            match fetched.and_then(|files| self.shelf.put(&files).map(|()| files)) {
                Ok(files) => {
                    self.trouble = None;
                    self.here = Some(files.package);
                }
                Err(error) => {
                    self.given_up = !error.may_pass();
                    self.refuse_with(&error);
                }
            }
        }
    }

    /// The published rule, where it is here and due and not yet in force.
    pub(crate) fn due(&self, in_force: Digest, clock: &EpochClock) -> Option<&Package> {
        let published = self.published.as_ref()?;
        let new = published.publication.digest() != in_force;
        self.here.as_ref().filter(|_| new && !self.given_up && due(published, clock))
    }

    /// The published rule cannot be used here, as it is.
    pub(crate) fn refuse(&mut self, why: &(dyn std::error::Error + 'static)) {
        self.given_up = true;
        self.refuse_with(why);
    }

    fn refuse_with(&mut self, why: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(Some(why), |cause| cause.source());
        let said: Vec<String> = causes.map(ToString::to_string).collect();
        let said = said.join(": ");
        tracing::error!(why = %said, "the owner's rule is not adopted");
        self.trouble = Some(said);
    }

    /// Why this validator judges by another rule than the owner's, if it does.
    pub(crate) fn differs(&self, in_force: Digest, clock: &EpochClock) -> Option<String> {
        let published = self.published.as_ref()?;
        if published.publication.digest() == in_force || !due(published, clock) {
            return None;
        }
        let why = match (&self.trouble, self.follow) {
            (_, false) => "it was told not to follow: --follow-rule=true adopts it",
            (Some(trouble), true) => trouble,
            (None, true) => "it is being fetched",
        };
        Some(format!(
            "the owner's rule is {}, this validator judges by {in_force}: {why}",
            published.publication
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use chain_metadata::Hotkey;
    use subnet_rules::publication::Publication;

    const OURS: Digest = Digest([1; 32]);

    fn published(digest: [u8; 32], block: u64) -> Published {
        let publication = Publication::new(Digest(digest), "/nowhere/at/all").unwrap();
        Published { publication, owner: Hotkey::from_bytes([9; 32]), block }
    }

    fn clock(last_epoch_block: u64) -> EpochClock {
        EpochClock {
            tempo: 10,
            last_epoch_block,
            pending_epoch_at: 0,
            subnet_epoch_index: 1,
            blocks_since_last_step: 0,
        }
    }

    fn adoption(dir: &std::path::Path, follow: bool) -> Adoption {
        Adoption::new(follow, Network::Local, Shelf::new(dir))
    }

    #[tokio::test]
    async fn a_rule_is_due_when_an_epoch_began_after_it_was_published() {
        let one = published([2; 32], 10);
        assert!(!due(&one, &clock(9)) && !due(&one, &clock(10)) && due(&one, &clock(11)));
    }

    #[tokio::test]
    async fn nothing_differs_before_the_epoch_is_over_and_something_does_after() {
        let dir = tempfile::tempdir().unwrap();
        let mut adoption = adoption(dir.path(), false);
        adoption.see(Some(published([2; 32], 10)), OURS, 10);
        assert_eq!(adoption.differs(OURS, &clock(5)), None);
        assert!(adoption.differs(OURS, &clock(11)).unwrap().contains("--follow-rule"));
        assert_eq!(adoption.differs(Digest([2; 32]), &clock(11)), None);
        assert!(adoption.due(OURS, &clock(11)).is_none());
    }

    #[tokio::test]
    async fn a_rule_that_cannot_be_had_is_named_and_tried_again_later() {
        let dir = tempfile::tempdir().unwrap();
        let mut adoption = adoption(dir.path(), true);
        adoption.see(Some(published([2; 32], 10)), OURS, 20);
        while adoption.trouble.is_none() {
            tokio::task::yield_now().await;
            adoption.gather();
        }
        assert!(adoption.differs(OURS, &clock(11)).unwrap().contains("/nowhere/at/all"));
        assert!(!adoption.given_up);
        adoption.see(Some(published([2; 32], 10)), OURS, 21);
        assert!(adoption.fetching.is_empty(), "not before its time");
        adoption.see(Some(published([2; 32], 10)), OURS, 25);
        assert!(!adoption.fetching.is_empty());
        adoption.see(Some(published([3; 32], 26)), OURS, 26);
        assert!(adoption.trouble.is_none(), "a new rule begins anew");
    }
}
