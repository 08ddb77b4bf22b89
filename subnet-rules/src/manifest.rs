//! `rule.toml`: the declared part of a rule, and its digest.
//!
//! ```toml
//! name = "serve"
//! version = 1
//! code = { native = "serve" }
//!
//! [tracks.quality]
//! role = "factor"
//! estimator = { beta = { confidence = 0.95 } }
//!
//! [pay]
//! shape = { proportional = { exponent = 1.0 } }
//! burn = { unearned = true }
//!
//! [params]                # the rule's own
//! ```
//!
//! The digest is taken over the values, not over the text: comments and spacing change nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use scoring::book::{Tracks, TracksError};
use scoring::pay::{Shape, ShapeError};
use scoring::weigh::Burn;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, canonical};
use crate::exchange::{Exchange, Whom};
use crate::tools::Need;

/// Longest `rule.toml` in bytes: a hundred times what the shipped ones need.
pub const MANIFEST_MAX: usize = 256 * 1024;
/// Longest name of a rule: fits a commitment on chain beside its digest.
const NAME_MAX: usize = 32;

/// The name of a rule: lower-case letters, digits and dashes, at most 32. Never a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleName(String);

/// A text that names no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rule's name: 1 to 32 lower-case letters, digits and dashes are wanted")]
pub struct RuleNameError(String);

impl RuleName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RuleName {
    type Error = RuleNameError;

    fn try_from(name: String) -> Result<Self, RuleNameError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let valid = (1..=NAME_MAX).contains(&name.len()) && name.chars().all(plain);
        if valid { Ok(Self(name)) } else { Err(RuleNameError(name)) }
    }
}

impl From<RuleName> for String {
    fn from(name: RuleName) -> Self {
        name.0
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the verbs are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// In this program, under this name: a rule may bear another than the code it is made of.
    Native(RuleName),
    /// In `rule.star` beside the manifest.
    Starlark,
    /// In the shipped rules named here, one for each class. A class is a mechanism of the subnet, with
    /// weights and a Yuma of its own, and the emission that the quota gives it.
    Compose(BTreeMap<String, RuleName>),
}

/// How standings are paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pay {
    /// From worth to shares.
    pub shape: Shape,
    /// What becomes of the rest.
    #[serde(default = "keep")]
    pub burn: Burn,
}

fn keep() -> Burn {
    Burn { always: 0.0, unearned: false }
}

/// A limit that the arena holds the rule to: on the share of all incentive that the actors of one kind
/// earn together, or on a figure of the rule's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// Kind of actor: `honest`, `lazy`, `copier`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Name of a figure: [`Rule::figures`](crate::rule::Rule::figures).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure: Option<String>,
    /// Least value, where the rule promises one.
    #[serde(default)]
    pub at_least: Option<f64>,
    /// Largest value, where the rule promises one.
    #[serde(default)]
    pub at_most: Option<f64>,
}

/// How miners are examined; all of it is the rule's, so that every validator does the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examine {
    /// Miners examined in a round, where each has a task of its own: the new and the unsure
    /// [first](crate::panel::choose). Where not declared, everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panel: Option<usize>,
    /// Tasks of a round: for each of the panel, where each has its own. One where not declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws: Option<u32>,
    /// Time for each message of an exchange, ms. [`DEADLINE_MS`] where not declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Blocks from one round to the next. [`EVERY`] where not declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// How a task travels, where the rule is in Starlark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Exchange>,
    /// Whom a draw is for, where the rule is in Starlark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whom: Option<Whom>,
}

/// Time for a message where a rule declares none, ms: a long answer of a slow engine.
pub const DEADLINE_MS: u64 = 30_000;
/// Blocks between rounds where a rule declares none: two minutes on the real chain.
pub const EVERY: u64 = 10;
/// Longest time for a message, ms: what a miner's server allows its handlers.
const LONGEST_DEADLINE_MS: u64 = 120_000;
/// Most tasks of a round for one miner.
const DRAWS_MAX: u32 = 256;

impl Examine {
    /// Tasks of a round, or for each of its panel.
    pub fn draws(&self) -> u32 {
        self.draws.unwrap_or(1)
    }

