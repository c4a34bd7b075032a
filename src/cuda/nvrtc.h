/* SPDX-License-Identifier: BSD-3-Clause
   What the C headers would bring: NVRTC has none, and none is read from the user's disk. */
#ifndef SS_CUDA_NVRTC_H
#define SS_CUDA_NVRTC_H

typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t;
#define INT64_MAX 0x7fffffffffffffffLL
#define INT64_MIN (-INT64_MAX - 1)
#ifndef NULL
#define NULL 0
#endif
#undef INFINITY
#undef NAN
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fc00000)

#endif
