//! A miner from start to end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chain::{Call, Chain, Keypair, Metagraph};
use chain_metadata::{AxonInfo, Hotkey, Uid};
use inference::{Embedder, Engine, EngineError, EngineOptions, Model, ModelId, ModelSource};
use neuron::{Health, Shutdown, expand};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use wire::{Counters, Freshness, Gate, HotkeyLock, ReplayStore, Roster, UnixNanos};

use crate::openai::{Backends, Origins, Surface};
use crate::service::{REQUESTS, Service};
use crate::{Behaviour, Config, Dues, Error, OpenAi, Publish, Slots, axon, may_ask, publish};

/// Blocks between two readings of the metagraph: a new validator waits a minute at 12 s a block.
const REFRESH_BLOCKS: u64 = 5;

/// What the caller of [`run_with`] brings along.
#[derive(Debug, Default)]
pub struct Parts {
    /// A running engine of the configured model, to be shared.
    pub engine: Option<Arc<Engine>>,
    /// Where the miner says how it fares, at every reading of the metagraph.
    pub status: Option<watch::Sender<Option<Status>>>,
}

/// How a miner fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Who it is.
    pub hotkey: Hotkey,
    /// Its slot, while it has one.
    pub uid: Option<Uid>,
    /// The id that it announces, in full.
    pub model: String,
    /// Where it listens.
    pub endpoint: SocketAddr,
    /// Requests answered.
    pub answered: u64,
}

/// Runs a miner until `shutdown`.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Error> {
    run_with(config, Parts::default(), shutdown).await
}

/// Runs a miner with parts of the caller's.
pub async fn run_with(config: Config, parts: Parts, shutdown: Shutdown) -> Result<(), Error> {
    let local = config.chain.is_local();
    let behaviour = config.rehearsal.behaviour;
    if behaviour != Behaviour::Honest && !local {
        return Err(Error::RehearsalAbroad { behaviour });
    }
    let keypair = config.wallet.open(local)?;
    let hotkey = keypair.hotkey();
    let state = expand(&config.state.dir);
    let _lock = HotkeyLock::acquire(&state, &hotkey, "miner")?;
    let health = Health::default();
    let listener = listen(&config).await?;
    let bound = listener.local_addr().map_err(|source| Error::Listen {
        address: SocketAddr::new(config.axon.bind, config.axon.port),
        source,
    })?;
    let wanted =
        axon::announced(&config.axon, bound, local).ok_or(Error::NoExternalAddress { bound })?;

    let mut tasks = JoinSet::new();
    if config.health.enabled {
        let (address, serving) = health.listen(config.health.port, shutdown.clone()).await?;
        tracing::info!(%address, "metrics and health");
        tasks.spawn(serving);
    }
    let chain = config.chain.connect(&health.readiness, &shutdown).await?;
    let metagraph = registered(&chain, &config, &hotkey).await?;
    let roster = Arc::new(Roster::unread());
    roster.replace(may_ask(&metagraph, &config.admission));
    let (service, surface) = answering(&config, parts.engine, &keypair, &health).await?;
    let announced = service.announced;
    tracing::info!(%hotkey, model = %announced.short(), %behaviour, %bound, "serving");

    if let Some(backends) = surface.backends.clone() {
        tasks.spawn(backends.watch(shutdown.clone()));
    }
    if let Some(serving) = plain(&config, &surface, &shutdown).await? {
        tasks.spawn(serving);
    }
    let dues = service.dues.clone();
    let gate = gate(&config, &keypair, Arc::clone(&roster), &state)?;
    let counters = Arc::clone(&gate.1);
    health.metrics.append(move |text| counters.render(text));
    let guarded = service.router().merge(surface.clone().router());
    let router = gate.0.guard(guarded).merge(surface.open());
    let limits = wire::server::Limits::default();
    tasks.spawn({
        let stop = shutdown.clone();
        async move {
            wire::serve(listener, router, limits, gate.1, stop).await;
        }
    });
    let keeper = Keeper {
        config,
        chain,
        keypair,
        roster,
        dues,
        wanted,
        health,
        model: announced.to_string(),
        bound,
        status: parts.status,
    };
    keeper.keep(metagraph, &shutdown).await?;
    shutdown.cancelled().await;
    while tasks.join_next().await.is_some() {}
    Ok(())
}

