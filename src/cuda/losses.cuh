/* SPDX-License-Identifier: BSD-3-Clause
   Softmax cross-entropy of rows with one label each: loss and gradient in one read where a row fits into registers.
   The arithmetic from a row's sum to its label is loops/loss_sums.inc.h; the cases are those of loops/loss_rows.inc.h,
   with its bits. A label out of range makes its row NaN, and nothing is read by it. */

/* Beyond these powers of two a factor could leave the range of the numbers on the way to a result within it; a loss
   below LOSS_LEAST may have lost digits in its pair. As in loops/loss_rows.inc.h. */
#define SS_SLOPE_BETWEEN (-400.0)
#define SS_SLOPE_LEAST 0x1p-120
#define SS_SLOPE_MOST 0x1p120
#define SS_LOSS_LEAST 0x1p-960

static inline ss_label label_of(float, vd peak, vpair rest, vd exponent, vpair gap, vpair term)
{
    return label_f32(peak, rest, exponent, gap, term);
}
static inline ss_label label_of(double, vd peak, vpair rest, vd exponent, vpair gap, vpair term)
{
    return label_f64(peak, rest, exponent, gap, term);
}

/* ---- from the sum of a row to its loss and to what its gradient is made of ---- */

enum { SS_PLAIN, SS_ALIKE, SS_SLOWLY };

/* kind SS_PLAIN: an element is its term, in units of 2^unit, times factor; SS_ALIKE: `hi` where x is +inf, else `lo`;
   SS_SLOWLY: for any magnitude. At the label the gradient is -others, in units of 2^others_unit relative to S, times
   on_others, or `mine` where that is made already. */
typedef struct {
    int64_t label;
    int kind;
    double peak, shift, unit, others_unit; /* the peak that was summed with */
    vpair factor, others, on_others;
    double hi, lo, mine;
} ss_slope;

static inline ss_slope slope_alike(int64_t label, double value)
{
    const vpair none = {0.0, 0.0};
    const ss_slope slope = {label, SS_ALIKE, 0.0, 0.0, 0.0, 0.0, none, none, none, value, value, value};
    return slope;
}

/* peak - x; what overflows is infinite. */
static inline vpair gap_of(double peak, double x)
{
    vpair gap = ss_two_sum(peak, -x);
    if (gap.lo != gap.lo) gap.lo = 0.0;
    return gap;
}

/* A loss that is subnormal without its weight is e^-peak rest: there log1p is its argument. One that is infinite: where
   peak - x overflows the rest is nothing beside it, and a small weight may bring it back. */
__noinline__ static double weighted_extreme(double loss, double weight, double peak, vpair rest, double down,
                                            double highest, double x)
{
    if (loss == INFINITY) return 2.0 * (weight * (0.5 * highest - 0.5 * x));
    return ldexp(weight * ss_pair_div(rest, ss_mantissa(peak)).hi, (int)v_max(down, -3000.0));
}

/* FN(add_z_loss) */
static inline void add_z_loss(double z_loss, double highest, const ss_label *end, vpair term, int cut, vpair *item,
                              ss_slope *by)
{
    const vpair log = ss_pair_add(ss_pair_of(highest), end->excess);
    const vpair slope = ss_pair_mul(log, ss_pair_of(2.0 * z_loss));
    const vpair square = ss_pair_mul(ss_pair_mul(log, ss_pair_of(z_loss)), log);
    const double size = v_mul(v_mul(log.hi, z_loss), log.hi);
    const int infinite = v_max(item->hi, size) == INFINITY;
    *item = infinite ? ss_pair_of(INFINITY) : ss_pair_add(*item, square);
    const vpair share = cut ? ss_pair_of(0.0) : ss_pair_mul(slope, term);
    by->others = ss_pair_sub(ss_pair_scale_down(by->others, by->others_unit), share);
    by->others_unit = 0.0;
    by->factor = ss_pair_mul(by->factor, ss_pair_add(ss_pair_of(1.0), slope));
}

