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
    /* one division and a Newton step for both quotients: relative error 2^-103 */
    const vd q = v_div(v_set1(1.0), sum.hi), rest = v_sub(v_fnma(q, sum.hi, v_set1(1.0)), v_mul(q, sum.lo));
    const vpair inverse = ss_fast_two_sum(q, v_mul(q, rest));
    s.log = ss_pair_select(s.far, term, ss_log1p_near(term, ss_log1p_pair(term)));
    s.smaller = ss_pair_select(s.far, term, ss_pair_mul(term, inverse));
    s.larger = ss_pair_select(s.far, ss_pair_set1(1.0), inverse);
    return s;
}

static SS_INLINE void logistics_f64(const vd *x, int count, ss_logistic *s)
{
    for (int i = 0; i < count; i++) s[i] = logistic_f64(x[i]);
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

/* `count` vectors, a constant, go through every step side by side.   Error: 2^-36 of each */
static SS_INLINE void logistics_f32(const vd *x, int count, ss_logistic *s)
{
    const vd one = v_set1(1.0);
    vd t[4], sum[4], low[4], g[4], p[4];
    ss_log_reduced a[4];
    /* ss_exp_light, which is exact at 0: there sigma is 1/2, and the gradient for t = 1/2 is 0 */
    ss_reduced r[4];
    for (int i = 0; i < count; i++) t[i] = v_max(v_set1(SS_LOWEST_SINGLE), ss_negative(ss_abs(x[i])));
    for (int i = 0; i < count; i++) r[i] = ss_reduce(t[i], ss_no_scale());
    for (int i = 0; i < count; i++) p[i] = v_fma(v_set1(SS_EXP7[3]), r[i].r, v_set1(SS_EXP7[2]));
    for (int c = 1; c >= 0; c--)
        for (int i = 0; i < count; i++) p[i] = v_fma(p[i], r[i].r, v_set1(SS_EXP7[c]));
    for (int i = 0; i < count; i++) p[i] = v_fma(v_mul(r[i].r, r[i].r), p[i], r[i].r);
    for (int i = 0; i < count; i++) {
        const vd power = ss_power(v_tab16(SS_EXP_HI), r[i].n);
        t[i] = v_fma(power, p[i], power);
    }
    for (int i = 0; i < count; i++) sum[i] = v_add(one, t[i]);
    for (int i = 0; i < count; i++) low[i] = v_sub(t[i], v_sub(sum[i], one));
    for (int i = 0; i < count; i++) {
        s[i].larger = ss_pair_of(v_div(one, sum[i]));
        s[i].smaller = ss_pair_of(v_mul(t[i], s[i].larger.hi));
        s[i].far = v_lt(one, v_set1(0.0)); /* nowhere: doubles hold all of it */
    }
    /* ss_log_light of sum and low */
    for (int i = 0; i < count; i++) a[i] = ss_log_reduce(sum[i]);
    for (int i = 0; i < count; i++) {
        const vd inv = ss_log_at(SS_LOG_INV, a[i].index);
        g[i] = v_fma(v_mul(low[i], a[i].down), inv, v_fma(v_mul(sum[i], a[i].down), inv, v_set1(-1.0)));
    }
    for (int i = 0; i < count; i++) p[i] = v_set1(SS_LOG1P[4]);
    for (int c = 3; c >= 0; c--)
        for (int i = 0; i < count; i++) p[i] = v_fma(p[i], g[i], v_set1(SS_LOG1P[c]));
    for (int i = 0; i < count; i++) p[i] = v_fma(p[i], g[i], v_set1(-0.5));
    for (int i = 0; i < count; i++) p[i] = v_fma(v_mul(g[i], g[i]), p[i], g[i]);
    for (int i = 0; i < count; i++)
        s[i].log = ss_pair_of(v_add(v_fma(a[i].k, v_set1(SS_LN2_HI), ss_log_at(SS_LOG_HI, a[i].index)), p[i]));
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
    const vd on_larger = v_select(up, rest, target);
    /* 1 - t and what rounding it loses, which the power would multiply */
    const vpair exact = ss_two_sum(one, ss_negative(target)), given = ss_pair_of(target);
    const vpair small = ss_pair_mul(s->smaller, ss_pair_select(up, given, exact));
    const vpair large = ss_pair_mul(s->larger, ss_pair_select(up, exact, given));
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
