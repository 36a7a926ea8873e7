// Conversions between float and the bits of half and bfloat16, rounding to nearest even.
#pragma once

#include "cuda_language.h"

namespace cuda_on_cpu {
static inline float bf16_bits_to_float(unsigned short bits) {
    return __uint_as_float(static_cast<unsigned>(bits) << 16);
}
} // namespace cuda_on_cpu

static inline unsigned short float_to_bf16_bits(float value) {
    const unsigned bits = __float_as_uint(value);
    if (isnan(value)) return (bits >> 16) | 0x40; // the rounding below could turn it into infinity
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}

static inline float half_bits_to_float(unsigned short bits) {
    const unsigned sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3FF;
    if (exponent == 31) return __uint_as_float(sign | 0x7F800000 | fraction << 13);
    if (exponent == 0) return __uint_as_float(sign | __float_as_uint(ldexpf(fraction, -24)));
    return __uint_as_float(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

static inline unsigned short float_to_half_bits(float value) {
    const unsigned bits = __float_as_uint(value), sign = bits >> 16 & 0x8000, size = bits & 0x7FFFFFFF;
    const float magnitude = __uint_as_float(size);
    if (isnan(value)) return sign | 0x7E00;
    if (magnitude >= 65520.0f) return sign | 0x7C00;                                          // rounds to infinity
    if (magnitude < 0x1p-14f) return sign | static_cast<unsigned>(nearbyintf(ldexpf(magnitude, 24))); // subnormal
    return sign | ((size + 0xFFF + (size >> 13 & 1)) >> 13) - ((127 - 15) << 10);
}
