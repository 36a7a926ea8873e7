// Replacements for the PTX in the kernels: 16-bit conversions (conversions.h) and the matrix operations of a warp.
#pragma once

#include "conversions.h"
#include "warp_ops.h"

// ---- mma.m16n8k16 row.col: d (16, 8) += a (16, 16) b (16, 8), with the fragments of the PTX manual ----

namespace cuda_on_cpu {

struct Fragments {
    float *d;
    const unsigned *a, *b;
};

static unsigned short half_of(unsigned pair, int which) { return which ? pair >> 16 : pair & 0xFFFF; }

// `group` and `in_group` are the manual's groupID and threadID_in_group; together they name the lane of an element.
template <float (*decode)(unsigned short)>
static void multiply(const char *name, float *d, const unsigned *a, const unsigned *b, const char *file, int line) {
    Fragments mine = {d, a, b};
    meet(name, 0xFFFFFFFF, &mine, false, [](const Meeting &meeting) {
        float A[16][16], B[16][8];
        for (int row = 0; row < 16; row++)
            for (int k = 0; k < 16; k++) {
                const int group = row % 8, in_group = k % 8 / 2, word = row / 8 + k / 8 * 2;
                A[row][k] = decode(half_of(meeting.of<Fragments>(group * 4 + in_group).a[word], k & 1));
            }
        for (int k = 0; k < 16; k++)
            for (int column = 0; column < 8; column++) {
                const int group = column, in_group = k % 8 / 2, word = k / 8;
                B[k][column] = decode(half_of(meeting.of<Fragments>(group * 4 + in_group).b[word], k & 1));
            }
        for (int row = 0; row < 16; row++)
            for (int column = 0; column < 8; column++) {
                const int group = row % 8, in_group = column / 2, word = row / 8 * 2 + column % 2;
                float &out = meeting.of<Fragments>(group * 4 + in_group).d[word];
                double sum = out; // a GPU also keeps more than float32 precision within one mma
                for (int k = 0; k < 16; k++) sum += double(A[row][k]) * B[k][column];
                out = static_cast<float>(sum);
            }
    }, file, line);
}

// ---- ldmatrix: lane i provides the address of row i % 8 of matrix i / 8; a row is 8 values of 16 bits ----

static bool is_shared(const unsigned char *p) {
    const auto within = [p](const unsigned char *low, const unsigned char *high) { return p >= low && p + 16 <= high; };
    return within(__start_shared_memory, __stop_shared_memory) ||
           within(dynamic_shared.data, dynamic_shared.data + dynamic_shared.bytes);
}

struct Rows {
    unsigned *r;
    const unsigned short *row;
};

template <bool transposed>
static void load_matrices(const char *name, unsigned *r, const void *row, const char *file, int line) {
    const bool aligned = reinterpret_cast<size_t>(row) % 16 == 0;
    if (!aligned || !is_shared(static_cast<const unsigned char *>(row))) {
        describe("%s at %s:%d: lane %d provides a row that is not %s", name, file, line, lane_number(),
                 aligned ? "in shared memory" : "aligned to 16 bytes");
        give_up();
    }
    Rows mine = {r, static_cast<const unsigned short *>(row)};
    meet(name, 0xFFFFFFFF, &mine, false, [](const Meeting &meeting) {
        for (int i = 0; i < WARP; i++)
            for (int matrix = 0; matrix < 4; matrix++) {
                unsigned pair[2];
                for (int which = 0; which < 2; which++) {
                    const int outer = i / 4, inner = i % 4 * 2 + which;
                    const int row = transposed ? inner : outer, column = transposed ? outer : inner;
                    pair[which] = meeting.of<Rows>(matrix * 8 + row).row[column];
                }
                meeting.of<Rows>(i).r[matrix] = pair[0] | pair[1] << 16;
            }
    }, file, line);
}

} // namespace cuda_on_cpu

static inline void mma_m16n8k16_bf16(float d[4], const unsigned a[4], const unsigned b[2], CALLER) {
    cuda_on_cpu::multiply<cuda_on_cpu::bf16_bits_to_float>("mma_m16n8k16_bf16", d, a, b, file, line);
}

static inline void mma_m16n8k16_half(float d[4], const unsigned a[4], const unsigned b[2], CALLER) {
    cuda_on_cpu::multiply<half_bits_to_float>("mma_m16n8k16_half", d, a, b, file, line);
}

static inline void ldmatrix_x4(unsigned r[4], const void *row, CALLER) {
    cuda_on_cpu::load_matrices<false>("ldmatrix_x4", r, row, file, line);
}

static inline void ldmatrix_x4_trans(unsigned r[4], const void *row, CALLER) {
    cuda_on_cpu::load_matrices<true>("ldmatrix_x4_trans", r, row, file, line);
}
