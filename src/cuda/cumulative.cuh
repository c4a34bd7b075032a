/* SPDX-License-Identifier: BSD-3-Clause
   logcumsumexp, as loops/cumulative.inc.h: a warp goes along a row, 32 prefixes at a time. The sums without a peak are
   scanned as pairs; the canonical rounding makes of them what it makes of any order. Near 0 the ladder's fixed-point
   sums are scanned as well. A prefix that neither decides is a row of its own, or is marked for a second launch, in
   which a warp climbs the ladder. g.count is 0 where prefixes end before their element. */
#include "loops/prefix.inc.h"

/* Some elements of a row: their peak, and the sum of the others over 2^level. */
typedef struct {
    double peak, level;
    vpair rest;
} ss_prefix_sum;

/* Exact shifts, and two pair additions, each of which errs by less than 2^-104. */
template <class real> static inline ss_prefix_sum join_prefixes(ss_prefix_sum a, ss_prefix_sum b)
{
    typedef arithmetic<real> A;
    const double low = v_min(a.peak, b.peak), value = v_min(SS_HUGE, v_max(-SS_HUGE, low)), power = ss_exponent(value);
    const int counts = low > -SS_HUGE;
    double level = v_max(a.level, b.level);
    if (counts) level = v_max(level, power);
    const vpair both = ss_pair_add(ss_pair_shift(a.rest, v_sub(a.level, level)),
                                   ss_pair_shift(b.rest, v_sub(b.level, level)));
    const vpair term = A::pair(A::term(value, ss_scale_bits(power, 0)));
    const vpair sum = ss_pair_add(both, ss_pair_shift(term, v_sub(power, level)));
    const ss_prefix_sum joined = {v_max(a.peak, b.peak), level, counts ? sum : both};
    return joined;
}

/* The values of all prefixes of the threads of a warp, and in *total that of all elements. */
template <class A, class F> static inline A scanned(A value, A *total, F join)
{
    *total = value;
    SS_ROLLED
    for (int step = 1; step < SS_WARP; step *= 2) {
        const A other = from_lane_xor(~0u, *total, step);
        if (group<SS_WARP>::rank() & step) value = join(other, value);
        *total = join(*total, other);
    }
    return value;
}

/* The ladder's sum of the first `seen` elements, all of them negative. */
struct ss_fixed_sum {
    uint64_t limb[4];
};

static inline ss_fixed_sum join_fixed(ss_fixed_sum a, ss_fixed_sum b)
{
    add_here(a.limb, b.limb, 4);
    return a;
}

static inline void add_negative(ss_fixed_sum *sum, double x)
{
    const task plain = {NULL, NULL, 0, 0, 0.0, 0, 0};
    const double k = floor_k(x);
    if (x < 0.0 && k >= -(64 * 2 + 64)) add_fast(&plain, sum->limb, x, k, 0, 0, 0);
}

/* The value of the prefix that ends at this thread's element, first + rank, or NaN where it is not certain or not
   `near`. `sum` goes along the row: it takes up what it has not seen. */
template <class T>
__noinline__ static double near_value(const ss_geometry *g, const char *x, int64_t first, int64_t last, int near,
                                      double peak, ss_fixed_sum *sum, int64_t *seen)
{
    typedef group<SS_WARP> lanes;
    ss_fixed_sum before = {{0, 0, 0, 0}}, mine = before, total;
    for (int64_t i = *seen + lanes::rank(); i < first; i += SS_WARP)
        add_negative(&before, (double)element_of<T>(*g, x, i));
    *sum = join_fixed(*sum, lanes::reduce(before, join_fixed));
    const int64_t own = first + lanes::rank();
    if (own < last) add_negative(&mine, (double)element_of<T>(*g, x, own));
    mine = join_fixed(*sum, scanned(mine, &total, join_fixed));
    *sum = join_fixed(*sum, total);
    *seen = first + SS_WARP;
    double hi, lo;
    if (!near || !(peak <= -TINY) || !excess_of_limbs(mine.limb, 0, 0.0, &hi, &lo)) return NAN;
    return ss_log1p_certain(hi, lo, sizeof(typename T::stored) < 8);
}

/* The prefix of n elements as a row of its own. */
template <class T> __noinline__ static double prefix_again(const ss_geometry *g, ss_place at, int64_t n, int *near)
{
    typedef typename T::real real;
    ss_geometry prefix = *g;
    prefix.n = n;
    prefix.count = 1;
    prefix.vector = 0;
    const partial<real> mine = read_part<T, SS_LOGSUMEXP, SS_WARP, 1>(prefix, at.x, 0, n, 0.0);
    const ss_row_sum sum = conclude_part<T, SS_LOGSUMEXP, SS_WARP, 1>(
        prefix, at, n, join_parts<real, SS_LOGSUMEXP, SS_WARP>(mine), emptied_by(SS_WARP, n));
    *near = sum.near;
    return sum.value;
}

