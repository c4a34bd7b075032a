/* SPDX-License-Identifier: BSD-3-Clause
   Softmax cross-entropy of rows with a probability t for every class, given or made by label smoothing: the cases of
   loops/loss_dense.inc.h, with its bits. One kernel of each type for a warp to a row and one for a block: a row is read
   three times, whatever its strides. smooth.cuh has the most frequent case, faster. */

/* bytes, step, kept_steps: size and strides of given probabilities. share: smoothing over the number of classes. */
typedef struct {
    int64_t bytes, step, kept_steps[SS_CUDA_DIMS];
    double smoothing, share_hi, share_lo;
} ss_dense_options;

/* ---- the factor a = weight * t of a class ---- */

/* Of a row. single: its real type is float. targets: NULL where the label has it all; `label` is -1 otherwise. */
typedef struct {
    const ss_loss_arrays *arrays;
    const ss_loss_options *o;
    const ss_dense_options *d;
    const char *targets;
    int64_t label, single;
    double power;
} ss_factors;

static inline double given_at(const ss_factors &f, int64_t i)
{
    if (!f.targets) return i == f.label ? 1.0 : 0.0;
    const char *from = f.targets + i * f.d->step;
    switch (f.d->bytes) {
    case 2: return (double)half_to_float(*(const uint16_t *)from);
    case 4: return (double)*(const float *)from;
    default: return f.single ? (double)(float)*(const double *)from : *(const double *)from;
    }
}

static inline double weight_at(const ss_factors &f, int64_t i)
{
    return weight_of_class(*f.arrays, *f.o, i, f.power);
}

static inline vpair kept_by_label(const ss_dense_options &d) { return ss_two_sum(1.0, -d.smoothing); }
static inline vpair share_of_class(const ss_dense_options &d) { return ss_pair(d.share_hi, d.share_lo); }

static inline vpair factor_of(const ss_factors &f, double t, double weight)
{
    vpair a = ss_pair_of(t);
    if (f.d->smoothing != 0.0) a = ss_pair_add(ss_pair_mul(a, kept_by_label(*f.d)), share_of_class(*f.d));
    return f.arrays->weights ? ss_pair_mul(a, ss_pair_of(weight)) : a;
}

static inline vpair factor_at(const ss_factors &f, int64_t i) { return factor_of(f, given_at(f, i), weight_at(f, i)); }

/* ---- sums over the classes ---- */

static inline void add_pair(ss_items_sum *sum, vpair value)
{
    if (!(fabs(value.hi) < INFINITY)) {
        sum->special += value.hi;
        return;
    }
    sum->total = arithmetic<double>::join(sum->total, value);
    sum->size += fabs(value.hi);
}

static inline vpair label_loss_of(float, vpair gap, vpair excess) { return label_loss_f32(gap, excess); }
static inline vpair label_loss_of(double, vpair gap, vpair excess) { return label_loss_f64(gap, excess); }

template <class real> static inline vpair dense_cost(vpair a, double x, double peak, vpair excess)
{
    if (a.hi == 0.0) return ss_pair(0.0, 0.0);
    if (x == -INFINITY) return ss_pair_of(v_mul(a.hi, INFINITY));
    return ss_pair_mul(a, label_loss_of((real)0, gap_of(peak, x), excess));
}

/* What is added up over the classes: a, or what a costs; and the same of a row with +inf, where a class costs `excess`
   at such a logit, and elsewhere infinity. */
enum { SS_OF_FACTORS, SS_OF_COSTS, SS_OF_FACTORS_INFINITE, SS_OF_COSTS_INFINITE };

template <class T>
static inline vpair dense_value(const ss_geometry &g, ss_place at, const ss_factors &f, int64_t i, int which,
                                double peak, vpair excess)
{
    typedef typename T::real real;
    const vpair a = factor_at(f, i);
    if (which == SS_OF_FACTORS) return a;
    if (which == SS_OF_FACTORS_INFINITE) return ss_pair_of(a.hi);
    const double x = (double)element_of<T>(g, at.x, i);
    if (which == SS_OF_COSTS) return dense_cost<real>(a, x, peak, excess);
    return ss_pair_of(a.hi != 0.0 ? v_mul(a.hi, x == INFINITY ? excess.hi : INFINITY) : 0.0);
}

