//! What the commands dispatch on: rules written in this program, by name, and rules in Starlark.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::thread;

use crate::arena::worlds::forecasting::Forecasting;
use crate::arena::worlds::forging::Forging;
use crate::arena::worlds::serving::{self, Serving};
use crate::arena::worlds::texts::{Actor, Texts};
use crate::arena::worlds::tuning::Tuning;
use crate::arena::{
    ArenaError, Part, Report, Season, Settings, Venues, World, compose, play_at, unsplit,
};
use crate::cases::{self, CaseError};
use crate::digest::Digest;
use crate::forge::{Forge, ForgeError};
use crate::log::{self, Body, ReplayError, Replayed, Sections};
use crate::manifest::{Code, Manifest, RuleName};
use crate::package::{Package, PackageError, Trials};
use crate::rule::Rule;
use crate::serve::{Serve, ServeError};
use crate::star::{HostError, Limits, Program, Star, StarError};
use crate::topic::{Topic, TopicError};
use crate::tune::{Tune, TuneError};

/// Why a rule cannot be run here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NativeError {
    /// No rule of that name is written in this program.
    #[error("no rule `{0}` is written in this program")]
    Unknown(String),
    /// Its manifest is not one of `serve`.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Its manifest is not one of `forge`.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// Its manifest is not one of `topic`.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Its manifest is not one of `tune`.
    #[error(transparent)]
    Tune(#[from] TuneError),
    /// Its source cannot be run.
    #[error(transparent)]
    Star(#[from] StarError),
    /// An actor's program made a mistake: what it played is void.
    #[error("an actor cannot play")]
    Actor(#[from] HostError),
    /// Actors of one's own play rules whose answers are texts.
    #[error("`{0}` is played by actors of its own world: `--actor` is for rules in Starlark")]
    Actors(String),
    /// A golden case comes out otherwise.
    #[error("cases.json: {0}")]
    Case(#[from] CaseError),
    /// A class's rule has no season of its own that could be put together with others.
    #[error("`{0}` cannot be a class of a quota: rules written in this program can")]
    Part(String),
    /// A composed rule that does not ship.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A season failed.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// A log does not replay.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// Who plays against a rule, and where.
#[derive(Debug)]
pub struct Rehearsal<'a> {
    /// What is played.
    pub settings: &'a Settings,
    /// What lies beside the rule.
    pub trials: &'a Trials,
    /// Programs of the owner's own for some of the kinds.
    pub actors: &'a [Actor],
    /// Hosts rules and actors in Starlark.
    pub program: &'a Program,
    /// Chains to play on; without them, epochs are computed in process.
    pub venues: Option<&'a dyn Venues>,
}

/// Plays a season of a rule against a cast.
pub fn rehearse(
    package: &Package,
    rehearsal: &Rehearsal<'_>,
    log: impl Write,
) -> Result<Report, NativeError> {
    let mut report = match &package.manifest.code {
        Code::Starlark => starlark_season(package, rehearsal, log)?,
        Code::Compose(_) if !rehearsal.actors.is_empty() => {
            return Err(NativeError::Actors(package.manifest.name.to_string()));
        }
        Code::Compose(parts) => composed(&package.manifest, parts, rehearsal, log)?,
        Code::Native(name) if !rehearsal.actors.is_empty() => {
            return Err(NativeError::Actors(name.to_string()));
        }
        Code::Native(name) => native_season(name, &package.manifest, rehearsal, log)?.1,
    };
    report.digest = package.digest();
    Ok(report)
}

/// Plays each class of a composition by its own rule.
fn composed(
    manifest: &Manifest,
    parts: &BTreeMap<String, RuleName>,
    rehearsal: &Rehearsal<'_>,
    mut log: impl Write,
) -> Result<Report, NativeError> {
    log::open_composed(manifest, &mut log).map_err(ArenaError::from)?;
    let mut part = |(class, rule): (&String, &RuleName)| {
        let manifest = Package::shipped(rule.as_str())?.manifest;
        let Code::Native(name) = &manifest.code else {
            return Err(NativeError::Part(rule.to_string()));
        };
        let (season, report) = native_season(name, &manifest, rehearsal, &mut log)?;
        Ok(Part { class: class.clone(), season, report })
    };
    let parts = parts.iter().map(&mut part).collect::<Result<Vec<_>, NativeError>>()?;
    Ok(compose(manifest, rehearsal.settings, &parts)?)
}

fn native_season(
    name: &RuleName,
    manifest: &Manifest,
    rehearsal: &Rehearsal<'_>,
    log: impl Write,
) -> Result<(Season, Report), NativeError> {
    let manifest = manifest.clone();
    Ok(match name.as_str() {
        "serve" => {
            let rule = Serve::of_model(manifest, serving::MODEL, &serving::calibration())?;
            season(&rule, |seed| Serving::new(&rule, seed), rehearsal, log)?
        }
        "forge" => {
            let rule = Forge::new(manifest)?;
            season(&rule, |seed| Forging::new(&rule, seed), rehearsal, log)?
        }
        "tune" => season(&Tune::new(manifest)?, Tuning::new, rehearsal, log)?,
        "topic" => season(&Topic::new(manifest)?, Forecasting::new, rehearsal, log)?,
        other => return Err(NativeError::Unknown(other.to_owned())),
    })
}

fn starlark_season(
    package: &Package,
    rehearsal: &Rehearsal<'_>,
    log: impl Write,
) -> Result<Report, NativeError> {
    let Rehearsal { settings, trials, actors, program, .. } = rehearsal;
    let rule = Star::start(package, program, Limits::default())?;
    let start = |seed| Texts::start(program, trials.cast.as_deref(), actors, seed);
    let mut world = start(settings.seed)?;
    let season = play_at(&rule, &mut world, settings, log, rehearsal.venues)?;
    if let Some(mistake) = world.mistake() {
        return Err(mistake.into());
    }
    let again = |seed| start(seed).map_err(|error| ArenaError::Actors(error.into()));
    let unsplit = unsplit(&rule, again, settings)?;
    Ok(Report::new(&package.manifest, settings, &Season { unsplit, ..season }))
}

/// A season, and beside it the same one with operators unsplit.
fn season<R, W>(
    rule: &R,
    world: impl Fn(u64) -> W + Sync,
    rehearsal: &Rehearsal<'_>,
    log: impl Write,
) -> Result<(Season, Report), ArenaError>
where
    R: Rule + Sync,
    W: World<R>,
{
    let (settings, world) = (rehearsal.settings, &world);
    let (season, unsplit) = thread::scope(|scope| {
        let beside = scope.spawn(move || unsplit(rule, |seed| Ok(world(seed)), settings));
        let season = play_at(rule, &mut world(settings.seed), settings, log, rehearsal.venues);
        // A panic there is one here.
        (season, beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let season = Season { unsplit: unsplit?, ..season? };
    let report = Report::new(rule.manifest(), settings, &season);
    Ok((season, report))
}

/// What came out of a log.
#[derive(Debug)]
pub struct Recomputed {
    /// The rule that the log names.
    pub manifest: Manifest,
    /// What each class of a composed rule went through, by name; one without a name otherwise.
    pub parts: Vec<(Option<String>, Replayed)>,
    /// Digest of the whole log.
    pub head: Digest,
}

/// Recomputes a log by the rule it names; `open` opens the log, twice.
pub fn replay<L: BufRead, E: From<NativeError>>(
    program: &Program,
    open: impl Fn() -> Result<L, E>,
) -> Result<Recomputed, E> {
    let package = log::package_of(open()?).map_err(NativeError::from)?;
    if let Code::Compose(classes) = &package.manifest.code {
        return Ok(replayed_classes(program, &package.manifest, classes, open()?)?);
    }
    let replayed = replayed(program, &package, open()?)?;
    let head = replayed.head;
    Ok(Recomputed { manifest: package.manifest, parts: vec![(None, replayed)], head })
}

/// Recomputes the logs of a composed rule's classes.
fn replayed_classes(
    program: &Program,
    manifest: &Manifest,
    classes: &BTreeMap<String, RuleName>,
    log: impl BufRead,
) -> Result<Recomputed, NativeError> {
    let unread = |source| ReplayError::Read { line: 1, source };
    let mut sections = Sections::new(log).map_err(unread)?;
    if let Some(mut first) = sections.section() {
        // The line that names the composition, read before.
        std::io::copy(&mut first, &mut std::io::sink()).map_err(unread)?;
    }
    let mut parts = Vec::new();
    for (class, rule) in classes {
        let missing = || ReplayError::Class { class: class.clone(), rule: rule.to_string() };
        let section = sections.section().ok_or_else(missing)?;
        let package = match section.first() {
            Some(Body::Opened { manifest, source }) if manifest.name == *rule => {
                Package { manifest: *manifest, source }
            }
            _ => return Err(missing().into()),
        };
        parts.push((Some(class.clone()), replayed(program, &package, section)?));
    }
    if sections.section().is_some() {
        return Err(ReplayError::Surplus.into());
    }
    let heads: Vec<Digest> = parts.iter().map(|(_, replayed)| replayed.head).collect();
    let head = log::composed_head(manifest, &heads).map_err(unread)?;
    Ok(Recomputed { manifest: manifest.clone(), parts, head })
}

fn replayed(
    program: &Program,
    package: &Package,
    log: impl BufRead,
) -> Result<Replayed, NativeError> {
    let manifest = package.manifest.clone();
    Ok(match &package.manifest.code {
        Code::Starlark => log::replay(&Star::start(package, program, Limits::default())?, log)?,
        Code::Compose(_) => return Err(NativeError::Part(manifest.name.to_string())),
        Code::Native(name) => match name.as_str() {
            "serve" => log::replay(&Serve::new(manifest)?, log)?,
            "forge" => log::replay(&Forge::new(manifest)?, log)?,
            "tune" => log::replay(&Tune::new(manifest)?, log)?,
            "topic" => log::replay(&Topic::new(manifest)?, log)?,
            other => return Err(NativeError::Unknown(other.to_owned())),
        },
    })
}

/// Whether a rule's manifest fits its code, and its golden cases come out as written; how many there
/// are. A shipped rule may still lack the model it is for.
pub fn check(package: &Package, trials: &Trials, program: &Program) -> Result<usize, NativeError> {
    let (manifest, cases) = (package.manifest.clone(), trials.cases.as_deref());
    Ok(match &package.manifest.code {
        Code::Starlark => cases::check(&Star::start(package, program, Limits::default())?, cases)?,
        Code::Compose(parts) => {
            let mut count = 0;
            for rule in parts.values() {
                let part = Package::shipped(rule.as_str())?;
                if !matches!(part.manifest.code, Code::Native(_)) {
                    return Err(NativeError::Part(rule.to_string()));
                }
                count += check(&part, &Package::shipped_trials(rule.as_str())?, program)?;
            }
            count
        }
        Code::Native(name) => match name.as_str() {
            "serve" => {
                let rule = Serve::of_model(manifest, serving::MODEL, &serving::calibration())?;
                cases::check(&rule, cases)?
            }
            "forge" => cases::check(&Forge::new(manifest)?, cases)?,
            "tune" => cases::check(&Tune::new(manifest)?, cases)?,
            "topic" => cases::check(&Topic::new(manifest)?, cases)?,
            other => return Err(NativeError::Unknown(other.to_owned())),
        },
    })
}
