/* SPDX-License-Identifier: BSD-3-Clause
   Softmax cross-entropy of rows with a probability t for every class, given or made by label smoothing. With a = weight * t
   the loss is the sum of a (-log p), and the gradient A p - a with A the sum of a; focal loss multiplies each a by a power of
   1 - p. Both sums are exact, so they depend on no order; an element with a = 0 costs nothing, not even at -inf. */

typedef struct {
    double hi[TILE + STEP], lo[TILE + STEP]; /* a, and then the products a (peak - x) */
    double x[TILE + STEP];
} FN(dense_tile);

/* x, and a as pairs, of classes [first, first + n). */
static void FN(dense_read)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, ptrdiff_t first, ptrdiff_t n,
                           FN(dense_tile) *tile)
{
    const ss_job *job = &loss->job;
    REAL buffer[TILE + STEP];
    const REAL *x = FN(tile)(job, at, first, n, 0.0, buffer);
    for (ptrdiff_t i = 0; i < n; i++) {
        REAL t = (REAL)(first + i == label);
        if (loss->targets) memcpy(&t, loss->targets + element_offsets(job, at, first + i).mask, sizeof t);
        tile->x[i] = (double)x[i];
        tile->hi[i] = (double)t;
        tile->lo[i] = loss->weights ? loss->weights[first + i] : 1.0;
    }
    for (ptrdiff_t i = n; i < n + SS_W; i++) tile->x[i] = tile->hi[i] = tile->lo[i] = 0.0;
    const vpair keep = ss_two_sum(v_set1(1.0), v_set1(-loss->smoothing));
    const vpair share = ss_pair_div(ss_pair(v_set1(loss->smoothing), v_set1(0.0)), ss_pair(v_set1((double)job->n), v_set1(0.0)));
    for (ptrdiff_t i = 0; i < n; i += SS_W) {
        vpair a = ss_pair(v_load(tile->hi + i), v_set1(0.0));
        if (loss->smoothing != 0.0) a = ss_pair_add(ss_pair_mul(a, keep), share);
        a = ss_pair_mul(a, ss_pair(v_load(tile->lo + i), v_set1(0.0)));
        v_store(tile->hi + i, a.hi);
        v_store(tile->lo + i, a.lo);
    }
}

/* What the elements of a row have in common; `slope` is made of it and of the sum of all h. */
typedef struct {
    double peak, shift, exponent; /* of ss_sum */
    vpair rest;
    ss_label end; /* of the peak: the excess, and S with its unit */
} FN(dense);

static inline vpair FN(dense_term)(const FN(dense) *row, vd x, vtab16 table_hi, vtab16 table_lo)
{
    const vd near = v_max(v_set1(row->peak - SS_TERM_REACH), v_sub(x, v_set1(row->shift)));
    return FN(term)(near, ss_scale_bits(row->end.unit, 0), table_hi, table_lo);
}

/* a becomes h, which the gradient p H - h is made of, or with `cost` the element's loss. Without focus h is a. */
static void FN(dense_weigh)(const FN(dense) *row, double gamma, int cost, FN(dense_tile) *tile, ptrdiff_t n)
{
    SS_TABLES;
    const vd zero = v_set1(0.0), highest = v_set1(row->peak + row->shift);
    for (ptrdiff_t i = 0; i < n && (cost || gamma != 0.0); i += SS_W) {
        const vd x = v_load(tile->x + i);
        const vpair a = ss_pair(v_load(tile->hi + i), v_load(tile->lo + i)), term = FN(dense_term)(row, x, table_hi, table_lo);
        const ss_label end = FN(label)(v_set1(row->peak), row->rest, v_set1(row->exponent), FN(gap)(highest, x), term);
        vpair on_loss = ss_pair(v_set1(1.0), zero), on_gradient = on_loss;
        if (gamma != 0.0) ss_label_focus(gamma, &end, FN(reciprocal)(end.total), term, &on_loss, &on_gradient);
        vpair value = cost ? ss_pair_mul(ss_pair_mul(a, on_loss), end.loss) : ss_pair_mul(a, on_gradient);
        const vm none = v_eq(a.hi, zero), large = v_eq(ss_abs(v_mul(a.hi, end.loss.hi)), v_set1(INFINITY));
        const vd half = v_sub(v_mul(highest, v_set1(0.5)), v_mul(x, v_set1(0.5))); /* of a loss that may overflow without a */
        if (cost) value = ss_choose(large, ss_pair(v_mul(v_set1(2.0), v_mul(a.hi, half)), zero), value);
        v_store(tile->hi + i, v_select(none, zero, value.hi));
        v_store(tile->lo + i, v_select(none, zero, value.lo));
    }
}

