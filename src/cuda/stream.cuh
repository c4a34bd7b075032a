/* SPDX-License-Identifier: BSD-3-Clause
   Rows that do not fit into registers: each thread sums as it reads, at the scale of what it has met so far, and
   sums at different scales are joined by exact shifts. The row is read again, mostly from the second-level cache, to
   be written. A row is one block's (long rows) or one column's of a block (panels: neighbouring rows are neighbours
   in memory), or is shared by `parts` blocks: they leave partial sums, a second launch concludes, a third writes. (A
   block could do both, were it not that to conclude may mean to read the whole row again, over which other blocks
   write if y is x.) */

template <class real> struct ss_peaks {
    real first, second; /* the two largest elements; equal if the largest occurs twice */
};

template <class real> static inline ss_peaks<real> join_peaks(ss_peaks<real> a, ss_peaks<real> b)
{
    ss_peaks<real> c = {larger(a.first, b.first), larger(larger(a.second, b.second), smaller(a.first, b.first))};
    return c;
}

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

/* Part of a row: its largest element, and a sum of terms at the scale of `bound`, the largest element in it (-inf:
   nothing). For softmax that is all terms, else all but one peak. */
template <class real> struct partial {
    real peak, bound;
    vpair total; /* times 2^-exponent of e^bound */
};

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
            real most = sum.peak;
            typename A::term_type terms[COUNT];
#pragma unroll
            for (int v = 0; v < COUNT; v++) {
                const real item = REST ? smaller(most, value[v]) : value[v];
                most = larger(most, value[v]);
                terms[v] = A::term_in(frame, item);
            }
            A::template add<COUNT>(&running, terms);
        }
        sum.peak = top.first;
    }
    sum.total = arithmetic<double>::join(sum.total, A::pair(A::end(&running)));
    if (unordered) sum.peak = (real)NAN;
    return sum;
}

