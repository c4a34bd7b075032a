/* SPDX-License-Identifier: BSD-3-Clause
   Rows that fit into the registers of a group: read once, written once. */

template <class real> struct ss_peaks {
    real first, second; /* the two largest elements; equal if the largest occurs twice */
};

template <class real> static inline ss_peaks<real> join_peaks(ss_peaks<real> a, ss_peaks<real> b)
{
    ss_peaks<real> c = {larger(a.first, b.first), larger(larger(a.second, b.second), smaller(a.first, b.first))};
    return c;
}

/* Results of a thread's elements. Those of a special row are read again, and those of log_softmax in a huge row, which have
   been shifted. */
template <class T, int OPERATION, int CHUNKS, class F>
static inline void write_items(const ss_geometry &g, ss_place at, const items<T, CHUNKS> &mine, const ss_row_sum &sum,
                               typename T::real *value, F term)
{
    const vpair factor = ss_pair(sum.hi, sum.lo);
    typename T::stored result[items<T, CHUNKS>::COUNT];
    if (sum.special || (OPERATION == SS_LOG_SOFTMAX && sum.shift != 0.0)) mine.load(g, at.x, value);
    if (sum.special) {
#pragma unroll
        for (int v = 0; v < items<T, CHUNKS>::COUNT; v++)
            result[v] = T::put((double)value[v] == INFINITY ? sum.hi : sum.lo);
    } else {
#pragma unroll
        for (int v = 0; v < items<T, CHUNKS>::COUNT; v++)
            result[v] = T::put(OPERATION == SS_LOG_SOFTMAX ? difference(value[v], sum.peak, factor)
                                                           : product(term(v), factor));
    }
    mine.store(g, at.y, result);
}

template <class T, int OPERATION, int LANES, int CHUNKS>
static inline void rows(const char *x, char *y, const ss_geometry &g)
{
    typedef typename T::real real;
    typedef arithmetic<real> A;
    typedef group<LANES> lanes;
    enum { COUNT = items<T, CHUNKS>::COUNT, REST = SS_HAS_REST(OPERATION) };
    const int64_t row = lanes::row();
    const int here = row < g.rows; /* the last block may hold groups without a row, which keep step with the others */
    const ss_place at = place_of(g, x, y, here ? row : 0);
    const items<T, CHUNKS> mine = {0, here ? g.n : 0, lanes::rank(), lanes::size(), (int)g.vector};
    real value[COUNT];
    mine.load(g, at.x, value);

    ss_peaks<real> top = {-(real)INFINITY, -(real)INFINITY};
#pragma unroll
    for (int v = 0; v < COUNT; v++) {
        if (REST) top.second = larger(top.second, smaller(top.first, value[v]));
        top.first = larger(top.first, value[v]);
    }
    if (REST)
        top = lanes::reduce(top, join_peaks<real>);
    else
        top.first = lanes::reduce(top.first, [](real a, real b) { return larger(a, b); });

    ss_row_sum sum;
    sum.peak = (double)top.first;
    sum.shift = 0.0;
    sum.special = 0;
    sum.error = A::error_of_registers();
    if (fabs(sum.peak) > SS_HUGE && fabs(sum.peak) < INFINITY) {
        sum.shift = sum.peak;
#pragma unroll
        for (int v = 0; v < COUNT; v++) value[v] -= (real)sum.shift;
        top.first = (real)0.0;
        top.second -= (real)sum.shift;
    }
    const double bound = (double)(REST ? top.second : top.first);
    typename A::term_type terms[COUNT];
    if (fabs((double)top.first) <= SS_HUGE && bound > -SS_HUGE) {
        sum.exponent = ss_exponent(bound);
        const double lowest = bound - A::reach();
        const vi scale = ss_scale_bits(sum.exponent, A::OFFSET);
        typename A::sum running = A::start();
#pragma unroll
        for (int v = 0; v < COUNT; v++) {
            const double item = (double)(REST ? smaller(top.second, value[v]) : value[v]);
            terms[v] = A::term(v_max(lowest, item), scale);
            A::add(&running, terms[v]);
        }
        sum.total = A::pair(lanes::reduce(A::end(&running), A::join));
        if (REST) {
            const vpair extra = A::pair(A::term(bound, ss_scale_bits(sum.exponent, 0)));
            sum.total = ss_pair_add(sum.total, ss_pair(v_sub(0.0, extra.hi), v_sub(0.0, extra.lo)));
        }
    } else {
        special_sum<T, OPERATION, LANES>(&g, at, mine.last, &sum);
    }
    conclude<T, OPERATION, LANES>(g, at, &sum);
    if (SS_REDUCES(OPERATION)) {
        if (here && lanes::rank() == 0) write_value<T>(at.y, sum);
    } else {
        write_items<T, OPERATION, CHUNKS>(g, at, mine, sum, value, [&](int v) { return terms[v]; });
    }
}
