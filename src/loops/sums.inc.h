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
    return ss_exp_pair(x, v_set1(0.0), ss_scale_bits(ss_exponent(x), 0), table_hi, table_lo);
}

/* 1 / sum as a pair, relative error 2^-103. */
static inline vpair ss_reciprocal(vpair sum)
{
    return ss_pair_div(ss_pair(v_set1(1.0), v_set1(0.0)), sum);
}

/* log1p(rest 2^exponent / e^peak): what logsumexp exceeds the peak by. As a pair, and for float32 in one double. */
static inline vpair ss_log_excess(vd peak, vpair rest, vd exponent)
{
    vpair ratio = ss_pair_div(rest, ss_mantissa(peak));
    vd down = v_min(v_sub(exponent, ss_exponent(peak)), v_set1(0.0));
    return ss_log1p_pair(ss_pair(ss_scale_down(ratio.hi, down), ss_scale_down(ratio.lo, down)));
}

static inline vd ss_log_excess_single(vd peak, vd rest, vd exponent)
{
    vd down = v_min(v_sub(exponent, ss_exponent(peak)), v_set1(0.0));
    return ss_log1p_single(ss_scale_down(rest, down), ss_mantissa(peak).hi);
}
