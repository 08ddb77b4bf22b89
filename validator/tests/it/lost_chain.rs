//! The chain's endpoint dies under a running validator and comes back.

use std::net::{Ipv4Addr, SocketAddr};

use chain::Call;
use chain_metadata::AxonInfo;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::stage::{self, NETUID, VALIDATOR, key, until_weights_set, weights_set};

/// Blocks that pass while nobody listens: more than an epoch.
const OUTAGE_BLOCKS: u64 = 15;

/// Passes connections on to `node`, until it is dropped with all of them.
async fn relay(at: SocketAddr, node: SocketAddr) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut accepting = JoinSet::new();
    accepting.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            connections.spawn(async move {
                if let Ok(mut far) = TcpStream::connect(node).await {
                    // A connection that breaks is what this is for.
                    copy_bidirectional(&mut near, &mut far).await.ok();
                }
            });
        }
    });
    (address, accepting)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_goes_and_comes_back_gets_weights_again() {
    let node = stage::chain(&["//Miner"]);
    let chain = stage::connect(node.url()).await;
    let nobody_listens = AxonInfo::new("0.0.0.0".parse().unwrap(), 9);
    chain.submit(&Call::serve_axon(NETUID, &nobody_listens), &key("//Miner")).await.unwrap();
    let localhost = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (at, connections) = relay(localhost(0), localhost(node.port())).await;

    let dir = tempfile::tempdir().unwrap();
    let mut validator =
        stage::program(&format!("ws://{at}"), VALIDATOR, dir.path()).spawn().unwrap();
    until_weights_set(&chain, 1).await;

    drop(connections);
    let lost_at = chain.finalized_head().await.unwrap().number;
    while chain.finalized_head().await.unwrap().number < lost_at + OUTAGE_BLOCKS {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(validator.try_wait().unwrap().is_none(), "the validator gave up");
    let before = weights_set(&chain).await.len();

    let (_, _connections) = relay(at, localhost(node.port())).await;
    until_weights_set(&chain, before + 1).await;
    validator.kill().unwrap();
    validator.wait().unwrap();
}
