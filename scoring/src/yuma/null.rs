//! Null consensus: the largest staker's weights pay the miners, stake pays the validators.

use super::standing::Standing;
use super::{EpochInput, Row, Steps};
use crate::fixed::{I32F32, ZERO, normalize, proportion};

/// The row of the sole validator pays miners in proportion; every staker shares the dividends by
/// stake; there is no consensus and no trust; bonds are frozen.
pub(super) fn steps(input: &EpochInput, standing: &Standing) -> Steps {
    let n = input.neurons.len();
    let row = sole_validator(&standing.stake).and_then(|uid| input.neurons.get(uid));
    let mut ranks = vec![ZERO; n];
    for (uid, weight) in row.map_or(&[][..], |neuron| &neuron.weights) {
        if let Some(rank) = ranks.get_mut(usize::from(*uid)) {
            *rank = I32F32::from_num(*weight);
        }
    }
    let mut incentive = ranks.clone();
    normalize(&mut incentive);
    let frozen = |row: &Row<u16>| row.iter().map(|(uid, bond)| (*uid, proportion(*bond))).collect();
    Steps {
        stake: standing.stake.clone(),
        active_stake: standing.stake.clone(),
        consensus: vec![ZERO; n],
        validator_trust: vec![ZERO; n],
        ranks,
        incentive,
        bonds: input.neurons.iter().map(|neuron| frozen(&neuron.bonds)).collect(),
        dividends: standing.stake.clone(),
        ..Steps::default()
    }
}

/// The largest staker with any stake; of equals the lowest uid.
fn sole_validator(stake: &[I32F32]) -> Option<usize> {
    let (uid, share) = stake.iter().enumerate().rev().max_by_key(|(_, share)| **share)?;
    (*share != ZERO).then_some(uid)
}
