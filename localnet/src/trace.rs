//! What one extrinsic does: which storage it reads and writes, which events it leaves, how it ends. It is
//! applied in a block of its own after the best one, and thrown away.

use crate::{
    execution::{CallError, Overlay, run_over},
    state::Backend,
};
use codec::{Decode as _, Encode as _};
use frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed, v14::RuntimeMetadataV14};
use node_subtensor_runtime::{Executive, Header, Runtime, UncheckedExtrinsic, shown};
use scale_info::TypeDef;
use serde_json::{Value, json};
use sp_core::storage::{ChildInfo, StateVersion, TrackedStorageKey};
use sp_externalities::{
    Error, Extension, ExtensionStore, Extensions, Externalities, MultiRemovalResults,
};
use sp_runtime::{DispatchError, traits::BlakeTwo256};
use sp_state_machine::Ext;
use std::{
    any::{Any, TypeId},
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
};

/// Keys that a trace names at most: an extrinsic that touches more is told of as far.
const MAX_KEYS: usize = 4_096;

type Keys = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What was touched while the extrinsic ran.
#[derive(Default)]
struct Log {
    is_on: bool,
    /// Values as they were first read.
    reads: Keys,
    /// Values before they were first written.
    writes: Keys,
}

fn note(keys: &mut Keys, key: &[u8], value: impl FnOnce() -> Option<Vec<u8>>) {
    if keys.len() < MAX_KEYS && !keys.contains_key(key) {
        keys.insert(key.to_vec(), value());
    }
}

/// Externalities that note what goes through them.
struct Traced<'a> {
    inner: Ext<'a, BlakeTwo256, Backend>,
    log: Rc<RefCell<Log>>,
}

impl Traced<'_> {
    fn read(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let value = self.inner.storage(key);
        let mut log = self.log.borrow_mut();
        if log.is_on {
            note(&mut log.reads, key, || value.clone());
        }
        value
    }

    fn write(&mut self, key: &[u8]) {
        let mut log = self.log.borrow_mut();
        if log.is_on {
            note(&mut log.writes, key, || self.inner.storage(key));
        }
    }
}

/// Passes methods on as they are.
macro_rules! pass {
    ($($name:ident(&mut self $(, $arg:ident: $ty:ty)*) $(-> $out:ty)?;)*) => {$(
        fn $name(&mut self $(, $arg: $ty)*) $(-> $out)? {
            self.inner.$name($($arg),*)
        }
    )*};
}

impl Externalities for Traced<'_> {
    fn storage(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        self.read(key)
    }

    fn storage_hash(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        self.read(key);
        self.inner.storage_hash(key)
    }

    fn exists_storage(&mut self, key: &[u8]) -> bool {
        self.read(key).is_some()
    }

    fn next_storage_key(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let next = self.inner.next_storage_key(key)?;
        self.read(&next);
        Some(next)
    }

    fn place_storage(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.write(&key);
        self.inner.place_storage(key, value);
    }

    fn storage_append(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.write(&key);
        self.inner.storage_append(key, value);
    }

    fn clear_prefix(
        &mut self,
        prefix: &[u8],
        limit: Option<u32>,
        cursor: Option<&[u8]>,
    ) -> MultiRemovalResults {
        let mut key = prefix.to_vec();
        while let Some(next) = self.inner.next_storage_key(&key) {
            if !next.starts_with(prefix) {
                break;
            }
            self.write(&next);
            key = next;
        }
        self.inner.clear_prefix(prefix, limit, cursor)
    }

    pass! {
        set_offchain_storage(&mut self, key: &[u8], value: Option<&[u8]>);
        child_storage_hash(&mut self, child: &ChildInfo, key: &[u8]) -> Option<Vec<u8>>;
        child_storage(&mut self, child: &ChildInfo, key: &[u8]) -> Option<Vec<u8>>;
        next_child_storage_key(&mut self, child: &ChildInfo, key: &[u8]) -> Option<Vec<u8>>;
        kill_child_storage(
            &mut self, child: &ChildInfo, limit: Option<u32>, cursor: Option<&[u8]>
        ) -> MultiRemovalResults;
        clear_child_prefix(
            &mut self, child: &ChildInfo, prefix: &[u8], limit: Option<u32>, cursor: Option<&[u8]>
        ) -> MultiRemovalResults;
        place_child_storage(&mut self, child: &ChildInfo, key: Vec<u8>, value: Option<Vec<u8>>);
        storage_root(&mut self, version: StateVersion) -> Vec<u8>;
        child_storage_root(&mut self, child: &ChildInfo, version: StateVersion) -> Vec<u8>;
        storage_start_transaction(&mut self);
        storage_rollback_transaction(&mut self) -> Result<(), ()>;
        storage_commit_transaction(&mut self) -> Result<(), ()>;
        wipe(&mut self);
        commit(&mut self);
        reset_read_write_count(&mut self);
        set_whitelist(&mut self, new: Vec<TrackedStorageKey>);
    }

    fn read_write_count(&self) -> (u32, u32, u32, u32) {
        self.inner.read_write_count()
    }

    fn get_whitelist(&self) -> Vec<TrackedStorageKey> {
        self.inner.get_whitelist()
    }

    fn get_read_and_written_keys(&self) -> Vec<(Vec<u8>, u32, u32, bool)> {
        self.inner.get_read_and_written_keys()
    }
}

