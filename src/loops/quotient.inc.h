/* SPDX-License-Identifier: BSD-3-Clause
   The quotients (x - peak) / T of softmax with a temperature, and what is made of them, as pairs for both real types.
   For C and CUDA alike. */
#ifndef SS_QUOTIENT
#define SS_QUOTIENT

enum { SS_QUOTIENT_OFFSET = 300 }; /* terms are scaled by 2^300: those that give subnormal results stay normal */
#define SS_QUOTIENT_REACH 746.0     /* below peak - REACH the result is 0 */
#define SS_QUOTIENT_LOWEST (-1300.0) /* a rest below e^-1300 is 0 beside 1, whatever the number of terms */

/* (x - peak) / T = (x before - peak before) scale[0] scale[1] / divisor. `before` keeps the difference from overflow;
   the powers of two bring T into [0.5, 1), so that the remainder of the division does not underflow. */
typedef struct {
    double peak, before, divisor, scale[2], bound;
} ss_quotient;

static ss_quotient ss_quotient_of(double peak, double temperature)
{
    ss_quotient by;
    int exponent;
    by.before = fabs(peak) > 0x1p960 ? 0.5 : 1.0; /* at 2^960 or less even the largest x takes no notice */
    by.peak = peak * by.before;
    by.divisor = frexp(temperature, &exponent);
    exponent = -exponent + (by.before == 0.5);
    by.scale[0] = ldexp(1.0, exponent / 2);
    by.scale[1] = ldexp(1.0, exponent - exponent / 2);
    by.bound = 0.0;
    return by;
}

static inline vpair ss_divide(const ss_quotient *by, vd x)
{
    const vd first = v_set1(by->scale[0]), second = v_set1(by->scale[1]), divisor = v_set1(by->divisor);
    vpair d = ss_two_sum(v_mul(x, v_set1(by->before)), v_set1(-by->peak));
    vd hi = v_mul(v_mul(d.hi, first), second), lo = v_mul(v_mul(d.lo, first), second);
    vd q = v_div(hi, divisor);
    vd rest = v_div(v_add(v_fnma(q, divisor, hi), lo), divisor);
    /* -inf, or a quotient beyond the largest double: the rest is NaN */
    return ss_pair(q, v_select(v_eq(q, v_set1(-INFINITY)), v_set1(0.0), rest));
}

/* Quotients, or their terms at the scale of e^bound, of n doubles in `x`, which has room for a whole STEP beyond. */
static void ss_divide_tile(const ss_quotient *by, int terms, const double *x, ptrdiff_t n, double *hi, double *lo)
{
    SS_TABLES;
    const vd lowest = v_set1(by->bound - SS_QUOTIENT_REACH);
    const vi scale = ss_scale_bits(ss_exponent(v_set1(by->bound)), SS_QUOTIENT_OFFSET);
    for (ptrdiff_t i = 0; i < n; i += SS_W) {
        vpair q = ss_divide(by, v_load(x + i));
        if (terms) {
            const vm below = v_lt(q.hi, lowest);
            q = ss_pair(v_select(below, lowest, q.hi), v_select(below, v_set1(0.0), q.lo));
            q = ss_exp_pair(q.hi, q.lo, scale, table_hi, table_lo);
        }
        v_store(hi + i, q.hi);
        v_store(lo + i, q.lo);
    }
}

static inline void ss_apply_floor(double floor, ptrdiff_t n, double *hi, double *lo)
{
    const double least = floor * 0x1p300;
    for (ptrdiff_t i = 0; i < n; i++)
        if (hi[i] < least) {
            hi[i] = least;
            lo[i] = 0.0;
        }
}

/* y = term * factor, or quotient - factor: two numbers of one sign. */
static inline void ss_quotient_results(int logarithm, vpair factor, ptrdiff_t n, const double *hi, const double *lo,
                                       double *y)
{
    for (ptrdiff_t i = 0; i < n; i += SS_W) {
        const vpair a = ss_pair(v_load(hi + i), v_load(lo + i));
        vd value;
        if (logarithm) {
            vpair sum = ss_two_sum(a.hi, v_sub(v_set1(0.0), factor.hi));
            value = v_add(sum.hi, v_add(sum.lo, v_sub(a.lo, factor.lo)));
            value = v_select(v_eq(a.hi, v_set1(-INFINITY)), a.hi, value);
        } else {
            value = product_f64(a, factor);
        }
        v_store(y + i, value);
    }
}

#endif
