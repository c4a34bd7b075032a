/* SPDX-License-Identifier: BSD-3-Clause
   Losses over threads, the check of the labels, and sums whose digits no order and no number of threads can change. */
#include "float_mode.h"
#include "isa/prelude.h"
#include "isa/vec_base.h"
#include "math/pair.h"
#include "math/canonical.h"

ptrdiff_t ss_check_labels(const int64_t *labels, ptrdiff_t n, ptrdiff_t classes, int ignores, int64_t ignored,
                          int64_t *rows)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        const int leave = ignores && labels[i] == ignored;
        if (!leave && (labels[i] < 0 || labels[i] >= classes)) return i;
        rows[i] = leave ? -1 : labels[i];
    }
    return -1;
}

void ss_run_loss(const ss_kernels *kernels, int type, const ss_loss *loss, ptrdiff_t rows, int threads)
{
    threads = ss_parts((double)rows * (double)loss->job.n, threads);
    if (threads > rows) threads = (int)rows;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int part = 0; part < threads; part++) {
        const uint64_t mode = ss_float_enter();
        kernels->losses[type](loss, rows / threads * part, part + 1 < threads ? rows / threads * (part + 1) : rows);
        ss_float_leave(mode);
    }
}

/* A sum is rounded to SUM_BITS below its leading one. A sum of partial ones, whose error is known, is taken only if all
   that lies within this error rounds to the same; if not, the sum is done exactly: the digits are always those of the
   exact sum. 2^30 blocks of items.inc.h lose less than 2^-74 of the magnitudes. */
enum { SS_SUM_BITS = 60 };
#define SS_PARTIAL_ERROR 0x1p-74

/* Whether the rounding can neither overflow nor underflow. */
static int ss_roundable(double sum) { return fabs(sum) > 0x1p-900 && fabs(sum) < 0x1p900; }

/* 0 where a sum within `error` (relative) of this one rounds elsewhere. */
static int ss_round(vpair sum, double error, double *hi, double *lo)
{
    int certain;
    const double sign = sum.hi < 0.0 ? -1.0 : 1.0;
    const vpair rounded = ss_canonical(ss_pair_scale(sum, sign), SS_SUM_BITS, error, &certain);
    *hi = sign * rounded.hi;
    *lo = sign * rounded.lo;
    return certain;
}

int ss_settle(const ss_partial *parts, int count, double *hi, double *lo)
{
    vpair sum = ss_pair_set1(0.0);
    double size = 0.0;
    for (int i = 0; i < count; i++) {
        sum = ss_pair_add(sum, ss_pair(parts[i].hi, parts[i].lo));
        size += parts[i].size;
    }
    return ss_roundable(sum.hi) && ss_round(sum, size / fabs(sum.hi) * SS_PARTIAL_ERROR, hi, lo);
}

/* Finite losses may have a sum beyond the largest double, and a mean that is not. */
enum { SS_SUM_DOWN = 160 };

int ss_settle_exactly(const ss_total *sum, double *hi, double *lo)
{
    ss_total_result(sum, hi, lo);
    if (isinf(*hi) && sum->special == 0.0) {
        ss_total_scaled(sum, SS_SUM_DOWN, hi, lo);
        return SS_SUM_DOWN;
    }
    if (ss_roundable(*hi)) ss_round(ss_pair(*hi, *lo), 0.0, hi, lo);
    return 0;
}

int ss_run_sigmoid(const ss_kernels *kernels, int type, const ss_sigmoid *loss, ptrdiff_t n, int threads, double *hi,
                   double *lo)
{
    ss_partial parts[SS_MOST_PARTS];
    threads = ss_parts((double)n, threads);
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int part = 0; part < threads; part++) {
        const uint64_t mode = ss_float_enter();
        const ptrdiff_t last = part + 1 < threads ? n / threads * (part + 1) : n;
        parts[part] = kernels->sigmoid[type](loss, n / threads * part, last, NULL);
        ss_float_leave(mode);
    }
    if (!hi || ss_settle(parts, threads, hi, lo)) return 0;
    ss_total sum;
    ss_total_start(&sum);
    kernels->sigmoid[type](loss, 0, n, &sum);
    return ss_settle_exactly(&sum, hi, lo);
}

int ss_sum_values(const ss_kernels *kernels, const double *values, ptrdiff_t n, double *hi, double *lo)
{
    const ss_partial part = kernels->items(values, n);
    if (ss_settle(&part, 1, hi, lo)) return 0;
    ss_total sum;
    ss_total_start(&sum);
    for (ptrdiff_t i = 0; i < n; i++) ss_total_add(&sum, values[i]);
    return ss_settle_exactly(&sum, hi, lo);
}

void ss_sum_weights(const double *weights, const int64_t *rows, ptrdiff_t n, double *hi, double *lo)
{
    if (!weights) {
        ptrdiff_t count = 0;
        for (ptrdiff_t i = 0; i < n; i++) count += rows[i] >= 0;
        *hi = (double)count;
        *lo = 0.0;
        return;
    }
    ss_total sum;
    ss_total_start(&sum);
    for (ptrdiff_t i = 0; i < n; i++)
        if (rows[i] >= 0) ss_total_add(&sum, weights[rows[i]]);
    ss_total_result(&sum, hi, lo);
}
