//! Which work the subnet wants, and what does it here.
//!
//! The owner's published rule says it; until there is one, the miner's settings do. A rule is served as
//! soon as it is published, beside the one in force: validators ask by it from the next epoch on.

use std::sync::Arc;

use chain::{Chain, Keypair};
use inference::{Engine, EngineError, EngineOptions, Model, ModelId};
use neuron::library::{FetchError, Published, Shelf, fetch, published};
use neuron::{Health, expand};
use subnet_rules::digest::Digest;
use subnet_rules::manifest::{Code, Manifest};
use subnet_rules::native::{self, NativeError};
use subnet_rules::package::Package;
use subnet_rules::star::Program;
use subnet_rules::star::texts::Player;
use wire::Network;

use crate::tasks::{Served, Table};
use crate::worker::{Command, Native, Url, Worker, Writer};
use crate::{Config, Dues, Error};

/// Decides what is served.
pub(crate) struct Workshop {
    config: Config,
    keypair: Keypair,
    dues: Dues,
    health: Health,
    chain: Chain,
    network: Network,
    shelf: Shelf,
    host: Option<Program>,
    /// Programs of the actors of a rehearsal.
    cast: Option<String>,
    engine: Option<(Arc<Engine>, ModelId)>,
    /// The engineer's own program, if there is one.
    own: Option<Arc<dyn Worker>>,
    table: Table,
    /// The rule until one is published.
    configured: Package,
    /// Its mechanisms.
    parts: Vec<(u8, Package)>,
    /// Published rules that are served: the one in force, and the newest.
    following: Vec<(Digest, Vec<Served>)>,
    /// What was published last, and why it is not served.
    trouble: Option<(Digest, String)>,
}

/// What a workshop is set up with.
pub(crate) struct Bench {
    pub(crate) chain: Chain,
    pub(crate) keypair: Keypair,
    pub(crate) dues: Dues,
    pub(crate) health: Health,
    pub(crate) engine: Option<Arc<Engine>>,
    pub(crate) package: Option<Package>,
    pub(crate) parts: Vec<(u8, Package)>,
    pub(crate) host: Option<Program>,
    pub(crate) cast: Option<String>,
}