/* Exactly, by all threads of the group, which all get it; infinities and NaN make the sum one. */
template <class T, int LANES>
__noinline__ static vpair dense_total(const ss_geometry *g, ss_place at, const ss_factors *f, int which, double peak,
                                      const vpair *excess)
{
    typedef group<LANES> lanes;
    __shared__ ss_total sums[lanes::SLOTS];
    __shared__ vpair results[lanes::SLOTS];
    ss_total *sum = &sums[lanes::slot()];
    double special = 0.0;
    if (lanes::rank() == 0) ss_total_start(sum);
    lanes::sync();
    for (int64_t i = lanes::rank(); i < g->n; i += lanes::size()) {
        const vpair its = dense_value<T>(*g, at, *f, i, which, peak, *excess);
        if (fabs(its.hi) < INFINITY) {
            ss_total_add(sum, its.hi);
            ss_total_add(sum, its.lo);
        } else {
            special += its.hi;
        }
    }
    special = lanes::reduce(special, [](double a, double b) { return a + b; });
    lanes::sync();
    if (lanes::rank() == 0) {
        vpair result;
        ss_total_result(sum, &result.hi, &result.lo);
        results[lanes::slot()] = result;
    }
    lanes::sync();
    const vpair total = results[lanes::slot()];
    lanes::sync();
    return special != 0.0 ? ss_pair(special, special) : total; /* NaN is not 0 either */
}

/* From the sums of the threads to the one that is rounded canonically, as finish_items does it; 0 where that is in
   doubt. */
template <int LANES> static inline int settled(ss_items_sum mine, vpair *total)
{
    const ss_items_sum sum = group<LANES>::reduce(mine, join_items);
    *total = sum.total;
    if (sum.special != 0.0) {
        *total = ss_pair(sum.special, sum.special);
        return 1;
    }
    return sum.size == 0.0 ||
           (roundable(total->hi) && round_items(total, sum.size / fabs(total->hi) * SS_ITEMS_ERROR));
}

template <class T, int LANES>
static inline vpair dense_sum(const ss_geometry &g, ss_place at, const ss_factors &f, ss_items_sum mine, int which,
                              double peak, vpair excess)
{
    vpair total;
    if (settled<LANES>(mine, &total)) return total;
    total = dense_total<T, LANES>(&g, at, &f, which, peak, &excess);
    if (roundable(total.hi)) round_items(&total, 0.0);
    return total;
}

/* FN(dense_beyond): whether doubles cannot carry the factors of a row, or its logits. */
typedef struct {
    double least, most, far;
    int64_t unbounded;
} ss_extremes;

static inline void look_at(ss_extremes *e, const ss_factors &f, double t, double weight, double x, double peak)
{
    const double smoothing = f.d->smoothing, a = v_fma(v_sub(1.0, smoothing), t, smoothing);
    if ((a == 0.0 ? 0.0 : weight) == 0.0) return;
    const double size = fabs(v_mul(a, weight));
    e->least = v_min(size, e->least);
    e->most = v_max(size, e->most);
    e->unbounded |= !(size < 0x1p100);
    if (x > -INFINITY) e->far = v_max(v_sub(peak, x), e->far);
}

static inline ss_extremes join_extremes(ss_extremes a, ss_extremes b)
{
    const ss_extremes c = {v_min(a.least, b.least), v_max(a.most, b.most), v_max(a.far, b.far),
                           a.unbounded | b.unbounded};
    return c;
}

static inline int are_beyond(const ss_extremes &e, const ss_factors &f)
{
    const int given = !f.arrays->weights && f.d->smoothing == 0.0;
    return e.most < 0x1p-400 || (!given && e.least < SS_LOSS_LEAST) || e.unbounded || e.far > 0x1p800;
}

/* ---- from the sums to loss and gradient ---- */

/* In an ordinary row an element of the gradient is slope p - scale a, where slope includes 1 / S; `frame` is that of
   terms.cuh. With +inf in the row it is `high` there and 0 elsewhere, minus a, times scale. What has a label is that
   label's (`by`). anew: loss and gradient are left to anew.cuh. */
enum { SS_DENSE, SS_DENSE_INFINITE, SS_DENSE_LABEL };
typedef struct {
    double item;
    int kind, cost_anew, slope_anew;
    ss_slope by;
    double peak, unit, high;
    vpair slope, scale;
} ss_dense_end;

/* z L^2 times the sum of all a goes to the loss, L = log. */
static inline double dense_item(vpair costs, vpair log, double z_loss, vpair factors)
{
    if (!(fabs(costs.hi) < INFINITY)) return costs.hi;
    if (z_loss != 0.0) {
        const vpair square = ss_pair_mul(ss_pair_mul(log, ss_pair_of(z_loss)), log);
        costs = ss_pair_add(costs, ss_pair_mul(square, factors));
    }
    return fabs(costs.hi) < INFINITY ? v_add(costs.hi, costs.lo) : costs.hi;
}

static inline vpair dense_slope(vpair total, vpair log, double z_loss, vpair factors, vpair scale)
{
    const vpair growth = ss_pair_add(ss_pair_of(1.0), ss_pair_mul(log, ss_pair_of(2.0 * z_loss)));
    return ss_pair_mul(ss_pair_mul(ss_reciprocal(total), ss_pair_mul(factors, growth)), scale);
}

