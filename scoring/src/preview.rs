//! What my weights would earn: the epoch, computed before the chain does.
//!
//! A validator that knows the subnet (stakes, others' weights, bonds) asks [`preview`] what
//! consensus, incentive, trust and dividends follow from the vector that it is about to set; after
//! the epoch, [`compare`] says how far the chain's answer is from that and where. Under
//! commit-reveal others' newest weights are hidden until they are revealed, so a preview is of what
//! is known, and the difference is what was not.

use chain_metadata::{Uid, Weights};

use crate::variants::Rules;
use crate::yuma::{EpochError, EpochInput, EpochOutput, epoch};

/// Miners that a comparison names, those that moved most.
const MOVED_SHOWN: usize = 10;

/// What an epoch would pay, as one validator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The validator.
    pub me: Uid,
    /// Its weights as they count: by uid, of `u16::MAX` parts of the largest.
    pub weights: Vec<(Uid, u16)>,
    /// What the epoch decides.
    pub output: EpochOutput,
}

/// One number before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<T> {
    /// What was predicted.
    pub predicted: T,
    /// What the chain said.
    pub paid: T,
}

/// What the chain decided, by uid, of `u16::MAX` parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paid {
    /// Consensus.
    pub consensus: Vec<u16>,
    /// Incentive.
    pub incentive: Vec<u16>,
    /// Dividends.
    pub dividends: Vec<u16>,
    /// Validator trust.
    pub validator_trust: Vec<u16>,
}

/// A prediction held against what was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// My validator trust.
    pub trust: Change<u16>,
    /// My dividends.
    pub dividends: Change<u16>,
    /// How much incentive went elsewhere: half of the sum of all differences, 0 exact,
    /// `u16::MAX` all of it.
    pub misplaced: u16,
    /// The miners whose incentive moved most, largest first.
    pub moved: Vec<(Uid, Change<u16>)>,
}

/// Why there is no preview.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PreviewError {
    /// The validator is not on the subnet.
    #[error("uid {me} is not among {neurons} neurons")]
    NotRegistered {
        /// The validator's uid.
        me: Uid,
        /// How many neurons there are.
        neurons: usize,
    },
    /// The subnet as given is not one that a chain could hold.
    #[error("no epoch can be computed")]
    Epoch(#[from] EpochError),
}

/// The epoch as it would be if `me` set `weights` now; `subnet` as the chain stores it.
///
/// # Errors
/// [`PreviewError`].
pub fn preview(
    subnet: &EpochInput,
    me: Uid,
    weights: &Weights,
    rules: &Rules,
) -> Result<Preview, PreviewError> {
    let neurons = subnet.neurons.len();
    let mut input = subnet.clone();
    let mine = input.neurons.get_mut(usize::from(me.0));
    let mine = mine.ok_or(PreviewError::NotRegistered { me, neurons })?;
    mine.weights = weights.iter().map(|(uid, weight)| (uid.0, weight)).collect();
    mine.last_update = input.block;
    mine.earliest_commit = None;
    let output = epoch(&input, rules)?;
    Ok(Preview { me, weights: weights.iter().collect(), output })
}

impl Preview {
    /// My validator trust: the part of my weights that consensus leaves, of `u16::MAX`.
    pub fn trust(&self) -> u16 {
        at(&self.output.validator_trust, self.me)
    }

    /// My part of what validators earn, of `u16::MAX`.
    pub fn dividends(&self) -> u16 {
        at(&self.output.dividends, self.me)
    }

    /// What I would earn, alpha rao.
    pub fn emission(&self) -> u64 {
        self.output.emission.get(usize::from(self.me.0)).copied().unwrap_or(0)
    }

    /// The miners that I weigh above what consensus supports, with that support: their surplus is
    /// clipped, and what it costs me is trust. Weights and support of `u16::MAX` parts of my sum.
    pub fn clipped(&self) -> Vec<(Uid, Change<u16>)> {
        let total: u64 = self.weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let share = |weight: u16| {
            let part = (u64::from(weight) * u64::from(u16::MAX)).checked_div(total);
            part.and_then(|part| u16::try_from(part).ok()).unwrap_or(0)
        };
        let of = |(uid, weight): &(Uid, u16)| {
            (*uid, Change { predicted: share(*weight), paid: at(&self.output.consensus, *uid) })
        };
        self.weights.iter().map(of).filter(|(_, change)| change.predicted > change.paid).collect()
    }
}

