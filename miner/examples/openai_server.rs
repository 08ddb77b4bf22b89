//! `cargo run -p miner --example openai_server -- MODEL PORT [KEY [BACKEND,… [ENCODER]]]`: the `OpenAI`
//! surface of a miner without a chain, for interoperability tests. Port 0 takes a free one; prints the
//! address. Before backends no model is loaded.
#![expect(clippy::print_stdout, reason = "the address is its output")]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use inference::{Embedder, Engine, EngineOptions, LoadOptions, Model, ModelSource};
use miner::{
    Admission, BackendSettings, Dues, OpenAi, Slots,
    openai::{Backends, Origins, Surface},
};
use neuron::{Health, Shutdown};

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let model = args.next().context("which model?")?;
    let port: u16 = args.next().context("which port?")?.parse()?;
    let key = args.next().filter(|key| !key.is_empty());
    let urls = args.next().filter(|urls| !urls.is_empty());
    let urls = urls.map_or_else(Vec::new, |urls| urls.split(',').map(Into::into).collect());
    let encoder = args.next().map(|encoder| ModelSource::parse(&encoder));
    let embedder = encoder.map(|encoder| Embedder::load(&encoder, None)).transpose()?;
    let backends = Backends::new(&BackendSettings { urls, ..BackendSettings::default() })?;
    let engine = if backends.is_some() {
        None
    } else {
        let model = Model::load(&ModelSource::parse(&model), LoadOptions::default())?;
        Some(Arc::new(Engine::start(model, EngineOptions::default())))
    };
    let announced = engine.as_ref().map(|engine| engine.model_id().to_string());
    let shutdown = Shutdown::new();
    let watching = backends.clone().map(|backends| backends.watch(shutdown.clone()));
    let surface = Surface {
        engine,
        announced: announced.unwrap_or_default().into(),
        names: Arc::default(),
        answer_time: Duration::from_secs(100),
        slots: Slots::new(&Admission::default()),
        dues: Dues::default(),
        health: Health::default(),
        embedder: embedder.map(Arc::new),
        backends,
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    let settings = OpenAi { cors_origins: vec!["*".to_owned()], ..OpenAi::default() };
    let origins = Origins::new(&settings)?;
    let (limits, counters) = (wire::server::Limits::default(), Arc::default());
    let serving =
        wire::serve(listener, surface.plain(key, origins), limits, counters, shutdown.clone());
    let watching = async {
        match watching {
            Some(watching) => watching.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = serving => {}
        () = watching => {}
    }
    Ok(())
}
