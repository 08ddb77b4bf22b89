// A device of one thread at a time: the kernels' language for a host compiler.
//
// The threads of a block are fibers. They run until they meet: at a barrier, or, thirty-two at a
// time, at an exchange between the lanes of a warp. Between meetings they run in an order that
// changes from pass to pass, so that a missing barrier shows. Shared memory starts as noise with a
// fence behind it, and copies that run beside the arithmetic land at once or as late as the waits
// allow, by chance.
//
// For tests only: it shows that the kernels' logic is right, nothing about a device's speed, its
// memory model between unsynchronised threads, or the order in which its tensor cores add.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <cstddef>
#include <functional>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __syncthreads() emulated::barrier()
#define threadIdx (emulated::thread())
#define blockIdx (emulated::grid.block)
#define blockDim (emulated::grid.threads)
#define gridDim (emulated::grid.blocks)
#define SHARED_MEMORY(name) unsigned char* name = emulated::shared()

struct uint4 {
    uint32_t x, y, z, w;
};

namespace emulated {

struct Dim {
    unsigned x = 1, y = 1, z = 1;
};

struct Grid {
    Dim blocks, threads, block;
};

extern Grid grid;

constexpr unsigned LANES = 32;

/// What one lane shows the others.
struct Shown {
    alignas(16) unsigned char bytes[64];
};

/// What every lane of the warp shows; valid until the warp meets again.
struct Met {
    const Shown* lanes;
    template <class T> T of(unsigned lane) const {
        T value;
        memcpy(&value, lanes[lane].bytes, sizeof value);
        return value;
    }
};

Dim thread();
unsigned lane();
unsigned char* shared();
void barrier();
/// Where all lanes of a warp stand at the same exchange; `kind` tells exchanges apart.
Met meet(const char* kind, const void* shown, size_t size);
void copy(void* to, const void* from, bool present);
void commit();
void wait(int outstanding);
/// Ends the launch with an error.
[[noreturn]] void fail(const char* why);

/// Runs `body` as every thread of every block; false where it failed.
bool run(const Dim& blocks, const Dim& threads, unsigned shared_bytes, const std::function<void()>& body);
/// Changes the order in which threads run.
void shuffle(uint64_t seed);

template <class To, class From> To bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

}  // namespace emulated

inline float __uint_as_float(uint32_t v) { return emulated::bits<float>(v); }
inline long long __double_as_longlong(double v) { return emulated::bits<long long>(v); }
inline double __longlong_as_double(long long v) { return emulated::bits<double>(v); }
using std::max;
using std::min;

namespace device {

template <class T> T shuffle_xor(T v, int mask) {
    const emulated::Met met = emulated::meet("shuffle", &v, sizeof v);
    return met.of<T>(emulated::lane() ^ unsigned(mask));
}

inline uint16_t element(const void* row, unsigned column) {
    uint16_t v;
    memcpy(&v, static_cast<const unsigned char*>(row) + column * 2, sizeof v);
    return v;
}

inline void aligned(const void* at) {
    if (reinterpret_cast<uintptr_t>(at) % 16 != 0) emulated::fail("an address of 16 bytes is not aligned");
}

inline void load_tiles(uint32_t (&r)[4], const void* row) {
    aligned(row);
    const emulated::Met met = emulated::meet("load_tiles", &row, sizeof row);
    for (unsigned tile = 0; tile < 4; tile++) {
        const void* from = met.of<const void*>(tile * 8 + emulated::lane() / 4);
        const unsigned column = emulated::lane() % 4 * 2;
        r[tile] = element(from, column) | uint32_t(element(from, column + 1)) << 16;
    }
}

inline void load_tiles_transposed(uint32_t (&r)[4], const void* row) {
    aligned(row);
    const emulated::Met met = emulated::meet("load_tiles_transposed", &row, sizeof row);
    for (unsigned tile = 0; tile < 4; tile++) {
        const unsigned first = tile * 8 + emulated::lane() % 4 * 2, column = emulated::lane() / 4;
        r[tile] = element(met.of<const void*>(first), column) |
                  uint32_t(element(met.of<const void*>(first + 1), column)) << 16;
    }
}

inline float half_of(uint32_t pair, unsigned high) {
    return __uint_as_float(high ? pair & 0xffff0000u : pair << 16);
}

struct Fragments {
    uint32_t a[4], b[2];
};

inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    const Fragments mine{{a[0], a[1], a[2], a[3]}, {b0, b1}};
    const emulated::Met met = emulated::meet("multiply", &mine, sizeof mine);
    for (unsigned e = 0; e < 4; e++) {
        const unsigned row = emulated::lane() / 4, column = emulated::lane() % 4 * 2 + e % 2;
        for (unsigned k = 0; k < 16; k++) {
            const Fragments left = met.of<Fragments>(row * 4 + k % 8 / 2);
            const Fragments right = met.of<Fragments>(column * 4 + k % 8 / 2);
            c[e] += half_of(left.a[e / 2 + k / 8 * 2], k % 2) * half_of(right.b[k / 8], k % 2);
        }
    }
}

inline void copy_async(void* to, const void* from, bool present) {
    aligned(to);
    aligned(from);
    emulated::copy(to, from, present);
}
inline void copy_commit() { emulated::commit(); }
template <int N> void copy_wait() { emulated::wait(N); }

inline float exp2_fast(float x) { return exp2f(x); }

inline uint32_t rounded(float v) {
    const uint32_t b = emulated::bits<uint32_t>(v);
    if (v != v) return 0x7fff;
    return (b + 0x7fff + (b >> 16 & 1)) >> 16;
}
inline uint32_t pack(float low, float high) { return rounded(low) | rounded(high) << 16; }

}  // namespace device
