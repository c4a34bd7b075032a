/* SPDX-License-Identifier: BSD-3-Clause
   Square roots, sines and cosines, and angles of pairs. Only correctly rounded operations are used but for the first
   guess of an angle, of which no more than 30 bits count.
   Method: series of sine and versine (1 - cosine) at an angle halved until it is small, doubled again: working on the
   versine keeps the small numbers apart from the 1. */
#ifndef SS_MATH_ANGLE_H
#define SS_MATH_ANGLE_H

/* For a >= 0; relative error 2^-102. */
static inline vpair ss_pair_sqrt(vpair a)
{
    const vd zero = v_set1(0.0), root = v_sqrt(a.hi);
    const vpair rest = ss_pair_sub(a, ss_two_prod(root, root));
    const vd low = v_div(rest.hi, v_add(root, root));
    return ss_fast_two_sum(root, v_select(v_eq(root, zero), zero, low));
}

/* The angle is halved until it is below 2^-4: what follows 20 terms is below 2^-140. */
enum { SS_ANGLE_HALVINGS = 4, SS_ANGLE_TERMS = 20 };

/* Sine and cosine of |angle| <= 2^(halvings - SS_ANGLE_HALVINGS), to about 2^-90 for angles up to 4. */
static inline void ss_pair_sin_cos(vpair angle, int halvings, vpair *sine, vpair *cosine)
{
    const vpair one = ss_pair_set1(1.0), y = ss_pair_scale(angle, v_set1(ldexp(1.0, -halvings)));
    const vpair square = ss_pair_neg(ss_pair_mul(y, y));
    double factorial[SS_ANGLE_TERMS + 2] = {1.0}; /* exact: their odd parts are below 2^53 */
    for (int j = 1; j < SS_ANGLE_TERMS + 2; j++) factorial[j] = j * factorial[j - 1];
    vpair s = ss_pair_set1(0.0), versine = s;
    for (int j = SS_ANGLE_TERMS - 1; j > 0; j -= 2) {
        /* 1 - y^2/3! + ..., and 1/2! - y^2/4! + ... */
        s = ss_pair_add(ss_pair_mul(s, square), ss_pair_div(one, ss_pair_set1(factorial[j])));
        versine = ss_pair_add(ss_pair_mul(versine, square), ss_pair_div(one, ss_pair_set1(factorial[j + 1])));
    }
    s = ss_pair_mul(y, s);
    versine = ss_pair_neg(ss_pair_mul(square, versine));
    for (int j = 0; j < halvings; j++) {
        const vpair c = ss_pair_sub(one, versine);
        versine = ss_pair_scale(ss_pair_mul(s, s), v_set1(2.0));
        s = ss_pair_scale(ss_pair_mul(s, c), v_set1(2.0));
    }
    *sine = s;
    *cosine = ss_pair_sub(one, versine);
}

/* The angle in [0, pi] whose sine and cosine these are: one step of Newton's method from an angle of 30 bits, so that
   the digits do not depend on whose arctangent it was. */
static inline vpair ss_pair_angle(vpair sine, vpair cosine)
{
    double y[SS_W], x[SS_W];
    v_store(y, sine.hi);
    v_store(x, cosine.hi);
    for (int j = 0; j < SS_W; j++) y[j] = ldexp(rint(ldexp(atan2(y[j], x[j]), 30)), -30);
    const vpair start = ss_pair_of(v_load(y));
    vpair near_sine, near_cosine;
    ss_pair_sin_cos(start, SS_ANGLE_HALVINGS + 2, &near_sine, &near_cosine);
    const vpair step = ss_pair_sub(ss_pair_mul(sine, near_cosine), ss_pair_mul(cosine, near_sine));
    return ss_pair_add(start, step); /* sin d - d is below 2^-95 */
}

#endif
