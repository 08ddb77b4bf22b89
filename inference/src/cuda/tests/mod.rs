//! Every kernel against its reference on this machine's processors.
//!
//! They run where a device is; with the feature `cuda-emulation` they run anywhere, on the same host
//! code and the same kernels compiled for this machine.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::many_single_char_names,
    reason = "small numbers, named as in the formulas they check"
)]

mod attention;
mod products;
mod rows;
mod sampling;

use half::bf16;

use super::driver::{Buffer, Device, Plain};
use crate::sample::philox;

/// A device, emulated or real.
pub(super) fn device() -> Device {
    #[cfg(feature = "cuda-emulation")]
    emulate();
    Device::open().unwrap()
}

/// Opens the emulated driver, so that whoever asks for the real one by its name finds it.
#[cfg(feature = "cuda-emulation")]
fn emulate() {
    static OPENED: std::sync::OnceLock<libloading::Library> = std::sync::OnceLock::new();
    #[expect(unsafe_code, reason = "opening a library runs its constructors")]
    // SAFETY: built from this repository.
    OPENED.get_or_init(|| unsafe {
        libloading::Library::new(env!("GANGLION_EMULATED_CUDA")).unwrap()
    });
}

/// `count` numbers within ±1, rounded to bf16; `seed` sets them apart.
fn noise(count: usize, seed: u32) -> Vec<bf16> {
    (0..u32::try_from(count.div_ceil(4)).unwrap())
        .flat_map(|block| philox([block, seed, 0, 0], [0x7465_7374, 0]))
        .take(count)
        .map(|word| bf16::from_f32((f64::from(word) / 2_147_483_648.0 - 1.0) as f32))
        .collect()
}

fn bits(values: &[bf16]) -> Vec<u16> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn wide(values: &[bf16]) -> Vec<f32> {
    values.iter().map(|v| v.to_f32()).collect()
}

fn narrow(bits: &[u16]) -> Vec<bf16> {
    bits.iter().map(|b| bf16::from_bits(*b)).collect()
}

fn put<T: Plain>(device: &Device, values: &[T]) -> Buffer<T> {
    device.copy_of("a test's input", values).unwrap()
}

fn room<T: Plain>(device: &Device, len: usize) -> Buffer<T> {
    device.room("a test's output", len).unwrap()
}

fn all(buffer: &Buffer<u16>) -> Vec<bf16> {
    narrow(&buffer.read(0..buffer.len()).unwrap())
}

/// Launches a kernel, and waits for it.
fn run<A: Copy>(device: &Device, launch: super::kernels::Launch, args: &A) {
    #[expect(unsafe_code, reason = "launches take addresses")]
    // SAFETY: tests pass buffers of the sizes that their grids reach.
    unsafe { device.launch(launch, args) }.unwrap();
    device.finish().unwrap();
}

/// Fails where `got` is further from `want` than bf16's rounding of it and `slack`.
#[track_caller]
fn assert_near(got: &[bf16], want: &[f64], slack: f64) {
    assert_eq!(got.len(), want.len());
    for (index, (got, &want)) in got.iter().zip(want).enumerate() {
        let allowed = want.abs() / 256.0 + slack;
        let off = (f64::from(got.to_f32()) - want).abs();
        assert!(off <= allowed, "element {index}: {got} against {want}, off by {off}");
    }
}