/* FN(loss_of_label) of an ordinary row: returns its loss. `x` is the logit at the label. */
template <class real>
static inline double loss_of_label(const ss_row_sum &sum, double x, double weight, vpair scale, double z_loss,
                                   ss_slope *by)
{
    typedef arithmetic<real> A;
    const double highest = sum.peak, peak = v_sub(sum.peak, sum.shift), lowest = v_sub(peak, SS_TERM_REACH);
    const double near = v_max(lowest, v_sub(x, sum.shift));
    const vpair rest = sum.total, term = A::pair(A::term(near, ss_scale_bits(ss_exponent(peak), 0)));
    const ss_label end = label_of((real)0, peak, rest, sum.exponent, gap_of(highest, x), term);
    const vpair coefficient = ss_pair_mul(scale, ss_pair_of(weight));
    vpair item = end.loss;
    by->peak = peak;
    by->shift = sum.shift;
    by->unit = end.unit;
    by->others_unit = end.others_unit - end.unit;
    by->others = end.others;
    by->factor = by->on_others = ss_pair_mul(A::reciprocal(end.total), coefficient);
    if (z_loss != 0.0) add_z_loss(z_loss, highest, &end, term, near < v_sub(peak, SS_TERM_REACH - 1.0), &item, by);
    const double size = fabs(by->factor.hi);
    const int plain = sum.shift == 0.0 && sum.exponent - end.unit >= SS_SLOPE_BETWEEN && size < SS_SLOPE_MOST &&
                      size > SS_SLOPE_LEAST;
    by->kind = plain ? SS_PLAIN : SS_SLOWLY;
    if (plain) {
        const vpair mine = ss_pair_scale(ss_pair_neg(by->others), ss_pow2((double)A::OFFSET));
        const double moved = ss_pow2(v_max(by->others_unit, -1000.0));
        by->mine = A::product(mine, ss_pair_scale(by->on_others, moved));
    }
    const int tiny = fabs(end.loss.hi) < SS_LOSS_LEAST && fabs(weight) > 1.0;
    if (z_loss == 0.0 && (tiny || end.loss.hi == INFINITY))
        return weighted_extreme(end.loss.hi, weight, peak, rest, sum.exponent - end.unit, highest, x);
    return v_mul(v_add(item.hi, item.lo), weight);
}

/* FN(loss_infinite): `count` elements are +inf. */
static inline double loss_infinite(double count, double x, double weight, vpair scale, double z_loss, ss_slope *by)
{
    const ss_infinite all = ss_infinite_of(count, 0.0, z_loss);
    const int hit = x == INFINITY, rises = hit && all.rise == INFINITY;
    const double coefficient = ss_pair_mul(scale, ss_pair_of(weight)).hi;
    by->kind = SS_ALIKE;
    by->hi = v_mul(v_div(all.rise, count), coefficient);
    by->lo = v_mul(0.0, coefficient);
    by->mine = rises ? v_mul(all.rise, coefficient) : v_sub(0.0, v_mul(coefficient, hit ? all.q : 1.0));
    return all.rise == INFINITY ? INFINITY : v_mul(weight, hit ? all.log : INFINITY);
}

/* The loss of any row, and its slope. */
template <class T>
__noinline__ static double loss_of_row(const ss_geometry *g, const char *x, const ss_loss_options *o,
                                       const ss_row_sum *sum, const ss_row_label *mine, const vpair *scale,
                                       ss_slope *by)
{
    typedef typename T::real real;
    *by = slope_alike(mine->at, mine->bad ? NAN : 0.0);
    if (mine->bad || mine->weight == 0.0) return by->mine; /* what has no weight is ignored, even NaN */
    const double at_label = (double)element_of<T>(*g, x, mine->at);
    if (!sum->special) return loss_of_label<real>(*sum, at_label, mine->weight, *scale, o->z_loss, by);
    if (sum->hi == sum->hi) return loss_infinite(sum->hi, at_label, mine->weight, *scale, o->z_loss, by);
    *by = slope_alike(mine->at, NAN);
    return NAN;
}

template <class T>
static inline void put_item(const ss_loss_arrays &a, const ss_loss_options &o, int64_t row, double item)
{
    if (item > o.cap) item = o.cap;
    if (o.summed)
        a.scratch[SS_SCRATCH_HEAD + row] = item;
    else
        ((typename T::stored *)a.value)[row] = T::put(item);
}

/* ---- the gradient ---- */

