/* SPDX-License-Identifier: BSD-3-Clause
   expit, softplus, logit, log1mexp, logaddexp and logsubexp of one vector, for both real types.

   float64 computes in pairs, float32 in doubles (suffix f32; its error is about 2^-29 for expit, 2^-36 elsewhere).
   Below FAR a term e^x is carried times 2^LIFT, so that a subnormal result is rounded from a normal pair, once.
   Each argument is clamped to where the result no longer changes; infinities and NaN are put right by selection. */
#ifndef SS_MATH_ELEMENTWISE_H
#define SS_MATH_ELEMENTWISE_H

#define SS_FAR (-300.0)
#define SS_LIFT 512
#define SS_LOWEST (-800.0)        /* e^-800 2^LIFT is normal, e^-800 rounds to 0 */
#define SS_LOWEST_SINGLE (-200.0) /* the same for float32, with doubles for the terms */

static inline vd ss_abs(vd a) { return v_dbl(vi_and(v_int(a), vi_set1(INT64_MAX))); }
static inline vd ss_negative(vd a) { return v_mul(a, v_set1(-1.0)); }

/* Exponent bits of 2^LIFT in the lanes of `far`. */
static inline vi ss_lift(vm far) { return ss_scale_bits(v_select(far, v_set1(-SS_LIFT), v_set1(0.0)), 0); }
static inline vd ss_lower(vm far, vd a) { return v_select(far, v_mul(a, v_set1(0x1p-512)), a); }

/* ---- float64 ---- */

typedef struct { vpair term, expm1; vm small; } ss_powers;

/* e^x 2^s, and expm1(x) in the lanes `small`, where |x| < ln2/31.   Error: 2^-63 of the term, 2^-59 of expm1.
   ss_exp_term with the rest of r kept, and the product with the table's power as a pair. */
static inline ss_powers ss_exp_sharp(vpair x, vi scale)
{
    vtab16 table_hi = v_tab16(SS_EXP_HI), table_lo = v_tab16(SS_EXP_LO);
    vd shifted = v_fma(x.hi, v_set1(SS_LOG2E), v_dbl(scale)), k = v_sub(shifted, v_dbl(scale));
    vi n = v_int(shifted), exponent = vi_sll(n, 48);
    vpair r = ss_two_sum(v_fnma(k, v_set1(SS_LN2_HI), x.hi), v_fnma(k, v_set1(SS_LN2_LO), x.lo));
    vd p = v_set1(SS_EXP7[5]);
    for (int i = 4; i >= 0; i--) p = v_fma(p, r.hi, v_set1(SS_EXP7[i]));
    vpair expm1 = ss_fast_two_sum(r.hi, v_fma(v_mul(r.hi, r.hi), p, v_fma(r.hi, r.lo, r.lo)));
    vd power_hi = v_dbl(vi_add(v_tab16_at(table_hi, n), exponent));
    vd power_lo = v_dbl(vi_add(v_tab16_at(table_lo, n), exponent));
    vpair product = ss_two_prod(power_hi, expm1.hi);
    vd low = v_add(v_fma(power_hi, expm1.lo, product.lo), v_fma(power_lo, expm1.hi, power_lo));
    vpair term = ss_fast_two_sum(power_hi, product.hi);
    ss_powers powers = {ss_fast_two_sum(term.hi, v_add(term.lo, low)), expm1, v_eq(k, v_set1(0.0))};
    return powers;
}

/* `log` in general, the series of log1p(f) where |f| < 2^-26:
   1 + f has no room for the low part of such an f. */
static inline vpair ss_log1p_near(vpair f, vpair log)
{
    vd tail = v_mul(v_mul(f.hi, f.hi), v_fma(f.hi, v_set1(1.0 / 3.0), v_set1(-0.5)));
    return ss_pair_select(v_lt(ss_abs(f.hi), v_set1(0x1p-26)), ss_fast_two_sum(f.hi, v_add(f.lo, tail)), log);
}

/* base + log, where log carries the lift in the lanes `far`.
   *cancelled: lanes in which the error, 2^-62 of log, shows. */
