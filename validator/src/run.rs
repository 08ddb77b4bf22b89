//! A validator from start to end.

mod sending;
mod standing;
mod view;

use std::sync::Arc;

use chain::{Chain, Heads, Keypair};
use chain_metadata::{MechId, Weights};
use inference::{Engine, EngineOptions};
use neuron::{Claim, Health, Shutdown, Vitals, expand};
use subnet_rules::digest::Digest;
use subnet_rules::exchange::Whom;
use subnet_rules::manifest::{Code, Manifest};
use subnet_rules::native;
use subnet_rules::package::Package;
use subnet_rules::secret::{Beacon, Ticket, due, slot};
use subnet_rules::session::Session;
use subnet_rules::star::Program;
use subnet_rules::tools::{Need, Reference as _};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wire::{Client, Network};

use crate::adoption::Adoption;
use crate::artefacts::Fetcher;
use crate::courier::{Courier, Delivery, Search};
use crate::evidence::Ledgerbook;
use crate::record::{Record, Scribe};
use crate::reference::EngineReference;
use crate::round::{Finished, Hands, Plan};
use crate::schedule::Decision;
use crate::store::{Owner, Store};
use crate::watch::Watch;
use crate::{Config, Error, HOST, Status};
use neuron::library::{Shelf, published};

use standing::Standings;
use view::View;

/// Tokens whose keys and values a validator keeps: sixteen answers measured at once, of 256 tokens
/// with their prompts. Tasks are short and hardly ever repeat, so more would only fill memory.
const KV_TOKENS: usize = 4_096;

/// What the caller of [`run_with`] brings along.
#[derive(Debug, Default)]
pub struct Parts {
    /// A running engine of the configured model, to be shared.
    pub engine: Option<Arc<Engine>>,
    /// The rule until the owner's is in force, in place of the configured one.
    pub package: Option<Package>,
    /// The rules of its mechanisms, in place of those that the package names.
    pub parts: Vec<(u8, Package)>,
    /// Hosts rules in Starlark; this program where there is none.
    pub host: Option<Program>,
    /// Where the validator says how it fares, at every head.
    pub status: Option<watch::Sender<Status>>,
}

/// Runs a validator until `shutdown`.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Error> {
    run_with(config, Parts::default(), shutdown).await
}

