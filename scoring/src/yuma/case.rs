//! Epochs as auditors exchange them: the JSON schema of the chain's recorded cases.
//!
//! Fixed-point numbers travel as their raw bits: 64-bit ones as JSON integers, 128-bit ones as
//! decimal strings. Proportions are of `u16::MAX`.

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    ConsensusKind, ConsensusSource, EpochInput, EpochOutput, EpochParams, LiquidAlpha, NeuronInput,
    Row,
};
use crate::fixed::I64F64;

/// A file of cases.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cases<C> {
    /// The cases, in order.
    pub cases: Vec<C>,
}

/// One question; whatever else a case holds is ignored.
#[derive(Debug, Clone, Deserialize)]
pub struct Asked {
    /// Its name, repeated in the answer.
    pub name: String,
    /// What the epoch reads.
    pub inputs: Inputs,
}

/// One answer.
#[derive(Debug, Clone, Serialize)]
pub struct Answered {
    /// The question's name.
    pub name: String,
    /// What the epoch decides.
    pub outputs: Outputs,
}

/// What an epoch reads, lists by uid.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `EpochInput`, under their recorded names")]
pub struct Inputs {
    pub n: usize,
    pub current_block: u64,
    pub tempo: u16,
    pub activity_cutoff_blocks: u64,
    pub last_update: Vec<u64>,
    pub block_at_registration: Vec<u64>,
    pub last_mechanism_step_block: u64,
    #[serde(deserialize_with = "fixed_128")]
    pub total_stake_i64f64_bits: Vec<I64F64>,
    pub stake_threshold: u64,
    pub validator_permit: Vec<bool>,
    pub max_allowed_validators: u16,
    pub owner_uid: Option<u16>,
    pub kappa: u16,
    pub bonds_moving_average: u64,
    pub bonds_penalty: u16,
    pub yuma3: bool,
    pub liquid_alpha: bool,
    pub alpha_low_high: (u16, u16),
    pub alpha_sigmoid_steepness: i16,
    pub commit_reveal_enabled: bool,
    #[serde(default)]
    pub active_commits_uid_block: Vec<(u16, u64)>,
    pub weights: Vec<Row<u16>>,
    pub bonds: Vec<Row<u16>>,
    pub rao_emission: u64,
    #[serde(default)]
    pub previous_consensus: Vec<u16>,
}

/// What an epoch decides, lists by uid: see [`EpochOutput`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `EpochOutput`")]
pub struct Outputs {
    pub stake_weight: Vec<u16>,
    pub active: Vec<bool>,
    pub consensus: Vec<u16>,
    pub incentive: Vec<u16>,
    pub dividends: Vec<u16>,
    pub validator_trust: Vec<u16>,
    pub validator_permit: Vec<bool>,
    pub emission: Vec<u64>,
    pub server_emission: Vec<u64>,
    pub validator_emission: Vec<u64>,
    pub stake: Vec<u64>,
    pub bonds: Vec<Row<u16>>,
    /// The rows as storage holds them after the epoch: the same as `bonds`.
    pub stored_bonds: Vec<Row<u16>>,
}

/// Why a case's inputs are not an epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// A list by uid is shorter or longer than `n`.
    #[error("`{list}` has {len} elements for n = {n}")]
    Length {
        /// The list's name.
        list: &'static str,
        /// Its length.
        len: usize,
        /// The number of neurons.
        n: usize,
    },
    /// A commitment by a uid that does not exist.
    #[error("commit by uid {uid}, and n = {n}")]
    Committer {
        /// The uid.
        uid: u16,
        /// The number of neurons.
        n: usize,
    },
}

impl Inputs {
    /// Refuses lists whose lengths disagree.
    fn check(&self) -> Result<(), CaseError> {
        let lists = [
            ("last_update", self.last_update.len()),
            ("block_at_registration", self.block_at_registration.len()),
            ("total_stake_i64f64_bits", self.total_stake_i64f64_bits.len()),
            ("validator_permit", self.validator_permit.len()),
            ("weights", self.weights.len()),
            ("bonds", self.bonds.len()),
        ];
        let n = self.n;
        match lists.into_iter().find(|(_, len)| *len != n) {
            Some((list, len)) => Err(CaseError::Length { list, len, n }),
            None => Ok(()),
        }
    }

    fn params(&self) -> EpochParams {
        let (low, high) = self.alpha_low_high;
        let steepness = self.alpha_sigmoid_steepness;
        let liquid = LiquidAlpha { low, high, steepness, consensus: ConsensusSource::default() };
        EpochParams {
            activity_cutoff: self.activity_cutoff_blocks,
            owner_uid: self.owner_uid,
            stake_threshold: self.stake_threshold,
            max_allowed_validators: self.max_allowed_validators,
            kappa: self.kappa,
            bonds_moving_average: self.bonds_moving_average,
            bonds_penalty: self.bonds_penalty,
            yuma3: self.yuma3,
            liquid_alpha: self.liquid_alpha.then_some(liquid),
            commit_reveal: self.commit_reveal_enabled,
            consensus: ConsensusKind::Yuma,
        }
    }
}

impl TryFrom<Inputs> for EpochInput {
    type Error = CaseError;

    fn try_from(case: Inputs) -> Result<Self, CaseError> {
        case.check()?;
        let params = case.params();
        let n = case.n;
        let rows = case.weights.into_iter().zip(case.bonds);
        let blocks = case.last_update.into_iter().zip(case.block_at_registration);
        let who = case.total_stake_i64f64_bits.into_iter().zip(case.validator_permit);
        let mut neurons: Vec<NeuronInput> = who
            .zip(blocks)
            .zip(rows)
            .map(|((who, blocks), (weights, bonds))| NeuronInput {
                stake: who.0,
                validator_permit: who.1,
                last_update: blocks.0,
                block_at_registration: blocks.1,
                earliest_commit: None,
                weights,
                bonds,
            })
            .collect();
        for (uid, block) in case.active_commits_uid_block {
            let neuron = neurons.get_mut(usize::from(uid));
            let commit = &mut neuron.ok_or(CaseError::Committer { uid, n })?.earliest_commit;
            *commit = Some(commit.map_or(block, |earlier| earlier.min(block)));
        }
        Ok(Self {
            block: case.current_block,
            tempo: case.tempo,
            last_step_block: case.last_mechanism_step_block,
            emission: case.rao_emission,
            params,
            neurons,
            previous_consensus: case.previous_consensus,
        })
    }
}

impl From<EpochOutput> for Outputs {
    fn from(epoch: EpochOutput) -> Self {
        Self {
            stake_weight: epoch.stake_weight,
            active: epoch.active,
            consensus: epoch.consensus,
            incentive: epoch.incentive,
            dividends: epoch.dividends,
            validator_trust: epoch.validator_trust,
            validator_permit: epoch.validator_permit,
            emission: epoch.emission,
            server_emission: epoch.server_emission,
            validator_emission: epoch.validator_emission,
            stake: epoch.stake,
            stored_bonds: epoch.bonds.clone(),
            bonds: epoch.bonds,
        }
    }
}

/// Reads 128-bit raw bits from decimal strings.
fn fixed_128<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<I64F64>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let bits = |text: String| text.parse().map(I64F64::from_bits).map_err(serde::de::Error::custom);
    texts.into_iter().map(bits).collect()
}
