/* SPDX-License-Identifier: BSD-3-Clause
   Cross-entropy and focal loss of a vector of logits x against targets t. With L = log1p(e^-|x|), both softplus(x) =
   max(x, 0) + L and softplus(-x) are sums of one sign, and so is
       loss = (1 - t) max(x, 0) + positive t max(-x, 0) + (1 - t + positive t) L      for t in [0, 1].
   The gradient is (1 - t) sigma(x) - positive t sigma(-x), with sigma from e^-|x| on either side. For t = 0 or 1 one of
   the two parts is left, rounded once. Focal loss multiplies by (1 - p)^gamma with p the probability of the target. */

/* From e^-|x|. Below FAR both carry 2^LIFT, so that subnormal results are rounded once. */
typedef struct {
    vpair log, smaller; /* log1p(e^-|x|), sigma(-|x|); not normalised */
    vm far;
} ss_logistic;

static inline vd ss_below(vd x) { return v_dbl(vi_add(v_int(ss_abs(x)), vi_set1(INT64_MIN))); } /* -|x| */

/* Of `count` vectors side by side, a constant. So is `lifts`: lanes of the one vector may be far; otherwise what comes
   of such lanes means nothing.   Error: 2^-56 of each */
static SS_INLINE void logistic_f64(const vd *x, int count, int lifts, ss_logistic *s)
{
    vd t[4];
    vpair term[4], log[4];
    ss_unit a[4];
    for (int i = 0; i < count; i++) {
        t[i] = ss_below(x[i]);
        if (lifts) t[i] = v_max(v_set1(SS_LOWEST), t[i]);
        s[i].far = v_lt(t[i], v_set1(SS_FAR));
    }
    ss_exp_pairs(t, NULL, count, lifts ? ss_lift(s->far) : ss_no_scale(), v_tab16(SS_EXP_HI), v_tab16(SS_EXP_LO), term);
    for (int i = 0; i < count; i++) {
        a[i] = ss_unit_reduce(term[i]);
        s[i].smaller = ss_unit_quotient(a[i], term[i]);
    }
    ss_unit_log1p(a, count, log);
    for (int i = 0; i < count; i++) {
        s[i].log = log[i];
        if (!lifts) continue;
        s[i].smaller = ss_pair_select(s[i].far, term[i], s[i].smaller);
        s[i].log = ss_pair_select(s[i].far, term[i], s[i].log);
    }
}

static inline vpair larger_f64(const ss_logistic *s)
{
    const vpair one = ss_pair_set1(1.0), rest = ss_fast_two_sum(one.hi, ss_negative(s->smaller.hi));
    return ss_pair_select(s->far, one, ss_fast_two_sum(rest.hi, v_sub(rest.lo, s->smaller.lo)));
}

/* ---- 0 <= t <= 1, |x| at most PLAIN: nothing is special ----

   With a = t where x <= 0 and 1 - t where x > 0 the loss is a |x| + log1p(e^-|x|), and the gradient sigma(-|x|) - a,
   its sign turned where x > 0. For t = 0 or 1 nothing is rounded but the result. */

#define PLAIN_f64 (-SS_FAR)
#define PLAIN_f32 0x1p128

static SS_INLINE vd plain_loss_f64(const ss_logistic *s, vd x, vd t)
{
    const vpair sum = ss_two_sum(v_fnma(t, x, v_max(v_set1(0.0), x)), s->log.hi);
    return v_add(sum.hi, v_add(sum.lo, s->log.lo));
}

static SS_INLINE vd plain_slope_f64(const ss_logistic *s, vd x, vd t, vpair scale)
{
    const vm up = v_lt(v_set1(0.0), x);
    const vd a = v_select(up, v_sub(v_set1(1.0), t), t), d = v_sub(s->smaller.hi, a);
    /* the rounding of d, exact where a is 0 or 1; where p is t no part of it is left */
    const vd rest = v_add(v_sub(s->smaller.hi, v_add(d, a)), s->smaller.lo);
    const vd low = v_select(v_eq(d, v_set1(0.0)), v_set1(0.0), rest);
    const vd hi = v_select(up, ss_negative(scale.hi), scale.hi), lo = v_select(up, ss_negative(scale.lo), scale.lo);
    return v_fma(hi, d, v_fma(hi, low, v_mul(lo, d)));
}

