/* SPDX-License-Identifier: BSD-3-Clause
   Softmax cross-entropy in the blocks of panels.inc.h: rows with one label each, without focus or z_loss. A row with anything
   special in it is left to FN(loss_label_row), which gives the bits this would have given. */

typedef struct {
    FN(panel) panel;
    vd top[4];         /* the gradient at the peak, which the sum has cut to the second largest element */
    double mine[STEP]; /* the gradient at the label */
} FN(loss_panel);

/* Loss and factors of each row: factor[] as FN(loss_gradient) has it, for terms in units of S. */
static void FN(loss_conclude)(const ss_loss *loss, FN(loss_panel) *lp, const double *x_label, const double *weight, double *items)
{
    SS_TABLES;
    FN(panel) *panel = &lp->panel;
    const vpair scale = ss_pair_set(loss->scale_hi, loss->scale_lo);
    const vd zero = v_set1(0.0), lift = v_set1(ldexp(1.0, FN(OFFSET)));
    for (int j = 0; j < 4; j++) {
        const FN(lanes) sum = panel->sums[j];
        const vd peak = sum.peak, unit = ss_exponent(peak), w = v_load(weight + j * SS_W);
        const vd x = v_select(v_eq(w, zero), peak, v_load(x_label + j * SS_W)); /* no weight: anything finite */
        vm certain;
        const vpair rest = ss_canonical(ss_pair(sum.hi, sum.lo), SINGLE ? SS_CANONICAL_BITS_SINGLE : SS_CANONICAL_BITS_PAIR,
                                        SINGLE ? SS_SUM_ERROR_SINGLE : SS_SUM_ERROR_PAIR, &certain);
        panel->left |= FN(unless)(certain, j) | FN(unless)(v_lt(v_set1(0x1p-900), rest.hi), j);
        const vpair term = FN(term)(v_max(v_sub(peak, v_set1(SS_TERM_REACH)), x), ss_scale_bits(unit, 0), table_hi, table_lo);
        const ss_label end = FN(label)(peak, rest, sum.exponent, FN(gap)(peak, x), term);
        v_store(items + j * SS_W, v_mul(v_add(end.loss.hi, end.loss.lo), w));
        if (!loss->job.y) continue;
        const vpair coefficient = ss_pair_mul(scale, ss_pair_of(w));
        const vpair factor = panel->factor[j] = ss_pair_mul(FN(reciprocal)(end.total), coefficient);
        const vd size = ss_abs(factor.hi), between = v_sub(sum.exponent, unit);
        panel->left |= FN(unless)(v_lt(size, v_set1(SS_SLOPE_MOST)), j);
        panel->left |= FN(unless)(v_lt(v_set1(SS_SLOPE_LEAST), v_select(v_eq(w, zero), v_set1(1.0), size)), j);
        panel->left |= FN(unless)(v_lt(v_set1(SS_SLOPE_BETWEEN), between), j);
        const vd moved = ss_pow2(v_max(v_sub(end.others_unit, unit), v_set1(-1000.0)));
        const vpair mine = ss_pair_scale(ss_pair_neg(end.others), lift);
        v_store(lp->mine + j * SS_W,
                v_add(FN(product)(mine, ss_pair_scale(factor, moved)), zero));
        lp->top[j] = FN(product)(FN(term)(peak, ss_scale_bits(unit, FN(OFFSET)), table_hi, table_lo), factor);
    }
}

/* The gradient in place of `length` elements from `first`, from their terms if they were kept. */
static inline void FN(slopes_by)(const FN(loss_panel) *lp, const int64_t *labels, REAL *values, ptrdiff_t pitch,
                                 ptrdiff_t first, ptrdiff_t length, const double *terms)
{
    SS_TABLES;
    vpair factor[4];
    vi scale[4];
    vd lowest[4];
    for (int j = 0; j < 4; j++) {
        const FN(lanes) *sum = &lp->panel.sums[j];
        const vd unit = ss_exponent(sum->peak), power = ss_pow2(v_max(v_set1(-1000.0), v_sub(sum->exponent, unit)));
        factor[j] = lp->panel.factor[j];
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
            if (terms) result[j] = v_select(v_eq(x, lp->panel.sums[j].peak), lp->top[j], result[j]);
        }
        FN(put)(values + i * pitch, result, 0);
    }
    for (int row = 0; row < STEP; row++)
        if (labels[row] >= first && labels[row] < first + length)
            values[(labels[row] - first) * pitch + row] = (REAL)lp->mine[row];
}

