//! `ganglion rules`: the owner's commands. Those that need only files are `subnet_rules::cli`'s; here
//! are the ones that also need the chain or a model.
//!
//! ```text
//! calibrate FOLDER --model MODEL     names the model in rule.toml, with what it can answer
//! publish FOLDER --netuid N          signs the rule, and puts its digest and location on chain
//! pull --netuid N                    fetches the published rule, checked
//! remeasure LOG --model MODEL        measures a log's answers again, within a tolerance
//! ```

mod calibrate;
mod publish;
mod remeasure;
mod venue;

use std::io::{self, Write as _};

use clap::Subcommand;
use inference::{Engine, EngineError, EngineOptions};
use neuron::{ChainSettings, Exit, ModelError, ModelSettings, Setting, Settings, WalletSettings};
use serde::{Deserialize, Serialize};
use subnet_rules::cli;
use subnet_rules::star::Program;

/// Write rules, check them, attack them, publish them.
#[derive(Debug, Subcommand)]
#[command(subcommand_precedence_over_arg = true)]
pub enum Command {
    /// Commands that need only files.
    #[command(flatten)]
    Files(cli::Command),
    /// Name the model that a rule of `serve` is for, in its folder, with what that model can answer.
    Calibrate(calibrate::Args),
    /// Sign a rule and put its digest and location on chain: validators adopt it with the next epoch.
    Publish(publish::PublishArgs),
    /// Fetch the rule that a subnet's owner has published, and check digest and signature.
    Pull(publish::PullArgs),
    /// Measure the answers of a log again with the model, and compare within a tolerance.
    Remeasure(remeasure::Args),
}

/// Which chain, subnet and wallet an owner's command is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnerSettings {
    /// Which chain and subnet.
    pub chain: ChainSettings,
    /// Which hotkey.
    pub wallet: WalletSettings,
}

impl Settings for OwnerSettings {
    const ENV_PREFIX: &'static str = "GANGLION_RULES_";

    fn table() -> Vec<Setting> {
        ChainSettings::table().into_iter().chain(WalletSettings::table()).collect()
    }
}

/// The model of an owner's command.
#[derive(Debug, Clone, clap::Args)]
struct ModelArgs {
    /// The model that the rule is for: `tiny`, a name of the catalogue, or a path.
    #[arg(long, default_value = "tiny", env = "GANGLION_MODEL")]
    model: String,
    /// Numeric class to run it in.
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Compute threads.
    #[arg(long)]
    threads: Option<usize>,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("the model cannot be asked")]
    Engine(#[from] EngineError),
}

impl ModelArgs {
    async fn open(self) -> Result<Engine, OpenError> {
        let settings = ModelSettings {
            source: self.model,
            class: self.class,
            threads: self.threads,
            ..ModelSettings::default()
        };
        Ok(Engine::open(settings.load(None).await?, EngineOptions::default())?)
    }
}

/// Runs a command; rules in Starlark are hosted by this program again.
pub fn main(command: Command) -> Exit {
    match command {
        Command::Files(command) => files(command),
        Command::Calibrate(args) => calibrate::main(args),
        Command::Publish(args) => neuron::cli::run_to_end(|stop| publish::publish(args, stop)),
        Command::Pull(args) => neuron::cli::run_to_end(|stop| publish::pull(args, stop)),
        Command::Remeasure(args) => remeasure::main(args),
    }
}

fn files(command: cli::Command) -> Exit {
    let Ok(program) = Program::this(&validator::HOST) else {
        return Exit::Failed;
    };
    match cli::main(command, &program, Some(&venue::LocalChains)) {
        cli::Outcome::Done => Exit::Done,
        cli::Outcome::Usage => Exit::Usage,
        cli::Outcome::Failed => Exit::Failed,
    }
}

/// Prints one line on stdout; a reader that left is no error.
fn say(line: impl std::fmt::Display) {
    drop(writeln!(io::stdout(), "{line}"));
}
