// Dropout without stored masks: the random number of any element can be recomputed at any time.
#include "common.cuh"
#include "philox.cuh"

// y = x mask, and in backward dx = dy mask. Each row has `row_size` elements and its own stream, of which it uses the
// numbers from number `drawn` on. A thread handles the elements that belong to one block of random numbers.
extern "C" __global__ void dropout(
    const REAL* x, REAL* y, const unsigned long long* streams, long long drawn, long long row_size, double p) {
    long long block = drawn / NUMBERS + (long long)blockIdx.x * blockDim.x + threadIdx.x;
    long long first = block * NUMBERS - drawn, row = blockIdx.y;
    if (first >= row_size) return;
    Numbers numbers = philox(streams + row * STREAM_WORDS, block);
    ACC scale = 1 / (1 - (ACC)p);
    x += row * row_size;
    y += row * row_size;
    bool whole = first >= 0 && first + NUMBERS <= row_size;
    if (whole && (size_t)(x + first) % sizeof(Pack) == 0 && (size_t)(y + first) % sizeof(Pack) == 0) {
        for (int start = 0; start < NUMBERS; start += PACK) {
            Pack pack = *(const Pack*)(x + first + start);
            for (int i = 0; i < PACK; i++) {
                set(pack.values[i], kept(numbers.values[start + i], (float)p) ? wide(pack.values[i]) * scale : (ACC)0);
            }
            *(Pack*)(y + first + start) = pack;
        }
        return;
    }
    for (int i = 0; i < NUMBERS; i++) {
        long long element = first + i;
        if (element < 0 || element >= row_size) continue;
        set(y[element], kept(numbers.values[i], (float)p) ? wide(x[element]) * scale : (ACC)0);
    }
}

// The mask of attention's probabilities (B, H, T, S) as bits, 32 keys per word: bits (B, H, T, n_words).
// A word is 0 if its query sees none of its keys. One thread per word.
extern "C" __global__ void attention_mask(
    unsigned* bits, const unsigned long long* streams, long long drawn, int H, int T, int S, int n_words, double p) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y;
    if (i >= H * T * n_words) return;
    int word = i % n_words, query = i / n_words;  // query is h T + t
    unsigned mask = 0;
    if (word * 32 <= query % T + S - T) {
        long long number = drawn + (long long)query * S + word * 32;
        int n_keys = min(32, S - word * 32);
        for (long long block = number / NUMBERS; block * NUMBERS < number + n_keys; block++) {
            Numbers numbers = philox(streams + (long long)row * STREAM_WORDS, block);
            for (int j = 0; j < NUMBERS; j++) {
                long long key = block * NUMBERS + j - number;
                if (key >= 0 && key < n_keys && kept(numbers.values[j], (float)p)) mask |= 1u << key;
            }
        }
    }
    bits[(long long)row * H * T * n_words + i] = mask;
}
