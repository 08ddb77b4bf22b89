//! A request that is not taken, and which of its fields is the reason.

use std::fmt;

/// What kind of fault it is; its name is the `code` of the API's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCode {
    /// The body is not a JSON object.
    Json,
    /// A field that must be there is not.
    Missing,
    /// A field is of another type.
    Type,
    /// A field is out of bounds.
    Value,
    /// A field is known and not done here.
    Unsupported,
    /// A field that nobody knows.
    Unknown,
}

impl FaultCode {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "invalid_json",
            Self::Missing => "missing_required_parameter",
            Self::Type => "invalid_type",
            Self::Value => "invalid_value",
            Self::Unsupported => "unsupported_parameter",
            Self::Unknown => "unknown_parameter",
        }
    }
}

/// A request that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which kind.
    pub code: FaultCode,
    /// The field, as a path: `messages[0].content`; `None` where the body as a whole is at fault.
    pub param: Option<String>,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl Fault {
    fn of(code: FaultCode, param: &str, message: String) -> Self {
        Self { code, param: Some(param.to_owned()), message }
    }

    /// The body is no JSON object.
    pub fn json(why: impl fmt::Display) -> Self {
        let message = format!("We could not parse the JSON body of your request: {why}.");
        Self { code: FaultCode::Json, param: None, message }
    }

    /// A field that must be there is not.
    pub fn missing(param: &str) -> Self {
        let message = format!("Missing required parameter: '{param}'.");
        Self::of(FaultCode::Missing, param, message)
    }

    /// A field is of another type than `wanted`.
    pub fn kind(param: &str, wanted: &str, found: impl fmt::Display) -> Self {
        let message = format!("Invalid type for '{param}': expected {wanted}, but got {found}.");
        Self::of(FaultCode::Type, param, message)
    }

    /// A field is out of bounds.
    pub fn value(param: &str, why: impl fmt::Display) -> Self {
        Self::of(FaultCode::Value, param, format!("Invalid value for '{param}': {why}."))
    }

    /// A field is known and not done here.
    pub fn unsupported(param: &str, why: impl fmt::Display) -> Self {
        let message = format!("Unsupported parameter: '{param}' is not supported here: {why}.");
        Self::of(FaultCode::Unsupported, param, message)
    }

    /// A field that nobody knows.
    pub fn unknown(param: &str) -> Self {
        let message = format!(
            "Unrecognized request argument supplied: '{param}'; nothing is ignored here, so leave \
             it out."
        );
        Self::of(FaultCode::Unknown, param, message)
    }
}
