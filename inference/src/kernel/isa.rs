//! Which instructions this processor has. All of the crate's `unsafe` code for arithmetic is here.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calling code compiled for instructions found at run time")
)]

use std::sync::OnceLock;

use super::{LANES, Lane};
use crate::load::BLOCK;

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

/// A piece of arithmetic on sixteen lanes that name their registers, compiled once for each
/// instruction set: left to the compiler, sums may end up in memory.
pub(crate) trait LaneKernel {
    /// Must be `#[inline(always)]`, as everything hot that it calls.
    fn run<D: Dot>(self, dot: D);
}

impl Isa {
    /// Runs `kernel` with this set's lanes.
    pub(crate) fn run_lanes(self, kernel: impl LaneKernel) {
        struct With<K, D>(K, D);
        impl<K: LaneKernel, D: Dot> Kernel for With<K, D> {
            type Output = ();

            #[inline(always)]
            fn run(self) {
                self.0.run(self.1);
            }
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => self.run(With(kernel, Vnni(()))),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => self.run(With(kernel, Pairs(()))),
            Set::Portable => self.run(With(kernel, Scalar)),
        }
    }
}

/// Bytes of sixteen rows at four columns: row `r` has bytes `4r..4r + 4`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; 4 * LANES]);

/// Sixteen lanes: dot products of unsigned weights and signed activations, four columns at a time,
/// exact; and fused multiply-adds of floats.
pub(crate) trait Dot: Copy {
    /// Sixteen running sums.
    type Sums: Copy;
    /// A [`Line`] in registers.
    type Bytes: Copy;
    /// Sixteen floats in registers.
    type Floats: Copy;

    fn start(self, value: i32) -> Self::Sums;
    fn load(self, line: &Line) -> Self::Bytes;
    /// The low halves of every byte.
    fn low(self, bytes: Self::Bytes) -> Self::Bytes;
    /// The high halves of every byte.
    fn high(self, bytes: Self::Bytes) -> Self::Bytes;
    /// Adds each row's product with the four activations packed in `quad`.
    fn dot(self, sums: Self::Sums, bytes: Self::Bytes, quad: i32) -> Self::Sums;
    /// The same for bytes of four bits, as [`Self::low`] and [`Self::high`] give them.
    #[inline(always)]
    fn dot_nibbles(self, sums: Self::Sums, bytes: Self::Bytes, quad: i32) -> Self::Sums {
        self.dot(sums, bytes, quad)
    }
    fn floats(self, lanes: &[f32; LANES]) -> Self::Floats;
    fn lane(self, floats: Self::Floats) -> Lane;
    /// `total + sums·(scales·step)`, each lane rounded twice: in the
    /// product of the scales, and in the sum.
    fn scaled(
        self,
        total: Self::Floats,
        sums: Self::Sums,
        scales: Self::Floats,
        step: f32,
    ) -> Self::Floats;
    /// `total + a·b`, each lane rounded once.
    fn fma(self, total: Self::Floats, a: f32, b: Self::Floats) -> Self::Floats;

    /// The largest size of a block's numbers; NaN counts for nothing.
    #[inline(always)]
    fn largest(self, block: &[f32; BLOCK]) -> f32 {
        let mut most = Lane::ZERO;
        for half in block.as_chunks::<LANES>().0 {
            for (most, x) in most.0.iter_mut().zip(half) {
                *most = if x.abs() > *most { x.abs() } else { *most };
            }
        }
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                let (a, b) = (most.0[lane], most.0[lane + half]);
                most.0[lane] = if b > a { b } else { a };
            }
            half /= 2;
        }
        most.0[0]
    }

    /// The low bytes of `x·factor + `[`ROUND`], and the sum of these numbers less [`ROUND`] each: whole
    /// numbers, whose sum is exact in any order.
    #[inline(always)]
    fn rounded(self, block: &[f32; BLOCK], factor: f32) -> ([u8; BLOCK], f32) {
        let (mut bytes, mut sums) = ([0; BLOCK], Lane::ZERO);
        let halves = block.as_chunks::<LANES>().0.iter();
        for (half, bytes) in halves.zip(bytes.as_chunks_mut::<LANES>().0) {
            for ((byte, sum), x) in bytes.iter_mut().zip(&mut sums.0).zip(half) {
                let rounded = x * factor + ROUND;
                *byte = rounded.to_bits().to_le_bytes()[0];
                *sum += rounded - ROUND;
            }
        }
        (bytes, sums.sum())
    }
}

