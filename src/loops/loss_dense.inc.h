/* SPDX-License-Identifier: BSD-3-Clause
   Softmax losses of rows with a probability t for every class, given or made by label smoothing. With a = weight * t
   the loss is the sum of a (-log p), and the gradient A p - a with A the sum of a; focal loss multiplies each a by a
   power of 1 - p. Both sums are rounded canonically, so they depend on no order; a class with a = 0 costs nothing, not
   even -inf. */

typedef struct {
    double hi[TILE + STEP], lo[TILE + STEP]; /* a, and then the products a (peak - x) */
    double x[TILE + STEP];
} FN(dense_tile);

/* x, and in place of a pair the probability and the weight, of classes [first, first + n); 0 up to whole vectors. */
static void FN(dense_given)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, ptrdiff_t first, ptrdiff_t n,
                            FN(dense_tile) *tile)
{
    const ss_job *job = &loss->job;
    REAL buffer[TILE + STEP], targets[TILE + STEP];
    const REAL *x = FN(tile)(job, at, first, n, 0.0, buffer);
    if (loss->targets) {
        const ptrdiff_t step = job->reduced_mask[0];
        const char *from = loss->targets + at.mask + first * step;
        if (step == (ptrdiff_t)sizeof(REAL))
            memcpy(targets, from, (size_t)n * sizeof(REAL));
        else
            SS_GATHER(REAL, targets, from, step, n);
    } else {
        memset(targets, 0, (size_t)n * sizeof *targets);
        if (label >= first && label < first + n) targets[label - first] = 1;
    }
    for (ptrdiff_t i = 0; i < n; i++) tile->x[i] = (double)x[i];
    for (ptrdiff_t i = 0; i < n; i++) tile->hi[i] = (double)targets[i];
    for (ptrdiff_t i = 0; i < n; i++) tile->lo[i] = loss->weights ? loss->weights[first + i] : 1.0;
    for (ptrdiff_t i = n; i < n + SS_W; i++) tile->x[i] = tile->hi[i] = tile->lo[i] = 0.0;
}

/* x, and a as pairs. */
static void FN(dense_read)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, ptrdiff_t first, ptrdiff_t n,
                           FN(dense_tile) *tile)
{
    FN(dense_given)(loss, at, label, first, n, tile);
    const vpair keep = ss_two_sum(v_set1(1.0), v_set1(-loss->smoothing));
    const vpair share = ss_pair_div(ss_pair_set1(loss->smoothing), ss_pair_set1((double)loss->job.n)); /* of all */
    for (ptrdiff_t i = 0; i < n; i += SS_W) {
        vpair a = ss_pair_of(v_load(tile->hi + i));
        if (loss->smoothing != 0.0) a = ss_pair_add(ss_pair_mul(a, keep), share);
        if (loss->weights) a = ss_pair_mul(a, ss_pair_of(v_load(tile->lo + i)));
        v_store(tile->hi + i, a.hi);
        v_store(tile->lo + i, a.lo);
    }
}

/* Whether doubles cannot carry the factors of a row, or its logits. Given probabilities have all their digits even
   where they are subnormal; beside a larger one that is enough. */
static int FN(dense_beyond)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, double peak)
{
    const vd zero = v_set1(0.0), one = v_set1(1.0), smoothing = v_set1(loss->smoothing);
    vd least = v_set1(INFINITY), most = zero, far = zero, bounded = one;
    FN(dense_tile) tile;
    for (ptrdiff_t i = 0; i < loss->job.n; i += TILE) {
        const ptrdiff_t n = loss->job.n - i < TILE ? loss->job.n - i : TILE;
        FN(dense_given)(loss, at, label, i, n, &tile);
        for (ptrdiff_t j = 0; j < n; j += SS_W) {
            const vd t = v_load(tile.hi + j), x = v_load(tile.x + j), weight = v_load(tile.lo + j);
            const vd a = v_fma(v_sub(one, smoothing), t, smoothing), size = ss_abs(v_mul(a, weight));
            const vm none = v_eq(v_select(v_eq(a, zero), zero, weight), zero);
            least = v_min(v_select(none, least, size), least);
            most = v_max(v_select(none, most, size), most);
            bounded = v_select(none, bounded, v_select(v_lt(size, v_set1(0x1p100)), bounded, zero)); /* NaN is not */
            far = v_max(v_select(v_lt(v_set1(-INFINITY), x), v_select(none, zero, v_sub(v_set1(peak), x)), zero), far);
        }
    }
    const int all = (1 << SS_W) - 1, given = !loss->weights && loss->smoothing == 0.0;
    const int small = v_bits(v_lt(most, v_set1(0x1p-400))) == all;
    const int tiny = !given && v_bits(v_lt(least, v_set1(SS_LOSS_LEAST)));
    return small || tiny || v_bits(v_eq(bounded, zero)) || v_bits(v_lt(v_set1(0x1p800), far));
}

