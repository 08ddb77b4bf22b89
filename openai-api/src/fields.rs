//! Reads an object field by field, and knows what was left unread.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::{Fault, refused::Refused};

/// The fields of one object. Null stands for a field that is not there.
pub(crate) struct Fields {
    map: Map<String, Value>,
    path: String,
}

/// What a value is, in words for an error.
pub(crate) fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

impl Fields {
    /// The fields of a request's body.
    pub(crate) fn of_body(body: &[u8]) -> Result<Self, Fault> {
        match serde_json::from_slice(body).map_err(Fault::json)? {
            Value::Object(map) => Ok(Self { map, path: String::new() }),
            other => Err(Fault::json(format_args!("it is {}, not an object", kind_of(&other)))),
        }
    }

    /// The fields of a part of a request, at `path`.
    pub(crate) fn of(value: Value, path: &str) -> Result<Self, Fault> {
        match value {
            Value::Object(map) => Ok(Self { map, path: path.to_owned() }),
            other => Err(Fault::kind(path, "an object", kind_of(&other))),
        }
    }

    /// The path of field `name`.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(Fault::kind(&self.path(name), "a string", kind_of(&other))),
        }
    }

    pub(crate) fn needed_text(&mut self, name: &str) -> Result<String, Fault> {
        self.text(name)?.ok_or_else(|| Fault::missing(&self.path(name)))
    }

    pub(crate) fn switch(&mut self, name: &str) -> Result<Option<bool>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(on)) => Ok(Some(on)),
            Some(other) => Err(Fault::kind(&self.path(name), "a boolean", kind_of(&other))),
        }
    }

    pub(crate) fn number(
        &mut self,
        name: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f32>, Fault> {
        let Some(value) = self.take(name) else { return Ok(None) };
        number(&value, &self.path(name), range).map(Some)
    }

    pub(crate) fn whole<N: TryFrom<i128>>(
        &mut self,
        name: &str,
        range: RangeInclusive<i128>,
    ) -> Result<Option<N>, Fault> {
        let Some(value) = self.take(name) else { return Ok(None) };
        whole(&value, &self.path(name), range).map(Some)
    }

    pub(crate) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(Fault::kind(&self.path(name), "an array", kind_of(&other))),
        }
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(Fault::kind(&self.path(name), "an object", kind_of(&other))),
        }
    }

    /// Refuses what was not read: known fields by the reason that `refused` gives, unless they are
    /// neutral, and the others as unknown.
    pub(crate) fn finish(self, refused: &[&[Refused]]) -> Result<(), Fault> {
        for (name, value) in &self.map {
            if value.is_null() {
                continue;
            }
            let path = self.path(name);
            let known = refused.iter().copied().flatten().find(|refused| refused.name == name);
            match known {
                None => return Err(Fault::unknown(&path)),
                Some(known) => known.check(&path, value)?,
            }
        }
        Ok(())
    }
}

/// A finite number within `range`.
pub(crate) fn number(value: &Value, path: &str, range: RangeInclusive<f64>) -> Result<f32, Fault> {
    let Value::Number(number) = value else {
        return Err(Fault::kind(path, "a number", kind_of(value)));
    };
    let beyond = || {
        let (low, high) = (range.start(), range.end());
        Fault::value(path, format_args!("{number} is not within {low} to {high}"))
    };
    let within = number.as_f64().filter(|number| range.contains(number)).ok_or_else(beyond)?;
    #[expect(clippy::cast_possible_truncation, reason = "f32 is what samplers compute in")]
    let within = within as f32;
    Ok(within)
}

/// A whole number within `range`, which `N` holds.
pub(crate) fn whole<N: TryFrom<i128>>(
    value: &Value,
    path: &str,
    range: RangeInclusive<i128>,
) -> Result<N, Fault> {
    let Value::Number(number) = value else {
        return Err(Fault::kind(path, "a whole number", kind_of(value)));
    };
    let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    let (low, high) = (*range.start(), *range.end());
    let beyond = || Fault::value(path, format_args!("{number} is not within {low} to {high}"));
    match whole {
        Some(whole) if range.contains(&whole) => N::try_from(whole).map_err(|_| beyond()),
        None if number.as_f64().is_some_and(|number| number.fract() != 0.0) => {
            Err(Fault::kind(path, "a whole number", kind_of(value)))
        }
        // Such as 5.0, and numbers beyond 64 bits.
        None if number.as_f64().is_some_and(|number| number.abs() < 1e15) => {
            Err(Fault::kind(path, "a whole number without a point", kind_of(value)))
        }
        _ => Err(beyond()),
    }
}
