/* SPDX-License-Identifier: BSD-3-Clause
   What follows from the sum of a row. Common to both real types. */

static inline double lane(vd a)
{
    double value[SS_W];
    v_store(value, a);
    return value[0];
}

/* Tables of 2^(j/16), held in registers where they fit. */
#define SS_TABLES vtab16 table_hi = v_tab16(SS_EXP_HI), table_lo = v_tab16(SS_EXP_LO)

/* e^x 2^-exponent(x) as a pair. */
static inline vpair ss_mantissa(vd x)
{
    SS_TABLES;
    return ss_exp_term(x, ss_scale_bits(ss_exponent(x), 0), table_hi, table_lo);
}

/* 1 / sum as a pair, relative error 2^-103. */
static inline vpair ss_reciprocal(vpair sum)
{
    return ss_pair_div(ss_pair_set1(1.0), sum);
}

/* rest 2^exponent / e^peak as a pair. */
static inline vpair ss_ratio(vd peak, vpair rest, vd exponent)
{
    vpair ratio = ss_pair_div(rest, ss_mantissa(peak));
    vd down = v_min(v_sub(exponent, ss_exponent(peak)), v_set1(0.0));
    return ss_pair(ss_scale_down(ratio.hi, down), ss_scale_down(ratio.lo, down));
}

/* The same as a fraction, for ss_log1p_single: numerator and denominator. */
static inline vpair ss_ratio_single(vd peak, vpair rest, vd exponent)
{
    vd down = v_min(v_sub(exponent, ss_exponent(peak)), v_set1(0.0));
    return ss_pair(ss_scale_down(rest.hi, down), ss_mantissa(peak).hi);
}

/* log1p of that ratio: what logsumexp exceeds the peak by. */
static inline vpair ss_log_excess(vd peak, vpair rest, vd exponent)
{
    return ss_log1p_pair(ss_ratio(peak, rest, exponent));
}
