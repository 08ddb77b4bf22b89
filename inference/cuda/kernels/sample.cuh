// `gumbel-v1` on the device: the draws of `sample.rs`, bit for bit, and what a verifier wants to know
// of a claimed token. Given the logits, only sums of probabilities may differ from the CPU's, in the
// last place.
#pragma once
#include "device.cuh"

/// What is asked of a row of logits.
struct Ask {
    uint32_t seed[2];
    uint32_t position;
    uint32_t claimed;   // the token to check; NO_TOKEN: the drawn one
    float temperature;  // 0: the likeliest token
    float top_p;        // draw from the likeliest tokens of this mass; 1: all
    uint32_t top_k;     // draw from this many of the likeliest tokens; 0: all
    uint32_t unused;
};

constexpr uint32_t NO_TOKEN = 0xffffffffu;

/// What a row says.
struct Answer {
    uint32_t token;       // the claimed token, or the drawn one
    uint32_t drawn;
    uint32_t rank;        // tokens likelier than `token`
    uint32_t not_finite;  // logits that are NaN or infinite
    float logprob;        // of `token` under softmax(logits), in nats
    float entropy;        // of softmax(logits / T), in nats
    float surprisal;      // of `token` under softmax(logits / T), in nats
    float margin;         // how far `token`'s score lies behind the drawn one's
};

/// Whole nats for which a least word is tabulated, as in `sample.rs`.
constexpr int DEFICITS = 24;

struct SampleArgs {
    const bf16* logits;  // [rows, vocab]
    const Ask* asks;     // [rows]
    Answer* answers;     // [rows]
    uint32_t vocab;
    uint32_t least_word[DEFICITS];  // least w whose G can exceed so many nats
};

struct Words {
    uint32_t w[4];
};

