//! What clients see of this runtime where it is not what FRAME would show: the indices of the chain's own
//! events of `Balances`, and what [`Upgrade`]s changed.
//!
//! An upgrade on a development chain swaps no code. All that an upgrade can do to a client is compiled in and
//! hidden: a call under another index, an event that nobody knows. Applying one bumps the version and shows
//! it. What is applied lies in the state, under [`UPGRADES_KEY`], where only root can write.

use crate::{Runtime, RuntimeEvent};
use codec::{Decode, DecodeWithMemTracking, Encode, EncodeLike, Error, Input, Output};
use frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed};
use scale_info::{PortableRegistry, Type, TypeDef, TypeInfo, form::PortableForm};
use sp_core::OpaqueMetadata;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Raw storage key of the applied upgrades, one byte each.
pub const UPGRADES_KEY: &[u8] = b":dev:upgrades:";

/// A kind of change that a runtime upgrade may bring to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upgrade {
    /// `SubtensorModule.Tempo` becomes a newtype around the `u16` that it was: same bytes, another type.
    RetypeField,
    /// `SubtensorModule.set_mechanism_weights` moves from index 119 to [`MOVED_CALL`].
    MoveCall,
    /// `SubtensorModule` emits an event in every block that older metadata does not know.
    AddEvent,
    /// `SubtensorModule.MaxWeightsLimit` is gone.
    RemoveStorage,
    /// `NeuronInfoRuntimeApi` is gone.
    RemoveApi,
}

/// Index of the moved call.
pub const MOVED_CALL: u8 = 219;
/// The pallet that upgrades change.
const PALLET: &str = "SubtensorModule";
/// Names of the hidden call and the one in whose place it stands.
const HIDDEN_CALL: &str = "set_mechanism_weights_moved";
const CALL: &str = "set_mechanism_weights";
/// The hidden event.
const HIDDEN_EVENT: &str = "DevUpgraded";
/// The storage item that is removed, and the one that is retyped.
const REMOVED_ITEM: &str = "MaxWeightsLimit";
const RETYPED_ITEM: &str = "Tempo";
/// The runtime API that is removed.
const REMOVED_API: &str = "NeuronInfoRuntimeApi";

impl Upgrade {
    /// Every one, with its name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("retype-field", Self::RetypeField),
        ("move-call", Self::MoveCall),
        ("add-event", Self::AddEvent),
        ("remove-storage", Self::RemoveStorage),
        ("remove-api", Self::RemoveApi),
    ];

    /// The upgrade of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, upgrade)| upgrade)
    }

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// The upgrades that were applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Upgrades(u8);

impl Upgrades {
    /// Those of the state at hand; none where there is no state.
    pub fn applied() -> Self {
        let is_there = sp_externalities::with_externalities(|_| ()).is_some();
        let bits = is_there.then(|| sp_io::storage::get(UPGRADES_KEY)).flatten();
        Self(bits.and_then(|bits| bits.first().copied()).unwrap_or(0))
    }

    /// These and one more.
    #[must_use]
    pub fn with(self, upgrade: Upgrade) -> Self {
        Self(self.0 | upgrade.bit())
    }

    /// Whether `upgrade` was applied.
    pub fn has(self, upgrade: Upgrade) -> bool {
        self.0 & upgrade.bit() != 0
    }

    /// As they lie in the state.
    pub fn bytes(self) -> Vec<u8> {
        vec![self.0]
    }

    /// Whether a runtime API's method is gone.
    pub fn hide_method(self, method: &str) -> bool {
        self.has(Upgrade::RemoveApi)
            && method.strip_prefix(REMOVED_API).is_some_and(|rest| rest.starts_with('_'))
    }

    /// Whether an API of this id (the hash of its name) is gone.
    pub(crate) fn hide_api(self, id: &[u8; 8]) -> bool {
        self.has(Upgrade::RemoveApi)
            && crate::apis::runtime_decl_for_neuron_info_runtime_api::ID == *id
    }
}

/// An event as it lies in the state: with the chain's index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event(pub RuntimeEvent);

/// Index of `Balances` in the runtime.
const BALANCES: u8 = 5;

/// The chain's index of an event of `Balances`. Its FRAME has neither `MintedCredit` nor `BurnedDebt`; they
/// stand behind the others.
fn shown_index(index: u8) -> u8 {
    match index {
        11 => 22,
        12 => 11,
        13 => 23,
        14..=23 => index - 2,
        other => other,
    }
}

/// FRAME's index of an event of `Balances`.
fn own_index(shown: u8) -> u8 {
    match shown {
        22 => 11,
        11 => 12,
        23 => 13,
        12..=21 => shown + 2,
        other => other,
    }
}

impl Encode for Event {
    fn size_hint(&self) -> usize {
        self.0.size_hint()
    }

