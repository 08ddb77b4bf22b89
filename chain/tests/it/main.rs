//! The client against the real local chain, over its socket.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod cli;
mod client;
mod endpoints;
mod setters;
mod swap;
mod wallet;

use chain::{Chain, ConnectOptions};
use localnet::{Config, Localnet};

fn chain() -> Localnet {
    localnet::spawn(Config::test()).unwrap()
}

async fn connect(localnet: &Localnet) -> Chain {
    Chain::connect(&[localnet.url()], ConnectOptions::default()).await.unwrap()
}
