//! SCALE to and from the JSON of the recordings, by the runtime's own type registry.

use codec::{Compact, Decode, Encode};
use scale_info::{PortableRegistry, TypeDef, TypeDefPrimitive, form::PortableForm};
use serde_json::{Map, Value, json};
use sp_core::crypto::{AccountId32, Ss58Codec};

/// Integers beyond this are strings in the recordings.
const LARGEST_EXACT: u128 = 1 << 53;

fn integer(value: u128) -> Value {
    if value < LARGEST_EXACT {
        json!(u64::try_from(value).unwrap())
    } else {
        json!(value.to_string())
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut text, word| {
        let mut letters = word.chars();
        text.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        text.extend(letters);
        text
    })
}

fn is_u8(registry: &PortableRegistry, id: u32) -> bool {
    let def = &registry.resolve(id).unwrap().type_def;
    matches!(def, TypeDef::Primitive(TypeDefPrimitive::U8))
}

/// Reads a value of a type off the front of `bytes`.
pub fn decode(registry: &PortableRegistry, id: u32, bytes: &mut &[u8]) -> Value {
    let ty = registry.resolve(id).unwrap();
    match ty.path.segments.last().map(String::as_str) {
        Some("AccountId32") => {
            return json!(
                AccountId32::decode(bytes).unwrap().to_ss58check_with_version(42u16.into())
            );
        }
        Some("FixedI128") => return json!(i128::decode(bytes).unwrap().to_string()),
        Some("FixedU128") => return json!(u128::decode(bytes).unwrap().to_string()),
        Some("Option") => {
            let TypeDef::Variant(variants) = &ty.type_def else { unreachable!() };
            let some = &variants.variants[1];
            return match u8::decode(bytes).unwrap() {
                0 => Value::Null,
                _ => decode(registry, some.fields[0].ty.id, bytes),
            };
        }
        _ => {}
    }
    match &ty.type_def {
        TypeDef::Primitive(primitive) => decode_primitive(primitive, bytes),
        TypeDef::Compact(_) => integer(Compact::<u128>::decode(bytes).unwrap().0),
        TypeDef::Composite(composite) => decode_fields(registry, &composite.fields, bytes),
        TypeDef::Tuple(tuple) => {
            tuple.fields.iter().map(|field| decode(registry, field.id, bytes)).collect()
        }
        TypeDef::Array(array) => {
            decode_many(registry, array.type_param.id, array.len as usize, bytes)
        }
        TypeDef::Sequence(sequence) => {
            let length = Compact::<u32>::decode(bytes).unwrap().0;
            decode_many(registry, sequence.type_param.id, length as usize, bytes)
        }
        TypeDef::Variant(variants) => {
            let index = u8::decode(bytes).unwrap();
            let variant = variants.variants.iter().find(|v| v.index == index).unwrap();
            let all_plain = variants.variants.iter().all(|v| v.fields.is_empty());
            if variant.fields.is_empty() && (all_plain || ty.path.segments.last().is_some()) {
                return json!(variant.name);
            }
            json!({ variant.name.as_str(): decode_fields(registry, &variant.fields, bytes) })
        }
        TypeDef::BitSequence(_) => unreachable!(),
    }
}

fn decode_primitive(primitive: &TypeDefPrimitive, bytes: &mut &[u8]) -> Value {
    match primitive {
        TypeDefPrimitive::Bool => json!(bool::decode(bytes).unwrap()),
        TypeDefPrimitive::U8 => integer(u8::decode(bytes).unwrap().into()),
        TypeDefPrimitive::U16 => integer(u16::decode(bytes).unwrap().into()),
        TypeDefPrimitive::U32 => integer(u32::decode(bytes).unwrap().into()),
        TypeDefPrimitive::U64 => integer(u64::decode(bytes).unwrap().into()),
        TypeDefPrimitive::U128 => integer(u128::decode(bytes).unwrap()),
        TypeDefPrimitive::I16 => json!(i16::decode(bytes).unwrap()),
        TypeDefPrimitive::I64 => {
            let value = i64::decode(bytes).unwrap();
            if value.unsigned_abs() < LARGEST_EXACT as u64 {
                json!(value)
            } else {
                json!(value.to_string())
            }
        }
        other => panic!("{other:?}"),
    }
}

fn decode_fields(
    registry: &PortableRegistry,
    fields: &[scale_info::Field<PortableForm>],
    bytes: &mut &[u8],
) -> Value {
    if let [only] = fields
        && only.name.is_none()
    {
        return decode(registry, only.ty.id, bytes);
    }
    if fields.iter().all(|field| field.name.is_none()) {
        return fields.iter().map(|field| decode(registry, field.ty.id, bytes)).collect();
    }
    let named = fields.iter().map(|field| {
        let name = camel(field.name.as_ref().unwrap());
        (name, decode(registry, field.ty.id, bytes))
    });
    Value::Object(named.collect::<Map<_, _>>())
}

