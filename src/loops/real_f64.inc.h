/* SPDX-License-Identifier: BSD-3-Clause
   float64: terms are pairs, scaled by 2^OFFSET so that those that give subnormal results are still normal.

   accumulate: an accumulator starts at 1.5 2^c, so its ulp never changes and high + term leaves an exact rest, which
   goes to `low` with the term's low part. With s additions per accumulator (s = TILE / 4W <= 1024), c = OFFSET +
   log2(s) + 3: rests are below 2^(log2(s) - 50), low below s times that, each addition to it errs by 2^-54 of low: in
   all at most 2^(2 log2 s - 93) of the largest term, <= 2^-73 / W^2. */
#define vr vd
#define WR SS_W
#define vr_load v_load
#define vr_store v_store
#define vr_max v_max
#define vr_min v_min
#define vr_set1 v_set1

#define BESIDE_f64 (SS_W == 8 ? 2 : 1)
#define KEPT_f64 (2 * SS_TERMS)
#define OFFSET_f64 300
#define REACH_f64 830.0 /* below peak - REACH the result is 0, also where a factor of up to 2^120 follows */
#if SS_W == 8
#define ACCUMULATOR_START 0x1.8p310
#elif SS_W == 4
#define ACCUMULATOR_START 0x1.8p311
#elif SS_W == 2
#define ACCUMULATOR_START 0x1.8p312
#else
#define ACCUMULATOR_START 0x1.8p313
#endif

#define transpose_f64 v_transpose
static inline vd load_f64(const double *x) { return v_load(x); }
static inline void store_f64(double *y, vd value) { v_store(y, value); }

typedef struct { vd hi[4], lo[4]; } sum_f64;

static inline void start_f64(sum_f64 *sum)
{
    for (int j = 0; j < 4; j++) {
        sum->hi[j] = v_set1(ACCUMULATOR_START);
        sum->lo[j] = v_set1(0.0);
    }
}

static SS_INLINE void terms_f64(const vd *x, int count, vi scale, int near, vpair *term)
{
    (void)near;
    ss_exp_pairs(x, NULL, count, scale, v_tab16(SS_EXP_HI), v_tab16(SS_EXP_LO), term);
}

static SS_INLINE void add_f64(sum_f64 *sum, int j, int count, const vd *x, vi scale, int near, int keep, double *terms)
{
    vpair term[4];
    terms_f64(x, count, scale, near, term);
    for (int i = 0; i < count; i++) {
        if (keep) {
            v_store(terms + i * SS_W, term[i].hi);
            v_store(terms + i * SS_W + TERMS_LOW, term[i].lo);
        }
        vd total = v_add(sum->hi[j + i], term[i].hi);
        vd left = v_sub(term[i].hi, v_sub(total, sum->hi[j + i]));
        sum->hi[j + i] = total;
        sum->lo[j + i] = v_add(sum->lo[j + i], v_add(left, term[i].lo));
    }
}

static inline void accumulate_f64(sum_f64 *sum, int j, vd x, vi scale, vtab16 table_hi, vtab16 table_lo, double *terms)
{
    (void)table_hi;
    (void)table_lo;
    if (terms)
        add_f64(sum, j, 1, &x, scale, 0, 1, terms);
    else
        add_f64(sum, j, 1, &x, scale, 0, 0, NULL);
}

/* Accumulator j alone, where each lane is a row. */
static inline vpair lane_total_f64(const sum_f64 *sum, int j)
{
    vpair total = ss_fast_two_sum(v_sub(sum->hi[j], v_set1(ACCUMULATOR_START)), sum->lo[j]);
    return ss_pair(v_mul(total.hi, v_set1(0x1p-300)), v_mul(total.lo, v_set1(0x1p-300)));
}

static inline vpair total_f64(const sum_f64 *sum)
{
    vpair total = ss_pair_set1(0.0);
    for (int j = 0; j < 4; j++)
        total = ss_pair_add(total, ss_fast_two_sum(v_sub(sum->hi[j], v_set1(ACCUMULATOR_START)), sum->lo[j]));
    vd unscale = v_set1(0x1p-300);
    return ss_pair(v_mul(total.hi, unscale), v_mul(total.lo, unscale));
}

/* e^x 2^-exponent * factor from the stored or recomputed term; rounded at 2^OFFSET and again only if subnormal. */
static inline vd product_f64(vpair term, vpair factor)
{
    vd low = v_fma(term.hi, factor.lo, v_mul(term.lo, factor.hi));
    return v_mul(v_fma(term.hi, factor.hi, low), v_set1(0x1p-300));
}

/* The same for a term that lacks a factor of 2^d, d <= 0. It belongs to the last multiplication, which rounds a
   subnormal result; the part that would make that a subnormal itself is given to the factor, where nothing underflows
   unless the result is 0. */
typedef struct { vpair factor; vd unscale; } scaled_f64;

static inline scaled_f64 scale_factor_f64(vpair factor, vd d)
{
    const vd last = v_max(d, v_set1(-700.0));
    const scaled_f64 scaled = {ss_pair_shift(factor, v_sub(d, last)), ss_pow2(v_sub(last, v_set1(300.0)))};
    return scaled;
}

static inline vd scaled_product_f64(vpair term, scaled_f64 scaled)
{
    vd low = v_fma(term.hi, scaled.factor.lo, v_mul(term.lo, scaled.factor.hi));
    return v_mul(v_fma(term.hi, scaled.factor.hi, low), scaled.unscale);
}

static inline vpair term_f64(vd x, vi scale, vtab16 table_hi, vtab16 table_lo)
{
    return ss_exp_term(x, scale, table_hi, table_lo);
}

static inline void replace_f64(double *terms, double hi, double lo)
{
    terms[0] = hi;
    terms[TERMS_LOW] = lo;
}

static inline vpair stored_f64(const double *terms) { return ss_pair(v_load(terms), v_load(terms + TERMS_LOW)); }

static inline vpair reciprocal_f64(vpair sum) { return ss_reciprocal(sum); }

/* The excess of logsumexp over the peak, in two steps. */
static inline vpair ratio_f64(vd peak, vpair rest, vd exponent) { return ss_ratio(peak, rest, exponent); }
static inline vpair log1p_f64(vpair ratio) { return ss_log1p_pair(ratio); }
static inline vpair excess_f64(vd peak, vpair rest, vd exponent) { return ss_log_excess(peak, rest, exponent); }

/* (x - peak) - excess: two numbers of one sign. */
static inline vd difference_f64(vd x, vd peak, vpair excess)
{
    vpair d = ss_two_sum(x, v_sub(v_set1(0.0), peak));
    /* near 1.8e308 a step inside two_sum can overflow though d.hi does not; its rest is then below the result's ulp */
    d.lo = v_select(v_eq(d.lo, d.lo), d.lo, v_set1(0.0));
    vpair y = ss_two_sum(d.hi, v_sub(v_set1(0.0), excess.hi));
    vd value = v_add(y.hi, v_add(y.lo, v_sub(d.lo, excess.lo)));
    return v_select(v_eq(d.hi, v_set1(-INFINITY)), d.hi, value);
}

/* SS_WF consecutive results; `stream`: past the caches. */
static inline void put_f64(double *y, const vd *value, int stream)
{
    for (int j = 0; j < 4; j++)
#if SS_HAVE_STREAM
        if (stream) v_stream(y + j * SS_W, value[j]); else
#endif
            v_store(y + j * SS_W, value[j]);
    (void)stream;
}
