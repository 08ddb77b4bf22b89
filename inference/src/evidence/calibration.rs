//! What honest servers look like to a verifier, measured on this machine and kept in a file.
//!
//! Thresholds are never copied from elsewhere: published ones accept FP8 weights, int8 keys and
//! values and altered prompts on the model this project measures with. A rule names the file by its
//! digest.

use std::{io::Read, path::Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    answer::Bytes32,
    reading::{Group, Reading},
    sequential::{Tail, upper_rate},
    states::Scheme,
};
use crate::{ModelId, model::is_reproducible};

/// Format of the file.
pub const CALIBRATION_FORMAT: &str = "ganglion-calibration/1";

/// Largest calibration file read; one pair takes about three kilobytes.
const MAX_CALIBRATION_BYTES: u64 = 4 << 20;

/// The honest rate of any difference between two passes of one arithmetic. Equal bits make it zero;
/// the number bounds faults of the machine, and keeps a single flipped bit from convicting anyone.
pub const EXACT_RATE: f64 = 1e-5;

/// Confidence with which a measured rate is bounded from above: 99 %.
const DELTA: f64 = 0.01;

/// What bounds are stretched by, because tokens of one answer are not independent and traffic is not
/// the calibration's prompts.
const SLACK: f64 = 1.5;

/// Quantiles of the honest numbers at which evidence is counted.
const CUTS: [f64; 4] = [0.5, 0.9, 0.99, 1.0];

/// A model in an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// What is loaded.
    pub model: ModelId,
    /// What computes.
    pub engine: String,
}

impl Side {
    /// Whether it computes the bits that `other` computes, however either batches.
    fn repeats(&self, other: &Self) -> bool {
        self == other && is_reproducible(&self.engine)
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.model.short(), self.engine)
    }
}

/// How one number is distributed over honest answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Numbers seen.
    pub samples: usize,
    /// How many were above nought.
    pub above_zero: usize,
    /// Their mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// Nine of ten lie at or below.
    pub p90: f64,
    /// Ninety-nine of a hundred.
    pub p99: f64,
    /// The largest.
    pub max: f64,
    /// Bounds on how often honest numbers exceed these cuts.
    pub tails: Vec<Tail>,
}

impl Spread {
    /// Of one arithmetic on both sides: every number is nought.
    fn exact(samples: usize) -> Self {
        let tails = vec![Tail { cut: 0.0, rate: EXACT_RATE }];
        let zero = 0.0;
        Self {
            samples,
            above_zero: 0,
            mean: zero,
            p50: zero,
            p90: zero,
            p99: zero,
            max: zero,
            tails,
        }
    }

    fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        let samples = numbers.len();
        let above = |cut: f64| samples - numbers.partition_point(|&x| x <= cut);
        let positive = &numbers[samples - above(0.0)..];
        let mut cuts: Vec<f64> = CUTS.iter().map(|&q| quantile(positive, q)).collect();
        if positive.len() < samples {
            // Where most numbers are nought, being above it is the first thing to count.
            cuts.insert(0, 0.0);
        }
        cuts.dedup();
        let tail = |cut| {
            let rate = (SLACK * upper_rate(above(cut), samples, DELTA)).min(1.0 - f64::EPSILON);
            Tail { cut, rate }
        };
        Self {
            samples,
            above_zero: above(0.0),
            mean: super::reading::mean(numbers.iter().copied()).unwrap_or(0.0),
            p50: quantile(&numbers, 0.5),
            p90: quantile(&numbers, 0.9),
            p99: quantile(&numbers, 0.99),
            max: quantile(&numbers, 1.0),
            tails: cuts.into_iter().map(tail).collect(),
        }
    }
}

/// The `q`-quantile of ascending numbers, by the nearest rank; 0 of nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "an index within the slice"
)]
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * q).round() as usize).copied().unwrap_or(0.0)
}

/// How honest answers of a server look to a verifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Who answers.
    pub server: Side,
    /// Who checks.
    pub verifier: Side,
    /// Both compute the same bits, and no difference was seen: equality is demanded.
    pub exact: bool,
    /// Honest answers read; 0 where equality is demanded unmeasured.
    pub sequences: usize,
    /// Their tokens.
    pub tokens: usize,
    /// Those with a choice.
    pub evidence_tokens: usize,
    /// Of the prompts and the draws.
    pub seed: u64,
    /// The divisor of logits.
    pub temperature: f32,
    /// How hidden states were fingerprinted.
    #[serde(default, skip_serializing_if = "Scheme::is_default")]
    pub scheme: Scheme,
    /// How far a token with a choice lies behind the seed's, in nats.
    pub margin: Spread,
    /// Mean nats between two log-probabilities, over groups of eight tokens.
    pub dlogprob: Spread,
    /// Distance of fingerprints: with sketches the relative distance of hidden states over eight tokens.
    pub fingerprint: Spread,
    /// Distance of mean surprisal and entropy, in nats, over groups of eight tokens: for servers
    /// without a seed.
    pub surprisal: Spread,
}

/// How answers are drawn and fingerprinted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// Of the prompts and the draws.
    pub seed: u64,
    /// The divisor of logits.
    pub temperature: f32,
    /// How hidden states are fingerprinted.
    pub scheme: Scheme,
}

