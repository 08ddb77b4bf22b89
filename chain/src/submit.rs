//! Sending a call, and knowing what became of it.
//!
//! ```text
//! prepare ──► SignedExtrinsic (fixed bytes: write them down) ──► send ──► a pool
//!                └── find_extrinsic: finalized blocks between birth and end ──► Inclusion
//! ```
//!
//! The bytes never change, so sending them twice takes effect once: a nonce is good for one
//! extrinsic. What a pool says of them later is not listened to: a node may drop them, replace
//! them, or fall silent, and only finalized blocks tell what became of them.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use scale_value::{At as _, Composite, ValueDef};
use serde::{Deserialize, Serialize};
use sp_crypto_hashing::{blake2_256, twox_128};
use subxt::{
    Metadata,
    config::{DefaultExtrinsicParamsBuilder, SubstrateConfig},
    dynamic::Value,
    events::{Event as RawEvent, Events, Phase},
    rpcs::{Error as RpcError, UserError},
    tx::{TransactionInvalid, ValidationResult},
    utils::H256,
};

use crate::{
    Call, Chain, Head, Invalid, PoolRefusal, ReadError, Refusal, SubmitError, at::At,
    wallet::Keypair,
};

/// Blocks for which an extrinsic is valid, a power of two: long enough for a busy hour, short
/// enough to know within 13 minutes (at 12 s) that one is lost.
pub const ERA_BLOCKS: u64 = 64;

/// Blocks of which finality may be behind before eras begin elsewhere: a quarter of an era.
const MAX_FINALITY_LAG: u64 = ERA_BLOCKS / 4;

/// Blocks from the newest one back to where an era begins when finality is further behind: as deep
/// as forks of a chain whose finality stands still are expected to be.
const FORK_DEPTH: u64 = 8;

/// Blocks between two sendings of the same bytes: one to be in, and one to see it.
const RESEND_BLOCKS: u64 = 2;

/// Longest wait for an endpoint that is handed bytes again.
const SEND_DEADLINE: Duration = Duration::from_secs(6);

/// JSON-RPC code of an extrinsic that the pool's rules refuse.
const CODE_INVALID: i32 = 1010;

/// JSON-RPC code of an extrinsic whose validity the runtime could not tell.
const CODE_UNKNOWN_VALIDITY: i32 = 1011;

/// JSON-RPC code of an extrinsic that is in the pool.
const CODE_ALREADY_IMPORTED: i32 = 1013;

/// JSON-RPC code of an extrinsic whose nonce another one in the pool has.
const CODE_TOO_LOW_PRIORITY: i32 = 1014;

/// An extrinsic ready to send: fixed bytes, for a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedExtrinsic {
    /// The bytes to send.
    #[serde(with = "hex::serde")]
    pub bytes: Vec<u8>,
    /// Their blake2-256 hash, by which blocks are searched.
    #[serde(with = "hex::serde")]
    pub hash: [u8; 32],
    /// Public key of the signer.
    #[serde(with = "hex::serde")]
    pub signer: [u8; 32],
    /// The signer's nonce.
    pub nonce: u32,
    /// Block from which it is valid: it can be in later blocks only.
    pub era_birth: u64,
    /// First block in which it is no longer valid.
    pub era_end: u64,
}

/// An extrinsic in a finalized block.
#[derive(Clone, Debug, PartialEq)]
pub struct Inclusion {
    /// The block.
    pub block: Head,
    /// Its place in the block.
    pub index: u32,
    /// What it caused, in order.
    pub events: Vec<Event>,
    /// The error of the call, if it failed.
    pub refusal: Option<Refusal>,
}

/// Something that happened on the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The pallet.
    pub pallet: String,
    /// The event's name.
    pub name: String,
    /// Its fields.
    pub fields: Composite<()>,
}

impl Inclusion {
    /// The first event of that name.
    pub fn event(&self, pallet: &str, name: &str) -> Option<&Event> {
        self.events.iter().find(|event| event.pallet == pallet && event.name == name)
    }
}

