//! Weights on their way: hidden if the subnet wants it, written down, sent, and followed until
//! the chain has applied them.

use chain::timelock::{Beacon, Payload, encrypt};
use chain::{Call, TimelockedCommit, commit_hash, new_salt, obstacles};
use chain_metadata::{Hotkey, MechId, NetUid, Obstacle, Route, TIMELOCK_VERSION, Weights};
use codec::Encode as _;

use super::Validator;
use super::standing;
use super::view::View;
use crate::Error;
use crate::courier::Delivery;
use crate::journal::{Hidden, Loss, Paid, State, Submission, SubmissionId, Verdict};
use crate::record::{self, Scribe};
use crate::schedule::{Decision, Holding};
use crate::store::{Store, StoreError};
use crate::watch::{Fate, Watch};

/// Blocks between the publication of a commit's round and the block that needs it: the chain must
/// have stored the pulse by then, and weights should stay hidden for as long as they can. As many as
/// the Python SDK takes.
const REVEAL_LEAD_BLOCKS: u64 = 3;

const SUBMISSIONS: &str = "ganglion_validator_weight_submissions_total";
const REVEALS: &str = "ganglion_validator_timelocked_reveals_total";

/// Hands the journal's timelocked commits to the watch.
pub(super) fn recall(store: &Store, hotkey: &Hotkey, watch: &mut Watch) -> Result<(), StoreError> {
    for (_, row) in store.committed()? {
        if let Some(commit) = timelocked(&row, hotkey) {
            watch.remember(commit);
        }
    }
    Ok(())
}

/// The commit of a submission that the chain is to reveal.
fn timelocked(row: &Submission, hotkey: &Hotkey) -> Option<TimelockedCommit> {
    let (Some(Hidden::Timelocked { round, ciphertext }), State::Committed { block, epoch }) =
        (&row.hidden, &row.state)
    else {
        return None;
    };
    Some(TimelockedCommit {
        hotkey: *hotkey,
        epoch: *epoch,
        block: *block,
        ciphertext: ciphertext.clone(),
        round: *round,
    })
}

// Steps that wait take `&mut self`: the store's file may move between threads, not be shared.
impl Validator {
    fn place(&self) -> (NetUid, MechId) {
        (self.config.chain.netuid(), MechId(self.config.weights.mechid))
    }

    /// Holds back weights that the chain would refuse, with the reason.
    pub(super) async fn preflight(
        &mut self,
        view: &View,
        weights: Option<&Weights>,
        decision: Decision,
    ) -> Result<Decision, Error> {
        let (Decision::Submit, Some(weights)) = (decision, weights) else { return Ok(decision) };
        let (hotkey, (_, mechid)) = (self.keypair.hotkey(), self.place());
        let rules = &view.hyperparameters;
        let standing =
            self.chain.standing(&view.metagraph, mechid, &hotkey, rules, &view.clock).await?;
        let found = obstacles(rules, &standing, weights, self.config.weights.version_key);
        let first = found.into_iter().find(|found| !matches!(found, Obstacle::RateLimit { .. }));
        Ok(first.map_or(decision, |obstacle| Decision::Hold(Holding::Obstacle(obstacle))))
    }

    /// Signs the weights, writes them down, and only then sends them.
    pub(super) async fn submit(&mut self, view: &View, weights: &Weights) -> Result<(), Error> {
        let (call, hidden) = self.dress(view, weights).await?;
        let extrinsic = self.chain.prepare(&call, &self.keypair).await.map_err(Error::Prepare)?;
        let hotkey_of = |uid| view.metagraph.neuron(uid).map(|neuron| neuron.hotkey);
        let submission = Submission {
            epoch: view.epoch(),
            decided_at: view.head.number,
            weights: weights
                .iter()
                .filter_map(|(uid, value)| Some(Paid { hotkey: hotkey_of(uid)?, uid, value }))
                .collect(),
            hidden,
            extrinsic,
            state: State::Intended,
        };
        let id = self.store.intend(&submission)?;
        self.log_settled(view, weights);
        tracing::info!(
            epoch = submission.epoch,
            miners = weights.len(),
            call = call.name(),
            "sending weights"
        );
        self.send(id, submission)
    }

