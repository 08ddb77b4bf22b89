//! Shares become rao and stored proportions.

use super::standing::Standing;
use super::{Decided, EpochInput, EpochOutput};
use crate::fixed::{I32F32, ZERO, normalize_by, sum, to_u16};

/// What the epoch pays and stores.
pub(super) fn output(input: &EpochInput, standing: Standing, decided: Decided) -> EpochOutput {
    let shares = Shares::of(&standing, &decided.incentive, &decided.dividends);
    let rao = |shares: &[I32F32]| amounts(shares, input.emission);
    EpochOutput {
        stake_weight: quantize(&standing.stake),
        consensus: quantize(&decided.consensus),
        incentive: quantize(&decided.incentive),
        dividends: quantize(&decided.dividends),
        validator_trust: quantize(&decided.validator_trust),
        emission: rao(&shares.combined),
        server_emission: rao(&shares.server),
        validator_emission: rao(&shares.validator),
        stake: input.neurons.iter().map(|n| n.stake.saturating_to_num()).collect(),
        active: standing.active,
        validator_permit: standing.new_permit,
        bonds: decided.bonds,
    }
}

/// Shares of the emission by uid.
struct Shares {
    server: Vec<I32F32>,
    validator: Vec<I32F32>,
    combined: Vec<I32F32>,
}

impl Shares {
    /// Incentive and dividends over the sum of both. Where nobody earned either, stake earns:
    /// active stake if there is any.
    fn of(standing: &Standing, incentive: &[I32F32], dividends: &[I32F32]) -> Self {
        let mut server = incentive.to_vec();
        let mut validator = dividends.to_vec();
        let mut combined: Vec<I32F32> =
            incentive.iter().zip(dividends).map(|(i, d)| i.saturating_add(*d)).collect();
        let total = sum(combined.iter().copied());
        for shares in [&mut server, &mut validator, &mut combined] {
            normalize_by(shares, total);
        }
        if total == ZERO {
            let idle = sum(standing.active_stake.iter().copied()) == ZERO;
            let stake = if idle { &standing.stake } else { &standing.active_stake };
            validator.clone_from(stake);
            combined.clone_from(stake);
        }
        Self { server, validator, combined }
    }
}

/// `floor(share × rao)` of each share.
fn amounts(shares: &[I32F32], rao: u64) -> Vec<u64> {
    let amount = |share: &I32F32| {
        let bits = u128::try_from(share.to_bits()).unwrap_or(0);
        u64::try_from(bits.saturating_mul(rao.into()) >> I32F32::FRAC_NBITS).unwrap_or(u64::MAX)
    };
    shares.iter().map(amount).collect()
}

fn quantize(values: &[I32F32]) -> Vec<u16> {
    values.iter().copied().map(to_u16).collect()
}
