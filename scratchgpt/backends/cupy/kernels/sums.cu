// Deterministic sums: their order depends on the shapes alone.
#include "common.cuh"

// Sums over the rows of a matrix (n_rows, n_columns), such as the gradient of a bias. Block (i, j) sums every
// gridDim.y-th group of 8 rows, for 32 columns, into row j of `partials`; a block has 32 x 8 threads.
extern "C" __global__ void column_partials(const REAL* x, ACC* partials, int n_rows, int n_columns) {
    __shared__ ACC sums[8][WARP];
    int column = blockIdx.x * WARP + threadIdx.x;
    ACC sum = 0;
    if (column < n_columns) {
        for (int row = blockIdx.y * 8 + threadIdx.y; row < n_rows; row += gridDim.y * 8) {
            sum += wide(x[(long long)row * n_columns + column]);
        }
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && column < n_columns) {
        for (int y = 1; y < 8; y++) sum += sums[y][threadIdx.x];
        partials[blockIdx.y * n_columns + column] = sum;
    }
}

// Second stage: column sums of the partial sums, row by row.
extern "C" __global__ void sum_partials(const ACC* partials, ACC* total, int n_partials, int n_columns) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= n_columns) return;
    ACC sum = 0;
    for (int i = 0; i < n_partials; i++) sum += partials[(long long)i * n_columns + column];
    total[column] = sum;
}

// total = the sum of a vector, computed by a single block.
extern "C" __global__ void sum_vector(const ACC* x, ACC* total, int n) {
    __shared__ ACC shared[WARP];
    ACC sum = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += x[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) total[0] = sum;
}