    fn log_settled(&mut self, view: &View, weights: &Weights) {
        let paid = record::Paid {
            miners: standing::payees(view, &*self.session).collect(),
            burn_uid: standing::burn_uid(view),
            weights: weights.clone(),
        };
        let scribe = Scribe { session: &*self.session, validator: self.keypair.hotkey() };
        self.record.settled(scribe, view.epoch(), view.head.number, paid);
    }

    /// The call that the subnet's rules ask for, and what opens it.
    async fn dress(
        &mut self,
        view: &View,
        weights: &Weights,
    ) -> Result<(Call, Option<Hidden>), Error> {
        let ((netuid, mechid), hotkey) = (self.place(), self.keypair.hotkey());
        let version_key = self.config.weights.version_key;
        let beacon = self.chain.beacon(Some(view.head.hash)).await?;
        match (Route::of(&view.hyperparameters, beacon.is_some()), beacon) {
            (Route::Timelocked, Some(beacon)) => {
                let round = self.round(view, &beacon).await?;
                let payload = Payload::new(&hotkey, weights, version_key).encode();
                let ciphertext = encrypt(&beacon, round, &payload)?;
                let version = TIMELOCK_VERSION;
                let call =
                    Call::commit_timelocked_weights(netuid, mechid, &ciphertext, round, version);
                Ok((call, Some(Hidden::Timelocked { round, ciphertext })))
            }
            (Route::Open, _) => Ok((Call::set_weights(netuid, mechid, weights, version_key), None)),
            _ => {
                let salt = new_salt();
                let hash = commit_hash(&hotkey, netuid, mechid, weights, &salt, version_key);
                let call = Call::commit_weights(netuid, mechid, hash);
                Ok((call, Some(Hidden::Hash { salt, version_key })))
            }
        }
    }

    /// The round that opens a commit of the next block just in time for its reveal, and never one
    /// that is public already.
    async fn round(&mut self, view: &View, beacon: &Beacon) -> Result<u64, Error> {
        let now = view.head.number;
        let period = view.hyperparameters.reveal_period_epochs;
        let reveal = view.clock.reveal_block(now, now + 1, period).unwrap_or(now);
        let ahead = reveal.saturating_sub(now + REVEAL_LEAD_BLOCKS);
        let block_ms = self.chain.block_time().await?.as_millis();
        let block_ms = u64::try_from(block_ms).unwrap_or(u64::MAX);
        let then = view.head.timestamp_ms.ok_or(Error::NoClock)? + ahead.saturating_mul(block_ms);
        let stored = self.chain.last_stored_round(Some(view.head.hash)).await?;
        Ok(beacon.newest_round(then).max(stored + 1))
    }

    /// Hands the bytes to the chain; that they may be out is on disk before.
    fn send(&mut self, id: SubmissionId, submission: Submission) -> Result<(), Error> {
        let first = submission.state == State::Intended;
        self.store.advance(id, State::Broadcast)?;
        self.deliver(id, submission, first);
        Ok(())
    }

    fn deliver(&mut self, id: SubmissionId, submission: Submission, first: bool) {
        let courier = self.courier();
        self.deliveries.spawn(async move { courier.deliver(id, submission, first).await });
    }

    /// Finds out what became of the open submission.
    pub(super) async fn reconcile(&mut self, view: &View) -> Result<(), Error> {
        let Some((id, submission)) = self.store.unresolved()? else { return Ok(()) };
        match self.courier().look(&submission, view.head.number).await? {
            Verdict::Resend => self.send(id, submission),
            verdict => {
                if submission.state == State::Intended {
                    self.store.advance(id, State::Broadcast)?;
                }
                self.conclude(id, verdict)
            }
        }
    }

    pub(super) fn delivered(&mut self, delivery: Delivery) -> Result<(), Error> {
        self.conclude(delivery.id, delivery.verdict?)
    }

