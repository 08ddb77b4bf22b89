//! `validator`: examine miners, keep evidence, set weights.

use clap::Parser;
use neuron::Exit;
use subnet_rules::star;
use validator::HOST;

/// Examine miners, keep evidence, set weights.
#[derive(Debug, Parser)]
#[command(name = "validator", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    args: validator::cli::Args,
}

fn main() -> Exit {
    // How this program hosts rules in Starlark: itself again, confined.
    if std::env::args_os().skip(1).eq(HOST) {
        let served = star::host::serve(std::io::stdin().lock(), &mut std::io::stdout().lock());
        return if served.is_ok() { Exit::Done } else { Exit::Failed };
    }
    validator::cli::main(Cli::parse().args)
}
