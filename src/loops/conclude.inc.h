/* SPDX-License-Identifier: BSD-3-Clause
   From the sum of a row to its results: the canonical sum, its reciprocal or logarithm, the ladder near 0,
   the writing. */

typedef struct {
    const ss_job *job;
    ss_offsets at;
} FN(row_reader);

/* ss_fetch of the ladder. */
static void FN(fetch)(const void *row, ptrdiff_t first, ptrdiff_t length, double *x, double *weights)
{
    const FN(row_reader) *reader = row;
    REAL buffer[TILE + STEP];
    (void)weights;
    for (ptrdiff_t done = 0; done < length; done += TILE) {
        const ptrdiff_t count = length - done < TILE ? length - done : TILE;
        const REAL *values = FN(tile)(reader->job, reader->at, first + done, count, 0.0, buffer);
        for (ptrdiff_t i = 0; i < count; i++) x[done + i] = (double)values[i];
    }
}

/* The same sum again, exactly: any order gives these digits. For rows that the canonical rounding cannot decide. */
static vpair FN(exact_sum)(const ss_job *job, ss_offsets at, const ss_sum *sum, double shift)
{
    SS_TABLES;
    REAL buffer[TILE + STEP];
    const int64_t exponent = (int64_t)sum->exponent;
    const vi scale = ss_scale_bits(v_set1(sum->exponent), FN(OFFSET));
    const double lowest = sum->exponent * 0.6931471805599453 - FN(REACH) + 46.0; /* 2^-1000 of the leading term */
    int skip = job->operation != SS_SOFTMAX; /* one peak stays out */
    ss_exact exact;
    ss_exact_start(&exact, exponent);
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t length = job->n - i < TILE ? job->n - i : TILE;
        const REAL *x = FN(tile)(job, at, i, length, shift, buffer);
        for (ptrdiff_t j = 0; j < length; j++) {
            if (skip && (double)x[j] == sum->peak) {
                skip = 0;
                continue;
            }
            if (!((double)x[j] > lowest)) continue;
            vpair term = FN(term)(v_set1((double)x[j]), scale, table_hi, table_lo);
            ss_exact_add(&exact, lane(term.hi), exponent - FN(OFFSET));
            ss_exact_add(&exact, lane(term.lo), exponent - FN(OFFSET));
        }
    }
    double hi, lo;
    ss_exact_result(&exact, exponent, &hi, &lo);
    return ss_pair_set(hi, lo);
}

static vpair FN(canonical_sum)(const ss_job *job, ss_offsets at, const ss_sum *sum, double shift)
{
    vpair total = ss_pair_set(sum->hi, sum->lo);
    if (sum->hi == 0.0) return total;
    const int bits = SINGLE ? SS_CANONICAL_BITS_SINGLE : SS_CANONICAL_BITS_PAIR;
    vm certain;
    vpair canonical = ss_canonical(total, bits, SINGLE ? SS_SUM_ERROR_SINGLE : SS_SUM_ERROR_PAIR, &certain);
    if (v_bits(certain) & 1) return canonical;
    return ss_canonical_round(FN(exact_sum)(job, at, sum, shift), bits);
}

/* How many elements take part. */
static ptrdiff_t FN(participants)(const ss_job *job, ss_offsets at)
{
    if (!job->mask) return job->n;
    ptrdiff_t count = 0;
    for (ptrdiff_t i = 0; i < job->n; i++) count += job->mask[element_offsets(job, at, i).mask] != 0;
    return count;
}

/* peak + excess - log(count), to the last digit however small. The error of the pair is 2^-56.5 (float32: 2^-29) of
   excess + log count; where that reaches a third of an ulp of the result the ladder decides, whose value is unique. */
static double FN(logarithm)(const ss_job *job, ss_offsets at, double peak, double shift, vpair excess)
{
    const double count = job->operation == SS_LOGMEANEXP ? (double)FN(participants)(job, at) : 1.0;
    vpair log_count = ss_pair_set1(0.0);
    if (count != 1.0) log_count = ss_log1p_pair(ss_pair_set1(count - 1.0));
    const vpair above = ss_pair_sub(excess, log_count);
    const vpair sum = ss_two_sum(v_set1(peak), above.hi);
    const double value = lane(v_add(sum.hi, v_add(sum.lo, above.lo)));
    const double magnitude = lane(excess.hi) + lane(log_count.hi);
    if (shift != 0.0 || fabs(value) >= (SINGLE ? TOLERANCE_SINGLE : TOLERANCE_PAIR) * magnitude) return value;
    const FN(row_reader) reader = {job, at};
    return ss_ladder_logsumexp(FN(fetch), &reader, job->n, 0, count, SINGLE);
}