    /// Writes down what became of a submission.
    fn conclude(&mut self, id: SubmissionId, verdict: Verdict) -> Result<(), Error> {
        let state = self.store.submission(id)?.state;
        let count = |end| self.health.metrics.count(SUBMISSIONS, &[("end", end)], 1);
        match verdict {
            Verdict::Resend => {}
            Verdict::Commit { block, epoch } => {
                self.store.advance(id, State::Included { block })?;
                self.store.advance(id, State::Committed { block, epoch })?;
                count("committed");
                recall(&self.store, &self.keypair.hotkey(), &mut self.watch)?;
                tracing::info!(block, epoch, "the chain holds the commit; its reveal is to come");
            }
            Verdict::Settle { block } => {
                if state == State::Broadcast {
                    self.store.advance(id, State::Included { block })?;
                }
                self.store.advance(id, State::Settled { block })?;
                self.standings.settled();
                count("settled");
                self.health.readiness.clear("weights");
                tracing::info!(block, "the chain holds the weights");
            }
            Verdict::Lose(why) => {
                tracing::error!(%why, "the weights were lost");
                self.health.readiness.object("weights", why.to_string());
                self.store.advance(id, State::Lost { why })?;
                count("lost");
            }
        }
        Ok(())
    }

    /// Sees to the commits that wait for their reveal: the chain's are watched, ours are shown.
    pub(super) async fn follow_commits(&mut self, view: &View) -> Result<(), Error> {
        let period = view.hyperparameters.reveal_period_epochs;
        for fate in self.watch.at_head(&view.head, &view.clock, period).await? {
            self.revealed(&fate)?;
        }
        for (id, row) in self.store.committed()? {
            if let (Some(Hidden::Hash { salt, version_key }), true) =
                (row.hidden.clone(), self.deliveries.is_empty())
            {
                self.open(view, id, row, &salt, version_key).await?;
            }
        }
        Ok(())
    }

    /// What the chain made of a timelocked commit, ours or another program's with our key.
    fn revealed(&mut self, fate: &Fate) -> Result<(), Error> {
        let end = fate.lost.as_ref().map_or("applied", |cause| cause.name());
        self.health.metrics.count(REVEALS, &[("end", end)], 1);
        self.standings.revealed(end);
        if let Some(cause) = &fate.lost {
            tracing::error!(
                commit = fate.commit.block, block = fate.block, %cause, advice = cause.advice(),
                "a commit came to nothing"
            );
        }
        let hotkey = self.keypair.hotkey();
        let rows = self.store.committed()?;
        let ours = rows
            .into_iter()
            .find(|(_, row)| timelocked(row, &hotkey).is_some_and(|commit| commit == fate.commit));
        let Some((id, _)) = ours else {
            tracing::warn!(commit = fate.commit.block, "another program commits with this hotkey");
            return Ok(());
        };
        let verdict = fate.lost.map_or(Verdict::Settle { block: fate.block }, |why| {
            Verdict::Lose(Loss::Unrevealed { why })
        });
        self.conclude(id, verdict)
    }

    /// Shows the weights behind a hash in the one epoch that takes them.
    async fn open(
        &mut self,
        view: &View,
        id: SubmissionId,
        row: Submission,
        salt: &[u16],
        version_key: u64,
    ) -> Result<(), Error> {
        let now = view.head.number;
        let (block, epoch) = match row.state {
            State::Committed { block, epoch } => (block, epoch),
            State::Revealing { ref reveal, .. } => {
                let sent = row.as_reveal(reveal.clone());
                match self.courier().look(&sent, now).await? {
                    Verdict::Resend => self.deliver(id, sent, false),
                    verdict => self.conclude(id, verdict)?,
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        let due = epoch + view.hyperparameters.reveal_period_epochs;
        // The pool judges by the best block, the call by the next one: both must be in the epoch.
        if view.clock.epoch_of_commit(now) > due {
            return self.conclude(id, Verdict::Lose(Loss::NotShown { epoch: due }));
        }
        if view.clock.epoch_of_commit(now) < due || view.clock.epoch_of_commit(now + 1) > due {
            return Ok(());
        }
        let (netuid, mechid) = self.place();
        let Ok(weights) = Weights::try_from(row.row()) else { return Ok(()) };
        let call = Call::reveal_weights(netuid, mechid, &weights, salt, version_key);
        let reveal = self.chain.prepare(&call, &self.keypair).await.map_err(Error::Prepare)?;
        self.store.advance(id, State::Revealing { block, epoch, reveal: reveal.clone() })?;
        tracing::info!(epoch, "showing the weights behind a commit");
        self.deliver(id, row.as_reveal(reveal), true);
        Ok(())
    }
}
