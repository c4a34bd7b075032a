/* SPDX-License-Identifier: BSD-3-Clause
   Rows of pairs beside rows of doubles: lengths, and what is perpendicular. */

static inline vpair tangent_load(const double *hi, const double *lo, ptrdiff_t count)
{
    return ss_pair(products_load(hi, count), lo ? products_load(lo, count) : v_set1(0.0));
}

/* Sums in SS_LANES lanes, the same for every width of a vector: `term` for SS_W numbers from j on is added. */
#define SS_SUM_OF_TERMS(sum, n, term) \
    do { \
        vpair lanes[SS_LANE_VECTORS]; \
        for (int k = 0; k < SS_LANE_VECTORS; k++) lanes[k] = ss_pair_set1(0.0); \
        for (ptrdiff_t start = 0; start < (n); start += SS_LANES) \
            for (int k = 0; k < SS_LANE_VECTORS; k++) { \
                const ptrdiff_t j = start + k * SS_W; \
                lanes[k] = ss_pair_add(lanes[k], term); \
            } \
        sum = lanes_sum(lanes); \
    } while (0)

/* The power of two above a largest magnitude, as far as it can be inverted; 1 where that is 0 or infinite. */
static double margin_power_above(double peak)
{
    int exponent;
    if (peak == 0.0 || isinf(peak)) return 1.0;
    frexp(peak, &exponent);
    return ldexp(1.0, exponent < -1022 ? -1022 : exponent > 1022 ? 1022 : exponent);
}

static void margin_power(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_lengths *job = what;
    for (ptrdiff_t row = first; row < last; row++)
        job->hi[row] = margin_power_above(products_peak(job->v_hi + row * job->length, job->length));
}

static vpair margin_norm_of(const double *hi, const double *lo, ptrdiff_t n, double power)
{
    const vd down = v_set1(1.0 / power);
    vpair sum;
#define SS_SCALED_AT(j) ss_pair_scale(tangent_load(hi + (j), lo ? lo + (j) : NULL, n - (j)), down)
    SS_SUM_OF_TERMS(sum, n, ss_pair_mul(SS_SCALED_AT(j), SS_SCALED_AT(j)));
#undef SS_SCALED_AT
    return ss_pair_sqrt(sum);
}

static void margin_norm(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_lengths *job = what;
    for (ptrdiff_t row = first; row < last; row++) {
        const vpair norm = margin_norm_of(job->v_hi + row * job->length, NULL, job->length, 1.0);
        job->hi[row] = lane(norm.hi);
        job->lo[row] = lane(norm.lo);
    }
}

static void margin_direction(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_lengths *job = what;
    const ptrdiff_t n = job->length;
    for (ptrdiff_t row = first; row < last; row++) {
        const double *hi = job->v_hi + row * n, *lo = job->v_lo ? job->v_lo + row * n : NULL;
        const double power = margin_power_above(products_peak(hi, n));
        const vpair norm = margin_norm_of(hi, lo, n, power), zero = ss_pair_set1(0.0);
        const vm none = v_eq(norm.hi, v_set1(0.0));
        for (ptrdiff_t j = 0; j < n; j += SS_W) {
            const vpair v = ss_pair_scale(tangent_load(hi + j, lo ? lo + j : NULL, n - j), v_set1(1.0 / power));
            const vpair unit = ss_pair_select(none, zero, ss_pair_div(v, norm));
            products_store(job->unit_hi + row * n + j, unit.hi, n - j);
            products_store(job->unit_lo + row * n + j, unit.lo, n - j);
        }
        job->hi[row] = lane(norm.hi) * power;
        job->lo[row] = lane(norm.lo) * power;
    }
}

/* First the multiple of the row that cancels v at the row's largest entry is taken off (Plain.perpendicular in
   _margin_numbers.py has the reason). */
static inline vpair tangent_oblique(vpair v, vd row, vpair v_pivot, vd row_pivot)
{
    return ss_pair_sub(ss_pair_mul(v, ss_pair_of(row_pivot)), ss_pair_mul(v_pivot, ss_pair_of(row)));
}

/* The first place of the largest magnitude. */
static ptrdiff_t tangent_pivot(const double *row, ptrdiff_t n)
{
    const double peak = products_peak(row, n);
    ptrdiff_t j = 0;
    while (j + SS_W <= n && !v_bits(v_eq(ss_abs(v_load(row + j)), v_set1(peak)))) j += SS_W;
    while (j < n && fabs(row[j]) != peak) j++;
    return j < n ? j : 0;
}

static void margin_tangent(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_tangent *job = what;
    const ptrdiff_t n = job->length;
    for (ptrdiff_t i = first; i < last; i++) {
        const double *rows = job->rows + i * n, *hi = job->v_hi + i * n, *lo = job->v_lo ? job->v_lo + i * n : NULL;
        const ptrdiff_t pivot = tangent_pivot(rows, n);
        const double power = margin_power_above(products_peak(hi, n));
        const vd down = v_set1(1.0 / power), row_pivot = v_set1(rows[pivot]);
        const vpair norm = ss_pair_set(job->norm_hi[i], job->norm_lo[i]);
        const vpair v_pivot = ss_pair_scale(ss_pair_set(hi[pivot], lo ? lo[pivot] : 0.0), down);
        vpair along;
#define SS_OBLIQUE_AT(j) \
    tangent_oblique(ss_pair_scale(tangent_load(hi + (j), lo ? lo + (j) : NULL, n - (j)), down), \
                    products_load(rows + (j), n - (j)), v_pivot, row_pivot)
        SS_SUM_OF_TERMS(along, n, ss_pair_mul(SS_OBLIQUE_AT(j), ss_pair_of(products_load(rows + j, n - j))));
        along = ss_pair_div(along, ss_pair_mul(norm, norm));
        vpair up = ss_pair_scale(ss_pair_div(ss_pair_set1(1.0), ss_pair_of(row_pivot)), v_set1(power));
        const ptrdiff_t target = job->target ? job->target[i] : -1;
        for (ptrdiff_t j = 0; j < n; j += SS_W) {
            const vpair parallel = ss_pair_mul(along, ss_pair_of(products_load(rows + j, n - j)));
            vpair value = ss_pair_mul(ss_pair_sub(SS_OBLIQUE_AT(j), parallel), up);
            if (target >= 0) {
                const ptrdiff_t k = target * n + j;
                value = ss_pair_add(value, tangent_load(job->target_hi + k, job->target_lo + k, n - j));
            }
            if (job->factor_hi) value = ss_pair_mul(value, ss_pair_set(job->factor_hi[i], job->factor_lo[i]));
            if (job->outer) value = ss_pair_scale(value, v_set1(job->outer[i]));
            products_store(job->result_hi + i * n + j, value.hi, n - j);
            if (job->result_lo) products_store(job->result_lo + i * n + j, value.lo, n - j);
        }
#undef SS_OBLIQUE_AT
    }
}
