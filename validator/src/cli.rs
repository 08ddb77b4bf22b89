//! The validator's command line.

use neuron::Exit;

use crate::Config;

/// Examine miners and set weights.
pub type Args = neuron::cli::Args<Config>;

/// Runs what `args` ask for, in a runtime of its own, until it ends or the user ends it.
pub fn main(args: Args) -> Exit {
    args.run("validator", crate::run)
}
