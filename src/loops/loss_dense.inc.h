/* SPDX-License-Identifier: BSD-3-Clause
   Softmax cross-entropy of rows with a probability t for every class, given or made by label smoothing. With a = weight * t
   the loss is the sum of a (-log p), and the gradient A p - a with A the sum of a. Both sums are exact, so they depend on no
   order; an element with a = 0 costs nothing, not even at -inf. */

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

/* a becomes a (peak - x). */
static void FN(dense_products)(FN(dense_tile) *tile, double peak, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i += SS_W) {
        const vpair a = ss_pair(v_load(tile->hi + i), v_load(tile->lo + i));
        const vpair gap = FN(gap)(v_set1(peak), v_load(tile->x + i));
        const vm none = v_eq(a.hi, v_set1(0.0)), endless = v_eq(gap.hi, v_set1(INFINITY));
        vpair product = ss_pair_mul(a, gap);
        product.lo = v_select(endless, v_set1(0.0), product.lo);
        product.hi = v_select(endless, v_mul(a.hi, gap.hi), product.hi);
        v_store(tile->hi + i, v_select(none, v_set1(0.0), product.hi));
        v_store(tile->lo + i, v_select(none, v_set1(0.0), product.lo));
    }
}

/* Exact sums over the row: of a, and of a (peak - x). */
static void FN(dense_sums)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, double peak, vpair *total, vpair *below)
{
    FN(dense_tile) tile;
    ss_total sums[2];
    double hi, lo;
    for (int i = 0; i < 2; i++) ss_total_start(&sums[i]);
    for (ptrdiff_t i = 0; i < loss->job.n; i += TILE) {
        const ptrdiff_t n = loss->job.n - i < TILE ? loss->job.n - i : TILE;
        FN(dense_read)(loss, at, label, i, n, &tile);
        for (int which = 0; which < 2; which++) {
            if (which) FN(dense_products)(&tile, peak, n);
            for (ptrdiff_t j = 0; j < n; j++) {
                ss_total_add(&sums[which], tile.hi[j]);
                ss_total_add(&sums[which], tile.lo[j]);
            }
        }
    }
    ss_total_result(&sums[0], &hi, &lo);
    *total = ss_pair(v_set1(hi), v_set1(lo));
    ss_total_result(&sums[1], &hi, &lo);
    *below = ss_pair(v_set1(hi), v_set1(lo));
}

/* The gradient slope p - scale a; `slope` is in units of S, 2^unit. */
static void FN(dense_gradient)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, const ss_sum *sum, double shift,
                               vpair slope, double unit)
{
    SS_TABLES;
    FN(dense_tile) tile;
    const ss_job *job = &loss->job;
    const vpair scale = ss_pair(v_set1(loss->scale_hi), v_set1(loss->scale_lo));
    const vd lowest = v_set1(sum->peak - FN(REACH)), lower = v_set1(ldexp(1.0, -FN(OFFSET)));
    const vi bits = ss_scale_bits(v_set1(unit), FN(OFFSET));
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t n = job->n - i < TILE ? job->n - i : TILE;
        FN(dense_read)(loss, at, label, i, n, &tile);
        for (ptrdiff_t j = 0; j < n; j += SS_W) {
            const vd x = v_sub(v_load(tile.x + j), v_set1(shift));
            const vpair p = ss_pair_mul(FN(term)(v_max(lowest, x), bits, table_hi, table_lo), slope);
            const vpair a = ss_pair_mul(ss_pair(v_load(tile.hi + j), v_load(tile.lo + j)), scale);
            const vpair high = ss_two_sum(v_mul(p.hi, lower), v_sub(v_set1(0.0), a.hi));
            v_store(tile.hi + j, v_add(high.hi, v_add(high.lo, v_sub(v_mul(p.lo, lower), a.lo))));
        }
        for (ptrdiff_t j = 0; j < n; j++) FN(loss_put)(job, at, i + j, tile.hi[j]);
    }
}

/* p is 1/k at each of k elements +inf. */
static void FN(dense_infinite)(const ss_loss *loss, ss_offsets at, ptrdiff_t row, ptrdiff_t label, double count)
{
    FN(dense_tile) tile;
    const ss_job *job = &loss->job;
    const double log = lane(ss_log1p_pair(ss_pair(v_set1(count - 1.0), v_set1(0.0))).hi);
    vpair sum, below;
    FN(dense_sums)(loss, at, label, 0.0, &sum, &below);
    const double total = lane(sum.hi);
    double item = 0.0;
    for (ptrdiff_t i = 0; i < job->n; i += TILE) {
        const ptrdiff_t n = job->n - i < TILE ? job->n - i : TILE;
        FN(dense_read)(loss, at, label, i, n, &tile);
        for (ptrdiff_t j = 0; j < n; j++) {
            const int hit = tile.x[j] == INFINITY;
            if (tile.hi[j] != 0.0) item = hit ? fmax(item, log * total) : INFINITY;
            if (job->y) FN(loss_put)(job, at, i + j, ((hit ? total / count : 0.0) - tile.hi[j]) * loss->scale_hi);
        }
    }
    loss->items[row] = item;
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
    const vpair rest = FN(canonical_sum)(job, at, &sum, shift);
    const vd highest = v_set1(sum.peak + shift);
    const ss_label end = FN(label)(v_set1(sum.peak), rest, v_set1(sum.exponent), nothing, nothing);
    vpair total, below;
    FN(dense_sums)(loss, at, label, lane(highest), &total, &below);
    const vpair log = ss_pair_add(ss_pair(highest, v_set1(0.0)), end.excess);
    const vpair square = ss_pair_mul(ss_pair_mul(log, log), ss_pair(v_set1(loss->z_loss), v_set1(0.0)));
    const vpair item = ss_pair_add(below, ss_pair_mul(total, ss_pair_add(end.excess, square)));
    loss->items[row] = isfinite(lane(below.hi)) ? lane(v_add(item.hi, item.lo)) : lane(below.hi);
    if (!job->y) return;
    const vpair growth = ss_pair_add(one, ss_pair_mul(log, ss_pair(v_set1(2.0 * loss->z_loss), v_set1(0.0))));
    const vpair scale = ss_pair(v_set1(loss->scale_hi), v_set1(loss->scale_lo));
    const vpair slope = ss_pair_mul(ss_pair_mul(ss_reciprocal(end.total), ss_pair_mul(total, growth)), scale);
    FN(dense_gradient)(loss, at, label, &sum, shift, slope, lane(end.unit));
}

/* Where one class alone has a probability the row has a label: there the gradient must not cancel. */
static int FN(dense_label)(const ss_loss *loss, ss_offsets at, ptrdiff_t *label, double *weight)
{
    int found = 0;
    if (loss->labels) return 0;
    *label = 0;
    *weight = 0.0;
    for (ptrdiff_t i = 0; i < loss->job.n; i++) {
        REAL t;
        memcpy(&t, loss->targets + element_offsets(&loss->job, at, i).mask, sizeof t);
        const double a = loss->weights ? (double)t * loss->weights[i] : (double)t;
        if (a == 0.0) continue;
        if (found++) return 0;
        *label = i;
        *weight = a;
    }
    return 1;
}