/* What the elements of a row have in common; `slope` is made of it and of the sum of all h. */
typedef struct {
    double peak, exponent; /* of ss_sum */
    vpair rest;
    ss_label end; /* of the peak: the excess, and S with its unit */
} FN(dense);

static inline vpair FN(dense_term)(const FN(dense) *row, vd x, vtab16 table_hi, vtab16 table_lo)
{
    const vd near = v_max(v_set1(row->peak - SS_TERM_REACH), x);
    return FN(term)(near, ss_scale_bits(row->end.unit, 0), table_hi, table_lo);
}

/* a becomes h, which the gradient p H - h is made of, or with `cost` the element's loss. Without focus h is a. */
static void FN(dense_weigh)(const FN(dense) *row, double gamma, int cost, FN(dense_tile) *tile, ptrdiff_t n)
{
    SS_TABLES;
    const vd zero = v_set1(0.0), highest = v_set1(row->peak);
    for (ptrdiff_t i = 0; i < n && (cost || gamma != 0.0); i += SS_W) {
        const vd x = v_load(tile->x + i);
        const vpair a = ss_pair(v_load(tile->hi + i), v_load(tile->lo + i));
        const vpair gap = FN(gap)(highest, x);
        vpair value;
        if (gamma != 0.0) {
            const vpair term = FN(dense_term)(row, x, table_hi, table_lo);
            const ss_label end = FN(label)(v_set1(row->peak), row->rest, v_set1(row->exponent), gap, term);
            vpair on_loss, on_gradient;
            ss_label_focus(gamma, &end, FN(reciprocal)(end.total), term, &on_loss, &on_gradient);
            value = cost ? ss_pair_mul(ss_pair_mul(a, on_loss), end.loss) : ss_pair_mul(a, on_gradient);
        } else {
            value = ss_pair_mul(a, FN(label_loss)(gap, row->end.excess));
        }
        const vm none = v_eq(a.hi, zero), infinite = v_eq(x, v_set1(-INFINITY));
        if (cost) value = ss_pair_select(infinite, ss_pair_of(v_mul(a.hi, v_set1(INFINITY))), value);
        v_store(tile->hi + i, v_select(none, zero, value.hi));
        v_store(tile->lo + i, v_select(none, zero, value.lo));
    }
}

/* Adds up over the row; `exact` may be NULL. */
static ss_partial FN(dense_add)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, const FN(dense) *row, int which,
                                ss_total *exact)
{
    FN(dense_tile) tile;
    ss_lanes sum;
    ss_lanes_start(&sum);
    for (ptrdiff_t i = 0; i < loss->job.n; i += TILE) {
        const ptrdiff_t n = loss->job.n - i < TILE ? loss->job.n - i : TILE;
        FN(dense_read)(loss, at, label, i, n, &tile);
        if (which != SS_SUM_WEIGHTS) FN(dense_weigh)(row, loss->gamma, which == SS_SUM_COSTS, &tile, n);
        for (ptrdiff_t j = 0; j < n; j += SS_PIECE) {
            const ptrdiff_t count = n - j < SS_PIECE ? n - j : SS_PIECE;
            ss_lanes_add(&sum, tile.hi + j, count);
            ss_lanes_add(&sum, tile.lo + j, count);
        }
        for (ptrdiff_t j = 0; j < n && exact; j++) {
            ss_total_add(exact, tile.hi[j]);
            ss_total_add(exact, tile.lo[j]);
        }
    }
    return ss_lanes_end(&sum);
}

