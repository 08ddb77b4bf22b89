//! From a file's bits to a class's bits.

use candle_core::{
    Device,
    quantized::{GgmlDType, QStorage, QTensor},
};
use half::{bf16, f16};
use sha2::{Digest, Sha256};

use super::{LoadError, Stored, StoredType};
use crate::NumericClass;

/// How a matrix's values are stored once loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    F32,
    Bf16,
    /// Blocks of 32 as GGML lays them out: f16 scale, 32 signed bytes.
    Q8_0,
    /// f16 scale, f16 minimum, 16 bytes: element `i` in the low half of byte `i`, `i + 16` in the high.
    Q4_1,
    /// f16 scale, 16 bytes as in `Q4_1`.
    Q4_0,
}

/// Weights that share a scale.
pub(crate) const BLOCK: usize = 32;

impl Format {
    /// The storage of a layer's matrices in `class`.
    pub(crate) const fn of_layer(class: NumericClass) -> Self {
        match class {
            NumericClass::F32 => Self::F32,
            NumericClass::Bf16 => Self::Bf16,
            NumericClass::Q8_0Block32 => Self::Q8_0,
            NumericClass::Q4_1Block32 => Self::Q4_1,
            NumericClass::Q4_0Block32 => Self::Q4_0,
        }
    }

    /// The storage of the embedding and the head: words keep eight bits in the 4-bit classes.
    pub(crate) const fn of_words(class: NumericClass) -> Self {
        match class {
            NumericClass::Q4_1Block32 | NumericClass::Q4_0Block32 => Self::Q8_0,
            other => Self::of_layer(other),
        }
    }

    /// The storage of norms and biases.
    pub(crate) const fn of_vector(class: NumericClass) -> Self {
        match class {
            NumericClass::Bf16 => Self::Bf16,
            _ => Self::F32,
        }
    }

    /// Bytes of a block of 32, for the block formats.
    pub(crate) const fn block_bytes(self) -> Option<usize> {
        match self {
            Self::F32 | Self::Bf16 => None,
            Self::Q8_0 => Some(34),
            Self::Q4_1 => Some(20),
            Self::Q4_0 => Some(18),
        }
    }

    /// Bytes of a matrix; `None` where blocks do not divide its width.
    pub(crate) const fn bytes(self, rows: usize, cols: usize) -> Option<usize> {
        match self {
            Self::F32 => Some(rows * cols * 4),
            Self::Bf16 => Some(rows * cols * 2),
            Self::Q8_0 | Self::Q4_1 | Self::Q4_0 => match self.block_bytes() {
                Some(block) if cols.is_multiple_of(BLOCK) => Some(rows * (cols / BLOCK) * block),
                _ => None,
            },
        }
    }

    const fn tag(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q4_1 => "q4_1",
            Self::Q4_0 => "q4_0",
        }
    }

    /// True where `stored` already holds these bits.
    fn is(self, stored: StoredType) -> bool {
        matches!(
            (self, stored),
            (Self::F32, StoredType::F32)
                | (Self::Bf16, StoredType::Bf16)
                | (Self::Q8_0, StoredType::Blocks(GgmlDType::Q8_0))
                | (Self::Q4_1, StoredType::Blocks(GgmlDType::Q4_1))
                | (Self::Q4_0, StoredType::Blocks(GgmlDType::Q4_0))
        )
    }
}

/// A matrix in a class's storage, row-major, little-endian: what the digest covers.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) format: Format,
    pub(crate) bytes: Vec<u8>,
}

