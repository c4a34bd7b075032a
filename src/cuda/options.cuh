/* SPDX-License-Identifier: BSD-3-Clause
   softmax with a temperature or a floor, log_softmax with a temperature, both with a mask: FN(option_row) of
   loops/options.inc.h. Rare enough for one kernel of each type: every sum is exact, and a row is read three times. */

#include "loops/quotient.inc.h"
#include "cuda/exact.cuh"

/* logarithm: log_softmax. floor: 0 where there is none. The mask, if there is one, has strides of its own. */
typedef struct {
    int64_t logarithm, kept_mask[SS_CUDA_DIMS], reduced_mask[SS_CUDA_DIMS];
    double temperature, floor;
} ss_options;

/* A row, and which of its elements take part. */
template <class T> struct option_row {
    const ss_geometry &g;
    const ss_options &o;
    ss_place at;
    const char *mask; /* of the row, or NULL */
    int infinite;     /* the peak is +inf: 0 stands for it, and -inf for all others */

    inline int takes_part(int64_t i) const { return !mask || mask[offset_of(g, o.reduced_mask, i)]; }
    inline double value(int64_t i) const
    {
        const double x = takes_part(i) ? (double)element_of<T>(g, at.x, i) : -INFINITY;
        return !infinite ? x : x == INFINITY ? 0.0 : -INFINITY;
    }
    /* FN(option_terms) of one element */
    inline vpair term(int64_t i, double x, const ss_quotient &by) const
    {
        double hi, lo;
        ss_divide_tile(&by, 1, &x, 1, &hi, &lo);
        if (o.floor == 0.0) return ss_pair(hi, lo);
        ss_apply_floor(o.floor, 1, &hi, &lo);
        return takes_part(i) ? ss_pair(hi, lo) : ss_pair(0.0, 0.0);
    }
    inline void put(int64_t i, double value) const
    {
        *(typename T::stored *)(at.y + offset_of(g, g.reduced_y, i)) = T::put(value);
    }
};

/* The two largest elements, and how many are +inf, are NaN, and take part. */
typedef struct {
    ss_peaks<double> top;
    int64_t infinities, unordered, present;
} ss_option_peaks;

static inline ss_option_peaks join_option_peaks(ss_option_peaks a, ss_option_peaks b)
{
    const ss_option_peaks c = {join_peaks(a.top, b.top), a.infinities + b.infinities, a.unordered + b.unordered,
                               a.present + b.present};
    return c;
}

/* A row of which every element is one of two values, or absent. */
template <class T, class lanes> static inline void write_special(const option_row<T> &row, const ss_option_peaks &peaks)
{
    ss_row_sum sum;
    sum.peak = peaks.top.first;
    const int operation = row.o.logarithm ? SS_LOG_SOFTMAX : SS_SOFTMAX;
    conclude_special(&sum, operation, peaks.unordered != 0, (double)peaks.infinities);
    const double absent = row.o.logarithm ? -INFINITY : 0.0;
    for (int64_t i = lanes::rank(); i < row.g.n; i += lanes::size()) {
        const double x = row.value(i);
        row.put(i, !row.takes_part(i) ? absent : x == INFINITY ? sum.hi : sum.lo);
    }
}

/* The sum of all terms, or of all but one peak; needed by all threads. */
template <class T, int LANES>
static inline vpair option_sum(const option_row<T> &row, const ss_quotient &by, double peak, int64_t exponent)
{
    /* at a scale far below its own the peak's term might overflow: no other element has its exponent then */
    const int apart = row.o.logarithm && exponent != 0;
    const int64_t unit = exponent - SS_QUOTIENT_OFFSET;
    const vpair total = sum_exactly<LANES>(row.g.n, exponent, [&](int64_t i, auto add) {
        if (i == 0 && row.o.logarithm && !apart) {
            double hi, lo;
            ss_divide_tile(&by, 1, &peak, 1, &hi, &lo);
            add(-hi, unit);
            add(-lo, unit);
        }
        const double x = row.value(i);
        if (apart && x == peak) return;
        const vpair term = row.term(i, x, by);
        add(term.hi, unit);
        add(term.lo, unit);
    });
    return total.hi != 0.0 ? ss_canonical_round(total, SS_CANONICAL_BITS_PAIR) : total;
}

template <class T, int LANES>
static inline void with_options(const char *x, char *y, const char *mask, const ss_geometry &g, const ss_options &o)
{
    typedef group<LANES> lanes;
    const int64_t place = lanes::row();
    if (place >= g.rows) return; /* the last block may hold groups without a row */
    option_row<T> row = {g, o, place_of(g, x, y, place),
                         mask ? mask + offset_in(g.kept, g.kept_shape, o.kept_mask, place) : NULL, 0};
    ss_option_peaks peaks = {{-INFINITY, -INFINITY}, 0, 0, 0};
    for (int64_t i = lanes::rank(); i < g.n; i += lanes::size()) {
        const double value = row.value(i);
        peaks.present += row.takes_part(i);
        peaks.infinities += value == INFINITY;
        peaks.unordered += value != value;
        peaks.top.second = larger(peaks.top.second, smaller(peaks.top.first, value));
        peaks.top.first = larger(peaks.top.first, value);
    }
    peaks = lanes::reduce(peaks, join_option_peaks);
    const double peak = peaks.top.first;
    /* Under a floor the finite elements of a row with +inf count too: 1 for each +inf, floor for the others. */
    row.infinite = peak == INFINITY && o.floor != 0.0;
    if (peaks.unordered || !(fabs(peak) < INFINITY || row.infinite)) {
        row.infinite = 0;
        write_special<T, lanes>(row, peaks);
        return;
    }
    ss_quotient by = ss_quotient_of(row.infinite ? 0.0 : peak, o.temperature);
    if (o.logarithm) by.bound = fmax(ss_divide(&by, peaks.top.second).hi, SS_QUOTIENT_LOWEST);
    const double exponent = ss_exponent(by.bound);
    const vpair total = option_sum<T, LANES>(row, by, peak, (int64_t)exponent);
    const vpair factor = o.logarithm ? ss_log_excess(0.0, total, exponent) : ss_reciprocal(total);
    lanes::sync(); /* y may be x, which all have read by now */
    for (int64_t i = lanes::rank(); i < g.n; i += lanes::size()) {
        const double value = row.value(i);
        double hi, lo, result;
        if (o.logarithm) {
            ss_divide_tile(&by, 0, &value, 1, &hi, &lo);
        } else {
            const vpair term = row.term(i, value, by);
            hi = term.hi;
            lo = term.lo;
        }
        ss_quotient_results((int)o.logarithm, factor, 1, &hi, &lo, &result);
        row.put(i, result);
    }
}
