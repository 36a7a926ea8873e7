// Causal attention on tensor cores, for bf16 and half: algorithm and arguments are those of attention.cu.
//
// A block has four warps. Each owns 16 rows (queries, or keys for dk and dv), and no other warp writes there; tiles
// of COLUMNS rows of the other side pass through shared memory. A warp's products have 16 rows, so probabilities
// never leave its registers: the thread that holds an element of one product's result needs exactly that element as
// a factor of the next product. Source: Dao, "FlashAttention-2" (2023), https://arxiv.org/abs/2307.08691.
#include "common.cuh"
#include "attention_bits.cuh"

#ifndef HEAD
#define HEAD 64  // D, rounded up to 16, 32, 64 or 128
#endif
const int THREADS = 128, WARP_ROWS = 16, ROWS = THREADS / WARP * WARP_ROWS;
const int COLUMNS = HEAD > 64 ? 32 : 64;
const int LD = HEAD + 8;  // row stride in shared memory: eight rows begin in eight different banks
const float LOG2_E = 1.4426950408889634f;  // exp(x) = exp2(x LOG2_E), and exp2 is one instruction

typedef float Tile8[4];  // 16 x 8 results of a warp: my rows are `group` and `group` + 8, my columns 2 `pair`, 2 `pair` + 1

struct Place {  // of this block, warp and thread
    int b, h, warp, lane, group, pair;
    __device__ Place()
        : b(blockIdx.z), h(blockIdx.y), warp(threadIdx.x / WARP), lane(threadIdx.x % WARP), group(lane / 4), pair(lane % 4) {}
    __device__ int row(int i) const { return warp * WARP_ROWS + group + i / 2 * 8; }  // of my i-th result of four
    __device__ int column(int tile, int i) const { return tile * 8 + pair * 2 + i % 2; }
};

__device__ __forceinline__ void mma(Tile8 d, const unsigned a[4], const unsigned b[2], bf16) { mma_m16n8k16_bf16(d, a, b); }
__device__ __forceinline__ void mma(Tile8 d, const unsigned a[4], const unsigned b[2], half) { mma_m16n8k16_half(d, a, b); }

__device__ __forceinline__ unsigned pack(float low, float high) {
    REAL a, b;
    set(a, low);
    set(b, high);
    return (unsigned)b.bits << 16 | a.bits;
}

// Copy `n_rows` rows of D numbers, `stride` apart, into a tile of N rows; fill the rest with zeros.
template <int N>
__device__ __forceinline__ void load_tile(REAL* tile, const REAL* rows, long long stride, int n_rows, int D) {
    bool whole = D % PACK == 0 && stride % PACK == 0 && (size_t)rows % sizeof(Pack) == 0;
    for (int i = threadIdx.x; i < N * HEAD / PACK; i += THREADS) {
        int row = i / (HEAD / PACK), d = i % (HEAD / PACK) * PACK;
        Pack pack;
        if (row < n_rows && whole && d < D) {
            pack = *(const Pack*)(rows + row * stride + d);
        } else {
            for (int j = 0; j < PACK; j++) {
                if (row < n_rows && d + j < D) pack.values[j] = rows[row * stride + d + j];
                else set(pack.values[j], 0.0f);
            }
        }
        *(Pack*)(tile + row * LD + d) = pack;
    }
}

// ldmatrix loads four 8 x 8 tiles at once; thread i gives the address of row i % 8 of tile i / 8. For a 16 x 16 factor
// the tiles are, by row and column of eight:
//     `a`, whose rows are rows of the product:   `b`, whose rows are columns of the product:
//         tile 0 (0, 0)   tile 2 (0, 1)              tile 0 (0, 0)   tile 1 (0, 1)     the first eight rows: one mma
//         tile 1 (1, 0)   tile 3 (1, 1)              tile 2 (1, 0)   tile 3 (1, 1)     the other eight: the next
// hence lane % 16 and lane / 16 for a, lane / 16 and lane / 8 % 2 for b. With .trans, rows and columns are swapped.

// out (16 x N) = my warp's 16 rows of `a`, times the N rows of `b`: dot products of rows.
template <int N>
__device__ __forceinline__ void dot_rows(const REAL* a, const REAL* b, const Place& me, Tile8 out[N / 8]) {
#pragma unroll
    for (int n = 0; n < N / 8; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) out[n][i] = 0;
    }
