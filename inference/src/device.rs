//! Where a model computes, and why it may not compute there.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::NumericClass;

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Device {
    /// This machine's processors.
    #[default]
    Cpu,
    /// The first CUDA device, in `bf16`; an error where there is none.
    Cuda,
    /// The first Metal device, in `bf16` or `f32`; an error where there is none. By candle's own operations,
    /// slower than kernels would be.
    Metal,
    /// CUDA where `bf16` is asked for and a device is there, and else the processors. Never changes
    /// the numeric class, and so never which model is served.
    Auto,
}

impl Device {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Cuda, Self::Metal, Self::Auto];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
            Self::Auto => "auto",
        }
    }

    /// The class to run in: the one asked for, else a device's own, else the file's.
    pub(crate) fn class(self, asked: Option<NumericClass>, own: NumericClass) -> NumericClass {
        asked.unwrap_or(match self {
            Self::Cuda | Self::Metal => NumericClass::Bf16,
            Self::Cpu | Self::Auto => own,
        })
    }

    /// Where to try a model of `class`: never [`Device::Auto`].
    ///
    /// # Errors
    /// Where a device is demanded for a class that it does not run.
    pub(crate) fn tries(self, class: NumericClass) -> Result<Self, DeviceError> {
        match (self, class) {
            (Self::Cuda | Self::Auto, NumericClass::Bf16) => Ok(Self::Cuda),
            (Self::Metal, NumericClass::Bf16 | NumericClass::F32) => Ok(Self::Metal),
            (Self::Cuda, class) => Err(DeviceError::Class { device: self, runs: "bf16", class }),
            (Self::Metal, class) => {
                Err(DeviceError::Class { device: self, runs: "bf16 and f32", class })
            }
            (Self::Cpu | Self::Auto, _) => Ok(Self::Cpu),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let known = Self::ALL.into_iter().find(|device| device.name() == text);
        known.ok_or_else(|| DeviceError::Unknown(text.to_owned()))
    }
}

impl TryFrom<String> for Device {
    type Error = DeviceError;

    fn try_from(text: String) -> Result<Self, DeviceError> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.name().to_owned()
    }
}

/// A version `major.minor` of CUDA, or of a device's capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the point.
    pub major: u32,
    /// After it.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A device that cannot be used, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Not a [`Device`].
    #[error("`{0}` is no device (known: cpu, cuda, metal, auto)")]
    Unknown(String),
    /// This program was built without it.
    #[error(
        "this program was built without {device}; `cargo build --features {device}` builds it in"
    )]
    NotBuilt {
        /// What was asked for.
        device: Device,
    },
    /// The device does not run the class.
    #[error("{device} runs {runs}, not {class}")]
    Class {
        /// Where.
        device: Device,
        /// What it runs.
        runs: &'static str,
        /// What was asked for.
        class: NumericClass,
    },
    /// The device's decoder is the plainest, and the model is not.
    #[error("{device} does not compute {what}, which this model has; the CPU does: `--device cpu`")]
    Lacks {
        /// Where.
        device: Device,
        /// What the model has.
        what: &'static str,
    },
    /// Keys and values in bytes are rehearsed on this machine's processors only.
    #[error("devices keep keys and values in the model's class, not in bytes")]
    Int8Kv,
    /// What candle says of its device.
    #[error("the device failed: {0}")]
    Candle(String),
    /// There is no driver.
    #[error("no CUDA driver: {library} cannot be loaded ({reason})")]
    NoDriver {
        /// The library looked for.
        library: &'static str,
        /// What the loader says.
        reason: String,
    },
    /// There is a driver, and no device.
    #[error("the CUDA driver finds no device")]
    NoDevice,
    /// The driver is older than the kernels.
    #[error(
        "the driver serves CUDA {found}, and the kernels need {needed}: install a newer driver"
    )]
    DriverTooOld {
        /// What the driver serves.
        found: Version,
        /// What the kernels were built with.
        needed: Version,
    },
    /// The device is older than the kernels.
    #[error("{name} has compute capability {found}, and the kernels need {needed}")]
    CapabilityTooOld {
        /// The device.
        name: String,
        /// Its capability.
        found: Version,
        /// The least that will do.
        needed: Version,
    },
    /// Something does not fit the device's memory.
    #[error("{what} needs {needed} bytes, and the device has {free} of {total} free")]
    Memory {
        /// What was to be placed.
        what: &'static str,
        /// Bytes it takes.
        needed: u64,
        /// Bytes free.
        free: u64,
        /// Bytes there are.
        total: u64,
    },
    /// A shape for which there is no kernel.
    #[error("the CUDA kernels take {what} of {known}, not {found}")]
    Shape {
        /// Which dimension.
        what: &'static str,
        /// What is known of it.
        known: &'static str,
        /// What the model has.
        found: usize,
    },
    /// The driver refused or lost something. After a lost device every later call fails.
    #[error("{operation} failed on the device: {reason} (CUDA error {code})")]
    Driver {
        /// What was tried.
        operation: &'static str,
        /// The driver's number.
        code: u32,
        /// The driver's words.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_never_changes_the_class_of_a_model() {
        let (f32, bf16, q8) = (NumericClass::F32, NumericClass::Bf16, NumericClass::Q8_0Block32);
        let (cpu, cuda, metal) = (Device::Cpu, Device::Cuda, Device::Metal);
        for (device, asked, own, class, tried) in [
            (cpu, None, f32, f32, Some(cpu)),
            (cpu, Some(bf16), f32, bf16, Some(cpu)),
            (Device::Auto, None, f32, f32, Some(cpu)),
            (Device::Auto, Some(bf16), f32, bf16, Some(cuda)),
            (cuda, None, f32, bf16, Some(cuda)),
            (cuda, Some(f32), f32, f32, None),
            (metal, None, f32, bf16, Some(metal)),
            (metal, Some(f32), bf16, f32, Some(metal)),
            (metal, Some(q8), bf16, q8, None),
        ] {
            assert_eq!(device.class(asked, own), class, "{device}");
            assert_eq!(device.tries(class).ok(), tried, "{device} {class}");
        }
    }

    #[test]
    fn a_refusal_names_the_numbers() {
        let needed = Version { major: 13, minor: 0 };
        let found = Version { major: 12, minor: 4 };
        let said = DeviceError::DriverTooOld { found, needed }.to_string();
        assert!(said.contains("12.4") && said.contains("13.0"), "{said}");
        let what = "the weights";
        let error = DeviceError::Memory { what, needed: 16_060, free: 9_000, total: 10_000 };
        let said = error.to_string();
        assert!(["16060", "9000", "10000"].iter().all(|number| said.contains(number)), "{said}");
    }
}
