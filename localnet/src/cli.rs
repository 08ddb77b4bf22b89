//! `ganglion localnet`.

use crate::{Config, Error, History, Sealing, Spec};
use std::{net::IpAddr, time::Duration};

/// Runs a local chain: Bittensor's pallets in this process, funded development accounts, JSON-RPC on one port.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = crate::DEFAULT_PORT)]
    pub port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// A block every so many milliseconds.
    #[arg(long, value_name = "N", default_value_t = 12_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub block_ms: u64,
    /// A block for each extrinsic at once, and none without.
    #[arg(long, conflicts_with = "block_ms")]
    pub instant: bool,
    /// Whose rules the chain follows.
    #[arg(long, value_name = "SPEC", value_parser = ["461", "425"], default_value = "461")]
    pub spec: String,
    /// Blocks by which the finalized head is behind the best.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub finality_lag: u32,
    /// Keep every state; otherwise the last 256.
    #[arg(long)]
    pub archive: bool,
}

impl Args {
    /// What these flags ask for.
    pub fn config(&self) -> Config {
        let sealing = if self.instant {
            Sealing::Instant
        } else {
            Sealing::Interval(Duration::from_millis(self.block_ms))
        };
        Config {
            host: self.host,
            port: self.port,
            sealing,
            finality_lag: self.finality_lag,
            history: if self.archive { History::Archive } else { History::FINNEY },
            spec: if self.spec == "425" { Spec::S425 } else { Spec::S461 },
            ..Config::default()
        }
    }
}

/// Runs a chain until `stop` resolves.
///
/// # Errors
/// When it cannot start; see [`Error::hint`].
pub async fn run(args: Args, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let chain = crate::spawn(args.config())?;
    tracing::info!(url = chain.url(), "serving");
    stop.await;
    chain.shutdown();
    Ok(())
}
