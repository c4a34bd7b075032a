/* SPDX-License-Identifier: BSD-3-Clause
   Matrix products whose bits do not depend on BLAS. The inner dimension is cut into blocks. In each block the product
   of two rows, both of length 1 at most, is rounded to a multiple of some 2^-60. That is a function of the two rows
   alone, and BLAS, whose error is bounded for every order of its additions, finds it except where its result is next to
   the middle between two multiples. There the product is done again, in pairs.

   With more than one level a row is first cut into slices, multiples of 2^-26 (the second: 2^-44), and a rest. By
   Cauchy and Schwarz no sum of products of first slices exceeds 2^53 units, however many there are, and none that
   involves a second slice does for blocks of up to 2^18: there BLAS does not round. What is left are products with a
   rest, which are small, and so is their error.

   Slices: K. Ozaki, T. Ogita, S. Oishi, S. M. Rump, "Error-free transformations of matrix multiplication by using fast
   routines of matrix multiplication and its applications", Numerical Algorithms 59, 2012. */

static const double SS_SLICE[SS_MOST_LEVELS - 1] = {0x1p-26, 0x1p-44};

/* The most that BLAS errs in a block of the width w. Sums of L w products of numbers in rows u and v err by at most
   1.01 L w 2^-53 |u| |v|, whatever the order; the rest of a row is at most sqrt(w) 2^-27 (the second: 2^-45) long. */