async fn listen(config: &Config) -> Result<TcpListener, Error> {
    let address = SocketAddr::new(config.axon.bind, config.axon.port);
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// The listener for plain clients, where one is wanted.
async fn plain(
    config: &Config,
    surface: &Surface,
    shutdown: &Shutdown,
) -> Result<Option<impl Future<Output = ()> + Send + use<>>, Error> {
    let OpenAi { bind, port, key, .. } = &config.openai;
    let Some(port) = *port else { return Ok(None) };
    if key.is_none() && !bind.is_loopback() {
        return Err(Error::OpenToAll { bind: *bind });
    }
    let address = SocketAddr::new(*bind, port);
    let failed = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tracing::info!(url = %format!("http://{bound}/v1"), "taking plain OpenAI clients");
    let router = surface.clone().plain(key.clone(), Origins::new(&config.openai)?);
    let (limits, counters) = (wire::server::Limits::default(), Arc::default());
    let stop = shutdown.clone();
    Ok(Some(async move {
        wire::serve(listener, router, limits, counters, stop).await;
    }))
}

async fn registered(chain: &Chain, config: &Config, hotkey: &Hotkey) -> Result<Metagraph, Error> {
    let netuid = config.chain.netuid();
    let metagraph = chain.metagraph(netuid, None).await?;
    match metagraph.uid_of(hotkey) {
        Some(_) => Ok(metagraph),
        None => Err(Error::Unregistered { hotkey: *hotkey, netuid }),
    }
}

/// What answers signed requests, and what speaks the `OpenAI` API, over one engine.
async fn answering(
    config: &Config,
    shared: Option<Arc<Engine>>,
    keypair: &Keypair,
    health: &Health,
) -> Result<(Service, Surface), Error> {
    let (engine, announced) = models(config, shared).await?;
    let service = Service {
        engine: Arc::clone(&engine),
        announced,
        keypair: keypair.clone(),
        behaviour: config.rehearsal.behaviour,
        slots: Slots::new(&config.admission),
        dues: Dues::default(),
        metrics: health.metrics.clone(),
    };
    let surface = Surface {
        engine: Some(engine),
        announced: announced.to_string().into(),
        names: config.openai.names.clone().into(),
        answer_time: Duration::from_secs(config.openai.answer_seconds),
        slots: service.slots.clone(),
        dues: service.dues.clone(),
        health: health.clone(),
        embedder: embedder(config).await?,
        backends: Backends::new(&config.backends)?,
    };
    Ok((service, surface))
}

/// The engine that answers, and the id announced. They differ in a rehearsal only.
async fn models(
    config: &Config,
    shared: Option<Arc<Engine>>,
) -> Result<(Arc<Engine>, ModelId), Error> {
    let start = |model: Model| -> Result<Arc<Engine>, Error> {
        let options = engine_options(config, &model)?;
        Ok(Arc::new(Engine::open(model, options)?))
    };
    let Behaviour::Substitute { class } = config.rehearsal.behaviour else {
        let engine = match shared {
            Some(engine) => engine,
            None => start(config.model.load(None).await?)?,
        };
        let id = engine.model_id();
        return Ok((engine, id));
    };
    let honest = match shared {
        Some(engine) => engine.model_id(),
        None => config.model.load(None).await?.id(),
    };
    Ok((start(config.model.load(Some(class)).await?)?, honest))
}

/// The encoder that makes embeddings, where one is wanted.
async fn embedder(config: &Config) -> Result<Option<Arc<Embedder>>, Error> {
    let Some(name) = config.openai.embedding_model.clone() else { return Ok(None) };
    let threads = config.model.threads;
    let source = ModelSource::parse(&name);
    let loading = tokio::task::spawn_blocking(move || Embedder::load(&source, threads));
    let embedder =
        loading.await?.map_err(|source| Error::Embedder { name, source: source.into() })?;
    tracing::info!(model = %embedder.id().short(), "making embeddings");
    Ok(Some(Arc::new(embedder)))
}

/// As many requests wait as are admitted, and the rest is what the model's device has.
fn engine_options(config: &Config, model: &Model) -> Result<EngineOptions, Error> {
    let fitting = model.fitting_options().map_err(EngineError::from)?;
    Ok(EngineOptions { queue: config.admission.queue, ..fitting })
}

/// As the wire has them, with time for the longest answer that the settings allow.
fn limits(config: &Config) -> wire::server::Limits {
    /// Seconds for what is not the answer: queues, signatures, the way.
    const BESIDES: u64 = 20;
    let behind = if config.backends.urls.is_empty() { 0 } else { config.backends.answer_seconds };
    let longest = config.openai.answer_seconds.max(behind);
    let handler_time = Duration::from_secs(longest.saturating_add(BESIDES));
    wire::server::Limits { handler_time, ..wire::server::Limits::default() }
}

fn gate(
    config: &Config,
    keypair: &Keypair,
    roster: Arc<Roster>,
    state: &std::path::Path,
) -> Result<(Gate, Arc<Counters>), Error> {
    let path = state.join(format!("{}.replay", keypair.hotkey()));
    let replay = ReplayStore::open(&path, UnixNanos::now(), Freshness::default())
        .map_err(|source| Error::Replay { path, source })?;
    let counters = Arc::new(Counters::default());
    let limits = limits(config);
    let gate = Gate::new(keypair.pair().clone(), roster, replay, limits, Arc::clone(&counters));
    Ok((gate, counters))
}

/// Keeps what the miner knows of the chain, and what the chain knows of the miner, up to date.
struct Keeper {
    config: Config,
    chain: Chain,
    keypair: Keypair,
    roster: Arc<Roster>,
    dues: Dues,
    wanted: AxonInfo,
    health: Health,
    model: String,
    bound: SocketAddr,
    status: Option<watch::Sender<Option<Status>>>,
}

impl Keeper {
    async fn keep(&self, first: Metagraph, shutdown: &Shutdown) -> Result<(), Error> {
        let mut next = first.block;
        let mut heads = self.chain.heads();
        self.take_in(&first);
        loop {
            let head = tokio::select! {
                head = heads.next() => head,
                () = shutdown.cancelled() => return Ok(()),
            };
            match head {
                Ok(head) if head.number < next => {}
                Ok(head) => {
                    let refreshed = self.refresh(head.number).await;
                    self.note(refreshed)?;
                    next = head.number + REFRESH_BLOCKS;
                }
                Err(error) => self.note(Err(error.into()))?,
            }
        }
    }

    /// What goes wrong with the chain on the way is said and tried again; requests are served
    /// meanwhile, for those who could ask before.
    fn note(&self, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Ok(()) => self.health.readiness.clear("chain"),
            Err(error @ (Error::Read(_) | Error::Publish(_))) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "trying again");
                self.health.readiness.object("chain", error.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn refresh(&self, now: u64) -> Result<(), Error> {
        let netuid = self.config.chain.netuid();
        let metagraph = self.chain.metagraph(netuid, None).await?;
        self.take_in(&metagraph);
        let Some(neuron) = metagraph.neuron_of(&self.keypair.hotkey()) else { return Ok(()) };
        if !self.config.axon.publish {
            return Ok(());
        }
        let rate_limit = self.chain.hyperparameters(netuid, None).await?.serving_rate_limit;
        match publish(neuron.axon.as_ref(), &self.wanted, now, rate_limit) {
            Publish::Unchanged => Ok(()),
            Publish::Wait { until } => {
                tracing::info!(until, "the new endpoint waits for the serving rate limit");
                Ok(())
            }
            Publish::Now(endpoint) => {
                let call = Call::serve_axon(netuid, &endpoint);
                self.chain.submit(&call, &self.keypair).await.map_err(Error::Publish)?;
                tracing::info!(ip = %endpoint.ip, port = endpoint.port, "endpoint published");
                Ok(())
            }
        }
    }

    fn take_in(&self, metagraph: &Metagraph) {
        let hotkey = self.keypair.hotkey();
        self.roster.replace(may_ask(metagraph, &self.config.admission));
        self.dues.replace(metagraph);
        let uid = metagraph.uid_of(&hotkey);
        if uid.is_some() {
            self.health.readiness.clear("registration");
        } else {
            tracing::error!(%hotkey, "the hotkey lost its slot");
            self.health.readiness.object("registration", "the hotkey lost its slot");
        }
        if let Some(status) = &self.status {
            status.send_replace(Some(Status {
                hotkey,
                uid,
                model: self.model.clone(),
                endpoint: self.bound,
                answered: self.health.metrics.counted(REQUESTS, &[("code", "ok")]),
            }));
        }
    }
}
