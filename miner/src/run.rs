//! A miner from start to end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chain::{Call, Chain, Keypair, Metagraph, SubmitError};
use chain_metadata::{AxonInfo, Hotkey, Uid};
use inference::{Embedder, Engine, ModelSource};
use neuron::{Claim, Health, Shutdown, Vitals, expand};
use serde::Serialize;
use subnet_rules::package::Package;
use subnet_rules::star::Program;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use wire::{Counters, Freshness, Gate, HotkeyLock, ReplayStore, Roster, UnixNanos};

use crate::axon::Rivals;
use crate::craft::Crafts;
use crate::openai::{Backends, Origins, Surface};
use crate::tasks::{Artefacts, REQUESTS, Tasks};
use crate::work::{Bench, Workshop};
use crate::{Config, Dues, Error, OpenAi, Publish, Slots, axon, may_ask, publish};

/// Blocks between two readings of the metagraph: a new validator waits a minute at 12 s a block.
const REFRESH_BLOCKS: u64 = 5;

/// What the caller of [`run_with`] brings along.
#[derive(Debug, Default)]
pub struct Parts {
    /// A running engine of the configured model, to be shared.
    pub engine: Option<Arc<Engine>>,
    /// The rule until the owner's is published, in place of the configured one.
    pub package: Option<Package>,
    /// The rules of its mechanisms, in place of those that the package names.
    pub parts: Vec<(u8, Package)>,
    /// Hosts the programs of actors, in a rehearsal.
    pub host: Option<Program>,
    /// Programs of the actors of a rehearsal: a rule's `cast.star`.
    pub cast: Option<String>,
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
    if !behaviour.is_honest() && !local {
        return Err(Error::RehearsalAbroad { behaviour });
    }
    let keypair = config.wallet.open(local)?;
    let hotkey = keypair.hotkey();
    let state = expand(&config.state.dir);
    let _lock = HotkeyLock::acquire(&state, &hotkey, "miner")?;
    let health = Health::default();
    let listener = listen(&config).await?;
    let bound = listener.local_addr().map_err(|source| not_listening(&config, source))?;
    let wanted =
        axon::announced(&config.axon, bound, local).ok_or(Error::NoExternalAddress { bound })?;

    let mut tasks = JoinSet::new();
    if config.health.enabled {
        let (address, serving) = health.listen(config.health.port, shutdown.clone()).await?;
        tracing::info!(%address, "metrics and health");
        tasks.spawn(serving);
    }
    let chain = config.chain.connect(&health.readiness, &shutdown).await?;
    let _claim = Claim::of_chain(&chain, config.chain.netuid(), &hotkey, "miner").await?;
    let metagraph = registered(&chain, &config, &hotkey).await?;
    let roster = Arc::new(Roster::unread());
    roster.replace(may_ask(&metagraph, &config.admission));
    let dues = Dues::default();
    let mut workshop = Workshop::open(
        &config,
        Bench {
            chain: chain.clone(),
            keypair: keypair.clone(),
            dues: dues.clone(),
            health: health.clone(),
            engine: parts.engine,
            package: parts.package,
            parts: parts.parts,
            host: parts.host,
            cast: parts.cast,
        },
    )
    .await?;
    workshop.follow(metagraph.owner_hotkey).await?;
    let slots = Slots::new(&config.admission);
    let surface = surface(&config, &workshop, &slots, &dues, &health).await?;
    let artefacts = Artefacts::default();
    let service = Tasks {
        table: workshop.table(),
        miner: hotkey,
        slots,
        metrics: health.metrics.clone(),
        seals: Arc::default(),
        artefacts: Arc::clone(&artefacts),
    };
    let model = workshop.engine().map(|(_, announced)| announced.to_string());
    tracing::info!(%hotkey, model = model.as_deref().unwrap_or("none"), %behaviour, %bound, "ready");

    if let Some(surface) = &surface {
        if let Some(backends) = surface.backends.clone() {
            tasks.spawn(backends.watch(shutdown.clone()));
        }
        if let Some(serving) = plain(&config, surface, &shutdown).await? {
            tasks.spawn(serving);
        }
    }
    let gate = gate(&config, &keypair, Arc::clone(&roster), &state)?;
    let counters = Arc::clone(&gate.1);
    health.metrics.append(move |text| counters.render(text));
    let (routes, open) =
        surface.map_or_else(Default::default, |surface| (surface.clone().router(), surface.open()));
    let router = gate.0.guard(service.router().merge(routes)).merge(open);
    let limits = wire::server::Limits::default();
    tasks.spawn({
        let stop = shutdown.clone();
        async move {
            wire::serve(listener, router, limits, gate.1, stop).await;
        }
    });
    let vitals = Vitals::new(chain.clone(), health.clone(), local);
    let keeper = Keeper {
        config,
        chain,
        keypair,
        roster,
        dues,
        wanted,
        health,
        model: model.unwrap_or_default(),
        workshop,
        crafts: Crafts::new(artefacts, &state),
        bound,
        status: parts.status,
        rivals: Rivals::default(),
        publishing: JoinSet::new(),
        vitals,
    };
    keeper.keep(metagraph, &shutdown).await?;
    shutdown.cancelled().await;
    while tasks.join_next().await.is_some() {}
    Ok(())
}

const fn not_listening(config: &Config, source: std::io::Error) -> Error {
    let address = SocketAddr::new(config.axon.bind, config.axon.port);
    Error::Listen { address, source }
}

