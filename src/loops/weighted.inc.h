/* SPDX-License-Identifier: BSD-3-Clause
   The arithmetic of logsumexp with weights of any sign, for C and CUDA alike: every product w e^x is added exactly, so
   the sum depends on no order. A product is kept as doubles below 2 and an integer exponent, so no weight overflows and
   no subnormal one loses digits. */
#ifndef SS_WEIGHTED
#define SS_WEIGHTED

#define SS_WEIGHT_REACH 3000.0 /* log|w| spans 1455: an element further below the largest x adds nothing */

/* What the terms of a row are: x - shift, and the largest exponent of a term. `up`, `down`: terms of +inf and -inf. */
typedef struct {
    double peak, shift, exponent;
    int up, down, unordered, positive, negative;
} ss_weighted;

static inline ss_weighted ss_weighted_start(void)
{
    const ss_weighted row = {-INFINITY, 0.0, -INFINITY, 0, 0, 0, 0, 0};
    return row;
}

/* One more element and its weight. */
static inline void ss_weigh(ss_weighted *row, double x, double w)
{
    if (w == 0.0) return;
    if (isnan(x) || isnan(w) || (isinf(w) && x == -INFINITY)) {
        row->unordered = 1;
    } else if (x == INFINITY || isinf(w)) {
        if (w > 0.0) row->up = 1; else row->down = 1;
    } else if (x > -INFINITY) {
        if (w > 0.0) row->positive = 1; else row->negative = 1;
        if (x > row->peak) row->peak = x;
    }
}

/* Whether the elements decide the result without a sum: infinities, NaN, or nothing at all. */
static inline int ss_weighted_special(const ss_weighted *row, double *value, double *sign)
{
    *value = *sign = NAN;
    if (row->unordered || (row->up && row->down)) return 1;
    const int infinite = row->up || row->down;
    *value = infinite ? INFINITY : -INFINITY;
    *sign = row->up ? 1.0 : row->down ? -1.0 : 0.0;
    return infinite || !(row->positive || row->negative);
}

/* The exponents of n terms w e^x; x becomes what the terms are made of, and w its mantissa, 0 where nothing is left. */
static inline void ss_weight_exponents(const ss_weighted *row, ptrdiff_t n, double *x, double *w, double *exponents)
{
    const double lowest = row->peak - row->shift - SS_WEIGHT_REACH;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double d = x[i] - row->shift;
        const int counts = w[i] != 0.0 && d > lowest;
        x[i] = counts ? d : lowest;
        w[i] = counts ? w[i] : 0.0;
    }
    for (ptrdiff_t i = 0; i < n; i += SS_W) v_store(exponents + i, ss_exponent(v_load(x + i)));
    for (ptrdiff_t i = 0; i < n; i++) {
        int exponent;
        w[i] = frexp(w[i], &exponent);
        exponents[i] = w[i] == 0.0 ? -INFINITY : exponents[i] + exponent;
    }
}

/* Whether a term of this exponent has digits that are kept. */
static inline int ss_weight_counts(const ss_weighted *row, double exponent) { return exponent > row->exponent - 300.0; }

/* The terms of SS_W elements as four doubles each, over the powers of two that are their exponents. Both halves of e^x
   times the mantissa are exact, so terms of one x cancel exactly. */
static inline void ss_weight_terms(const double *x, const double *w, double part[4][SS_W])
{
    const vpair power = ss_mantissa(v_load(x));
    const vpair first = ss_two_prod(power.hi, v_load(w)), second = ss_two_prod(power.lo, v_load(w));
    v_store(part[0], first.hi);
    v_store(part[1], first.lo);
    v_store(part[2], second.hi);
    v_store(part[3], second.lo);
}

/* log|sum| of the pair times 2^exponent, plus shift. */
static inline double ss_log_scaled(double hi, double lo, double exponent, double shift)
{
    int more;
    hi = 2.0 * frexp(hi, &more);
    more -= 1;
    const vd k = v_set1(exponent + more);
    vpair mantissa = ss_fast_two_sum(v_set1(hi - 1.0), v_set1(ldexp(lo, -more)));
    vpair log = ss_log1p_pair(mantissa), ln2 = ss_two_prod(k, v_set1(SS_LN2_HI));
    ln2.lo = v_fma(k, v_set1(SS_LN2_LO), ln2.lo);
    vpair above = ss_pair_add(ln2, log), sum = ss_two_sum(v_set1(shift), above.hi);
    return lane(v_add(sum.hi, v_add(sum.lo, above.lo)));
}

/* log|sum| and the sum's sign, of a sum over 2^exponent. The pair errs by 2^-56.5 of the sum of magnitudes: near 0 that
   is too much for weights of one sign, and the ladder rounds correctly; for both signs it lies within the bound. */
static inline double ss_weighted_log(const ss_weighted *row, double hi, double lo, int single, double *sign, int *near)
{
    *near = 0;
    *sign = hi > 0.0 ? 1.0 : hi < 0.0 ? -1.0 : 0.0;
    if (hi == 0.0) return -INFINITY;
    const double value = ss_log_scaled(fabs(hi), hi < 0.0 ? -lo : lo, row->exponent, row->shift);
    *near = !(row->positive && row->negative) && !(fabs(value) >= (single ? 0x1p-30 : 0x1p-4));
    return value;
}
#endif
