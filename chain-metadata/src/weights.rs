//! A weight vector as the chain takes it.

use serde::{Deserialize, Serialize};

use crate::Uid;

/// What one validator pays whom: uids ascending and distinct, the largest value `u16::MAX`,
/// none zero, never empty.
///
/// Ascending because liquid alpha walks a submitted row in order and gives an unsorted one other
/// bonds than its sorted twin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(Uid, u16)>", into = "Vec<(Uid, u16)>")]
pub struct Weights(Vec<(Uid, u16)>);

/// Why shares are not weights.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// NaN or infinite.
    #[error("the share of uid {uid} is {share}, which is no number to pay by")]
    NotFinite {
        /// Whose share.
        uid: Uid,
        /// NaN or ±∞.
        share: f64,
    },
    /// Less than nothing.
    #[error("the share of uid {uid} is {share}, below zero")]
    Negative {
        /// Whose share.
        uid: Uid,
        /// The share.
        share: f64,
    },
    /// The same uid twice.
    #[error("uid {uid} has two shares")]
    Duplicate {
        /// Which.
        uid: Uid,
    },
    /// A stored row that is not a valid vector (on deserialising).
    #[error("a stored row is not ascending with largest value {}: {what}", u16::MAX)]
    Row {
        /// What is wrong with it.
        what: &'static str,
    },
}

impl Weights {
    /// Weights in proportion to shares: each is `round(share / largest × 65535)`, ties to even,
    /// as the Python SDK's `normalize` does; those that round to zero are dropped.
    ///
    /// `None` when there is nothing to pay (no shares, or all zero): no data is no submission,
    /// never equal weights for all.
    pub fn from_shares(shares: &[(Uid, f64)]) -> Result<Option<Self>, WeightsError> {
        let shares = checked(shares)?;
        let largest = shares.iter().map(|&(_, share)| share).fold(0.0, f64::max);
        if largest <= 0.0 {
            return Ok(None);
        }
        let scaled = shares.into_iter().map(|(uid, share)| (uid, scale(share, largest)));
        Ok(Some(Self(scaled.filter(|&(_, value)| value > 0).collect())))
    }

    /// Everything to one uid.
    pub fn only(uid: Uid) -> Self {
        Self(vec![(uid, u16::MAX)])
    }

    /// Pairs in ascending order of uid.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Uid, u16)> + '_ {
        self.0.iter().copied()
    }

    /// The uids, ascending.
    pub fn uids(&self) -> Vec<u16> {
        self.iter().map(|(uid, _)| uid.0).collect()
    }

    /// The values, in the order of [`Self::uids`].
    pub fn values(&self) -> Vec<u16> {
        self.iter().map(|(_, value)| value).collect()
    }

    /// How many uids are paid: at least one.
    #[expect(clippy::len_without_is_empty, reason = "weights are never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value of a uid, 0 where it is not paid.
    pub fn value_of(&self, uid: Uid) -> u16 {
        self.0.binary_search_by_key(&uid, |&(u, _)| u).map_or(0, |at| self.0[at].1)
    }
}

impl From<Weights> for Vec<(Uid, u16)> {
    fn from(weights: Weights) -> Self {
        weights.0
    }
}

impl TryFrom<Vec<(Uid, u16)>> for Weights {
    type Error = WeightsError;

    fn try_from(row: Vec<(Uid, u16)>) -> Result<Self, WeightsError> {
        if row.iter().map(|&(_, value)| value).max() != Some(u16::MAX) {
            return Err(WeightsError::Row { what: "no value is 65535" });
        }
        if row.iter().any(|&(_, value)| value == 0) {
            return Err(WeightsError::Row { what: "a value is zero" });
        }
        if row.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(WeightsError::Row { what: "uids do not ascend" });
        }
        Ok(Self(row))
    }
}

fn checked(shares: &[(Uid, f64)]) -> Result<Vec<(Uid, f64)>, WeightsError> {
    for &(uid, share) in shares {
        if !share.is_finite() {
            return Err(WeightsError::NotFinite { uid, share });
        }
        if share < 0.0 {
            return Err(WeightsError::Negative { uid, share });
        }
    }
    let mut shares = shares.to_vec();
    shares.sort_by_key(|&(uid, _)| uid);
    match shares.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(WeightsError::Duplicate { uid: pair[0].0 }),
        None => Ok(shares),
    }
}

fn scale(share: f64, largest: f64) -> u16 {
    let value = (share / largest * f64::from(u16::MAX)).round_ties_even();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 ≤ share ≤ largest, so the value is a whole number of 0..=65535"
    )]
    let value = value as u16;
    value
}
