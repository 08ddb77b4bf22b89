//! `miner`: serve a model and be paid for it.

use clap::Parser;
use neuron::Exit;

/// Serve a model and be paid for it.
#[derive(Debug, Parser)]
#[command(name = "miner", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    args: miner::cli::Args,
}

fn main() -> Exit {
    miner::cli::main(Cli::parse().args)
}
