/* SPDX-License-Identifier: BSD-3-Clause
   The sum of all losses, as losses.c makes it: in pairs whose error is known, rounded canonically, and where that is in
   doubt once more, exactly. Each block of a first launch leaves a partial sum; one block finishes. */

#include "math/total.h"
#include "loops/loss_sums.inc.h"

/* What a loss is asked for beside ss_geometry. ignored: a label, where `ignores` says so. label_bytes: negative for
   unsigned ones. weight_single: the weights are floats. summed: there is a reduction. counted: what a mean divides by
   is found on the device, in `scratch`, from the weights of the labels if it `weighs`; else scale_hi + scale_lo
   multiplies the gradient, and divisor divides the loss. factor: of the gradient. cap: the largest loss of a row.
   blocks: partial sums that were left, 0: none.
   weight_steps, positive_steps: strides of the arguments of sigmoid losses over the kept dimensions.
   least, most: targets of sigmoid losses that cost nothing; NaN: none do.
   gamma: the power of a focal loss, 0: there is none. alpha: what a label weighs where there are no weights. */
typedef struct {
    int64_t ignores, ignored, label_bytes, weight_single, weighs, summed, counted, blocks;
    int64_t weight_steps[SS_CUDA_DIMS], positive_steps[SS_CUDA_DIMS];
    double z_loss, cap, factor, divisor, scale_hi, scale_lo, least, most, gamma, alpha;
} ss_loss_options;

/* Pointers that a loss has beside logits and gradient (NULL: not wanted). */
typedef struct {
    double *scratch;       /* four numbers of `counted`, then losses of rows, partial sums of them, what teams leave */
    const char *labels;    /* or the targets */
    const char *weights;   /* one for each class, or for each element; or NULL */
    const char *positives; /* pos_weight, or NULL */
    char *value;           /* the loss */
} ss_loss_arrays;

enum { SS_SCALE_HI, SS_SCALE_LO, SS_DIVISOR, SS_WEIGHT_POWER, SS_SCRATCH_HEAD, SS_PER_BLOCK = 4 };

/* factor / divisor, 0 over nothing. */
static inline vpair quotient_of(double factor, double divisor)
{
    if (divisor == 0.0) return ss_pair_of(0.0);
    const double scale = v_div(factor, divisor);
    return ss_pair(scale, v_div(-v_fma(scale, divisor, -factor), divisor));
}

static inline vpair scale_of(const ss_loss_arrays &a, const ss_loss_options &o)
{
    return o.counted ? ss_pair(a.scratch[SS_SCALE_HI], a.scratch[SS_SCALE_LO]) : ss_pair(o.scale_hi, o.scale_lo);
}

/* hi + lo, the magnitudes that its error goes by, and the sum of the infinities and NaNs. */
typedef struct {
    vpair total;
    double size, special;
} ss_items_sum;

/* An addition errs by 2^-105 of the size, and a thread makes less than 2^20 of them. */
#define SS_ITEMS_ERROR 0x1p-80
enum { SS_ITEM_BITS = 60 }; /* SUM_BITS of losses.c */

static inline ss_items_sum no_items(void)
{
    const ss_items_sum sum = {{0.0, 0.0}, 0.0, 0.0};
    return sum;
}

static inline void add_item(ss_items_sum *sum, double item)
{
    if (!(fabs(item) < INFINITY)) {
        sum->special += item;
        return;
    }
    const vpair next = ss_two_sum(sum->total.hi, item);
    sum->total = ss_fast_two_sum(next.hi, v_add(sum->total.lo, next.lo));
    sum->size += fabs(item);
}

static inline ss_items_sum join_items(ss_items_sum a, ss_items_sum b)
{
    const ss_items_sum c = {arithmetic<double>::join(a.total, b.total), a.size + b.size, a.special + b.special};
    return c;
}

/* Of a block, for the one that finishes: by one thread, or from what all have. */
static inline void put_items(double *parts, ss_items_sum sum)
{
    double *its = parts + (int64_t)blockIdx.x * SS_PER_BLOCK;
    its[0] = sum.total.hi;
    its[1] = sum.total.lo;
    its[2] = sum.size;
    its[3] = sum.special;
}
static inline void leave_items(double *parts, ss_items_sum mine)
{
    const ss_items_sum sum = group<WHOLE_BLOCK>::reduce(mine, join_items);
    if (threadIdx.x == 0) put_items(parts, sum);
}