/// Added to a number within ±2²², it rounds to the nearest integer, ties to even, and leaves that integer
/// in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Plain Rust, for whatever instructions the caller is compiled with.
#[derive(Clone, Copy)]
struct Scalar;

impl Dot for Scalar {
    type Sums = [i32; LANES];
    type Bytes = Line;
    type Floats = Lane;

    #[inline(always)]
    fn start(self, value: i32) -> Self::Sums {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, line: &Line) -> Line {
        *line
    }

    #[inline(always)]
    fn low(self, mut bytes: Line) -> Line {
        for byte in &mut bytes.0 {
            *byte &= 0x0f;
        }
        bytes
    }

    #[inline(always)]
    fn high(self, mut bytes: Line) -> Line {
        for byte in &mut bytes.0 {
            *byte >>= 4;
        }
        bytes
    }

    #[inline(always)]
    fn dot(self, mut sums: Self::Sums, bytes: Line, quad: i32) -> Self::Sums {
        let activations = quad.to_le_bytes();
        for (sum, bytes) in sums.iter_mut().zip(bytes.0.as_chunks::<4>().0) {
            for (&byte, activation) in bytes.iter().zip(activations) {
                *sum += i32::from(byte) * i32::from(activation.cast_signed());
            }
        }
        sums
    }

    #[inline(always)]
    fn floats(self, lanes: &[f32; LANES]) -> Lane {
        Lane(*lanes)
    }

    #[inline(always)]
    fn lane(self, floats: Lane) -> Lane {
        floats
    }

    #[inline(always)]
    fn scaled(self, mut total: Lane, sums: Self::Sums, scales: Lane, step: f32) -> Lane {
        for ((total, sum), scale) in total.0.iter_mut().zip(sums).zip(scales.0) {
            #[expect(clippy::cast_precision_loss, reason = "a block's sums stay below 2²⁴")]
            let exact = sum as f32;
            *total = exact.mul_add(scale * step, *total);
        }
        total
    }

    #[inline(always)]
    fn fma(self, mut total: Lane, a: f32, b: Lane) -> Lane {
        total.fma(a, &b.0);
        total
    }
}

/// AVX-512 VNNI. A value proves that the processor has it: only [`Isa::run_lanes`] makes one.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Vnni(());

#[cfg(target_arch = "x86_64")]
mod vnni {
    use std::arch::x86_64::{
        __m512, __m512i, _mm_storeu_si128, _mm512_abs_ps, _mm512_add_ps, _mm512_and_si512,
        _mm512_castps_si512, _mm512_cvtepi32_epi8, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32,
        _mm512_fmadd_ps, _mm512_load_si512, _mm512_loadu_ps, _mm512_max_ps, _mm512_mul_ps,
        _mm512_reduce_add_ps, _mm512_reduce_max_ps, _mm512_set1_epi8, _mm512_set1_epi32,
        _mm512_set1_ps, _mm512_setzero_ps, _mm512_srli_epi16, _mm512_store_ps, _mm512_sub_ps,
    };

