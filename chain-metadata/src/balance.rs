//! Money: TAO and a subnet's alpha, both counted in rao (10⁻⁹).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Rao in one TAO, and in one alpha.
pub const RAO_PER_UNIT: u64 = 1_000_000_000;

/// Decimal places of one unit.
const DECIMALS: usize = 9;

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmountError {
    /// Something other than digits and one dot.
    #[error("`{text}` is not a decimal amount")]
    NotDecimal {
        /// What was given.
        text: String,
    },
    /// More than nine places after the dot: less than one rao.
    #[error("`{text}` has more than nine decimal places, which is less than one rao")]
    TooFine {
        /// What was given.
        text: String,
    },
    /// Above `u64::MAX` rao.
    #[error("`{text}` is more than the chain can count")]
    TooLarge {
        /// What was given.
        text: String,
    },
}

macro_rules! amount {
    ($(#[$doc:meta])* $name:ident, $symbol:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);

            /// The amount in rao.
            pub fn rao(self) -> u64 {
                self.0
            }

            /// So many whole units; saturates at `u64::MAX` rao.
            pub const fn units(units: u64) -> Self {
                Self(units.saturating_mul(RAO_PER_UNIT))
            }

            /// The sum, or `None` above `u64::MAX` rao.
            pub fn checked_add(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).map(Self)
            }

            /// The difference, or `None` below zero.
            pub fn checked_sub(self, other: Self) -> Option<Self> {
                self.0.checked_sub(other.0).map(Self)
            }

            /// The difference, or zero.
            #[must_use]
            pub fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// The sum, or `u64::MAX` rao.
            #[must_use]
            pub fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }

        /// Whole units, a dot and nine places, then the symbol.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (whole, fraction) = (self.0 / RAO_PER_UNIT, self.0 % RAO_PER_UNIT);
                f.pad(&format!("{whole}.{fraction:09} {}", $symbol))
            }
        }

        /// A decimal number of units, such as `1.5`, exactly.
        impl FromStr for $name {
            type Err = AmountError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_rao(text).map(Self)
            }
        }
    };
}

amount! {
    /// An amount of TAO, in rao.
    Tao, "τ"
}

amount! {
    /// An amount of one subnet's alpha, in rao (10⁻⁹ alpha).
    Alpha, "α"
}

fn parse_rao(text: &str) -> Result<u64, AmountError> {
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(AmountError::NotDecimal { text: text.to_owned() });
    }
    if fraction.len() > DECIMALS {
        return Err(AmountError::TooFine { text: text.to_owned() });
    }
    let too_large = || AmountError::TooLarge { text: text.to_owned() };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_large())? };
    let fraction: u64 = format!("{fraction:0<DECIMALS$}").parse().map_err(|_| too_large())?;
    whole.checked_mul(RAO_PER_UNIT).and_then(|r| r.checked_add(fraction)).ok_or_else(too_large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_reads_back_as_written() {
        for rao in [0, 1, 999_999_999, 1_000_000_000, 1_500_000_000, u64::MAX] {
            let shown = Tao(rao).to_string();
            let number = shown.strip_suffix(" τ").unwrap();
            assert_eq!(number.parse(), Ok(Tao(rao)));
        }
    }

    #[test]
    fn a_text_that_is_no_amount_is_named() {
        for text in ["", ".", "-1", "1.0.0", "1e9", " 1"] {
            assert!(matches!(text.parse::<Tao>(), Err(AmountError::NotDecimal { .. })), "{text}");
        }
        assert!(matches!("0.0000000001".parse::<Tao>(), Err(AmountError::TooFine { .. })));
        assert!(matches!("18446744074".parse::<Tao>(), Err(AmountError::TooLarge { .. })));
    }
}
