/* SPDX-License-Identifier: BSD-3-Clause
   Rows whose loss or gradient doubles cannot carry, marked by the kernel before this one: computed in wide numbers, a
   warp to each. The kernel is launched always, as that of ladder.cuh, which has to come before. */

#include "wide.h"

#define SS_WIDE_EACH(i, n) for (ptrdiff_t i = group<SS_WARP>::rank(); i < (n); i += SS_WARP)
#define SS_WIDE_SHARED __shared__
#define SS_WIDE_FIRST (group<SS_WARP>::rank() == 0)
#define SS_WIDE_SYNC() group<SS_WARP>::sync()
#define SS_WIDE_LARGEST(a) group<SS_WARP>::reduce(a, v_max)

/* factors: NULL where the label has all the weight. */
typedef struct {
    ss_row_reader row;
    ss_place at;
    ss_row_label label;
    const ss_factors *factors;
} ss_wide_source;

static inline double ss_wide_element(const ss_wide_source *from, ptrdiff_t i)
{
    double x;
    fetch_row(&from->row, i, 1, &x);
    return x;
}

/* As in losses_wide.c. */
__noinline__ static ss_wide wide_factor_at(const ss_factors *f, ptrdiff_t i, double classes)
{
    ss_wide a = ss_wide_of(given_at(*f, i));
    if (f->d->smoothing != 0.0) {
        a = ss_wide_mul(a, ss_wide_pair(kept_by_label(*f->d), 0.0));
        a = ss_wide_add(a, ss_wide_div(ss_wide_of(f->d->smoothing), ss_wide_of(classes)));
    }
    return f->arrays->weights ? ss_wide_mul(a, ss_wide_of(weight_at(*f, i))) : a;
}

static inline ss_wide ss_wide_factor(const ss_wide_source *from, ptrdiff_t i)
{
    if (from->factors) return wide_factor_at(from->factors, i, (double)from->row.g->n);
    return ss_wide_of(i == from->label.at ? from->label.weight : 0.0);
}

static inline void ss_wide_put(const ss_wide_source *from, ptrdiff_t i, double value)
{
    char *y = from->at.y + offset_of(*from->row.g, from->row.g->reduced_y, i);
    switch (from->row.size) {
    case 8: *(f64::stored *)y = f64::put(value); break;
    case 4: *(f32::stored *)y = f32::put(value); break;
    default: *(f16::stored *)y = f16::put(value);
    }
}

static inline double ss_wide_logsumexp(const ss_wide_source *from, ptrdiff_t n)
{
    __shared__ double log;
    if (SS_WIDE_FIRST) log = ss_ladder_logsumexp(NULL, &from->row, n, 0, 1.0, 0);
    SS_WIDE_SYNC();
    const double value = log;
    SS_WIDE_SYNC();
    return value;
}

#include "wide_rows.h"

static inline double wide_loss(const ss_wide_source &from, const ss_loss_options &o, vpair scale, int gradient)
{
    ss_wide_row wide;
    wide.from = &from;
    wide.n = from.row.g->n;
    wide.gamma = o.gamma;
    wide.z_loss = o.z_loss;
    return ss_wide_loss(&wide, scale, gradient);
}

/* The same cases as in the kernel before: not every loss whose gradient is computed anew is so itself. */
template <class T>
static inline void row_anew(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                            const ss_loss_options &o, int64_t row)
{
    const ss_place at = place_of(g, x, y, row);
    const ss_row_label label = label_of_row(a, o, g.n, row);
    const ss_row_sum sum = sum_for_label<T, SS_WARP, 1>(g, at, label);
    const vpair scale = scale_of(a, o);
    ss_slope by;
    double item = loss_of_row<T, 1>(&g, at.x, &o, &sum, &label, &scale, y != NULL, &by);
    if (by.kind == SS_ANEW) {
        const ss_wide_source from = {{&g, at.x, (int)sizeof(typename T::stored)}, at, label, NULL};
        const double exact = wide_loss(from, o, scale, y != NULL);
        if (by.cost_anew) item = exact;
    }
    if (group<SS_WARP>::rank() == 0) put_item<T>(a, o, row, item, 0);
}

/* In a function of its own, so that the compiler does not have to take it and the wide numbers together. */
template <class T>
__noinline__ static void dense_again(const ss_geometry *g, ss_place at, const ss_factors *f, vpair scale, int gradient,
                                     ss_dense_end *end)
{
    *end = dense_loss<T, SS_WARP>(*g, at, *f, scale, gradient);
    if (gradient && !end->slope_anew) dense_gradient<T, SS_WARP>(*g, at, *f, *end);
}

/* A row with probabilities for its classes; one that smooth.cuh has left may be an ordinary one. */
template <class T>
static inline void dense_anew(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                              const ss_loss_options &o, const ss_dense_options &d, int64_t row)
{
    const ss_place at = place_of(g, x, y, row);
    const ss_factors f = factors_of<T>(a, g, o, d, row);
    const vpair scale = scale_of(a, o);
    ss_dense_end end;
    dense_again<T>(&g, at, &f, scale, y != NULL, &end);
    const int gradient = y && end.slope_anew;
    if (end.cost_anew || gradient) {
        const ss_wide_source from = {{&g, at.x, (int)sizeof(typename T::stored)}, at, {0, 0.0, 0}, &f};
        const double exact = wide_loss(from, o, scale, gradient);
        if (end.cost_anew) end.item = exact;
    }
    if (group<SS_WARP>::rank() == 0) put_item<T>(a, o, row, end.item, 0);
}

template <class T, class F>
static inline void marked_items(const ss_loss_arrays &a, const ss_geometry &g, const ss_loss_options &o, F anew)
{
    each_marked(g, g.rows, [&](int64_t row) { return item_is_marked<T>(a, o, row); }, anew);
}

template <class T>
static inline void rows_anew(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                             const ss_loss_options &o)
{
    marked_items<T>(a, g, o, [&](int64_t row) { row_anew<T>(x, y, a, g, o, row); });
}

template <class T>
static inline void dense_rows_anew(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                                   const ss_loss_options &o, const ss_dense_options &d)
{
    marked_items<T>(a, g, o, [&](int64_t row) { dense_anew<T>(x, y, a, g, o, d, row); });
}
