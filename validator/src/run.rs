//! A validator from start to end.

mod sending;
mod standing;
mod view;

use std::sync::Arc;
use std::time::Duration;

use chain::{Chain, Heads, Keypair};
use chain_metadata::{MechId, Weights};
use inference::{Engine, EngineOptions};
use neuron::{Claim, Health, Shutdown, Vitals, expand};
use subnet_rules::digest::Digest;
use subnet_rules::package::Package;
use subnet_rules::serve::Calibration;
use subnet_rules::star::Program;
use tokio::sync::watch;
use tokio::task::JoinSet;
use wire::{Client, Network};

use crate::adoption::Adoption;
use crate::courier::{Courier, Delivery, Search};
use crate::evidence::Ledgerbook;
use crate::exam::{Exam, names_model};
use crate::examine::{Examiner, Finished, Plan};
use crate::library::{Shelf, published};
use crate::record::{Record, Scribe};
use crate::schedule::Decision;
use crate::store::{Owner, Store};
use crate::watch::Watch;
use crate::{Config, Error, HOST, Status, calibration};

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
    /// The rule's calibration on that model, where it is known already.
    pub calibration: Option<Calibration>,
    /// Hosts rules in Starlark; this program where there is none.
    pub host: Option<Program>,
    /// Where the validator says how it fares, at every head.
    pub status: Option<watch::Sender<Status>>,
}

/// Runs a validator until `shutdown`.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Error> {
    run_with(config, Parts::default(), shutdown).await
}

/// Runs a validator with parts of the caller's.
pub async fn run_with(config: Config, parts: Parts, shutdown: Shutdown) -> Result<(), Error> {
    let mut validator = tokio::select! {
        started = Box::pin(Validator::start(config, parts, &shutdown)) => started?,
        () = shutdown.cancelled() => return Ok(()),
    };
    validator.live(&shutdown).await
}

struct Validator {
    config: Config,
    chain: Chain,
    keypair: Keypair,
    health: Health,
    examiner: Examiner,
    host: Program,
    adoption: Adoption,
    store: Store,
    book: Ledgerbook,
    record: Record,
    standings: Standings,
    /// Our commits that the chain is to reveal.
    watch: Watch,
    status: Option<watch::Sender<Status>>,
    /// The newest head acted on.
    seen: u64,
    /// How far blocks were searched for the open submission, and for a reveal.
    search: Search,
    reveal_search: Search,
    /// The epoch of the journal's last copy.
    backed_up: Option<u64>,
    /// The name of the last decision.
    decided: Option<&'static str>,
    /// What the connection and the clock do to being ready, and the service manager's watchdog.
    vitals: Vitals,
    /// Keeps other programs on this machine from acting for the hotkey.
    _claim: Claim,
    /// The round under way.
    rounds: JoinSet<Finished>,
    /// The submission under way.
    deliveries: JoinSet<Delivery>,
    /// Serves metrics and health; ends with the validator.
    _services: JoinSet<()>,
}

