/* SPDX-License-Identifier: BSD-3-Clause
   Rows that do not fit into registers: each thread sums as it reads, at the scale of what it has met so far, and
   sums at different scales are joined by exact shifts. The row is read again, mostly from the second-level cache, to
   be written. A row is one block's (long rows) or one column's of a block (panels: neighbouring rows are neighbours
   in memory), or is shared by several blocks, a team. */

/* Results of a thread's elements: result(v, &certain). Items that are not certain are computed by what again() returns,
   one after the other: registers for one are enough. */
template <class T, int CHUNKS, class F, class D>
static inline void write_results(const ss_geometry &g, ss_place at, const items<T, CHUNKS> &mine,
                                 const typename T::real *value, F result, D again)
{
    enum { COUNT = items<T, CHUNKS>::COUNT };
    typename T::stored results[COUNT];
    unsigned doubtful = 0;
#pragma unroll
    for (int v = 0; v < COUNT; v++) {
        vm certain;
        results[v] = result(v, &certain);
        doubtful |= certain ? 0 : 1u << v;
    }
    if (doubtful) {
        const auto settle = again();
        SS_ROLLED
        for (; doubtful; doubtful &= doubtful - 1) {
            const unsigned first = doubtful & (0 - doubtful);
            typename T::real x = value[0];
#pragma unroll
            for (int v = 1; v < COUNT; v++) x = first >> v & 1 ? value[v] : x;
            const typename T::stored settled = settle(x);
#pragma unroll
            for (int v = 0; v < COUNT; v++) results[v] = first >> v & 1 ? settled : results[v];
        }
    }
    mine.store(g, at.y, results);
}

/* The same in an ordinary row: term(v), and the row's sum where doubles are wanted. */
template <class T, int OPERATION, int CHUNKS, class F, class D>
static inline void write_items(const ss_geometry &g, ss_place at, const items<T, CHUNKS> &mine,
                               const typename T::terms::row &sum, const typename T::real *value, F term, D in_doubles)
{
    typedef typename T::real real;
    typedef typename T::in_doubles::terms wide;
    write_results<T, CHUNKS>(
        g, at, mine, value,
        [&](int v, vm *certain) {
            return T::terms::template result<T, OPERATION>(sum, value[v], [&] { return term(v); }, certain);
        },
        [&] {
            const ss_row_sum exact = in_doubles();
            const typename wide::frame frame = wide::frame_of(exact.exponent, (real)exact.peak);
            return [=](real x) {
                vm certain;
                return wide::template result<T, OPERATION>(exact, x, [&] { return wide::term_in(frame, x); }, &certain);
            };
        });
}

/* The sum of one thread: elements [first, last) of the row that fall to it, minus shift. */
template <class T, int OPERATION, int LANES, int CHUNKS>
static inline partial<typename T::real> read_part(const ss_geometry &g, const char *x, int64_t first, int64_t last,
                                                  double shift)
{
    typedef typename T::real real;
    typedef typename T::terms A;
    typedef group<LANES> lanes;
    enum { COUNT = items<T, CHUNKS>::COUNT, REST = SS_HAS_REST(OPERATION) };
    static_assert(SS_MOST % COUNT == 0, "an accumulator is emptied after MOST terms");
    partial<real> sum = {-(real)INFINITY, -(real)INFINITY, {0.0, 0.0}};
    typename A::sum running = A::start();
    double exponent = 0.0;
    typename A::frame frame = A::frame_of(0.0, (real)0.0);
    int added = 0, unordered = 0;
    items<T, CHUNKS> mine = {first, last, lanes::rank(), lanes::size(), (int)g.vector};
    for (; mine.first < last; mine.first += (int64_t)COUNT * lanes::size()) {
        real value[COUNT];
        mine.load(g, x, value);
        if (shift != 0.0)
#pragma unroll
            for (int v = 0; v < COUNT; v++) value[v] -= (real)shift;
        ss_peaks<real> top = {sum.peak, -(real)INFINITY};
#pragma unroll
        for (int v = 0; v < COUNT; v++) {
            if (REST) top.second = larger(top.second, smaller(top.first, value[v]));
            top.first = larger(top.first, value[v]);
            if (!A::SINGLE) unordered |= value[v] != value[v]; /* `larger` keeps the NaN of float32 only */
        }
        const real highest = REST ? top.second : top.first;
        if (highest > sum.bound && A::in_range(top.first, highest)) {
            sum.total = arithmetic<double>::join(sum.total, A::pair(A::end(&running)));
            running = A::start();
            added = 0;
            const double other = ss_exponent((double)highest);
            sum.total = ss_pair_shift(sum.total, sum.total.hi == 0.0 ? 0.0 : v_sub(exponent, other));
            sum.bound = highest;
            exponent = other;
            frame = A::frame_of(exponent, highest);
        }
        if (A::in_range(top.first, sum.bound)) {
            if (added == SS_MOST) {
                sum.total = arithmetic<double>::join(sum.total, A::pair(A::end(&running)));
                running = A::start();
                added = 0;
            }
            added += COUNT;
            real most = sum.peak, item[COUNT];
            typename A::term_type terms[COUNT];
#pragma unroll
            for (int v = 0; v < COUNT; v++) {
                item[v] = REST ? smaller(most, value[v]) : value[v];
                most = larger(most, value[v]);
            }
            A::template terms_in<COUNT>(frame, item, terms);
            A::template add<COUNT>(&running, terms);
        }
        sum.peak = top.first;
    }
    sum.total = arithmetic<double>::join(sum.total, A::pair(A::end(&running)));
    if (unordered) sum.peak = (real)NAN;
    return sum;
}

