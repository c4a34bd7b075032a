/* SPDX-License-Identifier: BSD-3-Clause
   e^x as a term of a sum: 2^k (1 + expm1 r), scaled by an exact power of two. The mantissa is a function of x alone.

   reduce       k = x / ln2 rounded to 1/16; r = x - k ln2. The first fma is exact: x - k RN(ln2) is a multiple of 2^-57
                (ulp of RN(ln2)/16) and less than 2^-4. |r| <= ln2/32 and |error of r| <= 2^-53 |r| + |k| 2^-108.
   approximate  minimax polynomial of expm1, for a single of exp, on [-ln2/32, ln2/32]
   reconstruct  table of 2^(j/16); the integer part of k goes into the exponent bits
   Range:       |x| <= 2^45, and scale + k within the normal exponents (callers clamp x from below)
   NaN:         stays NaN
   Constants:   docs/constants/exp.py */
#ifndef SS_MATH_EXP_H
#define SS_MATH_EXP_H

typedef struct { vd r; vi n; } ss_reduced;

/* `scale` holds the bits of 1.5 2^48 - scale exponent (ss_scale_bits): what rounds k also takes the scale from n. */
static inline ss_reduced ss_reduce(vd x, vi scale)
{
    vd shifted = v_fma(x, v_set1(SS_LOG2E), v_dbl(scale));
    vd k = v_sub(shifted, v_dbl(scale));
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

/* Scales a term by 2^(offset - exponent); exponent is integer-valued, |exponent| < 2^47. An integer does not change
   how k is rounded, and comes off again exactly. */
static inline vi ss_scale_bits(vd exponent, int offset)
{
    return v_int(v_sub(v_set1(SS_EXP_MAGIC + offset), exponent));
}

static inline vi ss_no_scale(void) { return v_int(v_set1(SS_EXP_MAGIC)); }

/* 2^k from the bits of shifted k, and a table of powers */
#ifndef SS_HAVE_POWER
static inline vd ss_power(vtab16 table, vi n) { return v_dbl(vi_add(v_tab16_at(table, n), vi_sll(n, 48))); }
#endif

/* Up to here, and a little beyond, the low part of ln2 is left out of the reduction of a single: |k| < 2^16, and
   |k| 2^-55 is far below its error. */
#define SS_EXP_NEAR 0x1p15

/* e^x 2^s as a product of two doubles.   Error: 2^-29.6 relative (tests/test_constants.py)
   The cubic's leading coefficient is in the table, which saves a multiplication. `near`, a constant, says that all |x|
   are < SS_EXP_NEAR + 1000; the bits are the same, since k rounded to a multiple of 2^17 is 0 there.
   `count` vectors, a constant as well, go through every step side by side: the next operation is an independent one. */
typedef struct { vd power, p; } ss_single;

static inline vd ss_fma_signed(int negative, vd a, vd b, vd c) { return negative ? v_fnma(a, b, c) : v_fma(a, b, c); }

/* `negative`, a constant: of e^-x, with the sign of r turned and no operation more. */
static SS_INLINE void ss_exp_factors(const vd *x, int count, vi scale, int near, int negative, ss_single *term)
{
    const vtab16 table = v_tab16(SS_EXP_CUBIC_POWER);
    vd shifted[4], k[4], r[4], p[4];
    for (int i = 0; i < count; i++) shifted[i] = ss_fma_signed(negative, x[i], v_set1(SS_LOG2E), v_dbl(scale));
    for (int i = 0; i < count; i++) k[i] = v_sub(shifted[i], v_dbl(scale));
    for (int i = 0; i < count; i++) r[i] = ss_fma_signed(!negative, k[i], v_set1(SS_LN2_HI), x[i]);
    for (int i = 0; i < count && !near; i++) {
        const vd high = v_sub(v_add(k[i], v_set1(0x1.8p69)), v_set1(0x1.8p69));
        r[i] = ss_fma_signed(!negative, high, v_set1(SS_LN2_LO), r[i]);
    }
    for (int i = 0; i < count; i++) term[i].power = ss_power(table, v_int(shifted[i]));
    for (int i = 0; i < count; i++)
        p[i] = negative ? v_sub(v_set1(SS_EXP_CUBIC[2]), r[i]) : v_add(r[i], v_set1(SS_EXP_CUBIC[2]));
    for (int i = 0; i < count; i++) p[i] = ss_fma_signed(negative, p[i], r[i], v_set1(SS_EXP_CUBIC[1]));
    for (int i = 0; i < count; i++) term[i].p = ss_fma_signed(negative, p[i], r[i], v_set1(SS_EXP_CUBIC[0]));
}

static inline vd ss_exp_single(vd x, vi scale, int near)
{
    ss_single term;
    ss_exp_factors(&x, 1, scale, near, 0, &term);
    return v_mul(term.power, term.p);
}

/* e^(x + x_low) 2^s as a pair, |x_low| <= ulp(x); x_low may be NULL.
   Error: 2^-57 relative, most of it the rounding of r and of expm1 */
static SS_INLINE void ss_exp_pairs(const vd *x, const vd *x_low, int count, vi scale, vtab16 table_hi, vtab16 table_lo,
                                   vpair *term)
{
    vd r[4], p[4], hi[4], lo[4];
    for (int i = 0; i < count; i++) {
        const ss_reduced a = ss_reduce(x[i], scale);
        r[i] = x_low ? v_add(a.r, x_low[i]) : a.r;
        hi[i] = ss_power(table_hi, a.n);
        lo[i] = ss_power(table_lo, a.n);
    }
    for (int i = 0; i < count; i++) p[i] = v_fma(v_set1(SS_EXP7[5]), r[i], v_set1(SS_EXP7[4]));
    for (int c = 3; c >= 0; c--)
        for (int i = 0; i < count; i++) p[i] = v_fma(p[i], r[i], v_set1(SS_EXP7[c]));
    for (int i = 0; i < count; i++) p[i] = v_fma(v_mul(r[i], r[i]), p[i], r[i]);
    for (int i = 0; i < count; i++) term[i] = ss_fast_two_sum(hi[i], v_fma(hi[i], p[i], lo[i]));
}

static inline vpair ss_exp_term(vd x, vi scale, vtab16 table_hi, vtab16 table_lo)
{
    vpair term;
    ss_exp_pairs(&x, NULL, 1, scale, table_hi, table_lo, &term);
    return term;
}

static inline vpair ss_exp_pair(vd x, vd x_low, vi scale, vtab16 table_hi, vtab16 table_lo)
{
    vpair term;
    ss_exp_pairs(&x, &x_low, 1, scale, table_hi, table_lo, &term);
    return term;
}

#endif
