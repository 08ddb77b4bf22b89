//! A dense decoder over packed tokens: one forward pass serves any mix of prefills and decodes.

mod decoder;
mod deviation;
mod ops;
mod rope;
mod runner;
mod tensors;
mod weights;

pub use deviation::Deviation;
pub(crate) use rope::Rope;
pub(crate) use runner::{Fault, Runner, Said, Verdict, Wanted};
#[cfg(feature = "cuda")]
pub(crate) use weights::{Layer, Shelf};
pub(crate) use weights::{Nowhere, Weights};

use std::{path::Path, sync::Arc};

use decoder::{Decoder, Packed};
use tensors::Tensors;

use crate::{
    config::Config,
    device::{Device, DeviceError},
    engine::EngineOptions,
    hub::Hub,
    id::{ModelId, NumericClass},
    kernel::{Isa, Matrix, Pool, Rounding},
    load::{self, Checkpoint, LoadError, Loader},
    source::ModelSource,
    tokenizer::Tokenizer,
};

/// How to load a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The class to run in; the file's own bits where `None`.
    pub class: Option<NumericClass>,
    /// Compute threads; [`default_threads`] where `None`.
    pub threads: Option<usize>,
    /// Load something else on purpose, to rehearse evidence against it.
    pub deviation: Option<Deviation>,
    /// Where to compute.
    pub device: Device,
}

impl LoadOptions {
    /// Loads into `class`.
    #[must_use]
    pub const fn with_class(mut self, class: NumericClass) -> Self {
        self.class = Some(class);
        self
    }

    /// Loads a deviation from the model.
    #[must_use]
    pub const fn with_deviation(mut self, deviation: Option<Deviation>) -> Self {
        self.deviation = deviation;
        self
    }

    /// Computes on `device`.
    #[must_use]
    pub const fn with_device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Computes on `threads` threads.
    #[must_use]
    pub const fn with_threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }
}

/// Compute threads unless told otherwise: one core is left to the rest of the machine, and two are
/// enough for the models that a laptop serves.
pub fn default_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.saturating_sub(1).clamp(1, 2)
}

/// A loaded model. Immutable; share it by `Arc`.
#[derive(Debug)]
pub struct Model {
    id: ModelId,
    name: String,
    config: Config,
    tokenizer: Tokenizer,
    backend: Backend,
    file_bits: NumericClass,
    notes: Vec<String>,
}

/// The kernels for processors.
const CPU_ARITHMETIC: &str = "ganglion-cpu/1";

/// The kernels for CUDA.
const CUDA_ARITHMETIC: &str = "ganglion-cuda/1";

/// Candle's operations on Metal, whose order of sums may change with the batch.
const METAL_ARITHMETIC: &str = "candle-metal/1";

/// Whether a token has the same bits decoded or prefilled, alone or beside others, by this arithmetic.
/// Nothing is known of foreign ones.
pub(crate) fn is_reproducible(arithmetic: &str) -> bool {
    [CPU_ARITHMETIC, CUDA_ARITHMETIC].contains(&arithmetic)
}

/// Where the model computes.
#[derive(Debug)]
enum Backend {
    Cpu(Arc<Decoder>),
    Metal(Arc<Tensors>),
    #[cfg(feature = "cuda")]
    Cuda(Arc<crate::cuda::Loaded>),
}

impl Model {
    /// Loads a model from `source`. A hub model is fetched first if it is not in the cache.
    ///
    /// Memory: the packed weights, plus one tensor in transit.
    pub fn load(source: &ModelSource, options: LoadOptions) -> Result<Self, LoadError> {
        match source {
            ModelSource::Tiny => Self::build(source.name(), load::tiny()?, options),
            ModelSource::Random(shape) => {
                Self::build(source.name(), load::random(*shape)?, options)
            }
            ModelSource::Path(path) => Self::open(source.name(), path, options),
            ModelSource::Hub(hub) => {
                let path = Hub::from_env()?.fetch(hub)?;
                Self::open(source.name(), &path, options)
            }
        }
    }

    fn open(name: String, path: &Path, options: LoadOptions) -> Result<Self, LoadError> {
        Self::build(name, load::open(path)?, options)
    }

