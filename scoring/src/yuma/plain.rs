//! The epoch as the paper tells it: one step after another, every intermediate kept.

pub(super) mod bonds;
pub mod math;

use super::standing::Standing;
use super::{EpochInput, Row, Steps};
use crate::fixed::{I32F32, normalize, safe_div, sum};
use crate::variants::Rules;

/// All steps from stored weights and bonds to incentive and dividends.
pub(super) fn steps(input: &EpochInput, standing: &Standing, rules: &Rules) -> Steps {
    let n = input.neurons.len();
    let kappa = crate::fixed::proportion(input.params.kappa);
    let active_stake = &standing.active_stake;

    let mut weights = masked_weights(input, &standing.permit);
    for row in &mut weights {
        normalize_row(row);
    }
    let consensus = math::weighted_median_columns(active_stake, &weights, n, kappa);
    let clipped = math::clip_columns(&weights, &consensus);
    let validator_trust = clipped.iter().map(row_sum).collect();
    let ranks = math::column_sums_weighted(&clipped, active_stake, n);
    let mut incentive = ranks.clone();
    normalize(&mut incentive);

    let bonding = bonds::Bonding { input, standing, rules, consensus: &consensus };
    let (bonds, dividends) = bonding.run(&weights, &clipped, &incentive);
    Steps {
        stake: standing.stake.clone(),
        active_stake: active_stake.clone(),
        kappa,
        weights,
        consensus,
        clipped,
        validator_trust,
        ranks,
        incentive,
        bonds,
        dividends,
    }
}

/// The stored weights that count, not yet normalised: rows of permitted validators, without
/// entries about unknown uids, about themselves (except the owner's), about neurons that
/// registered in or after the block of the row's last update, or, under commit-reveal, after its
/// earliest pending commitment.
fn masked_weights(input: &EpochInput, permit: &[bool]) -> Vec<Row<I32F32>> {
    let row = |(uid, permit): (usize, &bool)| {
        let Some(from) = input.neurons.get(uid).filter(|_| *permit) else { return Row::new() };
        let owner = input.params.owner_uid.map(usize::from) == Some(uid);
        let committed = from.earliest_commit.filter(|_| input.params.commit_reveal);
        let committed = committed.unwrap_or(u64::MAX);
        let counts = |about: &u16| {
            let about = usize::from(*about);
            let Some(to) = input.neurons.get(about) else { return false };
            (about != uid || owner)
                && from.last_update > to.block_at_registration
                && committed >= to.block_at_registration
        };
        let kept = from.weights.iter().filter(|(about, _)| counts(about));
        kept.map(|(about, weight)| (*about, I32F32::from_num(*weight))).collect()
    };
    permit.iter().enumerate().map(row).collect()
}

fn normalize_row(row: &mut Row<I32F32>) {
    let total = row_sum(row);
    if total != 0 {
        for (_, value) in row {
            *value = safe_div(*value, total);
        }
    }
}

fn row_sum(row: &Row<I32F32>) -> I32F32 {
    sum(row.iter().map(|(_, value)| *value))
}
