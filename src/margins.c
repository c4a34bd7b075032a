/* SPDX-License-Identifier: BSD-3-Clause
   Steps of the margin losses, in one thread: they alternate with matrix products, whose threads still wait busily for
   the next product when a step begins. A second pool beside them made a call 1.4 to 5 times slower on two cores. */
#include "float_mode.h"
#include "isa/prelude.h"
#include "isa/vec_base.h"
#include "margins.h"
#include "math/pair.h"
#include "math/log.h"
#include "math/words.h"
#include "wide.h"

void ss_run_loop(ss_loop loop, const void *job, ptrdiff_t rows)
{
    const uint64_t mode = ss_float_enter();
    loop(job, 0, rows);
    ss_float_leave(mode);
}

/* The nearest integer of |a| < 2^51. */
static inline double ss_whole(double a) { return (a + 0x1.8p52) - 0x1.8p52; }

void ss_class_sums(const double *hi, const double *lo, const int64_t *labels, ptrdiff_t n, ptrdiff_t length,
                   const double *power, ptrdiff_t classes, double terms, double *words, double *sums_hi,
                   double *sums_lo)
{
    const uint64_t mode = ss_float_enter();
    const ss_grid grid = ss_grid_below(1.0, ss_word_bits(terms));
    for (ptrdiff_t i = 0; i < n; i++, hi += length, lo += length) {
        if (power[labels[i]] == 0.0) continue;
        const double unit = 1.0 / power[labels[i]];
        double *to = words + SS_WORDS * labels[i] * length;
        for (ptrdiff_t j = 0; j < length; j++)
            ss_grid_add(&grid, ss_pair_scale(ss_pair(hi[j], lo[j]), unit), to + SS_WORDS * j);
    }
    for (ptrdiff_t i = 0; i < classes * length; i++) {
        const vpair sum = ss_pair_scale(ss_words_sum(words + SS_WORDS * i), power[i / length]);
        sums_hi[i] = sum.hi;
        sums_lo[i] = sum.lo;
    }
    ss_float_leave(mode);
}

static inline double larger(double a, double b) { return a > b ? a : b; }

/* Multiples of a step that is 2^30 below the largest term: their sum is exact for the 2^22 terms that fit a double. What
   is below 2^-500 is brought there in two stages, each of which is a double. */
static double up_from(double peak) { return peak < 0x1p-500 ? 0x1p200 : 1.0; }

static double steps_to(double peak)
{
    int exponent;
    frexp(isfinite(peak) ? peak * up_from(peak) : 1.0, &exponent);
    return ldexp(1.0, 30 - exponent);
}

void ss_term_sizes(const ss_sizes *job)
{
    const uint64_t mode = ss_float_enter();
    const ptrdiff_t n = job->n, m = job->m;
    double *row_peaks = job->row_peaks, *row_sums = job->row_sums, *row_steps = job->row_steps;
    double *peaks = job->column_peaks, *sums = job->column_sums, *steps = job->column_steps, *ups = steps + m;
    for (ptrdiff_t i = 0; i < n; i++) row_peaks[i] = row_sums[i] = 0.0;
    for (ptrdiff_t j = 0; j < m; j++) peaks[j] = sums[j] = 0.0;
    for (ptrdiff_t k = 0; k < job->extras; k++) {
        row_peaks[job->row[k]] = larger(job->in_row[k], row_peaks[job->row[k]]);
        peaks[job->column[k]] = larger(job->in_column[k], peaks[job->column[k]]);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const double left = job->left[i];
        double peak = row_peaks[i];
        for (ptrdiff_t j = 0; j < m; j++) {
            const double size = job->values[i * m + j];
            peak = larger(size * job->right[j], peak);
            peaks[j] = larger(size * left, peaks[j]);
        }
        row_peaks[i] = peak;
    }
    for (ptrdiff_t i = 0; i < n; i++) row_steps[i] = steps_to(row_peaks[i]);
    for (ptrdiff_t j = 0; j < m; j++) {
        steps[j] = steps_to(peaks[j]);
        ups[j] = up_from(peaks[j]);
    }
    for (ptrdiff_t k = 0; k < job->extras; k++) {
        const int64_t i = job->row[k], j = job->column[k];
        row_sums[i] += ss_whole(job->in_row[k] * up_from(row_peaks[i]) * row_steps[i]);
        sums[j] += ss_whole(job->in_column[k] * up_from(peaks[j]) * steps[j]);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const double left = job->left[i], step = row_steps[i], up = up_from(row_peaks[i]);
        double sum = row_sums[i];
        for (ptrdiff_t j = 0; j < m; j++) {
            const double size = job->values[i * m + j];
            sum += ss_whole(size * job->right[j] * up * step);
            sums[j] += ss_whole(size * left * ups[j] * steps[j]);
        }
        row_sums[i] = sum / step / up;
    }
    for (ptrdiff_t j = 0; j < m; j++) sums[j] = sums[j] / steps[j] / ups[j];
    ss_float_leave(mode);
}

void ss_margin_others(const double *hi, const double *lo, const int64_t *labels, ptrdiff_t rows, ptrdiff_t n,
                      int lift, double *others_hi, double *others_lo)
{
    const uint64_t mode = ss_float_enter();
    const ss_grid grid = ss_grid_below(2.0, ss_word_bits((double)n));
    for (ptrdiff_t i = 0; i < rows; i++, hi += n, lo += n, others_hi += n, others_lo += n) {
        ptrdiff_t place = 0;
        for (ptrdiff_t j = 1; j < n; j++)
            if (hi[j] > hi[place] || (hi[j] == hi[place] && lo[j] > lo[place])) place = j;
        const vpair peak = ss_pair(hi[place], lo[place]);
        double words[SS_WORDS] = {0.0, 0.0, 0.0};
        for (ptrdiff_t j = 0; j < n; j++) {
            const vpair below = ss_pair_sub(peak, ss_pair(hi[j], lo[j]));
            const ss_wide term = ss_wide_exp_of_minus(ss_wide_pair(below, 0.0));
            const int unit = ss_wide_bounded(term.unit);
            ss_grid_add(&grid, ss_pair(ldexp(term.value.hi, unit), ldexp(term.value.lo, unit)), words);
            others_hi[j] = ldexp(term.value.hi, unit + lift);
            others_lo[j] = ldexp(term.value.lo, unit + lift);
        }
        const vpair total = ss_words_sum(words);
        others_hi[labels[i]] = others_lo[labels[i]] = 0.0;
        for (ptrdiff_t j = 0; j < n; j++) {
            const vpair other = ss_pair_div(ss_pair(others_hi[j], others_lo[j]), total);
            others_hi[j] = other.hi;
            others_lo[j] = other.lo;
        }
    }
    ss_float_leave(mode);
}
