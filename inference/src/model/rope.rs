//! The rotary embedding's angles.

use super::Segment;
use crate::config::{Config, LayerRope, RopeScaling};

/// Frequencies of the rotary embedding, one for each pair of a head's rotated elements.
#[derive(Debug)]
pub(crate) struct Rope {
    global: Vec<f64>,
    /// Factor of the global frequencies' cosines and sines.
    attention: f64,
    local: Vec<f64>,
    plain: Vec<f64>,
}

impl Rope {
    pub(crate) fn new(config: &Config) -> Self {
        let theta = config.rope_theta;
        let uses = |rope: LayerRope| config.parts.kinds.iter().any(|kind| kind.rope == rope);
        let scaling = config.rope_scaling.as_ref();
        let table = |theta: f64, scaling: Option<&RopeScaling>, is_used: bool| {
            let pairs = if is_used { config.parts.rotated / 2 } else { 0 };
            (0..pairs).map(|pair| frequency(theta, scaling, pair, pairs)).collect()
        };
        Self {
            global: table(theta, scaling, true),
            attention: scaling.map_or(1.0, RopeScaling::attention),
            local: table(config.parts.local_theta, None, uses(LayerRope::Local)),
            plain: table(theta, None, uses(LayerRope::Plain)),
        }
    }

    /// Angles of every token of a pass.
    pub(super) fn turns(&self, segments: &[Segment<'_>]) -> Turns {
        let table = |frequencies: &[f64], factor: f64| {
            let (cos, sin) = angles(frequencies, factor, positions(segments));
            Table { cos, sin, half: frequencies.len() }
        };
        Turns {
            global: table(&self.global, self.attention),
            local: table(&self.local, 1.0),
            plain: table(&self.plain, 1.0),
        }
    }

    /// Cosines and sines of every token of a pass, each `[tokens, rotated/2]`, where all layers rotate
    /// alike.
    pub(super) fn of(&self, segments: &[Segment<'_>]) -> (Vec<f32>, Vec<f32>) {
        angles(&self.global, self.attention, positions(segments))
    }

    /// Cosines and sines of positions 0 to `positions`, each `[positions, rotated/2]`.
    #[cfg(feature = "cuda")]
    pub(crate) fn table(&self, positions: usize) -> (Vec<f32>, Vec<f32>) {
        angles(&self.global, self.attention, 0..positions)
    }
}

fn positions(segments: &[Segment<'_>]) -> impl Iterator<Item = usize> {
    segments.iter().flat_map(|s| s.start..s.start + s.tokens.len())
}

/// In f64 by fdlibm's functions and rounded once: the same numbers everywhere.
fn angles(
    frequencies: &[f64],
    factor: f64,
    positions: impl Iterator<Item = usize>,
) -> (Vec<f32>, Vec<f32>) {
    let angles = positions.flat_map(|position| {
        #[expect(clippy::cast_precision_loss, reason = "contexts stay below 2⁵³")]
        frequencies.iter().map(move |f| position as f64 * f)
    });
    #[expect(clippy::cast_possible_truncation, reason = "rotation is in f32")]
    let pair = |a: f64| ((libm::cos(a) * factor) as f32, (libm::sin(a) * factor) as f32);
    angles.map(pair).unzip()
}

/// Cosines and sines of a pass.
pub(super) struct Turns {
    global: Table,
    local: Table,
    plain: Table,
}

/// `[tokens, rotated/2]`.
struct Table {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Turns {
    /// Cosines and sines for a row of a layer that rotates like `rope`; none where it does not.
    pub(super) fn of(&self, rope: LayerRope, row: usize) -> (&[f32], &[f32]) {
        let table = match rope {
            LayerRope::Global => &self.global,
            LayerRope::Local => &self.local,
            LayerRope::Plain => &self.plain,
            LayerRope::None => return (&[], &[]),
        };
        let range = row * table.half..(row + 1) * table.half;
        (&table.cos[range.clone()], &table.sin[range])
    }
}

#[expect(clippy::cast_precision_loss, reason = "head widths are small")]
fn frequency(theta: f64, scaling: Option<&RopeScaling>, pair: usize, pairs: usize) -> f64 {
    let exponent = -2.0 * pair as f64 / (2 * pairs) as f64;
    let frequency = libm::pow(theta, exponent);
    scaling.map_or(frequency, |scaling| scaling.stretch(theta, pair, pairs, frequency))
}
