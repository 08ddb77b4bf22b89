//! Keys: in memory, and on disk as btcli lays them out.
//!
//! ```text
//! ~/.bittensor/wallets/<name>/coldkey            usually encrypted; opened for owner commands only
//!                            /coldkeypub.txt     its public key
//!                            /hotkeys/<hotkey>   plain, readable by its owner alone
//!                            /hotkeys/<hotkey>pub.txt
//! ```

mod crypt;
mod files;
mod keyfile;
mod keypair;

pub use crypt::{Password, PasswordError};
pub use files::{Wallet, WalletError, default_path};
pub use keyfile::{KeyfileError, NewKey};
pub use keypair::{Keypair, KeypairError};