impl Chain {
    /// Signs a call with the signer's next nonce, valid for [`ERA_BLOCKS`]. Nothing is sent.
    pub async fn prepare(
        &self,
        call: &Call,
        signer: &Keypair,
    ) -> Result<SignedExtrinsic, SubmitError> {
        let account = *signer.hotkey().as_bytes();
        let birth = anchor(self.finalized_number().await?, self.best_number().await?);
        let birth_hash = self.hash_of(birth).await?;
        let nonce = self.nonce(&account).await?;
        let at = self.at_best().await?;
        let params = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
            .nonce(nonce.into())
            .mortal_from_unchecked(ERA_BLOCKS, birth, birth_hash)
            .build();
        let misfit = |source| SubmitError::Call {
            call: format!("{}.{}", call.pallet(), call.name()),
            source: Box::new(source),
        };
        let payload = call.payload();
        let mut signable = at.api.tx().create_signable_offline(&payload, params).map_err(misfit)?;
        let signed = signable.sign(signer).map_err(misfit)?;
        Ok(SignedExtrinsic {
            hash: signed.hash().0,
            bytes: signed.into_encoded(),
            signer: account,
            nonce,
            era_birth: birth,
            era_end: birth + ERA_BLOCKS,
        })
    }

    /// Hands the bytes to a node; `Ok` says that its pool has them. What becomes of them, finalized
    /// blocks tell: [`find_extrinsic`](Self::find_extrinsic).
    ///
    /// An error of the connection leaves it open whether they were taken. A refusal by the pool is
    /// about bytes that no node has taken before, unless the caller sent them before.
    pub async fn send(&self, extrinsic: &SignedExtrinsic) -> Result<(), SubmitError> {
        match self.rpc().author_submit_extrinsic(&extrinsic.bytes).await {
            Ok(_) => Ok(()),
            Err(RpcError::User(error)) => self.refused(extrinsic, error).await,
            Err(error) => Err(ReadError::from(error).into()),
        }
    }

    /// Hands bytes that were sent before to every endpoint, in case that one forgot them; whether
    /// one of them has taken them now, or has them.
    pub async fn send_everywhere(&self, extrinsic: &SignedExtrinsic) -> bool {
        let link = self.link();
        let bytes = format!("[\"0x{}\"]", hex::encode(&extrinsic.bytes));
        let all = (0..link.endpoints()).map(|place| {
            let (link, bytes) = (Arc::clone(link), bytes.clone());
            async move {
                let method = "author_submitExtrinsic";
                match link.ask::<String>(place, method, &bytes, SEND_DEADLINE).await {
                    Ok(_) => true,
                    Err(RpcError::User(error)) if error.code == CODE_ALREADY_IMPORTED => true,
                    Err(error) => {
                        tracing::debug!(endpoint = %link.name(place), %error, "not taken again");
                        false
                    }
                }
            }
        });
        join_all(all).await.contains(&true)
    }

