//! All that a decision needs of the chain, read at one finalized block.

use chain::{Chain, Head, Metagraph, Neuron, ReadError};
use chain_metadata::{Alpha, EpochClock, Hotkey, Hyperparameters, MechId};
use neuron::Metrics;

use crate::Config;
use crate::schedule::{Ledger, Moment, Seat, Version};

/// The subnet at a finalized head.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) head: Head,
    pub(super) metagraph: Metagraph,
    pub(super) clock: EpochClock,
    pub(super) hyperparameters: Hyperparameters,
    pub(super) hotkey: Hotkey,
    /// The block of our last weights in this mechanism, or of our registration.
    last_update: Option<u64>,
    /// No earlier than the birth of the mechanism, which sets everybody's last update.
    born: u64,
}

impl View {
    pub(super) async fn read(
        chain: &Chain,
        config: &Config,
        hotkey: &Hotkey,
        head: Head,
    ) -> Result<Self, ReadError> {
        let (netuid, at) = (config.chain.netuid(), Some(head.hash));
        let metagraph = chain.metagraph(netuid, at).await?;
        let clock = chain.epoch_clock(netuid, at).await?;
        let hyperparameters = chain.hyperparameters(netuid, at).await?;
        let mechid = MechId(config.weights.mechid);
        let (last_update, born) = match (mechid.0, metagraph.neuron_of(hotkey)) {
            (_, None) => (None, 0),
            (0, Some(me)) => (Some(me.last_update), 0),
            (_, Some(me)) => {
                let updates = chain.last_update(netuid, mechid, at).await?;
                let born = updates.iter().copied().min().unwrap_or(0);
                (updates.get(me.uid.index()).copied(), born)
            }
        };
        Ok(Self { head, metagraph, clock, hyperparameters, hotkey: *hotkey, last_update, born })
    }

    #[expect(clippy::cast_precision_loss, reason = "amounts for a chart, heights below 2^53")]
    /// Sets the gauges of what the chain says of us.
    pub(super) fn gauge(&self, metrics: &Metrics) {
        let Some(me) = self.me() else { return };
        let share = |proportion: u16| f64::from(proportion) / f64::from(u16::MAX);
        let alpha = |amount: Alpha| amount.rao() as f64 / 1e9;
        metrics.set("ganglion_own_stake", &[], alpha(me.total_stake));
        metrics.set("ganglion_own_permit", &[], f64::from(u8::from(me.validator_permit)));
        metrics.set("ganglion_own_trust", &[], share(me.validator_trust));
        metrics.set("ganglion_own_dividends", &[], share(me.dividends));
        metrics.set("ganglion_own_incentive", &[], share(me.incentive));
        metrics.set("ganglion_own_emission", &[], alpha(me.emission));
        let last = self.last_update.unwrap_or(me.last_update);
        metrics.set("validator_last_weights_block", &[], last as f64);
    }

    /// Our slot.
    pub(super) fn me(&self) -> Option<&Neuron> {
        self.metagraph.neuron_of(&self.hotkey)
    }

    /// The block of our slot's last update in this mechanism, and of its registration.
    pub(super) fn updates(&self) -> Option<(u64, u64)> {
        Some((self.last_update?, self.me()?.block_at_registration.max(self.born)))
    }

    /// The subnet's epoch.
    pub(super) const fn epoch(&self) -> u64 {
        self.clock.subnet_epoch_index
    }

    /// The block whose beginning runs the next epoch.
    pub(super) fn epoch_end(&self) -> u64 {
        self.clock.next_epoch_block(self.head.number).unwrap_or(u64::MAX)
    }

    /// What [`decide`](crate::schedule::decide) takes.
    pub(super) fn moment(&self, config: &Config, payable: bool, ledger: Ledger) -> Moment {
        let seat = self.me().map(|me| Seat {
            permit: me.validator_permit,
            last_update: self.last_update.unwrap_or(me.last_update),
        });
        Moment {
            now: self.head.number,
            tempo: u64::from(self.clock.tempo),
            epoch_end: self.epoch_end(),
            margin: config.weights.margin_blocks,
            rate_limit: self.hyperparameters.weights_rate_limit,
            seat,
            version: Version {
                ours: config.weights.version_key,
                asked: self.hyperparameters.weights_version_key,
            },
            payable,
            enabled: config.weights.enabled,
            ledger,
        }
    }
}
