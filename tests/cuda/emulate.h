/* SPDX-License-Identifier: BSD-3-Clause
   Enough of CUDA for g++ to run the kernels of src/cuda on the CPU, bit for bit: every thread of a block is a fiber
   that runs until it waits for others. Blocks run one after the other, or, where they have to run together, until they
   end or wait for another block; then nothing in `__shared__`, which is static storage, may still be needed.
   makecontext makes a fiber's stack; from then on _setjmp and _longjmp switch, which need no system call. */
#ifndef EMULATE_H
#define EMULATE_H

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <functional>

#define __CUDACC__ 1
#define __global__
#define __shared__ static
#define __noinline__ __attribute__((noinline))
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)

struct uint4 { unsigned x, y, z, w; };
struct dim3 { unsigned x, y, z; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;

static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
static inline int64_t __double_as_longlong(double a) { int64_t b; memcpy(&b, &a, 8); return b; }
static inline double __longlong_as_double(int64_t a) { double b; memcpy(&b, &a, 8); return b; }
static inline float __int_as_float(int a) { float b; memcpy(&b, &a, 4); return b; }
static inline int __float_as_int(float a) { int b; memcpy(&b, &a, 4); return b; }
static inline uint64_t __umul64hi(uint64_t a, uint64_t b) { return (uint64_t)((unsigned __int128)a * b >> 64); }

static inline float half_to_float(uint16_t half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    float value = exponent == 31 ? (fraction ? NAN : INFINITY)
                : exponent      ? ldexpf((float)(1024 + fraction), exponent - 25)
                                : ldexpf((float)fraction, -24);
    return half >> 15 ? -value : value;
}
static inline uint16_t float_to_half(float value)
{
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    const float size = fabsf(value);
    if (value != value) return 0x7e00;
    if (size >= 65520.0f) return sign | 0x7c00;
    int exponent;
    frexpf(size, &exponent);
    if (exponent < -13) exponent = -13; /* the unit of subnormals is 2^-24 */
    const int units = (int)nearbyintf(ldexpf(size, 11 - exponent)); /* up to 2048: into the next binade */
    return sign | (uint16_t)(units + (units >= 1024 ? (exponent + 13) * 1024 : 0));
}

/* ---- fibers ---- */

enum { MOST_THREADS = 1 << 14, STACK = 1 << 16 }; /* of all blocks that run together */

struct fiber {
    ucontext_t context;
    jmp_buf place;
    int started, waiting, idle, done; /* waiting: for every live fiber that waits with it. idle: for another block */
    unsigned first, count;
    unsigned long long said;
    dim3 index, block;
};
static fiber fibers[MOST_THREADS];
static char *stacks;
static ucontext_t outside;
static jmp_buf scheduler;
static int current;
static std::function<void()> body_of_block;
static unsigned threads_of_block;

static unsigned long long heard[MOST_THREADS];

/* Waits until all fibers [first, first + count) that are not done have come here; what they said is then in `heard`. */
static void meet(unsigned first, unsigned count, unsigned long long said)
{
    fiber *self = &fibers[current];
    self->first = first;
    self->count = count;
    self->said = said;
    self->waiting = 1;
    if (!_setjmp(self->place)) _longjmp(scheduler, 1);
}

static void enter(void)
{
    body_of_block();
    fibers[current].done = 1;
    _longjmp(scheduler, 1);
}

static int may_go(const fiber *self)
{
    for (unsigned i = self->first; i < self->first + self->count; i++) {
        if (fibers[i].done) continue;
        if (!fibers[i].waiting || fibers[i].first != self->first || fibers[i].count != self->count) return 0;
    }
    return 1;
}

static void resume(fiber *one)
{
    if (_setjmp(scheduler)) return;
    if (one->started) _longjmp(one->place, 1);
    one->started = 1;
    swapcontext(&outside, &one->context);
}

/* Runs the fibers [first, last) of a block until they are done or idle; returns whether any has moved. */
static int run_block(unsigned first, unsigned last)
{
    int ever = 0;
    for (unsigned i = first; i < last; i++) fibers[i].idle = 0;
    for (int moved = 1; moved;) {
        moved = 0;
        for (unsigned i = first; i < last; i++) {
            if (fibers[i].done || fibers[i].waiting || fibers[i].idle) continue;
            current = (int)i;
            threadIdx = fibers[i].index;
            blockIdx = fibers[i].block;
            resume(&fibers[i]);
            moved |= !fibers[i].idle;
        }
        for (unsigned i = first; i < last; i++) {
            if (fibers[i].done || !fibers[i].waiting || !may_go(&fibers[i])) continue;
            const unsigned with = fibers[i].first, count = fibers[i].count;
            for (unsigned j = with; j < with + count; j++) {
                heard[j] = fibers[j].said;
                fibers[j].waiting = 0;
            }
            moved = 1;
        }
        ever |= moved;
    }
    return ever;
}

/* Runs blocks [first, first + count) of a grid together. */
static void run_blocks(unsigned first, unsigned count)
{
    const unsigned all = count * threads_of_block;
    if (all > MOST_THREADS) {
        fprintf(stderr, "too many threads to run together\n");
        abort();
    }
    if (!stacks) stacks = (char *)malloc((size_t)MOST_THREADS * STACK);
    for (unsigned i = 0; i < all; i++) {
        const unsigned rank = i % threads_of_block, block = first + i / threads_of_block;
        fibers[i].started = fibers[i].waiting = fibers[i].done = 0;
        fibers[i].index = {rank % blockDim.x, rank / blockDim.x, 0};
        fibers[i].block = {block % gridDim.x, block / gridDim.x, 0};
        getcontext(&fibers[i].context);
        fibers[i].context.uc_stack.ss_sp = stacks + (size_t)i * STACK;
        fibers[i].context.uc_stack.ss_size = STACK;
        makecontext(&fibers[i].context, enter, 0);
    }
    for (int left = 1; left;) {
        int moved = left = 0;
        for (unsigned i = 0; i < all; i += threads_of_block) moved |= run_block(i, i + threads_of_block);
        for (unsigned i = 0; i < all; i++) left |= !fibers[i].done;
        if (left && !moved) {
            fprintf(stderr, "threads wait for each other\n");
            abort();
        }
    }
}

/* For another block. */
static inline void SS_RELAX()
{
    fibers[current].idle = 1;
    if (!_setjmp(fibers[current].place)) _longjmp(scheduler, 1);
}
static inline void __threadfence() {}

static inline unsigned first_of_block() { return (unsigned)current / threads_of_block * threads_of_block; }
static inline void __syncthreads() { meet(first_of_block(), threads_of_block, 0); }
static inline int __syncthreads_or(int flag)
{
    const unsigned first = first_of_block();
    meet(first, threads_of_block, flag != 0);
    int any = 0;
    for (unsigned i = first; i < first + threads_of_block; i++) any |= !fibers[i].done && heard[i];
    meet(first, threads_of_block, 0); /* nobody speaks again before all have heard */
    return any;
}
static inline unsigned first_of(unsigned mask) { return current / 32 * 32 + (unsigned)__builtin_ctz(mask); }
static inline void __syncwarp(unsigned mask) { meet(first_of(mask), (unsigned)__builtin_popcount(mask), 0); }
static inline unsigned __shfl_xor_sync(unsigned mask, unsigned value, int step)
{
    const unsigned first = first_of(mask), count = (unsigned)__builtin_popcount(mask);
    meet(first, count, value);
    const unsigned other = (unsigned)heard[current ^ step];
    meet(first, count, 0);
    return other;
}
template <class T> static inline T atomicAdd(T *to, T value) { T old = *to; *to += value; return old; }
template <class T> static inline T atomicExch(T *to, T value) { T old = *to; *to = value; return old; }
template <class T> static inline T atomicMin(T *to, T value) { T old = *to; if (value < old) *to = value; return old; }

#endif
