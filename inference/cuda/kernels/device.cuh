// What the kernels need of a device beyond plain C++: warp exchanges, tensor-core products, copies
// that run beside the arithmetic. The emulator (../emulator/device.h) defines the same names for a
// host compiler, so every kernel below this header is one text that runs on both.
//
// Numbers: compiled without contraction (-fmad=false, -ffp-contract=off), so that a kernel fuses a
// multiply and an add only where it says fmaf, and gives the bits of its CPU reference.
#pragma once

#ifdef GANGLION_EMULATED
#include "../emulator/device.h"
#else

#include <cuda_bf16.h>
#include <stdint.h>

#define SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]

namespace device {

/// Exchanges `v` with the lane whose number differs in the bits of `mask`.
template <class T> __device__ inline T shuffle_xor(T v, int mask) {
    return __shfl_xor_sync(0xffffffffu, v, mask);
}

/// Four 8×8 tiles of 16-bit elements; lane i names row i%8 of tile i/8.
__device__ inline void load_tiles(uint32_t (&r)[4], const void* row) {
    uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/// As load_tiles, each tile transposed.
__device__ inline void load_tiles_transposed(uint32_t (&r)[4], const void* row) {
    uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/// c += a·b: bf16 tiles 16×16 and 16×8, f32 sums. Each row of c depends on its row of a alone.
__device__ inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Starts a copy of 16 bytes into shared memory; zeros where there is nothing to copy.
__device__ inline void copy_async(void* to, const void* from, bool present) {
    uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(to));
    int bytes = present ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes)
                 : "memory");
}

/// Closes a group of copies.
__device__ inline void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most N groups of this thread's copies are outstanding.
template <int N> __device__ inline void copy_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/// 2^x, to about 2 units in the last place; exact at 0, and 0 at −∞.
__device__ inline float exp2_fast(float x) {
    float y;
    asm("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/// Two numbers rounded to bf16, ties to even; the first in the low half.
__device__ inline uint32_t pack(float low, float high) {
    uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

}  // namespace device
#endif

/// A bf16 number by its bits.
struct bf16 {
    uint16_t bits;
};

__device__ inline float widen(uint32_t bits) { return __uint_as_float(bits << 16); }
__device__ inline float widen(bf16 v) { return widen(static_cast<uint32_t>(v.bits)); }
__device__ inline float low(uint32_t pair) { return widen(pair & 0xffffu); }
__device__ inline float high(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }
__device__ inline bf16 round_bf16(float v) {
    return bf16{static_cast<uint16_t>(device::pack(v, 0.0f) & 0xffffu)};
}

constexpr int WARP = 32;

/// Sum over the 32 lanes of a warp, the same bits in each.
template <class T> __device__ inline T warp_sum(T v) {
    for (int mask = WARP / 2; mask > 0; mask /= 2) v += device::shuffle_xor(v, mask);
    return v;
}

/// Sum over the block, the same bits in each thread and in every launch. `scratch`: one a warp.
template <class T> __device__ inline T block_sum(T v, T* scratch) {
    v = warp_sum(v);
    __syncthreads();
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = v;
    __syncthreads();
    T sum = 0;
    for (unsigned warp = 0; warp < blockDim.x / WARP; warp++) sum += scratch[warp];
    return sum;
}

/// e^x as `kernel::math::exp` computes it on the CPU, bit for bit.
__device__ inline float exp_exact(float x) {
    const float ROUND = 12582912.0f;
    float clamped = fminf(fmaxf(x, -87.0f), 88.0f);
    float n = fmaf(clamped, 1.44269504088896340736f, ROUND) - ROUND;
    float r = fmaf(-n, -0.00021219444f, fmaf(-n, 0.6933594f, clamped));
    float p = 1.0f / 720.0f;
    p = fmaf(r, p, 1.0f / 120.0f);
    p = fmaf(r, p, 1.0f / 24.0f);
    p = fmaf(r, p, 1.0f / 6.0f);
    p = fmaf(r, p, 0.5f);
    p = fmaf(r, p, 1.0f);
    p = fmaf(r, p, 1.0f);
    float scale = __uint_as_float(static_cast<uint32_t>(static_cast<int>(n) + 127) << 23);
    return x < -87.0f ? 0.0f : p * scale;
}
