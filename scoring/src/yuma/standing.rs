//! Who counts: stake, permits, activity.

use super::{EpochError, EpochInput};
use crate::fixed::{I32F32, I64F64, ZERO, normalize};

/// Each neuron's standing before a single weight is read, by uid.
#[derive(Debug)]
pub(super) struct Standing {
    /// Share of all stake that passes the threshold.
    pub(super) stake: Vec<I32F32>,
    /// Share of the stake that is active and permitted: whose weights count.
    pub(super) active_stake: Vec<I32F32>,
    /// Whether it set weights within the activity cutoff.
    pub(super) active: Vec<bool>,
    /// Whether the last epoch (or ownership) permits it to validate now.
    pub(super) permit: Vec<bool>,
    /// Whether this epoch permits it to validate in the next.
    pub(super) new_permit: Vec<bool>,
}

impl Standing {
    pub(super) fn of(input: &EpochInput) -> Result<Self, EpochError> {
        let owner = input.params.owner_uid.map(usize::from);
        let stake = stake_shares(input, owner)?;

        let active: Vec<bool> = input
            .neurons
            .iter()
            .map(|n| n.last_update.saturating_add(input.params.activity_cutoff) >= input.block)
            .collect();
        let mut permit: Vec<bool> = input.neurons.iter().map(|n| n.validator_permit).collect();
        let mut new_permit = top_k_nonzero(&stake, input.params.max_allowed_validators.into());
        if let Some(owner) = owner {
            for permits in [&mut permit, &mut new_permit] {
                permits.get_mut(owner).into_iter().for_each(|value| *value = true);
            }
        }

        let mut active_stake: Vec<I32F32> = stake
            .iter()
            .zip(active.iter().zip(&permit))
            .map(|(share, (active, permit))| if *active && *permit { *share } else { ZERO })
            .collect();
        normalize(&mut active_stake);
        Ok(Self { stake, active_stake, active, permit, new_permit })
    }
}

/// Shares of the total stake in 64 fractional bits, truncated to 32; stakes below the threshold
/// count as zero, except the owner's.
fn stake_shares(input: &EpochInput, owner: Option<usize>) -> Result<Vec<I32F32>, EpochError> {
    let mut sum = I64F64::from_bits(0);
    let mut counted = Vec::with_capacity(input.neurons.len());
    for (uid, neuron) in input.neurons.iter().enumerate() {
        let stake = neuron.stake;
        if stake < 0 {
            return Err(EpochError::NegativeStake { uid, stake });
        }
        let passes = stake.to_num::<u64>() >= input.params.stake_threshold || owner == Some(uid);
        let stake = if passes { stake } else { I64F64::from_bits(0) };
        sum = sum.checked_add(stake).ok_or(EpochError::StakeOverflow { uid })?;
        counted.push(stake);
    }
    Ok(counted.into_iter().map(|stake| share_of(stake, sum)).collect())
}

/// `stake / sum`, or zero where the sum is zero (the stake is zero too).
fn share_of(stake: I64F64, sum: I64F64) -> I32F32 {
    if stake == 0 {
        return ZERO;
    }
    I32F32::saturating_from_num(stake.checked_div(sum).unwrap_or_default())
}

/// [`top_k`] without elements that are zero.
pub fn top_k_nonzero(vector: &[I32F32], k: usize) -> Vec<bool> {
    let top = top_k(vector, k);
    top.into_iter().zip(vector).map(|(top, value)| top && *value != ZERO).collect()
}

/// Marks the `k` largest elements; of equals the higher index wins, as in a stable ascending sort
/// whose head is cut. All are marked where there are no more than `k`.
pub fn top_k(vector: &[I32F32], k: usize) -> Vec<bool> {
    let Some(losers) = vector.len().checked_sub(k).filter(|losers| *losers > 0) else {
        return vec![true; vector.len()];
    };
    let mut order: Vec<(I32F32, usize)> =
        vector.iter().enumerate().map(|(index, value)| (*value, index)).collect();
    if losers < order.len() {
        order.select_nth_unstable(losers);
    }
    let mut marked = vec![true; vector.len()];
    for (_, index) in order.into_iter().take(losers) {
        if let Some(mark) = marked.get_mut(index) {
            *mark = false;
        }
    }
    marked
}
