/* SPDX-License-Identifier: BSD-3-Clause
   Losses over threads; their sums are exact, so no number of threads can change them. Checks of the labels. */
#include "float_mode.h"
#include "isa/prelude.h"
#include "isa/vec_base.h"
#include "math/pair.h"
#include "math/canonical.h"

enum { SS_LOSS_PARALLEL = 1 << 15, SS_MOST_THREADS = 256 };

ptrdiff_t ss_check_labels(const int64_t *labels, ptrdiff_t n, ptrdiff_t classes, int ignores, int64_t ignored, int64_t *rows)
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
    if ((double)rows * (double)loss->job.n < SS_LOSS_PARALLEL) threads = 1;
    if (threads > rows) threads = (int)rows;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int part = 0; part < threads; part++) {
        const uint64_t mode = ss_float_enter();
        kernels->losses[type](loss, rows / threads * part, part + 1 < threads ? rows / threads * (part + 1) : rows);
        ss_float_leave(mode);
    }
}

/* Both sums have to give the same digits: an exact sum is rounded to SUM_BITS below its leading one, and a partial sum is taken
   only if all that lies within its error rounds to the same. 2^30 blocks of items.inc.h lose less than 2^-74. */
enum { SS_SUM_BITS = 60 };
#define SS_PARTIAL_ERROR 0x1p-74

static vpair ss_rounded(double hi, double lo)
{
    const double sign = hi < 0.0 ? -1.0 : 1.0;
    const vpair sum = ss_canonical_round(ss_pair(sign * hi, sign * lo), SS_SUM_BITS);
    return ss_pair(sign * sum.hi, sign * sum.lo);
}

/* 0 where the sum has to be done exactly. */
static int ss_settle(const ss_partial *parts, int count, double *hi, double *lo)
{
    vpair sum = ss_pair(0.0, 0.0);
    double size = 0.0;
    for (int i = 0; i < count; i++) {
        sum = ss_pair_add(sum, ss_pair(parts[i].hi, parts[i].lo));
        size += parts[i].size;
    }
    const double sign = sum.hi < 0.0 ? -1.0 : 1.0;
    int certain;
    if (!(fabs(sum.hi) > 0x1p-900 && fabs(sum.hi) < 0x1p900)) return 0;
    const vpair rounded = ss_canonical(ss_pair(sign * sum.hi, sign * sum.lo), SS_SUM_BITS,
                                       size / fabs(sum.hi) * SS_PARTIAL_ERROR, &certain);
    *hi = sign * rounded.hi;
    *lo = sign * rounded.lo;
    return certain;
}

static void ss_settle_exactly(ss_total *sum, double *hi, double *lo)
{
    ss_total_result(sum, hi, lo);
    if (!(fabs(*hi) > 0x1p-900 && fabs(*hi) < 0x1p900)) return;
    const vpair rounded = ss_rounded(*hi, *lo);
    *hi = rounded.hi;
    *lo = rounded.lo;
}

void ss_run_sigmoid(const ss_kernels *kernels, int type, const ss_sigmoid *loss, ptrdiff_t n, int threads, double *hi, double *lo)
{
    ss_partial parts[SS_MOST_THREADS];
    if (threads > SS_MOST_THREADS) threads = SS_MOST_THREADS;
    if (n < SS_LOSS_PARALLEL) threads = 1;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int part = 0; part < threads; part++) {
        const uint64_t mode = ss_float_enter();
        const ptrdiff_t last = part + 1 < threads ? n / threads * (part + 1) : n;
        parts[part] = kernels->sigmoid[type](loss, n / threads * part, last, NULL);
        ss_float_leave(mode);
    }
    if (!hi || ss_settle(parts, threads, hi, lo)) return;
    ss_total sum;
    ss_total_start(&sum);
    kernels->sigmoid[type](loss, 0, n, &sum);
    ss_settle_exactly(&sum, hi, lo);
}

void ss_sum_values(const ss_kernels *kernels, const double *values, ptrdiff_t n, double *hi, double *lo)
{
    const ss_partial part = kernels->items(values, n);
    if (ss_settle(&part, 1, hi, lo)) return;
    ss_total sum;
    ss_total_start(&sum);
    for (ptrdiff_t i = 0; i < n; i++) ss_total_add(&sum, values[i]);
    ss_settle_exactly(&sum, hi, lo);
}

void ss_sum_weights(const double *weights, const int64_t *rows, ptrdiff_t n, double *hi, double *lo)
{
    ss_total sum;
    ss_total_start(&sum);
    for (ptrdiff_t i = 0; i < n; i++)
        if (rows[i] >= 0) ss_total_add(&sum, weights ? weights[rows[i]] : 1.0);
    ss_total_result(&sum, hi, lo);
}