impl Encoded {
    /// Brings a stored tensor to `format`; blocks that are in it already are kept bit for bit.
    pub(crate) fn new(name: &str, stored: Stored, format: Format) -> Result<Self, LoadError> {
        let Stored { rows, cols, dtype, .. } = stored;
        let not_finite = || LoadError::NotFinite { name: name.to_owned() };
        if format.is(dtype) {
            let encoded = Self { rows, cols, format, bytes: stored.bytes };
            return if encoded.is_finite() { Ok(encoded) } else { Err(not_finite()) };
        }
        let values = values(name, stored)?;
        if values.iter().any(|v| !v.is_finite()) {
            return Err(not_finite());
        }
        let (blocks, _) = values.as_chunks::<BLOCK>();
        let bytes = match format {
            Format::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Format::Bf16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
            Format::Q8_0 => blocks.iter().flat_map(quantise::q8_0).collect(),
            Format::Q4_1 => blocks.iter().flat_map(quantise::q4_1).collect(),
            Format::Q4_0 => blocks.iter().flat_map(quantise::q4_0).collect(),
        };
        Ok(Self { rows, cols, format, bytes })
    }

    fn is_finite(&self) -> bool {
        let Some(size) = self.format.block_bytes() else {
            return if self.format == Format::Bf16 {
                let bits = self.bytes.as_chunks::<2>().0.iter();
                bits.fold(true, |all, b| all & bf16::from_le_bytes(*b).is_finite())
            } else {
                let bits = self.bytes.as_chunks::<4>().0.iter();
                bits.fold(true, |all, b| all & f32::from_le_bytes(*b).is_finite())
            };
        };
        let scales = size - self.format.payload();
        self.bytes.chunks_exact(size).all(|block| {
            block[..scales].as_chunks::<2>().0.iter().all(|b| f16::from_le_bytes(*b).is_finite())
        })
    }

    /// Appends another matrix's rows: fused projections.
    pub(crate) fn stack(&mut self, below: &Self) {
        self.rows += below.rows;
        self.bytes.extend_from_slice(&below.bytes);
    }

    /// Row `row` as f32.
    pub(crate) fn decode_row(&self, row: usize, out: &mut [f32]) {
        let stride = self.bytes.len() / self.rows;
        let bytes = &self.bytes[row * stride..][..stride];
        match self.format {
            Format::F32 => {
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *out = f32::from_le_bytes(*bytes);
                }
            }
            Format::Bf16 => {
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *out = bf16::from_le_bytes(*bytes).to_f32();
                }
            }
            Format::Q8_0 | Format::Q4_1 | Format::Q4_0 => {
                let size = self.format.block_bytes().unwrap_or(1);
                for (out, block) in out.chunks_mut(BLOCK).zip(bytes.chunks_exact(size)) {
                    Block::read(self.format, block).values(out);
                }
            }
        }
    }

    /// All values of a one-row tensor.
    pub(crate) fn into_vector(self) -> Vec<f32> {
        let mut out = vec![0.0; self.cols];
        self.decode_row(0, &mut out);
        out
    }

    /// Adds this tensor to a model's digest: name, storage, shape and values.
    pub(crate) fn digest_into(&self, name: &str, digest: &mut Sha256) {
        digest.update(name.as_bytes());
        digest.update([0]);
        digest.update(self.format.tag().as_bytes());
        digest.update([0]);
        digest.update((self.rows as u64).to_le_bytes());
        digest.update((self.cols as u64).to_le_bytes());
        digest.update(&self.bytes);
    }
}

/// One block of 32 weights: `scale·(code − offset) + minimum`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) scale: f16,
    pub(crate) minimum: f16,
    /// What is subtracted from a code; 128 for bytes, which are stored as unsigned codes.
    pub(crate) offset: u8,
    pub(crate) codes: [u8; BLOCK],
}

impl Block {
    /// Decodes `bytes`, of [`Format::block_bytes`].
    pub(crate) fn read(format: Format, bytes: &[u8]) -> Self {
        let half = |at: usize| f16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let payload = &bytes[bytes.len() - format.payload()..];
        let codes = std::array::from_fn(|i| match format {
            Format::Q4_0 | Format::Q4_1 if i < BLOCK / 2 => payload[i] & 0x0f,
            Format::Q4_0 | Format::Q4_1 => payload[i - BLOCK / 2] >> 4,
            // −128..=127 to 0..=255.
            _ => payload[i] ^ 0x80,
        });
        let minimum = if format == Format::Q4_1 { half(2) } else { f16::ZERO };
        let offset = match format {
            Format::Q4_1 => 0,
            Format::Q4_0 => 8,
            _ => 128,
        };
        Self { scale: half(0), minimum, offset, codes }
    }

