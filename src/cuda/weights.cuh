/* SPDX-License-Identifier: BSD-3-Clause
   logsumexp with weights (FN(weight_row) of loops/weights.inc.h) and logmeanexp with a mask, where each row has a count
   of its own. Rare enough for few kernels: every sum is exact, and a row is read two or three times. Rows near 0 are
   marked and left to a launch of the ladder's, as in ladder.cuh. */

#include "loops/weighted.inc.h"
#include "cuda/exact.cuh"

/* What the first pass over a row with weights finds. The exponent is that of a row that needs no shift: what is too far
   below the peak to count never has the largest one. */
struct ss_weight_extent {
    double peak, exponent;
    int flags;
};

static inline ss_weight_extent join_weight_extents(ss_weight_extent a, ss_weight_extent b)
{
    const ss_weight_extent c = {v_max(a.peak, b.peak), v_max(a.exponent, b.exponent), a.flags | b.flags};
    return c;
}

/* Element i as a term: its exponent, and x and *w as ss_weight_exponents leaves them. */
static inline double weighted_term(const ss_row_reader &reader, const ss_weighted &row, int64_t i, double *x, double *w)
{
    double exponent;
    *x = take(reader, i, w);
    ss_weight_exponents(&row, 1, x, w, &exponent);
    return exponent;
}

/* The largest exponent where x - peak is what terms are made of. */
template <class lanes>
__noinline__ static double shifted_exponent(const ss_row_reader *reader, const ss_weighted *row, int64_t n)
{
    double most = -INFINITY, x, w;
    for (int64_t i = lanes::rank(); i < n; i += lanes::size())
        most = v_max(most, weighted_term(*reader, *row, i, &x, &w));
    return lanes::reduce(most, [](double a, double b) { return v_max(a, b); });
}

/* The first pass. All threads of a block come here, and n is 0 for those that have no row. */
template <class lanes> static inline ss_weighted weighted_row(const ss_row_reader &reader, int64_t n)
{
    ss_weighted row = ss_weighted_start();
    SS_ROLLED
    for (int64_t i = lanes::rank(); i < n; i += lanes::size()) {
        double w;
        const double x = take(reader, i, &w);
        ss_weigh(&row, x, w);
        if (w != 0.0 && fabs(x) < INFINITY) {
            int exponent;
            frexp(w, &exponent);
            row.exponent = v_max(row.exponent, ss_exponent(x) + exponent);
        }
    }
    ss_weight_extent all = {row.peak, row.exponent, row.up | row.down << 1 | row.unordered << 2 | row.positive << 3
                                                        | row.negative << 4};
    all = lanes::reduce(all, join_weight_extents);
    row.peak = all.peak;
    row.exponent = all.exponent;
    row.up = all.flags & 1;
    row.down = all.flags >> 1 & 1;
    row.unordered = all.flags >> 2 & 1;
    row.positive = all.flags >> 3 & 1;
    row.negative = all.flags >> 4 & 1;
    const int huge = fabs(row.peak) > SS_HUGE && row.peak > -INFINITY;
    if (huge) row.shift = row.peak;
    if (lanes::any(huge)) {
        const double exponent = shifted_exponent<lanes>(&reader, &row, n);
        if (huge) row.exponent = exponent;
    }
    return row;
}

