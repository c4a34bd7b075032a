/* SPDX-License-Identifier: BSD-3-Clause
   What the doors ask of the compiled losses. */
#ifndef SS_LOSSES_H
#define SS_LOSSES_H

#include "kernels.h"
#include <stdint.h>

/* Softmax losses of many rows. job.x are the logits, job.y the gradient or NULL. A row has a label (negative: it is
   ignored), or a probability for every class: `targets`, whose strides are those that the job calls mask.
   A label costs weight ((1 - p)^gamma (-log p) + z_loss logsumexp^2). The gradient is multiplied by scale_hi +
   scale_lo, for a mean the reciprocal of what it divides by. */
struct ss_loss {
    ss_job job;
    const int64_t *labels;
    const char *targets;
    const double *weights; /* one for each class, or NULL */
    double *items;         /* the loss of each row */
    double smoothing, z_loss, gamma;
    double scale_hi, scale_lo;
};

/* Where a row lies, and its gradient and probabilities, where there are any. */
typedef struct {
    const char *x, *targets;
    char *y;
} ss_place;

/* The loss of a row of finite peak whose label is `label`, or with probabilities (negative), for any magnitudes; writes
   the gradient, too, if asked for. */
double ss_loss_of_row(const ss_loss *loss, int single, ss_place at, ptrdiff_t label, int gradient);

/* Losses of logits against targets, element by element in C order. SS_COUNTS are bytes: 0 costs nothing, whatever the
   other operands are. */
enum { SS_LOGITS, SS_TARGETS, SS_SCALES, SS_POSITIVES, SS_COUNTS, SS_GRADIENT, SS_ITEMS, SS_OPERANDS };
struct ss_sigmoid {
    int ndim;
    ptrdiff_t shape[SS_MAX_DIMS], strides[SS_OPERANDS][SS_MAX_DIMS];
    char *operands[SS_OPERANDS]; /* NULL where not given or not wanted */
    int focal;
    double alpha, gamma; /* of the focal loss; alpha is NaN where not given */
    double scale_hi, scale_lo;
};

/* The loss of one element and its slope, for any magnitudes. */
double ss_loss_of_logit(const ss_sigmoid *loss, double x, double t, double weight, double positive, double *slope);

/* The first row whose label lies outside [0, classes) and is not the ignored one, or -1.
   `rows` gets the labels, -1 for the ignored. */
ptrdiff_t ss_check_labels(const int64_t *labels, ptrdiff_t n, ptrdiff_t classes, int ignores, int64_t ignored,
                          int64_t *rows);

/* All rows, or n elements and their sum (hi + lo) 2^d; hi is NULL where that is not wanted. Returns d, which is not 0
   only where the sum is beyond the largest double. */
void ss_run_loss(const ss_kernels *kernels, int type, const ss_loss *loss, ptrdiff_t rows, int threads);
int ss_run_sigmoid(const ss_kernels *kernels, int type, const ss_sigmoid *loss, ptrdiff_t n, int threads, double *hi,
                   double *lo);

/* From partial sums, or from the exact one, to the sum rounded canonically, (hi + lo) 2^d. The first returns 0 where
   the sum has to be done exactly, the second d, which is not 0 only where the sum is beyond the largest double. */
int ss_settle(const ss_partial *parts, int count, double *hi, double *lo);
int ss_settle_exactly(const struct ss_total *sum, double *hi, double *lo);

/* The sum of the values, or of weights[label] (NULL: 1) over the rows that are not ignored, as a pair: the same digits
   in any order. Returns d as ss_run_sigmoid does. */
int ss_sum_values(const ss_kernels *kernels, const double *values, ptrdiff_t n, double *hi, double *lo);
void ss_sum_weights(const double *weights, const int64_t *rows, ptrdiff_t n, double *hi, double *lo);

#endif
