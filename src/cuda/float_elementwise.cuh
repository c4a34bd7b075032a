/* SPDX-License-Identifier: BSD-3-Clause
   The elementwise functions of float32 where doubles are slow: in pairs of floats, within a known error of what
   math/elementwise.h computes. What that leaves open, one element in some ten thousand, doubles decide.

   The cubic of expit and the polynomial of the logarithm are those of the doubles, since their errors would show.
   e^x elsewhere is exact enough there. */

/* log(one.hi + one.lo + rest), the first two a sum without an error: ss_log_light in pairs. *beside: doubles may take
   another entry of the table, since theirs is not quite the same argument.
   Error:       2^-41 of that function, by the same intervals and polynomial
   Constants:   docs/constants/log.py */
static inline fpair f_log(fpair one, float rest, int lift, vm *beside)
{
    const float low = one.lo + rest;
    const int bits = __float_as_int(one.hi) + (1 << 18), index = (bits - (low < 0.0f)) >> 19;
    *beside = (bits & 0x7ffff) == 0 && fabsf(low) < one.hi * 0x1p-35f;
    const int biased = (index + 16 - SS_LOG_SPLIT_INDEX) >> 4;
    const float *entry = SS_FLOAT_INVERSE + 3 * (index & 15), down = __int_as_float((254 - biased) << 23);
    const float inv = entry[0], whole = one.hi * down, z = whole * inv;
    fpair g = f_fast_two_sum(z - 1.0f, fmaf(one.lo * down, inv, fmaf(whole, inv, -z)));
    g.lo = fmaf(rest * down, inv, g.lo);

    const float half[2] = {-0.5f, 0.0f};
    float q = SS_FLOAT_LOG1P[5];
#pragma unroll
    for (int i = 4; i >= 2; i--) q = fmaf(q, g.hi, SS_FLOAT_LOG1P[i]);
    const fpair series = f_series(g, half, SS_FLOAT_LOG1P, q);

    const fpair count = {16.0f * (float)(biased - 127 - lift), 0.0f}, ln2 = {SS_FLOAT_LN2[0], SS_FLOAT_LN2[1]};
    const fpair up = f_pair_product(count, ln2), base = f_two_sum(up.hi, entry[1]);
    const fpair sum = f_two_sum(base.hi, series.hi);
    return f_fast_two_sum(sum.hi, sum.lo + ((base.lo + (up.lo + entry[2])) + series.lo));
}

/* A logarithm of a sum with e^d, its relative error, and whether it is lifted. */
typedef struct {
    fpair log;
    float error;
    int far;
} f_part;

/* d, or where results no longer change: what overflowed, and differences of infinities, count as that. */
static inline fpair f_clamped(fpair d)
{
    const fpair lowest = {-120.0f, 0.0f};
    return d.hi > lowest.hi ? d : lowest;
}

/* log(1 + e^d), d <= 0 */
static inline f_part f_log1pexp(fpair d)
{
    vm beside;
    const int far = d.hi < -F_FAR;
    const fpair term = f_exp_of_pair(d, 127 + (far ? F_LIFT : 0));
    const fpair log = f_log(f_two_sum(1.0f, term.hi), term.lo, 0, &beside);
    const f_part part = {far ? term : log, beside && !far ? INFINITY : 0x1p-40f, far};
    return part;
}

/* log(1 - e^d), d < 0 */
static inline f_part f_log1mexp_of(fpair d)
{
    vm beside;
    const float x = d.hi;
    const int far = x < -F_FAR, small = x > -0.021f, lift = x > -0x1p-60f ? F_LIFT : 0;
    const fpair term = f_exp_of_pair(d, 127 + (far ? F_LIFT : 0)), minus = {-term.hi, -term.lo};
    fpair one = f_two_sum(1.0f, minus.hi);

    /* x + x^2/2 + x^3/6 + ..., in place of e^d - 1 */
    const float half[2] = {0.5f, 0.0f};
    const float sixth[2] = {(float)SS_EXP7[1], (float)(SS_EXP7[1] - (double)(float)SS_EXP7[1])};
    const float q = fmaf(fmaf((float)SS_EXP7[4], x, (float)SS_EXP7[3]), x, (float)SS_EXP7[2]);
    const fpair expm1 = f_series(d, half, sixth, q);
    if (small) one = f_pair_scale(f_fast_two_sum(expm1.hi, expm1.lo), lift ? -0x1p64f : -1.0f);

    const fpair log = f_log(one, small ? 0.0f : minus.lo, lift, &beside);
    const int worse = x > -0.1f && x < -0.01f; /* around the end of expm1's polynomial in doubles */
    const float error = beside && !far ? INFINITY : worse ? 0x1.4p-39f : 0x1.26p-40f;
    const f_part part = {far ? minus : log, error, far};
    return part;
}

