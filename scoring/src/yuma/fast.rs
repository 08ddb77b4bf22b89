//! The same epoch, fast: raw 32-fractional-bit integers, reciprocals instead of divisions,
//! selection instead of sorting, one pass over the cells where the paper has several steps.
//!
//! Every step here has its counterpart in [`super::plain`], and property tests hold the two equal
//! on any input; what [`supports`] excludes, the plain steps compute.
//!
//! ```text
//! stored weights ─► Csr of normalised rows ─► columns ─► consensus           (median)
//!                      │                                     │
//!                      └─ clip: trust, ranks, bought ◄───────┘
//!                            └─► average with held ─► shares ─► dividends    (bonds)
//! ```
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "columns of a `Csr` are below n, and `supports` bounds every sum: cells are at most \
              2^32, rows and columns have at most 2^15 of them"
)]

mod arith;
mod bonds;
mod csr;
mod median;

pub use arith::exp_bits;

use super::standing::Standing;
use super::{Decided, EpochInput};
use crate::fixed::{I32F32, normalize, proportion};
use crate::variants::Rules;
use arith::mul;
use csr::Csr;

/// Most neurons that the fast path takes: sums of a row's or a column's `u16` stay below 2³¹.
const MAX_NEURONS: usize = 1 << 15;

/// Whether the fast path computes this input: rows ascending and without duplicates, parameters
/// within what a chain lets anyone set.
pub(super) fn supports(input: &EpochInput) -> bool {
    let params = &input.params;
    input.neurons.len() <= MAX_NEURONS
        && params.bonds_moving_average <= bonds::MILLION
        && params.liquid_alpha.is_none_or(|liquid| liquid.low <= liquid.high)
        && input
            .neurons
            .iter()
            .all(|neuron| csr::is_ascending(&neuron.weights) && csr::is_ascending(&neuron.bonds))
}

/// From stored weights and bonds to incentive, dividends and the bonds to store.
pub(super) fn decide(input: &EpochInput, standing: &Standing, rules: &Rules) -> Decided {
    let stake: Vec<u64> = standing.active_stake.iter().copied().map(arith::bits).collect();
    let kappa = arith::bits(proportion(input.params.kappa));
    let penalty = arith::bits(proportion(input.params.bonds_penalty));

    let mut weights = Csr::of_weights(input, &standing.permit);
    let consensus = median::columns(&weights, &standing.active_stake, kappa);
    let Clipped { trust, ranks } = clip(&mut weights, &consensus, &stake, penalty);
    let mut incentive = fixed(&ranks);
    normalize(&mut incentive);

    let bonding = bonds::Bonding { input, standing, rules, consensus: &consensus, stake: &stake };
    let (bonds, mut dividends) = bonding.run(weights, &incentive);
    normalize(&mut dividends);
    Decided {
        consensus: fixed(&consensus),
        validator_trust: fixed(&trust),
        incentive,
        dividends,
        bonds,
    }
}

/// What consensus makes of the weights, by uid.
struct Clipped {
    /// Row sums of the clipped weights.
    trust: Vec<u64>,
    /// Stake-weighted column sums of the clipped weights.
    ranks: Vec<u64>,
}

/// Sums the clipped weights, and turns the weights into those that count for bonds.
fn clip(weights: &mut Csr<u64>, consensus: &[u64], stake: &[u64], penalty: u64) -> Clipped {
    match penalty {
        0 => clip_into(weights, consensus, stake, |weight, _| weight),
        arith::ONE => {
            // A weight of zero stays listed; one that consensus cuts to zero does not.
            if consensus.contains(&0) {
                weights.retain(|column, weight| weight == 0 || consensus[column] > 0);
            }
            clip_into(weights, consensus, stake, |_, clipped| clipped)
        }
        _ => {
            // w + β (clipped − w), the product floored, so what is subtracted is rounded up.
            let mix = |weight, clipped| weight - arith::mul_up(weight - clipped, penalty);
            let sums = clip_into(weights, consensus, stake, mix);
            weights.retain(|_, mixed| mixed > 0);
            sums
        }
    }
}

#[inline]
fn clip_into(
    weights: &mut Csr<u64>,
    consensus: &[u64],
    stake: &[u64],
    mix: impl Fn(u64, u64) -> u64,
) -> Clipped {
    let n = consensus.len();
    // Side by side, so that one look-up a cell serves both.
    let mut columns: Vec<(u64, u64)> = consensus.iter().map(|limit| (*limit, 0)).collect();
    let mut trust = vec![0; n];
    for (row, trust) in trust.iter_mut().enumerate() {
        let (at, values) = weights.row_mut(row);
        for (column, value) in at.iter().zip(values) {
            let (limit, rank) = &mut columns[usize::from(*column)];
            let clipped = (*value).min(*limit);
            *trust += clipped;
            *rank += mul(clipped, stake[row]);
            *value = mix(*value, clipped);
        }
    }
    Clipped { trust, ranks: columns.into_iter().map(|(_, rank)| rank).collect() }
}

fn fixed(values: &[u64]) -> Vec<I32F32> {
    values.iter().copied().map(arith::fixed).collect()
}
