/* SPDX-License-Identifier: BSD-3-Clause
   Numbers as unevaluated sums of two floats, where doubles are slow. u = 2^-24 is the error of one rounding.
   Method: as math/pair.h */

typedef struct {
    float hi, lo;
} fpair;

/* a + b exactly; needs |a| >= |b| or a = 0. */
static inline fpair f_fast_two_sum(float a, float b)
{
    const float sum = a + b;
    const fpair p = {sum, b - (sum - a)};
    return p;
}

/* a + b exactly. */
static inline fpair f_two_sum(float a, float b)
{
    const float sum = a + b, b_part = sum - a, a_part = sum - b_part;
    const fpair p = {sum, (a - a_part) + (b - b_part)};
    return p;
}

/* Of two normalised pairs of one sign; relative error 3 u^2. */
static inline fpair f_pair_add(fpair a, fpair b)
{
    const fpair high = f_two_sum(a.hi, b.hi);
    return f_fast_two_sum(high.hi, high.lo + (a.lo + b.lo));
}

/* Of any two normalised pairs; relative error 3 u^2, also where they cancel. */
static inline fpair f_pair_sum(fpair a, fpair b)
{
    const fpair high = f_two_sum(a.hi, b.hi), low = f_two_sum(a.lo, b.lo);
    const fpair mid = f_fast_two_sum(high.hi, high.lo + low.hi);
    return f_fast_two_sum(mid.hi, mid.lo + low.lo);
}

/* Not normalised; relative error 5 u^2. */
static inline fpair f_pair_product(fpair a, fpair b)
{
    const float product = a.hi * b.hi;
    const fpair p = {product, fmaf(a.lo, b.hi, fmaf(a.hi, b.lo, fmaf(a.hi, b.hi, -product)))};
    return p;
}

/* Relative error 10 u^2. */
static inline fpair f_pair_quotient(fpair a, fpair b)
{
    const float q = a.hi / b.hi;
    return f_fast_two_sum(q, (fmaf(-q, b.hi, a.hi) + fmaf(-q, b.lo, a.lo)) / b.hi);
}

/* 1 / a, a positive; relative error 3 u^2. */
static inline fpair f_pair_reciprocal(fpair a)
{
    const float q = 1.0f / a.hi, rest = fmaf(-q, a.lo, fmaf(-q, a.hi, 1.0f));
    return f_fast_two_sum(q, q * fmaf(rest, rest, rest));
}

static inline fpair f_pair_scale(fpair a, float power)
{
    const fpair p = {a.hi * power, a.lo * power};
    return p;
}

static inline fpair f_pair_of(double a)
{
    const float high = (float)a;
    const fpair p = {high, (float)(a - (double)high)};
    return p;
}

/* a b + c, |a b| < |c|. */
static inline fpair f_pair_fma(fpair a, fpair b, const float *c)
{
    const fpair product = f_pair_product(a, b);
    fpair sum = f_fast_two_sum(c[0], product.hi);
    sum.lo += product.lo + c[1];
    return sum;
}

/* x + x^2 (b + x (c + x q)), b and c with their low parts, where each term is far less than that before. */
static inline fpair f_series(fpair x, const float *b, const float *c, float q)
{
    const fpair last = {q, 0.0f}, p = f_pair_fma(f_pair_fma(last, x, c), x, b);
    const fpair tail = f_pair_product(f_pair_product(x, x), p);
    fpair sum = f_fast_two_sum(x.hi, tail.hi);
    sum.lo += x.lo + tail.lo;
    return sum;
}

/* e^x 2^s, as ss_exp_single of math/exp.h has it: what is approximated is that function and not e^x.

   reduce       n = 16 x / ln2 rounded, the same integer as there: where a first guess lies next to the middle between
                two, the distance from there decides, in which nothing but the result is rounded. r = x - n ln2/16, the
                first product and difference exactly: ln2/16 begins with a float of 20 bits
   approximate  the same cubic
   reconstruct  the same table, as pairs; `scale` is 127 + s, and the exponents of all parts are normal ones
   Error:       2^-45.6 of that function for every |x| <= 33000 (tests/test_float_pair.py), normalised
   Constants:   docs/constants/exp.py

   With another `degree`, a constant, floats add what the cubic lacks, 2^-29 of it, and the low part of ln2: with
   F_WHOLE it is e^x, within 2^-45.4; with F_QUARTIC, e^x with e^r up to r^4, as logistic_f32 has it. */
