// The term that the gradient of a softmax subtracts: the sum over keys of probability times its gradient. Because y is
// the sum of (dropped) probabilities times v, and their gradients are (masked) products of dy and v, it equals dy y.
#include "common.cuh"

// delta (B, H, T) = the sum of dy y over the channels of each head; one warp per row.
extern "C" __global__ void attention_delta(const REAL* dy, const REAL* y, ACC* delta, int n_rows, int H, int T, int D) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;  // (b T + t) H + h
    if (row >= n_rows) return;
    ACC sum = 0;
    for (int d = lane; d < D; d += WARP) sum += wide(dy[(long long)row * D + d]) * wide(y[(long long)row * D + d]);
    sum = warp_sum(sum);
    int h = row % H, t = row / H % T, b = row / H / T;
    if (lane == 0) delta[((long long)b * H + h) * T + t] = sum;
}
