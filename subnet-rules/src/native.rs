//! The rules written in this program, by name: what the commands dispatch on.

use std::io::{BufRead, Write};

use crate::arena::worlds::forecasting::Forecasting;
use crate::arena::worlds::forging::Forging;
use crate::arena::worlds::serving::{self, Serving};
use crate::arena::worlds::tuning::Tuning;
use crate::arena::{ArenaError, Report, Settings, World, play};
use crate::forge::{Forge, ForgeError};
use crate::log::{self, ReplayError, Replayed};
use crate::manifest::{Code, Manifest};
use crate::package::Package;
use crate::rule::Rule;
use crate::serve::{Serve, ServeError};
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
    /// A season failed.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// A log does not replay.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// Plays a season of a rule against a cast.
pub fn rehearse(
    package: &Package,
    settings: &Settings,
    log: impl Write,
) -> Result<Report, NativeError> {
    let manifest = package.manifest.clone();
    let mut report = match name(&manifest)? {
        "serve" => {
            let rule = Serve::of_model(manifest, serving::MODEL, &serving::calibration())?;
            season(&rule, &mut Serving::new(&rule, settings.seed), settings, log)?
        }
        "forge" => {
            let rule = Forge::new(manifest)?;
            season(&rule, &mut Forging::new(&rule, settings.seed), settings, log)?
        }
        "tune" => season(&Tune::new(manifest)?, &mut Tuning::new(settings.seed), settings, log)?,
        "topic" => {
            season(&Topic::new(manifest)?, &mut Forecasting::new(settings.seed), settings, log)?
        }
        other => return Err(NativeError::Unknown(other.to_owned())),
    };
    report.digest = package.digest();
    Ok(report)
}

fn season<R: Rule, W: World<R>>(
    rule: &R,
    world: &mut W,
    settings: &Settings,
    log: impl Write,
) -> Result<Report, ArenaError> {
    let season = play(rule, world, settings, log)?;
    Ok(Report::new(rule.manifest(), settings, &season))
}

/// Recomputes a log by the rule it names; `open` opens the log, twice.
pub fn replay<L: BufRead, E: From<NativeError>>(
    open: impl Fn() -> Result<L, E>,
) -> Result<(Manifest, Replayed), E> {
    let manifest = log::manifest_of(open()?).map_err(NativeError::from)?;
    let replayed = match name(&manifest)? {
        "serve" => {
            let rule = Serve::new(manifest.clone()).map_err(NativeError::from)?;
            log::replay(&rule, open()?).map_err(NativeError::from)?
        }
        "forge" => {
            let rule = Forge::new(manifest.clone()).map_err(NativeError::from)?;
            log::replay(&rule, open()?).map_err(NativeError::from)?
        }
        "tune" => {
            let rule = Tune::new(manifest.clone()).map_err(NativeError::from)?;
            log::replay(&rule, open()?).map_err(NativeError::from)?
        }
        "topic" => {
            let rule = Topic::new(manifest.clone()).map_err(NativeError::from)?;
            log::replay(&rule, open()?).map_err(NativeError::from)?
        }
        other => return Err(NativeError::Unknown(other.to_owned()).into()),
    };
    Ok((manifest, replayed))
}

/// Whether a rule's manifest fits its code; a shipped one may still lack the model it is for.
pub fn check(package: &Package) -> Result<(), NativeError> {
    let manifest = package.manifest.clone();
    match name(&manifest)? {
        "serve" => drop(Serve::of_model(manifest, serving::MODEL, &serving::calibration())?),
        "forge" => drop(Forge::new(manifest)?),
        "tune" => drop(Tune::new(manifest)?),
        "topic" => drop(Topic::new(manifest)?),
        other => return Err(NativeError::Unknown(other.to_owned())),
    }
    Ok(())
}

fn name(manifest: &Manifest) -> Result<&str, NativeError> {
    match &manifest.code {
        Code::Native(name) => Ok(name.as_str()),
        Code::Starlark => Err(NativeError::Unknown(manifest.name.to_string())),
    }
}
