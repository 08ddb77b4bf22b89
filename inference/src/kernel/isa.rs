//! Which instructions this processor has. All of the crate's `unsafe` code for arithmetic is here.
#![expect(unsafe_code, reason = "calling code compiled for instructions found at run time")]

use std::sync::OnceLock;

use super::{LANES, Lane};

/// A piece of arithmetic that is compiled once for each instruction set.
pub(crate) trait Kernel {
    type Output;

    /// Must be `#[inline(always)]`, as everything hot that it calls, to be compiled with the caller's
    /// instructions.
    fn run(self) -> Self::Output;
}

/// An instruction set that this processor has: values come from [`Isa::detect`] and
/// [`Isa::available`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Isa {
    /// The widest set of this processor.
    pub(crate) fn detect() -> Self {
        static DETECTED: OnceLock<Isa> = OnceLock::new();
        *DETECTED.get_or_init(|| Self::available().remove(0))
    }

    /// Every set of this processor, widest first.
    pub(crate) fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            if avx512 {
                sets.push(Self(Set::Avx512));
            }
            if avx2 {
                sets.push(Self(Set::Avx2));
            }
        }
        sets.push(Self(Set::Portable));
        sets
    }

    /// The set's name, for `bench` and logs.
    pub(crate) const fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2-fma",
            Set::Portable => "portable",
        }
    }

    /// Runs `kernel` compiled for this set.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            // SAFETY: an `Isa` of this variant is made only where the processor has these features.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2(kernel) },
            Set::Portable => kernel.run(),
        }
    }
}

/// A piece of integer arithmetic, compiled once for each instruction set.
pub(crate) trait IntKernel {
    /// Must be `#[inline(always)]`, as everything hot that it calls.
    fn run<D: Dot>(self, dot: D);
}

impl Isa {
    /// Runs `kernel` with this set's integer dot products.
    pub(crate) fn run_int(self, kernel: impl IntKernel) {
        struct With<K, D>(K, D);
        impl<K: IntKernel, D: Dot> Kernel for With<K, D> {
            type Output = ();

            #[inline(always)]
            fn run(self) {
                self.0.run(self.1);
            }
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => self.run(With(kernel, Vnni(()))),
            _ => self.run(With(kernel, Scalar)),
        }
    }
}

/// Bytes of sixteen rows at four columns: row `r` has bytes `4r..4r + 4`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; 4 * LANES]);

/// Sixteen dot products of unsigned weights and signed activations, four columns at a time, exact.
pub(crate) trait Dot: Copy {
    /// Sixteen running sums.
    type Sums: Copy;
    /// A [`Line`] in registers.
    type Bytes: Copy;

    fn start(self, value: i32) -> Self::Sums;
    fn load(self, line: &Line) -> Self::Bytes;
    /// The low halves of every byte.
    fn low(self, bytes: Self::Bytes) -> Self::Bytes;
    /// The high halves of every byte.
    fn high(self, bytes: Self::Bytes) -> Self::Bytes;
    /// Adds each row's product with the four activations packed in `quad`.
    fn dot(self, sums: Self::Sums, bytes: Self::Bytes, quad: i32) -> Self::Sums;
    fn finish(self, sums: Self::Sums) -> Lane;
}

/// Plain Rust, for whatever instructions the caller is compiled with.
#[derive(Clone, Copy)]
struct Scalar;

impl Dot for Scalar {
    type Sums = [i32; LANES];
    type Bytes = Line;

    #[inline(always)]
    fn start(self, value: i32) -> Self::Sums {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, line: &Line) -> Line {
        *line
    }

    #[inline(always)]
    fn low(self, bytes: Line) -> Line {
        Line(bytes.0.map(|byte| byte & 0x0f))
    }

    #[inline(always)]
    fn high(self, bytes: Line) -> Line {
        Line(bytes.0.map(|byte| byte >> 4))
    }

    #[inline(always)]
    fn dot(self, mut sums: Self::Sums, bytes: Line, quad: i32) -> Self::Sums {
        let quad = quad.to_le_bytes().map(|byte| i32::from(i8::from_le_bytes([byte])));
        for (sum, bytes) in sums.iter_mut().zip(bytes.0.as_chunks::<4>().0) {
            for (&byte, activation) in bytes.iter().zip(quad) {
                *sum += i32::from(byte) * activation;
            }
        }
        sums
    }

    #[inline(always)]
    fn finish(self, sums: Self::Sums) -> Lane {
        #[expect(clippy::cast_precision_loss, reason = "a block's sums stay below 2²⁴")]
        Lane(sums.map(|sum| sum as f32))
    }
}

/// AVX-512 VNNI. A value proves that the processor has it: only [`Isa::run_int`] makes one.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Vnni(());

#[cfg(target_arch = "x86_64")]
mod vnni {
    use std::arch::x86_64::{
        __m512i, _mm512_and_si512, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_load_si512,
        _mm512_set1_epi8, _mm512_set1_epi32, _mm512_srli_epi16, _mm512_store_ps,
    };

    use super::{Dot, LANES, Lane, Line, Vnni};

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn start(value: i32) -> __m512i {
        _mm512_set1_epi32(value)
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn load(line: &Line) -> __m512i {
        // SAFETY: a `Line` is 64 bytes, aligned to 64.
        unsafe { _mm512_load_si512(std::ptr::from_ref(line).cast()) }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn low(bytes: __m512i) -> __m512i {
        _mm512_and_si512(bytes, _mm512_set1_epi8(0x0f))
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn high(bytes: __m512i) -> __m512i {
        low(_mm512_srli_epi16::<4>(bytes))
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    #[inline]
    fn dot(sums: __m512i, bytes: __m512i, quad: i32) -> __m512i {
        _mm512_dpbusd_epi32(sums, bytes, _mm512_set1_epi32(quad))
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn finish(sums: __m512i) -> Lane {
        let mut lane = Lane([0.0; LANES]);
        // SAFETY: a `Lane` is 64 bytes, aligned to 64.
        unsafe { _mm512_store_ps(lane.0.as_mut_ptr(), _mm512_cvtepi32_ps(sums)) };
        lane
    }

    // SAFETY of every call: `self` proves that the processor has these instructions.
    impl Dot for Vnni {
        type Sums = __m512i;
        type Bytes = __m512i;

        #[inline(always)]
        fn start(self, value: i32) -> __m512i {
            unsafe { start(value) }
        }

        #[inline(always)]
        fn load(self, line: &Line) -> __m512i {
            unsafe { load(line) }
        }

        #[inline(always)]
        fn low(self, bytes: __m512i) -> __m512i {
            unsafe { low(bytes) }
        }

        #[inline(always)]
        fn high(self, bytes: __m512i) -> __m512i {
            unsafe { high(bytes) }
        }

        #[inline(always)]
        fn dot(self, sums: __m512i, bytes: __m512i, quad: i32) -> __m512i {
            unsafe { dot(sums, bytes, quad) }
        }

        #[inline(always)]
        fn finish(self, sums: __m512i) -> Lane {
            unsafe { finish(sums) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
