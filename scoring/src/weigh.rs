//! From shares of hotkeys to the weights that the chain takes.
//!
//! NaN and infinities end here as an error; "nobody showed anything" ends as `None`, which is no
//! submission, never equal weights for all.

use chain_metadata::{Hotkey, Uid, Weights, WeightsError};
use serde::{Deserialize, Serialize};

use crate::pay::{ROUNDING, Shape, WorthError};

/// What happens to emission that nobody earned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burn {
    /// Share that is burned whatever the miners earn, within 0..=1.
    #[serde(default)]
    pub always: f64,
    /// Whether everything is burned when evidence exists and nobody earned anything; otherwise no
    /// weights are set then.
    #[serde(default)]
    pub unearned: bool,
}

/// Somebody who could be paid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Payee {
    /// Who.
    pub hotkey: Hotkey,
    /// Its slot now; `None` where it is not registered any more.
    pub uid: Option<Uid>,
    /// What it is worth: [`Assessment::score`](crate::book::Assessment::score).
    pub worth: f64,
}

/// Shares of one, by uid and burned.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Paid shares, ascending by uid; those of 0 are kept, for tables.
    pub paid: Vec<(Uid, f64)>,
    /// Share that nobody gets.
    pub burned: f64,
}

/// Why there are no weights although there should be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WeighError {
    /// A worth that is NaN, infinite or below zero.
    #[error("{hotkey}: {source}")]
    Worth {
        /// Whose.
        hotkey: Hotkey,
        /// What it was.
        source: WorthError,
    },
    /// A share is to be burned, and the subnet has nobody to burn through.
    #[error("{burned} of the emission is to be burned, but the burn hotkey has no uid")]
    NoBurnUid {
        /// How much.
        burned: f64,
    },
    /// The chain's own conditions.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// What each payee gets; `None` when nobody earned anything and the rule does not burn it.
///
/// Those without a uid get nothing, and their share goes to the others.
pub fn shares(payees: &[Payee], shape: &Shape, burn: Burn) -> Result<Option<Shares>, WeighError> {
    let mut present: Vec<(Uid, Payee)> =
        payees.iter().filter_map(|payee| payee.uid.map(|uid| (uid, *payee))).collect();
    present.sort_by_key(|(uid, _)| *uid);
    let worths: Vec<_> = present.iter().map(|(_, payee)| payee.worth).collect();
    let earned = shape
        .shares(&worths)
        .map_err(|source| WeighError::Worth { hotkey: present[source.payee].1.hotkey, source })?;
    let uids = present.iter().map(|(uid, _)| *uid);
    Ok(match earned {
        Some(earned) => {
            let kept = 1.0 - burn.always;
            let rest = 1.0 - earned.iter().sum::<f64>();
            let unclaimed = if rest > ROUNDING { rest } else { 0.0 };
            let paid = uids.zip(earned.into_iter().map(|share| share * kept)).collect();
            Some(Shares { paid, burned: burn.always + kept * unclaimed })
        }
        None if burn.unearned && !present.is_empty() => {
            Some(Shares { paid: uids.map(|uid| (uid, 0.0)).collect(), burned: 1.0 })
        }
        None => None,
    })
}

/// Weights of `shares`, the burned share going to `burn_uid` (the subnet owner's hotkey, whose
/// incentive the chain recycles).
pub fn weigh(shares: &Shares, burn_uid: Option<Uid>) -> Result<Option<Weights>, WeighError> {
    let mut by_uid = shares.paid.clone();
    if shares.burned > 0.0 {
        let uid = burn_uid.ok_or(WeighError::NoBurnUid { burned: shares.burned })?;
        match by_uid.iter_mut().find(|(paid, _)| *paid == uid) {
            Some((_, share)) => *share += shares.burned,
            None => by_uid.push((uid, shares.burned)),
        }
    }
    Ok(Weights::from_shares(&by_uid)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINEAR: Shape = Shape::Proportional { exponent: 1.0 };
    const KEEP: Burn = Burn { always: 0.0, unearned: false };

    fn payee(n: u8, worth: f64) -> Payee {
        Payee { hotkey: Hotkey::from_bytes([n; 32]), uid: Some(Uid(u16::from(n))), worth }
    }

    fn weights(payees: &[Payee], burn: Burn) -> Option<Vec<(Uid, u16)>> {
        let shares = shares(payees, &LINEAR, burn).unwrap()?;
        weigh(&shares, Some(Uid(0))).unwrap().map(|weights| weights.iter().collect())
    }

    #[test]
    fn the_best_gets_the_largest_weight_and_the_others_their_proportion() {
        let weights = weights(&[payee(2, 0.5), payee(1, 1.0)], KEEP);
        assert_eq!(weights, Some(vec![(Uid(1), 65_535), (Uid(2), 32_768)]));
    }

    #[test]
    fn no_data_is_no_submission() {
        assert_eq!(weights(&[], KEEP), None);
        assert_eq!(weights(&[payee(1, 0.0)], KEEP), None);
    }

    #[test]
    fn what_nobody_earned_is_burned_where_the_rule_says_so() {
        let burn = Burn { always: 0.0, unearned: true };
        assert_eq!(weights(&[payee(1, 0.0)], burn), Some(vec![(Uid(0), 65_535)]));
        assert_eq!(weights(&[], burn), None);
    }

    #[test]
    fn a_fixed_burn_leaves_the_rest_in_proportion() {
        let burn = Burn { always: 0.5, unearned: false };
        let weights = weights(&[payee(1, 1.0), payee(2, 1.0)], burn);
        assert_eq!(weights, Some(vec![(Uid(0), 65_535), (Uid(1), 32_768), (Uid(2), 32_768)]));
    }

    #[test]
    fn a_burn_without_anybody_to_burn_through_is_an_error() {
        let shares = Shares { paid: vec![], burned: 1.0 };
        assert_eq!(weigh(&shares, None), Err(WeighError::NoBurnUid { burned: 1.0 }));
    }

    #[test]
    fn a_worth_that_is_nan_is_named_by_its_hotkey() {
        let refused = shares(&[payee(1, f64::NAN)], &LINEAR, KEEP);
        assert!(matches!(
            refused,
            Err(WeighError::Worth { hotkey, .. }) if hotkey == payee(1, 0.0).hotkey
        ));
    }

    #[test]
    fn whoever_left_the_subnet_gets_nothing() {
        let gone = Payee { uid: None, ..payee(1, 1.0) };
        assert_eq!(weights(&[gone, payee(2, 0.5)], KEEP), Some(vec![(Uid(2), 65_535)]));
    }
}
