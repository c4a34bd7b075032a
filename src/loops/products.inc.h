/* SPDX-License-Identifier: BSD-3-Clause
   Matrix products whose bits do not depend on BLAS. Each inner block's product of two rows, both of length 1 at most, is
   rounded to a multiple of some 2^-60: of the exact product that is a function of the two rows alone, and BLAS, whose error
   is bounded for every order of its additions, finds it except where its result is next to the middle between two
   multiples. There the product is done again, in pairs and always in the same order.

   With more than one level a row is first cut into slices, multiples of 2^-26 (the second: 2^-48), and a rest. By
   Cauchy and Schwarz no sum of products of two slices exceeds 2^53 units, whatever their number is: BLAS does not round
   there. What is left are products with a rest, which are small, and so is their error.

   Slices: T. Ozaki, T. Ogita, S. Oishi, S. M. Rump, "Error-free transformations of matrix multiplication by using fast
   routines of matrix multiplication and its applications", Numerical Algorithms 59, 2012. */

static const double SS_SLICE[SS_MOST_LEVELS - 1] = {0x1p-26, 0x1p-48};

/* The most that BLAS errs in a block of the width w. Sums of L w products of numbers in rows u and v err by 1.01 L w 2^-53
   |u| |v|, whatever the order; the rests of a row have the length sqrt(w) 2^-27 (the second: 2^-49) at most. */
static inline double products_error(int levels, double width)
{
    const double rest = sqrt(width) * 0x1p-27;
    const double lengths = levels == 1 ? 1.0 : levels == 2 ? 2.0 * rest : 2.0 * 0x1p-22 * rest + rest * rest;
    return 1.01 * levels * width * 0x1p-53 * lengths;
}

/* What the product of a block is rounded to a multiple of: in one of 64 to 128 BLAS may leave a doubt. */
static inline double products_unit(double error)
{
    int exponent;
    frexp(error, &exponent);
    return ldexp(1.0, exponent + 7);
}

/* a 2^d for any integer-valued d. */
static inline vd products_scale(vd a, vd d)
{
    const vd first = v_max(v_set1(-1000.0), v_min(v_set1(1000.0), d)), second = v_sub(d, first);
    return v_mul(v_mul(a, ss_pow2(first)), ss_pow2(v_max(v_set1(-1000.0), v_min(v_set1(1000.0), second))));
}

/* The nearest multiple of a power of two. */
static inline vd products_round(vd a, double unit)
{
    const vd magic = v_set1(0x1.8p52 * unit);
    return v_sub(v_add(a, magic), magic);
}

/* `count` numbers, the last ones of a vector 0. */
static inline vd products_load(const double *from, ptrdiff_t count)
{
    double part[SS_W] = {0.0};
    if (count >= SS_W) return v_load(from);
    if (count > 0) memcpy(part, from, (size_t)count * sizeof *part);
    return v_load(part);
}

static inline void products_store(double *to, vd a, ptrdiff_t count)
{
    double part[SS_W];
    if (count >= SS_W) {
        v_store(to, a);
    } else if (count > 0) {
        v_store(part, a);
        memcpy(to, part, (size_t)count * sizeof *part);
    }
}

/* The largest magnitude that is not NaN. */
static double products_peak(const double *row, ptrdiff_t n)
{
    double part[SS_W], peak = 0.0;
    vd highest = v_set1(0.0);
    for (ptrdiff_t j = 0; j < n; j += SS_W) highest = v_max(ss_abs(products_load(row + j, n - j)), highest);
    v_store(part, highest);
    for (int i = 0; i < SS_W; i++) peak = fmax(peak, part[i]);
    return peak;
}

/* An exponent d with |row| <= 2^d (1 + 2^-20); -INFINITY for a row of zeros. The sum has 8 lanes for every width of a
   vector. */
static double products_exponent(const double *row, ptrdiff_t n)
{
    enum { LANES = 8 };
    double part[LANES];
    const double peak = products_peak(row, n);
    int exponent = 0, more = 0;
    vd squares[LANES / SS_W];
    if (peak == 0.0) return -INFINITY;
    if (isinf(peak)) return 0.0;
    frexp(peak, &exponent);
    const vd down = v_set1(-exponent);
    for (int k = 0; k < LANES / SS_W; k++) squares[k] = v_set1(0.0);
    for (ptrdiff_t j = 0; j < n; j += LANES)
        for (int k = 0; k < LANES / SS_W; k++) {
            const vd value = products_scale(products_load(row + j + k * SS_W, n - j - k * SS_W), down);
            squares[k] = v_fma(value, value, squares[k]);
        }
    for (int k = 0; k < LANES / SS_W; k++) v_store(part + k * SS_W, squares[k]);
    const double sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    const double norm = frexp(sqrt(sum) * (1.0 - 0x1p-20), &more);
    return isfinite(norm) ? exponent + more : exponent;
}