static ss_end FN(conclude)(const ss_job *job, ptrdiff_t row, ss_sum sum, double shift)
{
    const ss_offsets at = row_offsets(job, row);
    const int softmax = job->operation == SS_SOFTMAX;
    /* The special rows: `hi` where x is +inf, `lo` elsewhere. */
    ss_end end = {INFINITY, 0.0, 0.0, NAN, NAN, NAN};
    if (isnan(sum.hi)) return end;
    if (sum.peak == INFINITY) {
        end.hi = softmax ? 1.0 / sum.hi : -lane(ss_log1p_pair(ss_pair_set1(sum.hi - 1.0)).hi) + 0.0;
        end.lo = softmax ? 0.0 : -INFINITY;
        end.value = INFINITY;
        return end;
    }
    if (sum.peak == -INFINITY) {
        const int nothing = FN(participants)(job, at) == 0;
        if (nothing) end.lo = softmax ? 0.0 : -INFINITY;
        end.value = nothing && job->operation == SS_LOGMEANEXP ? NAN : -INFINITY;
        return end;
    }
    const vpair total = FN(canonical_sum)(job, at, &sum, shift);
    const vd peak = v_set1(sum.peak);
    vpair factor = softmax ? FN(reciprocal)(total) : FN(excess)(peak, total, v_set1(sum.exponent));
    end.peak = sum.peak + shift;
    end.shift = shift;
    end.exponent = sum.exponent;
    end.hi = lane(factor.hi);
    end.lo = lane(factor.lo);
    if (job->operation == SS_LOGSUMEXP || job->operation == SS_LOGMEANEXP)
        end.value = FN(logarithm)(job, at, end.peak, shift, factor);
    return end;
}

/* What the results are made with; a copy of it can stay in registers. */
typedef struct {
    vpair factor;
    FN(scaled) scaled;
    vd peak, lowest;
    vi scale;
} FN(maker);

/* `exponent`: that at which the terms are kept. */
static inline FN(maker) FN(maker_of)(const ss_end *end, double exponent)
{
    const vpair factor = ss_pair_set(end->hi, end->lo);
    const FN(maker) maker = {factor, FN(scale_factor)(factor, v_set1(exponent - end->exponent)), v_set1(end->peak),
                             v_set1(end->peak - end->shift - FN(REACH)),
                             ss_scale_bits(v_set1(end->exponent), FN(OFFSET))};
    return maker;
}

/* Results of STEP elements; `how` is a constant. */
static SS_INLINE void FN(step)(const FN(maker) *make, int how, const REAL *x, const double *terms, REAL *y, int stream)
{
    enum { BESIDE = FN(BESIDE) };
    vd value[4];
    if (how == SS_AGAIN || how == SS_AGAIN_NEAR)
        for (int j = 0; j < 4; j += BESIDE) {
            vpair term[4];
            for (int i = 0; i < BESIDE; i++) value[j + i] = v_max(make->lowest, FN(load)(x + (j + i) * SS_W));
            FN(terms)(value + j, BESIDE, make->scale, how == SS_AGAIN_NEAR, term);
            for (int i = 0; i < BESIDE; i++) value[j + i] = FN(product)(term[i], make->factor);
        }
    else
        for (int j = 0; j < 4; j++)
            value[j] = how == SS_KEPT ? FN(scaled_product)(FN(stored)(terms + j * SS_W), make->scaled)
                                      : FN(difference)(FN(load)(x + j * SS_W), make->peak, make->factor);
    FN(put)(y, value, stream);
}

/* `terms` hold a whole STEP beyond the end; x does not. */
static SS_INLINE void FN(results)(const FN(maker) make, int how, const REAL *x, const double *terms, REAL *y,
                                  ptrdiff_t n, int stream)
{
    REAL from[STEP], to[STEP];
    const int kept = how == SS_KEPT;
    ptrdiff_t i = 0, head = 0;
    if (stream) {
        const uintptr_t line = STEP / 4 * sizeof(REAL) * (SINGLE ? 2 : 1), beyond = (uintptr_t)y % line;
        stream = beyond % sizeof(REAL) == 0;
        if (stream && beyond) head = (ptrdiff_t)((line - beyond) / sizeof(REAL));
    }
    for (;;) {
        if (i >= head)
            for (; i + STEP <= n; i += STEP)
                FN(step)(&make, how, kept ? NULL : x + i, kept ? terms + i : NULL, y + i, stream);
        ptrdiff_t count = i < head && head < n ? head - i : n - i;
        if (count <= 0) break;
        if (count > STEP) count = STEP;
        for (ptrdiff_t j = 0; j < STEP; j++) from[j] = j < count && !kept ? x[i + j] : (REAL)0.0;
        FN(step)(&make, how, from, kept ? terms + i : NULL, to, 0);
        memcpy(y + i, to, (size_t)count * sizeof(REAL));
        i += count;
    }
}

