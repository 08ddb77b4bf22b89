//! A validator's settings.

use std::path::PathBuf;

use neuron::{
    ChainSettings, HealthSettings, Kind, ModelSettings, Setting, Settings, WalletSettings,
};
use serde::{Deserialize, Serialize};

/// Everything an operator can set. The defaults run on the local chain without a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which chain and subnet.
    pub chain: ChainSettings,
    /// Which hotkey.
    pub wallet: WalletSettings,
    /// The reference model.
    pub model: ModelSettings,
    /// By which rule.
    pub rule: RuleSettings,
    /// How miners are examined.
    pub rounds: Rounds,
    /// How weights are sent.
    pub weights: WeightSettings,
    /// Metrics and health.
    pub health: HealthSettings,
    /// What is kept on disk.
    pub state: State,
}

/// `[rule]`: by which rule miners are examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleSettings {
    /// A shipped rule's name or a rule's folder: the rule until the owner's is in force.
    pub source: String,
    /// Whether to adopt the rule that the subnet's owner publishes.
    pub follow: bool,
}

impl Default for RuleSettings {
    fn default() -> Self {
        Self { source: "serve".to_owned(), follow: true }
    }
}

/// `[rounds]`: how miners are examined. What is asked, of whom and how often is the rule's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rounds {
    /// Requests under way at a time.
    pub concurrency: usize,
}

impl Default for Rounds {
    fn default() -> Self {
        Self { concurrency: 256 }
    }
}

/// `[weights]`: how weights are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeightSettings {
    /// Whether to send any; without, the validator examines and shows.
    pub enabled: bool,
    /// The subnet's mechanism.
    pub mechid: u8,
    /// Blocks before the epoch's end at which to send; where not set, chosen by the program.
    pub margin_blocks: Option<u64>,
    /// The version key that goes with them: below the chain's, nothing is sent.
    pub version_key: u64,
}

impl Default for WeightSettings {
    fn default() -> Self {
        Self { enabled: true, mechid: 0, margin_blocks: None, version_key: 0 }
    }
}

/// `[state]`: what is kept on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// Folder of the journal and the evidence.
    pub dir: PathBuf,
    /// Folder to keep every answer in with its evidence, for `model verify`. It holds prompts in
    /// clear, which nothing else on disk does.
    pub audit: Option<PathBuf>,
}

impl Default for State {
    fn default() -> Self {
        Self { dir: PathBuf::from("~/.ganglion/validator"), audit: None }
    }
}

impl Settings for Config {
    const ENV_PREFIX: &'static str = "GANGLION_VALIDATOR_";

    fn table() -> Vec<Setting> {
        let mut table = Vec::new();
        table.extend(ChainSettings::table());
        table.extend(WalletSettings::table());
        table.extend(ModelSettings::table());
        table.push(setting(
            "rule.source",
            "rule",
            Kind::Text,
            "A shipped rule or a rule's folder, until the owner's published rule is in force",
        ));
        table.push(setting(
            "rule.follow",
            "follow-rule",
            Kind::Switch,
            "Adopt the rule that the subnet's owner publishes",
        ));
        table.extend(rounds_table());
        table.extend(weights_table());
        table.extend(HealthSettings::table());
        table.push(setting("state.dir", "state-dir", Kind::Text, "Folder of journal and evidence"));
        table.push(setting(
            "state.audit",
            "audit",
            Kind::Text,
            "Folder to keep answers in with their evidence; it holds prompts in clear",
        ));
        table
    }
}

const fn setting(key: &'static str, flag: &'static str, kind: Kind, help: &'static str) -> Setting {
    Setting { key, flag, short: None, aliases: &[], env: &[], kind, help }
}

fn rounds_table() -> [Setting; 1] {
    [setting("rounds.concurrency", "concurrency", Kind::Integer, "Requests under way at a time")]
}

fn weights_table() -> [Setting; 4] {
    [
        setting("weights.enabled", "set-weights", Kind::Switch, "Send weights at all"),
        setting("weights.mechid", "mechid", Kind::Integer, "The subnet's mechanism"),
        setting(
            "weights.margin_blocks",
            "margin-blocks",
            Kind::Integer,
            "Blocks before the epoch's end at which to send",
        ),
        setting(
            "weights.version_key",
            "version-key",
            Kind::Integer,
            "Version key that goes with the weights",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_the_table_is_a_field_of_the_struct() {
        let given: Vec<(String, String)> = Config::table()
            .iter()
            .map(|setting| {
                let value = match setting.kind {
                    Kind::Integer => "7",
                    Kind::Number => "0.5",
                    Kind::Switch => "false",
                    Kind::Text | Kind::List => "x",
                };
                (setting.own_env(Config::ENV_PREFIX), value.to_owned())
            })
            .collect();
        let resolved =
            neuron::settings::resolve::<Config>(&neuron::Flags::default(), &given, None).unwrap();
        assert_eq!(resolved.value.rounds.concurrency, 7);
        assert!(!resolved.value.weights.enabled);
    }
}
