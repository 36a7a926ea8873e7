// Shared by all kernels. One source is compiled once for each type:
//     REAL  the type of array elements: float, double, bf16 or half    (-DREAL=...)
//     ACC   the type of arithmetic, sums and parameter gradients: float, or double if REAL is double
// No CUDA headers are included, so kernels compile wherever CuPy is installed. Everything that needs PTX is in the
// block below; on a CPU, where the tests run these same files, an emulator defines CUDA_ON_CPU and replaces it.
#pragma once

struct bf16 { unsigned short bits; };
struct half { unsigned short bits; };

#ifndef CUDA_ON_CPU
#define INFINITY __int_as_float(0x7f800000)
#define DYNAMIC_SHARED(type, name)                                        \
    extern __shared__ __align__(16) unsigned char dynamic_shared_bytes[]; \
    type* name = reinterpret_cast<type*>(dynamic_shared_bytes)

__device__ __forceinline__ float half_bits_to_float(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

__device__ __forceinline__ unsigned short float_to_half_bits(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

__device__ __forceinline__ unsigned short float_to_bf16_bits(float value) {
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

// d += a b for a 16x16 tile a (row-major) and a 16x8 tile b (column-major), by the 32 threads of a warp.
// Which thread holds which element: see the PTX ISA, "Matrix Fragments for mma.m16n8k16".
__device__ __forceinline__ void mma_m16n8k16_bf16(float d[4], const unsigned a[4], const unsigned b[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void mma_m16n8k16_half(float d[4], const unsigned a[4], const unsigned b[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Load four 8x8 tiles of 16-bit numbers from shared memory; thread i gives the address of row i of the 32.
__device__ __forceinline__ void ldmatrix_x4(unsigned r[4], const void* row) {
    unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
}

__device__ __forceinline__ void ldmatrix_x4_trans(unsigned r[4], const void* row) {
    unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
}
#endif

template <typename T> struct AccumulatorOf { typedef float type; };
template <> struct AccumulatorOf<double> { typedef double type; };
typedef AccumulatorOf<REAL>::type ACC;

__device__ __forceinline__ float wide(float x) { return x; }
__device__ __forceinline__ double wide(double x) { return x; }
__device__ __forceinline__ float wide(bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }
__device__ __forceinline__ float wide(half x) { return half_bits_to_float(x.bits); }

__device__ __forceinline__ void set(float& to, float x) { to = x; }
__device__ __forceinline__ void set(double& to, double x) { to = x; }
__device__ __forceinline__ void set(bf16& to, float x) { to.bits = float_to_bf16_bits(x); }
__device__ __forceinline__ void set(half& to, float x) { to.bits = float_to_half_bits(x); }

const int WARP = 32;
const unsigned EVERY_LANE = 0xffffffffu;

template <typename T> __device__ __forceinline__ T warp_sum(T x) {
    for (int offset = WARP / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(EVERY_LANE, x, offset);
    return x;
}

template <typename T> __device__ __forceinline__ T warp_max(T x) {
    for (int offset = WARP / 2; offset > 0; offset /= 2) {
        T other = __shfl_xor_sync(EVERY_LANE, x, offset);
        x = other > x ? other : x;
    }
    return x;
}

// The sum over a block, returned to each of its threads; `shared` has room for one value per warp.
template <typename T> __device__ __forceinline__ T block_sum(T x, T* shared) {
    x = warp_sum(x);
    __syncthreads();  // no thread is still reading `shared` from a previous call
    if (threadIdx.x % WARP == 0) shared[threadIdx.x / WARP] = x;
    __syncthreads();
    T total = 0;
    for (int warp = 0; warp < blockDim.x / WARP; warp++) total += shared[warp];
    return total;
}

// Sixteen bytes of an array, which a single instruction loads or stores.
const int PACK = 16 / sizeof(REAL);
struct alignas(16) Pack { REAL values[PACK]; };
