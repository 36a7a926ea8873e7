// Clipping by the global norm; the formula is in ops/updates/clip.py.
#include "common.cuh"

// norm = the square root of the sum of squares. Every block writes its sum to `partials`; the last block to finish,
// whichever it is, adds them in a fixed order. `n_done` counts finished blocks and is reset to 0 at the end.
extern "C" __global__ void gradient_norm(const ACC* g, double* partials, unsigned* n_done, ACC* norm, long long n) {
    __shared__ double shared[WARP];
    __shared__ bool is_last;
    double sum = 0;
    long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride) {
        sum += (double)g[i] * (double)g[i];
    }
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) {
        partials[blockIdx.x] = sum;
        __threadfence();  // a block that sees the counter also sees the partial sum
        is_last = atomicAdd(n_done, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!is_last) return;
    __threadfence();  // and reads no stale values
    sum = 0;
    for (int i = threadIdx.x; i < gridDim.x; i += blockDim.x) sum += ((volatile double*)partials)[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) {
        norm[0] = (ACC)sqrt(sum);
        *n_done = 0;
    }
}

// g <- g min(1, max_norm / (norm + 1e-6)); if the factor is 1, g is neither read nor written.
extern "C" __global__ void scale_to_norm(ACC* g, const ACC* norm, double max_norm, long long n) {
    ACC scale = (ACC)max_norm / (norm[0] + (ACC)1e-6);
    if (!(scale < 1)) return;
    long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride) g[i] *= scale;
}
