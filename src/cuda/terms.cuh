/* SPDX-License-Identifier: BSD-3-Clause
   What the loops over rows ask of the arithmetic of elements. Here that is doubles; float_terms.cuh has the other one.

   The terms of a row lie in a frame: they are relative to 2^exponent, and what no longer counts beside `bound`, the
   largest element that is summed, is cut off. A row is what is known of the sum. */
template <class real> struct double_terms : arithmetic<real> {
    typedef arithmetic<real> A;
    typedef typename A::term_type term_type;
    enum { IN_DOUBLES = 1 };
    static inline double error_of_registers(int, int) { return A::error_of_registers(); }
    static inline double error_of_stream(double emptied, int) { return A::error_of_stream(emptied); }

    /* Whether a part of a row can be summed as it is, and whether what has been summed of a row is its sum. */
    static inline int in_range(real peak, real bound) { return ::in_range(peak, bound); }
    static inline int suits(real peak, real)
    {
        return !(fabs((double)peak) > SS_HUGE && fabs((double)peak) < INFINITY);
    }

    static inline int is_near(real bound) { return !A::SINGLE || fabs((double)bound) < SS_EXP_NEAR; }

    typedef struct {
        vi scale;
        double lowest;
        int near; /* what lies in the frame needs no low part of ln2 in float32, with the same bits */
    } frame;
    static inline frame frame_of(double exponent, real bound)
    {
        const frame f = {ss_scale_bits(exponent, A::OFFSET), v_sub((double)bound, A::reach()),
                         is_near(bound)};
        return f;
    }
    static inline term_type term_in(const frame &f, real x) { return A::term(v_max(f.lowest, (double)x), f.scale); }

    /* Terms of numbers, in a frame that is `near` or in any; NaN may be cut off. */
    template <int COUNT> static inline void near_terms(const frame &f, const real *x, term_type *terms)
    {
        if constexpr (A::SINGLE) {
            const real lowest = (real)f.lowest;
#pragma unroll
            for (int v = 0; v < COUNT; v++) terms[v] = A::near_term((double)fmaxf(lowest, x[v]), f.scale);
        } else {
#pragma unroll
            for (int v = 0; v < COUNT; v++) terms[v] = term_in(f, x[v]);
        }
    }
    template <int COUNT> static inline void terms_in(const frame &f, const real *x, term_type *terms)
    {
        if (f.near) return near_terms<COUNT>(f, x, terms);
#pragma unroll
        for (int v = 0; v < COUNT; v++) terms[v] = term_in(f, x[v]);
    }

    template <int COUNT> static inline void add(typename A::sum *s, const term_type *terms)
    {
#pragma unroll
        for (int v = 0; v < COUNT; v++) A::add(s, terms[v]);
    }

    typedef ss_row_sum row;
    static inline row start_row(real peak, real bound)
    {
        row sum;
        sum.peak = (double)peak;
        sum.shift = 0.0;
        sum.exponent = ss_exponent((double)bound);
        return sum;
    }

    /* From the sum of all terms to the canonical one, if that is certain. Where a peak stays out it has been counted as
       another `bound`. */
    template <int OPERATION, class F>
    static inline vm end_sum(row *sum, F total, const frame &, real bound, double error)
    {
        vm certain;
        sum->error = error;
        sum->total = A::pair(total);
        if (SS_HAS_REST(OPERATION))
            sum->total = ss_pair_sub(sum->total, A::pair(A::term((double)bound, ss_scale_bits(sum->exponent, 0))));
        sum->total = canonical_total<real>(sum, &certain);
        return certain;
    }

    /* What the results of elements need; as it is from doubles, and back to them. */
    template <int OPERATION> static inline void apply(row *sum) { apply_sum<real, OPERATION>(sum, 0.0); }
    static inline row row_of(const ss_row_sum &sum) { return sum; }
    template <int OPERATION> static inline ss_row_sum in_doubles(const row &sum) { return sum; }

    /* The result of an element, if *certain; `term` gives its term. */
    template <class T, int OPERATION, class F>
    static inline typename T::stored result(const row &sum, real x, F term, vm *certain)
    {
        const vpair factor = ss_pair(sum.hi, sum.lo);
        *certain = 1;
        return T::put(OPERATION == SS_LOG_SOFTMAX ? difference(x, sum.peak, factor) : product(term(), factor));
    }

    /* A slope is a term, which may lack 2^d, times a factor. */
    typedef typename A::scaled slope;
    static inline slope slope_of(vpair factor, double d) { return A::scale_factor(factor, d); }
    template <class T> static inline typename T::stored sloped(term_type term, const slope &by, vm *certain)
    {
        *certain = 1;
        return T::put(A::scaled_product(A::pair(term), by));
    }

    /* The value of a reduced row. */
    template <class T, int OPERATION> static inline void write(char *y, row sum, double count)
    {
        apply_sum<real, OPERATION>(&sum, count);
        write_value<T>(y, sum);
    }
};
