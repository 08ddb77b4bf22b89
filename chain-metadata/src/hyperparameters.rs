//! A subnet's rules, as its owner and root set them.

use serde::{Deserialize, Serialize};

/// What the suite needs to know of a subnet's hyperparameters, at one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the chain's own")]
pub struct Hyperparameters {
    /// Blocks between two epochs; 0 stops them.
    pub tempo: u16,
    /// Whether weights must be committed first and revealed later.
    pub commit_reveal_enabled: bool,
    /// Epochs from a commit to its reveal.
    pub reveal_period_epochs: u64,
    /// The only version of timelocked commits that the chain takes.
    pub commit_reveal_version: u16,
    /// Blocks a validator must wait between two weight vectors (or commits).
    pub weights_rate_limit: u64,
    /// Lowest version key taken; 0 takes any.
    pub weights_version_key: u64,
    /// Fewest uids a weight vector may pay (or the whole subnet, if that is fewer).
    pub min_allowed_weights: u16,
    /// Most neurons with a validator permit.
    pub max_allowed_validators: u16,
    /// Slots of the subnet.
    pub max_allowed_uids: u16,
    /// Blocks without an update after which a neuron counts as inactive.
    pub activity_cutoff_blocks: u64,
    /// Blocks a newcomer cannot be replaced.
    pub immunity_period: u16,
    /// Blocks between two `serve_axon` calls of one neuron.
    pub serving_rate_limit: u64,
    /// Share of stake that must agree before a weight counts, of 65535.
    pub kappa: u16,
    /// Rao of TAO that registration costs now.
    pub burn: u64,
    /// Mechanisms of the subnet.
    pub mechanism_count: u8,
    /// Whether alpha can be bought (after `start_call`).
    pub subtoken_enabled: bool,
    /// Whether bonds follow the Yuma 3 formula.
    pub yuma3: bool,
    /// Whether bonds move at a speed of each pair's own (with Yuma 3 only).
    pub liquid_alpha: bool,
}

/// Thousandths in one of the activity cutoff factor.
const MILLI: u64 = 1000;

/// Blocks of inactivity allowed: `max(1, ⌊factor × tempo / 1000⌋)`.
pub fn activity_cutoff(factor_milli: u32, tempo: u16) -> u64 {
    (u64::from(factor_milli) * u64::from(tempo) / MILLI).max(1)
}
