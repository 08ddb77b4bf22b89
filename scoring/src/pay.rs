//! Pay shapes: from what each is worth to what share each gets. Whatever is not paid is burned.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How worth becomes shares; declared in a rule's manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shape {
    /// Shares ∝ worth^`exponent`. Splitting one into k equal identities multiplies its pay by
    /// k^(1 − `exponent`): nothing is gained from 1 up.
    Proportional {
        /// The exponent, within 1..=8.
        exponent: f64,
    },
    /// The best `k` are paid in a linear ramp from `ramp` (first) down to 1 (last).
    TopK {
        /// How many are paid.
        k: usize,
        /// What the first earns in units of the last, at least 1.
        ramp: f64,
    },
    /// The best takes all but `runners_up`, which the others divide ∝ worth; alone, it takes all.
    Crown {
        /// Share of those after the first, within 0..=0.5.
        runners_up: f64,
    },
    /// The payees are classes, in the order of their names: each that is worth anything gets its fixed
    /// share, the rest is burned.
    Quota {
        /// Share of each class by name, within 0..=1, at most 1 together.
        classes: BTreeMap<String, f64>,
    },
}

impl Shape {
    /// Its name in a manifest.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Proportional { .. } => "proportional",
            Self::TopK { .. } => "top_k",
            Self::Crown { .. } => "crown",
            Self::Quota { .. } => "quota",
        }
    }
}

/// A parameter that makes no shape.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("pay: {parameter} is {value}, {wanted} is wanted")]
pub struct ShapeError {
    /// Which parameter.
    pub parameter: &'static str,
    /// What was given.
    pub value: f64,
    /// What would be valid.
    pub wanted: &'static str,
}

/// A worth that is no number to pay by.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("the worth of payee {payee} is {worth}: a finite number, at least 0, is wanted")]
pub struct WorthError {
    /// Index of the payee.
    pub payee: usize,
    /// Its worth.
    pub worth: f64,
}

/// Largest exponent: 0.9^8 = 0.43, so a tenth less quality already more than halves the pay.
const LARGEST_EXPONENT: f64 = 8.0;

impl Shape {
    /// Whether the parameters make sense.
    pub fn check(&self) -> Result<(), ShapeError> {
        let (parameter, value, valid, wanted) = match self {
            Self::Proportional { exponent } => {
                let valid = (1.0..=LARGEST_EXPONENT).contains(exponent);
                ("exponent", *exponent, valid, "a number within 1..=8")
            }
            Self::TopK { k: 0, .. } => ("k", 0.0, false, "at least 1"),
            Self::TopK { ramp, .. } => {
                ("ramp", *ramp, *ramp >= 1.0 && ramp.is_finite(), "a number of at least 1")
            }
            Self::Crown { runners_up } => {
                let valid = (0.0..=0.5).contains(runners_up);
                ("runners_up", *runners_up, valid, "a share within 0..=0.5")
            }
            Self::Quota { classes } => {
                let total: f64 = classes.values().sum();
                let each = classes.values().all(|share| (0.0..=1.0).contains(share));
                let valid = each && total > 0.0 && total <= 1.0 + ROUNDING;
                ("classes", total, valid, "shares within 0..=1 that sum to at most 1")
            }
        };
        if valid { Ok(()) } else { Err(ShapeError { parameter, value, wanted }) }
    }

    /// Shares of the payees, in their order: finite, at least 0, summing to 1 (to less only where a
    /// quota's class is worth nothing or its shares leave a rest); `None` when nobody is worth anything.
    pub fn shares(&self, worths: &[f64]) -> Result<Option<Vec<f64>>, WorthError> {
        let finite = |worth: f64| worth.is_finite() && worth >= 0.0;
        if let Some(payee) = worths.iter().position(|worth| !finite(*worth)) {
            return Err(WorthError { payee, worth: worths[payee] });
        }
        Ok(match self {
            Self::Proportional { exponent } => normalised(powers(worths, *exponent)),
            Self::TopK { k, ramp } => normalised(ramped(worths, *k, *ramp)),
            Self::Crown { runners_up } => crowned(worths, *runners_up),
            Self::Quota { classes } => quotas(worths, classes),
        })
    }
}

/// What floating-point sums of shares may be off by.
pub(crate) const ROUNDING: f64 = 1e-9;

/// The first of the largest worth takes 1 − `runners_up`.
fn crowned(worths: &[f64], runners_up: f64) -> Option<Vec<f64>> {
    let best = *ranked(worths).first()?;
    let mut others = worths.to_vec();
    others[best] = 0.0;
    let mut shares = match normalised(powers(&others, 1.0)) {
        Some(shares) => shares.into_iter().map(|share| share * runners_up).collect(),
        None => vec![0.0; worths.len()],
    };
    let taken: f64 = shares.iter().sum();
    shares[best] = 1.0 - taken;
    Some(shares)
}

/// Fixed shares of the classes that are worth anything; a payee beyond the classes gets nothing.
fn quotas(worths: &[f64], classes: &BTreeMap<String, f64>) -> Option<Vec<f64>> {
    let fixed = classes.values().copied().chain(std::iter::repeat(0.0));
    let shares: Vec<_> = worths
        .iter()
        .zip(fixed)
        .map(|(worth, share)| if *worth > 0.0 { share } else { 0.0 })
        .collect();
    shares.iter().any(|share| *share > 0.0).then_some(shares)
}

