/* Correctly rounded log((sum_i w_i e^x_i) / count). See ladder.h.

   A number is an array of limbs, least significant first: W limbs of fraction, then one limb of integer part.
   One level of the ladder has L limbs. It computes sum = 2^B * S, with S an integer number of units 2^(-64 L) that is
   the same in any order of the terms, and a bound of the error of S in those units; then the logarithm, with one limb
   more; then it rounds both ends of the interval. If they differ, the next level is taken. The sum is an integer of
   exact truncated terms, so a result depends on the values alone.

   Termination. e^x_1, e^x_2, ... of different rational x are linearly independent over the rationals (Lindemann and
   Weierstrass), so the value is a number of finite binary expansion only if all x are the same and the weights add up
   to count. That case is answered first. */
#include "ladder.h"

#include "ladder_limbs.h"

#include "ladder_const.h"

#include "ladder_fast.h"

#ifndef SS_LADDER_CHUNK
#define SS_LADDER_CHUNK 256 /* elements fetched at once */
#endif
#ifndef SS_FETCH
#define SS_FETCH(T, at, len, x, w) (T)->fetch((T)->row, at, len, x, w)
#endif

enum { CHUNK = SS_LADDER_CHUNK };
#define X_MAX 0x1p45
#define X_SKIP (-0x1p46) /* a term below it matters to no sum that the domain allows */

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

static void ln2_times(uint64_t *out, int W, uint64_t k) /* less than 1 unit too small for k < 2^63 */
{
    SS_LIMBS uint64_t t[NMAX + 2];
    for (int i = 0; i <= W; i++) t[i] = LN2[W - i];
    mul_small(t, W + 1, k);
    memcpy(out, t + 1, (size_t)(W + 1) * sizeof t[0]);
}

/* ---- any other level ---- */

/* e^x = 2^*k * out with W = L + 1 limbs of fraction; the error is below 2^60 units of the last limb:
   at most 65 + 1 units for each of at most 200 products, doubled in each of at most 40 squarings. */
static void exp_limbs(uint64_t *out, int W, double x, double kd, int64_t *kp)
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

/* ---- the row ---- */

typedef struct {
    ss_fetch fetch;
    const void *row;
    ptrdiff_t n;
    int weighted;
    double scale; /* B: the greatest exponent of a term */
    int subtract; /* the second of two terms counts negative */
    /* S at two limbs and its error, where the threads of a GPU have summed it already; else NULL */
    const uint64_t *known;
    double known_units;
} task;

/* S at L limbs of fraction into acc[0..L]; returns a bound of the error in units */
static double sum_level(const task *T, int L, uint64_t *acc)
{
    SS_LIMBS double x[CHUNK], w[CHUNK];
    double units = 1;
    memset(acc, 0, (size_t)(L + 2) * sizeof acc[0]); /* one limb to spare, for two limbs */
    for (ptrdiff_t at = 0; at < T->n; at += CHUNK) {
        ptrdiff_t len = T->n - at < CHUNK ? T->n - at : CHUNK;
        SS_FETCH(T, at, len, x, T->weighted ? w : NULL);
        for (ptrdiff_t i = 0; i < len; i++) {
            uint64_t wm = 0;
            int we = 0;
            int64_t k;
            if (x[i] == -INFINITY || (T->weighted && w[i] == 0)) continue;
            if (T->weighted) {
                split(w[i], &wm, &we);
                wm <<= 11; /* w = wm 2^-64 2^we */
                we += 53;
            }
            double kd = floor_k(x[i]);
            units += 1;
            if (kd + we - T->scale < -(64 * L + 64) || x[i] < X_SKIP) continue; /* less than a unit */
            if (L == 2) {
                uint64_t t[4];
                fast_term(x[i], kd, T->weighted ? &wm : NULL, we, T->scale, t);
                if (T->subtract && i) sub_n(acc, t, 4);
                else add_n(acc, t, 4);
            } else {
                SS_LIMBS uint64_t v[NMAX + 2];
                exp_limbs(v, L + 1, x[i], kd, &k);
                if (T->weighted) {
                    mul_small(v, L + 2, wm);
                    for (int j = 0; j < L + 2; j++) v[j] = v[j + 1];
                }
                shr_n(v, L + 2, (int)((int64_t)T->scale - k - we));
                if (T->subtract && i) sub_n(acc, v + 1, L + 1);
                else add_n(acc, v + 1, L + 1);
            }
        }
    }
    if (L == 2) return fast_sum(acc, units, T->subtract);
    return units * 4;
}

/* y = B ln2 + log(S / count), W = L + 1 limbs of fraction, as magnitude; returns the sign.
   *units, of 2^(-64 L), becomes the bound for y. */
static int log_level(const uint64_t *acc, int L, double scale, double count, double *units, uint64_t *y)
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

