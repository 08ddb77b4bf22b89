//! `ganglion chain`: what a chain offers, what an upgrade changes, and what it says.

use chain::cli::{self, CliError, Outcome};
use neuron::{Exit, Explain};

/// Carries the command out; a fact on which the suite will fail is a failure of the command.
pub fn main(args: cli::Args) -> Exit {
    let mut outcome = Outcome::Done;
    let ended = neuron::cli::run_to_end(async |_stop| {
        outcome = cli::run(args, &mut std::io::stdout()).await.map_err(Failed)?;
        Ok::<(), Failed>(())
    });
    match (ended, outcome) {
        (Exit::Done, Outcome::Red) => Exit::Failed,
        (ended, _) => ended,
    }
}

/// A command that could not be carried out, with its hint.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Failed(CliError);

impl Explain for Failed {
    fn exit(&self) -> Exit {
        if self.0.is_usage() { Exit::Usage } else { Exit::Failed }
    }

    fn hints(&self) -> Vec<String> {
        self.0.hint().map(str::to_owned).into_iter().collect()
    }
}
