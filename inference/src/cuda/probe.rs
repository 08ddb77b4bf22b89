//! Whether there is a driver and a device that can run the kernels.
//!
//! The bindings panic where the driver's library is missing, so it is opened here first.

use cudarc::driver::{result, sys};

use super::driver::refused;
use crate::device::{DeviceError, Version};

/// NVIDIA's driver, as every installation of it names it.
pub(super) const LIBRARY: &str = "libcuda.so.1";

/// The toolkit that compiled the kernels; 0.0 where the build only emulates.
pub(super) const TOOLKIT: (&str, &str) = (env!("GANGLION_CUDA_MAJOR"), env!("GANGLION_CUDA_MINOR"));

/// Least capability: tensor cores for bf16, and copies beside the arithmetic.
const LEAST_CAPABILITY: Version = Version { major: 8, minor: 0 };

/// A device that will do.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) device: sys::CUdevice,
    pub(super) name: String,
}

/// Looks for the first device, and refuses what the kernels cannot run on.
pub(super) fn probe() -> Result<Found, DeviceError> {
    open_library()?;
    match result::init() {
        Ok(()) => {}
        Err(error) if error.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE => {
            return Err(DeviceError::NoDevice);
        }
        Err(error) => return Err(refused("opening the driver")(error)),
    }
    let count = result::device::get_count().map_err(refused("counting devices"))?;
    if count == 0 {
        return Err(DeviceError::NoDevice);
    }
    let device = result::device::get(0).map_err(refused("opening the device"))?;
    let name = result::device::get_name(device).map_err(refused("naming the device"))?;
    let major = attribute(device, Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(device, Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    judge(driver_version()?, needed(TOOLKIT), &name, Version { major, minor })?;
    Ok(Found { device, name })
}

/// Machine code of a toolkit runs on every driver of the same major version.
fn needed((major, _minor): (&str, &str)) -> Version {
    Version { major: major.parse().unwrap_or(0), minor: 0 }
}

/// Refuses a driver or a device older than the kernels.
fn judge(
    driver: Version,
    needed: Version,
    name: &str,
    capability: Version,
) -> Result<(), DeviceError> {
    if driver < needed {
        return Err(DeviceError::DriverTooOld { found: driver, needed });
    }
    if capability < LEAST_CAPABILITY {
        let (name, found, needed) = (name.to_owned(), capability, LEAST_CAPABILITY);
        return Err(DeviceError::CapabilityTooOld { name, found, needed });
    }
    Ok(())
}

#[expect(unsafe_code, reason = "the driver's library runs its constructors when it is opened")]
fn open_library() -> Result<(), DeviceError> {
    // SAFETY: the system's own driver; opening it runs nothing of ours.
    let opened = unsafe { libloading::Library::new(LIBRARY) };
    match opened {
        Ok(library) => {
            // Kept open: the bindings hold on to its functions.
            std::mem::forget(library);
            Ok(())
        }
        Err(error) => Err(DeviceError::NoDriver { library: LIBRARY, reason: error.to_string() }),
    }
}

#[expect(unsafe_code, reason = "a call of the driver that has no wrapper")]
fn driver_version() -> Result<Version, DeviceError> {
    let mut version = 0;
    // SAFETY: writes one integer, which outlives the call.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }
        .result()
        .map_err(refused("asking the driver's version"))?;
    // 12040 is 12.4.
    let version = version.unsigned_abs();
    Ok(Version { major: version / 1000, minor: version % 1000 / 10 })
}

use sys::CUdevice_attribute as Attribute;

#[expect(unsafe_code, reason = "the bindings cannot know that the device is one")]
fn attribute(device: sys::CUdevice, attribute: Attribute) -> Result<u32, DeviceError> {
    // SAFETY: `device` came from the driver.
    let value = unsafe { result::device::get_attribute(device, attribute) };
    value.map(i32::unsigned_abs).map_err(refused("asking the device's capability"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_drivers_and_old_devices_are_refused_with_their_numbers() {
        let version = |major, minor| Version { major, minor };
        let judged = |driver, capability| judge(driver, version(13, 0), "card", capability);
        assert_eq!(judged(version(13, 0), version(9, 0)), Ok(()));
        assert_eq!(judged(version(13, 2), version(12, 1)), Ok(()));
        let (found, needed) = (version(12, 8), version(13, 0));
        assert_eq!(judged(found, version(9, 0)), Err(DeviceError::DriverTooOld { found, needed }));
        let error = judged(version(13, 0), version(7, 5)).unwrap_err();
        assert_eq!(error.to_string(), "card has compute capability 7.5, and the kernels need 8.0");
    }

    #[test]
    fn a_later_minor_version_of_the_toolkit_needs_no_newer_driver() {
        assert_eq!(needed(("13", "2")), Version { major: 13, minor: 0 });
    }

    #[cfg(not(feature = "cuda-emulation"))]
    #[test]
    fn the_probe_answers_on_any_machine() {
        // Whatever this machine has: no panic, and a reason where there is no device.
        if let Err(error) = probe() {
            assert!(!error.to_string().is_empty());
        }
    }
}
