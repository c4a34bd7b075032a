/* SPDX-License-Identifier: BSD-3-Clause
   Panels: STEP rows at once, one in each lane. For rows that are short, and for an axis whose neighbours in memory
   belong to other rows (axis 1 of NCHW). Panels lie side by side in a block (blocks.inc.h): it is read once, summed and
   concluded, and its results replace it before they are stored. Rows too long for that are read twice, in blocks of
   CHUNK elements. While a panel is summed the next block is fetched.
   Only the common case is done here; a row with anything special in it (NaN, infinities, |x| > SS_HUGE, a sum too near
   a rounding boundary, a logarithm that cancels) is left to FN(row), which gives the bits this would have given. */

typedef struct {
    vd peak, hi, lo, exponent;
} FN(lanes);

typedef struct {
    FN(lanes) sums[4];
    vpair factor[4];
    vd value[4];
    uint32_t left; /* a bit for each row that FN(row) has to do */
} FN(panel);

/* What is read after these elements: fetched while they keep the arithmetic units busy. */
typedef struct {
    const char *x;
    ptrdiff_t step;
} FN(ahead);

static inline uint32_t FN(unless)(vm fine, int j)
{
    return ((uint32_t)~v_bits(fine) & ((1u << SS_W) - 1)) << j * SS_W;
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

/* The sums of one chunk, at most CHUNK elements. */
static inline void FN(chunk_sum)(const REAL *values, ptrdiff_t pitch, ptrdiff_t length, const FN(ahead) *next, int rest,
                                 double *terms, FN(lanes) sums[4], uint32_t *left)
{
    SS_TABLES;
    enum { VECTORS = STEP / WR };
    REAL tops[STEP], nexts[STEP];
    vr top[VECTORS], second[VECTORS];
    for (int j = 0; j < VECTORS; j++) top[j] = second[j] = vr_set1(-(REAL)INFINITY);
    for (ptrdiff_t i = 0; i < length; i++)
        for (int j = 0; j < VECTORS; j++) {
            const vr value = vr_load(values + i * pitch + j * WR);
            if (rest) second[j] = vr_max(second[j], vr_min(top[j], value));
            top[j] = vr_max(top[j], value);
        }
    for (int j = 0; j < VECTORS; j++) {
        vr_store(tops + j * WR, top[j]);
        vr_store(nexts + j * WR, second[j]);
    }
    vd highest[4], lowest[4];
    vi scale[4];
    FN(sum) sum;
    FN(start)(&sum);
    for (int j = 0; j < 4; j++) {
        /* beyond SS_HUGE the row is left over; keep its arithmetic harmless */
        const vd largest = FN(load)(tops + j * SS_W);
        const vd peak = v_min(v_set1(SS_HUGE), v_max(v_set1(-SS_HUGE), largest));
        *left |= FN(unless)(v_eq(peak, largest), j);
        sums[j].peak = peak;
        highest[j] = rest ? v_max(v_sub(peak, v_set1(FN(REACH))), FN(load)(nexts + j * SS_W)) : peak;
        lowest[j] = v_sub(highest[j], v_set1(FN(REACH)));
        sums[j].exponent = ss_exponent(highest[j]);
        scale[j] = ss_scale_bits(sums[j].exponent, FN(OFFSET));
    }
    for (ptrdiff_t i = 0; i < length; i++) {
        for (size_t line = 0; line < STEP * sizeof(REAL); line += 64) v_prefetch(next->x + i * next->step + line);
        vd value[4];
        for (int j = 0; j < 4; j++) {
            value[j] = v_max(lowest[j], FN(load)(values + i * pitch + j * SS_W));
            if (rest) value[j] = v_min(highest[j], value[j]);
        }
        for (int j = 0; j < 4; j++)
            FN(accumulate)(&sum, j, value[j], scale[j], table_hi, table_lo, terms ? terms + i * STEP + j * SS_W : NULL);
    }
    for (int j = 0; j < 4; j++) {
        vpair total = FN(lane_total)(&sum, j);
        if (rest) {
            vpair extra = FN(term)(highest[j], ss_scale_bits(sums[j].exponent, 0), table_hi, table_lo);
            total = ss_pair_sub(total, extra);
        }
        sums[j].hi = total.hi;
        sums[j].lo = total.lo;
    }
}

/* Adds `length` elements to the sums of a panel; `start`: the first ones. Terms are kept of a single chunk only. */
static void FN(panel_sum)(FN(panel) *panel, const REAL *values, ptrdiff_t pitch, ptrdiff_t length, FN(ahead) ahead,
                          int start, int rest, double *terms)
{
    FN(lanes) next[4];
    for (ptrdiff_t i = 0; i < length; i += CHUNK) {
        const ptrdiff_t count = length - i < CHUNK ? length - i : CHUNK;
        FN(lanes) *sums = start && i == 0 ? panel->sums : next;
        if (rest && terms)
            FN(chunk_sum)(values + i * pitch, pitch, count, &ahead, 1, terms, sums, &panel->left);
        else if (rest)
            FN(chunk_sum)(values + i * pitch, pitch, count, &ahead, 1, NULL, sums, &panel->left);
        else if (terms)
            FN(chunk_sum)(values + i * pitch, pitch, count, &ahead, 0, terms, sums, &panel->left);
        else
            FN(chunk_sum)(values + i * pitch, pitch, count, &ahead, 0, NULL, sums, &panel->left);
        ahead.x += count * ahead.step;
        for (int j = 0; j < 4 && sums == next; j++) panel->sums[j] = FN(panel_merge)(panel->sums[j], next[j], rest);
    }
}

/* Canonical sum and factor of each row, and for the reductions the value: peak + excess - log_count. Step by step for
   all lanes: each step is a long chain, and what one vector waits for, the others fill. */
static void FN(panel_conclude)(const ss_job *job, FN(panel) *panel, vpair log_count)
{
    const int bits = SINGLE ? SS_CANONICAL_BITS_SINGLE : SS_CANONICAL_BITS_PAIR;
    const double error = SINGLE ? SS_SUM_ERROR_SINGLE : SS_SUM_ERROR_PAIR;
    const FN(lanes) *sums = panel->sums;
    vpair total[4];
    for (int j = 0; j < 4; j++) {
        vm certain;
        total[j] = ss_canonical(ss_pair(sums[j].hi, sums[j].lo), bits, error, &certain);
        panel->left |= FN(unless)(certain, j); /* a NaN is not certain either */
    }
    if (job->operation == SS_SOFTMAX) {
        for (int j = 0; j < 4; j++) panel->factor[j] = FN(reciprocal)(total[j]);
        return;
    }
    for (int j = 0; j < 4; j++) {
        /* a rest of 0, or next to it, is left over: its exponent bits are not to be trusted */
        panel->left |= FN(unless)(v_lt(v_set1(0x1p-900), total[j].hi), j);
        total[j] = FN(ratio)(sums[j].peak, total[j], sums[j].exponent);
    }
    for (int j = 0; j < 4; j++) panel->factor[j] = FN(log1p)(total[j]);
    if (job->operation == SS_LOG_SOFTMAX) return;
    for (int j = 0; j < 4; j++) {
        const vpair above = ss_pair_sub(panel->factor[j], log_count), result = ss_two_sum(sums[j].peak, above.hi);
        const vd value = v_add(result.hi, v_add(result.lo, above.lo)), size = ss_abs(value);
        const vd needed =
            v_mul(v_set1(SINGLE ? TOLERANCE_SINGLE : TOLERANCE_PAIR), v_add(panel->factor[j].hi, log_count.hi));
        panel->left |= FN(unless)(v_lt(needed, size), j);
        panel->value[j] = value;
    }
}

/* Results in place of `length` elements, from their terms if they were kept. */
static inline void FN(results_by)(const FN(panel) *panel, int softmax, REAL *values, ptrdiff_t pitch, ptrdiff_t length,
                                  const FN(ahead) *next, const double *terms)
{
    SS_TABLES;
    for (ptrdiff_t i = 0; i < length; i++) {
        for (size_t line = 0; line < STEP * sizeof(REAL) && next; line += 64)
            v_prefetch(next->x + i * next->step + line);
        vd result[4];
        for (int j = 0; j < 4; j++) {
            const FN(lanes) *sum = &panel->sums[j];
            const vd x = FN(load)(values + i * pitch + j * SS_W);
            if (!softmax)
                result[j] = FN(difference)(x, sum->peak, panel->factor[j]);
            else if (terms)
                result[j] = FN(product)(FN(stored)(terms + i * STEP + j * SS_W), panel->factor[j]);
            else
                result[j] = FN(product)(FN(term)(v_max(v_sub(sum->peak, v_set1(FN(REACH))), x),
                                                 ss_scale_bits(sum->exponent, FN(OFFSET)), table_hi, table_lo),
                                        panel->factor[j]);
        }
        FN(put)(values + i * pitch, result, 0);
    }
}

static void FN(panel_results)(const ss_job *job, const FN(panel) *panel, REAL *values, ptrdiff_t pitch,
                              ptrdiff_t length, const FN(ahead) *next, const double *terms)
{
    if (job->operation == SS_LOG_SOFTMAX)
        FN(results_by)(panel, 0, values, pitch, length, next, NULL);
    else if (terms)
        FN(results_by)(panel, 1, values, pitch, length, NULL, terms);
    else
        FN(results_by)(panel, 1, values, pitch, length, next, NULL);
}

static void FN(put_values)(const ss_job *job, char *y, const FN(panel) *panel, int count)
{
    const ptrdiff_t step = job->kept_y[job->kept - 1];
    REAL values[STEP];
    FN(put)(values, panel->value, 0);
    if (step == (ptrdiff_t)sizeof(REAL))
        memcpy(y, values, (size_t)count * sizeof(REAL));
    else
        for (int row = 0; row < count; row++) memcpy(y + row * step, values + row, sizeof(REAL));
}

/* How many rows of panel p there are. */
static inline int FN(panel_rows)(int count, int p) { return count - p * STEP < STEP ? count - p * STEP : STEP; }

/* FN(row) has written the rows left to it before a result in place of x could be in its way: takes over into the block
   what it wrote, or the block would be stored over it. */
static void FN(take_over)(const ss_job *job, const char *y, const FN(panel) *panels, int count, ptrdiff_t first,
                          ptrdiff_t length, REAL *values, ptrdiff_t pitch)
{
    const ptrdiff_t row_step = job->kept_y[job->kept - 1], step = job->reduced_y[0];
    for (int row = 0; row < count; row++)
        for (ptrdiff_t i = 0; i < length && panels[row / STEP].left >> row % STEP & 1; i++)
            memcpy(values + i * pitch + row, y + row * row_step + (first + i) * step, sizeof(REAL));
}

/* `count` <= BLOCK_PANELS * STEP consecutive rows from `first_row`, neighbours along the innermost kept dimension, in
   blocks of `span` elements. */
static void FN(block)(const ss_job *job, ptrdiff_t first_row, int count, ptrdiff_t span, REAL *values, ptrdiff_t pitch)
{
    FN(panel) panels[BLOCK_PANELS];
    _Alignas(64) double terms[2 * TERMS_LOW]; /* CHUNK * STEP <= TILE */
    const ss_offsets at = row_offsets(job, first_row);
    const ptrdiff_t n = job->n;
    const int softmax = job->operation == SS_SOFTMAX, reduces = job->operation >= SS_LOGSUMEXP;
    const ptrdiff_t size = sizeof(REAL), row_step = job->kept_x[job->kept - 1], step = job->reduced_x[0];
    /* what follows this block in memory, in pieces of a panel's width */
    const char *x = job->x + at.x, *following = x + count * row_step;
    const ptrdiff_t next_step = row_step == size ? step : STEP * size;
    double *keep = softmax && n <= CHUNK ? terms : NULL;
    const double divisor = job->operation == SS_LOGMEANEXP ? (double)n : 1.0;
    vpair log_count = ss_pair_set1(0.0);
    if (divisor != 1.0) log_count = ss_log1p_pair(ss_pair_set1(divisor - 1.0));
    for (int p = 0; p * STEP < count; p++) panels[p].left = 0;
    for (ptrdiff_t i = 0; i < n; i += span) {
        const ptrdiff_t length = n - i < span ? n - i : span;
        FN(block_load)(job, x, count, i, length, values, pitch);
        const char *next = i + span < n ? x + (i + span) * step : span < n ? x : following;
        for (int p = 0; p * STEP < count; p++) {
            const FN(ahead) ahead = {next + p * STEP * size, next_step};
            FN(panel_sum)(&panels[p], values + p * STEP, pitch, length, ahead, i == 0, !softmax, keep);
            if (i + span < n) continue;
            FN(panel_conclude)(job, &panels[p], log_count);
            if (n <= span && !reduces) FN(panel_results)(job, &panels[p], values + p * STEP, pitch, n, NULL, keep);
        }
    }
    uint32_t any_left = 0;
    for (int p = 0; p * STEP < count; p++) {
        const int rows = FN(panel_rows)(count, p);
        if (rows < STEP) panels[p].left &= (1u << rows) - 1;
        any_left |= panels[p].left;
        if (reduces) FN(put_values)(job, job->y + at.y + p * STEP * job->kept_y[job->kept - 1], &panels[p], rows);
        for (int row = 0; row < rows && panels[p].left; row++)
            if (panels[p].left >> row & 1) FN(row)(job, first_row + p * STEP + row);
    }
    for (ptrdiff_t i = 0; i < n && !reduces; i += span) {
        const ptrdiff_t length = n - i < span ? n - i : span;
        if (n > span) {
            FN(block_load)(job, x, count, i, length, values, pitch);
            const char *next = i + span < n ? x + (i + span) * step : following;
            for (int p = 0; p * STEP < count; p++) {
                const FN(ahead) ahead = {next + p * STEP * size, next_step};
                FN(panel_results)(job, &panels[p], values + p * STEP, pitch, length, &ahead, NULL);
            }
        }
        if (any_left) FN(take_over)(job, job->y + at.y, panels, count, i, length, values, pitch);
        FN(block_store)(job, job->y + at.y, count, i, length, values, pitch);
    }
}

static int FN(panel_fits)(const ss_job *job)
{
    if (job->mask || job->reduced != 1 || job->kept == 0 || job->n == 0) return 0;
    const ptrdiff_t inner = job->kept_shape[job->kept - 1], rows = inner < STEP ? inner : STEP;
    if (inner < SS_W) return 0;
    if (job->kept_x[job->kept - 1] == (ptrdiff_t)sizeof(REAL) || job->n < SHORT_ROW) return 1;
    /* transposing is worth it while it saves more than idle lanes, and terms computed twice, cost */
    const int keeps = job->operation == SS_SOFTMAX || (job->operation == SS_CROSS_ENTROPY && job->y);
    return job->n * STEP <= rows * (keeps ? CHUNK : LONG_ROW);
}

/* How rows are cut into blocks: the buffer, elements of a column in it, and panels side by side. */
typedef struct {
    void *memory;
    REAL *values;
    ptrdiff_t span, panels, pitch;
    int across;
} FN(blocking);

/* 0 if there is no memory. */
static int FN(blocks_begin)(const ss_job *job, FN(blocking) *by)
{
    const ptrdiff_t size = sizeof(REAL), inner = job->kept_shape[job->kept - 1], column = job->n * STEP * size;
    by->across = job->kept_x[job->kept - 1] == size;
    by->span = column <= BLOCK_BYTES ? job->n : CHUNK;
    by->panels = by->across ? BLOCK_BYTES / (by->span * STEP * size) : 1;
    if (by->panels > BLOCK_PANELS) by->panels = BLOCK_PANELS;
    if (by->panels > (inner + STEP - 1) / STEP) by->panels = (inner + STEP - 1) / STEP;
    /* a line more than the rows need, or all elements of a column would compete for the same few lines of a cache */
    by->pitch = by->panels * STEP + (by->panels > 1 ? 64 / size : 0);
    by->memory = malloc((size_t)(by->span * by->pitch * size) + 63);
    if (!by->memory) return 0;
    by->values = (REAL *)((char *)by->memory + (64 - (uintptr_t)by->memory % 64) % 64);
    return 1;
}

/* Rows of the next block, from `row`. */
static ptrdiff_t FN(blocks_next)(const ss_job *job, const FN(blocking) *by, ptrdiff_t row, ptrdiff_t last)
{
    const ptrdiff_t inner = job->kept_shape[job->kept - 1], run = inner - row % inner;
    ptrdiff_t count = by->panels * STEP; /* a block does not leave its innermost run */
    if (job->stream && by->across) /* the next block begins on a line of y */
        count -= (ptrdiff_t)((uintptr_t)(job->y + row_offsets(job, row).y) % 64) / (ptrdiff_t)sizeof(REAL);
    if (count > run) count = run;
    return count < last - row ? count : last - row;
}

static void FN(blocks_end)(const ss_job *job, FN(blocking) *by)
{
    free(by->memory);
#if SS_HAVE_STREAM
    if (job->stream) v_fence();
#endif
}

static void FN(rows)(const ss_job *job, ptrdiff_t first, ptrdiff_t last)
{
    FN(blocking) by;
    if (ss_plain(job) && FN(panel_fits)(job) && FN(blocks_begin)(job, &by)) {
        for (ptrdiff_t row = first, count; row < last; row += count) {
            count = FN(blocks_next)(job, &by, row, last);
            FN(block)(job, row, (int)count, by.span, by.values, by.pitch);
        }
        FN(blocks_end)(job, &by);
        return;
    }
    for (ptrdiff_t row = first; row < last; row++)
        if (ss_plain(job))
            FN(row)(job, row);
        else if (job->cumulative)
            FN(cumulative_row)(job, row);
        else if (job->b)
            FN(weight_row)(job, row);
        else
            FN(option_row)(job, row);
}
