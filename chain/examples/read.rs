//! What this client reads of one subnet and one account, as JSON, to be held against what others read.
//!
//! ```text
//! cargo run -p chain --example read -- ws://127.0.0.1:9944 1 5Grwva…
//! ```

use chain::{Chain, ConnectOptions};
use chain_metadata::{Coldkey, MechId, NetUid};
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
    let head = chain.finalized_head().await?;
    let at = Some(head.hash);
    let metagraph = chain.metagraph(netuid, at).await?;
    let mut neurons = Vec::new();
    for neuron in &metagraph.neurons {
        let commitment = chain.commitment(netuid, &neuron.hotkey, at).await?;
        neurons.push(serde_json::json!({
            "uid": chain.uid_of(netuid, &neuron.hotkey, at).await?,
            "stake": chain.stake(&neuron.hotkey, &neuron.coldkey, netuid).await?,
            "commitment": commitment.map(|it| it.fields.iter().map(hex::encode).collect::<Vec<_>>()),
            "weights": chain.weights_row(netuid, MechId(0), neuron.uid, at).await?,
        }));
    }
    let clock = chain.epoch_clock(netuid, at).await?;
    Ok(serde_json::json!({
        "spec": chain.spec_version().await?,
        "genesis": hex::encode(chain.genesis_hash()),
        "block": {"number": head.number, "hash": hex::encode(head.hash), "ms": chain.time_of(head.hash).await?},
        "block_time_s": chain.block_time().await?.as_secs_f64(),
        "balance": chain.balance(coldkey).await?.rao(),
        "nonce": chain.nonce(coldkey.as_bytes()).await?,
        "metagraph": metagraph,
        "neurons": neurons,
        "last_update": chain.last_update(netuid, MechId(0), at).await?,
        "next_epoch_block": clock.next_epoch_block(head.number),
        "epoch": clock.subnet_epoch_index,
        "hyperparameters": chain.hyperparameters(netuid, at).await?,
    }))
}
