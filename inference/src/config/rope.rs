//! Stretches of the rotary frequencies, as `transformers` and llama.cpp compute them.

use super::ConfigError;

/// How frequencies are changed for contexts longer than those first trained on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Every frequency divided by a factor.
    Linear(f64),
    /// Llama 3.1: long wavelengths slowed, short ones kept, a blend between.
    Llama3 {
        /// How much the low frequencies are slowed.
        factor: f64,
        /// Wavelengths longer than `original / low` are slowed in full.
        low: f64,
        /// Wavelengths shorter than `original / high` are left alone.
        high: f64,
        /// Context length of the original training.
        original: f64,
    },
    /// Peng et al., *`YaRN`*, 2023: as Llama 3.1's by the index of the pair, and attention sharpened.
    Yarn {
        /// How much the low frequencies are slowed.
        factor: f64,
        /// Context length of the original training.
        original: f64,
        /// Pairs that turn more often than this over it are left alone.
        fast: f64,
        /// Pairs that turn less often than this are slowed in full.
        slow: f64,
        /// Whether the bounds are rounded to whole pairs.
        whole: bool,
        /// Factor of cosines and sines.
        attention: f64,
    },
    /// A divisor for each pair of a head's rotated elements.
    Divisors {
        /// The divisors.
        divisors: Vec<f64>,
        /// Factor of cosines and sines.
        attention: f64,
    },
}

impl RopeScaling {
    pub(super) fn check(&self, rotated: usize) -> Result<(), ConfigError> {
        let numbers: Vec<f64> = match self {
            Self::Linear(factor) => vec![*factor],
            Self::Llama3 { factor, low, high, original } => {
                let range = if high > low { *low } else { f64::NAN };
                vec![*factor, range, *high, *original]
            }
            Self::Yarn { factor, original, fast, slow, attention, .. } => {
                vec![*factor, *original, *fast, *slow, *attention]
            }
            Self::Divisors { divisors, attention } => {
                if divisors.len() != rotated / 2 {
                    let (field, value) = ("rope factor count", divisors.len());
                    return Err(ConfigError::Dimension { field, value });
                }
                divisors.iter().copied().chain([*attention]).collect()
            }
        };
        match numbers.iter().find(|value| !(value.is_finite() && **value > 0.0)) {
            Some(&value) => {
                Err(ConfigError::Number { field: "a number of the rope scaling", value })
            }
            None => Ok(()),
        }
    }

    /// Factor of cosines and sines, which sharpens attention by its square.
    pub const fn attention(&self) -> f64 {
        match self {
            Self::Linear(_) | Self::Llama3 { .. } => 1.0,
            Self::Yarn { attention, .. } | Self::Divisors { attention, .. } => *attention,
        }
    }

    pub(super) fn scales_attention(&self) -> bool {
        (self.attention() - 1.0).abs() > 0.0
    }

    /// The frequency of pair `pair` of `pairs`, whose unscaled one is `frequency`.
    #[expect(clippy::cast_precision_loss, reason = "head widths are small")]
    pub(crate) fn stretch(&self, theta: f64, pair: usize, pairs: usize, frequency: f64) -> f64 {
        match self {
            Self::Linear(factor) => frequency / factor,
            Self::Llama3 { factor, low, high, original } => {
                let turns = original * frequency / std::f64::consts::TAU;
                let blend = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                frequency * (blend + (1.0 - blend) / factor)
            }
            Self::Yarn { factor, original, fast, slow, whole, .. } => {
                let width = 2.0 * pairs as f64;
                let index = |turns: f64| {
                    let wavelength = original / (turns * std::f64::consts::TAU);
                    width * libm::log(wavelength) / (2.0 * libm::log(theta))
                };
                let (low, high) = (index(*fast), index(*slow));
                let (low, high) = if *whole { (low.floor(), high.ceil()) } else { (low, high) };
                let (low, high) = (low.max(0.0), high.min(width - 1.0));
                let span = if (high - low).abs() > 0.0 { high - low } else { 0.001 };
                let kept = 1.0 - ((pair as f64 - low) / span).clamp(0.0, 1.0);
                frequency * (kept + (1.0 - kept) / factor)
            }
            Self::Divisors { divisors, .. } => {
                frequency / divisors.get(pair).copied().unwrap_or(1.0)
            }
        }
    }
}

/// What `YaRN` multiplies cosines and sines with by default.
pub(super) fn sharpening(factor: f64, scale: f64) -> f64 {
    if factor > 1.0 { 0.1 * scale * libm::log(factor) + 1.0 } else { 1.0 }
}
