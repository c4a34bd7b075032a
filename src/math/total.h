/* SPDX-License-Identifier: BSD-3-Clause
   Exact sum of any doubles: base-2^32 digits at absolute bit positions over the whole range, so that no order and no
   partition can change the result.
   Method: superaccumulator, Neal 2015 (arXiv 1505.05571) */
#ifndef SS_MATH_TOTAL_H
#define SS_MATH_TOTAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "exact.h" /* how a part joins a digit */

enum { SS_TOTAL_DIGITS = 70, SS_TOTAL_LOWEST = -1088 }; /* digit[i] counts 2^(32 i + LOWEST); 1088 = 34 * 32 */

typedef struct ss_total {
    int64_t digit[SS_TOTAL_DIGITS];
    double special; /* sum of the infinities and NaNs */
    int pending;    /* additions since the last carry */
} ss_total;

static inline void ss_total_start(ss_total *sum) { memset(sum, 0, sizeof *sum); }

static inline void ss_total_carry(ss_total *sum)
{
    SS_ROLLED for (int i = 0; i < SS_TOTAL_DIGITS - 1; i++) {
        const int64_t carry = sum->digit[i] >> 32;
        sum->digit[i] -= carry * ((int64_t)1 << 32);
        sum->digit[i + 1] += carry;
    }
    sum->pending = 0;
}

static inline void ss_total_add(ss_total *sum, double value)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const int64_t field = (bits >> 52) & 0x7ff, sign = bits < 0 ? -1 : 1;
    if (field == 0x7ff) {
        sum->special += value;
        return;
    }
    const uint64_t mantissa = (uint64_t)(bits & 0xfffffffffffffLL) | (field ? (uint64_t)1 << 52 : 0);
    const int position = (int)(field ? field : 1) - 1075 - SS_TOTAL_LOWEST; /* of the mantissa's last bit */
    const int index = position >> 5, shift = position & 31;
    const uint64_t low = mantissa << shift, high = shift ? mantissa >> (64 - shift) : 0;
    SS_EXACT_ADD(sum->digit[index], sign * (int64_t)(low & 0xffffffffu));
    SS_EXACT_ADD(sum->digit[index + 1], sign * (int64_t)(low >> 32));
    SS_EXACT_ADD(sum->digit[index + 2], sign * (int64_t)high);
    if (!SS_EXACT_SHARED && ++sum->pending == (1 << 29)) ss_total_carry(sum);
}

/* The sum times 2^-down as a pair: rounded to a double, and the rest of it. The carry leaves every digit but the last
   in [0, 2^32); of a negative sum the opposite is taken, so that all digits have one sign. */
static inline void ss_total_scaled(const ss_total *total, int down, double *hi, double *lo)
{
    ss_total sum = *total;
    *hi = *lo = sum.special;
    if (sum.special != 0.0) return; /* NaN is not 0 either */
    ss_total_carry(&sum);
    const double sign = sum.digit[SS_TOTAL_DIGITS - 1] < 0 ? -1.0 : 1.0;
    if (sign < 0.0) {
        SS_ROLLED for (int i = 0; i < SS_TOTAL_DIGITS; i++) sum.digit[i] = -sum.digit[i];
        ss_total_carry(&sum);
    }
    double high = 0.0, low = 0.0;
    SS_ROLLED for (int i = SS_TOTAL_DIGITS - 1; i >= 0 && isfinite(high); i--) {
        const double digit = ldexp((double)sum.digit[i], 32 * i + SS_TOTAL_LOWEST - down);
        const double next = high + digit, part = next - high;
        low += (high - (next - part)) + (digit - part);
        high = next;
    }
    const double top = isinf(high) ? high : high + low;
    *hi = sign * top;
    *lo = isinf(top) ? 0.0 : sign * (low - (top - high));
}

static inline void ss_total_result(const ss_total *sum, double *hi, double *lo) { ss_total_scaled(sum, 0, hi, lo); }

#endif
