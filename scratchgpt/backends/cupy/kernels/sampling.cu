// Sampling the next token; the textbook is ops/sampling.py. One block for one row of logits.
#include "common.cuh"

// Map a score to an unsigned integer such that larger scores give larger integers.
__device__ __forceinline__ unsigned long long ordered(double score) {
    union { double value; unsigned long long bits; } both = {score + 0.0};  // -0 becomes 0
    return both.bits >> 63 ? ~both.bits : both.bits | (1ull << 63);
}

// The sum of n over all lower-numbered threads; `counts` has room for one value per thread.
template <typename T> __device__ T sum_before(T n, T* counts) {
    __syncthreads();
    counts[threadIdx.x] = n;
    __syncthreads();
    T sum = 0;
    for (int i = 0; i < threadIdx.x; i++) sum += counts[i];
    return sum;
}

const int THREADS = 256;

// token[0] = the id that `uniform` selects, or -1 if a score is not finite. top_k = 0 means all tokens; temperature 0
// takes the lowest id among the highest scores. Each thread handles a stretch of consecutive ids.
extern "C" __global__ void pick(
    const REAL* scores, int* token, int vocab_size, double temperature, int top_k, double uniform) {
    __shared__ double sums[THREADS];
    __shared__ int counts[THREADS];
    __shared__ int histogram[256];
    __shared__ unsigned long long chosen_digit;
    __shared__ int chosen_rank, found;
    int stretch = (vocab_size + THREADS - 1) / THREADS;
    int first = min(threadIdx.x * stretch, vocab_size), last = min(first + stretch, vocab_size);

    double largest = -INFINITY;
    int bad = 0;
    for (int v = first; v < last; v++) {
        double score = wide(scores[v]);
        if (!isfinite(score)) bad = 1;
        if (score > largest) largest = score;
    }
    sums[threadIdx.x] = largest;
    counts[threadIdx.x] = bad;
    if (threadIdx.x == 0) found = vocab_size;
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

    // Find the k-th highest score by radix select, 8 bits at a time from the most significant: a histogram counts the
    // next digit of all scores that share the digits found so far.
    unsigned long long threshold = 0, mask = 0;
    int rank = top_k;  // rank of the threshold among the scores that share its digits so far
    bool all = temperature == 0.0 || top_k <= 0 || top_k >= vocab_size;
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
    int equal = 0;  // this thread's tokens whose score equals the threshold; the first `rank` of all such are kept
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
        // Rounding can put the target at or above the cumulative total; then take the last token that was kept.
        if (found == vocab_size) {
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
