//! `ganglion localnet`.

use crate::{
    Config, DEV_ACCOUNTS, Error, Fork, Genesis, History, Localnet, Sealing, Spec, TAO, fork,
    genesis,
};
use sp_core::crypto::Ss58Codec as _;
use std::{
    io::{self, Write as _},
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

/// Runs a local chain: Bittensor's pallets in this process, funded development accounts, JSON-RPC on one port.
#[derive(Debug, Clone, clap::Args)]
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
    /// Whose rules the chain follows; 425 begins as the recorded traces do.
    #[arg(long, value_name = "SPEC", value_parser = ["461", "425"], default_value = "461")]
    pub spec: String,
    /// Blocks by which the finalized head is behind the best.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub finality_lag: u32,
    /// Keep the chain in this directory, and go on from what is there.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Begin with the accounts, subnets and stakes of this TOML file.
    #[arg(long, value_name = "FILE.toml")]
    pub genesis: Option<PathBuf>,
    /// Begin as a well-known development chain: `devnet` has netuid 1 and a faucet, as the official one, so
    /// that the first subnet that somebody registers is 2.
    #[arg(long, value_name = "NAME", value_parser = ["devnet"], conflicts_with = "genesis")]
    pub preset: Option<String>,
    /// Go on from the chain that was dumped into this file.
    #[arg(long, value_name = "FILE")]
    pub load_state: Option<PathBuf>,
    /// Write the whole chain into this file at the end.
    #[arg(long, value_name = "FILE")]
    pub dump_state: Option<PathBuf>,
    /// Whose drand pulses the chain carries: its own beacon's, or quicknet's, which the Python SDK encrypts for.
    #[arg(long, value_name = "NAME", value_parser = ["own", "quicknet"], default_value = "own")]
    pub beacon: String,
    /// Where quicknet's pulses come from: a file with one a line, or an address with `/public/ROUND` below it.
    #[arg(long, value_name = "FILE|URL", required_if_eq("beacon", "quicknet"))]
    pub pulses: Option<String>,
    /// Go on from another subtensor's block: its state is fetched as it is read.
    #[arg(long, value_name = "ENDPOINT", conflicts_with_all = ["state", "genesis", "preset", "load_state", "dump_state"])]
    pub fork: Option<String>,
    /// The block at which the fork begins, by height or hash; the finalized head otherwise.
    #[arg(long, value_name = "BLOCK", requires = "fork")]
    pub at: Option<String>,
    /// Keep fetched state in this directory; otherwise below the user's cache directory.
    #[arg(long, value_name = "DIR", requires = "fork")]
    pub fork_cache: Option<PathBuf>,
    /// Keep every state; otherwise the last 512.
    #[arg(long)]
    pub archive: bool,
    /// Keep the states of the last N blocks, as a pruned node; what is older is discarded.
    #[arg(long, value_name = "N", conflicts_with = "archive", value_parser = clap::value_parser!(u32).range(1..))]
    pub states: Option<u32>,
    /// Blocks mined ahead do not move the clock: clients that reckon drand rounds by theirs stay right.
    #[arg(long)]
    pub keep_clock: bool,
}

impl Args {
    /// What these flags ask for.
    ///
    /// # Errors
    /// When the genesis file cannot be read.
    pub fn config(&self) -> Result<Config, Error> {
        let sealing = if self.instant {
            Sealing::Instant
        } else {
            Sealing::Interval(Duration::from_millis(self.block_ms))
        };
        let spec = if self.spec == "425" { Spec::S425 } else { Spec::S461 };
        let genesis = match (&self.genesis, spec) {
            (Some(file), _) => Genesis::read(file)?,
            (None, Spec::S425) => Genesis::recorded(),
            (None, Spec::S461) if self.preset.is_some() => Genesis::devnet(),
            (None, Spec::S461) => Genesis::default(),
        };
        Ok(Config {
            host: self.host,
            port: self.port,
            sealing,
            finality_lag: self.finality_lag,
            history: match (self.archive, self.states) {
                (true, _) => History::Archive,
                (false, Some(states)) => History::States(states),
                (false, None) => History::RECENT,
            },
            genesis,
            spec,
            state_dir: self.state.clone(),
            keep_clock: self.keep_clock,
            quicknet: self.pulses.clone().filter(|_| self.beacon == "quicknet"),
            fork: self.fork.as_ref().map(|endpoint| Fork {
                endpoint: endpoint.clone(),
                at: self.at.clone(),
                cache: self.fork_cache.clone().or_else(fork::default_cache),
            }),
        })
    }
}

/// Runs a chain until `stop` resolves, after a greeting on standard output.
///
/// # Errors
/// When it cannot start; see [`Error::hint`].
pub async fn run(args: Args, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let config = args.config()?;
    let genesis = config.genesis.clone();
    let chain = crate::spawn(config)?;
    if let Some(file) = &args.load_state {
        chain.load(file)?;
    }
    let greeting = greeting(&args, &genesis, &chain);
    // Nobody reads standard output: the chain is no worse for it.
    if let Err(error) = io::stdout().write_all(greeting.as_bytes()) {
        tracing::debug!(%error, "the greeting was not read");
    }
    stop.await;
    if let Some(file) = &args.dump_state {
        chain.dump(file)?;
    }
    chain.shutdown();
    Ok(())
}

/// Accounts, their balances, and where the chain is.
fn greeting(args: &Args, genesis: &Genesis, chain: &Localnet) -> String {
    let account = |who: &str| {
        let address = genesis::account(who).map(|account| account.to_ss58check());
        let rao = genesis.balances.get(who).copied().unwrap_or(0);
        let sudo = if genesis.sudo == who { "  sudo" } else { "" };
        format!("  {who:<10} {}  {} TAO{sudo}\n", address.unwrap_or_default(), rao / TAO)
    };
    let accounts: Vec<String> = DEV_ACCOUNTS.into_iter().map(account).collect();
    let sealing = if args.instant {
        "a block for each extrinsic".to_owned()
    } else {
        format!("a block every {} ms", args.block_ms)
    };
    let fork = args.fork.as_ref().map(|fork| {
        let differing = match chain.differing() {
            [] => "nothing".to_owned(),
            items => items.join(", "),
        };
        format!("Fork of  {}\nReads otherwise: {differing}\n", fork::without_path(fork))
    });
    let kept = args.state.as_ref().map_or("in memory".to_owned(), |dir| dir.display().to_string());
    format!(
        "\nAccounts\n{}\n{}Spec     {}\nBlocks   {sealing}, finalized {} behind\nState    {kept}\n\
         Genesis  {:?}\nHead     {}\n\nListening on {}\n",
        accounts.concat(),
        fork.unwrap_or_default(),
        args.spec,
        args.finality_lag,
        chain.genesis_hash(),
        chain.head().number,
        chain.url(),
    )
}
