//! `cargo run --release -p miner --example overload -- [--bursts 1000] [--model tiny]`: bursts of five
//! times what a miner takes, over HTTP, one after the other without a pause, and the goodput under them
//! against the peak: what the same miner does when it is full and nobody is refused. Both in turns of ten
//! bursts, so that they meet the same machine. Every refusal must be a 429 that says when to come again,
//! and the miner must be healthy at the end.
#![expect(clippy::print_stdout, reason = "figures are its output")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use futures::{StreamExt, stream::FuturesUnordered};
use inference::{Engine, EngineOptions, LoadOptions, Model, ModelSource};
use miner::{Admission, Dues, Slots, openai::Surface};
use neuron::{Health, Shutdown};
use reqwest::{Client, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Overload a miner over HTTP, and see what it still does.
#[derive(Parser)]
struct Args {
    /// How many bursts.
    #[arg(long, default_value_t = 1000)]
    bursts: u32,
    /// Which model.
    #[arg(long, default_value = "tiny")]
    model: String,
    /// Tokens generated for a request.
    #[arg(long, default_value_t = 32)]
    decode: u32,
}

/// Seats and places of the engine.
const OPTIONS: EngineOptions =
    EngineOptions { queue: 16, sequences: 8, step_tokens: 256, kv_tokens: 4096 };

/// Requests that the miner takes at a time.
const CAPACITY: usize = OPTIONS.queue + OPTIONS.sequences;

/// A burst is so many times what the miner takes.
const OVERLOAD: usize = 5;

/// Answers between two bursts.
const BETWEEN: usize = OPTIONS.queue;

/// Bursts between two measurements of the peak.
const TURN: u32 = 10;

/// Time after which a request counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a load.
#[derive(Default)]
struct Done {
    served: usize,
    refused: usize,
    time: Duration,
}

/// Requests under way, and what came of earlier ones.
struct Load<'a> {
    client: &'a Client,
    url: &'a str,
    decode: u32,
    lane: u32,
    done: Done,
}

impl Load<'_> {
    /// One request: `true` where it was served, `false` where the miner was full.
    fn ask(&mut self) -> impl Future<Output = Result<bool>> + use<> {
        self.lane += 1;
        let prompt: Vec<u32> = (0..24).map(|i| (self.lane * 17 + i * 5 + 40) % 250).collect();
        let body = json!({
            "prompt": prompt, "max_tokens": self.decode, "temperature": 0, "ignore_eos": true,
        });
        let request = self.client.post(format!("{}/v1/completions", self.url)).json(&body);
        async move {
            let answer = request.send().await.context("no answer")?;
            let (status, again) = (answer.status(), answer.headers().contains_key(RETRY_AFTER));
            let body: Value = answer.json().await.context("an answer that is no JSON")?;
            match status {
                StatusCode::OK => Ok(true),
                StatusCode::TOO_MANY_REQUESTS if again => Ok(false),
                other => bail!("{other}: {body}"),
            }
        }
    }

    fn count(&mut self, served: bool) -> bool {
        let count = if served { &mut self.done.served } else { &mut self.done.refused };
        *count += 1;
        served
    }

    /// Keeps as many requests under way as the miner takes, until `requests` are served.
    async fn hold(&mut self, requests: usize) -> Result<()> {
        let started = Instant::now();
        let (mut under_way, mut offered) = (FuturesUnordered::new(), 0);
        loop {
            while offered < requests && under_way.len() < BETWEEN {
                under_way.push(self.ask());
                offered += 1;
            }
            let Some(outcome) = under_way.next().await else { break };
            self.count(outcome?);
        }
        self.done.time += started.elapsed();
        Ok(())
    }

    /// Offers a burst each time [`BETWEEN`] requests were served, `bursts` times.
    async fn offer(&mut self, bursts: u32) -> Result<()> {
        let started = Instant::now();
        let mut under_way = FuturesUnordered::new();
        for _ in 0..bursts {
            under_way.extend((0..OVERLOAD * CAPACITY).map(|_| self.ask()));
            let mut served = 0;
            while served < BETWEEN
                && let Some(outcome) = under_way.next().await
            {
                served += usize::from(self.count(outcome?));
            }
        }
        while let Some(outcome) = under_way.next().await {
            self.count(outcome?);
        }
        self.done.time += started.elapsed();
        Ok(())
    }

    /// Tokens a second.
    fn rate(&self) -> f64 {
        let served = u32::try_from(self.done.served).unwrap_or(u32::MAX);
        f64::from(served) * f64::from(self.decode) / self.done.time.as_secs_f64()
    }
}

/// A miner's surface with one compute thread, and what its server bears.
fn surface(args: &Args) -> Result<(Surface, wire::server::Limits)> {
    let options = LoadOptions::default().with_threads(1);
    let model = Model::load(&ModelSource::parse(&args.model), options)?;
    let admission = Admission { per_caller: CAPACITY, queue: CAPACITY, ..Admission::default() };
    // Everybody here comes from one address.
    let limits = wire::server::Limits {
        connections_per_ip: 8 * OVERLOAD * CAPACITY,
        connections: 8 * OVERLOAD * CAPACITY,
        ..wire::server::Limits::default()
    };
    let surface = Surface {
        announced: model.id().to_string().into(),
        engine: Some(Arc::new(Engine::start(model, OPTIONS))),
        names: Arc::default(),
        answer_time: Duration::from_secs(100),
        slots: Slots::new(&admission),
        dues: Dues::default(),
        health: Health::default(),
        embedder: None,
        backends: None,
    };
    Ok((surface, limits))
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let shutdown = Shutdown::new();
    let (surface, limits) = surface(&args)?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = surface.plain(None, None);
    let mut miner = JoinSet::new();
    miner.spawn(wire::serve(listener, router, limits, Arc::default(), shutdown));
    let client = Client::builder().timeout(PATIENCE).build()?;
    let load =
        || Load { client: &client, url: &url, decode: args.decode, lane: 0, done: Done::default() };
    let (mut within, mut over) = (load(), load());
    let mut left = args.bursts;
    while left > 0 {
        let bursts = left.min(TURN);
        left -= bursts;
        within.hold(bursts as usize * BETWEEN).await?;
        over.offer(bursts).await?;
    }
    let health = client.get(format!("{url}/health")).send().await?.status();
    if miner.try_join_next().is_some() || health != StatusCode::OK {
        bail!("the miner is not well after it: {health}");
    }
    if within.done.refused > 0 {
        bail!("a load within capacity was refused {} times", within.done.refused);
    }
    let (peak, goodput) = (within.rate(), over.rate());
    let figures = json!({
        "bursts": args.bursts, "served": over.done.served, "refused": over.done.refused,
        "peak_tok_s": peak, "goodput_tok_s": goodput, "ratio": goodput / peak,
    });
    println!("{figures}");
    Ok(())
}
