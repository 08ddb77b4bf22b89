//! The validator's command line.

use std::path::PathBuf;

use chain_metadata::MechId;
use clap::Subcommand;
use neuron::{Exit, Readiness, Shutdown, expand};

use crate::store::{Owner, Store};
use crate::{Config, Error};

/// Examine miners and set weights.
pub type Args = neuron::cli::Args<Config, Command>;

/// What a validator does besides running.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Move the journal of a hotkey to another machine.
    #[command(subcommand)]
    Journal(JournalCommand),
}

/// The journal of the hotkey, subnet and chain that the settings name.
#[derive(Debug, Clone, Subcommand)]
pub enum JournalCommand {
    /// Write it to a new file. The validator must be stopped, and stay so.
    Export {
        /// The file.
        file: PathBuf,
    },
    /// Take over an exported one, where there is no history yet.
    Import {
        /// The file.
        file: PathBuf,
    },
}

/// Runs what `args` ask for, in a runtime of its own, until it ends or the user ends it.
pub fn main(args: Args) -> Exit {
    args.run_or(
        "validator",
        |Command::Journal(command), config, stop| journal(command, config, stop),
        crate::run,
    )
}

async fn journal(command: JournalCommand, config: Config, stop: Shutdown) -> Result<(), Error> {
    let keypair = config.wallet.open(config.chain.is_local())?;
    let chain = config.chain.connect(&Readiness::default(), &stop).await?;
    let owner = Owner {
        hotkey: keypair.hotkey(),
        genesis: hex::encode(chain.genesis_hash()),
        netuid: config.chain.netuid(),
        mechid: MechId(config.weights.mechid),
    };
    let mut store = Store::open(&expand(&config.state.dir), &owner)?;
    let (hotkey, count) = (
        owner.hotkey,
        match &command {
            JournalCommand::Export { file } => store.export(&owner, file)?,
            JournalCommand::Import { file } => store.import(&owner, file)?,
        },
    );
    match command {
        JournalCommand::Export { file } => tracing::info!(
            %hotkey, submissions = count, file = %file.display(),
            "exported; do not start this validator here again"
        ),
        JournalCommand::Import { file } => {
            tracing::info!(%hotkey, submissions = count, file = %file.display(), "taken over");
        }
    }
    Ok(())
}
