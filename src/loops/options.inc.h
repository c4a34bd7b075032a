/* SPDX-License-Identifier: BSD-3-Clause
   softmax with a temperature or a floor, log_softmax with a temperature. The quotient (x - peak) / T is kept as a pair
   of doubles for both real types, and every sum is added exactly: the digits of a term depend on x, T, the peak and the
   scale alone, so no order, width or thread can change a bit. */
#ifndef SS_OPTIONS
#define SS_OPTIONS

enum { SS_QUOTIENT_OFFSET = 300 }; /* terms are scaled by 2^300: those that give subnormal results stay normal */
#define SS_QUOTIENT_REACH 746.0     /* below peak - REACH the result is 0 */
#define SS_QUOTIENT_LOWEST (-1300.0) /* a rest below e^-1300 is 0 beside 1, whatever the number of terms */

/* (x - peak) / T = (x before - peak before) scale[0] scale[1] / divisor. `before` keeps the difference from overflow;
   the powers of two bring T into [0.5, 1), so that the remainder of the division does not underflow. */
typedef struct {
    double peak, before, divisor, scale[2], bound;
} ss_quotient;

static ss_quotient ss_quotient_of(double peak, double temperature)
{
    ss_quotient by;
    int exponent;
    by.before = fabs(peak) > 0x1p960 ? 0.5 : 1.0; /* at 2^960 or less even the largest x takes no notice */
    by.peak = peak * by.before;
    by.divisor = frexp(temperature, &exponent);
    exponent = -exponent + (by.before == 0.5);
    by.scale[0] = ldexp(1.0, exponent / 2);
    by.scale[1] = ldexp(1.0, exponent - exponent / 2);
    by.bound = 0.0;
    return by;
}

static inline vpair ss_divide(const ss_quotient *by, vd x)
{
    const vd first = v_set1(by->scale[0]), second = v_set1(by->scale[1]), divisor = v_set1(by->divisor);
    vpair d = ss_two_sum(v_mul(x, v_set1(by->before)), v_set1(-by->peak));
    vd hi = v_mul(v_mul(d.hi, first), second), lo = v_mul(v_mul(d.lo, first), second);
    vd q = v_div(hi, divisor);
    vd rest = v_div(v_add(v_fnma(q, divisor, hi), lo), divisor);
    /* -inf, or a quotient beyond the largest double: the rest is NaN */
    return ss_pair(q, v_select(v_eq(q, v_set1(-INFINITY)), v_set1(0.0), rest));
}

/* Quotients, or their terms at the scale of e^bound, of n doubles in `x`, which has room for a whole STEP beyond. */
static void ss_divide_tile(const ss_quotient *by, int terms, const double *x, ptrdiff_t n, double *hi, double *lo)
{
    SS_TABLES;
    const vd lowest = v_set1(by->bound - SS_QUOTIENT_REACH);
    const vi scale = ss_scale_bits(ss_exponent(v_set1(by->bound)), SS_QUOTIENT_OFFSET);
    for (ptrdiff_t i = 0; i < n; i += SS_W) {
        vpair q = ss_divide(by, v_load(x + i));
        if (terms) {
            const vm below = v_lt(q.hi, lowest);
            q = ss_pair(v_select(below, lowest, q.hi), v_select(below, v_set1(0.0), q.lo));
            q = ss_exp_pair(q.hi, q.lo, scale, table_hi, table_lo);
        }
        v_store(hi + i, q.hi);
        v_store(lo + i, q.lo);
    }
}

static inline void ss_apply_floor(double floor, ptrdiff_t n, double *hi, double *lo)
{
    const double least = floor * 0x1p300;
    for (ptrdiff_t i = 0; i < n; i++)
        if (hi[i] < least) {
            hi[i] = least;
            lo[i] = 0.0;
        }
}

/* y = term * factor, or quotient - factor: two numbers of one sign. */
static inline void ss_quotient_results(int logarithm, vpair factor, ptrdiff_t n, const double *hi, const double *lo,
                                       double *y)
{
    for (ptrdiff_t i = 0; i < n; i += SS_W) {
        const vpair a = ss_pair(v_load(hi + i), v_load(lo + i));
        vd value;
        if (logarithm) {
            vpair sum = ss_two_sum(a.hi, v_sub(v_set1(0.0), factor.hi));
            value = v_add(sum.hi, v_add(sum.lo, v_sub(a.lo, factor.lo)));
            value = v_select(v_eq(a.hi, v_set1(-INFINITY)), a.hi, value);
        } else {
            value = product_f64(a, factor);
        }
        v_store(y + i, value);
    }
}
#endif

/* Elements as doubles; in a row with a peak of +inf, 0 stands for +inf and -inf for the others. */
static void FN(option_values)(const ss_job *job, ss_offsets at, ptrdiff_t first, ptrdiff_t n, int infinite,
                              double *values)
{
    REAL buffer[TILE + STEP];
    const REAL *x = FN(tile)(job, at, first, n, 0.0, buffer);
    for (ptrdiff_t i = 0; i < n; i++) values[i] = (double)x[i];
    if (infinite)
        for (ptrdiff_t i = 0; i < n; i++) values[i] = values[i] == INFINITY ? 0.0 : -INFINITY;
    for (ptrdiff_t i = n; i < n + SS_W; i++) values[i] = -INFINITY;
}

