/* SPDX-License-Identifier: BSD-3-Clause */
#include "../kernels.h"
#if SS_HAVE_AVX
#include "prelude.h"
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512vl,avx2,fma")
#endif
#define SS_ISA avx512
#include "vec_avx512.h"
#include "table.inc.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int ss_no_avx512; /* a translation unit may not be empty */
#endif
