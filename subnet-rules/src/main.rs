//! The owner's commands as a program of their own.

use clap::Parser;
use subnet_rules::cli::{self, Args, Outcome};

fn main() -> Outcome {
    cli::main(Args::parse())
}