enum { F_CUBIC = 3, F_QUARTIC = 4, F_WHOLE = 6 };

static inline float f_sixteenths(float x)
{
    const float near = fmaf(x, SS_FLOAT_LOG2E[0], 0x1.8p23f) - 0x1.8p23f;
    const float half = copysignf(0.5f, fmaf(x, SS_FLOAT_LOG2E[0], -near));
    const float beyond = fmaf(x, SS_FLOAT_LOG2E[1], fmaf(x, SS_FLOAT_LOG2E[0], -(near + half)));
    return beyond * half > 0.0f ? near + 2.0f * half : near;
}

typedef struct {
    float n;
    fpair r;
} f_reduced;

static inline f_reduced f_exp_reduce(float x)
{
    const float n = f_sixteenths(x), product = n * SS_FLOAT_LN2[1];
    f_reduced a = {n, f_two_sum(fmaf(-n, SS_FLOAT_LN2[0], x), -product)};
    a.r.lo -= fmaf(n, SS_FLOAT_LN2[2], fmaf(n, SS_FLOAT_LN2[1], -product));
    return a;
}

static inline fpair f_exp_rebuild(f_reduced a, int scale, int degree)
{
    const fpair r = a.r;
    fpair p = f_fast_two_sum(SS_FLOAT_CUBIC[4], r.hi);
    p.lo += r.lo + SS_FLOAT_CUBIC[5];
    p = f_pair_fma(f_pair_fma(p, r, SS_FLOAT_CUBIC + 2), r, SS_FLOAT_CUBIC);
    if (degree > F_CUBIC) {
        float rest = SS_FLOAT_REST[degree];
#pragma unroll
        for (int i = degree - 1; i >= 0; i--) rest = fmaf(rest, r.hi, SS_FLOAT_REST[i]);
        p.lo += rest;
    }
    const int k = (int)a.n;
    const float *entry = SS_FLOAT_POWER + 2 * (k & 15);
    const float power = __int_as_float(((k >> 4) + scale) << 23);
    const fpair factor = {entry[0] * power, entry[1] * power}, term = f_pair_product(factor, p);
    return f_fast_two_sum(term.hi, term.lo);
}

static inline fpair f_exp_term(float x, int scale, int degree = F_CUBIC)
{
    f_reduced a = f_exp_reduce(x);
    if (degree > F_CUBIC) a.r.lo = fmaf(-a.n, (float)(SS_LN2_LO / 16.0), a.r.lo);
    return f_exp_rebuild(a, scale, degree);
}

/* e^(x.hi + x.lo) 2^s, |x.hi| < 2^8. */
static inline fpair f_exp_of_pair(fpair x, int scale)
{
    f_reduced a = f_exp_reduce(x.hi);
    a.r = f_two_sum(a.r.hi, a.r.lo + x.lo);
    return f_exp_rebuild(a, scale, F_WHOLE);
}

/* The exponent that e^x carries here, as ss_exponent. */
static inline int f_exponent(float x) { return (int)f_sixteenths(x) >> 4; }

/* log1p(rest / one), 2^-100 < rest < 2^30, 1/2 < one < 4: ss_log1p_single of math/log.h in pairs.
   Error:       2^-42 of log1p, as there; normalised
   Constants:   docs/constants/log.py */
