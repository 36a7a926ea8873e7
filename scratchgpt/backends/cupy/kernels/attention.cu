// Causal attention, tile by tile: the full matrix of scores never exists in memory.
// Source: Dao et al., "FlashAttention" (2022), algorithms 1 and 4, https://arxiv.org/abs/2205.14135, and Dao,
// "FlashAttention-2" (2023), https://arxiv.org/abs/2307.08691, for the order of the loops.
//
// Forward loops over tiles of keys and keeps, for every query, the largest score m so far, and sums relative to it.
// When a tile raises the maximum to m', the sums so far are multiplied by exp(m - m'):
//     sum = sum exp(m - m') + sum over the tile of exp(score - m'),    out the same, weighted by v
// At the end y = out / sum, and lse = m + log(sum) is all that backward needs to recompute any probability:
// exp(score - lse).
//
// Query t sees the keys up to t + S - T. A block owns a tile of queries (or, for dk and dv, of keys); no other block
// writes there, so sums always have the same order. Shared memory holds tiles as ACC, padded by one column, with
// zeros beyond the head's D <= HEAD channels and beyond the last row.
//
// The 128 threads of a block are 16 x 8: thread (r, c) has rows r, r + 16, ... and columns c, c + 8, ... of a tile.
//
// Parameters: q_b, q_h, q_t are the strides, in elements, of q along batch rows, heads and positions; k_b, k_h, k_t
// are those of both k and v. `bits` is dropout's mask of the probabilities, n_words 32-bit words per query with one
// bit per key, or null. Shared memory is split in the order in which the tiles are declared; attention.py computes
// its size.
#include "common.cuh"
#include "attention_bits.cuh"

#ifndef HEAD
#define HEAD 64  // D, rounded up to 16, 32, 64 or 128
#endif
#ifndef QUERIES
#define QUERIES 32  // of a tile: 32 or 64
#endif
const int THREADS = 128, ROW_GROUPS = 16, COLUMN_GROUPS = 8;
const int KEYS = 32;  // of a tile
const int LD = HEAD + 1, LD_SCORES = KEYS + 1;  // row strides in shared memory, padded against bank conflicts
const int MY_QUERIES = QUERIES / ROW_GROUPS, MY_KEYS = KEYS / COLUMN_GROUPS, MY_COLUMNS = HEAD / COLUMN_GROUPS;

struct Place {  // of this block and thread
    int b, h, row, column;
    __device__ Place() : b(blockIdx.z), h(blockIdx.y), row(threadIdx.x / COLUMN_GROUPS), column(threadIdx.x % COLUMN_GROUPS) {}
};

// Copy `n_rows` rows of D numbers, `stride` apart, into a tile of ROWS rows.
template <int ROWS>
__device__ __forceinline__ void load_tile(ACC* tile, const REAL* rows, long long stride, int n_rows, int D) {
    for (int i = threadIdx.x; i < ROWS * HEAD; i += THREADS) {
        int row = i / HEAD, d = i % HEAD;
        tile[row * LD + d] = row < n_rows && d < D ? wide(rows[row * stride + d]) : (ACC)0;
    }
}

// out[i][j] = the dot product of my i-th row of a and my j-th row of b.
__device__ __forceinline__ void dot_rows(const ACC* a, const ACC* b, const Place& me, ACC out[MY_QUERIES][MY_KEYS]) {
#pragma unroll
    for (int i = 0; i < MY_QUERIES; i++) {
#pragma unroll
        for (int j = 0; j < MY_KEYS; j++) out[i][j] = 0;
    }
    for (int d = 0; d < HEAD; d++) {
        ACC row[MY_QUERIES], column[MY_KEYS];
#pragma unroll
        for (int i = 0; i < MY_QUERIES; i++) row[i] = a[(me.row + ROW_GROUPS * i) * LD + d];
#pragma unroll
        for (int j = 0; j < MY_KEYS; j++) column[j] = b[(me.column + COLUMN_GROUPS * j) * LD + d];
#pragma unroll
        for (int i = 0; i < MY_QUERIES; i++) {
#pragma unroll
            for (int j = 0; j < MY_KEYS; j++) out[i][j] += row[i] * column[j];
        }
    }
}

