//! Inputs at the edges: refused with a name, or answered as the chain does; and null consensus.

use scoring::fixed::I64F64;
use scoring::variants::Rules;
use scoring::yuma::{ConsensusKind, ConsensusSource, EpochError, EpochInput, LiquidAlpha, epoch};

use crate::equal::tied;

/// Five validators of one stake and two miners.
fn subnet() -> EpochInput {
    let mut input = tied([1, 2, 3, 4, 5]);
    input.params.owner_uid = None;
    input.emission = 1_000;
    input
}

fn refused(input: &EpochInput) -> EpochError {
    epoch(input, &Rules::SPEC_461).unwrap_err()
}

#[test]
fn a_subnet_without_neurons_pays_nobody() {
    let mut input = subnet();
    input.neurons.clear();
    assert_eq!(epoch(&input, &Rules::SPEC_461).unwrap().emission, Vec::<u64>::new());
}

#[test]
fn without_any_weights_stake_earns() {
    let mut input = subnet();
    input.neurons.iter_mut().for_each(|neuron| neuron.weights.clear());
    let output = epoch(&input, &Rules::SPEC_461).unwrap();
    assert_eq!(output.validator_emission, [199, 199, 199, 199, 199, 0, 0]);
    assert_eq!(output.server_emission, [0; 7]);
}

#[test]
fn without_any_stake_nobody_is_paid() {
    let mut input = subnet();
    input.neurons.iter_mut().for_each(|neuron| neuron.stake = I64F64::from_num(0));
    let output = epoch(&input, &Rules::SPEC_461).unwrap();
    assert_eq!((output.emission, output.validator_permit), (vec![0; 7], vec![false; 7]));
}

#[test]
fn an_owner_that_is_not_there_is_refused() {
    let mut input = subnet();
    input.params.owner_uid = Some(7);
    assert_eq!(refused(&input), EpochError::OwnerOutOfRange { uid: 7, neurons: 7 });
}

#[test]
fn stakes_below_zero_or_beyond_the_type_are_refused() {
    let mut input = subnet();
    input.neurons[2].stake = I64F64::from_num(-1);
    let stake = I64F64::from_num(-1);
    assert_eq!(refused(&input), EpochError::NegativeStake { uid: 2, stake });
    input.neurons[2].stake = I64F64::from_bits(i128::MAX);
    assert_eq!(refused(&input), EpochError::StakeOverflow { uid: 2 });
}

#[test]
fn a_row_longer_than_all_uids_is_refused() {
    let mut input = subnet();
    input.neurons[1].bonds = vec![(0, 0); 65_537];
    assert!(matches!(refused(&input), EpochError::RowTooLong { uid: 1, entries: 65_537, .. }));
}

#[test]
fn null_consensus_needs_a_runtime_that_knows_it() {
    let mut input = subnet();
    input.params.consensus = ConsensusKind::Null;
    assert_eq!(refused(&input), EpochError::NullConsensusUnknown { spec: 461 });
}

#[test]
fn under_null_consensus_the_largest_staker_alone_pays_miners_and_stake_pays_validators() {
    let mut input = subnet();
    input.params.consensus = ConsensusKind::Null;
    input.params.max_allowed_validators = 1;
    input.neurons[3].stake = I64F64::from_num(4);
    input.neurons[3].weights = vec![(5, 300), (6, 100)];
    let output = epoch(&input, &Rules::SPEC_475).unwrap();
    assert_eq!(output.server_emission, [0, 0, 0, 0, 0, 375, 125]);
    assert_eq!(output.validator_emission, [62, 62, 62, 250, 62, 0, 0]);
    assert_eq!((output.consensus, output.validator_trust), (vec![0; 7], vec![0; 7]));
}

#[test]
fn liquid_alpha_reads_the_consensus_that_the_subnet_chose() {
    let bonds = |consensus, rules: Rules| {
        let mut input = subnet();
        let (low, high, steepness) = (10_000, 60_000, 1_000);
        input.params.yuma3 = true;
        input.params.bonds_penalty = 0;
        input.params.liquid_alpha = Some(LiquidAlpha { low, high, steepness, consensus });
        input.previous_consensus = vec![0, 0, 0, 0, 0, u16::MAX, 0];
        epoch(&input, &rules).unwrap().bonds
    };
    let [current, previous, auto] =
        [ConsensusSource::Current, ConsensusSource::Previous, ConsensusSource::Auto]
            .map(|source| bonds(source, Rules::SPEC_461));
    assert_ne!(current, previous);
    assert_eq!(auto, current, "bonds follow stated weights");
    assert_eq!(bonds(ConsensusSource::Previous, Rules::SPEC_425), current, "425 has no choice");
}
