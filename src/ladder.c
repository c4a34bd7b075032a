/* Correctly rounded log((sum_i w_i e^x_i) / count). See ladder.h.

   A number is an array of limbs, least significant first: W limbs of fraction, then one limb of integer part.
   One level of the ladder has L limbs. It computes sum = 2^B * S, with S an integer number of units 2^(-64 L) that is
   the same in any order of the terms, and a bound of the error of S in those units; then the logarithm, with one limb
   more; then it rounds both ends of the interval. If they differ, the next level is taken. The sum is an integer of
   exact truncated terms, so a result depends on the values alone.

   Near e^0. Where `count` of the x are tiny and the other terms are tiny, too, S / count - 1 would be lost below the 1.
   There a level adds e^x - 1 for tiny x and e^x for the others, 2^B is the largest of these, and the logarithm is a
   short series: -B bits of precision cost nothing.

   Termination. e^x_1, e^x_2, ... of different rational x are linearly independent over the rationals (Lindemann and
   Weierstrass), so the value is a number of finite binary expansion only if all x are the same and the weights add up
   to count. That case is answered first. */
#include "ladder.h"

#include "ladder_exp.h"
#include "ladder_log.h"

#ifndef SS_LADDER_CHUNK
#define SS_LADDER_CHUNK 256 /* elements fetched at once */
#endif
#ifndef SS_FETCH
#define SS_FETCH(T, at, len, x, w) (T)->fetch((T)->row, at, len, x, w)
#endif

enum { CHUNK = SS_LADDER_CHUNK };
#define X_MAX 0x1p45
#define TINY 0x1p-31
#define X_SKIP (-0x1p46) /* a term below it matters to no sum that the domain allows */

typedef struct {
    ss_fetch fetch;
    const void *row;
    ptrdiff_t n;
    int weighted;
    double scale; /* B: the greatest exponent of a term */
    int subtract; /* the second of two terms counts negative */
    int near_one; /* tiny x count e^x - 1 */
} task;

static void split_weight(double w, uint64_t *wm, int *we) /* w = wm 2^-64 2^we */
{
    split(w, wm, we);
    *wm <<= 11;
    *we += 53;
}

/* Adds e^x w at L = 2: three limbs of fraction, so that what is cut off does not count. */
static void add_fast(const task *T, uint64_t *acc, double x, double kd, uint64_t wm, int we, int negative)
{
    int64_t k;
    ss_u128 v = exp_fast(x, kd, &k);
    if (T->weighted) {
        uint64_t c = mul64(v.lo, wm).hi;
        v = mul64(v.hi, wm);
        v.lo += c;
        v.hi += v.lo < c;
    }
    int64_t s = (int64_t)T->scale - k - we;
    uint64_t t[4] = {0, v.lo, v.hi, 0};
    if (s >= 64) {
        shr_here(t, 3, (int)s);
    } else if (s) {
        t[0] = v.lo << (64 - s);
        t[1] = v.lo >> s | v.hi << (64 - s);
        t[2] = v.hi >> s;
    }
    if (negative) sub_here(acc, t, 4);
    else add_here(acc, t, 4);
}

SS_APART static void add_limbs(const task *T, int L, uint64_t *acc, double x, double kd, uint64_t wm, int we,
                               int negative)
{
    SS_LIMBS uint64_t v[NMAX + 2];
    int64_t k;
    exp_limbs(v, L + 1, x, kd, &k);
    if (T->weighted) {
        mul_small(v, L + 2, wm);
        for (int i = 0; i < L + 2; i++) v[i] = v[i + 1];
    }
    shr_n(v, L + 2, (int)((int64_t)T->scale - k - we));
    if (negative) sub_n(acc, v + 1, L + 1);
    else add_n(acc, v + 1, L + 1);
}

/* Adds e^x - 1 = x + x^2/2 + ..., |x| < TINY. One limb to spare takes all that is cut off. */
SS_APART static void add_tiny(const task *T, int L, uint64_t *acc, double x)
{
    const int W = L + 1, down = (int)-T->scale;
    const size_t size = (size_t)(W + 1) * sizeof(uint64_t);
    SS_LIMBS uint64_t power[NMAX], base[NMAX], v[NMAX];
    uint64_t m;
    int e;
    if (x == 0) return;
    split(fabs(x), &m, &e);
    memset(v, 0, size);
    place(v, W + 1, m, e + down, 64 * W);
    memcpy(power, v, size);
    memcpy(base, v, size);
    for (uint32_t j = 2; (int)(j - 1) * down <= 64 * W; j++) {
        mul_fix(power, power, base, W);
        shr_n(power, W + 1, down);
        div_small(power, W + 1, j);
        if (x < 0 && j % 2 == 0) sub_n(v, power, W + 1);
        else add_n(v, power, W + 1);
    }
    if (L == 2) shr_n(v, 4, 2); /* the units of add_fast */
    const uint64_t *from = L == 2 ? v : v + 1;
    if (x < 0) sub_n(acc, from, L == 2 ? 4 : L + 1);
    else add_n(acc, from, L == 2 ? 4 : L + 1);
}