/* The sum over the row, rounded as that of many losses is. */
static vpair FN(dense_sum)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, const FN(dense) *row, int which)
{
    double hi, lo;
    const ss_partial sum = FN(dense_add)(loss, at, label, row, which, NULL);
    if (ss_settle(&sum, 1, &hi, &lo)) return ss_pair_set(hi, lo);
    ss_total exact;
    ss_total_start(&exact);
    FN(dense_add)(loss, at, label, row, which, &exact);
    if (ss_settle_exactly(&exact, &hi, &lo)) hi = exact.special == 0.0 ? copysign(INFINITY, hi) : hi;
    return ss_pair_set(hi, lo);
}

/* The gradient slope p - scale h, where slope includes 1 / S. */
static void FN(dense_gradient)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, const FN(dense) *row, vpair slope)
{
    SS_TABLES;
    FN(dense_tile) tile;
    const ss_job *job = &loss->job;
    const vpair scale = ss_pair_set(loss->scale_hi, loss->scale_lo);
    const vd lowest = v_set1(row->peak - FN(REACH)), lower = v_set1(ldexp(1.0, -FN(OFFSET)));
    const vi bits = ss_scale_bits(row->end.unit, FN(OFFSET));
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t n = job->n - i < TILE ? job->n - i : TILE;
        FN(dense_read)(loss, at, label, i, n, &tile);
        FN(dense_weigh)(row, loss->gamma, 0, &tile, n);
        for (ptrdiff_t j = 0; j < n; j += SS_W) {
            const vpair p = ss_pair_mul(FN(term)(v_max(lowest, v_load(tile.x + j)), bits, table_hi, table_lo), slope);
            const vpair h = ss_pair_mul(ss_pair(v_load(tile.hi + j), v_load(tile.lo + j)), scale);
            const vpair high = ss_two_sum(v_mul(p.hi, lower), v_sub(v_set1(0.0), h.hi));
            v_store(tile.hi + j, v_add(high.hi, v_add(high.lo, v_sub(v_mul(p.lo, lower), h.lo))));
        }
        for (ptrdiff_t j = 0; j < n; j++) FN(loss_put)(job, at, i + j, tile.hi[j]);
    }
}

/* Rows with `count` elements +inf: these have h = a focus growth, the others h = a. The sums come
   first, then the gradient. */
static void FN(dense_infinite)(const ss_loss *loss, ptrdiff_t row, ss_offsets at, ptrdiff_t label, double count)
{
    FN(dense_tile) tile;
    const ss_job *job = &loss->job;
    const ss_infinite all = ss_infinite_of(count, loss->gamma, loss->z_loss);
    double whole = 0.0, item = 0.0, rest;
    ss_total slopes, costs;
    ss_total_start(&slopes);
    ss_total_start(&costs);
    for (int pass = 0; pass < (job->y ? 2 : 1); pass++) {
        for (ptrdiff_t i = 0; i < job->n; i += TILE) {
            const ptrdiff_t n = job->n - i < TILE ? job->n - i : TILE;
            FN(dense_read)(loss, at, label, i, n, &tile);
            for (ptrdiff_t j = 0; j < n; j++) {
                const double a = tile.hi[j];
                const int hit = tile.x[j] == INFINITY;
                const double h = hit ? a * all.focus * all.growth : a;
                if (pass == 0) {
                    ss_total_add(&slopes, h);
                    if (a != 0.0) ss_total_add(&costs, a * (hit ? all.cost : INFINITY));
                } else {
                    FN(loss_put)(job, at, i + j, ((hit ? all.rise * whole / count : 0.0) - h) * loss->scale_hi);
                }
            }
        }
        if (pass == 0) ss_total_result(&slopes, &whole, &rest);
    }
    ss_total_result(&costs, &item, &rest);
    loss->items[row] = item;
}

