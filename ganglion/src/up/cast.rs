//! The cast: miners and validators as owned tasks of this process, speaking over real sockets.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use inference::{Engine, EngineOptions};
use neuron::{ChainSettings, HealthSettings, ModelSettings, Shutdown, WalletSettings};
use subnet_rules::serve::{Calibration, Wording};
use tokio::{sync::watch, task::JoinSet};

use super::{
    args::{Kind, UpArgs},
    error::UpError,
    stage::{HOTKEY, Player, Role, Stage},
};

/// Blocks between two rounds of questions: several rounds fit in an epoch.
const ROUND_EVERY_BLOCKS: u64 = 8;

/// Questions to each miner in a round. A pass of the identity gate takes about 57 short answers of
/// the tiny model, so that an epoch is enough; a general model's longer ones prove as much in a
/// third of that, and take their time.
const fn tasks(wording: Wording) -> usize {
    match wording {
        Wording::Plain => 16,
        Wording::Shown => 4,
    }
}

/// Everybody who plays, until told to stop.
#[derive(Debug)]
pub(super) struct Cast {
    tasks: JoinSet<Result<(), UpError>>,
    statuses: Vec<watch::Receiver<validator::Status>>,
    shutdown: Shutdown,
}

/// Loads the model that the rule names, once for everybody who runs it.
pub(super) async fn load_model(args: &UpArgs) -> Result<Arc<Engine>, UpError> {
    let model = model_settings(args).load(None).await?;
    Ok(Arc::new(Engine::start(model, EngineOptions::default())))
}

impl Cast {
    /// Starts everybody.
    pub(super) async fn start(
        args: &UpArgs,
        stage: &Stage,
        engine: &Arc<Engine>,
        shutdown: &Shutdown,
    ) -> Result<Self, UpError> {
        let calibration = validator::calibration::known_or_measured(engine).await?;
        let mut cast =
            Self { tasks: JoinSet::new(), statuses: Vec::new(), shutdown: shutdown.child_token() };
        for player in &stage.players {
            match player.role {
                Role::Miner(kind) => cast.start_miner(args, stage, player, kind, engine),
                Role::Validator => cast.start_validator(args, stage, player, engine, &calibration),
            }
        }
        Ok(cast)
    }

    fn start_miner(
        &mut self,
        args: &UpArgs,
        stage: &Stage,
        player: &Player,
        kind: Kind,
        engine: &Arc<Engine>,
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
            rehearsal: miner::Rehearsal { behaviour: kind.behaviour() },
            ..miner::Config::default()
        };
        let parts = miner::Parts { engine: Some(engine.clone()), ..miner::Parts::default() };
        let (name, shutdown) = (player.name.clone(), self.shutdown.clone());
        self.tasks.spawn(async move {
            let run = Box::pin(miner::run_with(config, parts, shutdown));
            run.await.map_err(|source| UpError::Miner { name, source: Box::new(source) })
        });
    }

    fn start_validator(
        &mut self,
        args: &UpArgs,
        stage: &Stage,
        player: &Player,
        engine: &Arc<Engine>,
        calibration: &Calibration,
    ) {
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
            rounds: validator::Rounds {
                every_blocks: ROUND_EVERY_BLOCKS,
                tasks: tasks(calibration.wording),
                ..validator::Rounds::default()
            },
            weights: validator::WeightSettings::default(),
        };
        let (sender, receiver) = watch::channel(validator::Status::waiting(player.hotkey));
        self.statuses.push(receiver);
        let parts = validator::Parts {
            engine: Some(engine.clone()),
            calibration: Some(calibration.clone()),
            host: None,
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
