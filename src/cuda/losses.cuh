/* SPDX-License-Identifier: BSD-3-Clause
   Softmax cross-entropy of rows with one label each: loss and gradient in one read where a row fits into registers.
   The arithmetic from a row's sum to its label is loops/loss_sums.inc.h; the cases are those of loops/loss_rows.inc.h,
   with its bits. A label out of range makes its row NaN, and nothing is read by it. FOCAL: the loss of a row is
   focused, for which there are kernels of their own, as a power takes registers. */

static inline ss_label label_of(float, vd peak, vpair rest, vd exponent, vpair gap, vpair term)
{
    return label_f32(peak, rest, exponent, gap, term);
}
static inline ss_label label_of(double, vd peak, vpair rest, vd exponent, vpair gap, vpair term)
{
    return label_f64(peak, rest, exponent, gap, term);
}

/* ---- from the sum of a row to its loss and to what its gradient is made of ---- */

enum { SS_PLAIN, SS_ALIKE, SS_ANEW };

/* kind SS_PLAIN: an element is its term, in units of 2^unit, times factor; `kept`: the terms of the sum serve, too.
   SS_ALIKE: `hi` where x is +inf, else `lo`. SS_ANEW: doubles cannot carry the gradient, or, cost_anew, the loss; that
   is left to anew.cuh. At the label it is `mine`. */
typedef struct {
    int64_t label;
    int kind, kept, cost_anew;
    double peak, unit;
    vpair factor;
    double hi, lo, mine;
} ss_slope;

static inline ss_slope slope_alike(int64_t label, double value)
{
    const vpair none = {0.0, 0.0};
    const ss_slope slope = {label, SS_ALIKE, 0, 0, 0.0, 0.0, none, value, value, value};
    return slope;
}

/* peak - x; what overflows is infinite. */
static inline vpair gap_of(double peak, double x)
{
    vpair gap = ss_two_sum(peak, -x);
    if (gap.lo != gap.lo) gap.lo = 0.0;
    return gap;
}

/* The gradient at the label is -others, in units of 2^unit relative to S, times the factor of before z_loss. */
typedef struct {
    vpair sum;
    double unit;
} ss_others;

/* FN(add_z_loss) */
static inline void add_z_loss(double z_loss, double highest, const ss_label *end, vpair term, int cut, vpair *item,
                              ss_others *others, vpair *factor)
{
    const vpair log = ss_pair_add(ss_pair_of(highest), end->excess);
    const vpair slope = ss_pair_mul(log, ss_pair_of(2.0 * z_loss));
    const vpair square = ss_pair_mul(ss_pair_mul(log, ss_pair_of(z_loss)), log);
    if (item->hi != INFINITY) *item = ss_pair_add(*item, square);
    const vpair share = cut ? ss_pair_of(0.0) : ss_pair_mul(slope, term);
    others->sum = ss_pair_sub(ss_pair_scale_down(others->sum, others->unit), share);
    others->unit = 0.0;
    *factor = ss_pair_mul(*factor, ss_pair_add(ss_pair_of(1.0), slope));
}