    /// Time for each message.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.unwrap_or(DEADLINE_MS))
    }

    /// Blocks from one round to the next.
    pub fn every(&self) -> u64 {
        self.every.unwrap_or(EVERY)
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self, code: &Code) -> Result<(), ManifestError> {
        let within = |name: &str, value: Option<u64>, most: u64| match value {
            Some(value) if !(1..=most).contains(&value) => {
                Err(ManifestError::Whole { path: format!("examine.{name}"), value, most })
            }
            _ => Ok(()),
        };
        within("panel", self.panel.map(|panel| panel as u64), u64::from(u16::MAX))?;
        within("draws", self.draws.map(u64::from), u64::from(DRAWS_MAX))?;
        within("deadline_ms", self.deadline_ms, LONGEST_DEADLINE_MS)?;
        within("every", self.every, 1_000_000)?;
        if (self.exchange.is_some() || self.whom.is_some()) && *code != Code::Starlark {
            return Err(ManifestError::NotDeclared);
        }
        let asked = matches!(self.exchange, None | Some(Exchange::Once | Exchange::Sealed));
        let whom = matches!(self.whom, None | Some(Whom::Each | Whom::Shared));
        if asked && whom { Ok(()) } else { Err(ManifestError::Unasked) }
    }
}

/// The declared part of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name.
    pub name: RuleName,
    /// Raised by the owner with every change.
    pub version: u32,
    /// Where the verbs are.
    pub code: Code,
    /// Lines of evidence and what they do; none where other rules are composed.
    #[serde(default)]
    pub tracks: Tracks,
    /// How it is paid.
    pub pay: Pay,
    /// How miners are examined.
    #[serde(default, skip_serializing_if = "Examine::is_default")]
    pub examine: Examine,
    /// What a validator needs to measure by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// What the arena holds it to.
    #[serde(default)]
    pub bounds: Vec<Bound>,
    /// The rule's own parameters.
    #[serde(default)]
    pub params: toml::Table,
}

/// Why a `rule.toml` is no manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Longer than [`MANIFEST_MAX`].
    #[error("rule.toml has {bytes} bytes; {MANIFEST_MAX} are the most")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not TOML, an unknown key or a wrong type; the source tells line and column.
    #[error("rule.toml: {0}")]
    Toml(#[from] toml::de::Error),
    /// Tracks that make no sense.
    #[error("rule.toml: {0}")]
    Tracks(#[from] TracksError),
    /// A pay shape that makes no sense.
    #[error("rule.toml: {0}")]
    Shape(#[from] ShapeError),
    /// A number that is NaN, infinite or out of range.
    #[error("rule.toml: `{path}` is {value}; {wanted} is wanted")]
    Number {
        /// Where.
        path: String,
        /// What was given.
        value: f64,
        /// What would be valid.
        wanted: &'static str,
    },
    /// A whole number out of range.
    #[error("rule.toml: `{path}` is {value}; a number within 1..={most} is wanted")]
    Whole {
        /// Where.
        path: String,
        /// What was given.
        value: u64,
        /// The most.
        most: u64,
    },
    /// Exchange or subject of a rule whose code decides them.
    #[error("rule.toml: [examine]: `exchange` and `whom` are for rules in Starlark")]
    NotDeclared,
    /// An exchange or a subject that rules in Starlark do not have.
    #[error(
        "rule.toml: [examine]: `exchange` is \"once\" or \"commit-open\", `whom` is \"each\" or \"shared\""
    )]
    Unasked,
    /// A bound on nothing, or on two things.
    #[error("rule.toml: bounds[{index}]: either `actor` or `figure` is wanted")]
    BoundOf {
        /// Which bound.
        index: usize,
    },
    /// A composition that makes no sense.
    #[error("rule.toml: {0}")]
    Composition(&'static str),
    /// Parameters that the rule does not take.
    #[error("rule.toml: [params]: {source}")]
    Params {
        /// What is wrong.
        source: toml::de::Error,
    },
}

impl Manifest {
    /// Reads a `rule.toml`.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MANIFEST_MAX {
            return Err(ManifestError::TooLong { bytes: text.len() });
        }
        let manifest: Self = toml::from_str(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Whether every value makes sense; for manifests that were changed in memory.
    pub fn check(&self) -> Result<(), ManifestError> {
        self.pay.shape.check()?;
        self.composition()?;
        share("pay.burn.always", self.pay.burn.always)?;
        self.examine.check(&self.code)?;
        for (index, bound) in self.bounds.iter().enumerate() {
            if bound.actor.is_some() == bound.figure.is_some() {
                return Err(ManifestError::BoundOf { index });
            }
            for (name, limit) in [("at_least", bound.at_least), ("at_most", bound.at_most)] {
                let (path, limit) = (format!("bounds[{index}].{name}"), limit.unwrap_or(0.0));
                match bound.actor {
                    Some(_) => share(&path, limit)?,
                    None => finite(&path, &toml::Value::Float(limit))?,
                }
            }
        }
        finite("params", &toml::Value::Table(self.params.clone()))
    }

    /// A quota goes with a composition of the same classes, and tracks with everything else.
    fn composition(&self) -> Result<(), ManifestError> {
        let Code::Compose(parts) = &self.code else {
            return match self.pay.shape {
                Shape::Quota { .. } => Err(ManifestError::Composition("a quota composes rules")),
                _ => Ok(self.tracks.check()?),
            };
        };
        let Shape::Quota { classes } = &self.pay.shape else {
            return Err(ManifestError::Composition("composed rules are paid by a quota"));
        };
        if !classes.keys().eq(parts.keys()) {
            return Err(ManifestError::Composition("quota and composition name the same classes"));
        }
        if self.tracks.iter().next().is_some() {
            return Err(ManifestError::Composition("the tracks are those of the composed rules"));
        }
        Ok(())
    }

    /// The rule's own parameters as its type.
    pub fn params<P: DeserializeOwned>(&self) -> Result<P, ManifestError> {
        self.params.clone().try_into().map_err(|source| ManifestError::Params { source })
    }

    /// The canonical bytes: JSON without spaces, keys of tables ascending, numbers in their shortest
    /// form that reads back equal.
    pub fn canonical(&self) -> String {
        // Every part is made of strings, numbers, lists and tables with string keys, and `check`
        // refuses the numbers JSON cannot write, so neither step can fail.
        serde_json::to_value(self).map(|value| canonical(&value)).unwrap_or_default()
    }

    /// The digest of a native rule; a rule with code of its own adds that
    /// (its source text).
    pub fn digest(&self) -> Digest {
        Digest::of("ganglion/rule/1", &[self.canonical().as_bytes()])
    }
}

fn share(path: &str, value: f64) -> Result<(), ManifestError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    let wanted = "a share within 0..=1";
    Err(ManifestError::Number { path: path.to_owned(), value, wanted })
}

