/* Correctly rounded log((sum_i w_i e^x_i) / count) in fixed point of growing precision. */
#ifndef STABLESOFT_LADDER_H
#define STABLESOFT_LADDER_H

#include <stddef.h>
#include <stdint.h>

/* Copies `len` elements from `start` of the row into x, and the weights into w (w is NULL if the row has none). */
typedef void (*ss_fetch)(const void *row, ptrdiff_t start, ptrdiff_t len, double *x, double *w);

/* x_i: finite or -inf, |x_i| <= 2^45 for every term that matters. w_i: finite, >= 0. count: an integer, 1 to 2^53.
   `single`: the one rounding is to float32 (subnormals included) instead of float64. A result of exactly 0 is +0. */
double ss_ladder_logsumexp(ss_fetch fetch, const void *row, ptrdiff_t n, int weighted, double count, int single);

/* The sum of the first `seen` terms of a row at one level of the ladder. It starts as {0}. */
typedef struct {
    ptrdiff_t seen;
    int level;
    double terms, tiny, scale;
    uint64_t limb[68];
} ss_ladder_sum;

/* As ss_ladder_logsumexp for the first n elements of a row, all negative; at least two are above -inf, and |result| is
   less than |peak| / 3. `sum` goes from one n to the next larger one of the same row, so that each element is taken up
   once (and once for each level that a prefix makes necessary), not once for each prefix. */
double ss_ladder_prefix(ss_ladder_sum *sum, ss_fetch fetch, const void *row, ptrdiff_t n, double peak, int single);

/* The quick way for most prefixes: the sum minus 1 as hi + lo, |lo| < ulp(hi), relative error 2^-68; 0 where only
   ss_ladder_prefix can tell. */
int ss_ladder_prefix_excess(ss_ladder_sum *sum, ss_fetch fetch, const void *row, ptrdiff_t n, double peak, double *hi,
                            double *lo);

/* log(e^a + e^b) and log(e^a - e^b), correctly rounded; |a| and |b| as above. The difference is for results near 0:
   a > b, and e^a - e^b no more than 2^50 times smaller than e^a. */
double ss_ladder_logaddexp(double a, double b, int single);
double ss_ladder_logsubexp(double a, double b, int single);

#endif
