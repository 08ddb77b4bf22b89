//! Wallets and commits that the Python SDK 11.3.0 made, recorded; the other way round is in
//! `tests/interop`. The keys are those of the public development phrase.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use chain::{
    Keypair, timelock,
    wallet::{NewKey, Password, Wallet},
};

const PASSWORD: &str = "correct horse";

/// The SDK's files in a folder of their own, with the permissions that the SDK gives them.
fn recorded() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/sdk-wallet");
    let to = home.path().join("sdk");
    fs::create_dir_all(to.join("hotkeys")).unwrap();
    for file in ["coldkey", "coldkeypub.txt", "hotkeys/worker", "hotkeys/workerpub.txt"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
        fs::set_permissions(to.join(file), Permissions::from_mode(0o600)).unwrap();
    }
    home
}

fn developer() -> Keypair {
    Keypair::dev("").unwrap()
}

#[test]
fn a_wallet_of_the_sdk_opens_coldkey_included() {
    let home = recorded();
    let wallet = Wallet::open(home.path(), "sdk", "worker").unwrap();
    assert_eq!(wallet.hotkey().unwrap().hotkey(), developer().hotkey());
    assert_eq!(wallet.hotkey_public().unwrap(), developer().hotkey());
    assert_eq!(wallet.coldkey_public().unwrap(), developer().coldkey());
    assert!(wallet.coldkey_is_encrypted().unwrap());
    let password = Password::new(PASSWORD.to_owned());
    let coldkey = wallet.unlock_coldkey(Some(&password)).unwrap();
    assert_eq!(coldkey.coldkey(), developer().coldkey());
}

#[test]
fn a_wrong_password_opens_nothing() {
    let home = recorded();
    let wallet = Wallet::open(home.path(), "sdk", "worker").unwrap();
    let wrong = Password::new("correct horse ".to_owned());
    assert!(wallet.unlock_coldkey(Some(&wrong)).is_err());
    assert!(wallet.unlock_coldkey(None).is_err());
}

#[test]
fn a_wallet_of_ours_opens_again_and_is_not_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let (coldkey, hotkey) = (NewKey::generate(), NewKey::generate());
    let made = Wallet::create(home.path(), "own", "h", &coldkey, &hotkey, None).unwrap();
    assert_eq!(made.hotkey().unwrap().hotkey(), hotkey.keypair().hotkey());
    assert_eq!(made.unlock_coldkey(None).unwrap().coldkey(), coldkey.keypair().coldkey());
    let other = NewKey::generate();
    assert!(Wallet::create(home.path(), "own", "h", &other, &other, None).is_err());
    assert_eq!(made.coldkey_public().unwrap(), coldkey.keypair().coldkey());
}

#[test]
fn a_commit_of_the_sdk_opens_with_the_signature_of_its_round() {
    #[derive(serde::Deserialize)]
    struct Recorded {
        commit_hex: String,
        message: String,
    }
    let recorded: Recorded =
        serde_json::from_str(include_str!("../../testdata/sdk_timelock.json")).unwrap();
    let signature = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2\
                     bacbe47e4b6b63ed5e39";
    let commit = hex::decode(recorded.commit_hex).unwrap();
    let opened = timelock::open(&commit, &hex::decode(signature).unwrap()).unwrap();
    assert_eq!(opened, recorded.message.as_bytes());
}
