//! The cast: miners and validators as owned tasks of this process, speaking over real sockets.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use inference::{Engine, EngineOptions};
use neuron::{ChainSettings, HealthSettings, ModelSettings, Shutdown, WalletSettings};
use subnet_rules::arena::Kind;
use subnet_rules::native;
use subnet_rules::package::{Package, Trials};
use subnet_rules::star::Program;
use subnet_rules::tools::Need;
use tokio::{sync::watch, task::JoinSet};
use validator::EngineReference;

use super::{
    args::UpArgs,
    error::UpError,
    stage::{HOTKEY, Player, Role, Stage},
};

/// Blocks between two rounds: several rounds fit in an epoch that a person waits for.
const EVERY: u64 = 4;
/// The same where an engine answers, which takes its time.
const EVERY_OF_ENGINES: u64 = 8;

/// Questions to each miner in a round where an engine answers. A pass of the identity gate takes about 57
/// short answers of the tiny model, so that an epoch is enough; a general model's longer ones prove as
/// much in a third of that, and take their time.
const fn draws(tiny: bool) -> u32 {
    if tiny { 16 } else { 4 }
}

/// What is played: a rule as it is on this stage, and what its actors are made of.
#[derive(Debug)]
pub(super) struct Play {
    /// The rule, quickened for a laptop and named for the model at hand.
    pub(super) package: Package,
    pub(super) trials: Trials,
    /// The rule of each mechanism.
    pub(super) parts: Vec<(u8, Package)>,
    pub(super) engine: Option<Arc<Engine>>,
    pub(super) host: Program,
}

impl Play {
    /// Reads the rule, and loads the model that it needs, once for everybody who runs it.
    pub(super) async fn prepare(args: &UpArgs) -> Result<Self, UpError> {
        let package = Package::find(&args.rule)?;
        let trials = Package::trials(&args.rule)?;
        let host = Program::this(&validator::HOST)
            .map_err(|source| UpError::Io { what: "finding this program", source })?;
        let mut parts = native::mechanisms(&package)?;
        let needy = parts.iter().any(|(_, part)| part.manifest.needs.contains(&Need::Engine));
        let engine = if needy { Some(load_model(args).await?) } else { None };
        for (_, part) in &mut parts {
            *part = on_stage(part, args, engine.as_ref()).await?;
        }
        let package = match &parts[..] {
            [(_, only)] => only.clone(),
            _ => package,
        };
        Ok(Self { package, trials, parts, engine, host })
    }
}

/// A rule quickened for a person who watches; everything else is as its owner wrote it.
async fn on_stage(
    part: &Package,
    args: &UpArgs,
    engine: Option<&Arc<Engine>>,
) -> Result<Package, UpError> {
    let mut part = part.clone();
    let examine = &mut part.manifest.examine;
    let needy = part.manifest.needs.contains(&Need::Engine);
    if needy {
        examine.every = Some(EVERY_OF_ENGINES);
        examine.draws = Some(draws(args.model == "tiny"));
    } else {
        examine.every = Some(examine.every().min(EVERY));
    }
    match engine.filter(|_| needy) {
        Some(engine) => {
            let named = native::named(&part, &EngineReference(Arc::clone(engine))).await;
            named.map_err(UpError::from)
        }
        None => Ok(part),
    }
}

/// Everybody who plays, until told to stop.
#[derive(Debug)]
pub(super) struct Cast {
    tasks: JoinSet<Result<(), UpError>>,
    statuses: Vec<watch::Receiver<validator::Status>>,
    shutdown: Shutdown,
}

/// Loads the model that the rule names.
async fn load_model(args: &UpArgs) -> Result<Arc<Engine>, UpError> {
    let model = model_settings(args).load(None).await?;
    Ok(Arc::new(Engine::start(model, EngineOptions::default())))
}

impl Cast {
    /// Starts everybody.
    pub(super) fn start(args: &UpArgs, stage: &Stage, play: &Play, shutdown: &Shutdown) -> Self {
        let mut cast =
            Self { tasks: JoinSet::new(), statuses: Vec::new(), shutdown: shutdown.child_token() };
        for player in &stage.players {
            match player.role {
                Role::Miner(kind) => cast.start_miner(args, stage, player, kind, play),
                Role::Validator => cast.start_validator(args, stage, player, play),
            }
        }
        cast
    }

