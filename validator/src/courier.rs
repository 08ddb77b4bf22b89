//! Carries one submission to the chain and says what became of it.
//!
//! Everything here is thin: [`reconcile`](crate::journal::reconcile) decides from what finalized
//! blocks show, and the loop writes the journal.

use chain::{Chain, Inclusion, PoolRefusal, ReadError, SignedExtrinsic, SubmitError};
use chain_metadata::{Hotkey, MechId, NetUid};

use crate::journal::{Loss, Sight, Submission, SubmissionId, Verdict, reconcile};

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

impl Courier {
    /// Sends the bytes and waits for a finalized block to hold them, or for the end of their era.
    ///
    /// `first` says that no one has seen these bytes before: then a refusal by the pool is final.
    /// Later it is not, as the pool also refuses what a block not yet final holds.
    pub(crate) async fn deliver(
        self,
        id: SubmissionId,
        submission: Submission,
        first: bool,
    ) -> Delivery {
        let sent = self.chain.broadcast(&submission.extrinsic).await;
        let verdict = match sent {
            Ok(inclusion) => self.judge(&submission, inclusion).await,
            Err(SubmitError::Refused { refusal, .. }) => {
                let (pallet, name) = (refusal.pallet, refusal.name);
                Ok(Verdict::Lose(Loss::Refused { pallet, name }))
            }
            Err(SubmitError::Pool { reason }) if first && is_final(&reason) => {
                Ok(Verdict::Lose(Loss::Pool { why: reason.to_string() }))
            }
            Err(SubmitError::NotIncluded { era_end, .. }) => {
                Ok(Verdict::Lose(Loss::Expired { era_end }))
            }
            Err(SubmitError::Read(error)) => Err(error),
            // Unclear: finalized blocks will tell.
            Err(error) => {
                tracing::info!(%error, "finalized blocks will tell what became of the weights");
                Ok(Verdict::Resend)
            }
        };
        Delivery { id, verdict }
    }

    /// What finalized blocks up to `finalized` show of a submission, and what follows.
    pub(crate) async fn look(
        &self,
        submission: &Submission,
        finalized: u64,
    ) -> Result<Verdict, ReadError> {
        let SignedExtrinsic { hash, era_birth, era_end, .. } = submission.extrinsic;
        let to = finalized.min(era_end);
        match self.chain.find_extrinsic(hash, era_birth + 1, to).await? {
            Some(inclusion) => self.judge(submission, inclusion).await,
            None => Ok(reconcile(&submission.extrinsic, &Sight::Nowhere { finalized })),
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
}

/// Whether the pool's refusal of bytes that it has never seen says that they will never take
/// effect. What it merely finds occupied may clear.
const fn is_final(reason: &PoolRefusal) -> bool {
    !matches!(
        reason,
        PoolRefusal::AlreadyImported | PoolRefusal::TooLowPriority | PoolRefusal::Node { .. }
    )
}
