//! The matrix steps of consensus, on sparse rows by uid.
//!
//! Public because auditors recompute them one by one. Matrices are one row a validator, entries
//! `(uid, value)`; uids at or beyond the stated number of columns are ignored.

use crate::fixed::{HALF, I32F32, ONE, ZERO, exp_safe, normalize, proportion, safe_div, sum};
use crate::yuma::{LiquidAlpha, Row};

pub use crate::yuma::standing::{top_k, top_k_nonzero};

/// Largest weight of each column that at least `majority` of the stake supports (a stake-weighted
/// median for majority one half). Missing entries support zero; rows without stake do not count.
///
/// It is the lowest level `p` of the column whose supporters at or below `p` hold more than
/// `Σ stake − majority`, or the highest level where none does: what the chain's pivot search
/// finds, whichever pivots it takes.
pub fn weighted_median_columns(
    stake: &[I32F32],
    rows: &[Row<I32F32>],
    columns: usize,
    majority: I32F32,
) -> Vec<I32F32> {
    let mut voters: Vec<(I32F32, &Row<I32F32>)> =
        stake.iter().copied().zip(rows).filter(|(stake, _)| *stake > 0).collect();
    let mut shares: Vec<I32F32> = voters.iter().map(|(stake, _)| *stake).collect();
    normalize(&mut shares);
    voters.iter_mut().zip(&shares).for_each(|((stake, _), share)| *stake = *share);
    let minority = sum(shares).saturating_sub(majority);

    let mut levels = vec![vec![ZERO; voters.len()]; columns];
    for (voter, (_, row)) in voters.iter().enumerate() {
        for (uid, value) in *row {
            let column = levels.get_mut(usize::from(*uid));
            if let Some(level) = column.and_then(|column| column.get_mut(voter)) {
                *level = *value;
            }
        }
    }
    let stakes = || voters.iter().map(|(stake, _)| *stake);
    levels.into_iter().map(|column| median(column.into_iter().zip(stakes()), minority)).collect()
}

/// Lowest level with more than `minority` stake at or below it, or the highest level.
fn median(votes: impl Iterator<Item = (I32F32, I32F32)>, minority: I32F32) -> I32F32 {
    let mut votes: Vec<(I32F32, I32F32)> = votes.collect();
    votes.sort_unstable();
    let mut below = ZERO;
    for (level, stake) in &votes {
        below = below.saturating_add(*stake);
        if below > minority {
            return *level;
        }
    }
    votes.last().map_or(ZERO, |(level, _)| *level)
}

/// `min(w, limit)` per column; a positive weight under a limit of zero vanishes, a weight of zero
/// stays in its row.
pub fn clip_columns(rows: &[Row<I32F32>], limits: &[I32F32]) -> Vec<Row<I32F32>> {
    let clip = |(uid, value): &(u16, I32F32)| {
        let limit = limits.get(usize::from(*uid)).copied().unwrap_or(ZERO);
        (*value <= limit || limit > 0).then(|| (*uid, limit.min(*value)))
    };
    rows.iter().map(|row| row.iter().filter_map(clip).collect()).collect()
}

/// `Σ_i stake_i × w_ij` of each column, in row order.
pub fn column_sums_weighted(rows: &[Row<I32F32>], stake: &[I32F32], columns: usize) -> Vec<I32F32> {
    let mut sums = vec![ZERO; columns];
    for (row, stake) in rows.iter().zip(stake) {
        for (uid, value) in row {
            if let Some(sum) = sums.get_mut(usize::from(*uid)) {
                *sum = sum.saturating_add(value.saturating_mul(*stake));
            }
        }
    }
    sums
}

/// Multiplies each row by its validator's stake.
pub fn scale_rows(rows: &[Row<I32F32>], stake: &[I32F32]) -> Vec<Row<I32F32>> {
    let scale = |(row, stake): (&Row<I32F32>, &I32F32)| {
        row.iter().map(|(uid, value)| (*uid, value.saturating_mul(*stake))).collect()
    };
    rows.iter().zip(stake).map(scale).collect()
}

/// Divides each column by its sum, unless that is zero.
pub fn normalize_columns(rows: &mut [Row<I32F32>], columns: usize) {
    let sums = column_fold(rows, columns, I32F32::saturating_add);
    divide_columns(rows, &sums);
}

/// Divides each column by its largest value, unless that is zero.
pub fn max_upscale_columns(rows: &mut [Row<I32F32>], columns: usize) {
    let largest = column_fold(rows, columns, I32F32::max);
    divide_columns(rows, &largest);
}

fn column_fold(
    rows: &[Row<I32F32>],
    columns: usize,
    fold: impl Fn(I32F32, I32F32) -> I32F32,
) -> Vec<I32F32> {
    let mut folded = vec![ZERO; columns];
    for (uid, value) in rows.iter().flatten() {
        if let Some(sofar) = folded.get_mut(usize::from(*uid)) {
            *sofar = fold(*sofar, *value);
        }
    }
    folded
}

fn divide_columns(rows: &mut [Row<I32F32>], by: &[I32F32]) {
    for (uid, value) in rows.iter_mut().flatten() {
        match by.get(usize::from(*uid)) {
            Some(by) if *by != ZERO => *value = safe_div(*value, *by),
            _ => {}
        }
    }
}

