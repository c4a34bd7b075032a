/* SPDX-License-Identifier: BSD-3-Clause
   Sigmoid cross-entropy of float32 where doubles are slow: what logistic_f32, plain_loss_f32 and plain_slope_f32 of
   loops/logistic.inc.h compute, in pairs of floats, with the same polynomials. Doubles decide where a result is in
   doubt, and take what is not plain: targets outside [0, 1], logits beyond NEAR, and whatever has weights.

   Everything carries 2^LIFT. */

/* log1p e and e / (1 + e) of e = e^-|x|. beside: doubles may take another entry of the table of logarithms. worse: by
   which the errors are larger where |x| is clamped, so that they cover all there is. */
typedef struct {
    fpair log, smaller;
    vm beside;
    float worse;
} f_logistic;

#define F_LOGISTIC_NEAR 0x1p16f
#define F_LOG_ERROR 0x1p-40f     /* of `log`, relative */
#define F_SMALLER_ERROR 0x1p-43f /* of `smaller` */

/* log1p(e): ss_unit_log1p_single. */
static inline fpair f_unit_log1p(fpair e, vm *beside)
{
    const float place = fmaf(15.0f, e.hi, 0x1.8p23f) - 0x1.8p23f, from = fmaf(15.0f, e.hi, -place);
    *beside = fabsf(fabsf(from) - 0.5f) < 0x1p-20f;
    const float *entry = SS_FLOAT_UNIT + 4 * (int)place;
    const fpair inv = {entry[0], entry[1]}, z = f_pair_product(e, inv), g = f_two_sum(z.hi, inv.hi - 1.0f);
    const float q = fmaf(SS_FLOAT_UNIT_SINGLE[5], g.hi, SS_FLOAT_UNIT_SINGLE[4]);
    const fpair series = f_series(f_fast_two_sum(g.hi, g.lo + (z.lo + inv.lo)), SS_FLOAT_UNIT_SINGLE,
                                  SS_FLOAT_UNIT_SINGLE + 2, q);
    const fpair sum = f_fast_two_sum(entry[2], series.hi);
    return f_fast_two_sum(sum.hi, sum.lo + (entry[3] + series.lo));
}

static inline f_logistic f_logistic_of(float x)
{
    f_logistic s;
    const int clamped = !(fabsf(x) < 120.0f), far = fabsf(x) > F_FAR;
    const float t = clamped ? -120.0f : -fabsf(x);
    const fpair lifted = f_exp_term(t, 127 + F_LIFT, F_QUARTIC), term = f_pair_scale(lifted, 0x1p-64f);
    const fpair log = f_unit_log1p(term, &s.beside), one = {1.0f, 0.0f};
    s.worse = clamped ? 0x1.1p43f : 1.0f;
    s.log = far ? lifted : f_pair_scale(log, 0x1p64f);
    const fpair part = f_pair_product(lifted, f_pair_reciprocal(f_pair_add(one, term)));
    s.smaller = f_fast_two_sum(part.hi, part.lo);
    return s;
}

static inline int f_plain(float x, float t) { return fabsf(x) <= F_LOGISTIC_NEAR && t >= 0.0f && t <= 1.0f; }

/* max(x, 0) - t x + log1p(e^-|x|) */
static inline f_value f_plain_loss(const f_logistic &s, float x, float t)
{
    const float lifted = t * 0x1p64f, part = lifted * x, low = fmaf(lifted, x, -part);
    const fpair rest = f_two_sum(x > 0.0f ? x * 0x1p64f : 0.0f, -part);
    const fpair loss = f_pair_add(f_fast_two_sum(rest.hi, rest.lo - low), s.log);
    const float error = fmaf(s.log.hi * s.worse, F_LOG_ERROR, loss.hi * 0x1p-45f);
    const f_value value = {loss, f_plain(x, t) && !s.beside ? error : INFINITY, 1};
    return value;
}

/* What the gradient is multiplied by. usual: no digits of a product are lost. whole: a power of two, which leaves them
   as they are. */
typedef struct {
    fpair by;
    int usual, whole;
} f_factor;

static inline f_factor f_factor_of(double scale)
{
    const int usual = fabs(scale) > 0x1p-40 && fabs(scale) < 0x1p10;
    const fpair by = f_pair_of(usual ? scale : 1.0);
    const f_factor factor = {by, usual, (__float_as_int(by.hi) & 0x7fffff) == 0 && by.lo == 0.0f};
    return factor;
}

/* sigma(-|x|) - t, or 1 - t - sigma(-|x|), times the factor. Beside t or 1 - t doubles lose a sigma below 2^-54 of it;
   as 1 - t is often the middle between two floats, what is left must not count as in doubt. */
static inline f_value f_plain_slope(const f_logistic &s, float x, float t, const f_factor &factor)
{
    const int up = x > 0.0f;
    const fpair given = {t, 0.0f}, a = f_pair_scale(up ? f_two_sum(1.0f, -t) : given, -0x1p64f);
    const int lost = s.smaller.hi < a.hi * -0x1p-56f;
    const fpair d = f_pair_sum(lost ? float_terms::start() : s.smaller, a);
    const fpair slope = f_pair_product(d, f_pair_scale(factor.by, up ? -1.0f : 1.0f));
    const float its = lost ? 0.0f : s.smaller.hi * s.worse;
    const float error = fabsf(factor.by.hi) * fmaf(its, F_SMALLER_ERROR, fabsf(d.hi) * 0x1p-44f);
    const f_value value = {f_fast_two_sum(slope.hi, slope.lo),
                           !f_plain(x, t) || !factor.usual ? INFINITY : lost && factor.whole ? 0.0f : error, 1};
    return value;
}

