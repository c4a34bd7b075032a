/* SPDX-License-Identifier: BSD-3-Clause
   Rows whose loss or gradient doubles cannot carry, marked by the kernel before this one: computed in wide numbers, a
   warp to each. The kernel is launched always, as that of ladder.cuh, which has to come before. */

#include "wide.h"

#define SS_WIDE_EACH(i, n) for (ptrdiff_t i = group<SS_WARP>::rank(); i < (n); i += SS_WARP)
#define SS_WIDE_SHARED __shared__
#define SS_WIDE_FIRST (group<SS_WARP>::rank() == 0)
#define SS_WIDE_SYNC() group<SS_WARP>::sync()
#define SS_WIDE_LARGEST(a) group<SS_WARP>::reduce(a, v_max)

typedef struct {
    ss_row_reader row;
    ss_place at;
    ss_row_label label;
} ss_wide_source;

static inline double ss_wide_element(const ss_wide_source *from, ptrdiff_t i)
{
    double x;
    fetch_row(&from->row, i, 1, &x);
    return x;
}

static inline ss_wide ss_wide_factor(const ss_wide_source *from, ptrdiff_t i)
{
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
        const ss_wide_source from = {{&g, at.x, (int)sizeof(typename T::stored)}, at, label};
        ss_wide_row wide;
        wide.from = &from;
        wide.n = g.n;
        wide.gamma = o.gamma;
        wide.z_loss = o.z_loss;
        const double exact = ss_wide_loss(&wide, scale, y != NULL);
        if (by.cost_anew) item = exact;
    }
    if (group<SS_WARP>::rank() == 0) put_item<T>(a, o, row, item, 0);
}

/* g.ladder_share rows to a block of one warp. */
template <class T>
static inline void rows_anew(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                             const ss_loss_options &o)
{
    typedef group<SS_WARP> lanes;
    const int64_t first = (int64_t)blockIdx.x * g.ladder_share;
    const int64_t last = first + g.ladder_share < g.rows ? first + g.ladder_share : g.rows;
    for (int64_t row = first; row < last; row += SS_WARP) {
        const int64_t mine = row + lanes::rank();
        const int marked = mine < last && item_is_marked<T>(a, o, mine);
        unsigned rows = lanes::reduce((unsigned)marked << lanes::rank(), [](unsigned a, unsigned b) { return a | b; });
        for (int i = 0; i < SS_WARP; i++)
            if (rows >> i & 1) row_anew<T>(x, y, a, g, o, row + i);
    }
}
