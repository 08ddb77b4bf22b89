//! What form an answer is held to.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Fault,
    fields::{Fields, kind_of},
};

/// What form an answer's text is held to, whoever spelled it how.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Format {
    /// Any text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema {
        /// The schema, and what it is called.
        json_schema: Schema,
    },
    /// Text that a regex matches as a whole.
    Regex {
        /// The expression.
        regex: String,
    },
    /// One of several texts.
    Choice {
        /// The texts.
        choice: Vec<String>,
    },
}

/// A JSON schema, and what it is called.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schema {
    /// What the caller calls it.
    pub name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The schema.
    pub schema: Value,
    /// Whether the caller insists; an answer fits either way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Longest regex, and most texts of a choice.
const MAX_REGEX_BYTES: usize = 4096;
const MAX_CHOICES: usize = 1024;

impl Format {
    /// Reads `response_format` of a chat.
    pub(crate) fn read(value: Value, path: &str) -> Result<Self, Fault> {
        let mut fields = Fields::of(value, path)?;
        let format = match fields.needed_text("type")?.as_str() {
            "text" => Self::Text,
            "json_object" => match fields.take("schema") {
                None => Self::JsonObject,
                Some(schema) => Self::of_schema(schema, &fields.path("schema"))?,
            },
            "json_schema" => {
                let at = fields.path("json_schema");
                let inner = fields.take("json_schema").ok_or_else(|| Fault::missing(&at))?;
                let mut inner = Fields::of(inner, &at)?;
                let schema = Schema::read(&mut inner)?;
                inner.finish(&[])?;
                Self::JsonSchema { json_schema: schema }
            }
            "regex" => Self::of_regex(fields.needed_text("regex")?, path)?,
            other => {
                let why = format_args!("'{other}' is none of text, json_object, json_schema");
                return Err(Fault::value(&fields.path("type"), why));
            }
        };
        fields.finish(&[])?;
        Ok(format)
    }

    /// Reads `text.format` of a response, where the schema lies flat.
    pub(crate) fn read_flat(value: Value, path: &str) -> Result<Self, Fault> {
        let mut fields = Fields::of(value, path)?;
        if fields.text("type")?.as_deref() != Some("json_schema") {
            let mut again = serde_json::Map::new();
            if let Some(kind) = fields.take("type") {
                again.insert("type".to_owned(), kind);
            }
            fields.finish(&[])?;
            return Self::read(again.into(), path);
        }
        let schema = Schema::read(&mut fields)?;
        fields.finish(&[])?;
        Ok(Self::JsonSchema { json_schema: schema })
    }

    /// Reads what other servers call guided decoding; at most one way may be used at a time.
    pub(crate) fn guided(fields: &mut Fields) -> Result<Option<(String, Self)>, Fault> {
        let mut found: Option<(String, Self)> = None;
        let mut nested = match fields.take("structured_outputs") {
            Some(value) => Some(Fields::of(value, "structured_outputs")?),
            None => None,
        };
        for prefix in ["guided_", ""] {
            let source = match (prefix, &mut nested) {
                ("", Some(nested)) => nested,
                ("", None) => break,
                _ => &mut *fields,
            };
            for kind in ["json", "regex", "choice", "json_object"] {
                let name = format!("{prefix}{kind}");
                let path = source.path(&name);
                let Some(value) = source.take(&name) else { continue };
                let Some(format) = Self::of_guide(kind, value, &path)? else { continue };
                if let Some((first, _)) = &found {
                    return Err(Fault::value(&path, format_args!("'{first}' is there already")));
                }
                found = Some((path, format));
            }
        }
        if let Some(nested) = nested {
            nested.finish(&[])?;
        }
        Ok(found)
    }

    fn of_guide(kind: &str, value: Value, path: &str) -> Result<Option<Self>, Fault> {
        match (kind, value) {
            ("json_object", Value::Bool(on)) => Ok(on.then_some(Self::JsonObject)),
            ("json", Value::String(text)) => {
                let schema = serde_json::from_str(&text)
                    .map_err(|error| Fault::value(path, format_args!("it is no JSON: {error}")))?;
                Self::of_schema(schema, path).map(Some)
            }
            ("json", schema) => Self::of_schema(schema, path).map(Some),
            ("regex", Value::String(regex)) => Self::of_regex(regex, path).map(Some),
            ("choice", Value::Array(items)) => Self::of_choice(items, path).map(Some),
            ("json_object", other) => Err(Fault::kind(path, "a boolean", kind_of(&other))),
            ("choice", other) => Err(Fault::kind(path, "an array of texts", kind_of(&other))),
            (_, other) => Err(Fault::kind(path, "a string", kind_of(&other))),
        }
    }

    fn of_schema(schema: Value, path: &str) -> Result<Self, Fault> {
        let schema = checked(schema, path)?;
        let json_schema = Schema { name: "answer".into(), description: None, schema, strict: None };
        Ok(Self::JsonSchema { json_schema })
    }

    fn of_regex(regex: String, path: &str) -> Result<Self, Fault> {
        if regex.is_empty() || regex.len() > MAX_REGEX_BYTES {
            return Err(Fault::value(path, format_args!("it has 1 to {MAX_REGEX_BYTES} bytes")));
        }
        Ok(Self::Regex { regex })
    }

    fn of_choice(items: Vec<Value>, path: &str) -> Result<Self, Fault> {
        let texts = items.into_iter().map(|item| match item {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        });
        match texts.collect::<Option<Vec<_>>>() {
            Some(choice) if (1..=MAX_CHOICES).contains(&choice.len()) => {
                Ok(Self::Choice { choice })
            }
            _ => Err(Fault::value(path, format_args!("it is 1 to {MAX_CHOICES} texts"))),
        }
    }
}

impl Schema {
    fn read(fields: &mut Fields) -> Result<Self, Fault> {
        let at = fields.path("schema");
        let schema = fields.take("schema").unwrap_or_else(|| json!({ "type": "object" }));
        Ok(Self {
            name: fields.needed_text("name")?,
            description: fields.text("description")?,
            schema: checked(schema, &at)?,
            strict: fields.switch("strict")?,
        })
    }
}

/// A schema is an object, or true.
pub(crate) fn checked(schema: Value, path: &str) -> Result<Value, Fault> {
    match schema {
        Value::Object(_) | Value::Bool(true) => Ok(schema),
        other => Err(Fault::kind(path, "a JSON schema", kind_of(&other))),
    }
}
