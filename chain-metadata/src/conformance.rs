//! Do the facts hold on this runtime, and what would an upgrade change?

use std::fmt;

use serde::Serialize;

use crate::{
    fact::{Fact, Shape, What, facts},
    runtime::{MetadataError, Runtime, Storage},
    shape::{fields, shape, variant, variant_fields},
};

/// What became of one fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It is missing, as it may be; what we do instead.
    Declared {
        /// What we do without it.
        instead: String,
    },
    /// The metadata's version does not list such things.
    NotListed,
    /// It is missing, and we cannot do without.
    Missing,
    /// It is there in another shape.
    Changed {
        /// What we know.
        expected: String,
        /// What is there.
        found: String,
    },
}

impl Verdict {
    /// Whether the suite will fail on it.
    pub fn is_red(&self) -> bool {
        matches!(self, Self::Missing | Self::Changed { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("holds"),
            Self::Declared { instead } => write!(f, "absent, as declared: {instead}"),
            Self::NotListed => f.write_str("not listed in metadata of this version"),
            Self::Missing => f.write_str("MISSING"),
            Self::Changed { expected, found } => write!(f, "CHANGED: {expected} became {found}"),
        }
    }
}

/// All facts against one runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The runtime's version.
    pub spec_version: u32,
    /// The metadata's version, 14 to 16.
    pub metadata_version: u32,
    /// Each fact with its verdict.
    pub findings: Vec<Finding>,
}

/// One fact with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The fact, such as `call SubtensorModule.serve_axon`.
    pub fact: String,
    /// First spec version known to have it; 0 for every one we have seen.
    pub since: u32,
    /// First spec version without it.
    pub until: Option<u32>,
    /// Whether any runtime may lack it.
    pub optional: bool,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Report {
    /// The findings on which the suite will fail.
    pub fn red(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.verdict.is_red())
    }
}

/// What differs for us between two runtimes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The fact.
    pub fact: String,
    /// Its shape in the first; `None` where it is absent.
    pub before: Option<String>,
    /// Its shape in the second; `None` where it is absent.
    pub after: Option<String>,
    /// What the suite makes of it in the second.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Holds every fact against raw metadata (SCALE, beginning with `meta`).
pub fn check(metadata: &[u8]) -> Result<Report, MetadataError> {
    let runtime = Runtime::read(metadata)?;
    let findings = facts().map(|fact| Finding {
        fact: fact.what.to_string(),
        since: fact.since,
        until: fact.until,
        optional: fact.optional,
        verdict: verdict(&fact, &runtime),
    });
    Ok(Report {
        spec_version: runtime.spec_version,
        metadata_version: runtime.metadata_version,
        findings: findings.collect(),
    })
}

/// The facts whose shape or presence differs between two runtimes. Where one metadata does not
/// list a kind of thing at all, that kind is left out.
pub fn diff(before: &[u8], after: &[u8]) -> Result<Vec<Difference>, MetadataError> {
    let (before, after) = (Runtime::read(before)?, Runtime::read(after)?);
    let runtimes = [&before, &after];
    let differs = |fact: Fact| {
        let found = runtimes.map(|runtime| match look_up(&fact.what, runtime) {
            Found::Is(shape) => Some(Some(shape)),
            Found::Absent => Some(None),
            Found::NotListed => None,
        });
        let [Some(before), Some(after)] = found else { return None };
        (before != after).then(|| {
            let verdict = verdict(&fact, runtimes[1]);
            Difference { fact: fact.what.to_string(), before, after, verdict }
        })
    };
    Ok(facts().filter_map(differs).collect())
}

fn verdict(fact: &Fact, runtime: &Runtime) -> Verdict {
    let found = match look_up(&fact.what, runtime) {
        Found::Is(found) => found,
        Found::NotListed => return Verdict::NotListed,
        Found::Absent if fact.may_be_absent(runtime.spec_version) => {
            return Verdict::Declared { instead: fact.instead.to_owned() };
        }
        Found::Absent => return Verdict::Missing,
    };
    let expected = expected(&fact.what);
    if expected == found { Verdict::Holds } else { Verdict::Changed { expected, found } }
}

/// The part of a runtime that a fact speaks of, in the words of the fact.
enum Found {
    Is(String),
    Absent,
    NotListed,
}

