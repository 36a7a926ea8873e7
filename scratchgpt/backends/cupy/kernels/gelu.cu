// GELU, tanh form and exact form, sixteen bytes of elements per thread. Formulas: ops/gelu_tanh.py, ops/gelu_exact.py.
// Backward recomputes the slope from x, which is cheaper than storing it.
#include "common.cuh"

__device__ __forceinline__ ACC gate(ACC x) {  // (1 + tanh u) / 2, written as a logistic function: 1 / (1 + exp(-2u))
    const ACC c = (ACC)0.7978845608028654;  // sqrt(2 / pi)
    return 1 / (1 + exp(-2 * c * (x + (ACC)0.044715 * x * x * x)));
}

struct Tanh {
    static __device__ __forceinline__ ACC value(ACC x) { return x * gate(x); }
    static __device__ __forceinline__ ACC slope(ACC x) {
        const ACC c = (ACC)0.7978845608028654;
        ACC g = gate(x);
        return g + x * g * (1 - g) * 2 * c * (1 + 3 * (ACC)0.044715 * x * x);
    }
};

struct Exact {
    static __device__ __forceinline__ ACC cdf(ACC x) { return (ACC)0.5 * erfc(-x * (ACC)0.7071067811865476); }
    static __device__ __forceinline__ ACC value(ACC x) { return x * cdf(x); }
    static __device__ __forceinline__ ACC slope(ACC x) {
        return cdf(x) + x * exp((ACC)-0.5 * x * x) * (ACC)0.3989422804014327;  // 1 / sqrt(2 pi)
    }
};

template <typename Gelu> __device__ __forceinline__ void forward(const REAL* x, REAL* y, long long n) {
    long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * PACK;
    if (first + PACK <= n) {
        Pack in = *(const Pack*)(x + first), out;
        for (int i = 0; i < PACK; i++) set(out.values[i], Gelu::value(wide(in.values[i])));
        *(Pack*)(y + first) = out;
    } else {
        for (long long i = first; i < n; i++) set(y[i], Gelu::value(wide(x[i])));
    }
}

template <typename Gelu> __device__ __forceinline__ void backward(const REAL* x, const REAL* dy, REAL* dx, long long n) {
    long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * PACK;
    if (first + PACK <= n) {
        Pack in = *(const Pack*)(x + first), din = *(const Pack*)(dy + first), out;
        for (int i = 0; i < PACK; i++) set(out.values[i], wide(din.values[i]) * Gelu::slope(wide(in.values[i])));
        *(Pack*)(dx + first) = out;
    } else {
        for (long long i = first; i < n; i++) set(dx[i], wide(dy[i]) * Gelu::slope(wide(x[i])));
    }
}

extern "C" __global__ void gelu_tanh_forward(const REAL* x, REAL* y, long long n) { forward<Tanh>(x, y, n); }
extern "C" __global__ void gelu_exact_forward(const REAL* x, REAL* y, long long n) { forward<Exact>(x, y, n); }

extern "C" __global__ void gelu_tanh_backward(const REAL* x, const REAL* dy, REAL* dx, long long n) {
    backward<Tanh>(x, dy, dx, n);
}
extern "C" __global__ void gelu_exact_backward(const REAL* x, const REAL* dy, REAL* dx, long long n) {
    backward<Exact>(x, dy, dx, n);
}