/* ---- any t and weights ---- */

/* factor * x, where 0 times infinity is 0. */
static inline vd ss_part(vd factor, vd x) { return v_select(v_eq(factor, v_set1(0.0)), v_set1(0.0), v_mul(factor, x)); }

/* Doubles cannot carry an element (wide_logits.h) whose weight is so far from 1 that a product could leave the range,
   or lifts what has lost digits: the e^-|x| of a logit beyond WIDE, or a tiny target. */
#define WIDE_f64 600.0
#define WIDE_f32 80.0

static inline int ss_weight_beyond(double weight)
{
    return weight != 0.0 && !(fabs(weight) > 0x1p-100 && fabs(weight) < 0x1p100);
}

static inline int ss_target_beyond(double t) { return t != 0.0 && fabs(t) < 0x1p-900; }

static inline int ss_logit_beyond(double wide, double x, double t, double weight, double positive)
{
    const int plain = weight == 0.0 || (weight == 1.0 && positive == 1.0);
    return !plain && (fabs(x) > wide || ss_target_beyond(t) || ss_weight_beyond(weight) || ss_weight_beyond(positive));
}

/* `none` weighs softplus(x), `some` softplus(-x). */
static inline vd logistic_loss_f64(const ss_logistic *s, vd x, vd none, vd some)
{
    const vd zero = v_set1(0.0);
    const vd base = v_add(ss_part(none, v_max(zero, x)), ss_part(some, v_max(zero, ss_negative(x))));
    const vpair log = ss_pair_mul(ss_pair_normal(s->log), ss_pair_of(v_add(none, some)));
    vm cancelled;
    return v_select(v_eq(ss_abs(base), v_set1(INFINITY)), base, ss_join(base, log, s->far, &cancelled));
}

/* none * scale * sigma(x) - some * scale * sigma(-x), each part rounded once. */
static inline vd logistic_slope_f64(const ss_logistic *s, vd x, vd none, vd some, vpair scale)
{
    const vd zero = v_set1(0.0), lower = v_select(s->far, v_set1(0x1p-512), v_set1(1.0));
    const vm up = v_lt(zero, x);
    const vpair larger = larger_f64(s);
    const vpair here = ss_pair_select(up, larger, s->smaller), there = ss_pair_select(up, s->smaller, larger);
    const vpair down = ss_pair_mul(scale, ss_pair_of(none)), rise = ss_pair_mul(scale, ss_pair_of(some));
    vd first = v_fma(here.hi, down.hi, v_fma(here.hi, down.lo, v_mul(here.lo, down.hi)));
    vd second = v_fma(there.hi, rise.hi, v_fma(there.hi, rise.lo, v_mul(there.lo, rise.hi)));
    first = v_mul(first, v_select(up, v_set1(1.0), lower));
    second = v_mul(second, v_select(up, lower, v_set1(1.0)));
    return v_sub(first, second);
}

/* ---- float32, in doubles ---- */

/* Error: 2^-30 of each. At 0 all is exact: there sigma is 1/2, and the gradient for t = 1/2 is 0. */
static SS_INLINE void logistic_f32(const vd *x, int count, int lifts, ss_logistic *s)
{
    const vd one = v_set1(1.0);
    vd t[4], p[4], log[4];
    ss_reduced r[4];
    ss_unit a[4];
    for (int i = 0; i < count; i++) t[i] = v_max(v_set1(SS_LOWEST_SINGLE), ss_below(x[i]));
    for (int i = 0; i < count; i++) r[i] = ss_reduce(t[i], ss_no_scale());
    for (int i = 0; i < count; i++) p[i] = v_fma(v_set1(SS_EXP7[2]), r[i].r, v_set1(SS_EXP7[1]));
    for (int i = 0; i < count; i++) p[i] = v_fma(p[i], r[i].r, v_set1(SS_EXP7[0]));
    for (int i = 0; i < count; i++) p[i] = v_fma(v_mul(r[i].r, r[i].r), p[i], r[i].r);
    for (int i = 0; i < count; i++) {
        const vd power = ss_power(v_tab16(SS_EXP_HI), r[i].n);
        t[i] = v_fma(power, p[i], power);
    }
    for (int i = 0; i < count; i++) {
        a[i] = ss_unit_reduce_single(t[i]);
        s[i].smaller = ss_pair_of(v_div(t[i], v_add(one, t[i])));
        s[i].far = v_lt(one, v_set1(0.0)); /* nowhere: doubles hold all of it */
    }
    ss_unit_log1p_single(a, count, log);
    for (int i = 0; i < count; i++) s[i].log = ss_pair_of(log[i]);
    (void)lifts;
}