impl ExtensionStore for Traced<'_> {
    pass! {
        extension_by_type_id(&mut self, id: TypeId) -> Option<&mut dyn Any>;
        register_extension_with_type_id(
            &mut self, id: TypeId, extension: Box<dyn Extension>
        ) -> Result<(), Error>;
        deregister_extension_by_type_id(&mut self, id: TypeId) -> Result<(), Error>;
    }
}

/// Names of storage items, events and errors.
struct Names(RuntimeMetadataV14);

impl Names {
    /// Those of the metadata that clients see.
    fn new() -> Option<Self> {
        let bytes = shown::metadata().to_vec();
        match RuntimeMetadataPrefixed::decode(&mut &bytes[..]).ok()?.1 {
            RuntimeMetadata::V14(metadata) => Some(Self(metadata)),
            _ => None,
        }
    }

    /// `Pallet.Item`, or nothing for a raw key.
    fn item(&self, key: &[u8]) -> Option<String> {
        let (pallet_hash, rest) = key.split_at_checked(16)?;
        let item_hash = rest.get(..16)?;
        let hash = |name: &str| sp_io::hashing::twox_128(name.as_bytes());
        let pallets = self.0.pallets.iter().filter_map(|pallet| pallet.storage.as_ref());
        let storage = pallets.into_iter().find(|storage| hash(&storage.prefix) == pallet_hash)?;
        let entry = storage.entries.iter().find(|entry| hash(&entry.name) == item_hash)?;
        Some(format!("{}.{}", storage.prefix, entry.name))
    }

    fn variant(&self, pallet: &str, ty: Option<u32>, index: u8) -> Option<String> {
        let TypeDef::Variant(variants) = &self.0.types.resolve(ty?)?.type_def else { return None };
        let variant = variants.variants.iter().find(|variant| variant.index == index)?;
        Some(format!("{pallet}.{}", variant.name))
    }

    fn event(&self, bytes: &[u8]) -> Option<String> {
        let [pallet, index, ..] = bytes else { return None };
        let pallet = self.0.pallets.iter().find(|known| known.index == *pallet)?;
        self.variant(&pallet.name, pallet.event.as_ref().map(|event| event.ty.id), *index)
    }

    fn error(&self, error: DispatchError) -> String {
        let DispatchError::Module(module) = error else { return format!("{error:?}") };
        let name = self.0.pallets.iter().find(|known| known.index == module.index).and_then(|p| {
            self.variant(&p.name, p.error.as_ref().map(|error| error.ty.id), module.error[0])
        });
        name.unwrap_or_else(|| format!("{module:?}"))
    }
}

/// Applies `extrinsic` in a block after `parent` and says what it did.
pub(crate) fn trace(
    state: &Backend,
    parent: &Header,
    extrinsic: UncheckedExtrinsic,
) -> Result<Value, CallError> {
    let log = Rc::new(RefCell::new(Log::default()));
    let mut overlay = Overlay::default();
    let mut extensions = Extensions::default();
    let mut traced = Traced {
        inner: Ext::new(&mut overlay, state, Some(&mut extensions)),
        log: Rc::clone(&log),
    };
    let answer = run_over(&mut traced, || {
        Executive::initialize_block(&crate::execution::draft_of(parent));
        let before = frame_system::Pallet::<Runtime>::event_count();
        log.borrow_mut().is_on = true;
        let applied = Executive::apply_extrinsic(extrinsic);
        log.borrow_mut().is_on = false;
        let names = Names::new();
        let error = |error| match &names {
            Some(names) => names.error(error),
            None => format!("{error:?}"),
        };
        let result = match applied {
            Ok(Ok(())) => json!("ok"),
            Ok(Err(failed)) => json!({ "failed": error(failed) }),
            Err(refused) => json!({ "refused": format!("{refused:?}") }),
        };
        let skip = usize::try_from(before).unwrap_or(usize::MAX);
        let events: Vec<Value> = frame_system::Pallet::<Runtime>::read_events_no_consensus()
            .skip(skip)
            .map(|record| {
                let bytes = record.event.encode();
                let name = names.as_ref().and_then(|names| names.event(&bytes));
                json!({ "name": name, "data": hex(&bytes) })
            })
            .collect();
        let log = log.take();
        let item = |key: &[u8]| names.as_ref().and_then(|names| names.item(key));
        let reads: Vec<Value> = log
            .reads
            .iter()
            .map(|(key, value)| {
                json!({ "key": hex(key), "item": item(key), "value": value.as_ref().map(hex) })
            })
            .collect();
        let writes: Vec<Value> = log
            .writes
            .iter()
            .map(|(key, before)| {
                let after = sp_io::storage::get(key).map(|value| hex(value.as_ref()));
                json!({
                    "key": hex(key), "item": item(key),
                    "before": before.as_ref().map(hex), "after": after,
                })
            })
            .collect();
        json!({ "result": result, "events": events, "reads": reads, "writes": writes })
    })?;
    Ok(answer)
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    const_hex::encode_prefixed(bytes)
}
