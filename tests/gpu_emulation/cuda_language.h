// CUDA's keywords, vector types and built-in functions that involve no other thread, for g++.
#pragma once

#include <math.h>
#include <stddef.h>
#include <string.h>

#include <algorithm>
#include <cmath>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

using std::isfinite;
using std::isinf;
using std::isnan;

// ---- vector types; a GPU loads one with a single access, so it must be aligned to its size ----

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define VECTOR_OF_2(type, name)                                                                                      \
    struct alignas(2 * sizeof(type)) name {                                                                          \
        type x, y;                                                                                                   \
    };                                                                                                               \
    static inline name make_##name(type x, type y) { return {x, y}; }
#define VECTOR_OF_4(type, name)                                                                                      \
    struct alignas(4 * sizeof(type)) name {                                                                          \
        type x, y, z, w;                                                                                             \
    };                                                                                                               \
    static inline name make_##name(type x, type y, type z, type w) { return {x, y, z, w}; }

VECTOR_OF_2(float, float2)
VECTOR_OF_2(double, double2)
VECTOR_OF_2(int, int2)
VECTOR_OF_2(unsigned, uint2)
VECTOR_OF_4(float, float4)
VECTOR_OF_4(int, int4)
VECTOR_OF_4(unsigned, uint4)

// ---- arithmetic ----

// CUDA also has overloads for mixed signedness, which compare as unsigned.
#define MIN_AND_MAX(result, left, right)                                                                             \
    static inline result min(left a, right b) { return std::min(static_cast<result>(a), static_cast<result>(b)); }   \
    static inline result max(left a, right b) { return std::max(static_cast<result>(a), static_cast<result>(b)); }
MIN_AND_MAX(int, int, int)
MIN_AND_MAX(unsigned, unsigned, unsigned)
MIN_AND_MAX(unsigned, int, unsigned)
MIN_AND_MAX(unsigned, unsigned, int)
MIN_AND_MAX(long long, long long, long long)
MIN_AND_MAX(unsigned long long, unsigned long long, unsigned long long)
MIN_AND_MAX(unsigned long long, long long, unsigned long long)
MIN_AND_MAX(unsigned long long, unsigned long long, long long)
// With a NaN and a number the result is the number, as in CUDA.
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }

static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
#define __expf(x) expf(x) // macros, because the C library has internal functions with these names
#define __logf(x) logf(x)
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __frcp_rn(float x) { return 1.0f / x; }

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (static_cast<unsigned long long>(a) * b) >> 32; }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}

namespace cuda_on_cpu {
template <class To, class From> static inline To same_bits(From value) {
    static_assert(sizeof(To) == sizeof(From));
    To result;
    memcpy(&result, &value, sizeof result);
    return result;
}
} // namespace cuda_on_cpu

static inline float __uint_as_float(unsigned x) { return cuda_on_cpu::same_bits<float>(x); }
static inline unsigned __float_as_uint(float x) { return cuda_on_cpu::same_bits<unsigned>(x); }
static inline float __int_as_float(int x) { return cuda_on_cpu::same_bits<float>(x); }
static inline int __float_as_int(float x) { return cuda_on_cpu::same_bits<int>(x); }

// ---- memory; threads never run concurrently here, so plain accesses are atomic and fences do nothing ----

static inline void __threadfence() {}
static inline void __threadfence_block() {}

template <class T> static inline T __ldg(const T *p) { return *p; }

namespace cuda_on_cpu {
// Store a new value and return the old one.
template <class T> static inline T replace(T *p, T value) {
    const T old = *p;
    *p = value;
    return old;
}
} // namespace cuda_on_cpu

static inline float atomicAdd(float *p, float v) { return cuda_on_cpu::replace(p, *p + v); }
static inline double atomicAdd(double *p, double v) { return cuda_on_cpu::replace(p, *p + v); }
static inline unsigned atomicInc(unsigned *p, unsigned last) {
    return cuda_on_cpu::replace(p, *p >= last ? 0u : *p + 1);
}

#define INTEGER_ATOMICS(type)                                                                                        \
    static inline type atomicAdd(type *p, type v) { return cuda_on_cpu::replace<type>(p, *p + v); }                  \
    static inline type atomicMin(type *p, type v) { return cuda_on_cpu::replace(p, min(*p, v)); }                    \
    static inline type atomicMax(type *p, type v) { return cuda_on_cpu::replace(p, max(*p, v)); }                    \
    static inline type atomicAnd(type *p, type v) { return cuda_on_cpu::replace(p, *p & v); }                        \
    static inline type atomicOr(type *p, type v) { return cuda_on_cpu::replace(p, *p | v); }                         \
    static inline type atomicExch(type *p, type v) { return cuda_on_cpu::replace(p, v); }                            \
    static inline type atomicCAS(type *p, type old, type v) { return cuda_on_cpu::replace(p, *p == old ? v : *p); }
INTEGER_ATOMICS(int)
INTEGER_ATOMICS(unsigned)
INTEGER_ATOMICS(unsigned long long)
