//! The chain alone, without the rest of the suite: `cargo run -p localnet --example serve -- --instant`.
//! The flags are those of `ganglion localnet`.

use clap::Parser as _;

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: localnet::cli::Args,
}

#[tokio::main]
async fn main() -> Result<(), localnet::Error> {
    localnet::cli::run(Cli::parse().args, async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "cannot wait for Ctrl-C");
        }
    })
    .await
}
