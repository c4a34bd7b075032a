/* Correctly rounded log((sum_i w_i e^x_i) / count) in fixed point of growing precision. */
#ifndef STABLESOFT_LADDER_H
#define STABLESOFT_LADDER_H

#include <stddef.h>

/* Copies `len` elements from `start` of the row into x, and the weights into w (w is NULL if the row has none). */
typedef void (*ss_fetch)(const void *row, ptrdiff_t start, ptrdiff_t len, double *x, double *w);

/* x_i: finite or -inf, |x_i| <= 2^45 for every term that matters. w_i: finite, >= 0. count: an integer, 1 to 2^53.
   `single`: the one rounding is to float32 (subnormals included) instead of float64. A result of exactly 0 is +0. */
double ss_ladder_logsumexp(ss_fetch fetch, const void *row, ptrdiff_t n, int weighted, double count, int single);

/* log(e^a + e^b) and log(e^a - e^b), correctly rounded; |a| and |b| as above. The difference is for results near 0:
   a > b, and e^a - e^b no more than 2^50 times smaller than e^a. */
double ss_ladder_logaddexp(double a, double b, int single);
double ss_ladder_logsubexp(double a, double b, int single);

#endif