/* The whole row again, minus shift: x - peak is exact where it matters. */
template <class T, int OPERATION, int LANES, int CHUNKS>
__noinline__ static partial<typename T::real> read_shifted(const ss_geometry *g, const char *x, int64_t n, double shift)
{
    return join_parts<typename T::real, OPERATION, LANES>(read_part<T, OPERATION, LANES, CHUNKS>(*g, x, 0, n, shift));
}

/* At most so often does each of so many threads empty its accumulator while they read n elements. */
static inline double emptied_by(int threads, int64_t n)
{
    return (double)((unsigned)n / (unsigned)(SS_MOST * threads) + 2u);
}

/* From the sum of a whole row, which was made by threads that emptied their accumulators so often, to what its elements
   need; a row whose elements are too large to be summed as they are is read once more for that. */
template <class T, int OPERATION, int LANES, int CHUNKS>
static inline ss_row_sum conclude_part(const ss_geometry &g, ss_place at, int64_t n, partial<typename T::real> all,
                                       double emptied)
{
    typedef typename T::real real;
    ss_row_sum sum;
    sum.peak = (double)all.peak;
    sum.shift = 0.0;
    sum.special = 0;
    sum.error = T::terms::error_of_stream(emptied, SS_HAS_REST(OPERATION));
    const int unsuited = !T::terms::suits(all.peak, all.bound);
    if (group<LANES>::any(unsuited)) {
        const int huge = fabs(sum.peak) > SS_HUGE && fabs(sum.peak) < INFINITY;
        const double shift = unsuited && huge ? sum.peak : 0.0;
        const partial<real> again = read_shifted<typename T::in_doubles, OPERATION, LANES, CHUNKS>(&g, at.x, n, shift);
        if (unsuited) {
            all = again;
            sum.shift = shift;
            sum.error = arithmetic<real>::error_of_stream(emptied_by(group<LANES>::size(), n));
        }
    }
    const int usable = in_range(all.peak, all.bound);
    sum.exponent = usable ? ss_exponent((double)all.bound) : 0.0;
    sum.total = all.total;
    if (group<LANES>::any(!usable)) {
        ss_row_sum other = sum;
        special_sum<T, OPERATION, LANES>(&g, at, n, &other);
        if (!usable) sum = other;
    }
    conclude<T, OPERATION, LANES>(g, at, &sum);
    return sum;
}

template <class T, int OPERATION, int LANES>
__noinline__ static void write_in_doubles(const ss_geometry *g, ss_place at, int64_t first, int64_t last,
                                          const ss_row_sum *sum);