impl Validator {
    async fn start(config: Config, parts: Parts, shutdown: &Shutdown) -> Result<Self, Error> {
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
        let vitals = Vitals::new(chain.clone(), health.clone(), local);
        let dir = expand(&config.state.dir);
        let owner = Owner {
            hotkey,
            genesis: hex::encode(chain.genesis_hash()),
            netuid,
            mechid: MechId(config.weights.mechid),
        };
        let store = Store::open(&dir, &owner)?;
        if let Some(why) = store.restored() {
            let why = format!("the journal was damaged ({why}); its last good copy is used");
            health.readiness.object("journal", why);
        }
        let engine = if let Some(engine) = parts.engine {
            engine
        } else {
            let model = config.model.load(None).await?;
            let options = EngineOptions { kv_tokens: KV_TOKENS, ..EngineOptions::default() };
            Arc::new(Engine::open(model, options)?)
        };
        let host = match parts.host {
            Some(host) => host,
            None => Program::this(&HOST).map_err(Error::Host)?,
        };
        let shelf = Shelf::new(&dir);
        let ours = engine.model_id().to_string();
        let rule = match adopted(&config, &store, &shelf)? {
            // It was in force when this validator ended.
            Some(package) => Exam::of_package(&package, &ours, &host)?,
            None => configured(&config, &engine, parts.calibration, &host).await?,
        };
        let network = if local { Network::Local } else { Network::Public };
        let limits = wire::client::Limits {
            deadline: Duration::from_millis(config.rounds.timeout_ms),
            network,
            ..wire::client::Limits::default()
        };
        let client = Client::new(keypair.pair().clone(), limits)?;
        let concurrency = config.rounds.concurrency;
        let audit = config.state.audit.as_deref().map(expand);
        let record = Record::new(audit.clone());
        let rule = Arc::new(rule);
        let examiner = Examiner { rule, engine, client, netuid, hotkey, concurrency, audit };
        let adoption = Adoption::new(config.rule.follow, network, shelf);
        let book = store.book(&examiner.rule_digest())?;
        let known = book.book.hotkeys().count();
        tracing::info!(%hotkey, rule = %examiner.rule_digest(), known, "examining");
        let mut watch = Watch::new(chain.clone(), netuid, MechId(config.weights.mechid), hotkey);
        sending::recall(&store, &hotkey, &mut watch)?;
        Ok(Self {
            config,
            chain,
            keypair,
            health,
            examiner,
            host,
            adoption,
            store,
            book,
            record,
            standings: Standings::default(),
            watch,
            status: parts.status,
            seen: 0,
            search: Search::default(),
            reveal_search: Search::default(),
            backed_up: None,
            decided: None,
            vitals,
            _claim: claim,
            rounds: JoinSet::new(),
            deliveries: JoinSet::new(),
            _services: services,
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
        let examined = self.examine(&view);
        self.note("examine", examined)?;
        self.see_to_weights(&view).await
    }

    /// Adopts the owner's rule once an epoch begins after it was published, between two rounds. The
    /// old rule has paid for its epoch by then; the new one begins with an empty book.
    async fn follow_rule(&mut self, view: &View) -> Result<(), Error> {
        let (netuid, owner) = (self.config.chain.netuid(), view.metagraph.owner_hotkey);
        let seen = published(&self.chain, netuid, owner, Some(view.head.hash)).await?;
        let in_force = self.examiner.rule.digest();
        self.adoption.see(seen, in_force, view.head.number);
        if self.rounds.is_empty()
            && let Some(package) = self.adoption.due(in_force, &view.clock).cloned()
        {
            match Exam::of_package(
                &package,
                &self.examiner.engine.model_id().to_string(),
                &self.host,
            ) {
                Ok(rule) => self.adopt(rule)?,
                Err(error) => self.adoption.refuse(&error),
            }
        }
        let metrics = &self.health.metrics;
        let in_force = self.examiner.rule.digest();
        let differs = self.adoption.differs(in_force, &view.clock);
        metrics.set("ganglion_validator_rule_differs", &[], f64::from(u8::from(differs.is_some())));
        match differs {
            Some(why) => self.health.readiness.object("rule", why),
            None => self.health.readiness.clear("rule"),
        }
        Ok(())
    }

    fn adopt(&mut self, rule: Exam) -> Result<(), Error> {
        let (name, version) = (rule.manifest().name.clone(), rule.manifest().version);
        self.examiner.rule = Arc::new(rule);
        let digest = self.examiner.rule_digest();
        let book = self.store.book(&digest)?;
        self.store.keep(&book, None)?;
        self.book = book;
        self.health.metrics.count("ganglion_validator_rules_adopted_total", &[], 1);
        tracing::info!(%name, version, rule = %digest, "the owner's rule is in force");
        Ok(())
    }

    /// Begins a round when it is time and none is under way. That it began is on disk before the
    /// first question goes out.
    fn examine(&mut self, view: &View) -> Result<(), Error> {
        let due = view.head.number >= self.book.begun + self.config.rounds.every_blocks;
        if !due || !self.rounds.is_empty() {
            return Ok(());
        }
        let rounds = &self.config.rounds;
        let panel =
            standing::panel(view, self.examiner.rule.manifest(), &self.book.book, rounds.panel);
        if panel.is_empty() {
            return Ok(());
        }
        let begun = Ledgerbook { begun: view.head.number, ..self.book.clone() };
        self.store.keep(&begun, None)?;
        self.book = begun;
        let plan = Plan {
            epoch: view.epoch(),
            block: view.head.number,
            block_hash: view.head.hash,
            panel,
            tasks: rounds.tasks,
            memory: self.book.memory.clone(),
        };
        let examiner = self.examiner.clone();
        let metrics = self.health.metrics.clone();
        self.rounds.spawn(async move {
            let started = tokio::time::Instant::now();
            let finished = examiner.round(plan).await;
            metrics.observe("validator_round_duration_seconds", &[], started.elapsed());
            finished
        });
        Ok(())
    }

    /// Takes a round into the book, once it is on disk.
    fn book_in(&mut self, done: Finished) -> Result<(), Error> {
        let Finished { round, memory, lines } = done;
        let (rule, validator) = (&self.examiner.rule, self.keypair.hotkey());
        let scribe = Scribe { rule, validator, book: &self.book };
        self.record.round(scribe, round.epoch, round.block, &lines);
        let tracks = &rule.manifest().tracks;
        let mut book = Ledgerbook { memory, ..self.book.clone() };
        if let Some(why) = &book.memory.failed {
            tracing::error!(%why, "the rule could not learn: nothing is judged by it any more");
        }
        for exchange in &round.exchanges {
            let taken = book.book.record(tracks, exchange.hotkey, round.epoch, &exchange.findings);
            if let Err(error) = taken {
                tracing::error!(%error, "evidence does not fit the rule and is left out");
            }
        }
        self.store.keep(&book, Some(&round))?;
        self.book = book;
        self.standings.count(&round, &self.health.metrics);
        Ok(())
    }

    fn weights(&self, view: &View) -> Option<Weights> {
        let rule = &self.examiner.rule;
        let clusters = rule.clusters(&self.book.memory);
        standing::weights(view, rule.manifest(), &self.book.book, &clusters)
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
            let now = self.standings.status(view, &self.examiner, &self.book.book, weights);
            let rule_differs = self.adoption.differs(self.examiner.rule.digest(), &view.clock);
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

/// The rule of the settings. One of `serve` that names no model is for the model that is here.
async fn configured(
    config: &Config,
    engine: &Engine,
    calibration: Option<Calibration>,
    host: &Program,
) -> Result<Exam, Error> {
    let package = Package::find(&config.rule.source)?;
    let ours = engine.model_id().to_string();
    let serve = Package::shipped("serve")?.manifest.code;
    if package.manifest.code != serve || names_model(&package.manifest) {
        return Ok(Exam::of_package(&package, &ours, host)?);
    }
    let calibration = match calibration {
        Some(calibration) => calibration,
        None => calibration::of(engine, &expand(&config.state.dir)).await?,
    };
    Ok(Exam::of_model(&package, &ours, &calibration)?)
}

/// Waits until there is a new finalized head. Which one is asked for afterwards, as several may
/// have come.
async fn ready(heads: &mut Heads) -> Result<(), chain::ReadError> {
    heads.next().await.map(|_| ())
}