/// Runs a validator with parts of the caller's: one for each mechanism of its rule, side by side, so that
/// the trouble of one stops no other.
pub async fn run_with(config: Config, parts: Parts, shutdown: Shutdown) -> Result<(), Error> {
    let common = tokio::select! {
        prepared = Box::pin(Common::prepare(&config, parts, &shutdown)) => prepared?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let mut mechanisms = JoinSet::new();
    for (mechid, package) in common.parts.clone() {
        let mut config = config.clone();
        // A single rule is for the mechanism of the settings; classes are numbered in their order.
        if mechid > 0 || common.composed() {
            config.weights.mechid = mechid;
        }
        let (common, shutdown) = (common.clone(), shutdown.clone());
        mechanisms.spawn(async move {
            let mut validator = tokio::select! {
                started = Box::pin(Validator::start(config, common, package)) => started?,
                () = shutdown.cancelled() => return Ok(()),
            };
            validator.live(&shutdown).await
        });
    }
    let mut last = Ok(());
    while let Some(ended) = mechanisms.join_next().await {
        if let Err(error) = ended.map_err(Error::from).and_then(|ended| ended) {
            tracing::error!(error = neuron::report(&error), "a mechanism is not examined");
            common.health.readiness.object("mechanism", error.to_string());
            last = Err(error);
        }
    }
    last
}

/// What the mechanisms of one validator share.
#[derive(Clone)]
struct Common {
    chain: Chain,
    keypair: Arc<Keypair>,
    health: Health,
    host: Program,
    reference: Option<Arc<EngineReference>>,
    /// The rule as configured.
    package: Package,
    /// The rule of each mechanism.
    parts: Vec<(u8, Package)>,
    status: Option<watch::Sender<Status>>,
    /// One submission at a time takes the account's next nonce.
    nonces: Arc<tokio::sync::Mutex<()>>,
    /// Keeps other programs on this machine from acting for the hotkey.
    _claim: Arc<Claim>,
    /// Serves metrics and health; ends with the validator.
    _services: Arc<JoinSet<()>>,
}

impl Common {
    async fn prepare(config: &Config, parts: Parts, shutdown: &Shutdown) -> Result<Self, Error> {
        let local = config.chain.is_local();
        let keypair = config.wallet.open(local)?;
        let (hotkey, netuid) = (keypair.hotkey(), config.chain.netuid());
        let health = Health::default();
        let mut services = JoinSet::new();
        if config.health.enabled {
            let (address, serving) = health.listen(config.health.port, shutdown.clone()).await?;
            tracing::info!(%address, "metrics and health");
            services.spawn(serving);
        }
        let chain = config.chain.connect(&health.readiness, shutdown).await?;
        if chain.uid_of(netuid, &hotkey, None).await?.is_none() {
            chain.hyperparameters(netuid, None).await?;
            return Err(Error::Unregistered { hotkey, netuid });
        }
        let claim = Claim::of_chain(&chain, netuid, &hotkey, "validator").await?;
        let host = match parts.host {
            Some(host) => host,
            None => Program::this(&HOST).map_err(Error::Host)?,
        };
        let package = match parts.package {
            Some(package) => package,
            None => Package::find(&config.rule.source)?,
        };
        let mechanisms = match parts.parts {
            given if given.is_empty() => native::mechanisms(&package)?,
            given => given,
        };
        let reference = parts.engine.map(|engine| Arc::new(EngineReference(engine)));
        Ok(Self {
            chain,
            keypair: Arc::new(keypair),
            health,
            host,
            reference,
            package,
            parts: mechanisms,
            status: parts.status,
            nonces: Arc::default(),
            _claim: Arc::new(claim),
            _services: Arc::new(services),
        })
    }

    fn composed(&self) -> bool {
        is_composed(&self.package)
    }
}

/// The reference engine, if the rule needs one: loaded where there is none yet.
async fn engine(
    config: &Config,
    package: &Package,
    here: Option<Arc<EngineReference>>,
) -> Result<Option<Arc<EngineReference>>, Error> {
    if here.is_some() || !package.manifest.needs.contains(&Need::Engine) {
        return Ok(here);
    }
    let model = config.model.load(None).await?;
    let options = EngineOptions { kv_tokens: KV_TOKENS, ..EngineOptions::default() };
    Ok(Some(Arc::new(EngineReference(Arc::new(Engine::open(model, options)?)))))
}

/// A session of a rule, named for the model at hand where it leaves that open.
async fn session(
    package: &Package,
    reference: Option<&EngineReference>,
    host: &Program,
) -> Result<Box<dyn Session>, Error> {
    let package = match reference {
        Some(reference) => native::named(package, reference).await?,
        None => package.clone(),
    };
    if let (Some(named), Some(reference)) = (native::names(&package.manifest), reference) {
        let ours = reference.model();
        if named != ours {
            return Err(Error::OtherModel { named, ours });
        }
    }
    Ok(native::session(&package, host)?)
}

struct Validator {
    config: Config,
    common: Common,
    chain: Chain,
    keypair: Arc<Keypair>,
    health: Health,
    hands: Hands,
    session: Box<dyn Session>,
    /// Digest of the whole rule in force: of a composed one, not of its class.
    in_force: Digest,
    adoption: Adoption,
    store: Store,
    /// Height of the last round begun.
    begun: u64,
    record: Record,
    standings: Standings,
    /// Our commits that the chain is to reveal.
    watch: Watch,
    status: Option<watch::Sender<Status>>,
    /// The newest head acted on.
    seen: u64,
    /// The first one.
    first: Option<u64>,
    /// How far blocks were searched for the open submission, and for a reveal.
    search: Search,
    reveal_search: Search,
    /// The epoch of the journal's last copy.
    backed_up: Option<u64>,
    /// The name of the last decision.
    decided: Option<&'static str>,
    /// What the connection and the clock do to being ready, and the service manager's watchdog.
    vitals: Vitals,
    /// The round under way.
    rounds: JoinSet<Finished>,
    /// The submission under way.
    deliveries: JoinSet<Delivery>,
}

impl Validator {
    async fn start(config: Config, common: Common, package: Package) -> Result<Self, Error> {
        let (chain, keypair) = (common.chain.clone(), Arc::clone(&common.keypair));
        let (hotkey, netuid) = (keypair.hotkey(), config.chain.netuid());
        let dir = expand(&config.state.dir);
        let mechid = MechId(config.weights.mechid);
        let genesis = hex::encode(chain.genesis_hash());
        let store = Store::open(&dir, &Owner { hotkey, genesis, netuid, mechid })?;
        if let Some(why) = store.restored() {
            let why = format!("the journal was damaged ({why}); its last good copy is used");
            common.health.readiness.object("journal", why);
        }
        let shelf = Shelf::new(&dir);
        // It was in force when this validator ended.
        let adopted = adopted(&config, &store, &shelf)?;
        let in_force = adopted.as_ref().unwrap_or(&common.package).digest();
        let package = adopted.unwrap_or(package);
        let reference = engine(&config, &package, common.reference.clone()).await?;
        let mut session = session(&package, reference.as_deref(), &common.host).await?;
        let network = if config.chain.is_local() { Network::Local } else { Network::Public };
        let limits = wire::client::Limits {
            deadline: session.manifest().examine.deadline(),
            network,
            ..wire::client::Limits::default()
        };
        let hands = Hands {
            reference,
            client: Client::new(keypair.pair().clone(), limits)?,
            concurrency: config.rounds.concurrency,
            fetcher: Fetcher::new(chain.clone(), netuid, network, &dir),
            audit: config.state.audit.as_deref().map(expand),
        };
        let digest = session.digest().to_string();
        let begun = resume(&store, &mut *session)?;
        let known = session.book().hotkeys().count();
        let name = &session.manifest().name;
        tracing::info!(%hotkey, %name, rule = %digest, %mechid, known, "examining");
        let mut watch = Watch::new(chain.clone(), netuid, mechid, hotkey);
        sending::recall(&store, &hotkey, &mut watch)?;
        Ok(Self {
            chain,
            keypair,
            health: common.health.clone(),
            adoption: Adoption::new(config.rule.follow, network, shelf),
            store,
            begun,
            record: Record::new(hands.audit.clone()),
            hands,
            session,
            in_force,
            standings: Standings::default(),
            watch,
            status: common.status.clone().filter(|_| mechid == MechId(0) || !common.composed()),
            seen: 0,
            first: None,
            search: Search::default(),
            reveal_search: Search::default(),
            backed_up: None,
            decided: None,
            vitals: Vitals::new(
                common.chain.clone(),
                common.health.clone(),
                config.chain.is_local(),
            ),
            rounds: JoinSet::new(),
            deliveries: JoinSet::new(),
            config,
            common,
        })
    }

    /// The loop: what happens is a head, the end of a round, the end of a delivery, or the time for a
    /// sign of life.
    ///
    /// # Errors
    /// What cannot be mended by trying again.
    async fn live(&mut self, shutdown: &Shutdown) -> Result<(), Error> {
        let mut heads = self.chain.heads();
        loop {
            let pulse = self.vitals.next_beat();
            let done = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep_until(pulse) => {
                    self.vitals.beat();
                    continue;
                }
                ready = ready(&mut heads) => match ready {
                    Ok(()) => tokio::select! {
                        () = shutdown.cancelled() => return Ok(()),
                        done = self.at_head() => done,
                    },
                    Err(error) => Err(error.into()),
                },
                Some(round) = self.rounds.join_next() => {
                    round.map_err(Error::from).and_then(|done| self.book_in(done))
                }
                Some(delivery) = self.deliveries.join_next() => {
                    delivery.map_err(Error::from).and_then(|delivery| self.delivered(delivery))
                }
            };
            self.note("loop", done)?;
            self.vitals.beat();
        }
    }

    /// One head: read it, then every step that it calls for. One that fails keeps no other from
    /// being taken: a rule that cannot be read stops no weights.
    async fn at_head(&mut self) -> Result<(), Error> {
        let head = self.chain.finalized_head().await?;
        if head.number <= self.seen {
            return Ok(());
        }
        let view = View::read(&self.chain, &self.config, &self.keypair.hotkey(), head).await?;
        self.seen = head.number;
        self.standings.note_epoch(&view);
        let kept = self.keep_journal(&view);
        self.note("copy", kept)?;
        let followed = self.follow_commits(&view).await;
        self.note("commits", followed)?;
        let followed = self.follow_rule(&view).await;
        self.note("owner", followed)?;
        let examined = self.examine(&view).await;
        self.note("examine", examined)?;
        self.see_to_weights(&view).await
    }

    /// Adopts the owner's rule once an epoch begins after it was published, between two rounds. The
    /// old rule has paid for its epoch by then; the new one begins with an empty book.
    async fn follow_rule(&mut self, view: &View) -> Result<(), Error> {
        let (netuid, owner) = (self.config.chain.netuid(), view.metagraph.owner_hotkey);
        let seen = published(&self.chain, netuid, owner, Some(view.head.hash)).await?;
        self.adoption.see(seen, self.in_force, view.head.number);
        if self.rounds.is_empty()
            && let Some(package) = self.adoption.due(self.in_force, &view.clock).cloned()
            && let Err(error) = self.adopt(&package).await
        {
            self.adoption.refuse(&error);
        }
        let metrics = &self.health.metrics;
        let differs = self.adoption.differs(self.in_force, &view.clock);
        metrics.set("ganglion_validator_rule_differs", &[], f64::from(u8::from(differs.is_some())));
        match differs {
            Some(why) => self.health.readiness.object("rule", why),
            None => self.health.readiness.clear("rule"),
        }
        Ok(())
    }

    async fn adopt(&mut self, package: &Package) -> Result<(), Error> {
        let mechid = self.config.weights.mechid;
        let ours = |(of, _): &(u8, Package)| *of == mechid || !is_composed(package);
        let part = native::mechanisms(package)?.into_iter().find(ours);
        let Some((_, part)) = part else {
            return Err(Error::NoMechanism { rule: package.manifest.name.to_string(), mechid });
        };
        let reference = engine(&self.config, &part, self.hands.reference.clone()).await?;
        let mut session = session(&part, reference.as_deref(), &self.common.host).await?;
        self.begun = resume(&self.store, &mut *session)?.max(self.begun);
        self.hands.reference = reference;
        let deadline = session.manifest().examine.deadline();
        self.hands.client = self.hands.client.with_deadline(deadline);
        (self.session, self.in_force) = (session, package.digest());
        self.store.keep(&self.ledgerbook(), None)?;
        self.health.metrics.count("ganglion_validator_rules_adopted_total", &[], 1);
        let Manifest { name, version, .. } = self.session.manifest();
        tracing::info!(%name, version, rule = %self.in_force, "the owner's rule is in force");
        Ok(())
    }

    /// What is on disk of the session.
    fn ledgerbook(&self) -> Ledgerbook {
        Ledgerbook {
            rule: self.session.digest().to_string(),
            begun: self.begun,
            book: self.session.book().clone(),
            memory: self.session.state(),
        }
    }

    /// Begins a round when it is due and none is under way. That it began is on disk before the
    /// first question goes out.
    async fn examine(&mut self, view: &View) -> Result<(), Error> {
        let (hotkey, netuid, mechid) =
            (view.hotkey, self.config.chain.netuid().0, self.config.weights.mechid);
        let examine = self.session.manifest().examine;
        let every = examine.every();
        // What is common to all validators is drawn at heights that are common, too.
        let remainder = match self.session.whom() {
            Whom::Committed => 0,
            Whom::Each | Whom::Shared => slot(&hotkey, netuid, mechid, every),
        };
        // Heights of before this validator's first head are not drawn: it could choose among them.
        let since = self.begun.max(self.first.unwrap_or(view.head.number).saturating_sub(1));
        self.first.get_or_insert(view.head.number);
        let Some(height) = due(since, view.head.number, every, remainder) else { return Ok(()) };
        if !self.rounds.is_empty() {
            return Ok(());
        }
        let panel = standing::panel(view, &*self.session);
        if panel.is_empty() {
            return Ok(());
        }
        let hash = if height == view.head.number {
            view.head.hash
        } else {
            self.chain.block(height).await?.hash
        };
        self.begun = height;
        self.store.keep(&self.ledgerbook(), None)?;
        let beacon = Beacon {
            genesis: Digest(self.chain.genesis_hash()),
            netuid,
            mechid,
            rule: self.session.digest(),
            epoch: view.epoch(),
            height,
            hash: Digest(hash),
        };
        let plan = Plan {
            panel,
            whom: self.session.whom(),
            draws: examine.draws().into(),
            permit: view.me().is_some_and(|me| me.validator_permit),
        };
        let round = self.session.begin(Ticket::draw(self.keypair.pair(), beacon));
        let (hands, metrics) = (self.hands.clone(), self.health.metrics.clone());
        self.rounds.spawn(async move {
            let started = tokio::time::Instant::now();
            let finished = hands.round(round, plan).await;
            metrics.observe("validator_round_duration_seconds", &[], started.elapsed());
            finished
        });
        Ok(())
    }

    /// Takes a round into the book, and writes it down.
    fn book_in(&mut self, done: Finished) -> Result<(), Error> {
        let Finished { round, mut judged } = done;
        let scribe = Scribe { session: &*self.session, validator: self.keypair.hotkey() };
        self.record.round(scribe, round.epoch, round.block, &judged.lines);
        for (hotkey, error) in self.session.end(&mut judged) {
            tracing::error!(%hotkey, %error, "evidence does not fit the rule and is left out");
        }
        if let Some(why) = self.session.failed() {
            tracing::error!(%why, "the rule could not learn: nothing is judged by it any more");
            self.health.readiness.object("rule failed", why);
        }
        self.store.keep(&self.ledgerbook(), Some(&round))?;
        self.standings.count(&round, &self.health.metrics);
        Ok(())
    }

    fn courier(&self) -> Courier {
        Courier {
            chain: self.chain.clone(),
            hotkey: self.keypair.hotkey(),
            netuid: self.config.chain.netuid(),
            mechid: MechId(self.config.weights.mechid),
        }
    }

    fn show(&self, view: &View, weights: Option<&Weights>, decision: Decision) {
        let metrics = &self.health.metrics;
        #[expect(clippy::cast_precision_loss, reason = "heights stay far below 2^53")]
        metrics.set("ganglion_validator_head", &[], view.head.number as f64);
        let values = weights.iter().flat_map(|weights| weights.iter());
        let values = values.map(|(uid, value)| (uid, f64::from(value)));
        metrics.set_by_uid("ganglion_validator_weight", values);
        if let Some(status) = &self.status {
            let now = self.standings.status(view, &*self.session, weights);
            let rule_differs = self.adoption.differs(self.in_force, &view.clock);
            let decision = decision.to_string();
            status.send_replace(Status { rule_differs, decision, ..now });
        }
    }

    /// What goes wrong on the way is said, with all of its causes, and tried again at the next head:
    /// evidence and journal are on disk, so nothing is lost by waiting.
    ///
    /// # Errors
    /// What waiting does not mend.
    fn note(&self, part: &'static str, done: Result<(), Error>) -> Result<(), Error> {
        match done {
            Ok(()) => self.health.readiness.clear(part),
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => {
                let causes = neuron::causes(&error);
                if self.health.readiness.object_anew(part, &causes) {
                    tracing::warn!(part, "{causes}; trying again");
                }
            }
        }
        Ok(())
    }
}

/// The owner's rule by which the book was last written, where it is still followed and kept.
fn adopted(config: &Config, store: &Store, shelf: &Shelf) -> Result<Option<Package>, Error> {
    let last = if config.rule.follow { store.last_rule()? } else { None };
    Ok(last.and_then(|digest| shelf.get(&digest.parse::<Digest>().ok()?)))
}

/// Goes on with the book written under the session's rule; the height of the last round begun.
fn resume(store: &Store, session: &mut dyn Session) -> Result<u64, Error> {
    let book = store.book(&session.digest().to_string())?;
    if session.resume(book.book, book.memory).is_err() {
        tracing::error!("what the rule remembered does not read: it begins anew");
    }
    Ok(book.begun)
}

const fn is_composed(package: &Package) -> bool {
    matches!(package.manifest.code, Code::Compose(_))
}

/// Waits until there is a new finalized head. Which one is asked for afterwards, as several may
/// have come.
async fn ready(heads: &mut Heads) -> Result<(), chain::ReadError> {
    heads.next().await.map(|_| ())
}
