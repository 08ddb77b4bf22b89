//! A chain in externalities that replays a recording and reports every difference.

mod json;

use codec::{Decode, Encode};
use frame_metadata::v14::{StorageEntryMetadata, StorageEntryType, StorageHasher};
use frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed, v14::RuntimeMetadataV14};
use node_subtensor_runtime as runtime;
use runtime::{AccountId, Executive, RuntimeCall, System, UncheckedExtrinsic};
use scale_info::{PortableRegistry, TypeDef, form::PortableForm};
use serde_json::Value;
use sp_core::{Pair, sr25519};
use sp_io::TestExternalities;
use sp_io::hashing::twox_128;
use sp_runtime::generic::Era;
use sp_runtime::traits::Header as _;
use sp_runtime::transaction_validity::{
    InvalidTransaction, TransactionSource, TransactionValidityError,
};
use sp_runtime::{BuildStorage, Digest, DispatchError};
use std::collections::BTreeMap;

/// Rao in a TAO.
const TAO: u64 = 1_000_000_000;
/// Pallets whose state is not part of a recording.
const NOISE: [&str; 4] = ["Timestamp", "Aura", "TransactionPayment", "MevShield"];
/// Fees differ by what a real call weighs; so do balances, by at most this many rao a step.
const FEE_SLACK: u64 = 12;

/// A storage item by its 32-byte prefix.
struct Item {
    name: String,
    is_system: bool,
    entry: StorageEntryMetadata<PortableForm>,
}

/// The chain, its metadata, and the state that the next difference is against.
pub struct Replay {
    chain: TestExternalities,
    metadata: RuntimeMetadataV14,
    items: BTreeMap<Vec<u8>, Item>,
    state: BTreeMap<String, Value>,
    steps: u64,
}

fn key(uri: &str) -> sr25519::Pair {
    sr25519::Pair::from_string(uri, None).unwrap()
}

fn account(uri: &str) -> AccountId {
    key(uri).public().into()
}

impl Replay {
    /// The development genesis of runtime 425 and one empty block.
    pub fn start() -> Self {
        let rich = ["//Alice", "//Bob", "//Charlie"].map(|uri| (account(uri), 1_000_000 * TAO));
        let others = ["//Dave", "//Eve", "//Ferdie", "//One", "//Two", "//Three"]
            .map(|uri| (account(uri), 2_000 * TAO));
        let genesis = runtime::RuntimeGenesisConfig {
            balances: pallet_balances::GenesisConfig {
                balances: rich.into_iter().chain(others).collect(),
                ..Default::default()
            },
            sudo: pallet_sudo::GenesisConfig { key: Some(account("//Alice")) },
            aura: runtime::aura::pallet::GenesisConfig {
                spec_version: Some(425),
                ..Default::default()
            },
            subtensor_module: runtime::subtensor::GenesisConfig {
                development: true,
                ..Default::default()
            },
            ..Default::default()
        };
        let mut chain = TestExternalities::new(genesis.build_storage().unwrap());
        let bytes: Vec<u8> = chain.execute_with(|| runtime::shown::metadata().to_vec());
        let prefixed = RuntimeMetadataPrefixed::decode(&mut bytes.as_slice()).unwrap();
        let RuntimeMetadata::V14(metadata) = prefixed.1 else { panic!("metadata is not V14") };
        let items = items(&metadata);
        let mut replay = Self { chain, metadata, items, state: BTreeMap::new(), steps: 0 };
        replay.block(None);
        replay.state = replay.dump();
        replay
    }

    /// What differs from the recorded genesis.
    pub fn compare_genesis(&self, recorded: &str) -> Vec<String> {
        let recorded: BTreeMap<String, Value> = serde_json::from_str(recorded).unwrap();
        let ours = |name: &str| self.state.get(name).cloned().unwrap_or(Value::Null);
        let missing = recorded
            .iter()
            // The pallet of limit orders is not part of the local chain.
            .filter(|(name, value)| !name.starts_with("LimitOrders.") && ours(name) != **value)
            .map(|(name, value)| format!("{name}: {} instead of {value}", ours(name)));
        let extra = self
            .state
            .keys()
            .filter(|name| !recorded.contains_key(*name))
            .map(|name| format!("{name}: {} and not recorded", self.state[name]));
        missing.chain(extra).collect()
    }

