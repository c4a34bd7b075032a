/* SPDX-License-Identifier: BSD-3-Clause
   Softmax cross-entropy in the blocks of panels.inc.h: rows with one label each, without focus or z_loss. A row with
   anything special in it is left to FN(loss_label_row), which gives the bits this would have given. */

/* Of each row of a panel: its label (negative: ignored), what that weighs, and the logit at it. */
typedef struct {
    int64_t label[STEP];
    double weight[STEP], x[STEP];
} FN(panel_labels);

/* The gradient where it is not p times factor[]. */
typedef struct {
    vd top[4];         /* at the peak, which the sum has cut to the second largest element */
    double mine[STEP]; /* at the label */
} FN(panel_slopes);

/* Rows that are missing repeat the first; `x` is where the panel begins. */
static void FN(labels_load)(const ss_loss *loss, const int64_t *of_rows, int rows, const char *x,
                            FN(panel_labels) *labels)
{
    const ptrdiff_t row_step = loss->job.kept_x[loss->job.kept - 1], step = loss->job.reduced_x[0];
    for (int row = 0; row < STEP; row++) {
        const int from = row < rows ? row : 0;
        const int64_t label = of_rows[from];
        REAL value;
        memcpy(&value, x + from * row_step + (label < 0 ? 0 : label) * step, sizeof value);
        labels->label[row] = label;
        labels->weight[row] = label < 0 ? 0.0 : loss->weights ? loss->weights[label] : 1.0;
        labels->x[row] = (double)value;
    }
}

/* Losses of a panel, and factor[] as FN(loss_gradient) has it, for terms in units of S. */
static void FN(loss_conclude)(const ss_loss *loss, const FN(panel_labels) *labels, FN(panel) *panel,
                              FN(panel_slopes) *slopes, double *items)
{
    SS_TABLES;
    const vpair scale = ss_pair_set(loss->scale_hi, loss->scale_lo);
    const vd zero = v_set1(0.0), lift = v_set1(ldexp(1.0, FN(OFFSET)));
    const int bits = SINGLE ? SS_CANONICAL_BITS_SINGLE : SS_CANONICAL_BITS_PAIR;
    const double error = SINGLE ? SS_SUM_ERROR_SINGLE : SS_SUM_ERROR_PAIR;
    for (int j = 0; j < 4; j++) {
        const FN(lanes) sum = panel->sums[j];
        const vd peak = sum.peak, unit = ss_exponent(peak), w = v_load(labels->weight + j * SS_W);
        const vd x = v_select(v_eq(w, zero), peak, v_load(labels->x + j * SS_W)); /* no weight: anything finite */
        vm certain;
        const vpair rest = ss_canonical(ss_pair(sum.hi, sum.lo), bits, error, &certain);
        panel->left |= FN(unless)(certain, j) | FN(unless)(v_lt(v_set1(0x1p-900), rest.hi), j);
        const vd near = v_max(v_sub(peak, v_set1(SS_TERM_REACH)), x);
        const vpair term = FN(term)(near, ss_scale_bits(unit, 0), table_hi, table_lo);
        const ss_label end = FN(label)(peak, rest, sum.exponent, FN(gap)(peak, x), term);
        v_store(items + j * SS_W, v_mul(v_add(end.loss.hi, end.loss.lo), w));
        const vm light = v_lt(ss_abs(w), v_set1(1.0 + 0x1p-52));
        panel->left |= FN(unless)(v_lt(v_set1(SS_LOSS_LEAST), v_select(light, v_set1(1.0), end.loss.hi)), j);
        if (!loss->job.y) continue;
        const vpair coefficient = ss_pair_mul(scale, ss_pair_of(w));
        const vpair factor = panel->factor[j] = ss_pair_mul(FN(reciprocal)(end.total), coefficient);
        const vd size = ss_abs(factor.hi), between = v_sub(sum.exponent, unit);
        panel->left |= FN(unless)(v_lt(size, v_set1(SS_SLOPE_MOST)), j);
        panel->left |= FN(unless)(v_lt(v_set1(SS_SLOPE_LEAST), v_select(v_eq(w, zero), v_set1(1.0), size)), j);
        panel->left |= FN(unless)(v_lt(v_set1(SS_SLOPE_BETWEEN), between), j);
        const vd moved = ss_pow2(v_max(v_sub(end.others_unit, unit), v_set1(-1000.0)));
        const vpair mine = ss_pair_scale(ss_pair_neg(end.others), lift);
        v_store(slopes->mine + j * SS_W, v_add(FN(product)(mine, ss_pair_scale(factor, moved)), zero));
        slopes->top[j] = FN(product)(FN(term)(peak, ss_scale_bits(unit, FN(OFFSET)), table_hi, table_lo), factor);
    }
}