static inline vpair larger_f32(const ss_logistic *s) { return ss_pair_of(v_sub(v_set1(1.0), s->smaller.hi)); }

static SS_INLINE vd plain_loss_f32(const ss_logistic *s, vd x, vd t)
{
    return v_add(v_fnma(t, x, v_max(v_set1(0.0), x)), s->log.hi);
}

static SS_INLINE vd plain_slope_f32(const ss_logistic *s, vd x, vd t, vpair scale)
{
    const vm up = v_lt(v_set1(0.0), x);
    const vd a = v_select(up, v_sub(v_set1(1.0), t), t);
    return v_mul(v_select(up, ss_negative(scale.hi), scale.hi), v_sub(s->smaller.hi, a));
}

static inline vd logistic_loss_f32(const ss_logistic *s, vd x, vd none, vd some)
{
    const vd zero = v_set1(0.0);
    const vd base = v_add(ss_part(none, v_max(zero, x)), ss_part(some, v_max(zero, ss_negative(x))));
    return v_fma(v_add(none, some), s->log.hi, base);
}

static inline vd logistic_slope_f32(const ss_logistic *s, vd x, vd none, vd some, vpair scale)
{
    const vm up = v_lt(v_set1(0.0), x);
    const vd smaller = s->smaller.hi, larger = larger_f32(s).hi;
    const vd here = v_select(up, larger, smaller), there = v_select(up, smaller, larger);
    return v_mul(scale.hi, v_sub(v_mul(none, here), v_mul(some, there)));
}

/* What focal loss makes of both: they are multiplied by alpha q^gamma, q = 1 - p of the target; before that the slope
   grows by gamma loss (1 - 2t) s / q with s = sigma(x) sigma(-x), the derivative of sigma. */
static inline void ss_focus(const ss_logistic *s, vpair larger, vd x, vd target, double alpha, double gamma, vd *loss,
                            vd *slope)
{
    const vpair smaller = ss_pair_normal(s->smaller);
    const vd zero = v_set1(0.0), one = v_set1(1.0), rest = v_sub(one, target);
    const vm up = v_lt(zero, x);
    const vd on_larger = v_select(up, rest, target);
    /* 1 - t and what rounding it loses, which the power would multiply */
    const vpair exact = ss_two_sum(one, ss_negative(target)), given = ss_pair_of(target);
    const vpair small = ss_pair_mul(smaller, ss_pair_select(up, given, exact));
    const vpair large = ss_pair_mul(larger, ss_pair_select(up, exact, given));
    const vd lowered = ss_lower(s->far, one);
    /* far out `smaller` is nothing beside `larger`, unless that has no part in q */
    const vd lift = v_select(v_eq(on_larger, zero), lowered, one);
    const vd unit = v_select(v_eq(lift, one), zero, v_set1(-SS_LIFT));
    const vpair beside = ss_pair_select(s->far, ss_pair_set1(0.0), small);
    const vpair q = ss_pair_select(v_eq(on_larger, zero), small, ss_pair_add(large, beside));
    vd power = ss_raise(q, unit, gamma).hi;
    if (!isnan(alpha)) power = v_mul(power, v_fma(v_set1(alpha), target, v_mul(v_set1(1.0 - alpha), rest)));
    const vd part = v_select(v_eq(lift, one), v_mul(smaller.hi, lowered), smaller.hi);
    const vd ratio = v_mul(larger.hi, v_div(part, q.hi));
    vd growth = v_mul(*loss, v_mul(v_fma(v_set1(-2.0), target, one), ratio));
    growth = v_select(v_eq(*loss, v_set1(INFINITY)), zero, growth); /* sigma goes faster than the loss comes */
    *slope = ss_part(power, v_add(*slope, ss_part(v_set1(gamma), growth)));
    *loss = ss_part(power, *loss);
}