/// Holds a preview against what the chain decided.
pub fn compare(preview: &Preview, paid: &Paid) -> Comparison {
    let change = |predicted: &[u16], paid: &[u16], uid: Uid| Change {
        predicted: at(predicted, uid),
        paid: at(paid, uid),
    };
    let predicted = &preview.output;
    let last = predicted.incentive.len().max(paid.incentive.len());
    let uids = (0..=u16::MAX).take(last).map(Uid);
    let mut moved: Vec<(Uid, Change<u16>)> = uids
        .map(|uid| (uid, change(&predicted.incentive, &paid.incentive, uid)))
        .filter(|(_, change)| change.distance() > 0)
        .collect();
    moved.sort_by_key(|(uid, change)| (std::cmp::Reverse(change.distance()), uid.0));
    let misplaced: u32 = moved.iter().map(|(_, change)| u32::from(change.distance())).sum();
    moved.truncate(MOVED_SHOWN);
    Comparison {
        trust: change(&predicted.validator_trust, &paid.validator_trust, preview.me),
        dividends: change(&predicted.dividends, &paid.dividends, preview.me),
        misplaced: u16::try_from(misplaced / 2).unwrap_or(u16::MAX),
        moved,
    }
}

impl Change<u16> {
    /// How far the two are apart.
    pub fn distance(self) -> u16 {
        self.predicted.abs_diff(self.paid)
    }
}

/// A uid's number; zero for one that the list does not reach, as a neuron that was not there.
fn at(values: &[u16], uid: Uid) -> u16 {
    values.get(usize::from(uid.0)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::I64F64;
    use crate::yuma::{ConsensusKind, EpochParams, NeuronInput};

    /// Three validators of one stake, two of which pay uid 3 alone, and two miners.
    fn subnet() -> EpochInput {
        let validator = |weights: &[(u16, u16)]| NeuronInput {
            stake: I64F64::from_num(1_000),
            last_update: 90,
            block_at_registration: 1,
            validator_permit: true,
            weights: weights.to_vec(),
            ..NeuronInput::default()
        };
        let miner = NeuronInput { last_update: 1, block_at_registration: 1, ..Default::default() };
        let neurons = vec![
            validator(&[(4, u16::MAX)]),
            validator(&[(3, u16::MAX)]),
            validator(&[(3, u16::MAX)]),
            miner.clone(),
            miner,
        ];
        EpochInput {
            block: 100,
            tempo: 20,
            last_step_block: 80,
            emission: 1_000,
            params: EpochParams {
                activity_cutoff: 5_000,
                owner_uid: None,
                stake_threshold: 0,
                max_allowed_validators: 3,
                kappa: 32_767,
                bonds_moving_average: 900_000,
                bonds_penalty: u16::MAX,
                yuma3: true,
                liquid_alpha: None,
                commit_reveal: false,
                consensus: ConsensusKind::Yuma,
            },
            neurons,
            previous_consensus: vec![],
        }
    }

    fn weights(shares: &[(Uid, f64)]) -> Weights {
        Weights::from_shares(shares).unwrap().unwrap()
    }

    fn previewed(shares: &[(Uid, f64)]) -> Preview {
        preview(&subnet(), Uid(0), &weights(shares), &Rules::SPEC_461).unwrap()
    }

    #[test]
    fn weights_that_most_stake_supports_earn_trust_and_dividends() {
        let agreeing = previewed(&[(Uid(3), 1.0)]);
        assert_eq!(agreeing.trust(), u16::MAX);
        assert!(agreeing.dividends() > 21_000 && agreeing.emission() > 160);
        assert_eq!(agreeing.clipped(), []);
    }

    #[test]
    fn weights_that_nobody_shares_are_clipped_and_earn_nothing() {
        let alone = previewed(&[(Uid(4), 1.0)]);
        assert_eq!((alone.trust(), alone.dividends()), (0, 0));
        assert_eq!(alone.clipped(), [(Uid(4), Change { predicted: u16::MAX, paid: 0 })]);
    }

    #[test]
    fn a_stranger_gets_no_preview() {
        let refused = preview(&subnet(), Uid(9), &weights(&[(Uid(3), 1.0)]), &Rules::SPEC_461);
        assert_eq!(refused, Err(PreviewError::NotRegistered { me: Uid(9), neurons: 5 }));
    }

    #[test]
    fn what_came_true_differs_in_nothing() {
        let preview = previewed(&[(Uid(3), 0.5), (Uid(4), 0.5)]);
        let paid = Paid {
            consensus: preview.output.consensus.clone(),
            incentive: preview.output.incentive.clone(),
            dividends: preview.output.dividends.clone(),
            validator_trust: preview.output.validator_trust.clone(),
        };
        let comparison = compare(&preview, &paid);
        assert_eq!((comparison.misplaced, comparison.moved), (0, vec![]));
        assert_eq!(comparison.trust.distance(), 0);
    }

    #[test]
    fn what_went_elsewhere_is_named_largest_first() {
        let preview = previewed(&[(Uid(3), 1.0)]);
        let paid = Paid { incentive: vec![0, 0, 0, 40_000, 25_535], ..Paid::default() };
        let comparison = compare(&preview, &paid);
        assert_eq!(comparison.misplaced, 25_535);
        assert_eq!(comparison.moved[0].0, Uid(3));
        assert_eq!(comparison.moved[1].1, Change { predicted: 0, paid: 25_535 });
    }
}
