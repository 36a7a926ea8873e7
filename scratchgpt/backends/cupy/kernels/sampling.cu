// Picking the next token; the textbook is ops/sampling.py. One block, for one row of scores.
#include "common.cuh"

// A number whose order as an unsigned integer is that of the score.
__device__ __forceinline__ unsigned long long ordered(double score) {
    union { double value; unsigned long long bits; } both = {score + 0.0};  // -0 becomes 0
    return both.bits >> 63 ? ~both.bits : both.bits | (1ull << 63);
}

// The sum of n over the threads before this one; `counts` has room for one value of each thread.
template <typename T> __device__ T sum_before(T n, T* counts) {
    __syncthreads();
    counts[threadIdx.x] = n;
    __syncthreads();
    T sum = 0;
    for (int i = 0; i < threadIdx.x; i++) sum += counts[i];
    return sum;
}

const int THREADS = 256;

// token[0] = the id that `uniform` picks, or -1 if a score is not finite. top_k = 0 means all words;
// temperature 0 takes the first of the best. Each thread has a stretch of neighbouring words.
extern "C" __global__ void pick(
    const REAL* scores, int* token, int n_words, double temperature, int top_k, double uniform) {
    __shared__ double sums[THREADS];
    __shared__ int counts[THREADS];
    __shared__ int histogram[256];
    __shared__ unsigned long long chosen_digit;
    __shared__ int chosen_rank, found;
    int stretch = (n_words + THREADS - 1) / THREADS;
    int first = min(threadIdx.x * stretch, n_words), last = min(first + stretch, n_words);

    double largest = -INFINITY;
    int bad = 0;
    for (int v = first; v < last; v++) {
        double score = wide(scores[v]);
        if (!isfinite(score)) bad = 1;
        if (score > largest) largest = score;
    }
    sums[threadIdx.x] = largest;
    counts[threadIdx.x] = bad;
    if (threadIdx.x == 0) found = n_words;
    __syncthreads();
    for (int i = 0; i < THREADS; i++) {
        if (sums[i] > largest) largest = sums[i];
        bad |= counts[i];
    }
    __syncthreads();
    if (bad) {
        if (threadIdx.x == 0) token[0] = -1;
        return;
    }

    // The k-th best score, digit by digit from the highest: how many scores share the digits so far?
    unsigned long long threshold = 0, mask = 0;
    int rank = top_k;  // of the threshold among the scores that share its digits
    bool all = temperature == 0.0 || top_k <= 0 || top_k >= n_words;
    if (!all) {
        for (int shift = 56; shift >= 0; shift -= 8) {
            histogram[threadIdx.x] = 0;
            __syncthreads();
            for (int v = first; v < last; v++) {
                unsigned long long key = ordered(wide(scores[v]));
                if ((key & mask) == threshold) atomicAdd(&histogram[(key >> shift) & 255], 1);
            }
            __syncthreads();
            if (threadIdx.x == 0) {
                int digit = 255, left = rank;
                while (histogram[digit] < left) left -= histogram[digit--];
                chosen_digit = digit;
                chosen_rank = left;
            }
            __syncthreads();
            threshold |= chosen_digit << shift;
            mask |= 255ull << shift;
            rank = chosen_rank;
        }
    }
    int equal = 0;  // words of this thread whose score is the threshold: of all of them the first `rank` are kept
    if (!all) {
        for (int v = first; v < last; v++) equal += ordered(wide(scores[v])) == threshold;
    }
    int equal_before = sum_before(equal, counts);

    double sum = 0;
    int seen = equal_before;
    for (int v = first; v < last; v++) {
        double score = wide(scores[v]);
        if (temperature == 0.0) {
            if (score == largest) atomicMin(&found, v);
        } else {
            unsigned long long key = ordered(score);
            if (all || key > threshold || (key == threshold && seen++ < rank)) {
                sum += exp((score - largest) / temperature);
            }
        }
    }
    double before = sum_before(sum, sums);
    __syncthreads();
    double total = 0;
    for (int i = 0; i < THREADS; i++) total += sums[i];

    if (temperature != 0.0) {
        double target = uniform * total, cumulative = before;
        seen = equal_before;
        int kept = -1;
        for (int v = first; v < last; v++) {
            double score = wide(scores[v]);
            unsigned long long key = ordered(score);
            if (all || key > threshold || (key == threshold && seen++ < rank)) {
                cumulative += exp((score - largest) / temperature);
                kept = v;
                if (cumulative > target) {
                    atomicMin(&found, v);
                    break;
                }
            }
        }
        __syncthreads();
        // Rounding can leave the target at the very end: then it is the last word that is kept.
        if (found == n_words) {
            __syncthreads();
            counts[threadIdx.x] = kept;
            __syncthreads();
            if (threadIdx.x == 0) {
                for (int i = 0; i < THREADS; i++) found = counts[i] >= 0 ? counts[i] : found;
            }
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) token[0] = found;
}
