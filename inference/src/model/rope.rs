//! The rotary embedding's angles.

use super::Segment;
use crate::config::{Config, RopeScaling};

/// Frequencies of the rotary embedding, one for each pair of a head's elements.
#[derive(Debug)]
pub(crate) struct Rope {
    frequencies: Vec<f64>,
}

impl Rope {
    pub(crate) fn new(config: &Config) -> Self {
        let pairs = 0..config.head_dim / 2;
        Self { frequencies: pairs.map(|pair| frequency(config, pair)).collect() }
    }

    /// Angles of every token of a pass.
    pub(super) fn turns(&self, segments: &[Segment<'_>]) -> Turns {
        let (cos, sin) = self.of(segments);
        Turns { cos, sin, half: self.frequencies.len() }
    }

    /// Cosines and sines of every token of a pass, each `[tokens, head_dim/2]`.
    pub(super) fn of(&self, segments: &[Segment<'_>]) -> (Vec<f32>, Vec<f32>) {
        self.angles(segments.iter().flat_map(|s| s.start..s.start + s.tokens.len()))
    }

    /// Cosines and sines of positions 0 to `positions`, each `[positions, head_dim/2]`.
    #[cfg(feature = "cuda")]
    pub(crate) fn table(&self, positions: usize) -> (Vec<f32>, Vec<f32>) {
        self.angles(0..positions)
    }

    /// In f64 by fdlibm's functions and rounded once: the same numbers everywhere.
    fn angles(&self, positions: impl Iterator<Item = usize>) -> (Vec<f32>, Vec<f32>) {
        let angles = positions.flat_map(|position| {
            #[expect(clippy::cast_precision_loss, reason = "contexts stay below 2⁵³")]
            self.frequencies.iter().map(move |f| position as f64 * f)
        });
        #[expect(clippy::cast_possible_truncation, reason = "rotation is in f32")]
        let pairs = angles.map(|a| (libm::cos(a) as f32, libm::sin(a) as f32)).unzip();
        pairs
    }
}

/// Cosines and sines of a pass, `[tokens, head_dim/2]`.
pub(super) struct Turns {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Turns {
    pub(super) fn of(&self, row: usize) -> (&[f32], &[f32]) {
        let range = row * self.half..(row + 1) * self.half;
        (&self.cos[range.clone()], &self.sin[range])
    }
}

#[expect(clippy::cast_precision_loss, reason = "head widths are small")]
fn frequency(config: &Config, pair: usize) -> f64 {
    let exponent = -2.0 * pair as f64 / config.head_dim as f64;
    let frequency = libm::pow(config.rope_theta, exponent);
    config.rope_scaling.map_or(frequency, |scaling| stretched(frequency, scaling))
}

/// Llama 3.1: long wavelengths slowed by `factor`, short ones kept, a linear blend between.
fn stretched(frequency: f64, scaling: RopeScaling) -> f64 {
    let turns = scaling.original_max_position_embeddings * frequency / std::f64::consts::TAU;
    let RopeScaling { factor, low_freq_factor: low, high_freq_factor: high, .. } = scaling;
    let blend = ((turns - low) / (high - low)).clamp(0.0, 1.0);
    frequency * (blend + (1.0 - blend) / factor)
}