template <class T> static inline void cumulative(const char *x, char *y, const ss_geometry &g)
{
    typedef group<SS_WARP> lanes;
    typedef typename T::real real;
    typedef arithmetic<real> A;
    const int64_t row = lanes::row(), later = 1 - g.count, n = g.n - later;
    if (row >= g.rows) return; /* the last block may hold warps without a row */
    const ss_place at = place_of(g, x, y, row);
    const auto put = [&](int64_t i, typename T::stored value) {
        *(typename T::stored *)(at.y + offset_of(g, g.reduced_y, i)) = value;
    };
    if (later && lanes::rank() == 0) put(0, T::put(-INFINITY));
    ss_prefix_sum before = {-INFINITY, -2.0 * SS_HUGE, {0.0, 0.0}};
    ss_fixed_sum fixed = {{0, 0, 0, 0}};
    int64_t seen = 0;
    int unordered = 0;
    for (int64_t first = 0; first < n; first += SS_WARP) {
        const int64_t i = first + lanes::rank();
        const double element = i < n ? (double)element_of<T>(g, at.x, i) : -INFINITY;
        const unsigned without_order = flags_of_warp(element != element);
        const int ordered = !unordered && !(without_order & ((2u << lanes::rank()) - 1));
        unordered |= without_order != 0;
        ss_prefix_sum sum = {element == element ? element : -INFINITY, -2.0 * SS_HUGE, {0.0, 0.0}}, all;
        sum = join_prefixes<real>(before, scanned(sum, &all, join_prefixes<real>));
        before = join_prefixes<real>(before, all);

        /* of k terms: k / 32 + 6 joins, less than (k + 16) / 2 */
        vm certain;
        const int nothing = sum.rest.hi == 0.0;
        const vpair rest = ss_canonical(sum.rest, A::BITS, (double)(i + 16) * 0x1p-104, &certain);
        const vpair excess = ss_log_excess(sum.peak, nothing ? sum.rest : rest, sum.level);
        const vpair total = ss_two_sum(sum.peak, excess.hi);
        double value = v_add(total.hi, v_add(total.lo, excess.lo));
        const int finite = ordered && i < n && fabs(sum.peak) < INFINITY, huge = fabs(sum.peak) > SS_HUGE;
        const int decided = certain || nothing, least = fabs(sum.peak) > 0x1p60 || A::SINGLE;
        int near = finite && !huge && decided && fabs(value) < v_mul(A::tolerance(), excess.hi);
        if (!finite || huge) value = sum.peak; /* half an ulp of a larger peak is more than any logarithm */
        unsigned again = flags_of_warp(finite && (huge ? !least : !decided));
        for (; again; again &= again - 1) {
            int place = 0, its;
            while (!(again >> place & 1)) place++;
            const double exact = prefix_again<T>(&g, at, first + place + 1, &its);
            if (lanes::rank() != place) continue;
            value = exact;
            near = its;
        }
        if (flags_of_warp(near)) {
            const double exact = near_value<T>(&g, at.x, first, n, near, sum.peak, &fixed, &seen);
            if (exact == exact) {
                value = exact;
                near = 0;
            }
        }
        if (i < n) put(i + later, !ordered ? T::put(NAN) : near ? T::mark() : T::put(value));
    }
}

/* Marked results, of g.ladder_share elements to a block of one warp. */
template <class T> static inline void cumulative_ladder(const char *x, char *y, const ss_geometry &g)
{
    typedef typename T::stored stored;
    const auto result = [&](int64_t i) {
        return place_of(g, x, y, i / g.n).y + offset_of(g, g.reduced_y, i % g.n);
    };
    const auto again = [&](int64_t i) {
        ss_geometry prefix = g;
        prefix.n = i % g.n + g.count;
        const char *row = place_of(g, x, y, i / g.n).x;
        const ss_row_reader reader = {&prefix, row, (int)sizeof(stored)};
        const auto element = [&](int64_t at, double *w) {
            *w = 1.0;
            return (double)element_of<T>(g, row, at);
        };
        ladder_row<T, group<SS_WARP>>(reader, element, 0, 1.0, result(i));
    };
    each_marked(
        g, g.rows * g.n, [&](int64_t i) { return T::is_marked(*(const stored *)result(i)); }, again);
}
