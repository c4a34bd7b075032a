/* SPDX-License-Identifier: BSD-3-Clause
   Cross-entropy and focal loss of a vector of logits x against targets t. With L = log1p(e^-|x|), both softplus(x) =
   max(x, 0) + L and softplus(-x) are sums of one sign, and so is
       loss = (1 - t) max(x, 0) + positive t max(-x, 0) + (1 - t + positive t) L      for t in [0, 1].
   The gradient is (1 - t) sigma(x) - positive t sigma(-x), with sigma from e^-|x| on either side. For t = 0 or 1 one of
   the two parts is left, rounded once. Focal loss multiplies by (1 - p)^gamma with p the probability of the target. */

/* e^-|x| and its relatives. Below FAR they carry 2^LIFT, so that subnormal results are rounded once. */
typedef struct {
    vpair log, smaller, larger; /* log1p(e^-|x|), sigma(-|x|), sigma(|x|); not quite normalised */
    vm far;
} ss_logistic;

/* `lifts`, a constant: some lanes may be far.   Error: 2^-56 of each */
static SS_INLINE ss_logistic logistic_f64(vd x, int lifts)
{
    ss_logistic s;
    const vd t = v_max(v_set1(SS_LOWEST), ss_negative(ss_abs(x))), one = v_set1(1.0);
    s.far = v_lt(t, v_set1(SS_FAR));
    const vpair term = ss_exp_term(t, lifts ? ss_lift(s.far) : ss_no_scale(), v_tab16(SS_EXP_HI), v_tab16(SS_EXP_LO));
    vpair sum = ss_fast_two_sum(one, term.hi);
    sum.lo = v_add(sum.lo, term.lo);
    /* one division and a Newton step for both quotients: relative error 2^-103 */
    const vd q = v_div(one, sum.hi), rest = v_fnma(q, sum.lo, v_fnma(q, sum.hi, one));
    s.larger = ss_pair(q, v_mul(q, rest));
    s.smaller = ss_two_prod(term.hi, q);
    s.smaller.lo = v_fma(term.lo, q, v_fma(term.hi, s.larger.lo, s.smaller.lo));
    s.log = ss_log1p_unit(term);
    if (lifts) {
        s.smaller = ss_pair_select(s.far, term, s.smaller);
        s.larger = ss_pair_select(s.far, ss_pair_set1(1.0), s.larger);
        s.log = ss_pair_select(s.far, term, s.log);
    }
    return s;
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
    const vpair here = ss_pair_select(up, s->larger, s->smaller), there = ss_pair_select(up, s->smaller, s->larger);
    const vpair down = ss_pair_mul(scale, ss_pair_of(none)), rise = ss_pair_mul(scale, ss_pair_of(some));
    vd first = v_fma(here.hi, down.hi, v_fma(here.hi, down.lo, v_mul(here.lo, down.hi)));
    vd second = v_fma(there.hi, rise.hi, v_fma(there.hi, rise.lo, v_mul(there.lo, rise.hi)));
    first = v_mul(first, v_select(up, v_set1(1.0), lower));
    second = v_mul(second, v_select(up, lower, v_set1(1.0)));
    return v_sub(first, second);
}

/* ---- float32, in doubles ---- */

/* Error: 2^-30 of each. At 0 all is exact: there sigma is 1/2, and the gradient for t = 1/2 is 0. */
static SS_INLINE ss_logistic logistic_f32(vd x, int lifts)
{
    ss_logistic s;
    const vd t = v_max(v_set1(SS_LOWEST_SINGLE), ss_negative(ss_abs(x))), one = v_set1(1.0);
    const ss_reduced r = ss_reduce(t, ss_no_scale());
    const vd power = ss_power(v_tab16(SS_EXP_HI), r.n);
    vd p = v_fma(v_fma(v_set1(SS_EXP7[2]), r.r, v_set1(SS_EXP7[1])), r.r, v_set1(SS_EXP7[0]));
    p = v_fma(v_mul(r.r, r.r), p, r.r);
    const vd term = v_fma(power, p, power), q = v_div(one, v_add(one, term));
    s.larger = ss_pair_of(q);
    s.smaller = ss_pair_of(v_mul(term, q));
    s.log = ss_pair_of(ss_log1p_unit_single(term));
    s.far = v_lt(one, v_set1(0.0)); /* nowhere: doubles hold all of it */
    (void)lifts;
    return s;
}

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
    const vd here = v_select(up, s->larger.hi, s->smaller.hi), there = v_select(up, s->smaller.hi, s->larger.hi);
    return v_mul(scale.hi, v_sub(v_mul(none, here), v_mul(some, there)));
}

/* What focal loss makes of both: they are multiplied by alpha q^gamma, q = 1 - p of the target; before that the slope
   grows by gamma loss (1 - 2t) s / q with s = sigma(x) sigma(-x), the derivative of sigma. */
static inline void ss_focus(const ss_logistic *s, vd x, vd target, double alpha, double gamma, vd *loss, vd *slope)
{
    const vpair smaller = ss_pair_normal(s->smaller), larger = ss_pair_normal(s->larger);
    const vd zero = v_set1(0.0), one = v_set1(1.0), rest = v_sub(one, target);
    const vm up = v_lt(zero, x);
    const vd on_larger = v_select(up, rest, target), on_smaller = v_select(up, target, rest);
    const vpair small = ss_pair_mul(smaller, ss_pair_of(on_smaller));
    const vpair large = ss_pair_mul(larger, ss_pair_of(on_larger));
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
