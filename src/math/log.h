/* SPDX-License-Identifier: BSD-3-Clause
   log1p of a pair, as a pair; and in one double for float32.

   reduce       1 + f = 2^k z, z in [0.703, 1.407); inv within 2^-5 of 1/z; f' = z inv - 1 exactly, as a pair
   approximate  log1p f' = f' - f'^2/2 + f'^3 P(f')
   reconstruct  k ln2 - log(inv) + log1p f', every sum kept as a pair
   Error:       2^-63 relative, also for tiny arguments (there k = 0, inv = 1 and f' = f)
   Range:       f > -1, f finite; NaN stays NaN
   Constants:   docs/constants/log.py */
#ifndef SS_MATH_LOG_H
#define SS_MATH_LOG_H

/* one = 2^k z; down = 2^-k; the low four bits of index are the place in the tables. */
typedef struct { vd k, down; vi index; } ss_log_reduced;

static inline ss_log_reduced ss_log_reduce(vd one)
{
    /* exponent and table index from the bits of the number, rounded */
    vi index = vi_srl(vi_add(v_int(one), vi_set1((int64_t)1 << 47)), 48);
    /* adding 16 - SPLIT to the index carries into the exponent exactly when z is to be halved */
    vi biased = vi_srl(vi_add(index, vi_set1(16 - SS_LOG_SPLIT_INDEX)), 4);
    ss_log_reduced reduced;
    reduced.k = v_sub(v_dbl(vi_add(biased, v_int(v_set1(0x1p52)))), v_set1(0x1p52 + 1023.0));
    reduced.down = v_dbl(vi_sll(vi_sub(vi_set1(2046), biased), 52));
    reduced.index = index;
    return reduced;
}

static inline vd ss_log_at(const uint64_t *table, vi index) { return v_dbl(v_tab16_at(v_tab16(table), index)); }

/* log(one 2^offset), one a normalised pair below 2^1022, offset an integer. */
static inline vpair ss_log_pair(vpair one, vd offset)
{
    ss_log_reduced a = ss_log_reduce(one.hi);
    vd k = v_add(a.k, offset), inv = ss_log_at(SS_LOG_INV, a.index);
    vpair z = ss_two_prod(v_mul(one.hi, a.down), inv);
    vpair g = ss_fast_two_sum(v_sub(z.hi, v_set1(1.0)), v_fma(v_mul(one.lo, a.down), inv, z.lo));
    /* g.hi may be 0 with all the value in g.lo; fast_two_sum put it into g.hi then */
    vpair square = ss_two_prod(g.hi, g.hi);
    vd p = v_set1(SS_LOG1P[8]);
    for (int i = 7; i >= 0; i--) p = v_fma(p, g.hi, v_set1(SS_LOG1P[i]));
    vd cubic = v_mul(v_mul(square.hi, g.hi), p);
    vpair series = ss_fast_two_sum(g.hi, v_mul(square.hi, v_set1(-0.5)));
    /* low parts: of f', of f'^2/2 (its rounding and 2 f_hi f_lo / 2), and the cubic tail */
    vd low = v_add(v_fma(square.lo, v_set1(-0.5), v_fnma(g.hi, g.lo, g.lo)), cubic);
    series = ss_fast_two_sum(series.hi, v_add(series.lo, low));
    vpair ln2 = ss_two_prod(k, v_set1(SS_LN2_HI));
    ln2.lo = v_fma(k, v_set1(SS_LN2_LO), ln2.lo);
    vpair base = ss_two_sum(ln2.hi, ss_log_at(SS_LOG_HI, a.index));
    base.lo = v_add(base.lo, v_add(ln2.lo, ss_log_at(SS_LOG_LO, a.index)));
    vpair sum = ss_two_sum(base.hi, series.hi);
    return ss_fast_two_sum(sum.hi, v_add(sum.lo, v_add(base.lo, series.lo)));
}

static inline vpair ss_log1p_pair(vpair f)
{
    vpair one = ss_two_sum(v_set1(1.0), f.hi);
    return ss_log_pair(ss_fast_two_sum(one.hi, v_add(one.lo, f.lo)), v_set1(0.0));
}

/* log1p(e) of a pair, or of one double, 0 <= e <= 1: a sum of positive terms without an exponent.

   reduce       1 + e = (1 + g) / inv, inv from a table by 15 e rounded; g = e inv - (1 - inv), exactly as a pair
   approximate  log1p g = g + g^2 Q(g)
   reconstruct  -log(inv) + log1p g; the sum of the leading parts is exact, low parts are a 32nd of it at most
   Error:       2^-57 relative, 2^-30 for a single, also for tiny e (there inv = 1, g = e); the pair is not normalised
   Constants:   docs/constants/log.py */
