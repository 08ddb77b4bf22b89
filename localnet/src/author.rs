//! Builds a block: inherents, then the pool's extrinsics, then what shielded extrinsics contained.

use crate::{
    chain::{Block, STATE_VERSION},
    disk::DiskError,
    execution::{self, CallError, Overlay},
    pool::Queued,
    shield::Shield,
    state::{Backend, Delta},
};
use codec::{Decode, DecodeLimit, Encode};
use frame_support::traits::GetCallMetadata;
use node_subtensor_runtime::{self as runtime, Executive, Header, RuntimeCall, UncheckedExtrinsic};
use sp_core::H256;
use sp_inherents::InherentData;
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};
use std::sync::Arc;

/// Depth to which an extrinsic's nested calls are decoded, as a node's pool does.
const MAX_EXTRINSIC_DEPTH: u32 = 256;

/// Extrinsics that may be found too heavy for what is left of a block before the author stops trying.
const MAX_TOO_HEAVY: usize = 8;

/// What became of a queued extrinsic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is in the block (and may have failed there).
    Included,
    /// It can never be in a block.
    Invalid(TransactionValidityError),
    /// There was no room: it stays in the pool.
    Postponed,
}

/// A block that is not on the chain yet.
pub(crate) struct BuiltBlock {
    pub block: Block,
    /// Its changes to the parent's state.
    pub delta: Delta,
    /// One for each queued extrinsic, in order.
    pub outcomes: Vec<Outcome>,
}

/// Why no block could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorError {
    /// The runtime trapped outside of any one extrinsic.
    #[error("the runtime stopped while block {number} was built: {reason}")]
    Runtime {
        /// The block's number.
        number: u32,
        /// What it said.
        reason: String,
    },
    /// An inherent extrinsic was refused.
    #[error("an inherent extrinsic of block {number} was refused: {reason}")]
    Inherent {
        /// The block's number.
        number: u32,
        /// What the runtime said.
        reason: String,
    },
    /// The block could not be written down.
    #[error("block {number} could not be written to disk")]
    Disk {
        /// The block's number.
        number: u32,
        /// Why.
        #[source]
        source: DiskError,
    },
    /// The trie's root differs from the one that the runtime put in the header.
    #[error("block {number}: the stored state's root is not the header's")]
    StateRoot {
        /// The block's number.
        number: u32,
    },
}

/// Builds the block after `parent` from `queue`, in its order.
pub(crate) fn build(
    parent: &Block,
    state: &Backend,
    inherents: &InherentData,
    queue: &[Arc<Queued>],
    shield: &Shield,
) -> Result<BuiltBlock, AuthorError> {
    let number = parent.header.number.saturating_add(1);
    let mut overlay = Overlay::default();
    let (header, body, outcomes) = execution::run(state, &mut overlay, || {
        let mut draft = Draft { parent, body: Vec::new(), shielded: Vec::new() };
        Executive::initialize_block(&Header {
            parent_hash: parent.hash,
            number,
            state_root: H256::zero(),
            extrinsics_root: H256::zero(),
            digest: sp_runtime::Digest::default(),
        });
        draft.put_inherents(number, inherents)?;
        let outcomes = draft.put_queue(queue, shield);
        draft.put_shielded();
        Ok((Executive::finalize_block(), draft.body, outcomes))
    })
    .map_err(|error| AuthorError::Runtime { number, reason: error.to_string() })??;

    let changes = overlay
        .drain_storage_changes(state, STATE_VERSION)
        .map_err(|reason| AuthorError::Runtime { number, reason })?;
    if changes.transaction_storage_root != header.state_root {
        return Err(AuthorError::StateRoot { number });
    }
    let block = Block { hash: header.hash(), header, body };
    Ok(BuiltBlock { block, delta: changes.transaction.into(), outcomes })
}