    fn build(
        name: String,
        checkpoint: Checkpoint,
        options: LoadOptions,
    ) -> Result<Self, LoadError> {
        let Checkpoint { config, tokenizer, tensors, mut notes } = checkpoint;
        let file_bits = tensors.native_class();
        let class = options.device.class(options.class, file_bits);
        let mut loader = Loader::new(tensors, class, options.deviation);
        // Names and shapes first: what is missing, odd or left over is said before anything is read.
        loader.plan(|loader| Weights::read(loader, &config, &Nowhere).map(drop))?;
        let backend = Backend::read(&mut loader, &config, class, options)?;
        let id = loader.finish();
        if tokenizer.has_template()
            && let Err(error) = tokenizer.check_template()
        {
            notes.push(format!("the plainest chat does not render: {error}"));
        }
        for note in &notes {
            tracing::warn!(model = name, "{note}");
        }
        Ok(Self { id, name, config, tokenizer, backend, file_bits, notes })
    }

    /// What this model is.
    pub const fn id(&self) -> ModelId {
        self.id
    }

    /// Its name in tables; says nothing about what it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its dimensions.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Its words.
    pub const fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The class that keeps the file's own bits; the model was requantised on load where
    /// [`Model::id`] names another.
    pub const fn file_class(&self) -> NumericClass {
        self.file_bits
    }

    /// What was done on load that one should know: caps, and what of the file was passed over.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Compute threads of this machine; one drives a device.
    pub fn threads(&self) -> usize {
        match &self.backend {
            Backend::Cpu(decoder) => decoder.pool.threads(),
            Backend::Metal(_) => 1,
            #[cfg(feature = "cuda")]
            Backend::Cuda(_) => 1,
        }
    }

    /// Instruction set of the kernels.
    pub fn kernels(&self) -> &'static str {
        match &self.backend {
            Backend::Cpu(decoder) => decoder.isa.name(),
            Backend::Metal(_) => "candle-metal",
            #[cfg(feature = "cuda")]
            Backend::Cuda(_) => "cuda",
        }
    }

    /// Whose arithmetic it is, and its version: changed whenever equal inputs may give other bits.
    pub const fn arithmetic(&self) -> &'static str {
        match &self.backend {
            Backend::Cpu(_) => CPU_ARITHMETIC,
            Backend::Metal(_) => METAL_ARITHMETIC,
            #[cfg(feature = "cuda")]
            Backend::Cuda(_) => CUDA_ARITHMETIC,
        }
    }

    /// Where it computes: `cpu`, or the device's name.
    pub fn device(&self) -> &str {
        match &self.backend {
            Backend::Cpu(_) => "cpu",
            Backend::Metal(_) => "metal",
            #[cfg(feature = "cuda")]
            Backend::Cuda(loaded) => loaded.device_name(),
        }
    }

    /// Stored bits per weight over all matrices, scales included.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for display")]
    pub fn weight_bits(&self) -> f64 {
        self.weight_bytes() as f64 * 8.0 / self.parameters() as f64
    }

    /// Weights of all matrices.
    pub fn parameters(&self) -> usize {
        match &self.backend {
            Backend::Cpu(decoder) => decoder.weights.matrices().map(Matrix::weights).sum(),
            Backend::Metal(model) => model.parameters(),
            #[cfg(feature = "cuda")]
            Backend::Cuda(loaded) => loaded.parameters(),
        }
    }

    /// Bytes of keys and values that one token of a sequence takes, over all layers.
    pub fn kv_bytes_per_token(&self) -> usize {
        let number = match &self.backend {
            Backend::Cpu(_) => size_of::<f32>(),
            Backend::Metal(model) => model.number_bytes(),
            #[cfg(feature = "cuda")]
            Backend::Cuda(_) => size_of::<half::bf16>(),
        };
        2 * self.config.layers * self.config.kv_width() * number
    }

    /// Bytes of packed weights.
    pub fn weight_bytes(&self) -> usize {
        match &self.backend {
            Backend::Cpu(decoder) => decoder.weights.matrices().map(Matrix::bytes).sum(),
            Backend::Metal(model) => model.parameters() * model.number_bytes(),
            #[cfg(feature = "cuda")]
            Backend::Cuda(loaded) => loaded.parameters() * size_of::<half::bf16>(),
        }
    }

    /// Bounds of an engine that uses what the model's device has: as many keys and values as its free
    /// memory holds. On this machine's processors, the defaults.
    pub fn fitting_options(&self) -> Result<EngineOptions, DeviceError> {
        match &self.backend {
            Backend::Cpu(_) | Backend::Metal(_) => Ok(EngineOptions::default()),
            #[cfg(feature = "cuda")]
            Backend::Cuda(loaded) => loaded.fitting(),
        }
    }

    /// What the engine steps.
    pub(crate) fn runner(&self, options: EngineOptions) -> Result<Runner, DeviceError> {
        match &self.backend {
            Backend::Cpu(decoder) => Ok(Runner::host(Arc::clone(decoder), options)),
            Backend::Metal(model) => Runner::tensors(Arc::clone(model), options),
            #[cfg(feature = "cuda")]
            Backend::Cuda(loaded) => Runner::device(Arc::clone(loaded), options),
        }
    }
}

