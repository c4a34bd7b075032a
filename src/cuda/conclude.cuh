/* SPDX-License-Identifier: BSD-3-Clause
   From the sum of a row to what its elements need, as loops/conclude.inc.h does it: the canonical sum, its
   reciprocal or its logarithm, and the ladder. The same sum gives the same bits. */

/* A sum of one row: as ss_sum and ss_end of kernels.h. In a special row (no finite peak) hi is the result where x is
   +inf, and lo elsewhere; for a loss hi is how many are +inf, or NaN. */
typedef struct {
    double peak, shift, exponent; /* the peak that was summed with is peak - shift */
    vpair total;
    double error; /* of total, relative, at most */
    double hi, lo, value;
    int special, near; /* near: the logarithm is so close to 0 that the ladder decides */
} ss_row_sum;

#define SS_HAS_REST(operation) ((operation) != SS_SOFTMAX)
#define SS_REDUCES(operation) ((operation) == SS_LOGSUMEXP) /* logmeanexp is logsumexp with a count */

/* The exact sum of term(i) for all i < n, less `out`, by all threads of the group, which all get it: in units of
   2^exponent, where the terms are in units of 2^unit. */
template <int LANES, class F>
static inline vpair add_exactly(int64_t n, int64_t exponent, int64_t unit, F term, vpair out)
{
    typedef group<LANES> lanes;
    __shared__ ss_exact sums[lanes::SLOTS];
    ss_exact *sum = &sums[lanes::slot()];
    if (lanes::rank() == 0) ss_exact_start(sum, exponent);
    lanes::sync();
    for (int64_t i = lanes::rank(); i < n; i += lanes::size()) {
        const vpair its = term(i);
        ss_exact_add(sum, its.hi, unit);
        ss_exact_add(sum, its.lo, unit);
    }
    lanes::sync();
    if (lanes::rank() == 0) {
        ss_exact_add(sum, -out.hi, unit);
        ss_exact_add(sum, -out.lo, unit);
        double hi, lo;
        ss_exact_result(sum, exponent, &hi, &lo);
        sum->digit[0] = v_int(hi);
        sum->digit[1] = v_int(lo);
    }
    lanes::sync();
    const vpair total = ss_pair(v_dbl(sum->digit[0]), v_dbl(sum->digit[1]));
    lanes::sync();
    return total;
}

/* The same sum again, exactly. One peak stays out: skipped where no other element has its exponent (its term might
   overflow at this scale), else added like all others and taken off, which is exact. */
template <class T, int OPERATION, int LANES>
__noinline__ static vpair exact_sum(const ss_geometry *g, ss_place at, double peak, double shift, double exponent)
{
    typedef typename T::real real;
    typedef arithmetic<real> A;
    const vpair none = {0.0, 0.0};
    const vi scale = ss_scale_bits(exponent, A::OFFSET);
    const double lowest = exponent * 0.6931471805599453 - A::reach() + 46.0; /* 2^-1000 of the leading term */
    const int apart = SS_HAS_REST(OPERATION) && ss_exponent(peak) != exponent;
    return add_exactly<LANES>(
        g->n, (int64_t)exponent, (int64_t)exponent - A::OFFSET,
        [&](int64_t i) {
            const double value = (double)(real)(element_of<T>(*g, at.x, i) - (real)shift);
            return (apart && value == peak) || !(value > lowest) ? none : A::pair(A::term(value, scale));
        },
        SS_HAS_REST(OPERATION) && !apart ? A::pair(A::term(peak, scale)) : none);
}

/* FN(logarithm), but for the ladder. */
template <class real> static inline double logarithm(double peak, double shift, vpair excess, double count, int *near)
{
    typedef arithmetic<real> A;
    const vpair log_count = ss_log1p_pair(ss_pair_of(count - 1.0)), above = ss_pair_sub(excess, log_count);
    const vpair sum = ss_two_sum(peak, above.hi);
    const double value = v_add(sum.hi, v_add(sum.lo, above.lo));
    *near = !(shift != 0.0 || fabs(value) >= A::tolerance() * v_add(excess.hi, log_count.hi));
    return value;
}

