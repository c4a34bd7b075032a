/* SPDX-License-Identifier: BSD-3-Clause
   logcumsumexp: logsumexp of every prefix of a row, with the bits of logsumexp itself. The sum without one peak runs
   along the row as a pair; blocks of prefixes are concluded together. A pair addition errs by less than 2^-104 of the
   sum and nothing else does (scaling is exact), so the sum of k terms is within (k - 1) 2^-104 of the exact one, and
   the canonical rounding decides as everywhere. Prefixes that it cannot decide are rows of their own. Near 0 the
   ladder's sum runs along, too. */
#include "prefix.inc.h"

#ifndef SS_CUMULATIVE
#define SS_CUMULATIVE

enum { SS_BLOCK = 128 };

/* Beyond SS_HUGE one ulp of the peak is 2^-7 or more, so log(total) in plain doubles decides all but a few prefixes.
   total: sum of e^(x - peak) over the first `seen` elements, relative error below (seen + 8) 2^-48. */
typedef struct {
    ptrdiff_t seen;
    double peak, total;
} ss_huge_sum;

static void ss_huge_add(ss_huge_sum *sum, const double *x, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        if (x[i] > sum->peak) {
            sum->total = sum->total * exp(sum->peak - x[i]) + 1.0;
            sum->peak = x[i];
        } else if (x[i] > -INFINITY) {
            sum->total += exp(x[i] - sum->peak);
        }
    }
    sum->seen += n;
}

/* What runs along a row. `rest` is the same in all lanes, over 2^level. */
typedef struct {
    double peak, level;
    vpair rest;
    int unordered; /* a NaN has been met */
    ss_huge_sum huge;
    ss_ladder_sum near;
} ss_prefix;
#endif

/* The prefix of n elements as a row of its own, from its sum (shift 0) or from its peak (else). */
static double FN(prefix_value)(const ss_job *job, ptrdiff_t row, ptrdiff_t n, ss_sum sum, double shift)
{
    ss_job prefix = *job;
    prefix.n = n;
    if (shift != 0.0) sum = FN(part)(&prefix, row, 0, n, shift);
    return FN(conclude)(&prefix, row, sum, shift).value;
}

static double FN(huge_value)(const ss_job *job, ptrdiff_t row, ptrdiff_t n, double peak, ss_huge_sum *sum)
{
    enum { COUNT = 256 };
    double x[COUNT];
    const FN(row_reader) reader = {job, row_offsets(job, row)};
    while (sum->seen < n) {
        const ptrdiff_t count = n - sum->seen < COUNT ? n - sum->seen : COUNT;
        FN(fetch)(&reader, sum->seen, count, x, NULL);
        ss_huge_add(sum, x, count);
    }
    const double log_total = log(sum->total), slack = (double)(n + 16) * 0x1p-46;
    const double below = peak + (log_total - slack), above = peak + (log_total + slack);
    const ss_sum none = {peak, 0.0, 0.0, 0.0};
    return below == above ? below : FN(prefix_value)(job, row, n, none, peak);
}

static double FN(near_value)(const ss_job *job, ptrdiff_t row, ptrdiff_t n, double peak, ss_ladder_sum *sum)
{
    const FN(row_reader) reader = {job, row_offsets(job, row)};
    double hi, lo, value = NAN;
    if (ss_ladder_prefix_excess(sum, FN(fetch), &reader, n, peak, &hi, &lo)) value = ss_log1p_certain(hi, lo, SINGLE);
    return isnan(value) ? ss_ladder_prefix(sum, FN(fetch), &reader, n, peak, SINGLE) : value;
}

/* The rest of each prefix: an element, or the peak that it replaces, joins it. Returns how many elements come before a
   NaN. The first element of a row joins nothing, and what lies below -SS_HUGE adds nothing to a peak that does not. */