static inline vpair mantissa_of(vpair a, double *unit)
{
    int exponent;
    frexp(a.hi, &exponent);
    *unit = exponent;
    return ss_pair(ldexp(a.hi, -exponent), ldexp(a.lo, -exponent));
}

/* Element by element, for any magnitude. */
template <class T, int LANES>
__noinline__ static void write_slowly(const ss_geometry *g, ss_place at, int64_t n, const ss_slope *by)
{
    typedef typename T::stored stored;
    double unit;
    const vpair factor = mantissa_of(by->factor, &unit);
    for (int64_t i = group<LANES>::rank(); i < n; i += group<LANES>::size()) {
        double value = 0.0;
        if (i == by->label) {
            double own;
            const double label = ss_pair_mul(by->others, mantissa_of(by->on_others, &own)).hi;
            value = 0.0 - ldexp(label, (int)v_max(by->others_unit + own, -3000.0));
        } else {
            const double x = (double)element_of<T>(*g, at.x, i) - by->shift, bounded = v_max(-SS_HUGE, x);
            const double exponent = ss_exponent(bounded) + unit - by->unit;
            if (x > -SS_HUGE && exponent > -1200.0)
                value = ldexp(ss_pair_mul(ss_mantissa(bounded), factor).hi, (int)v_min(exponent, 3000.0));
        }
        *(stored *)(at.y + offset_of(*g, g->reduced_y, i)) = T::put(value);
    }
}

/* The whole row, from its terms computed again. */
template <class T, int LANES, int CHUNKS>
static inline void write_slopes(const ss_geometry &g, ss_place at, int64_t n, const ss_slope &by)
{
    typedef typename T::real real;
    typedef arithmetic<real> A;
    enum { COUNT = items<T, CHUNKS>::COUNT };
    if (by.kind == SS_SLOWLY) {
        write_slowly<T, LANES>(&g, at, n, &by);
        return;
    }
    const int plain = by.kind == SS_PLAIN;
    const vi scale = ss_scale_bits(plain ? by.unit : 0.0, A::OFFSET);
    const double lowest = plain ? by.peak - A::reach() : 0.0;
    items<T, CHUNKS> mine = {0, n, group<LANES>::rank(), group<LANES>::size(), (int)g.vector};
    for (; mine.first < n; mine.first += (int64_t)COUNT * mine.size) {
        real value[COUNT];
        typename T::stored result[COUNT];
        mine.load(g, at.x, value);
#pragma unroll
        for (int v = 0; v < COUNT; v++) {
            const double slope = plain ? product(A::term(v_max(lowest, (double)value[v]), scale), by.factor)
                                 : (double)value[v] == INFINITY ? by.hi
                                                                : by.lo;
            result[v] = T::put(mine.place(v) == by.label ? by.mine : slope);
        }
        mine.store(g, at.y, result);
    }
}

/* ---- whole rows that do not fit into registers, and all that is not the common case ---- */

template <class T, int LANES, int CHUNKS>
static inline void label_stream(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                                const ss_loss_options &o)
{
    typedef typename T::real real;
    const int64_t row = group<LANES>::row();
    const int here = row < g.rows;
    const ss_place at = place_of(g, x, y, here ? row : 0);
    ss_row_label mine = {0, 0.0, 0};
    if (here) mine = label_of_row(a, o, g.n, row);
    const int64_t n = mine.weight != 0.0 ? g.n : 0;
    const partial<real> part = read_part<T, SS_CROSS_ENTROPY, LANES, CHUNKS>(g, at.x, 0, n, 0.0);
    const ss_row_sum sum = conclude_part<T, SS_CROSS_ENTROPY, LANES, CHUNKS>(
        g, at, n, join_parts<real, SS_CROSS_ENTROPY, LANES>(part));
    const vpair scale = scale_of(a, o);
    ss_slope found;
    const double item = loss_of_row<T>(&g, at.x, &o, &sum, &mine, &scale, &found);
    if (here && group<LANES>::rank() == 0) put_item<T>(a, o, row, item);
    const ss_slope by = found; /* in registers again */
    if (here && y) write_slopes<T, LANES, 2>(g, at, g.n, by);
}

/* ---- rows in registers, the common case ---- */

