//! `rules`: the owner's commands.

mod show;

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;

use crate::arena::{self, Cast, Hyperparameters, Kind, Point, Settings, Sweep, Venues};
use crate::audit;
use crate::manifest::{Manifest, RuleName};
use crate::native::{self, NativeError, Rehearsal};
use crate::package::{self, Package, PackageError};
use crate::star::texts::Actor;
use crate::star::{self, HostError, Mistake, Program, StarError};

/// Write rules, check them, attack them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a folder to start a rule from.
    New {
        /// The rule's name: lower-case letters, digits and dashes.
        name: String,
        /// The shipped rule to start from.
        #[arg(long, default_value = "serve")]
        from: String,
    },
    /// The rules that ship.
    List {
        /// Print a JSON array.
        #[arg(long)]
        json: bool,
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
    /// Host one rule in Starlark over stdin and stdout: how this program runs them, confined.
    #[command(hide = true)]
    Host,
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

/// Arguments of a command.
#[derive(Debug, clap::Args)]
pub struct ArenaArgs {
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
    /// Miners that a validator examines in an epoch, where each has a task of its own: the new and the
    /// unsure first. Without it, as the rule declares; a rule that declares nothing examines everybody.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    panel: Option<u16>,
    /// Play a kind by a program of your own: a Starlark file with a function of the kind's name.
    #[arg(long, value_name = "KIND=FILE", value_parser = actor)]
    actor: Vec<(Kind, PathBuf)>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Vary hyperparameters and adversary shares around the cast, and say where the rule is safe.
    #[arg(long, conflicts_with_all = ["html", "log"])]
    sweep: bool,
    /// Play on a chain of this machine, with real extrinsics: `ganglion rules arena` has one.
    #[arg(long, conflicts_with = "sweep")]
    on_chain: bool,
    /// Write a page with tables and plots.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the evidence log, for `replay`.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// Every kind of cheat against eight honest miners.
const DEFAULT_CAST: &str =
    "honest:8,lazy:2,copier:2,sybil:2x3,forger:1,substitute:2,poison:1,early-end:1,colluder:1";

/// Arguments of a command.
#[derive(Debug, clap::Args)]
pub struct LogArg {
    /// The log, as `arena --log` or a validator wrote it.
    log: PathBuf,
}

/// Arguments of a command.
#[derive(Debug, clap::Args)]
pub struct RuleArg {
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
///
/// `program` is this program, called in a way that ends in the hidden command `host`; `venues` starts
/// chains for `arena --on-chain`.
pub fn main(command: Command, program: &Program, venues: Option<&dyn Venues>) -> Outcome {
    match run(command, program, venues, &mut io::stdout().lock()) {
        Ok(outcome) => outcome,
        Err(error) => {
            // A closed stderr leaves nobody to tell.
            drop(complain(&mut io::stderr().lock(), &error));
            Outcome::Usage
        }
    }
}

fn complain(to: &mut impl Write, error: &anyhow::Error) -> io::Result<()> {
    let mut said = error.to_string();
    writeln!(to, "error: {said}")?;
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // What the line above ends with is not said twice.
        if !said.ends_with(&cause) {
            writeln!(to, "  because: {cause}")?;
            said = cause;
        }
    }
    if let Some(hint) = error.chain().find_map(mistake).and_then(|mistake| mistake.hint.as_ref()) {
        return writeln!(to, "hint: {hint}");
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

/// The mistake in a Starlark source behind an error, if that is what it is.
fn mistake<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e Mistake> {
    let of_host = |error: &'e HostError| match error {
        HostError::Mistake(mistake) => Some(mistake),
        _ => None,
    };
    match cause.downcast_ref::<NativeError>() {
        Some(NativeError::Star(StarError::Host(error)) | NativeError::Actor(error)) => {
            of_host(error)
        }
        _ => None,
    }
}

fn run(
    command: Command,
    program: &Program,
    venues: Option<&dyn Venues>,
    out: &mut impl Write,
) -> anyhow::Result<Outcome> {
    match command {
        Command::Host => {
            star::host::serve(io::stdin().lock(), out)?;
            Ok(Outcome::Done)
        }
        Command::New { name, from } => new(name, &from, out),
        Command::List { json } => list(json, out),
        Command::Arena(args) => arena(&args, program, venues, out),
        Command::Replay(LogArg { log }) => replay(&log, program, out),
        Command::Explain(LogArg { log }) => explain(&log, program, out),
        Command::Yuma(args) => {
            audit::yuma(&args, out)?;
            Ok(Outcome::Done)
        }
        Command::Swap(args) => {
            audit::swap(&args, out)?;
            Ok(Outcome::Done)
        }
        Command::Check(RuleArg { rule }) => check(&rule, program, out),
        Command::Diff { old, new } => diff(&old, &new, out),
    }
}

fn new(name: String, from: &str, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let folder = Package::scaffold(&RuleName::try_from(name)?, from, Path::new("."))?;
    writeln!(out, "{}: edit rule.toml, then `rules check` and `rules arena`", folder.display())?;
    Ok(Outcome::Done)
}

/// `KIND=FILE` of `--actor`.
fn actor(text: &str) -> Result<(Kind, PathBuf), String> {
    let (kind, file) = text.split_once('=').ok_or("KIND=FILE is wanted")?;
    let known = Kind::ALL.map(Kind::name).join(", ");
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind);
    Ok((kind.ok_or(format!("KIND is one of {known}"))?, PathBuf::from(file)))
}

fn arena(
    args: &ArenaArgs,
    program: &Program,
    venues: Option<&dyn Venues>,
    out: &mut impl Write,
) -> anyhow::Result<Outcome> {
    let venues = venues.filter(|_| args.on_chain);
    if args.on_chain && venues.is_none() {
        bail!("this program has no chain: `ganglion rules arena --on-chain` has one");
    }
    let package = Package::find(&args.rule.rule)?;
    let settings = Settings {
        epochs: args.epochs,
        cast: args.cast.clone(),
        validators: args.validators,
        seed: args.seed,
        chain: Hyperparameters::default(),
        panel: args.panel.map(usize::from),
    };
    let trials = Package::trials(&args.rule.rule)?;
    let actors = args
        .actor
        .iter()
        .map(|(kind, file)| {
            let source = package::read(file, package::SOURCE_MAX)?;
            Ok(Actor { kind: *kind, file: file.display().to_string(), source })
        })
        .collect::<Result<Vec<_>, PackageError>>()?;
    let (settings, trials, actors) = (&settings, &trials, &actors);
    let rehearsal = Rehearsal { settings, trials, actors, program, venues };
    if args.sweep {
        return sweep(args, &package, &rehearsal, out);
    }
    let report = match &args.log {
        None => native::rehearse(&package, &rehearsal, io::sink())?,
        Some(path) => {
            let file =
                File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            let mut log = BufWriter::new(file);
            let report = native::rehearse(&package, &rehearsal, &mut log)?;
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

/// Plays every season of a sweep, with a line on stderr for each.
fn sweep(
    args: &ArenaArgs,
    package: &Package,
    rehearsal: &Rehearsal<'_>,
    out: &mut impl Write,
) -> anyhow::Result<Outcome> {
    let all = arena::points(rehearsal.settings);
    let mut points = Vec::with_capacity(all.len());
    let mut last = None;
    for (number, (times, settings)) in (1..).zip(&all) {
        let report = native::rehearse(package, &Rehearsal { settings, ..*rehearsal }, io::sink())?;
        let point = Point::new(*times, settings, &report);
        let word = if point.holds { "holds" } else { "BROKEN" };
        let (league, cheats) = (point.stake_in_league, point.cheats);
        // A closed stderr only loses the progress.
        drop(writeln!(
            io::stderr(),
            "{number}/{}: {league:.2} of stake in league, {cheats:.2} cheats: {word}",
            all.len()
        ));
        points.push(point);
        last = Some(report);
    }
    let report = last.context("no cast of this size fits a subnet")?;
    let sweep = Sweep::new(&report, points);
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&sweep)?)?;
    } else {
        show::sweep(&sweep, out)?;
    }
    let safe = sweep.safe.iter().all(|region| region.stake_in_league.is_some());
    Ok(if safe { Outcome::Done } else { Outcome::Failed })
}

fn open(log: &Path) -> anyhow::Result<BufReader<File>> {
    let file = File::open(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(BufReader::new(file))
}

fn replay(log: &Path, program: &Program, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let recomputed = native::replay(program, || open(log))?;
    for (class, replayed) in &recomputed.parts {
        let class = class.as_ref().map(|class| format!(", {class}")).unwrap_or_default();
        writeln!(
            out,
            "{}{class}: {} rounds judged again, {} epochs settled to the same weights",
            recomputed.manifest.name, replayed.rounds, replayed.settled
        )?;
    }
    writeln!(out, "log digest {}", recomputed.head)?;
    Ok(Outcome::Done)
}

fn explain(log: &Path, program: &Program, out: &mut impl Write) -> anyhow::Result<Outcome> {
    for (class, replayed) in native::replay(program, || open(log))?.parts {
        if let Some(class) = class {
            writeln!(out, "class {class}")?;
        }
        for (validator, (epoch, settlement)) in &replayed.latest {
            show::settlement(validator, *epoch, settlement, out)?;
        }
    }
    Ok(Outcome::Done)
}

/// The rules that ship.
fn list(json: bool, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let shipped: Vec<Package> =
        Package::names().map(Package::shipped).collect::<Result<_, PackageError>>()?;
    if json {
        let entry = |package: &Package| {
            let Manifest { name, version, code, .. } = &package.manifest;
            let code = show::code(code);
            json!({ "name": name, "version": version, "code": code, "digest": package.digest() })
        };
        let all: Vec<_> = shipped.iter().map(entry).collect();
        writeln!(out, "{}", serde_json::to_string(&all)?)?;
    } else {
        show::rules(&shipped, out)?;
    }
    Ok(Outcome::Done)
}

fn check(rule: &str, program: &Program, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let package = Package::find(rule)?;
    let cases = native::check(&package, &Package::trials(rule)?, program)?;
    let manifest = &package.manifest;
    writeln!(out, "{} version {}: valid", manifest.name, manifest.version)?;
    for (name, track) in manifest.tracks.iter() {
        writeln!(out, "  {name}: {:?} by {}", track.role, track.estimator.name())?;
    }
    writeln!(out, "  {cases} golden cases come out as written")?;
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
