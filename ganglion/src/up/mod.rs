//! A whole subnet on one machine: chain, miners, validators, and the table that shows them.
//!
//! ```text
//! stage::set     chain started, wallets written, subnet registered and tuned, neurons registered
//! cast::Cast     miners and validators as tasks of this process, over real sockets
//! observer       every final block: what the chain says and what the validators hold
//! screen         the table, redrawn in place          report  the object that --json prints
//! ```
//!
//! No rule and no arithmetic lives here: `up` starts the same programs that a person starts.

mod args;
mod cast;
mod error;
mod observer;
mod report;
mod screen;
mod stage;

use std::io::Write as _;

use neuron::{Exit, Shutdown, logs::LogArgs};

pub use args::{MinerKind, UpArgs};
pub use error::UpError;
pub use report::{ChainReport, MinerReport, ModelReport, Report, Setting, ValidatorReport};

use cast::{Cast, Play};
use observer::Observer;
use screen::Screen;

/// Runs the subnet until `args.epochs` are done, or until `shutdown`; without `epochs`, for ever.
///
/// # Errors
/// When the chain, a miner or a validator cannot be started, or one of them ends early.
pub async fn run(args: &UpArgs, shutdown: Shutdown) -> Result<Report, UpError> {
    run_on(&Screen::default(), args, shutdown).await
}

async fn run_on(screen: &Screen, args: &UpArgs, shutdown: Shutdown) -> Result<Report, UpError> {
    let say = |line: &str| tracing::info!(target: "ganglion::up", "{line}");
    say("starting the chain and setting the stage");
    let play = Play::prepare(args).await?;
    let stage = stage::set(args, &play.package).await?;
    if screen.is_interactive() {
        screen.print(&stage.describe())?;
    } else {
        say(&stage.describe());
    }
    let mut cast = Cast::start(args, &stage, &play, &shutdown);
    let mut observer = Observer::new(args, &stage, &play, cast.validator_statuses());
    let outcome = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(()),
        outcome = observer.watch(args.epochs, screen) => outcome,
        early = cast.first_to_end() => Err(early),
    };
    cast.shutdown().await;
    let report = observer.into_report();
    stage.close().await;
    outcome.map(|()| report)
}

/// `ganglion up` as a command: runs, prints, and says how the program ends.
pub fn main(args: &UpArgs, logs: &LogArgs) -> Exit {
    let screen = if args.json { Screen::default() } else { Screen::of_terminal() };
    if screen.is_interactive() {
        let screen = screen.clone();
        logs.install_beside(move || screen.log());
    } else {
        logs.install();
    }
    neuron::cli::run_to_end(|shutdown| Box::pin(run_and_print(&screen, args, shutdown)))
}

async fn run_and_print(screen: &Screen, args: &UpArgs, shutdown: Shutdown) -> Result<(), UpError> {
    let report = run_on(screen, args, shutdown).await?;
    if args.json {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    }
    Ok(())
}