/// Philox4x32, ten rounds.
__device__ inline Words philox(Words c, uint32_t key0, uint32_t key1) {
    for (int round = 0; round < 10; round++) {
        const uint64_t a = uint64_t(0xD2511F53u) * c.w[0], b = uint64_t(0xCD9E8D57u) * c.w[2];
        c = Words{{uint32_t(b >> 32) ^ c.w[1] ^ key0, uint32_t(b), uint32_t(a >> 32) ^ c.w[3] ^ key1,
                   uint32_t(a)}};
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return c;
}

/// The natural logarithm as fdlibm computes it, for finite x > 0 that is no subnormal.
__device__ inline double log_fdlibm(double x) {
    const double LN2_HIGH = 6.93147180369123816490e-01, LN2_LOW = 1.90821492927058770002e-10;
    const double L1 = 6.666666666666735130e-01, L2 = 3.999999999940941908e-01,
                 L3 = 2.857142874366239149e-01, L4 = 2.222219843214978396e-01,
                 L5 = 1.818357216161805012e-01, L6 = 1.531383769920937332e-01,
                 L7 = 1.479819860511658591e-01;
    if (x == 1.0) return 0.0;
    uint64_t bits = static_cast<uint64_t>(__double_as_longlong(x));
    uint32_t upper = uint32_t(bits >> 32) + (0x3ff00000u - 0x3fe6a09eu);
    const int exponent = int(upper >> 20) - 0x3ff;
    upper = (upper & 0x000fffffu) + 0x3fe6a09eu;
    bits = (uint64_t(upper) << 32) | (bits & 0xffffffffu);
    const double f = __longlong_as_double(static_cast<long long>(bits)) - 1.0;
    const double half_square = 0.5 * f * f;
    const double s = f / (2.0 + f);
    const double z = s * s;
    const double w = z * z;
    const double t1 = w * (L2 + w * (L4 + w * L6));
    const double t2 = z * (L1 + w * (L3 + w * (L5 + w * L7)));
    const double r = t2 + t1;
    const double k = exponent;
    return s * (half_square + r) + k * LN2_LOW - half_square + f + k * LN2_HIGH;
}

__device__ inline float gumbel_of_word(uint32_t word) {
    const double u = (double(word) * 2.0 + 1.0) / 8589934592.0;
    return static_cast<float>(-log_fdlibm(-log_fdlibm(u)));
}

/// Third word of the counter, `gbl1`.
constexpr uint32_t SAMPLER_DOMAIN = 0x67626c31u;

__device__ inline Words gumbel_words(const Ask& ask, uint32_t quad) {
    return philox(Words{{quad, ask.position, SAMPLER_DOMAIN, 0}}, ask.seed[0], ask.seed[1]);
}

__device__ inline float score(const Ask& ask, float logit, uint32_t token) {
    if (ask.temperature == 0.0f) return logit;
    return logit / ask.temperature + gumbel_of_word(gumbel_words(ask, token / 4).w[token % 4]);
}

/// A token and its score; of equal scores the lowest token wins, and NaN never.
struct Best {
    float score;
    uint32_t token;
};

__device__ inline Best better(Best a, Best b) {
    const bool second = b.score > a.score || (b.score == a.score && b.token < a.token);
    return second ? b : a;
}

__device__ inline Best block_best(Best best, Best* scratch) {
    for (int mask = WARP / 2; mask > 0; mask /= 2) {
        const Best other{device::shuffle_xor(best.score, mask),
                         device::shuffle_xor(best.token, mask)};
        best = better(best, other);
    }
    __syncthreads();
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = best;
    __syncthreads();
    best = scratch[0];
    for (unsigned warp = 1; warp < blockDim.x / WARP; warp++) best = better(best, scratch[warp]);
    return best;
}

/// Order of bf16 numbers as order of integers.
__device__ inline uint32_t rank_key(bf16 v) {
    return v.bits & 0x8000u ? 0xffffu & ~uint32_t(v.bits) : v.bits | 0x8000u;
}

/// True where `G(word)` surely stays below `deficit` nats.
__device__ inline bool hopeless(const SampleArgs& args, float deficit, uint32_t word) {
    if (!(deficit >= 0.0f)) return false;
    const int whole = deficit < float(DEFICITS - 1) ? int(deficit) : DEFICITS - 1;
    return word < args.least_word[whole];
}

/// One row's work, shared by the threads of a block.
struct Row {
    const SampleArgs& args;
    const Ask ask;
    const bf16* logits;
    double* scratch;  // one a warp, of the widest type reduced

    /// Σ over tokens of value(token, logit) where kept(logit).
    template <class T, class F> __device__ T sum(F value) const {
        T total = 0;
        for (uint32_t v = threadIdx.x; v < args.vocab; v += blockDim.x) total += value(v, logits[v]);
        return block_sum(total, reinterpret_cast<T*>(scratch));
    }

    /// The largest key such that the tokens at or above it satisfy `enough`; 0 where none does.
    template <class F> __device__ uint32_t threshold(F enough) const {
        uint32_t key = 0;
        for (uint32_t bit = 0x8000u; bit > 0; bit /= 2) {
            if (enough(key | bit)) key |= bit;
        }
        return key;
    }

    /// Least key of the tokens to draw from: the top_k likeliest, and of those the fewest that make
    /// up top_p of the whole mass. Tokens that tie with the last one stay.
    __device__ uint32_t shortlist(float most, double mass) const {
        uint32_t least = 0;
        if (ask.top_k > 0 && ask.top_k < args.vocab) {
            least = threshold([&](uint32_t key) {
                return sum<uint32_t>([&](uint32_t, bf16 l) { return rank_key(l) >= key ? 1u : 0u; }) >=
                       ask.top_k;
            });
        }
        if (ask.top_p < 1.0f && ask.temperature > 0.0f) {
            const double wanted = double(ask.top_p) * mass;
            const uint32_t nucleus = threshold([&](uint32_t key) {
                return sum<double>([&](uint32_t, bf16 l) {
                           const float x = (widen(l) - most) / ask.temperature;
                           return rank_key(l) >= key ? double(exp_exact(x)) : 0.0;
                       }) >= wanted;
            });
            least = least > nucleus ? least : nucleus;
        }
        return least;
    }

    __device__ Best draw(uint32_t least) const {
        Best best{-INFINITY, 0};
        for (uint32_t quad = threadIdx.x; quad * 4 < args.vocab; quad += blockDim.x) {
            Words words{};
            if (ask.temperature != 0.0f) words = gumbel_words(ask, quad);
            for (uint32_t lane = 0; lane < 4 && quad * 4 + lane < args.vocab; lane++) {
                const uint32_t token = quad * 4 + lane;
                if (rank_key(logits[token]) < least) continue;
                float value = widen(logits[token]);
                if (ask.temperature != 0.0f) {
                    value = value / ask.temperature;
                    const float slack = 0.01f + 1e-6f * fabsf(best.score);
                    if (hopeless(args, best.score - value - slack, words.w[lane])) continue;
                    value += gumbel_of_word(words.w[lane]);
                }
                if (value > best.score) best = Best{value, token};
            }
        }
        return block_best(best, reinterpret_cast<Best*>(scratch));
    }
};

/// A block a row.
extern "C" __global__ void __launch_bounds__(512) sample(SampleArgs args) {
    SHARED_MEMORY(memory);
    const Ask ask = args.asks[blockIdx.x];
    const Row row{args, ask, args.logits + size_t(blockIdx.x) * args.vocab,
                  reinterpret_cast<double*>(memory)};
    Best likeliest{-INFINITY, 0};
    uint32_t not_finite = 0;
    for (uint32_t v = threadIdx.x; v < args.vocab; v += blockDim.x) {
        const float logit = widen(row.logits[v]);
        if (!(fabsf(logit) < INFINITY)) not_finite++;
        if (logit > likeliest.score) likeliest = Best{logit, v};
    }
    likeliest = block_best(likeliest, reinterpret_cast<Best*>(memory));
    not_finite = block_sum(not_finite, reinterpret_cast<uint32_t*>(memory));
    const float most = likeliest.score;
    const float divisor = ask.temperature == 0.0f ? 1.0f : ask.temperature;
    auto scaled = [&](bf16 l) { return fmaxf((widen(l) - most) / divisor, -3.402823466e38f); };
    const double plain = row.sum<double>(
        [&](uint32_t, bf16 l) { return double(exp_exact(widen(l) - most)); });
    const double mass = ask.temperature == 1.0f ? plain : row.sum<double>(
        [&](uint32_t, bf16 l) { return double(exp_exact(scaled(l))); });
    const double weighted = row.sum<double>([&](uint32_t, bf16 l) {
        const float x = scaled(l);
        return double(exp_exact(x) * x);
    });
    const Best drawn = row.draw(row.shortlist(most, mass));
    const uint32_t token = ask.claimed < args.vocab ? ask.claimed : drawn.token;
    const float logit = widen(row.logits[token]);
    const uint32_t rank =
        row.sum<uint32_t>([&](uint32_t, bf16 l) { return widen(l) > logit ? 1u : 0u; });
    if (threadIdx.x != 0) return;
    Answer answer{token, drawn.token, rank, not_finite, 0.0f, 0.0f, 0.0f, 0.0f};
    answer.logprob = static_cast<float>(double(logit - most) - log_fdlibm(plain));
    if (ask.temperature != 0.0f) {
        const double log_mass = log_fdlibm(mass), entropy = log_mass - weighted / mass;
        answer.entropy = static_cast<float>(entropy > 0.0 ? entropy : 0.0);
        answer.surprisal = static_cast<float>(log_mass - double((logit - most) / ask.temperature));
    }
    answer.margin = score(ask, widen(row.logits[drawn.token]), drawn.token) - score(ask, logit, token);
    args.answers[blockIdx.x] = answer;
}
