// Causal attention over the paged key–value store, for decodes and prefills alike.
//
// A sequence's tokens are cut into splits of SPLIT, at fixed positions. Each split is one online
// softmax; splits are then merged in order. A decode computes its splits in parallel blocks and
// `attend_merge` merges them; a prefill goes through them one after another and merges in registers:
// the same operations in the same order, so a row's bits depend neither on the batch, nor on how its
// prompt was cut into steps, nor on whether it was decoded or prefilled.
//
// The query heads that share a key head are rows of one tile (GQA): each key and value is read once.
#pragma once
#include "rows.cuh"

/// Tokens of a split. Part of the numeric class: another number gives other bits.
constexpr int SPLIT = 256;

/// Query rows of a warp's tile.
constexpr int ROWS = 16;

/// Query tokens of one sequence, next to each other in the step.
struct Span {
    uint32_t row;     // the first token's row in the step
    uint32_t tokens;
    uint32_t start;   // its position
    uint32_t table;   // where the sequence's blocks begin in `tables`
    uint32_t first;   // first of the span's rows (token · group + head) that the block computes
};

struct AttendArgs {
    const bf16* qkv;           // [rows, qkv_width]: rotated queries first
    const bf16* keys;          // [blocks][kv_heads][BLOCK_TOKENS][head_dim]
    const bf16* values;
    bf16* out;                 // [rows, heads·head_dim]
    float* partial;            // decode: [rows][splits][heads][head_dim + 2]: sums, maximum, weight
    const int32_t* positions;  // decode: [rows]; negative: fills up the batch
    const uint32_t* tables;    // blocks of sequences; decode: [rows][table_stride]
    const Span* spans;         // prefill: one a block
    uint32_t qkv_width;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t splits;           // decode: most splits of any row
    uint32_t table_stride;
    uint32_t blocks;           // of the store: a table that names others is not followed
    float scale;               // log2(e)/√head_dim
};

/// One row's softmax so far, in units of log2: Σ 2^(s−most)·v, its largest score, Σ 2^(s−most).
struct Running {
    float most;
    float weight;
};

/// Scales that bring two running softmaxes to their common maximum, into `a`.
__device__ inline void merge_scales(Running& a, Running b, float& scale_a, float& scale_b) {
    const float most = fmaxf(a.most, b.most);
    const float base = most == -INFINITY ? 0.0f : most;
    scale_a = device::exp2_fast(a.most - base);
    scale_b = device::exp2_fast(b.most - base);
    a.most = most;
    a.weight = a.weight * scale_a + b.weight * scale_b;
}

__device__ inline float merged(float a, float scale_a, float b, float scale_b) {
    return a * scale_a + b * scale_b;
}

__device__ inline float inverse(float weight) { return weight > 0.0f ? 1.0f / weight : 0.0f; }

template <int HD> struct KvTile {
    static constexpr int STRIDE = HD + int(VECTOR);
    static constexpr int SIZE = int(BLOCK_TOKENS) * STRIDE;
    static constexpr int STAGES = 2;
    static constexpr int BYTES = STAGES * 2 * SIZE * int(sizeof(bf16));
};

