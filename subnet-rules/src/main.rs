//! The owner's commands as a program of their own.

use clap::Parser;
use subnet_rules::cli::{self, Command, Outcome};
use subnet_rules::star::Program;

/// Write rules, check them, attack them.
#[derive(Debug, Parser)]
#[command(name = "subnet-rules", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

fn main() -> std::io::Result<Outcome> {
    Ok(cli::main(Args::parse().command, &Program::this(&["host"])?, None))
}