    use super::{BLOCK, Dot, LANES, Lane, Line, ROUND, Vnni};

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
    fn floats(lanes: &[f32; LANES]) -> __m512 {
        // SAFETY: sixteen floats are 64 bytes; the load asks for no alignment.
        unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn lane(floats: __m512) -> Lane {
        let mut lane = Lane([0.0; LANES]);
        // SAFETY: a `Lane` is 64 bytes, aligned to 64.
        unsafe { _mm512_store_ps(lane.0.as_mut_ptr(), floats) };
        lane
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn scaled(total: __m512, sums: __m512i, scales: __m512, step: f32) -> __m512 {
        let factors = _mm512_mul_ps(scales, _mm512_set1_ps(step));
        _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), factors, total)
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn fma(total: __m512, a: f32, b: __m512) -> __m512 {
        _mm512_fmadd_ps(_mm512_set1_ps(a), b, total)
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn largest(block: &[f32; BLOCK]) -> f32 {
        let mut most = _mm512_setzero_ps();
        for half in block.as_chunks::<LANES>().0 {
            // Of a NaN and another number the instruction gives the second.
            most = _mm512_max_ps(_mm512_abs_ps(floats(half)), most);
        }
        _mm512_reduce_max_ps(most)
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn rounded(block: &[f32; BLOCK], factor: f32) -> ([u8; BLOCK], f32) {
        let (factor, round) = (_mm512_set1_ps(factor), _mm512_set1_ps(ROUND));
        let (mut bytes, mut sum) = ([0; BLOCK], _mm512_setzero_ps());
        let halves = block.as_chunks::<LANES>().0.iter();
        for (half, bytes) in halves.zip(bytes.as_chunks_mut::<LANES>().0) {
            let rounded = _mm512_add_ps(_mm512_mul_ps(floats(half), factor), round);
            sum = _mm512_add_ps(sum, _mm512_sub_ps(rounded, round));
            let low = _mm512_cvtepi32_epi8(_mm512_castps_si512(rounded));
            // SAFETY: sixteen bytes; the store asks for no alignment.
            unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), low) };
        }
        (bytes, _mm512_reduce_add_ps(sum))
    }

    // SAFETY of every call: `self` proves that the processor has these instructions.
    impl Dot for Vnni {
        type Sums = __m512i;
        type Bytes = __m512i;
        type Floats = __m512;

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
        fn floats(self, lanes: &[f32; LANES]) -> __m512 {
            unsafe { floats(lanes) }
        }

        #[inline(always)]
        fn lane(self, floats: __m512) -> Lane {
            unsafe { lane(floats) }
        }

        #[inline(always)]
        fn scaled(self, total: __m512, sums: __m512i, scales: __m512, step: f32) -> __m512 {
            unsafe { scaled(total, sums, scales, step) }
        }

        #[inline(always)]
        fn fma(self, total: __m512, a: f32, b: __m512) -> __m512 {
            unsafe { fma(total, a, b) }
        }

        #[inline(always)]
        fn largest(self, block: &[f32; BLOCK]) -> f32 {
            unsafe { largest(block) }
        }

        #[inline(always)]
        fn rounded(self, block: &[f32; BLOCK], factor: f32) -> ([u8; BLOCK], f32) {
            unsafe { rounded(block, factor) }
        }
    }
}

/// AVX2 without VNNI: products in pairs of 16 bits. A value proves that the processor has it: only
/// [`Isa::run_lanes`] makes one.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Pairs(());

#[cfg(target_arch = "x86_64")]
mod pairs {
    use std::arch::x86_64::{
        __m256, __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_cvtepi32_ps, _mm256_fmadd_ps,
        _mm256_load_si256, _mm256_loadu_ps, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps,
        _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_srli_epi16,
        _mm256_store_ps,
    };

    use super::{Dot, LANES, Lane, Line, Pairs};

    /// Lanes of a register, two of which make sixteen.
    const HALF: usize = LANES / 2;

