// Runs CUDA kernels on the CPU, one block at a time; every CUDA thread is a fiber of the same system thread.
//
// A fiber runs until it must wait for others (a barrier, a warp operation) or ends; then the scheduler picks the
// next one. Between two barriers a thread therefore runs alone, and the schedule chooses the order of the
// threads: a correct kernel gives the same bits in every order, a kernel with a missing barrier does not.
// A loop that waits for another thread or block to set a flag would never end here.
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <numeric>
#include <random>
#include <utility>
#include <vector>

#define CUDA_ON_CPU 1
#include "cuda_language.h"

// The place of a call, for messages and to check that all threads wait at the same barrier.
#define CALLER const char *file = __builtin_FILE(), int line = __builtin_LINE()

// Static shared memory is a separate section, whose ends the linker defines (weak: it may be missing).
#define __shared__ static __attribute__((section("shared_memory")))
extern "C" __attribute__((weak, visibility("hidden"))) unsigned char __start_shared_memory[];
extern "C" __attribute__((weak, visibility("hidden"))) unsigned char __stop_shared_memory[];

#define DYNAMIC_SHARED(type, name) type *name = reinterpret_cast<type *>(cuda_on_cpu::dynamic_shared.data)

static uint3 threadIdx, blockIdx; // set by the scheduler whenever it resumes a fiber
static dim3 blockDim, gridDim;

