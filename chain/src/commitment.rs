//! What a neuron has put on chain in its own words: the pallet `Commitments`.

use chain_metadata::{Hotkey, NetUid};
use scale_value::{At as _, Composite, Primitive, ValueDef};
use subxt::dynamic::Value;

use crate::{Call, Chain, ReadError};

/// The pallet.
const COMMITMENTS: &str = "Commitments";

/// Most bytes of a field.
pub const FIELD_MAX: usize = 128;

/// Most fields of a commitment.
pub const FIELDS_MAX: usize = 3;

/// The commitment of a neuron. A new one replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// The block in which it was made.
    pub block: u64,
    /// Its fields of plain bytes, in order; others (hashes, timelocked texts, flags) are left out.
    pub fields: Vec<Vec<u8>>,
}

/// Fields that no commitment can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitmentError {
    /// A field is too long.
    #[error("a field of {bytes} bytes: a commitment holds at most {FIELD_MAX} in each")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// There are too many.
    #[error("{fields} fields: a commitment holds at most {FIELDS_MAX}")]
    TooMany {
        /// How many.
        fields: usize,
    },
}

impl Call {
    /// Replaces the commitment of a registered hotkey. Signed by the hotkey, free.
    ///
    /// # Errors
    /// More or longer fields than a commitment holds.
    pub fn set_commitment(netuid: NetUid, fields: &[&[u8]]) -> Result<Self, CommitmentError> {
        if fields.len() > FIELDS_MAX {
            return Err(CommitmentError::TooMany { fields: fields.len() });
        }
        if let Some(long) = fields.iter().find(|field| field.len() > FIELD_MAX) {
            return Err(CommitmentError::TooLong { bytes: long.len() });
        }
        // A variant for each length: `Raw0` to `Raw128`.
        let raw = |field: &&[u8]| {
            Value::unnamed_variant(format!("Raw{}", field.len()), [Value::from_bytes(field)])
        };
        let fields = Value::unnamed_composite(fields.iter().map(raw));
        let info = Value::named_composite([("fields", fields)]);
        let netuid = Value::u128(netuid.0.into());
        Ok(Self::dynamic(COMMITMENTS, "set_commitment", [("netuid", netuid), ("info", info)]))
    }
}

impl Chain {
    /// What a hotkey has committed on a subnet at a block (or at the newest finalized one).
    pub async fn commitment(
        &self,
        netuid: NetUid,
        hotkey: &Hotkey,
        at: Option<[u8; 32]>,
    ) -> Result<Option<Commitment>, ReadError> {
        const FACT: &str = "Commitments.CommitmentOf";
        let at = self.at(at).await?;
        let keys = (netuid.0, Value::from_bytes(hotkey));
        let stored: Option<Value> = at.fetch(COMMITMENTS, "CommitmentOf", keys).await?;
        stored
            .map(|stored| read(&stored).ok_or(Unlike))
            .transpose()
            .map_err(|unlike| ReadError::shape(FACT, unlike))
    }
}

/// A stored commitment that is not laid out as known.
#[derive(Debug, thiserror::Error)]
#[error("neither `block` nor `info.fields` is where it should be")]
struct Unlike;

fn read(stored: &Value) -> Option<Commitment> {
    let block = stored.at("block")?.as_u128()?;
    let ValueDef::Composite(fields) = &stored.at("info")?.at("fields")?.value else { return None };
    Some(Commitment {
        block: u64::try_from(block).ok()?,
        fields: unwrapped(fields).filter_map(raw).collect(),
    })
}

/// The elements of a list, which may stand in a newtype.
fn unwrapped(list: &Composite<()>) -> Box<dyn Iterator<Item = &Value> + '_> {
    let values: Vec<&Value> = list.values().collect();
    match values[..] {
        [Value { value: ValueDef::Composite(inner), .. }] => unwrapped(inner),
        _ => Box::new(values.into_iter()),
    }
}

/// The bytes of a field `Raw0` to `Raw128` or `BigRaw`.
fn raw(field: &Value) -> Option<Vec<u8>> {
    let ValueDef::Variant(variant) = &field.value else { return None };
    (variant.name.starts_with("Raw") || variant.name == "BigRaw").then_some(())?;
    let byte = |value: &Value| match value.value {
        ValueDef::Primitive(Primitive::U128(byte)) => u8::try_from(byte).ok(),
        _ => None,
    };
    unwrapped(&variant.values).map(byte).collect()
}