/* The gradient in place of `length` elements from `first`, from their terms if they were kept. */
static inline void FN(slopes_by)(const FN(panel_labels) *labels, const FN(panel) *panel, const FN(panel_slopes) *slopes,
                                 REAL *values, ptrdiff_t pitch, ptrdiff_t first, ptrdiff_t length, const double *terms)
{
    SS_TABLES;
    vpair factor[4];
    vi scale[4];
    vd lowest[4];
    for (int j = 0; j < 4; j++) {
        const FN(lanes) *sum = &panel->sums[j];
        const vd unit = ss_exponent(sum->peak), power = ss_pow2(v_max(v_set1(-1000.0), v_sub(sum->exponent, unit)));
        factor[j] = panel->factor[j];
        if (terms) factor[j] = ss_pair_scale(factor[j], power);
        scale[j] = ss_scale_bits(unit, FN(OFFSET));
        lowest[j] = v_sub(sum->peak, v_set1(FN(REACH)));
    }
    for (ptrdiff_t i = 0; i < length; i++) {
        vd result[4];
        for (int j = 0; j < 4; j++) {
            const vd x = FN(load)(values + i * pitch + j * SS_W);
            const vpair term = terms ? FN(stored)(terms + i * STEP + j * SS_W)
                                     : FN(term)(v_max(lowest[j], x), scale[j], table_hi, table_lo);
            result[j] = FN(product)(term, factor[j]);
            if (terms) result[j] = v_select(v_eq(x, panel->sums[j].peak), slopes->top[j], result[j]);
        }
        FN(put)(values + i * pitch, result, 0);
    }
    for (int row = 0; row < STEP; row++)
        if (labels->label[row] >= first && labels->label[row] < first + length)
            values[(labels->label[row] - first) * pitch + row] = (REAL)slopes->mine[row];
}

/* As FN(block). */
static void FN(loss_block)(const ss_loss *loss, ptrdiff_t first_row, int count, ptrdiff_t span, REAL *values,
                           ptrdiff_t pitch)
{
    FN(panel) panels[BLOCK_PANELS];
    FN(panel_slopes) slopes[BLOCK_PANELS];
    FN(panel_labels) labels[BLOCK_PANELS];
    _Alignas(64) double terms[2 * TERMS_LOW];
    double items[STEP];
    const ss_job *job = &loss->job;
    const ss_offsets at = row_offsets(job, first_row);
    const ptrdiff_t n = job->n, size = sizeof(REAL), row_step = job->kept_x[job->kept - 1], step = job->reduced_x[0];
    const ptrdiff_t next_step = row_step == size ? step : STEP * size;
    double *keep = job->y && n <= CHUNK ? terms : NULL;
    for (int p = 0; p * STEP < count; p++) {
        FN(labels_load)(loss, loss->labels + first_row + p * STEP, FN(panel_rows)(count, p),
                        job->x + at.x + p * STEP * row_step, &labels[p]);
        panels[p].left = 0;
    }
    for (ptrdiff_t i = 0; i < n; i += span) {
        const ptrdiff_t length = n - i < span ? n - i : span;
        FN(block_load)(job, job->x + at.x, count, i, length, values, pitch);
        const char *next = job->x + at.x + (i + span < n ? (i + span) * step : count * row_step);
        for (int p = 0; p * STEP < count; p++) {
            REAL *panel = values + p * STEP;
            const FN(ahead) ahead = {next + p * STEP * size, next_step};
            FN(panel_sum)(&panels[p], panel, pitch, length, ahead, i == 0, 1, keep);
            if (i + span < n) continue;
            FN(loss_conclude)(loss, &labels[p], &panels[p], &slopes[p], items);
            memcpy(loss->items + first_row + p * STEP, items, (size_t)FN(panel_rows)(count, p) * sizeof *items);
            if (n > span || !job->y) continue;
            if (keep)
                FN(slopes_by)(&labels[p], &panels[p], &slopes[p], panel, pitch, 0, n, keep);
            else
                FN(slopes_by)(&labels[p], &panels[p], &slopes[p], panel, pitch, 0, n, NULL);
        }
    }
    uint32_t any_left = 0;
    for (int p = 0; p * STEP < count; p++) {
        const int rows = FN(panel_rows)(count, p);
        if (rows < STEP) panels[p].left &= (1u << rows) - 1;
        any_left |= panels[p].left;
        for (int row = 0; row < rows && panels[p].left; row++)
            if (panels[p].left >> row & 1)
                FN(loss_label_row)(loss, first_row + p * STEP + row, (ptrdiff_t)labels[p].label[row],
                                   labels[p].weight[row]);
    }
    for (ptrdiff_t i = 0; i < n && job->y; i += span) {
        const ptrdiff_t length = n - i < span ? n - i : span;
        if (n > span) {
            FN(block_load)(job, job->x + at.x, count, i, length, values, pitch);
            for (int p = 0; p * STEP < count; p++)
                FN(slopes_by)(&labels[p], &panels[p], &slopes[p], values + p * STEP, pitch, i, length, NULL);
        }
        if (any_left) FN(take_over)(job, job->y + at.y, panels, count, i, length, values, pitch);
        FN(block_store)(job, job->y + at.y, count, i, length, values, pitch);
    }
}

static void FN(losses)(const ss_loss *loss, ptrdiff_t first, ptrdiff_t last)
{
    const ss_job *job = &loss->job;
    const int sharp = loss->smoothing == 0.0 || job->n == 1, labelled = loss->labels && sharp;
    const int plain = labelled && loss->gamma == 0.0 && loss->z_loss == 0.0;
    FN(blocking) by;
    if (plain && FN(panel_fits)(job) && FN(blocks_begin)(job, &by)) {
        for (ptrdiff_t row = first, count; row < last; row += count) {
            count = FN(blocks_next)(job, &by, row, last);
            FN(loss_block)(loss, row, (int)count, by.span, by.values, by.pitch);
        }
        FN(blocks_end)(job, &by);
        return;
    }
    for (ptrdiff_t row = first; row < last; row++) {
        ptrdiff_t label = loss->labels ? (ptrdiff_t)loss->labels[row] : -1;
        double weight = label < 0 ? 0.0 : loss->weights ? loss->weights[label] : 1.0;
        const int ignored = loss->labels && label < 0;
        if (labelled || ignored || (sharp && FN(dense_label)(loss, row_offsets(job, row), &label, &weight)))
            FN(loss_label_row)(loss, row, label, weight);
        else
            FN(dense_row)(loss, row, label);
    }
}