impl Backend {
    fn read(
        loader: &mut Loader,
        config: &Config,
        class: NumericClass,
        options: LoadOptions,
    ) -> Result<Self, LoadError> {
        let drop_layer =
            (options.deviation == Some(Deviation::DroppedLayer)).then_some(config.layers / 2);
        let int8_kv = options.deviation == Some(Deviation::Int8Kv);
        let tried = options.device.tries(class)?;
        let tried = match (tried, config.beyond_plain()) {
            (Device::Cpu, _) | (_, None) => tried,
            (_, Some(what)) if options.device == Device::Auto => {
                tracing::info!(what, "computing on the CPU: no device of ours computes it");
                Device::Cpu
            }
            (device, Some(what)) => return Err(DeviceError::Lacks { device, what }.into()),
        };
        match tried {
            Device::Metal => {
                let device = open_metal(int8_kv)?;
                let model = Tensors::read(loader, config, class, device, drop_layer)?;
                return Ok(Self::Metal(Arc::new(model)));
            }
            Device::Cuda => match open_cuda(config, int8_kv) {
                #[cfg(feature = "cuda")]
                Ok(device) => {
                    return Ok(Self::Cuda(Arc::new(device.read(loader, config, drop_layer)?)));
                }
                #[cfg(not(feature = "cuda"))]
                Ok(never) => match never {},
                Err(reason) if options.device == Device::Auto => {
                    tracing::info!(%reason, "computing on the CPU");
                }
                Err(error) => return Err(error.into()),
            },
            Device::Cpu | Device::Auto => {}
        }
        let mut weights = Weights::read(loader, config, &Packed)?;
        if let Some(layer) = drop_layer {
            weights.layers.remove(layer);
        }
        let threads = options.threads.unwrap_or_else(default_threads);
        let rounding = if class == NumericClass::Bf16 { Rounding::Bf16 } else { Rounding::None };
        let decoder = Decoder {
            config: config.clone(),
            weights,
            rope: Rope::new(config),
            rounding,
            isa: Isa::detect(),
            pool: Pool::new(threads).map_err(LoadError::Threads)?,
            int8_kv,
        };
        Ok(Self::Cpu(Arc::new(decoder)))
    }
}

/// The first Metal device.
fn open_metal(int8_kv: bool) -> Result<candle_core::Device, DeviceError> {
    if !cfg!(feature = "metal") {
        return Err(DeviceError::NotBuilt { device: Device::Metal });
    }
    if int8_kv {
        return Err(DeviceError::Int8Kv);
    }
    candle_core::Device::new_metal(0).map_err(|error| DeviceError::Candle(error.to_string()))
}

#[cfg(feature = "cuda")]
fn open_cuda(config: &Config, int8_kv: bool) -> Result<crate::cuda::Opened, DeviceError> {
    if int8_kv {
        return Err(DeviceError::Int8Kv);
    }
    crate::cuda::Loaded::open(config)
}

#[cfg(not(feature = "cuda"))]
const fn open_cuda(_: &Config, _: bool) -> Result<std::convert::Infallible, DeviceError> {
    Err(DeviceError::NotBuilt { device: Device::Cuda })
}

/// One sequence's part of a forward pass.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    /// New tokens.
    pub(crate) tokens: &'a [u32],
    /// Position of the first of them.
    pub(crate) start: usize,
    /// The sequence's blocks of the key–value store; they cover `start + tokens.len()`.
    pub(crate) blocks: &'a [u32],
}
