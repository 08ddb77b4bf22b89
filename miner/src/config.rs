//! A miner's settings.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use chain_metadata::Hotkey;
use neuron::{
    ChainSettings, HealthSettings, Kind, ModelSettings, Setting, Settings, WalletSettings,
};
use serde::{Deserialize, Serialize};

use crate::Behaviour;

/// Everything an operator can set. The defaults run on the local chain without a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which chain and subnet.
    pub chain: ChainSettings,
    /// Which hotkey.
    pub wallet: WalletSettings,
    /// Which model.
    pub model: ModelSettings,
    /// Where to listen, and what to announce.
    pub axon: Axon,
    /// Who may ask, and how much.
    pub admission: Admission,
    /// A listener for plain `OpenAI` clients.
    pub openai: OpenAi,
    /// Other servers that answer in the engine's place.
    pub backends: BackendSettings,
    /// Metrics and health.
    pub health: HealthSettings,
    /// Which work is done, and by what.
    pub work: WorkSettings,
    /// What is kept on disk.
    pub state: State,
    /// Playing a part in a rehearsal.
    pub rehearsal: Rehearsal,
}

/// `[axon]`: where to listen, and what to announce on chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Axon {
    /// Address to listen on.
    pub bind: IpAddr,
    /// Port to listen on; 0 takes any free one.
    pub port: u16,
    /// Address that validators should call. Where not set: on a local chain "this machine"
    /// (0.0.0.0, as the chain refuses 127.0.0.1), elsewhere the address listened on.
    pub external_ip: Option<IpAddr>,
    /// Port that validators should call; where not set, the port listened on.
    pub external_port: Option<u16>,
    /// Whether to announce it on chain at all.
    pub publish: bool,
}

impl Default for Axon {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 8091,
            external_ip: None,
            external_port: None,
            publish: true,
        }
    }
}

/// `[admission]`: who may ask, and how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admission {
    /// Whether a caller needs a validator permit; otherwise any registered hotkey may ask.
    pub require_permit: bool,
    /// Hotkeys that may ask whatever the chain says of them.
    pub allow: Vec<Hotkey>,
    /// Requests of one caller under way at a time; more are refused with 429.
    pub per_caller: usize,
    /// Requests under way at a time, and waiting for the engine; more are refused with 429.
    pub queue: usize,
}

impl Default for Admission {
    fn default() -> Self {
        Self { require_permit: true, allow: Vec::new(), per_caller: 16, queue: 64 }
    }
}

/// `[openai]`: a listener for plain `OpenAI` clients, beside the axon and without signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenAi {
    /// Address to listen on.
    pub bind: IpAddr,
    /// Port to listen on, 0 for any free one; where not set, nothing listens.
    pub port: Option<u16>,
    /// Key that clients must show; needed where others than this machine can connect.
    pub key: Option<String>,
    /// Encoder that makes embeddings: `minilm-l6`, or a folder; where not set, nothing does.
    pub embedding_model: Option<String>,
    /// Names that the model is served by, beside its own and its id; the first is the one it goes by.
    pub names: Vec<String>,
    /// Origins whose pages may ask from a browser, `*` for all; where none is set, none may.
    pub cors_origins: Vec<String>,
    /// Seconds in which an answer of the engine's is due, queueing included; one that takes longer
    /// ends with what there is.
    pub answer_seconds: u64,
}

impl Default for OpenAi {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: None,
            key: None,
            embedding_model: None,
            names: Vec::new(),
            cors_origins: Vec::new(),
            answer_seconds: 100,
        }
    }
}

/// `[backends]`: other servers of the `OpenAI` API that answer chats, completions and embeddings in
/// the engine's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackendSettings {
    /// Their addresses.
    pub urls: Vec<String>,
    /// Key that is shown to them.
    pub key: Option<String>,
    /// Seconds in which one must be reached.
    pub connect_seconds: u64,
    /// Longest silence of one, in seconds: a whole answer where it is not streamed.
    pub answer_seconds: u64,
}

impl Default for BackendSettings {
    fn default() -> Self {
        Self { urls: Vec::new(), key: None, connect_seconds: 2, answer_seconds: 300 }
    }
}

/// `[work]`: which work is done, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkSettings {
    /// A shipped rule's name or a rule's folder: the rule until the owner's is published.
    pub rule: String,
    /// Whether to serve the rule that the subnet's owner publishes.
    pub follow: bool,
    /// Address of a program that does the work, in place of this one's own.
    pub url: Option<String>,
    /// Command line of such a program: a line of JSON in, a line of JSON out.
    pub command: Option<String>,
}

impl Default for WorkSettings {
    fn default() -> Self {
        Self { rule: "serve".to_owned(), follow: true, url: None, command: None }
    }
}

/// `[state]`: what is kept on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// Folder of the hotkey's lock and its replay journal.
    pub dir: PathBuf,
}

impl Default for State {
    fn default() -> Self {
        Self { dir: PathBuf::from("~/.ganglion/miner") }
    }
}

/// `[rehearsal]`: playing a part on a chain of one's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rehearsal {
    /// Which part. Anything but `honest` is refused unless the chain is on this machine.
    pub behaviour: Behaviour,
}

impl Settings for Config {
    const ENV_PREFIX: &'static str = "GANGLION_MINER_";

