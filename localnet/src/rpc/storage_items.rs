//! Storage as the `v1` methods ask for it: a value, a hash, a Merkle value, or all below a key.

use super::{Args, RpcError, hex};
use crate::state::Backend;
use serde::Deserialize;
use serde_json::{Value, json};
use sp_runtime::traits::BlakeTwo256;
use sp_state_machine::{IterArgs, backend::Backend as _};
use sp_trie::MerkleValue;

/// Items of one answer.
const PAGE: usize = 1_000;
/// Items of one question.
const MAX_ITEMS: usize = 1_024;

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Value,
    Hash,
    ClosestDescendantMerkleValue,
    DescendantsValues,
    DescendantsHashes,
}

/// Keys as they are found.
type Keys<'a> = Box<dyn Iterator<Item = Result<Vec<u8>, String>> + 'a>;

/// One thing asked for.
pub(super) struct Item {
    key: Vec<u8>,
    kind: Kind,
    after: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    key: String,
    #[serde(rename = "type")]
    kind: Kind,
    pagination_start_key: Option<String>,
}

impl Item {
    /// Reads the next parameter as a list of items.
    pub(super) fn read(args: &mut Args) -> Result<Vec<Self>, RpcError> {
        let wrong = |why: String| RpcError::params(format!("the storage items: {why}"));
        let written: Vec<Written> = serde_json::from_value(args.next().unwrap_or_default())
            .map_err(|error| wrong(error.to_string()))?;
        if written.len() > MAX_ITEMS {
            return Err(wrong(format!("{} items, {MAX_ITEMS} at most", written.len())));
        }
        let bytes = |text: &str| {
            const_hex::decode(text).map_err(|_| wrong(format!("`{text}` is not hexadecimal")))
        };
        let read = |item: Written| {
            let after = item.pagination_start_key.as_deref().map(bytes).transpose()?;
            Ok(Self { key: bytes(&item.key)?, kind: item.kind, after })
        };
        written.into_iter().map(read).collect()
    }

    /// Looks items up, a page at a time; `false` when nobody wanted another page.
    pub(super) fn query(
        state: &Backend,
        items: &[Self],
        mut page: impl FnMut(Vec<Value>) -> bool,
    ) -> Result<bool, String> {
        let mut found = Vec::new();
        for item in items {
            for key in item.keys(state)? {
                let key = key?;
                if let Some(value) = item.look_up(state, &key)? {
                    found.push(value);
                }
                if found.len() >= PAGE && !page(std::mem::take(&mut found)) {
                    return Ok(false);
                }
            }
        }
        Ok(found.is_empty() || page(found))
    }

    /// The keys that the item is about.
    fn keys<'a>(&'a self, state: &'a Backend) -> Result<Keys<'a>, String> {
        if !matches!(self.kind, Kind::DescendantsValues | Kind::DescendantsHashes) {
            return Ok(Box::new(std::iter::once(Ok(self.key.clone()))));
        }
        let mut range = IterArgs::default();
        range.prefix = Some(&self.key);
        range.start_at = self.after.as_deref();
        range.start_at_exclusive = true;
        Ok(Box::new(state.keys(range)?))
    }

    fn look_up(&self, state: &Backend, key: &[u8]) -> Result<Option<Value>, String> {
        let named = |name: &str, value: String| {
            let mut item = json!({ "key": hex(key) });
            item[name] = json!(value);
            item
        };
        Ok(match self.kind {
            Kind::Value | Kind::DescendantsValues => {
                state.storage(key)?.map(|value| named("value", hex(value)))
            }
            Kind::Hash | Kind::DescendantsHashes => {
                state.storage_hash(key)?.map(|hash| named("hash", hex(hash)))
            }
            Kind::ClosestDescendantMerkleValue => {
                let name = "closestDescendantMerkleValue";
                state.closest_merkle_value(key)?.map(|value: MerkleValue<_>| match value {
                    MerkleValue::Node(node) => named(name, hex(node)),
                    MerkleValue::Hash(hash) => {
                        let hash: <BlakeTwo256 as sp_core::Hasher>::Out = hash;
                        named(name, hex(hash))
                    }
                })
            }
        })
    }
}