/// Why a rule's tasks are not answered here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkshopError {
    /// The rule itself.
    #[error("the rule cannot be served")]
    Rule(#[from] NativeError),
    /// There is no hand for it.
    #[error("`{rule}` wants work that nothing here does")]
    NoWorker {
        /// The rule.
        rule: String,
    },
    /// The model for it does not load.
    #[error("`{rule}` wants a model")]
    Model {
        /// The rule.
        rule: String,
        /// Why there is none.
        source: Box<Error>,
    },
    /// The rule is for another model.
    #[error("`{rule}` is for the model {named}, and this miner serves {ours}")]
    OtherModel {
        /// The rule.
        rule: String,
        /// What it names.
        named: String,
        /// What is served.
        ours: String,
    },
    /// The rule's files.
    #[error("the owner's rule cannot be had")]
    Fetch(#[from] FetchError),
}

impl Workshop {
    /// Sets up what the configured or published rule needs.
    pub(crate) async fn open(config: &Config, bench: Bench) -> Result<Self, Error> {
        let Bench { chain, keypair, dues, health, engine, package, parts, host, cast } = bench;
        let configured = match package {
            Some(package) => package,
            None => Package::find(&config.work.rule).map_err(Error::Package)?,
        };
        let network = if config.chain.is_local() { Network::Local } else { Network::Public };
        let own = own(config, &health)?;
        let mut workshop = Self {
            shelf: Shelf::new(&expand(&config.state.dir)),
            config: config.clone(),
            keypair,
            dues,
            health,
            chain,
            network,
            host,
            cast,
            engine: None,
            own,
            table: Table::default(),
            parts: match parts {
                given if given.is_empty() => {
                    native::mechanisms(&configured).map_err(Error::Package)?
                }
                given => given,
            },
            configured,
            following: Vec::new(),
            trouble: None,
        };
        if let Some(engine) = engine {
            workshop.engine = Some(workshop.announced(engine).await?);
        } else if config.openai.port.is_some() && config.backends.urls.is_empty() {
            workshop.load().await?;
        }
        Ok(workshop)
    }

    /// What is served.
    pub(crate) fn table(&self) -> Table {
        self.table.clone()
    }

    /// The engine, once it is loaded, and the id that is announced for it.
    pub(crate) fn engine(&self) -> Option<(Arc<Engine>, ModelId)> {
        self.engine.clone()
    }

    /// Takes in what the owner has published, and serves it.
    pub(crate) async fn follow(&mut self, owner: chain_metadata::Hotkey) -> Result<(), Error> {
        let netuid = self.config.chain.netuid();
        let found = if self.config.work.follow {
            published(&self.chain, netuid, owner, None).await?
        } else {
            None
        };
        match found {
            None if self.following.is_empty() => {
                let package = self.configured.clone();
                if self.table.all().is_empty() {
                    let served = self.serve(self.parts.clone()).await;
                    self.show(&package.manifest, package.digest(), served);
                }
            }
            // Validators go on by what was published last.
            None => {}
            Some(found) => {
                let digest = found.publication.digest();
                let known = self.following.iter().any(|(served, _)| *served == digest)
                    || self.trouble.as_ref().is_some_and(|(of, _)| *of == digest);
                if !known {
                    self.take_on(found).await;
                }
            }
        }
        Ok(())
    }

    async fn take_on(&mut self, found: Published) {
        let digest = found.publication.digest();
        tracing::info!(rule = %found.publication, "the owner has published a rule");
        let package = match self.shelf.get(&digest) {
            Some(package) => Ok(package),
            None => fetch(&found, self.network, &[]).await.map(|files| {
                if let Err(error) = self.shelf.put(&files) {
                    tracing::warn!(%error, "the rule is not kept");
                }
                files.package
            }),
        };
        match package {
            Ok(package) => {
                let served = match native::mechanisms(&package) {
                    Ok(parts) => self.serve(parts).await,
                    Err(error) => Err(NativeError::from(error).into()),
                };
                self.show(&package.manifest, digest, served);
            }
            Err(error) => {
                let passes = error.may_pass();
                self.complain(digest, &error.into());
                if passes {
                    // Tried again at the next reading.
                    self.trouble = None;
                }
            }
        }
    }

    /// Puts a rule's mechanisms on the table, beside the one before it.
    fn show(
        &mut self,
        manifest: &Manifest,
        digest: Digest,
        served: Result<Vec<Served>, WorkshopError>,
    ) {
        match served {
            Ok(served) => {
                let work: Vec<_> = served.iter().map(|one| one.name.clone()).collect();
                tracing::info!(rule = %manifest.name, version = manifest.version, %digest, ?work, "serving");
                self.health.readiness.clear("work");
                self.trouble = None;
                // The one in force until the epoch ends, and this one.
                if self.following.len() == 2 {
                    self.following.remove(0);
                }
                self.following.push((digest, served));
                let all = self.following.iter().flat_map(|(_, served)| served.clone());
                self.table.replace(all.collect());
            }
            Err(error) => self.complain(digest, &error),
        }
    }

    fn complain(&mut self, digest: Digest, error: &WorkshopError) {
        let why = neuron::causes(error);
        tracing::error!(rule = %digest, why, "the subnet's work is not done here");
        self.health.readiness.object("work", why.clone());
        self.trouble = Some((digest, why));
    }

    /// What answers each mechanism of a rule.
    async fn serve(&mut self, parts: Vec<(u8, Package)>) -> Result<Vec<Served>, WorkshopError> {
        let mut all = Vec::new();
        for (_, part) in parts {
            let manifest = &part.manifest;
            let worker = self.worker(&part).await?;
            all.push(Served {
                // Each validator names the model that it has where a rule leaves it open.
                digest: native::unnamed(manifest).is_none().then(|| part.digest()),
                name: manifest.name.to_string(),
                version: manifest.version,
                exchange: native::exchange(manifest)?,
                deadline: manifest.examine.deadline(),
                worker,
            });
        }
        Ok(all)
    }

    async fn worker(&mut self, part: &Package) -> Result<Arc<dyn Worker>, WorkshopError> {
        if let Some(own) = &self.own {
            return Ok(Arc::clone(own));
        }
        let (manifest, kind) = (&part.manifest, self.config.rehearsal.behaviour.kind);
        let hotkey = self.keypair.hotkey();
        if let Some(work) = native::worker(manifest, &hotkey, kind)? {
            return Ok(Arc::new(Native(work)));
        }
        let rule = || manifest.name.to_string();
        if let (Code::Starlark, Some(host), Some(cast)) = (&manifest.code, &self.host, &self.cast) {
            let player = Player::start(host, Some(cast), kind);
            let player = player.map_err(NativeError::from)?;
            let player = player.ok_or_else(|| WorkshopError::NoWorker { rule: rule() })?;
            return Ok(Arc::new(Native(Arc::new(player))));
        }
        if self.engine.is_none() {
            let loaded = self.load().await;
            loaded.map_err(|source| WorkshopError::Model {
                rule: rule(),
                source: Box::new(source),
            })?;
        }
        let Some((engine, announced)) = self.engine.clone() else {
            return Err(WorkshopError::NoWorker { rule: rule() });
        };
        if let Some(named) = native::names(manifest)
            && named != announced.to_string()
        {
            let ours = announced.to_string();
            return Err(WorkshopError::OtherModel { rule: rule(), named, ours });
        }
        Ok(Arc::new(Writer {
            engine,
            announced,
            keypair: self.keypair.clone(),
            behaviour: self.config.rehearsal.behaviour,
            dues: self.dues.clone(),
        }))
    }

    async fn load(&mut self) -> Result<(), Error> {
        let (engine, announced) = models(&self.config, None).await?;
        self.engine = Some((engine, announced));
        Ok(())
    }

    async fn announced(&self, engine: Arc<Engine>) -> Result<(Arc<Engine>, ModelId), Error> {
        models(&self.config, Some(engine)).await
    }
}

/// The engineer's own program.
fn own(config: &Config, health: &Health) -> Result<Option<Arc<dyn Worker>>, Error> {
    let work = &config.work;
    match (&work.url, &work.command) {
        (None, None) => Ok(None),
        (Some(url), None) => {
            let parsed = url.parse();
            let parsed = parsed.map_err(|_| Error::WorkerUrl { url: url.clone() })?;
            Ok(Some(Arc::new(Url::new(parsed).map_err(Error::Client)?)))
        }
        (None, Some(command)) => Ok(Some(Arc::new(Command::start(command, health.clone())))),
        (Some(_), Some(_)) => Err(Error::TwoWorkers),
    }
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
    let Some(class) = config.rehearsal.behaviour.substitute() else {
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

/// As many requests wait as are admitted, and the rest is what the model's device has.
fn engine_options(config: &Config, model: &Model) -> Result<EngineOptions, Error> {
    let fitting = model.fitting_options().map_err(EngineError::from)?;
    Ok(EngineOptions { queue: config.admission.queue, ..fitting })
}
