//! What the chain begins with.

use node_subtensor_runtime::{self as runtime, AccountId};
use sp_core::{Pair as _, crypto::Ss58Codec as _, sr25519};
use sp_runtime::BuildStorage as _;
use std::collections::BTreeMap;

/// Rao in a TAO.
pub const TAO: u64 = 1_000_000_000;

/// The accounts that development chains fund, by their secret's derivation path.
pub const DEV_ACCOUNTS: [&str; 6] =
    ["//Alice", "//Bob", "//Charlie", "//Dave", "//Eve", "//Ferdie"];

/// What each of them has.
const DEV_BALANCE: u64 = 1_000_000 * TAO;

/// Where the runtime's code is kept. There is no wasm here: it holds the metadata's hash, so that a rebuilt
/// runtime has another genesis hash. Clients cache metadata by genesis hash and spec version.
const CODE_KEY: &[u8] = b":code";

/// Accounts at block 0.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Genesis {
    /// Who may use `Sudo`: an ss58 address or a derivation path such as `//Alice`.
    pub sudo: String,
    /// Rao by ss58 address or derivation path.
    pub balances: BTreeMap<String, u64>,
}

impl Default for Genesis {
    fn default() -> Self {
        Self {
            sudo: "//Alice".to_owned(),
            balances: DEV_ACCOUNTS.iter().map(|who| ((*who).to_owned(), DEV_BALANCE)).collect(),
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
}

/// Reads an ss58 address or a derivation path.
pub(crate) fn account(text: &str) -> Result<AccountId, GenesisError> {
    if text.starts_with("//") {
        let pair = sr25519::Pair::from_string(text, None);
        return pair
            .map(|pair| pair.public().into())
            .map_err(|_| GenesisError::Account(text.to_owned()));
    }
    AccountId::from_ss58check(text).map_err(|_| GenesisError::Account(text.to_owned()))
}

impl Genesis {
    /// The storage of block 0.
    pub(crate) fn storage(&self) -> Result<sp_core::storage::Storage, GenesisError> {
        let balances = self
            .balances
            .iter()
            .map(|(who, rao)| Ok((account(who)?, *rao)))
            .collect::<Result<Vec<_>, GenesisError>>()?;
        let config = runtime::RuntimeGenesisConfig {
            balances: pallet_balances::GenesisConfig { balances, ..Default::default() },
            sudo: pallet_sudo::GenesisConfig { key: Some(account(&self.sudo)?) },
            ..Default::default()
        };
        let mut storage = config.build_storage().map_err(GenesisError::Runtime)?;
        let metadata: Vec<u8> = runtime::Runtime::metadata().into();
        storage.top.insert(CODE_KEY.to_vec(), sp_io::hashing::blake2_256(&metadata).to_vec());
        Ok(storage)
    }
}