    fn values(&self, out: &mut [f32]) {
        let (scale, minimum) = (self.scale.to_f32(), self.minimum.to_f32());
        for (out, &code) in out.iter_mut().zip(&self.codes) {
            let code = i16::from(code) - i16::from(self.offset);
            *out = scale.mul_add(f32::from(code), minimum);
        }
    }
}

impl Format {
    /// Bytes of a block's codes.
    const fn payload(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q4_1 => BLOCK / 2,
            _ => BLOCK,
        }
    }
}

/// Rounding of 32 weights to a block, as GGML's reference does it.
mod quantise {
    use half::f16;

    use super::BLOCK;

    /// `scale = max|w| / 127`.
    pub(super) fn q8_0(weights: &[f32; BLOCK]) -> Vec<u8> {
        let most = weights.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
        let scale = most / 127.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        #[expect(clippy::cast_possible_truncation, reason = "within −127..=127")]
        let codes = weights.iter().map(|w| (w * inverse).round() as i8);
        let scale = f16::from_f32(scale).to_le_bytes();
        scale.into_iter().chain(codes.flat_map(i8::to_le_bytes)).collect()
    }

    /// `scale = (max − min) / 15`, `minimum = min`.
    pub(super) fn q4_1(weights: &[f32; BLOCK]) -> Vec<u8> {
        let least = weights.iter().copied().fold(f32::INFINITY, f32::min);
        let most = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let scale = (most - least) / 15.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        let halves = [f16::from_f32(scale), f16::from_f32(least)];
        halves
            .into_iter()
            .flat_map(f16::to_le_bytes)
            .chain(nibbles(weights, |w| (w - least).mul_add(inverse, 0.5)))
            .collect()
    }

    /// `scale = w / −8` of the weight of largest magnitude.
    pub(super) fn q4_0(weights: &[f32; BLOCK]) -> Vec<u8> {
        let most =
            weights.iter().fold(0.0_f32, |most, &w| if w.abs() > most.abs() { w } else { most });
        let scale = most / -8.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        let bytes = f16::from_f32(scale).to_le_bytes();
        bytes.into_iter().chain(nibbles(weights, |w| w.mul_add(inverse, 8.5))).collect()
    }

    /// Codes `⌊code(w)⌋` in 0..=15, two a byte.
    fn nibbles(weights: &[f32; BLOCK], code: impl Fn(f32) -> f32) -> impl Iterator<Item = u8> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0..=15"
        )]
        let codes = weights.map(|w| code(w).clamp(0.0, 15.0) as u8);
        (0..BLOCK / 2).map(move |i| codes[i] | codes[i + BLOCK / 2] << 4)
    }
}

/// A stored tensor's values as f32: exact for every type but those wider than f32, which no
/// checkpoint uses.
fn values(name: &str, stored: Stored) -> Result<Vec<f32>, LoadError> {
    let Stored { rows, cols, dtype, bytes } = stored;
    Ok(match dtype {
        StoredType::F32 => {
            bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
        }
        StoredType::F16 => {
            bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
        }
        StoredType::Bf16 => {
            bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
        }
        StoredType::Blocks(dtype) => dequantise(rows, cols, dtype, bytes)
            .map_err(|source| LoadError::Decode { name: name.to_owned(), source })?,
    })
}

fn dequantise(
    rows: usize,
    cols: usize,
    dtype: GgmlDType,
    bytes: Vec<u8>,
) -> candle_core::Result<Vec<f32>> {
    let storage = QStorage::from_data(bytes.into(), &Device::Cpu, dtype)?;
    QTensor::new(storage, (rows, cols))?.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()
}
