//! Watching: at every final block, what the chain says and what the validators hold becomes the
//! report that is shown.

use chain::{Chain, Head, Metagraph};
use chain_metadata::{Alpha, Hotkey, NetUid};
use tokio::sync::watch;

use super::{
    args::UpArgs,
    cast::Play,
    error::UpError,
    report::{ChainReport, MinerReport, ModelReport, Report, ValidatorReport},
    screen::{Moment, Screen, render, width},
    stage::{Player, Role, Stage},
};

/// Full scale of the chain's proportions.
const FULL: f64 = 65_535.0;

/// Follows the chain and keeps the report.
#[derive(Debug)]
pub(super) struct Observer {
    chain: Chain,
    netuid: NetUid,
    endpoint: String,
    statuses: Vec<watch::Receiver<validator::Status>>,
    epochs: EpochCount,
    /// Whether the subnet has several mechanisms.
    composed: bool,
    report: Report,
}

/// Epochs whose whole incentive is burned before they count all the same: a model that takes minutes to
/// tell from another has its verdicts by then, and a miner about whom nothing can be said does not
/// hold up the end.
const PATIENCE: u32 = 20;

/// Counts epochs that our validators' weights paid for: the chain's first epochs only grant
/// permits and pay nobody for work, and while nobody has a verdict the incentive is burned.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct EpochCount {
    last_step: Option<u64>,
    paid: u32,
    burned: u32,
}

/// Where an epoch's incentive went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Incentive {
    /// Nowhere: nobody's weights counted.
    None,
    /// To nobody of the cast, while there are miners without a verdict.
    Burned,
    /// To miners of the cast, or to nobody because every one of them failed.
    Decided,
}

impl EpochCount {
    /// Takes in the metagraph's last step; returns whether a paid epoch has just ended.
    fn observe(&mut self, last_step: u64, incentive: Incentive) -> bool {
        let new = self.last_step.is_some_and(|known| known != last_step);
        self.last_step = Some(last_step);
        self.burned += u32::from(new && incentive == Incentive::Burned);
        let counts = new
            && match incentive {
                Incentive::None => false,
                Incentive::Burned => self.burned > PATIENCE,
                Incentive::Decided => true,
            };
        self.paid += u32::from(counts);
        counts
    }
}

impl Observer {
    pub(super) fn new(
        args: &UpArgs,
        stage: &Stage,
        play: &Play,
        statuses: Vec<watch::Receiver<validator::Status>>,
    ) -> Self {
        Self {
            chain: stage.chain.clone(),
            netuid: stage.netuid,
            endpoint: stage.endpoint(),
            statuses,
            epochs: EpochCount::default(),
            composed: play.parts.len() > 1,
            report: Report {
                netuid: stage.netuid,
                rule: String::new(),
                model: play.engine.as_ref().map(|engine| ModelReport {
                    name: args.model.clone(),
                    digest: hex::encode(engine.model_id().digest),
                    numeric_class: engine.model_id().class.to_string(),
                }),
                epochs: 0,
                blocks: 0,
                miners: stage.players.iter().filter_map(miner_row).collect(),
                validators: stage.players.iter().filter_map(validator_row).collect(),
                chain: ChainReport {
                    spec_version: 0,
                    genesis: format!("0x{}", hex::encode(stage.chain.genesis_hash())),
                },
            },
        }
    }

    /// Follows the chain until so many paid epochs have ended; without a number, for ever.
    pub(super) async fn watch(
        &mut self,
        epochs: Option<u32>,
        screen: &Screen,
    ) -> Result<(), UpError> {
        self.report.chain.spec_version = self.chain.spec_version().await?;
        let mut heads = self.chain.heads();
        loop {
            let head = heads.next().await?;
            self.observe(head).await?;
            let until_epoch = self.until_epoch(head).await?;
            let moment = self.moment(head, until_epoch);
            screen.draw(&render(&self.report, &moment, width()))?;
            if epochs.is_some_and(|wanted| self.epochs.paid >= wanted) {
                return Ok(());
            }
        }
    }

    pub(super) fn into_report(self) -> Report {
        self.report
    }

    async fn observe(&mut self, head: Head) -> Result<(), UpError> {
        let metagraph = self.chain.metagraph(self.netuid, Some(head.hash)).await?;
        self.report.blocks = head.number;
        if self.epochs.observe(metagraph.last_step, self.incentive(&metagraph)) {
            self.report.epochs = self.epochs.paid;
            tracing::info!(
                target: "ganglion::up",
                epoch = self.epochs.paid,
                block = head.number,
                "an epoch was paid: {}",
                self.incentives(&metagraph),
            );
        }
        self.read_validators(&metagraph);
        self.read_miners(&metagraph).await
    }

    fn incentive(&self, metagraph: &Metagraph) -> Incentive {
        let earns = |row: &MinerReport| {
            metagraph.neuron_of(&row.hotkey).is_some_and(|neuron| neuron.incentive > 0)
        };
        if metagraph.neurons.iter().all(|neuron| neuron.incentive == 0) {
            Incentive::None
        } else if self.report.miners.iter().any(earns)
            || self.report.miners.iter().all(|row| row.identity == "fail")
        {
            Incentive::Decided
        } else {
            Incentive::Burned
        }
    }

