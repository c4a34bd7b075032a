/* SPDX-License-Identifier: BSD-3-Clause
   Rows whose logarithm is near 0, marked by the kernel before this one: computed by the ladder, a warp to each. The
   kernel is launched always, for only the device knows whether there are such rows; it reads one value a row. The
   ladder is kept out of the other kernels because it takes registers and 16 kB of shared memory for its long
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

static inline extent join_extents(extent a, extent b)
{
    const extent c = {v_min(a.least, b.least), v_max(a.most, b.most), a.tiny + b.tiny,
                      v_max(a.tiny_scale, b.tiny_scale)};
    return c;
}

static inline double plus(double a, double b) { return a + b; }

/* The sum at two limbs, which is where the ladder starts, by all threads of the group. */
template <class T, class lanes> __noinline__ static void first_level(const task *rows, ss_place at, ss_ladder_sum *sum)
{
    enum { PARTS = 8 }; /* of 32 bits */
    __shared__ unsigned long long digits[lanes::SLOTS][PARTS];
    unsigned long long *digit = digits[lanes::slot()];
    const ss_geometry *g = ((const ss_row_reader *)rows->row)->g;
    uint64_t mine[4] = {0, 0, 0, 0};
    double terms = 0.0, tiny = 0.0;
    if (lanes::rank() == 0) {
        sum_anew(sum, 0, 0.0);
        for (int i = 0; i < PARTS; i++) digit[i] = 0;
    }
    for (int64_t i = lanes::rank(); i < g->n; i += lanes::size()) {
        const double x = (double)element_of<T>(*g, at.x, i), k = floor_k(x);
        if (x == -INFINITY) continue;
        terms += 1.0;
        if (rows->near_one && fabs(x) < TINY)
            tiny += 1.0;
        else if (k - rows->scale >= -(64 * 2 + 64) && x >= X_SKIP) /* more than a unit */
            add_fast(rows, mine, x, k, 0, 0, 0);
    }
    lanes::sync();
    for (int i = 0; i < PARTS; i++)
        atomicAdd(&digit[i], (unsigned long long)(uint32_t)(mine[i / 2] >> 32 * (i % 2)));
    terms = lanes::reduce(terms, plus);
    const double all_tiny = lanes::reduce(tiny, plus);
    lanes::sync();
    if (lanes::rank() == 0) {
        uint64_t carry = 0;
        for (int i = 0; i < PARTS; i++) {
            carry += digit[i];
            sum->limb[i / 2] |= (carry & 0xffffffffu) << 32 * (i % 2);
            carry >>= 32;
        }
        sum->seen = g->n;
        sum->terms = terms;
        sum->tiny = all_tiny;
    }
    lanes::sync();
    /* what add_tiny works with is shared; and mostly a row has one such element */
    for (int turn = 0; all_tiny > 0.0 && turn < lanes::size(); turn++) {
        if (turn == lanes::rank() && tiny > 0.0)
            for (int64_t i = lanes::rank(); i < g->n; i += lanes::size()) {
                const double x = (double)element_of<T>(*g, at.x, i);
                if (fabs(x) < TINY) add_tiny(rows, 2, sum->limb, x);
            }
        lanes::sync();
    }
}

/* ss_ladder_logsumexp for one row. */
template <class T, class lanes> static inline void ladder_row(const ss_geometry &g, ss_place at)
{
    typedef typename T::stored stored;
    __shared__ ss_ladder_sum sums[lanes::SLOTS];
    ss_ladder_sum *sum = &sums[lanes::slot()];
    const ss_row_reader reader = {&g, at.x, (int)sizeof(stored)};
    const double count = (double)g.count;
    extent met = extent_of_nothing();
    for (int64_t i = lanes::rank(); i < g.n; i += lanes::size()) {
        const double x = (double)element_of<T>(g, at.x, i);
        if (x != -INFINITY) widen(&met, x);
    }
    met = lanes::reduce(met, join_extents);
    task rows = {NULL, &reader, g.n, 0, 0.0, 0, 0};
    choose_scale(&rows, &met, count);
    first_level<T, lanes>(&rows, at, sum);
    if (lanes::rank() == 0) {
        const int equal = met.least == met.most && sum->terms == count; /* each makes 1 / count of the sum */
        *(stored *)at.y = T::put(equal ? met.most + 0.0 : climb(&rows, sum, count, sizeof(stored) < 8));
    }
    lanes::sync();
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
        for (int i = 0; i < SS_WARP; i++)
            if (rows >> i & 1) ladder_row<T, lanes>(g, place_of(g, x, y, row + i));
    }
}
