// Philox4x64-10: number n of a stream is a function of n and the stream's key and counter alone.
// Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (2011), section 4.3. The integers are exactly
// those of numpy.random.Philox: a stream is a key (2 words) and a counter (4 words), which NumPy increments before
// it draws; a block of four 64-bit words gives eight 32-bit numbers, low halves first.
#pragma once

const int STREAM_WORDS = 6;
const int NUMBERS = 8;  // 32-bit numbers in a block

struct Numbers { unsigned values[NUMBERS]; };

// Block number `block` = 0, 1, ... of a stream.
__device__ __forceinline__ Numbers philox(const unsigned long long* stream, unsigned long long block) {
    const unsigned long long M0 = 0xD2E7470EE14C6C93ull, M1 = 0xCA5A826395121157ull;
    unsigned long long k0 = stream[0], k1 = stream[1];
    unsigned long long c0 = stream[2] + block + 1, c1 = stream[3], c2 = stream[4], c3 = stream[5];
    if (c0 <= block) {  // the addition overflowed
        if (++c1 == 0 && ++c2 == 0) ++c3;
    }
    for (int round = 0; round < 10; round++) {
        unsigned long long high0 = __umul64hi(M0, c0), low0 = M0 * c0;
        unsigned long long high1 = __umul64hi(M1, c2), low1 = M1 * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B97F4A7C15ull;
        k1 += 0xBB67AE8584CAA73Bull;
    }
    Numbers n;
    unsigned long long words[4] = {c0, c1, c2, c3};
    for (int i = 0; i < 4; i++) {
        n.values[2 * i] = (unsigned)words[i];
        n.values[2 * i + 1] = (unsigned)(words[i] >> 32);
    }
    return n;
}

// NumPy turns a 32-bit number into a float32 in [0, 1); dropout keeps an element if that is at least p.
__device__ __forceinline__ bool kept(unsigned number, float p) { return (number >> 8) * (1.0f / 16777216.0f) >= p; }
