//! `validator`: examine miners, keep evidence, set weights.

use clap::Parser;
use neuron::Exit;

/// Examine miners, keep evidence, set weights.
#[derive(Debug, Parser)]
#[command(name = "validator", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    args: validator::cli::Args,
}

fn main() -> Exit {
    validator::cli::main(Cli::parse().args)
}