    fn start_miner(
        &mut self,
        args: &UpArgs,
        stage: &Stage,
        player: &Player,
        kind: Kind,
        play: &Play,
    ) {
        let config = miner::Config {
            chain: chain_settings(stage),
            wallet: wallet_settings(stage, player),
            model: model_settings(args),
            health: HealthSettings { enabled: false, ..HealthSettings::default() },
            axon: miner::Axon {
                bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
                port: 0,
                ..miner::Axon::default()
            },
            admission: miner::Admission { require_permit: false, ..miner::Admission::default() },
            state: miner::State { dir: stage.state(&player.name) },
            rehearsal: miner::Rehearsal { behaviour: miner::Behaviour { kind, class: None } },
            ..miner::Config::default()
        };
        let parts = miner::Parts {
            engine: play.engine.clone(),
            package: Some(play.package.clone()),
            host: Some(play.host.clone()),
            cast: play.trials.cast.clone(),
            parts: play.parts.clone(),
            status: None,
        };
        let (name, shutdown) = (player.name.clone(), self.shutdown.clone());
        self.tasks.spawn(async move {
            let run = Box::pin(miner::run_with(config, parts, shutdown));
            run.await.map_err(|source| UpError::Miner { name, source: Box::new(source) })
        });
    }

    fn start_validator(&mut self, args: &UpArgs, stage: &Stage, player: &Player, play: &Play) {
        let config = validator::Config {
            chain: chain_settings(stage),
            wallet: wallet_settings(stage, player),
            model: model_settings(args),
            health: HealthSettings { enabled: false, ..HealthSettings::default() },
            state: validator::State {
                dir: stage.state(&player.name),
                audit: args.audit.as_ref().map(|dir| dir.join(&player.name)),
            },
            rule: validator::RuleSettings::default(),
            rounds: validator::Rounds::default(),
            weights: validator::WeightSettings::default(),
        };
        let (sender, receiver) = watch::channel(validator::Status::waiting(player.hotkey));
        self.statuses.push(receiver);
        let parts = validator::Parts {
            engine: play.engine.clone(),
            package: Some(play.package.clone()),
            parts: play.parts.clone(),
            host: Some(play.host.clone()),
            status: Some(sender),
        };
        let (name, shutdown) = (player.name.clone(), self.shutdown.clone());
        self.tasks.spawn(async move {
            let run = Box::pin(validator::run_with(config, parts, shutdown));
            run.await.map_err(|source| UpError::Validator { name, source: Box::new(source) })
        });
    }

    /// What each validator says of itself, in order of the cast.
    pub(super) fn validator_statuses(&self) -> Vec<watch::Receiver<validator::Status>> {
        self.statuses.clone()
    }

    /// Waits until somebody ends, which nobody should before the end.
    pub(super) async fn first_to_end(&mut self) -> UpError {
        let stopped = || UpError::Stopped { name: "one of the cast".into() };
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(_) => stopped(),
            None => std::future::pending().await,
        }
    }

    /// Asks everybody to end, and waits for it.
    pub(super) async fn shutdown(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("{}", neuron::report(&error)),
                Err(error) => tracing::warn!("a task of the cast ended in disorder: {error}"),
            }
        }
    }
}

fn chain_settings(stage: &Stage) -> ChainSettings {
    ChainSettings {
        endpoint: Some(stage.endpoint()),
        netuid: stage.netuid.0,
        ..ChainSettings::default()
    }
}

fn wallet_settings(stage: &Stage, player: &Player) -> WalletSettings {
    WalletSettings { name: player.name.clone(), hotkey: HOTKEY.into(), path: stage.wallets() }
}

fn model_settings(args: &UpArgs) -> ModelSettings {
    // Everybody shares one engine, started without a second thought: on the processors.
    ModelSettings {
        source: args.model.clone(),
        threads: args.threads,
        device: "cpu".to_owned(),
        ..ModelSettings::default()
    }
}