/* Rounded to ITEM_BITS below the leading one; 0 where a sum within `error` (relative) rounds elsewhere. */
static inline int round_items(vpair *total, double error)
{
    vm certain;
    const double sign = total->hi < 0.0 ? -1.0 : 1.0;
    *total = ss_pair_scale(ss_canonical(ss_pair_scale(*total, sign), SS_ITEM_BITS, error, &certain), sign);
    return certain;
}

/* Whether the rounding can neither overflow nor underflow. */
static inline int roundable(double sum) { return fabs(sum) > 0x1p-900 && fabs(sum) < 0x1p900; }

enum { SS_SUM_DOWN = 160 };

/* Exactly, by all threads of the block; returns the power of two by which *total is to be multiplied. It is there for
   thread 0 only. item(i) is a loss. */
template <class F> __noinline__ static int exact_items(int64_t count, F item, vpair *total)
{
    __shared__ ss_total sum;
    if (threadIdx.x == 0) ss_total_start(&sum);
    __syncthreads();
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) ss_total_add(&sum, item(i));
    __syncthreads();
    if (threadIdx.x != 0) return 0;
    ss_total_result(&sum, &total->hi, &total->lo);
    if (fabs(total->hi) == INFINITY) { /* finite losses whose sum is beyond the largest double */
        ss_total_scaled(&sum, SS_SUM_DOWN, &total->hi, &total->lo);
        return SS_SUM_DOWN;
    }
    if (roundable(total->hi)) round_items(total, 0.0);
    return 0;
}

/* Those of the block, and the partial sums that were left; for all its threads. */
static inline ss_items_sum with_parts(ss_items_sum mine, const ss_loss_options &o, const double *parts)
{
    for (int64_t i = threadIdx.x; i < o.blocks; i += blockDim.x) {
        const double *its = parts + i * SS_PER_BLOCK;
        const ss_items_sum part = {{its[0], its[1]}, its[2], its[3]};
        mine = join_items(mine, part);
    }
    return group<WHOLE_BLOCK>::reduce(mine, join_items);
}

/* The reduced loss. One block: it joins the partial sums, or adds the losses itself where none were left. */
template <class T, class F>
static inline void finish_items(const ss_loss_arrays &a, const ss_loss_options &o, const double *parts, int64_t count,
                                F item)
{
    ss_items_sum mine = no_items();
    if (o.blocks == 0)
        for (int64_t i = threadIdx.x; i < count; i += blockDim.x) add_item(&mine, item(i));
    const ss_items_sum sum = with_parts(mine, o, parts);
    vpair total = sum.total;
    int power = 0;
    if (sum.special != 0.0) { /* NaN is not 0 either */
        total = ss_pair(sum.special, sum.special);
    } else if (sum.size != 0.0) {
        const double error = sum.size / fabs(total.hi) * SS_ITEMS_ERROR;
        if (!(roundable(total.hi) && round_items(&total, error))) power = exact_items(count, item, &total);
    }
    if (threadIdx.x != 0) return;
    const double divisor = o.counted ? a.scratch[SS_DIVISOR] : o.divisor;
    double value = divisor == 0.0 ? 0.0 : v_div(v_add(total.hi, total.lo), divisor);
    if (power) value = ldexp(value, power);
    *(typename T::stored *)a.value = T::put(value);
}

/* ---- rows with labels: in the scratch, their losses lie behind the head, and partial sums behind those ---- */

static inline void sum_items(const ss_loss_arrays &a, const ss_geometry &g)
{
    const double *items = a.scratch + SS_SCRATCH_HEAD;
    ss_items_sum mine = no_items();
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < g.rows; i += (int64_t)gridDim.x * blockDim.x)
        add_item(&mine, items[i]);
    leave_items(a.scratch + SS_SCRATCH_HEAD + g.rows, mine);
}

/* What teams leave (teams.cuh). */
static inline double *teams_behind(const ss_loss_arrays &a, const ss_geometry &g, const ss_loss_options &o)
{
    return a.scratch + SS_SCRATCH_HEAD + (o.summed ? g.rows + o.blocks * SS_PER_BLOCK : 0);
}

template <class T>
static inline void finish_rows(const ss_loss_arrays &a, const ss_geometry &g, const ss_loss_options &o)
{
    const double *items = a.scratch + SS_SCRATCH_HEAD;
    finish_items<T>(a, o, items + g.rows, g.rows, [=](int64_t i) { return items[i]; });
}
