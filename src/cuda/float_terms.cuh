/* SPDX-License-Identifier: BSD-3-Clause
   float32 where doubles are slow: what terms.cuh does in doubles, in pairs of floats (float_pair.cuh). The bits are the
   same: the canonical rounding decides the sum of a row, and where it can not, doubles add the row again; a result is
   taken if all that is within its error rounds to the same float, else doubles compute it.

   Terms are scaled by 2^OFFSET, which keeps the low parts of all that count normal numbers. Rows beyond NEAR are left
   to doubles.

   Error of a sum, in units of u^2 = 2^-48: 3 for each step from a term to the sum, 6 for the terms, 3 for the test of
   the rounding and for taking off e^second, which doubles what was there before. In registers 16 terms are added as a
   tree. In a stream 8 are, and MOST / 8 such sums one by one; what follows is done in doubles and counts as a step. */

typedef struct {
    float peak;
    int exponent;
    fpair total, factor; /* the canonical sum times 2^-exponent; as hi of ss_row_sum */
} float_row;

struct float_terms {
    enum { SINGLE = 1, IN_DOUBLES = 0, OFFSET = 64 };
    static inline float near() { return 0x1p14f; }
    static inline double error_of(int steps, int rest) { return (3 * steps + 9) * (rest ? 0x1p-47 : 0x1p-48); }
    static inline double error_of_registers(int joins, int rest) { return error_of(4 + joins, rest); }
    static inline double error_of_stream(double, int rest) { return error_of(3 + SS_MOST / 8 + 1, rest); }

    /* Below twice NEAR a part of a row is not summed; beside what a row within NEAR has it does not count. */
    static inline int in_range(float peak, float bound) { return peak <= near() && bound >= -2.0f * near(); }
    static inline int suits(float peak, float bound)
    {
        return !(fabsf(peak) < INFINITY) || (in_range(peak, bound) && bound >= -near());
    }

    typedef fpair term_type;
    typedef struct {
        int scale;
        float lowest;
    } frame;
    static inline frame frame_of(int exponent, float bound)
    {
        const frame f = {127 + OFFSET - exponent, bound - 115.0f}; /* e^-115 is far below the smallest result */
        return f;
    }
    static inline fpair term_in(const frame &f, float x) { return f_exp_term(f.lowest > x ? f.lowest : x, f.scale); }
    static inline int is_near(float) { return 1; }
    template <int COUNT> static inline void near_terms(const frame &f, const float *x, fpair *terms)
    {
        terms_in<COUNT>(f, x, terms);
    }
    template <int COUNT> static inline void terms_in(const frame &f, const float *x, fpair *terms)
    {
#pragma unroll
        for (int v = 0; v < COUNT; v++) terms[v] = term_in(f, x[v]);
    }

    typedef fpair sum;
    static inline sum start()
    {
        const fpair zero = {0.0f, 0.0f};
        return zero;
    }
    static inline fpair join(fpair a, fpair b) { return f_pair_add(a, b); }
    template <int COUNT> static inline fpair tree(const fpair *terms)
    {
        if constexpr (COUNT == 1) {
            return *terms;
        } else {
            return join(tree<COUNT / 2>(terms), tree<COUNT / 2>(terms + COUNT / 2));
        }
    }
    template <int COUNT> static inline void add(sum *s, const fpair *terms) { *s = join(*s, tree<COUNT>(terms)); }
    static inline fpair end(const sum *s) { return *s; }
    static inline vpair pair(fpair a) { return in_double(f_pair_scale(a, 0x1p-64f)); }
    static inline vpair in_double(fpair a) { return ss_pair_of(v_add((double)a.hi, (double)a.lo)); }

    typedef float_row row;
    static inline row start_row(float peak, float bound)
    {
        row sum;
        sum.peak = peak;
        sum.exponent = f_exponent(bound);
        return sum;
    }

    template <int OPERATION> static inline vm end_sum(row *sum, fpair total, const frame &f, float bound, double error)
    {
        vm certain;
        if (SS_HAS_REST(OPERATION)) {
            const fpair extra = term_in(f, bound), minus = {-extra.hi, -extra.lo};
            total = f_pair_sum(total, minus);
        }
        sum->total = f_canonical(f_pair_scale(total, 0x1p-64f), (float)error, &certain);
        return certain;
    }

