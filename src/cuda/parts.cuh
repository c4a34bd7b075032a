/* SPDX-License-Identifier: BSD-3-Clause
   Sums of parts of a row, each at the scale of what it has met, and how they are joined: by exact shifts. */

template <class real> struct ss_peaks {
    real first, second; /* the two largest elements; equal if the largest occurs twice */
};

template <class real> static inline ss_peaks<real> join_peaks(ss_peaks<real> a, ss_peaks<real> b)
{
    ss_peaks<real> c = {larger(a.first, b.first), larger(larger(a.second, b.second), smaller(a.first, b.first))};
    return c;
}

/* Part of a row: its largest element, and a sum of terms at the scale of `bound`, the largest element in it (-inf:
   nothing). For softmax that is all terms, else all but one peak. */
template <class real> struct partial {
    real peak, bound;
    vpair total; /* times 2^-exponent of e^bound */
};

static inline vpair shifted_total(vpair total, double from, double to)
{
    return ss_pair_shift(total, total.hi == 0.0 ? 0.0 : v_sub(ss_exponent(from), ss_exponent(to)));
}

/* Two parts as one. Of their peaks, the smaller one joins the sum. */
template <class real, int OPERATION> static inline partial<real> join_two(partial<real> a, partial<real> b)
{
    typedef arithmetic<real> A;
    enum { REST = SS_HAS_REST(OPERATION) };
    const real second = smaller(a.peak, b.peak);
    partial<real> c = {larger(a.peak, b.peak), larger(a.bound, b.bound), {0.0, 0.0}};
    if (REST && second > c.bound) c.bound = second;
    if (in_range(c.peak, c.bound)) {
        if (in_range(a.peak, a.bound)) c.total = shifted_total(a.total, (double)a.bound, (double)c.bound);
        if (in_range(b.peak, b.bound))
            c.total = arithmetic<double>::join(c.total, shifted_total(b.total, (double)b.bound, (double)c.bound));
        if (REST && (double)second > (double)c.bound - 500.0) { /* what is less does not count */
            const vi scale = ss_scale_bits(ss_exponent((double)c.bound), 0);
            c.total = arithmetic<double>::join(c.total, A::pair(A::term((double)second, scale)));
        }
    }
    if (a.peak != a.peak || b.peak != b.peak) c.peak = (real)NAN;
    return c;
}

/* The sums of all threads of the group as one. Beside the largest of their peaks, a smaller one joins the sum. */
template <class real, int OPERATION, int LANES> static inline partial<real> join_parts(partial<real> mine)
{
    typedef arithmetic<real> A;
    typedef group<LANES> lanes;
    enum { REST = SS_HAS_REST(OPERATION) };
    const int unordered = lanes::reduce((int)(mine.peak != mine.peak), [](int a, int b) { return a | b; });
    ss_peaks<real> top = {mine.peak, -(real)INFINITY};
    top = lanes::reduce(top, join_peaks<real>);
    partial<real> all = {top.first, lanes::reduce(mine.bound, [](real a, real b) { return larger(a, b); }), {0.0, 0.0}};
    if (REST && top.second > all.bound) all.bound = top.second;
    if (unordered) all.peak = (real)NAN;
    const int usable = in_range(all.peak, all.bound);
    const double bound = usable ? (double)all.bound : 0.0, exponent = ss_exponent(bound);
    vpair total = {0.0, 0.0};
    if (usable && in_range(mine.peak, mine.bound))
        total = ss_pair_shift(mine.total, v_sub(ss_exponent((double)mine.bound), exponent));
    const double lowest = bound - 500.0; /* where the low part of a term is still a normal number */
    const vi scale = ss_scale_bits(exponent, 0);
    if (REST) {
        const double peak = (double)smaller(top.second, mine.peak);
        total = arithmetic<double>::join(total, A::pair(A::term(usable ? v_max(lowest, peak) : 0.0, scale)));
    }
    all.total = A::pair(lanes::reduce(A::of_pair(total), A::join));
    if (REST) {
        const vpair extra = A::pair(A::term(usable ? v_max(lowest, (double)top.second) : 0.0, scale));
        all.total = ss_pair_sub(all.total, extra);
    }
    return all;
}
