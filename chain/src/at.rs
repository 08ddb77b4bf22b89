//! The chain as it was at one block.

use subxt::{
    OnlineClientAtBlock, SubstrateConfig,
    config::RpcConfigFor,
    dynamic,
    ext::{
        frame_decode::{
            self, helpers::IntoEncodableValues, runtime_apis::RuntimeApiTypeInfo as _,
            storage::StorageTypeInfo as _,
        },
        scale_decode::DecodeAsType,
    },
    rpcs::LegacyRpcMethods,
    utils::H256,
};

use crate::{ReadError, answer::Answer};

/// The RPC methods every subtensor node serves.
pub(crate) type Rpc = LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>;

/// A block, with the runtime that it was left in. Names are resolved in that runtime's metadata.
pub(crate) struct At {
    pub(crate) api: OnlineClientAtBlock<SubstrateConfig>,
    pub(crate) rpc: Rpc,
}

/// A storage item to read with others in one request.
pub(crate) struct Item {
    pub(crate) pallet: &'static str,
    pub(crate) name: &'static str,
    pub(crate) key: Vec<u8>,
}

impl At {
    pub(crate) fn hash(&self) -> H256 {
        self.api.block_hash()
    }

    /// Calls a runtime API and decodes its answer by the names in the metadata.
    pub(crate) async fn call<R: DecodeAsType>(
        &self,
        api: &str,
        method: &str,
        args: impl IntoEncodableValues,
    ) -> Result<R, ReadError> {
        let answer = self.ask(api, method, args).await?;
        R::decode_as_type(&mut &*answer.bytes, answer.type_id, self.api.metadata_ref().types())
            .map_err(|source| ReadError::shape(format!("{api}.{method}"), source))
    }

    /// Calls a runtime API for an answer to be read field by field.
    pub(crate) async fn ask(
        &self,
        api: &str,
        method: &str,
        args: impl IntoEncodableValues,
    ) -> Result<Answer, ReadError> {
        let fact = || format!("{api}.{method}");
        let metadata = self.api.metadata_ref();
        let type_id = match metadata.runtime_api_info(api, method) {
            Ok(info) => info.output_id,
            Err(_) => return Err(ReadError::Absent { fact: fact() }),
        };
        let payload = dynamic::runtime_api_call::<_, ()>(api, method, args);
        let encoded = self
            .api
            .runtime_apis()
            .encode_args(&payload)
            .map_err(|source| ReadError::shape(fact(), source))?;
        let function = format!("{api}_{method}");
        let bytes = self.rpc.state_call(&function, Some(&encoded), Some(self.hash())).await?;
        Ok(Answer { type_id, bytes })
    }

    /// Whether the runtime has a storage item.
    pub(crate) fn has_storage(&self, pallet: &str, name: &str) -> bool {
        self.api.metadata_ref().storage_info(pallet, name).is_ok()
    }

    /// The full key of a storage value.
    pub(crate) fn key(
        &self,
        pallet: &str,
        name: &str,
        keys: impl IntoEncodableValues,
    ) -> Result<Vec<u8>, ReadError> {
        let fact = || format!("{pallet}.{name}");
        if !self.has_storage(pallet, name) {
            return Err(ReadError::Absent { fact: fact() });
        }
        let metadata = self.api.metadata_ref();
        frame_decode::storage::encode_storage_key(pallet, name, keys, metadata, metadata.types())
            .map_err(|source| ReadError::shape(fact(), source))
    }

    /// A storage value, or the runtime's default where none is stored and there is a default.
    pub(crate) async fn fetch<V: DecodeAsType>(
        &self,
        pallet: &'static str,
        name: &'static str,
        keys: impl IntoEncodableValues,
    ) -> Result<Option<V>, ReadError> {
        let key = self.key(pallet, name, keys)?;
        let bytes = self.rpc.state_get_storage(&key, Some(self.hash())).await?;
        self.decode(pallet, name, bytes)
    }

    /// A storage value that the runtime always has.
    pub(crate) async fn require<V: DecodeAsType>(
        &self,
        pallet: &'static str,
        name: &'static str,
        keys: impl IntoEncodableValues,
    ) -> Result<V, ReadError> {
        let value = self.fetch(pallet, name, keys).await?;
        value.ok_or_else(|| ReadError::Absent { fact: format!("{pallet}.{name}") })
    }

    /// Bytes of many values at once, in the order of the items.
    pub(crate) async fn fetch_many(
        &self,
        items: &[Item],
    ) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        let keys = items.iter().map(|item| item.key.as_slice());
        let sets = self.rpc.state_query_storage_at(keys, Some(self.hash())).await?;
        let mut changes: std::collections::HashMap<Vec<u8>, Vec<u8>> = sets
            .into_iter()
            .flat_map(|set| set.changes)
            .filter_map(|(key, value)| Some((key.0, value?.0)))
            .collect();
        Ok(items.iter().map(|item| changes.remove(&item.key)).collect())
    }

    /// Decodes stored bytes, or the default of the item where nothing is stored.
    pub(crate) fn decode<V: DecodeAsType>(
        &self,
        pallet: &str,
        name: &str,
        bytes: Option<Vec<u8>>,
    ) -> Result<Option<V>, ReadError> {
        let fact = || format!("{pallet}.{name}");
        let metadata = self.api.metadata_ref();
        let info =
            metadata.storage_info(pallet, name).map_err(|_| ReadError::Absent { fact: fact() })?;
        let Some(bytes) = bytes.or_else(|| info.default_value.as_ref().map(|d| d.to_vec())) else {
            return Ok(None);
        };
        V::decode_as_type(&mut &*bytes, info.value_id, metadata.types())
            .map(Some)
            .map_err(|source| ReadError::shape(fact(), source))
    }
}
