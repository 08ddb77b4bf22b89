//! Ways in which a server may deviate from the model it names: what the evidence is rehearsed against.

use crate::{
    load::{Encoded, Format, LoadError, Stored, StoredType},
    sample::philox,
};

/// Something other than the named model, loaded on purpose. Its [`ModelId`](crate::ModelId) differs
/// from the honest one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deviation {
    /// Layer matrices rounded to `Q8_0`, run in the named arithmetic.
    Q8Weights,
    /// Layer matrices rounded to `Q4_0`, run in the named arithmetic.
    Q4Weights,
    /// Layer matrices rounded to FP8 (e4m3) with a scale a row, run in the named arithmetic.
    Fp8Weights,
    /// Keys and values kept as signed bytes with a scale a head.
    Int8Kv,
    /// The layer in the middle is left out.
    DroppedLayer,
    /// Every layer matrix moved by a tenth of its root mean square: a close relative's weights.
    OtherWeights,
}

/// Largest FP8 (e4m3) number.
const E4M3_MAX: f32 = 448.0;

/// Least exponent of a normal e4m3 number; below it steps no longer shrink.
const E4M3_MIN_EXPONENT: i32 = -6;

/// Key of the noise of [`Deviation::OtherWeights`].
const NOISE_KEY: [u32; 2] = [0x6f74_6865, 0x7277_6569];

/// Noise of [`Deviation::OtherWeights`], in root mean squares of the matrix.
const NOISE: f32 = 0.1;

impl Deviation {
    /// Text that sets the deviating model's digest apart even where its weights are the same.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::Q8Weights => "deviation q8",
            Self::Q4Weights => "deviation q4",
            Self::Fp8Weights => "deviation fp8",
            Self::Int8Kv => "deviation kv8",
            Self::DroppedLayer => "deviation drop",
            Self::OtherWeights => "deviation other",
        }
    }

    /// A layer's matrix as the deviating server holds it.
    pub(crate) fn matrix(self, name: &str, stored: Stored) -> Result<Stored, LoadError> {
        let (rows, cols) = (stored.rows, stored.cols);
        let rounded = |format, stored| {
            let encoded = Encoded::new(name, stored, format)?;
            let mut values = vec![0.0; rows * cols];
            for (row, values) in values.chunks_exact_mut(cols).enumerate() {
                encoded.decode_row(row, values);
            }
            Ok::<_, LoadError>(values)
        };
        let values = match self {
            Self::Q8Weights => rounded(Format::Q8_0, stored)?,
            Self::Q4Weights => rounded(Format::Q4_0, stored)?,
            Self::Fp8Weights => {
                let mut values = rounded(Format::F32, stored)?;
                values.chunks_exact_mut(cols).for_each(fp8_row);
                values
            }
            Self::OtherWeights => {
                let mut values = rounded(Format::F32, stored)?;
                shake(name, &mut values);
                values
            }
            Self::Int8Kv | Self::DroppedLayer => return Ok(stored),
        };
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Ok(Stored { rows, cols, dtype: StoredType::F32, bytes })
    }
}

/// Rounds a row to e4m3 under the scale that brings its largest element to [`E4M3_MAX`].
fn fp8_row(row: &mut [f32]) {
    let most = row.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    if most == 0.0 {
        return;
    }
    let scale = most / E4M3_MAX;
    for v in row {
        *v = e4m3(*v / scale) * scale;
    }
}

/// The nearest number of sign, 4 exponent and 3 mantissa bits, for `|x| ≤` [`E4M3_MAX`].
fn e4m3(x: f32) -> f32 {
    if x == 0.0 {
        return 0.0;
    }
    let exponent = libm::ilogbf(x).max(E4M3_MIN_EXPONENT);
    let step = libm::ldexpf(1.0, exponent - 3);
    ((x / step).round_ties_even() * step).clamp(-E4M3_MAX, E4M3_MAX)
}

/// Moves every value by uniform noise of root mean square [`NOISE`]·rms.
fn shake(name: &str, values: &mut [f32]) {
    #[expect(clippy::cast_precision_loss, reason = "a mean for a rehearsal")]
    let mean = values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
    let reach = NOISE * (3.0 * mean).sqrt();
    // FNV-1a of the name keeps the tensors' noises apart.
    let tag =
        name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    for (block, values) in (0..).zip(values.chunks_mut(4)) {
        for (v, word) in values.iter_mut().zip(philox([block, tag, 0, 0], NOISE_KEY)) {
            #[expect(clippy::cast_precision_loss, reason = "noise")]
            let unit = word as f32 / 2_147_483_648.0 - 1.0;
            *v += reach * unit;
        }
    }
}

/// Rounds each head of one token's keys or values to signed bytes.
pub(super) fn int8_heads(heads: &mut [f32], head_dim: usize) {
    for head in heads.chunks_exact_mut(head_dim) {
        let most = head.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        if most == 0.0 {
            continue;
        }
        let scale = most / 127.0;
        for v in head {
            *v = (*v / scale).round_ties_even() * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e4m3_rounds_as_the_format_does() {
        for (x, want) in [
            (1.0, 1.0),
            (1.06, 1.0),
            (1.07, 1.125),
            (-448.0, -448.0),
            (447.0, 448.0),
            (0.001_953_125, 0.001_953_125),
            (0.0009, 0.0),
            (17.1, 18.0),
            (16.9, 16.0),
        ] {
            assert_eq!(e4m3(x).to_bits(), f32::to_bits(want), "{x}");
        }
    }

    #[test]
    fn bytes_of_a_head_keep_its_largest_element() {
        let mut heads = [1.0, -0.5, 0.003, 0.0, 2.0, 2.0, 2.0, 2.0];
        int8_heads(&mut heads, 4);
        assert_eq!(heads[0].to_bits(), 1.0_f32.to_bits());
        assert!((heads[1] + 0.5).abs() < 0.005 && heads[2].abs() < 0.008);
    }
}