#pragma unroll
    for (int k = 0; k < HEAD; k += 16) {
        unsigned of_a[4], of_b[4];
        ldmatrix_x4(of_a, a + (me.warp * WARP_ROWS + me.lane % 16) * LD + k + me.lane / 16 * 8);
#pragma unroll
        for (int n = 0; n < N; n += 16) {
            ldmatrix_x4(of_b, b + (n + me.lane / 16 * 8 + me.lane % 8) * LD + k + me.lane / 8 % 2 * 8);
            mma(out[n / 8], of_a, of_b, REAL());
            mma(out[n / 8 + 1], of_a, of_b + 2, REAL());
        }
    }
}

// out (16 x HEAD) += weights (16 x N) times the N rows of `b`: weighted sums of rows.
template <int N>
__device__ __forceinline__ void add_weighted_rows(const Tile8 weights[N / 8], const REAL* b, const Place& me, Tile8 out[HEAD / 8]) {
#pragma unroll
    for (int k = 0; k < N; k += 16) {
        const float *left = weights[k / 8], *right = weights[k / 8 + 1];
        unsigned of_a[4] = {pack(left[0], left[1]), pack(left[2], left[3]), pack(right[0], right[1]), pack(right[2], right[3])};
#pragma unroll
        for (int n = 0; n < HEAD; n += 16) {
            unsigned of_b[4];
            ldmatrix_x4_trans(of_b, b + (k + me.lane / 8 % 2 * 8 + me.lane % 8) * LD + n + me.lane / 16 * 8);
            mma(out[n / 8], of_a, of_b, REAL());
            mma(out[n / 8 + 1], of_a, of_b + 2, REAL());
        }
    }
}

// Write my warp's rows of a result, each multiplied by its factor, to `n_rows` rows `stride` apart.
__device__ __forceinline__ void store_rows(
    const Tile8 result[HEAD / 8], const float factors[2], REAL* rows, long long stride, int n_rows, int D, const Place& me) {
#pragma unroll
    for (int side = 0; side < 2; side++) {
        int row = me.row(2 * side);
        if (row >= n_rows) continue;
        REAL* to = rows + row * stride;
#pragma unroll
        for (int n = 0; n < HEAD / 8; n++) {
            int d = me.column(n, 0);
            float low = result[n][2 * side] * factors[side], high = result[n][2 * side + 1] * factors[side];
            if (D % 2 == 0 && d < D) {
                *(unsigned*)(to + d) = pack(low, high);
            } else {
                if (d < D) set(to[d], low);
                if (d + 1 < D) set(to[d + 1], high);
            }
        }
    }
}

__device__ __forceinline__ void clear(Tile8 result[HEAD / 8]) {
#pragma unroll
    for (int n = 0; n < HEAD / 8; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) result[n][i] = 0;
    }
}

// y (B, T, H, D) and the logarithms of the sums of exponentials, lse (B, H, T).
extern "C" __global__ void attention_forward(
    const REAL* q_strided, const REAL* k_strided, const REAL* v_strided, const unsigned* bits, REAL* y, ACC* lse,
    long long q_b, long long q_h, long long q_t, long long k_b, long long k_h, long long k_t,
    int H, int T, int S, int D, int n_words, double scale, double p) {
    DYNAMIC_SHARED(REAL, shared);
    REAL *Q = shared, *K = Q + ROWS * LD, *V = K + COLUMNS * LD;
    Place me;
    int q0 = blockIdx.x * ROWS, n_seen = min(q0 + ROWS, T) + S - T;
    const REAL *k = k_strided + me.b * k_b + me.h * k_h, *v = v_strided + me.b * k_b + me.h * k_h;
    bits = of_head(bits, me.b, me.h, H, T, n_words);
    float factor = (float)scale * LOG2_E, kept_scale = 1 / (1 - (float)p);
    load_tile<ROWS>(Q, q_strided + me.b * q_b + me.h * q_h + q0 * q_t, q_t, T - q0, D);

    Tile8 out[HEAD / 8];
    clear(out);
    float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};  // of my two rows
    for (int k0 = 0; k0 < n_seen; k0 += COLUMNS) {
        load_tile<COLUMNS>(K, k + k0 * k_t, k_t, S - k0, D);
        load_tile<COLUMNS>(V, v + k0 * k_t, k_t, S - k0, D);
        __syncthreads();
        Tile8 scores[COLUMNS / 8];
        dot_rows<COLUMNS>(Q, K, me, scores);
        float before[2] = {largest[0], largest[1]};
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int query = q0 + me.row(i), key = k0 + me.column(n, i);
                if (key > query + S - T || key >= S) scores[n][i] = -INFINITY;
                largest[i / 2] = fmaxf(largest[i / 2], scores[n][i]);
            }
        }
