//! What programs dispatch on: rules written in this program, by the name of their code, and rules in
//! Starlark. Nobody else matches on a rule's name.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io::{BufRead, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::thread;

use chain_metadata::Hotkey;

use crate::arena::{
    ArenaError, Kind, Part, Report, Season, Settings, Venues, World, compose, play_at, unsplit,
};
use crate::cases::{self, CaseError};
use crate::digest::Digest;
use crate::exchange::Exchange;
use crate::log::{self, Body, LogError, Sections};
use crate::manifest::{Code, Manifest, RuleName};
use crate::package::{Package, PackageError, Trials};
use crate::replay::{ReplayError, Replayed};
use crate::rule::Rule;
use crate::rules::SHIPPED;
use crate::session::{Examiner, Session};
use crate::star::texts::{Actor, Texts};
use crate::star::{HostError, Limits, Program, Star, StarError};
use crate::tools::Reference;
use crate::work::Work;

/// Why a manifest is not one of its code's.
pub type RuleError = Box<dyn std::error::Error + Send + Sync>;

/// A manifest that is being named for a model.
pub type Naming<'a> = Pin<Box<dyn Future<Output = Result<Manifest, RuleError>> + Send + 'a>>;

/// A rule that is written in this program.
pub trait Coded: Rule + Sized {
    /// The name of its code, as manifests call it.
    const NAME: &'static str;
    /// The actors of its arena.
    type World: World<Self>;

    /// The rule of a manifest.
    ///
    /// # Errors
    /// The manifest is none of this code's.
    fn of(manifest: Manifest) -> Result<Self, RuleError>;

    /// The rule as the arena plays it, where that stands on cheap tools.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    fn rehearsed(manifest: Manifest) -> Result<Self, RuleError> {
        Self::of(manifest)
    }

    /// The world of a seed.
    fn world(&self, seed: u64) -> Self::World;

    /// The hand of a miner that does such work and needs no more than this program has; `kind` is what
    /// it plays in a rehearsal.
    fn worker(&self, _miner: &Hotkey, _kind: Kind) -> Option<Arc<dyn Work>> {
        None
    }

    /// What must still be named before the rule can be used; `None` where nothing must.
    fn unnamed(_manifest: &Manifest) -> Option<&'static str> {
        None
    }

    /// The manifest for the model at hand, where the rule is for one and leaves it open.
    fn naming(manifest: Manifest, _reference: &dyn Reference) -> Naming<'_> {
        Box::pin(std::future::ready(Ok(manifest)))
    }

    /// The model that the rule is for, in full, where it names one.
    fn names(_manifest: &Manifest) -> Option<String> {
        None
    }
}

type Played = fn(Manifest, &Rehearsal<'_>, &mut dyn Write) -> Result<(Season, Report), NativeError>;

type Worker = fn(Manifest, &Hotkey, Kind) -> Result<Option<Arc<dyn Work>>, RuleError>;

/// The code of a rule, as functions of a manifest.
#[derive(Clone, Copy)]
pub(crate) struct Native {
    name: &'static str,
    session: fn(Manifest) -> Result<Box<dyn Session>, RuleError>,
    season: Played,
    replay: fn(Manifest, &mut dyn BufRead) -> Result<Replayed, NativeError>,
    check: fn(Manifest, Option<&str>) -> Result<usize, NativeError>,
    exchange: fn(Manifest) -> Result<Exchange, RuleError>,
    worker: Worker,
    unnamed: fn(&Manifest) -> Option<&'static str>,
    naming: for<'a> fn(Manifest, &'a dyn Reference) -> Naming<'a>,
    names: fn(&Manifest) -> Option<String>,
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Native({})", self.name)
    }
}

impl Native {
    pub(crate) const fn of<R: Coded>() -> Self {
        Self {
            name: R::NAME,
            session: |manifest| Ok(Box::new(Examiner::new(Arc::new(R::of(manifest)?)))),
            season: |manifest, rehearsal, log| {
                let rule = Arc::new(R::rehearsed(manifest).map_err(NativeError::Rule)?);
                Ok(season(&rule, |seed| rule.world(seed), rehearsal, log)?)
            },
            replay: |manifest, log| {
                let rule = Arc::new(R::of(manifest).map_err(NativeError::Rule)?);
                Ok(crate::replay::replay(&rule, log)?)
            },
            check: |manifest, cases| {
                let rule = Arc::new(R::rehearsed(manifest).map_err(NativeError::Rule)?);
                cases::tried(&rule)?;
                Ok(cases::check(&*rule, cases)?)
            },
            exchange: |manifest| Ok(R::rehearsed(manifest)?.exchange()),
            worker: |manifest, miner, kind| Ok(R::rehearsed(manifest)?.worker(miner, kind)),
            unnamed: R::unnamed,
            naming: R::naming,
            names: R::names,
        }
    }