/* What a row without a finite peak gives; `infinities` counts its +inf. */
static inline void conclude_special(ss_row_sum *sum, int operation, int unordered, double infinities)
{
    const int softmax = operation == SS_SOFTMAX;
    sum->special = 1;
    sum->near = 0;
    sum->hi = sum->lo = sum->value = NAN;
    if (unordered) return;
    if (operation == SS_CROSS_ENTROPY) {
        if (sum->peak == INFINITY) sum->hi = infinities;
    } else if (sum->peak == INFINITY) {
        sum->hi = softmax ? v_div(1.0, infinities) : -ss_log1p_pair(ss_pair_of(infinities - 1.0)).hi + 0.0;
        sum->lo = softmax ? 0.0 : -INFINITY;
        sum->value = INFINITY;
    } else {
        sum->value = -INFINITY;
    }
}

/* A row whose sum is no ordinary one: no finite peak, or nothing beside it. */
template <class T, int OPERATION, int LANES>
__noinline__ static void special_sum(const ss_geometry *g, ss_place at, int64_t n, ss_row_sum *sum)
{
    typedef group<LANES> lanes;
    struct counts {
        int infinities, unordered;
    } count = {0, 0};
    for (int64_t i = lanes::rank(); i < n; i += lanes::size()) {
        const double value = (double)element_of<T>(*g, at.x, i);
        count.infinities += value == INFINITY;
        count.unordered |= value != value;
    }
    count = lanes::reduce(count, [](counts a, counts b) {
        counts c = {a.infinities + b.infinities, a.unordered | b.unordered};
        return c;
    });
    const double inner = sum->peak - sum->shift;
    sum->exponent = ss_reducible(inner) ? ss_exponent(inner) : 0.0;
    sum->total = ss_pair(0.0, 0.0);
    if (count.unordered || !(fabs(sum->peak) < INFINITY))
        conclude_special(sum, OPERATION, count.unordered, count.infinities);
}

/* From the canonical sum of an ordinary row to hi, lo and value. */
template <class real, int OPERATION> static inline void apply_sum(ss_row_sum *sum, double count)
{
    typedef arithmetic<real> A;
    sum->special = sum->near = 0;
    if (OPERATION == SS_CROSS_ENTROPY) return; /* losses.cuh goes on from the sum */
    const vpair factor = OPERATION == SS_SOFTMAX ? A::reciprocal(sum->total)
                                                 : A::excess(sum->peak - sum->shift, sum->total, sum->exponent);
    sum->hi = factor.hi;
    sum->lo = factor.lo;
    if (SS_REDUCES(OPERATION))
        sum->value = logarithm<real>(sum->peak, sum->shift, factor, count, &sum->near);
}

/* The canonical rounding of sum->total, if its error allows no other. */
template <class real> static inline vpair canonical_total(const ss_row_sum *sum, vm *certain)
{
    return ss_canonical(sum->total, arithmetic<real>::BITS, sum->error, certain);
}

/* From peak, shift, exponent and total to the rest of *sum. Reductions want it in rank 0 only. */
template <class T, int OPERATION, int LANES>
static inline void conclude(const ss_geometry &g, ss_place at, ss_row_sum *sum)
{
    typedef typename T::real real;
    typedef group<LANES> lanes;
    const vpair total = sum->total;
    const int ordinary = !sum->special && total.hi == total.hi;
    vm certain = 1;
    if (ordinary && total.hi != 0.0) sum->total = canonical_total<real>(sum, &certain);
    if (lanes::any(!certain)) {
        const vpair exact = exact_sum<T, OPERATION, LANES>(&g, at, sum->peak - sum->shift, sum->shift, sum->exponent);
        if (!certain) sum->total = ss_canonical_round(exact, arithmetic<real>::BITS);
    }
    sum->near = 0;
    if (SS_REDUCES(OPERATION) && LANES == WHOLE_BLOCK && threadIdx.x >= SS_WARP) return;
    if (ordinary)
        apply_sum<real, OPERATION>(sum, (double)g.count);
    else if (!sum->special)
        conclude_special(sum, OPERATION, 1, 0.0);
}

/* Writes the value of a reduced row, or the mark of one for the ladder. */
template <class T> static inline void write_value(char *y, const ss_row_sum &sum)
{
    *(typename T::stored *)y = sum.near ? T::mark() : T::put(sum.value);
}
