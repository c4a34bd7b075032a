/* SPDX-License-Identifier: BSD-3-Clause
   Arithmetic of matrices of pairs. */

static inline vd pairs_load(const double *from, ptrdiff_t step) { return step ? v_load(from) : v_set1(*from); }

static inline void pairs_store(double *hi, double *lo, vpair value)
{
    v_store(hi, value.hi);
    v_store(lo, value.lo);
}

/* One operation over rows of results; `job` has the operands a and b. */
typedef void (*pairs_step)(const ss_pairs *job, vpair a, vpair b, vpair *results);

static SS_INLINE void pairs_rows(const ss_pairs *job, ptrdiff_t first, ptrdiff_t last, pairs_step step, int results)
{
    const ptrdiff_t n = job->n;
    for (ptrdiff_t row = first; row < last; row++) {
        const double *at[4];
        vpair value[2];
        for (int k = 0; k < 4; k++) at[k] = job->operand[k] + row * job->row[k];
        ptrdiff_t j = 0;
        for (; j + SS_W <= n; j += SS_W) {
            vd part[4];
            for (int k = 0; k < 4; k++) part[k] = pairs_load(at[k] + j * job->step[k], job->step[k]);
            step(job, ss_pair(part[0], part[1]), ss_pair(part[2], part[3]), value);
            for (int k = 0; k < results; k++)
                pairs_store(job->hi[k] + row * n + j, job->lo[k] + row * n + j, value[k]);
        }
        if (j == n) continue;
        double part[4][SS_W], hi[SS_W], lo[SS_W];
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < SS_W; i++) part[k][i] = j + i < n ? at[k][(j + i) * job->step[k]] : 0.0;
        step(job, ss_pair(v_load(part[0]), v_load(part[1])), ss_pair(v_load(part[2]), v_load(part[3])), value);
        for (int k = 0; k < results; k++) {
            pairs_store(hi, lo, value[k]);
            memcpy(job->hi[k] + row * n + j, hi, (size_t)(n - j) * sizeof *hi);
            memcpy(job->lo[k] + row * n + j, lo, (size_t)(n - j) * sizeof *lo);
        }
    }
}

#define SS_PAIRS(name, results) \
    static void pairs_##name(const void *job, ptrdiff_t first, ptrdiff_t last) \
    { \
        pairs_rows(job, first, last, name##_step, results); \
    }

static SS_INLINE void add_step(const ss_pairs *job, vpair a, vpair b, vpair *sum) { *sum = ss_pair_add(a, b); }
static SS_INLINE void sub_step(const ss_pairs *job, vpair a, vpair b, vpair *rest) { *rest = ss_pair_sub(a, b); }
static SS_INLINE void mul_step(const ss_pairs *job, vpair a, vpair b, vpair *product) { *product = ss_pair_mul(a, b); }
static SS_INLINE void div_step(const ss_pairs *job, vpair a, vpair b, vpair *ratio) { *ratio = ss_pair_div(a, b); }
static SS_INLINE void scale_step(const ss_pairs *job, vpair a, vpair b, vpair *scaled)
{
    *scaled = ss_pair_scale(a, b.hi);
}
static SS_INLINE void sin_cos_step(const ss_pairs *job, vpair a, vpair b, vpair *both)
{
    ss_pair_sin_cos(a, job->halvings, both, both + 1);
}
static SS_INLINE void angle_step(const ss_pairs *job, vpair a, vpair b, vpair *angle) { *angle = ss_pair_angle(a, b); }

SS_PAIRS(add, 1)
SS_PAIRS(sub, 1)
SS_PAIRS(mul, 1)
SS_PAIRS(div, 1)
SS_PAIRS(scale, 1)
SS_PAIRS(sin_cos, 2)
SS_PAIRS(angle, 1)

/* The sum of each row. Element i is added in lane i mod SS_LANES, whatever the width of a vector is. */
enum { SS_LANES = 16, SS_LANE_VECTORS = SS_LANES / SS_W };

static vpair lanes_sum(const vpair *lanes)
{
    double hi[SS_LANES], lo[SS_LANES];
    for (int k = 0; k < SS_LANE_VECTORS; k++) pairs_store(hi + k * SS_W, lo + k * SS_W, lanes[k]);
    for (int half = SS_LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k += SS_W)
            pairs_store(hi + k, lo + k, ss_pair_add(ss_pair(v_load(hi + k), v_load(lo + k)),
                                                    ss_pair(v_load(hi + half + k), v_load(lo + half + k))));
    return ss_pair_set(hi[0], lo[0]);
}

static void pairs_sum(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_pairs *job = what;
    for (ptrdiff_t row = first; row < last; row++) {
        const double *hi = job->operand[0] + row * job->row[0], *lo = job->operand[1] + row * job->row[1];
        vpair lanes[SS_LANE_VECTORS];
        for (int k = 0; k < SS_LANE_VECTORS; k++) lanes[k] = ss_pair_set1(0.0);
        ptrdiff_t j = 0;
        for (; j + SS_LANES <= job->n; j += SS_LANES)
            for (int k = 0; k < SS_LANE_VECTORS; k++) {
                const ptrdiff_t i = j + k * SS_W;
                const vd high = pairs_load(hi + i * job->step[0], job->step[0]);
                lanes[k] = ss_pair_add(lanes[k], ss_pair(high, pairs_load(lo + i * job->step[1], job->step[1])));
            }
        if (j < job->n) {
            double high[SS_LANES] = {0.0}, low[SS_LANES] = {0.0};
            for (ptrdiff_t i = j; i < job->n; i++) {
                high[i - j] = hi[i * job->step[0]];
                low[i - j] = lo[i * job->step[1]];
            }
            for (int k = 0; k < SS_LANE_VECTORS; k++)
                lanes[k] = ss_pair_add(lanes[k], ss_pair(v_load(high + k * SS_W), v_load(low + k * SS_W)));
        }
        const vpair sum = lanes_sum(lanes);
        job->hi[0][row] = lane(sum.hi);
        job->lo[0][row] = lane(sum.lo);
    }
}
