//! What a miner and a validator share as programs, and nothing of what either of them does.
//!
//! ```text
//! flags > BT_*/GANGLION_* > file > defaults  ──settings──▶ one struct, and where each value came from
//! network name or ws:// address              ──link──────▶ a connected chain, after retries that say so
//! wallet on disk or //Dev name               ──identity──▶ the hotkey's pair (a coldkey is never opened)
//! model name or path                         ──model─────▶ a loaded model
//! genesis, netuid, hotkey, role              ──claim─────▶ one process on this machine
//! age of heads, clock, watchdog              ──vitals────▶ objections while nothing else happens
//! counters, gauges, reasons                  ──health────▶ /metrics /healthz /readyz on 127.0.0.1
//! an error with causes                       ──exit──────▶ `error:`, `caused by:`, `hint:`, exit code
//! ```
//!
//! It never answers a request, scores an answer or sends an extrinsic.

pub mod claim;
pub mod cli;
pub mod clock;
pub mod exit;
pub mod health;
pub mod identity;
pub mod library;
mod link;
pub mod logs;
pub mod metrics;
pub mod model;
pub mod settings;
pub mod vitals;

pub use claim::{Claim, ClaimError};
pub use clock::{Skew, skew};
pub use exit::{Exit, Explain, causes, report};
pub use health::{Health, HealthError, HealthSettings, Readiness};
pub use identity::{IdentityError, WalletSettings, expand};
pub use link::{ChainSettings, LinkError};
pub use metrics::Metrics;
pub use model::{ModelError, ModelSettings};
pub use settings::{Flags, Kind, Origin, Resolved, Setting, Settings, SettingsError};
pub use vitals::Vitals;

/// Ends a program in order: cancel it, and everything the program owns winds down.
pub type Shutdown = tokio_util::sync::CancellationToken;
