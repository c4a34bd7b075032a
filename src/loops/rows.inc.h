/* SPDX-License-Identifier: BSD-3-Clause
   Rows whose elements are the lanes. Included once per real type: REAL, SINGLE, FN(name). A row is read in tiles of
   TILE elements, straight from memory where it lies contiguous, else gathered into a buffer; every step works on one
   tile. */
#ifndef SS_OFFSETS
#define SS_OFFSETS
/* As v_prefetch, which GCC drops from functions that it must inline. */
#if defined(__GNUC__) || defined(__clang__)
#define SS_PREFETCH(p) __builtin_prefetch(p)
#else
#define SS_PREFETCH(p) v_prefetch(p)
#endif

/* How a result comes about: as x less a logarithm, from a kept term, or from the term computed again. */
enum { SS_DIFFERENCE, SS_KEPT, SS_AGAIN, SS_AGAIN_NEAR };

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

/* What the sum of a tile has to know beforehand; a NaN may be lost here, and the sum shows it. */
typedef struct {
    REAL peak, second; /* second: the largest but for one peak */
    ptrdiff_t at;      /* where that peak is */
} FN(extent);

/* The tile is scanned in blocks, lane by lane; only the lane and the block of the peak are looked at again. */
static inline FN(extent) FN(scan)(const REAL *x, ptrdiff_t n, int second)
{
    enum { LANES = 2 * WR, BLOCK = 16 * LANES };
    REAL maxima[TILE / BLOCK + 2][LANES], tops[LANES];
    const REAL none = -(REAL)INFINITY;
    vr high[2] = {vr_set1(none), vr_set1(none)};
    const ptrdiff_t whole = n - n % LANES;
    ptrdiff_t blocks = 0;
    for (ptrdiff_t i = 0; i < whole; blocks++) {
        const ptrdiff_t stop = i + BLOCK < whole ? i + BLOCK : whole;
        vr top[2] = {vr_load(x + i), vr_load(x + i + WR)};
        for (; i < stop; i += LANES)
            for (int j = 0; j < 2; j++) top[j] = vr_max(top[j], vr_load(x + i + j * WR));
        for (int j = 0; j < 2; j++) {
            high[j] = vr_max(high[j], top[j]);
            vr_store(maxima[blocks] + j * WR, top[j]);
        }
    }
    for (int j = 0; j < 2; j++) vr_store(tops + j * WR, high[j]);
    FN(extent) found = {none, none, -1};
    const ptrdiff_t left = n - whole, tail = blocks;
    if (left) {
        for (ptrdiff_t j = 0; j < LANES; j++) {
            maxima[tail][j] = j < left ? x[whole + j] : none;
            tops[j] = maxima[tail][j] > tops[j] ? maxima[tail][j] : tops[j];
        }
        blocks++;
    }
    for (int j = 0; j < LANES; j++) found.peak = tops[j] > found.peak ? tops[j] : found.peak;
    if (!second || found.peak == none) return found;
    int lane = 0;
    while (lane < LANES - 1 && tops[lane] != found.peak) lane++;
    tops[lane] = none;
    for (int j = 0; j < LANES; j++) found.second = tops[j] > found.second ? tops[j] : found.second;
    for (ptrdiff_t block = 0; block < blocks; block++) {
        const REAL top = maxima[block][lane];
        if (found.at >= 0 || top != found.peak) {
            found.second = top > found.second ? top : found.second;
            continue;
        }
        ptrdiff_t i = (block == tail ? whole : block * BLOCK) + lane;
        const ptrdiff_t stop = block == tail ? n : block * BLOCK + BLOCK < whole ? block * BLOCK + BLOCK : whole;
        for (; i < stop; i += LANES) {
            if (found.at < 0 && x[i] == found.peak)
                found.at = i;
            else
                found.second = x[i] > found.second ? x[i] : found.second;
        }
    }
    return found;
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
    if (ss_reducible(sum.peak)) sum.exponent = lane(ss_exponent(v_set1(sum.peak)));
    return sum;
}

/* One step of the sum. What lies below `lowest` counts as that: its term would leave the normal numbers. */
static SS_INLINE void FN(sum_step)(FN(sum) *sum, const REAL *x, vd lowest, vi scale, int near, int keep, double *terms)
{
    enum { BESIDE = FN(BESIDE) };
    for (int j = 0; j < 4; j += BESIDE) {
        vd value[BESIDE];
        for (int i = 0; i < BESIDE; i++) value[i] = v_max(lowest, FN(load)(x + (j + i) * SS_W));
        FN(add)(sum, j, BESIDE, value, scale, near, keep, terms + (keep ? j * SS_W : 0));
    }
}

