//! A runtime API's answer that is a large struct, read field by field.
//!
//! Every field is found by its name in the connected runtime's metadata, and a field whose shape is the
//! known one is read in one go: decoding a column of keys byte by byte, as metadata alone would have it,
//! takes ten times as long as sending it.

use std::collections::HashMap;

use chain_metadata::shape;
use codec::{Compact, Decode};
use scale_info::{Field, PortableRegistry, TypeDef, TypeDefPrimitive, form::PortableForm};
use subxt::ext::scale_decode::{
    self, DecodeAsType,
    visitor::{IgnoreVisitor, decode_with_visitor},
};

/// Deepest nesting that is skipped by hand.
const MAX_DEPTH: usize = 12;

/// An answer's bytes, and the type that they are of.
pub(crate) struct Answer {
    pub(crate) type_id: u32,
    pub(crate) bytes: Vec<u8>,
}

/// The bytes of each field of a struct, by name.
pub(crate) struct Fields<'a> {
    types: &'a PortableRegistry,
    fields: HashMap<&'a str, (u32, &'a [u8])>,
}

/// Why a field does not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FieldError {
    /// The answer is no struct.
    #[error("it is no struct")]
    NoStruct,
    /// The struct has no such field.
    #[error("there is no field `{0}`")]
    Absent(&'static str),
    /// Its bytes are not what the metadata says.
    #[error("`{field}` does not decode")]
    Bytes { field: String, source: codec::Error },
    /// Its type is none that we can use.
    #[error("`{field}` is of another type")]
    Type { field: String, source: scale_decode::Error },
}

impl Answer {
    /// The fields of the struct, which may stand in an `Option`: `None` where that is empty.
    pub(crate) fn fields<'a>(
        &'a self,
        types: &'a PortableRegistry,
    ) -> Result<Option<Fields<'a>>, FieldError> {
        let mut input = &self.bytes[..];
        let ty = types.resolve(self.type_id).ok_or(FieldError::NoStruct)?;
        let id = match (&ty.type_def, ty.path.ident().as_deref()) {
            (TypeDef::Variant(_), Some("Option")) => {
                match input.split_off_first() {
                    Some(1) => {}
                    _ => return Ok(None),
                }
                let some = ty.type_params.first().and_then(|some| some.ty);
                some.ok_or(FieldError::NoStruct)?.id
            }
            _ => self.type_id,
        };
        let Some(TypeDef::Composite(composite)) = types.resolve(id).map(|ty| &ty.type_def) else {
            return Err(FieldError::NoStruct);
        };
        let mut fields = HashMap::new();
        for field in &composite.fields {
            let before = input;
            skip(types, field.ty.id, &mut input, 0).map_err(|source| named(field, source))?;
            let (bytes, _) = before.split_at(before.len() - input.len());
            fields.insert(field.name.as_deref().unwrap_or_default(), (field.ty.id, bytes));
        }
        Ok(Some(Fields { types, fields }))
    }
}

fn named(field: &Field<PortableForm>, source: codec::Error) -> FieldError {
    FieldError::Bytes { field: field.name.clone().unwrap_or_default(), source }
}

impl Fields<'_> {
    /// A field, if it is of this shape.
    pub(crate) fn plain<T: Decode>(
        &self,
        name: &'static str,
        known: &str,
    ) -> Result<Option<T>, FieldError> {
        let (id, mut bytes) = self.get(name)?;
        if shape(self.types, id) != known {
            return Ok(None);
        }
        let field = name.to_owned();
        T::decode(&mut bytes).map(Some).map_err(|source| FieldError::Bytes { field, source })
    }

    /// A field of whatever type, as far as its values fit.
    pub(crate) fn dynamic<T: DecodeAsType>(&self, name: &'static str) -> Result<T, FieldError> {
        let (id, mut bytes) = self.get(name)?;
        T::decode_as_type(&mut bytes, id, self.types)
            .map_err(|source| FieldError::Type { field: name.to_owned(), source })
    }

    fn get(&self, name: &'static str) -> Result<(u32, &[u8]), FieldError> {
        self.fields.get(name).copied().ok_or(FieldError::Absent(name))
    }
}

/// Moves `input` past a value.
fn skip(
    types: &PortableRegistry,
    id: u32,
    input: &mut &[u8],
    depth: usize,
) -> Result<(), codec::Error> {
    if let Some(width) = width(types, id, 0) {
        return past(input, width);
    }
    match types.resolve(id).map(|ty| &ty.type_def) {
        Some(TypeDef::Sequence(sequence)) if depth < MAX_DEPTH => {
            let Compact(len) = Compact::<u32>::decode(input)?;
            let (len, item) = (usize::try_from(len).unwrap_or(usize::MAX), sequence.type_param.id);
            match width(types, item, 0) {
                Some(width) => past(input, len.checked_mul(width).ok_or("too long")?),
                None => (0..len).try_for_each(|_| skip(types, item, input, depth + 1)),
            }
        }
        Some(TypeDef::Compact(_)) => Compact::<u128>::decode(input).map(drop),
        Some(TypeDef::Composite(composite)) if depth < MAX_DEPTH => {
            let fields = composite.fields.iter().map(|field| field.ty.id);
            fields.into_iter().try_for_each(|id| skip(types, id, input, depth + 1))
        }
        Some(TypeDef::Tuple(tuple)) if depth < MAX_DEPTH => {
            tuple.fields.iter().try_for_each(|field| skip(types, field.id, input, depth + 1))
        }
        _ => decode_with_visitor(input, id, types, IgnoreVisitor::new())
            .map(drop)
            .map_err(|_| codec::Error::from("the bytes end early, or are none of this type")),
    }
}

fn past(input: &mut &[u8], width: usize) -> Result<(), codec::Error> {
    input.split_off(..width).map(drop).ok_or_else(|| codec::Error::from("the bytes end early"))
}

/// Bytes of every value of a type, where all have as many.
fn width(types: &PortableRegistry, id: u32, depth: usize) -> Option<usize> {
    use TypeDefPrimitive as P;
    if depth > MAX_DEPTH {
        return None;
    }
    let of = |id| width(types, id, depth + 1);
    match &types.resolve(id)?.type_def {
        TypeDef::Primitive(P::Bool | P::U8 | P::I8) => Some(1),
        TypeDef::Primitive(P::U16 | P::I16) => Some(2),
        TypeDef::Primitive(P::U32 | P::I32) => Some(4),
        TypeDef::Primitive(P::U64 | P::I64) => Some(8),
        TypeDef::Primitive(P::U128 | P::I128) => Some(16),
        TypeDef::Primitive(P::U256 | P::I256) => Some(32),
        TypeDef::Array(array) => {
            of(array.type_param.id)?.checked_mul(usize::try_from(array.len).ok()?)
        }
        TypeDef::Composite(composite) => composite
            .fields
            .iter()
            .try_fold(0_usize, |sum, field| sum.checked_add(of(field.ty.id)?)),
        TypeDef::Tuple(tuple) => {
            tuple.fields.iter().try_fold(0_usize, |sum, field| sum.checked_add(of(field.id)?))
        }
        _ => None,
    }
}