#pragma unroll
        for (int r = 0; r < 2; r++) {
            for (int offset = 1; offset < 4; offset *= 2) {  // the four threads of a row are neighbors
                largest[r] = fmaxf(largest[r], __shfl_xor_sync(EVERY_LANE, largest[r], offset));
            }
            float shrink = exp2f((before[r] - largest[r]) * factor);  // sums are relative to the previous maximum
            sum[r] *= shrink;
#pragma unroll
            for (int n = 0; n < HEAD / 8; n++) {
                out[n][2 * r] *= shrink;
                out[n][2 * r + 1] *= shrink;
            }
        }
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int query = q0 + me.row(i), key = k0 + me.column(n, i);
                float exponential = exp2f((scores[n][i] - largest[i / 2]) * factor);
                sum[i / 2] += exponential;
                bool real = query < T && key < S;
                scores[n][i] = real ? exponential * mask_of(bits, n_words, query, key, kept_scale) : 0;
            }
        }
        add_weighted_rows<COLUMNS>(scores, V, me, out);
        __syncthreads();
    }
    float factors[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        for (int offset = 1; offset < 4; offset *= 2) sum[r] += __shfl_xor_sync(EVERY_LANE, sum[r], offset);
        factors[r] = 1 / sum[r];
        int query = q0 + me.row(2 * r);
        if (me.pair == 0 && query < T) {
            lse[((long long)me.b * H + me.h) * T + query] = largest[r] * (float)scale + logf(sum[r]);
        }
    }
    REAL* to = y + (((long long)me.b * T + q0) * H + me.h) * D;
    store_rows(out, factors, to, (long long)H * D, T - q0, D, me);
}

// Turn scores into probabilities (with dropout) and dprobs into the gradients of the scores, without the factor `scale`.
__device__ __forceinline__ void score_gradient(
    float& score, float& dprob, int query, int key, float lse, float delta, const unsigned* bits, int n_words,
    int T, int S, float factor, float kept_scale) {
    bool seen = query < T && key < S && key <= query + S - T;
    float probability = seen ? exp2f(score * factor - lse * LOG2_E) : 0;
    float mask = seen ? mask_of(bits, n_words, query, key, kept_scale) : 0;
    score = probability * mask;
    dprob = seen ? probability * (dprob * mask - delta) : 0;
}

// dk and dv: a block owns ROWS keys and loops over the queries that see them.
extern "C" __global__ void attention_backward_keys(
    const REAL* q_strided, const REAL* k_strided, const REAL* v_strided, const unsigned* bits, const REAL* dy,
    const ACC* lse, const ACC* delta, REAL* dk_strided, REAL* dv_strided,
    long long q_b, long long q_h, long long q_t, long long k_b, long long k_h, long long k_t,
    long long dk_b, long long dk_h, long long dk_t,
    int H, int T, int S, int D, int n_words, double scale, double p) {
    DYNAMIC_SHARED(REAL, shared);
    REAL *K = shared, *V = K + ROWS * LD, *Q = V + ROWS * LD, *dY = Q + COLUMNS * LD;
    __shared__ float lse_tile[COLUMNS], delta_tile[COLUMNS];
    Place me;
    int k0 = blockIdx.x * ROWS, first_query = max(0, k0 - (S - T));
    const REAL* q = q_strided + me.b * q_b + me.h * q_h;
    dy += (long long)me.b * T * H * D + me.h * D;
    lse += ((long long)me.b * H + me.h) * T;
    delta += ((long long)me.b * H + me.h) * T;
    bits = of_head(bits, me.b, me.h, H, T, n_words);
    float factor = (float)scale * LOG2_E, kept_scale = 1 / (1 - (float)p);
    load_tile<ROWS>(K, k_strided + me.b * k_b + me.h * k_h + k0 * k_t, k_t, S - k0, D);
    load_tile<ROWS>(V, v_strided + me.b * k_b + me.h * k_h + k0 * k_t, k_t, S - k0, D);

    Tile8 dk[HEAD / 8], dv[HEAD / 8];
    clear(dk);
    clear(dv);
    for (int q0 = first_query / COLUMNS * COLUMNS; q0 < T; q0 += COLUMNS) {
        load_tile<COLUMNS>(Q, q + q0 * q_t, q_t, T - q0, D);
        load_tile<COLUMNS>(dY, dy + (long long)q0 * H * D, H * D, T - q0, D);
        if (threadIdx.x < COLUMNS && q0 + threadIdx.x < T) {
            lse_tile[threadIdx.x] = lse[q0 + threadIdx.x];
            delta_tile[threadIdx.x] = delta[q0 + threadIdx.x];
        }
        __syncthreads();
        Tile8 scores[COLUMNS / 8], dprobs[COLUMNS / 8];  // keys are rows here, queries columns
        dot_rows<COLUMNS>(K, Q, me, scores);
        dot_rows<COLUMNS>(V, dY, me, dprobs);
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int column = me.column(n, i);
                score_gradient(scores[n][i], dprobs[n][i], q0 + column, k0 + me.row(i), lse_tile[column], delta_tile[column],
                               bits, n_words, T, S, factor, kept_scale);
            }
        }
        add_weighted_rows<COLUMNS>(scores, dY, me, dv);
        add_weighted_rows<COLUMNS>(dprobs, Q, me, dk);
        __syncthreads();
    }
    long long to = me.b * dk_b + me.h * dk_h + k0 * dk_t;
    const float ones[2] = {1, 1}, scales[2] = {(float)scale, (float)scale};
    store_rows(dk, scales, dk_strided + to, dk_t, S - k0, D, me);
    store_rows(dv, ones, dv_strided + to, dk_t, S - k0, D, me);
}

