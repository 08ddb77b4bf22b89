//! What the chain begins with.

use crate::{Spec, beacon};
pub use node_subtensor_runtime::subtensor::{GenesisNeuron, GenesisSubnet};
use node_subtensor_runtime::{self as runtime, AccountId};
use sp_core::{
    Pair as _,
    crypto::{DEV_PHRASE, SecretUri, Ss58Codec as _},
    sr25519,
};
use sp_runtime::BuildStorage as _;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::OnceLock,
    time::Duration,
};

/// Rao in a TAO.
pub const TAO: u64 = 1_000_000_000;

/// The accounts that development chains fund, by their secret's derivation path.
pub const DEV_ACCOUNTS: [&str; 6] =
    ["//Alice", "//Bob", "//Charlie", "//Dave", "//Eve", "//Ferdie"];

/// What each of them has.
const DEV_BALANCE: u64 = 1_000_000 * TAO;

/// The accounts of the recorded traces that have as much, and those that have [`RECORDED_SMALL`].
const RECORDED_RICH: [&str; 3] = ["//Alice", "//Bob", "//Charlie"];
const RECORDED_POOR: [&str; 6] = ["//Dave", "//Eve", "//Ferdie", "//One", "//Two", "//Three"];
const RECORDED_SMALL: u64 = 2_000 * TAO;

/// Where the runtime's code is kept. There is no wasm here: it holds the metadata's hash, so that a rebuilt
/// runtime has another genesis hash. Clients cache metadata by genesis hash and spec version.
const CODE_KEY: &[u8] = b":code";

/// Accounts and subnets at block 0. In a genesis file every account is an ss58 address or a derivation path.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Genesis {
    /// Who may use `Sudo`: an ss58 address or a derivation path such as `//Alice`.
    pub sudo: String,
    /// Rao by ss58 address or derivation path.
    pub balances: BTreeMap<String, u64>,
    /// Who receives transaction fees; `//One` if absent.
    pub fee_recipient: Option<String>,
    /// `SubtensorModule.TotalIssuance` in rao, which the block emission's halvings follow.
    pub issuance: Option<u64>,
    /// Whether netuid 1 is there as the real chain's development genesis has it.
    pub development: bool,
    /// Whether a proof of work earns 1,000 TAO (`SubtensorModule.faucet`).
    pub faucet: bool,
    /// Whether the chain's own beacon signs drand rounds. Without one, timelocked weights never open.
    pub beacon: bool,
    /// Subnets, with their neurons, stakes and hyperparameters.
    pub subnets: Vec<GenesisSubnet>,
}

impl Default for Genesis {
    fn default() -> Self {
        Self {
            sudo: "//Alice".to_owned(),
            balances: DEV_ACCOUNTS.iter().map(|who| ((*who).to_owned(), DEV_BALANCE)).collect(),
            fee_recipient: None,
            issuance: None,
            development: false,
            faucet: false,
            beacon: true,
            subnets: Vec::new(),
        }
    }
}

/// Why a genesis cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// Neither an ss58 address nor a derivation path.
    #[error("`{0}` is neither an ss58 address nor a derivation path such as //Alice")]
    Account(String),
    /// The runtime refused it.
    #[error("the runtime refused the genesis: {0}")]
    Runtime(String),
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not a genesis.
    #[error("{path} is not a genesis: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        reason: String,
    },
}

/// Reads an ss58 address or a derivation path.
pub(crate) fn account(text: &str) -> Result<AccountId, GenesisError> {
    if let Some(pair) = dev_pair(text) {
        return Ok(pair.public().into());
    }
    AccountId::from_ss58check(text).map_err(|_| GenesisError::Account(text.to_owned()))
}

/// The key pair of a derivation path of the development phrase.
pub(crate) fn dev_pair(text: &str) -> Option<sr25519::Pair> {
    if !text.starts_with("//") {
        return None;
    }
    let uri = SecretUri::from_str(text).ok()?;
    if uri.password.is_some() {
        return sr25519::Pair::from_string(text, None).ok();
    }
    let (pair, _) = development_root()?.derive(uri.junctions.into_iter(), None).ok()?;
    Some(pair)
}

/// The phrase's own key pair, stretched once: that takes longer than all else at the start of a chain.
fn development_root() -> Option<&'static sr25519::Pair> {
    static ROOT: OnceLock<Option<sr25519::Pair>> = OnceLock::new();
    let root = || sr25519::Pair::from_phrase(DEV_PHRASE, None).ok().map(|(pair, _)| pair);
    ROOT.get_or_init(root).as_ref()
}

impl Genesis {
    /// The state that the recorded traces of spec 425 start from.
    pub fn recorded() -> Self {
        let with = |names: &[&str], rao: u64| -> Vec<(String, u64)> {
            names.iter().map(|who| ((*who).to_owned(), rao)).collect()
        };
        let balances = with(&RECORDED_RICH, DEV_BALANCE);
        Self {
            balances: balances.into_iter().chain(with(&RECORDED_POOR, RECORDED_SMALL)).collect(),
            development: true,
            beacon: false,
            ..Self::default()
        }
    }

