/* SPDX-License-Identifier: BSD-3-Clause
   Pair arithmetic: a value as an unevaluated sum hi + lo of two doubles, |lo| <= ulp(hi)/2 when normalised.
   Method: Dekker 1971, Knuth TAOCP 4.2.2, Joldes, Muller & Popescu 2017 (doi 10.1145/3121432). */
#ifndef SS_MATH_PAIR_H
#define SS_MATH_PAIR_H

typedef struct { vd hi, lo; } vpair;

static inline vpair ss_pair(vd hi, vd lo) { vpair p = {hi, lo}; return p; }

/* The same pair in every lane. */
static inline vpair ss_pair_set(double hi, double lo) { return ss_pair(v_set1(hi), v_set1(lo)); }

/* A double as a pair. */
static inline vpair ss_pair_of(vd a) { return ss_pair(a, v_set1(0.0)); }
static inline vpair ss_pair_set1(double a) { return ss_pair_of(v_set1(a)); }

static inline vpair ss_pair_select(vm m, vpair a, vpair b)
{
    return ss_pair(v_select(m, a.hi, b.hi), v_select(m, a.lo, b.lo));
}

static inline vpair ss_pair_neg(vpair a) { return ss_pair(v_sub(v_set1(0.0), a.hi), v_sub(v_set1(0.0), a.lo)); }

/* a + b exactly; needs |a| >= |b| or a = 0. */
static inline vpair ss_fast_two_sum(vd a, vd b)
{
    vd sum = v_add(a, b);
    return ss_pair(sum, v_sub(b, v_sub(sum, a)));
}

/* The pair, normalised; |lo| may be up to |hi|. */
static inline vpair ss_pair_normal(vpair a) { return ss_fast_two_sum(a.hi, a.lo); }

/* a + b exactly. */
static inline vpair ss_two_sum(vd a, vd b)
{
    vd sum = v_add(a, b), b_part = v_sub(sum, a), a_part = v_sub(sum, b_part);
    return ss_pair(sum, v_add(v_sub(a, a_part), v_sub(b, b_part)));
}

/* a * b exactly, away from underflow. */
static inline vpair ss_two_prod(vd a, vd b)
{
    vd product = v_mul(a, b);
    return ss_pair(product, v_fms(a, b, product));
}

/* Relative error of the sum of two pairs: 3 2^-106 ("accurate" addition, 20 operations). */
static inline vpair ss_pair_add(vpair a, vpair b)
{
    vpair high = ss_two_sum(a.hi, b.hi), low = ss_two_sum(a.lo, b.lo);
    vpair mid = ss_fast_two_sum(high.hi, v_add(high.lo, low.hi));
    return ss_fast_two_sum(mid.hi, v_add(mid.lo, low.lo));
}

static inline vpair ss_pair_sub(vpair a, vpair b) { return ss_pair_add(a, ss_pair_neg(b)); }

/* Relative error 2^-102. */
static inline vpair ss_pair_mul(vpair a, vpair b)
{
    vpair product = ss_two_prod(a.hi, b.hi);
    return ss_fast_two_sum(product.hi, v_add(product.lo, v_fma(a.hi, b.lo, v_mul(a.lo, b.hi))));
}

/* Relative error 2^-101. */
static inline vpair ss_pair_div(vpair a, vpair b)
{
    vd q = v_div(a.hi, b.hi);
    vd rest = v_add(v_fnma(q, b.hi, a.hi), v_fnma(q, b.lo, a.lo));
    return ss_fast_two_sum(q, v_div(rest, b.hi));
}

/* 2^d for an integer-valued d in [-1022, 1023]. */
static inline vd ss_pow2(vd d)
{
    /* 2^52 * 1.5 + integer has the integer in its low bits */
    return v_dbl(vi_sll(v_int(v_add(d, v_set1(0x1.8p52 + 1023.0))), 52));
}

/* a * 2^d for an integer-valued d <= 0; exact unless the result is subnormal, then rounded once. */
static inline vd ss_scale_down(vd a, vd d)
{
    vd first = v_max(d, v_set1(-1000.0)), second = v_max(v_sub(d, first), v_set1(-1000.0));
    return v_mul(v_mul(a, ss_pow2(first)), ss_pow2(second));
}

static inline vpair ss_pair_scale_down(vpair a, vd d)
{
    return ss_pair(ss_scale_down(a.hi, d), ss_scale_down(a.lo, d));
}

/* Both parts times a power of two. */
static inline vpair ss_pair_scale(vpair a, vd power) { return ss_pair(v_mul(a.hi, power), v_mul(a.lo, power)); }

/* The pair times 2^d, d <= 0, where what falls below 2^-1000 of the result's scale does not matter. */
static inline vpair ss_pair_shift(vpair a, vd d)
{
    return ss_pair_scale(a, ss_pow2(v_max(d, v_set1(-1000.0))));
}

#endif