__noinline__ static double logit_in_doubles(float x, float t, const ss_loss_options *o, double *slope)
{
    return loss_of_logit<float>((double)x, (double)t, 1.0, 1.0, ss_pair(o->scale_hi, o->scale_lo), slope);
}

/* Losses are added in pairs, MOST pieces of a thread and then those of the block, each addition with an error of
   2^-46.4; with that of the losses it makes 2^-38.5. */
#define F_ITEMS_ERROR 0x1.6p-39
enum { F_MOST_PIECES = 128 };

static inline double in_double(fpair losses) { return v_mul(v_add((double)losses.hi, (double)losses.lo), 0x1p-64); }

/* Of a block: what its threads have added in pairs, and in doubles if they had to. */
static inline void leave_losses(double *parts, fpair added, ss_items_sum sum, int in_doubles)
{
    const fpair pairs = group<WHOLE_BLOCK>::reduce(added, f_pair_add);
    if (threadIdx.x == 0) add_item(&sum, in_double(pairs));
    if (__syncthreads_or(in_doubles))
        leave_items(parts, sum);
    else if (threadIdx.x == 0)
        put_items(parts, sum);
}

template <class T>
static inline void sigmoid_elements_in_floats(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                                              const ss_loss_options &o)
{
    enum { COUNT = items<T, 1>::COUNT };
    const int64_t all = (int64_t)COUNT * blockDim.x;
    __shared__ f_factor factor;
    if (threadIdx.x == 0) factor = f_factor_of(o.scale_hi); /* in doubles, by one warp */
    __syncthreads();
    ss_items_sum sum = no_items();
    fpair added = float_terms::start();
    int pieces = 0, in_doubles = 0;
    for (int64_t first = blockIdx.x * all; first < g.rows; first += gridDim.x * all) {
        const items<T, 1> mine = {first, first + all < g.rows ? first + all : g.rows, (int)threadIdx.x, (int)blockDim.x,
                                  (int)g.vector};
        float logit[COUNT], target[COUNT];
        typename T::stored item[COUNT], slope[COUNT];
        fpair loss[COUNT];
        unsigned doubtful = 0, left = 0; /* left: the sum wants it in doubles */
        mine.load_from(x, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.kept_x, i); }, logit);
        mine.load_from(a.labels, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.reduced_x, i); }, target);
#pragma unroll
        for (int v = 0; v < COUNT; v++) {
            vm certain = 1, sure = 1;
            const int here = mine.place(v) < mine.last;
            const f_logistic s = f_logistic_of(logit[v]);
            const f_value value = f_plain_loss(s, logit[v], target[v]);
            if (!o.summed) item[v] = settled<T>(value, &certain);
            if (y) slope[v] = settled<T>(f_plain_slope(s, logit[v], target[v], factor), &sure);
            const int ordinary = value.error < INFINITY;
            loss[v] = ordinary ? value.y : float_terms::start();
            if (here && !ordinary) left |= 1u << v;
            if (here && !(ordinary && certain && sure)) doubtful |= 1u << v;
        }
#pragma unroll
        for (int v = 0; v < COUNT; v++) {
            if (!(doubtful >> v & 1)) continue;
            double its_slope;
            const double its = logit_in_doubles(logit[v], target[v], &o, &its_slope);
            if (o.summed && left >> v & 1) {
                add_item(&sum, its);
                in_doubles = 1;
            }
            item[v] = T::put(its);
            slope[v] = T::put(its_slope);
        }
        if (y) mine.store_to(y, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.kept_y, i); }, slope);
        if (!o.summed) {
            mine.store_to(a.value, [](int64_t i) { return i * (int64_t)sizeof(typename T::stored); }, item);
            continue;
        }
        float_terms::add<COUNT>(&added, loss);
        if (++pieces % F_MOST_PIECES) continue;
        add_item(&sum, in_double(added));
        added = float_terms::start();
        in_doubles = 1;
    }
    if (o.summed) leave_losses(a.scratch + SS_SCRATCH_HEAD, added, sum, in_doubles);
}

/* The reduced loss, if all sums within the error round to it; else once more in doubles, by one block. */
template <class T>
static inline void finish_sigmoid_in_floats(const char *x, const ss_loss_arrays &a, const ss_geometry &g,
                                            const ss_loss_options &o)
{
    const ss_items_sum sum = with_parts(no_items(), o, a.scratch + SS_SCRATCH_HEAD);
    const double slack = sum.size * (F_ITEMS_ERROR * SS_DOUBT), high = v_add(sum.total.hi, sum.total.lo);
    const double least = v_div(v_sub(high, slack), o.divisor), most = v_div(v_add(high, slack), o.divisor);
    const typename T::stored value = T::put(least);
    if (sum.special == 0.0 && high > 0x1p-100 && o.divisor != 0.0 && value == T::put(most)) {
        if (threadIdx.x == 0) *(typename T::stored *)a.value = value;
        return;
    }
    ss_loss_options again = o;
    again.blocks = 0;
    finish_sigmoid<typename T::in_doubles>(x, a, g, again);
}