    fn encode_to<O: Output + ?Sized>(&self, out: &mut O) {
        if !matches!(self.0, RuntimeEvent::Balances(_)) {
            return self.0.encode_to(out);
        }
        let mut bytes = self.0.encode();
        if let [BALANCES, index, ..] = bytes.as_mut_slice() {
            *index = shown_index(*index);
        }
        out.write(&bytes);
    }
}

impl EncodeLike for Event {}

/// An input whose first two bytes were read already.
struct Begun<'a, I> {
    head: [u8; 2],
    taken: usize,
    rest: &'a mut I,
}

impl<I: Input> Input for Begun<'_, I> {
    fn remaining_len(&mut self) -> Result<Option<usize>, Error> {
        let head = self.head.len().saturating_sub(self.taken);
        Ok(self.rest.remaining_len()?.map(|rest| rest.saturating_add(head)))
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), Error> {
        let head = self.head.get(self.taken..).unwrap_or_default();
        let (from_head, from_rest) = into.split_at_mut(head.len().min(into.len()));
        from_head.copy_from_slice(&head[..from_head.len()]);
        self.taken = self.taken.saturating_add(from_head.len());
        if from_rest.is_empty() { Ok(()) } else { self.rest.read(from_rest) }
    }
}

impl Decode for Event {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let mut head = [0; 2];
        input.read(&mut head)?;
        if head[0] == BALANCES {
            head[1] = own_index(head[1]);
        }
        RuntimeEvent::decode(&mut Begun { head, taken: 0, rest: input }).map(Self)
    }
}

impl DecodeWithMemTracking for Event {}

impl TypeInfo for Event {
    type Identity = RuntimeEvent;

    fn type_info() -> Type {
        RuntimeEvent::type_info()
    }
}

/// Lets pallets deposit their events.
macro_rules! deposits {
    ($($event:ty,)*) => {$(
        impl From<$event> for Event {
            fn from(event: $event) -> Self {
                Self(event.into())
            }
        }
    )*};
}

deposits! {
    frame_system::Event<Runtime>,
    pallet_balances::Event<Runtime>,
    pallet_transaction_payment::Event<Runtime>,
    pallet_utility::Event,
    pallet_sudo::Event<Runtime>,
    pallet_multisig::Event<Runtime>,
    pallet_proxy::Event<Runtime>,
    crate::subtensor::pallet::Event<Runtime>,
    crate::commitments::pallet::Event<Runtime>,
    crate::admin::pallet::Event<Runtime>,
    crate::drand::pallet::Event<Runtime>,
    crate::swap::pallet::Event<Runtime>,
    crate::shield::pallet::Event<Runtime>,
    crate::limit_orders::pallet::Event<Runtime>,
}

/// The metadata of version 14 as clients see it.
pub fn metadata() -> OpaqueMetadata {
    let own: RuntimeMetadataPrefixed = Runtime::metadata();
    let shown = present(own, Upgrades::applied());
    OpaqueMetadata::new(shown.encode())
}

/// The metadata of a version, 14 to 16, as clients see it.
pub fn metadata_at_version(version: u32) -> Option<OpaqueMetadata> {
    let bytes: Vec<u8> = Runtime::metadata_at_version(version)?.to_vec();
    // The runtime's own bytes decode.
    let own = RuntimeMetadataPrefixed::decode(&mut &bytes[..]).ok()?;
    Some(OpaqueMetadata::new(present(own, Upgrades::applied()).encode()))
}

/// Applies an edit to whichever version the metadata has.
macro_rules! edit {
    ($metadata:expr, $upgrades:expr; $($version:ident),*) => {
        match &mut $metadata {
            $(RuntimeMetadata::$version(metadata) => {
                let upgrades = $upgrades;
                let retyped = present_types(&mut metadata.types, upgrades);
                for pallet in metadata.pallets.iter_mut().filter(|pallet| pallet.name == PALLET) {
                    let Some(storage) = &mut pallet.storage else { continue };
                    if upgrades.has(Upgrade::RemoveStorage) {
                        storage.entries.retain(|entry| entry.name != REMOVED_ITEM);
                    }
                    for entry in storage.entries.iter_mut().filter(|e| e.name == RETYPED_ITEM) {
                        if let (Some(id), frame_metadata::v14::StorageEntryType::Map { value, .. }) =
                            (retyped, &mut entry.ty)
                        {
                            *value = id.into();
                        }
                    }
                }
            })*
            _ => {}
        }
    };
}

fn present(mut metadata: RuntimeMetadataPrefixed, upgrades: Upgrades) -> RuntimeMetadataPrefixed {
    edit!(metadata.1, upgrades; V14, V15, V16);
    if upgrades.has(Upgrade::RemoveApi) {
        match &mut metadata.1 {
            RuntimeMetadata::V15(metadata) => metadata.apis.retain(|api| api.name != REMOVED_API),
            RuntimeMetadata::V16(metadata) => metadata.apis.retain(|api| api.name != REMOVED_API),
            _ => {}
        }
    }
    metadata
}