/// One warp's sixteen query rows against the keys and values that its block loads together.
template <int HD, int WARPS> struct Attention {
    static constexpr int THREADS = WARPS * WARP;
    static constexpr int STEPS = HD / 16, COLUMNS = HD / 8, TOKENS = int(BLOCK_TOKENS) / 8;
    using Kv = KvTile<HD>;

    const AttendArgs& args;
    bf16* memory;
    const uint32_t* table;
    uint32_t kv_head;
    uint32_t limit;        // tokens of the sequence that exist for this block
    uint32_t visible[2];   // tokens that rows g and g+8 see; 0: no row
    uint32_t query[STEPS][4];

    __device__ Attention(const AttendArgs& a, bf16* m) : args(a), memory(m) {}

    __device__ void load_query(int which, const bf16* row) {
        const uint32_t column = threadIdx.x % 4 * 2;
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
            query[step][which] = query[step][which + 2] = 0;
            if (row == nullptr) continue;
            const bf16* at = row + step * 16 + column;
            query[step][which] = *reinterpret_cast<const uint32_t*>(at);
            query[step][which + 2] = *reinterpret_cast<const uint32_t*>(at + 8);
        }
    }

    /// Starts copying the block of tokens at `token`. Tokens that do not exist become zeros, so that
    /// whatever their slots held (NaN included) meets no arithmetic.
    __device__ void fetch(uint32_t token, int stage, uint32_t end) {
        if (token < end) {
            constexpr int CHUNKS = HD / int(VECTOR);
            const uint32_t block = table[token / BLOCK_TOKENS];
            const bool known = block < args.blocks;
            const size_t unit = (known ? size_t(block) * args.kv_heads + kv_head : 0) *
                                BLOCK_TOKENS * HD;
            bf16* keys = memory + stage * 2 * Kv::SIZE;
            for (int i = threadIdx.x; i < int(BLOCK_TOKENS) * CHUNKS; i += THREADS) {
                const uint32_t slot = i / CHUNKS, column = i % CHUNKS * VECTOR;
                const bool present = known && token + slot < limit;
                const size_t from = unit + (present ? slot * HD + column : 0);
                bf16* to = keys + slot * Kv::STRIDE + column;
                device::copy_async(to, args.keys + from, present);
                device::copy_async(to + Kv::SIZE, args.values + from, present);
            }
        }
        device::copy_commit();
    }

    /// Scores of the tile's 32 tokens, masked, in units of log2.
    __device__ void score(float (&scores)[TOKENS][4], const bf16* keys, uint32_t token) const {
        const int lane = threadIdx.x % WARP;
#pragma unroll
        for (int t = 0; t < TOKENS; t++) {
            scores[t][0] = scores[t][1] = scores[t][2] = scores[t][3] = 0.0f;
        }
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
#pragma unroll
            for (int pair = 0; pair < TOKENS / 2; pair++) {
                uint32_t b[4];
                const int row = pair * 16 + lane / 16 * 8 + lane % 8;
                const int column = step * 16 + lane / 8 % 2 * 8;
                device::load_tiles(b, keys + row * Kv::STRIDE + column);
                device::multiply(scores[pair * 2], query[step], b[0], b[1]);
                device::multiply(scores[pair * 2 + 1], query[step], b[2], b[3]);
            }
        }
#pragma unroll
        for (int t = 0; t < TOKENS; t++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const uint32_t at = token + t * 8 + lane % 4 * 2 + e % 2;
                scores[t][e] = at < visible[e / 2] ? scores[t][e] * args.scale : -INFINITY;
            }
        }
    }

    /// Takes one tile of 32 tokens into the running softmaxes of both rows.
    __device__ void take(uint32_t token, int stage, Running (&rows)[2], float (&sums)[COLUMNS][4]) {
        const bf16* keys = memory + stage * 2 * Kv::SIZE;
        const bf16* values = keys + Kv::SIZE;
        const int lane = threadIdx.x % WARP;
        float scores[TOKENS][4];
        score(scores, keys, token);
        float scale[2];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float most = -INFINITY;
#pragma unroll
            for (int t = 0; t < TOKENS; t++) {
                most = fmaxf(most, fmaxf(scores[t][r * 2], scores[t][r * 2 + 1]));
            }
            most = fmaxf(most, device::shuffle_xor(most, 1));
            most = fmaxf(most, device::shuffle_xor(most, 2));
            most = fmaxf(most, rows[r].most);
            const float base = most == -INFINITY ? 0.0f : most;
            scale[r] = device::exp2_fast(rows[r].most - base);
            rows[r].most = most;
            float weight = 0.0f;
#pragma unroll
            for (int t = 0; t < TOKENS; t++) {
                scores[t][r * 2] = device::exp2_fast(scores[t][r * 2] - base);
                scores[t][r * 2 + 1] = device::exp2_fast(scores[t][r * 2 + 1] - base);
                weight += scores[t][r * 2];
                weight += scores[t][r * 2 + 1];
            }
            weight += device::shuffle_xor(weight, 1);
            weight += device::shuffle_xor(weight, 2);
            rows[r].weight = rows[r].weight * scale[r] + weight;
        }
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
#pragma unroll
            for (int e = 0; e < 4; e++) sums[c][e] *= scale[e / 2];
        }
