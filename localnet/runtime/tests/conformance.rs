//! This runtime's metadata against the real chain's: what both have must have the same shape.

use codec::Decode;
use frame_metadata::v15::{RuntimeMetadataV15, StorageEntryType};
use frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed};
use scale_info::{PortableRegistry, TypeDef};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Facts by name, each with the shape of its types.
type Facts = BTreeMap<String, String>;

fn recorded() -> Vec<u8> {
    let root = std::env::var_os("GANGLION_METADATA_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/metadata"),
        PathBuf::from,
    );
    std::fs::read(root.join("spec461_v15.scale")).unwrap()
}

fn ours() -> Vec<u8> {
    let bytes = sp_io::TestExternalities::default()
        .execute_with(|| node_subtensor_runtime::shown::metadata_at_version(15));
    let opaque: Vec<u8> = bytes.unwrap().to_vec();
    opaque
}

fn v15(bytes: &[u8]) -> RuntimeMetadataV15 {
    let prefixed = RuntimeMetadataPrefixed::decode(&mut &bytes[..]).unwrap();
    match prefixed.1 {
        RuntimeMetadata::V15(metadata) => metadata,
        other => panic!("version {}", other.version()),
    }
}

/// A type as it lies on the wire, with the names of fields and variants.
fn shape(registry: &PortableRegistry, id: u32, depth: usize) -> String {
    let ty = registry.resolve(id).unwrap();
    let name = ty.path.segments.last().map_or("", String::as_str);
    if depth == 0 || ["RuntimeCall", "RuntimeEvent", "UncheckedExtrinsic"].contains(&name) {
        return name.to_owned();
    }
    let of = |id: u32| shape(registry, id, depth - 1);
    match &ty.type_def {
        TypeDef::Primitive(primitive) => format!("{primitive:?}").to_lowercase(),
        TypeDef::Compact(compact) => format!("compact {}", of(compact.type_param.id)),
        TypeDef::Array(array) => format!("[{}; {}]", of(array.type_param.id), array.len),
        TypeDef::Sequence(sequence) => format!("[{}]", of(sequence.type_param.id)),
        TypeDef::BitSequence(_) => "bits".into(),
        TypeDef::Tuple(tuple) => {
            let parts: Vec<_> = tuple.fields.iter().map(|field| of(field.id)).collect();
            format!("({})", parts.join(", "))
        }
        TypeDef::Composite(composite) => match composite.fields.as_slice() {
            [only] if only.name.is_none() => of(only.ty.id),
            fields => {
                let parts: Vec<_> = fields
                    .iter()
                    .map(|f| format!("{}: {}", f.name.as_deref().unwrap_or("_"), of(f.ty.id)))
                    .collect();
                format!("{{{}}}", parts.join(", "))
            }
        },
        TypeDef::Variant(variants) => {
            let parts: Vec<_> = variants
                .variants
                .iter()
                .map(|v| {
                    let fields: Vec<_> = v.fields.iter().map(|f| of(f.ty.id)).collect();
                    format!("{} {}({})", v.index, v.name, fields.join(", "))
                })
                .collect();
            format!("<{}>", parts.join(" | "))
        }
    }
}