/* The sums of all threads of the group as one. Beside the largest of their peaks, a smaller one joins the sum. */
template <class real, int OPERATION, int LANES> static inline partial<real> join_parts(partial<real> mine)
{
    typedef arithmetic<real> A;
    typedef group<LANES> lanes;
    enum { REST = SS_HAS_REST(OPERATION) };
    const int unordered = lanes::reduce((int)(mine.peak != mine.peak), [](int a, int b) { return a | b; });
    ss_peaks<real> top = {mine.peak, -(real)INFINITY};
    top = lanes::reduce(top, join_peaks<real>);
    partial<real> all = {top.first, lanes::reduce(mine.bound, [](real a, real b) { return larger(a, b); }), {0.0, 0.0}};
    if (REST && top.second > all.bound) all.bound = top.second;
    if (unordered) all.peak = (real)NAN;
    const int usable = in_range(all.peak, all.bound);
    const double bound = usable ? (double)all.bound : 0.0, exponent = ss_exponent(bound);
    vpair total = {0.0, 0.0};
    if (usable && in_range(mine.peak, mine.bound))
        total = ss_pair_shift(mine.total, v_sub(ss_exponent((double)mine.bound), exponent));
    const double lowest = bound - 500.0; /* where the low part of a term is still a normal number */
    const vi scale = ss_scale_bits(exponent, 0);
    if (REST) {
        const double peak = (double)smaller(top.second, mine.peak);
        total = arithmetic<double>::join(total, A::pair(A::term(usable ? v_max(lowest, peak) : 0.0, scale)));
    }
    all.total = A::pair(lanes::reduce(A::of_pair(total), A::join));
    if (REST) {
        const vpair extra = A::pair(A::term(usable ? v_max(lowest, (double)top.second) : 0.0, scale));
        all.total = ss_pair_sub(all.total, extra);
    }
    return all;
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
            const auto term = [&](int v) { return A::term_in(frame, (real)(value[v] - (real)sum.shift)); };
            write_items<T, OPERATION, CHUNKS>(g, at, mine, row, value, term, [&] { return sum; });
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

/* Three launches. `parts` holds what the blocks leave: a partial sum for each block and row, then what each row's last
   launch has to know of it, in SS_PER_PART and SS_PER_ROW doubles. */
enum { SS_PER_PART = 4, SS_PER_ROW = 10 };

template <class real> static inline partial<real> *part_of(double *parts, const ss_geometry &g, int block, int64_t row)
{
    static_assert(sizeof(partial<real>) <= SS_PER_PART * sizeof(double), "it takes its place");
    return (partial<real> *)(parts + (block * g.rows + row) * SS_PER_PART);
}

template <class A> static inline A *end_of(double *parts, const ss_geometry &g, int64_t row)
{
    static_assert(sizeof(A) <= SS_PER_ROW * sizeof(double), "it takes its place");
    return (A *)(parts + g.parts * g.rows * SS_PER_PART + row * SS_PER_ROW);
}

/* Elements of a row that are this block's: [first, last). */
typedef struct {
    int64_t first, last;
} ss_stretch;

static inline ss_stretch stretch_of_block(const ss_geometry &g)
{
    const int64_t first = blockIdx.y * g.share, last = first + g.share;
    const ss_stretch mine = {first, last < g.n ? last : g.n};
    return mine;
}

/* `wanted`: the row's sum is, else nothing is read. */
template <class T, int OPERATION, int LANES, int CHUNKS>
static inline void parts_sum(const char *x, char *y, double *parts, const ss_geometry &g, int wanted = 1)
{
    typedef typename T::real real;
    const int64_t row = group<LANES>::row();
    const int here = row < g.rows;
    const ss_place at = place_of(g, x, y, here ? row : 0);
    const ss_stretch mine = stretch_of_block(g);
    const partial<real> sum = join_parts<real, OPERATION, LANES>(
        read_part<T, OPERATION, LANES, CHUNKS>(g, at.x, mine.first, here && wanted ? mine.last : mine.first, 0.0));
    if (here && group<LANES>::rank() == 0) *part_of<real>(parts, g, blockIdx.y, row) = sum;
}

/* The sum of a row of n elements, or of none, from what its blocks have left; at least as many threads as those. */
template <class T, int OPERATION, int LANES, int CHUNKS>
static inline ss_row_sum join_blocks(const ss_geometry &g, ss_place at, int64_t row, int64_t n, double *parts)
{
    typedef typename T::real real;
    partial<real> sum = {-(real)INFINITY, -(real)INFINITY, {0.0, 0.0}};
    if (n > 0 && group<LANES>::rank() < g.parts) sum = *part_of<real>(parts, g, group<LANES>::rank(), row);
    return conclude_part<T, OPERATION, LANES, CHUNKS>(g, at, n, join_parts<real, OPERATION, LANES>(sum),
                                                      (double)g.emptied);
}

template <class T, int OPERATION, int LANES, int CHUNKS>
static inline void parts_conclude(const char *x, char *y, double *parts, const ss_geometry &g)
{
    const int64_t row = group<LANES>::row();
    const int here = row < g.rows;
    const ss_place at = place_of(g, x, y, here ? row : 0);
    const ss_row_sum end = join_blocks<T, OPERATION, LANES, CHUNKS>(g, at, row, here ? g.n : 0, parts);
    if (!here || group<LANES>::rank() != 0) return;
    if (SS_REDUCES(OPERATION))
        write_value<T>(at.y, end);
    else
        *end_of<ss_row_sum>(parts, g, row) = end;
}

template <class T, int OPERATION, int LANES>
static inline void parts_write(const char *x, char *y, double *parts, const ss_geometry &g)
{
    const int64_t row = group<LANES>::row();
    if (row >= g.rows) return;
    const ss_stretch mine = stretch_of_block(g);
    const ss_row_sum end = *end_of<ss_row_sum>(parts, g, row);
    write_part<T, OPERATION, LANES, 2>(g, place_of(g, x, y, row), mine.first, mine.last, end);
}