fn decode_many(registry: &PortableRegistry, id: u32, count: usize, bytes: &mut &[u8]) -> Value {
    if is_u8(registry, id) {
        let (taken, rest) = bytes.split_at(count);
        *bytes = rest;
        return json!(format!("0x{}", hex::encode(taken)));
    }
    (0..count).map(|_| decode(registry, id, bytes)).collect()
}

fn unsigned(value: &Value) -> u128 {
    match value {
        Value::Number(number) => number.as_u64().unwrap().into(),
        Value::String(text) => text.parse().unwrap(),
        other => panic!("{other}"),
    }
}

/// Writes a value of a type.
pub fn encode(registry: &PortableRegistry, id: u32, value: &Value, out: &mut Vec<u8>) {
    let ty = registry.resolve(id).unwrap();
    match ty.path.segments.last().map(String::as_str) {
        Some("AccountId32") => {
            let account = AccountId32::from_ss58check(value.as_str().unwrap()).unwrap();
            return account.encode_to(out);
        }
        Some("FixedI128" | "FixedU128") => {
            return unsigned(value.get("bits").unwrap_or(value)).encode_to(out);
        }
        Some("Option") => {
            let TypeDef::Variant(variants) = &ty.type_def else { unreachable!() };
            if value.is_null() {
                return out.push(0);
            }
            out.push(1);
            return encode(registry, variants.variants[1].fields[0].ty.id, value, out);
        }
        _ => {}
    }
    match &ty.type_def {
        TypeDef::Primitive(primitive) => encode_primitive(primitive, value, out),
        TypeDef::Compact(_) => Compact(unsigned(value)).encode_to(out),
        TypeDef::Composite(composite) => encode_fields(registry, &composite.fields, value, out),
        TypeDef::Tuple(tuple) => {
            for (field, value) in tuple.fields.iter().zip(value.as_array().unwrap()) {
                encode(registry, field.id, value, out);
            }
        }
        TypeDef::Array(array) => encode_many(registry, array.type_param.id, value, out, false),
        TypeDef::Sequence(sequence) => {
            encode_many(registry, sequence.type_param.id, value, out, true);
        }
        TypeDef::Variant(variants) => {
            let (name, inner) = match value {
                Value::String(name) => (name.as_str(), &Value::Null),
                Value::Object(map) => map.iter().next().map(|(k, v)| (k.as_str(), v)).unwrap(),
                other => panic!("{other}"),
            };
            let variant = variants.variants.iter().find(|v| v.name == name).unwrap();
            out.push(variant.index);
            encode_fields(registry, &variant.fields, inner, out);
        }
        TypeDef::BitSequence(_) => unreachable!(),
    }
}

fn encode_primitive(primitive: &TypeDefPrimitive, value: &Value, out: &mut Vec<u8>) {
    match primitive {
        TypeDefPrimitive::Bool => value.as_bool().unwrap().encode_to(out),
        TypeDefPrimitive::U8 => u8::try_from(unsigned(value)).unwrap().encode_to(out),
        TypeDefPrimitive::U16 => u16::try_from(unsigned(value)).unwrap().encode_to(out),
        TypeDefPrimitive::U32 => u32::try_from(unsigned(value)).unwrap().encode_to(out),
        TypeDefPrimitive::U64 => u64::try_from(unsigned(value)).unwrap().encode_to(out),
        TypeDefPrimitive::U128 => unsigned(value).encode_to(out),
        TypeDefPrimitive::I16 => (value.as_i64().unwrap() as i16).encode_to(out),
        other => panic!("{other:?}"),
    }
}

fn encode_fields(
    registry: &PortableRegistry,
    fields: &[scale_info::Field<PortableForm>],
    value: &Value,
    out: &mut Vec<u8>,
) {
    match fields {
        [] => {}
        [only] if only.name.is_none() => encode(registry, only.ty.id, value, out),
        many => {
            for (at, field) in many.iter().enumerate() {
                let value = match &field.name {
                    Some(name) => value.get(camel(name)).unwrap(),
                    None => &value[at],
                };
                encode(registry, field.ty.id, value, out);
            }
        }
    }
}

fn encode_many(
    registry: &PortableRegistry,
    id: u32,
    value: &Value,
    out: &mut Vec<u8>,
    with_length: bool,
) {
    let length = |count: usize, out: &mut Vec<u8>| {
        if with_length {
            Compact(count as u32).encode_to(out);
        }
    };
    match value {
        Value::String(text) => {
            let bytes = hex::decode(text.trim_start_matches("0x")).unwrap();
            length(bytes.len(), out);
            out.extend(bytes);
        }
        Value::Array(values) => {
            length(values.len(), out);
            for value in values {
                encode(registry, id, value, out);
            }
        }
        other => panic!("{other}"),
    }
}