    /// Replays a recording; every difference as a line.
    pub fn run(mut self, recording: &str) -> Vec<String> {
        let recording: Value = serde_json::from_str(recording).unwrap();
        let mut differences = Vec::new();
        for (at, step) in recording["steps"].as_array().unwrap().iter().enumerate() {
            self.steps += 1;
            let found = self.step(step);
            differences.extend(found.into_iter().map(|text| format!("step {at}: {text}")));
        }
        differences
    }

    fn step(&mut self, step: &Value) -> Vec<String> {
        let mut found = Vec::new();
        let events = match step["mine"].as_u64() {
            Some(count) => self.mine(count),
            None => {
                let (result, events) = self.call(step);
                let expected = step["result"].as_str().unwrap();
                if result != expected {
                    found.push(format!("{}: {result} instead of {expected}", step["call"]));
                }
                events
            }
        };
        let expected: Vec<&str> =
            step["events"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect();
        if events != expected {
            let lacking: Vec<_> =
                expected.iter().filter(|e| !events.contains(&e.to_string())).take(4).collect();
            let extra: Vec<_> =
                events.iter().filter(|e| !expected.contains(&e.as_str())).take(4).collect();
            found.push(format!(
                "events: {} instead of {}; lacking {lacking:?}, extra {extra:?}",
                events.len(),
                expected.len()
            ));
        }
        let block = self.chain.execute_with(|| u64::from(System::block_number()));
        if Some(block) != step["block"].as_u64() {
            found.push(format!("block {block} instead of {}", step["block"]));
        }
        found.extend(self.compare_storage(&step["storage"]));
        found.extend(self.compare_apis(&step["apis"]));
        found
    }

    fn compare_storage(&mut self, expected: &Value) -> Vec<String> {
        let expected = expected.as_object().unwrap();
        let before = std::mem::take(&mut self.state);
        self.state = self.dump();
        let now = |name: &str| self.state.get(name).cloned().unwrap_or(Value::Null);
        let mut found: Vec<String> = expected
            .iter()
            .filter(|(name, value)| !same(name, &now(name), value, self.steps * FEE_SLACK))
            .map(|(name, value)| format!("{name} = {} instead of {value}", now(name)))
            .collect();
        let names = before.keys().chain(self.state.keys());
        let mut changed: Vec<&String> = names
            .filter(|name| before.get(*name) != self.state.get(*name))
            .filter(|name| !expected.contains_key(*name))
            .collect();
        changed.sort();
        changed.dedup();
        found.extend(changed.into_iter().map(|name| format!("{name} = {} changed", now(name))));
        found
    }

    fn compare_apis(&mut self, expected: &Value) -> Vec<String> {
        let Some(expected) = expected.as_object() else { return Vec::new() };
        let mut found = Vec::new();
        for (name, value) in expected {
            let (method, netuid) = name.trim_end_matches(')').split_once('(').unwrap();
            let method = method.replace('.', "_");
            let netuid = netuid.parse::<u16>().unwrap().encode();
            let bytes =
                self.chain.execute_with(|| runtime::api::dispatch(&method, &netuid)).unwrap();
            let ours = match bytes.len() {
                8 => u64::decode(&mut bytes.as_slice()).ok(),
                _ => Option::<u64>::decode(&mut bytes.as_slice()).unwrap(),
            };
            if ours != value.as_u64() {
                found.push(format!("{name} = {ours:?} instead of {value}"));
            }
        }
        found
    }

    fn mine(&mut self, count: u64) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..count {
            self.block(None);
            let number = self.chain.execute_with(System::block_number);
            all.extend(self.events().into_iter().map(|name| (number, name)));
        }
        let last = self.chain.execute_with(System::block_number);
        // A recording holds the events of the last 300 blocks at most.
        all.into_iter()
            .filter(|(number, _)| last - number <= 300)
            .map(|(number, name)| format!("{number} {name}"))
            .collect()
    }

