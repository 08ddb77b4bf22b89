//! A crown: who holds it is beaten only by evidence that would convince anybody at any time.
//!
//! A challenger must lower the holder's loss by a fraction ε that shrinks while the holder reigns, so
//! that a copy never gets there and a latecomer is not taxed for ever. The lead is a stream of bets
//! ([`EProcess`]); the crown falls when the bettor's wealth reaches `challengers` / `alpha`, so that
//! over a whole reign, however often one looks, P(it falls to anybody who is not better by ε) ≤
//! `alpha` (Ville, and a union over the challengers).

use serde::{Deserialize, Serialize};

use crate::estimators::{EProcess, ParameterError, Wealth, within};
use crate::evidence::{Margin, MarginError};

/// A fraction that falls in a straight line from `from` to `to` over `epochs`, and stays there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decay {
    /// At age 0.
    pub from: f64,
    /// From age `epochs` on.
    pub to: f64,
    /// How long it falls.
    pub epochs: u32,
}

impl Decay {
    /// The fraction at an age in epochs.
    pub fn at(self, age: u64) -> f64 {
        let age = u32::try_from(age).unwrap_or(u32::MAX).min(self.epochs);
        let fallen = f64::from(age) / f64::from(self.epochs.max(1));
        self.from + (self.to - self.from) * if self.epochs == 0 { 1.0 } else { fallen }
    }
}

/// What it takes to win the crown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crown {
    /// Probability that a reign ever ends by chance.
    pub alpha: f64,
    /// Most challengers of one reign: the slots of the subnet.
    pub challengers: u32,
    /// Fraction of the holder's loss that must be gained, by the reign's age.
    pub epsilon: Decay,
    /// Difference that is staked whole, as a fraction of the holder's loss.
    pub scale: f64,
}

impl Crown {
    /// Whether the parameters make sense.
    pub fn check(&self) -> Result<(), ParameterError> {
        let Decay { from, to, .. } = self.epsilon;
        let (alpha, scale) = (self.alpha, self.scale);
        let positive = alpha > 0.0 && alpha < 1.0;
        within("crown", "alpha", alpha, positive, "a number between 0 and 1")?;
        let some = self.challengers > 0;
        within("crown", "challengers", self.challengers.into(), some, "at least 1")?;
        let descends = to > 0.0 && to <= from;
        within("crown", "epsilon.to", to, descends, "above 0 and at most `from`")?;
        within("crown", "epsilon.from", from, from < 1.0, "a number below 1")?;
        within("crown", "scale", scale, scale > 0.0 && scale <= 1.0, "a number within (0, 1]")
    }

    /// ln of the wealth at which the crown falls, nats.
    pub fn falls_at(&self) -> f64 {
        libm::log(f64::from(self.challengers) / self.alpha)
    }

    /// A challenger's bet outcome on one batch, from the two losses (any unit, the same).
    pub fn margin(&self, age: u64, holder: f64, challenger: f64) -> Result<Margin, MarginError> {
        let lead = holder * (1.0 - self.epsilon.at(age)) - challenger;
        Margin::clipped(lead, holder * self.scale)
    }

    /// Takes a batch into a challenger's wealth.
    pub fn bet(&self, wealth: &mut Wealth, margin: Margin) {
        EProcess { alpha: self.alpha }.observe(wealth, margin);
    }

    /// Whether a challenger's wealth ever reached what the crown falls at.
    pub fn falls_to(&self, wealth: &Wealth) -> bool {
        wealth.peak >= self.falls_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWN: Crown = Crown {
        alpha: 0.05,
        challengers: 256,
        epsilon: Decay { from: 0.03, to: 0.003, epochs: 90 },
        scale: 0.1,
    };

    #[test]
    fn epsilon_falls_with_the_reign_and_then_stays() {
        let at = |age| CROWN.epsilon.at(age);
        assert!((at(0) - 0.03).abs() < 1e-15 && (at(45) - 0.0165).abs() < 1e-15);
        assert!((at(90) - 0.003).abs() < 1e-15 && (at(u64::MAX) - 0.003).abs() < 1e-15);
    }

    #[test]
    fn a_copy_loses_every_bet() {
        assert!(CROWN.margin(1_000, 2.0, 2.0).unwrap().get() < 0.0);
    }

    #[test]
    fn a_loss_that_is_no_number_is_no_bet() {
        assert!(CROWN.margin(0, 2.0, f64::NAN).is_err());
        assert!(CROWN.margin(0, 0.0, 0.0).is_err());
    }
}
