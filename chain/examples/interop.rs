//! Our side of the two-way checks with the Python SDK (`tests/interop/keys.py`).
//!
//! ```text
//! interop create PATH NAME HOTKEY PASSWORD   writes a wallet; prints its coldkey and hotkey
//! interop open PATH NAME HOTKEY PASSWORD     opens a wallet;  prints its coldkey and hotkey
//! interop seal ROUND HEX                     encrypts for a round of quicknet; prints hex
//! interop unseal SIGNATURE HEX               opens a commit; prints hex
//! ```

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::{env, error::Error, path::Path};

use chain::timelock::{Beacon, QUICKNET_PUBLIC_KEY, encrypt, open};
use chain::wallet::{NewKey, Password, Wallet};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["create", path, name, hotkey, password] => {
            let keys = (NewKey::generate(), NewKey::generate());
            let password = Password::new(password.to_owned());
            Wallet::create(Path::new(path), name, hotkey, &keys.0, &keys.1, Some(&password))?;
            println!("{} {}", keys.0.keypair().coldkey(), keys.1.keypair().hotkey());
        }
        ["open", path, name, hotkey, password] => {
            let wallet = Wallet::open(Path::new(path), name, hotkey)?;
            let password = Password::new(password.to_owned());
            let coldkey = wallet.unlock_coldkey(Some(&password))?;
            println!("{} {}", coldkey.coldkey(), wallet.hotkey()?.hotkey());
        }
        ["seal", round, message] => {
            let public_key = QUICKNET_PUBLIC_KEY.to_vec();
            let quicknet = Beacon { public_key, period_s: 3, genesis_s: 1_692_803_367 };
            let sealed = encrypt(&quicknet, round.parse()?, &hex::decode(message)?)?;
            println!("{}", hex::encode(sealed));
        }
        ["unseal", signature, commit] => {
            let opened = open(&hex::decode(commit)?, &hex::decode(signature)?)?;
            println!("{}", hex::encode(opened));
        }
        _ => return Err("usage: interop create|open|seal|unseal ..., see the source".into()),
    }
    Ok(())
}
