//! Metadata of any version we know, seen as one thing.

use std::collections::BTreeMap;

use codec::Decode as _;
use frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed, v14, v15, v16};
use scale_info::PortableRegistry;

/// Why bytes are no metadata we can read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Not metadata.
    #[error("these bytes are no runtime metadata")]
    NotMetadata {
        /// Where reading stopped.
        source: codec::Error,
    },
    /// Metadata of a version other than 14 to 16.
    #[error("metadata of version {version}; versions 14 to 16 can be read")]
    Version {
        /// Which.
        version: u32,
    },
    /// The metadata does not say which runtime it is of.
    #[error("the metadata does not tell the runtime's version")]
    NoSpecVersion,
}

/// A storage item.
pub(crate) struct Storage {
    /// Types of the key's parts; `None` for a plain value.
    pub(crate) key: Option<u32>,
    /// Number of hashers: parts of the key.
    pub(crate) parts: usize,
    pub(crate) value: u32,
}

/// A runtime API method.
pub(crate) struct Method {
    pub(crate) inputs: Vec<u32>,
    pub(crate) output: u32,
}

#[derive(Default)]
pub(crate) struct Pallet {
    pub(crate) calls: Option<u32>,
    pub(crate) events: Option<u32>,
    pub(crate) errors: Option<u32>,
    pub(crate) storage: BTreeMap<String, Storage>,
    pub(crate) constants: BTreeMap<String, (u32, Vec<u8>)>,
}

/// What a runtime offers.
pub(crate) struct Runtime {
    pub(crate) metadata_version: u32,
    pub(crate) spec_version: u32,
    pub(crate) types: PortableRegistry,
    pub(crate) pallets: BTreeMap<String, Pallet>,
    /// API, method. `None` where the metadata's version does not list them.
    pub(crate) apis: Option<BTreeMap<(String, String), Method>>,
}

impl Runtime {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, MetadataError> {
        let prefixed = RuntimeMetadataPrefixed::decode(&mut &*bytes)
            .map_err(|source| MetadataError::NotMetadata { source })?;
        let version = prefixed.1.version();
        let (types, pallets, apis) = match prefixed.1 {
            RuntimeMetadata::V14(m) => (m.types, pallets_v14(m.pallets), None),
            RuntimeMetadata::V15(m) => (m.types, pallets_v15(m.pallets), Some(methods_v15(m.apis))),
            RuntimeMetadata::V16(m) => (m.types, pallets_v16(m.pallets), Some(methods_v16(m.apis))),
            _ => return Err(MetadataError::Version { version }),
        };
        let spec_version = spec_version(&pallets).ok_or(MetadataError::NoSpecVersion)?;
        Ok(Self { metadata_version: version, spec_version, types, pallets, apis })
    }
}

/// `System.Version` begins with two names and two numbers; the second is the spec version.
fn spec_version(pallets: &BTreeMap<String, Pallet>) -> Option<u32> {
    let (_, bytes) = pallets.get("System")?.constants.get("Version")?;
    let head = <(String, String, u32, u32)>::decode(&mut &**bytes).ok()?;
    Some(head.3)
}

/// The three versions name the same things in the same way but for their types.
macro_rules! pallets_of {
    ($function:ident, $module:ident) => {
        fn $function(
            pallets: Vec<$module::PalletMetadata<scale_info::form::PortableForm>>,
        ) -> BTreeMap<String, Pallet> {
            let pallet = |p: $module::PalletMetadata<scale_info::form::PortableForm>| {
                let entries = p.storage.map(|s| s.entries).unwrap_or_default();
                let storage = entries.into_iter().map(|entry| {
                    let storage = match entry.ty {
                        $module::StorageEntryType::Plain(value) => {
                            Storage { key: None, parts: 0, value: value.id }
                        }
                        $module::StorageEntryType::Map { hashers, key, value } => {
                            Storage { key: Some(key.id), parts: hashers.len(), value: value.id }
                        }
                    };
                    (entry.name, storage)
                });
                let constants = p.constants.into_iter().map(|c| (c.name, (c.ty.id, c.value)));
                let pallet = Pallet {
                    calls: p.calls.map(|calls| calls.ty.id),
                    events: p.event.map(|event| event.ty.id),
                    errors: p.error.map(|error| error.ty.id),
                    storage: storage.collect(),
                    constants: constants.collect(),
                };
                (p.name, pallet)
            };
            pallets.into_iter().map(pallet).collect()
        }
    };
}

pallets_of!(pallets_v14, v14);
pallets_of!(pallets_v15, v15);
pallets_of!(pallets_v16, v16);

macro_rules! methods_of {
    ($function:ident, $module:ident) => {
        fn $function(
            apis: Vec<$module::RuntimeApiMetadata<scale_info::form::PortableForm>>,
        ) -> BTreeMap<(String, String), Method> {
            let mut methods = BTreeMap::new();
            for api in apis {
                for method in api.methods {
                    let inputs = method.inputs.iter().map(|input| input.ty.id).collect();
                    let found = Method { inputs, output: method.output.id };
                    methods.insert((api.name.clone(), method.name), found);
                }
            }
            methods
        }
    };
}

methods_of!(methods_v15, v15);
methods_of!(methods_v16, v16);
