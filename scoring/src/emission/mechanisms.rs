//! A subnet's emission over its mechanisms, and its neurons' numbers back from them.

use crate::fixed::U64F64;
use crate::yuma::EpochOutput;

/// Splits `alpha` rao over `count` mechanisms: evenly, or by `split` (parts of `u16::MAX`, one for
/// each mechanism, summing to the whole; any other split is ignored). What truncation leaves goes
/// to the first.
pub fn split(alpha: u64, count: u8, split: Option<&[u16]>) -> Vec<u64> {
    let count = usize::from(count.max(1));
    let whole = |parts: &&[u16]| {
        parts.len() == count && parts.iter().map(|part| u64::from(*part)).sum::<u64>() == WHOLE
    };
    let mut amounts: Vec<u64> = match split.filter(whole) {
        Some(parts) => parts.iter().map(|part| part_of(alpha, *part)).collect(),
        None => vec![even(alpha, count); count],
    };
    let given = amounts.iter().fold(0_u64, |sum, amount| sum.saturating_add(*amount));
    if let Some(first) = amounts.first_mut() {
        *first = first.saturating_add(alpha.saturating_sub(given));
    }
    amounts
}

/// What the parts of a split sum to.
const WHOLE: u64 = u16::MAX as u64;

fn part_of(alpha: u64, part: u16) -> u64 {
    let share = u128::from(alpha).saturating_mul(part.into()).checked_div(WHOLE.into());
    share.and_then(|share| u64::try_from(share).ok()).unwrap_or(0)
}

fn even(alpha: u64, count: usize) -> u64 {
    u64::try_from(count).ok().and_then(|count| alpha.checked_div(count)).unwrap_or(0)
}

/// A subnet's numbers from those of its mechanisms, each with the rao it divided: amounts are
/// summed, proportions weighted by rao (the first mechanism counts whole if there was nothing to
/// divide), a neuron is active or permitted if any mechanism says so. Bonds stay with the first:
/// each mechanism stores its own.
pub fn combine(mut parts: Vec<(EpochOutput, u64)>) -> Option<EpochOutput> {
    let total = parts.iter().fold(0_u64, |sum, (_, rao)| sum.saturating_add(*rao));
    let weight = |index: usize, rao: u64| match U64F64::from_num(rao).checked_div(total.into()) {
        Some(weight) => weight,
        None => U64F64::from_num(u8::from(index == 0)),
    };
    let weights: Vec<U64F64> =
        parts.iter().enumerate().map(|(index, (_, rao))| weight(index, *rao)).collect();
    let mut combined = parts.first()?.0.clone();
    for values in proportions(&mut combined) {
        values.fill(0);
    }
    for (index, ((part, _), weight)) in parts.iter_mut().zip(weights).enumerate() {
        for (sum, term) in proportions(&mut combined).into_iter().zip(proportions(part)) {
            add_weighted(sum, term, weight);
        }
        if index == 0 {
            continue;
        }
        for (sum, term) in amounts(&mut combined).into_iter().zip(amounts(part)) {
            sum.iter_mut().zip(term).for_each(|(sum, term)| *sum = sum.saturating_add(*term));
        }
        for (any, this) in flags(&mut combined).into_iter().zip(flags(part)) {
            any.iter_mut().zip(this).for_each(|(any, this)| *any |= *this);
        }
    }
    Some(combined)
}

/// `sum + term × weight`, truncated after each addition.
fn add_weighted(sums: &mut [u16], terms: &[u16], weight: U64F64) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        let term = U64F64::from_num(*term).saturating_mul(weight);
        *sum = U64F64::from_num(*sum).saturating_add(term).saturating_to_num();
    }
}

fn proportions(output: &mut EpochOutput) -> [&mut Vec<u16>; 5] {
    let EpochOutput { stake_weight, consensus, incentive, dividends, validator_trust, .. } = output;
    [stake_weight, consensus, incentive, dividends, validator_trust]
}

fn amounts(output: &mut EpochOutput) -> [&mut Vec<u64>; 3] {
    let EpochOutput { emission, server_emission, validator_emission, .. } = output;
    [emission, server_emission, validator_emission]
}

fn flags(output: &mut EpochOutput) -> [&mut Vec<bool>; 2] {
    [&mut output.active, &mut output.validator_permit]
}
