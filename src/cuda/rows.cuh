/* SPDX-License-Identifier: BSD-3-Clause
   Rows that fit into the registers of a group: read once, written once. CHUNKS times 16 bytes a thread. */

template <class T, int OPERATION, int LANES, int CHUNKS>
static inline void rows(const char *x, char *y, const ss_geometry &g)
{
    typedef typename T::real real;
    typedef arithmetic<real> A;
    typedef group<LANES> lanes;
    enum { V = sixteen<T>::ELEMENTS, ITEMS = V * CHUNKS, REST = SS_HAS_REST(OPERATION) };
    const real lowest_real = -(real)INFINITY;
    const int64_t row = lanes::row();
    const int here = row < g.rows; /* the last block may hold groups without a row, which keep step with the others */
    const int64_t n = here ? g.n : 0;
    const ss_place at = place_of(g, x, y, here ? row : 0);
    const int rank = lanes::rank(), size = lanes::size();
    real value[ITEMS];

    /* The order of the elements is free: neighbours in memory belong to neighbouring threads. */
    const auto element = [&](int item) {
        return g.vector ? (int64_t)(item / V * size + rank) * V + item % V : (int64_t)item * size + rank;
    };
    const auto load = [&] {
        if (g.vector) {
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
                const int64_t i = element(c * V);
                sixteen<T> values;
                if (i < n) values = load_sixteen<T>(at.x + i * (int64_t)sizeof(typename T::stored));
#pragma unroll
                for (int v = 0; v < V; v++) value[c * V + v] = i < n ? T::get(values.value[v]) : lowest_real;
            }
        } else {
#pragma unroll
            for (int v = 0; v < ITEMS; v++)
                value[v] = element(v) < n ? element_of<T>(g, at.x, element(v)) : lowest_real;
        }
    };
    load();

    struct peaks {
        real first, second;
    } top = {lowest_real, lowest_real};
#pragma unroll
    for (int v = 0; v < ITEMS; v++) {
        if (REST) top.second = larger(top.second, smaller(top.first, value[v]));
        top.first = larger(top.first, value[v]);
    }
    top = lanes::reduce(top, [](peaks a, peaks b) {
        peaks c = {larger(a.first, b.first), (real)-INFINITY};
        if (REST) c.second = larger(larger(a.second, b.second), smaller(a.first, b.first));
        return c;
    });

    ss_row_sum sum;
    sum.peak = top.first;
    sum.shift = 0.0;
    sum.special = 0;
    if (fabs(sum.peak) > SS_HUGE && fabs(sum.peak) < INFINITY) {
        sum.shift = sum.peak;
#pragma unroll
        for (int v = 0; v < ITEMS; v++) value[v] -= (real)sum.shift;
        top.first = (real)0.0;
        top.second -= (real)sum.shift;
    }
    const double bound = REST ? (double)top.second : (double)top.first;
    typename A::term_type terms[ITEMS];

    if (fabs((double)top.first) <= SS_HUGE && bound > -SS_HUGE) {
        sum.exponent = ss_exponent(bound);
        const double lowest = bound - A::reach();
        const vi scale = ss_scale_bits(sum.exponent, A::OFFSET);
        typename A::sum running = A::start();
#pragma unroll
        for (int v = 0; v < ITEMS; v++) {
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
        struct counts {
            int infinities, unordered;
        } count = {0, 0};
        for (int v = 0; v < ITEMS; v++) {
            count.infinities += value[v] == (real)INFINITY;
            count.unordered |= value[v] != value[v];
        }
        count = lanes::reduce(count, [](counts a, counts b) {
            counts c = {a.infinities + b.infinities, a.unordered | b.unordered};
            return c;
        });
        sum.exponent = fabs((double)top.first) <= SS_HUGE ? ss_exponent(top.first) : 0.0;
        sum.total = ss_pair(count.unordered ? NAN : 0.0, 0.0);
        if (count.unordered || fabs(sum.peak) == INFINITY) {
            conclude_special(&sum, OPERATION, count.unordered, count.infinities);
        }
    }
    if (!sum.special) conclude<T, OPERATION, LANES>(g, at, &sum);
    if (SS_REDUCES(OPERATION)) {
        if (here && rank == 0) write_value<T>(at.y, sum);
        return;
    }
    const vpair factor = ss_pair(sum.hi, sum.lo);
    typename T::stored result[ITEMS];
    if (sum.special || (OPERATION == SS_LOG_SOFTMAX && sum.shift != 0.0)) load();
    if (sum.special) {
#pragma unroll
        for (int v = 0; v < ITEMS; v++) result[v] = T::put(value[v] == (real)INFINITY ? sum.hi : sum.lo);
    } else {
#pragma unroll
        for (int v = 0; v < ITEMS; v++)
            result[v] = T::put(OPERATION == SS_LOG_SOFTMAX ? difference(value[v], sum.peak, factor)
                                                           : product(terms[v], factor));
    }
    if (g.vector) {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            if (element(c * V) < n) {
                sixteen<T> values;
#pragma unroll
                for (int v = 0; v < V; v++) values.value[v] = result[c * V + v];
                store_sixteen<T>(at.y + element(c * V) * (int64_t)sizeof(typename T::stored), values);
            }
    } else {
#pragma unroll
        for (int v = 0; v < ITEMS; v++)
            if (element(v) < n) *(typename T::stored *)(at.y + offset_of(g, g.reduced_y, element(v))) = result[v];
    }
}