namespace cuda_on_cpu {

constexpr int WARP = 32, MAX_THREADS = 1024;
constexpr size_t STACK_BYTES = 128 << 10, SHARED_GUARD_BYTES = 256;
constexpr unsigned char POISON = 0xFF; // a NaN as a float, -1 as an int

enum State { READY, AT_BARRIER, IN_WARP_OPERATION, ENDED };
enum Order { FORWARD, REVERSE, RANDOM };

struct Fibre {
    jmp_buf place; // where it resumes
    bool started = false;
    State state = READY;
    uint3 index;
    const char *file; // of the call in which it waits
    int line;
    unsigned mask; // of the warp operation in which it waits
    void *operand; // its operand of that operation
    bool served;   // whether that operation has been done
};

// ---- the state of one launch (there is only one device and one system thread) ----

static Fibre fibres[MAX_THREADS];
static char *stacks; // of all fibers; the system provides memory only for pages that are touched
static int threads, current;
static jmp_buf scheduler;
static void (*body)(void **); // calls the kernel
static void **arguments;
static Order order;
static std::minstd_rand random_numbers;
static char error[512];

static struct {
    unsigned char *data;
    size_t bytes;
    std::vector<unsigned char> storage;
} dynamic_shared;

// ---- errors ----

static void describe(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void describe(const char *format, ...) {
    if (error[0]) return; // keep the first one
    va_list values;
    va_start(values, format);
    vsnprintf(error, sizeof error, format, values);
    va_end(values);
}

// End the launch from inside a fiber, after `describe` has recorded why.
[[noreturn]] static void give_up() { _longjmp(scheduler, 1); }

static void on_signal(int number) {
    const uint3 t = fibres[current].index;
    const char *what = number == SIGILL   ? "misaligned address, or index outside a static array"
                       : number == SIGFPE ? "integer division by zero"
                                          : "illegal memory access";
    describe("%s in thread (%u,%u,%u)", what, t.x, t.y, t.z);
    give_up();
}

// During its lifetime, signals that would end Python end the launch. -fsanitize=alignment,bounds traps with SIGILL.
struct CatchSignals {
    static constexpr int NUMBERS[4] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction before[4];
    CatchSignals() {
        struct sigaction action = {};
        action.sa_handler = on_signal;
        action.sa_flags = SA_NODEFER; // the handler leaves by a jump, so the signal must not stay blocked
        for (int i = 0; i < 4; i++) sigaction(NUMBERS[i], &action, &before[i]);
    }
    ~CatchSignals() {
        for (int i = 0; i < 4; i++) sigaction(NUMBERS[i], &before[i], nullptr);
    }
};

// ---- fibers ----
// ucontext is used only to enter a new stack; after that _setjmp and _longjmp switch without a system call. Fibers
// never end: when a thread has ended, its fiber waits for the thread with the same number in the next block.

static void wait_as(State state) {
    fibres[current].state = state;
    if (_setjmp(fibres[current].place) == 0) _longjmp(scheduler, 1);
}

static void fibre_main() {
    for (;;) {
        body(arguments);
        wait_as(ENDED);
    }
}

static void resume(int thread) {
    Fibre &fibre = fibres[thread];
    current = thread;
    threadIdx = fibre.index;
    if (_setjmp(scheduler) != 0) return; // a fiber has yielded
    if (fibre.started) _longjmp(fibre.place, 1);
    fibre.started = true;
    if (!stacks)
        stacks = static_cast<char *>(mmap(nullptr, STACK_BYTES * MAX_THREADS, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + STACK_BYTES * thread;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = nullptr;
    makecontext(&context, fibre_main, 0);
    setcontext(&context);
}

// ---- the block barrier ----

static void wait_at_barrier(const char *file, int line) {
    fibres[current].file = file;
    fibres[current].line = line;
    wait_as(AT_BARRIER);
}

static bool same_place(const Fibre &a, const Fibre &b) {
    return a.line == b.line && (a.file == b.file || strcmp(a.file, b.file) == 0);
}

static const char *waits_in(const Fibre &fibre) {
    return fibre.state == AT_BARRIER ? "__syncthreads" : "a warp operation";
}

// No thread can run. Open the barrier if all threads that have not ended wait at it; otherwise describe the deadlock.
static bool open_barrier() {
    const Fibre *first = nullptr;
    for (int i = 0; i < threads; i++) {
        const Fibre &fibre = fibres[i];
        if (fibre.state == ENDED) continue;
        if (!first) first = &fibre;
        if (fibre.state == first->state && same_place(fibre, *first)) continue;
        describe("deadlock, divergent barrier: thread (%u,%u,%u) waits in %s at %s:%d, "
                 "thread (%u,%u,%u) in %s at %s:%d",
                 first->index.x, first->index.y, first->index.z, waits_in(*first), first->file, first->line,
                 fibre.index.x, fibre.index.y, fibre.index.z, waits_in(fibre), fibre.file, fibre.line);
        return false;
    }
    if (first->state != AT_BARRIER) {
        describe("deadlock: the mask 0x%08x of the warp operation at %s:%d names lanes that wait elsewhere",
                 first->mask, first->file, first->line);
        return false;
    }
    for (int i = 0; i < threads; i++)
        if (fibres[i].state == AT_BARRIER) fibres[i].state = READY;
    return true;
}

// ---- the schedule ----

// Return the next thread that can run, or -1. A random schedule starts from a new random place each time.
static int next_ready() {
    int thread = order == RANDOM ? static_cast<int>(random_numbers() % threads) : current;
    const int step = order == REVERSE ? threads - 1 : 1;
    for (int looked_at = 0; looked_at < threads; looked_at++) {
        thread = (thread + step) % threads;
        if (fibres[thread].state == READY) return thread;
    }
    return -1;
}

static void poison_shared_memory() {
    if (__start_shared_memory) memset(__start_shared_memory, POISON, __stop_shared_memory - __start_shared_memory);
    memset(dynamic_shared.data, POISON, dynamic_shared.bytes + SHARED_GUARD_BYTES);
}

static void check_shared_guard() {
    for (size_t i = 0; i < SHARED_GUARD_BYTES; i++)
        if (dynamic_shared.data[dynamic_shared.bytes + i] != POISON) {
            describe("write %zu bytes behind the %zu bytes of dynamic shared memory", i, dynamic_shared.bytes);
            return;
        }
}

// A thread has ended: a warp operation of its warp may be complete without it, so the waiting threads check again.
static void wake_warp_of(int thread) {
    const int first = thread - thread % WARP;
    for (int i = first; i < std::min(first + WARP, threads); i++)
        if (fibres[i].state == IN_WARP_OPERATION) fibres[i].state = READY;
}

static void run_block() {
    poison_shared_memory();
    for (int i = 0; i < threads; i++) fibres[i].state = READY;
    current = order == FORWARD ? threads - 1 : 0; // so that thread 0 is the first, or the last thread
    int ended = 0;
    while (ended < threads) {
        const int thread = next_ready();
        if (thread < 0 && !open_barrier()) return;
        if (thread < 0) continue;
        resume(thread);
        if (error[0]) return;
        if (fibres[thread].state != ENDED) continue;
        ended++;
        wake_warp_of(thread);
    }
    check_shared_guard();
}

static std::vector<size_t> order_of_blocks(size_t count) {
    std::vector<size_t> blocks(count);
    std::iota(blocks.begin(), blocks.end(), size_t{0});
    if (order == REVERSE) std::reverse(blocks.begin(), blocks.end());
    if (order == RANDOM) std::shuffle(blocks.begin(), blocks.end(), random_numbers);
    return blocks;
}

// Run all blocks of a grid; return nullptr, or an error message.
static const char *launch(void (*call)(void **), const unsigned *grid, const unsigned *block, size_t shared_bytes,
                          void **values, int schedule, unsigned seed) {
    body = call;
    arguments = values;
    order = static_cast<Order>(schedule);
    random_numbers.seed(seed);
    error[0] = 0;
    gridDim = dim3(grid[0], grid[1], grid[2]);
    blockDim = dim3(block[0], block[1], block[2]);
    threads = static_cast<int>(block[0] * block[1] * block[2]);
    for (unsigned i = 0; i < static_cast<unsigned>(threads); i++)
        fibres[i].index = {i % block[0], i / block[0] % block[1], i / (block[0] * block[1])};
    dynamic_shared.bytes = shared_bytes;
    dynamic_shared.storage.resize(shared_bytes + SHARED_GUARD_BYTES + 128);
    unsigned char *const start = dynamic_shared.storage.data();
    dynamic_shared.data = start + (-reinterpret_cast<size_t>(start) & 127);

    const CatchSignals caught;
    for (const size_t i : order_of_blocks(size_t{grid[0]} * grid[1] * grid[2])) {
        blockIdx = {unsigned(i % grid[0]), unsigned(i / grid[0] % grid[1]), unsigned(i / grid[0] / grid[1])};
        run_block();
        if (!error[0]) continue;
        for (Fibre &fibre : fibres) fibre.started = false; // some stopped inside the kernel: start over
        const size_t used = strlen(error);
        snprintf(error + used, sizeof error - used, ", in block (%u,%u,%u)", blockIdx.x, blockIdx.y, blockIdx.z);
        return error;
    }
    return nullptr;
}

// ---- derived from a kernel's type: a call with an array of pointers to values, and its parameters' types ----

template <class... P, size_t... I>
static void call_with(void (*kernel)(P...), void **values, std::index_sequence<I...>) {
    kernel(*static_cast<P *>(values[I])...);
}

template <class... P> static void call_kernel(void (*kernel)(P...), void **values) {
    call_with(kernel, values, std::index_sequence_for<P...>());
}

template <class... P> static const char *types_of(void (*)(P...)) { return __PRETTY_FUNCTION__; }

} // namespace cuda_on_cpu

static inline void __syncthreads(CALLER) { cuda_on_cpu::wait_at_barrier(file, line); }

// Export kernel `name` to Python.
#define EXPORT_KERNEL(name)                                                                                          \
    extern "C" __attribute__((visibility("default"))) const char *launch_##name(                                     \
        const unsigned *grid, const unsigned *block, size_t shared, void **values, int schedule, unsigned seed) {    \
        const auto call = [](void **v) { cuda_on_cpu::call_kernel(name, v); };                                       \
        return cuda_on_cpu::launch(call, grid, block, shared, values, schedule, seed);                               \
    }                                                                                                                \
    extern "C" __attribute__((visibility("default"))) const char *types_##name() { return cuda_on_cpu::types_of(name); }

#include "warp_ops.h"

#include "ptx_twins.h"
