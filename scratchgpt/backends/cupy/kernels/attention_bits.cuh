// Dropout's mask of attention's probabilities: bits (B, H, T, n_words), 32 keys per word, computed in dropout.cu.
#pragma once

// The factor by which dropout multiplies a probability; `bits` is this head's mask, or null for no dropout.
__device__ __forceinline__ ACC mask_of(const unsigned* bits, int n_words, int query, int key, ACC kept_scale) {
    if (!bits) return 1;
    return ((bits[(long long)query * n_words + key / 32] >> (key % 32)) & 1) ? kept_scale : (ACC)0;
}

__device__ __forceinline__ const unsigned* of_head(const unsigned* bits, int b, int h, int H, int T, int n_words) {
    return bits ? bits + ((long long)b * H + h) * T * n_words : bits;
}