static void sum_anew(ss_ladder_sum *sum, int level, double scale)
{
    memset(sum, 0, sizeof *sum);
    sum->level = level;
    sum->scale = scale;
}

/* Adds the elements that `sum` has not seen, at L limbs of fraction. */
static void add_terms(const task *T, int L, ss_ladder_sum *sum)
{
    SS_LIMBS double x[CHUNK], w[CHUNK];
    while (sum->seen < T->n) {
        ptrdiff_t len = T->n - sum->seen < CHUNK ? T->n - sum->seen : CHUNK;
        SS_FETCH(T, sum->seen, len, x, T->weighted ? w : NULL);
        for (ptrdiff_t i = 0; i < len; i++) {
            uint64_t wm = 0;
            int we = 0, negative = T->subtract && i;
            if (x[i] == -INFINITY || (T->weighted && w[i] == 0)) continue;
            if (T->weighted) split_weight(w[i], &wm, &we);
            double kd = floor_k(x[i]);
            sum->terms += 1;
            if (T->near_one && fabs(x[i]) < TINY) {
                sum->tiny += 1;
                add_tiny(T, L, sum->limb, x[i]);
                continue;
            }
            if (kd + we - T->scale < -(64 * L + 64) || x[i] < X_SKIP) continue; /* less than a unit */
            if (L == 2) add_fast(T, sum->limb, x[i], kd, wm, we, negative);
            else add_limbs(T, L, sum->limb, x[i], kd, wm, we, negative);
        }
        sum->seen += len;
    }
}

