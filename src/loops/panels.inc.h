/* SPDX-License-Identifier: BSD-3-Clause
   Panels: STEP rows at once, one in each lane. For rows that are short, and for an axis whose neighbours in memory
   belong to other rows (axis 1 of NCHW). A panel is read in chunks of CHUNK elements, each row's chunk summed at its
   own scale. Only the common case is done here; a row with anything special in it (NaN, infinities, |x| > SS_HUGE, a
   sum too near a rounding boundary, a logarithm that cancels) is left to FN(row), which gives the bits this would have
   given. */

typedef struct {
    vd peak, hi, lo, exponent;
} FN(lanes);

/* Chunk of elements [first, first + length) of `count` rows: x[element * STEP + row]. Missing rows repeat the first. */
static void FN(panel_load)(const ss_job *job, const char *x, int count, ptrdiff_t first, ptrdiff_t length, REAL *panel)
{
    const ptrdiff_t row_step = job->kept_x[job->kept - 1], step = job->reduced_x[0];
    x += first * step;
    if (row_step == (ptrdiff_t)sizeof(REAL) && count == STEP) {
        for (ptrdiff_t i = 0; i < length; i++) {
            for (size_t line = 0; line < STEP * sizeof(REAL); line += 64)
                v_prefetch(x + i * step + PANEL_AHEAD * STEP * sizeof(REAL) + line);
            memcpy(panel + i * STEP, x + i * step, STEP * sizeof(REAL));
        }
        return;
    }
    for (int row = 0; row < STEP; row++) {
        const char *from = x + (row < count ? row : 0) * row_step;
        for (ptrdiff_t i = 0; i < length; i++) memcpy(panel + i * STEP + row, from + i * step, sizeof(REAL));
    }
}

static void FN(panel_store)(const ss_job *job, char *y, int count, ptrdiff_t first, ptrdiff_t length, const REAL *panel,
                            const unsigned char *left)
{
    const ptrdiff_t row_step = job->kept_y[job->kept - 1], step = job->reduced_y[0];
    int any_left = 0;
    for (int row = 0; row < count; row++) any_left |= left[row];
    y += first * step;
    if (row_step == (ptrdiff_t)sizeof(REAL) && count == STEP && !any_left) {
        for (ptrdiff_t i = 0; i < length; i++) memcpy(y + i * step, panel + i * STEP, STEP * sizeof(REAL));
        return;
    }
    for (int row = 0; row < count; row++)
        for (ptrdiff_t i = 0; i < length && !left[row]; i++)
            memcpy(y + row * row_step + i * step, panel + i * STEP + row, sizeof(REAL));
}

/* Both partial sums of each lane; the same arithmetic as FN(merge). */
static inline FN(lanes) FN(panel_merge)(FN(lanes) a, FN(lanes) b, int rest)
{
    SS_TABLES;
    const vd larger = v_max(a.exponent, b.exponent), smaller_peak = v_min(a.peak, b.peak);
    vpair sum = ss_pair_add(ss_pair_shift(ss_pair(a.hi, a.lo), v_sub(a.exponent, larger)),
                            ss_pair_shift(ss_pair(b.hi, b.lo), v_sub(b.exponent, larger)));
    FN(lanes) both = {v_max(a.peak, b.peak), sum.hi, sum.lo, larger};
    if (rest) {
        const vd exponent = ss_exponent(smaller_peak);
        both.exponent = v_max(larger, exponent);
        sum = ss_pair_add(ss_pair_shift(sum, v_sub(larger, both.exponent)),
                          ss_pair_shift(FN(term)(smaller_peak, ss_scale_bits(exponent, 0), table_hi, table_lo),
                                        v_sub(exponent, both.exponent)));
        both.hi = sum.hi;
        both.lo = sum.lo;
    }
    return both;
}