static inline double products_error(int levels, double width)
{
    const double rest = sqrt(width) * 0x1p-27;
    const double lengths = levels == 1 ? 1.0 : levels == 2 ? 2.0 * rest : 2.0 * 0x1p-18 * rest + rest * rest;
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

/* An exponent d with sqrt(squares) <= 2^d (1 + 2^-16), where the squares were scaled by 4^-exponent. */
static double products_exponent(double peak, int exponent, double squares)
{
    int more;
    if (!(peak > 0.0) || isinf(peak)) return 0.0;
    const double norm = frexp(sqrt(squares) * (1.0 - 0x1p-20), &more);
    return isfinite(norm) ? exponent + more : exponent; /* infinite or not a number: all is lost anyway */
}

/* Rounded so that up to 2^18 of them, at most 1, have the same sum in any order. */
static inline vd products_square(vd value) { return products_round(v_mul(value, value), 0x1p-35); }

static void products_exponent_along(const ss_cut *job, ptrdiff_t row)
{
    const double *from = job->hi + row * job->row, peak = products_peak(from, job->length);
    double most = 0.0;
    int exponent;
    frexp(peak, &exponent);
    for (ptrdiff_t start = 0; start < job->length; start += job->width) {
        const ptrdiff_t end = start + job->width < job->length ? start + job->width : job->length;
        const vd down = v_set1(-exponent);
        double part[SS_W], sum = 0.0;
        vd squares[2] = {v_set1(0.0), v_set1(0.0)};
        for (ptrdiff_t j = start; j < end; j += 2 * SS_W)
            for (int k = 0; k < 2; k++) {
                const ptrdiff_t i = j + k * SS_W;
                const vd value = products_scale(products_load(from + i, end - i), down);
                squares[k] = v_add(squares[k], products_square(value));
            }
        v_store(part, v_add(squares[0], squares[1]));
        for (int i = 0; i < SS_W; i++) sum += part[i];
        most = fmax(most, sum);
    }
    job->exponent[row] = products_exponent(peak, exponent, most);
}

/* `count` rows that lie across the memory, a lane each. */
static void products_exponents_across(const ss_cut *job, ptrdiff_t row, ptrdiff_t count)
{
    const double *from = job->hi + row * job->row;
    double peak[SS_W], most[SS_W], down[SS_W];
    int exponent[SS_W];
    vd highest = v_set1(0.0), largest = highest;
    for (ptrdiff_t k = 0; k < job->length; k++)
        highest = v_max(ss_abs(products_load(from + k * job->step, count)), highest);
    v_store(peak, highest);
    for (int i = 0; i < SS_W; i++) {
        frexp(peak[i], exponent + i);
        down[i] = -exponent[i];
    }
    for (ptrdiff_t start = 0; start < job->length; start += job->width) {
        const ptrdiff_t end = start + job->width < job->length ? start + job->width : job->length;
        vd squares = v_set1(0.0);
        for (ptrdiff_t k = start; k < end; k++) {
            const vd value = products_load(from + k * job->step, count);
            squares = v_add(squares, products_square(products_scale(value, v_load(down))));
        }
        largest = v_max(largest, squares);
    }
    v_store(most, largest);
    for (ptrdiff_t i = 0; i < count; i++) job->exponent[row + i] = products_exponent(peak[i], exponent[i], most[i]);
}

static void products_exponents(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_cut *job = what;
    if (job->step == 1)
        for (ptrdiff_t row = first; row < last; row++) products_exponent_along(job, row);
    else
        for (ptrdiff_t row = first; row < last; row += SS_W)
            products_exponents_across(job, row, last - row < SS_W ? last - row : SS_W);
}

/* `width` numbers of a row: slices and rest. There are n, the others are 0. */
static void products_cut_row(const ss_cut *job, const double *hi, const double *lo, ptrdiff_t n, ptrdiff_t width,
                             double exponent, double *to)
{
    const int levels = job->levels;
    const vd down = v_set1(-exponent);
    for (ptrdiff_t j = 0; j < width; j += SS_W) {
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

/* Rows that lie across the memory are copied before they are cut: so many, and so much of them, at a time. */
enum { SS_ACROSS = 8, SS_COPIED = 512 };

/* n numbers from `start` on of `count` rows: where they are, the rows SS_COPIED apart if they had to be copied. */
static const double *products_copied(const ss_cut *job, const double *from, ptrdiff_t row, ptrdiff_t count,
                                     ptrdiff_t start, ptrdiff_t n, double *room)
{
    from += row * job->row + start * job->step;
    if (job->step == 1) return from;
    for (ptrdiff_t k = 0; k < n; k++, from += job->step)
        for (ptrdiff_t i = 0; i < count; i++) room[i * SS_COPIED + k] = from[i];
    return room;
}

static void products_cut(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_cut *job = what;
    double hi_room[SS_ACROSS * SS_COPIED], lo_room[SS_ACROSS * SS_COPIED];
    const ptrdiff_t group = job->step == 1 ? 1 : SS_ACROSS, pieces = job->right ? 2 * job->levels - 1 : job->levels;
    for (ptrdiff_t row = first; row < last; row += group) {
        const ptrdiff_t count = last - row < group ? last - row : group;
        for (ptrdiff_t done = 0; done < job->width; done += SS_COPIED) {
            const ptrdiff_t start = job->start + done, left = job->length - start, wanted = job->width - done;
            const ptrdiff_t width = wanted < SS_COPIED ? wanted : SS_COPIED;
            const ptrdiff_t n = left > width ? width : left > 0 ? left : 0;
            const double *hi = products_copied(job, job->hi, row, count, start, n, hi_room), *lo = NULL;
            if (job->lo) lo = products_copied(job, job->lo, row, count, start, n, lo_room);
            for (ptrdiff_t i = 0; i < count; i++)
                products_cut_row(job, hi + i * SS_COPIED, lo ? lo + i * SS_COPIED : NULL, n, width,
                                 job->exponent[row + i], job->pieces + (row + i) * job->width * pieces + done);
        }
    }
}

/* The product of two rows, rounded to a multiple of the unit.
   Method: Ogita, Rump, Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26(6), 2005. */
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
    const double whole = rint(sum / unit), rest = (sum - whole * unit + error) / unit, more = rint(rest);
    const double doubt = 0x1p-100 * (double)length * (double)length / unit;
    if (!(fabs(fabs(rest - more) - 0.5) < doubt)) return (whole + more) * unit;
    /* So near to the middle that the order of the additions could matter: exactly. */
    ss_total total;
    ss_total_start(&total);
    for (ptrdiff_t j = 0; j < length; j++) {
        const vpair product = ss_two_prod(v_set1(a[j]), v_set1(b[j]));
        ss_total_add(&total, lane(product.hi));
        ss_total_add(&total, lane(product.lo));
    }
    double high, low;
    ss_total_result(&total, &high, &low);
    const double nearest = rint(high / unit);
    return (nearest + rint((high - nearest * unit + low) / unit)) * unit;
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
    if (!job->first) sum.hi = products_load(job->hi + at, count);
    if (!job->first && job->lo) sum.lo = products_load(job->lo + at, count);
    if (job->lo) {
        const vpair high = ss_two_sum(sum.hi, products_load(job->parts[0] + at, count));
        sum = ss_pair(high.hi, v_add(sum.lo, high.lo));
        for (int level = 1; level < job->levels - 1; level++)
            sum.lo = v_add(sum.lo, products_load(job->parts[level] + at, count));
        sum.lo = v_add(sum.lo, rounded);
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
