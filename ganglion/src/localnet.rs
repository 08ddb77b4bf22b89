//! `ganglion localnet`: the chain alone, until Ctrl-C.

use localnet::{Error, cli};
use neuron::{Exit, Explain, logs::LogArgs};

/// The chain's flags, and what to log.
#[derive(Debug, Clone, clap::Args)]
pub struct LocalnetArgs {
    /// The chain's own flags.
    #[command(flatten)]
    pub chain: cli::Args,
    /// What to log.
    #[command(flatten)]
    pub logs: LogArgs,
}

/// Runs a chain and says how the program ends: Ctrl-C is its proper end.
pub fn main(args: LocalnetArgs) -> Exit {
    args.logs.install();
    let ended = neuron::cli::run_to_end(|stop| async move {
        cli::run(args.chain, stop.cancelled_owned()).await.map_err(Failed)
    });
    if ended == Exit::Interrupted { Exit::Done } else { ended }
}

/// A chain that did not start, with its hint.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Failed(Error);

impl Explain for Failed {
    fn exit(&self) -> Exit {
        Exit::Failed
    }

    fn hints(&self) -> Vec<String> {
        self.0.hint().map(str::to_owned).into_iter().collect()
    }
}