impl From<Option<String>> for Found {
    fn from(found: Option<String>) -> Self {
        found.map_or(Self::Absent, Self::Is)
    }
}

/// The shape we know, written as [`look_up`] writes the one it finds.
fn expected(what: &What) -> String {
    match *what {
        What::Call { args, .. } => {
            sorted(args.iter().map(|&(name, shape)| (name.to_owned(), shape.to_owned())).collect())
        }
        What::Storage { keys, value, .. } => signature(&owned(keys), &expected_shape(value)),
        What::Constant { value, .. } => value.to_owned(),
        What::Api { inputs, output, .. } => signature(&owned(inputs), &expected_shape(output)),
        What::Event { .. } | What::Error { .. } => String::new(),
    }
}

fn expected_shape(shape: Shape) -> String {
    match shape {
        Shape::Is(shape) => shape.to_owned(),
        Shape::Has(fields) => has(fields.iter().map(|&(n, s)| (n.to_owned(), s.to_owned()))),
    }
}

fn look_up(what: &What, runtime: &Runtime) -> Found {
    let types = &runtime.types;
    let pallet = |name: &str| runtime.pallets.get(name);
    match *what {
        What::Call { pallet: p, name, .. } => pallet(p)
            .and_then(|p| variant(types, p.calls?, name))
            .map(|call| sorted(variant_fields(types, call)))
            .into(),
        What::Event { pallet: p, name } => {
            pallet(p).and_then(|p| variant(types, p.events?, name)).map(|_| String::new()).into()
        }
        What::Error { pallet: p, name } => {
            pallet(p).and_then(|p| variant(types, p.errors?, name)).map(|_| String::new()).into()
        }
        What::Constant { pallet: p, name, .. } => {
            pallet(p).and_then(|p| p.constants.get(name)).map(|&(id, _)| shape(types, id)).into()
        }
        What::Storage { pallet: p, name, value, .. } => pallet(p)
            .and_then(|p| p.storage.get(name))
            .map(|found| {
                signature(&key_parts(runtime, found), &found_shape(runtime, found.value, value))
            })
            .into(),
        What::Api { api, method, output, .. } => {
            let Some(apis) = &runtime.apis else { return Found::NotListed };
            let found = apis.get(&(api.to_owned(), method.to_owned()));
            found
                .map(|found| {
                    let inputs: Vec<_> = found.inputs.iter().map(|&id| shape(types, id)).collect();
                    signature(&inputs, &found_shape(runtime, found.output, output))
                })
                .into()
        }
    }
}

/// The shape of a type; of a struct of which we read some fields, only these.
fn found_shape(runtime: &Runtime, id: u32, wanted: Shape) -> String {
    let Shape::Has(wanted) = wanted else { return shape(&runtime.types, id) };
    match fields(&runtime.types, id) {
        None => shape(&runtime.types, id),
        Some(found) => has(found
            .into_iter()
            .filter(|(name, _)| wanted.iter().any(|(wanted, _)| wanted == name))),
    }
}

fn key_parts(runtime: &Runtime, storage: &Storage) -> Vec<String> {
    use scale_info::TypeDef;
    let Some(key) = storage.key else { return Vec::new() };
    match runtime.types.resolve(key).map(|ty| &ty.type_def) {
        Some(TypeDef::Tuple(tuple)) if storage.parts > 1 => {
            tuple.fields.iter().map(|field| shape(&runtime.types, field.id)).collect()
        }
        _ => vec![shape(&runtime.types, key)],
    }
}

fn owned(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|&part| part.to_owned()).collect()
}

fn signature(inputs: &[String], output: &str) -> String {
    if inputs.is_empty() {
        output.to_owned()
    } else {
        format!("({}) → {output}", inputs.join(", "))
    }
}

/// A struct with at least these fields.
fn has(fields: impl Iterator<Item = (String, String)>) -> String {
    sorted(fields.collect())
}

fn sorted(mut fields: Vec<(String, String)>) -> String {
    fields.sort_unstable();
    let fields: Vec<_> =
        fields.into_iter().map(|(name, shape)| format!("{name}: {shape}")).collect();
    format!("{{{}}}", fields.join(", "))
}