/* FN(loss_of_label) of an ordinary row: returns its loss. `x` is the logit at the label; `wanted`: the gradient is. */
template <class real>
static inline double loss_of_label(const ss_row_sum &sum, double x, double weight, vpair scale, double gamma,
                                   double z_loss, int wanted, ss_slope *by)
{
    typedef arithmetic<real> A;
    const double highest = sum.peak, peak = v_sub(sum.peak, sum.shift), lowest = v_sub(peak, SS_TERM_REACH);
    const double near = v_max(lowest, v_sub(x, sum.shift));
    const vpair rest = sum.total, term = A::pair(A::term(near, ss_scale_bits(ss_exponent(peak), 0)));
    const ss_label end = label_of((real)0, peak, rest, sum.exponent, gap_of(highest, x), term);
    const vpair inverse = A::reciprocal(end.total);
    vpair coefficient = ss_pair_mul(scale, ss_pair_of(weight)), item = end.loss;
    if (gamma != 0.0) {
        vpair on_loss, on_gradient;
        ss_label_focus(gamma, &end, inverse, term, &on_loss, &on_gradient);
        if (fabs(item.hi) < INFINITY) item = ss_pair_mul(item, on_loss);
        coefficient = ss_pair_mul(coefficient, on_gradient);
    }
    const vpair factor = ss_pair_mul(inverse, coefficient);
    ss_others others = {end.others, end.others_unit - end.unit};
    by->peak = peak;
    by->unit = end.unit;
    by->kept = sum.exponent - end.unit > SS_SLOPE_BETWEEN;
    by->factor = factor;
    if (z_loss != 0.0) {
        const int cut = near < v_sub(peak, SS_TERM_REACH - 1.0);
        add_z_loss(z_loss, highest, &end, term, cut, &item, &others, &by->factor);
    }
    by->cost_anew = ss_cost_beyond(gamma, z_loss, weight, &end, highest, x);
    by->kind = SS_PLAIN;
    if (by->cost_anew || (wanted && ss_slope_beyond(sum.shift, by->factor.hi, v_mul(scale.hi, weight))))
        by->kind = SS_ANEW;
    const vpair mine = ss_pair_scale(ss_pair_neg(others.sum), ss_pow2((double)A::OFFSET));
    by->mine = A::scaled_product(mine, A::scale_factor(factor, v_max(others.unit, -3000.0))) + 0.0;
    return v_mul(v_add(item.hi, item.lo), weight);
}

/* FN(loss_infinite): `count` elements are +inf. */
static inline double loss_infinite(double count, double x, double weight, vpair scale, double gamma, double z_loss,
                                   ss_slope *by)
{
    const ss_infinite all = ss_infinite_of(count, gamma, z_loss);
    const int hit = x == INFINITY, rises = hit && all.rise == INFINITY;
    double coefficient = ss_pair_mul(scale, ss_pair_of(weight)).hi;
    if (hit) coefficient = v_mul(coefficient, v_mul(all.focus, all.growth));
    by->kind = SS_ALIKE;
    by->hi = v_mul(v_div(all.rise, count), coefficient);
    by->lo = v_mul(0.0, coefficient);
    by->mine = rises ? v_mul(all.rise, coefficient) : v_sub(0.0, v_mul(coefficient, hit ? all.q : 1.0));
    return v_mul(weight, hit ? all.cost : INFINITY);
}

/* The loss of any row, and its slope. */
template <class T, int FOCAL>
__noinline__ static double loss_of_row(const ss_geometry *g, const char *x, const ss_loss_options *o,
                                       const ss_row_sum *sum, const ss_row_label *mine, const vpair *scale,
                                       int wanted, ss_slope *by)
{
    typedef typename T::real real;
    *by = slope_alike(mine->at, mine->bad ? NAN : 0.0);
    if (mine->bad || mine->weight == 0.0) return by->mine; /* what has no weight is ignored, even NaN */
    const double at_label = (double)element_of<T>(*g, x, mine->at), gamma = FOCAL ? o->gamma : 0.0;
    if (!sum->special) return loss_of_label<real>(*sum, at_label, mine->weight, *scale, gamma, o->z_loss, wanted, by);
    if (sum->hi == sum->hi) return loss_infinite(sum->hi, at_label, mine->weight, *scale, gamma, o->z_loss, by);
    *by = slope_alike(mine->at, NAN);
    return NAN;
}

/* `anew`: a mark takes the place of the loss. */
template <class T>
static inline void put_item(const ss_loss_arrays &a, const ss_loss_options &o, int64_t row, double item, int anew)
{
    if (item > o.cap) item = o.cap;
    if (o.summed)
        a.scratch[SS_SCRATCH_HEAD + row] = anew ? f64::mark() : item;
    else
        ((typename T::stored *)a.value)[row] = anew ? T::mark() : T::put(item);
}