    /// As the official development chain begins: netuid 1 and a faucet.
    pub fn devnet() -> Self {
        Self { development: true, faucet: true, ..Self::default() }
    }

    /// Reads a TOML file.
    pub fn read(path: &Path) -> Result<Self, GenesisError> {
        let text = fs::read_to_string(path)
            .map_err(|source| GenesisError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|reason| GenesisError::Parse { path: path.to_owned(), reason })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
        if let Some(subnets) = table.get_mut("subnets") {
            spell_out(subnets)?;
        }
        table.try_into().map_err(|error: toml::de::Error| error.to_string())
    }

    /// The storage of block 0.
    pub(crate) fn storage(
        &self,
        spec: Spec,
        block_time: Duration,
        beacon_public_key: Vec<u8>,
    ) -> Result<sp_core::storage::Storage, GenesisError> {
        let balances = self
            .balances
            .iter()
            .map(|(who, rao)| Ok((account(who)?, *rao)))
            .collect::<Result<Vec<_>, GenesisError>>()?;
        let config = runtime::RuntimeGenesisConfig {
            balances: pallet_balances::GenesisConfig { balances, ..Default::default() },
            sudo: pallet_sudo::GenesisConfig { key: Some(account(&self.sudo)?) },
            aura: runtime::aura::pallet::GenesisConfig {
                slot_duration: u64::try_from(block_time.as_millis()).ok(),
                spec_version: Some(spec.version()),
                fee_recipient: self.fee_recipient.as_deref().map(account).transpose()?,
                ..Default::default()
            },
            subtensor_module: runtime::subtensor::GenesisConfig {
                subnets: self.subnets.clone(),
                development: self.development,
                ..Default::default()
            },
            limit_orders: runtime::limit_orders::pallet::GenesisConfig {
                enabled: self.development,
                ..Default::default()
            },
            drand: runtime::drand::pallet::GenesisConfig {
                beacon_public_key,
                genesis_time: beacon::GENESIS_TIME,
                period: beacon::PERIOD,
                ..Default::default()
            },
            ..Default::default()
        };
        let mut storage = config.build_storage().map_err(GenesisError::Runtime)?;
        let metadata: Vec<u8> = runtime::Runtime::metadata().into();
        storage.top.insert(CODE_KEY.to_vec(), sp_io::hashing::blake2_256(&metadata).to_vec());
        if self.faucet {
            storage.top.insert(runtime::subtensor::FAUCET_KEY.to_vec(), vec![1]);
        }
        if let Some(issuance) = self.issuance {
            let key = [&b"SubtensorModule"[..], b"TotalIssuance"].map(sp_io::hashing::twox_128);
            storage.top.insert(key.concat(), issuance.to_le_bytes().to_vec());
        }
        Ok(storage)
    }
}

/// Replaces derivation paths by addresses, however deep.
fn spell_out(value: &mut toml::Value) -> Result<(), String> {
    match value {
        toml::Value::String(text) if text.starts_with("//") => {
            *text = account(text).map_err(|error| error.to_string())?.to_ss58check();
            Ok(())
        }
        toml::Value::Array(values) => values.iter_mut().try_for_each(spell_out),
        toml::Value::Table(table) => table.iter_mut().try_for_each(|(_, value)| spell_out(value)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_subnets_neurons_and_stakes() {
        let genesis = Genesis::parse(
            r#"
            issuance = 5_000_000_000
            [balances]
            "//Alice" = 7
            [[subnets]]
            netuid = 2
            owner = "//Alice"
            owner_hotkey = "//Alice//hot"
            tempo = 20
            [[subnets.neurons]]
            hotkey = "//Bob"
            coldkey = "//Charlie"
            stake = 1_000
            "#,
        )
        .unwrap();
        assert_eq!(genesis.balances, BTreeMap::from([("//Alice".to_owned(), 7)]));
        assert_eq!(genesis.subnets[0].tempo, Some(20));
        assert_eq!(genesis.subnets[0].neurons[0].hotkey, account("//Bob").unwrap());
        assert_eq!(genesis.issuance, Some(5 * TAO));
    }

    #[test]
    fn a_path_derives_what_other_programs_derive_from_it() {
        for path in ["//Alice", "//Bob//stash", "//Alice/soft/1", "//Alice///word"] {
            let expected = sr25519::Pair::from_string(path, None).unwrap().public();
            assert_eq!(dev_pair(path).unwrap().public(), expected, "{path}");
        }
    }

    #[test]
    fn an_unknown_key_is_named() {
        assert!(Genesis::parse("balance = 3").unwrap_err().contains("balance"));
    }

    #[test]
    fn an_account_that_is_none_is_named() {
        let refused = account("5nothing").unwrap_err();
        assert!(refused.to_string().contains("5nothing"));
    }
}