/* The loop of the library: terms of n elements, but for the one at `skip` if that is not negative, at the scale of
   `bound`. `near` and `keep` are constants. */
static SS_INLINE vpair FN(sum_terms)(const REAL *x, ptrdiff_t n, double bound, ptrdiff_t skip, int near, int keep,
                                     double *terms)
{
    FN(sum) sum;
    FN(start)(&sum);
    const vd lowest = v_set1(bound - FN(REACH));
    const vi scale = ss_scale_bits(ss_exponent(v_set1(bound)), FN(OFFSET));
    for (ptrdiff_t i = 0; i < n;) {
        const ptrdiff_t stop = i <= skip ? skip - skip % STEP : n - n % STEP;
        for (; i < stop; i += STEP) {
            /* The next tile's peak is wanted next: fetch it while this one keeps the arithmetic units busy. */
            for (size_t line = 0; line < STEP * sizeof(REAL); line += 64)
                SS_PREFETCH((const char *)(x + n + i) + line);
            FN(sum_step)(&sum, x + i, lowest, scale, near, keep, terms + (keep ? i : 0));
        }
        if (i == n) break;
        REAL edge[STEP]; /* the step that lacks an element, or the end */
        const ptrdiff_t left = n - i < STEP ? n - i : STEP;
        for (ptrdiff_t j = 0; j < STEP; j++) edge[j] = j < left && i + j != skip ? x[i + j] : -(REAL)INFINITY;
        FN(sum_step)(&sum, edge, lowest, scale, near, keep, terms + (keep ? i : 0));
        i += left;
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

/* `rest` leaves one peak out. `terms` has room for a whole STEP beyond n. */
static ss_sum FN(sum_tile)(const REAL *x, ptrdiff_t n, int rest, double *terms)
{
    const FN(extent) extent = rest ? FN(scan)(x, n, 1) : FN(scan)(x, n, 0);
    const double bound = (double)(rest ? extent.second : extent.peak);
    if (!ss_reducible((double)extent.peak) || !ss_reducible(bound)) return FN(special)(x, n);
    const int near = SINGLE && fabs(bound) <= SS_EXP_NEAR;
    const ptrdiff_t skip = rest ? extent.at : -1;
    const vpair total = FN(across)(terms  ? near ? FN(sum_terms)(x, n, bound, skip, 1, 1, terms)
                                                 : FN(sum_terms)(x, n, bound, skip, 0, 1, terms)
                                   : near ? FN(sum_terms)(x, n, bound, skip, 1, 0, NULL)
                                          : FN(sum_terms)(x, n, bound, skip, 0, 0, NULL));
    const ss_sum sum = {(double)extent.peak, lane(total.hi), lane(total.lo), lane(ss_exponent(v_set1(bound))), skip};
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
    if (isnan(a.hi) || !ss_reducible(a.peak) || !ss_reducible(b.peak)) return a;
    /* Between finite peaks: add at the larger scale. Exact shifts; the pair additions lose 2^-105 each. */
    SS_TABLES;
    vpair sum = ss_pair_set(a.hi, a.lo), other = ss_pair_set(b.hi, b.lo);
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

/* Beyond SS_HUGE the sum of a row is done again for x - peak: returns that shift, or 0. */
static double FN(shift_sum)(const ss_job *job, ptrdiff_t row, ss_sum *sum)
{
    if (!isfinite(sum->peak) || fabs(sum->peak) <= SS_HUGE) return 0.0;
    const double shift = sum->peak;
    *sum = FN(part)(job, row, 0, job->n, shift);
    return shift;
}

/* As FN(part) for a whole row, whose terms are kept tile by tile; exponents[tile] is NaN where a tile has none. */
static ss_sum FN(kept_sum)(const ss_job *job, ss_offsets at, double *terms, double *exponents)
{
    REAL buffer[TILE + STEP];
    ss_sum sum = {-INFINITY, 0.0, 0.0, 0.0};
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t length = job->n - i < TILE ? job->n - i : TILE;
        ss_sum next = FN(sum_tile)(FN(tile)(job, at, i, length, 0.0, buffer), length, 0, terms);
        *exponents++ = next.hi > 0.0 && isfinite(next.peak) ? next.exponent : NAN;
        sum = i == 0 ? next : FN(merge)(sum, next, 0);
        terms += FN(KEPT);
    }
    return sum;
}
#include "conclude.inc.h"
#include "blocks.inc.h"
#include "panels.inc.h"
