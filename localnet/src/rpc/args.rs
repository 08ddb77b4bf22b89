//! Positional JSON-RPC parameters, read one by one. Bytes are hex with or without `0x`; a missing or `null`
//! block hash means the youngest block.

use super::errors::RpcError;
use crate::node::Node;
use jsonrpsee::types::Params;
use serde_json::Value;
use sp_core::{H256, crypto::Ss58Codec as _};

pub(crate) struct Args {
    values: std::vec::IntoIter<Value>,
    /// Position of the value read last, from 1, for error messages.
    position: usize,
}

impl Args {
    pub(crate) fn new(params: &Params<'_>) -> Result<Self, RpcError> {
        let values = match params.as_str().map(str::trim) {
            None | Some("" | "null") => Vec::new(),
            Some(text) => serde_json::from_str::<Vec<Value>>(text).map_err(|error| {
                RpcError::params(format!("an array of parameters was expected: {error}"))
            })?,
        };
        Ok(Self { values: values.into_iter(), position: 0 })
    }

    /// The next value; `None` when it is absent or `null`.
    pub(crate) fn next(&mut self) -> Option<Value> {
        self.position = self.position.saturating_add(1);
        self.values.next().filter(|value| !value.is_null())
    }

    fn wrong(&self, expected: &str) -> RpcError {
        RpcError::params(format!("parameter {}: {expected} was expected", self.position))
    }

    pub(crate) fn text(&mut self) -> Result<String, RpcError> {
        match self.next() {
            Some(Value::String(text)) => Ok(text),
            _ => Err(self.wrong("a string")),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, RpcError> {
        self.optional_bytes()?.ok_or_else(|| self.wrong("hexadecimal bytes"))
    }

    pub(crate) fn optional_bytes(&mut self) -> Result<Option<Vec<u8>>, RpcError> {
        let Some(value) = self.next() else { return Ok(None) };
        self.hex(&value).map(Some)
    }

    fn hex(&self, value: &Value) -> Result<Vec<u8>, RpcError> {
        let text = value.as_str().ok_or_else(|| self.wrong("hexadecimal bytes"))?;
        const_hex::decode(text.strip_prefix("0x").unwrap_or(text))
            .map_err(|_| self.wrong("hexadecimal bytes"))
    }

    pub(crate) fn keys(&mut self) -> Result<Vec<Vec<u8>>, RpcError> {
        match self.next() {
            Some(Value::Array(keys)) => keys.iter().map(|key| self.hex(key)).collect(),
            _ => Err(self.wrong("an array of keys")),
        }
    }

    pub(crate) fn optional_number(&mut self) -> Result<Option<u64>, RpcError> {
        match self.next() {
            None => Ok(None),
            Some(value) => self.number_in(&value).map(Some),
        }
    }

    pub(crate) fn number(&mut self) -> Result<u64, RpcError> {
        self.optional_number()?.ok_or_else(|| self.wrong("a number"))
    }

    /// A number as clients write it: `5`, `"0x5"` or `"5"`.
    pub(crate) fn number_in(&self, value: &Value) -> Result<u64, RpcError> {
        let number = match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => match text.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => text.parse().ok(),
            },
            _ => None,
        };
        number.ok_or_else(|| self.wrong("a number"))
    }

    /// A block hash; absent means the youngest block.
    pub(crate) fn block(&mut self, node: &Node) -> Result<H256, RpcError> {
        Ok(self.optional_hash()?.unwrap_or_else(|| node.chain.best().hash))
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, RpcError> {
        match self.next() {
            Some(Value::Bool(value)) => Ok(value),
            _ => Err(self.wrong("true or false")),
        }
    }

    /// A block hash that must be there.
    pub(crate) fn hash(&mut self) -> Result<H256, RpcError> {
        self.optional_hash()?.ok_or_else(|| self.wrong("a hash of 32 bytes"))
    }

    pub(crate) fn optional_hash(&mut self) -> Result<Option<H256>, RpcError> {
        match self.optional_bytes()? {
            None => Ok(None),
            Some(hash) if hash.len() == H256::len_bytes() => Ok(Some(H256::from_slice(&hash))),
            Some(_) => Err(self.wrong("a hash of 32 bytes")),
        }
    }

    /// A hash or a list of hashes.
    pub(crate) fn hashes(&mut self) -> Result<Vec<H256>, RpcError> {
        let values = match self.next() {
            Some(Value::Array(values)) => values,
            Some(value) => vec![value],
            None => return Err(self.wrong("a hash or a list of hashes")),
        };
        let hash = |value: &Value| match self.hex(value)? {
            bytes if bytes.len() == H256::len_bytes() => Ok(H256::from_slice(&bytes)),
            _ => Err(self.wrong("a hash of 32 bytes")),
        };
        values.iter().map(hash).collect()
    }

    pub(crate) fn account(&mut self) -> Result<node_subtensor_runtime::AccountId, RpcError> {
        let text = self.text()?;
        node_subtensor_runtime::AccountId::from_ss58check(&text)
            .map_err(|_| self.wrong("an ss58 address"))
    }
}