typedef struct { vd inv, log, g, low; } ss_unit; /* `low` is the rest of g, of a pair only */

static inline ss_unit ss_unit_entry(vd e)
{
    const vi index = v_int(v_fma(e, v_set1(15.0), v_set1(0x1.8p52)));
    ss_unit a;
    a.inv = ss_log_at(SS_UNIT_INV, index);
    a.log = ss_log_at(SS_UNIT_LOG, index);
    return a;
}

static inline ss_unit ss_unit_reduce(vpair e)
{
    ss_unit a = ss_unit_entry(e.hi);
    const vpair z = ss_two_prod(e.hi, a.inv);
    a.g = v_add(z.hi, v_sub(a.inv, v_set1(1.0)));
    a.low = v_fma(e.lo, a.inv, z.lo);
    return a;
}

static inline ss_unit ss_unit_reduce_single(vd e)
{
    ss_unit a = ss_unit_entry(e);
    a.g = v_fma(e, a.inv, v_sub(a.inv, v_set1(1.0)));
    return a;
}

/* `count` vectors, a constant, go through every step side by side. */
static SS_INLINE void ss_unit_log1p(const ss_unit *a, int count, vpair *log)
{
    vd q[4];
    for (int i = 0; i < count; i++) q[i] = v_fma(v_set1(SS_UNIT[8]), a[i].g, v_set1(SS_UNIT[7]));
    for (int c = 6; c >= 0; c--)
        for (int i = 0; i < count; i++) q[i] = v_fma(q[i], a[i].g, v_set1(SS_UNIT[c]));
    for (int i = 0; i < count; i++) {
        log[i] = ss_fast_two_sum(a[i].log, a[i].g);
        log[i].lo = v_add(log[i].lo, v_fma(v_mul(a[i].g, a[i].g), q[i], a[i].low));
    }
}

static SS_INLINE void ss_unit_log1p_single(const ss_unit *a, int count, vd *log)
{
    vd q[4];
    for (int i = 0; i < count; i++) q[i] = v_fma(v_set1(SS_UNIT_SINGLE[3]), a[i].g, v_set1(SS_UNIT_SINGLE[2]));
    for (int c = 1; c >= 0; c--)
        for (int i = 0; i < count; i++) q[i] = v_fma(q[i], a[i].g, v_set1(SS_UNIT_SINGLE[c]));
    for (int i = 0; i < count; i++)
        log[i] = v_add(a[i].log, v_fma(v_mul(a[i].g, a[i].g), q[i], a[i].g));
}

/* e / (1 + e) as a pair, of which `a` is the reduction. What the division leaves is divided by a table entry: it is
   2^-53 of the quotient, and inv is 1 / (1 + e) but for a 30th.   Error: 2^-57, not normalised */
static inline vpair ss_unit_quotient(ss_unit a, vpair e)
{
    const vpair sum = ss_fast_two_sum(v_set1(1.0), e.hi);
    const vd low = v_add(sum.lo, e.lo), q = v_div(e.hi, sum.hi);
    const vd rest = v_add(v_fnma(q, sum.hi, e.hi), v_fnma(q, low, e.lo));
    return ss_pair(q, v_mul(rest, a.inv));
}

/* log1p(rest / one) in one double, 0 <= rest, 1/2 < one < 4; one division and no table.

   reduce       z = (1 + rest/one) / 2^k in [2/3, 3/2]: the bits of a double are 2^52 times its base-2 logarithm but for
                0.086, so that the difference of two serves to find k. s = (z - 1) / (z + 1), both times one 2^k
   approximate  log z = 2 atanh s, an odd polynomial
   Error:       2^-42 relative, also for tiny rests (there k = 0, and s is rest / (2 one + rest))
   Constants:   docs/constants/log.py */
static inline vd ss_log1p_single(vd rest, vd one)
{
    vd sum = v_add(one, rest);
    vi distance = vi_sub(v_int(sum), v_int(one));
    vi k = vi_srl(vi_add(distance, vi_set1((int64_t)1 << 51)), 52);
    vd power = v_dbl(vi_sll(vi_add(k, vi_set1(1023)), 52));
    vd s = v_div(v_fnma(v_sub(power, v_set1(1.0)), one, rest), v_fma(power, one, sum)), w = v_mul(s, s);
    vd p = v_set1(SS_LOG_SINGLE[5]);
    for (int i = 4; i >= 0; i--) p = v_fma(p, w, v_set1(SS_LOG_SINGLE[i]));
    vd log = v_fma(v_mul(s, w), p, v_add(s, s));
    vd count = v_sub(v_dbl(vi_add(k, v_int(v_set1(0x1p52)))), v_set1(0x1p52));
    return v_fma(count, v_set1(SS_LN2_HI), log);
}

#endif