    #[target_feature(enable = "avx2")]
    #[inline]
    fn start(value: i32) -> [__m256i; 2] {
        [_mm256_set1_epi32(value); 2]
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(line: &Line) -> [__m256i; 2] {
        let bytes = line.0.as_ptr();
        // SAFETY: a `Line` is 64 bytes, aligned to 64.
        unsafe { [_mm256_load_si256(bytes.cast()), _mm256_load_si256(bytes.add(4 * HALF).cast())] }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn low([a, b]: [__m256i; 2]) -> [__m256i; 2] {
        let mask = _mm256_set1_epi8(0x0f);
        [_mm256_and_si256(a, mask), _mm256_and_si256(b, mask)]
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn high([a, b]: [__m256i; 2]) -> [__m256i; 2] {
        low([_mm256_srli_epi16::<4>(a), _mm256_srli_epi16::<4>(b)])
    }

    /// Adds `scale` times the products of bytes below 128, whose sums of two fit 16 bits.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn add(sum: __m256i, bytes: __m256i, quad: __m256i, scale: i16) -> __m256i {
        let pairs = _mm256_maddubs_epi16(bytes, quad);
        _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(scale)))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn dot_nibbles([s, t]: [__m256i; 2], [a, b]: [__m256i; 2], quad: i32) -> [__m256i; 2] {
        let quad = _mm256_set1_epi32(quad);
        [add(s, a, quad, 1), add(t, b, quad, 1)]
    }

    /// The highest bit apart, for with it two products would overflow 16 bits.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn whole(sum: __m256i, bytes: __m256i, quad: __m256i) -> __m256i {
        let rest = _mm256_and_si256(bytes, _mm256_set1_epi8(0x7f));
        let top = _mm256_and_si256(_mm256_srli_epi16::<7>(bytes), _mm256_set1_epi8(1));
        add(add(sum, rest, quad, 1), top, quad, 128)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn dot([s, t]: [__m256i; 2], [a, b]: [__m256i; 2], quad: i32) -> [__m256i; 2] {
        let quad = _mm256_set1_epi32(quad);
        [whole(s, a, quad), whole(t, b, quad)]
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn floats(lanes: &[f32; LANES]) -> [__m256; 2] {
        let numbers = lanes.as_ptr();
        // SAFETY: sixteen floats are 64 bytes; the loads ask for no alignment.
        unsafe { [_mm256_loadu_ps(numbers), _mm256_loadu_ps(numbers.add(HALF))] }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn lane([a, b]: [__m256; 2]) -> Lane {
        let mut lane = Lane([0.0; LANES]);
        let numbers = lane.0.as_mut_ptr();
        // SAFETY: a `Lane` is 64 bytes, aligned to 64.
        unsafe {
            _mm256_store_ps(numbers, a);
            _mm256_store_ps(numbers.add(HALF), b);
        }
        lane
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn scaled(
        total: [__m256; 2],
        sums: [__m256i; 2],
        scales: [__m256; 2],
        step: f32,
    ) -> [__m256; 2] {
        let step = _mm256_set1_ps(step);
        let (low, high) = (_mm256_mul_ps(scales[0], step), _mm256_mul_ps(scales[1], step));
        [
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[0]), low, total[0]),
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[1]), high, total[1]),
        ]
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn fma(total: [__m256; 2], a: f32, b: [__m256; 2]) -> [__m256; 2] {
        let a = _mm256_set1_ps(a);
        [_mm256_fmadd_ps(a, b[0], total[0]), _mm256_fmadd_ps(a, b[1], total[1])]
    }

    // SAFETY of every call: `self` proves that the processor has these instructions.
    impl Dot for Pairs {
        type Sums = [__m256i; 2];
        type Bytes = [__m256i; 2];
        type Floats = [__m256; 2];

        #[inline(always)]
        fn start(self, value: i32) -> Self::Sums {
            unsafe { start(value) }
        }

        #[inline(always)]
        fn load(self, line: &Line) -> Self::Bytes {
            unsafe { load(line) }
        }

        #[inline(always)]
        fn low(self, bytes: Self::Bytes) -> Self::Bytes {
            unsafe { low(bytes) }
        }

        #[inline(always)]
        fn high(self, bytes: Self::Bytes) -> Self::Bytes {
            unsafe { high(bytes) }
        }

        #[inline(always)]
        fn dot(self, sums: Self::Sums, bytes: Self::Bytes, quad: i32) -> Self::Sums {
            unsafe { dot(sums, bytes, quad) }
        }

        #[inline(always)]
        fn dot_nibbles(self, sums: Self::Sums, bytes: Self::Bytes, quad: i32) -> Self::Sums {
            unsafe { dot_nibbles(sums, bytes, quad) }
        }

        #[inline(always)]
        fn floats(self, lanes: &[f32; LANES]) -> Self::Floats {
            unsafe { floats(lanes) }
        }

        #[inline(always)]
        fn lane(self, floats: Self::Floats) -> Lane {
            unsafe { lane(floats) }
        }

        #[inline(always)]
        fn scaled(
            self,
            total: Self::Floats,
            sums: Self::Sums,
            scales: Self::Floats,
            step: f32,
        ) -> Self::Floats {
            unsafe { scaled(total, sums, scales, step) }
        }

        #[inline(always)]
        fn fma(self, total: Self::Floats, a: f32, b: Self::Floats) -> Self::Floats {
            unsafe { fma(total, a, b) }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation once for each line and quad.
    struct All<'a> {
        lines: &'a [Line],
        quads: &'a [i32],
        out: &'a mut Vec<u32>,
    }

    impl LaneKernel for All<'_> {
        fn run<D: Dot>(self, dot: D) {
            for line in self.lines {
                let bytes = dot.load(line);
                for &quad in self.quads {
                    let whole = dot.dot(dot.start(-7), bytes, quad);
                    let low = dot.dot_nibbles(whole, dot.low(bytes), quad);
                    let sums = dot.dot_nibbles(low, dot.high(bytes), quad);
                    let [start, scales, more] = [0.1, 0.3, 1.7].map(|x| dot.floats(&[x; LANES]));
                    let scaled = dot.scaled(start, sums, scales, 0.7);
                    let out = dot.lane(dot.fma(scaled, 3.3, more));
                    self.out.extend(out.0.map(f32::to_bits));
                }
            }
        }
    }

    /// Blocks into bytes.
    struct Rounded<'a> {
        blocks: &'a [[f32; BLOCK]],
        out: &'a mut Vec<(u32, [u8; BLOCK], u32)>,
    }

