/* SPDX-License-Identifier: BSD-3-Clause
   float32: terms and sums are doubles. At most TILE / 4W <= 1024 additions to one accumulator: relative error
   2^-43 / W. */
#undef vr
#undef WR
#undef vr_load
#undef vr_store
#undef vr_max
#undef vr_min
#undef vr_set1
#define vr vf
#define WR SS_WF
#define vr_load vf_load
#define vr_store vf_store
#define vr_max vf_max
#define vr_min vf_min
#define vr_set1 vf_set1

#define BESIDE_f32 (SS_W == 8 ? 4 : 2) /* vectors that are computed side by side: as many as the registers hold */
#define KEPT_f32 SS_TERMS             /* doubles for the kept terms of a tile */
#define OFFSET_f32 0
#define REACH_f32 700.0 /* far below the smallest result, 2^-150 */

#define transpose_f32 v_transpose_f32
static inline vd load_f32(const float *x) { return v_load_f32(x); }
static inline void store_f32(float *y, vd value) { v_store_f32(y, value); }

typedef struct { vd hi[4]; } sum_f32;

static inline void start_f32(sum_f32 *sum)
{
    for (int j = 0; j < 4; j++) sum->hi[j] = v_set1(0.0);
}

/* Terms of `count` vectors; count and near are constants. */
static SS_INLINE void terms_f32(const vd *x, int count, vi scale, int near, vpair *term)
{
    ss_single factors[4];
    ss_exp_factors(x, count, scale, near, 0, factors);
    for (int i = 0; i < count; i++) term[i] = ss_pair_of(v_mul(factors[i].power, factors[i].p));
}

/* They go into accumulators j... */
static SS_INLINE void add_f32(sum_f32 *sum, int j, int count, const vd *x, vi scale, int near, int keep, double *terms)
{
    vpair term[4];
    terms_f32(x, count, scale, near, term);
    for (int i = 0; i < count; i++) {
        if (keep) v_store(terms + i * SS_W, term[i].hi);
        sum->hi[j + i] = v_add(sum->hi[j + i], term[i].hi);
    }
}

static inline void accumulate_f32(sum_f32 *sum, int j, vd x, vi scale, vtab16 table_hi, vtab16 table_lo, double *terms)
{
    (void)table_hi;
    (void)table_lo;
    if (terms)
        add_f32(sum, j, 1, &x, scale, 0, 1, terms);
    else
        add_f32(sum, j, 1, &x, scale, 0, 0, NULL);
}

/* Accumulator j alone, where each lane is a row. */
static inline vpair lane_total_f32(const sum_f32 *sum, int j) { return ss_pair_of(sum->hi[j]); }

static inline vpair total_f32(const sum_f32 *sum)
{
    vpair total = ss_two_sum(sum->hi[0], sum->hi[1]);
    total = ss_pair_add(total, ss_two_sum(sum->hi[2], sum->hi[3]));
    return total;
}

static inline vd product_f32(vpair term, vpair factor) { return v_mul(term.hi, factor.hi); }

/* The same for a term that lacks a factor of 2^d, d <= 0, which is given to the factor: what underflows there is 0 in
   the end. */
typedef vpair scaled_f32;

static inline scaled_f32 scale_factor_f32(vpair factor, vd d) { return ss_pair_shift(factor, d); }

static inline vd scaled_product_f32(vpair term, scaled_f32 factor) { return v_mul(term.hi, factor.hi); }

static inline vpair term_f32(vd x, vi scale, vtab16 table_hi, vtab16 table_lo)
{
    (void)table_hi;
    (void)table_lo;
    return ss_pair_of(ss_exp_single(x, scale, 0));
}

static inline void replace_f32(double *terms, double hi, double lo)
{
    (void)lo;
    *terms = hi;
}

static inline vpair stored_f32(const double *terms) { return ss_pair_of(v_load(terms)); }

static inline vpair reciprocal_f32(vpair sum) { return ss_pair_of(v_div(v_set1(1.0), sum.hi)); }

/* The excess of logsumexp over the peak, in two steps. */
static inline vpair ratio_f32(vd peak, vpair rest, vd exponent) { return ss_ratio_single(peak, rest, exponent); }
static inline vpair log1p_f32(vpair ratio) { return ss_pair_of(ss_log1p_single(ratio.hi, ratio.lo)); }
static inline vpair excess_f32(vd peak, vpair rest, vd exponent) { return log1p_f32(ratio_f32(peak, rest, exponent)); }

/* What is 0 as a float is +0, whatever is left of an excess next to the least double, and for zeros of both signs. */
static inline vd difference_f32(vd x, vd peak, vpair excess)
{
    const vd value = v_sub(v_sub(x, peak), excess.hi);
    return v_add(v_select(v_lt(value, v_set1(-0x1p-150)), value, v_max(v_set1(0.0), value)), v_set1(0.0));
}

static inline void put_f32(float *y, const vd *value, int stream)
{
#if SS_HAVE_STREAM
    if (stream) {
        v_stream_f32(y, value[0], value[1]);
        v_stream_f32(y + 2 * SS_W, value[2], value[3]);
        return;
    }
#endif
    for (int j = 0; j < 4; j++) v_store_f32(y + j * SS_W, value[j]);
    (void)stream;
}