/* Exact sums over the row. */
static vpair FN(dense_sum)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, const FN(dense) *row, int which)
{
    FN(dense_tile) tile;
    ss_total sum;
    double hi, lo;
    ss_total_start(&sum);
    for (ptrdiff_t i = 0; i < loss->job.n; i += TILE) {
        const ptrdiff_t n = loss->job.n - i < TILE ? loss->job.n - i : TILE;
        FN(dense_read)(loss, at, label, i, n, &tile);
        if (which != SS_SUM_WEIGHTS) FN(dense_weigh)(row, loss->gamma, which == SS_SUM_COSTS, &tile, n);
        for (ptrdiff_t j = 0; j < n; j++) {
            ss_total_add(&sum, tile.hi[j]);
            ss_total_add(&sum, tile.lo[j]);
        }
    }
    ss_total_result(&sum, &hi, &lo);
    return ss_pair(v_set1(hi), v_set1(lo));
}

/* The gradient slope p - scale h, where slope includes 1 / S. */
static void FN(dense_gradient)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, const FN(dense) *row, vpair slope)
{
    SS_TABLES;
    FN(dense_tile) tile;
    const ss_job *job = &loss->job;
    const vpair scale = ss_pair(v_set1(loss->scale_hi), v_set1(loss->scale_lo));
    const vd lowest = v_set1(row->peak - FN(REACH)), lower = v_set1(ldexp(1.0, -FN(OFFSET)));
    const vi bits = ss_scale_bits(row->end.unit, FN(OFFSET));
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t n = job->n - i < TILE ? job->n - i : TILE;
        FN(dense_read)(loss, at, label, i, n, &tile);
        FN(dense_weigh)(row, loss->gamma, 0, &tile, n);
        for (ptrdiff_t j = 0; j < n; j += SS_W) {
            const vd x = v_sub(v_load(tile.x + j), v_set1(row->shift));
            const vpair p = ss_pair_mul(FN(term)(v_max(lowest, x), bits, table_hi, table_lo), slope);
            const vpair h = ss_pair_mul(ss_pair(v_load(tile.hi + j), v_load(tile.lo + j)), scale);
            const vpair high = ss_two_sum(v_mul(p.hi, lower), v_sub(v_set1(0.0), h.hi));
            v_store(tile.hi + j, v_add(high.hi, v_add(high.lo, v_sub(v_mul(p.lo, lower), h.lo))));
        }
        for (ptrdiff_t j = 0; j < n; j++) FN(loss_put)(job, at, i + j, tile.hi[j]);
    }
}

/* p is 1/k at each of k elements +inf: there h is a q^gamma (1 + gamma p loss / q) with q = 1 - 1/k, elsewhere it is a. */
static void FN(dense_infinite)(const ss_loss *loss, ss_offsets at, ptrdiff_t row, ptrdiff_t label, double count)
{
    FN(dense_tile) tile;
    const ss_job *job = &loss->job;
    const double log = lane(ss_log1p_pair(ss_pair(v_set1(count - 1.0), v_set1(0.0))).hi), q = (count - 1.0) / count;
    const double focus = loss->gamma == 0.0 ? 1.0 : q == 0.0 ? 0.0
                       : lane(ss_raise(ss_pair(v_set1(q), v_set1(0.0)), v_set1(0.0), loss->gamma).hi);
    const double growth = q == 0.0 ? 1.0 : 1.0 + loss->gamma * log / (count * q);
    double whole = 0.0, item = 0.0;
    const double rise = loss->z_loss == 0.0 ? 1.0 : INFINITY; /* the slope of z_loss goes with logsumexp */
    for (int pass = 0; pass < 2; pass++)
        for (ptrdiff_t i = 0; i < job->n; i += TILE) {
            const ptrdiff_t n = job->n - i < TILE ? job->n - i : TILE;
            FN(dense_read)(loss, at, label, i, n, &tile);
            for (ptrdiff_t j = 0; j < n; j++) {
                const int hit = tile.x[j] == INFINITY;
                const double h = hit ? tile.hi[j] * focus * growth : tile.hi[j];
                if (pass == 0) {
                    whole += h;
                    if (tile.hi[j] != 0.0) item += hit ? tile.hi[j] * focus * log : INFINITY;
                } else {
                    FN(loss_put)(job, at, i + j, ((hit ? rise * whole / count : 0.0) - h) * loss->scale_hi);
                }
            }
            if (pass == 1 && !job->y) break;
        }
    loss->items[row] = rise * item;
}