/* As FN(block). */
static void FN(loss_block)(const ss_loss *loss, ptrdiff_t first_row, int count, ptrdiff_t span, REAL *values, ptrdiff_t pitch)
{
    FN(loss_panel) panels[BLOCK_PANELS];
    _Alignas(64) double terms[2 * TERMS_LOW];
    int64_t labels[BLOCK_PANELS * STEP];
    double weight[BLOCK_PANELS * STEP], x_label[BLOCK_PANELS * STEP], items[STEP];
    const ss_job *job = &loss->job;
    const ss_offsets at = row_offsets(job, first_row);
    const ptrdiff_t n = job->n, kept_x = job->kept_x[job->kept - 1], kept_y = job->kept_y[job->kept - 1];
    const ptrdiff_t next_step = kept_x == (ptrdiff_t)sizeof(REAL) ? job->reduced_x[0] : STEP * (ptrdiff_t)sizeof(REAL);
    double *keep = job->y && n <= CHUNK ? terms : NULL;
    for (int row = 0; row % STEP || row < count; row++) {
        const int real = row < count ? row : 0; /* missing rows repeat the first */
        const int64_t label = loss->labels[first_row + real];
        REAL x = 0;
        weight[row] = label < 0 ? 0.0 : loss->weights ? loss->weights[label] : 1.0;
        memcpy(&x, job->x + at.x + real * kept_x + (label < 0 ? 0 : label) * job->reduced_x[0], sizeof x);
        x_label[row] = (double)x;
        labels[row] = label;
    }
    for (int p = 0; p * STEP < count; p++) panels[p].panel.left = 0;
    for (ptrdiff_t i = 0; i < n; i += span) {
        const ptrdiff_t length = n - i < span ? n - i : span;
        FN(block_load)(job, job->x + at.x, count, i, length, values, pitch);
        const char *next = job->x + at.x + (i + span < n ? (i + span) * job->reduced_x[0] : count * kept_x);
        for (int p = 0; p * STEP < count; p++) {
            const int rows = count - p * STEP < STEP ? count - p * STEP : STEP;
            const FN(ahead) ahead = {next + p * STEP * sizeof(REAL), next_step};
            FN(panel_sum)(&panels[p].panel, values + p * STEP, pitch, length, ahead, i == 0, 1, keep);
            if (i + span < n) continue;
            FN(loss_conclude)(loss, &panels[p], x_label + p * STEP, weight + p * STEP, items);
            memcpy(loss->items + first_row + p * STEP, items, (size_t)rows * sizeof *items);
            if (n > span || !job->y) continue;
            if (keep)
                FN(slopes_by)(&panels[p], labels + p * STEP, values + p * STEP, pitch, 0, n, keep);
            else
                FN(slopes_by)(&panels[p], labels + p * STEP, values + p * STEP, pitch, 0, n, NULL);
        }
    }
    uint32_t any_left = 0;
    for (int p = 0; p * STEP < count; p++) {
        const int rows = count - p * STEP < STEP ? count - p * STEP : STEP;
        if (rows < STEP) panels[p].panel.left &= (1u << rows) - 1;
        any_left |= panels[p].panel.left;
        for (int row = p * STEP; row < p * STEP + rows && panels[p].panel.left; row++)
            if (panels[p].panel.left >> (row - p * STEP) & 1)
                FN(loss_label_row)(loss, first_row + row, (ptrdiff_t)labels[row], weight[row]);
    }
    for (ptrdiff_t i = 0; i < n && job->y; i += span) {
        const ptrdiff_t length = n - i < span ? n - i : span;
        if (n > span) {
            FN(block_load)(job, job->x + at.x, count, i, length, values, pitch);
            for (int p = 0; p * STEP < count; p++)
                FN(slopes_by)(&panels[p], labels + p * STEP, values + p * STEP, pitch, i, length, NULL);
        }
        for (int row = 0; row < count && any_left; row++)
            for (ptrdiff_t e = 0; e < length && panels[row / STEP].panel.left >> row % STEP & 1; e++)
                memcpy(values + e * pitch + row, job->y + at.y + row * kept_y + (i + e) * job->reduced_y[0], sizeof(REAL));
        FN(block_store)(job, job->y + at.y, count, i, length, values, pitch);
    }
}

static void FN(losses)(const ss_loss *loss, ptrdiff_t first, ptrdiff_t last)
{
    const int sharp = loss->smoothing == 0.0 || loss->job.n == 1, plain = loss->labels && sharp;
    FN(blocking) by;
    if (plain && loss->gamma == 0.0 && loss->z_loss == 0.0 && FN(panel_fits)(&loss->job) && FN(blocks_begin)(&loss->job, &by)) {
        for (ptrdiff_t row = first, count; row < last; row += count) {
            count = FN(blocks_next)(&loss->job, &by, row, last);
            FN(loss_block)(loss, row, (int)count, by.span, by.values, by.pitch);
        }
        FN(blocks_end)(&loss->job, &by);
        return;
    }
    for (ptrdiff_t row = first; row < last; row++) {
        ptrdiff_t label = loss->labels ? (ptrdiff_t)loss->labels[row] : -1;
        double weight = label < 0 ? 0.0 : loss->weights ? loss->weights[label] : 1.0;
        const ss_offsets at = row_offsets(&loss->job, row);
        if (plain || (label < 0 && loss->labels) || (sharp && FN(dense_label)(loss, at, &label, &weight)))
            FN(loss_label_row)(loss, row, label, weight);
        else
            FN(dense_row)(loss, row, label);
    }
}
