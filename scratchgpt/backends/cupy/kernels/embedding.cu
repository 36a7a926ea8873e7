// Token and position embedding. The gradient of a row of wte is a sum over the positions of its token: the positions
// are sorted by token, and each run of equal tokens is summed in order. Atomic additions would sum in a different
// order each time.
#include "common.cuh"

// x[row] = wte[tokens[row]] + wpe[row % T], one block per row.
extern "C" __global__ void embedding_forward(
    const int* tokens, const REAL* wte, const REAL* wpe, REAL* x, int T, int C) {
    const REAL* token = wte + (long long)tokens[blockIdx.x] * C;
    const REAL* position = wpe + (long long)(blockIdx.x % T) * C;
    for (int c = threadIdx.x; c < C; c += blockDim.x) {
        set(x[(long long)blockIdx.x * C + c], wide(token[c]) + wide(position[c]));
    }
}

// dwpe[t] = sum over b of dx[b, t], in order of b; one thread per element.
extern "C" __global__ void position_gradient(const REAL* dx, ACC* dwpe, int n_rows, int n_elements) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n_elements) return;
    ACC sum = 0;
    for (int row = 0; row < n_rows; row++) sum += wide(dx[(long long)row * n_elements + i]);
    dwpe[i] = sum;
}

// A sort key is a token and its position: no two keys are equal, so the sorted order is unique.
const int TILE = 1024;
typedef unsigned long long Key;

// Sort each tile of keys: bitonic sort in shared memory, one block of TILE / 2 threads per tile.
// Source: Batcher, "Sorting networks and their applications" (1968).
extern "C" __global__ void sort_tiles(const int* tokens, unsigned long long* keys, int n) {
    __shared__ Key tile[TILE];
    int start = blockIdx.x * TILE;
    for (int i = threadIdx.x; i < TILE; i += blockDim.x) {
        int place = start + i;
        tile[i] = place < n ? ((Key)(unsigned)tokens[place] << 32) | (unsigned)place : ~(Key)0;
    }
    for (int size = 2; size <= TILE; size *= 2) {
        for (int stride = size / 2; stride > 0; stride /= 2) {
            __syncthreads();
            int low = 2 * threadIdx.x - (threadIdx.x & (stride - 1)), high = low + stride;
            bool ascending = (low & size) == 0;
            Key a = tile[low], b = tile[high];
            if ((a > b) == ascending) {
                tile[low] = b;
                tile[high] = a;
            }
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < TILE && start + i < n; i += blockDim.x) keys[start + i] = tile[i];
}

// Move each key to its final position, after all smaller keys, which a binary search in each tile counts.
extern "C" __global__ void merge_tiles(const unsigned long long* keys, unsigned long long* sorted, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Key key = keys[i];
    int rank = 0;
    for (int start = 0; start < n; start += TILE) {
        int low = start, high = min(start + TILE, n);
        while (low < high) {
            int middle = (low + high) / 2;
            if (keys[middle] < key) low = middle + 1;
            else high = middle;
        }
        rank += low - start;
    }
    sorted[rank] = key;
}

const int RUN = 32;  // sorted positions per block, so that several blocks share the sum of a frequent token
__device__ __forceinline__ int token_of(Key key) { return (int)(key >> 32); }
__device__ __forceinline__ int place_of(Key key) { return (int)(key & 0xffffffffu); }

// First stage: block b sums each run of equal tokens in the sorted positions [RUN b, RUN b + RUN), into the row of
// `partials` where that run begins.
extern "C" __global__ void sum_runs(const unsigned long long* sorted, const REAL* dx, ACC* partials, int n, int C) {
    int first = blockIdx.x * RUN, last = min(first + RUN, n);
    for (int c = threadIdx.x; c < C; c += blockDim.x) {
        int begin = first;
        ACC sum = 0;
        for (int i = first; i < last; i++) {
            if (token_of(sorted[i]) != token_of(sorted[begin])) {
                partials[(long long)begin * C + c] = sum;
                begin = i;
                sum = 0;
            }
            sum += wide(dx[(long long)place_of(sorted[i]) * C + c]);
        }
        partials[(long long)begin * C + c] = sum;
    }
}

// Second stage: the block of a token's first sorted position adds up that token's partial sums.
extern "C" __global__ void sum_tokens(const unsigned long long* sorted, const ACC* partials, ACC* dwte, int n, int C) {
    int first = blockIdx.x, token = token_of(sorted[first]);
    if (first > 0 && token_of(sorted[first - 1]) == token) return;
    for (int c = threadIdx.x; c < C; c += blockDim.x) {
        ACC sum = partials[(long long)first * C + c];
        for (int i = (first / RUN + 1) * RUN; i < n && token_of(sorted[i]) == token; i += RUN) {
            sum += partials[(long long)i * C + c];
        }
        dwte[(long long)token * C + c] = sum;
    }
}