template <class T> static inline int item_is_marked(const ss_loss_arrays &a, const ss_loss_options &o, int64_t row)
{
    return o.summed ? f64::is_marked(a.scratch[SS_SCRATCH_HEAD + row])
                    : T::is_marked(((const typename T::stored *)a.value)[row]);
}

/* ---- the gradient ---- */

/* What computes slopes in doubles: terms in units of 2^unit times the factor. */
template <class T> static inline auto slopes_in_doubles(double unit, typename T::real peak, vpair factor)
{
    typedef typename T::in_doubles::terms A;
    const typename A::frame frame = A::frame_of(unit, peak);
    const typename A::slope by = A::slope_of(factor, 0.0);
    return [=](typename T::real x) {
        vm certain;
        return A::template sloped<T>(A::term_in(frame, x), by, &certain);
    };
}

/* In a function of its own, as row_again. */
template <class T, int LANES>
__noinline__ static void write_again(const ss_geometry *g, ss_place at, int64_t first, int64_t last,
                                     const ss_slope *by);

/* Of elements [first, last), from their terms computed again. */
template <class T, int LANES, int CHUNKS>
static inline void write_slopes(const ss_geometry &g, ss_place at, int64_t first, int64_t last, const ss_slope &by)
{
    typedef typename T::real real;
    typedef typename T::terms A;
    typedef typename T::stored stored;
    enum { COUNT = items<T, CHUNKS>::COUNT };
    const int plain = by.kind == SS_PLAIN;
    if constexpr (!A::IN_DOUBLES) {
        if (!plain || !A::suits((real)by.peak, (real)by.peak)) {
            const ss_slope copy = by; /* which stays in registers otherwise */
            write_again<T, LANES>(&g, at, first, last, &copy);
            return;
        }
    }
    const real peak = plain ? (real)by.peak : (real)0.0;
    const typename A::frame frame = A::frame_of(plain ? by.unit : 0.0, peak);
    const typename A::slope factor = A::slope_of(by.factor, 0.0);
    items<T, CHUNKS> mine = {first, last, group<LANES>::rank(), group<LANES>::size(), (int)g.vector};
    for (; mine.first < last; mine.first += (int64_t)COUNT * mine.size) {
        real value[COUNT];
        mine.load(g, at.x, value);
        write_results<T, CHUNKS>(
            g, at, mine, value,
            [&](int v, vm *certain) {
                const int hit = mine.place(v) == by.label;
                *certain = 1;
                const stored slope = plain ? A::template sloped<T>(A::term_in(frame, value[v]), factor, certain)
                                           : T::put((double)value[v] == INFINITY ? by.hi : by.lo);
                *certain |= hit;
                return hit ? T::put(by.mine) : slope;
            },
            [&] { return slopes_in_doubles<T>(by.unit, peak, by.factor); });
    }
}

template <class T, int LANES>
__noinline__ static void write_again(const ss_geometry *g, ss_place at, int64_t first, int64_t last,
                                     const ss_slope *by)
{
    write_slopes<typename T::in_doubles, LANES, 1>(*g, at, first, last, *by);
}

/* ---- rows that do not fit into registers, and all that is not the common case ---- */

/* Nothing is read where the label has no weight. */
static inline int64_t length_for_label(const ss_geometry &g, const ss_row_label &mine)
{
    return mine.weight != 0.0 ? g.n : 0;
}

template <class T, int LANES, int CHUNKS>
static inline ss_row_sum sum_for_label(const ss_geometry &g, ss_place at, const ss_row_label &mine)
{
    typedef typename T::real real;
    const int64_t n = length_for_label(g, mine);
    const partial<real> part = read_part<T, SS_CROSS_ENTROPY, LANES, CHUNKS>(g, at.x, 0, n, 0.0);
    return conclude_part<T, SS_CROSS_ENTROPY, LANES, CHUNKS>(
        g, at, n, join_parts<real, SS_CROSS_ENTROPY, LANES>(part), emptied_by(group<LANES>::size(), n));
}

