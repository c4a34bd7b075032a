/* SPDX-License-Identifier: BSD-3-Clause
   Rows whose logarithm is near 0, marked by the kernel before this one: computed by the ladder, a warp to each. The
   kernel is launched always, for only the device knows whether there are such rows; it reads one value a row. The
   ladder is kept out of the other kernels because it takes registers and 11 kB of shared memory for its long
   numbers. */

#define SS_WITH_LADDER

/* Long numbers lie in shared memory: a stack of this size for every thread would take gigabytes. */
#define SS_LIMBS __shared__
#define SS_LADDER_CHUNK 8
#define SS_FETCH(T, first, length, x, w) fetch_row((T)->row, first, length, x)
static void fetch_row(const void *row, ptrdiff_t first, ptrdiff_t length, double *x);
#include "ladder.c"

typedef struct {
    const ss_geometry *g; /* NULL: x is an array of doubles */
    const char *x;
    int size; /* of an element */
} ss_row_reader;

static void fetch_row(const void *row, ptrdiff_t first, ptrdiff_t length, double *x)
{
    const ss_row_reader *reader = (const ss_row_reader *)row;
    for (ptrdiff_t i = 0; i < length; i++)
        x[i] = !reader->g         ? ((const double *)reader->x)[first + i]
               : reader->size == 8 ? element_of<f64>(*reader->g, reader->x, first + i)
               : reader->size == 4 ? (double)element_of<f32>(*reader->g, reader->x, first + i)
                                   : (double)element_of<f16>(*reader->g, reader->x, first + i);
}

/* What the ladder starts from: S at two limbs, summed by all threads of the group. */
typedef struct {
    uint64_t sum[4];
    double units, least, terms;
} ss_ladder_start;

static inline double least_of(double a, double b) { return a < b ? a : b; }
static inline double plus(double a, double b) { return a + b; }

template <class T, int LANES>
__noinline__ static void ladder_start(const ss_geometry *g, ss_place at, double peak, ss_ladder_start *start)
{
    typedef group<LANES> lanes;
    enum { PARTS = 8 }; /* of 32 bits */
    __shared__ unsigned long long digits[lanes::SLOTS][PARTS];
    unsigned long long *digit = digits[lanes::slot()];
    if (lanes::rank() == 0)
        for (int i = 0; i < PARTS; i++) digit[i] = 0;
    const double scale = floor_k(peak);
    uint64_t sum[4] = {0, 0, 0, 0};
    double least = INFINITY, terms = 0.0;
    for (int64_t i = lanes::rank(); i < g->n; i += lanes::size()) {
        const double x = (double)element_of<T>(*g, at.x, i);
        if (x == -INFINITY) continue;
        terms += 1.0;
        least = least_of(x, least);
        const double k = floor_k(x);
        if (k - scale < -(64 * 2 + 64) || x < X_SKIP) continue; /* less than a unit */
        uint64_t term[4];
        fast_term(x, k, NULL, 0, scale, term);
        add_n(sum, term, 4);
    }
    lanes::sync();
    for (int i = 0; i < PARTS; i++)
        atomicAdd(&digit[i], (unsigned long long)(uint32_t)(sum[i / 2] >> 32 * (i % 2)));
    start->least = lanes::reduce(least, least_of);
    start->terms = lanes::reduce(terms, plus);
    lanes::sync();
    uint64_t carry = 0, part[PARTS];
    for (int i = 0; i < PARTS; i++) {
        carry += digit[i];
        part[i] = (uint32_t)carry;
        carry >>= 32;
    }
    for (int i = 0; i < 4; i++) start->sum[i] = part[2 * i] | part[2 * i + 1] << 32;
    start->units = fast_sum(start->sum, start->terms + 1.0, 0);
    lanes::sync();
}

__noinline__ static double ladder_end(const ss_row_reader *reader, double peak, double count,
                                      const ss_ladder_start *start)
{
    if (start->least == peak && start->terms == count) return peak + 0.0; /* equal elements, each 1 / count of the
                                                                             sum */
    const task rows = {NULL, reader, reader->g->n, 0, floor_k(peak), 0, start->sum, start->units};
    return climb(&rows, count, reader->size < 8);
}

/* g.ladder_share rows to a block of one warp. */
template <class T> static inline void ladder(const char *x, char *y, const ss_geometry &g)
{
    typedef group<SS_WARP> lanes;
    typedef typename T::stored stored;
    const int64_t first = (int64_t)blockIdx.x * g.ladder_share;
    const int64_t last = first + g.ladder_share < g.rows ? first + g.ladder_share : g.rows;
    for (int64_t row = first; row < last; row += SS_WARP) {
        const int64_t mine = row + lanes::rank();
        const int marked = mine < last && T::is_marked(*(const stored *)place_of(g, x, y, mine).y);
        unsigned rows = lanes::reduce((unsigned)marked << lanes::rank(), [](unsigned a, unsigned b) { return a | b; });
        for (int i = 0; i < SS_WARP; i++) {
            if (!(rows >> i & 1)) continue;
            const ss_place at = place_of(g, x, y, row + i);
            double peak = -INFINITY;
            for (int64_t j = lanes::rank(); j < g.n; j += SS_WARP) peak = v_max(peak, element_of<T>(g, at.x, j));
            peak = lanes::reduce(peak, v_max);
            ss_ladder_start start;
            ladder_start<T, SS_WARP>(&g, at, peak, &start);
            if (lanes::rank() == 0) {
                const ss_row_reader reader = {&g, at.x, (int)sizeof(stored)};
                *(stored *)at.y = T::put(ladder_end(&reader, peak, (double)g.count, &start));
            }
        }
    }
}
