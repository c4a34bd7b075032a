/* SPDX-License-Identifier: BSD-3-Clause
   Wide numbers: pairs with an exponent of their own, which no product, power or exponential leaves the range of. One
   in a vector (isa/vec_base.h, isa/vec_cuda.h): for the few values that doubles cannot carry on the way to a result
   that they can. */
#ifndef SS_WIDE_H
#define SS_WIDE_H

/* value 2^unit: |value.hi| in [1/2, 1), or 0, infinite or NaN with unit 0. */
typedef struct {
    vpair value;
    double unit;
} ss_wide;

static inline int ss_wide_bounded(double unit)
{
    return unit < -3000.0 ? -3000 : unit > 3000.0 ? 3000 : (int)unit;
}

static inline ss_wide ss_wide_pair(vpair a, double unit)
{
    ss_wide wide = {ss_pair_of(a.hi), 0.0};
    if (a.hi == 0.0 || !isfinite(a.hi)) return wide;
    int exponent;
    wide.value.hi = frexp(a.hi, &exponent);
    wide.value.lo = ldexp(a.lo, -exponent);
    wide.unit = unit + exponent;
    return wide;
}

static inline ss_wide ss_wide_of(double a) { return ss_wide_pair(ss_pair_of(a), 0.0); }

static inline double ss_wide_double(ss_wide a) { return ldexp(a.value.hi, ss_wide_bounded(a.unit)); }

static inline int ss_wide_none(ss_wide a) { return a.value.hi == 0.0; }

static inline ss_wide ss_wide_neg(ss_wide a)
{
    a.value = ss_pair(-a.value.hi, -a.value.lo);
    return a;
}

/* Relative error 2^-100 of each operation; nothing times infinity is nothing. */
static inline ss_wide ss_wide_mul(ss_wide a, ss_wide b)
{
    if (ss_wide_none(a) || ss_wide_none(b)) return ss_wide_of(isnan(a.value.hi + b.value.hi) ? NAN : 0.0);
    if (isinf(a.value.hi) || isinf(b.value.hi)) return ss_wide_of(a.value.hi * b.value.hi);
    return ss_wide_pair(ss_pair_mul(a.value, b.value), a.unit + b.unit);
}

/* b is not 0. */
static inline ss_wide ss_wide_div(ss_wide a, ss_wide b)
{
    return ss_wide_pair(ss_pair_div(a.value, b.value), a.unit - b.unit);
}

static inline ss_wide ss_wide_add(ss_wide a, ss_wide b)
{
    if (!isfinite(a.value.hi) || !isfinite(b.value.hi)) return ss_wide_of(a.value.hi + b.value.hi);
    if (ss_wide_none(a) || (!ss_wide_none(b) && a.unit < b.unit)) {
        const ss_wide other = a;
        a = b;
        b = other;
    }
    const int down = ss_wide_bounded(b.unit - a.unit);
    if (ss_wide_none(b) || down < -300) return a;
    return ss_wide_pair(ss_pair_add(a.value, ss_pair(ldexp(b.value.hi, down), ldexp(b.value.lo, down))), a.unit);
}

static inline ss_wide ss_wide_sub(ss_wide a, ss_wide b) { return ss_wide_add(a, ss_wide_neg(b)); }

/* e^-a for a >= 0: r = -a - k ln2, and then e^(r/256) by its series, squared eight times. Relative error 2^-92.
   Below 2^-6400, which no product of four doubles brings back, the power of two has to do. */
static inline ss_wide ss_wide_exp_of_minus(ss_wide a)
{
    if (ss_wide_none(a) || a.unit < -130.0) return ss_wide_of(1.0);
    if (isinf(a.value.hi)) return ss_wide_of(0.0);
    if (a.unit > 13.0 || ss_wide_double(a) > 4500.0)
        return ss_wide_pair(ss_pair_set1(1.0), -rint(fmin(ss_wide_double(a), 1e306) * SS_LOG2E));
    const int unit = (int)a.unit;
    const double k = -rint(ldexp(a.value.hi, unit) * SS_LOG2E);
    vpair r = ss_pair(-ldexp(a.value.hi, unit), -ldexp(a.value.lo, unit));
    r = ss_pair_sub(r, ss_two_prod(k, SS_LN2_HI));
    r = ss_pair_sub(r, ss_two_prod(k, SS_LN2_LO));
    r = ss_pair_scale(r, 0x1p-8); /* |r| < 2^-9: from r^5 on doubles have digits enough */
    const vpair square = ss_pair_mul(r, r), cube = ss_pair_div(ss_pair_mul(square, r), ss_pair_set1(6.0));
    double tail = 1.0;
    for (int j = 10; j > 5; j--) tail = 1.0 + tail * r.hi / j;
    vpair power = ss_pair_div(ss_pair_mul(square, square), ss_pair_set1(24.0));
    power = ss_pair_add(power, ss_pair_of(square.hi * cube.hi / 20.0 * tail));
    power = ss_pair_add(ss_pair_add(ss_pair_scale(square, 0.5), ss_pair_add(cube, power)), r);
    power = ss_pair_add(ss_pair_set1(1.0), power);
    for (int j = 0; j < 8; j++) power = ss_pair_mul(power, power);
    return ss_wide_pair(power, k);
}

/* log(1 + a) for a > -1.   Relative error: 2^-63 */
static inline ss_wide ss_wide_log1p(ss_wide a)
{
    if (ss_wide_none(a) || a.unit < -130.0) return a;
    if (a.unit > 130.0) return ss_wide_pair(ss_log_pair(a.value, a.unit), 0.0);
    const int unit = (int)a.unit;
    return ss_wide_pair(ss_log1p_pair(ss_pair(ldexp(a.value.hi, unit), ldexp(a.value.lo, unit))), 0.0);
}

/* (1 + odds)^-power */
static inline ss_wide ss_wide_raise_inverse(ss_wide odds, double power)
{
    return ss_wide_exp_of_minus(ss_wide_mul(ss_wide_of(power), ss_wide_log1p(odds)));
}

/* Exact sums of values up to 2^unit, which a first look at all of them has found. */
typedef struct {
    ss_total *total;
    double unit;
} ss_wide_total;

static inline void ss_wide_total_add(ss_wide_total *sum, ss_wide a, int look)
{
    if (ss_wide_none(a)) return;
    if (look) {
        if (a.unit > sum->unit) sum->unit = a.unit;
        return;
    }
    const int down = ss_wide_bounded(a.unit - sum->unit);
    ss_total_add(sum->total, ldexp(a.value.hi, down));
    ss_total_add(sum->total, ldexp(a.value.lo, down));
}

static inline ss_wide ss_wide_total_result(const ss_wide_total *sum)
{
    vpair result;
    ss_total_result(sum->total, &result.hi, &result.lo);
    return ss_wide_pair(result, sum->unit);
}

#endif
