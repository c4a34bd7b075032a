/* SPDX-License-Identifier: BSD-3-Clause
   Rows that fit into the registers of a group: read once, written once. Only the common case is done here; a row
   with no finite peak, with a large one, or with a sum that has to be exact is left to stream.cuh, whose bits are the
   same. */

/* In a function of its own, so that the registers of the common case need not outlive it. */
template <class T, int OPERATION, int LANES>
__noinline__ static void row_again(const ss_geometry *g, const char *x, char *y)
{
    stream<typename T::in_doubles, OPERATION, LANES, 1>(x, y, *g);
}

/* The canonical sum of an ordinary row that lies in the registers of a group, and its terms; 0 where the row is not
   ordinary or the rounding is in doubt, as it is where an element is NaN. */
template <class T, int OPERATION, int LANES, int CHUNKS>
static inline vm sum_in_registers(const typename T::real *value, typename T::terms::row *sum,
                                  typename T::terms::term_type *terms)
{
    typedef typename T::real real;
    typedef typename T::terms A;
    typedef group<LANES> lanes;
    enum { COUNT = items<T, CHUNKS>::COUNT, REST = SS_HAS_REST(OPERATION) };
    static_assert(COUNT <= 16, "error_of_registers counts on it");
    ss_peaks<real> top = {-(real)INFINITY, -(real)INFINITY};
#pragma unroll
    for (int v = 0; v < COUNT; v++) {
        if (REST) top.second = larger(top.second, smaller(top.first, value[v]));
        top.first = larger(top.first, value[v]);
    }
    /* A NaN of doubles would come out of the reduction in some threads alone, and they would part; the sum has it. */
    top.first = larger(top.first, -(real)INFINITY);
    top.second = larger(top.second, -(real)INFINITY);
    if (REST)
        top = lanes::reduce(top, join_peaks<real>);
    else
        top.first = lanes::reduce(top.first, [](real a, real b) { return larger(a, b); });
    const real highest = REST ? top.second : top.first;
    if (!A::in_range(top.first, highest) || !A::is_near(highest)) return 0;

    *sum = A::start_row(top.first, highest);
    const typename A::frame frame = A::frame_of(sum->exponent, highest);
    typename A::sum running = A::start();
    real item[COUNT];
#pragma unroll
    for (int v = 0; v < COUNT; v++) item[v] = REST ? smaller(top.second, value[v]) : value[v];
    A::template near_terms<COUNT>(frame, item, terms);
    A::template add<COUNT>(&running, terms);
    return A::template end_sum<OPERATION>(sum, lanes::reduce(A::end(&running), A::join), frame, highest,
                                          A::error_of_registers(lanes::JOINS, REST));
}

template <class T, int OPERATION, int LANES, int CHUNKS>
static inline void rows(const char *x, char *y, const ss_geometry &g)
{
    typedef typename T::real real;
    typedef typename T::terms A;
    typedef group<LANES> lanes;
    enum { COUNT = items<T, CHUNKS>::COUNT };
    const int64_t row = lanes::row();
    const int here = row < g.rows; /* the last block may hold groups without a row */
    const ss_place at = place_of(g, x, y, here ? row : 0);
    const items<T, CHUNKS> mine = {0, here ? g.n : 0, lanes::rank(), lanes::size(), (int)g.vector};
    real value[COUNT];
    mine.load(g, at.x, value);
    typename A::row sum;
    typename A::term_type terms[COUNT];
    if (!sum_in_registers<T, OPERATION, LANES, CHUNKS>(value, &sum, terms)) {
        row_again<T, OPERATION, LANES>(&g, x, y);
    } else if (SS_REDUCES(OPERATION)) {
        if (LANES == WHOLE_BLOCK && threadIdx.x >= SS_WARP) return;
        if (lanes::rank() == 0) A::template write<T, OPERATION>(at.y, sum, (double)g.count);
    } else {
        A::template apply<OPERATION>(&sum);
        write_items<T, OPERATION, CHUNKS>(g, at, mine, sum, value, [&](int v) { return terms[v]; },
                                          [&] { return A::template in_doubles<OPERATION>(sum); });
    }
}