/* The sums of one chunk, in STEP lanes; lanes that FN(row) has to do are marked in `left`. */
static inline void FN(panel_sum)(const REAL *panel, ptrdiff_t length, int rest, double *terms, FN(lanes) sums[4],
                                 unsigned char *left)
{
    SS_TABLES;
    enum { VECTORS = STEP / WR };
    REAL tops[STEP], nexts[STEP];
    for (int j = 0; j < VECTORS; j++) {
        vr top = vr_set1(-(REAL)INFINITY), next = top;
        for (ptrdiff_t i = 0; i < length; i++) {
            const vr value = vr_load(panel + i * STEP + j * WR);
            if (rest) next = vr_max(next, vr_min(top, value));
            top = vr_max(top, value);
        }
        vr_store(tops + j * WR, top);
        vr_store(nexts + j * WR, next);
    }
    vd highest[4], lowest[4];
    vi scale[4];
    FN(sum) sum;
    FN(start)(&sum);
    for (int row = 0; row < STEP; row++) left[row] |= !(fabs((double)tops[row]) <= SS_HUGE);
    for (int j = 0; j < 4; j++) {
        /* beyond SS_HUGE the row is left over; keep its arithmetic harmless */
        vd peak = v_min(v_set1(SS_HUGE), v_max(v_set1(-SS_HUGE), FN(load)(tops + j * SS_W)));
        sums[j].peak = peak;
        highest[j] = rest ? v_max(v_sub(peak, v_set1(FN(REACH))), FN(load)(nexts + j * SS_W)) : peak;
        lowest[j] = v_sub(highest[j], v_set1(FN(REACH)));
        sums[j].exponent = ss_exponent(highest[j]);
        scale[j] = ss_scale_bits(sums[j].exponent, FN(OFFSET));
    }
    for (ptrdiff_t i = 0; i < length; i++)
        for (int j = 0; j < 4; j++) {
            vd value = v_max(lowest[j], FN(load)(panel + i * STEP + j * SS_W));
            if (rest) value = v_min(highest[j], value);
            FN(accumulate)(&sum, j, value, scale[j], table_hi, table_lo, terms ? terms + i * STEP + j * SS_W : NULL);
        }
    for (int j = 0; j < 4; j++) {
        vpair total = FN(lane_total)(&sum, j);
        if (rest) {
            vpair extra = FN(term)(highest[j], ss_scale_bits(sums[j].exponent, 0), table_hi, table_lo);
            total = ss_pair_add(total, ss_pair(v_sub(v_set1(0.0), extra.hi), v_sub(v_set1(0.0), extra.lo)));
        }
        sums[j].hi = total.hi;
        sums[j].lo = total.lo;
    }
}

static inline void FN(mark)(unsigned char *left, vm fine)
{
    const int bits = v_bits(fine);
    for (int row = 0; row < SS_W; row++) left[row] |= !(bits >> row & 1);
}

/* Canonical sum and factor of each lane, and for the reductions the value. */
static inline vpair FN(panel_conclude)(const ss_job *job, FN(lanes) sum, vd *value, unsigned char *left)
{
    vm certain;
    const int bits = SINGLE ? SS_CANONICAL_BITS_SINGLE : SS_CANONICAL_BITS_PAIR;
    const double error = SINGLE ? SS_SUM_ERROR_SINGLE : SS_SUM_ERROR_PAIR;
    const vpair total = ss_canonical(ss_pair(sum.hi, sum.lo), bits, error, &certain);
    FN(mark)(left, certain); /* a NaN is not certain either */
    if (job->operation == SS_SOFTMAX) return ss_reciprocal(total);
    /* a rest of 0, or next to it, is left over: its exponent bits are not to be trusted */
    FN(mark)(left, v_lt(v_set1(0x1p-900), total.hi));
    const vpair excess = ss_log_excess(sum.peak, total, sum.exponent);
    if (job->operation == SS_LOG_SOFTMAX) return excess;
    const double count = job->operation == SS_LOGMEANEXP ? (double)job->n : 1.0;
    const vpair log_count = ss_log1p_pair(ss_pair(v_set1(count - 1.0), v_set1(0.0)));
    const vd zero = v_set1(0.0);
    const vpair above = ss_pair_add(excess, ss_pair(v_sub(zero, log_count.hi), v_sub(zero, log_count.lo)));
    const vpair result = ss_two_sum(sum.peak, above.hi);
    *value = v_add(result.hi, v_add(result.lo, above.lo));
    const vd size = v_max(*value, v_sub(v_set1(0.0), *value));
    const vd needed = v_mul(v_set1(SINGLE ? TOLERANCE_SINGLE : TOLERANCE_PAIR), v_add(excess.hi, log_count.hi));
    FN(mark)(left, v_lt(needed, size));
    return excess;
}

