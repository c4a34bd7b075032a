/* SPDX-License-Identifier: BSD-3-Clause
   Sigmoid cross-entropy, element by element, over loops/logistic.inc.h. In ss_geometry `rows` counts the elements,
   which run over the kept dimensions; the strides of the targets stand in reduced_x. Blocks go through the elements in
   turns, so that there are few partial sums. */

#include "loops/logistic.inc.h"
#include "wide.h"

/* Of that in losses.h what the wide arithmetic asks for. */
typedef struct {
    int focal;
    double alpha, gamma, scale_hi, scale_lo;
} ss_sigmoid;
#include "wide_logits.h"

/* The arithmetic of loops/logistic.inc.h by type. */
template <class real> struct logistic;

#define SS_LOGISTIC(real, suffix) \
    template <> struct logistic<real> { \
        static inline void of(double x, ss_logistic *s) { logistic_##suffix(&x, 1, 1, s); } \
        static inline double loss(const ss_logistic *s, double x, double none, double some) \
        { \
            return logistic_loss_##suffix(s, x, none, some); \
        } \
        static inline double slope(const ss_logistic *s, double x, double none, double some, vpair scale) \
        { \
            return logistic_slope_##suffix(s, x, none, some, scale); \
        } \
        static inline vpair larger(const ss_logistic *s) { return larger_##suffix(s); } \
        static inline double most_plain() { return PLAIN_##suffix; } \
        static inline double wide() { return WIDE_##suffix; } \
        static inline double plain_loss(const ss_logistic *s, double x, double t) \
        { \
            return plain_loss_##suffix(s, x, t); \
        } \
        static inline double plain_slope(const ss_logistic *s, double x, double t, vpair scale) \
        { \
            return plain_slope_##suffix(s, x, t, scale); \
        } \
    };
SS_LOGISTIC(float, f32)
SS_LOGISTIC(double, f64)

/* For any magnitudes. */
__noinline__ static double logit_anew(double x, double target, double weight, double positive, vpair scale,
                                      double *slope)
{
    const ss_sigmoid plain = {0, NAN, 0.0, scale.hi, scale.lo};
    return ss_wide_loss_of_logit(&plain, x, target, weight, positive, slope);
}

/* The loss of one element, and its slope where that is wanted (not NULL): FN(sigmoid_any), whose plain elements have
   the bits of FN(sigmoid_plain). */
template <class real>
static inline double loss_of_logit(double x, double target, double weight, double positive, vpair scale, double *slope)
{
    typedef logistic<real> L;
    ss_logistic s;
    if (x == x && ss_logit_beyond(L::wide(), x, target, weight, positive)) {
        double rise;
        const double loss = logit_anew(x, target, weight, positive, scale, &rise);
        if (slope) *slope = rise;
        return loss;
    }
    L::of(x, &s);
    const double none = v_sub(1.0, target), some = v_mul(target, positive);
    const int special = positive != 1.0 || L::most_plain() < fabs(x) || v_min(target, none) < 0.0;
    const double item = special ? L::loss(&s, x, none, some) : L::plain_loss(&s, x, target);
    if (slope) {
        const vpair by = weight == 1.0 ? scale : ss_pair_mul(scale, ss_pair_of(weight)); /* its -0, too */
        *slope = special ? L::slope(&s, x, none, some, by) : L::plain_slope(&s, x, target, by);
        if (weight == 0.0) *slope = 0.0;
    }
    return ss_part(weight, item);
}

/* Element i of an operand, 1 where there is none. */
template <class T>
static inline double operand_at(const ss_geometry &g, const char *from, const int64_t *steps, int64_t i)
{
    if (!from) return 1.0;
    return (double)T::get(*(const typename T::stored *)(from + offset_in(g.kept, g.kept_shape, steps, i)));
}

template <class real> static inline int target_is_ignored(const ss_loss_options &o, real target)
{
    return (real)o.least <= target && target <= (real)o.most;
}

/* piece(items): pieces of 16 bytes of the elements for each thread, until all are done. */
template <class T, class F> static inline void in_pieces(const ss_geometry &g, F piece)
{
    const int64_t all = (int64_t)items<T, 1>::COUNT * blockDim.x;
    for (int64_t first = blockIdx.x * all; first < g.rows; first += gridDim.x * all) {
        const items<T, 1> mine = {first, first + all < g.rows ? first + all : g.rows, (int)threadIdx.x, (int)blockDim.x,
                                  (int)g.vector};
        piece(mine);
    }
}

template <class T>
static inline void load_targets(const ss_loss_arrays &a, const ss_geometry &g, const items<T, 1> &mine,
                                typename T::real *target)
{
    mine.load_from(a.labels, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.reduced_x, i); }, target);
}

/* ---- the divisor of a mean over targets that are not ignored: each block leaves what it has counted ---- */

static inline double *counts_behind(const ss_loss_arrays &a, const ss_loss_options &o)
{
    return a.scratch + SS_SCRATCH_HEAD + o.blocks * SS_PER_BLOCK;
}

static inline double add_counts(double a, double b) { return a + b; }

static inline void leave_count(const ss_loss_arrays &a, const ss_loss_options &o, int mine)
{
    const double count = group<WHOLE_BLOCK>::reduce((double)mine, add_counts);
    if (threadIdx.x == 0) counts_behind(a, o)[blockIdx.x] = count;
}

/* To all threads of the block. */
static inline double sum_counts(const ss_loss_arrays &a, const ss_loss_options &o)
{
    double count = 0.0;
    for (int64_t i = threadIdx.x; i < o.blocks; i += blockDim.x) count += counts_behind(a, o)[i];
    return group<WHOLE_BLOCK>::reduce(count, add_counts);
}

/* Before a gradient is written; else sigmoid_elements counts on its way. */
template <class T>
static inline void count_targets(const ss_loss_arrays &a, const ss_geometry &g, const ss_loss_options &o)
{
    enum { COUNT = items<T, 1>::COUNT };
    int count = 0;
    in_pieces<T>(g, [&](const items<T, 1> &mine) {
        typename T::real target[COUNT];
        load_targets<T>(a, g, mine, target);
#pragma unroll
        for (int v = 0; v < COUNT; v++) count += mine.place(v) < mine.last && !target_is_ignored(o, target[v]);
    });
    leave_count(a, o, count);
}

/* ---- losses and slopes ---- */

/* IGNORES: targets may be ignored, for which there are kernels of their own: it takes registers. */
template <class T, int IGNORES = 0>
static inline void sigmoid_elements(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                                    const ss_loss_options &o)
{
    typedef typename T::real real;
    enum { COUNT = items<T, 1>::COUNT };
    const int given = a.weights || a.positives;
    vpair scale = ss_pair(o.scale_hi, o.scale_lo);
    if (IGNORES && o.counted && y) scale = quotient_of(o.factor, sum_counts(a, o));
    ss_items_sum sum = no_items();
    int count = 0;
    in_pieces<T>(g, [&](const items<T, 1> &mine) {
        real logit[COUNT], target[COUNT];
        typename T::stored item[COUNT], slope[COUNT];
        mine.load_from(x, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.kept_x, i); }, logit);
        load_targets<T>(a, g, mine, target);
#pragma unroll
        for (int v = 0; v < COUNT; v++) {
            const int here = mine.place(v) < mine.last, ignored = IGNORES && target_is_ignored(o, target[v]);
            double weight = 1.0, positive = 1.0, loss, its_slope = 0.0;
            if (given && here) {
                weight = operand_at<T>(g, a.weights, o.weight_steps, mine.place(v));
                positive = operand_at<T>(g, a.positives, o.positive_steps, mine.place(v));
            }
            if (ignored) weight = 0.0;
            loss = loss_of_logit<real>((double)logit[v], (double)target[v], weight, positive, scale,
                                       y ? &its_slope : NULL);
            if (o.summed && here) add_item(&sum, loss);
            if (IGNORES) count += here && !ignored;
            item[v] = T::put(loss);
            slope[v] = T::put(its_slope);
        }
        if (y) mine.store_to(y, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.kept_y, i); }, slope);
        if (!o.summed) mine.store_to(a.value, [](int64_t i) { return i * (int64_t)sizeof(typename T::stored); }, item);
    });
    if (IGNORES && o.counted && !y) leave_count(a, o, count);
    if (o.summed) leave_items(a.scratch + SS_SCRATCH_HEAD, sum);
}

template <class T>
static inline void finish_sigmoid(const char *x, const ss_loss_arrays &a, const ss_geometry &g,
                                  const ss_loss_options &o)
{
    if (o.counted) {
        const double count = sum_counts(a, o);
        if (threadIdx.x == 0) a.scratch[SS_DIVISOR] = count; /* which reads it, too */
    }
    finish_items<T>(a, o, a.scratch + SS_SCRATCH_HEAD, g.rows, [&](int64_t i) {
        const double target = operand_at<T>(g, a.labels, g.reduced_x, i);
        const double weight = operand_at<T>(g, a.weights, o.weight_steps, i);
        return loss_of_logit<typename T::real>(
            operand_at<T>(g, x, g.kept_x, i), target, target_is_ignored(o, target) ? 0.0 : weight,
            operand_at<T>(g, a.positives, o.positive_steps, i), ss_pair_of(1.0), NULL);
    });
}
