/* SPDX-License-Identifier: BSD-3-Clause */
#include "../kernels.h"
#if SS_HAVE_AVX
#include "prelude.h"
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define SS_ISA avx2
#include "vec_avx2.h"
#include "table.inc.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int ss_no_avx2; /* a translation unit may not be empty */
#endif
