/* SPDX-License-Identifier: BSD-3-Clause
   Softmax cross-entropy of rows with one label: loss and gradient in one read of the logits. The row is summed as for
   log_softmax (without its peak); the terms of a row of up to TILE elements are kept for the gradient. The classes lie
   along one dimension. */

static double FN(loss_element)(const ss_job *job, ss_offsets at, ptrdiff_t i)
{
    REAL value;
    memcpy(&value, job->x + at.x + i * job->reduced_x[0], sizeof value);
    return (double)value;
}

static void FN(loss_put)(const ss_job *job, ss_offsets at, ptrdiff_t i, double value)
{
    const REAL rounded = (REAL)value;
    memcpy(job->y + at.y + i * job->reduced_y[0], &rounded, sizeof rounded);
}

/* A row whose loss and every element of whose gradient are one value, 0 or NaN. */
static void FN(loss_alike)(const ss_loss *loss, ptrdiff_t row, ss_offsets at, double value)
{
    loss->items[row] = value;
    for (ptrdiff_t i = 0; i < loss->job.n && loss->job.y; i++) FN(loss_put)(&loss->job, at, i, value);
}

/* a - b as a pair; what overflows is infinite. */
static inline vpair FN(gap)(vd a, vd b)
{
    vpair gap = ss_two_sum(a, v_sub(v_set1(0.0), b));
    gap.lo = v_select(v_eq(gap.lo, gap.lo), gap.lo, v_set1(0.0));
    return gap;
}

/* Rows with `count` elements +inf. */
static void FN(loss_infinite)(const ss_loss *loss, ptrdiff_t row, ss_offsets at, ptrdiff_t label, double count,
                              double weight, double coefficient)
{
    const ss_job *job = &loss->job;
    const ss_infinite all = ss_infinite_of(count, loss->gamma, loss->z_loss);
    const int hit = FN(loss_element)(job, at, label) == INFINITY;
    loss->items[row] = weight * (hit ? all.cost : INFINITY);
    if (!job->y) return;
    if (hit) coefficient *= all.focus * all.growth;
    for (ptrdiff_t i = 0; i < job->n; i++) {
        const double p = FN(loss_element)(job, at, i) == INFINITY ? all.rise / count : 0.0;
        FN(loss_put)(job, at, i, p * coefficient);
    }
    const int rises = hit && all.rise == INFINITY;
    FN(loss_put)(job, at, label, rises ? all.rise * coefficient : 0.0 - coefficient * (hit ? all.q : 1.0));
}

/* What the gradient of a row is made of: p times `factor`, both in units of S; at the label -others times on_others. */
typedef struct {
    double peak, exponent;    /* of ss_sum */
    double unit, others_unit; /* of S; of others, relative to S */
    vpair factor, others, on_others;
    int cost_anew, slope_anew; /* where a number could leave the range on the way to a result within it */
} FN(slope);

/* Loss and, if wanted, gradient of a row of any magnitude; its label counts only where there are no probabilities. */
static double FN(loss_anew)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, int gradient)
{
    const ss_job *job = &loss->job;
    const char *targets = loss->targets ? loss->targets + at.mask : NULL;
    const ss_place place = {job->x + at.x, targets, job->y ? job->y + at.y : NULL};
    return ss_loss_of_row(loss, SINGLE, place, targets ? -1 : label, gradient);
}

/* `terms` of the whole row but for the peak at `place`, or NULL: then the terms are computed again. */
static void FN(loss_gradient)(const ss_job *job, ss_offsets at, ptrdiff_t label, const FN(slope) *by, ptrdiff_t place,
                              double *terms)
{
    const vpair mine = ss_pair_scale(ss_pair_neg(by->others), v_set1(ldexp(1.0, FN(OFFSET))));
    ss_end end = {by->peak, 0.0, by->unit, lane(by->factor.hi), lane(by->factor.lo), 0.0};
    if (!terms) {
        FN(write_from)(job, at, 0, job->n, &end, NULL, NULL);
        const FN(scaled) on_mine = FN(scale_factor)(by->on_others, v_set1(fmax(by->others_unit, -3000.0)));
        FN(loss_put)(job, at, label, lane(FN(scaled_product)(mine, on_mine)) + 0.0);
        return;
    }
    /* Kept terms are in units of 2^exponent, and the peak's was left out: put it in, and the label's. */
    const double units = ldexp(1.0, (int)(by->exponent - by->unit));
    const double moved = ldexp(1.0, (int)fmax(by->others_unit, -1000.0));
    SS_TABLES;
    const vpair top = FN(term)(v_set1(by->peak), ss_scale_bits(v_set1(by->exponent), FN(OFFSET)), table_hi, table_lo);
    FN(replace)(terms + place, lane(top.hi), lane(top.lo));
    FN(replace)(terms + label, lane(mine.hi) * (moved / units), lane(mine.lo) * (moved / units));
    FN(write_from)(job, at, 0, job->n, &end, terms, &by->exponent);
}

/* z_loss adds z L^2 to the loss, L = logsumexp = highest + excess, and to every element of the gradient 2 z L p; the
   label's own share, with `term` unless that was `cut` off, goes with the others. */
