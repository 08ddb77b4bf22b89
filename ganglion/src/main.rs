//! The one command.

use clap::{Parser, Subcommand};
use neuron::{Exit, logs::LogArgs};
use wire::auth::{Scheme, Signature};

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
    /// What a chain offers, what an upgrade changes, and what it says.
    Chain(chain::cli::Args),
    /// Write rules, check them, attack them, publish them.
    #[command(subcommand)]
    Rules(ganglion::rules::Command),
    /// Fetch, inspect, convert and measure models.
    Model(inference::cli::Args),
}

fn main() -> Exit {
    match Cli::parse().command {
        Command::Up { args, logs } => ganglion::up::main(&args, &logs),
        Command::Localnet(args) => ganglion::localnet::main(args),
        Command::Miner(args) => miner::cli::main(args),
        Command::Validator(args) => validator::cli::main(args),
        Command::Chain(args) => ganglion::chain::main(args),
        Command::Rules(command) => ganglion::rules::main(command),
        Command::Model(args) => match inference::cli::main(args, signed_by) {
            inference::cli::Outcome::Done => Exit::Done,
            inference::cli::Outcome::Failed => Exit::Failed,
        },
    }
}

/// Whether a hotkey signed an answer: the model's commands know no keys.
fn signed_by(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let hotkey = chain_metadata::Hotkey::from_bytes(*key);
    Scheme::Sr25519.verify(&Signature(*signature), message, &hotkey)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn a_signature_counts_for_its_own_key_and_message_only() {
        let pair = chain::Keypair::dev("//Bob").unwrap();
        let (key, signature) = (*pair.hotkey().as_bytes(), pair.sign(b"root"));
        assert!(super::signed_by(&key, b"root", &signature));
        assert!(!super::signed_by(&key, b"toor", &signature));
        assert!(!super::signed_by(&[7; 32], b"root", &signature));
    }

    #[test]
    fn the_command_tree_is_sound() {
        super::Cli::command().debug_assert();
    }
}
