//! Weights on a device, uploaded as they are read: the host holds one tensor at a time.

use super::{
    driver::{Address, Buffer, Device},
    kernels::HeadWidth,
    plan,
};
use crate::{
    config::Config,
    device::DeviceError,
    engine::EngineOptions,
    load::{Encoded, LoadError, Loader},
    model::{Rope, Shelf, Weights},
};

/// A model whose weights lie on a device.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(super) device: Device,
    pub(super) config: Config,
    pub(super) head_width: HeadWidth,
    pub(super) weights: Weights<Matrix, Vector>,
    pub(super) rope: Rope,
}

/// A matrix in bf16, row-major.
#[derive(Debug)]
pub(crate) struct Matrix {
    bits: Buffer<u16>,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl Matrix {
    pub(super) fn start(&self) -> Address {
        self.bits.start()
    }
}

/// A norm's weights or a bias, in f32.
#[derive(Debug)]
pub(crate) struct Vector(Buffer<f32>);

impl Vector {
    pub(super) fn start(&self) -> Address {
        self.0.start()
    }
}

/// Where a vector is, or the address that kernels take for none.
pub(super) fn address(vector: Option<&Vector>) -> Address {
    vector.map_or(Address::NULL, Vector::start)
}

/// What cannot be placed is the weights.
const WHAT: &str = "the weights";

impl Shelf for Device {
    type Matrix = Matrix;
    type Vector = Vector;

    fn matrix(&self, encoded: &Encoded) -> Result<Matrix, LoadError> {
        let bits: Vec<u16> =
            encoded.bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
        let bits = self.copy_of(WHAT, &bits)?;
        Ok(Matrix { bits, rows: encoded.rows, cols: encoded.cols })
    }

    fn vector(&self, values: Vec<f32>) -> Result<Vector, LoadError> {
        Ok(Vector(self.copy_of(WHAT, &values)?))
    }
}

impl Loaded {
    /// Opens the device. Fails before anything is read where the model can never fit.
    pub(crate) fn open(config: &Config) -> Result<Opened, DeviceError> {
        let head_width = plan::shape(config)?;
        let device = Device::open()?;
        let memory = device.memory()?;
        let needed = plan::weight_bytes(config);
        if needed > memory.free {
            let (what, free, total) = (WHAT, memory.free, memory.total);
            return Err(DeviceError::Memory { what, needed, free, total });
        }
        tracing::info!(device = device.name(), free = memory.free, "computing on CUDA");
        Ok(Opened { device, head_width })
    }

    /// What the driver calls the device.
    pub(crate) fn device_name(&self) -> &str {
        self.device.name()
    }

    /// Options that use the device's free memory.
    pub(crate) fn fitting(&self) -> Result<EngineOptions, DeviceError> {
        let free = self.device.memory()?.free;
        Ok(plan::fitting(&self.config, self.weights.layers.len(), free))
    }

    /// Weights of all matrices.
    pub(crate) fn parameters(&self) -> usize {
        self.weights.matrices().map(|matrix| matrix.rows * matrix.cols).sum()
    }
}

/// A device that is about to take a model.
#[derive(Debug)]
pub(crate) struct Opened {
    device: Device,
    head_width: HeadWidth,
}

impl Opened {
    /// Reads and uploads every tensor. `drop_layer`: leave that layer out.
    pub(crate) fn read(
        self,
        loader: &mut Loader,
        config: &Config,
        drop_layer: Option<usize>,
    ) -> Result<Loaded, LoadError> {
        let Self { device, head_width } = self;
        let mut weights = Weights::read(loader, config, &device)?;
        if let Some(layer) = drop_layer {
            weights.layers.remove(layer);
        }
        let (config, rope) = (config.clone(), Rope::new(config));
        Ok(Loaded { device, config, head_width, weights, rope })
    }
}