static inline vd ss_join(vd base, vpair log, vm far, vm *cancelled)
{
    vpair sum = ss_two_sum(v_select(far, v_mul(base, v_set1(0x1p512)), base), log.hi);
    vd value = v_add(sum.hi, v_add(sum.lo, log.lo));
    *cancelled = v_lt(ss_abs(value), v_mul(ss_abs(log.hi), v_set1(0x1p-7)));
    value = ss_lower(far, value);
    return v_select(far, v_select(v_lt(v_set1(0x1p-300), ss_abs(base)), base, value), value);
}

static inline vd expit_of_f64(vd x)
{
    /* 1/(1 + e^-x); far out 1/e^-x, with e^-x 2^-LIFT instead */
    vd t = ss_negative(v_min(v_set1(40.0), v_max(v_set1(SS_LOWEST), x)));
    vm far = v_lt(v_set1(-SS_FAR), t);
    vi scale = ss_scale_bits(v_select(far, v_set1(SS_LIFT), v_set1(0.0)), 0);
    vpair term = ss_exp_term(t, scale, v_tab16(SS_EXP_HI), v_tab16(SS_EXP_LO));
    vpair sum = ss_two_sum(v_select(far, v_set1(0.0), v_set1(1.0)), term.hi);
    sum = ss_fast_two_sum(sum.hi, v_add(sum.lo, term.lo));
    vd q = v_div(v_set1(1.0), sum.hi);
    vd rest = v_sub(v_fnma(q, sum.hi, v_set1(1.0)), v_mul(q, sum.lo));
    return ss_lower(far, v_fma(q, rest, q));
}

static inline vd softplus_of_f64(vd x)
{
    vd t = v_max(v_set1(SS_LOWEST), ss_negative(ss_abs(x)));
    vm far = v_lt(t, v_set1(SS_FAR)), cancelled;
    vpair term = ss_exp_term(t, ss_lift(far), v_tab16(SS_EXP_HI), v_tab16(SS_EXP_LO));
    vpair log = ss_pair_select(far, term, ss_log1p_near(term, ss_log1p_pair(term)));
    return ss_join(v_max(v_set1(0.0), x), log, far, &cancelled);
}

static inline vd log_expit_of_f64(vd x) { return ss_negative(softplus_of_f64(ss_negative(x))); }

/* Special values of logit for both types. */
static inline vd ss_logit_ends(vd p, vd value)
{
    value = v_select(v_lt(v_set1(0.0), p), v_select(v_lt(p, v_set1(1.0)), value, v_set1(NAN)), v_set1(NAN));
    value = v_select(v_eq(p, v_set1(0.0)), v_set1(-INFINITY), value);
    return v_select(v_eq(p, v_set1(1.0)), v_set1(INFINITY), value);
}

static inline vd logit_of_f64(vd p)
{
    /* p < 1/4: log(p/(1-p)), p lifted out of the subnormals; else log1p((2p-1)/(1-p)), 2p-1 being exact */
    vm low = v_lt(p, v_set1(0.25)), tiny = v_lt(p, v_set1(0x1p-500));
    vd lifted = v_select(tiny, v_mul(p, v_set1(0x1p600)), p);
    vd numerator = v_select(low, lifted, v_fma(p, v_set1(2.0), v_set1(-1.0)));
    vpair ratio = ss_pair_div(ss_pair_of(numerator), ss_two_sum(v_set1(1.0), ss_negative(p)));
    vpair one = ss_two_sum(v_set1(1.0), ratio.hi);
    one = ss_pair_select(low, ratio, ss_fast_two_sum(one.hi, v_add(one.lo, ratio.lo)));
    vpair log = ss_log_pair(one, v_select(tiny, v_set1(-600.0), v_set1(0.0)));
    log = ss_pair_select(low, log, ss_log1p_near(ratio, log));
    return ss_logit_ends(p, v_add(log.hi, log.lo));
}