    impl LaneKernel for Rounded<'_> {
        fn run<D: Dot>(self, dot: D) {
            for block in self.blocks {
                let most = dot.largest(block);
                let (bytes, sum) = dot.rounded(block, 127.0 / most);
                self.out.push((most.to_bits(), bytes, sum.to_bits()));
            }
        }
    }

    #[test]
    fn every_set_rounds_a_block_as_plain_rust_does() {
        let mut blocks: Vec<[f32; BLOCK]> = vec![[0.5; BLOCK], [-3.25e-20; BLOCK]];
        for first in 0..9_u16 {
            let mut block = [0.0; BLOCK];
            for (place, x) in (first..).zip(&mut block) {
                *x = f32::from(place * 29 % 31) - 14.5;
            }
            blocks.push(block);
        }
        blocks[4][7] = f32::NAN;
        let results = Isa::available().into_iter().map(|isa| {
            let mut out = Vec::new();
            isa.run_lanes(Rounded { blocks: &blocks, out: &mut out });
            // Which NaN it is says nothing.
            out.remove(4);
            out
        });
        let results: Vec<_> = results.collect();
        assert_eq!(results.last().map(Vec::len), Some(blocks.len() - 1));
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn every_set_computes_what_plain_rust_computes() {
        let pattern = |first: u8, step: u8| {
            let mut line = Line([0; 4 * LANES]);
            for (place, byte) in (0_u8..).zip(&mut line.0) {
                *byte = first.wrapping_add(place.wrapping_mul(step));
            }
            line
        };
        // All bytes at their largest against activations at theirs: where 16 bits would overflow.
        let lines =
            [pattern(255, 0), pattern(127, 0), pattern(0, 1), pattern(3, 37), pattern(128, 0)];
        let quads = [[127; 4], [-127; 4], [127, -127, 1, 0], [-128, 5, 77, -3]]
            .map(|quad: [i8; 4]| i32::from_le_bytes(quad.map(i8::cast_unsigned)));
        let results = Isa::available().into_iter().map(|isa| {
            let mut out = Vec::new();
            isa.run_lanes(All { lines: &lines, quads: &quads, out: &mut out });
            out
        });
        let results: Vec<Vec<u32>> = results.collect();
        assert_eq!(results.last().map(Vec::len), Some(lines.len() * quads.len() * LANES));
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
