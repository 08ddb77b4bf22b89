//! What a validator says of itself, for tables.

use std::collections::BTreeMap;

use chain_metadata::{Alpha, Hotkey, Uid};
use serde::Serialize;

/// A validator at its latest finalized head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Who it is.
    pub hotkey: Hotkey,
    /// Its slot, while it has one.
    pub uid: Option<Uid>,
    /// The rule it judges by: name and version.
    pub rule: String,
    /// Its digest, in hex.
    pub rule_digest: String,
    /// Why it is another than the one the owner has published, if it is.
    pub rule_differs: Option<String>,
    /// Finalized head.
    pub block: u64,
    /// The subnet's epoch.
    pub epoch: u64,
    /// The block whose beginning runs the next one.
    pub next_epoch_block: u64,
    /// Whether it may set weights.
    pub permit: bool,
    /// Share of its weights that consensus kept, 0 to 1.
    pub validator_trust: f64,
    /// Its share of the validators' emission, 0 to 1.
    pub dividends: f64,
    /// Weight vectors settled on chain since it started.
    pub weights_set: u64,
    /// Timelocked commits of its hotkey that the chain was to reveal since it started, by what became of
    /// them: `applied`, or the name of a [`Cause`](crate::loss::Cause).
    pub reveals: BTreeMap<&'static str, u64>,
    /// What it decided about weights.
    pub decision: String,
    /// Rounds finished since it started.
    pub rounds: u64,
    /// Every miner it knows, ascending by uid.
    pub miners: Vec<MinerStatus>,
}

/// A miner as a validator sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MinerStatus {
    /// Its slot.
    pub uid: Uid,
    /// Who it is.
    pub hotkey: Hotkey,
    /// Questions asked since the validator started.
    pub requests: u64,
    /// Of these, answers that could be judged.
    pub answered: u64,
    /// What it is worth; `None` before there is evidence.
    pub score: Option<f64>,
    /// What the identity gate says: `pass`, `fail` or `no evidence`.
    pub identity: String,
    /// The weight that it would get now.
    pub weight: Option<u16>,
    /// Share of the miners' emission, 0 to 1.
    pub incentive: f64,
    /// Alpha paid at the last epoch.
    pub emission: Alpha,
    /// Why it did not answer last, if it did not.
    pub fault: Option<String>,
}

impl Status {
    /// Before the first head.
    pub const fn waiting(hotkey: Hotkey) -> Self {
        Self {
            hotkey,
            uid: None,
            rule: String::new(),
            rule_digest: String::new(),
            rule_differs: None,
            block: 0,
            epoch: 0,
            next_epoch_block: 0,
            permit: false,
            validator_trust: 0.0,
            dividends: 0.0,
            weights_set: 0,
            reveals: BTreeMap::new(),
            decision: String::new(),
            rounds: 0,
            miners: Vec::new(),
        }
    }
}
