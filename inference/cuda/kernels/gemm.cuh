// out = x·wᵀ on the tensor cores.
//
// Every element of the result is summed over k in steps of sixteen, in order, whatever the tile: so a
// row's bits depend neither on how many rows it shares a launch with nor on the configuration that
// was chosen for them. Rows of a few are bound by reading `w` once: narrow tiles, deep pipelines.
#pragma once
#include "device.cuh"

struct GemmArgs {
    const bf16* x;  // [m, k]
    const bf16* w;  // [n, k]
    bf16* out;      // [m, n]
    uint32_t m;
    uint32_t n;
    uint32_t k;     // a multiple of 8
};

/// Elements of 16 bytes: what one asynchronous copy moves.
constexpr uint32_t CHUNK = 8;

/// A tile of ROWS×DEPTH in shared memory; rows are padded so that eight of them lie in eight
/// different groups of banks.
template <int ROWS, int DEPTH> struct Tile {
    static constexpr int STRIDE = DEPTH + int(CHUNK);
    static constexpr int SIZE = ROWS * STRIDE;

    /// Starts copying rows first.. of `from` ([rows, k]), columns at.. ; zeros beyond the matrix.
    template <int THREADS>
    __device__ static void fetch(bf16* to, const bf16* from, uint32_t first, uint32_t rows,
                                 uint32_t at, uint32_t k) {
        constexpr int CHUNKS = DEPTH / int(CHUNK);
        for (int i = threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
            const uint32_t row = i / CHUNKS, column = i % CHUNKS * CHUNK;
            const bool present = first + row < rows && at + column < k;
            const size_t offset = present ? size_t(first + row) * k + at + column : 0;
            device::copy_async(to + row * STRIDE + column, from + offset, present);
        }
    }
};

template <int BM, int BN, int BK, int WARPS_M, int WARPS_N, int STAGES>
__device__ inline void gemm_tile(const GemmArgs& args) {
    constexpr int THREADS = WARPS_M * WARPS_N * WARP;
    constexpr int WM = BM / WARPS_M, WN = BN / WARPS_N;
    constexpr int MT = WM / 16, NT = WN / 8;
    static_assert(MT * 16 == WM && NT % 2 == 0 && NT * 8 == WN && BK % 16 == 0, "whole fragments");
    using A = Tile<BM, BK>;
    using B = Tile<BN, BK>;
    SHARED_MEMORY(memory);
    bf16* stages = reinterpret_cast<bf16*>(memory);
    const uint32_t first_n = blockIdx.x * BN, first_m = blockIdx.y * BM;
    const int steps = int((args.k + BK - 1) / BK);
    auto fetch = [&](int step) {
        if (step < steps) {
            bf16* stage = stages + (step % STAGES) * (A::SIZE + B::SIZE);
            A::template fetch<THREADS>(stage, args.x, first_m, args.m, step * BK, args.k);
            B::template fetch<THREADS>(stage + A::SIZE, args.w, first_n, args.n, step * BK, args.k);
        }
        device::copy_commit();
    };
    for (int step = 0; step < STAGES - 1; step++) fetch(step);

    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int warp_m = warp / WARPS_N * WM, warp_n = warp % WARPS_N * WN;
    float sums[MT][NT][4] = {};
    for (int step = 0; step < steps; step++) {
        device::copy_wait<STAGES - 2>();
        __syncthreads();
        fetch(step + STAGES - 1);
        const bf16* a = stages + (step % STAGES) * (A::SIZE + B::SIZE);
        const bf16* b = a + A::SIZE;
#pragma unroll
        for (int k = 0; k < BK; k += 16) {
            uint32_t left[MT][4], right[NT / 2][4];
#pragma unroll
            for (int i = 0; i < MT; i++) {
                const int row = warp_m + i * 16 + lane % 16, column = k + lane / 16 * 8;
                device::load_tiles(left[i], a + row * A::STRIDE + column);
            }
#pragma unroll
            for (int j = 0; j < NT / 2; j++) {
                const int row = warp_n + j * 16 + lane / 16 * 8 + lane % 8;
                const int column = k + lane / 8 % 2 * 8;
                device::load_tiles(right[j], b + row * B::STRIDE + column);
            }
#pragma unroll
            for (int i = 0; i < MT; i++) {
#pragma unroll
                for (int j = 0; j < NT; j++) {
                    device::multiply(sums[i][j], left[i], right[j / 2][j % 2 * 2],
                                     right[j / 2][j % 2 * 2 + 1]);
                }
            }
        }
    }
    const bool paired = args.n % 2 == 0;
    for (int i = 0; i < MT; i++) {
        for (int j = 0; j < NT; j++) {
            for (int half = 0; half < 2; half++) {
                const uint32_t row = first_m + warp_m + i * 16 + half * 8 + lane / 4;
                const uint32_t column = first_n + warp_n + j * 8 + lane % 4 * 2;
                if (row >= args.m || column >= args.n) continue;
                bf16* out = args.out + size_t(row) * args.n + column;
                const float x = sums[i][j][half * 2], y = sums[i][j][half * 2 + 1];
                if (paired) {
                    *reinterpret_cast<uint32_t*>(out) = device::pack(x, y);
                } else {
                    out[0] = round_bf16(x);
                    if (column + 1 < args.n) out[1] = round_bf16(y);
                }
            }
        }
    }
}

// Shared memory, in bytes: STAGES · (BM + BN) · (BK + 8) · 2; at most 99 KiB, which every device from
// compute capability 8.0 on grants.
extern "C" __global__ void __launch_bounds__(64) gemm_16(GemmArgs args) {
    gemm_tile<16, 32, 128, 1, 2, 6>(args);
}
extern "C" __global__ void __launch_bounds__(128) gemm_64(GemmArgs args) {
    gemm_tile<64, 32, 64, 2, 2, 6>(args);
}
extern "C" __global__ void __launch_bounds__(256) gemm_128(GemmArgs args) {
    gemm_tile<128, 128, 32, 2, 4, 4>(args);
}
