// Runs the kernels on the processor: blocks one after the other, the threads of a block as fibers that change places at
// each barrier and each exchange within a warp, in an order that a seed chooses, so that a missing barrier shows.
// A collective that not all of its threads reach is found, and so is shared memory that nobody has written (it is NaN).
// Compiled by g++ together with the kernels, for the tests; x86-64 only.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>
#define EMULATED
typedef unsigned int u32;
typedef unsigned long long u64;
struct float4 { float x, y, z, w; };
struct Dim { u32 x, y, z; };
static Dim threadIdx, blockIdx, blockDim, gridDim;
alignas(16) static unsigned char shared_bytes[256 << 10];
#define DEVICE static inline
#define KERNEL(threads) static void
#define SHARED
#define __shared__ static

namespace emu {
const u32 STACK = 64 << 10, MOST = 1024;
struct Fiber { void *sp; Dim thread; u32 waits, site; u64 value; bool done; };
static Fiber fibers[MOST];
static unsigned char *stacks;
static void *home;
static u32 current, threads;
static void (*body)(void *);
static void *argument;
static u64 state = 1;

extern "C" void emu_switch(void **save, void *to);
asm(R"(
.text
.globl emu_switch
emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

[[noreturn]] static void fail(const char *what) {
    fprintf(stderr, "emulation: %s (block %u %u, thread %u)\n", what, blockIdx.x, blockIdx.y, current);
    abort();
}
static void leave() { emu_switch(&fibers[current].sp, home); }
static void enter() {
    body(argument);
    fibers[current].done = true;
    leave();
    fail("a finished thread was run again");
}
// Waits for the rest of the block (1) or of the warp (2).
static void wait(u32 kind) {
    fibers[current].waits = kind;
    leave();
}
static void run_block() {
    if (!stacks) stacks = (unsigned char *)aligned_alloc(4096, (size_t)STACK * MOST);
    memset(shared_bytes, 0xff, sizeof shared_bytes);
    u32 order[MOST], left = threads;
    for (u32 t = 0; t < threads; t++) {
        void **top = (void **)(stacks + (size_t)STACK * (t + 1)) - 3; // the alignment of a call
        *--top = (void *)enter;
        top -= 6;
        fibers[t] = {top, {t, 0, 0}, 0, 0, 0, false};
        order[t] = t;
    }
    for (u32 t = threads - 1; t > 0; t--) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        std::swap(order[t], order[(state >> 33) % (t + 1)]);
    }
    while (left > 0) {
        bool moved = false;
        for (u32 k = 0; k < threads; k++) {
            u32 t = order[k];
            if (fibers[t].done || fibers[t].waits) continue;
            current = t, threadIdx = fibers[t].thread, moved = true;
            emu_switch(&home, fibers[t].sp);
            left -= fibers[t].done;
        }
        // A warp goes on when all of its threads wait in a warp's collective (those that have ended do not count).
        for (u32 w = 0; w < threads; w += 32) {
            u32 end = w + 32 < threads ? w + 32 : threads, waits = 0, done = 0;
            for (u32 t = w; t < end; t++) waits += fibers[t].waits == 2, done += fibers[t].done;
            if (waits && waits + done == end - w) {
                if (done) fail("a warp's collective without all of its threads");
                for (u32 t = w; t < end; t++) fibers[t].waits = 0;
                moved = true;
            }
        }
        u32 waits = 0;
        for (u32 t = 0; t < threads; t++) waits += fibers[t].waits == 1;
        if (waits && waits == left) {
            for (u32 t = 0; t < threads; t++) fibers[t].waits = 0;
            moved = true;
        }
        if (!moved) fail("threads wait for each other in different places");
    }
}
// All values of the own warp: those of the last exchange stay until all have read them.
static u64 warp_values[MOST];
template <class T> static void publish(T value) {
    u64 bits = 0;
    memcpy(&bits, &value, sizeof value);
    warp_values[current] = bits;
    wait(2);
}
template <class T> static T read(u32 lane) {
    T value;
    memcpy(&value, &warp_values[current / 32 * 32 + lane], sizeof value);
    return value;
}
template <class T> static T exchange(T value, u32 lane) {
    publish(value);
    T out = read<T>(lane);
    wait(2);
    return out;
}
} // namespace emu

static inline void __syncthreads() { emu::wait(1); }
static inline void __syncwarp() { emu::wait(2); }
template <class T> static T __shfl_sync(u32, T x, u32 lane) { return emu::exchange(x, lane % 32); }
template <class T> static T __shfl_xor_sync(u32, T x, u32 d) { return emu::exchange(x, (threadIdx.x % 32) ^ d); }
template <class T> static T __shfl_up_sync(u32, T x, u32 d) {
    u32 lane = threadIdx.x % 32;
    return emu::exchange(x, lane >= d ? lane - d : lane);
}
static inline u32 __match_any_sync(u32, u32 x) {
    emu::publish(x);
    u32 same = 0;
    for (u32 lane = 0; lane < 32; lane++) same |= (u32)(emu::read<u32>(lane) == x) << lane;
    emu::wait(2);
    return same;
}
static inline u32 __popc(u32 x) { return (u32)__builtin_popcount(x); }
static inline u64 __umul64hi(u64 a, u64 b) { return (u64)((unsigned __int128)a * b >> 64); }
static inline u32 atomicAdd(u32 *at, u32 by) { return (*at += by) - by; }
static inline long long __double_as_longlong(double x) { long long y; memcpy(&y, &x, 8); return y; }
static inline u32 __float_as_uint(float x) { u32 y; memcpy(&y, &x, 4); return y; }
#define INF __builtin_inff()
using std::log1p; using std::exp; using std::pow; using std::fabs;

namespace emu {
template <class... A, size_t... I> static void apply(void (*f)(A...), void **args, std::index_sequence<I...>) {
    f(*(A *)args[I]...);
}
template <class... A> static void launch(void (*f)(A...), void **args) {
    struct Call { void (*f)(A...); void **args; } call{f, args};
    argument = &call;
    body = [](void *p) {
        Call *call = (Call *)p;
        apply(call->f, call->args, std::index_sequence_for<A...>());
    };
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++) run_block();
    argument = nullptr;
}
} // namespace emu