    /// Submits a call; its result and the events of its block.
    fn call(&mut self, step: &Value) -> (String, Vec<String>) {
        let mut bytes = self.encode_call(step);
        if step["sudo"].as_bool() == Some(true) {
            let inner = RuntimeCall::decode(&mut bytes.as_slice()).unwrap();
            let sudo = pallet_sudo::Call::sudo { call: Box::new(inner) };
            bytes = RuntimeCall::Sudo(sudo).encode();
        }
        let Ok(call) = RuntimeCall::decode(&mut bytes.as_slice()) else {
            return ("pool:Could not decode".into(), Vec::new());
        };
        let extrinsic = self.sign(call, step["sign_by"].as_str().unwrap());
        let validity = self.chain.execute_with(|| {
            let parent = System::block_hash(System::block_number().saturating_sub(1));
            frame_support::storage::with_transaction_unchecked(|| {
                let source = TransactionSource::External;
                let valid = Executive::validate_transaction(source, extrinsic.clone(), parent);
                sp_runtime::TransactionOutcome::Rollback(valid)
            })
        });
        if let Err(error) = validity {
            return (refusal(error), Vec::new());
        }
        let outcome = self.block(Some(extrinsic)).unwrap();
        let result = match outcome {
            Ok(()) => self.sudo_result().unwrap_or_else(|| "Ok".into()),
            Err(error) => error_name(&self.metadata, error),
        };
        (result, self.events())
    }

    fn sudo_result(&mut self) -> Option<String> {
        let metadata = &self.metadata;
        self.chain.execute_with(|| {
            System::read_events_no_consensus().find_map(|record| match record.event.0 {
                runtime::RuntimeEvent::Sudo(pallet_sudo::Event::Sudid { sudo_result }) => Some(
                    sudo_result.map_or_else(|error| error_name(metadata, error), |()| "Ok".into()),
                ),
                _ => None,
            })
        })
    }

    fn encode_call(&self, step: &Value) -> Vec<u8> {
        let pallet = step["pallet"].as_str().unwrap();
        let pallet = self.metadata.pallets.iter().find(|p| p.name == pallet).unwrap();
        let calls = self.metadata.types.resolve(pallet.calls.as_ref().unwrap().ty.id).unwrap();
        let TypeDef::Variant(calls) = &calls.type_def else { unreachable!() };
        let name = step["call"].as_str().unwrap();
        let call = calls
            .variants
            .iter()
            .find(|v| v.name == name)
            .unwrap_or_else(|| panic!("no call {name}"));
        let mut bytes = vec![pallet.index, call.index];
        for (field, value) in call.fields.iter().zip(step["args"].as_array().unwrap()) {
            json::encode(&self.metadata.types, field.ty.id, value, &mut bytes);
        }
        bytes
    }

    fn sign(&mut self, call: RuntimeCall, uri: &str) -> UncheckedExtrinsic {
        use runtime::Runtime;
        let pair = key(uri);
        let signer: AccountId = pair.public().into();
        self.chain.execute_with(|| {
            let nonce = System::account_nonce(&signer);
            let extension = (
                (
                    frame_system::CheckNonZeroSender::<Runtime>::new(),
                    frame_system::CheckSpecVersion::<Runtime>::new(),
                    frame_system::CheckTxVersion::<Runtime>::new(),
                    frame_system::CheckGenesis::<Runtime>::new(),
                    runtime::extensions::CheckMortality::from(Era::Immortal),
                    runtime::extensions::CheckNonce::from(nonce),
                    frame_system::CheckWeight::<Runtime>::new(),
                ),
                (
                    pallet_transaction_payment::ChargeTransactionPayment::<Runtime>::from(0),
                    runtime::extensions::SudoTransactionExtension,
                    runtime::extensions::CheckShieldedTxValidity,
                    runtime::extensions::SubtensorTransactionExtension,
                    runtime::extensions::DrandPriority,
                ),
                runtime::extensions::CheckMetadataHash::new(false),
            );
            let payload =
                sp_runtime::generic::SignedPayload::new(call.clone(), extension.clone()).unwrap();
            let signature: sp_runtime::MultiSignature =
                payload.using_encoded(|bytes| pair.sign(bytes)).into();
            UncheckedExtrinsic::new_signed(call, signer.into(), signature.into(), extension)
        })
    }

