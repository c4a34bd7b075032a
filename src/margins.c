/* SPDX-License-Identifier: BSD-3-Clause
   Steps of the margin losses, in one thread: they alternate with matrix products, whose threads still wait busily for
   the next product when a step begins. A second pool beside them made a call 1.4 to 5 times slower on two cores. */
#include "float_mode.h"
#include "isa/prelude.h"
#include "isa/vec_base.h"
#include "margins.h"
#include "math/pair.h"
#include "math/log.h"
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
                   const double *power, ptrdiff_t classes, int bits, double *sums_hi, double *sums_lo, double *room)
{
    const uint64_t mode = ss_float_enter();
    const double up = ldexp(1.0, bits), down = ldexp(1.0, -bits);
    for (ptrdiff_t i = 0; i < n; i++, hi += length, lo += length) {
        if (power[labels[i]] == 0.0) continue;
        const double unit = 1.0 / power[labels[i]];
        const ptrdiff_t at = labels[i] * length;
        for (ptrdiff_t j = 0; j < length; j++) {
            const double first = hi[j] * unit * up, whole = ss_whole(first);
            const double second = ((first - whole) + lo[j] * unit * up) * up, more = ss_whole(second);
            sums_hi[at + j] += whole;
            sums_lo[at + j] += more;
            room[at + j] += ss_whole((second - more) * up);
        }
    }
    for (ptrdiff_t i = 0; i < classes; i++, sums_hi += length, sums_lo += length, room += length)
        for (ptrdiff_t j = 0; j < length && power[i] != 0.0; j++) {
            vpair sum = ss_two_sum(sums_hi[j] * down, sums_lo[j] * down * down);
            const vpair more = ss_two_sum(sum.hi, room[j] * down * down * down);
            sum = ss_two_sum(more.hi, more.lo + sum.lo);
            sums_hi[j] = sum.hi * power[i];
            sums_lo[j] = sum.lo * power[i];
        }
    ss_float_leave(mode);
}

/* Relative to the largest term sums are taken in steps that make them exact: the order of the terms must not decide
   which sums are done again. */
enum { SS_ERROR_BITS = 30 };

static double steps_to(double peak)
{
    int exponent;
    frexp(isfinite(peak) ? peak : 1.0, &exponent);
    return ldexp(1.0, SS_ERROR_BITS - (exponent < -990 ? -990 : exponent));
}

/* The errors of different terms know nothing of each other and grow as the root of their number. Those of equal terms,
   which a batch may have, are equal: hence a share of the worst case. */
static void error_of_sum(double *peak, double steps, double units)
{
    const double sum = units / steps;
    *peak = fmin(sum, 4.0 * sqrt(sum) * sqrt(*peak) + 0.125 * sum);
}

static inline double larger(double a, double b) { return a > b ? a : b; }

void ss_sum_errors(const ss_errors *job)
{
    const uint64_t mode = ss_float_enter();
    const ptrdiff_t n = job->n, m = job->m;
    double *rows = job->rows, *columns = job->columns; /* first the peaks */
    double *row_steps = job->room, *row_units = row_steps + n, *steps = row_units + n, *units = steps + m;
    for (ptrdiff_t i = 0; i < n; i++) rows[i] = row_units[i] = 0.0;
    for (ptrdiff_t j = 0; j < m; j++) columns[j] = units[j] = 0.0;
    for (ptrdiff_t k = 0; k < job->extras; k++) {
        rows[job->row[k]] = larger(job->in_row[k], rows[job->row[k]]);
        columns[job->column[k]] = larger(job->in_column[k], columns[job->column[k]]);
    }
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t j = 0; j < m; j++) {
            const double size = fabs(job->values[i * m + j]);
            rows[i] = larger(size * job->right[j], rows[i]);
            columns[j] = larger(size * job->left[i], columns[j]);
        }
    for (ptrdiff_t i = 0; i < n; i++) row_steps[i] = steps_to(rows[i]);
    for (ptrdiff_t j = 0; j < m; j++) steps[j] = steps_to(columns[j]);
    for (ptrdiff_t k = 0; k < job->extras; k++) {
        row_units[job->row[k]] += ss_whole(job->in_row[k] * row_steps[job->row[k]]);
        units[job->column[k]] += ss_whole(job->in_column[k] * steps[job->column[k]]);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const double left = job->left[i], step = row_steps[i];
        double sum = 0.0;
        for (ptrdiff_t j = 0; j < m; j++) {
            const double size = fabs(job->values[i * m + j]);
            sum += ss_whole(size * job->right[j] * step);
            units[j] += ss_whole(size * left * steps[j]);
        }
        row_units[i] += sum;
    }
    for (ptrdiff_t i = 0; i < n; i++) error_of_sum(rows + i, row_steps[i], row_units[i]);
    for (ptrdiff_t j = 0; j < m; j++) error_of_sum(columns + j, steps[j], units[j]);
    ss_float_leave(mode);
}

void ss_margin_others(const double *hi, const double *lo, const int64_t *labels, ptrdiff_t rows, ptrdiff_t n,
                      double *others_hi, double *others_lo)
{
    const uint64_t mode = ss_float_enter();
    for (ptrdiff_t i = 0; i < rows; i++, hi += n, lo += n, others_hi += n, others_lo += n) {
        ptrdiff_t place = 0;
        for (ptrdiff_t j = 1; j < n; j++)
            if (hi[j] > hi[place]) place = j;
        const vpair peak = ss_pair(hi[place], lo[place]);
        vpair total = ss_pair_set1(0.0);
        for (ptrdiff_t j = 0; j < n; j++) {
            const vpair below = ss_pair_sub(peak, ss_pair(hi[j], lo[j]));
            const ss_wide term = ss_wide_exp_of_minus(ss_wide_pair(below, 0.0));
            others_hi[j] = ss_wide_double(term);
            others_lo[j] = ldexp(term.value.lo, ss_wide_bounded(term.unit));
            total = ss_pair_add(total, ss_pair(others_hi[j], others_lo[j]));
        }
        others_hi[labels[i]] = others_lo[labels[i]] = 0.0;
        for (ptrdiff_t j = 0; j < n; j++) {
            const vpair other = ss_pair_div(ss_pair(others_hi[j], others_lo[j]), total);
            others_hi[j] = other.hi;
            others_lo[j] = other.lo;
        }
    }
    ss_float_leave(mode);
}
