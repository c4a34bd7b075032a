/* SPDX-License-Identifier: BSD-3-Clause
   logsumexp with weights (FN(weight_row) of loops/weights.inc.h) and logmeanexp with a mask, where each row has a count
   of its own. Rare enough for few kernels: every sum is exact, and a row is read twice, once for its extent and once
   for its sum. Few huge rows are shared by blocks, in three launches of one kernel: the extents of the parts, their
   sums, and what follows from them. Rows near 0 are marked and left to the ladder's launch, as in ladder.cuh. */

#include "loops/weighted.inc.h"
#include "cuda/exact.cuh"

/* Which launch of a kernel this is, and what blocks leave for each part of a row, in doubles, at most. */
enum { SS_WHOLE_ROWS, SS_EXTENTS, SS_SUMS, SS_RESULTS };
enum { SS_PER_EXTENT = 4 };

/* The elements of a row that fall to a group, and what the groups that share the row leave: extents of type E, then the
   digits of their sums. */
template <int LANES, class E> struct row_share {
    typedef group<LANES> lanes;
    int64_t row, parts, first, last;
    int here, step;
    E *extents;
    int64_t *digits;

    inline row_share(const ss_geometry &g, const ss_taken &taken, double *scratch)
    {
        static_assert(sizeof(E) <= SS_PER_EXTENT * sizeof(double), "it takes its place");
        here = lanes::row() < g.rows;
        row = here ? lanes::row() : 0;
        parts = taken.parts;
        step = LANES == WHOLE_BLOCK ? (int)taken.step : (int)SS_WHOLE_ROWS;
        first = blockIdx.y * taken.share;
        last = !here ? first : first + taken.share < g.n ? first + taken.share : g.n;
        extents = (E *)scratch + row * parts;
        digits = (int64_t *)((E *)scratch + g.rows * parts) + row * parts * SS_DIGITS;
    }

    /* Of the row; in the launch that leaves it, of this part. scan(): of this thread's elements. */
    template <class F, class J> inline E extent(E nothing, F scan, J join) const
    {
        E found = nothing;
        if (step == SS_WHOLE_ROWS || step == SS_EXTENTS)
            found = scan();
        else
            for (int64_t i = lanes::rank(); i < parts; i += lanes::size()) found = join(found, extents[i]);
        found = lanes::reduce(found, join);
        if (step == SS_EXTENTS && lanes::rank() == 0) extents[blockIdx.y] = found;
        return found;
    }

    /* What each(i, add) adds, alike; nothing unless `summed`. */
    template <class F> inline ss_exact sum(int summed, int64_t exponent, F each) const
    {
        const int adds = summed && step != SS_EXTENTS && step != SS_RESULTS;
        ss_exact sum = exact_digits<LANES>(first, adds ? last : first, exponent, each);
        SS_ROLLED
        for (int d = 0; d < SS_DIGITS && step >= SS_SUMS; d++) {
            if (step == SS_RESULTS) {
                int64_t digit = 0;
                for (int64_t i = lanes::rank(); i < parts; i += lanes::size()) digit += digits[i * SS_DIGITS + d];
                sum.digit[d] = lanes::reduce(digit, plus_digits);
            } else if (lanes::rank() == 0) {
                digits[blockIdx.y * SS_DIGITS + d] = sum.digit[d];
            }
        }
        return sum;
    }

    /* Whether this thread writes the result. */
    inline int concludes() const { return here && lanes::rank() == 0 && (step == SS_WHOLE_ROWS || step == SS_RESULTS); }
};

/* The exponent is that of a row that needs no shift: what is too far below the peak to count never has the largest. */
typedef struct {
    double peak, exponent;
    int flags; /* up, down, unordered, positive, negative */
} ss_weight_extent;

static inline ss_weight_extent join_weight_extents(ss_weight_extent a, ss_weight_extent b)
{
    const ss_weight_extent c = {v_max(a.peak, b.peak), v_max(a.exponent, b.exponent), a.flags | b.flags};
    return c;
}

