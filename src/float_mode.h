/* SPDX-License-Identifier: BSD-3-Clause
   The arithmetic that the kernels rest on: subnormal numbers kept, rounding to nearest. Both are state of a thread, and
   a library compiled for speed may have changed it in the caller's. Every thread enters before it computes and leaves
   after it; the second is given what the first returned. */
#ifndef SS_FLOAT_MODE_H
#define SS_FLOAT_MODE_H

#include "kernels.h"
#include <stdint.h>

#if SS_X86
#include <xmmintrin.h>
/* MXCSR: flush to zero (15), denormals are zero (6), rounding (13, 14); the flags are the bits 0 to 5 */
#define SS_FLOAT_CONTROL 0xe040u
#define SS_FLOAT_FLAGS 0x3fu
static inline uint64_t ss_float_get(void) { return _mm_getcsr(); }
static inline void ss_float_set(uint64_t mode) { _mm_setcsr((unsigned)mode); }
#elif defined(__aarch64__)
/* FPCR: flush to zero (24; 19 for half precision; 0), alternate handling (1), rounding (22, 23). No flags here. */
#define SS_FLOAT_CONTROL 0x1c80003u
#define SS_FLOAT_FLAGS 0u
static inline uint64_t ss_float_get(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void ss_float_set(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
#define SS_FLOAT_CONTROL 0u
#define SS_FLOAT_FLAGS 0u
static inline uint64_t ss_float_get(void) { return 0; }
static inline void ss_float_set(uint64_t mode) { (void)mode; }
#endif

static inline uint64_t ss_float_enter(void)
{
    const uint64_t mode = ss_float_get();
    if (mode & SS_FLOAT_CONTROL) ss_float_set(mode & ~(uint64_t)SS_FLOAT_CONTROL);
    return mode;
}

static inline void ss_float_leave(uint64_t mode)
{
    if (mode & SS_FLOAT_CONTROL) ss_float_set((mode & ~(uint64_t)SS_FLOAT_FLAGS) | (ss_float_get() & SS_FLOAT_FLAGS));
}

#endif