    fn table() -> Vec<Setting> {
        let mut table = Vec::new();
        table.extend(ChainSettings::table());
        table.extend(WalletSettings::table());
        table.extend(ModelSettings::table());
        table.extend(axon_table());
        table.extend(admission_table());
        table.extend(openai_table());
        table.extend(HealthSettings::table());
        table.extend(work_table());
        table.push(setting("state.dir", "state-dir", Kind::Text, "Folder of the miner's state"));
        table.push(setting(
            "rehearsal.behaviour",
            "rehearse",
            Kind::Text,
            "Part to play on a chain of one's own: honest, lazy, substitute:CLASS, copier, …",
        ));
        table
    }
}

const fn setting(key: &'static str, flag: &'static str, kind: Kind, help: &'static str) -> Setting {
    Setting { key, flag, short: None, aliases: &[], env: &[], kind, help }
}

fn axon_table() -> [Setting; 5] {
    [
        Setting {
            aliases: &["axon.bind"],
            ..setting("axon.bind", "axon-bind", Kind::Text, "Address to listen on")
        },
        Setting {
            aliases: &["axon.port"],
            env: &["BT_AXON_PORT"],
            ..setting(
                "axon.port",
                "axon-port",
                Kind::Integer,
                "Port to listen on; 0 takes a free one",
            )
        },
        Setting {
            aliases: &["axon.external_ip"],
            env: &["BT_AXON_EXTERNAL_IP"],
            ..setting(
                "axon.external_ip",
                "axon-external-ip",
                Kind::Text,
                "Address that validators should call",
            )
        },
        Setting {
            aliases: &["axon.external_port"],
            env: &["BT_AXON_EXTERNAL_PORT"],
            ..setting(
                "axon.external_port",
                "axon-external-port",
                Kind::Integer,
                "Port that validators should call",
            )
        },
        setting("axon.publish", "axon-publish", Kind::Switch, "Announce the address on chain"),
    ]
}

fn work_table() -> [Setting; 4] {
    [
        setting(
            "work.rule",
            "rule",
            Kind::Text,
            "A shipped rule or a rule's folder, until the owner's rule is published",
        ),
        setting(
            "work.follow",
            "follow-rule",
            Kind::Switch,
            "Serve the rule that the subnet's owner publishes",
        ),
        setting("work.url", "worker", Kind::Text, "Address of a program that answers tasks"),
        setting(
            "work.command",
            "worker-command",
            Kind::Text,
            "Program that answers tasks: a line of JSON in, a line of JSON out",
        ),
    ]
}

fn admission_table() -> [Setting; 4] {
    [
        Setting {
            aliases: &["blacklist.force_validator_permit"],
            ..setting(
                "admission.require_permit",
                "require-permit",
                Kind::Switch,
                "Answer only callers with a validator permit",
            )
        },
        setting("admission.allow", "allow", Kind::List, "Hotkeys that may always ask"),
        setting(
            "admission.per_caller",
            "per-caller",
            Kind::Integer,
            "Requests of one caller under way at a time",
        ),
        setting("admission.queue", "queue", Kind::Integer, "Requests under way at a time"),
    ]
}

fn openai_table() -> [Setting; 11] {
    [
        setting("openai.bind", "openai-bind", Kind::Text, "Address for plain OpenAI clients"),
        setting(
            "openai.port",
            "openai-port",
            Kind::Integer,
            "Port for plain OpenAI clients; 0 takes a free one, without it nothing listens",
        ),
        setting("openai.key", "openai-key", Kind::Text, "Key that plain clients must show"),
        setting(
            "openai.embedding_model",
            "embedding-model",
            Kind::Text,
            "Encoder that makes embeddings: minilm-l6, or a folder",
        ),
        setting("openai.names", "served-name", Kind::List, "Names that the model is served by"),
        setting(
            "openai.cors_origins",
            "cors-origin",
            Kind::List,
            "Origins whose pages may ask from a browser; * for all",
        ),
        setting(
            "openai.answer_seconds",
            "answer-seconds",
            Kind::Integer,
            "Seconds in which an answer is due; a longer one is cut",
        ),
        setting(
            "backends.urls",
            "backend",
            Kind::List,
            "OpenAI-compatible servers that answer in the engine's place",
        ),
        setting("backends.key", "backend-key", Kind::Text, "Key that is shown to backends"),
        setting(
            "backends.connect_seconds",
            "backend-connect-seconds",
            Kind::Integer,
            "Seconds in which a backend must be reached",
        ),
        setting(
            "backends.answer_seconds",
            "backend-answer-seconds",
            Kind::Integer,
            "Longest silence of a backend, in seconds",
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
                let value = match setting.key {
                    "axon.bind" | "axon.external_ip" | "openai.bind" => "127.0.0.1",
                    "rehearsal.behaviour" => "lazy",
                    "admission.allow" => "",
                    _ => match setting.kind {
                        Kind::Integer => "7",
                        Kind::Number => "0.5",
                        Kind::Switch => "true",
                        Kind::Text | Kind::List => "x",
                    },
                };
                (setting.own_env(Config::ENV_PREFIX), value.to_owned())
            })
            .collect();
        let resolved =
            neuron::settings::resolve::<Config>(&neuron::Flags::default(), &given, None).unwrap();
        assert_eq!(resolved.value.admission.per_caller, 7);
        assert_eq!(resolved.value.rehearsal.behaviour.to_string(), "lazy");
    }
}