    /// Sends an extrinsic and waits until a finalized block holds it. It may have been sent
    /// before.
    ///
    /// Whatever a pool does with it, finalized blocks are searched up to the end of its era, and
    /// the bytes are sent again meanwhile.
    pub async fn broadcast(&self, extrinsic: &SignedExtrinsic) -> Result<Inclusion, SubmitError> {
        match self.send(extrinsic).await {
            Ok(()) => {}
            Err(SubmitError::Read(error)) if error.is_connection() => {
                tracing::warn!(%error, "whether the call was taken, finalized blocks will tell");
            }
            // It may have been sent before: then it is in a block already.
            Err(refused) => {
                let (from, to) = (extrinsic.era_birth + 1, extrinsic.era_end);
                let found = self.find_extrinsic(extrinsic.hash, from, to).await?;
                return found.map_or(Err(refused), done);
            }
        }
        let mut heads = self.heads_from(extrinsic.era_birth + 1);
        let mut sent_at = None;
        loop {
            let head = match heads.next().await {
                Ok(head) => head,
                Err(error) if error.is_connection() => {
                    tracing::warn!(%error, "waiting for the chain to learn what became of a call");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(index) = self.index_in(head, extrinsic.hash).await? {
                return done(self.inclusion(head, index).await?);
            }
            if head.number + 1 >= extrinsic.era_end {
                let (hash, era_end) = (extrinsic.hash, extrinsic.era_end);
                return Err(SubmitError::NotIncluded { hash, era_end });
            }
            if head.number >= *sent_at.get_or_insert(head.number) + RESEND_BLOCKS {
                sent_at = Some(head.number);
                if self.nonce_at(&extrinsic.signer, head.hash).await? > extrinsic.nonce {
                    return Err(SubmitError::NonceTaken { nonce: extrinsic.nonce });
                }
                self.send_everywhere(extrinsic).await;
            }
        }
    }

    /// [`prepare`](Self::prepare) and [`broadcast`](Self::broadcast). Where the runtime was
    /// upgraded in between, or another program took the nonce, it is signed once more.
    pub async fn submit(&self, call: &Call, signer: &Keypair) -> Result<Inclusion, SubmitError> {
        let first = self.broadcast(&self.prepare(call, signer).await?).await;
        let again = match &first {
            Err(SubmitError::Pool { reason }) => {
                *reason == PoolRefusal::Invalid(Invalid::BadProof)
                    || *reason == PoolRefusal::TooLowPriority
            }
            Err(SubmitError::NonceTaken { .. }) => true,
            _ => false,
        };
        if again { self.broadcast(&self.prepare(call, signer).await?).await } else { first }
    }

    /// Searches finalized blocks for an extrinsic, both ends included. Blocks not yet finalized
    /// are left out.
    pub async fn find_extrinsic(
        &self,
        hash: [u8; 32],
        from_block: u64,
        to_block: u64,
    ) -> Result<Option<Inclusion>, ReadError> {
        let last = to_block.min(self.finalized_number().await?);
        match self.find_in_blocks(hash, from_block, last).await? {
            Some((block, index)) => self.inclusion(block, index).await.map(Some),
            None => Ok(None),
        }
    }

    /// The block that holds an extrinsic and its place there, both ends included. Needs no state;
    /// that the blocks are final is the caller's to know.
    pub async fn find_in_blocks(
        &self,
        hash: [u8; 32],
        from_block: u64,
        to_block: u64,
    ) -> Result<Option<(Head, u32)>, ReadError> {
        for number in from_block..=to_block {
            let head = self.block(number).await?;
            if let Some(index) = self.index_in(head, hash).await? {
                return Ok(Some((head, index)));
            }
        }
        Ok(None)
    }

    /// What an extrinsic of a block caused.
    pub async fn inclusion(&self, block: Head, index: u32) -> Result<Inclusion, ReadError> {
        let (events, at) = self.events_at(H256(block.hash)).await?;
        let mut inclusion = Inclusion { block, index, events: Vec::new(), refusal: None };
        for event in events.iter() {
            let event = event.map_err(unreadable)?;
            if event.phase() == Phase::ApplyExtrinsic(index) {
                let event = named(&event)?;
                let refusal = refusal_in(&event, at.api.metadata_ref());
                inclusion.refusal = inclusion.refusal.or(refusal);
                inclusion.events.push(event);
            }
        }
        Ok(inclusion)
    }

    /// The events of a block's initialisation (epochs, reveals, emission) and extrinsics, in
    /// order.
    pub async fn events(&self, block: [u8; 32]) -> Result<Vec<Event>, ReadError> {
        let (events, _) = self.events_at(H256(block)).await?;
        events.iter().map(|event| named(&event.map_err(unreadable)?)).collect()
    }

    /// Tells what the pool's refusal means.
    async fn refused(
        &self,
        extrinsic: &SignedExtrinsic,
        error: UserError,
    ) -> Result<(), SubmitError> {
        let reason = match error.code {
            CODE_ALREADY_IMPORTED => return Ok(()),
            CODE_TOO_LOW_PRIORITY => PoolRefusal::TooLowPriority,
            CODE_INVALID | CODE_UNKNOWN_VALIDITY => self.why_invalid(extrinsic, error).await?,
            code => PoolRefusal::Node { code, message: error.message },
        };
        Err(SubmitError::Pool { reason })
    }

    /// Asks the runtime itself, whose answer is typed, where the node's is prose.
    async fn why_invalid(
        &self,
        extrinsic: &SignedExtrinsic,
        error: UserError,
    ) -> Result<PoolRefusal, ReadError> {
        let at = self.at_best().await?;
        let verdict = at.api.tx().from_bytes(extrinsic.bytes.clone()).validate().await;
        Ok(match verdict {
            Ok(ValidationResult::Invalid(invalid)) => invalid.into(),
            // It has become valid since, or the runtime does not say.
            _ => PoolRefusal::Node { code: error.code, message: error.message },
        })
    }

    /// The place of an extrinsic in a block.
    async fn index_in(&self, head: Head, hash: [u8; 32]) -> Result<Option<u32>, ReadError> {
        let details = self.rpc().chain_get_block(Some(H256(head.hash))).await?;
        let details =
            details.ok_or_else(|| ReadError::NoBlock { block: head.number.to_string() })?;
        let mut bodies = details.block.extrinsics.iter();
        let index = bodies.position(|body| blake2_256(&body.0) == hash);
        let index = index.map(u32::try_from).transpose();
        index.map_err(|error| ReadError::shape("a block's body", error))
    }

    /// A block's events, with the runtime that wrote them: its parent's, as an upgrade takes
    /// effect at the end of a block.
    async fn events_at(&self, block: H256) -> Result<(Events<SubstrateConfig>, At), ReadError> {
        let header = self.rpc().chain_get_header(Some(block)).await?;
        let header = header.ok_or_else(|| ReadError::NoBlock { block: format!("{block:?}") })?;
        let at = self.at(Some(header.parent_hash.0)).await?;
        let key = [twox_128(b"System"), twox_128(b"Events")].concat();
        let bytes = self.rpc().state_get_storage(&key, Some(block)).await?.unwrap_or_default();
        Ok((at.api.events().from_bytes(bytes), at))
    }
}

/// Where an era begins: at the newest finalized block, as that one is on every fork; where finality
/// is far behind, an era that began there would be over before the first block, so near the newest.
const fn anchor(finalized: u64, best: u64) -> u64 {
    if best.saturating_sub(finalized) <= MAX_FINALITY_LAG { finalized } else { best - FORK_DEPTH }
}

fn done(inclusion: Inclusion) -> Result<Inclusion, SubmitError> {
    match inclusion.refusal {
        Some(refusal) => Err(SubmitError::Refused { refusal, block: inclusion.block }),
        None => Ok(inclusion),
    }
}

fn unreadable(source: subxt::error::EventsError) -> ReadError {
    ReadError::shape("System.Events", source)
}

fn named(event: &RawEvent<'_, SubstrateConfig>) -> Result<Event, ReadError> {
    let fields: Composite<()> = event.decode_fields_unchecked_as().map_err(unreadable)?;
    Ok(Event { pallet: event.pallet_name().into(), name: event.event_name().into(), fields })
}

/// Events that carry the failure of a call, or of a call within it, and the field that holds it:
/// what wraps a call returns success whatever became of the call.
const FAILURES: [(&str, &str, &str); 6] = [
    ("System", "ExtrinsicFailed", "dispatch_error"),
    ("Sudo", "Sudid", "sudo_result"),
    ("Sudo", "SudoAsDone", "sudo_result"),
    ("Utility", "BatchInterrupted", "error"),
    ("Utility", "ItemFailed", "error"),
    ("Proxy", "ProxyExecuted", "result"),
];

/// The failure that an event tells of, if it does.
fn refusal_in(event: &Event, metadata: &Metadata) -> Option<Refusal> {
    let field = FAILURES
        .iter()
        .find(|&&(pallet, name, _)| event.pallet == pallet && event.name == name)
        .map(|&(.., field)| field)?;
    let error = event.fields.at(field)?;
    match variant(error)? {
        ("Ok", _) => None,
        ("Err", inner) => refusal_of(inner.at(0)?, metadata),
        _ => refusal_of(error, metadata),
    }
}

/// The name of a dispatch error.
fn refusal_of(error: &Value, metadata: &Metadata) -> Option<Refusal> {
    let (kind, inner) = variant(error)?;
    if kind != "Module" {
        let detail = inner.at(0).and_then(variant);
        return Some(match detail {
            Some((name, _)) => Refusal::new(kind, name),
            None => Refusal::new("Dispatch", kind),
        });
    }
    let module = inner.at(0)?;
    let byte = |value: &Value| value.as_u128().and_then(|n| u8::try_from(n).ok());
    let pallet_index = byte(module.at("index")?)?;
    let error_index = byte(module.at("error")?.at(0)?)?;
    let pallet = metadata.pallet_by_error_index(pallet_index)?;
    let variant = pallet.error_variant_by_index(error_index)?;
    Some(Refusal::new(pallet.name(), &variant.name))
}

fn variant(value: &Value) -> Option<(&str, &Composite<()>)> {
    match &value.value {
        ValueDef::Variant(variant) => Some((&variant.name, &variant.values)),
        _ => None,
    }
}

impl From<TransactionInvalid> for PoolRefusal {
    fn from(invalid: TransactionInvalid) -> Self {
        use TransactionInvalid as T;
        Self::Invalid(match invalid {
            T::Custom(code) => return Self::Custom(chain_metadata::pool_code(code)),
            T::Payment => Invalid::Payment,
            T::Future => Invalid::Future,
            T::Stale | T::AncientBirthBlock => Invalid::Stale,
            T::BadProof => Invalid::BadProof,
            _ => Invalid::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_begins_where_its_extrinsic_can_still_land() {
        for (finalized, best, birth) in [(97, 100, 97), (84, 100, 84), (83, 100, 92), (0, 70, 62)] {
            assert_eq!(anchor(finalized, best), birth);
            assert!(birth + ERA_BLOCKS > best + MAX_FINALITY_LAG);
        }
    }
}
