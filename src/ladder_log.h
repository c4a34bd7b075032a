/* SPDX-License-Identifier: BSD-3-Clause
   The logarithm of the ladder's sums, and the rounding of a number of many limbs. See ladder.c. */
#ifndef STABLESOFT_LADDER_LOG_H
#define STABLESOFT_LADDER_LOG_H

#include "ladder_exp.h"

/* y = B ln2 + log(S / count), W = L + 1 limbs of fraction, as magnitude; returns the sign.
   *units, of 2^(-64 L), becomes the bound for y. */
SS_APART static int log_level(const uint64_t *acc, int L, double scale, double count, double *units, uint64_t *y)
{
    int W = L + 1, e, neg;
    SS_LIMBS uint64_t s[NMAX], c[NMAX], d[NMAX], z[NMAX], z2[NMAX], p[NMAX];
    uint64_t m;
    int a = top_bit(acc, L + 1) - 64 * L; /* S = 2^a s, 1 <= s < 2 */
    memset(s, 0, sizeof s);
    memset(c, 0, sizeof c);
    memcpy(s + 1, acc, (size_t)(L + 1) * sizeof s[0]);
    if (a >= 0) shr_n(s, W + 1, a);
    else shl_n(s, W + 1, -a);
    split(count, &m, &e);
    place(c, W + 1, m, -52, 64 * W);
    double q = scale + a - (e + 52), ratio = (1 + ldexp((double)s[W - 1], -64)) / (1 + ldexp((double)c[W - 1], -64));
    if (ratio > 1.41) {
        shl_n(c, W + 1, 1);
        q += 1;
    } else if (ratio < 0.71) {
        shl_n(s, W + 1, 1);
        q -= 1;
    }
    *units = ldexp(*units, -a) * 1.0625 + 2; /* relative to s >= 1; the rest is below one unit of limb 1 */
    memcpy(d, s, sizeof d);
    add_n(d, c, W + 1);
    neg = cmp_n(s, c, W + 1) < 0;
    memcpy(p, neg ? c : s, sizeof p);
    sub_n(p, neg ? s : c, W + 1);
    div_fix(z, p, d, W); /* < 0.2 */
    mul_fix(z2, z, z, W);
    memcpy(p, z, sizeof p);
    memset(y, 0, (size_t)(W + 1) * sizeof y[0]);
    for (uint32_t i = 1; top_bit(p, W + 1) >= 0; i += 2) {
        memcpy(d, p, sizeof d);
        div_small(d, W + 1, i);
        add_n(y, d, W + 1);
        mul_fix(p, p, z2, W);
    }
    shl_n(y, W + 1, 1);
    if (q == 0) return neg;
    ln2_times(d, W, (uint64_t)fabs(q));
    if (neg == (q < 0)) {
        add_n(y, d, W + 1);
    } else { /* |q| ln2 is the greater */
        sub_n(d, y, W + 1);
        memcpy(y, d, (size_t)(W + 1) * sizeof y[0]);
    }
    return q < 0;
}

/* The same near e^0: y 2^*exponent = log1p(2^B S / count), W = L + 1 limbs; |2^B S / count| < 2^-8. S may be negative;
   *units stay relative to y. */
SS_APART static int log1p_level(uint64_t *acc, int L, double scale, double count, double *units, uint64_t *y,
                                int *exponent)
{
    const int W = L + 1, neg = (int)(acc[L] >> 63);
    SS_LIMBS uint64_t p[NMAX], c[NMAX], d[NMAX];
    uint64_t m;
    int e;
    memset(p, 0, sizeof p);
    memset(c, 0, sizeof c);
    if (neg) neg_n(acc, L + 1);
    split(count, &m, &e);
    e += 52; /* count = 2^e c, 1 <= c < 2 */
    const int top = top_bit(acc, L + 1), up = top < 0 ? 0 : 64 * L - 1 - top;
    *exponent = (int)scale - up - e;
    *units = ldexp(*units, up) * 1.0625 + 2;
    memcpy(p + 1, acc, (size_t)(L + 1) * sizeof p[0]);
    if (up >= 0) shl_n(p, W + 1, up);
    else shr_n(p, W + 1, -up);
    place(c, W + 1, m, -52, 64 * W);
    div_fix(y, p, c, W); /* in (1/4, 1), or 0 */
    memcpy(c, y, sizeof c);
    memcpy(p, y, (size_t)(W + 1) * sizeof p[0]);
    for (uint32_t j = 2; (double)(j - 1) * -*exponent <= 64 * W; j++) {
        mul_fix(p, p, c, W);
        shr_n(p, W + 1, -*exponent);
        memcpy(d, p, sizeof d);
        div_small(d, W + 1, j);
        if (!neg && j % 2 == 0) sub_n(y, d, W + 1);
        else add_n(y, d, W + 1);
    }
    return neg;
}

/* y 2^exponent to nearest, ties to even */
SS_APART static double round_fix(const uint64_t *y, int W, int exponent, int single)
{
    SS_LIMBS uint64_t t[NMAX];
    int top = top_bit(y, W + 1), low = top - (single ? 23 : 52), min = 64 * W - exponent - (single ? 149 : 1074);
    if (top < 0) return 0;
    if (low < min) low = min;
    if (low <= 0) return ldexp((double)y[0], exponent - 64 * W); /* all bits fit */
    memcpy(t, y, (size_t)(W + 1) * sizeof t[0]);
    shr_n(t, W + 1, low - 1);
    uint64_t v = t[0] >> 1, half = t[0] & 1;
    if (half) {
        shl_n(t, W + 1, low - 1);
        v += (v & 1) || cmp_n(t, y, W + 1) != 0;
    }
    return ldexp((double)v, low + exponent - 64 * W);
}

#endif
