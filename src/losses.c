/* SPDX-License-Identifier: BSD-3-Clause
   Losses over threads; their sums are exact, so no number of threads can change them. Checks of the labels. */
#include "losses.h"
#include "math/total.h"

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
    for (int part = 0; part < threads; part++)
        kernels->losses[type](loss, rows / threads * part, part + 1 < threads ? rows / threads * (part + 1) : rows);
}

void ss_run_sigmoid(const ss_kernels *kernels, int type, const ss_sigmoid *loss, ptrdiff_t n, int threads, double *hi, double *lo)
{
    ss_total sums[SS_MOST_THREADS];
    if (threads > SS_MOST_THREADS) threads = SS_MOST_THREADS;
    if (n < SS_LOSS_PARALLEL) threads = 1;
    for (int part = 0; part < threads; part++) ss_total_start(&sums[part]);
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int part = 0; part < threads; part++)
        kernels->sigmoid[type](loss, n / threads * part, part + 1 < threads ? n / threads * (part + 1) : n,
                               hi ? &sums[part] : NULL);
    if (!hi) return;
    for (int part = 1; part < threads; part++) ss_total_merge(&sums[0], &sums[part]);
    ss_total_result(&sums[0], hi, lo);
}

void ss_sum_values(const double *values, ptrdiff_t n, double *hi, double *lo)
{
    ss_total sum;
    ss_total_start(&sum);
    for (ptrdiff_t i = 0; i < n; i++) ss_total_add(&sum, values[i]);
    ss_total_result(&sum, hi, lo);
}

void ss_sum_weights(const double *weights, const int64_t *rows, ptrdiff_t n, double *hi, double *lo)
{
    ss_total sum;
    ss_total_start(&sum);
    for (ptrdiff_t i = 0; i < n; i++)
        if (rows[i] >= 0) ss_total_add(&sum, weights ? weights[rows[i]] : 1.0);
    ss_total_result(&sum, hi, lo);
}