/* The special rows: NaN, infinite or empty. An element that does not take part has its own result also there. */
static void FN(special_results)(const ss_job *job, ss_offsets at, ptrdiff_t first, ptrdiff_t n, const ss_end *end,
                                const REAL *x, REAL *y)
{
    const REAL absent = job->operation == SS_LOG_SOFTMAX ? -(REAL)INFINITY : (REAL)0.0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const int takes_part = !job->mask || job->mask[element_offsets(job, at, first + i).mask];
        y[i] = !takes_part ? absent : (REAL)(x[i] == (REAL)INFINITY ? end->hi : end->lo);
    }
}

/* Elements [first, last) of one row. Terms that were kept stand at the exponent of their tile; NaN: none were. */
static void FN(write_from)(const ss_job *job, ss_offsets at, ptrdiff_t first, ptrdiff_t last, const ss_end *end,
                           const double *terms, const double *exponents)
{
    REAL buffer[TILE + STEP], results[TILE + STEP];
    const int logarithm = job->operation == SS_LOG_SOFTMAX;
    const int near = SINGLE && fabs(end->peak - end->shift) <= SS_EXP_NEAR;
    const int direct = job->reduced == 1 && job->reduced_y[0] == (ptrdiff_t)sizeof(REAL);
    const int stream = direct && job->stream;
    const FN(maker) make = FN(maker_of)(end, end->exponent);
    for (ptrdiff_t i = first; i < last; i += TILE) {
        const ptrdiff_t length = last - i < TILE ? last - i : TILE, tile = (i - first) / TILE;
        const double shift = logarithm || end->peak == INFINITY ? 0.0 : end->shift;
        const int kept = terms && !isnan(exponents[tile]);
        const REAL *x = kept ? NULL : FN(tile)(job, at, i, length, shift, buffer);
        REAL *y = direct ? (REAL *)(job->y + at.y) + i : results;
        if (end->peak == INFINITY)
            FN(special_results)(job, at, i, length, end, x, y);
        else if (logarithm)
            FN(results)(make, SS_DIFFERENCE, x, NULL, y, length, stream);
        else if (kept)
            FN(results)(FN(maker_of)(end, exponents[tile]), SS_KEPT, NULL, terms + tile * FN(KEPT), y, length, stream);
        else if (near)
            FN(results)(make, SS_AGAIN_NEAR, x, NULL, y, length, stream);
        else
            FN(results)(make, SS_AGAIN, x, NULL, y, length, stream);
        if (!direct)
            for (ptrdiff_t j = 0; j < length; j++)
                memcpy(job->y + element_offsets(job, at, i + j).y, results + j, sizeof(REAL));
    }
}

static void FN(write)(const ss_job *job, ptrdiff_t row, ptrdiff_t first, ptrdiff_t last, const ss_end *end)
{
    const ss_offsets at = row_offsets(job, row);
    if (job->operation >= SS_LOGSUMEXP) {
        const REAL value = (REAL)end->value;
        memcpy(job->y + at.y, &value, sizeof value);
    } else {
        FN(write_from)(job, at, first, last, end, NULL, NULL);
    }
#if SS_HAVE_STREAM
    if (job->stream) v_fence();
#endif
}

#include "options.inc.h"
#include "weights.inc.h"
#include "cumulative.inc.h"

static void FN(row)(const ss_job *job, ptrdiff_t row)
{
    _Alignas(64) double one_tile[FN(KEPT)];
    double exponents[SS_KEPT_TILES];
    double *terms = job->n <= TILE ? one_tile : job->n <= SS_KEPT_TILES * TILE ? job->terms : NULL;
    const ss_offsets at = row_offsets(job, row);
    if (job->operation != SS_SOFTMAX) terms = NULL;
    ss_sum sum = terms ? FN(kept_sum)(job, at, terms, exponents) : FN(part)(job, row, 0, job->n, 0.0);
    const double shift = FN(shift_sum)(job, row, &sum);
    if (shift != 0.0) terms = NULL;
    const ss_end end = FN(conclude)(job, row, sum, shift);
    if (terms && end.peak != INFINITY)
        FN(write_from)(job, at, 0, job->n, &end, terms, exponents);
    else
        FN(write)(job, row, 0, job->n, &end);
}
