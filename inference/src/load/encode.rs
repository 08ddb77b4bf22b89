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
}

impl Format {
    /// The storage of a layer's matrices in `class`.
    pub(crate) const fn of(class: NumericClass) -> Self {
        match class {
            NumericClass::Bf16 => Self::Bf16,
            _ => Self::F32,
        }
    }

    const fn tag(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
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
    /// Brings a stored tensor to `format`.
    pub(crate) fn new(name: &str, stored: Stored, format: Format) -> Result<Self, LoadError> {
        let Stored { rows, cols, .. } = stored;
        let values = values(name, stored)?;
        if values.iter().any(|v| !v.is_finite()) {
            return Err(LoadError::NotFinite { name: name.to_owned() });
        }
        let bytes = match format {
            Format::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Format::Bf16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
        };
        Ok(Self { rows, cols, format, bytes })
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