#pragma unroll
        for (int pair = 0; pair < TOKENS / 2; pair++) {
            const uint32_t a[4] = {device::pack(scores[pair * 2][0], scores[pair * 2][1]),
                                   device::pack(scores[pair * 2][2], scores[pair * 2][3]),
                                   device::pack(scores[pair * 2 + 1][0], scores[pair * 2 + 1][1]),
                                   device::pack(scores[pair * 2 + 1][2], scores[pair * 2 + 1][3])};
#pragma unroll
            for (int c = 0; c < COLUMNS; c += 2) {
                uint32_t b[4];
                const int row = pair * 16 + lane / 8 % 2 * 8 + lane % 8;
                const int column = c * 8 + lane / 16 * 8;
                device::load_tiles_transposed(b, values + row * Kv::STRIDE + column);
                device::multiply(sums[c], a, b[0], b[1]);
                device::multiply(sums[c + 1], a, b[2], b[3]);
            }
        }
    }

    /// The softmax over tokens from..end of one split. All threads of the block call it together.
    __device__ void split(uint32_t from, uint32_t end, Running (&rows)[2],
                          float (&sums)[COLUMNS][4]) {
        rows[0] = rows[1] = Running{-INFINITY, 0.0f};
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) sums[c][0] = sums[c][1] = sums[c][2] = sums[c][3] = 0.0f;
        fetch(from, 0, end);
        int stage = 0;
        for (uint32_t token = from; token < end; token += BLOCK_TOKENS) {
            fetch(token + BLOCK_TOKENS, 1 - stage, end);
            device::copy_wait<1>();
            __syncthreads();
            take(token, stage, rows, sums);
            __syncthreads();
            stage = 1 - stage;
        }
        device::copy_wait<0>();
    }
};

/// Blocks: (rows · splits, kv_heads, ⌈group/16⌉); one warp.
template <int HD> __device__ inline void attend_decode(const AttendArgs& args) {
    using Warp = Attention<HD, 1>;
    const uint32_t row = blockIdx.x / args.splits, index = blockIdx.x % args.splits;
    const int32_t position = args.positions[row];
    const uint32_t from = index * SPLIT;
    if (position < 0 || from > uint32_t(position)) return;
    SHARED_MEMORY(memory);
    const uint32_t group = args.heads / args.kv_heads;
    Warp warp(args, reinterpret_cast<bf16*>(memory));
    warp.table = args.tables + size_t(row) * args.table_stride;
    warp.kv_head = blockIdx.y;
    warp.limit = uint32_t(position) + 1;
    const uint32_t lane = threadIdx.x;
    uint32_t heads[2];
    for (int r = 0; r < 2; r++) {
        const uint32_t member = blockIdx.z * ROWS + lane / 4 + r * 8;
        heads[r] = blockIdx.y * group + member;
        warp.visible[r] = member < group ? warp.limit : 0;
        const bf16* query = args.qkv + size_t(row) * args.qkv_width + size_t(heads[r]) * HD;
        warp.load_query(r, member < group ? query : nullptr);
    }
    Running rows[2];
    float sums[Warp::COLUMNS][4];
    const uint32_t end = min(from + SPLIT, warp.limit);
    warp.split(from, end, rows, sums);
    for (int r = 0; r < 2; r++) {
        if (warp.visible[r] == 0) continue;
        const size_t unit = (size_t(row) * args.splits + index) * args.heads + heads[r];
        float* partial = args.partial + unit * (HD + 2);
        for (int c = 0; c < Warp::COLUMNS; c++) {
            partial[c * 8 + lane % 4 * 2] = sums[c][r * 2];
            partial[c * 8 + lane % 4 * 2 + 1] = sums[c][r * 2 + 1];
        }
        if (lane % 4 == 0) {
            partial[HD] = rows[r].most;
            partial[HD + 1] = rows[r].weight;
        }
    }
}