/* Puts the loss of a row, if it is `here`, from its sum, and returns the slope. */
template <class T, int LANES, int FOCAL>
static inline ss_slope put_loss(ss_place at, int64_t row, int here, const ss_row_label &label, const ss_row_sum &its,
                                char *y, const ss_loss_arrays &a, const ss_geometry &g, const ss_loss_options &o)
{
    const vpair scale = scale_of(a, o);
    ss_slope found;
    const double item = loss_of_row<T, FOCAL>(&g, at.x, &o, &its, &label, &scale, y != NULL, &found);
    const ss_slope by = found; /* in registers again */
    if (here && group<LANES>::rank() == 0) put_item<T>(a, o, row, item, by.kind == SS_ANEW);
    return by;
}

/* One launch: whole rows. */
template <class T, int LANES, int CHUNKS, int FOCAL>
static inline void label_stream(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                                const ss_loss_options &o)
{
    const int64_t row = group<LANES>::row();
    const int here = row < g.rows;
    const ss_place at = place_of(g, x, y, here ? row : 0);
    ss_row_label mine = {0, 0.0, 0};
    if (here) mine = label_of_row(a, o, g.n, row);
    const ss_row_sum its = sum_for_label<T, LANES, CHUNKS>(g, at, mine);
    const ss_slope by = put_loss<T, LANES, FOCAL>(at, row, here, mine, its, y, a, g, o);
    if (here && y && by.kind != SS_ANEW) write_slopes<T, LANES, 2>(g, at, 0, g.n, by);
}

/* The slope of a row from the sum of all its parts. In a function of its own, so that the loops before and after it
   keep their registers. */
template <class T, int LANES, int FOCAL>
__noinline__ static void conclude_label(ss_place at, int64_t row, const ss_row_label *label,
                                        const partial<typename T::real> *all, char *y, const ss_loss_arrays *a,
                                        const ss_geometry *g, const ss_loss_options *o, ss_slope *by)
{
    const ss_row_sum its = conclude_part<T, SS_CROSS_ENTROPY, LANES, 1>(*g, at, length_for_label(*g, *label), *all,
                                                                        (double)g->emptied);
    *by = put_loss<T, LANES, FOCAL>(at, row, row < g->rows, *label, its, y, *a, *g, *o);
}

/* One launch: rows that teams share; nobody waits where there is no gradient. */
template <class T, int LANES, int CHUNKS, int FOCAL>
static inline void label_teams(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                               const ss_loss_options &o)
{
    typedef typename T::real real;
    enum { WRITTEN = sizeof(typename T::stored) == 2 ? 1 : 2 }; /* more take too many registers */
    const ss_team<real, LANES> team(g, teams_behind(a, g, o));
    for (int64_t place = team.first(); place < team.places(); place += team.step()) {
        const int64_t row = group<LANES>::row_in(place);
        const int here = row < g.rows;
        const ss_place at = place_of(g, x, y, here ? row : 0);
        ss_row_label label = {0, 0.0, 0};
        if (here) label = label_of_row(a, o, g.n, row);
        const ss_stretch mine = team.stretch();
        const int64_t last = label.weight != 0.0 ? mine.last : mine.first;
        const partial<real> sum = join_parts<real, SS_CROSS_ENTROPY, LANES>(
            read_part<T, SS_CROSS_ENTROPY, LANES, CHUNKS>(g, at.x, mine.first, last, 0.0));
        const auto conclude = [&](partial<real> all) {
            const ss_row_label its = label;
            ss_slope found;
            conclude_label<T, LANES, FOCAL>(at, row, &its, &all, y, &a, &g, &o, &found);
            return found;
        };
        const ss_slope by = team.template meet<SS_CROSS_ENTROPY, ss_slope>(sum, here, y != NULL, conclude);
        if (here && y && by.kind != SS_ANEW) write_slopes<T, LANES, WRITTEN>(g, at, mine.first, mine.last, by);
    }
}

/* ---- rows in registers, the common case ---- */