fn facts(metadata: &RuntimeMetadataV15) -> Facts {
    let registry = &metadata.types;
    let shape = |id| shape(registry, id, 6);
    let mut facts = Facts::new();
    for pallet in &metadata.pallets {
        facts.insert(format!("index of {}", pallet.name), pallet.index.to_string());
        if let Some(calls) = &pallet.calls {
            let TypeDef::Variant(calls) = &registry.resolve(calls.ty.id).unwrap().type_def else {
                continue;
            };
            for call in &calls.variants {
                let args: Vec<_> = call
                    .fields
                    .iter()
                    .map(|f| format!("{}: {}", f.name.as_deref().unwrap_or("_"), shape(f.ty.id)))
                    .collect();
                let fact = format!("{} ({})", call.index, args.join(", "));
                facts.insert(format!("call {}.{}", pallet.name, call.name), fact);
            }
        }
        for entry in pallet.storage.iter().flat_map(|storage| &storage.entries) {
            let fact = match &entry.ty {
                StorageEntryType::Plain(ty) => shape(ty.id),
                StorageEntryType::Map { hashers, key, value } => {
                    format!("{hashers:?} {} -> {}", shape(key.id), shape(value.id))
                }
            };
            let fact = format!("{:?} {fact}", entry.modifier);
            facts.insert(format!("storage {}.{}", pallet.name, entry.name), fact);
        }
        for constant in &pallet.constants {
            let name = format!("constant {}.{}", pallet.name, constant.name);
            facts.insert(name, shape(constant.ty.id));
        }
        let enums = [
            ("error", pallet.error.as_ref().map(|e| e.ty.id)),
            ("event", pallet.event.as_ref().map(|e| e.ty.id)),
        ];
        for (kind, id) in enums {
            let Some(id) = id else { continue };
            let TypeDef::Variant(variants) = &registry.resolve(id).unwrap().type_def else {
                continue;
            };
            for v in &variants.variants {
                let fields: Vec<_> = v
                    .fields
                    .iter()
                    .map(|f| {
                        format!(
                            "{}{}",
                            f.name.as_deref().map_or(String::new(), |n| format!("{n}: ")),
                            shape(f.ty.id)
                        )
                    })
                    .collect();
                let fact = format!("{} ({})", v.index, fields.join(", "));
                facts.insert(format!("{kind} {}.{}", pallet.name, v.name), fact);
            }
        }
    }
    for api in &metadata.apis {
        for method in &api.methods {
            let inputs: Vec<_> =
                method.inputs.iter().map(|i| format!("{}: {}", i.name, shape(i.ty.id))).collect();
            let fact = format!("({}) -> {}", inputs.join(", "), shape(method.output.id));
            facts.insert(format!("api {}.{}", api.name, method.name), fact);
        }
    }
    let extensions: Vec<_> =
        metadata.extrinsic.signed_extensions.iter().map(|e| e.identifier.clone()).collect();
    facts.insert("transaction extensions".into(), extensions.join(", "));
    facts
}

#[test]
#[ignore = "needs the recorded metadata in ../shared/metadata or GANGLION_METADATA_DIR"]
fn what_both_have_has_the_same_shape() {
    let (ours, theirs) = (facts(&v15(&ours())), facts(&v15(&recorded())));
    let report: Vec<_> = ours
        .iter()
        .filter(|(name, _)| !is_declared(name))
        .filter_map(|(name, fact)| match theirs.get(name) {
            Some(other) if other == fact => None,
            Some(other) => Some(format!("{name}\n  ours   {fact}\n  theirs {other}")),
            None => Some(format!("{name} is not on the real chain")),
        })
        .collect();
    assert!(report.is_empty(), "{} differences\n{}", report.len(), report.join("\n"));
}

/// Differences with a reason.
fn is_declared(name: &str) -> bool {
    let frame = [
        "System",
        "Balances",
        "Timestamp",
        "TransactionPayment",
        "Utility",
        "Sudo",
        "Multisig",
        "Proxy",
    ];
    // FRAME's own pallets are of another release than the chain's.
    frame.iter().any(|pallet| name.contains(&format!(" {pallet}.")))
        || ["Core.", "Metadata.", "BlockBuilder.", "TaggedTransactionQueue.", "TransactionPayment"]
            .iter()
            .any(|api| name.contains(&format!("api {api}")))
        || DECLARED.contains(&name)
}

const DECLARED: [&str; 5] = [
    // Of the official development chain's build, which the recorded one is not.
    "call SubtensorModule.faucet",
    // Beyond spec 461: what clients of later versions read.
    "storage SubtensorModule.SubnetEpochConsensus",
    // This FRAME knows a fourth kind of key.
    "call Drand.write_pulse",
    "call Drand.set_beacon_config",
    // The phases of a cleanup that never runs here are a number.
    "storage SubtensorModule.CurrentDissolveCleanupStatus",
];