static inline int slope_is_beyond(vpair slope, vpair scale)
{
    const double size = fabs(scale.hi);
    return !(fabs(slope.hi) < SS_SLOPE_MOST && size < SS_SLOPE_MOST && size > SS_SLOPE_LEAST);
}

/* slope p - h from the term of p. */
template <class T> static inline double slope_minus(typename T::terms::term_type term, vpair slope, vpair h)
{
    typedef arithmetic<typename T::real> A;
    const double lower = ss_pow2(-(double)A::OFFSET);
    const vpair p = ss_pair_mul(A::pair(term), slope);
    const vpair high = ss_two_sum(v_mul(p.hi, lower), v_sub(0.0, h.hi));
    return v_add(high.hi, v_add(high.lo, v_sub(v_mul(p.lo, lower), h.lo)));
}

/* FN(dense_label): whether one class alone has a probability, or none has, which counts as a label without weight. */
template <class lanes> static inline int find_label(const ss_factors &f, int64_t n, ss_row_label *label)
{
    struct one {
        int64_t at, found;
        double weight;
    } mine = {0, 0, 0.0};
    const double smoothing = f.d->smoothing;
    for (int64_t i = lanes::rank(); i < n && mine.found < 2; i += lanes::size()) {
        const double smoothed = v_add(v_mul(v_sub(1.0, smoothing), given_at(f, i)), smoothing); /* of one class */
        const double weight = weight_at(f, i);
        if (smoothed == 0.0 || weight == 0.0) continue;
        mine.found++;
        mine.at = i;
        mine.weight = v_mul(smoothed, weight);
    }
    mine = lanes::reduce(mine, [](one a, one b) {
        one c = a.found ? a : b;
        c.found = a.found + b.found;
        return c;
    });
    label->at = mine.at;
    label->weight = mine.weight;
    const double size = fabs(mine.weight);
    return mine.found == 0 || (mine.found == 1 && size > SS_SLOPE_LEAST && size < SS_SLOPE_MOST);
}

/* FN(dense_infinite): `count` elements are +inf. */
template <class T, int LANES>
static inline void dense_infinite(const ss_geometry &g, ss_place at, const ss_factors &f, double count,
                                  ss_dense_end *end)
{
    const ss_infinite all = ss_infinite_of(count, 0.0, f.o->z_loss);
    const vpair cost = ss_pair_of(all.cost);
    const double whole = dense_total<T, LANES>(&g, at, &f, SS_OF_FACTORS_INFINITE, INFINITY, &cost).hi;
    end->item = dense_total<T, LANES>(&g, at, &f, SS_OF_COSTS_INFINITE, INFINITY, &cost).hi;
    end->kind = SS_DENSE_INFINITE;
    end->high = v_div(v_mul(all.rise, whole), count);
}

/* FN(dense_row) of a row without special ones, but for the gradient. */
template <class T, int LANES>
static inline void dense_ordinary(const ss_geometry &g, ss_place at, const ss_factors &f, const ss_row_sum &sum,
                                  int wanted, ss_dense_end *end)
{
    typedef typename T::real real;
    typedef group<LANES> lanes;
    const vpair nothing = {0.0, 0.0};
    const double peak = sum.peak, z_loss = f.o->z_loss;
    end->kind = SS_DENSE;
    end->peak = peak;
    end->cost_anew = 1;
    end->slope_anew = wanted;
    if (sum.shift != 0.0) return;
    const ss_label label = label_of((real)0, peak, sum.total, sum.exponent, nothing, nothing);
    if (ss_z_loss_beyond(z_loss, peak, label.excess.hi)) return;
    ss_items_sum costs = no_items(), factors = no_items();
    ss_extremes extremes = {INFINITY, 0.0, 0.0, 0};
    for (int64_t i = lanes::rank(); i < g.n; i += lanes::size()) {
        const double x = (double)element_of<T>(g, at.x, i), t = given_at(f, i), weight = weight_at(f, i);
        const vpair a = factor_of(f, t, weight);
        look_at(&extremes, f, t, weight, x, peak);
        add_pair(&costs, dense_cost<real>(a, x, peak, label.excess));
        add_pair(&factors, a);
    }
    if (are_beyond(lanes::reduce(extremes, join_extremes), f)) return;
    const vpair all = dense_sum<T, LANES>(g, at, f, factors, SS_OF_FACTORS, peak, label.excess);
    const vpair total = dense_sum<T, LANES>(g, at, f, costs, SS_OF_COSTS, peak, label.excess);
    const vpair log = ss_pair_add(ss_pair_of(peak), label.excess);
    end->item = dense_item(total, log, z_loss, all);
    /* the excess has lost digits, and no gap of a class that counts is above it */
    end->cost_anew = sum.total.hi != 0.0 && label.excess.hi < SS_LOSS_LEAST &&
                     fabs(end->item) < SS_SLOPE_MOST * SS_LOSS_LEAST;
    end->unit = label.unit;
    end->slope = dense_slope(label.total, log, z_loss, all, end->scale);
    end->slope_anew = wanted && slope_is_beyond(end->slope, end->scale);
}