template <class T, int LANES>
__noinline__ static void label_again(const char *x, char *y, const ss_loss_arrays *a, const ss_geometry *g,
                                     const ss_loss_options *o)
{
    label_stream<T, LANES, 1>(x, y, *a, *g, *o);
}

template <class T, int LANES>
__noinline__ static void write_again(const ss_geometry *g, ss_place at, const ss_slope *by)
{
    write_slopes<T, LANES, 1>(*g, at, g->n, *by);
}

/* What all threads have to know of an ordinary row's slope. */
typedef struct {
    vpair factor;
    double mine; /* at the label */
    int plain;
} ss_kept_slope;

/* From the terms that were summed: in units of 2^exponent, the peak's cut off. */
template <class T, int CHUNKS>
static inline void write_kept(const ss_geometry &g, ss_place at, const items<T, CHUNKS> &mine,
                              const typename T::real *value,
                              const typename arithmetic<typename T::real>::term_type *terms, double exponent,
                              typename T::real peak, const ss_kept_slope &by, int64_t label)
{
    typedef arithmetic<typename T::real> A;
    typename T::stored result[items<T, CHUNKS>::COUNT];
    const double unit = ss_exponent((double)peak);
    const typename A::scaled factor = A::scale_factor(by.factor, v_sub(exponent, unit));
    const double top = product(A::term((double)peak, ss_scale_bits(unit, A::OFFSET)), by.factor);
    const int at_label = mine.item_at(label);
#pragma unroll
    for (int v = 0; v < items<T, CHUNKS>::COUNT; v++) {
        const double slope = value[v] == peak ? top : A::scaled_product(A::pair(terms[v]), factor);
        result[v] = T::put(v == at_label ? by.mine : slope);
    }
    mine.store(g, at.y, result);
}

template <class T, int LANES, int CHUNKS>
static inline void label_rows(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                              const ss_loss_options &o)
{
    typedef typename T::real real;
    typedef arithmetic<real> A;
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
        if (lanes::rank() == 0) put_item<T>(a, o, row, by.mine);
        if (y) write_again<T, LANES>(&g, at, &by);
        return;
    }
    const double at_label = (double)element_of<T>(g, at.x, label.at);

    ss_peaks<real> top = {-(real)INFINITY, -(real)INFINITY};
#pragma unroll
    for (int v = 0; v < COUNT; v++) {
        top.second = larger(top.second, smaller(top.first, value[v]));
        top.first = larger(top.first, value[v]);
    }
    top = lanes::reduce(top, join_peaks<real>);

    vm certain = 0;
    if (in_range(top.first, top.second) && o.z_loss == 0.0) {
        ss_row_sum sum;
        sum.peak = (double)top.first;
        sum.shift = 0.0;
        sum.error = A::error_of_registers();
        const double bound = (double)top.second, lowest = bound - A::reach();
        sum.exponent = ss_exponent(bound);
        const vi scale = ss_scale_bits(sum.exponent, A::OFFSET);
        typename A::sum running = A::start();
        typename A::term_type terms[COUNT];
#pragma unroll
        for (int v = 0; v < COUNT; v++) {
            terms[v] = A::term(v_max(lowest, (double)smaller(top.second, value[v])), scale);
            A::add(&running, terms[v]);
        }
        sum.total = A::pair(lanes::reduce(A::end(&running), A::join));
        sum.total = ss_pair_sub(sum.total, A::pair(A::term(bound, ss_scale_bits(sum.exponent, 0))));
        sum.total = canonical_total<real>(&sum, &certain); /* not so where an element is NaN */
        if (certain) {
            ss_kept_slope slope;
            if (LANES != WHOLE_BLOCK || threadIdx.x < SS_WARP) {
                ss_slope by;
                const double item = loss_of_label<real>(sum, at_label, label.weight, scale_of(a, o), 0.0, &by);
                if (lanes::rank() == 0) put_item<T>(a, o, row, item);
                slope.factor = by.factor;
                slope.mine = by.mine;
                slope.plain = by.kind == SS_PLAIN;
            }
            if (!y) return;
            slope = lanes::from_first(slope);
            certain = slope.plain;
            if (certain) write_kept<T, CHUNKS>(g, at, mine, value, terms, sum.exponent, top.first, slope, label.at);
        }
    }
    if (!certain) label_again<T, LANES>(x, y, &a, &g, &o);
}
