//! A miner that answers with what it was sent, for programs in other languages to try their
//! `btauth/1` on.
//!
//! `echo_server HOST:PORT SECRET_URI`, for example `echo_server 127.0.0.1:0 //Bob`. Prints one line
//! of JSON, `{"listening": ADDRESS, "hotkey": SS58}`, and serves every path to everybody until it is
//! interrupted or its standard input ends. What it answers is
//! `{"hotkey": SS58, "nonce": N, "body": TEXT}`.

use std::{
    error::Error,
    io::{Write as _, stdout},
    sync::Arc,
};

use axum::{Json, Router};
use chain_metadata::Hotkey;
use sp_core::{Pair as _, sr25519};
use tokio::{io::AsyncReadExt as _, net::TcpListener};
use tokio_util::sync::CancellationToken;
use wire::{Caller, Counters, Denial, Freshness, Gate, ReplayStore, Signer, server::Limits};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [address, secret] = arguments()?;
    let signer = Signer::from(sr25519::Pair::from_string(&secret, None)?);
    let listener = TcpListener::bind(&address).await?;
    let ready = serde_json::json!({
        "listening": listener.local_addr()?.to_string(),
        "hotkey": signer.address(),
    });
    writeln!(stdout(), "{ready}")?;

    let shutdown = CancellationToken::new();
    let (limits, counters) = (Limits::default(), Arc::new(Counters::default()));
    let everybody = |_: &Hotkey| Ok::<(), Denial>(());
    let replay = ReplayStore::for_new_key(Freshness::default());
    let gate = Gate::new(signer, everybody, replay, limits, Arc::clone(&counters));
    let app = gate.guard(Router::new().fallback(echo));
    let served = wire::serve(listener, app, limits, counters, shutdown.clone());
    let ended = async {
        told_to_end().await;
        shutdown.cancel();
    };
    tokio::join!(served, ended);
    Ok(())
}

async fn echo(caller: Caller) -> Json<serde_json::Value> {
    Json(serde_json::json!({
        "hotkey": caller.hotkey(),
        "nonce": caller.nonce().0,
        "body": String::from_utf8_lossy(caller.body()),
    }))
}

async fn told_to_end() {
    let mut rest = Vec::new();
    let mut stdin = tokio::io::stdin();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = stdin.read_to_end(&mut rest) => {}
    }
}

fn arguments() -> Result<[String; 2], Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: echo_server HOST:PORT SECRET_URI".into())
}
