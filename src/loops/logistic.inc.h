/* SPDX-License-Identifier: BSD-3-Clause
   Cross-entropy and focal loss of a vector of logits x against targets t. With L = log1p(e^-|x|), both softplus(x) =
   max(x, 0) + L and softplus(-x) are sums of one sign, and so is
       loss = (1 - t) max(x, 0) + positive t max(-x, 0) + (1 - t + positive t) L      for t in [0, 1].
   The gradient is (1 - t) sigma(x) - positive t sigma(-x), with sigma from e^-|x| on either side. For t = 0 or 1 one of
   the two parts is left, rounded once. Focal loss multiplies by (1 - p)^gamma with p the probability of the target. */

/* e^-|x| and its relatives. Below FAR they carry 2^LIFT, so that subnormal results are rounded once. */
typedef struct {
    vpair log, smaller, larger; /* log1p(e^-|x|), sigma(-|x|), sigma(|x|) */
    vm far;
} ss_logistic;

static inline ss_logistic logistic_f64(vd x)
{
    ss_logistic s;
    const vd t = v_max(v_set1(SS_LOWEST), ss_negative(ss_abs(x)));
    s.far = v_lt(t, v_set1(SS_FAR));
    const vpair term = ss_exp_pair(t, v_set1(0.0), ss_lift(s.far), v_tab16(SS_EXP_HI), v_tab16(SS_EXP_LO));
    vpair sum = ss_two_sum(v_set1(1.0), term.hi);
    sum = ss_fast_two_sum(sum.hi, v_add(sum.lo, term.lo));
    const vpair one = ss_pair_set1(1.0), below = ss_pair_div(term, sum);
    s.log = ss_pair_select(s.far, term, ss_log1p_near(term, ss_log1p_pair(term)));
    s.smaller = ss_pair_select(s.far, term, below);
    s.larger = ss_pair_select(s.far, one, ss_pair_div(one, sum));
    return s;
}

/* factor * x, where 0 times infinity is 0. */
static inline vd ss_part(vd factor, vd x) { return v_select(v_eq(factor, v_set1(0.0)), v_set1(0.0), v_mul(factor, x)); }

/* `none` weighs softplus(x), `some` softplus(-x). */
static inline vd logistic_loss_f64(const ss_logistic *s, vd x, vd none, vd some)
{
    const vd zero = v_set1(0.0);
    const vd base = v_add(ss_part(none, v_max(zero, x)), ss_part(some, v_max(zero, ss_negative(x))));
    const vpair log = ss_pair_mul(s->log, ss_pair_of(v_add(none, some)));
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

static inline ss_logistic logistic_f32(vd x)
{
    vm small;
    vd expm1;
    const vd zero = v_set1(0.0), one = v_set1(1.0), t = v_max(v_set1(SS_LOWEST_SINGLE), ss_negative(ss_abs(x)));
    const vd term = ss_exp_light(t, &expm1, &small), larger = v_div(one, v_add(one, term));
    ss_logistic s;
    s.log = ss_pair_of(ss_log1p_single(term, one));
    s.smaller = ss_pair_of(v_mul(term, larger));
    s.larger = ss_pair_of(larger);
    s.far = v_lt(one, zero); /* nowhere: doubles hold all of it */
    return s;
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
    const vd zero = v_set1(0.0), one = v_set1(1.0), rest = v_sub(one, target);
    const vm up = v_lt(zero, x);
    const vd on_larger = v_select(up, rest, target), on_smaller = v_select(up, target, rest);
    const vpair small = ss_pair_mul(s->smaller, ss_pair_of(on_smaller));
    const vpair large = ss_pair_mul(s->larger, ss_pair_of(on_larger));
    const vd lowered = ss_lower(s->far, one);
    /* far out `smaller` is nothing beside `larger`, unless that has no part in q */
    const vd lift = v_select(v_eq(on_larger, zero), lowered, one);
    const vd unit = v_select(v_eq(lift, one), zero, v_set1(-SS_LIFT));
    const vpair beside = ss_pair_select(s->far, ss_pair_set1(0.0), small);
    const vpair q = ss_pair_select(v_eq(on_larger, zero), small, ss_pair_add(large, beside));
    vd power = ss_raise(q, unit, gamma).hi;
    if (!isnan(alpha)) power = v_mul(power, v_fma(v_set1(alpha), target, v_mul(v_set1(1.0 - alpha), rest)));
    const vd smaller = v_select(v_eq(lift, one), v_mul(s->smaller.hi, lowered), s->smaller.hi);
    const vd ratio = v_mul(s->larger.hi, v_div(smaller, q.hi));
    vd growth = v_mul(*loss, v_mul(v_fma(v_set1(-2.0), target, one), ratio));
    growth = v_select(v_eq(*loss, v_set1(INFINITY)), zero, growth); /* sigma goes faster than the loss comes */
    *slope = ss_part(power, v_add(*slope, ss_part(v_set1(gamma), growth)));
    *loss = ss_part(power, *loss);
}
