//! What an epoch writes, and what it computed on the way.

use super::Row;
use super::standing::Standing;
use crate::fixed::{I32F32, to_u16};

/// What one epoch decides, by uid. Proportions are `floor(x × u16::MAX)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EpochOutput {
    /// Share of the subnet's stake.
    pub stake_weight: Vec<u16>,
    /// Whether the neuron set weights within the activity cutoff.
    pub active: Vec<bool>,
    /// Largest weight that enough active stake supports.
    pub consensus: Vec<u16>,
    /// Share of what miners earn.
    pub incentive: Vec<u16>,
    /// Share of what validators earn.
    pub dividends: Vec<u16>,
    /// Part of the neuron's weights that consensus did not clip.
    pub validator_trust: Vec<u16>,
    /// Whether it may validate in the next epoch.
    pub validator_permit: Vec<bool>,
    /// Alpha rao earned in all.
    pub emission: Vec<u64>,
    /// Alpha rao earned as a miner.
    pub server_emission: Vec<u64>,
    /// Alpha rao earned as a validator.
    pub validator_emission: Vec<u64>,
    /// Total stake in rao.
    pub stake: Vec<u64>,
    /// The bonds to store; empty for neurons without the new permit.
    pub bonds: Vec<Row<u16>>,
}

/// An epoch with its intermediates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What the epoch decides.
    pub output: EpochOutput,
    /// How it got there.
    pub steps: Steps,
}

/// The intermediates of one epoch: vectors by uid, matrices as sparse rows by uid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Steps {
    /// Share of the stake that passes the threshold.
    pub stake: Vec<I32F32>,
    /// Share of the active, permitted stake.
    pub active_stake: Vec<I32F32>,
    /// Share of active stake that consensus asks for.
    pub kappa: I32F32,
    /// Weights after masks, each row summing to one.
    pub weights: Vec<Row<I32F32>>,
    /// Stake-weighted median of each column at kappa.
    pub consensus: Vec<I32F32>,
    /// Weights, cut at consensus.
    pub clipped: Vec<Row<I32F32>>,
    /// Row sums of the clipped weights.
    pub validator_trust: Vec<I32F32>,
    /// Stake-weighted column sums of the clipped weights.
    pub ranks: Vec<I32F32>,
    /// Ranks, normalised.
    pub incentive: Vec<I32F32>,
    /// Bonds after their moving average, as they are stored.
    pub bonds: Vec<Row<I32F32>>,
    /// What the bonds yield, normalised.
    pub dividends: Vec<I32F32>,
}

/// What the weights decided, however it was computed, by uid.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) consensus: Vec<I32F32>,
    pub(super) validator_trust: Vec<I32F32>,
    pub(super) incentive: Vec<I32F32>,
    pub(super) dividends: Vec<I32F32>,
    /// The bonds to store, as proportions; empty for neurons without the new permit.
    pub(super) bonds: Vec<Row<u16>>,
}

impl Steps {
    /// What the steps decided.
    pub(super) fn decided(&self, standing: &Standing) -> Decided {
        let stored = |(row, keep): (&Row<I32F32>, &bool)| match keep {
            true => row.iter().map(|(uid, bond)| (*uid, to_u16(*bond))).collect(),
            false => Row::new(),
        };
        Decided {
            consensus: self.consensus.clone(),
            validator_trust: self.validator_trust.clone(),
            incentive: self.incentive.clone(),
            dividends: self.dividends.clone(),
            bonds: self.bonds.iter().zip(&standing.new_permit).map(stored).collect(),
        }
    }
}