/* log(1 - e^d), lifted in the lanes *far; d.hi < 0. */
static inline vpair ss_log1mexp(vpair d, vm *far)
{
    vm beyond = v_lt(d.hi, v_set1(SS_LOWEST)); /* its low part may be NaN */
    d = ss_pair_select(beyond, ss_pair_set1(SS_LOWEST), d);
    *far = v_lt(d.hi, v_set1(SS_FAR));
    ss_powers powers = ss_exp_sharp(d, ss_lift(*far));
    vpair negative = ss_pair_neg(powers.term), one = ss_two_sum(v_set1(1.0), negative.hi);
    one = ss_fast_two_sum(one.hi, v_add(one.lo, negative.lo));
    one = ss_pair_select(powers.small, ss_pair_neg(powers.expm1), one);
    vm tiny = v_lt(one.hi, v_set1(0x1p-500));
    one = ss_pair_select(tiny, ss_pair_scale(one, v_set1(0x1p600)), one);
    vpair log = ss_log_pair(one, v_select(tiny, v_set1(-600.0), v_set1(0.0)));
    return ss_pair_select(*far, negative, ss_log1p_near(negative, log));
}

/* Special values of log1mexp for both types. */
static inline vd ss_log1mexp_ends(vd x, vd value)
{
    value = v_select(v_lt(v_set1(0.0), x), v_set1(NAN), value);
    return v_select(v_eq(x, v_set1(0.0)), v_set1(-INFINITY), value);
}

static inline vd log1mexp_of_f64(vd x)
{
    vm far;
    vpair log = ss_log1mexp(ss_pair_of(x), &far);
    return ss_log1mexp_ends(x, ss_lower(far, v_add(log.hi, log.lo)));
}

/* Special values of logaddexp for both types. */
static inline vd ss_logaddexp_ends(vd a, vd b, vd larger, vd value)
{
    value = v_select(v_eq(ss_abs(larger), v_set1(INFINITY)), larger, value);
    return v_select(v_eq(a, a), v_select(v_eq(b, b), value, b), a);
}

static inline vd logaddexp_of_f64(vd a, vd b, vm *cancelled)
{
    vd larger = v_max(a, b);
    vpair d = ss_two_sum(v_min(a, b), ss_negative(larger));
    d = ss_pair_select(v_lt(d.hi, v_set1(SS_LOWEST)), ss_pair_set1(SS_LOWEST), d);
    vm far = v_lt(d.hi, v_set1(SS_FAR));
    vpair term = ss_exp_sharp(d, ss_lift(far)).term;
    vpair log = ss_pair_select(far, term, ss_log1p_near(term, ss_log1p_pair(term)));
    return ss_logaddexp_ends(a, b, larger, ss_join(larger, log, far, cancelled));
}

/* Special values of logsubexp for both types: only a > b has a value; equal arguments give -inf, infinite ones, too. */
static inline vd ss_logsubexp_ends(vd a, vd b, vd value)
{
    value = v_select(v_eq(b, v_set1(-INFINITY)), a, v_select(v_eq(a, v_set1(INFINITY)), a, value));
    value = v_select(v_lt(b, a), value, v_set1(NAN));
    return v_select(v_eq(a, b), v_set1(-INFINITY), value);
}

static inline vd logsubexp_of_f64(vd a, vd b, vm *cancelled)
{
    vm far;
    vpair log = ss_log1mexp(ss_two_sum(b, ss_negative(a)), &far);
    return ss_logsubexp_ends(a, b, ss_join(a, log, far, cancelled));
}

/* ---- float32 ---- */

/* e^x, and expm1(x) in the lanes `small`.   Error: 2^-42 of the term, 2^-36 of expm1 */
static inline vd ss_exp_light(vd x, vd *expm1, vm *small)
{
    ss_reduced a = ss_reduce(x, ss_no_scale());
    vd power = ss_power(v_tab16(SS_EXP_HI), a.n);
    vd p = v_fma(v_set1(SS_EXP7[3]), a.r, v_set1(SS_EXP7[2]));
    p = v_fma(p, a.r, v_set1(SS_EXP7[1]));
    p = v_fma(p, a.r, v_set1(SS_EXP7[0]));
    *expm1 = v_fma(v_mul(a.r, a.r), p, a.r);
    *small = v_lt(ss_abs(x), v_set1(0.021)); /* k is 0 there */
    return v_fma(power, *expm1, power);
}

