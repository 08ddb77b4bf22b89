//! Weights on their way: hidden if the subnet wants it, written down, sent, and followed until
//! the chain has applied them.

use std::sync::Arc;

use chain::timelock::{Beacon, Payload, encrypt};
use chain::{Call, TimelockedCommit, commit_hash, new_salt, obstacles};
use chain_metadata::{Hotkey, MechId, NetUid, Obstacle, Route, TIMELOCK_VERSION, Weights};
use codec::Encode as _;
use tokio::sync::OwnedMutexGuard;

use super::Validator;
use super::standing;
use super::view::View;
use crate::Error;
use crate::courier::Delivery;
use crate::journal::{Hidden, Loss, Paid, State, Submission, SubmissionId, Verdict};
use crate::record::{self, Scribe};
use crate::schedule::{Decision, Holding, Ledger, decide, overdue};
use crate::store::{Store, StoreError};
use crate::stranger::{Author, author, twin};
use crate::watch::{Fate, Watch};

/// Blocks between the publication of a commit's round and the block that needs it: the chain must
/// have stored the pulse by then, and weights should stay hidden for as long as they can. As many as
/// the Python SDK takes.
const REVEAL_LEAD_BLOCKS: u64 = 3;

/// Blocks after which a submission that no finalized block holds is worth a word: finality takes a
/// few, and the bytes are sent again meanwhile.
const STUCK_BLOCKS: u64 = 8;

/// Blocks between two sendings of the same bytes: one to be in, and one to see it.
const RESEND_BLOCKS: u64 = 2;