static inline fpair f_log1p(fpair rest, fpair one)
{
    const fpair sum = f_pair_add(one, rest);
    const int k = (__float_as_int(sum.hi) - __float_as_int(one.hi) + (1 << 22)) >> 23;
    const fpair whole = f_pair_scale(one, __int_as_float((k + 127) << 23)), minus = {-whole.hi, -whole.lo};
    const fpair s = f_pair_quotient(k ? f_pair_sum(sum, minus) : rest, f_pair_add(whole, sum));
    const fpair w = f_pair_product(s, s);
    fpair p = {fmaf(fmaf(SS_FLOAT_LOG[8], w.hi, SS_FLOAT_LOG[7]), w.hi, SS_FLOAT_LOG[6]), 0.0f};
#pragma unroll
    for (int i = 4; i >= 0; i -= 2) p = f_pair_fma(p, w, SS_FLOAT_LOG + i);
    const fpair cube = f_pair_product(f_pair_product(s, w), p);
    fpair log = f_fast_two_sum(2.0f * s.hi, cube.hi);
    log = f_fast_two_sum(log.hi, log.lo + (2.0f * s.lo + cube.lo));
    const fpair sixteen_k = {16.0f * (float)k, 0.0f}, ln2 = {SS_FLOAT_LN2[0], SS_FLOAT_LN2[1]};
    const fpair up = f_pair_product(sixteen_k, ln2);
    return f_pair_sum(f_fast_two_sum(up.hi, up.lo), log);
}

/* The canonical rounding of a sum (math/canonical.h). *certain: and of all that is within `error`, relative. */
static inline fpair f_canonical(fpair sum, float error, vm *certain)
{
    const float slack = sum.hi * (error * (float)SS_DOUBT);
    /* 2^(exponent of the sum - BITS), times 1.5 2^23; the exponent of a sum below a power of two is one less */
    const int bits = __float_as_int(sum.hi), below = (bits & 0x7fffff) == 0 && sum.lo < 0.0f;
    const int down = SS_CANONICAL_BITS_SINGLE - 23 + below;
    const float magic = __int_as_float((bits & 0x7f800000) - (down << 23) + (1 << 22));
    const float low = ((sum.lo - slack) + magic) - magic, high = ((sum.lo + slack) + magic) - magic;
    *certain = low == high;
    const fpair rounded = {sum.hi, low};
    return rounded;
}

/* The float that y rounds to. *certain: and all that is within `error` of it, for |y| >= 2^-80. */
static inline float f_rounded(fpair y, float error, vm *certain)
{
    const float slack = error * (float)SS_DOUBT, above = y.hi + (y.lo + slack), below = y.hi + (y.lo - slack);
    *certain = above == below && fabsf(above) >= 0x1p-80f;
    return above;
}

/* The same for the multiple of 2 half, 0 <= y < 2^24 half, y normalised. */
static inline float f_rounded_to(fpair y, float half, float error, vm *certain)
{
    const float far = half * 0x1p24f, near = (y.hi + far) - far, left = y.hi - near;
    const float beyond = (fabsf(left) - half) + (left < 0.0f ? -y.lo : y.lo); /* the middle to the next multiple */
    *certain = fabsf(beyond) > error * (float)SS_DOUBT;
    return beyond > 0.0f ? near + copysignf(2.0f * half, left) : near;
}

/* ---- results of single elements ---- */

/* Small results are carried times 2^LIFT, as they are in float64. Beyond FAR log1p(e^-x) is e^-x. */
enum { F_LIFT = 64, F_FAR = 32 };

/* y 2^-LIFT if `lifted`, y otherwise, and how far from that the doubles may be; infinity: doubles shall decide. */
typedef struct {
    fpair y;
    float error;
    int lifted;
} f_value;

static inline f_value f_exactly(float y)
{
    const f_value value = {{y, 0.0f}, 0.0f, 0};
    return value;
}

/* What value rounds to. *certain: and all that is within its error. */
template <class T> static inline typename T::stored settled(const f_value &value, vm *certain)
{
    const fpair y = value.y;
    const float slack = value.error * (float)SS_DOUBT, down = value.lifted ? 0x1p-64f : 1.0f;
    const float above = y.hi + (y.lo + slack), below = y.hi + (y.lo - slack);
    typename T::stored result = T::put(copysignf(above, y.hi) * down); /* -0 as well */
    *certain = T::put(above * down) == T::put(below * down) || y.hi != y.hi;
    if (value.lifted && fabsf(above) < 0x1p-62f) { /* subnormal */
        const float sign = copysignf(1.0f, y.hi);
        const float size = f_rounded_to(f_pair_scale(y, sign), 0x1p-86f, value.error, certain);
        result = T::put(copysignf(size, sign) * down);
    }
    return result;
}
