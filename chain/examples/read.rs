//! What this client reads of one subnet and one account, as JSON, to be held against what others read.
//!
//! ```text
//! cargo run -p chain --example read -- ws://127.0.0.1:9944 1 5Grwva…
//! ```

use chain::{Chain, ConnectOptions};
use chain_metadata::{Coldkey, NetUid};
use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [endpoint, netuid, coldkey] = arguments.as_slice() else {
        return Err("usage: read ENDPOINT NETUID COLDKEY".into());
    };
    let (netuid, coldkey) = (NetUid(netuid.parse()?), coldkey.parse::<Coldkey>()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let read = runtime.block_on(read(endpoint, netuid, &coldkey))?;
    serde_json::to_writer(std::io::stdout(), &read)?;
    Ok(())
}

async fn read(
    endpoint: &str,
    netuid: NetUid,
    coldkey: &Coldkey,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let chain = Chain::connect(&[endpoint.to_owned()], ConnectOptions::default()).await?;
    Ok(serde_json::json!({
        "spec": chain.spec_version().await?,
        "balance": chain.balance(coldkey).await?.rao(),
        "metagraph": chain.metagraph(netuid, None).await?,
        "hyperparameters": chain.hyperparameters(netuid, None).await?,
    }))
}
