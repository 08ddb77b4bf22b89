//! Carries one submission to the chain and says what became of it.
//!
//! ```text
//! deliver: the bytes to a node; what a pool says later is not listened to
//! look:    finalized blocks ── hold it ──► its events, and what the chain holds after them
//!                     │            └── state dropped ──► what of it can still be seen today
//!                     └── do not ──► its nonce used, or its era over: lost; else send it again
//! ```
//!
//! Everything here is thin: [`reconcile`](crate::journal::reconcile) decides from what finalized
//! blocks show, and the loop writes the journal.

use chain::{Chain, Head, Inclusion, PoolRefusal, ReadError, SignedExtrinsic, SubmitError};
use chain_metadata::{Hotkey, MechId, NetUid};

use crate::journal::{Hidden, Loss, Sight, Submission, SubmissionId, Verdict, reconcile};

/// Looks at the chain for one subnet and mechanism.
#[derive(Debug, Clone)]
pub(crate) struct Courier {
    pub(crate) chain: Chain,
    pub(crate) hotkey: Hotkey,
    pub(crate) netuid: NetUid,
    pub(crate) mechid: MechId,
}

/// What became of sending a submission's bytes.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) id: SubmissionId,
    pub(crate) verdict: Result<Verdict, ReadError>,
}

/// How far the blocks have been searched for an extrinsic: finalized blocks do not change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Search {
    hash: [u8; 32],
    next: u64,
}

impl Search {
    /// The first block to look at.
    fn from(&self, extrinsic: &SignedExtrinsic) -> u64 {
        let first = extrinsic.era_birth + 1;
        if self.hash == extrinsic.hash { self.next.max(first) } else { first }
    }

    const fn done(&mut self, hash: [u8; 32], to: u64) {
        *self = Self { hash, next: to + 1 };
    }
}

impl Courier {
    /// Hands the bytes to the chain.
    ///
    /// `first` says that no one has seen these bytes before: then a refusal by the pool is final.
    /// Later it is not, as the pool also refuses what a block not yet final holds.
    pub(crate) async fn deliver(
        self,
        id: SubmissionId,
        submission: Submission,
        first: bool,
    ) -> Delivery {
        let verdict = if first {
            self.send(&submission).await
        } else {
            self.chain.send_everywhere(&submission.extrinsic).await;
            Ok(Verdict::Resend)
        };
        Delivery { id, verdict }
    }

    async fn send(&self, submission: &Submission) -> Result<Verdict, ReadError> {
        match self.chain.send(&submission.extrinsic).await {
            Err(SubmitError::Pool { reason }) if is_final(&reason) => {
                Ok(Verdict::Lose(Loss::Pool { why: reason.to_string() }))
            }
            Err(SubmitError::Read(error)) => Err(error),
            // Unclear: finalized blocks will tell.
            Err(error) => {
                tracing::info!(%error, "finalized blocks will tell what became of the weights");
                Ok(Verdict::Resend)
            }
            Ok(()) => Ok(Verdict::Resend),
        }
    }

    /// What finalized blocks up to a head show of a submission, and what follows.
    pub(crate) async fn look(
        &self,
        submission: &Submission,
        head: &Head,
        search: &mut Search,
    ) -> Result<Verdict, ReadError> {
        let extrinsic = &submission.extrinsic;
        let (from, to) = (search.from(extrinsic), head.number.min(extrinsic.era_end - 1));
        match self.chain.find_in_blocks(extrinsic.hash, from, to).await {
            Ok(Some((block, index))) => self.found(submission, block, index, head).await,
            Ok(None) => {
                search.done(extrinsic.hash, to);
                let nonce = self.chain.nonce_at(&extrinsic.signer, head.hash).await?;
                let nonce_used = nonce > extrinsic.nonce;
                Ok(reconcile(extrinsic, &Sight::Nowhere { finalized: head.number, nonce_used }))
            }
            // Blocks that could hold it are gone, and it can be in no other.
            Err(ReadError::NoBlock { .. }) if is_over(extrinsic, head) => {
                Ok(reconcile(extrinsic, &Sight::Forgotten { block: None }))
            }
            Err(error) => Err(error),
        }
    }

