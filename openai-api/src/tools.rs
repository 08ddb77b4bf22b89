//! Tools that a model may call.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Fault,
    fields::{Fields, kind_of},
    format::checked,
};

/// Most tools of one request, as in the API.
const MAX_TOOLS: usize = 128;

/// Longest name of a tool, as in the API.
const MAX_NAME: usize = 64;

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// `function`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is.
    pub function: Function,
}

/// A function that can be called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON schema of what it takes.
    pub parameters: Value,
    /// Whether the caller insists on the schema; calls fit either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Whether tools are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// No tool is called.
    None,
    /// The model decides.
    #[default]
    Auto,
    /// Some tool is called.
    Required,
    /// This one is called.
    Function(String),
    /// Of these some may be called, or some must.
    Allowed {
        /// Their names.
        names: Vec<String>,
        /// Whether one must.
        required: bool,
    },
}

impl Serialize for ToolChoice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let function = |name: &String| json!({ "type": "function", "function": { "name": name } });
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::Required => serializer.serialize_str("required"),
            Self::Function(name) => function(name).serialize(serializer),
            Self::Allowed { names, required } => {
                let tools: Vec<Value> = names.iter().map(function).collect();
                let mode = if *required { "required" } else { "auto" };
                json!({ "type": "allowed_tools", "allowed_tools": { "mode": mode, "tools": tools } })
                    .serialize(serializer)
            }
        }
    }
}

impl Tool {
    /// Reads `tools`; `flat` where the function's fields are the tool's own, as responses have them.
    pub(crate) fn read_all(items: Vec<Value>, path: &str, flat: bool) -> Result<Vec<Self>, Fault> {
        if items.len() > MAX_TOOLS {
            return Err(Fault::value(path, format_args!("there are more than {MAX_TOOLS}")));
        }
        let mut tools: Vec<Self> = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let at = format!("{path}[{index}]");
            let tool = Self::read(item, &at, flat)?;
            if tools.iter().any(|other| other.function.name == tool.function.name) {
                let why = format_args!("another tool is called '{}'", tool.function.name);
                return Err(Fault::value(&at, why));
            }
            tools.push(tool);
        }
        Ok(tools)
    }

    fn read(value: Value, path: &str, flat: bool) -> Result<Self, Fault> {
        let mut fields = Fields::of(value, path)?;
        let kind = fields.needed_text("type")?;
        if kind != "function" {
            let why = format_args!("tools of type '{kind}' are not run; only functions are called");
            return Err(Fault::unsupported(&fields.path("type"), why));
        }
        let function = if flat {
            Function::read(&mut fields)?
        } else {
            let at = fields.path("function");
            let inner = fields.take("function").ok_or_else(|| Fault::missing(&at))?;
            let mut inner = Fields::of(inner, &at)?;
            let function = Function::read(&mut inner)?;
            inner.finish(&[])?;
            function
        };
        fields.finish(&[])?;
        Ok(Self { kind, function })
    }
}

impl Function {
    fn read(fields: &mut Fields) -> Result<Self, Fault> {
        let name = fields.needed_text("name")?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits) {
            let why = format_args!("1 to {MAX_NAME} letters, digits, '_' and '-' make a name");
            return Err(Fault::value(&fields.path("name"), why));
        }
        let at = fields.path("parameters");
        let nothing = || json!({ "type": "object", "properties": {} });
        let parameters = fields.take("parameters").unwrap_or_else(nothing);
        if !parameters.is_object() {
            return Err(Fault::kind(&at, "a JSON schema", kind_of(&parameters)));
        }
        Ok(Self {
            name,
            description: fields.text("description")?,
            parameters: checked(parameters, &at)?,
            strict: fields.switch("strict")?,
        })
    }
}

impl ToolChoice {
    /// Reads `tool_choice` beside these tools.
    pub(crate) fn read(value: Option<Value>, tools: &[Tool]) -> Result<Self, Fault> {
        const AT: &str = "tool_choice";
        let choice = match value {
            None if tools.is_empty() => return Ok(Self::None),
            None => return Ok(Self::Auto),
            Some(Value::String(text)) => match text.as_str() {
                "none" => return Ok(Self::None),
                "auto" if tools.is_empty() => return Ok(Self::None),
                "auto" => Self::Auto,
                "required" | "any" => Self::Required,
                other => {
                    let why = format_args!("'{other}' is none of none, auto, required");
                    return Err(Fault::value(AT, why));
                }
            },
            Some(value) => Self::read_object(value)?,
        };
        if tools.is_empty() {
            return Err(Fault::value(AT, "it needs 'tools'"));
        }
        let known = |name: &String| tools.iter().any(|tool| tool.function.name == *name);
        let named: &[String] = match &choice {
            Self::Function(name) => std::slice::from_ref(name),
            Self::Allowed { names, .. } => names,
            _ => &[],
        };
        match named.iter().find(|name| !known(name)) {
            Some(name) => Err(Fault::value(AT, format_args!("no tool is called '{name}'"))),
            None => Ok(choice),
        }
    }

    fn read_object(value: Value) -> Result<Self, Fault> {
        let mut fields = Fields::of(value, "tool_choice")?;
        let kind = fields.needed_text("type")?;
        let choice = match kind.as_str() {
            "function" => Self::Function(function_name(&mut fields)?),
            "allowed_tools" => {
                let mut inner = allowed(&mut fields)?;
                let required = match inner.needed_text("mode")?.as_str() {
                    "auto" => false,
                    "required" => true,
                    other => {
                        let why = format_args!("'{other}' is neither auto nor required");
                        return Err(Fault::value(&inner.path("mode"), why));
                    }
                };
                let tools = inner.list("tools")?.unwrap_or_default();
                let names = tools.into_iter().map(|tool| {
                    let mut tool = Fields::of(tool, "tool_choice.allowed_tools.tools")?;
                    tool.take("type");
                    function_name(&mut tool)
                });
                let names = names.collect::<Result<Vec<_>, _>>()?;
                inner.finish(&[])?;
                if names.is_empty() {
                    return Err(Fault::value("tool_choice", "it allows no tool"));
                }
                Self::Allowed { names, required }
            }
            other => {
                let why = format_args!("a choice of type '{other}'; only functions are called");
                return Err(Fault::unsupported("tool_choice", why));
            }
        };
        fields.finish(&[])?;
        Ok(choice)
    }
}

/// What is allowed: chats have it one level deeper than responses.
fn allowed(fields: &mut Fields) -> Result<Fields, Fault> {
    if let Some(inner) = fields.take("allowed_tools") {
        return Fields::of(inner, "tool_choice.allowed_tools");
    }
    let mut map = serde_json::Map::new();
    for name in ["mode", "tools"] {
        map.extend(fields.take(name).map(|value| (name.to_owned(), value)));
    }
    Fields::of(map.into(), "tool_choice")
}

/// A function's name, in an object `function` or flat.
fn function_name(fields: &mut Fields) -> Result<String, Fault> {
    match fields.take("function") {
        None => fields.needed_text("name"),
        Some(function) => {
            let mut function = Fields::of(function, &fields.path("function"))?;
            let name = function.needed_text("name")?;
            function.finish(&[])?;
            Ok(name)
        }
    }
}
