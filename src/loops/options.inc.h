/* SPDX-License-Identifier: BSD-3-Clause
   softmax with a temperature or a floor, log_softmax with a temperature. The quotient (x - peak) / T is kept as a pair
   of doubles for both real types, and every sum is added exactly: the digits of a term depend on x, T, the peak and the
   scale alone, so no order, width or thread can change a bit. */
#include "quotient.inc.h"

/* Elements as doubles; in a row with a peak of +inf, 0 stands for +inf and -inf for the others. */
static void FN(option_values)(const ss_job *job, ss_offsets at, ptrdiff_t first, ptrdiff_t n, int infinite,
                              double *values)
{
    REAL buffer[TILE + STEP];
    const REAL *x = FN(tile)(job, at, first, n, 0.0, buffer);
    for (ptrdiff_t i = 0; i < n; i++) values[i] = (double)x[i];
    if (infinite)
        for (ptrdiff_t i = 0; i < n; i++) values[i] = values[i] == INFINITY ? 0.0 : -INFINITY;
    for (ptrdiff_t i = n; i < n + SS_W; i++) values[i] = -INFINITY;
}

/* Terms of a tile. An element at -inf has the floor as its term; one that does not take part has none. */
static void FN(option_terms)(const ss_job *job, ss_offsets at, ptrdiff_t first, ptrdiff_t n, const ss_quotient *by,
                             const double *values, double *hi, double *lo)
{
    ss_divide_tile(by, 1, values, n, hi, lo);
    if (job->floor == 0.0) return;
    ss_apply_floor(job->floor, n, hi, lo);
    if (!job->mask) return;
    for (ptrdiff_t i = 0; i < n; i++)
        if (!job->mask[element_offsets(job, at, first + i).mask]) hi[i] = lo[i] = 0.0;
}

/* The two largest elements of a row, how many are +inf (in hi), and NaN there if one is. */
static ss_sum FN(option_peaks)(const ss_job *job, ss_offsets at, double *second)
{
    REAL buffer[TILE + STEP];
    ss_sum sum = {-INFINITY, 0.0, 0.0, 0.0};
    *second = -INFINITY;
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t length = job->n - i < TILE ? job->n - i : TILE;
        const REAL *x = FN(tile)(job, at, i, length, 0.0, buffer);
        int unordered = 0;
        for (ptrdiff_t j = 0; j < length; j++) unordered |= isnan(x[j]) != 0;
        if (unordered) sum.hi = NAN;
        const FN(extent) extent = FN(scan)(x, length, 1);
        const double top = (double)extent.peak, next = (double)extent.second;
        if (top == INFINITY)
            for (ptrdiff_t j = 0; j < length; j++) sum.hi += x[j] == (REAL)INFINITY;
        const double smaller = top < sum.peak ? top : sum.peak;
        if (next > *second) *second = next;
        if (smaller > *second) *second = smaller;
        if (top > sum.peak) sum.peak = top;
    }
    return sum;
}

static void FN(option_write)(const ss_job *job, ss_offsets at, ptrdiff_t first, ptrdiff_t n, const double *values)
{
    const ptrdiff_t step = job->reduced_y[0];
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL value = (REAL)values[i];
        const ptrdiff_t y = job->reduced == 1 ? at.y + (first + i) * step : element_offsets(job, at, first + i).y;
        memcpy(job->y + y, &value, sizeof value);
    }
}

static void FN(option_row)(const ss_job *job, ptrdiff_t row)
{
    double values[TILE + STEP], hi[TILE + STEP], lo[TILE + STEP];
    const ss_offsets at = row_offsets(job, row);
    const int logarithm = job->operation == SS_LOG_SOFTMAX;
    double second;
    const ss_sum peaks = FN(option_peaks)(job, at, &second);
    /* Under a floor the finite elements of a row with +inf count too: 1 for each +inf, floor for the others. */
    const int infinite = peaks.peak == INFINITY && job->floor != 0.0;
    if (isnan(peaks.hi) || (!isfinite(peaks.peak) && !infinite)) {
        const ss_end end = FN(conclude)(job, row, peaks, 0.0);
        FN(write)(job, row, 0, job->n, &end);
        return;
    }
    ss_quotient by = ss_quotient_of(infinite ? 0.0 : peaks.peak, job->temperature);
    if (logarithm) by.bound = fmax(lane(ss_divide(&by, v_set1(second)).hi), SS_QUOTIENT_LOWEST);
    const int64_t exponent = (int64_t)lane(ss_exponent(v_set1(by.bound)));
    int skip = logarithm; /* one peak stays out */
    ss_exact exact;
    ss_exact_start(&exact, exponent);
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t length = job->n - i < TILE ? job->n - i : TILE;
        FN(option_values)(job, at, i, length, infinite, values);
        FN(option_terms)(job, at, i, length, &by, values, hi, lo);
        for (ptrdiff_t j = 0; j < length; j++) {
            if (skip && values[j] == peaks.peak) {
                skip = 0;
                continue;
            }
            ss_exact_add(&exact, hi[j], exponent - SS_QUOTIENT_OFFSET);
            ss_exact_add(&exact, lo[j], exponent - SS_QUOTIENT_OFFSET);
        }
    }
    double sum, low;
    ss_exact_result(&exact, exponent, &sum, &low);
    vpair total = ss_pair_set(sum, low);
    if (sum != 0.0) total = ss_canonical_round(total, SS_CANONICAL_BITS_PAIR);
    const vpair factor = logarithm ? ss_log_excess(v_set1(0.0), total, v_set1((double)exponent)) : ss_reciprocal(total);
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t length = job->n - i < TILE ? job->n - i : TILE;
        if (logarithm || job->n > TILE) {
            FN(option_values)(job, at, i, length, infinite, values);
            if (logarithm)
                ss_divide_tile(&by, 0, values, length, hi, lo);
            else
                FN(option_terms)(job, at, i, length, &by, values, hi, lo);
        }
        ss_quotient_results(logarithm, factor, length, hi, lo, values);
        FN(option_write)(job, at, i, length, values);
    }
}
