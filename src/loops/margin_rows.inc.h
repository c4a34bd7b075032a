/* SPDX-License-Identifier: BSD-3-Clause
   The rows of logits of the margin losses: cross-entropy of pairs. */

enum { SS_MARGIN_LANES = 8, SS_MARGIN_GROUP = 2048 };

/* Of SS_MARGIN_LANES sums, the same for every width of a vector. */
static double margin_lanes(const vd *sums)
{
    double part[SS_MARGIN_LANES];
    for (int k = 0; k < SS_MARGIN_LANES / SS_W; k++) v_store(part + k * SS_W, sums[k]);
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

/* Takes the peak off every logit. What is left of the low parts is small wherever the exponential is not 0, however
   large the logits are. */
static void margin_lower(double *hi, double *lo, ptrdiff_t n)
{
    ptrdiff_t place = 0;
    for (ptrdiff_t j = 1; j < n; j++)
        if (hi[j] > hi[place]) place = j;
    const vpair peak = ss_pair_set(hi[place], lo[place]);
    for (ptrdiff_t j = 0; j < n; j += SS_W) {
        const vpair value = ss_pair_sub(ss_pair(products_load(hi + j, n - j), products_load(lo + j, n - j)), peak);
        products_store(hi + j, value.hi, n - j);
        products_store(lo + j, value.lo, n - j);
    }
}

/* From loss and gradient of a row of logits to those of the logits plus `low`, whose squares do not count. */
static double margin_correction(double *gradient, const double *low, ptrdiff_t label, ptrdiff_t n)
{
    vd sums[SS_MARGIN_LANES / SS_W];
    for (int k = 0; k < SS_MARGIN_LANES / SS_W; k++) sums[k] = v_set1(0.0);
    for (ptrdiff_t j = 0; j < n; j += SS_MARGIN_LANES)
        for (int k = 0; k < SS_MARGIN_LANES / SS_W; k++) {
            const ptrdiff_t i = j + k * SS_W;
            sums[k] = v_fma(products_load(gradient + i, n - i), products_load(low + i, n - i), sums[k]);
        }
    const double rise = margin_lanes(sums);
    const vd mean = v_set1(rise + low[label]); /* the label's gradient is p - 1 */
    for (ptrdiff_t j = 0; j < n; j += SS_W) {
        const vd slope = products_load(gradient + j, n - j);
        products_store(gradient + j, v_fma(slope, v_sub(products_load(low + j, n - j), mean), slope), n - j);
    }
    return rise;
}

static void margin_rows(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_margin_rows *job = what;
    const ptrdiff_t n = job->n, group = SS_MARGIN_GROUP / n + 1;
    for (ptrdiff_t row = first; row < last; row += group) {
        const ptrdiff_t end = row + group < last ? row + group : last;
        for (ptrdiff_t i = row; i < end && job->lo; i++) margin_lower(job->hi + i * n, job->lo + i * n, n);
        ss_loss loss = {.labels = job->labels, .items = job->items, .scale_hi = 1.0};
        ss_job *rows = &loss.job;
        rows->operation = SS_CROSS_ENTROPY;
        rows->temperature = 1.0;
        rows->x = (const char *)job->hi;
        rows->y = (char *)job->others;
        rows->rows = last;
        rows->n = n;
        rows->kept = rows->reduced = 1;
        rows->kept_shape[0] = last;
        rows->kept_x[0] = rows->kept_y[0] = n * (ptrdiff_t)sizeof(double);
        rows->reduced_shape[0] = n;
        rows->reduced_x[0] = rows->reduced_y[0] = sizeof(double);
        losses_f64(&loss, row, end);
        for (ptrdiff_t i = row; i < end && job->others; i++) {
            if (job->lo) job->items[i] += margin_correction(job->others + i * n, job->lo + i * n, job->labels[i], n);
            job->others[i * n + job->labels[i]] = 0.0;
        }
    }
}

static void margin_reached(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_reached *job = what;
    for (ptrdiff_t row = first; row < last; row++) {
        const double *values = job->values + row * job->n;
        const vd left = v_set1(job->left[row]);
        int any = 0;
        for (ptrdiff_t j = 0; j < job->n; j += SS_W) {
            const vd limit = v_mul(left, products_load(job->right + j, job->n - j));
            const vd size = ss_abs(products_load(values + j, job->n - j));
            const int valid = (1 << (job->n - j < SS_W ? job->n - j : SS_W)) - 1;
            any |= valid & (v_bits(v_lt(limit, size)) | v_bits(v_eq(limit, size)));
        }
        job->any[row] = any != 0;
    }
}
