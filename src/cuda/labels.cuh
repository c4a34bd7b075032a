/* SPDX-License-Identifier: BSD-3-Clause
   The label of a row, and what a mean over labels divides by. A label out of range is never used as a place. */

typedef struct {
    int64_t at;
    double weight; /* 0: the row is ignored */
    int bad;
} ss_row_label;

static inline int64_t integer_at(const char *labels, int64_t bytes, int64_t i)
{
    switch (bytes) {
    case 8: return ((const int64_t *)labels)[i];
    case 4: return ((const int32_t *)labels)[i];
    case 2: return ((const short *)labels)[i];
    case 1: return ((const signed char *)labels)[i];
    case -4: return ((const uint32_t *)labels)[i];
    case -2: return ((const uint16_t *)labels)[i];
    default: return ((const unsigned char *)labels)[i];
    }
}

static inline ss_row_label label_of_row(const ss_loss_arrays &a, const ss_loss_options &o, int64_t n, int64_t row)
{
    ss_row_label mine = {integer_at(a.labels, o.label_bytes, row), 0.0, 0};
    if (o.ignores && mine.at == o.ignored) return mine;
    mine.bad = mine.at < 0 || mine.at >= n;
    if (mine.bad) return mine;
    mine.weight = !a.weights       ? 1.0
                  : o.weight_single ? (double)((const float *)a.weights)[mine.at]
                                    : ((const double *)a.weights)[mine.at];
    return mine;
}

/* What a mean divides by: the labels that count, or their weights, exactly. One block. */
static inline void count_labels(const ss_loss_arrays &a, const ss_geometry &g, const ss_loss_options &o)
{
    __shared__ ss_total sum;
    const int weighs = a.weights && o.weighs;
    int64_t counted = 0;
    double special = 0.0;
    if (threadIdx.x == 0) ss_total_start(&sum);
    __syncthreads();
    for (int64_t row = threadIdx.x; row < g.rows; row += blockDim.x) {
        const ss_row_label mine = label_of_row(a, o, g.n, row);
        counted += mine.bad || !(o.ignores && mine.at == o.ignored);
        if (!weighs) continue;
        if (fabs(mine.weight) < INFINITY)
            ss_total_add(&sum, mine.weight);
        else
            special += mine.weight;
    }
    counted = group<WHOLE_BLOCK>::reduce(counted, [](int64_t x, int64_t y) { return x + y; });
    special = group<WHOLE_BLOCK>::reduce(special, [](double x, double y) { return x + y; });
    if (threadIdx.x != 0) return;
    double divisor = (double)counted, rest;
    if (weighs) ss_total_result(&sum, &divisor, &rest);
    if (special != 0.0) divisor = special;
    const double scale = divisor == 0.0 ? 0.0 : v_div(o.factor, divisor);
    a.scratch[SS_SCALE_HI] = scale;
    a.scratch[SS_SCALE_LO] = divisor == 0.0 ? 0.0 : v_div(-v_fma(scale, divisor, -o.factor), divisor);
    a.scratch[SS_DIVISOR] = divisor;
}