static void FN(dense_row)(const ss_loss *loss, ptrdiff_t row, ptrdiff_t label)
{
    const ss_job *job = &loss->job;
    const ss_offsets at = row_offsets(job, row);
    ss_sum sum = FN(part)(job, row, 0, job->n, 0.0);
    const double shift = FN(shift_sum)(job, row, &sum);
    if (sum.peak == INFINITY && !isnan(sum.hi)) {
        FN(dense_infinite)(loss, row, at, label, sum.hi);
        return;
    }
    if (isnan(sum.hi) || sum.peak == -INFINITY) {
        FN(loss_alike)(loss, row, at, NAN);
        return;
    }
    if (shift != 0.0 || FN(dense_beyond)(loss, at, label, sum.peak)) {
        loss->items[row] = FN(loss_anew)(loss, at, label, job->y != NULL);
        return;
    }
    const vpair nothing = ss_pair_set1(0.0);
    FN(dense) common = {sum.peak, sum.exponent, FN(canonical_sum)(job, at, &sum, 0.0)};
    const ss_label end = FN(label)(v_set1(sum.peak), common.rest, v_set1(sum.exponent), nothing, nothing);
    const double excess = lane(end.excess.hi), unit = lane(end.others_unit) - lane(end.unit);
    if (ss_focus_beyond(loss->gamma, lane(end.others.hi), unit) ||
        ss_z_loss_beyond(loss->z_loss, sum.peak, excess)) {
        loss->items[row] = FN(loss_anew)(loss, at, label, job->y != NULL);
        return;
    }
    common.end = end;
    const vpair log = ss_pair_add(ss_pair_set1(sum.peak), common.end.excess);
    vpair item = FN(dense_sum)(loss, at, label, &common, SS_SUM_COSTS);
    if (loss->z_loss != 0.0 && isfinite(lane(item.hi))) {
        const vpair square = ss_pair_mul(ss_pair_mul(log, ss_pair_set1(loss->z_loss)), log);
        item = ss_pair_add(item, ss_pair_mul(square, FN(dense_sum)(loss, at, label, &common, SS_SUM_WEIGHTS)));
    }
    loss->items[row] = isfinite(lane(item.hi)) ? lane(v_add(item.hi, item.lo)) : lane(item.hi);
    /* the excess has lost digits, and no gap of a class that counts is above it */
    if (lane(common.rest.hi) != 0.0 && excess < SS_LOSS_LEAST && fabs(lane(item.hi)) < SS_SLOPE_MOST * SS_LOSS_LEAST)
        loss->items[row] = FN(loss_anew)(loss, at, label, 0);
    if (!job->y) return;
    const vpair growth = ss_pair_add(ss_pair_set1(1.0), ss_pair_mul(log, ss_pair_set1(2.0 * loss->z_loss)));
    const vpair scale = ss_pair_set(loss->scale_hi, loss->scale_lo);
    const vpair whole = ss_pair_mul(FN(dense_sum)(loss, at, label, &common, SS_SUM_SLOPES), growth);
    const vpair slope = ss_pair_mul(ss_pair_mul(ss_reciprocal(common.end.total), whole), scale);
    const double size = fabs(loss->scale_hi);
    if (fabs(lane(slope.hi)) < SS_SLOPE_MOST && size < SS_SLOPE_MOST && size > SS_SLOPE_LEAST)
        FN(dense_gradient)(loss, at, label, &common, slope);
    else
        FN(loss_anew)(loss, at, label, 1);
}

/* Where one class alone has a probability, or is alone, the row has a label: there the gradient must not cancel. */
static int FN(dense_label)(const ss_loss *loss, ss_offsets at, ptrdiff_t *label, double *weight)
{
    int found = 0;
    if (loss->labels) return 0;
    *label = 0;
    *weight = 0.0;
    for (ptrdiff_t i = 0; i < loss->job.n; i++) {
        REAL given;
        memcpy(&given, loss->targets + at.mask + i * loss->job.reduced_mask[0], sizeof given);
        const double t = (double)given;
        const double smoothed = (1.0 - loss->smoothing) * t + loss->smoothing; /* of one class */
        const double factor = loss->weights ? loss->weights[i] : 1.0, a = smoothed * factor;
        if (smoothed == 0.0 || factor == 0.0) continue;
        if (found++) return 0;
        *label = i;
        *weight = a;
    }
    return !found || (fabs(*weight) > SS_SLOPE_LEAST && fabs(*weight) < SS_SLOPE_MOST);
}
