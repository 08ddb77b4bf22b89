// Kernels that take each row of a step by itself: embedding, norms, rotation, gates.
#pragma once
#include "device.cuh"

/// Elements a thread moves at once: 16 bytes.
constexpr unsigned VECTOR = 8;

struct EmbedArgs {
    const uint32_t* tokens;
    const bf16* table;  // [vocab, width]
    bf16* out;          // [rows, width]
    uint32_t vocab;
    uint32_t width;
};

/// A block a row. A token beyond the vocabulary marks a row that only fills up a batch: zeros.
extern "C" __global__ void embed(EmbedArgs args) {
    const uint32_t row = blockIdx.x;
    const uint32_t token = args.tokens[row];
    uint4* out = reinterpret_cast<uint4*>(args.out + size_t(row) * args.width);
    const uint4* from = reinterpret_cast<const uint4*>(args.table + size_t(token) * args.width);
    for (uint32_t i = threadIdx.x; i < args.width / VECTOR; i += blockDim.x) {
        out[i] = token < args.vocab ? from[i] : uint4{0, 0, 0, 0};
    }
}

struct NormArgs {
    bf16* residual;       // [rows, width], updated
    const bf16* branch;   // [rows, width] to add first, or null
    const float* weight;  // [width]
    bf16* out;            // [rows, width]
    uint32_t width;
    float eps;
};

__device__ inline uint32_t add_pair(uint32_t a, uint32_t b) {
    return device::pack(low(a) + low(b), high(a) + high(b));
}

__device__ inline float square_pair(uint32_t pair, float sum) {
    sum = fmaf(low(pair), low(pair), sum);
    return fmaf(high(pair), high(pair), sum);
}

/// residual += branch; out = residual / √(mean(residual²) + eps) · weight. A block a row.
extern "C" __global__ void rms_norm(NormArgs args) {
    SHARED_MEMORY(memory);
    float* scratch = reinterpret_cast<float*>(memory);
    const size_t start = size_t(blockIdx.x) * args.width;
    uint4* residual = reinterpret_cast<uint4*>(args.residual + start);
    const uint4* branch = reinterpret_cast<const uint4*>(args.branch + start);
    float squares = 0.0f;
    for (uint32_t i = threadIdx.x; i < args.width / VECTOR; i += blockDim.x) {
        uint4 x = residual[i];
        if (args.branch != nullptr) {
            const uint4 y = branch[i];
            x = uint4{add_pair(x.x, y.x), add_pair(x.y, y.y), add_pair(x.z, y.z), add_pair(x.w, y.w)};
            residual[i] = x;
        }
        squares = square_pair(x.x, squares);
        squares = square_pair(x.y, squares);
        squares = square_pair(x.z, squares);
        squares = square_pair(x.w, squares);
    }
    const float mean = block_sum(squares, scratch) / static_cast<float>(args.width);
    const float scale = 1.0f / sqrtf(mean + args.eps);
    uint4* out = reinterpret_cast<uint4*>(args.out + start);
    for (uint32_t i = threadIdx.x; i < args.width / VECTOR; i += blockDim.x) {
        const uint4 x = residual[i];
        const float* w = args.weight + i * VECTOR;
        out[i] = uint4{device::pack(low(x.x) * scale * w[0], high(x.x) * scale * w[1]),
                       device::pack(low(x.y) * scale * w[2], high(x.y) * scale * w[3]),
                       device::pack(low(x.z) * scale * w[4], high(x.z) * scale * w[5]),
                       device::pack(low(x.w) * scale * w[6], high(x.w) * scale * w[7])};
    }
}

struct GateArgs {
    const bf16* gate_up;  // [rows, 2·ffn]: gates, then ups
    bf16* out;            // [rows, ffn]
    uint32_t ffn;
};

__device__ inline float gated(float gate, float up) { return gate / (1.0f + exp_exact(-gate)) * up; }

__device__ inline uint32_t gated_pair(uint32_t gate, uint32_t up) {
    return device::pack(gated(low(gate), low(up)), gated(high(gate), high(up)));
}