    /// Makes a block; what applying the extrinsic returned.
    fn block(
        &mut self,
        extrinsic: Option<UncheckedExtrinsic>,
    ) -> Option<Result<(), DispatchError>> {
        self.chain.execute_with(|| {
            let number = System::block_number() + 1;
            let parent =
                if number == 1 { Default::default() } else { System::block_hash(number - 1) };
            let parent = if parent == sp_core::H256::zero() {
                sp_core::H256::repeat_byte(number as u8)
            } else {
                parent
            };
            let header = runtime::Header::new(
                number,
                Default::default(),
                Default::default(),
                parent,
                Digest::default(),
            );
            Executive::initialize_block(&header);
            let now = RuntimeCall::Timestamp(pallet_timestamp::Call::set {
                now: u64::from(number) * 12_000,
            });
            Executive::apply_extrinsic(UncheckedExtrinsic::new_bare(now)).unwrap().unwrap();
            let outcome = extrinsic.map(|extrinsic| Executive::apply_extrinsic(extrinsic).unwrap());
            Executive::finalize_block();
            outcome
        })
    }

    /// Names of the block's events, without the timestamp's success.
    fn events(&mut self) -> Vec<String> {
        let registry = &self.metadata.types;
        let names = event_names(registry, &self.metadata);
        self.chain.execute_with(|| {
            System::read_events_no_consensus()
                .filter(|record| {
                    let is_inherent = record.phase == frame_system::Phase::ApplyExtrinsic(0);
                    let is_success = matches!(
                        record.event.0,
                        runtime::RuntimeEvent::System(frame_system::Event::ExtrinsicSuccess { .. })
                    );
                    !(is_inherent && is_success)
                })
                .map(|record| {
                    let bytes = record.event.encode();
                    names[&(bytes[0], bytes[1])].clone()
                })
                .collect()
        })
    }

    /// The state as the recordings show it.
    fn dump(&mut self) -> BTreeMap<String, Value> {
        let (items, registry) = (&self.items, &self.metadata.types);
        self.chain.execute_with(|| {
            let mut state = BTreeMap::new();
            let mut next = Vec::new();
            while let Some(key) = sp_io::storage::next_key(&next) {
                let value = sp_io::storage::get(&key).unwrap();
                next = key;
                let Some(item) = next.get(..32).and_then(|prefix| items.get(prefix)) else {
                    continue;
                };
                if item.is_system && item.entry.name != "Account" {
                    continue;
                }
                let (name, value) = show(registry, item, &next[32..], &value);
                state.insert(name, value);
            }
            state
        })
    }
}

fn items(metadata: &RuntimeMetadataV14) -> BTreeMap<Vec<u8>, Item> {
    let pallets = metadata.pallets.iter().filter(|p| !NOISE.contains(&p.name.as_str()));
    pallets
        .filter_map(|pallet| Some((pallet, pallet.storage.as_ref()?)))
        .flat_map(|(pallet, storage)| {
            storage.entries.iter().map(move |entry| {
                let prefix = [twox_128(storage.prefix.as_bytes()), twox_128(entry.name.as_bytes())];
                let item = Item {
                    name: format!("{}.{}", pallet.name, entry.name),
                    is_system: pallet.name == "System",
                    entry: entry.clone(),
                };
                (prefix.concat(), item)
            })
        })
        .collect()
}