async fn listen(config: &Config) -> Result<TcpListener, Error> {
    let address = SocketAddr::new(config.axon.bind, config.axon.port);
    TcpListener::bind(address).await.map_err(|source| not_listening(config, source))
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

/// What speaks the `OpenAI` API, where there is an engine or a server behind it.
async fn surface(
    config: &Config,
    workshop: &Workshop,
    slots: &Slots,
    dues: &Dues,
    health: &Health,
) -> Result<Option<Surface>, Error> {
    let engine = workshop.engine();
    let backends = Backends::new(&config.backends)?;
    if engine.is_none() && backends.is_none() {
        return Ok(None);
    }
    let (engine, announced) = engine.unzip();
    Ok(Some(Surface {
        engine,
        announced: announced.map(|id| id.to_string()).unwrap_or_default().into(),
        names: config.openai.names.clone().into(),
        answer_time: Duration::from_secs(config.openai.answer_seconds),
        slots: slots.clone(),
        dues: dues.clone(),
        health: health.clone(),
        embedder: embedder(config).await?,
        backends,
    }))
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
    workshop: Workshop,
    crafts: Crafts,
    bound: SocketAddr,
    status: Option<watch::Sender<Option<Status>>>,
    /// What the chain showed published since we published ourselves.
    rivals: Rivals,
    /// The publication under way: it may wait for a block for as long as its era lasts, and nothing
    /// else waits for it.
    publishing: JoinSet<Result<AxonInfo, SubmitError>>,
    vitals: Vitals,
}

impl Keeper {
    async fn keep(mut self, first: Metagraph, shutdown: &Shutdown) -> Result<(), Error> {
        let mut next = first.block;
        let mut heads = self.chain.heads();
        self.take_in(&first);
        loop {
            let pulse = self.vitals.next_beat();
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep_until(pulse) => {}
                Some(published) = self.publishing.join_next() => {
                    let published = published.map_err(Error::from).and_then(|published| {
                        published.map_err(Error::Publish)
                    });
                    self.published(published)?;
                }
                head = heads.next() => match head {
                    Ok(head) if head.number < next => {}
                    Ok(head) => {
                        let refreshed = tokio::select! {
                            () = shutdown.cancelled() => return Ok(()),
                            refreshed = self.refresh(head.number) => refreshed,
                        };
                        self.note("metagraph", refreshed)?;
                        next = head.number + REFRESH_BLOCKS;
                    }
                    Err(error) => self.note("metagraph", Err(error.into()))?,
                }
            }
            self.vitals.beat();
        }
    }

    /// What goes wrong with the chain on the way is said, with its causes, and tried again; requests
    /// are served meanwhile, for those who could ask before.
    fn note(&self, part: &'static str, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Ok(()) => self.health.readiness.clear(part),
            Err(error @ (Error::Read(_) | Error::Publish(_))) => {
                let causes = neuron::causes(&error);
                if self.health.readiness.object_anew(part, &causes) {
                    tracing::warn!(part, "{causes}; trying again");
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn refresh(&mut self, now: u64) -> Result<(), Error> {
        let netuid = self.config.chain.netuid();
        let metagraph = self.chain.metagraph(netuid, None).await?;
        self.take_in(&metagraph);
        let hotkey = self.keypair.hotkey();
        let Some(neuron) = metagraph.neuron_of(&hotkey) else { return Ok(()) };
        if !self.config.axon.publish || !self.publishing.is_empty() {
            return Ok(());
        }
        if let Some(axon) = &neuron.axon
            && self.rivals.see(axon, &self.wanted)
        {
            let ip = axon.ip;
            return Err(Error::Twin { hotkey, netuid, ip, port: axon.port });
        }
        self.tell_of_rivals();
        self.workshop.follow(metagraph.owner_hotkey).await?;
        let clock = self.chain.epoch_clock(netuid, None).await?;
        let (chain, keypair) = (&self.chain, &self.keypair);
        let served = self.workshop.table().all();
        self.crafts.see(chain, keypair, netuid, clock.subnet_epoch_index, &served).await?;
        let rate_limit = self.chain.hyperparameters(netuid, None).await?.serving_rate_limit;
        match publish(neuron.axon.as_ref(), &self.wanted, now, rate_limit) {
            Publish::Unchanged => {}
            Publish::Wait { until } => {
                tracing::info!(until, "the new endpoint waits for the serving rate limit");
            }
            Publish::Now(endpoint) => {
                let call = Call::serve_axon(netuid, &endpoint);
                let (chain, keypair) = (self.chain.clone(), self.keypair.clone());
                self.publishing
                    .spawn(async move { chain.submit(&call, &keypair).await.map(|_| endpoint) });
            }
        }
        Ok(())
    }

    fn published(&mut self, published: Result<AxonInfo, Error>) -> Result<(), Error> {
        let done = published.map(|endpoint| {
            tracing::info!(ip = %endpoint.ip, port = endpoint.port, "endpoint published");
            self.rivals.published();
        });
        self.note("axon", done)
    }

    fn tell_of_rivals(&self) {
        match self.rivals.last() {
            Some(axon) => self.health.readiness.object(
                "twin",
                format!(
                    "another program published {}:{} for this hotkey; a second time ends this one",
                    axon.ip, axon.port
                ),
            ),
            None => self.health.readiness.clear("twin"),
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
