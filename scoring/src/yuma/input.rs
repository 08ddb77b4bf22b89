//! What an epoch reads.

use super::Row;
use crate::fixed::{I64F64, U96F32};
use crate::variants::Rules;

/// Most neurons an epoch accepts: uids are `u16`.
const MAX_NEURONS: usize = 1 << 16;

/// Everything that one epoch of one mechanism reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochInput {
    /// Height of the block that runs the epoch.
    pub block: u64,
    /// Blocks between epochs.
    pub tempo: u16,
    /// Height of the last epoch (`LastMechansimStepBlock`), 0 if there was none.
    pub last_step_block: u64,
    /// Alpha rao to divide: the server, validator and root pots of this mechanism.
    pub emission: u64,
    /// The subnet's hyperparameters.
    pub params: EpochParams,
    /// The neurons by uid.
    pub neurons: Vec<NeuronInput>,
    /// Consensus of the mechanism's last epoch by uid (`ConsensusByMechanism`), empty if none is
    /// stored. Only [`ConsensusSource::Previous`] and `Auto` read it.
    pub previous_consensus: Vec<u16>,
}

/// A subnet's hyperparameters, as far as the epoch reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochParams {
    /// Blocks after which a neuron that set no weights counts as inactive.
    pub activity_cutoff: u64,
    /// Uid of the subnet owner's hotkey, if it holds one.
    pub owner_uid: Option<u16>,
    /// Total stake in rao below which a neuron's stake counts as zero; the owner is exempt.
    pub stake_threshold: u64,
    /// How many validator permits the epoch grants.
    pub max_allowed_validators: u16,
    /// Share of active stake that consensus asks for, of `u16::MAX`.
    pub kappa: u16,
    /// Part of a bond that survives an epoch, in millionths.
    pub bonds_moving_average: u64,
    /// How much of what consensus clipped counts for bonds, of `u16::MAX`: 0 all, `u16::MAX` none.
    pub bonds_penalty: u16,
    /// Whether bonds are per validator and normalised late (Yuma3) or stake-weighted (classic).
    pub yuma3: bool,
    /// Per-bond moving average; has no effect unless `yuma3`.
    pub liquid_alpha: Option<LiquidAlpha>,
    /// Whether weights are committed first: then entries about neurons that registered after the
    /// commitment are dropped.
    pub commit_reveal: bool,
    /// Who decides what miners earn.
    pub consensus: ConsensusKind,
}

/// Bounds and slope of a bond's own moving average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiquidAlpha {
    /// Lowest share of the new weight in a bond, of `u16::MAX`.
    pub low: u16,
    /// Highest share of the new weight in a bond, of `u16::MAX`.
    pub high: u16,
    /// Slope of the sigmoid in hundredths; positive is steeper, negative turns it over.
    pub steepness: i16,
    /// The consensus that a weight is compared with.
    pub consensus: ConsensusSource,
}

/// Which epoch's consensus feeds liquid alpha (`LiquidAlphaConsensusMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConsensusSource {
    /// The one being computed.
    Current,
    /// The one before.
    Previous,
    /// The one before where bonds follow clipped weights (`bonds_penalty` is whole), else current.
    /// Of this rule only its name is published; the choice is the one in the chain's proposal.
    #[default]
    Auto,
}

/// How a subnet's epoch decides what miners earn (`SubnetEpochConsensus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConsensusKind {
    /// The stake-weighted median.
    #[default]
    Yuma,
    /// The weights of the largest staker alone.
    Null,
}

/// One neuron, as an epoch reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NeuronInput {
    /// Alpha and root stake together, in rao: see [`total_stake`].
    pub stake: I64F64,
    /// Block of its last weights (or registration).
    pub last_update: u64,
    /// Block at which it took its uid; 0 if the uid has no key.
    pub block_at_registration: u64,
    /// Whether the last epoch permitted it to validate.
    pub validator_permit: bool,
    /// Block of its earliest unexpired commitment, read only under commit-reveal.
    pub earliest_commit: Option<u64>,
    /// Its stored weights; entries about uids that do not exist are ignored.
    pub weights: Row<u16>,
    /// Its stored bonds, likewise.
    pub bonds: Row<u16>,
}

/// Why an epoch cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EpochError {
    /// More neurons than uids.
    #[error("{neurons} neurons, and a uid is below {MAX_NEURONS}")]
    TooManyNeurons {
        /// How many were given.
        neurons: usize,
    },
    /// The owner's uid is not among the neurons.
    #[error("owner uid {uid} is not among {neurons} neurons")]
    OwnerOutOfRange {
        /// The owner's uid.
        uid: u16,
        /// How many neurons there are.
        neurons: usize,
    },
    /// A neuron's stake is below zero.
    #[error("stake of uid {uid} is negative: {stake} rao")]
    NegativeStake {
        /// Whose.
        uid: usize,
        /// The stake in rao.
        stake: I64F64,
    },
    /// The stakes' sum is more than the chain's arithmetic holds.
    #[error("stakes overflow 2^63 rao at uid {uid}")]
    StakeOverflow {
        /// The uid whose stake no longer fits.
        uid: usize,
    },
    /// A row holds more entries than there are uids, which no chain stores.
    #[error("row of uid {uid} has {entries} entries for {neurons} neurons")]
    RowTooLong {
        /// Whose row.
        uid: usize,
        /// Its length.
        entries: usize,
        /// How many neurons there are.
        neurons: usize,
    },
    /// The runtime version has no null consensus.
    #[error("spec {spec} knows no null consensus")]
    NullConsensusUnknown {
        /// The version asked for.
        spec: u32,
    },
}

impl EpochInput {
    /// Refuses what no chain could hold.
    pub(super) fn check(&self, rules: &Rules) -> Result<(), EpochError> {
        let neurons = self.neurons.len();
        if neurons > MAX_NEURONS {
            return Err(EpochError::TooManyNeurons { neurons });
        }
        if self.params.consensus == ConsensusKind::Null && !rules.null_consensus {
            return Err(EpochError::NullConsensusUnknown { spec: rules.spec });
        }
        if let Some(uid) = self.params.owner_uid.filter(|uid| usize::from(*uid) >= neurons) {
            return Err(EpochError::OwnerOutOfRange { uid, neurons });
        }
        for (uid, neuron) in self.neurons.iter().enumerate() {
            let entries = neuron.weights.len().max(neuron.bonds.len());
            if entries > MAX_NEURONS {
                return Err(EpochError::RowTooLong { uid, entries, neurons });
            }
        }
        Ok(())
    }

    /// First block whose registrations are too new for stored bonds to be about them:
    /// the block after the last epoch, or one tempo ago if there was none.
    pub(super) fn bonds_cutoff(&self) -> u64 {
        match self.last_step_block {
            0 => self.block.saturating_sub(u64::from(self.tempo)),
            last => last.saturating_add(1),
        }
    }
}

/// Total stake in rao: `alpha + tao × tao_weight / u64::MAX`, the weight truncated to 32
/// fractional bits as the chain keeps it.
pub fn total_stake(alpha: u64, tao: u64, tao_weight: u64) -> I64F64 {
    let weight = U96F32::from_num(tao_weight).saturating_div(U96F32::from_num(u64::MAX));
    I64F64::saturating_from_num(tao)
        .saturating_mul(I64F64::saturating_from_num(weight))
        .saturating_add(I64F64::saturating_from_num(alpha))
}