/* log(one + low), |low| <= ulp(one).   Error: 2^-36 relative */
static inline vd ss_log_light(vd one, vd low)
{
    ss_log_reduced a = ss_log_reduce(one);
    vd inv = ss_log_at(SS_LOG_INV, a.index);
    vd g = v_fma(v_mul(low, a.down), inv, v_fma(v_mul(one, a.down), inv, v_set1(-1.0)));
    vd p = v_set1(SS_LOG1P[4]);
    for (int i = 3; i >= 0; i--) p = v_fma(p, g, v_set1(SS_LOG1P[i]));
    p = v_fma(p, g, v_set1(-0.5));
    vd series = v_fma(v_mul(g, g), p, g);
    return v_add(v_fma(a.k, v_set1(SS_LN2_HI), ss_log_at(SS_LOG_HI, a.index)), series);
}

static inline vd ss_log1p_light(vd f)
{
    vpair one = ss_two_sum(v_set1(1.0), f);
    return ss_log_light(one.hi, one.lo);
}

/* Of `count` vectors, a constant, side by side. */
static SS_INLINE void expits_of_f32(const vd *x, int count, vd *y)
{
    vd t[4];
    ss_single term[4];
    for (int i = 0; i < count; i++) t[i] = v_min(v_set1(-SS_LOWEST_SINGLE), v_max(v_set1(SS_LOWEST_SINGLE), x[i]));
    ss_exp_factors(t, count, ss_no_scale(), 1, 1, term);
    for (int i = 0; i < count; i++) y[i] = v_div(v_set1(1.0), v_fma(term[i].power, term[i].p, v_set1(1.0)));
}

static inline vd softplus_of_f32(vd x)
{
    vm small;
    vd expm1, t = v_max(v_set1(SS_LOWEST_SINGLE), ss_negative(ss_abs(x)));
    return v_add(v_max(v_set1(0.0), x), ss_log1p_light(ss_exp_light(t, &expm1, &small)));
}

static inline vd log_expit_of_f32(vd x) { return ss_negative(softplus_of_f32(ss_negative(x))); }

static inline vd logit_of_f32(vd p)
{
    vm low = v_lt(p, v_set1(0.25));
    vd numerator = v_select(low, p, v_fma(p, v_set1(2.0), v_set1(-1.0)));
    vd ratio = v_div(numerator, v_sub(v_set1(1.0), p));
    vpair one = ss_pair_select(low, ss_pair_of(ratio), ss_two_sum(v_set1(1.0), ratio));
    return ss_logit_ends(p, ss_log_light(one.hi, one.lo));
}

/* log(1 - e^d) */
static inline vd ss_log1mexp_light(vd d)
{
    vm small;
    vd expm1, term = ss_exp_light(v_max(v_set1(SS_LOWEST_SINGLE), d), &expm1, &small);
    vpair one = ss_two_sum(v_set1(1.0), ss_negative(term));
    one = ss_pair_select(small, ss_pair_of(ss_negative(expm1)), one);
    vd log = ss_log_light(one.hi, one.lo);
    return v_select(v_eq(log, v_set1(0.0)), ss_negative(term), log); /* -0.0, not 0.0, in the end */
}

static inline vd log1mexp_of_f32(vd x) { return ss_log1mexp_ends(x, ss_log1mexp_light(x)); }

static inline vd ss_join_light(vd base, vd log, vm *cancelled)
{
    vd value = v_add(base, log);
    *cancelled = v_lt(ss_abs(value), v_mul(ss_abs(log), v_set1(0x1p-8)));
    return value;
}

static inline vd logaddexp_of_f32(vd a, vd b, vm *cancelled)
{
    vm small;
    vd larger = v_max(a, b), expm1, d = v_max(v_set1(SS_LOWEST_SINGLE), v_sub(v_min(a, b), larger));
    vd log = ss_log1p_light(ss_exp_light(d, &expm1, &small));
    return ss_logaddexp_ends(a, b, larger, ss_join_light(larger, log, cancelled));
}

static inline vd logsubexp_of_f32(vd a, vd b, vm *cancelled)
{
    vd log = ss_log1mexp_light(v_sub(b, a));
    return ss_logsubexp_ends(a, b, ss_join_light(a, log, cancelled));
}

#endif
