/* SPDX-License-Identifier: BSD-3-Clause
   Sums of terms: merging partial ones, and what follows from a whole one. Common to both real types. */

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

/* The sum of two partial results; `rest`: the smaller peak joins the sum. */
static ss_sum ss_merge(ss_sum a, ss_sum b, int rest)
{
    if (b.peak > a.peak) {
        ss_sum swap = a;
        a = b;
        b = swap;
    }
    if (isnan(a.hi) || isnan(b.hi)) a.hi = b.hi = NAN;
    if (a.peak == INFINITY && b.peak == INFINITY) {
        a.hi += b.hi;
        return a;
    }
    /* a peak of -inf has no terms; beyond SS_HUGE the row is summed again with a shift, or b does not matter */
    if (isnan(a.hi) || a.peak == INFINITY || b.peak == -INFINITY || fabs(a.peak) > SS_HUGE || fabs(b.peak) > SS_HUGE)
        return a;
    /* Between finite peaks: add at the larger scale. Exact shifts; the pair additions lose 2^-105 each. */
    vpair sum = ss_pair(v_set1(a.hi), v_set1(a.lo)), other = ss_pair(v_set1(b.hi), v_set1(b.lo));
    vd exponent = v_set1(a.exponent), other_exponent = v_set1(b.exponent);
    for (int i = 0; i < (rest ? 2 : 1); i++) {
        vd larger = v_max(exponent, other_exponent);
        sum = ss_pair_add(ss_pair_shift(sum, v_sub(exponent, larger)),
                          ss_pair_shift(other, v_sub(other_exponent, larger)));
        exponent = larger;
        other = ss_mantissa(v_set1(b.peak));
        other_exponent = ss_exponent(v_set1(b.peak));
    }
    a.hi = lane(sum.hi);
    a.lo = lane(sum.lo);
    a.exponent = lane(exponent);
    return a;
}

/* 1 / sum as a pair, relative error 2^-103. */
static inline vpair ss_reciprocal(vpair sum)
{
    return ss_pair_div(ss_pair(v_set1(1.0), v_set1(0.0)), sum);
}

/* log1p(rest 2^exponent / e^peak) as a pair: what logsumexp exceeds the peak by. */
static inline vpair ss_log_excess(vd peak, vpair rest, vd exponent)
{
    vpair ratio = ss_pair_div(rest, ss_mantissa(peak));
    vd down = v_min(v_sub(exponent, ss_exponent(peak)), v_set1(0.0));
    return ss_log1p_pair(ss_pair(ss_scale_down(ratio.hi, down), ss_scale_down(ratio.lo, down)));
}