template <class T, int LANES, int FOCAL>
__noinline__ static void label_again(const char *x, char *y, const ss_loss_arrays *a, const ss_geometry *g,
                                     const ss_loss_options *o)
{
    label_stream<typename T::in_doubles, LANES, 1, FOCAL>(x, y, *a, *g, *o);
}

/* What all threads have to know of an ordinary row's slope. */
typedef struct {
    vpair factor;
    double mine; /* at the label */
    int kept, anew;
} ss_kept_slope;

/* From the terms that were summed: in units of 2^exponent, the peak's cut off. */
template <class T, int CHUNKS>
static inline void write_kept(const ss_geometry &g, ss_place at, const items<T, CHUNKS> &mine,
                              const typename T::real *value, const typename T::terms::term_type *terms,
                              double exponent, typename T::real peak, const ss_kept_slope &by, int64_t label)
{
    typedef typename T::terms A;
    typedef typename T::stored stored;
    const double unit = ss_exponent((double)peak);
    const typename A::slope factor = A::slope_of(by.factor, v_sub(exponent, unit));
    const auto again = [&] { return slopes_in_doubles<T>(unit, peak, by.factor); };
    const stored top = A::IN_DOUBLES ? again()(peak) : stored();
    const int at_label = mine.item_at(label);
    write_results<T, CHUNKS>(
        g, at, mine, value,
        [&](int v, vm *certain) {
            const stored slope = A::template sloped<T>(terms[v], factor, certain);
            *certain = v == at_label || (*certain && (A::IN_DOUBLES || value[v] != peak));
            return v == at_label ? T::put(by.mine) : value[v] == peak ? top : slope;
        },
        again);
}

template <class T, int LANES, int CHUNKS, int FOCAL>
static inline void label_rows(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                              const ss_loss_options &o)
{
    typedef typename T::real real;
    typedef group<LANES> lanes;
    enum { COUNT = items<T, CHUNKS>::COUNT };
    const int64_t row = lanes::row();
    if (row >= g.rows) return; /* the last block may hold groups without a row */
    const ss_place at = place_of(g, x, y, row);
    const items<T, CHUNKS> mine = {0, g.n, lanes::rank(), lanes::size(), (int)g.vector};
    real value[COUNT];
    mine.load(g, at.x, value); /* before the label, which would have to be waited for */
    const ss_row_label label = label_of_row(a, o, g.n, row);
    if (label.weight == 0.0) { /* ignored, or no label at all */
        const ss_slope by = slope_alike(label.at, label.bad ? NAN : 0.0);
        if (lanes::rank() == 0) put_item<T>(a, o, row, by.mine, 0);
        if (y) write_again<T, LANES>(&g, at, 0, g.n, &by);
        return;
    }
    const double at_label = (double)element_of<T>(g, at.x, label.at);

    typename T::terms::row kept;
    typename T::terms::term_type terms[COUNT];
    vm certain = o.z_loss == 0.0 && sum_in_registers<T, SS_CROSS_ENTROPY, LANES, CHUNKS>(value, &kept, terms);
    if (certain) {
        const ss_row_sum sum = T::terms::template in_doubles<SS_CROSS_ENTROPY>(kept);
        ss_kept_slope slope;
        if (LANES != WHOLE_BLOCK || threadIdx.x < SS_WARP) {
            ss_slope by;
            const double item = loss_of_label<real>(sum, at_label, label.weight, scale_of(a, o),
                                                    FOCAL ? o.gamma : 0.0, 0.0, y != NULL, &by);
            slope.anew = by.kind == SS_ANEW;
            if (lanes::rank() == 0) put_item<T>(a, o, row, item, slope.anew);
            slope.factor = by.factor;
            slope.mine = by.mine;
            slope.kept = by.kept;
        }
        if (!y) return;
        slope = lanes::from_first(slope);
        if (slope.anew) return;
        certain = slope.kept;
        if (certain)
            write_kept<T, CHUNKS>(g, at, mine, value, terms, sum.exponent, (real)sum.peak, slope, label.at);
    }
    if (!certain) label_again<T, LANES, FOCAL>(x, y, &a, &g, &o);
}
