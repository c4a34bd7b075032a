/* SPDX-License-Identifier: BSD-3-Clause
   Rows whose logarithm is near 0, marked by the kernel before this one: computed by the ladder, a warp to each. The
   kernel is launched always, for only the device knows whether there are such rows; it reads one value a row. The
   ladder is kept out of the other kernels because it takes registers and 16 kB of shared memory for its long
   numbers. */

#define SS_WITH_LADDER

/* Long numbers lie in shared memory: a stack of this size for every thread would take gigabytes. */
#define SS_LIMBS __shared__
#define SS_LADDER_CHUNK 8
#define SS_FETCH(T, first, length, x, w) fetch_row((T)->row, first, length, x, w)
static void fetch_row(const void *row, ptrdiff_t first, ptrdiff_t length, double *x, double *w = NULL);
#include "ladder.c"

static void fetch_row(const void *row, ptrdiff_t first, ptrdiff_t length, double *x, double *w)
{
    const ss_row_reader *reader = (const ss_row_reader *)row;
    for (ptrdiff_t i = 0; i < length; i++) {
        double weight = 1.0;
        x[i] = reader->g ? take(*reader, first + i, &weight) : ((const double *)reader->x)[first + i];
        if (w) w[i] = fabs(weight);
    }
}

static inline extent join_extents(extent a, extent b)
{
    const extent c = {v_min(a.least, b.least), v_max(a.most, b.most), a.tiny + b.tiny,
                      v_max(a.tiny_scale, b.tiny_scale)};
    return c;
}

static inline double plus(double a, double b) { return a + b; }

/* The sum at two limbs, which is where the ladder starts, by all threads of the group. element(i, &w): an element and
   the size of its weight. */
template <class lanes, class F> __noinline__ static void first_level(const task *rows, F element, ss_ladder_sum *sum)
{
    enum { PARTS = 8 }; /* of 32 bits */
    __shared__ unsigned long long digits[lanes::SLOTS][PARTS];
    unsigned long long *digit = digits[lanes::slot()];
    uint64_t mine[4] = {0, 0, 0, 0};
    double terms = 0.0, tiny = 0.0;
    if (lanes::rank() == 0) {
        sum_anew(sum, 0, 0.0);
        for (int i = 0; i < PARTS; i++) digit[i] = 0;
    }
    for (int64_t i = lanes::rank(); i < rows->n; i += lanes::size()) {
        double w;
        const double x = element(i, &w), k = floor_k(x);
        uint64_t wm = 0;
        int we = 0;
        if (x == -INFINITY) continue;
        if (rows->weighted) split_weight(w, &wm, &we);
        terms += 1.0;
        if (rows->near_one && fabs(x) < TINY)
            tiny += 1.0;
        else if (k + we - rows->scale >= -(64 * 2 + 64) && x >= X_SKIP) /* more than a unit */
            add_fast(rows, mine, x, k, wm, we, 0);
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
        sum->seen = rows->n;
        sum->terms = terms;
        sum->tiny = all_tiny;
    }
    lanes::sync();
    /* what add_tiny works with is shared; and mostly a row has one such element */
    for (int turn = 0; all_tiny > 0.0 && turn < lanes::size(); turn++) {
        if (turn == lanes::rank() && tiny > 0.0)
            for (int64_t i = lanes::rank(); i < rows->n; i += lanes::size()) {
                double w;
                const double x = element(i, &w);
                if (fabs(x) < TINY) add_tiny(rows, 2, sum->limb, x);
            }
        lanes::sync();
    }
}

/* ss_ladder_logsumexp for one row, which `reader` and `element` both read. */
template <class T, class lanes, class F>
static inline void ladder_row(const ss_row_reader &reader, F element, int weighted, double count, char *y)
{
    typedef typename T::stored stored;
    __shared__ ss_ladder_sum sums[lanes::SLOTS];
    ss_ladder_sum *sum = &sums[lanes::slot()];
    const int64_t n = reader.g->n;
    extent met = extent_of_nothing();
    double scale = -INFINITY;
    for (int64_t i = lanes::rank(); i < n; i += lanes::size()) {
        double w;
        int exponent = 0;
        const double x = element(i, &w);
        if (x == -INFINITY) continue;
        widen(&met, x);
        if (!weighted) continue;
        frexp(w, &exponent);
        scale = v_max(scale, floor_k(x) + exponent);
    }
    met = lanes::reduce(met, join_extents);
    task rows = {NULL, &reader, n, weighted, scale, 0, 0};
    if (weighted)
        rows.scale = lanes::reduce(scale, v_max);
    else
        choose_scale(&rows, &met, count);
    first_level<lanes>(&rows, element, sum);
    if (lanes::rank() == 0) {
        /* each of equal elements makes 1 / count of the sum */
        const int equal = met.least == met.most && (weighted ? weights_make(&rows, count) : sum->terms == count);
        *(stored *)y = T::put(equal ? met.most + 0.0 : climb(&rows, sum, count, sizeof(stored) < 8));
    }
    lanes::sync();
}

/* A bit of each thread's. */
static inline unsigned flags_of_warp(int flag)
{
    const unsigned mine = (unsigned)(flag != 0) << group<SS_WARP>::rank();
    return group<SS_WARP>::reduce(mine, [](unsigned a, unsigned b) { return a | b; });
}

/* again(i) by a block of one warp for each marked one of its g.ladder_share of so many. */
template <class M, class F> static inline void each_marked(const ss_geometry &g, int64_t count, M is_marked, F again)
{
    const int64_t begin = (int64_t)blockIdx.x * g.ladder_share;
    const int64_t end = begin + g.ladder_share < count ? begin + g.ladder_share : count;
    for (int64_t first = begin; first < end; first += SS_WARP) {
        const int64_t mine = first + group<SS_WARP>::rank();
        const unsigned marked = flags_of_warp(mine < end && is_marked(mine));
        for (int i = 0; i < SS_WARP; i++)
            if (marked >> i & 1) again(first + i);
    }
}

template <class T, class F> static inline void marked_rows(const char *x, char *y, const ss_geometry &g, F row_again)
{
    each_marked(
        g, g.rows, [&](int64_t i) { return T::is_marked(*(const typename T::stored *)place_of(g, x, y, i).y); },
        row_again);
}

template <class T> static inline void ladder(const char *x, char *y, const ss_geometry &g)
{
    marked_rows<T>(x, y, g, [&](int64_t row) {
        const ss_place at = place_of(g, x, y, row);
        const ss_row_reader reader = {&g, at.x, (int)sizeof(typename T::stored)};
        const auto element = [&](int64_t i, double *w) {
            *w = 1.0;
            return (double)element_of<T>(g, at.x, i);
        };
        ladder_row<T, group<SS_WARP>>(reader, element, 0, (double)g.count, at.y);
    });
}
