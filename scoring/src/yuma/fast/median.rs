//! Consensus by selection: the weighted median of each column without sorting it.

use super::arith::bits;
use super::csr::Csr;
use crate::fixed::{I32F32, normalize, sum};

/// Columns whose votes are gathered together: few enough that they stay in the cache.
const COLUMNS_AT_ONCE: usize = 64;

/// Votes that are sorted rather than partitioned further.
const FEW: usize = 8;

/// A validator's word on a miner in one number: the weight it gives, above the index of the
/// validator among the voters, by which votes of one level are told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Vote(u64);

impl Vote {
    /// Weights have at most 33 bits, voters' indices at most 15.
    const VOTER_BITS: u32 = 16;

    fn new(level: u64, voter: usize) -> Self {
        Self(level << Self::VOTER_BITS | voter as u64)
    }

    fn level(self) -> u64 {
        self.0 >> Self::VOTER_BITS
    }

    fn voter(self) -> usize {
        (self.0 & ((1 << Self::VOTER_BITS) - 1)) as usize
    }
}

/// A validator with active stake.
struct Voter {
    uid: usize,
    /// How many cells of its row are counted.
    counted: usize,
}

/// The consensus of each column: see [`crate::yuma::math::weighted_median_columns`].
pub(super) fn columns(weights: &Csr<u64>, stake: &[I32F32], kappa: u64) -> Vec<u64> {
    let voting = |uid: usize| (stake[uid] > 0).then_some(Voter { uid, counted: 0 });
    let mut voters: Vec<Voter> = (0..stake.len()).filter_map(voting).collect();
    let mut shares: Vec<I32F32> = voters.iter().map(|voter| stake[voter.uid]).collect();
    normalize(&mut shares);
    let electorate = Electorate::new(&shares, kappa);

    let mut medians = Vec::with_capacity(stake.len());
    let mut votes = vec![Vote::default(); voters.len() * COLUMNS_AT_ONCE];
    while medians.len() < stake.len() {
        let first = medians.len();
        let end = (first + COLUMNS_AT_ONCE).min(stake.len());
        let mut cast = [0_usize; COLUMNS_AT_ONCE];
        for (index, voter) in voters.iter_mut().enumerate() {
            let (columns, levels) = weights.row(voter.uid);
            let (columns, levels) = (&columns[voter.counted..], &levels[voter.counted..]);
            let cells = columns.partition_point(|column| usize::from(*column) < end);
            for (column, level) in columns[..cells].iter().zip(levels) {
                let column = usize::from(*column) - first;
                votes[column * electorate.stakes.len() + cast[column]] = Vote::new(*level, index);
                cast[column] += 1;
            }
            voter.counted += cells;
        }
        let cast = cast.iter().take(end - first).enumerate();
        medians.extend(cast.map(|(column, cast)| {
            let start = column * electorate.stakes.len();
            electorate.median(&mut votes[start..start + cast])
        }));
    }
    medians
}

/// The stake behind each voter, and how much of it consensus may leave unsupported.
struct Electorate {
    stakes: Vec<u64>,
    all: u64,
    /// `None` if consensus asks for more than there is: then everything is above the minority.
    minority: Option<u64>,
}

impl Electorate {
    fn new(shares: &[I32F32], kappa: u64) -> Self {
        let all = bits(sum(shares.iter().copied()));
        let stakes = shares.iter().copied().map(bits).collect();
        Self { stakes, all, minority: all.checked_sub(kappa) }
    }

    /// The median of one column; voters that did not vote support nothing.
    fn median(&self, votes: &mut [Vote]) -> u64 {
        let Some(minority) = self.minority else {
            let lowest = votes.iter().min().filter(|_| votes.len() == self.stakes.len());
            return lowest.map_or(0, |vote| vote.level());
        };
        let silent = self.all - votes.iter().map(|vote| self.stake(*vote)).sum::<u64>();
        match minority.checked_sub(silent) {
            Some(minority) => self.select(votes, minority),
            None => 0,
        }
    }

    /// The lowest level with more than `minority` stake at or below it, or the highest of all.
    fn select(&self, mut votes: &mut [Vote], mut minority: u64) -> u64 {
        let mut highest = 0;
        while votes.len() > FEW {
            let pivot = take_pivot(votes);
            let (front, below) = self.partition(&mut votes[1..], pivot);
            if minority < below {
                votes = &mut votes[1..=front];
                continue;
            }
            let reached = below + self.stake(pivot);
            if minority < reached {
                return pivot.level();
            }
            minority -= reached;
            highest = pivot.level();
            votes = &mut votes[1 + front..];
        }
        votes.sort_unstable();
        for vote in votes {
            let stake = self.stake(*vote);
            if minority < stake {
                return vote.level();
            }
            minority -= stake;
            highest = vote.level();
        }
        highest
    }

    /// Moves the votes below `pivot` to the front; returns how many and their stake.
    fn partition(&self, votes: &mut [Vote], pivot: Vote) -> (usize, u64) {
        let (mut front, mut stake) = (0, 0);
        for at in 0..votes.len() {
            let vote = votes[at];
            // Without a branch, which half of the time would be mispredicted.
            let below = vote < pivot;
            votes[at] = votes[front];
            votes[front] = vote;
            front += usize::from(below);
            stake += if below { self.stake(vote) } else { 0 };
        }
        (front, stake)
    }

    fn stake(&self, vote: Vote) -> u64 {
        self.stakes[vote.voter()]
    }
}

/// Moves the median of three votes to the front, and returns it.
fn take_pivot(votes: &mut [Vote]) -> Vote {
    let (middle, last) = (votes.len() / 2, votes.len() - 1);
    let (a, b, c) = (votes[0], votes[middle], votes[last]);
    let at = if (a < b) == (b < c) {
        middle
    } else if (b < a) == (a < c) {
        0
    } else {
        last
    };
    votes.swap(0, at);
    votes[0]
}
