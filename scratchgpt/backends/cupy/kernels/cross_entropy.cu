// Softmax and cross-entropy of rows of logits, in place: a row is overwritten with its gradient. One block per row.
// A single pass over the row computes the maximum and the sum of exponentials, rescaling the sum whenever the
// maximum grows. Source: Milakov and Gimelshein, "Online normalizer calculation for softmax" (2018),
// https://arxiv.org/abs/1805.02867.
#include "common.cuh"

// losses[row] = (log sum exp(z) - z[target]) / n_targets[0], and if with_gradient
// z <- (softmax(z) - onehot(target)) scale / n_targets[0]; both 0 where the target is negative (ignored).
// `stride` is the number of elements from one row to the next; `scale` is the loss scale, or null for 1.
extern "C" __global__ void cross_entropy(
    REAL* logits, const int* targets, ACC* losses, const ACC* scale, int vocab_size, long long stride,
    const double* n_targets, int with_gradient) {
    __shared__ ACC maxima[WARP], sums[WARP];
    REAL* z = logits + blockIdx.x * stride;
    int target = targets[blockIdx.x];
    if (target < 0) {
        if (threadIdx.x == 0) losses[blockIdx.x] = 0;
        if (with_gradient) {
            for (int v = threadIdx.x; v < vocab_size; v += blockDim.x) set(z[v], (ACC)0);
        }
        return;
    }

    ACC largest = -INFINITY, sum = 0;  // over this thread's tokens
    for (int v = threadIdx.x; v < vocab_size; v += blockDim.x) {
        ACC value = wide(z[v]);
        if (value > largest) {
            sum *= exp(largest - value);
            largest = value;
        }
        sum += exp(value - largest);
    }
    ACC warp_largest = warp_max(largest);
    sum = warp_sum(largest == warp_largest ? sum : sum * exp(largest - warp_largest));
    if (threadIdx.x % WARP == 0) {
        maxima[threadIdx.x / WARP] = warp_largest;
        sums[threadIdx.x / WARP] = sum;
    }
    __syncthreads();
    int n_warps = blockDim.x / WARP;
    largest = -INFINITY;
    for (int warp = 0; warp < n_warps; warp++) largest = maxima[warp] > largest ? maxima[warp] : largest;
    sum = 0;
    for (int warp = 0; warp < n_warps; warp++) {
        if (sums[warp] != 0) sum += sums[warp] * exp(maxima[warp] - largest);
    }

    ACC share = 1 / (ACC)n_targets[0];
    if (threadIdx.x == 0) losses[blockIdx.x] = (log(sum) + largest - wide(z[target])) * share;
    if (!with_gradient) return;
    __syncthreads();  // z[target] has been read
    ACC factor = scale ? share * scale[0] : share;
    for (int v = threadIdx.x; v < vocab_size; v += blockDim.x) {
        ACC probability = exp(wide(z[v]) - largest) / sum;
        set(z[v], (probability - (v == target ? 1 : 0)) * factor);
    }
}