// dq: a block owns ROWS queries and loops over the keys that they see.
extern "C" __global__ void attention_backward_queries(
    const REAL* q_strided, const REAL* k_strided, const REAL* v_strided, const unsigned* bits, const REAL* dy,
    const ACC* lse, const ACC* delta, REAL* dq_strided,
    long long q_b, long long q_h, long long q_t, long long k_b, long long k_h, long long k_t,
    long long dq_b, long long dq_h, long long dq_t,
    int H, int T, int S, int D, int n_words, double scale, double p) {
    DYNAMIC_SHARED(REAL, shared);
    REAL *Q = shared, *dY = Q + ROWS * LD, *K = dY + ROWS * LD, *V = K + COLUMNS * LD;
    Place me;
    int q0 = blockIdx.x * ROWS, n_seen = min(q0 + ROWS, T) + S - T;
    const REAL *k = k_strided + me.b * k_b + me.h * k_h, *v = v_strided + me.b * k_b + me.h * k_h;
    dy += (long long)me.b * T * H * D + me.h * D;
    bits = of_head(bits, me.b, me.h, H, T, n_words);
    float factor = (float)scale * LOG2_E, kept_scale = 1 / (1 - (float)p);
    float my_lse[2], my_delta[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int query = q0 + me.row(2 * r);
        my_lse[r] = query < T ? lse[((long long)me.b * H + me.h) * T + query] : 0;
        my_delta[r] = query < T ? delta[((long long)me.b * H + me.h) * T + query] : 0;
    }
    load_tile<ROWS>(Q, q_strided + me.b * q_b + me.h * q_h + q0 * q_t, q_t, T - q0, D);
    load_tile<ROWS>(dY, dy + (long long)q0 * H * D, H * D, T - q0, D);

    Tile8 dq[HEAD / 8];
    clear(dq);
    for (int k0 = 0; k0 < n_seen; k0 += COLUMNS) {
        load_tile<COLUMNS>(K, k + k0 * k_t, k_t, S - k0, D);
        load_tile<COLUMNS>(V, v + k0 * k_t, k_t, S - k0, D);
        __syncthreads();
        Tile8 scores[COLUMNS / 8], dprobs[COLUMNS / 8];
        dot_rows<COLUMNS>(Q, K, me, scores);
        dot_rows<COLUMNS>(dY, V, me, dprobs);
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                score_gradient(scores[n][i], dprobs[n][i], q0 + me.row(i), k0 + me.column(n, i), my_lse[i / 2], my_delta[i / 2],
                               bits, n_words, T, S, factor, kept_scale);
            }
        }
        add_weighted_rows<COLUMNS>(dprobs, K, me, dq);
        __syncthreads();
    }
    const float scales[2] = {(float)scale, (float)scale};
    store_rows(dq, scales, dq_strided + me.b * dq_b + me.h * dq_h + q0 * dq_t, dq_t, T - q0, D, me);
}
