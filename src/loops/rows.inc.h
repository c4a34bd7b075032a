/* SPDX-License-Identifier: BSD-3-Clause
   Rows whose elements are the lanes. Included once per real type: REAL, SINGLE, FN(name). A row is read in tiles of
   TILE elements, straight from memory where it lies contiguous, else gathered into a buffer; every step works on one
   tile. */
#ifndef SS_OFFSETS
#define SS_OFFSETS
typedef struct {
    ptrdiff_t x, y, mask; /* byte offsets of the row */
} ss_offsets;

static inline ss_offsets row_offsets(const ss_job *job, ptrdiff_t row)
{
    ss_offsets at = {0, 0, 0};
    for (int d = job->kept - 1; d >= 0; d--) {
        ptrdiff_t i = row % job->kept_shape[d];
        row /= job->kept_shape[d];
        at.x += i * job->kept_x[d];
        at.y += i * job->kept_y[d];
        at.mask += i * job->kept_mask[d];
    }
    return at;
}

static inline ss_offsets element_offsets(const ss_job *job, ss_offsets at, ptrdiff_t element)
{
    for (int d = job->reduced - 1; d >= 0; d--) {
        ptrdiff_t i = element % job->reduced_shape[d];
        element /= job->reduced_shape[d];
        at.x += i * job->reduced_x[d];
        at.y += i * job->reduced_y[d];
        at.mask += i * job->reduced_mask[d];
    }
    return at;
}
#endif

/* Elements [first, first + length) of a row, minus shift; -inf where masked. `buffer` holds TILE + STEP. */
static const REAL *FN(tile)(const ss_job *job, ss_offsets row, ptrdiff_t first, ptrdiff_t length, double shift,
                            REAL *buffer)
{
    if (job->reduced == 1 && job->reduced_x[0] == (ptrdiff_t)sizeof(REAL) && !job->mask && shift == 0.0)
        return (const REAL *)(job->x + row.x) + first;
    const ptrdiff_t run = job->reduced ? job->reduced_shape[job->reduced - 1] : 1;
    const ptrdiff_t step = job->reduced ? job->reduced_x[job->reduced - 1] : 0;
    const ptrdiff_t mask_step = job->reduced ? job->reduced_mask[job->reduced - 1] : 0;
    for (ptrdiff_t i = 0; i < length;) {
        ss_offsets at = element_offsets(job, row, first + i);
        ptrdiff_t count = run - (first + i) % run;
        if (count > length - i) count = length - i;
        for (ptrdiff_t j = 0; j < count; j++, i++) {
            REAL value;
            memcpy(&value, job->x + at.x + j * step, sizeof value);
            if (job->mask && !job->mask[at.mask + j * mask_step]) value = -(REAL)INFINITY;
            buffer[i] = value - (REAL)shift;
        }
    }
    return buffer;
}

/* The two largest elements (equal if the largest occurs twice). A NaN may be lost here; the sum shows it. */
static void FN(peaks)(const REAL *x, ptrdiff_t n, REAL *peak, REAL *second)
{
    const REAL lowest = -(REAL)INFINITY;
    vr a[2] = {vr_set1(lowest), vr_set1(lowest)}, b[2] = {vr_set1(lowest), vr_set1(lowest)};
    ptrdiff_t i = 0;
    for (; i + 2 * WR <= n; i += 2 * WR)
        for (int j = 0; j < 2; j++) {
            vr value = vr_load(x + i + j * WR);
            if (second) b[j] = vr_max(b[j], vr_min(a[j], value));
            a[j] = vr_max(a[j], value);
        }
    REAL top[2 * WR], next[2 * WR];
    for (int j = 0; j < 2; j++) {
        vr_store(top + j * WR, a[j]);
        vr_store(next + j * WR, b[j]);
    }
    REAL first = lowest, other = lowest;
    const int lanes = i ? 2 * WR : 0;
    for (int j = 0; j < lanes; j++) {
        REAL value = top[j], rest = next[j];
        REAL smaller = value < first ? value : first;
        other = rest > smaller ? (rest > other ? rest : other) : (smaller > other ? smaller : other);
        first = value > first ? value : first;
    }
    for (; i < n; i++) {
        REAL smaller = x[i] < first ? x[i] : first;
        other = smaller > other ? smaller : other;
        first = x[i] > first ? x[i] : first;
    }
    *peak = first;
    if (second) *second = other;
}

/* Rows with an infinite or no largest element, and rows in which only one element is above -inf. */
static ss_sum FN(special)(const REAL *x, ptrdiff_t n)
{
    ss_sum sum = {-INFINITY, 0.0, 0.0, 0.0};
    ptrdiff_t infinities = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        if (isnan(x[i])) sum.hi = NAN;
        infinities += x[i] == (REAL)INFINITY;
        if (x[i] > sum.peak) sum.peak = x[i];
    }
    if (infinities && !isnan(sum.hi)) sum.hi = (double)infinities;
    if (isfinite(sum.peak) && fabs(sum.peak) <= SS_HUGE) sum.exponent = lane(ss_exponent(v_set1(sum.peak)));
    return sum;
}

/* The loop of the library: terms of n elements, summed at the scale of `bound`. With `rest` larger elements count as
   `bound`. */
