/* SPDX-License-Identifier: BSD-3-Clause
   Steps of the margin losses, in one thread: they alternate with matrix products, whose threads still wait busily for
   the next product when a step begins. A second pool beside them made a call 1.4 to 5 times slower on two cores. */
#include "float_mode.h"
#include "margins.h"
#include <math.h>

void ss_run_loop(ss_loop loop, const void *job, ptrdiff_t rows)
{
    const uint64_t mode = ss_float_enter();
    loop(job, 0, rows);
    ss_float_leave(mode);
}

/* The nearest integer of |a| < 2^51. */
static inline double ss_whole(double a) { return (a + 0x1.8p52) - 0x1.8p52; }

void ss_class_sums(const double *hi, const double *lo, const int64_t *labels, ptrdiff_t n, ptrdiff_t length,
                   const double *power, ptrdiff_t classes, int bits, double *sums_hi, double *sums_lo)
{
    const uint64_t mode = ss_float_enter();
    const double up = ldexp(1.0, bits), down = ldexp(1.0, -bits);
    for (ptrdiff_t i = 0; i < n; i++, hi += length, lo += length) {
        if (power[labels[i]] == 0.0) continue;
        const double unit = 1.0 / power[labels[i]];
        double *to_hi = sums_hi + labels[i] * length, *to_lo = sums_lo + labels[i] * length;
        for (ptrdiff_t j = 0; j < length; j++) {
            const double value = hi[j] * unit * up, whole = ss_whole(value);
            to_hi[j] += whole;
            to_lo[j] += ss_whole(((value - whole) + lo[j] * unit * up) * up);
        }
    }
    for (ptrdiff_t i = 0; i < classes; i++, sums_hi += length, sums_lo += length)
        for (ptrdiff_t j = 0; j < length && power[i] != 0.0; j++) {
            const double high = sums_hi[j] * down, low = sums_lo[j] * down * down;
            const double sum = high + low, part = sum - high;
            sums_hi[j] = sum * power[i];
            sums_lo[j] = ((high - (sum - part)) + (low - part)) * power[i];
        }
    ss_float_leave(mode);
}