static ptrdiff_t FN(block_sums)(const REAL *x, ptrdiff_t n, ss_prefix *prefix, double *peak, double *hi, double *lo,
                                double *level)
{
    SS_TABLES;
    double joining[SS_BLOCK], exponent[SS_BLOCK], term[2][SS_BLOCK];
    ptrdiff_t ordered = 0;
    for (; ordered < n && !isnan(x[ordered]); ordered++) {
        const double value = (double)x[ordered], last = prefix->peak;
        joining[ordered] = value < last ? value : last;
        peak[ordered] = prefix->peak = value < last ? last : value;
    }
    prefix->unordered = ordered < n;
    for (ptrdiff_t i = ordered; i % SS_W; i++) joining[i] = peak[i] = hi[i] = lo[i] = level[i] = -SS_HUGE;
    const vd lowest = v_set1(-SS_HUGE);
    for (ptrdiff_t i = 0; i < ordered; i += SS_W) {
        const vd value = v_min(v_set1(SS_HUGE), v_max(lowest, v_load(joining + i))), power = ss_exponent(value);
        const vpair mantissa = FN(term)(value, ss_scale_bits(power, 0), table_hi, table_lo);
        const vm counts = v_lt(lowest, value);
        v_store(exponent + i, power);
        v_store(term[0] + i, v_select(counts, mantissa.hi, v_set1(0.0)));
        v_store(term[1] + i, v_select(counts, mantissa.lo, v_set1(0.0)));
    }
    vpair rest = prefix->rest;
    vd scale = v_set1(prefix->level);
    for (ptrdiff_t i = 0; i < ordered; i++) {
        const vd power = v_set1(exponent[i]), larger = v_max(scale, power);
        const vpair next = ss_pair_set(term[0][i], term[1][i]);
        rest = ss_pair_add(ss_pair_shift(rest, v_sub(scale, larger)), ss_pair_shift(next, v_sub(power, larger)));
        scale = larger;
        v_store(hi + i, rest.hi); /* each store overwrites all lanes but the first of the one before it */
        v_store(lo + i, rest.lo);
        v_store(level + i, scale);
    }
    prefix->rest = rest;
    prefix->level = lane(scale);
    return ordered;
}

/* Values of the prefixes that end at elements first, ..., first + n - 1, which are x. */
static void FN(prefixes)(const ss_job *job, ptrdiff_t row, ptrdiff_t first, ptrdiff_t n, const REAL *x,
                         ss_prefix *prefix, double *values)
{
    double peak[SS_BLOCK], hi[SS_BLOCK + SS_W], lo[SS_BLOCK + SS_W], level[SS_BLOCK + SS_W];
    const int bits = SINGLE ? SS_CANONICAL_BITS_SINGLE : SS_CANONICAL_BITS_PAIR;
    const double error = (double)(first + n) * 0x1p-104;
    const ptrdiff_t ordered = prefix->unordered ? 0 : FN(block_sums)(x, n, prefix, peak, hi, lo, level);
    for (ptrdiff_t i = ordered; i < n; i++) values[i] = NAN;
    for (ptrdiff_t i = 0; i < ordered; i += SS_W) {
        const vpair sum = ss_pair(v_load(hi + i), v_load(lo + i));
        const vm nothing = v_eq(sum.hi, v_set1(0.0));
        vm certain;
        vpair rest = ss_canonical(sum, bits, error, &certain);
        rest = ss_pair(v_select(nothing, sum.hi, rest.hi), v_select(nothing, sum.lo, rest.lo));
        const vd top = v_load(peak + i);
        const vpair excess = ss_log_excess(top, rest, v_load(level + i)), total = ss_two_sum(top, excess.hi);
        const vd value = v_add(total.hi, v_add(total.lo, excess.lo)), size = ss_abs(value);
        const vd limit = v_mul(v_set1(SINGLE ? TOLERANCE_SINGLE : TOLERANCE_PAIR), excess.hi);
        const int decided = v_bits(certain) | v_bits(nothing), near = v_bits(v_lt(size, limit));
        double results[SS_W];
        v_store(results, value);
        for (int j = 0; j < SS_W && i + j < ordered; j++) {
            const ptrdiff_t k = i + j, count = first + k + 1;
            const ss_sum one = {peak[k], hi[k], lo[k], level[k]};
            if (isinf(peak[k]))
                values[k] = peak[k];
            else if (fabs(peak[k]) > SS_HUGE)
                values[k] = FN(huge_value)(job, row, count, peak[k], &prefix->huge);
            else if (!(decided >> j & 1))
                values[k] = FN(prefix_value)(job, row, count, one, 0.0);
            else
                values[k] = near >> j & 1 ? FN(near_value)(job, row, count, peak[k], &prefix->near) : results[j];
        }
    }
}

static void FN(cumulative_row)(const ss_job *job, ptrdiff_t row)
{
    REAL buffer[TILE + STEP];
    double values[TILE];
    const ss_offsets at = row_offsets(job, row);
    const ptrdiff_t later = job->cumulative == SS_EXCLUSIVE;
    ss_prefix prefix = {.peak = -INFINITY, .level = -2.0 * SS_HUGE, .rest = ss_pair_set1(0.0),
                        .huge = {.peak = -INFINITY}};
    const double nothing = -INFINITY;
    if (later) FN(option_write)(job, at, 0, 1, &nothing);
    for (ptrdiff_t i = 0; i < job->n - later; i += TILE) {
        const ptrdiff_t length = job->n - later - i < TILE ? job->n - later - i : TILE;
        const REAL *x = FN(tile)(job, at, i, length, 0.0, buffer);
        for (ptrdiff_t j = 0; j < length; j += SS_BLOCK)
            FN(prefixes)(job, row, i + j, length - j < SS_BLOCK ? length - j : SS_BLOCK, x + j, &prefix, values + j);
        FN(option_write)(job, at, i + later, length, values);
    }
}