/// `a + ratio × (b − a)` for ratios strictly between 0 and 1, dense, positive values only, in
/// order of uid; the ends return `a` or `b` as they are.
pub fn interpolate(
    a: &[Row<I32F32>],
    b: &[Row<I32F32>],
    columns: usize,
    ratio: I32F32,
) -> Vec<Row<I32F32>> {
    if ratio == ZERO {
        return a.to_vec();
    }
    if ratio == ONE {
        return b.to_vec();
    }
    let between = |(a, b): (&Row<I32F32>, &Row<I32F32>)| {
        let (a, b) = (dense(a, columns), dense(b, columns));
        let mix = |(a, b): (&I32F32, &I32F32)| {
            a.saturating_add(ratio.saturating_mul(b.saturating_sub(*a)))
        };
        positive(a.iter().zip(&b).map(mix))
    };
    a.iter().zip(b).map(between).collect()
}

/// `α × new + (1 − α) × old`, dense, positive values only, in order of uid.
pub fn moving_average(
    new: &[Row<I32F32>],
    old: &[Row<I32F32>],
    columns: usize,
    alpha: I32F32,
) -> Vec<Row<I32F32>> {
    let keep = ONE.saturating_sub(alpha);
    let average = |(new, old): (&Row<I32F32>, &Row<I32F32>)| {
        let mut row = vec![ZERO; columns];
        for (entries, factor) in [(new, alpha), (old, keep)] {
            for (uid, value) in entries {
                if let Some(cell) = row.get_mut(usize::from(*uid)) {
                    *cell = cell.saturating_add(factor.saturating_mul(*value));
                }
            }
        }
        positive(row.into_iter())
    };
    new.iter().zip(old).map(average).collect()
}

/// `min(1, (1 − α_ij) × old_ij + max(0, α_ij × new_ij))` for the entries of the new row, in its
/// order, positive values only: a bond whose validator no longer lists the miner is gone at once,
/// one whose weight is an explicit zero decays.
pub fn moving_average_per_bond(
    new: &[Row<I32F32>],
    old: &[Row<I32F32>],
    columns: usize,
    alpha: impl Fn(&Row<I32F32>, &Row<I32F32>) -> Vec<I32F32>,
) -> Vec<Row<I32F32>> {
    let average = |(new, old): (&Row<I32F32>, &Row<I32F32>)| {
        let alphas = alpha(new, old);
        let held = dense(old, columns);
        let bond = |(uid, value): &(u16, I32F32)| {
            let (alpha, held) = (alphas.get(usize::from(*uid))?, held.get(usize::from(*uid))?);
            let kept = ONE.saturating_sub(*alpha).saturating_mul(*held);
            let gained = alpha.saturating_mul(*value).max(ZERO);
            let bond = kept.saturating_add(gained).min(ONE);
            (bond > 0).then_some((*uid, bond))
        };
        new.iter().filter_map(bond).collect()
    };
    new.iter().zip(old).map(average).collect()
}

/// The share of the new weight in one bond:
/// `α = low + (high − low) / (1 + exp(−steepness/100 × (d − ½)))`, where `d` is how far the weight
/// is above consensus when the validator buys (`weight ≥ bond`), and how far the bond is above the
/// weight when it sells; both within 0..=1.
pub fn liquid_alpha(
    params: &LiquidAlpha,
    weight: I32F32,
    bond: I32F32,
    consensus: I32F32,
) -> I32F32 {
    let distance =
        if weight >= bond { weight.saturating_sub(consensus) } else { bond.saturating_sub(weight) };
    let distance = distance.clamp(ZERO, ONE);
    let (low, high) = (proportion(params.low), proportion(params.high));
    let exponent = slope(params).saturating_mul(distance.saturating_sub(HALF));
    let sigmoid = safe_div(ONE, ONE.saturating_add(exp_safe(exponent)));
    let alpha = low.saturating_add(sigmoid.saturating_mul(high.saturating_sub(low)));
    // Not `clamp`: bounds the wrong way round must not panic.
    alpha.max(low).min(high)
}

/// Liquid alpha's slope: steepness in hundredths, turned so that the exponential falls with
/// distance.
pub(in crate::yuma) fn slope(params: &LiquidAlpha) -> I32F32 {
    safe_div(I32F32::from_num(params.steepness), I32F32::from_num(-100))
}

/// The chain's walk along a row, uid by uid: once past an entry it never looks back, so entries
/// behind a larger uid read as zero.
pub(super) fn walk(row: &Row<I32F32>) -> impl FnMut(usize) -> I32F32 + '_ {
    let mut rest = row.iter().peekable();
    move |column| {
        while rest.next_if(|(uid, _)| usize::from(*uid) < column).is_some() {}
        rest.peek().filter(|(uid, _)| usize::from(*uid) == column).map_or(ZERO, |(_, value)| *value)
    }
}

fn dense(row: &Row<I32F32>, columns: usize) -> Vec<I32F32> {
    let mut cells = vec![ZERO; columns];
    for (uid, value) in row {
        if let Some(cell) = cells.get_mut(usize::from(*uid)) {
            *cell = *value;
        }
    }
    cells
}

fn positive(cells: impl Iterator<Item = I32F32>) -> Row<I32F32> {
    (0..=u16::MAX).zip(cells).filter(|(_, value)| *value > 0).collect()
}
