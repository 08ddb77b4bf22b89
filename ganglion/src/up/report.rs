//! What `up` knows of the running subnet, and the one object that `--json` prints.

use chain_metadata::{Alpha, Hotkey, NetUid, Tao, Uid};
use serde::Serialize;

/// The subnet as `up` saw it: the screen draws it live, `--json` prints it once at the end.
///
/// Proportions are in 0..1, stakes in rao of the subnet's alpha.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The subnet.
    pub netuid: NetUid,
    /// The rule's name and digest, as validators publish it.
    pub rule: String,
    /// The model that the rule names, if it names one.
    pub model: Option<ModelReport>,
    /// Epochs whose incentive came from our validators' weights.
    pub epochs: u32,
    /// Final blocks seen since the chain's genesis.
    pub blocks: u64,
    /// One row a miner, in order of the cast.
    pub miners: Vec<MinerReport>,
    /// One row a validator.
    pub validators: Vec<ValidatorReport>,
    /// The chain under it all.
    pub chain: ChainReport,
}

/// A served model: what the arithmetic is, not what the file is.
#[derive(Debug, Clone, Serialize)]
pub struct ModelReport {
    /// Name given on the command line or by the file.
    pub name: String,
    /// SHA-256 of the weights after load, hex.
    pub digest: String,
    /// Numeric class of the arithmetic.
    pub numeric_class: String,
}

/// One miner.
#[derive(Debug, Clone, Serialize)]
pub struct MinerReport {
    /// Name of its wallet.
    pub name: String,
    /// Part it plays: honest, substitute, lazy.
    pub kind: String,
    /// Its slot.
    pub uid: Uid,
    /// Its identity.
    pub hotkey: Hotkey,
    /// Requests it has been asked, by all validators.
    pub requests: u64,
    /// Standing in 0..1, mean over the validators; absent before the first evidence.
    pub score: Option<f64>,
    /// Verdict on what it serves: pass, fail, no evidence.
    pub identity: String,
    /// Share of the last epoch's incentive.
    pub incentive: f64,
    /// Stake of the miner's owner on its hotkey before the first counted epoch.
    pub alpha_stake_before: Alpha,
    /// The same now.
    pub alpha_stake_after: Alpha,
}

/// One validator.
#[derive(Debug, Clone, Serialize)]
pub struct ValidatorReport {
    /// Name of its wallet.
    pub name: String,
    /// Its slot.
    pub uid: Uid,
    /// Its identity.
    pub hotkey: Hotkey,
    /// Trust the chain's consensus gives it.
    pub validator_trust: f64,
    /// Share of the last epoch's dividends.
    pub dividends: f64,
    /// Weight vectors it has settled on chain.
    pub weights_set: u64,
}

/// The local chain.
#[derive(Debug, Clone, Serialize)]
pub struct ChainReport {
    /// Runtime version it reports.
    pub spec_version: u32,
    /// Genesis hash, `0x` hex.
    pub genesis: String,
}

/// One hyperparameter `up` changed, and the call that did it.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// Hyperparameter in the words of the chain.
    pub name: &'static str,
    /// Its new value.
    pub value: String,
    /// The call of `AdminUtils`.
    pub call: &'static str,
    /// Who signed it.
    pub by: &'static str,
}

/// Tao for a person, `12.345 τ`.
pub(super) fn tao(amount: Tao) -> String {
    format!("{} τ", nine_decimals(amount.rao()))
}

/// Alpha for a person, `12.345 α`.
pub(super) fn alpha(amount: Alpha) -> String {
    format!("{} α", nine_decimals(amount.rao()))
}

/// Three of the nine decimals, by integer division: no rounding up to what is not there.
fn nine_decimals(rao: u64) -> String {
    format!("{}.{:03}", rao / 1_000_000_000, rao % 1_000_000_000 / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_cut_not_rounded() {
        assert_eq!(tao(Tao(1_999_999_999)), "1.999 τ");
        assert_eq!(alpha(Alpha(500)), "0.000 α");
    }
}