static inline ss_weight_extent scan_weights(const ss_row_reader &reader, int64_t first, int64_t last, int step)
{
    ss_weighted row = ss_weighted_start();
    SS_ROLLED
    for (int64_t i = first; i < last; i += step) {
        double w;
        const double x = take(reader, i, &w);
        ss_weigh(&row, x, w);
        if (w != 0.0 && fabs(x) < INFINITY) {
            int exponent;
            frexp(w, &exponent);
            row.exponent = v_max(row.exponent, ss_exponent(x) + exponent);
        }
    }
    const ss_weight_extent extent = {
        row.peak, row.exponent,
        row.up | row.down << 1 | row.unordered << 2 | row.positive << 3 | row.negative << 4};
    return extent;
}

/* Element i as a term: its exponent, and x and *w as ss_weight_exponents leaves them. */
static inline double weighted_term(const ss_row_reader &reader, const ss_weighted &row, int64_t i, double *x, double *w)
{
    double exponent;
    *x = take(reader, i, w);
    ss_weight_exponents(&row, 1, x, w, &exponent);
    return exponent;
}

/* The largest exponent of the whole row where x - peak is what terms are made of: each block reads all of it. */
template <class lanes>
__noinline__ static double shifted_exponent(const ss_row_reader *reader, const ss_weighted *row, int64_t n)
{
    double most = -INFINITY, x, w;
    for (int64_t i = lanes::rank(); i < n; i += lanes::size())
        most = v_max(most, weighted_term(*reader, *row, i, &x, &w));
    return lanes::reduce(most, v_max);
}

template <class lanes>
static inline ss_weighted weighted_row(const ss_row_reader &reader, const ss_weight_extent &all, int64_t n)
{
    const int huge = fabs(all.peak) > SS_HUGE && all.peak > -INFINITY;
    ss_weighted row = {all.peak, huge ? all.peak : 0.0, all.exponent, all.flags & 1, all.flags >> 1 & 1,
                       all.flags >> 2 & 1, all.flags >> 3 & 1, all.flags >> 4 & 1};
    if (lanes::any(huge)) {
        const double exponent = shifted_exponent<lanes>(&reader, &row, n);
        if (huge) row.exponent = exponent;
    }
    return row;
}

/* signs: one for each row, in their order, or NULL. */
template <class T, int LANES>
static inline void weighted_sum(const char *x, char *y, const char *b, const char *mask, char *signs, double *scratch,
                                const ss_geometry &g, const ss_taken &taken)
{
    typedef group<LANES> lanes;
    typedef typename T::stored stored;
    const row_share<LANES, ss_weight_extent> share(g, taken, scratch);
    const ss_row_reader reader = reader_of(g, taken, sizeof(stored), x, b, mask, share.row);
    const ss_weight_extent nothing = {-INFINITY, -INFINITY, 0}, all = share.extent(
        nothing, [&] { return scan_weights(reader, share.first + lanes::rank(), share.last, lanes::size()); },
        join_weight_extents);
    if (share.step == SS_EXTENTS) return;
    const ss_weighted row = weighted_row<lanes>(reader, all, share.here ? g.n : 0);
    double value, sign;
    const int special = ss_weighted_special(&row, &value, &sign);
    const int64_t exponent = special ? 0 : (int64_t)row.exponent;
    const ss_exact sum = share.sum(!special, exponent, [&](int64_t i, auto add) {
        double element, w, part[4][1];
        const double its = weighted_term(reader, row, i, &element, &w);
        if (!ss_weight_counts(&row, its)) return;
        ss_weight_terms(&element, &w, part);
        SS_ROLLED
        for (int p = 0; p < 4; p++) add(part[p][0], (int64_t)its);
    });
    if (!share.concludes()) return;
    int near = 0;
    if (!special) {
        const vpair total = exact_value(sum, exponent);
        value = ss_weighted_log(&row, total.hi, total.lo, sizeof(stored) < 8, &sign, &near);
    }
    const int undefined = !signs && sign < 0.0;
    *(stored *)place_of(g, x, y, share.row).y = undefined ? T::put(NAN) : near ? T::mark() : T::put(value);
    if (signs) ((stored *)signs)[share.row] = T::put(sign);
}

/* The two largest elements of a row, how many take part, and whether one is NaN. */
typedef struct {
    double first, second, count;
    int unordered;
} ss_mean_extent;

static inline ss_mean_extent join_mean_extents(ss_mean_extent a, ss_mean_extent b)
{
    const ss_mean_extent c = {v_max(a.first, b.first), v_max(v_max(a.second, b.second), v_min(a.first, b.first)),
                              a.count + b.count, a.unordered | b.unordered};
    return c;
}

