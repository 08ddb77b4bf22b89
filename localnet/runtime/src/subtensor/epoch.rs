//! The epoch: storage in, `scoring::yuma`, storage out.

use super::*;
use scoring::yuma::{
    ConsensusKind, ConsensusSource, EpochInput, EpochOutput, EpochParams, LiquidAlpha, NeuronInput,
};

/// What a hotkey earned in an epoch.
pub(crate) struct Earned<A> {
    pub(crate) hotkey: A,
    pub(crate) incentive: u64,
    pub(crate) dividends: u64,
}

impl<T: Config> Pallet<T> {
    /// Runs every mechanism's epoch over its part of `emission` and stores what comes out.
    pub(crate) fn run_epoch(netuid: NetUid, emission: u64) -> Vec<Earned<T::AccountId>> {
        let rules = T::Rules::get();
        let parts = Self::split_emission(netuid, emission);
        let mut outputs: Vec<(EpochOutput, u64)> = Vec::with_capacity(parts.len());
        for (part, mecid) in parts.into_iter().zip((0u8..).map(MechId)) {
            let input = Self::epoch_input(netuid, mecid, part);
            match scoring::yuma::epoch(&input, &rules) {
                Ok(output) => {
                    Self::store_mechanism(netuid.index(mecid), &output);
                    outputs.push((output, part));
                }
                Err(_) => {
                    Self::deposit_event(Event::EpochSkipped { netuid, block: Self::now() });
                    return Vec::new();
                }
            }
        }
        let Some(combined) = scoring::emission::mechanisms::combine(outputs) else {
            return Vec::new();
        };
        Self::store_subnet(netuid, &combined);
        Self::neurons(netuid)
            .into_iter()
            .zip(combined.server_emission.iter().zip(&combined.validator_emission))
            .map(|(hotkey, (incentive, dividends))| Earned {
                hotkey,
                incentive: *incentive,
                dividends: *dividends,
            })
            .collect()
    }

    /// Everything that a mechanism's epoch reads.
    pub fn epoch_input(netuid: NetUid, mecid: MechId, emission: u64) -> EpochInput {
        EpochInput {
            block: Self::now(),
            tempo: Tempo::<T>::get(netuid),
            last_step_block: LastMechansimStepBlock::<T>::get(netuid),
            emission,
            params: Self::epoch_params(netuid),
            neurons: Self::epoch_neurons(netuid, mecid),
            previous_consensus: ConsensusByMechanism::<T>::get(netuid.index(mecid))
                .into_iter()
                .map(PerU16::deconstruct)
                .collect(),
        }
    }

    fn epoch_params(netuid: NetUid) -> EpochParams {
        let (low, high) = AlphaValues::<T>::get(netuid);
        EpochParams {
            activity_cutoff: Self::activity_cutoff(netuid),
            owner_uid: Self::owner_uid(netuid),
            stake_threshold: StakeThreshold::<T>::get(),
            max_allowed_validators: MaxAllowedValidators::<T>::get(netuid),
            kappa: Kappa::<T>::get(netuid),
            bonds_moving_average: BondsMovingAverage::<T>::get(netuid),
            bonds_penalty: BondsPenalty::<T>::get(netuid),
            yuma3: Yuma3On::<T>::get(netuid),
            liquid_alpha: LiquidAlphaOn::<T>::get(netuid).then(|| LiquidAlpha {
                low,
                high,
                steepness: AlphaSigmoidSteepness::<T>::get(netuid),
                consensus: match LiquidAlphaConsensusMode::<T>::get(netuid) {
                    ConsensusMode::Current => ConsensusSource::Current,
                    ConsensusMode::Previous => ConsensusSource::Previous,
                    ConsensusMode::Auto => ConsensusSource::Auto,
                },
            }),
            commit_reveal: CommitRevealWeightsEnabled::<T>::get(netuid),
            consensus: match SubnetEpochConsensus::<T>::get(netuid) {
                EpochConsensus::Yuma => ConsensusKind::Yuma,
                EpochConsensus::Null => ConsensusKind::Null,
            },
        }
    }

    /// Blocks after which a neuron that sets no weights counts as inactive.
    pub fn activity_cutoff(netuid: NetUid) -> u64 {
        let factor = u64::from(ActivityCutoffFactorMilli::<T>::get(netuid));
        (factor.saturating_mul(u64::from(Tempo::<T>::get(netuid))) / 1_000).max(1)
    }

    fn epoch_neurons(netuid: NetUid, mecid: MechId) -> Vec<NeuronInput> {
        let index = netuid.index(mecid);
        let last_update = LastUpdate::<T>::get(index);
        let permits = ValidatorPermit::<T>::get(netuid);
        let commits = if CommitRevealWeightsEnabled::<T>::get(netuid) {
            Self::earliest_commits(netuid, mecid)
        } else {
            BTreeMap::new()
        };
        Self::neurons(netuid)
            .into_iter()
            .zip(0u16..)
            .map(|(hotkey, uid)| {
                let at = usize::from(uid);
                NeuronInput {
                    stake: Self::stake_for_epoch(&hotkey, netuid),
                    last_update: last_update.get(at).copied().unwrap_or(0),
                    block_at_registration: BlockAtRegistration::<T>::get(netuid, uid),
                    validator_permit: permits.get(at).copied().unwrap_or(false),
                    earliest_commit: commits.get(&hotkey).copied(),
                    weights: Weights::<T>::get(index, uid),
                    bonds: Bonds::<T>::get(index, uid),
                }
            })
            .collect()
    }

    fn store_mechanism(index: NetUidStorageIndex, output: &EpochOutput) {
        Incentive::<T>::insert(index, proportions(&output.incentive));
        if T::Rules::get().spec >= CONSENSUS_BY_MECHANISM_SINCE {
            ConsensusByMechanism::<T>::insert(index, proportions(&output.consensus));
        }
        for (uid, row) in (0u16..).zip(&output.bonds) {
            Bonds::<T>::insert(index, uid, row);
        }
        Self::deposit_event(Event::IncentiveAlphaEmittedToMiners {
            netuid: index,
            emissions: output.server_emission.iter().copied().map(AlphaBalance).collect(),
        });
    }

    fn store_subnet(netuid: NetUid, output: &EpochOutput) {
        StakeWeight::<T>::insert(netuid, &output.stake_weight);
        Active::<T>::insert(netuid, &output.active);
        Consensus::<T>::insert(netuid, proportions(&output.consensus));
        Dividends::<T>::insert(netuid, proportions(&output.dividends));
        ValidatorTrust::<T>::insert(netuid, proportions(&output.validator_trust));
        ValidatorPermit::<T>::insert(netuid, &output.validator_permit);
        Emission::<T>::insert(
            netuid,
            output.emission.iter().copied().map(AlphaBalance).collect::<Vec<_>>(),
        );
    }
}

/// First version that stores each mechanism's consensus.
const CONSENSUS_BY_MECHANISM_SINCE: u32 = 461;

fn proportions(values: &[u16]) -> Vec<PerU16> {
    values.iter().copied().map(PerU16::from_parts).collect()
}
