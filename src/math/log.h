/* SPDX-License-Identifier: BSD-3-Clause
   log1p of a pair, as a pair.

   reduce       1 + f = 2^k z, z in [0.707, 1.414); inv of 8 bits, so f' = z inv - 1 is exact, |f'| < 2^-6.9
   approximate  log1p f' = f' - f'^2/2 + f'^3 P(f')
   reconstruct  k ln2 - log(inv) + log1p f', every sum kept as a pair
   Error:       2^-65 relative, also for tiny arguments (there k = 0, inv = 1 and f' = f)
   Range:       f > -1, f finite; NaN stays NaN
   Constants:   docs/constants/log.py */
#ifndef SS_MATH_LOG_H
#define SS_MATH_LOG_H

/* log(one 2^offset), one a normalised pair below 2^1022, offset an integer. */
static inline vpair ss_log_pair(vpair one, vd offset)
{
    /* exponent and table index from the bits of the number */
    vi bits = v_int(one.hi);
    vi index = vi_and(vi_srl(bits, 45), vi_set1(127));
    /* adding 128 - SPLIT to the index carries into the exponent exactly when z is to be halved */
    vi carried = vi_add(vi_srl(bits, 45), vi_set1(128 - SS_LOG_SPLIT_INDEX));
    vi biased = vi_srl(carried, 7);
    vd k = v_sub(v_dbl(vi_add(biased, v_int(v_set1(0x1p52)))), v_set1(0x1p52 + 1023.0));
    k = v_add(k, offset);
    vd down = v_dbl(vi_sll(vi_sub(vi_set1(2046), biased), 52));
    vd inv = v_gather(SS_LOG_INV, index);
    vd z_hi = v_mul(one.hi, down), z_lo = v_mul(one.lo, down);
    vpair g = ss_fast_two_sum(v_fma(z_hi, inv, v_set1(-1.0)), v_mul(z_lo, inv));
    /* g.hi may be 0 with all the value in g.lo; fast_two_sum put it into g.hi then */
    vpair square = ss_two_prod(g.hi, g.hi);
    vd p = v_set1(SS_LOG1P[7]);
    for (int i = 6; i >= 0; i--) p = v_fma(p, g.hi, v_set1(SS_LOG1P[i]));
    vd cubic = v_mul(v_mul(square.hi, g.hi), p);
    vpair series = ss_fast_two_sum(g.hi, v_mul(square.hi, v_set1(-0.5)));
    /* low parts: of f', of f'^2/2 (its rounding and 2 f_hi f_lo / 2), and the cubic tail */
    vd low = v_add(v_fma(square.lo, v_set1(-0.5), v_fnma(g.hi, g.lo, g.lo)), cubic);
    series = ss_fast_two_sum(series.hi, v_add(series.lo, low));
    vpair ln2 = ss_two_prod(k, v_set1(SS_LN2_HI));
    ln2.lo = v_fma(k, v_set1(SS_LN2_LO), ln2.lo);
    vpair table = ss_pair(v_gather(SS_LOG_HI, index), v_gather(SS_LOG_LO, index));
    vpair base = ss_two_sum(ln2.hi, table.hi);
    base.lo = v_add(base.lo, v_add(ln2.lo, table.lo));
    vpair sum = ss_two_sum(base.hi, series.hi);
    return ss_fast_two_sum(sum.hi, v_add(sum.lo, v_add(base.lo, series.lo)));
}

static inline vpair ss_log1p_pair(vpair f)
{
    vpair one = ss_two_sum(v_set1(1.0), f.hi);
    return ss_log_pair(ss_fast_two_sum(one.hi, v_add(one.lo, f.lo)), v_set1(0.0));
}

#endif