static inline vpair FN(sum_terms)(const REAL *x, ptrdiff_t n, double bound, int rest, double *terms)
{
    SS_TABLES;
    FN(sum) sum;
    FN(start)(&sum);
    const vd highest = v_set1(bound), lowest = v_set1(bound - FN(REACH));
    const vi scale = ss_scale_bits(ss_exponent(highest), FN(OFFSET));
    ptrdiff_t i = 0;
    for (; i + STEP <= n; i += STEP) {
        /* The next tile's peak is wanted next: fetch it while this one keeps the arithmetic units busy. */
        for (size_t line = 0; line < STEP * sizeof(REAL); line += 64)
            v_prefetch((const char *)(x + n + i) + line);
        for (int j = 0; j < 4; j++) {
            vd value = v_max(lowest, FN(load)(x + i + j * SS_W));
            if (rest) value = v_min(highest, value);
            FN(accumulate)(&sum, j, value, scale, table_hi, table_lo,
                           terms ? terms + i + j * SS_W : NULL);
        }
    }
    if (i < n) {
        REAL tail[STEP];
        const ptrdiff_t left = n - i;
        for (ptrdiff_t j = 0; j < STEP; j++) tail[j] = j < left ? x[i + j] : -(REAL)INFINITY;
        for (int j = 0; j < 4 && j * SS_W < left; j++) {
            vd value = v_max(lowest, FN(load)(tail + j * SS_W));
            if (rest) value = v_min(highest, value);
            FN(accumulate)(&sum, j, value, scale, table_hi, table_lo,
                           terms ? terms + i + j * SS_W : NULL);
        }
    }
    return FN(total)(&sum);
}

/* Adds the lanes of a total. */
static inline vpair FN(across)(vpair total)
{
    double hi[SS_W], lo[SS_W];
    v_store(hi, total.hi);
    v_store(lo, total.lo);
    double sum = hi[0], low = lo[0];
    for (int j = 1; j < SS_W; j++) {
        double next = sum + hi[j], part = next - sum;
        low += (sum - (next - part)) + (hi[j] - part) + lo[j];
        sum = next;
    }
    return ss_fast_two_sum(v_set1(sum), v_set1(low));
}

static ss_sum FN(sum_tile)(const REAL *x, ptrdiff_t n, int rest, double *terms)
{
    REAL peak, second;
    FN(peaks)(x, n, &peak, rest ? &second : NULL);
    if (!(peak < (REAL)INFINITY && peak > -(REAL)INFINITY)) return FN(special)(x, n);
    ss_sum sum = {(double)peak, 0.0, 0.0, 0.0};
    if (fabs(sum.peak) > SS_HUGE) return FN(special)(x, n);
    const double bound = rest ? (double)second : sum.peak;
    if (!(bound > -SS_HUGE)) return FN(special)(x, n);
    vpair total = FN(across)(rest    ? FN(sum_terms)(x, n, bound, 1, NULL)
                             : terms ? FN(sum_terms)(x, n, bound, 0, terms)
                                     : FN(sum_terms)(x, n, bound, 0, NULL));
    if (rest) {
        SS_TABLES;
        vpair extra = FN(term)(v_set1(bound), ss_scale_bits(ss_exponent(v_set1(bound)), 0), table_hi, table_lo);
        total = ss_pair_add(total, ss_pair(v_sub(v_set1(0.0), extra.hi), v_sub(v_set1(0.0), extra.lo)));
    }
    sum.hi = lane(total.hi);
    sum.lo = lane(total.lo);
    sum.exponent = lane(ss_exponent(v_set1(bound)));
    return sum;
}

/* The sum of two partial results; `rest`: the smaller peak joins the sum,
   as the very term that it is in any other order. */
static ss_sum FN(merge)(ss_sum a, ss_sum b, int rest)
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
    /* Between finite peaks: add at the larger scale. Exact shifts; the pair additions lose 2^-104 each. */
    SS_TABLES;
    vpair sum = ss_pair(v_set1(a.hi), v_set1(a.lo)), other = ss_pair(v_set1(b.hi), v_set1(b.lo));
    vd exponent = v_set1(a.exponent), other_exponent = v_set1(b.exponent);
    for (int i = 0; i < (rest ? 2 : 1); i++) {
        vd larger = v_max(exponent, other_exponent);
        sum = ss_pair_add(ss_pair_shift(sum, v_sub(exponent, larger)),
                          ss_pair_shift(other, v_sub(other_exponent, larger)));
        exponent = larger;
        other_exponent = ss_exponent(v_set1(b.peak));
        other = FN(term)(v_set1(b.peak), ss_scale_bits(other_exponent, 0), table_hi, table_lo);
    }
    a.hi = lane(sum.hi);
    a.lo = lane(sum.lo);
    a.exponent = lane(exponent);
    return a;
}

static ss_sum FN(part)(const ss_job *job, ptrdiff_t row, ptrdiff_t first, ptrdiff_t last, double shift)
{
    REAL buffer[TILE + STEP];
    const int rest = job->operation != SS_SOFTMAX;
    const ss_offsets at = row_offsets(job, row);
    ss_sum sum = {-INFINITY, 0.0, 0.0, 0.0};
    for (ptrdiff_t i = first; i < last; i += TILE) {
        const ptrdiff_t length = last - i < TILE ? last - i : TILE;
        ss_sum next = FN(sum_tile)(FN(tile)(job, at, i, length, shift, buffer), length, rest, NULL);
        sum = i == first ? next : FN(merge)(sum, next, rest);
    }
    return sum;
}
#include "conclude.inc.h"
#include "panels.inc.h"
