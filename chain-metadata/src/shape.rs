//! A type of the metadata, written with its newtypes taken off.

use scale_info::{
    Field, PortableRegistry, Type, TypeDef, TypeDefPrimitive, Variant, form::PortableForm,
};

/// Deepest nesting written out; anything deeper is written by its name. No type we use is
/// nearly as deep, and a type may contain itself.
const MAX_DEPTH: usize = 12;

/// The shape of a type: what SCALE encodes, with field names and newtypes taken off, as in
/// [`What`](crate::What).
pub fn shape(types: &PortableRegistry, id: u32) -> String {
    at_depth(types, id, 0)
}

/// The fields of a struct, perhaps within `Option`; `None` for anything else.
pub(crate) fn fields(types: &PortableRegistry, id: u32) -> Option<Vec<(String, String)>> {
    let ty = types.resolve(id)?;
    match &ty.type_def {
        TypeDef::Composite(composite) => Some(named(types, &composite.fields, 0)),
        TypeDef::Variant(_) if ty.path.ident().as_deref() == Some("Option") => {
            fields(types, some_of(ty)?)
        }
        _ => None,
    }
}

/// The fields of a variant of an enum, by name.
pub(crate) fn variant_fields(
    types: &PortableRegistry,
    variant: &Variant<PortableForm>,
) -> Vec<(String, String)> {
    named(types, &variant.fields, 0)
}

/// A variant of an enum type.
pub(crate) fn variant<'a>(
    types: &'a PortableRegistry,
    id: u32,
    name: &str,
) -> Option<&'a Variant<PortableForm>> {
    match &types.resolve(id)?.type_def {
        TypeDef::Variant(variants) => variants.variants.iter().find(|v| v.name == name),
        _ => None,
    }
}

fn named(
    types: &PortableRegistry,
    fields: &[Field<PortableForm>],
    depth: usize,
) -> Vec<(String, String)> {
    let name = |field: &Field<PortableForm>| field.name.clone().unwrap_or_default();
    fields.iter().map(|field| (name(field), at_depth(types, field.ty.id, depth + 1))).collect()
}

fn some_of(option: &Type<PortableForm>) -> Option<u32> {
    option.type_params.first()?.ty.map(|ty| ty.id)
}

fn at_depth(types: &PortableRegistry, id: u32, depth: usize) -> String {
    let Some(ty) = types.resolve(id) else { return format!("unknown type {id}") };
    let name = || ty.path.ident().unwrap_or_else(|| "…".to_owned());
    if depth > MAX_DEPTH {
        return name();
    }
    let inner = |id: u32| at_depth(types, id, depth + 1);
    match &ty.type_def {
        TypeDef::Primitive(primitive) => primitive_name(primitive).to_owned(),
        TypeDef::Compact(compact) => format!("Compact<{}>", inner(compact.type_param.id)),
        TypeDef::Sequence(sequence) => format!("Vec<{}>", inner(sequence.type_param.id)),
        TypeDef::Array(array) => format!("[{}; {}]", inner(array.type_param.id), array.len),
        TypeDef::BitSequence(_) => "bits".to_owned(),
        TypeDef::Tuple(tuple) => {
            tuple_of(tuple.fields.iter().map(|field| inner(field.id)).collect())
        }
        TypeDef::Composite(composite) => composite_of(types, &composite.fields, depth),
        TypeDef::Variant(_) if name() == "Option" => {
            let some = some_of(ty).map_or_else(|| "?".to_owned(), inner);
            format!("Option<{some}>")
        }
        TypeDef::Variant(_) => name(),
    }
}

fn composite_of(types: &PortableRegistry, fields: &[Field<PortableForm>], depth: usize) -> String {
    if let [field] = fields {
        return at_depth(types, field.ty.id, depth + 1);
    }
    let fields = named(types, fields, depth);
    if fields.iter().any(|(name, _)| name.is_empty()) {
        return tuple_of(fields.into_iter().map(|(_, shape)| shape).collect());
    }
    let fields: Vec<_> =
        fields.into_iter().map(|(name, shape)| format!("{name}: {shape}")).collect();
    format!("{{{}}}", fields.join(", "))
}

fn tuple_of(mut parts: Vec<String>) -> String {
    if parts.len() == 1 { parts.remove(0) } else { format!("({})", parts.join(", ")) }
}

fn primitive_name(primitive: &TypeDefPrimitive) -> &'static str {
    use TypeDefPrimitive as P;
    match primitive {
        P::Bool => "bool",
        P::Char => "char",
        P::Str => "str",
        P::U8 => "u8",
        P::U16 => "u16",
        P::U32 => "u32",
        P::U64 => "u64",
        P::U128 => "u128",
        P::U256 => "u256",
        P::I8 => "i8",
        P::I16 => "i16",
        P::I32 => "i32",
        P::I64 => "i64",
        P::I128 => "i128",
        P::I256 => "i256",
    }
}