fn show(
    registry: &PortableRegistry,
    item: &Item,
    mut key: &[u8],
    mut value: &[u8],
) -> (String, Value) {
    match &item.entry.ty {
        StorageEntryType::Plain(ty) => {
            (item.name.clone(), json::decode(registry, ty.id, &mut value))
        }
        StorageEntryType::Map { hashers, key: key_ty, value: value_ty } => {
            let ids: Vec<u32> =
                match (&registry.resolve(key_ty.id).unwrap().type_def, hashers.len()) {
                    (TypeDef::Tuple(tuple), 2..) => {
                        tuple.fields.iter().map(|field| field.id).collect()
                    }
                    _ => vec![key_ty.id],
                };
            let parts: Vec<String> = hashers
                .iter()
                .zip(ids)
                .map(|(hasher, id)| {
                    key = &key[hash_length(hasher)..];
                    match json::decode(registry, id, &mut key) {
                        Value::String(text) => text,
                        other => other.to_string(),
                    }
                })
                .collect();
            let name = format!("{}({})", item.name, parts.join(","));
            (name, json::decode(registry, value_ty.id, &mut value))
        }
    }
}

fn hash_length(hasher: &StorageHasher) -> usize {
    match hasher {
        StorageHasher::Identity => 0,
        StorageHasher::Twox64Concat => 8,
        StorageHasher::Blake2_128Concat => 16,
        other => panic!("{other:?}"),
    }
}

fn event_names(
    registry: &PortableRegistry,
    metadata: &RuntimeMetadataV14,
) -> BTreeMap<(u8, u8), String> {
    let mut names = BTreeMap::new();
    for pallet in &metadata.pallets {
        let Some(event) = &pallet.event else { continue };
        let TypeDef::Variant(variants) = &registry.resolve(event.ty.id).unwrap().type_def else {
            continue;
        };
        for variant in &variants.variants {
            names
                .insert((pallet.index, variant.index), format!("{}.{}", pallet.name, variant.name));
        }
    }
    names
}

/// Whether two values are the same, balances but for fees.
fn same(name: &str, ours: &Value, theirs: &Value, slack: u64) -> bool {
    if ours == theirs {
        return true;
    }
    if !name.starts_with("System.Account(") {
        return false;
    }
    let free = |value: &Value| match &value["data"]["free"] {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    match (free(ours), free(theirs)) {
        (Some(a), Some(b)) => a.abs_diff(b) <= slack && ours["nonce"] == theirs["nonce"],
        _ => false,
    }
}

/// An error as the recordings name it, by the runtime's own metadata.
fn error_name(metadata: &RuntimeMetadataV14, error: DispatchError) -> String {
    match error {
        DispatchError::Module(module) => {
            let pallet = metadata.pallets.iter().find(|p| p.index == module.index).unwrap();
            let id = pallet.error.as_ref().unwrap().ty.id;
            let TypeDef::Variant(errors) = &metadata.types.resolve(id).unwrap().type_def else {
                unreachable!()
            };
            let error = errors.variants.iter().find(|v| v.index == module.error[0]).unwrap();
            format!("{}.{}", pallet.name, error.name)
        }
        DispatchError::BadOrigin => "BadOrigin".into(),
        DispatchError::Token(error) => format!("Token.{error:?}"),
        DispatchError::Arithmetic(error) => format!("Arithmetic.{error:?}"),
        other => format!("{other:?}"),
    }
}

fn refusal(error: TransactionValidityError) -> String {
    match error {
        TransactionValidityError::Invalid(InvalidTransaction::Custom(code)) => {
            format!("pool:Custom({code})")
        }
        TransactionValidityError::Invalid(InvalidTransaction::Payment) => {
            "pool:Inability to pay some fees (e.g. account balance too low)".into()
        }
        other => format!("pool:{other:?}"),
    }
}