impl Pair {
    /// Equality to the bit, without a measurement: for a verifier of the server's own class and
    /// engine. `None` where they differ, and where that engine's bits depend on more than the tokens.
    pub fn equality(server: &Side, verifier: &Side) -> Option<Self> {
        server.repeats(verifier).then(|| {
            let drawn = Drawn { seed: 0, temperature: 0.0, scheme: Scheme::default() };
            Self::of(server.clone(), verifier.clone(), drawn, &[])
        })
    }

    /// From readings of honest answers.
    pub fn of(server: Side, verifier: Side, drawn: Drawn, readings: &[Reading]) -> Self {
        let groups = || readings.iter().flat_map(|reading| &reading.groups);
        let margins: Vec<f64> = groups().flat_map(|group| group.margins.iter().copied()).collect();
        let each = |number: fn(&Group) -> Option<f64>| groups().filter_map(number).collect();
        let (dlogprobs, distances): (Vec<f64>, Vec<f64>) =
            (each(|group| group.dlogprob), each(|group| group.distance));
        let surprises = Spread::of(each(|group| Some(group.surprise)));
        let equal = [&margins, &dlogprobs, &distances].iter().all(|n| n.iter().all(|&x| x <= 0.0));
        let exact = server.repeats(&verifier) && equal;
        let spread = |numbers: Vec<f64>| {
            if exact { Spread::exact(numbers.len()) } else { Spread::of(numbers) }
        };
        Self {
            server,
            verifier,
            exact,
            sequences: readings.len(),
            tokens: readings.iter().map(|reading| reading.tokens).sum(),
            evidence_tokens: readings.iter().map(Reading::evidence_tokens).sum(),
            seed: drawn.seed,
            temperature: drawn.temperature,
            scheme: drawn.scheme,
            margin: spread(margins),
            dlogprob: spread(dlogprobs),
            fingerprint: spread(distances),
            surprisal: surprises,
        }
    }
}

/// A calibration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// [`CALIBRATION_FORMAT`].
    pub format: String,
    /// The model's name; says nothing about what it is.
    pub name: String,
    /// Every pair measured.
    pub pairs: Vec<Pair>,
}

/// A calibration file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is longer than any calibration.
    #[error("more than {MAX_CALIBRATION_BYTES} bytes: no calibration is that long")]
    TooLong,
    /// Not JSON, or not a calibration's fields.
    #[error("not a calibration: {0}")]
    Json(serde_json::Error),
    /// Another format.
    #[error("format `{found}` is not `{CALIBRATION_FORMAT}`")]
    Format {
        /// What the file says.
        found: String,
    },
    /// A bound that bounds nothing.
    #[error("a tail of {pair} has cut {cut} and rate {rate}: not a bound on a rate")]
    Tail {
        /// Which pair.
        pair: String,
        /// The cut.
        cut: f64,
        /// The rate.
        rate: f64,
    },
}

impl Calibration {
    /// An empty file for `name`.
    pub fn new(name: &str) -> Self {
        Self { format: CALIBRATION_FORMAT.to_owned(), name: name.to_owned(), pairs: Vec::new() }
    }

    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, CalibrationError> {
        let io = |source| CalibrationError::Io { path: path.display().to_string(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(io)?;
        file.take(MAX_CALIBRATION_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MAX_CALIBRATION_BYTES {
            return Err(CalibrationError::TooLong);
        }
        let read: Self = serde_json::from_slice(&bytes).map_err(CalibrationError::Json)?;
        if read.format != CALIBRATION_FORMAT {
            return Err(CalibrationError::Format { found: read.format });
        }
        for pair in &read.pairs {
            let spreads = [&pair.margin, &pair.dlogprob, &pair.fingerprint, &pair.surprisal];
            let mut tails = spreads.into_iter().flat_map(|spread| &spread.tails);
            if let Some(&Tail { cut, rate }) = tails.find(|tail| !tail.is_sound()) {
                let pair = format!("{} seen from {}", pair.server, pair.verifier);
                return Err(CalibrationError::Tail { pair, cut, rate });
            }
        }
        Ok(read)
    }

    /// Adds a pair in place of an older measurement of it.
    pub fn put(&mut self, pair: Pair) {
        let key = |pair: &Pair| (pair.server.clone(), pair.verifier.clone(), pair.scheme);
        self.pairs.retain(|old| key(old) != key(&pair));
        self.pairs.push(pair);
    }

    /// The measurement of `server` seen from `verifier` through fingerprints of `scheme`.
    pub fn pair(&self, server: &Side, verifier: &Side, scheme: Scheme) -> Option<&Pair> {
        let key = (server, verifier, scheme);
        self.pairs.iter().find(|pair| (&pair.server, &pair.verifier, pair.scheme) == key)
    }

    /// SHA-256 of the contents: what a rule names.
    ///
    /// # Errors
    /// Where a number is not finite, which no measurement yields.
    pub fn digest(&self) -> Result<Bytes32, CalibrationError> {
        let bytes = serde_json::to_vec(self).map_err(CalibrationError::Json)?;
        Ok(Bytes32(Sha256::digest(&bytes).into()))
    }
}
