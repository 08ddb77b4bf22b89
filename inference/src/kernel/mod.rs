//! Arithmetic on slices, the same bits on every processor.
//!
//! Each kernel is written once, in plain Rust with explicit fused multiply-adds or over the sixteen
//! lanes that an instruction set names, and compiled for each of these ([`Isa`]); sums run in a fixed order that depends neither on the batch nor on
//! the number of threads. So a token's logits are the same whether it was decoded alone, decoded
//! beside others, or prefilled by a verifier on another machine.
#![expect(
    clippy::inline_always,
    reason = "a kernel is compiled with its caller's instructions only if it is inlined there"
)]

mod attention;
mod blocks;
mod encode;
mod isa;
mod math;
mod matrix;
mod pool;

pub(crate) use attention::{Attend, BLOCK_TOKENS, KvLayer, KvShape, Scores};
pub(crate) use encode::{attend_all, layer_norm};
pub(crate) use isa::{Isa, Kernel};
pub(crate) use math::{
    Rounding, above, add, choose, exp, gate, not_finite, partition, rms_norm, rotate, soft_cap,
};
pub(crate) use matrix::Matrix;
pub(crate) use pool::Pool;

/// f32 lanes that every kernel works in: one 512-bit register, two of 256 bits, four of 128.
pub(crate) const LANES: usize = 16;

/// Sixteen numbers side by side, aligned to a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Lane(pub(crate) [f32; LANES]);

impl Lane {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);

    /// `self + a·b`, each lane rounded once.
    #[inline(always)]
    pub(crate) fn fma(&mut self, a: f32, b: &[f32; LANES]) {
        for (sum, &b) in self.0.iter_mut().zip(b) {
            *sum = a.mul_add(b, *sum);
        }
    }

    /// Sum of the lanes, by halves: the order is part of the numeric class.
    #[inline(always)]
    pub(crate) fn sum(mut self) -> f32 {
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                self.0[lane] += self.0[lane + half];
            }
            half /= 2;
        }
        self.0[0]
    }
}
