/* SPDX-License-Identifier: BSD-3-Clause
   logsumexp with weights of any sign: rows of any layout for the arithmetic of weighted.inc.h, which CUDA has too. */
#include "weighted.inc.h"

/* Elements and weights as doubles. An element that is left out, or has the weight 0, becomes -inf with the weight 0. */
static void FN(weight_tile)(const ss_job *job, ss_offsets row, ptrdiff_t first, ptrdiff_t n, double *x, double *w)
{
    const int last = job->reduced - 1;
    const ptrdiff_t run = job->reduced_shape[last];
    for (ptrdiff_t i = 0; i < n;) {
        const ss_offsets at = element_offsets(job, row, first + i);
        ptrdiff_t count = run - (first + i) % run;
        if (count > n - i) count = n - i;
        for (ptrdiff_t j = 0; j < count; j++, i++) {
            REAL value, weight;
            memcpy(&value, job->x + at.x + j * job->reduced_x[last], sizeof value);
            memcpy(&weight, job->b + at.y + j * job->reduced_y[last], sizeof weight);
            const int absent = (job->mask && !job->mask[at.mask + j * job->reduced_mask[last]]) || weight == (REAL)0.0;
            x[i] = absent ? -INFINITY : (double)value;
            w[i] = absent ? 0.0 : (double)weight;
        }
    }
}

/* ss_fetch of the ladder. All weights are of one sign here. */
static void FN(weight_fetch)(const void *row, ptrdiff_t first, ptrdiff_t length, double *x, double *weights)
{
    const FN(row_reader) *reader = row;
    FN(weight_tile)(reader->job, reader->at, first, length, x, weights);
    for (ptrdiff_t i = 0; i < length; i++) weights[i] = fabs(weights[i]);
}

static ss_weighted FN(weight_scan)(const ss_job *job, ss_offsets at)
{
    double x[TILE + STEP], w[TILE + STEP], exponents[TILE + STEP];
    ss_weighted row = ss_weighted_start();
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t n = job->n - i < TILE ? job->n - i : TILE;
        FN(weight_tile)(job, at, i, n, x, w);
        for (ptrdiff_t j = 0; j < n; j++) ss_weigh(&row, x[j], w[j]);
    }
    if (fabs(row.peak) > SS_HUGE) row.shift = row.peak;
    for (ptrdiff_t i = 0; i < job->n && row.peak > -INFINITY; i += TILE) {
        const ptrdiff_t n = job->n - i < TILE ? job->n - i : TILE;
        FN(weight_tile)(job, at, i, n, x, w);
        for (ptrdiff_t j = n; j < n + SS_W; j++) x[j] = 0.0;
        ss_weight_exponents(&row, n, x, w, exponents);
        for (ptrdiff_t j = 0; j < n; j++)
            if (exponents[j] > row.exponent) row.exponent = exponents[j];
    }
    return row;
}

/* The sum over 2^exponent. */
static void FN(weight_sum)(const ss_job *job, ss_offsets at, const ss_weighted *row, double *hi, double *lo)
{
    double x[TILE + STEP], w[TILE + STEP], exponents[TILE + STEP];
    ss_exact exact;
    ss_exact_start(&exact, (int64_t)row->exponent);
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t n = job->n - i < TILE ? job->n - i : TILE;
        FN(weight_tile)(job, at, i, n, x, w);
        for (ptrdiff_t j = n; j < n + SS_W; j++) x[j] = w[j] = 0.0;
        ss_weight_exponents(row, n, x, w, exponents);
        for (ptrdiff_t j = 0; j < n; j += SS_W) {
            double part[4][SS_W];
            ss_weight_terms(x + j, w + j, part);
            for (ptrdiff_t k = 0; k < SS_W && j + k < n; k++) {
                if (!ss_weight_counts(row, exponents[j + k])) continue;
                for (int p = 0; p < 4; p++) ss_exact_add(&exact, part[p][k], (int64_t)exponents[j + k]);
            }
        }
    }
    ss_exact_result(&exact, (int64_t)row->exponent, hi, lo);
}

/* log|sum| and the sum's sign. */
static double FN(weight_value)(const ss_job *job, ss_offsets at, double *sign)
{
    double value, hi, lo;
    int near;
    const ss_weighted row = FN(weight_scan)(job, at);
    if (ss_weighted_special(&row, &value, sign)) return value;
    FN(weight_sum)(job, at, &row, &hi, &lo);
    value = ss_weighted_log(&row, hi, lo, SINGLE, sign, &near);
    const FN(row_reader) reader = {job, at};
    return near ? ss_ladder_logsumexp(FN(weight_fetch), &reader, job->n, 1, 1.0, SINGLE) : value;
}

/* Results and signs lie in C order, so that the strides of y are free for b. */
static void FN(weight_row)(const ss_job *job, ptrdiff_t row)
{
    double sign;
    const double value = FN(weight_value)(job, row_offsets(job, row), &sign);
    ((REAL *)job->y)[row] = (REAL)(job->sign || !(sign < 0.0) ? value : NAN);
    if (job->sign) ((REAL *)job->sign)[row] = (REAL)sign;
}