    fn read_validators(&mut self, metagraph: &Metagraph) {
        for (row, status) in self.report.validators.iter_mut().zip(&self.statuses) {
            if let Some(neuron) = metagraph.neuron_of(&row.hotkey) {
                row.validator_trust = f64::from(neuron.validator_trust) / FULL;
                row.dividends = f64::from(neuron.dividends) / FULL;
            }
            let status = status.borrow();
            row.weights_set = status.weights_set;
            if !status.rule.is_empty() {
                self.report.rule.clone_from(&status.rule);
            }
        }
    }

    async fn read_miners(&mut self, metagraph: &Metagraph) -> Result<(), UpError> {
        let miners = metagraph.neurons.iter().filter(|neuron| !neuron.validator_permit);
        let paid: f64 = miners.map(|neuron| rao(neuron.emission)).sum();
        let paid_in_all = self.composed.then_some(paid);
        for row in &mut self.report.miners {
            if let Some(neuron) = metagraph.neuron_of(&row.hotkey) {
                row.incentive = match paid_in_all {
                    // Each mechanism has an incentive of its own: what counts is what they paid together.
                    Some(all) => rao(neuron.emission) / all.max(1.0),
                    None => f64::from(neuron.incentive) / FULL,
                };
                row.alpha_stake_after =
                    self.chain.stake(&row.hotkey, &neuron.coldkey, self.netuid).await?;
                if self.epochs.paid == 0 {
                    row.alpha_stake_before = row.alpha_stake_after;
                }
            }
            let views: Vec<_> = self
                .statuses
                .iter()
                .filter_map(|status| view(&status.borrow(), &row.hotkey))
                .collect();
            row.requests = views.iter().map(|view| view.requests).sum();
            row.score = mean(views.iter().filter_map(|view| view.score));
            if let Some(view) = views.iter().max_by_key(|view| view.requests) {
                row.identity.clone_from(&view.identity);
            }
        }
        Ok(())
    }

    fn incentives(&self, metagraph: &Metagraph) -> String {
        let share = |row: &MinerReport| {
            let neuron = metagraph.neuron_of(&row.hotkey)?;
            Some(format!("{} {:.3}", row.name, f64::from(neuron.incentive) / FULL))
        };
        self.report.miners.iter().filter_map(share).collect::<Vec<_>>().join(", ")
    }

    async fn until_epoch(&self, head: Head) -> Result<u64, UpError> {
        let clock = self.chain.epoch_clock(self.netuid, Some(head.hash)).await?;
        Ok(clock.next_epoch_block(head.number).map_or(0, |next| next.saturating_sub(head.number)))
    }

    fn moment(&self, head: Head, until_epoch: u64) -> Moment {
        let phase = if self.epochs.paid > 0 {
            "Ctrl-C ends it".to_owned()
        } else {
            let decision = self.statuses.first().map(|status| status.borrow().decision.clone());
            format!("first epochs grant permits · {}", decision.unwrap_or_default())
        };
        Moment { endpoint: self.endpoint.clone(), block: head.number, until_epoch, phase }
    }
}

fn view(status: &validator::Status, hotkey: &Hotkey) -> Option<validator::MinerStatus> {
    status.miners.iter().find(|miner| miner.hotkey == *hotkey).cloned()
}

#[expect(clippy::cast_precision_loss, reason = "a share of what was paid is shown")]
const fn rao(amount: Alpha) -> f64 {
    amount.0 as f64
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

fn miner_row(player: &Player) -> Option<MinerReport> {
    let Role::Miner(kind) = player.role else { return None };
    Some(MinerReport {
        name: player.name.clone(),
        kind: kind.name().to_owned(),
        uid: player.uid,
        hotkey: player.hotkey,
        requests: 0,
        score: None,
        identity: "no evidence".to_owned(),
        incentive: 0.0,
        alpha_stake_before: Alpha(0),
        alpha_stake_after: Alpha(0),
    })
}

fn validator_row(player: &Player) -> Option<ValidatorReport> {
    (player.role == Role::Validator).then(|| ValidatorReport {
        name: player.name.clone(),
        uid: player.uid,
        hotkey: player.hotkey,
        validator_trust: 0.0,
        dividends: 0.0,
        weights_set: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_that_only_grant_permits_do_not_count() {
        let mut epochs = EpochCount::default();
        assert!(!epochs.observe(0, Incentive::None));
        assert!(!epochs.observe(40, Incentive::None), "the bootstrap epoch paid nobody");
        assert!(epochs.observe(80, Incentive::Decided));
        assert!(!epochs.observe(80, Incentive::Decided), "the same epoch, one block later");
        assert!(epochs.observe(120, Incentive::Decided));
        assert_eq!(epochs.paid, 2);
    }

    #[test]
    fn epochs_that_burn_everything_count_only_when_patience_ends() {
        let mut epochs = EpochCount::default();
        let steps = 0..=u64::from(PATIENCE);
        let counted = steps.filter(|step| epochs.observe(*step, Incentive::Burned)).count();
        assert_eq!(counted, 0);
        assert!(epochs.observe(1_000, Incentive::Burned));
    }
}