/* One block of a row: slices and rest. */
static void products_cut_block(const ss_cut *job, const double *hi, const double *lo, ptrdiff_t n, double exponent,
                               double *to)
{
    const int levels = job->levels;
    const vd down = v_set1(-exponent);
    for (ptrdiff_t j = 0; j < job->width; j += SS_W) {
        vd slice[SS_MOST_LEVELS], rest[SS_MOST_LEVELS];
        rest[0] = products_scale(products_load(hi + j, n - j), down);
        for (int level = 0; level < levels - 1; level++) {
            slice[level] = products_round(rest[level], SS_SLICE[level]);
            rest[level + 1] = v_sub(rest[level], slice[level]);
            if (level == 0 && lo) /* has room now that the leading digits are gone */
                rest[1] = v_add(rest[1], products_scale(products_load(lo + j, n - j), down));
        }
        double *place = to + j;
        for (int k = 0; k < levels; k++, place += job->width)
            v_store(place, job->right ? rest[levels - 1 - k] : k + 1 < levels ? slice[k] : rest[k]);
        for (int k = levels - 2; k >= 0 && job->right; k--, place += job->width) v_store(place, slice[k]);
    }
}

/* Rows that lie across the memory are copied so many at a time. */
enum { SS_ACROSS = 8 };

/* A block of `count` rows: where it begins, the rows SS_MOST_WIDTH apart if they had to be copied. */
static const double *products_block(const ss_cut *job, const double *from, ptrdiff_t row, ptrdiff_t count,
                                    ptrdiff_t start, ptrdiff_t n, double *room)
{
    from += row * job->row + start * job->step;
    if (job->step == 1) return from;
    for (ptrdiff_t k = 0; k < n; k++, from += job->step)
        for (ptrdiff_t i = 0; i < count; i++) room[i * SS_MOST_WIDTH + k] = from[i];
    return room;
}

/* Of all blocks together. */
static void products_exponents(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_cut *job = what;
    double room[SS_ACROSS * SS_MOST_WIDTH];
    const ptrdiff_t group = job->step == 1 ? 1 : SS_ACROSS;
    for (ptrdiff_t row = first; row < last; row += group) {
        const ptrdiff_t count = last - row < group ? last - row : group;
        double *exponent = job->exponent + row;
        for (ptrdiff_t i = 0; i < count; i++) exponent[i] = -INFINITY;
        for (ptrdiff_t start = 0; start < job->length; start += job->width) {
            const ptrdiff_t n = job->length - start < job->width ? job->length - start : job->width;
            const double *hi = products_block(job, job->hi, row, count, start, n, room);
            for (ptrdiff_t i = 0; i < count; i++)
                exponent[i] = fmax(exponent[i], products_exponent(hi + i * SS_MOST_WIDTH, n));
        }
        for (ptrdiff_t i = 0; i < count; i++)
            if (exponent[i] == -INFINITY) exponent[i] = 0.0;
    }
}

static void products_cut(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_cut *job = what;
    double hi_room[SS_ACROSS * SS_MOST_WIDTH], lo_room[SS_ACROSS * SS_MOST_WIDTH];
    const ptrdiff_t group = job->step == 1 ? 1 : SS_ACROSS, left = job->length - job->start;
    const ptrdiff_t n = left < job->width ? left > 0 ? left : 0 : job->width;
    const ptrdiff_t pieces = job->right ? 2 * job->levels - 1 : job->levels;
    for (ptrdiff_t row = first; row < last; row += group) {
        const ptrdiff_t count = last - row < group ? last - row : group;
        const double *hi = products_block(job, job->hi, row, count, job->start, n, hi_room), *lo = NULL;
        if (job->lo) lo = products_block(job, job->lo, row, count, job->start, n, lo_room);
        for (ptrdiff_t i = 0; i < count; i++)
            products_cut_block(job, hi + i * SS_MOST_WIDTH, lo ? lo + i * SS_MOST_WIDTH : NULL, n,
                               job->exponent[row + i], job->pieces + (row + i) * job->width * pieces);
    }
}