static void FN(add_z_loss)(double z_loss, vd highest, const ss_label *end, vpair term, vm cut, vpair *item,
                           FN(slope) *by)
{
    const vpair log = ss_pair_add(ss_pair_of(highest), end->excess);
    const vpair slope = ss_pair_mul(log, ss_pair_set1(2.0 * z_loss));
    const vpair square = ss_pair_mul(ss_pair_mul(log, ss_pair_set1(z_loss)), log);
    *item = ss_pair_select(v_eq(item->hi, v_set1(INFINITY)), *item, ss_pair_add(*item, square));
    const vpair share = ss_pair_select(cut, ss_pair_set1(0.0), ss_pair_mul(slope, term));
    by->others = ss_pair_sub(ss_pair_scale_down(by->others, v_set1(by->others_unit)), share);
    by->others_unit = 0.0;
    by->factor = ss_pair_mul(by->factor, ss_pair_add(ss_pair_set1(1.0), slope));
}

/* From the sum of a row to the loss of its label, and to what its gradient is made of. */
static SS_INLINE double FN(loss_of_label)(const ss_loss *loss, ss_offsets at, ptrdiff_t label, const ss_sum *sum,
                                          double shift, double weight, vpair coefficient, FN(slope) *by)
{
    SS_TABLES;
    const vpair rest = FN(canonical_sum)(&loss->job, at, sum, shift);
    const vd peak = v_set1(sum->peak), highest = v_set1(sum->peak + shift);
    const vd mine = v_set1(FN(loss_element)(&loss->job, at, label)), lowest = v_sub(peak, v_set1(SS_TERM_REACH));
    const vd near = v_max(lowest, v_sub(mine, v_set1(shift))); /* below that a term is nothing beside S */
    const vpair term = FN(term)(near, ss_scale_bits(ss_exponent(peak), 0), table_hi, table_lo);
    const ss_label end = FN(label)(peak, rest, v_set1(sum->exponent), FN(gap)(highest, mine), term);
    const vpair inverse = FN(reciprocal)(end.total);
    vpair item = end.loss;
    if (loss->gamma != 0.0) {
        vpair on_loss, on_gradient;
        ss_label_focus(loss->gamma, &end, inverse, term, &on_loss, &on_gradient);
        if (isfinite(lane(item.hi))) item = ss_pair_mul(item, on_loss);
        coefficient = ss_pair_mul(coefficient, on_gradient);
    }
    *by = (FN(slope)){sum->peak, sum->exponent, lane(end.unit), lane(end.others_unit) - lane(end.unit)};
    by->others = end.others;
    by->factor = by->on_others = ss_pair_mul(inverse, coefficient);
    if (loss->z_loss != 0.0) {
        /* the slope may be larger than what was cut is small */
        const vm cut = v_lt(near, v_sub(peak, v_set1(SS_TERM_REACH - 1.0)));
        FN(add_z_loss)(loss->z_loss, highest, &end, term, cut, &item, by);
    }
    by->cost_anew = ss_cost_beyond(loss->gamma, loss->z_loss, weight, &end, lane(highest), lane(mine));
    by->slope_anew = by->cost_anew || ss_slope_beyond(shift, lane(by->factor.hi), loss->scale_hi * weight);
    return lane(v_mul(v_add(item.hi, item.lo), v_set1(weight)));
}

/* A row whose label costs weight * -log p. */
static void FN(loss_label_row)(const ss_loss *loss, ptrdiff_t row, ptrdiff_t label, double weight)
{
    _Alignas(64) double terms[FN(KEPT)];
    REAL buffer[TILE + STEP];
    const ss_job *job = &loss->job;
    const ss_offsets at = row_offsets(job, row);
    if (weight == 0.0) { /* what has no weight is ignored, even NaN */
        FN(loss_alike)(loss, row, at, 0.0);
        return;
    }
    const int keep = job->y && job->n <= TILE && loss->z_loss == 0.0;
    const REAL *x = keep ? FN(tile)(job, at, 0, job->n, 0.0, buffer) : NULL;
    ss_sum sum = keep ? FN(sum_tile)(x, job->n, 1, terms) : FN(part)(job, row, 0, job->n, 0.0);
    const double shift = FN(shift_sum)(job, row, &sum);
    const vpair coefficient = ss_pair_mul(ss_pair_set(loss->scale_hi, loss->scale_lo), ss_pair_set1(weight));
    if (isnan(sum.hi) || sum.peak == -INFINITY) {
        FN(loss_alike)(loss, row, at, NAN);
        return;
    }
    if (sum.peak == INFINITY) {
        FN(loss_infinite)(loss, row, at, label, sum.hi, weight, lane(coefficient.hi));
        return;
    }
    FN(slope) by;
    loss->items[row] = FN(loss_of_label)(loss, at, label, &sum, shift, weight, coefficient, &by);
    if (by.cost_anew || (job->y && by.slope_anew)) {
        const double item = FN(loss_anew)(loss, at, label, job->y && by.slope_anew);
        if (by.cost_anew) loss->items[row] = item;
        if (by.slope_anew) return;
    }
    /* no second element above -inf: then there are no terms */
    const int kept = keep && sum.hi != 0.0 && by.exponent - by.unit > SS_SLOPE_BETWEEN;
    if (job->y) FN(loss_gradient)(job, at, label, &by, sum.place, kept ? terms : NULL);
#if SS_HAVE_STREAM
    if (job->stream) v_fence();
#endif
}
