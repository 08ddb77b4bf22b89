//! Swaps as auditors exchange them: the JSON schema of the chain's recorded cases.

use serde::{Deserialize, Serialize};

use super::{Pool, QuoteWeight, Side, SwapError, Swapped};

/// One question; whatever else a case holds is ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    /// TAO reserve in rao.
    pub tao_reserve: u64,
    /// Alpha reserve in rao.
    pub alpha_reserve: u64,
    /// Fee, of `u16::MAX` parts of the input.
    pub fee_rate_u16: u16,
    /// Weight of TAO, of 10¹⁸ parts.
    pub quote_weight_perquintill: u64,
    /// What is swapped, in rao of either side.
    pub amount: u64,
}

/// The question with its answers.
#[derive(Debug, Clone, Serialize)]
pub struct Answered {
    /// The question.
    #[serde(flatten)]
    pub asked: Asked,
    /// TAO per alpha: raw bits of 64 fractional, in decimal.
    pub price_u64f64_bits: String,
    /// What `amount` of TAO buys.
    pub buy_alpha_with_tao: Outcome,
    /// What `amount` of alpha sells for.
    pub sell_alpha_for_tao: Outcome,
}

/// A swap or the chain's name of its refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// Done, in rao.
    Done {
        /// Into the pool, without the fee.
        amount_paid_in: u64,
        /// Out of the pool.
        amount_paid_out: u64,
        /// The fee.
        fee_paid: u64,
    },
    /// Refused.
    Refused {
        /// The error's name.
        error: String,
    },
}

/// A weight outside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("quote weight {0} leaves one side less than a hundredth")]
pub struct WeightOutOfBounds(u64);

impl Asked {
    /// Answers the question.
    ///
    /// # Errors
    /// [`WeightOutOfBounds`], which no pool on a chain has.
    pub fn answer(self) -> Result<Answered, WeightOutOfBounds> {
        let parts = self.quote_weight_perquintill;
        let quote_weight = QuoteWeight::new(parts).ok_or(WeightOutOfBounds(parts))?;
        let pool = Pool { tao: self.tao_reserve, alpha: self.alpha_reserve, quote_weight };
        let outcome = |side| Outcome::from(pool.quote(side, self.amount, self.fee_rate_u16));
        Ok(Answered {
            price_u64f64_bits: pool.price().to_bits().to_string(),
            buy_alpha_with_tao: outcome(Side::Buy),
            sell_alpha_for_tao: outcome(Side::Sell),
            asked: self,
        })
    }
}

impl From<Result<Swapped, SwapError>> for Outcome {
    fn from(swap: Result<Swapped, SwapError>) -> Self {
        match swap {
            Ok(Swapped { paid_in, paid_out, fee }) => {
                Self::Done { amount_paid_in: paid_in, amount_paid_out: paid_out, fee_paid: fee }
            }
            Err(error) => Self::Refused { error: error.name().to_owned() },
        }
    }
}