static inline ss_mean_extent scan_mean(const ss_row_reader &row, int64_t first, int64_t last, int step)
{
    ss_mean_extent top = {-INFINITY, -INFINITY, 0.0, 0};
    SS_ROLLED
    for (int64_t i = first; i < last; i += step) {
        double present;
        const double value = take(row, i, &present);
        top.count += present;
        top.unordered |= value != value;
        top.second = v_max(top.second, v_min(top.first, value));
        top.first = v_max(top.first, value);
    }
    return top;
}

template <class T, int LANES>
static inline void masked_mean(const char *x, char *y, const char *mask, double *scratch, const ss_geometry &g,
                               const ss_taken &taken)
{
    typedef group<LANES> lanes;
    typedef typename T::real real;
    typedef arithmetic<real> A;
    const row_share<LANES, ss_mean_extent> share(g, taken, scratch);
    const ss_row_reader row = reader_of(g, taken, sizeof(typename T::stored), x, NULL, mask, share.row);
    const ss_mean_extent nothing = {-INFINITY, -INFINITY, 0.0, 0}, top = share.extent(
        nothing, [&] { return scan_mean(row, share.first + lanes::rank(), share.last, lanes::size()); },
        join_mean_extents);
    if (share.step == SS_EXTENTS) return;
    const int special = top.unordered || !(fabs(top.first) < INFINITY);
    ss_row_sum sum;
    sum.peak = top.first;
    sum.shift = !special && fabs(top.first) > SS_HUGE ? top.first : 0.0;
    const double peak = sum.peak - sum.shift, second = (double)(real)(top.second - sum.shift);
    const int summed = !special && in_range((real)peak, (real)second); /* else nothing beside the peak counts */
    sum.exponent = summed ? ss_exponent(second) : special ? 0.0 : ss_exponent(peak);
    const vi scale = ss_scale_bits(sum.exponent, A::OFFSET);
    const int64_t exponent = (int64_t)sum.exponent, unit = exponent - A::OFFSET;
    const double lowest = sum.exponent * 0.6931471805599453 - A::reach() + 46.0; /* 2^-1000 of the leading term */
    /* One peak stays out: left out where no other element has its exponent (its term might overflow at this scale),
       else added like all others and taken off. */
    const int apart = ss_exponent(peak) != sum.exponent;
    const auto add_term = [&](double value, double sign, auto add) {
        const vpair term = A::pair(A::term(value, scale));
        add(sign * term.hi, unit);
        add(sign * term.lo, unit);
    };
    const ss_exact digits = share.sum(summed, exponent, [&](int64_t i, auto add) {
        double present;
        const double value = (double)(real)(take(row, i, &present) - sum.shift);
        if (i == 0 && !apart) add_term(peak, -1.0, add);
        if (value > lowest && !(apart && value == peak)) add_term(value, 1.0, add);
    });
    if (!share.concludes()) return;
    if (special) {
        conclude_special(&sum, SS_LOGSUMEXP, top.unordered, 0.0);
        if (top.count == 0.0) sum.value = NAN;
    } else {
        const vpair total = exact_value(digits, exponent);
        sum.total = total.hi != 0.0 ? ss_canonical_round(total, A::BITS) : total;
        apply_sum<real, SS_LOGSUMEXP>(&sum, top.count);
    }
    write_value<T>(place_of(g, x, y, share.row).y, sum);
}

#ifdef SS_WITH_LADDER
/* Rows of both kinds that the kernel before has marked: weights of one sign, or a mean over what takes part. */
template <class T>
static inline void taken_ladder(const char *x, char *y, const char *b, const char *mask, const ss_geometry &g,
                                const ss_taken &taken)
{
    typedef group<SS_WARP> lanes;
    marked_rows<T>(x, y, g, [&](int64_t place) {
        const ss_row_reader row = reader_of(g, taken, sizeof(typename T::stored), x, b, mask, place);
        double count = 1.0;
        if (!b) {
            count = 0.0;
            for (int64_t i = lanes::rank(); i < g.n; i += lanes::size()) count += takes_part(row, i);
            count = lanes::reduce(count, plus);
        }
        const auto element = [&](int64_t i, double *w) {
            const double value = take(row, i, w);
            *w = fabs(*w);
            return value;
        };
        ladder_row<T, lanes>(row, element, b != NULL, count, place_of(g, x, y, place).y);
    });
}
#endif
