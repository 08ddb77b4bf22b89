//! The one command.

use clap::{Parser, Subcommand};
use neuron::{Exit, logs::LogArgs};

/// A Bittensor-style subnet: chain, miners, validators, rules.
#[derive(Debug, Parser)]
#[command(name = "ganglion", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A whole subnet on this machine: chain, miners, validators, live table.
    Up {
        #[command(flatten)]
        args: ganglion::up::UpArgs,
        #[command(flatten)]
        logs: LogArgs,
    },
    /// A chain on this machine, as anvil is one for Ethereum.
    Localnet(ganglion::localnet::LocalnetArgs),
    /// Serve a model and be paid for it.
    Miner(miner::cli::Args),
    /// Examine miners and set weights.
    Validator(validator::cli::Args),
    /// Write rules, check them, attack them.
    Rules(subnet_rules::cli::Args),
    /// Fetch, inspect, convert and measure models.
    Model(inference::cli::Args),
}

fn main() -> Exit {
    match Cli::parse().command {
        Command::Up { args, logs } => ganglion::up::main(&args, &logs),
        Command::Localnet(args) => ganglion::localnet::main(args),
        Command::Miner(args) => miner::cli::main(args),
        Command::Validator(args) => validator::cli::main(args),
        Command::Rules(args) => match subnet_rules::cli::main(args) {
            subnet_rules::cli::Outcome::Done => Exit::Done,
            subnet_rules::cli::Outcome::Usage => Exit::Usage,
            subnet_rules::cli::Outcome::Failed => Exit::Failed,
        },
        Command::Model(args) => match inference::cli::main(args) {
            inference::cli::Outcome::Done => Exit::Done,
            inference::cli::Outcome::Failed => Exit::Failed,
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_sound() {
        super::Cli::command().debug_assert();
    }
}
