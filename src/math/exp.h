/* SPDX-License-Identifier: BSD-3-Clause
   e^x as a term of a sum: 2^k (1 + expm1 r), scaled by an exact power of two. The mantissa is a function of x alone.

   reduce       k = x / ln2 rounded to 1/16; r = x - k ln2. The first fma is exact: x - k RN(ln2) is a multiple of 2^-57
                (ulp of RN(ln2)/16) and less than 2^-4. |r| <= ln2/32 and |error of r| <= 2^-53 |r| + |k| 2^-108.
   approximate  minimax polynomial of expm1 on [-ln2/32, ln2/32]
   reconstruct  table of 2^(j/16); the integer part of k goes into the exponent bits
   Range:       |x| <= 2^45, and scale + k within the normal exponents (callers clamp x from below)
   NaN:         stays NaN
   Constants:   docs/constants/exp.py */
#ifndef SS_MATH_EXP_H
#define SS_MATH_EXP_H

typedef struct { vd r; vi n; } ss_reduced;

static inline ss_reduced ss_reduce(vd x)
{
    vd shifted = v_fma(x, v_set1(SS_LOG2E), v_set1(SS_EXP_MAGIC));
    vd k = v_sub(shifted, v_set1(SS_EXP_MAGIC));
    vd r = v_fnma(k, v_set1(SS_LN2_HI), x);
    ss_reduced reduced = {v_fnma(k, v_set1(SS_LN2_LO), r), v_int(shifted)};
    return reduced;
}

/* floor(x / ln2) up to the rounding of k: the binary exponent that e^x carries here. */
static inline vd ss_exponent(vd x)
{
    vi n = v_int(v_fma(x, v_set1(SS_LOG2E), v_set1(SS_EXP_MAGIC)));
    return v_sub(v_dbl(vi_and(n, vi_set1(~(int64_t)15))), v_set1(SS_EXP_MAGIC));
}

/* Exponent bits that scale a term by 2^(offset - exponent); exponent is integer-valued, |exponent| < 2^51. */
static inline vi ss_scale_bits(vd exponent, int offset)
{
    vi bits = v_int(v_sub(v_set1(0x1.8p52 + offset), exponent));
    return vi_sll(bits, 52);
}

/* e^x 2^s in one double, s from ss_scale_bits.   Error: 2^-29.6 relative (tests/test_constants.py) */
static inline vd ss_exp_single(vd x, vi scale, vtab16 table)
{
    ss_reduced a = ss_reduce(x);
    vd power = v_dbl(vi_add(v_tab16_at(table, a.n), vi_add(vi_sll(a.n, 48), scale)));
    vd p = v_fma(v_set1(SS_EXP3[2]), a.r, v_set1(SS_EXP3[1]));
    p = v_fma(p, a.r, v_set1(SS_EXP3[0]));
    p = v_fma(p, a.r, v_set1(1.0));
    return v_mul(power, p);
}

/* 2^n/16 e^r 2^s as a pair. */
static inline vpair ss_exp_reduced(vd r, vi n, vi scale, vtab16 table_hi, vtab16 table_lo)
{
    vi exponent = vi_add(vi_sll(n, 48), scale);
    vd power_hi = v_dbl(vi_add(v_tab16_at(table_hi, n), exponent));
    vd power_lo = v_dbl(vi_add(v_tab16_at(table_lo, n), exponent));
    vd p = v_fma(v_set1(SS_EXP7[5]), r, v_set1(SS_EXP7[4]));
    p = v_fma(p, r, v_set1(SS_EXP7[3]));
    p = v_fma(p, r, v_set1(SS_EXP7[2]));
    p = v_fma(p, r, v_set1(SS_EXP7[1]));
    p = v_fma(p, r, v_set1(SS_EXP7[0]));
    vd expm1 = v_fma(v_mul(r, r), p, r);
    return ss_fast_two_sum(power_hi, v_fma(power_hi, expm1, power_lo));
}

/* e^x 2^s as a pair.   Error: 2^-57 relative, most of it the rounding of r and of expm1 */
static inline vpair ss_exp_term(vd x, vi scale, vtab16 table_hi, vtab16 table_lo)
{
    ss_reduced a = ss_reduce(x);
    return ss_exp_reduced(a.r, a.n, scale, table_hi, table_lo);
}

/* The same of x + x_low, |x_low| <= ulp(x). */
static inline vpair ss_exp_pair(vd x, vd x_low, vi scale, vtab16 table_hi, vtab16 table_lo)
{
    ss_reduced a = ss_reduce(x);
    return ss_exp_reduced(v_add(a.r, x_low), a.n, scale, table_hi, table_lo);
}

#endif
