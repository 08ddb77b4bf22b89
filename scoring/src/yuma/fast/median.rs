//! Consensus by selection: the weighted median of each column without sorting it.

use super::arith::bits;
use super::csr::Csr;
use crate::fixed::{I32F32, normalize, sum};

/// A validator's word on a miner: the weight it gives, and the stake behind it.
#[derive(Debug, Clone, Copy, Default)]
struct Vote {
    level: u64,
    stake: u64,
}

/// The consensus of each column: see [`super::super::plain::math::weighted_median_columns`].
pub(super) fn columns(weights: &Csr<u64>, stake: &[I32F32], kappa: u64) -> Vec<u64> {
    let n = stake.len();
    let voters: Vec<usize> = (0..n).filter(|uid| stake[*uid] > 0).collect();
    let mut shares: Vec<I32F32> = voters.iter().map(|uid| stake[*uid]).collect();
    normalize(&mut shares);
    let all = bits(sum(shares.iter().copied()));
    // Below zero, everything is above the minority, and the lowest level is the answer.
    let minority = all.checked_sub(kappa);

    let mut ends = vec![0_usize; n];
    for uid in &voters {
        weights.row(*uid).0.iter().for_each(|column| ends[usize::from(*column)] += 1);
    }
    let mut start = 0;
    for end in &mut ends {
        start += *end;
        *end = start - *end;
    }
    let mut votes = vec![Vote::default(); start];
    for (uid, share) in voters.iter().zip(&shares) {
        let stake = bits(*share);
        let (columns, levels) = weights.row(*uid);
        for (column, level) in columns.iter().zip(levels) {
            let end = &mut ends[usize::from(*column)];
            votes[*end] = Vote { level: *level, stake };
            *end += 1;
        }
    }
    let mut start = 0;
    let mut median = |end: usize| {
        let votes = &mut votes[start..end];
        start = end;
        let silent = all - votes.iter().map(|vote| vote.stake).sum::<u64>();
        column(votes, silent, voters.len(), minority)
    };
    ends.into_iter().map(&mut median).collect()
}

/// The median of one column of which `silent` stake supports nothing.
fn column(votes: &mut [Vote], silent: u64, voters: usize, minority: Option<u64>) -> u64 {
    let lowest = || if votes.len() < voters { 0 } else { lowest_level(votes) };
    match minority {
        None => lowest(),
        Some(minority) if silent > minority => 0,
        Some(minority) => select(votes, minority - silent),
    }
}

fn lowest_level(votes: &[Vote]) -> u64 {
    votes.iter().map(|vote| vote.level).min().unwrap_or(0)
}

/// The lowest level with more than `minority` stake at or below it, or the highest of all.
fn select(mut votes: &mut [Vote], mut minority: u64) -> u64 {
    let mut highest = 0;
    while !votes.is_empty() {
        let pivot = pivot(votes);
        let (below, stake_below) = partition(votes, |level| level < pivot);
        if minority < stake_below {
            votes = &mut votes[..below];
            continue;
        }
        let (equal, stake_equal) = partition(&mut votes[below..], |level| level == pivot);
        if minority < stake_below + stake_equal {
            return pivot;
        }
        minority -= stake_below + stake_equal;
        highest = pivot.max(highest);
        votes = &mut votes[below + equal..];
    }
    highest
}

/// The median of three levels.
fn pivot(votes: &[Vote]) -> u64 {
    let last = votes.len() - 1;
    let (a, b, c) = (votes[0].level, votes[last / 2].level, votes[last].level);
    a.max(b).min(a.min(b).max(c))
}

/// Moves the votes whose level is `chosen` to the front; returns how many and their stake.
fn partition(votes: &mut [Vote], chosen: impl Fn(u64) -> bool) -> (usize, u64) {
    let (mut front, mut stake) = (0, 0);
    for at in 0..votes.len() {
        let vote = votes[at];
        // Without a branch, which half of the time would be mispredicted.
        let is = chosen(vote.level);
        votes[at] = votes[front];
        votes[front] = vote;
        front += usize::from(is);
        stake += vote.stake * u64::from(is);
    }
    (front, stake)
}
