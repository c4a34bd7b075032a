/* SPDX-License-Identifier: BSD-3-Clause
   e^x in fixed point, for ladder.c: a fast level of two limbs, and any number of limbs. */
#ifndef STABLESOFT_LADDER_EXP_H
#define STABLESOFT_LADDER_EXP_H

#include "ladder_limbs.h"

#include "ladder_const.h"

#define INV_LN2 1.4426950408889634

/* ---- pieces shared by all levels ---- */

static void split(double v, uint64_t *m, int *e) /* v = m 2^e, 2^52 <= m < 2^53; v > 0 */
{
    *m = (uint64_t)ldexp(frexp(v, e), 53);
    *e -= 53;
}

/* m 2^e at unit 2^-p0 into a[0..n-1], which is zero; the part below the unit is dropped */
static void place(uint64_t *a, int n, uint64_t m, int e, int p0)
{
    int p = p0 + e;
    if (p < 0) {
        if (p > -64) a[0] = m >> -p;
        return;
    }
    int w = p >> 6, off = p & 63;
    if (w < n) a[w] = m << off;
    if (off > 11 && w + 1 < n) a[w + 1] = m >> (64 - off);
}

SS_APART static void ln2_times(uint64_t *out, int W, uint64_t k) /* less than 1 unit too small for k < 2^63 */
{
    SS_LIMBS uint64_t t[NMAX + 2];
    for (int i = 0; i <= W; i++) t[i] = LN2[W - i];
    mul_small(t, W + 1, k);
    memcpy(out, t + 1, (size_t)(W + 1) * sizeof t[0]);
}

static double floor_k(double x) { return floor(x * INV_LN2); }

/* ---- level of two limbs: e^x in units of 2^-126 ---- */

static inline ss_u128 mulhi(ss_u128 a, ss_u128 b) /* 0 to 3 units too small */
{
    ss_u128 r = mul64(a.hi, b.hi);
    uint64_t p = mul64(a.hi, b.lo).hi, q = mul64(a.lo, b.hi).hi;
    r.lo += p;
    r.hi += r.lo < p;
    r.lo += q;
    r.hi += r.lo < q;
    return r;
}

static inline ss_u128 add(ss_u128 a, ss_u128 b)
{
    ss_u128 r = {a.hi + b.hi, a.lo + b.lo};
    r.hi += r.lo < b.lo;
    return r;
}

/* e^x = 2^*k * result, 1 <= result < 2.2. Error in units of 2^-126: reduction 1.6, tables and their product 4,
   polynomial (5 products of 3, 6 of 2, the coefficients, in 2^-128, times 2.2) 19, last product 3: below 28. */
static inline ss_u128 exp_fast(double x, double kd, int64_t *kp)
{
    /* x - k ln2 with the sign of x taken off both; fraction (f1, f0), integer part g */
    int64_t k = (int64_t)kd;
    uint64_t bits, ka = (uint64_t)(k < 0 ? -k : k), x2 = 0, x1 = 0, x0 = 0;
    memcpy(&bits, &x, sizeof bits);
    int p = (int)(bits >> 52 & 0x7ff) - 1075 + 128;
    uint64_t m = (bits & 0xfffffffffffffu) | 0x10000000000000u;
    if (p >= 64) { /* |x| <= 2^46: p <= 122 */
        int s = p - 64;
        x1 = m << s;
        x2 = s > 11 ? m >> (64 - s) : 0;
    } else if (p >= 0) {
        x0 = m << p;
        x1 = p > 11 ? m >> (64 - p) : 0;
    } else if (p > -64 && bits << 1) {
        x0 = m >> -p;
    }
    ss_u128 a = mul64(ka, LN2[0]), b = mul64(ka, LN2[1]);
    uint64_t c = mul64(ka, LN2[2]).hi, g = a.hi, f1 = a.lo, f0 = b.lo + c;
    uint64_t t = b.hi + (f0 < c);
    f1 += t;
    g += f1 < t;
    /* r = k ln2 - x (negative x) or x - k ln2 */
    uint64_t s1 = f1 - x1, bo = f0 < x0, bb = (f1 < x1) | (s1 < bo);
    uint64_t r0 = f0 - x0, r1 = s1 - bo, r2 = g - x2 - bb;
    if (!(bits >> 63)) {
        r0 = ~r0 + 1;
        r1 = ~r1 + (r0 == 0);
        r2 = ~r2 + (r0 == 0 && r1 == 0);
    }
    if (r2 >> 63) {
        r0 += LN2[1];
        r1 += LN2[0] + (r0 < LN2[1]);
        k--;
    }
    *kp = k;
    ss_u128 tau = {r1 << 10 | r0 >> 54, r0 << 10};
    uint64_t h = EXP_C[10].lo;
    h = EXP_C[9].lo + mul64(h, tau.hi).hi;
    h = EXP_C[8].lo + mul64(h, tau.hi).hi;
    h = EXP_C[7].lo + mul64(h, tau.hi).hi;
    h = EXP_C[6].lo + mul64(h, tau.hi).hi;
    ss_u128 H = {0, mul64(h, tau.hi).hi};
    H = add(EXP_C[5], H);
    H = add(EXP_C[4], mulhi(H, tau));
    H = add(EXP_C[3], mulhi(H, tau));
    H = add(EXP_C[2], mulhi(H, tau));
    H = add(EXP_C[1], mulhi(H, tau));
    H = mulhi(H, tau);
    ss_u128 A = EXP_A[r1 >> 59];
    A = add(A, mulhi(A, EXP_B[r1 >> 54 & 31]));
    return add(A, mulhi(A, H));
}

/* ---- any other level ---- */

/* e^x = 2^*k * out with W = L + 1 limbs of fraction; the error is below 2^60 units of the last limb:
   at most 65 + 1 units for each of at most 200 products, doubled in each of at most 40 squarings. */
SS_APART static void exp_limbs(uint64_t *out, int W, double x, double kd, int64_t *kp)
{
    SS_LIMBS uint64_t r[NMAX], t[NMAX];
    uint64_t m;
    int e, s = 8 + W / 2;
    int64_t k = (int64_t)kd;
    memset(r, 0, sizeof r);
    if (x != 0) {
        split(fabs(x), &m, &e);
        place(r, W + 1, m, e, 64 * W);
    }
    ln2_times(t, W, (uint64_t)(k < 0 ? -k : k));
    sub_n(r, t, W + 1);
    if (x < 0) neg_n(r, W + 1);
    if (r[W] >> 63) {
        ln2_times(t, W, 1);
        add_n(r, t, W + 1);
        k--;
    }
    *kp = k;
    shr_n(r, W + 1, s);
    memset(out, 0, (size_t)(W + 1) * sizeof out[0]);
    out[W] = 1;
    memcpy(t, r, sizeof t);
    for (uint32_t i = 2; top_bit(t, W + 1) >= 0; i++) {
        add_n(out, t, W + 1);
        mul_fix(t, t, r, W);
        div_small(t, W + 1, i);
    }
    while (s-- > 0) mul_fix(out, out, out, W);
}

#endif
