//! `rules`: the owner's commands.

use std::fmt::Display;
use std::io::{self, Write};

use clap::{Parser, Subcommand};

use crate::package::{Package, PackageError};

/// Write rules, check them, attack them.
#[derive(Debug, Parser)]
#[command(name = "subnet-rules", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read a rule's files and say whether they are valid, and its digest.
    Check(RuleArg),
    /// Say which values differ between two rules.
    Diff {
        /// The rule that is in force: a folder or the name of a shipped rule.
        old: String,
        /// The rule to compare with it.
        new: String,
    },
}

#[derive(Debug, clap::Args)]
struct RuleArg {
    /// A folder with rule.toml, or the name of a shipped rule.
    rule: String,
}

/// How a command ended; the number is the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done, and what was checked holds.
    Done = 0,
    /// It failed, or what was checked does not hold.
    Failed = 1,
    /// Bad usage or bad files.
    Usage = 2,
}

impl std::process::Termination for Outcome {
    fn report(self) -> std::process::ExitCode {
        (self as u8).into()
    }
}

/// Runs a command: results on stdout, errors with their causes and a hint on stderr.
pub fn main(args: Args) -> Outcome {
    match run(args.command, &mut io::stdout().lock()) {
        Ok(outcome) => outcome,
        Err(error) => {
            // A closed stderr leaves nobody to tell.
            drop(complain(&mut io::stderr().lock(), &error));
            Outcome::Usage
        }
    }
}

fn complain(to: &mut impl Write, error: &anyhow::Error) -> io::Result<()> {
    writeln!(to, "error: {error}")?;
    for cause in error.chain().skip(1) {
        writeln!(to, "  because: {cause}")?;
    }
    match error.downcast_ref::<PackageError>() {
        Some(PackageError::Unknown { .. }) => {
            writeln!(to, "hint: `rules new NAME` makes a folder to start from")
        }
        Some(PackageError::NotPlain { .. }) => {
            writeln!(to, "hint: copy the file into the folder: a digest covers bytes, not links")
        }
        _ => Ok(()),
    }
}

fn run(command: Command, out: &mut impl Write) -> anyhow::Result<Outcome> {
    match command {
        Command::Check(RuleArg { rule }) => check(&rule, out),
        Command::Diff { old, new } => diff(&old, &new, out),
    }
}

fn check(rule: &str, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let package = Package::find(rule)?;
    let manifest = &package.manifest;
    writeln!(out, "{} version {}: valid", manifest.name, manifest.version)?;
    for (name, track) in manifest.tracks.iter() {
        writeln!(out, "  {name}: {:?} by {}", track.role, track.estimator.name())?;
    }
    writeln!(out, "digest {}", package.digest())?;
    Ok(Outcome::Done)
}

fn diff(old: &str, new: &str, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let (old, new) = (Package::find(old)?, Package::find(new)?);
    if old.digest() == new.digest() {
        writeln!(out, "the same rule: digest {}", old.digest())?;
        return Ok(Outcome::Done);
    }
    let (before, after) =
        (serde_json::to_value(&old.manifest)?, serde_json::to_value(&new.manifest)?);
    let mut changes = Vec::new();
    compare("", &before, &after, &mut changes);
    for change in changes {
        writeln!(out, "{change}")?;
    }
    if old.source != new.source {
        writeln!(out, "rule.star: changed")?;
    }
    writeln!(out, "digest {} -> {}", old.digest(), new.digest())?;
    Ok(Outcome::Failed)
}

/// Lines `path: old -> new` for every value that differs.
fn compare(
    path: &str,
    old: &serde_json::Value,
    new: &serde_json::Value,
    changes: &mut Vec<String>,
) {
    use serde_json::Value::{Null, Object};
    match (old, new) {
        (Object(before), Object(after)) => {
            let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let value = |table: &serde_json::Map<_, _>| table.get(key).cloned();
                let (old, new) = (value(before), value(after));
                compare(&path, &old.unwrap_or(Null), &new.unwrap_or(Null), changes);
            }
        }
        _ if old == new => {}
        _ => changes.push(format!("{path}: {} -> {}", shown(old), shown(new))),
    }
}

fn shown(value: &serde_json::Value) -> impl Display {
    if value.is_null() { "absent".to_owned() } else { value.to_string() }
}