static double round_fix(const uint64_t *y, int W, int single) /* nearest, ties to even */
{
    SS_LIMBS uint64_t t[NMAX];
    int top = top_bit(y, W + 1), low = top - (single ? 23 : 52), min = 64 * W - (single ? 149 : 1074);
    if (top < 0) return 0;
    if (low < min) low = min;
    if (low <= 0) return ldexp((double)y[0], -64 * W); /* all bits fit */
    memcpy(t, y, (size_t)(W + 1) * sizeof t[0]);
    shr_n(t, W + 1, low - 1);
    uint64_t v = t[0] >> 1, half = t[0] & 1;
    if (half) {
        shl_n(t, W + 1, low - 1);
        v += (v & 1) || cmp_n(t, y, W + 1) != 0;
    }
    return ldexp((double)v, low - 64 * W);
}

static int weights_make(const task *T, double count) /* do the weights of the terms add up to count? */
{
    SS_LIMBS uint64_t acc[20], t[20];
    SS_LIMBS double x[CHUNK], w[CHUNK];
    uint64_t m;
    int e;
    memset(acc, 0, sizeof acc);
    for (ptrdiff_t at = 0; at < T->n; at += CHUNK) {
        ptrdiff_t len = T->n - at < CHUNK ? T->n - at : CHUNK;
        SS_FETCH(T, at, len, x, T->weighted ? w : NULL);
        for (ptrdiff_t i = 0; i < len; i++) {
            double v = T->weighted ? w[i] : 1;
            if (x[i] == -INFINITY || v == 0) continue;
            if (v > count) return 0;
            memset(t, 0, sizeof t);
            split(v, &m, &e);
            place(t, 20, m, e, 1130); /* a subnormal has its lowest bits below 2^-1074, as zeros */
            add_n(acc, t, 20);
        }
    }
    memset(t, 0, sizeof t);
    split(count, &m, &e);
    place(t, 20, m, e, 1130);
    return cmp_n(acc, t, 20) == 0;
}

/* B ln2 + log(S / count), level by level until it is certain. */
static double climb(const task *T, double count, int single)
{
    static const unsigned char levels[] = {2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64};
    SS_LIMBS uint64_t acc[NMAX], y[NMAX], lo[NMAX], hi[NMAX], err[NMAX];
    double result = 0;
    memset(y, 0, sizeof y);
    for (size_t i = 0; i < sizeof levels; i++) {
        int L = levels[i], W = L + 1, neg;
        double units = T->known_units;
        if (L == 2 && T->known)
            for (int j = 0; j < 3; j++) acc[j] = T->known[j];
        else
            units = sum_level(T, L, acc);
        neg = log_level(acc, L, T->scale, count, &units, y);
        memset(err, 0, sizeof err);
        err[1] = (uint64_t)units + 1;
        memcpy(lo, y, sizeof lo);
        memcpy(hi, y, sizeof hi);
        add_n(hi, err, W + 1);
        result = round_fix(y, W, single);
        if (neg) result = -result;
        if (!sub_n(lo, err, W + 1) && round_fix(lo, W, single) == round_fix(hi, W, single)) break;
    }
    return result;
}

double ss_ladder_logsumexp(ss_fetch fetch, const void *row, ptrdiff_t n, int weighted, double count, int single)
{
    task T = {fetch, row, n, weighted, -INFINITY, 0, NULL, 0};
    SS_LIMBS double x[CHUNK], w[CHUNK];
    double least = INFINITY, most = -INFINITY;
    for (ptrdiff_t at = 0; at < n; at += CHUNK) {
        ptrdiff_t len = n - at < CHUNK ? n - at : CHUNK;
        SS_FETCH(&T, at, len, x, weighted ? w : NULL);
        for (ptrdiff_t i = 0; i < len; i++) {
            int e = 0;
            if (x[i] == -INFINITY || (weighted && w[i] == 0)) continue;
            if (x[i] < least) least = x[i];
            if (x[i] > most) most = x[i];
            if (!weighted) continue;
            frexp(w[i], &e);
            if (floor_k(x[i]) + e > T.scale) T.scale = floor_k(x[i]) + e;
        }
    }
    if (!weighted) T.scale = floor_k(most);
    if (!(fabs(most) <= X_MAX)) return most; /* nothing but -inf; or outside the domain */
    if (least == most && weights_make(&T, count)) return (single ? (double)(float)most : most) + 0.0;
    return climb(&T, count, single);
}

static void fetch_pair(const void *row, ptrdiff_t start, ptrdiff_t len, double *x, double *w)
{
    (void)w;
    memcpy(x, (const double *)row + start, (size_t)len * sizeof *x);
}

double ss_ladder_logsubexp(double a, double b, int single)
{
    const double row[2] = {a, b};
    const task T = {fetch_pair, row, 2, 0, floor_k(a), 1, NULL, 0};
    return climb(&T, 1, single);
}

double ss_ladder_logaddexp(double a, double b, int single)
{
    const double row[2] = {a, b};
    return ss_ladder_logsumexp(fetch_pair, row, 2, 0, 1, single);
}
