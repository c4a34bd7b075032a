/* SPDX-License-Identifier: BSD-3-Clause
   Label smoothing of float32 and float16 without weights, the most frequent loss of dense.cuh: a row is read twice, the
   second time mostly from a cache, and what is not the common case is marked, for anew.cuh to do by dense.cuh.

   The factors of a row then have two values, `share` and at the label keep + share, and their sum is 1: exactly it
   differs by 2^-100, which the canonical rounding takes away. So the gradient does not wait for a sum over the classes,
   and the loss is share * (sum of all -log p) + keep * (-log p of the label), all of one sign: the products of
   dense.cuh, which err by 2^-100 each, have the same sum but for that. */

/* A sum of losses -log p, as arithmetic<double> adds terms: below 2^19, SS_MOST terms leave the ulp of `hi`, 2^-32, as
   it is. The rests add up to 2^-27, each addition of which errs by 2^-80. On average -log p is log 2 or more, so that a
   sum errs by 2^-79 of itself at most; what is left of the bound is for joining threads. */
#define SS_SMOOTH_BEGIN 0x1.8p20
#define SS_SMOOTH_MOST 0x1p19
#define SS_SMOOTH_ERROR 0x1p-78

typedef struct {
    double hi, lo;
} ss_log_sum;

static inline void add_log(ss_log_sum *sum, double value)
{
    const double total = v_add(sum->hi, value);
    sum->lo = v_add(sum->lo, v_sub(value, v_sub(total, sum->hi)));
    sum->hi = total;
}

/* NaN where the sum was too large on the way; it only grows. */
static inline vpair end_logs(const ss_log_sum &sum)
{
    const double high = v_sub(sum.hi, SS_SMOOTH_BEGIN);
    return ss_fast_two_sum(high < SS_SMOOTH_MOST ? high : NAN, sum.lo);
}

/* What a row's threads have to know. The common case: element x of the gradient is slope p - off, at the label `mine`;
   plain: the sum of the row is certain, and doubles carry what follows. */
typedef struct {
    int plain;
    double peak, unit, excess, mine;
    vpair slope, off;
} ss_smooth;

template <class T>
static inline ss_smooth smooth_of(const partial<typename T::real> &all, double error, double at_label,
                                  const ss_loss_options &o, const ss_dense_options &d, vpair scale)
{
    typedef typename T::real real;
    typedef double_terms<real> A;
    ss_smooth by;
    by.plain = in_range(all.peak, all.bound) && A::suits(all.peak, all.bound);
    const vpair nothing = {0.0, 0.0}, one = {1.0, 0.0};
    ss_row_sum sum;
    sum.total = by.plain ? all.total : one;
    sum.error = error;
    vm certain;
    const vpair total = canonical_total<real>(&sum, &certain);
    by.plain &= certain;
    by.peak = by.plain ? (double)all.peak : 0.0;
    const double exponent = by.plain ? ss_exponent((double)all.bound) : 0.0;
    const ss_label label = label_of((real)0, by.peak, total, exponent, nothing, nothing);
    const vpair log = ss_pair_add(ss_pair_of(by.peak), label.excess), share = share_of_class(d);
    by.plain &= !ss_z_loss_beyond(o.z_loss, by.peak, label.excess.hi);
    by.unit = label.unit;
    by.excess = label.excess.hi;
    by.off = ss_pair_mul(share, scale);
    by.slope = dense_slope(label.total, log, o.z_loss, one, scale);
    by.plain &= !slope_is_beyond(by.slope, scale);
    const typename A::frame frame = A::frame_of(by.unit, (real)by.peak);
    const vpair on = ss_pair_mul(ss_pair_add(kept_by_label(d), share), scale);
    by.mine = slope_minus<T>(A::term_in(frame, (real)at_label), by.slope, on);
    return by;
}

/* The loss of a row from the sum of its -log p; 0 where the rounding of it is in doubt. */
static inline int smooth_loss(vpair logs, const ss_smooth &by, double at_label, const ss_loss_options &o,
                              const ss_dense_options &d, double *item)
{
    const vpair one = {1.0, 0.0}, excess = ss_pair_of(by.excess);
    const vpair mine = label_loss_f32(gap_of(by.peak, at_label), excess);
    vpair total = ss_pair_add(ss_pair_mul(share_of_class(d), logs), ss_pair_mul(kept_by_label(d), mine));
    if (!(roundable(total.hi) && round_items(&total, SS_SMOOTH_ERROR))) return 0;
    *item = dense_item(total, ss_pair_add(ss_pair_of(by.peak), excess), o.z_loss, one);
    return 1;
}