// y (B, T, H, D) and the logarithms of the sums of exponentials, lse (B, H, T).
extern "C" __global__ void attention_forward(
    const REAL* q_strided, const REAL* k_strided, const REAL* v_strided, const unsigned* bits, REAL* y, ACC* lse,
    long long q_b, long long q_h, long long q_t, long long k_b, long long k_h, long long k_t,
    int H, int T, int S, int D, int n_words, double scale, double p) {
    DYNAMIC_SHARED(ACC, shared);
    ACC *Q = shared, *K = Q + QUERIES * LD, *V = K + KEYS * LD, *P = V + KEYS * LD;
    Place me;
    int q0 = blockIdx.x * QUERIES, n_seen = min(q0 + QUERIES, T) + S - T;
    const REAL *k = k_strided + me.b * k_b + me.h * k_h, *v = v_strided + me.b * k_b + me.h * k_h;
    bits = of_head(bits, me.b, me.h, H, T, n_words);
    ACC kept_scale = 1 / (1 - (ACC)p);
    load_tile<QUERIES>(Q, q_strided + me.b * q_b + me.h * q_h + q0 * q_t, q_t, T - q0, D);

    ACC out[MY_QUERIES][MY_COLUMNS], largest[MY_QUERIES], sum[MY_QUERIES];
#pragma unroll
    for (int i = 0; i < MY_QUERIES; i++) {
        largest[i] = -INFINITY;
        sum[i] = 0;
#pragma unroll
        for (int n = 0; n < MY_COLUMNS; n++) out[i][n] = 0;
    }
    for (int k0 = 0; k0 < n_seen; k0 += KEYS) {
        load_tile<KEYS>(K, k + k0 * k_t, k_t, S - k0, D);
        load_tile<KEYS>(V, v + k0 * k_t, k_t, S - k0, D);
        __syncthreads();  // the tiles are loaded
        ACC scores[MY_QUERIES][MY_KEYS];
        dot_rows(Q, K, me, scores);
#pragma unroll
        for (int i = 0; i < MY_QUERIES; i++) {
            int row = me.row + ROW_GROUPS * i, query = q0 + row;
            ACC before = largest[i];
#pragma unroll
            for (int j = 0; j < MY_KEYS; j++) {
                int key = k0 + me.column + COLUMN_GROUPS * j;
                scores[i][j] = key <= query + S - T && key < S ? scores[i][j] * (ACC)scale : -INFINITY;
                largest[i] = scores[i][j] > largest[i] ? scores[i][j] : largest[i];
            }
            for (int offset = 1; offset < COLUMN_GROUPS; offset *= 2) {  // the 8 threads of a row are neighbors
                ACC other = __shfl_xor_sync(EVERY_LANE, largest[i], offset);
                largest[i] = other > largest[i] ? other : largest[i];
            }
            ACC shrink = exp(before - largest[i]);  // the sums so far are relative to the previous maximum
            sum[i] *= shrink;
#pragma unroll
            for (int n = 0; n < MY_COLUMNS; n++) out[i][n] *= shrink;
#pragma unroll
            for (int j = 0; j < MY_KEYS; j++) {
                int column = me.column + COLUMN_GROUPS * j;
                ACC exponential = exp(scores[i][j] - largest[i]);
                sum[i] += exponential;
                // A row beyond T is summed like the others, and never read; but it has no mask bits to look up.
                bool real = query < T && k0 + column < S;
                P[row * LD_SCORES + column] = real ? exponential * mask_of(bits, n_words, query, k0 + column, kept_scale) : (ACC)0;
            }
        }
        __syncthreads();
        for (int j = 0; j < KEYS; j++) {
#pragma unroll
            for (int i = 0; i < MY_QUERIES; i++) {
                ACC probability = P[(me.row + ROW_GROUPS * i) * LD_SCORES + j];
#pragma unroll
                for (int n = 0; n < MY_COLUMNS; n++) out[i][n] += probability * V[j * LD + me.column + COLUMN_GROUPS * n];
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < MY_QUERIES; i++) {
        int query = q0 + me.row + ROW_GROUPS * i;
        for (int offset = 1; offset < COLUMN_GROUPS; offset *= 2) sum[i] += __shfl_xor_sync(EVERY_LANE, sum[i], offset);
        if (query >= T) continue;
        REAL* to = y + (((long long)me.b * T + query) * H + me.h) * D;
#pragma unroll
        for (int n = 0; n < MY_COLUMNS; n++) {
            int d = me.column + COLUMN_GROUPS * n;
            if (d < D) set(to[d], out[i][n] / sum[i]);
        }
        if (me.column == 0) lse[((long long)me.b * H + me.h) * T + query] = largest[i] + log(sum[i]);
    }
}

// Recompute a tile of probabilities (with dropout) and compute the gradients of its scores, into shared memory.
__device__ __forceinline__ void score_gradients(
    const ACC* Q, const ACC* K, const ACC* V, const ACC* dY, const ACC* lse, const ACC* delta, const unsigned* bits,
    ACC* P, ACC* dS, const Place& me, int q0, int k0, int T, int S, int n_words, double scale, ACC kept_scale) {
    ACC scores[MY_QUERIES][MY_KEYS], dprobs[MY_QUERIES][MY_KEYS];
    dot_rows(Q, K, me, scores);
    dot_rows(dY, V, me, dprobs);
#pragma unroll
    for (int i = 0; i < MY_QUERIES; i++) {
        int row = me.row + ROW_GROUPS * i, query = q0 + row;
#pragma unroll
        for (int j = 0; j < MY_KEYS; j++) {
            int column = me.column + COLUMN_GROUPS * j, key = k0 + column;
            bool seen = query < T && key < S && key <= query + S - T;
            ACC probability = seen ? exp(scores[i][j] * (ACC)scale - lse[query]) : (ACC)0;
            ACC mask = seen ? mask_of(bits, n_words, query, key, kept_scale) : (ACC)0;
            P[row * LD_SCORES + column] = probability * mask;
            dS[row * LD_SCORES + column] = seen ? probability * (dprobs[i][j] * mask - delta[query]) * (ACC)scale : (ACC)0;
        }
    }
}

// dk and dv: a block owns a tile of keys and loops over the queries that see it.
extern "C" __global__ void attention_backward_keys(
    const REAL* q_strided, const REAL* k_strided, const REAL* v_strided, const unsigned* bits, const REAL* dy,
    const ACC* lse, const ACC* delta, REAL* dk_strided, REAL* dv_strided,
    long long q_b, long long q_h, long long q_t, long long k_b, long long k_h, long long k_t,
    long long dk_b, long long dk_h, long long dk_t,
    int H, int T, int S, int D, int n_words, double scale, double p) {
    DYNAMIC_SHARED(ACC, shared);
    ACC *Q = shared, *dY = Q + QUERIES * LD, *K = dY + QUERIES * LD, *V = K + KEYS * LD;
    ACC *P = V + KEYS * LD, *dS = P + QUERIES * LD_SCORES;
    Place me;
    int k0 = blockIdx.x * KEYS, first_query = max(0, k0 - (S - T));
    const REAL* q = q_strided + me.b * q_b + me.h * q_h;
    dy += (long long)me.b * T * H * D + me.h * D;
    lse += ((long long)me.b * H + me.h) * T;
    delta += ((long long)me.b * H + me.h) * T;
    bits = of_head(bits, me.b, me.h, H, T, n_words);
    ACC kept_scale = 1 / (1 - (ACC)p);
    load_tile<KEYS>(K, k_strided + me.b * k_b + me.h * k_h + k0 * k_t, k_t, S - k0, D);
    load_tile<KEYS>(V, v_strided + me.b * k_b + me.h * k_h + k0 * k_t, k_t, S - k0, D);

    const int MY_ROWS = KEYS / ROW_GROUPS;
    ACC dk[MY_ROWS][MY_COLUMNS], dv[MY_ROWS][MY_COLUMNS];
#pragma unroll
    for (int i = 0; i < MY_ROWS; i++) {
#pragma unroll
        for (int n = 0; n < MY_COLUMNS; n++) dk[i][n] = dv[i][n] = 0;
    }
    for (int q0 = first_query / QUERIES * QUERIES; q0 < T; q0 += QUERIES) {
        load_tile<QUERIES>(Q, q + q0 * q_t, q_t, T - q0, D);
        load_tile<QUERIES>(dY, dy + (long long)q0 * H * D, H * D, T - q0, D);
        __syncthreads();
        score_gradients(Q, K, V, dY, lse, delta, bits, P, dS, me, q0, k0, T, S, n_words, scale, kept_scale);
        __syncthreads();
        for (int row = 0; row < QUERIES; row++) {
#pragma unroll
            for (int i = 0; i < MY_ROWS; i++) {
                ACC probability = P[row * LD_SCORES + me.row + ROW_GROUPS * i];
                ACC dscore = dS[row * LD_SCORES + me.row + ROW_GROUPS * i];
#pragma unroll
                for (int n = 0; n < MY_COLUMNS; n++) {
                    dv[i][n] += probability * dY[row * LD + me.column + COLUMN_GROUPS * n];
                    dk[i][n] += dscore * Q[row * LD + me.column + COLUMN_GROUPS * n];
                }
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < MY_ROWS; i++) {
        int key = k0 + me.row + ROW_GROUPS * i;
        if (key >= S) continue;
        long long to = me.b * dk_b + me.h * dk_h + key * dk_t;
#pragma unroll
        for (int n = 0; n < MY_COLUMNS; n++) {
            int d = me.column + COLUMN_GROUPS * n;
            if (d < D) {
                set(dk_strided[to + d], dk[i][n]);
                set(dv_strided[to + d], dv[i][n]);
            }
        }
    }
}

// dq: a block owns a tile of queries and loops over the keys that they see.
extern "C" __global__ void attention_backward_queries(
    const REAL* q_strided, const REAL* k_strided, const REAL* v_strided, const unsigned* bits, const REAL* dy,
    const ACC* lse, const ACC* delta, REAL* dq_strided,
    long long q_b, long long q_h, long long q_t, long long k_b, long long k_h, long long k_t,
    long long dq_b, long long dq_h, long long dq_t,
    int H, int T, int S, int D, int n_words, double scale, double p) {
    DYNAMIC_SHARED(ACC, shared);
    ACC *Q = shared, *dY = Q + QUERIES * LD, *K = dY + QUERIES * LD, *V = K + KEYS * LD;
    ACC *P = V + KEYS * LD, *dS = P + QUERIES * LD_SCORES;
    Place me;
    int q0 = blockIdx.x * QUERIES, n_seen = min(q0 + QUERIES, T) + S - T;
    const REAL *k = k_strided + me.b * k_b + me.h * k_h, *v = v_strided + me.b * k_b + me.h * k_h;
    dy += (long long)me.b * T * H * D + me.h * D;
    lse += ((long long)me.b * H + me.h) * T;
    delta += ((long long)me.b * H + me.h) * T;
    bits = of_head(bits, me.b, me.h, H, T, n_words);
    ACC kept_scale = 1 / (1 - (ACC)p);
    load_tile<QUERIES>(Q, q_strided + me.b * q_b + me.h * q_h + q0 * q_t, q_t, T - q0, D);
    load_tile<QUERIES>(dY, dy + (long long)q0 * H * D, H * D, T - q0, D);

    ACC dq[MY_QUERIES][MY_COLUMNS];
#pragma unroll
    for (int i = 0; i < MY_QUERIES; i++) {
#pragma unroll
        for (int n = 0; n < MY_COLUMNS; n++) dq[i][n] = 0;
    }
    for (int k0 = 0; k0 < n_seen; k0 += KEYS) {
        load_tile<KEYS>(K, k + k0 * k_t, k_t, S - k0, D);
        load_tile<KEYS>(V, v + k0 * k_t, k_t, S - k0, D);
        __syncthreads();
        score_gradients(Q, K, V, dY, lse, delta, bits, P, dS, me, q0, k0, T, S, n_words, scale, kept_scale);
        __syncthreads();
        for (int j = 0; j < KEYS; j++) {
#pragma unroll
            for (int i = 0; i < MY_QUERIES; i++) {
                ACC dscore = dS[(me.row + ROW_GROUPS * i) * LD_SCORES + j];
#pragma unroll
                for (int n = 0; n < MY_COLUMNS; n++) dq[i][n] += dscore * K[j * LD + me.column + COLUMN_GROUPS * n];
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < MY_QUERIES; i++) {
        int query = q0 + me.row + ROW_GROUPS * i;
        if (query >= T) continue;
        long long to = me.b * dq_b + me.h * dq_h + query * dq_t;
#pragma unroll
        for (int n = 0; n < MY_COLUMNS; n++) {
            int d = me.column + COLUMN_GROUPS * n;
            if (d < D) set(dq_strided[to + d], dq[i][n]);
        }
    }
}