/* S at L limbs of fraction into acc[0..L]; returns a bound of the error in units */
static double sum_level(const task *T, int L, ss_ladder_sum *sum, uint64_t *acc)
{
    add_terms(T, L, sum);
    memcpy(acc, sum->limb, sizeof sum->limb);
    if (L > 2) return 4 * (1 + sum->terms);
    /* each term within 40 * 2^-126 of itself, hence so is their sum; the limb dropped adds 2 units */
    shl_n(acc, 4, 2);
    for (int i = 0; i < 3; i++) acc[i] = acc[i + 1];
    acc[3] = 0;
    const double all = fabs((double)(int64_t)acc[2]) + 1 + sum->tiny; /* of the terms e^x, at most */
    const double most = T->subtract ? 6 : sum->tiny < sum->terms ? all : 1;
    return 160 * most + ldexp(1 + sum->terms, -60) + 2;
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

/* B ln2 + log(S / count), level by level until it is certain; `sum` starts at the level where it stands. */
static double climb(const task *T, ss_ladder_sum *sum, double count, int single)
{
    static const unsigned char levels[] = {2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64};
    SS_LIMBS uint64_t acc[NMAX], y[NMAX], lo[NMAX], hi[NMAX], err[NMAX];
    memset(y, 0, sizeof y);
    for (;;) {
        int L = levels[sum->level], W = L + 1, neg, exponent = 0;
        double units = sum_level(T, L, sum, acc);
        neg = T->near_one ? log1p_level(acc, L, T->scale, count, &units, y, &exponent)
                          : log_level(acc, L, T->scale, count, &units, y);
        uint64_t m;
        int e;
        memset(err, 0, sizeof err);
        split(units + 1, &m, &e);
        place(err, W + 1, m, e, 64);
        memcpy(lo, y, sizeof lo);
        memcpy(hi, y, sizeof hi);
        add_n(hi, err, W + 1);
        const int crosses_zero = (int)sub_n(lo, err, W + 1);
        const double upper = round_fix(hi, W, exponent, single);
        const double lower = crosses_zero ? 0.0 : round_fix(lo, W, exponent, single);
        const int certain = units < ldexp(1.0, 64 * L - 2) && upper == lower;
        if (certain && crosses_zero) return 0.0;
        if (certain || sum->level + 1 == (int)sizeof levels) {
            const double result = round_fix(y, W, exponent, single);
            return neg ? -result : result;
        }
        sum_anew(sum, sum->level + 1, sum->scale);
    }
}

/* A power of two above |e^x - 1| for a tiny x, above e^x for any other. */
static double tiny_exponent(double x)
{
    int e = 0;
    if (x == 0) return -INFINITY;
    if (!(fabs(x) < TINY)) return floor_k(x) + 1;
    frexp(x, &e);
    return e + 1;
}

/* Of the elements of a row: the least, the most, how many are tiny, and the scale if e^x - 1 is added for those. */
typedef struct {
    double least, most, tiny, tiny_scale;
} extent;

static extent extent_of_nothing(void)
{
    const extent none = {INFINITY, -INFINITY, 0, -INFINITY};
    return none;
}

static void widen(extent *of, double x)
{
    const double term = tiny_exponent(x);
    if (x < of->least) of->least = x;
    if (x > of->most) of->most = x;
    if (term > of->tiny_scale) of->tiny_scale = term;
    of->tiny += fabs(x) < TINY;
}

/* Of a row without weights. */
static void choose_scale(task *T, const extent *of, double count)
{
    T->near_one = of->tiny == count && of->tiny_scale + log2((double)T->n) < -8;
    T->scale = T->near_one ? of->tiny_scale : floor_k(of->most);
}

double ss_ladder_logsumexp(ss_fetch fetch, const void *row, ptrdiff_t n, int weighted, double count, int single)
{
    task T = {fetch, row, n, weighted, -INFINITY, 0, 0};
    SS_LIMBS double x[CHUNK], w[CHUNK];
    extent met = extent_of_nothing();
    for (ptrdiff_t at = 0; at < n; at += CHUNK) {
        ptrdiff_t len = n - at < CHUNK ? n - at : CHUNK;
        SS_FETCH(&T, at, len, x, weighted ? w : NULL);
        for (ptrdiff_t i = 0; i < len; i++) {
            int e = 0;
            if (x[i] == -INFINITY || (weighted && w[i] == 0)) continue;
            widen(&met, x[i]);
            if (!weighted) continue;
            frexp(w[i], &e);
            if (floor_k(x[i]) + e > T.scale) T.scale = floor_k(x[i]) + e;
        }
    }
    if (!(fabs(met.most) <= X_MAX)) return met.most; /* nothing but -inf; or outside the domain */
    if (met.least == met.most && weights_make(&T, count)) return (single ? (double)(float)met.most : met.most) + 0.0;
    if (!weighted) choose_scale(&T, &met, count);
    SS_LIMBS ss_ladder_sum sum;
    sum_anew(&sum, 0, 0);
    return climb(&T, &sum, count, single);
}

/* All terms are below 1, beside a tiny peak below 4/3 |peak|. A row that turns from one to the other starts anew. */
static task prefix_task(ss_ladder_sum *sum, ss_fetch fetch, const void *row, ptrdiff_t n, double peak)
{
    const int near_one = fabs(peak) < TINY;
    const task T = {fetch, row, n, 0, near_one ? tiny_exponent(peak) + 1 : 0, 0, near_one};
    if (sum->scale != T.scale) sum_anew(sum, 0, T.scale);
    return T;
}

double ss_ladder_prefix(ss_ladder_sum *sum, ss_fetch fetch, const void *row, ptrdiff_t n, double peak, int single)
{
    const task T = prefix_task(sum, fetch, row, n, peak);
    return climb(&T, sum, 1, single);
}

/* From the limbs of a sum at two limbs of fraction, in units of 2^(scale - 190): see ss_ladder_prefix_excess. */
static int excess_of_limbs(const uint64_t *limb, int near_one, double scale, double *hi, double *lo)
{
    uint64_t t[4], one[4] = {0, 0, (uint64_t)!near_one << 62, 0};
    memcpy(t, limb, sizeof t);
    sub_n(t, one, 4);
    const int negative = (int)(t[3] >> 63);
    if (negative) neg_n(t, 4);
    const int top = top_bit(t, 4), low = top - 105, exponent = (int)scale - 190;
    if (top < 190 - 50) return 0; /* the error, 2^-118 of the sum + 1, shows */
    shr_n(t, 4, low);
    const uint64_t mask = ((uint64_t)1 << 53) - 1;
    *hi = ldexp((double)(t[1] << 11 | t[0] >> 53), low + 53 + exponent);
    *lo = ldexp((double)(t[0] & mask), low + exponent);
    if (negative) {
        *hi = -*hi;
        *lo = -*lo;
    }
    return 1;
}

int ss_ladder_prefix_excess(ss_ladder_sum *sum, ss_fetch fetch, const void *row, ptrdiff_t n, double peak, double *hi,
                            double *lo)
{
    const task T = prefix_task(sum, fetch, row, n, peak);
    if (sum->level > 0 || T.scale < -900) return 0;
    add_terms(&T, 2, sum);
    return excess_of_limbs(sum->limb, T.near_one, T.scale, hi, lo);
}

static void fetch_pair(const void *row, ptrdiff_t start, ptrdiff_t len, double *x, double *w)
{
    (void)w;
    memcpy(x, (const double *)row + start, (size_t)len * sizeof *x);
}

double ss_ladder_logsubexp(double a, double b, int single)
{
    const double row[2] = {a, b};
    const task T = {fetch_pair, row, 2, 0, floor_k(a), 1, 0};
    SS_LIMBS ss_ladder_sum sum;
    sum_anew(&sum, 0, 0);
    return climb(&T, &sum, 1, single);
}

double ss_ladder_logaddexp(double a, double b, int single)
{
    const double row[2] = {a, b};
    return ss_ladder_logsumexp(fetch_pair, row, 2, 0, 1, single);
}