/* The product of two rows, rounded to a multiple of the unit. Method: Ogita, Rump, Oishi, "Accurate sum and dot product",
   SIAM J. Sci. Comput. 26(6), 2005; in 8 lanes for every width of a vector. */
static double products_exactly(const double *a, const double *b, ptrdiff_t length, double unit)
{
    enum { LANES = 8 };
    vd sums[LANES / SS_W], errors[LANES / SS_W];
    double hi[LANES], lo[LANES];
    for (int k = 0; k < LANES / SS_W; k++) sums[k] = errors[k] = v_set1(0.0);
    for (ptrdiff_t j = 0; j < length; j += LANES)
        for (int k = 0; k < LANES / SS_W; k++) {
            const vpair product = ss_two_prod(v_load(a + j + k * SS_W), v_load(b + j + k * SS_W));
            const vpair sum = ss_two_sum(sums[k], product.hi);
            sums[k] = sum.hi;
            errors[k] = v_add(errors[k], v_add(sum.lo, product.lo));
        }
    for (int k = 0; k < LANES / SS_W; k++) {
        v_store(hi + k * SS_W, sums[k]);
        v_store(lo + k * SS_W, errors[k]);
    }
    double sum = 0.0, error = 0.0;
    for (int k = 0; k < LANES; k++) {
        const double next = sum + hi[k], part = next - sum;
        error += ((sum - (next - part)) + (hi[k] - part)) + lo[k];
        sum = next;
    }
    const double whole = rint(sum / unit);
    return (whole + rint((sum - whole * unit + error) / unit)) * unit;
}

/* SS_W results from m on, or fewer. */
static SS_INLINE void products_settle_at(const ss_settled *job, ptrdiff_t row, ptrdiff_t m, ptrdiff_t count,
                                          double unit, double doubt)
{
    const ptrdiff_t at = row * job->m + m;
    const double *found = job->parts[job->levels - 1] + at;
    vd last = products_load(found, count), rounded = products_round(last, unit);
    if (v_bits(v_lt(v_set1(doubt), ss_abs(v_sub(last, rounded))))) {
        double values[SS_W], wholes[SS_W];
        v_store(values, last);
        v_store(wholes, rounded);
        for (int i = 0; i < SS_W; i++)
            if (fabs(values[i] - wholes[i]) > doubt)
                wholes[i] = products_exactly(job->left + row * job->left_row, job->right + (m + i) * job->right_row,
                                             job->length, unit);
        rounded = v_load(wholes);
    }
    vpair sum = ss_pair_set1(0.0);
    if (!job->first) sum = ss_pair(products_load(job->hi + at, count), job->lo ? products_load(job->lo + at, count) : sum.lo);
    if (job->lo) {
        const vpair high = ss_two_sum(sum.hi, products_load(job->parts[0] + at, count));
        vd low = v_add(sum.lo, high.lo);
        for (int level = 1; level < job->levels - 1; level++) low = v_add(low, products_load(job->parts[level] + at, count));
        sum = ss_pair(high.hi, v_add(low, rounded));
    } else {
        sum.hi = v_add(sum.hi, rounded); /* exact: multiples of the unit */
    }
    if (job->last) {
        const vd power = v_add(v_set1(job->left_exponent[row]), products_load(job->right_exponent + m, count));
        if (job->lo) sum = ss_two_sum(sum.hi, sum.lo);
        sum = ss_pair(products_scale(sum.hi, power), products_scale(sum.lo, power));
    }
    products_store(job->hi + at, sum.hi, count);
    if (job->lo) products_store(job->lo + at, sum.lo, count);
}

static void products_settle(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_settled *job = what;
    const double error = products_error(job->levels, (double)(job->length / job->levels));
    const double unit = products_unit(error), doubt = unit / 2 - error;
    for (ptrdiff_t row = first; row < last; row++) {
        ptrdiff_t m = 0;
        for (; m + SS_W <= job->m; m += SS_W) products_settle_at(job, row, m, SS_W, unit, doubt);
        if (m < job->m) products_settle_at(job, row, m, job->m - m, unit, doubt);
    }
}
