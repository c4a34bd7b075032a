/* SPDX-License-Identifier: BSD-3-Clause
   Rows that fit into the registers of a group: read once, written once. Only the common case is done here; a row
   with no finite peak, with a huge one, or with a sum that has to be exact is left to stream.cuh, whose bits are the
   same. */

/* In a function of its own, so that the registers of the common case need not outlive it. */
template <class T, int OPERATION, int LANES>
__noinline__ static void row_again(const ss_geometry *g, const char *x, char *y)
{
    stream<T, OPERATION, LANES, 1>(x, y, *g);
}

/* The canonical sum of an ordinary row that lies in the registers of a group, and its terms; 0 where the row is not
   ordinary or the rounding is in doubt, as it is where an element is NaN. */
template <class T, int OPERATION, int LANES, int CHUNKS>
static inline vm sum_in_registers(const typename T::real *value, ss_row_sum *sum,
                                  typename arithmetic<typename T::real>::term_type *terms)
{
    typedef typename T::real real;
    typedef arithmetic<real> A;
    typedef group<LANES> lanes;
    enum { COUNT = items<T, CHUNKS>::COUNT, REST = SS_HAS_REST(OPERATION) };
    static_assert(COUNT <= 16, "error_of_registers counts on it");
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
    const real highest = REST ? top.second : top.first;
    if (!in_range(top.first, highest)) return 0;

    sum->peak = (double)top.first;
    sum->shift = 0.0;
    sum->error = A::error_of_registers();
    const double bound = (double)highest, lowest = bound - A::reach();
    sum->exponent = ss_exponent(bound);
    const vi scale = ss_scale_bits(sum->exponent, A::OFFSET);
    typename A::sum running = A::start();
#pragma unroll
    for (int v = 0; v < COUNT; v++) {
        terms[v] = A::term(v_max(lowest, (double)(REST ? smaller(top.second, value[v]) : value[v])), scale);
        A::add(&running, terms[v]);
    }
    sum->total = A::pair(lanes::reduce(A::end(&running), A::join));
    if (REST) sum->total = ss_pair_sub(sum->total, A::pair(A::term(bound, ss_scale_bits(sum->exponent, 0))));
    vm certain;
    sum->total = canonical_total<real>(sum, &certain);
    return certain;
}

template <class T, int OPERATION, int LANES, int CHUNKS>
static inline void rows(const char *x, char *y, const ss_geometry &g)
{
    typedef typename T::real real;
    typedef group<LANES> lanes;
    enum { COUNT = items<T, CHUNKS>::COUNT };
    const int64_t row = lanes::row();
    const int here = row < g.rows; /* the last block may hold groups without a row */
    const ss_place at = place_of(g, x, y, here ? row : 0);
    const items<T, CHUNKS> mine = {0, here ? g.n : 0, lanes::rank(), lanes::size(), (int)g.vector};
    real value[COUNT];
    mine.load(g, at.x, value);
    ss_row_sum sum;
    typename arithmetic<real>::term_type terms[COUNT];
    if (!sum_in_registers<T, OPERATION, LANES, CHUNKS>(value, &sum, terms)) {
        row_again<T, OPERATION, LANES>(&g, x, y);
    } else if (SS_REDUCES(OPERATION)) {
        if (LANES == WHOLE_BLOCK && threadIdx.x >= SS_WARP) return;
        apply_sum<real, OPERATION>(&sum, (double)g.count);
        if (lanes::rank() == 0) write_value<T>(at.y, sum);
    } else {
        apply_sum<real, OPERATION>(&sum, 0.0);
        write_items<T, OPERATION, CHUNKS>(g, at, mine, sum, value, [&](int v) { return terms[v]; });
    }
}
