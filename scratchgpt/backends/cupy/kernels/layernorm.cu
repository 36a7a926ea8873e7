// Layer normalization over rows of C numbers, one warp per row. The formulas are those of ops/layernorm.py.
#include "common.cuh"

// y = (x - mean) rstd weight + bias; bias may be null.
extern "C" __global__ void layernorm_forward(
    const REAL* x, const REAL* weight, const REAL* bias, REAL* y, ACC* mean, ACC* rstd, int n_rows, int C, double eps) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (row >= n_rows) return;
    x += (long long)row * C;
    y += (long long)row * C;
    ACC sum = 0;
    for (int c = lane; c < C; c += WARP) sum += wide(x[c]);
    ACC mu = warp_sum(sum) / C;
    ACC squares = 0;
    for (int c = lane; c < C; c += WARP) {
        ACC centered = wide(x[c]) - mu;
        squares += centered * centered;
    }
    ACC r = 1 / sqrt(warp_sum(squares) / C + (ACC)eps);
    for (int c = lane; c < C; c += WARP) {
        ACC shift = bias ? wide(bias[c]) : (ACC)0;
        set(y[c], (wide(x[c]) - mu) * r * wide(weight[c]) + shift);
    }
    if (lane == 0) {
        mean[row] = mu;
        rstd[row] = r;
    }
}

// dx = (h - mean(h) - x_hat mean(h x_hat)) rstd, with h = dy weight.
extern "C" __global__ void layernorm_backward(
    const REAL* dy, const REAL* x, const REAL* weight, const ACC* mean, const ACC* rstd, REAL* dx, int n_rows, int C) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (row >= n_rows) return;
    dy += (long long)row * C;
    x += (long long)row * C;
    dx += (long long)row * C;
    ACC mu = mean[row], r = rstd[row];
    ACC sum = 0, product = 0;
    for (int c = lane; c < C; c += WARP) {
        ACC h = wide(dy[c]) * wide(weight[c]);
        sum += h;
        product += h * (wide(x[c]) - mu) * r;
    }
    ACC shift = warp_sum(sum) / C, scale = warp_sum(product) / C;
    for (int c = lane; c < C; c += WARP) {
        ACC h = wide(dy[c]) * wide(weight[c]);
        set(dx[c], (h - shift - (wide(x[c]) - mu) * r * scale) * r);
    }
}

// Sums over rows for dweight and dbias: block (i, j) sums every gridDim.y-th group of rows for 32 channels.
// A block has 32 x 8 threads. The order of a sum depends on the shapes alone, so results are deterministic.
extern "C" __global__ void layernorm_weight_partials(
    const REAL* dy, const REAL* x, const ACC* mean, const ACC* rstd, ACC* dweight, ACC* dbias, int n_rows, int C) {
    __shared__ ACC weight_sums[8][WARP], bias_sums[8][WARP];
    int c = blockIdx.x * WARP + threadIdx.x;
    ACC weight_sum = 0, bias_sum = 0;
    if (c < C) {
        for (int row = blockIdx.y * 8 + threadIdx.y; row < n_rows; row += gridDim.y * 8) {
            long long i = (long long)row * C + c;
            weight_sum += wide(dy[i]) * (wide(x[i]) - mean[row]) * rstd[row];
            bias_sum += wide(dy[i]);
        }
    }
    weight_sums[threadIdx.y][threadIdx.x] = weight_sum;
    bias_sums[threadIdx.y][threadIdx.x] = bias_sum;
    __syncthreads();
    if (threadIdx.y == 0 && c < C) {
        for (int y = 1; y < 8; y++) {
            weight_sum += weight_sums[y][threadIdx.x];
            bias_sum += bias_sums[y][threadIdx.x];
        }
        dweight[blockIdx.y * C + c] = weight_sum;
        dbias[blockIdx.y * C + c] = bias_sum;
    }
}
