//! Bonds and what they yield: classic Yuma, Yuma3, liquid alpha.

use super::math;
use crate::fixed::{I32F32, I64F64, ONE, ZERO, normalize, proportion, sum};
use crate::variants::{LiquidAlphaRule, Rules};
use crate::yuma::standing::Standing;
use crate::yuma::{ConsensusSource, EpochInput, LiquidAlpha, Row};

/// What the bond steps read besides weights.
pub(super) struct Bonding<'a> {
    pub(super) input: &'a EpochInput,
    pub(super) standing: &'a Standing,
    pub(super) rules: &'a Rules,
    /// This epoch's consensus by uid.
    pub(super) consensus: &'a [I32F32],
}

impl Bonding<'_> {
    /// The bonds to store and the dividends by uid.
    pub(super) fn run(
        &self,
        weights: &[Row<I32F32>],
        clipped: &[Row<I32F32>],
        incentive: &[I32F32],
    ) -> (Vec<Row<I32F32>>, Vec<I32F32>) {
        let penalty = proportion(self.input.params.bonds_penalty);
        let bought = math::interpolate(weights, clipped, self.columns(), penalty);
        let (bonds, mut dividends) = if self.input.params.yuma3 {
            self.yuma3(&bought, incentive)
        } else {
            self.classic(&bought, incentive)
        };
        normalize(&mut dividends);
        (bonds, dividends)
    }

    /// Bonds are each validator's own average of its weights; columns are normalised only to
    /// divide the incentive, which active stake then scales.
    fn yuma3(
        &self,
        bought: &[Row<I32F32>],
        incentive: &[I32F32],
    ) -> (Vec<Row<I32F32>>, Vec<I32F32>) {
        let held = self.held(proportion);
        let bonds = self.average(bought, &held);
        let mut shares = bonds.clone();
        math::normalize_columns(&mut shares, self.columns());
        let dividend = |(row, stake): (&Row<I32F32>, &I32F32)| {
            row_dot(row, incentive).checked_mul(*stake).unwrap_or(ZERO)
        };
        let dividends = shares.iter().zip(&self.standing.active_stake).map(dividend).collect();
        (bonds, dividends)
    }

    /// Bonds are shares in each miner, bought with stake; they are stored upscaled so that the
    /// largest holder of each miner has one.
    fn classic(
        &self,
        bought: &[Row<I32F32>],
        incentive: &[I32F32],
    ) -> (Vec<Row<I32F32>>, Vec<I32F32>) {
        let mut held = self.held(I32F32::from_num);
        math::normalize_columns(&mut held, self.columns());
        let mut bought = math::scale_rows(bought, &self.standing.active_stake);
        math::normalize_columns(&mut bought, self.columns());
        let mut bonds = math::moving_average(&bought, &held, self.columns(), self.alpha());
        math::normalize_columns(&mut bonds, self.columns());
        let dividends = bonds.iter().map(|row| row_dot(row, incentive)).collect();
        math::max_upscale_columns(&mut bonds, self.columns());
        (bonds, dividends)
    }

    /// Stored bonds, without those about neurons that registered since they were stored.
    fn held(&self, value: impl Fn(u16) -> I32F32) -> Vec<Row<I32F32>> {
        let cutoff = self.input.bonds_cutoff();
        let about = |uid: &u16| self.input.neurons.get(usize::from(*uid));
        let fresh = |uid: &u16| about(uid).is_some_and(|to| cutoff > to.block_at_registration);
        let row = |row: &Row<u16>| {
            let kept = row.iter().filter(|(uid, _)| fresh(uid));
            kept.map(|(uid, bond)| (*uid, value(*bond))).collect()
        };
        self.input.neurons.iter().map(|neuron| row(&neuron.bonds)).collect()
    }

    /// Yuma3's moving average: one rate for all, or liquid alpha's own rate per bond once there
    /// is any consensus.
    fn average(&self, bought: &[Row<I32F32>], held: &[Row<I32F32>]) -> Vec<Row<I32F32>> {
        let n = self.columns();
        let liquid = self.input.params.liquid_alpha.as_ref();
        let consensus = |params| liquid_source(self.input, self.rules, params);
        let liquid = liquid
            .map(|params| (params, consensus(params).unwrap_or_else(|| self.consensus.to_vec())));
        match liquid {
            Some((params, consensus)) if consensus.iter().any(|level| *level != ZERO) => {
                math::moving_average_per_bond(bought, held, n, |weights, bonds| {
                    let (mut weight, mut bond) = (math::walk(weights), math::walk(bonds));
                    let alpha = |(uid, level): (usize, &I32F32)| {
                        math::liquid_alpha(params, weight(uid), bond(uid), *level)
                    };
                    consensus.iter().enumerate().map(alpha).collect()
                })
            }
            _ => math::moving_average(bought, held, n, self.alpha()),
        }
    }

    /// Share of the new weight in a bond: one less the part that survives, which the chain cuts
    /// to 32 fractional bits first.
    fn alpha(&self) -> I32F32 {
        bonds_alpha(self.input.params.bonds_moving_average)
    }

    fn columns(&self) -> usize {
        self.input.neurons.len()
    }
}

/// The stored consensus that liquid alpha compares weights with, by uid; `None` where it is the
/// epoch's own.
pub(in crate::yuma) fn liquid_source(
    input: &EpochInput,
    rules: &Rules,
    params: &LiquidAlpha,
) -> Option<Vec<I32F32>> {
    let previous = match (rules.liquid_alpha, params.consensus) {
        (LiquidAlphaRule::Current, _) | (_, ConsensusSource::Current) => false,
        (_, ConsensusSource::Previous) => true,
        (_, ConsensusSource::Auto) => input.params.bonds_penalty == u16::MAX,
    };
    // A uid that was not there in the last epoch had no consensus.
    let stored = input.previous_consensus.iter().copied().map(proportion);
    previous.then(|| stored.chain(std::iter::repeat(ZERO)).take(input.neurons.len()).collect())
}

/// `1 − millionths / 10⁶`.
pub(in crate::yuma) fn bonds_alpha(millionths: u64) -> I32F32 {
    let survives =
        I64F64::saturating_from_num(millionths).saturating_div(I64F64::from_num(1_000_000));
    ONE.saturating_sub(I32F32::saturating_from_num(survives))
}

/// `Σ_j row_j × vector_j`.
fn row_dot(row: &Row<I32F32>, vector: &[I32F32]) -> I32F32 {
    let at = |uid: &u16| vector.get(usize::from(*uid)).copied().unwrap_or(ZERO);
    sum(row.iter().map(|(uid, value)| value.saturating_mul(at(uid))))
}