/* Results of elements [first, last). */
template <class T, int OPERATION, int LANES, int CHUNKS>
static inline void write_part(const ss_geometry &g, ss_place at, int64_t first, int64_t last, const ss_row_sum &sum)
{
    typedef typename T::real real;
    typedef typename T::terms A;
    typedef group<LANES> lanes;
    enum { COUNT = items<T, CHUNKS>::COUNT };
    if constexpr (!A::IN_DOUBLES) {
        if (!sum.special && !A::suits((real)sum.peak, (real)sum.peak)) {
            const ss_row_sum copy = sum; /* which stays in registers otherwise */
            write_in_doubles<typename T::in_doubles, OPERATION, LANES>(&g, at, first, last, &copy);
            return;
        }
    }
    const real bound = sum.special ? (real)0.0 : (real)(sum.peak - sum.shift);
    const typename A::frame frame = A::frame_of(sum.special ? 0.0 : sum.exponent, bound);
    const typename A::row row = A::row_of(sum);
    items<T, CHUNKS> mine = {first, last, lanes::rank(), lanes::size(), (int)g.vector};
    for (; mine.first < last; mine.first += (int64_t)COUNT * lanes::size()) {
        real value[COUNT];
        mine.load(g, at.x, value);
        if (sum.special) {
            typename T::stored result[COUNT];
#pragma unroll
            for (int v = 0; v < COUNT; v++) result[v] = T::put((double)value[v] == INFINITY ? sum.hi : sum.lo);
            mine.store(g, at.y, result);
        } else {
            typename A::term_type terms[COUNT];
            if (OPERATION == SS_SOFTMAX) {
                real item[COUNT];
#pragma unroll
                for (int v = 0; v < COUNT; v++) item[v] = (real)(value[v] - (real)sum.shift);
                A::template terms_in<COUNT>(frame, item, terms);
            }
            write_items<T, OPERATION, CHUNKS>(g, at, mine, row, value, [&](int v) { return terms[v]; },
                                              [&] { return sum; });
        }
    }
}

template <class T, int OPERATION, int LANES>
__noinline__ static void write_in_doubles(const ss_geometry *g, ss_place at, int64_t first, int64_t last,
                                          const ss_row_sum *sum)
{
    write_part<T, OPERATION, LANES, 1>(*g, at, first, last, *sum);
}

/* One launch: whole rows. */
template <class T, int OPERATION, int LANES, int CHUNKS>
static inline void stream(const char *x, char *y, const ss_geometry &g)
{
    const int64_t row = group<LANES>::row();
    const int here = row < g.rows;
    const int64_t n = here ? g.n : 0;
    const ss_place at = place_of(g, x, y, here ? row : 0);
    const partial<typename T::real> mine = read_part<T, OPERATION, LANES, CHUNKS>(g, at.x, 0, n, 0.0);
    const ss_row_sum sum = conclude_part<T, OPERATION, LANES, CHUNKS>(
        g, at, n, join_parts<typename T::real, OPERATION, LANES>(mine), emptied_by(group<LANES>::size(), n));
    if (!SS_REDUCES(OPERATION))
        write_part<T, OPERATION, LANES, 2>(g, at, 0, n, sum);
    else if (here && group<LANES>::rank() == 0)
        write_value<T>(at.y, sum);
}

/* From the sum of all parts of a row. In a function of its own, so that the loops before and after it keep their
   registers. */
template <class T, int OPERATION, int LANES>
__noinline__ static void conclude_team(const ss_geometry *g, ss_place at, int64_t n,
                                       const partial<typename T::real> *all, ss_row_sum *end)
{
    *end = conclude_part<T, OPERATION, LANES, 1>(*g, at, n, *all, (double)g->emptied);
}

/* One launch: rows that teams share. */
template <class T, int OPERATION, int LANES, int CHUNKS>
static inline void stream_in_teams(const char *x, char *y, double *scratch, const ss_geometry &g)
{
    typedef typename T::real real;
    enum { WAIT = !SS_REDUCES(OPERATION) };
    const ss_team<real, LANES> team(g, scratch);
    for (int64_t place = team.first(); place < team.places(); place += team.step()) {
        const int64_t row = group<LANES>::row_in(place);
        const int here = row < g.rows;
        const ss_place at = place_of(g, x, y, here ? row : 0);
        const ss_stretch mine = team.stretch();
        const partial<real> sum = join_parts<real, OPERATION, LANES>(
            read_part<T, OPERATION, LANES, CHUNKS>(g, at.x, mine.first, here ? mine.last : mine.first, 0.0));
        const ss_row_sum end = team.template meet<OPERATION, ss_row_sum>(sum, here, WAIT, [&](partial<real> all) {
            ss_row_sum its;
            conclude_team<T, OPERATION, LANES>(&g, at, here ? g.n : 0, &all, &its);
            if (!WAIT && here && group<LANES>::rank() == 0) write_value<T>(at.y, its);
            return its;
        });
        if (WAIT && here) write_part<T, OPERATION, LANES, 2>(g, at, mine.first, mine.last, end);
    }
}