/* The loss of a row, and what its gradient is made of. */
template <class T, int LANES>
static inline ss_dense_end dense_loss(const ss_geometry &g, ss_place at, const ss_factors &f, vpair scale, int wanted)
{
    const ss_loss_options &o = *f.o;
    ss_row_label label = {f.label, 1.0, 0};
    const int sharp = f.d->smoothing == 0.0 || g.n == 1;
    int labelled = sharp;
    ss_dense_end end;
    end.item = NAN;
    end.scale = scale;
    end.cost_anew = end.slope_anew = 0;
    if (f.targets) {
        labelled = sharp && find_label<group<LANES>>(f, g.n, &label);
    } else if (o.ignores && f.label == o.ignored) {
        label.weight = 0.0;
        labelled = 1;
    } else {
        label.bad = f.label < 0 || f.label >= g.n;
        label.weight = label.bad ? 0.0 : weight_at(f, f.label);
        labelled |= label.bad;
    }
    if (!labelled) label.weight = 1.0; /* or the row would not be read */
    const ss_row_sum sum = sum_for_label<T, LANES, 1>(g, at, label);
    if (labelled || (sum.special && !(sum.hi == sum.hi))) {
        end.kind = SS_DENSE_LABEL;
        end.by = slope_alike(0, NAN);
        if (labelled) end.item = loss_of_row<T, 0>(&g, at.x, &o, &sum, &label, &scale, wanted, &end.by);
        end.slope_anew = end.by.kind == SS_ANEW;
        end.cost_anew = end.slope_anew && end.by.cost_anew;
    } else if (sum.special) {
        dense_infinite<T, LANES>(g, at, f, sum.hi, &end);
    } else {
        dense_ordinary<T, LANES>(g, at, f, sum, wanted, &end);
    }
    return end;
}

template <class T, int LANES>
static inline void dense_gradient(const ss_geometry &g, ss_place at, const ss_factors &f, const ss_dense_end &end)
{
    typedef typename T::real real;
    typedef typename T::terms A;
    typedef group<LANES> lanes;
    if (end.kind == SS_DENSE_LABEL) {
        write_slopes<T, LANES, 1>(g, at, 0, g.n, end.by);
        return;
    }
    const int ordinary = end.kind == SS_DENSE;
    const typename A::frame frame = A::frame_of(ordinary ? end.unit : 0.0, (real)(ordinary ? end.peak : 0.0));
    for (int64_t i = lanes::rank(); i < g.n; i += lanes::size()) {
        const real x = element_of<T>(g, at.x, i);
        const vpair a = factor_at(f, i);
        const double high = x == (real)INFINITY ? end.high : 0.0;
        const double value = ordinary ? slope_minus<T>(A::term_in(frame, x), end.slope, ss_pair_mul(a, end.scale))
                                      : v_mul(v_sub(high, a.hi), end.scale.hi);
        *(typename T::stored *)(at.y + offset_of(g, g.reduced_y, i)) = T::put(value);
    }
}

template <class T>
static inline ss_factors factors_of(const ss_loss_arrays &a, const ss_geometry &g, const ss_loss_options &o,
                                    const ss_dense_options &d, int64_t row)
{
    ss_factors f = {&a, &o, &d, NULL, -1, sizeof(typename T::real) == sizeof(float), weight_power(a, o)};
    if (a.positives)
        f.targets = a.positives + offset_in(g.kept, g.kept_shape, d.kept_steps, row);
    else
        f.label = integer_at(a.labels, o.label_bytes, row);
    return f;
}

template <class T, int LANES>
static inline void dense_rows(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                              const ss_loss_options &o, const ss_dense_options &d)
{
    typedef group<LANES> lanes;
    const int64_t row = lanes::row();
    if (row >= g.rows) return; /* the last block may hold groups without a row */
    const ss_place at = place_of(g, x, y, row);
    const ss_factors f = factors_of<T>(a, g, o, d, row);
    const ss_dense_end end = dense_loss<T, LANES>(g, at, f, scale_of(a, o), y != NULL);
    if (lanes::rank() == 0) put_item<T>(a, o, row, end.item, end.cost_anew || end.slope_anew);
    if (y && !end.slope_anew) dense_gradient<T, LANES>(g, at, f, end);
}