/* signs: one for each row, in their order, or NULL. */
template <class T, int LANES>
static inline void weighted_sum(const char *x, char *y, const char *b, const char *mask, char *signs,
                                const ss_geometry &g, const ss_taken &taken)
{
    typedef group<LANES> lanes;
    typedef typename T::stored stored;
    const int64_t place = lanes::row();
    const int here = place < g.rows;
    const ss_row_reader reader = reader_of(g, taken, sizeof(stored), x, b, mask, here ? place : 0);
    const ss_weighted row = weighted_row<lanes>(reader, here ? g.n : 0);
    double value, sign;
    const int special = ss_weighted_special(&row, &value, &sign);
    const int64_t exponent = special ? 0 : (int64_t)row.exponent;
    const vpair sum = sum_exactly<LANES>(special ? 0 : g.n, exponent, [&](int64_t i, auto add) {
        double element, w, part[4][1];
        const double its = weighted_term(reader, row, i, &element, &w);
        if (!ss_weight_counts(&row, its)) return;
        ss_weight_terms(&element, &w, part);
        SS_ROLLED
        for (int p = 0; p < 4; p++) add(part[p][0], (int64_t)its);
    });
    if (!here || lanes::rank() != 0) return;
    int near = 0;
    if (!special) value = ss_weighted_log(&row, sum.hi, sum.lo, sizeof(stored) < 8, &sign, &near);
    const int undefined = !signs && sign < 0.0;
    *(stored *)place_of(g, x, y, place).y = undefined ? T::put(NAN) : near ? T::mark() : T::put(value);
    if (signs) ((stored *)signs)[place] = T::put(sign);
}

/* The two largest elements of a row, how many take part, and whether one is NaN. */
struct ss_mean_extent {
    double first, second, count;
    int unordered;
};

static inline ss_mean_extent join_mean_extents(ss_mean_extent a, ss_mean_extent b)
{
    const ss_mean_extent c = {v_max(a.first, b.first), v_max(v_max(a.second, b.second), v_min(a.first, b.first)),
                              a.count + b.count, a.unordered | b.unordered};
    return c;
}

template <class T, int LANES>
static inline void masked_mean(const char *x, char *y, const char *mask, const ss_geometry &g, const ss_taken &taken)
{
    typedef group<LANES> lanes;
    typedef typename T::real real;
    typedef typename T::stored stored;
    typedef arithmetic<real> A;
    const int64_t place = lanes::row();
    const int here = place < g.rows;
    const ss_row_reader row = reader_of(g, taken, sizeof(stored), x, NULL, mask, here ? place : 0);
    ss_mean_extent top = {-INFINITY, -INFINITY, 0.0, 0};
    SS_ROLLED
    for (int64_t i = lanes::rank(); i < (here ? g.n : 0); i += lanes::size()) {
        double present;
        const double value = take(row, i, &present);
        top.count += present;
        top.unordered |= value != value;
        top.second = v_max(top.second, v_min(top.first, value));
        top.first = v_max(top.first, value);
    }
    top = lanes::reduce(top, join_mean_extents);
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
    /* one peak stays out: taken off, unless no other element has its exponent and it might overflow at this scale */
    const int apart = ss_exponent(peak) != sum.exponent;
    const vpair total = sum_exactly<LANES>(summed ? g.n : 0, exponent, [&](int64_t i, auto add) {
        double present;
        const double value = (double)(real)(take(row, i, &present) - sum.shift);
        if (i == 0 && !apart) {
            const vpair term = A::pair(A::term(peak, scale));
            add(-term.hi, unit);
            add(-term.lo, unit);
        }
        if (!(value > lowest) || (apart && value == peak)) return;
        const vpair term = A::pair(A::term(value, scale));
        add(term.hi, unit);
        add(term.lo, unit);
    });
    if (!here || lanes::rank() != 0) return;
    if (special) {
        conclude_special(&sum, SS_LOGSUMEXP, top.unordered, 0.0);
        if (top.count == 0.0) sum.value = NAN;
    } else {
        sum.total = total.hi != 0.0 ? ss_canonical_round(total, A::BITS) : total;
        apply_sum<real, SS_LOGSUMEXP>(&sum, top.count);
    }
    write_value<T>(place_of(g, x, y, place).y, sum);
}

#ifdef SS_WITH_LADDER
/* Rows of both kinds that the kernel before has marked: weights of one sign, or a mean over what takes part. */
template <class T>
static inline void taken_ladder(const char *x, char *y, const char *b, const char *mask, const ss_geometry &g,
                                const ss_taken &taken)
{
    typedef group<SS_WARP> lanes;
    for_marked<T>(x, y, g, [&](int64_t place) {
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