/// Decodes an extrinsic that must fill `bytes` exactly.
pub(crate) fn decode(bytes: &[u8]) -> Result<UncheckedExtrinsic, codec::Error> {
    /// The chain's extrinsics are a newtype around FRAME's, and its errors say so in their first line.
    const WHERE: &str = "Could not decode `UncheckedExtrinsic.0`";
    UncheckedExtrinsic::decode_all_with_depth_limit(MAX_EXTRINSIC_DEPTH, &mut &bytes[..])
        .map_err(|error| error.chain(WHERE))
}

/// A block in the making; its methods run inside the block's externalities.
struct Draft<'a> {
    parent: &'a Block,
    body: Vec<Arc<[u8]>>,
    /// Extrinsics found inside shielded ones.
    shielded: Vec<Vec<u8>>,
}

impl Draft<'_> {
    fn put_inherents(&mut self, number: u32, data: &InherentData) -> Result<(), AuthorError> {
        let refused = |reason: String| AuthorError::Inherent { number, reason };
        let method = "BlockBuilder_inherent_extrinsics";
        let answer = runtime::api::dispatch(method, &data.encode())
            .ok_or_else(|| refused(CallError::NoSuchMethod(method.to_owned()).to_string()))?;
        let inherents = Vec::<UncheckedExtrinsic>::decode(&mut &answer[..])
            .map_err(|error| refused(error.to_string()))?;
        for inherent in inherents {
            let bytes = inherent.encode();
            Executive::apply_extrinsic(inherent)
                .map_err(|error| refused(format!("{error:?}")))?
                .map_err(|error| refused(format!("{error:?}")))?;
            let bytes = self.share(bytes);
            self.body.push(bytes);
        }
        Ok(())
    }

    /// Inherents hardly change from block to block (the shield's key is 1,184 bytes): reuse the parent's.
    fn share(&self, bytes: Vec<u8>) -> Arc<[u8]> {
        match self.parent.body.get(self.body.len()) {
            Some(before) if before[..] == bytes[..] => Arc::clone(before),
            _ => bytes.into(),
        }
    }

    fn put_queue(&mut self, queue: &[Arc<Queued>], shield: &Shield) -> Vec<Outcome> {
        let mut too_heavy = 0;
        queue
            .iter()
            .map(|queued| {
                if too_heavy >= MAX_TOO_HEAVY {
                    return Outcome::Postponed;
                }
                let outcome = self.put(&queued.bytes, Some(shield));
                too_heavy += usize::from(outcome == Outcome::Postponed);
                outcome
            })
            .collect()
    }

    /// An inner extrinsic that does not apply is dropped: its sender sees that it never appears.
    fn put_shielded(&mut self) {
        for bytes in std::mem::take(&mut self.shielded) {
            if let Outcome::Invalid(reason) = self.put(&bytes.into(), None) {
                tracing::debug!(?reason, "a shielded extrinsic's content was refused");
            }
        }
    }

    fn put(&mut self, bytes: &Arc<[u8]>, shield: Option<&Shield>) -> Outcome {
        let Ok(extrinsic) = decode(bytes) else {
            return Outcome::Invalid(InvalidTransaction::Call.into());
        };
        let inner = shield.and_then(|shield| shield.open(&ciphertext_in(&extrinsic.function)?));
        sp_io::storage::start_transaction();
        match Executive::apply_extrinsic(extrinsic) {
            Ok(_) => {
                sp_io::storage::commit_transaction();
                self.body.push(Arc::clone(bytes));
                self.shielded.extend(inner);
                Outcome::Included
            }
            Err(reason) => {
                sp_io::storage::rollback_transaction();
                match reason {
                    TransactionValidityError::Invalid(InvalidTransaction::ExhaustsResources) => {
                        Outcome::Postponed
                    }
                    reason => Outcome::Invalid(reason),
                }
            }
        }
    }
}

/// The argument of `MevShield.submit_encrypted`, if `call` is that.
fn ciphertext_in(call: &RuntimeCall) -> Option<Vec<u8>> {
    /// The pallet's and the call's index.
    const INDICES: usize = 2;
    let name = call.get_call_metadata();
    if (name.pallet_name, name.function_name) != ("MevShield", "submit_encrypted") {
        return None;
    }
    Vec::<u8>::decode(&mut call.encode().get(INDICES..)?).ok()
}