/* slope p - off rounded to a float, from one fused operation in place of pairs. It errs by 3 2^-53 of both parts, 2^13
   units of itself where it is above 2^-10 of `off`; that does not matter unless the middle between two floats, 2^28 in
   the last 29 bits, is so near. `least` is 2^-10 of off, and no less than the least normal float. */
static inline double nearly(double term, double slope, double off, double least, vm *certain)
{
    const double value = v_fma(term, slope, -off);
    const unsigned beyond = ((unsigned)v_int(value) & 0x1fffffffu) - ((1u << 28) - (1u << 13));
    *certain = (int)(beyond > 1u << 14) & (int)(fabs(value) >= least); /* without a branch */
    return value;
}

/* Sums the -log p of n elements of the row, and writes the gradient if asked for, as if there were no label. */
template <class T, int LANES, int CHUNKS>
static inline vpair smooth_part(const ss_geometry &g, ss_place at, int64_t n, int gradient, const ss_smooth &by)
{
    typedef typename T::real real;
    typedef double_terms<real> A;
    typedef group<LANES> lanes;
    enum { COUNT = items<T, CHUNKS>::COUNT };
    const typename A::frame frame = A::frame_of(by.unit, (real)by.peak);
    const double least = v_max(0x1p-126, v_mul(fabs(by.off.hi), 0x1p-10));
    vpair total = {0.0, 0.0};
    const ss_log_sum nothing = {SS_SMOOTH_BEGIN, 0.0};
    ss_log_sum logs = nothing;
    int added = 0;
    items<T, CHUNKS> mine = {0, n, lanes::rank(), lanes::size(), (int)g.vector};
    for (; mine.first < n; mine.first += (int64_t)COUNT * lanes::size()) {
        real value[COUNT];
        mine.load(g, at.x, value);
        if (added == SS_MOST) {
            total = arithmetic<double>::join(total, end_logs(logs));
            logs = nothing;
            added = 0;
        }
        added += COUNT;
#pragma unroll
        for (int v = 0; v < COUNT; v++) {
            const double log = v_add(v_sub(by.peak, (double)value[v]), by.excess);
            add_log(&logs, mine.place(v) < n ? log : 0.0);
        }
        if (!gradient) continue;
        typename A::term_type terms[COUNT];
        A::template terms_in<COUNT>(frame, value, terms);
        write_results<T, CHUNKS>(
            g, at, mine, value,
            [&](int v, vm *certain) {
                return T::put(nearly(terms[v], by.slope.hi, by.off.hi, least, certain));
            },
            [&] { return [&](real x) { return T::put(slope_minus<T>(A::term_in(frame, x), by.slope, by.off)); }; });
    }
    return lanes::reduce(arithmetic<double>::join(total, end_logs(logs)), arithmetic<double>::join);
}

template <class T, int LANES, int CHUNKS>
static inline void smooth_rows(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                               const ss_loss_options &o, const ss_dense_options &d)
{
    typedef typename T::real real;
    typedef group<LANES> lanes;
    const int64_t row = lanes::row();
    const int here = row < g.rows;
    const ss_place at = place_of(g, x, y, here ? row : 0);
    ss_row_label label = {0, 0.0, 0};
    if (here) label = label_of_row(a, o, g.n, row);
    const int64_t n = length_for_label(g, label);
    const double at_label = n ? (double)element_of<T>(g, at.x, label.at) : 0.0;
    const partial<real> all =
        join_parts<real, SS_CROSS_ENTROPY, LANES>(read_part<T, SS_CROSS_ENTROPY, LANES, CHUNKS>(g, at.x, 0, n, 0.0));
    ss_smooth by;
    if (LANES != WHOLE_BLOCK || threadIdx.x < SS_WARP) {
        const double error = arithmetic<real>::error_of_stream(emptied_by(lanes::size(), n));
        by = smooth_of<T>(all, error, at_label, o, d, scale_of(a, o));
    }
    if constexpr (LANES == WHOLE_BLOCK) by = lanes::from_first(by);
    const vpair logs = smooth_part<T, LANES, CHUNKS>(g, at, by.plain ? n : 0, y != NULL, by);
    lanes::sync(); /* before the element at the label is written again */
    if (!here) return;
    if (n == 0) { /* ignored, or no label at all */
        const ss_slope alike = slope_alike(label.at, label.bad ? NAN : 0.0);
        if (lanes::rank() == 0) put_item<T>(a, o, row, alike.mine, 0);
        if (y) write_slopes<T, LANES, 1>(g, at, 0, g.n, alike);
    } else if (lanes::rank() == 0) {
        double item = NAN;
        const int settled = by.plain && smooth_loss(logs, by, at_label, o, d, &item);
        put_item<T>(a, o, row, item, !settled);
        if (y) *(typename T::stored *)(at.y + offset_of(g, g.reduced_y, label.at)) = T::put(by.mine);
    }
}
