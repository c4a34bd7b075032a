/* SPDX-License-Identifier: BSD-3-Clause
   What the loops of C and the kernels of CUDA agree on. */
#ifndef SS_OPERATIONS_H
#define SS_OPERATIONS_H

/* The hot loops exist once for each value of their constants. */
#if defined(__CUDACC_RTC__)
#define SS_INLINE __forceinline__
#elif defined(__GNUC__) || defined(__clang__)
#define SS_INLINE inline __attribute__((always_inline))
#else
#define SS_INLINE inline
#endif

enum ss_operation { SS_SOFTMAX, SS_LOG_SOFTMAX, SS_LOGSUMEXP, SS_LOGMEANEXP, SS_CROSS_ENTROPY };

/* Of a row: one result, or one for every prefix (logcumsumexp); exclusive prefixes end before their element. */
enum ss_cumulation { SS_WHOLE, SS_INCLUSIVE, SS_EXCLUSIVE };

/* Above this magnitude x - peak is reduced instead of x: exact, as what matters lies within a factor 2 of the peak. */
#define SS_HUGE 0x1p45

/* Whether a part of a row can be summed as it is. The limit below is a loose one: beside a peak of -SS_HUGE elements
   beyond it still count. */
static inline int ss_reducible(double peak) { return peak <= SS_HUGE && peak >= -2.0 * SS_HUGE; }

#endif