/* `count` <= STEP consecutive rows from `first_row`, neighbours along the innermost kept dimension. */
static void FN(panel)(const ss_job *job, ptrdiff_t first_row, int count)
{
    SS_TABLES;
    REAL panel[CHUNK * STEP], results[CHUNK * STEP];
    double terms[2 * TERMS_LOW]; /* CHUNK * STEP <= TILE */
    unsigned char left[STEP] = {0};
    const ss_offsets at = row_offsets(job, first_row);
    const int softmax = job->operation == SS_SOFTMAX, rest = !softmax, keep = softmax && job->n <= CHUNK;
    FN(lanes) sums[4], next[4];
    for (ptrdiff_t i = 0; i < job->n; i += CHUNK) {
        const ptrdiff_t length = job->n - i < CHUNK ? job->n - i : CHUNK;
        FN(panel_load)(job, job->x + at.x, count, i, length, panel);
        if (rest)
            FN(panel_sum)(panel, length, 1, NULL, i ? next : sums, left);
        else
            FN(panel_sum)(panel, length, 0, keep ? terms : NULL, i ? next : sums, left);
        for (int j = 0; j < 4 && i; j++) sums[j] = FN(panel_merge)(sums[j], next[j], rest);
    }
    vpair factor[4];
    vd value[4];
    for (int j = 0; j < 4; j++) factor[j] = FN(panel_conclude)(job, sums[j], &value[j], left + j * SS_W);
    if (job->operation >= SS_LOGSUMEXP) {
        FN(put)(results, value, 0);
        for (int row = 0; row < count; row++)
            memcpy(job->y + at.y + row * job->kept_y[job->kept - 1], results + row, sizeof(REAL));
    }
    for (ptrdiff_t i = 0; i < job->n && job->operation < SS_LOGSUMEXP; i += CHUNK) {
        const ptrdiff_t length = job->n - i < CHUNK ? job->n - i : CHUNK;
        if (job->n > CHUNK) FN(panel_load)(job, job->x + at.x, count, i, length, panel);
        for (ptrdiff_t e = 0; e < length; e++) {
            for (int j = 0; j < 4; j++) {
                const ptrdiff_t place = e * STEP + j * SS_W;
                const vd x = FN(load)(panel + place);
                if (!softmax)
                    value[j] = FN(difference)(x, sums[j].peak, factor[j]);
                else if (keep)
                    value[j] = FN(product)(FN(stored)(terms + place), factor[j]);
                else
                    value[j] = FN(product)(FN(term)(v_max(v_sub(sums[j].peak, v_set1(FN(REACH))), x),
                                                    ss_scale_bits(sums[j].exponent, FN(OFFSET)), table_hi, table_lo),
                                           factor[j]);
            }
            FN(put)(results + e * STEP, value, 0);
        }
        FN(panel_store)(job, job->y + at.y, count, i, length, results, left);
    }
    for (int row = 0; row < count; row++)
        if (left[row]) FN(row)(job, first_row + row);
}

static int FN(panel_fits)(const ss_job *job)
{
    if (job->mask || job->reduced != 1 || job->kept == 0 || job->n == 0) return 0;
    if (job->kept_shape[job->kept - 1] < SS_W) return 0;
    return job->kept_x[job->kept - 1] == (ptrdiff_t)sizeof(REAL) || job->n < SHORT_ROW;
}

static void FN(rows)(const ss_job *job, ptrdiff_t first, ptrdiff_t last)
{
    if (!ss_plain(job)) {
        for (ptrdiff_t row = first; row < last; row++)
            if (job->cumulative)
                FN(cumulative_row)(job, row);
            else if (job->b)
                FN(weight_row)(job, row);
            else
                FN(option_row)(job, row);
        return;
    }
    if (!FN(panel_fits)(job)) {
        for (ptrdiff_t row = first; row < last; row++) FN(row)(job, row);
        return;
    }
    const ptrdiff_t inner = job->kept_shape[job->kept - 1];
    for (ptrdiff_t row = first; row < last;) {
        ptrdiff_t count = inner - row % inner; /* a panel does not leave its innermost run */
        if (count > last - row) count = last - row;
        if (count > STEP) count = STEP;
        FN(panel)(job, row, (int)count);
        row += count;
    }
}
