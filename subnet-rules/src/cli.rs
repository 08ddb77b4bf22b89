//! `rules`: the owner's commands.

mod show;

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chain_metadata::Hotkey;
use clap::{Parser, Subcommand};

use crate::arena::{Cast, Settings};
use crate::audit;
use crate::manifest::RuleName;
use crate::native;
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
    /// Make a folder to start a rule from.
    New {
        /// The rule's name: lower-case letters, digits and dashes.
        name: String,
        /// The shipped rule to start from.
        #[arg(long, default_value = "serve")]
        from: String,
    },
    /// Play a rule against a cast of cheats, for hundreds of epochs, in process.
    ///
    /// Fails when a bound of the rule or one of the ten laws breaks.
    Arena(ArenaArgs),
    /// Recompute a log of measurements: the same tasks, evidence and weights must follow.
    Replay(LogArg),
    /// Say what each miner in a log is worth in the end, and why.
    Explain(LogArg),
    /// Recompute what epochs paid, from recorded inputs.
    Yuma(audit::Args),
    /// Recompute swaps of recorded pools.
    Swap(audit::Args),
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
struct ArenaArgs {
    #[command(flatten)]
    rule: RuleArg,
    /// How many epochs.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    epochs: u64,
    /// Who plays: `kind:count`, or `kind:KxN` for K operators of N identities each.
    #[arg(long, default_value = DEFAULT_CAST)]
    cast: Cast,
    /// How many validators, of equal stake; as many as there are colluders are in league with them.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=64))]
    validators: u16,
    /// Equal seeds play equal seasons.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Write a page with tables and plots.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the evidence log, for `replay`.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// Every kind of cheat against eight honest miners.
const DEFAULT_CAST: &str =
    "honest:8,lazy:2,copier:2,sybil:2x3,forger:1,substitute:2,poison:1,colluder:1";

#[derive(Debug, clap::Args)]
struct LogArg {
    /// The log, as `arena --log` or a validator wrote it.
    log: PathBuf,
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
        Command::New { name, from } => new(name, &from, out),
        Command::Arena(args) => arena(&args, out),
        Command::Replay(LogArg { log }) => replay(&log, out),
        Command::Explain(LogArg { log }) => explain(&log, out),
        Command::Yuma(args) => {
            audit::yuma(&args, out)?;
            Ok(Outcome::Done)
        }
        Command::Swap(args) => {
            audit::swap(&args, out)?;
            Ok(Outcome::Done)
        }
        Command::Check(RuleArg { rule }) => check(&rule, out),
        Command::Diff { old, new } => diff(&old, &new, out),
    }
}

fn new(name: String, from: &str, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let folder = Package::scaffold(&RuleName::try_from(name)?, from, Path::new("."))?;
    writeln!(out, "{}: edit rule.toml, then `rules check` and `rules arena`", folder.display())?;
    Ok(Outcome::Done)
}

fn arena(args: &ArenaArgs, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let package = Package::find(&args.rule.rule)?;
    let settings = Settings {
        epochs: args.epochs,
        cast: args.cast.clone(),
        validators: args.validators,
        seed: args.seed,
    };
    let report = match &args.log {
        None => native::rehearse(&package, &settings, io::sink())?,
        Some(path) => {
            let file =
                File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            let mut log = BufWriter::new(file);
            let report = native::rehearse(&package, &settings, &mut log)?;
            log.flush()?;
            report
        }
    };
    if let Some(path) = &args.html {
        fs::write(path, report.html())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        show::report(&report, out)?;
    }
    Ok(if report.holds() { Outcome::Done } else { Outcome::Failed })
}

fn open(log: &Path) -> anyhow::Result<BufReader<File>> {
    let file = File::open(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(BufReader::new(file))
}

fn replay(log: &Path, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let (manifest, replayed) = native::replay(|| open(log))?;
    writeln!(
        out,
        "{}: {} rounds judged again, {} epochs settled to the same weights",
        manifest.name, replayed.rounds, replayed.settled
    )?;
    writeln!(out, "log digest {}", replayed.head)?;
    Ok(Outcome::Done)
}

fn explain(log: &Path, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let (_, replayed) = native::replay(|| open(log))?;
    for (validator, (epoch, settlement)) in &replayed.latest {
        show::settlement(&Hotkey::from_bytes(*validator), *epoch, settlement, out)?;
    }
    Ok(Outcome::Done)
}

fn check(rule: &str, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let package = Package::find(rule)?;
    native::check(&package)?;
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