/// worth^exponent relative to the best, so that no power overflows or underflows to nothing.
fn powers(worths: &[f64], exponent: f64) -> Vec<f64> {
    let best = worths.iter().copied().fold(0.0, f64::max);
    worths
        .iter()
        .map(|worth| if *worth > 0.0 { libm::pow(worth / best, exponent) } else { 0.0 })
        .collect()
}

/// Payees by falling worth, ties by position; those who are worth nothing are not ranked.
fn ranked(worths: &[f64]) -> Vec<usize> {
    let mut order: Vec<_> = (0..worths.len()).filter(|payee| worths[*payee] > 0.0).collect();
    order.sort_by(|a, b| worths[*b].total_cmp(&worths[*a]).then(a.cmp(b)));
    order
}

fn ramped(worths: &[f64], k: usize, ramp: f64) -> Vec<f64> {
    let mut order = ranked(worths);
    order.truncate(k);
    let steps = order.len().saturating_sub(1).max(1);
    let mut shares = vec![0.0; worths.len()];
    for (rank, payee) in order.into_iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "ranks are far below 2^53")]
        let fallen = rank as f64 / steps as f64;
        shares[payee] = ramp + (1.0 - ramp) * fallen;
    }
    shares
}

/// Divides by the sum, taken in order; `None` when it is 0.
fn normalised(mut shares: Vec<f64>) -> Option<Vec<f64>> {
    let total: f64 = shares.iter().sum();
    if total <= 0.0 {
        return None;
    }
    for share in &mut shares {
        *share /= total;
    }
    Some(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINEAR: Shape = Shape::Proportional { exponent: 1.0 };

    #[test]
    fn proportional_pay_is_in_proportion() {
        assert_eq!(LINEAR.shares(&[1.0, 0.0, 3.0]), Ok(Some(vec![0.25, 0.0, 0.75])));
    }

    #[test]
    fn splitting_in_eight_at_exponent_1_3_halves_the_pay() {
        let shape = Shape::Proportional { exponent: 1.3 };
        let whole = shape.shares(&[1.0, 1.0]).unwrap().unwrap()[0];
        let split = shape.shares(&[1.0, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125]);
        let parts = split.unwrap().unwrap()[1..].iter().sum::<f64>();
        // 8^(1 - 1.3) = 0.5359 of the other's pay.
        assert!((parts / (1.0 - parts) - 0.535_886_731).abs() < 1e-8, "{parts} of {whole}");
    }

    #[test]
    fn the_first_of_top_k_earns_the_ramp() {
        let shape = Shape::TopK { k: 3, ramp: 2.0 };
        let shares = shape.shares(&[0.1, 0.9, 0.5, 0.7]).unwrap().unwrap();
        assert_eq!(shares, [0.0, 2.0 / 4.5, 1.0 / 4.5, 1.5 / 4.5]);
    }

    #[test]
    fn the_crown_takes_all_but_what_runners_up_divide() {
        let shape = Shape::Crown { runners_up: 0.2 };
        let shares = shape.shares(&[0.1, 0.9, 0.3]).unwrap().unwrap();
        for (share, wanted) in shares.iter().zip([0.05, 0.8, 0.15]) {
            assert!((share - wanted).abs() < 1e-12, "{shares:?}");
        }
        assert_eq!(shape.shares(&[0.0, 0.9]), Ok(Some(vec![0.0, 1.0])));
    }

    #[test]
    fn a_class_without_work_leaves_its_quota_to_be_burned() {
        let classes = [("code", 0.24), ("compute", 0.24), ("stake", 0.48)];
        let classes = classes.map(|(name, share)| (name.to_owned(), share)).into();
        let shape = Shape::Quota { classes };
        assert_eq!(shape.shares(&[5.0, 0.0, 0.1]), Ok(Some(vec![0.24, 0.0, 0.48])));
        assert_eq!(shape.shares(&[0.0, 0.0, 0.0]), Ok(None));
    }

    #[test]
    fn quotas_over_the_whole_are_refused() {
        let classes = [("a".to_owned(), 0.6), ("b".to_owned(), 0.5)].into();
        assert!(Shape::Quota { classes }.check().is_err());
    }

    #[test]
    fn nobody_worth_anything_means_no_shares() {
        assert_eq!(LINEAR.shares(&[0.0, 0.0]), Ok(None));
        assert_eq!(LINEAR.shares(&[]), Ok(None));
    }

    #[test]
    fn a_worth_that_is_no_number_is_refused_by_its_payee() {
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(LINEAR.shares(&[1.0, bad]).is_err_and(|error| error.payee == 1));
        }
    }

    #[test]
    fn the_smallest_worth_alone_still_gets_everything() {
        let shape = Shape::Proportional { exponent: 8.0 };
        assert_eq!(shape.shares(&[f64::from_bits(1), 0.0]), Ok(Some(vec![1.0, 0.0])));
    }

    #[test]
    fn an_exponent_below_one_would_pay_for_splitting() {
        assert!(Shape::Proportional { exponent: 0.5 }.check().is_err());
        assert!(Shape::Proportional { exponent: f64::NAN }.check().is_err());
    }
}