const SUBMISSIONS: &str = "ganglion_validator_weight_submissions_total";
/// The same under the name that people's alerts know.
const USUAL_SUBMISSIONS: &str = "validator_weight_submissions_total";
const LOSSES: &str = "ganglion_validator_weights_lost_total";
const STRANGERS: &str = "ganglion_validator_foreign_updates_total";
const DECISION: &str = "ganglion_validator_decision";
const SINCE_WEIGHTS: &str = "ganglion_validator_epochs_since_settled_weights";
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

    /// All about weights at one head: what became of the last, whether to send, what stands in the
    /// way. What is decided is shown whether or not it can be done.
    pub(super) async fn see_to_weights(&mut self, view: &View) -> Result<(), Error> {
        let reconciled = self.reconcile(view).await;
        let elsewhere = self.meet_strangers(view)?;
        let weights = standing::weights(view, &*self.session);
        let ledger = Ledger { elsewhere, ..self.store.ledger(view.epoch())? };
        let decision = decide(&view.moment(&self.config, weights.is_some(), ledger));
        let decision = match self.preflight(view, weights.as_ref(), decision).await {
            Ok(decision) => decision,
            Err(error) => {
                self.tell(view, decision)?;
                return Err(error);
            }
        };
        self.tell(view, decision)?;
        self.show(view, weights.as_ref(), decision);
        reconciled?;
        match (decision, weights) {
            (Decision::Submit, Some(weights)) => self.submit(view, &weights).await,
            _ => Ok(()),
        }
    }

    /// Copies the journal once an epoch.
    pub(super) fn keep_journal(&mut self, view: &View) -> Result<(), Error> {
        if self.backed_up != Some(view.epoch()) {
            self.store.back_up()?;
            self.backed_up = Some(view.epoch());
        }
        Ok(())
    }

    /// Looks for acts of our hotkey that are not ours; whether this epoch has weights from elsewhere.
    ///
    /// # Errors
    /// [`Error::Twin`] when somebody else acts for our hotkey time and again.
    fn meet_strangers(&mut self, view: &View) -> Result<bool, Error> {
        let (origin, _) = self.store.origin(view.head.number, view.epoch())?;
        let Some((last_update, registered)) = view.updates() else { return Ok(false) };
        // One that only watches leaves the weights to another program, and knows it.
        if !self.config.weights.enabled {
            return Ok(false);
        }
        let rows = self.store.submissions()?;
        if rows.iter().any(|(_, row)| row.state.is_open()) {
            return Ok(false);
        }
        let ours = rows.iter().filter_map(|(_, row)| row.included);
        let by = author(last_update, registered, origin, ours);
        let in_this_epoch = last_update > view.clock.last_epoch_block;
        if by == Author::Stranger && self.store.meet_stranger(last_update)? {
            tracing::error!(
                block = last_update,
                "weights of this hotkey were set by another program, and not by this one"
            );
            self.health.metrics.count(STRANGERS, &[], 1);
        }
        let acts = self.store.strangers()?;
        let tempo = u64::from(view.clock.tempo);
        if let Some((first, next)) = twin(&acts, tempo) {
            let (hotkey, netuid) = (self.keypair.hotkey(), self.config.chain.netuid());
            return Err(Error::Twin { hotkey, netuid, first, next });
        }
        let recent = acts.last().filter(|act| *act + 2 * tempo > view.head.number);
        match recent {
            Some(act) => self.health.readiness.object(
                "twin",
                format!(
                    "another program set weights with this hotkey in block {act}; a second time \
                     within ten epochs ends this one"
                ),
            ),
            None => self.health.readiness.clear("twin"),
        }
        Ok(in_this_epoch && matches!(by, Author::Stranger | Author::Earlier))
    }

    /// Holds back weights that the chain would refuse, with the reason, as soon as it is known.
    async fn preflight(
        &mut self,
        view: &View,
        weights: Option<&Weights>,
        decision: Decision,
    ) -> Result<Decision, Error> {
        let (true, Some(weights)) = (decision.is_ahead(), weights) else { return Ok(decision) };
        let (hotkey, (_, mechid)) = (self.keypair.hotkey(), self.place());
        let rules = &view.hyperparameters;
        let standing =
            self.chain.standing(&view.metagraph, mechid, &hotkey, rules, &view.clock).await?;
        let found = obstacles(rules, &standing, weights, self.config.weights.version_key);
        let now = decision == Decision::Submit;
        // What passes by itself is no obstacle before the window.
        let lasts = |found: &Obstacle| match found {
            Obstacle::RateLimit { .. } => false,
            Obstacle::CommitsFull { .. } => now,
            _ => true,
        };
        let first = found.into_iter().find(lasts);
        Ok(first.map_or(decision, |obstacle| Decision::Hold(Holding::Obstacle(obstacle))))
    }

    /// Says what is decided: a line when it changes, an objection where no weights will be sent,
    /// gauges always.
    fn tell(&mut self, view: &View, decision: Decision) -> Result<(), Error> {
        let epochs = self.epochs_since_weights(view)?;
        let (metrics, readiness) = (&self.health.metrics, &self.health.readiness);
        for name in Decision::NAMES {
            let value = f64::from(u8::from(name == decision.name()));
            metrics.set(DECISION, &[("decision", name)], value);
        }
        #[expect(clippy::cast_precision_loss, reason = "epochs stay far below 2^53")]
        metrics.set(SINCE_WEIGHTS, &[], epochs as f64);
        view.gauge(metrics);
        if self.decided != Some(decision.name()) {
            self.decided = Some(decision.name());
            if let Some(why) = decision.objection() {
                tracing::warn!(block = view.head.number, "{why}");
            } else {
                tracing::info!(block = view.head.number, "weights: {decision}");
            }
        }
        let tempo = u64::from(view.clock.tempo);
        let late = overdue(epochs, tempo, view.hyperparameters.weights_rate_limit);
        let late = late.filter(|_| self.config.weights.enabled);
        match decision.objection() {
            Some(why) => readiness.object("weights", why),
            None => readiness.clear("weights"),
        }
        match late {
            Some(why) => readiness.object("settled", why),
            None => readiness.clear("settled"),
        }
        Ok(())
    }

    /// Epochs since the one whose weights the chain last took, or since the journal began.
    fn epochs_since_weights(&mut self, view: &View) -> Result<u64, Error> {
        let (_, origin) = self.store.origin(view.head.number, view.epoch())?;
        let taken = self.store.submissions()?.into_iter().rev().find(|(_, row)| {
            matches!(row.state, State::Settled { .. }) || row.state.is_committed()
        });
        Ok(view.epoch().saturating_sub(taken.map_or(origin, |(_, row)| row.epoch)))
    }

    /// Signs the weights, writes them down, and only then sends them.
    pub(super) async fn submit(&mut self, view: &View, weights: &Weights) -> Result<(), Error> {
        // Another mechanism's submission takes the account's next nonce: ours goes at the next head.
        let Ok(turn) = Arc::clone(&self.common.nonces).try_lock_owned() else { return Ok(()) };
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
            included: None,
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
        self.send(id, submission, Some(turn))
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
        let time = self.chain.time_of(view.head.hash).await?.ok_or(Error::NoClock)?;
        let then = time + ahead.saturating_mul(block_ms);
        let stored = self.chain.last_stored_round(Some(view.head.hash)).await?;
        Ok(beacon.newest_round(then).max(stored + 1))
    }

    /// Hands the bytes to the chain; that they may be out is on disk before.
    fn send(
        &mut self,
        id: SubmissionId,
        submission: Submission,
        turn: Option<OwnedMutexGuard<()>>,
    ) -> Result<(), Error> {
        let first = submission.state == State::Intended;
        self.store.follow(id, &Verdict::Resend)?;
        self.deliver(id, submission, first, turn);
        Ok(())
    }

    fn deliver(
        &mut self,
        id: SubmissionId,
        submission: Submission,
        first: bool,
        turn: Option<OwnedMutexGuard<()>>,
    ) {
        let courier = self.courier();
        self.deliveries.spawn(async move {
            let _turn = turn;
            courier.deliver(id, submission, first).await
        });
    }

    /// Finds out what became of the open submission, and sends it again while it can take effect.
    async fn reconcile(&mut self, view: &View) -> Result<(), Error> {
        let Some((id, submission)) = self.store.unresolved()? else {
            self.health.readiness.clear("delivery");
            return Ok(());
        };
        let age = view.head.number.saturating_sub(submission.decided_at);
        if age > STUCK_BLOCKS {
            let why = format!("weights sent {age} blocks ago are in no finalized block yet");
            self.health.readiness.object("delivery", why);
        }
        let courier = self.courier();
        match courier.look(&submission, &view.head, &mut self.search).await? {
            Verdict::Resend if !self.deliveries.is_empty() || age < RESEND_BLOCKS => Ok(()),
            Verdict::Resend => self.send(id, submission, None),
            verdict => self.conclude(id, &verdict),
        }
    }

    pub(super) fn delivered(&mut self, delivery: Delivery) -> Result<(), Error> {
        match delivery.verdict? {
            // Handed over: finalized blocks tell the rest.
            Verdict::Resend => Ok(()),
            verdict => self.conclude(delivery.id, &verdict),
        }
    }

    /// Writes down what became of a submission.
    fn conclude(&mut self, id: SubmissionId, verdict: &Verdict) -> Result<(), Error> {
        let state = self.store.follow(id, verdict)?;
        let count = |end| self.health.metrics.count(SUBMISSIONS, &[("end", end)], 1);
        let mirror = |ok, code| {
            self.health.metrics.count(USUAL_SUBMISSIONS, &[("ok", ok), ("code", code)], 1);
        };
        match state {
            State::Committed { block, epoch } => {
                count("committed");
                mirror("true", "committed");
                recall(&self.store, &self.keypair.hotkey(), &mut self.watch)?;
                tracing::info!(block, epoch, "the chain holds the commit; its reveal is to come");
            }
            State::Settled { block } => {
                self.standings.settled();
                count("settled");
                mirror("true", "settled");
                self.health.readiness.clear("lost");
                tracing::info!(block, "the chain holds the weights");
            }
            State::Lost { why } => {
                tracing::error!(%why, "the weights were lost");
                self.health.readiness.object("lost", format!("the last weights were lost: {why}"));
                count("lost");
                mirror("false", why.name());
                self.health.metrics.count(LOSSES, &[("why", why.name())], 1);
            }
            _ => {}
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
        self.conclude(id, &verdict)
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
        let epoch = match row.state {
            State::Committed { epoch, .. } => epoch,
            State::Revealing { epoch, ref reveal, .. } => {
                let sent = row.as_reveal(reveal.clone());
                let courier = self.courier();
                match courier.look(&sent, &view.head, &mut self.reveal_search).await? {
                    Verdict::Resend if !self.deliveries.is_empty() => return Ok(()),
                    Verdict::Resend => {
                        self.deliver(id, sent, false, None);
                        return Ok(());
                    }
                    // The bytes are lost and the weights are not: signed anew below.
                    Verdict::Lose(why) if why.is_of_the_bytes() => {
                        tracing::warn!(%why, "the weights behind a commit are to be shown again");
                        epoch
                    }
                    verdict => return self.conclude(id, &verdict),
                }
            }
            _ => return Ok(()),
        };
        let due = epoch + view.hyperparameters.reveal_period_epochs;
        // The pool judges by the best block, the call by the next one: both must be in the epoch.
        if view.clock.epoch_of_commit(now) > due {
            return self.conclude(id, &Verdict::Lose(Loss::NotShown { epoch: due }));
        }
        if view.clock.epoch_of_commit(now) < due || view.clock.epoch_of_commit(now + 1) > due {
            return Ok(());
        }
        let (netuid, mechid) = self.place();
        let Ok(weights) = Weights::try_from(row.row()) else { return Ok(()) };
        let call = Call::reveal_weights(netuid, mechid, &weights, salt, version_key);
        let reveal = self.chain.prepare(&call, &self.keypair).await.map_err(Error::Prepare)?;
        self.store.follow(id, &Verdict::Show { reveal: reveal.clone() })?;
        tracing::info!(epoch, "showing the weights behind a commit");
        self.deliver(id, row.as_reveal(reveal), true, None);
        Ok(())
    }
}