    /* What underflows here, of a row whose peak stands far above the rest, makes the factor NaN: no result is certain.
       The reciprocal errs by 4 u^2, log1p by 2^-40.8, doubles included. */
    template <int OPERATION> static inline void apply(row *sum)
    {
        if (OPERATION == SS_SOFTMAX) {
            const fpair one = {1.0f, 0.0f};
            sum->factor = f_pair_quotient(one, sum->total);
        } else {
            const int exponent = f_exponent(sum->peak), down = sum->exponent - exponent;
            const float power = down < -90 ? NAN : __int_as_float((127 + down) << 23);
            sum->factor = f_log1p(f_pair_scale(sum->total, power), f_exp_term(sum->peak, 127 - exponent, F_WHOLE));
        }
    }
    static inline row row_of(const ss_row_sum &sum)
    {
        row same;
        same.peak = (float)sum.peak;
        same.factor = f_pair_of(sum.hi);
        return same;
    }
    template <int OPERATION> static inline ss_row_sum in_doubles(const row &sum, double count = 0.0)
    {
        ss_row_sum same;
        same.peak = (double)sum.peak;
        same.shift = 0.0;
        same.exponent = (double)sum.exponent;
        same.total = in_double(sum.total);
        apply_sum<float, OPERATION>(&same, count);
        return same;
    }

    /* The error of peak + excess, or of x - peak - excess. */
    static inline float error_of_log(float value, fpair excess)
    {
        return fmaf(excess.hi, 0x1.4p-41f, fabsf(value) * 0x1p-45f);
    }

    template <class T, int OPERATION, class F>
    static inline typename T::stored result(const row &sum, float x, F term, vm *certain)
    {
        if (OPERATION == SS_LOG_SOFTMAX) {
            const fpair minus = {-sum.factor.hi, -sum.factor.lo}, y = f_pair_add(f_two_sum(x, -sum.peak), minus);
            const float value = f_rounded(y, error_of_log(y.hi, sum.factor), certain);
            if (x != -INFINITY) return T::put(value + 0.0f); /* +0, as in difference_f32 */
            *certain = 1; /* its pair is no number */
            return T::put(x);
        }
        return sloped<T>(term(), sum.factor, certain);
    }

    /* Where a term of 2^-102 could show in a result, or the low part of the factor underflow, nothing is certain. */
    typedef fpair slope;
    static inline slope slope_of(vpair factor, double d)
    {
        const double scaled = ss_pair_shift(factor, d).hi;
        return f_pair_of(scaled >= 0x1p-100 && scaled <= 0x1p10 ? scaled : NAN);
    }
    template <class T> static inline typename T::stored sloped(fpair term, const slope &by, vm *certain)
    {
        /* the error: 5.3 u^2 of the term, 4 of the factor, 5 of the product, and 3 of rounding in the test */
        const fpair y = f_pair_product(term, by);
        const float error = y.hi * 0x1.8p-44f;
        float value = f_rounded(y, error, certain);
        if (value < 0x1p-62f) /* a subnormal result */
            value = f_rounded_to(f_fast_two_sum(y.hi, y.lo), 0x1p-86f, error, certain);
        return T::put(value * 0x1p-64f);
    }

    /* Next to 0, where the ladder may be wanted, and of logmeanexp, doubles decide. */
    template <class T, int OPERATION> static inline void write(char *y, row sum, double count)
    {
        apply<OPERATION>(&sum);
        fpair value = f_two_sum(sum.peak, sum.factor.hi);
        value = f_fast_two_sum(value.hi, value.lo + sum.factor.lo);
        vm certain;
        const float rounded = f_rounded(value, error_of_log(value.hi, sum.factor), &certain);
        if (certain && count == 1.0 && fabsf(rounded) >= 0.25f * sum.factor.hi)
            *(typename T::stored *)y = T::put(rounded);
        else
            write_value<T>(y, in_doubles<OPERATION>(sum, count));
    }
};

/* The types of elements to which this applies. */
struct f16_in_floats : f16 {
    typedef float_terms terms;
};
struct f32_in_floats : f32 {
    typedef float_terms terms;
};
