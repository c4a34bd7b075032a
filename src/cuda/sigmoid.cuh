/* SPDX-License-Identifier: BSD-3-Clause
   Sigmoid cross-entropy, element by element, over loops/logistic.inc.h. In ss_geometry `rows` counts the elements,
   which run over the kept dimensions; the strides of the targets stand in reduced_x. Blocks go through the elements in
   turns, so that there are few partial sums. */

#include "loops/logistic.inc.h"

static inline void logistic_of(float, double x, ss_logistic *s) { logistics_f32(&x, 1, s); }
static inline void logistic_of(double, double x, ss_logistic *s) { logistics_f64(&x, 1, s); }
static inline double logistic_loss_of(float, const ss_logistic *s, double x, double none, double some)
{
    return logistic_loss_f32(s, x, none, some);
}
static inline double logistic_loss_of(double, const ss_logistic *s, double x, double none, double some)
{
    return logistic_loss_f64(s, x, none, some);
}
static inline double logistic_slope_of(float, const ss_logistic *s, double x, double none, double some, vpair scale)
{
    return logistic_slope_f32(s, x, none, some, scale);
}
static inline double logistic_slope_of(double, const ss_logistic *s, double x, double none, double some, vpair scale)
{
    return logistic_slope_f64(s, x, none, some, scale);
}

/* The loss of one element, and its slope where that is wanted (not NULL): FN(sigmoid_piece). */
template <class real>
static inline double loss_of_logit(double x, double target, double weight, double positive, int given, vpair scale,
                                   double *slope)
{
    ss_logistic s;
    logistic_of((real)0, x, &s);
    const double none = v_sub(1.0, target), some = given ? v_mul(target, positive) : target;
    const double item = logistic_loss_of((real)0, &s, x, none, some);
    if (slope) {
        *slope = logistic_slope_of((real)0, &s, x, none, some, given ? ss_pair_mul(scale, ss_pair_of(weight)) : scale);
        if (given && weight == 0.0) *slope = 0.0;
    }
    return given ? ss_part(weight, item) : item;
}

/* Element i of an operand, 1 where there is none. */
template <class T>
static inline double operand_at(const ss_geometry &g, const char *from, const int64_t *steps, int64_t i)
{
    if (!from) return 1.0;
    return (double)T::get(*(const typename T::stored *)(from + offset_in(g.kept, g.kept_shape, steps, i)));
}

template <class T>
static inline void sigmoid_elements(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                                    const ss_loss_options &o)
{
    typedef typename T::real real;
    enum { COUNT = items<T, 1>::COUNT };
    const int64_t all = (int64_t)COUNT * blockDim.x;
    const int given = a.weights || a.positives;
    const vpair scale = ss_pair(o.scale_hi, o.scale_lo);
    ss_items_sum sum = no_items();
    for (int64_t first = blockIdx.x * all; first < g.rows; first += gridDim.x * all) {
        const items<T, 1> mine = {first, first + all < g.rows ? first + all : g.rows, (int)threadIdx.x, (int)blockDim.x,
                                  (int)g.vector};
        real logit[COUNT], target[COUNT];
        typename T::stored item[COUNT], slope[COUNT];
        mine.load_from(x, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.kept_x, i); }, logit);
        mine.load_from(a.labels, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.reduced_x, i); }, target);
#pragma unroll
        for (int v = 0; v < COUNT; v++) {
            const int here = mine.place(v) < mine.last;
            double weight = 1.0, positive = 1.0, loss, its_slope = 0.0;
            if (given && here) {
                weight = operand_at<T>(g, a.weights, o.weight_steps, mine.place(v));
                positive = operand_at<T>(g, a.positives, o.positive_steps, mine.place(v));
            }
            loss = loss_of_logit<real>((double)logit[v], (double)target[v], weight, positive, given, scale,
                                       y ? &its_slope : NULL);
            if (o.summed && here) add_item(&sum, loss);
            item[v] = T::put(loss);
            slope[v] = T::put(its_slope);
        }
        if (y) mine.store_to(y, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.kept_y, i); }, slope);
        if (!o.summed) mine.store_to(a.value, [](int64_t i) { return i * (int64_t)sizeof(typename T::stored); }, item);
    }
    if (o.summed) leave_items(a.scratch + SS_SCRATCH_HEAD, sum);
}

template <class T>
static inline void finish_sigmoid(const char *x, const ss_loss_arrays &a, const ss_geometry &g,
                                  const ss_loss_options &o)
{
    finish_items<T>(a, o, a.scratch + SS_SCRATCH_HEAD, g.rows, [&](int64_t i) {
        return loss_of_logit<typename T::real>(
            operand_at<T>(g, x, g.kept_x, i), operand_at<T>(g, a.labels, g.reduced_x, i),
            operand_at<T>(g, a.weights, o.weight_steps, i), operand_at<T>(g, a.positives, o.positive_steps, i),
            a.weights || a.positives, ss_pair_of(1.0), NULL);
    });
}