/* base + log. Where that cancels, as in ss_join_light, doubles and the ladder decide. */
static inline f_value f_join(float base, const f_part &part)
{
    const fpair log = part.log;
    fpair sum = f_two_sum(part.far ? base * 0x1p64f : base, log.hi);
    sum = f_fast_two_sum(sum.hi, sum.lo + log.lo);
    const float size = fabsf(sum.hi), its = fabsf(log.hi);
    const f_value value = {sum, size < its * 0x1.01p-8f ? INFINITY : fmaf(its, part.error, size * 0x1p-46f), part.far};
    return part.far && fabsf(base) > 0x1p-20f ? f_exactly(base) : value;
}

static inline f_value f_expit(float x)
{
    /* 1 / (1 + e^-x), both times 2^-LIFT */
    const float t = x > 40.0f ? 40.0f : x < -120.0f ? -120.0f : x;
    const fpair one = {0x1p-64f, 0.0f}, y = f_pair_reciprocal(f_pair_add(one, f_exp_term(-t, 127 - F_LIFT)));
    const f_value value = {y, y.hi * 0x1.6p-44f, 1};
    return value;
}

static inline f_value f_softplus(float x)
{
    const fpair d = {-fabsf(x), 0.0f};
    return f_join(x < 0.0f ? 0.0f : x, f_log1pexp(f_clamped(d)));
}

static inline f_value f_log_expit(float x)
{
    f_value value = f_softplus(-x);
    value.y = f_pair_scale(value.y, -1.0f);
    return value;
}

static inline f_value f_logit(float p)
{
    vm beside;
    const int low = p < 0.25f, lift = p < 0x1p-60f ? F_LIFT : 0;
    const fpair numerator = {low ? (lift ? p * 0x1p64f : p) : fmaf(2.0f, p, -1.0f), 0.0f};
    const fpair ratio = f_pair_quotient(numerator, f_two_sum(1.0f, -p));
    const fpair log = f_log(low ? ratio : f_two_sum(1.0f, ratio.hi), low ? 0.0f : ratio.lo, lift, &beside);
    /* No p lies so close to a border of the table that it would show: a test has gone through all. */
    const f_value value = {log, fabsf(log.hi) * 0x1p-40f, 0};
    if (p > 0.0f && p < 1.0f) return value;
    return f_exactly(p == 0.0f ? -INFINITY : p == 1.0f ? INFINITY : NAN);
}

static inline f_value f_log1mexp(float x)
{
    const fpair d = {x, 0.0f};
    const f_part part = f_log1mexp_of(f_clamped(d));
    const f_value value = {part.log, fabsf(part.log.hi) * part.error, part.far};
    return x < 0.0f ? value : f_exactly(x == 0.0f ? -INFINITY : NAN);
}

static inline f_value f_logaddexp(float a, float b)
{
    const float larger = a > b ? a : b, smaller = a > b ? b : a;
    const f_value value = f_join(larger, f_log1pexp(f_clamped(f_two_sum(smaller, -larger))));
    return a == a && b == b ? value : f_exactly(NAN);
}

static inline f_value f_logsubexp(float a, float b)
{
    const f_value value = f_join(a, f_log1mexp_of(f_clamped(f_two_sum(b, -a))));
    if (b == -INFINITY && a > b) return f_exactly(a);
    return a > b ? value : f_exactly(a == b ? -INFINITY : NAN);
}
