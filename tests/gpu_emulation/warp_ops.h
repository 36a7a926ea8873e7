// Warp operations: the lanes in a mask meet, and the last to arrive does the work for all of them.
#pragma once

#include "cuda_on_cpu.h"

namespace cuda_on_cpu {

// The lanes of a warp that meet in an operation.
struct Meeting {
    Fibre *lane;   // of lane 0
    unsigned mask; // the lanes that have arrived
    bool has(int i) const { return mask >> i & 1; }
    template <class Operand> Operand &of(int i) const { return *static_cast<Operand *>(lane[i].operand); }
};

static int lane_number() { return current % WARP; }

// Return whether all lanes in the current lane's mask have arrived at the same place, and note them.
// In CUDA the mask may contain lanes that have ended, but reading from such a lane is undefined.
static bool gather(Meeting &meeting, const char *name, bool ended_lanes_allowed) {
    const Fibre &self = fibres[current];
    const int first = current - lane_number();
    meeting.mask = 0;
    for (int i = 0; i < WARP; i++) {
        if (!(self.mask >> i & 1)) continue;
        const Fibre &other = meeting.lane[i];
        if (first + i >= threads || other.state == ENDED) {
            if (ended_lanes_allowed) continue;
            describe("%s at %s:%d: lane %d of mask 0x%08x has ended or does not exist", name, self.file, self.line, i,
                     self.mask);
            give_up();
        }
        const bool waits = other.state == IN_WARP_OPERATION && other.mask == self.mask && same_place(other, self);
        if (&other != &self && !waits) return false;
        meeting.mask |= 1u << i;
    }
    return true;
}

// Provide `operand` and wait until all lanes in `mask` have arrived; the last to arrive does `work` for all.
template <class Work>
static void meet(const char *name, unsigned mask, void *operand, bool ended_lanes_allowed, Work work, const char *file,
                 int line) {
    Fibre &self = fibres[current];
    const int first = current - lane_number();
    if (!(mask >> lane_number() & 1)) {
        describe("%s at %s:%d: lane %d is not in its own mask 0x%08x", name, file, line, lane_number(), mask);
        give_up();
    }
    self.file = file;
    self.line = line;
    self.mask = mask;
    self.operand = operand;

    self.served = false;

    Meeting meeting = {fibres + first, 0};
    while (!gather(meeting, name, ended_lanes_allowed)) {
        wait_as(IN_WARP_OPERATION);
        if (self.served) return;
    }
    work(meeting);
    for (int i = 0; i < WARP; i++)
        if (meeting.has(i)) {
            meeting.lane[i].served = true;
            meeting.lane[i].state = READY; // the current lane just continues
        }
}

template <class T> struct Exchange {
    T value, result;
    int source; // the lane whose value it takes
};

template <class T>
static T shuffle(const char *name, unsigned mask, T value, int source, const char *file, int line) {
    Exchange<T> mine = {value, value, source};
    meet(name, mask, &mine, false, [=](const Meeting &meeting) {
        for (int i = 0; i < WARP; i++) {
            if (!meeting.has(i)) continue;
            auto &taker = meeting.of<Exchange<T>>(i);
            if (!meeting.has(taker.source)) {
                describe("%s at %s:%d: lane %d reads lane %d, which is not in mask 0x%08x", name, file, line, i,
                         taker.source, mask);
                give_up();
            }
            taker.result = meeting.of<Exchange<T>>(taker.source).value;
        }
    }, file, line);
    return mine.result;
}

// Return the mask of the lanes whose predicate is true.
static unsigned ballot(const char *name, unsigned mask, int predicate, const char *file, int line) {
    Exchange<unsigned> mine = {predicate != 0, 0, 0};
    meet(name, mask, &mine, true, [](const Meeting &meeting) {
        unsigned votes = 0;
        for (int i = 0; i < WARP; i++)
            if (meeting.has(i)) votes |= meeting.of<Exchange<unsigned>>(i).value << i;
        for (int i = 0; i < WARP; i++)
            if (meeting.has(i)) meeting.of<Exchange<unsigned>>(i).result = votes;
    }, file, line);
    return mine.result;
}

} // namespace cuda_on_cpu

static inline void __syncwarp(unsigned mask = 0xFFFFFFFFu, CALLER) {
    cuda_on_cpu::meet("__syncwarp", mask, nullptr, true, [](const cuda_on_cpu::Meeting &) {}, file, line);
}

// A warp is split into segments of `width` lanes, a power of two; lanes read only from their own segment.
template <class T> static inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32, CALLER) {
    const int self = cuda_on_cpu::lane_number(), source = (self & -width) + (lane & (width - 1));
    return cuda_on_cpu::shuffle("__shfl_sync", mask, value, source, file, line);
}

template <class T> static inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, CALLER) {
    const int self = cuda_on_cpu::lane_number(), other = self ^ bits;
    const int source = other < (self & -width) + width ? other : self;
    return cuda_on_cpu::shuffle("__shfl_xor_sync", mask, value, source, file, line);
}

template <class T> static inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, CALLER) {
    const int self = cuda_on_cpu::lane_number(), in_segment = self & (width - 1);
    const int source = in_segment + static_cast<int>(by) < width ? self + static_cast<int>(by) : self;
    return cuda_on_cpu::shuffle("__shfl_down_sync", mask, value, source, file, line);
}

template <class T> static inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, CALLER) {
    const int self = cuda_on_cpu::lane_number(), in_segment = self & (width - 1);
    const int source = in_segment >= static_cast<int>(by) ? self - static_cast<int>(by) : self;
    return cuda_on_cpu::shuffle("__shfl_up_sync", mask, value, source, file, line);
}

static inline unsigned __ballot_sync(unsigned mask, int predicate, CALLER) {
    return cuda_on_cpu::ballot("__ballot_sync", mask, predicate, file, line);
}

static inline int __any_sync(unsigned mask, int predicate, CALLER) {
    return cuda_on_cpu::ballot("__any_sync", mask, predicate, file, line) != 0;
}

static inline int __all_sync(unsigned mask, int predicate, CALLER) {
    return cuda_on_cpu::ballot("__all_sync", mask, !predicate, file, line) == 0;
}
