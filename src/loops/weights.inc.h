/* SPDX-License-Identifier: BSD-3-Clause
   logsumexp with weights of any sign: every product w e^x is added exactly, so the sum depends on no order. A product
   is kept as doubles below 2 and an integer exponent, so no weight overflows and no subnormal one loses digits. */
#ifndef SS_WEIGHTS
#define SS_WEIGHTS

#define SS_WEIGHT_REACH 3000.0 /* log|w| spans 1455: an element further below the largest x adds nothing */

/* What the terms of a row are: x - shift, and the largest exponent of a term. `up`, `down`: terms of +inf and -inf. */
typedef struct {
    double peak, shift, exponent;
    int up, down, unordered, positive, negative;
} ss_weighted;

/* The exponents of n terms w e^x; x becomes what the terms are made of, and w its mantissa, 0 where nothing is left. */
static void ss_weight_exponents(const ss_weighted *row, ptrdiff_t n, double *x, double *w, double *exponents)
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

/* log|sum| of the pair times 2^exponent, plus shift. */
static double ss_log_scaled(double hi, double lo, double exponent, double shift)
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
#endif

/* Elements and weights as doubles. An element that is left out, or has the weight 0, becomes -inf with the weight 0. */
static void FN(weight_tile)(const ss_job *job, ss_offsets row, ptrdiff_t first, ptrdiff_t n, double *x, double *w)
{
    const int last = job->reduced - 1;
    const ptrdiff_t run = job->reduced_shape[last];
    for (ptrdiff_t i = 0; i < n;) {
        const ss_offsets at = element_offsets(job, row, first + i);
        ptrdiff_t count = run - (first + i) % run;
        if (count > n - i) count = n - i;
        for (ptrdiff_t j = 0; j < count; j++, i++) {
            REAL value, weight;
            memcpy(&value, job->x + at.x + j * job->reduced_x[last], sizeof value);
            memcpy(&weight, job->b + at.y + j * job->reduced_y[last], sizeof weight);
            const int absent = (job->mask && !job->mask[at.mask + j * job->reduced_mask[last]]) || weight == (REAL)0.0;
            x[i] = absent ? -INFINITY : (double)value;
            w[i] = absent ? 0.0 : (double)weight;
        }
    }
}

/* ss_fetch of the ladder. All weights are of one sign here. */
static void FN(weight_fetch)(const void *row, ptrdiff_t first, ptrdiff_t length, double *x, double *weights)
{
    const FN(row_reader) *reader = row;
    FN(weight_tile)(reader->job, reader->at, first, length, x, weights);
    for (ptrdiff_t i = 0; i < length; i++) weights[i] = fabs(weights[i]);
}

static ss_weighted FN(weight_scan)(const ss_job *job, ss_offsets at)
{
    double x[TILE + STEP], w[TILE + STEP], exponents[TILE + STEP];
    ss_weighted row = {-INFINITY, 0.0, -INFINITY, 0, 0, 0, 0, 0};
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t n = job->n - i < TILE ? job->n - i : TILE;
        FN(weight_tile)(job, at, i, n, x, w);
        for (ptrdiff_t j = 0; j < n; j++) {
            if (w[j] == 0.0) continue;
            if (isnan(x[j]) || isnan(w[j]) || (isinf(w[j]) && x[j] == -INFINITY)) {
                row.unordered = 1;
            } else if (x[j] == INFINITY || isinf(w[j])) {
                if (w[j] > 0.0) row.up = 1; else row.down = 1;
            } else if (x[j] > -INFINITY) {
                if (w[j] > 0.0) row.positive = 1; else row.negative = 1;
                if (x[j] > row.peak) row.peak = x[j];
            }
        }
    }
    if (row.unordered || row.up || row.down || !(row.positive || row.negative)) return row;
    if (fabs(row.peak) > SS_HUGE) row.shift = row.peak;
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t n = job->n - i < TILE ? job->n - i : TILE;
        FN(weight_tile)(job, at, i, n, x, w);
        for (ptrdiff_t j = n; j < n + SS_W; j++) x[j] = 0.0;
        ss_weight_exponents(&row, n, x, w, exponents);
        for (ptrdiff_t j = 0; j < n; j++)
            if (exponents[j] > row.exponent) row.exponent = exponents[j];
    }
    return row;
}

/* The sum over 2^exponent. Both halves of e^x times the mantissa are exact, so terms of one x cancel exactly. */
static void FN(weight_sum)(const ss_job *job, ss_offsets at, const ss_weighted *row, double *hi, double *lo)
{
    double x[TILE + STEP], w[TILE + STEP], exponents[TILE + STEP];
    ss_exact exact;
    ss_exact_start(&exact, (int64_t)row->exponent);
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t n = job->n - i < TILE ? job->n - i : TILE;
        FN(weight_tile)(job, at, i, n, x, w);
        for (ptrdiff_t j = n; j < n + SS_W; j++) x[j] = w[j] = 0.0;
        ss_weight_exponents(row, n, x, w, exponents);
        for (ptrdiff_t j = 0; j < n; j += SS_W) {
            const vpair power = ss_mantissa(v_load(x + j));
            const vpair first = ss_two_prod(power.hi, v_load(w + j)), second = ss_two_prod(power.lo, v_load(w + j));
            double part[4][SS_W];
            v_store(part[0], first.hi);
            v_store(part[1], first.lo);
            v_store(part[2], second.hi);
            v_store(part[3], second.lo);
            for (ptrdiff_t k = 0; k < SS_W && j + k < n; k++) {
                if (!(exponents[j + k] > row->exponent - 300.0)) continue; /* below the digits that are kept */
                for (int p = 0; p < 4; p++) ss_exact_add(&exact, part[p][k], (int64_t)exponents[j + k]);
            }
        }
    }
    ss_exact_result(&exact, (int64_t)row->exponent, hi, lo);
}

/* log|sum| and the sum's sign. The pair errs by 2^-56.5 of the sum of magnitudes: near 0 that is too much for weights
   of one sign, and the ladder rounds correctly; for both signs it lies within the bound. */
static double FN(weight_value)(const ss_job *job, ss_offsets at, double *sign)
{
    const ss_weighted row = FN(weight_scan)(job, at);
    *sign = NAN;
    if (row.unordered || (row.up && row.down)) return NAN;
    *sign = row.up ? 1.0 : row.down ? -1.0 : 0.0;
    if (row.up || row.down) return INFINITY;
    if (!row.positive && !row.negative) return -INFINITY;
    double hi, lo;
    FN(weight_sum)(job, at, &row, &hi, &lo);
    *sign = hi > 0.0 ? 1.0 : hi < 0.0 ? -1.0 : 0.0;
    if (hi == 0.0) return -INFINITY;
    const double value = ss_log_scaled(fabs(hi), hi < 0.0 ? -lo : lo, row.exponent, row.shift);
    if ((row.positive && row.negative) || fabs(value) >= (SINGLE ? 0x1p-30 : 0x1p-4)) return value;
    const FN(row_reader) reader = {job, at};
    return ss_ladder_logsumexp(FN(weight_fetch), &reader, job->n, 1, 1.0, SINGLE);
}

/* Results and signs lie in C order, so that the strides of y are free for b. */
static void FN(weight_row)(const ss_job *job, ptrdiff_t row)
{
    double sign;
    const double value = FN(weight_value)(job, row_offsets(job, row), &sign);
    ((REAL *)job->y)[row] = (REAL)(job->sign || !(sign < 0.0) ? value : NAN);
    if (job->sign) ((REAL *)job->sign)[row] = (REAL)sign;
}
