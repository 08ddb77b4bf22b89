//! `model`: models on this machine, and evidence of what they answered.

use std::{
    io::{self, Write},
    process::{ExitCode, Termination},
};

use clap::{Parser, Subcommand};

use crate::evidence::{
    Verdict,
    cli::{self, CommandError},
};

/// Models on this machine, and evidence of what they answered.
#[derive(Debug, Parser)]
#[command(name = "model", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer a prompt and record the evidence.
    Answer(cli::AnswerArgs),
    /// Check a recorded answer with one prefill of the model.
    Verify(cli::VerifyArgs),
    /// Measure how honest answers look to a verifier, and keep it in a file.
    Calibrate(cli::CalibrateArgs),
    /// Run real cheats against the verifier and say after how many tokens each is convicted.
    EvidenceTable(cli::TableArgs),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done.
    Done,
    /// An answer was convicted, or the work failed.
    Failed,
    /// What was given cannot be used.
    Usage,
}

impl Termination for Outcome {
    fn report(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Failed => ExitCode::from(1),
            Self::Usage => ExitCode::from(2),
        }
    }
}

/// Runs a command; errors are printed with their causes and a hint.
pub fn main(args: Args) -> Outcome {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error, None),
    };
    let mut out = io::stdout().lock();
    let done = runtime.block_on(async {
        match args.command {
            Command::Answer(args) => cli::answer(&args, &mut out).await.map(|()| Outcome::Done),
            Command::Verify(args) => Ok(match cli::verify(&args, &mut out).await? {
                Verdict::Fail => Outcome::Failed,
                Verdict::Pass | Verdict::NoEvidence => Outcome::Done,
            }),
            Command::Calibrate(args) => {
                cli::calibrate(&args, &mut out).await.map(|()| Outcome::Done)
            }
            Command::EvidenceTable(args) => {
                cli::evidence_table(&args, &mut out).await.map(|()| Outcome::Done)
            }
        }
    });
    match done {
        Ok(outcome) => outcome,
        // The reader has seen enough.
        Err(CommandError::Write { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
            Outcome::Done
        }
        Err(error) => complain(&error, error.hint()),
    }
}

fn complain(error: &dyn std::error::Error, hint: Option<&str>) -> Outcome {
    let mut to = io::stderr().lock();
    // A closed stderr leaves nobody to tell.
    drop(writeln!(to, "error: {error}"));
    let mut cause = error.source();
    while let Some(error) = cause {
        drop(writeln!(to, "  caused by: {error}"));
        cause = error.source();
    }
    if let Some(hint) = hint {
        drop(writeln!(to, "hint: {hint}"));
    }
    Outcome::Usage
}
