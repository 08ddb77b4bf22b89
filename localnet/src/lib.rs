//! A subtensor in one process: real FRAME pallets run natively over an in-memory state trie, with one author
//! and a Substrate node's JSON-RPC. Clients cannot tell it from a node; there are no peers, no consensus
//! and no wasm.
//!
//! ```text
//! JSON-RPC ── submit ──► pool ── ready ──► author ── block ──► chain (blocks, trie nodes)
//!     ▲                   ▲                  ▲                        │
//!     │           runtime: valid?    runtime: execute                 │
//!     └────────────────────────── reads, heads, statuses ◄────────────┘
//! ```
//!
//! Every block can be re-executed through `Core_execute_block` with equal roots. This crate never imports
//! the client's: the two meet on the wire, so that each checks the other.
//!
//! ```no_run
//! let chain = localnet::spawn(localnet::Config::test())?;
//! let block = chain.mine(10)?;
//! println!("{} is at block {}", chain.url(), block.number);
//! # Ok::<(), localnet::Error>(())
//! ```

mod author;
mod beacon;
mod blocks;
mod chain;
pub mod cli;
mod clock;
mod disk;
mod execution;
mod fork;
mod genesis;
mod node;
mod operator;
mod pool;
mod relay;
mod rhythm;
mod rpc;
mod service;
mod shield;
mod state;
mod trace;

pub use author::AuthorError;
pub use chain::History;
pub use disk::DiskError;
pub use fork::{Fork, ForkError};
pub use genesis::{DEV_ACCOUNTS, Genesis, GenesisError, GenesisNeuron, GenesisSubnet, TAO};
pub use node::Sealing;
pub use pool::PoolRefusal;
pub use relay::{NoPulse, RelayError};
pub use service::{BlockId, Error, Localnet, spawn};

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

/// The port on which Substrate nodes listen.
pub const DEFAULT_PORT: u16 = 9944;

/// What finney's blocks take.
pub const FINNEY_BLOCK_TIME: Duration = Duration::from_secs(12);

/// What a chain is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// When blocks are made.
    pub sealing: Sealing,
    /// How far the finalized head is behind the best, in blocks.
    pub finality_lag: u32,
    /// Which states are kept.
    pub history: History,
    /// What the chain begins with.
    pub genesis: Genesis,
    /// Which spec's rules it follows.
    pub spec: Spec,
    /// Where the chain is kept, to go on from there; `None` keeps it in memory.
    pub state_dir: Option<PathBuf>,
    /// Blocks that are mined ahead do not move the clock (drand rounds stay the wall clock's).
    pub keep_clock: bool,
    /// Where quicknet's own pulses come from, a file or a relay's address; the chain has a beacon of its own
    /// without.
    pub quicknet: Option<String>,
    /// The chain that this one is a fork of; then the genesis names the sudo key and the beacon only.
    pub fork: Option<Fork>,
}

impl Spec {
    /// The version that the chain reports.
    pub const fn version(self) -> u32 {
        match self {
            Self::S461 => 461,
            Self::S425 => 425,
        }
    }
}

/// Whose rules the chain follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spec {
    /// Spec 461, the default.
    #[default]
    S461,
    /// Spec 425, which the recorded vectors and traces were made with.
    S425,
}

impl Default for Config {
    /// A block every 12 s on port 9944.
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: DEFAULT_PORT,
            sealing: Sealing::Interval(FINNEY_BLOCK_TIME),
            finality_lag: 0,
            history: History::RECENT,
            genesis: Genesis::default(),
            spec: Spec::default(),
            state_dir: None,
            keep_clock: false,
            quicknet: None,
            fork: None,
        }
    }
}

impl Config {
    /// For tests: a free port and instant sealing.
    pub fn test() -> Self {
        Self { port: 0, sealing: Sealing::Instant, ..Self::default() }
    }

    /// The time between two blocks as the chain itself sees it.
    fn block_time(&self) -> Duration {
        match self.sealing {
            Sealing::Interval(interval) => interval,
            Sealing::Instant => FINNEY_BLOCK_TIME,
        }
    }
}