/// No NaN and no infinity anywhere below `value`.
fn finite(path: &str, value: &toml::Value) -> Result<(), ManifestError> {
    match value {
        toml::Value::Float(value) if !value.is_finite() => {
            let wanted = "a finite number";
            Err(ManifestError::Number { path: path.to_owned(), value: *value, wanted })
        }
        toml::Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| finite(&format!("{path}[{index}]"), item)),
        toml::Value::Table(table) => {
            table.iter().try_for_each(|(key, item)| finite(&format!("{path}.{key}"), item))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#"
        name = "plain"
        version = 1
        code = { native = "plain" }
        [tracks.quality]
        role = "factor"
        estimator = { beta = { confidence = 0.95 } }
        [pay]
        shape = { proportional = { exponent = 1.0 } }
        [params]
        depth = 3
    "#;

    #[test]
    fn comments_and_spacing_do_not_change_the_digest() {
        let plain = Manifest::parse(PLAIN).unwrap();
        let commented = Manifest::parse(&format!("# a comment\n{PLAIN}\n\n")).unwrap();
        assert_eq!(plain.digest(), commented.digest());
    }

    #[test]
    fn every_value_changes_the_digest() {
        let plain = Manifest::parse(PLAIN).unwrap().digest();
        for (old, new) in
            [("0.95", "0.96"), ("depth = 3", "depth = 4"), ("version = 1", "version = 2")]
        {
            assert_ne!(Manifest::parse(&PLAIN.replace(old, new)).unwrap().digest(), plain);
        }
    }

    #[test]
    fn a_declared_panel_changes_the_digest_and_nobody_is_none() {
        let plain = Manifest::parse(PLAIN).unwrap();
        let with = |panel: &str| Manifest::parse(&format!("{PLAIN}\n[examine]\npanel = {panel}\n"));
        assert_ne!(with("8").unwrap().digest(), plain.digest());
        assert!(
            matches!(with("0"), Err(ManifestError::Whole { path, .. }) if path == "examine.panel")
        );
    }

    #[test]
    fn an_unknown_key_is_pointed_at_by_line_and_column() {
        let error =
            Manifest::parse(&PLAIN.replace("version = 1", "version = 1\n        colour = 2"));
        let text = error.unwrap_err().to_string();
        assert!(text.contains("line 4, column 9") && text.contains("colour"), "{text}");
    }

    #[test]
    fn numbers_that_are_none_are_refused_by_their_place() {
        let error = Manifest::parse(&PLAIN.replace("depth = 3", "depth = [1.0, nan]"));
        assert!(
            matches!(&error, Err(ManifestError::Number { path, .. }) if path == "params.depth[1]"),
            "{error:?}"
        );
        assert!(Manifest::parse(&PLAIN.replace("0.95", "nan")).is_err());
    }

    #[test]
    fn a_path_is_no_name() {
        for name in ["../serve", "Serve", "", "a/b", &"a".repeat(33)] {
            assert!(RuleName::try_from(name.to_owned()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_huge_file_is_refused_before_it_is_parsed() {
        let huge = "#".repeat(MANIFEST_MAX + 1);
        assert!(matches!(Manifest::parse(&huge), Err(ManifestError::TooLong { .. })));
    }
}