    async fn found(
        &self,
        submission: &Submission,
        block: Head,
        index: u32,
        head: &Head,
    ) -> Result<Verdict, ReadError> {
        let told = match self.chain.inclusion(block, index).await {
            Ok(inclusion) => self.judge(submission, inclusion).await,
            Err(error) => Err(error),
        };
        match told {
            Err(error) if !error.is_connection() => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    block = block.number,
                    "the block that holds the weights tells no more; looking at what is there now"
                );
                let traces = self.traces(submission, block.number, head).await;
                match traces {
                    Err(error)
                        if error.is_connection() || !is_over(&submission.extrinsic, head) =>
                    {
                        Err(error)
                    }
                    Err(_) => {
                        let sight = Sight::Forgotten { block: Some(block.number) };
                        Ok(reconcile(&submission.extrinsic, &sight))
                    }
                    traces => traces,
                }
            }
            told => told,
        }
    }

    async fn judge(
        &self,
        submission: &Submission,
        inclusion: Inclusion,
    ) -> Result<Verdict, ReadError> {
        let refusal = inclusion.refusal.map(|refusal| (refusal.pallet, refusal.name));
        if refusal.is_none() && submission.hidden.is_some() {
            let block = inclusion.block;
            let clock = self.chain.epoch_clock(self.netuid, Some(block.hash)).await?;
            let epoch = clock.epoch_of_commit(block.number);
            let sight = Sight::Committed { block: block.number, epoch };
            return Ok(reconcile(&submission.extrinsic, &sight));
        }
        let applied = refusal.is_none() && self.applied(submission, inclusion.block.hash).await?;
        let sight = Sight::InBlock { block: inclusion.block.number, refusal, applied };
        Ok(reconcile(&submission.extrinsic, &sight))
    }

    /// Whether the chain's row after a block is the one sent.
    async fn applied(&self, submission: &Submission, block: [u8; 32]) -> Result<bool, ReadError> {
        let Some(uid) = self.chain.uid_of(self.netuid, &self.hotkey, Some(block)).await? else {
            return Ok(false);
        };
        let row = self.chain.weights_row(self.netuid, self.mechid, uid, Some(block)).await?;
        Ok(row == submission.row())
    }

    /// What a head still shows of a submission that a block held whose state is gone: a commit that
    /// waits, or open weights that nothing has followed.
    async fn traces(
        &self,
        submission: &Submission,
        block: u64,
        head: &Head,
    ) -> Result<Verdict, ReadError> {
        let sight = match &submission.hidden {
            None => self.open_trace(block, head).await?,
            Some(Hidden::Hash { .. }) => {
                let at = Some(head.hash);
                let waiting = self.chain.hash_commits(self.netuid, self.mechid, &self.hotkey, at);
                let ours = waiting.await?.into_iter().find(|commit| commit.block == block);
                ours.map(|commit| Sight::Committed { block, epoch: commit.epoch })
            }
            Some(Hidden::Timelocked { ciphertext, .. }) => {
                self.timelocked_trace(ciphertext, block, head).await?
            }
        };
        let sight = sight.unwrap_or(Sight::Forgotten { block: Some(block) });
        Ok(reconcile(&submission.extrinsic, &sight))
    }

    async fn open_trace(&self, block: u64, head: &Head) -> Result<Option<Sight>, ReadError> {
        let at = Some(head.hash);
        let Some(uid) = self.chain.uid_of(self.netuid, &self.hotkey, at).await? else {
            return Ok(None);
        };
        let updates = self.chain.last_update(self.netuid, self.mechid, at).await?;
        let update = updates.get(uid.index()).copied().unwrap_or(0);
        let applied = update == block;
        // A later update covers what was there; an earlier one says that ours was not taken.
        Ok((update <= block).then_some(Sight::InBlock { block, refusal: None, applied }))
    }

    async fn timelocked_trace(
        &self,
        ciphertext: &[u8],
        block: u64,
        head: &Head,
    ) -> Result<Option<Sight>, ReadError> {
        let at = Some(head.hash);
        let clock = self.chain.epoch_clock(self.netuid, at).await?;
        let period = self.chain.hyperparameters(self.netuid, at).await?.reveal_period_epochs;
        let current = clock.epoch_of_commit(head.number + 1);
        for epoch in current.saturating_sub(period + 1)..=current {
            let queue = self.chain.timelocked_commits(self.netuid, self.mechid, epoch, at).await?;
            if queue.iter().any(|commit| commit.block == block && commit.ciphertext == ciphertext) {
                return Ok(Some(Sight::Committed { block, epoch }));
            }
        }
        Ok(None)
    }
}

/// Whether no block after a head can hold an extrinsic.
const fn is_over(extrinsic: &SignedExtrinsic, head: &Head) -> bool {
    head.number + 1 >= extrinsic.era_end
}

/// Whether the pool's refusal of bytes that it has never seen says that they will never take
/// effect. What it merely finds occupied may clear, and a nonce that is used is told from finalized
/// blocks.
const fn is_final(reason: &PoolRefusal) -> bool {
    use chain::Invalid;
    matches!(
        reason,
        PoolRefusal::Custom(_)
            | PoolRefusal::Invalid(Invalid::Payment | Invalid::BadProof | Invalid::Other)
    )
}
