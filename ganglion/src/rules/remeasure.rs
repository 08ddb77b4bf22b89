//! `remeasure`: a log's answers measured again with the model at hand.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;

use neuron::logs::LogArgs;
use neuron::{Exit, Explain};
use serde_json::json;
use validator::EngineReference;
use validator::remeasure::{RemeasureError, Remeasured, Tolerance, remeasure};

use super::{ModelArgs, OpenError, say};

/// Answers between two lines about the progress.
const SAID_EVERY: u64 = 50;

/// Arguments of `rules remeasure`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The log, as a validator with `--audit` writes it.
    #[arg(value_name = "LOG")]
    log: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Difference of entropy or margin at which a token still agrees, nat.
    #[arg(long, default_value_t = 0.001, value_parser = share_or_more)]
    tolerance: f64,
    /// Share of tokens, and of references, that may disagree.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    allow: f64,
    /// Most answers to measure.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    most: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    logs: LogArgs,
}

fn share_or_more(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "a number is wanted")?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("0 or more is wanted".into()) }
}

fn share(text: &str) -> Result<f64, String> {
    share_or_more(text).and_then(|share| {
        if share <= 1.0 { Ok(share) } else { Err("a share within 0..=1 is wanted".into()) }
    })
}

/// Why a log is not measured again.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot measure {} again", log.display())]
    Remeasure { log: PathBuf, source: RemeasureError },
    #[error("the measurements of {} disagree with these", log.display())]
    Disagree { log: PathBuf },
}

impl Explain for Failed {
    fn exit(&self) -> Exit {
        match self {
            Self::Remeasure { source: RemeasureError::Engine(_), .. } => Exit::Failed,
            Self::Remeasure { .. } => Exit::Usage,
            _ => Exit::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Open(OpenError::Model(_))
            | Self::Remeasure { source: RemeasureError::OtherModel { .. }, .. } => {
                "--model names the model that the log's rule is for"
            }
            Self::Disagree { .. } => {
                "another numeric class needs --tolerance and --allow; `rules replay` recomputes the rest"
            }
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

async fn run(args: Args) -> Result<(), Failed> {
    let engine = std::sync::Arc::new(args.model.open().await?);
    let tolerance = Tolerance { nat: args.tolerance, share: args.allow };
    let open = || -> io::Result<_> { Ok(BufReader::new(File::open(&args.log)?)) };
    let progress = |sum: &Remeasured| {
        if sum.answers.is_multiple_of(SAID_EVERY) {
            tracing::info!(answers = sum.answers, disagree = sum.disagree, "measured again");
        }
    };
    let log = args.log.clone();
    let sum = remeasure(
        &EngineReference(std::sync::Arc::clone(&engine)),
        open,
        tolerance,
        args.most,
        progress,
    )
    .await
    .map_err(|source| Failed::Remeasure { log: log.clone(), source })?;
    let agrees = sum.agrees(tolerance);
    if args.json {
        say(json!({ "model": engine.model_id().to_string(), "agrees": agrees, "measured": sum }));
    } else {
        show(&sum);
    }
    if agrees { Ok(()) } else { Err(Failed::Disagree { log }) }
}

fn show(sum: &Remeasured) {
    say(format_args!(
        "{} answers; {} of {} tokens disagree, {} of them flipped",
        sum.answers, sum.disagree, sum.tokens, sum.flipped
    ));
    say(format_args!(
        "largest difference: entropy {:.3} nat, margin {:.3} nat",
        sum.entropy_max, sum.margin_max
    ));
    say(format_args!(
        "{} of {} references differ; {} answers cannot be read",
        sum.references_differ, sum.references, sum.unreadable
    ));
}