    fn find(name: &RuleName) -> Result<&'static Self, NativeError> {
        let all = SHIPPED.iter().flat_map(|shipped| shipped.native);
        all.into_iter()
            .find(|native| native.name == name.as_str())
            .ok_or_else(|| NativeError::Unknown(name.to_string()))
    }
}

/// Why a rule cannot be run here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NativeError {
    /// No rule of that name is written in this program.
    #[error("no rule `{0}` is written in this program")]
    Unknown(String),
    /// Its manifest is none of its code's.
    #[error(transparent)]
    Rule(RuleError),
    /// It must name something before it can be used.
    #[error("`{name}` names no {what}")]
    Unnamed {
        /// The rule's name.
        name: String,
        /// What is missing.
        what: &'static str,
    },
    /// Its source cannot be run.
    #[error(transparent)]
    Star(#[from] StarError),
    /// An actor's program made a mistake: what it played is void.
    #[error("an actor cannot play")]
    Actor(#[from] HostError),
    /// Actors of one's own play rules whose actors are programs.
    #[error("`{0}` is played by actors of its own world: `--actor` is for rules in Starlark")]
    Actors(String),
    /// A golden case comes out otherwise.
    #[error("cases.json: {0}")]
    Case(#[from] CaseError),
    /// A bound on an actor that there is not.
    #[error("rule.toml: a bound names the actor `{actor}`; there are {}, cheats, burn", Kind::ALL.map(Kind::name).join(", "))]
    UnknownActor {
        /// What it names.
        actor: String,
    },
    /// A composed rule where one rule is wanted.
    #[error("`{0}` composes rules: each class has a session and a season of its own")]
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

impl From<LogError> for NativeError {
    fn from(error: LogError) -> Self {
        Self::Replay(error.into())
    }
}

/// A validator's session of a rule.
///
/// # Errors
/// The rule cannot be run here, or composes others.
pub fn session(package: &Package, program: &Program) -> Result<Box<dyn Session>, NativeError> {
    let manifest = package.manifest.clone();
    match &package.manifest.code {
        Code::Starlark => {
            let rule = Star::start(package, program, Limits::default())?;
            Ok(Box::new(Examiner::new(Arc::new(rule))))
        }
        Code::Compose(_) => Err(NativeError::Part(manifest.name.to_string())),
        Code::Native(name) => {
            askable(package)?;
            (Native::find(name)?.session)(manifest).map_err(NativeError::Rule)
        }
    }
}

/// The package for the model at hand, where its rule is for a model and leaves it open; any other as it is.
///
/// # Errors
/// The model failed, or no question tells it from a guess.
pub async fn named(package: &Package, reference: &dyn Reference) -> Result<Package, NativeError> {
    let Code::Native(name) = &package.manifest.code else { return Ok(package.clone()) };
    let native = Native::find(name)?;
    if (native.unnamed)(&package.manifest).is_none() {
        return Ok(package.clone());
    }
    let naming = (native.naming)(package.manifest.clone(), reference);
    let manifest = naming.await.map_err(NativeError::Rule)?;
    Ok(Package { manifest, ..package.clone() })
}

/// The model that a rule is for, in full, where it names one.
pub fn names(manifest: &Manifest) -> Option<String> {
    let Code::Native(name) = &manifest.code else { return None };
    (Native::find(name).ok()?.names)(manifest)
}

/// What a rule must still have named before it can be used.
pub fn unnamed(manifest: &Manifest) -> Option<&'static str> {
    let Code::Native(name) = &manifest.code else { return None };
    (Native::find(name).ok()?.unnamed)(manifest)
}

/// The rules of a package, one for each mechanism of the subnet, with the mechanism's number.
///
/// # Errors
/// A composed rule that does not ship.
pub fn mechanisms(package: &Package) -> Result<Vec<(u8, Package)>, PackageError> {
    let Code::Compose(parts) = &package.manifest.code else {
        return Ok(vec![(0, package.clone())]);
    };
    let part = |(mechid, rule): (u8, &RuleName)| Ok((mechid, Package::shipped(rule.as_str())?));
    (0..).zip(parts.values()).map(part).collect()
}

/// Whether validators can ask miners by a rule, as far as its files tell.
///
/// # Errors
/// Why not.
pub fn askable(package: &Package) -> Result<(), NativeError> {
    match &package.manifest.code {
        Code::Starlark => Ok(()),
        Code::Compose(parts) => {
            for rule in parts.values() {
                Package::shipped(rule.as_str())?;
            }
            Ok(())
        }
        Code::Native(name) => match (Native::find(name)?.unnamed)(&package.manifest) {
            Some(what) => {
                Err(NativeError::Unnamed { name: package.manifest.name.to_string(), what })
            }
            None => Ok(()),
        },
    }
}

/// How a rule's tasks travel: what a miner must know of it.
///
/// # Errors
/// The rule cannot be run here.
pub fn exchange(manifest: &Manifest) -> Result<Exchange, NativeError> {
    match &manifest.code {
        Code::Starlark => Ok(manifest.examine.exchange.unwrap_or_default()),
        Code::Compose(_) => Err(NativeError::Part(manifest.name.to_string())),
        Code::Native(name) => {
            (Native::find(name)?.exchange)(manifest.clone()).map_err(NativeError::Rule)
        }
    }
}

/// The worker that this program has for a rule; `None` where the rule wants an engine, or a program of
/// the engineer's own.
///
/// # Errors
/// The rule cannot be run here.
pub fn worker(
    manifest: &Manifest,
    miner: &Hotkey,
    kind: Kind,
) -> Result<Option<Arc<dyn Work>>, NativeError> {
    match &manifest.code {
        Code::Starlark | Code::Compose(_) => Ok(None),
        Code::Native(name) => {
            (Native::find(name)?.worker)(manifest.clone(), miner, kind).map_err(NativeError::Rule)
        }
    }
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

/// Whether every bound on an actor names one: a misspelt one would bound nobody.
fn known_actors(manifest: &Manifest) -> Result<(), NativeError> {
    let named = manifest.bounds.iter().filter_map(|bound| bound.actor.as_deref());
    match named.into_iter().find(|actor| !Kind::knows(actor)) {
        Some(actor) => Err(NativeError::UnknownActor { actor: actor.to_owned() }),
        None => Ok(()),
    }
}

/// Plays a season of a rule against a cast.
pub fn rehearse(
    package: &Package,
    rehearsal: &Rehearsal<'_>,
    log: impl Write,
) -> Result<Report, NativeError> {
    known_actors(&package.manifest)?;
    let mut report = match &package.manifest.code {
        Code::Starlark => starlark_season(package, rehearsal, log)?,
        Code::Compose(_) if !rehearsal.actors.is_empty() => {
            return Err(NativeError::Actors(package.manifest.name.to_string()));
        }
        Code::Compose(parts) => composed(&package.manifest, parts, rehearsal, log)?,
        Code::Native(name) if !rehearsal.actors.is_empty() => {
            return Err(NativeError::Actors(name.to_string()));
        }
        Code::Native(name) => {
            let mut log = log;
            (Native::find(name)?.season)(package.manifest.clone(), rehearsal, &mut log)?.1
        }
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
        let (season, report) = (Native::find(name)?.season)(manifest.clone(), rehearsal, &mut log)?;
        Ok(Part { class: class.clone(), season, report })
    };
    let parts = parts.iter().map(&mut part).collect::<Result<Vec<_>, NativeError>>()?;
    Ok(compose(manifest, rehearsal.settings, &parts)?)
}

fn starlark_season(
    package: &Package,
    rehearsal: &Rehearsal<'_>,
    log: impl Write,
) -> Result<Report, NativeError> {
    let Rehearsal { settings, trials, actors, program, .. } = rehearsal;
    let rule = Arc::new(Star::start(package, program, Limits::default())?);
    let exchange = rule.exchange();
    let start = |seed| Texts::start(program, trials.cast.as_deref(), actors, exchange, seed);
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
    rule: &Arc<R>,
    world: impl Fn(u64) -> W + Sync,
    rehearsal: &Rehearsal<'_>,
    log: impl Write,
) -> Result<(Season, Report), ArenaError>
where
    R: Rule,
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
    let unread = |source| LogError::Read { line: 1, source };
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
    mut log: impl BufRead,
) -> Result<Replayed, NativeError> {
    let manifest = package.manifest.clone();
    match &package.manifest.code {
        Code::Starlark => {
            let rule = Arc::new(Star::start(package, program, Limits::default())?);
            Ok(crate::replay::replay(&rule, log)?)
        }
        Code::Compose(_) => Err(NativeError::Part(manifest.name.to_string())),
        Code::Native(name) => (Native::find(name)?.replay)(manifest, &mut log),
    }
}

/// Whether a rule's manifest fits its code, and its golden cases come out as written; how many there
/// are. A shipped rule may still lack the model it is for.
///
/// # Errors
/// What is wrong with it.
pub fn check(package: &Package, trials: &Trials, program: &Program) -> Result<usize, NativeError> {
    known_actors(&package.manifest)?;
    let (manifest, cases) = (package.manifest.clone(), trials.cases.as_deref());
    Ok(match &package.manifest.code {
        Code::Starlark => {
            let rule = Arc::new(Star::start(package, program, Limits::default())?);
            cases::tried(&rule)?;
            cases::check(&*rule, cases)?
        }
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
        Code::Native(name) => (Native::find(name)?.check)(manifest, cases)?,
    })
}
