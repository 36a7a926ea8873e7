// AdamW's update of flat vectors; the formula is in ops/updates/adamw.py. w, g, m and v all have type ACC.
#include "common.cuh"

// scalars: the learning rate, 1 - beta1^t, sqrt(1 - beta2^t). If the norm of the gradient is not finite, nothing changes.
extern "C" __global__ void adamw(
    ACC* w, const ACC* g, ACC* m, ACC* v, const double* scalars, const ACC* norm, long long n, long long n_decaying,
    double beta1, double beta2, double eps, double weight_decay) {
    if (!isfinite(norm[0])) return;
    ACC lr = (ACC)scalars[0], step = (ACC)(scalars[0] / scalars[1]), root = (ACC)scalars[2];
    long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride) {
        ACC gradient = g[i];
        ACC mean = (ACC)beta1 * m[i] + (ACC)(1 - beta1) * gradient;
        ACC square = (ACC)beta2 * v[i] + (ACC)(1 - beta2) * gradient * gradient;
        ACC weight = w[i];
        if (i < n_decaying) weight *= 1 - lr * (ACC)weight_decay;
        m[i] = mean;
        v[i] = square;
        w[i] = weight - step * mean / (sqrt(square) / root + (ACC)eps);
    }
}
