// Small kernels that keep a training step on the device.
#include "common.cuh"

// Write loss and norm to the next entry of a ring buffer of `size` pairs.
extern "C" __global__ void note_losses(const ACC* loss, const ACC* norm, float* ring, unsigned* n_appended, unsigned size) {
    unsigned place = *n_appended % size;
    ring[2 * place] = (float)loss[0];
    ring[2 * place + 1] = (float)norm[0];
    *n_appended += 1;
}

// g <- g / scale
extern "C" __global__ void unscale(ACC* g, const ACC* scale, long long n) {
    ACC factor = 1 / scale[0];
    long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride) g[i] *= factor;
}

// Dynamic loss scaling: halve the scale after an overflow, double it after `growth_interval` steps without one.
// Source: Micikevicius et al., "Mixed Precision Training" (2018), section 3.2, https://arxiv.org/abs/1710.03740.
extern "C" __global__ void adapt_loss_scale(ACC* scale, unsigned* n_good, const ACC* norm, unsigned growth_interval) {
    if (!isfinite(norm[0])) {
        scale[0] = scale[0] > 1 ? scale[0] / 2 : 1;
        *n_good = 0;
    } else if (++*n_good == growth_interval) {
        scale[0] = scale[0] < 16777216 ? scale[0] * 2 : scale[0];
        *n_good = 0;
    }
}
