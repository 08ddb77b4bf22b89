//! The chain of a season, as far as pay goes: Yuma and the emission split, as the chain runs them.

use chain_metadata::{Uid, Weights};
use scoring::emission::pots;
use scoring::fixed::{I64F64, U96F32};
use scoring::variants::Rules;
use scoring::yuma::{
    ConsensusKind, EpochError, EpochInput, EpochOutput, EpochParams, NeuronInput, epoch,
};
use serde::Serialize;

/// Blocks between epochs.
pub(super) const TEMPO: u16 = 360;
/// Alpha rao that an epoch emits: one alpha a block.
pub(super) const EMISSION: u64 = 1_000_000_000 * (TEMPO as u64 + 1);
/// The owner's cut of it, of `u16::MAX`: 18 %.
const OWNER_CUT: u16 = 11_796;
/// Stake of each validator, rao.
const STAKE: u64 = 10_000_000_000_000;

/// Slot of the subnet owner, whose incentive the chain recycles: burning goes through it.
pub(super) const OWNER: Uid = Uid(0);

/// Neurons by uid: the owner, the validators, the miners.
#[derive(Debug, Clone)]
pub(super) struct Subnet {
    neurons: Vec<NeuronInput>,
    validators: usize,
    chain: Hyperparameters,
    block: u64,
}

/// What a subnet's owner can set and what decides how much a minority in league can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hyperparameters {
    /// Stake that must agree on a weight, of `u16::MAX`.
    pub kappa: u16,
    /// How much bonds are cut where weights are clipped, of `u16::MAX`.
    pub bonds_penalty: u16,
}

/// The slots of a season's subnet: the owner's, then the validators', then the miners'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// Validators, each with the same stake.
    pub validators: u16,
    /// Miners.
    pub miners: usize,
    /// Blocks from one epoch to the next, less one.
    pub tempo: u16,
    /// What the subnet's owner can set.
    pub chain: Hyperparameters,
}

/// Why a chain cannot be played on.
pub type VenueError = Box<dyn std::error::Error + Send + Sync>;

/// A chain to play a season on.
pub trait Venue {
    /// Has the validator in a slot set weights.
    ///
    /// # Errors
    /// The chain refused them.
    fn set_weights(&mut self, uid: Uid, weights: &Weights) -> Result<(), VenueError>;

    /// Runs the epoch; incentive by slot, of `u16::MAX`.
    ///
    /// # Errors
    /// The chain did not run it.
    fn epoch(&mut self) -> Result<Vec<u16>, VenueError>;
}

/// Starts chains to play seasons on.
pub trait Venues: std::fmt::Debug {
    /// A chain with a subnet of these slots.
    ///
    /// # Errors
    /// It does not start.
    fn open(&self, slots: Slots) -> Result<Box<dyn Venue>, VenueError>;
}

impl Default for Hyperparameters {
    /// The chain's.
    fn default() -> Self {
        Self { kappa: 32_767, bonds_penalty: u16::MAX }
    }
}

impl Subnet {
    /// A subnet of `validators` with equal stake and `miners` with none.
    pub(super) fn new(validators: usize, miners: usize, chain: Hyperparameters) -> Self {
        let neuron = |stake: u64| NeuronInput {
            stake: I64F64::from_num(stake),
            validator_permit: stake > 0,
            ..NeuronInput::default()
        };
        let mut neurons = vec![neuron(0)];
        neurons.extend((0..validators).map(|_| neuron(STAKE)));
        neurons.extend((0..miners).map(|_| neuron(0)));
        Self { neurons, validators, chain, block: 1 }
    }

    /// Stores the weights of the validator in a slot; `None` leaves what is stored.
    pub(super) fn set_weights(&mut self, uid: Uid, weights: Option<&Weights>) {
        if let (Some(neuron), Some(weights)) = (self.neurons.get_mut(usize::from(uid.0)), weights) {
            neuron.weights = weights.iter().map(|(uid, value)| (uid.0, value)).collect();
            neuron.last_update = self.block;
        }
    }

    /// Runs the epoch and keeps its bonds and permits.
    pub(super) fn epoch(&mut self) -> Result<EpochOutput, EpochError> {
        let last_step_block = self.block;
        self.block += u64::from(TEMPO) + 1;
        let pots = pots::split(EMISSION, Some(OWNER_CUT), U96F32::from_num(0));
        let input = EpochInput {
            block: self.block,
            tempo: TEMPO,
            last_step_block,
            emission: pots.divided(),
            params: self.params(),
            neurons: self.neurons.clone(),
            previous_consensus: Vec::new(),
        };
        let output = epoch(&input, &Rules::SPEC_461)?;
        for (uid, neuron) in self.neurons.iter_mut().enumerate() {
            neuron.bonds = output.bonds.get(uid).cloned().unwrap_or_default();
            neuron.validator_permit = output.validator_permit.get(uid).copied().unwrap_or(false);
        }
        Ok(output)
    }

    /// The chain's defaults but for what is varied.
    fn params(&self) -> EpochParams {
        EpochParams {
            activity_cutoff: 5_000,
            owner_uid: Some(OWNER.0),
            stake_threshold: 0,
            max_allowed_validators: u16::try_from(self.validators).unwrap_or(u16::MAX),
            kappa: self.chain.kappa,
            bonds_moving_average: 900_000,
            bonds_penalty: self.chain.bonds_penalty,
            yuma3: false,
            liquid_alpha: None,
            commit_reveal: false,
            consensus: ConsensusKind::Yuma,
        }
    }
}