/// Merges a decode's splits in order. Blocks: (rows, heads), head_dim threads.
extern "C" __global__ void attend_merge(AttendArgs args) {
    const uint32_t row = blockIdx.x, head = blockIdx.y, head_dim = blockDim.x;
    bf16* out = args.out + (size_t(row) * args.heads + head) * head_dim + threadIdx.x;
    const int32_t position = args.positions[row];
    if (position < 0) {
        *out = bf16{0};
        return;
    }
    Running all{-INFINITY, 0.0f};
    float sum = 0.0f;
    for (uint32_t index = 0; index <= uint32_t(position) / SPLIT; index++) {
        const size_t unit = (size_t(row) * args.splits + index) * args.heads + head;
        const float* partial = args.partial + unit * (head_dim + 2);
        float scale_all, scale;
        merge_scales(all, Running{partial[head_dim], partial[head_dim + 1]}, scale_all, scale);
        sum = merged(sum, scale_all, partial[threadIdx.x], scale);
    }
    *out = round_bf16(sum * inverse(all.weight));
}

/// Warps of a prefill's block: each has sixteen rows.
constexpr int PREFILL_WARPS = 4;

/// Blocks: (spans, kv_heads); PREFILL_WARPS warps.
template <int HD> __device__ inline void attend_prefill(const AttendArgs& args) {
    using Warp = Attention<HD, PREFILL_WARPS>;
    SHARED_MEMORY(memory);
    const Span span = args.spans[blockIdx.x];
    const uint32_t group = args.heads / args.kv_heads, lane = threadIdx.x % WARP;
    Warp warp(args, reinterpret_cast<bf16*>(memory));
    warp.table = args.tables + span.table;
    warp.kv_head = blockIdx.y;
    const uint32_t last = min(span.first + PREFILL_WARPS * ROWS, span.tokens * group) - 1;
    warp.limit = span.start + last / group + 1;
    size_t places[2];
    for (int r = 0; r < 2; r++) {
        const uint32_t flat = span.first + threadIdx.x / WARP * ROWS + lane / 4 + r * 8;
        const uint32_t token = flat / group, head = blockIdx.y * group + flat % group;
        const bool exists = token < span.tokens;
        warp.visible[r] = exists ? span.start + token + 1 : 0;
        const size_t row = span.row + token;
        warp.load_query(r, exists ? args.qkv + row * args.qkv_width + size_t(head) * HD : nullptr);
        places[r] = (row * args.heads + head) * HD;
    }
    Running all[2] = {{-INFINITY, 0.0f}, {-INFINITY, 0.0f}};
    float totals[Warp::COLUMNS][4] = {};
    for (uint32_t from = 0; from < warp.limit; from += SPLIT) {
        Running rows[2];
        float sums[Warp::COLUMNS][4];
        warp.split(from, min(from + SPLIT, warp.limit), rows, sums);
        float scale_all[2], scale[2];
        for (int r = 0; r < 2; r++) merge_scales(all[r], rows[r], scale_all[r], scale[r]);
#pragma unroll
        for (int c = 0; c < Warp::COLUMNS; c++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                totals[c][e] = merged(totals[c][e], scale_all[e / 2], sums[c][e], scale[e / 2]);
            }
        }
    }
    for (int r = 0; r < 2; r++) {
        if (warp.visible[r] == 0) continue;
        const float scale = inverse(all[r].weight);
        for (int c = 0; c < Warp::COLUMNS; c++) {
            uint32_t* out = reinterpret_cast<uint32_t*>(args.out + places[r] + c * 8 + lane % 4 * 2);
            *out = device::pack(totals[c][r * 2] * scale, totals[c][r * 2 + 1] * scale);
        }
    }
}

#define ATTENTION_OF_WIDTH(HD)                                                              \
    extern "C" __global__ void __launch_bounds__(WARP) attend_decode_##HD(AttendArgs args) {  \
        attend_decode<HD>(args);                                                            \
    }                                                                                       \
    extern "C" __global__ void __launch_bounds__(PREFILL_WARPS * WARP)                      \
        attend_prefill_##HD(AttendArgs args) {                                              \
        attend_prefill<HD>(args);                                                           \
    }

ATTENTION_OF_WIDTH(32)
ATTENTION_OF_WIDTH(64)
ATTENTION_OF_WIDTH(128)
