//! `calibrate`: names the model that a rule of `serve` is for.

use std::path::PathBuf;

use neuron::logs::LogArgs;
use neuron::{Exit, Explain};
use serde_json::json;
use subnet_rules::manifest::{Code, ManifestError};
use subnet_rules::package::{self, MANIFEST, Package, PackageError};
use subnet_rules::rule::Rule as _;
use subnet_rules::serve::{Calibration, Serve, ServeError, calibrate};
use subnet_rules::tools::{Reference as _, ToolError};
use toml_edit::{DocumentMut, Item, Table};
use validator::EngineReference;

use super::{ModelArgs, OpenError, say};

/// Arguments of `rules calibrate`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The rule's folder, as `rules new --from serve` makes it.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Measure even where the table of the model is known.
    #[arg(long)]
    anew: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    logs: LogArgs,
}

/// Why a rule is not calibrated.
#[derive(Debug, thiserror::Error)]
pub(super) enum CalibrateError {
    /// The rule's files.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A rule of another code.
    #[error("`{rule}` names no model: only rules of `serve` do")]
    NotServe {
        /// Its name.
        rule: String,
    },
    /// No model.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The engine failed.
    #[error("the model cannot be asked")]
    Engine(#[from] ToolError),
    /// The model does not suit the rule.
    #[error("the rule cannot be used with this model")]
    Serve(#[from] ServeError),
    /// The manifest cannot be edited.
    #[error("rule.toml cannot be edited")]
    Toml(#[from] toml_edit::TomlError),
    /// The manifest does not read back.
    #[error("rule.toml does not read back")]
    Manifest(#[from] ManifestError),
    /// It cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Explain for CalibrateError {
    fn exit(&self) -> Exit {
        match self {
            Self::Package(_) | Self::NotServe { .. } | Self::Toml(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NotServe { .. } | Self::Package(_) => {
                "`ganglion rules new NAME --from serve` makes a folder of a rule of `serve`"
            }
            Self::Open(OpenError::Model(_)) => {
                "--model takes tiny, a name of the catalogue, or a path"
            }
            Self::Serve(_) => "another model, or another numeric class, may answer more",
            _ => return Vec::new(),
        };
        vec![hint.into()]
    }
}

/// Runs the command.
pub(super) fn main(args: Args) -> Exit {
    args.logs.install();
    neuron::cli::run_to_end(|_stop| run(args))
}

/// Measures, and writes the model's id and table into `rule.toml`, whose comments stay.
async fn run(args: Args) -> Result<(), CalibrateError> {
    let package = Package::open(&args.folder)?;
    let serves = matches!(&package.manifest.code, Code::Native(code) if code.as_str() == "serve");
    if !serves {
        return Err(CalibrateError::NotServe { rule: package.manifest.name.to_string() });
    }
    let reference = EngineReference(std::sync::Arc::new(args.model.open().await?));
    let model = reference.model();
    let table = if args.anew {
        calibrate::measure(&reference).await?
    } else {
        calibrate::known_or_measured(&reference).await?
    };
    let rule = Serve::of_model(package.manifest, &model, &table)?;
    let path = args.folder.join(MANIFEST);
    let text = edited(&package::read(&path, subnet_rules::manifest::MANIFEST_MAX)?, &rule)?;
    // What is written must be the rule that was measured, comments or not.
    let again = Package::of_manifest(&text, &path)?;
    std::fs::write(&path, &text).map_err(|source| CalibrateError::Write { path, source })?;
    let digest = again.digest();
    if args.json {
        say(json!({
            "rule": rule.manifest().name, "model": model, "digest": digest,
            "asked": table.asked, "passed": table.passed, "cells": rule.cells(),
        }));
        return Ok(());
    }
    say(format_args!("{} is for {model}", rule.manifest().name));
    show(&table);
    say(format_args!("draws come from {} kinds of question; digest {digest}", rule.cells().len()));
    Ok(())
}

/// Pass counts by family and level.
fn show(table: &Calibration) {
    for (family, passed) in &table.passed {
        let row: Vec<String> = passed.iter().map(|passed| format!("{passed:>4}")).collect();
        say(format_args!("{:<10}{}  of {}", family.to_string(), row.concat(), table.asked));
    }
}

/// The text of a `rule.toml` with the parameters of `rule`.
fn edited(text: &str, rule: &Serve) -> Result<String, CalibrateError> {
    let mut document: DocumentMut = text.parse()?;
    let params: DocumentMut = rule.manifest().params.to_string().parse()?;
    let into = document.entry("params").or_insert(Item::Table(Table::new()));
    if let Some(into) = into.as_table_like_mut() {
        for name in ["model", "temperature", "max_tokens", "calibration"] {
            if let Some(value) = params.get(name) {
                let mut value = value.clone();
                unplaced(&mut value);
                into.insert(name, value);
            }
        }
    }
    Ok(document.to_string())
}

/// Forgets where tables stood in the text that they come from, so that they stand below their parent.
fn unplaced(item: &mut Item) {
    if let Some(table) = item.as_table_mut() {
        table.set_position(None);
        table.iter_mut().for_each(|(_, item)| unplaced(item));
    }
}