/* Terms of a tile. An element at -inf has the floor as its term; one that does not take part has none. */
static void FN(option_terms)(const ss_job *job, ss_offsets at, ptrdiff_t first, ptrdiff_t n, const ss_quotient *by,
                             const double *values, double *hi, double *lo)
{
    ss_divide_tile(by, 1, values, n, hi, lo);
    if (job->floor == 0.0) return;
    ss_apply_floor(job->floor, n, hi, lo);
    if (!job->mask) return;
    for (ptrdiff_t i = 0; i < n; i++)
        if (!job->mask[element_offsets(job, at, first + i).mask]) hi[i] = lo[i] = 0.0;
}

/* The two largest elements of a row, how many are +inf (in hi), and NaN there if one is. */
static ss_sum FN(option_peaks)(const ss_job *job, ss_offsets at, double *second)
{
    REAL buffer[TILE + STEP];
    ss_sum sum = {-INFINITY, 0.0, 0.0, 0.0};
    *second = -INFINITY;
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t length = job->n - i < TILE ? job->n - i : TILE;
        const REAL *x = FN(tile)(job, at, i, length, 0.0, buffer);
        int unordered = 0;
        for (ptrdiff_t j = 0; j < length; j++) unordered |= isnan(x[j]) != 0;
        if (unordered) sum.hi = NAN;
        const FN(extent) extent = FN(scan)(x, length, 1);
        const double top = (double)extent.peak, next = (double)extent.second;
        if (top == INFINITY)
            for (ptrdiff_t j = 0; j < length; j++) sum.hi += x[j] == (REAL)INFINITY;
        const double smaller = top < sum.peak ? top : sum.peak;
        if (next > *second) *second = next;
        if (smaller > *second) *second = smaller;
        if (top > sum.peak) sum.peak = top;
    }
    return sum;
}

static void FN(option_write)(const ss_job *job, ss_offsets at, ptrdiff_t first, ptrdiff_t n, const double *values)
{
    const ptrdiff_t step = job->reduced_y[0];
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL value = (REAL)values[i];
        const ptrdiff_t y = job->reduced == 1 ? at.y + (first + i) * step : element_offsets(job, at, first + i).y;
        memcpy(job->y + y, &value, sizeof value);
    }
}

static void FN(option_row)(const ss_job *job, ptrdiff_t row)
{
    double values[TILE + STEP], hi[TILE + STEP], lo[TILE + STEP];
    const ss_offsets at = row_offsets(job, row);
    const int logarithm = job->operation == SS_LOG_SOFTMAX;
    double second;
    const ss_sum peaks = FN(option_peaks)(job, at, &second);
    /* Under a floor the finite elements of a row with +inf count too: 1 for each +inf, floor for the others. */
    const int infinite = peaks.peak == INFINITY && job->floor != 0.0;
    if (isnan(peaks.hi) || (!isfinite(peaks.peak) && !infinite)) {
        const ss_end end = FN(conclude)(job, row, peaks, 0.0);
        FN(write)(job, row, 0, job->n, &end);
        return;
    }
    ss_quotient by = ss_quotient_of(infinite ? 0.0 : peaks.peak, job->temperature);
    if (logarithm) by.bound = fmax(lane(ss_divide(&by, v_set1(second)).hi), SS_QUOTIENT_LOWEST);
    const int64_t exponent = (int64_t)lane(ss_exponent(v_set1(by.bound)));
    int skip = logarithm; /* one peak stays out */
    ss_exact exact;
    ss_exact_start(&exact, exponent);
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t length = job->n - i < TILE ? job->n - i : TILE;
        FN(option_values)(job, at, i, length, infinite, values);
        FN(option_terms)(job, at, i, length, &by, values, hi, lo);
        for (ptrdiff_t j = 0; j < length; j++) {
            if (skip && values[j] == peaks.peak) {
                skip = 0;
                continue;
            }
            ss_exact_add(&exact, hi[j], exponent - SS_QUOTIENT_OFFSET);
            ss_exact_add(&exact, lo[j], exponent - SS_QUOTIENT_OFFSET);
        }
    }
    double sum, low;
    ss_exact_result(&exact, exponent, &sum, &low);
    vpair total = ss_pair_set(sum, low);
    if (sum != 0.0) total = ss_canonical_round(total, SS_CANONICAL_BITS_PAIR);
    const vpair factor = logarithm ? ss_log_excess(v_set1(0.0), total, v_set1((double)exponent)) : ss_reciprocal(total);
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t length = job->n - i < TILE ? job->n - i : TILE;
        if (logarithm || job->n > TILE) {
            FN(option_values)(job, at, i, length, infinite, values);
            if (logarithm)
                ss_divide_tile(&by, 0, values, length, hi, lo);
            else
                FN(option_terms)(job, at, i, length, &by, values, hi, lo);
        }
        ss_quotient_results(logarithm, factor, length, hi, lo, values);
        FN(option_write)(job, at, i, length, values);
    }
}
