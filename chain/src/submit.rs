//! Sending a call, and knowing what became of it.
//!
//! ```text
//! prepare ──► SignedExtrinsic (fixed bytes: write them down) ──► broadcast ──► Inclusion
//!                                    └── after a crash: find_extrinsic between birth and end
//! ```
//!
//! The bytes never change, so sending them twice takes effect once: a nonce is good for one
//! extrinsic.

use scale_value::{At as _, Composite, ValueDef};
use serde::{Deserialize, Serialize};
use sp_crypto_hashing::{blake2_256, twox_128};
use subxt::{
    Metadata,
    config::{DefaultExtrinsicParamsBuilder, SubstrateConfig},
    dynamic::Value,
    events::{Event as RawEvent, Events, Phase},
    rpcs::{Error as RpcError, UserError, methods::legacy::TransactionStatus},
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
    /// Signs a call with the signer's next nonce, valid for [`ERA_BLOCKS`] from the newest
    /// finalized block. Nothing is sent.
    pub async fn prepare(
        &self,
        call: &Call,
        signer: &Keypair,
    ) -> Result<SignedExtrinsic, SubmitError> {
        let account = *signer.hotkey().as_bytes();
        let birth = self.finalized_head().await?;
        let nonce = self.nonce(&account).await?;
        let at = self.at_best().await?;
        let params = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
            .nonce(nonce.into())
            .mortal_from_unchecked(ERA_BLOCKS, birth.number, H256(birth.hash))
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
            era_birth: birth.number,
            era_end: birth.number + ERA_BLOCKS,
        })
    }

    /// Sends an extrinsic and waits until a finalized block holds it. It may have been sent
    /// before.
    ///
    /// If the connection breaks on the way, finalized blocks are searched up to the end of its
    /// era.
    pub async fn broadcast(&self, extrinsic: &SignedExtrinsic) -> Result<Inclusion, SubmitError> {
        if let Some(inclusion) = self.watch(extrinsic).await? {
            return done(inclusion);
        }
        let mut heads = self.heads_from(extrinsic.era_birth + 1);
        loop {
            let head = match heads.next().await {
                Ok(head) => head,
                Err(error) if error.is_connection() => {
                    tracing::warn!(%error, "waiting for the chain to learn what became of a call");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if head.number >= extrinsic.era_end {
                let (hash, era_end) = (extrinsic.hash, extrinsic.era_end);
                return Err(SubmitError::NotIncluded { hash, era_end });
            }
            if let Some(inclusion) = self.find_in(head, extrinsic.hash).await? {
                return done(inclusion);
            }
        }
    }

    /// [`prepare`](Self::prepare) and [`broadcast`](Self::broadcast). Where the runtime was
    /// upgraded in between, it is signed once more.
    pub async fn submit(&self, call: &Call, signer: &Keypair) -> Result<Inclusion, SubmitError> {
        let first = self.broadcast(&self.prepare(call, signer).await?).await;
        let outdated = PoolRefusal::Invalid(Invalid::BadProof);
        match first {
            Err(SubmitError::Pool { reason }) if reason == outdated => {
                self.broadcast(&self.prepare(call, signer).await?).await
            }
            result => result,
        }
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
        for number in from_block..=last {
            let head = self.block(number).await?;
            if let Some(inclusion) = self.find_in(head, hash).await? {
                return Ok(Some(inclusion));
            }
        }
        Ok(None)
    }

    /// The events of a block's initialisation (epochs, reveals, emission) and extrinsics, in
    /// order.
    pub async fn events(&self, block: [u8; 32]) -> Result<Vec<Event>, ReadError> {
        let (events, _) = self.events_at(H256(block)).await?;
        events.iter().map(|event| named(&event.map_err(unreadable)?)).collect()
    }

    /// Follows an extrinsic through the pool. `None` if it was lost sight of.
    async fn watch(&self, extrinsic: &SignedExtrinsic) -> Result<Option<Inclusion>, SubmitError> {
        let sent = self.rpc().author_submit_and_watch_extrinsic(&extrinsic.bytes).await;
        let mut statuses = match sent {
            Ok(statuses) => statuses,
            Err(RpcError::User(error)) => return self.refused(extrinsic, error).await,
            Err(RpcError::Client(error)) => {
                tracing::warn!(%error, "the connection broke while a call was sent");
                return Ok(None);
            }
            Err(error) => return Err(ReadError::from(error).into()),
        };
        while let Some(status) = statuses.next().await {
            match status {
                Ok(TransactionStatus::Finalized(block)) => {
                    let head = self.block(self.number_of(block).await?).await?;
                    return Ok(self.find_in(head, extrinsic.hash).await?);
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Ok(None)
    }

    /// Tells what the pool's refusal means. One that says the extrinsic is known, or its nonce
    /// used, may mean that it was sent before.
    async fn refused(
        &self,
        extrinsic: &SignedExtrinsic,
        error: UserError,
    ) -> Result<Option<Inclusion>, SubmitError> {
        let reason = match error.code {
            CODE_ALREADY_IMPORTED => return Ok(None),
            CODE_TOO_LOW_PRIORITY => PoolRefusal::TooLowPriority,
            CODE_INVALID | CODE_UNKNOWN_VALIDITY => self.why_invalid(extrinsic, error).await?,
            code => PoolRefusal::Node { code, message: error.message },
        };
        if reason == PoolRefusal::Invalid(Invalid::Stale) {
            let (from, to) = (extrinsic.era_birth + 1, extrinsic.era_end);
            if let Some(found) = self.find_extrinsic(extrinsic.hash, from, to).await? {
                return Ok(Some(found));
            }
        }
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

    /// Looks for an extrinsic in one block.
    async fn find_in(&self, head: Head, hash: [u8; 32]) -> Result<Option<Inclusion>, ReadError> {
        let details = self.rpc().chain_get_block(Some(H256(head.hash))).await?;
        let details =
            details.ok_or_else(|| ReadError::NoBlock { block: head.number.to_string() })?;
        let mut bodies = details.block.extrinsics.iter();
        let Some(index) = bodies.position(|body| blake2_256(&body.0) == hash) else {
            return Ok(None);
        };
        let index = u32::try_from(index).map_err(|e| ReadError::shape("a block's body", e))?;
        let (events, at) = self.events_at(H256(head.hash)).await?;
        let mut inclusion = Inclusion { block: head, index, events: Vec::new(), refusal: None };
        for event in events.iter() {
            let event = event.map_err(unreadable)?;
            if event.phase() == Phase::ApplyExtrinsic(index) {
                let event = named(&event)?;
                let refusal = refusal_in(&event, at.api.metadata_ref());
                inclusion.refusal = inclusion.refusal.or(refusal);
                inclusion.events.push(event);
            }
        }
        Ok(Some(inclusion))
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