static void FN(dense_row)(const ss_loss *loss, ptrdiff_t row, ptrdiff_t label)
{
    const ss_job *job = &loss->job;
    const ss_offsets at = row_offsets(job, row);
    double shift = 0.0;
    ss_sum sum = FN(part)(job, row, 0, job->n, 0.0);
    if (isfinite(sum.peak) && fabs(sum.peak) > SS_HUGE) {
        shift = sum.peak;
        sum = FN(part)(job, row, 0, job->n, shift);
    }
    if (sum.peak == INFINITY && !isnan(sum.hi)) {
        FN(dense_infinite)(loss, at, row, label, sum.hi);
        return;
    }
    if (isnan(sum.hi) || sum.peak == -INFINITY) {
        loss->items[row] = NAN;
        FN(loss_fill)(job, at, NAN);
        return;
    }
    const vpair one = ss_pair(v_set1(1.0), v_set1(0.0)), nothing = ss_pair(v_set1(0.0), v_set1(0.0));
    FN(dense) common = {sum.peak, shift, sum.exponent, FN(canonical_sum)(job, at, &sum, shift)};
    common.end = FN(label)(v_set1(sum.peak), common.rest, v_set1(sum.exponent), nothing, nothing);
    const vpair log = ss_pair_add(ss_pair(v_set1(sum.peak + shift), v_set1(0.0)), common.end.excess);
    vpair item = FN(dense_sum)(loss, at, label, &common, SS_SUM_COSTS);
    if (loss->z_loss != 0.0 && isfinite(lane(item.hi))) {
        const vpair square = ss_pair_mul(ss_pair_mul(log, ss_pair(v_set1(loss->z_loss), v_set1(0.0))), log);
        const vpair part = ss_pair_mul(square, FN(dense_sum)(loss, at, label, &common, SS_SUM_WEIGHTS));
        item = isfinite(lane(part.hi)) ? ss_pair_add(item, part) : ss_pair(v_set1(INFINITY), v_set1(0.0));
    }
    loss->items[row] = isfinite(lane(item.hi)) ? lane(v_add(item.hi, item.lo)) : lane(item.hi);
    if (!job->y) return;
    const vpair growth = ss_pair_add(one, ss_pair_mul(log, ss_pair(v_set1(2.0 * loss->z_loss), v_set1(0.0))));
    const vpair scale = ss_pair(v_set1(loss->scale_hi), v_set1(loss->scale_lo));
    const vpair whole = ss_pair_mul(FN(dense_sum)(loss, at, label, &common, SS_SUM_SLOPES), growth);
    FN(dense_gradient)(loss, at, label, &common,
                       ss_pair_mul(ss_pair_mul(ss_reciprocal(common.end.total), whole), scale));
}

/* Where one class alone has a probability, or is alone, the row has a label: there the gradient must not cancel. */
static int FN(dense_label)(const ss_loss *loss, ss_offsets at, ptrdiff_t *label, double *weight)
{
    int found = 0;
    if (loss->labels) return 0;
    *label = 0;
    *weight = 0.0;
    for (ptrdiff_t i = 0; i < loss->job.n; i++) {
        REAL t;
        memcpy(&t, loss->targets + element_offsets(&loss->job, at, i).mask, sizeof t);
        const double smoothed = (double)t + loss->smoothing * (1.0 - (double)t); /* of one class */
        const double a = loss->weights ? smoothed * loss->weights[i] : smoothed;
        if (a == 0.0) continue;
        if (found++) return 0;
        *label = i;
        *weight = a;
    }
    return 1;
}
