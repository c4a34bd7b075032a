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

/* `power`: weights are multiplied by so many powers of two. */
static inline double weight_of_class(const ss_loss_arrays &a, const ss_loss_options &o, int64_t i, double power)
{
    const double weight = !a.weights       ? o.alpha
                          : o.weight_single ? (double)((const float *)a.weights)[i]
                                            : ((const double *)a.weights)[i];
    return power != 0.0 ? ldexp(weight, (int)power) : weight;
}

static inline ss_row_label label_at(const ss_loss_arrays &a, const ss_loss_options &o, int64_t n, int64_t row,
                                    double power)
{
    ss_row_label mine = {integer_at(a.labels, o.label_bytes, row), 0.0, 0};
    if (o.ignores && mine.at == o.ignored) return mine;
    mine.bad = mine.at < 0 || mine.at >= n;
    if (mine.bad) return mine;
    mine.weight = weight_of_class(a, o, mine.at, power);
    return mine;
}

static inline double weight_power(const ss_loss_arrays &a, const ss_loss_options &o)
{
    return o.counted ? a.scratch[SS_WEIGHT_POWER] : 0.0;
}

static inline ss_row_label label_of_row(const ss_loss_arrays &a, const ss_loss_options &o, int64_t n, int64_t row)
{
    return label_at(a, o, n, row, weight_power(a, o));
}

/* The sum of the weights of all labels, by all threads of the block. */
__noinline__ static double sum_weights(const ss_loss_arrays *a, const ss_geometry *g, const ss_loss_options *o,
                                       double power)
{
    __shared__ ss_total sum;
    __shared__ double result;
    double special = 0.0;
    if (threadIdx.x == 0) ss_total_start(&sum);
    __syncthreads();
    for (int64_t row = threadIdx.x; row < g->rows; row += blockDim.x) {
        const ss_row_label mine = label_at(*a, *o, g->n, row, power);
        const double weight = mine.bad ? 1.0 : mine.weight; /* a batch of nothing but bad labels is not nothing */
        if (fabs(weight) < INFINITY)
            ss_total_add(&sum, weight);
        else
            special += weight;
    }
    special = group<WHOLE_BLOCK>::reduce(special, [](double x, double y) { return x + y; });
    if (threadIdx.x == 0) {
        double rest;
        ss_total_result(&sum, &result, &rest);
        if (special != 0.0) result = special;
    }
    __syncthreads();
    const double divisor = result;
    __syncthreads();
    return divisor;
}

/* Beyond these, the sum of the weights is taken of weights multiplied by a power of two. As in _losses.pxi. */
#define SS_WEIGHTS_LEAST 0x1p-400
#define SS_WEIGHTS_MOST 0x1p400

/* What a mean divides by: the labels that count, or their weights, exactly. One block. */
static inline void count_labels(const ss_loss_arrays &a, const ss_geometry &g, const ss_loss_options &o)
{
    int64_t counted = 0;
    double most = 0.0, power = 0.0;
    for (int64_t row = threadIdx.x; row < g.rows; row += blockDim.x) {
        const ss_row_label mine = label_at(a, o, g.n, row, 0.0);
        const double weight = fabs(mine.weight);
        counted += mine.bad || !(o.ignores && mine.at == o.ignored);
        if (weight > most && weight < INFINITY) most = weight;
    }
    counted = group<WHOLE_BLOCK>::reduce(counted, [](int64_t x, int64_t y) { return x + y; });
    double divisor = (double)counted;
    if (a.weights && o.weighs) {
        divisor = sum_weights(&a, &g, &o, 0.0);
        if (!(fabs(divisor) > SS_WEIGHTS_LEAST && fabs(divisor) < SS_WEIGHTS_MOST)) {
            int exponent;
            most = group<WHOLE_BLOCK>::reduce(most, v_max);
            frexp(most, &exponent);
            power = -exponent;
            divisor = sum_weights(&a, &g, &o, power);
            if (divisor == 0.0 && most != 0.0) divisor = NAN; /* over weights that cancel there is no mean */
        }
    }
    if (threadIdx.x != 0) return;
    const vpair scale = quotient_of(o.factor, divisor);
    a.scratch[SS_SCALE_HI] = scale.hi;
    a.scratch[SS_SCALE_LO] = scale.lo;
    a.scratch[SS_DIVISOR] = divisor;
    a.scratch[SS_WEIGHT_POWER] = power;
}