/// Edits the types; the id of the type that a retyped item has, if one was.
fn present_types(types: &mut PortableRegistry, upgrades: Upgrades) -> Option<u32> {
    for entry in &mut types.types {
        let name: Vec<&str> = entry.ty.path.segments.iter().map(String::as_str).collect();
        let TypeDef::Variant(variants) = &mut entry.ty.type_def else { continue };
        let variants = &mut variants.variants;
        match name.as_slice() {
            ["pallet_balances", "pallet", "Event"] => {
                variants.iter_mut().for_each(|event| event.index = shown_index(event.index));
                variants.sort_by_key(|event| event.index);
            }
            ["node_subtensor_runtime", "subtensor", "pallet", "Event"] => {
                let is_shown = upgrades.has(Upgrade::AddEvent);
                variants.retain(|event| is_shown || event.name != HIDDEN_EVENT);
            }
            ["node_subtensor_runtime", "subtensor", "pallet", "Call"] => {
                let gone = if upgrades.has(Upgrade::MoveCall) { CALL } else { HIDDEN_CALL };
                variants.retain(|call| call.name != gone);
                for call in variants.iter_mut().filter(|call| call.name == HIDDEN_CALL) {
                    call.name = CALL.into();
                }
            }
            _ => {}
        }
    }
    if !upgrades.has(Upgrade::RetypeField) {
        return None;
    }
    // A newtype around u16 is at hand: a copy under another name is the new type.
    let newtype = types.types.iter().find(|entry| {
        entry.ty.path.segments.last().is_some_and(|name| name == "NetUidStorageIndex")
    });
    let mut ty: Type<PortableForm> = newtype?.ty.clone();
    *ty.path.segments.last_mut()? = "EpochLength".into();
    let id = u32::try_from(types.types.len()).ok()?;
    types.types.push(scale_info::PortableType { id, ty });
    Some(id)
}

/// The digest of the metadata that a signature commits to in `CheckMetadataHash`'s mode 1 (RFC 78).
pub fn metadata_digest() -> Option<[u8; 32]> {
    /// Digests by what they depend on: the version and the constants of the state.
    static KNOWN: Mutex<BTreeMap<(u32, u64, Upgrades), [u8; 32]>> = Mutex::new(BTreeMap::new());
    /// Chains of one process: more than that is a test that makes thousands.
    const MOST: usize = 64;
    let spec_version = <crate::SpecVersion as frame_support::traits::Get<u32>>::get();
    let slot = <crate::SlotDuration as frame_support::traits::Get<u64>>::get();
    let key = (spec_version, slot, Upgrades::applied());
    if let Some(digest) = KNOWN.lock().ok()?.get(&key) {
        return Some(*digest);
    }
    let bytes: Vec<u8> = metadata_at_version(15)?.to_vec();
    let metadata = RuntimeMetadataPrefixed::decode(&mut &bytes[..]).ok()?.1;
    let extra = merkleized_metadata::ExtraInfo {
        spec_version,
        spec_name: "node-subtensor".into(),
        base58_prefix: 42,
        decimals: 9,
        token_symbol: "TAO".into(),
    };
    let digest = merkleized_metadata::generate_metadata_digest(&metadata, extra).ok()?.hash();
    let mut known = KNOWN.lock().ok()?;
    if known.len() >= MOST {
        known.clear();
    }
    known.insert(key, digest);
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_of_a_balances_event_maps_to_one_of_its_own_and_back() {
        let mut seen: Vec<u8> = (0..30).map(shown_index).collect();
        assert!((0..30).all(|index| own_index(shown_index(index)) == index));
        seen.sort_unstable();
        assert_eq!(seen, (0..30).collect::<Vec<u8>>());
    }

    #[test]
    fn an_event_decodes_from_what_it_encodes_to() {
        let who = sp_keyring::Sr25519Keyring::Alice.to_account_id();
        let burned = Event(pallet_balances::Event::Burned { who, amount: 7 }.into());
        let bytes = burned.encode();
        assert_eq!(bytes[..2], [5, 11], "the chain's index of Burned");
        assert_eq!(Event::decode(&mut &bytes[..]), Ok(burned));
    }

    #[test]
    fn hidden_things_show_only_when_their_upgrade_was_applied() {
        let shows = |upgrades: Upgrades, name: &str| {
            let own = Runtime::metadata();
            let bytes = present(own, upgrades).encode();
            bytes.windows(name.len()).any(|window| window == name.as_bytes())
        };
        let all = Upgrade::ALL.into_iter().fold(Upgrades::default(), |all, (_, one)| all.with(one));
        for (name, before, after) in [
            (HIDDEN_EVENT, false, true),
            (HIDDEN_CALL, false, false),
            (CALL, true, true),
            (REMOVED_ITEM, true, false),
            ("EpochLength", false, true),
        ] {
            let found = (shows(Upgrades::default(), name), shows(all, name));
            assert_eq!(found, (before, after), "{name}");
        }
    }
}
