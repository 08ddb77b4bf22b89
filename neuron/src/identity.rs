//! Whom a program acts for: a hotkey from a wallet as btcli lays it out, or a development key on a
//! local chain. A coldkey is never opened.

use std::path::PathBuf;

use chain::wallet::{Keypair, KeypairError, Wallet, WalletError};
use serde::{Deserialize, Serialize};

use crate::settings::{Kind, Setting};
use crate::{Exit, Explain};

/// `[wallet]`: which hotkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WalletSettings {
    /// The wallet's name.
    pub name: String,
    /// The hotkey's name in it, or a development key such as `//Bob` (local chains only).
    pub hotkey: String,
    /// Folder of the wallets; a leading `~/` is the home folder.
    pub path: PathBuf,
}

impl Default for WalletSettings {
    fn default() -> Self {
        Self {
            name: "default".into(),
            hotkey: "default".into(),
            path: PathBuf::from("~/.bittensor/wallets"),
        }
    }
}

/// Why there is no hotkey to act for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A development key, whose secret everybody knows, on a chain of other people.
    #[error("{uri} is a development key, and the chain is not on this machine")]
    DevKeyAbroad {
        /// The key as given.
        uri: String,
    },
    /// Not the name of a development key.
    #[error("`{uri}` is no development key")]
    DevKey {
        /// The key as given.
        uri: String,
        /// Why not.
        source: KeypairError,
    },
    /// The wallet cannot be read.
    #[error("cannot open hotkey `{hotkey}` of wallet `{name}` in {}", path.display())]
    Wallet {
        /// The wallet's name.
        name: String,
        /// The hotkey's name.
        hotkey: String,
        /// The folder of the wallets.
        path: PathBuf,
        /// Why not.
        source: Box<WalletError>,
    },
}

impl Explain for IdentityError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::DevKeyAbroad { .. } => "--wallet and --wallet-hotkey name a key of your own",
            Self::DevKey { .. } => "development keys are //Alice, //Bob, //Charlie, //Dave, …",
            Self::Wallet { .. } => {
                "`btcli wallet new-hotkey` makes one; --wallet-path names another folder"
            }
        };
        vec![hint.into()]
    }
}

impl WalletSettings {
    /// The lines of a program's table for this section.
    pub fn table() -> [Setting; 3] {
        [
            Setting {
                key: "wallet.name",
                flag: "wallet",
                short: Some('w'),
                aliases: &["wallet.name", "wallet-name"],
                env: &["BT_WALLET", "BT_WALLET_NAME"],
                kind: Kind::Text,
                help: "The wallet's name",
            },
            Setting {
                key: "wallet.hotkey",
                flag: "wallet-hotkey",
                short: Some('H'),
                aliases: &["wallet.hotkey", "hotkey"],
                env: &["BT_WALLET_HOTKEY"],
                kind: Kind::Text,
                help: "The hotkey's name in it, or //Name of a development key on a local chain",
            },
            Setting {
                key: "wallet.path",
                flag: "wallet-path",
                short: None,
                aliases: &["wallet.path"],
                env: &["BT_WALLET_PATH"],
                kind: Kind::Text,
                help: "Folder of the wallets",
            },
        ]
    }

    /// Opens the hotkey. `local` says whether the chain is on this machine.
    pub fn open(&self, local: bool) -> Result<Keypair, IdentityError> {
        let path = expand(&self.path);
        let failed = |source| IdentityError::Wallet {
            name: self.name.clone(),
            hotkey: self.hotkey.clone(),
            path: path.clone(),
            source: Box::new(source),
        };
        if self.hotkey.starts_with("//") {
            if !local {
                return Err(IdentityError::DevKeyAbroad { uri: self.hotkey.clone() });
            }
            let uri = self.hotkey.clone();
            return Keypair::dev(&uri).map_err(|source| IdentityError::DevKey { uri, source });
        }
        let wallet = Wallet::open(&path, &self.name, &self.hotkey).map_err(failed)?;
        wallet.hotkey().map_err(failed)
    }
}

/// Replaces a leading `~/` by the home folder, where there is one.
pub fn expand(path: &std::path::Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.to_owned(),
    }
}