/// out = silu(gate)·up. Blocks: (rows, vectors of a row in parts of a block).
extern "C" __global__ void silu_mul(GateArgs args) {
    const uint32_t i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= args.ffn / VECTOR) return;
    const size_t row = blockIdx.x;
    const uint4 gate = reinterpret_cast<const uint4*>(args.gate_up + row * 2 * args.ffn)[i];
    const uint4 up = reinterpret_cast<const uint4*>(args.gate_up + (row * 2 + 1) * args.ffn)[i];
    reinterpret_cast<uint4*>(args.out + row * args.ffn)[i] =
        uint4{gated_pair(gate.x, up.x), gated_pair(gate.y, up.y), gated_pair(gate.z, up.z),
              gated_pair(gate.w, up.w)};
}

/// Tokens a block of the key–value store holds.
constexpr uint32_t BLOCK_TOKENS = 32;

struct RopeArgs {
    bf16* qkv;                 // [rows, (heads + 2·kv_heads)·head_dim]; queries are rotated in place
    const float* bias;         // [(heads + 2·kv_heads)·head_dim], or null
    const float* query_norm;   // [head_dim], or null
    const float* key_norm;     // [head_dim], or null
    const float* cos;          // [positions, head_dim/2]
    const float* sin;
    const int32_t* positions;  // [rows]; negative: the row only fills up a batch
    const uint32_t* slots;     // [rows]: block · BLOCK_TOKENS + offset
    bf16* keys;                // [blocks][kv_heads][BLOCK_TOKENS][head_dim]
    bf16* values;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t head_dim;
    uint32_t capacity;         // blocks · BLOCK_TOKENS: slots beyond it are not written
    float eps;
};

/// Most elements of half a head that a lane holds: heads up to 256 wide.
constexpr int PAIRS = 4;

/// Bias, head norm, rotation; keys and values go to the store. A warp a head, blockDim.x/32 heads a
/// block; blocks: (rows, parts of the heads).
extern "C" __global__ void rope(RopeArgs args) {
    const uint32_t lane = threadIdx.x % WARP;
    const uint32_t head = blockIdx.y * (blockDim.x / WARP) + threadIdx.x / WARP;
    const uint32_t all = args.heads + 2 * args.kv_heads;
    const int32_t position = args.positions[blockIdx.x];
    const uint32_t slot = args.slots[blockIdx.x];
    if (head >= all || position < 0 || slot >= args.capacity) return;
    const uint32_t half = args.head_dim / 2;
    bf16* row = args.qkv + size_t(blockIdx.x) * all * args.head_dim + size_t(head) * args.head_dim;
    float a[PAIRS], b[PAIRS];
    float squares = 0.0f;
    for (int p = 0; p < PAIRS; p++) {
        const uint32_t i = lane + p * WARP;
        a[p] = i < half ? widen(row[i]) : 0.0f;
        b[p] = i < half ? widen(row[i + half]) : 0.0f;
        if (args.bias != nullptr && i < half) {
            a[p] += args.bias[head * args.head_dim + i];
            b[p] += args.bias[head * args.head_dim + i + half];
        }
        squares = fmaf(a[p], a[p], squares);
        squares = fmaf(b[p], b[p], squares);
    }
    const bool is_query = head < args.heads;
    const bool is_value = head >= args.heads + args.kv_heads;
    const float* norm = is_value ? nullptr : is_query ? args.query_norm : args.key_norm;
    if (norm != nullptr) {
        const float mean = warp_sum(squares) / static_cast<float>(args.head_dim);
        const float scale = 1.0f / sqrtf(mean + args.eps);
        for (int p = 0; p < PAIRS; p++) {
            const uint32_t i = lane + p * WARP;
            a[p] = i < half ? a[p] * scale * norm[i] : 0.0f;
            b[p] = i < half ? b[p] * scale * norm[i + half] : 0.0f;
        }
    }
    bf16* out = row;
    if (!is_query) {
        const uint32_t kv_head = (head - args.heads) % args.kv_heads;
        const uint32_t block = slot / BLOCK_TOKENS, offset = slot % BLOCK_TOKENS;
        const size_t unit = size_t(block) * args.kv_heads + kv_head;
        out = (is_value ? args.values : args.keys) + (unit * BLOCK_TOKENS + offset) * args.head_dim;
    }
    const size_t turn = size_t(position) * half;
    for (int p = 0; p < PAIRS; p++) {
        const uint32_t i = lane + p * WARP;
        if (i >= half) continue;
        const float cos = args.cos[turn + i], sin = args.sin[turn + i];
        const float x = is_value ? a[p] : a[p] * cos - b[p] * sin;
        const float y = is_value ? b[p] : b[p] * cos + a[p] * sin;
        out[i] = round_bf16(x);
        out[i + half] = round_bf16(y);
    }
}
