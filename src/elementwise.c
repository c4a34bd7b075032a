/* SPDX-License-Identifier: BSD-3-Clause
   Inner loops with NumPy's signature, one for each input type. What is not float32 or float64 goes through a buffer of
   the type that its arithmetic is done in; the C library computes long double, by formulas free of cancellation. */
#include "elementwise.h"
#include "float_mode.h"

#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <string.h>


enum { PIECE = 256 };

static const ss_kernels *chosen;

void ss_elementwise_use(const ss_kernels *kernels) { chosen = kernels; }

/* Underflow, and the invalid and inexact operations on lanes that selection discards, are no accidents here. */
static void forget_flags(void) { feclearexcept(FE_ALL_EXCEPT); }

/* ---- conversions ---- */

static float from_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
    float value;
    if (rest >= 0x7c00) { /* infinity and NaN */
        const uint32_t bits = 0x7f800000u | (rest & 0x3ff) << 13;
        memcpy(&value, &bits, sizeof value);
    } else if (rest < 0x400) {
        value = (float)rest * 0x1p-24f;
    } else {
        const uint32_t bits = (rest << 13) + ((127u - 15u) << 23);
        memcpy(&value, &bits, sizeof value);
    }
    return sign ? -value : value;
}

static uint16_t to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return sign | 0x7e00;
    if (bits >= 0x477ff000) return sign | 0x7c00; /* 65520 and more round to infinity */
    if (bits < 0x38800000) { /* subnormal: the unit 2^-24, ties to even */
        float magnitude;
        memcpy(&magnitude, &bits, sizeof magnitude);
        return sign | (uint16_t)lrintf(magnitude * 0x1p24f);
    }
    return sign | (uint16_t)((bits + 0xfff + (bits >> 13 & 1) - ((127u - 15u) << 23)) >> 13);
}

static void get_q(const char *x, ptrdiff_t step, double *to, ptrdiff_t n)
{
    for (int64_t value; n-- > 0; x += step) {
        memcpy(&value, x, sizeof value);
        *to++ = (double)value;
    }
}

static void get_Q(const char *x, ptrdiff_t step, double *to, ptrdiff_t n)
{
    for (uint64_t value; n-- > 0; x += step) {
        memcpy(&value, x, sizeof value);
        *to++ = (double)value;
    }
}

static void get_e(const char *x, ptrdiff_t step, float *to, ptrdiff_t n)
{
    for (uint16_t value; n-- > 0; x += step) {
        memcpy(&value, x, sizeof value);
        *to++ = from_half(value);
    }
}

static void put_d(char *y, ptrdiff_t step, const double *from, ptrdiff_t n)
{
    for (; n-- > 0; y += step) memcpy(y, from++, sizeof *from);
}

static void put_e(char *y, ptrdiff_t step, const float *from, ptrdiff_t n)
{
    for (; n-- > 0; y += step) {
        const uint16_t value = to_half(*from++);
        memcpy(y, &value, sizeof value);
    }
}

/* A result that is the next argument (reduce, accumulate) allows no buffer: such calls have these steps. */
static ptrdiff_t piece(char **args, const ptrdiff_t *steps)
{
    const char *a = args[0], *y = args[2];
    return steps[2] == 0 || (a < y ? y - a : a - y) < PIECE * 8 ? 1 : PIECE;
}

/* ---- loops ---- */

#define INDEX(data) ((int)(intptr_t)(data))

/* Whether the parts of a loop can run at the same time: no result lies where another argument is still to be read. */
static int independent(const char *x, ptrdiff_t sx, const char *y, ptrdiff_t sy, ptrdiff_t n, ptrdiff_t size)
{
    const char *x_low = sx < 0 ? x + (n - 1) * sx : x, *x_high = (sx < 0 ? x : x + (n - 1) * sx) + size;
    const char *y_low = sy < 0 ? y + (n - 1) * sy : y, *y_high = (sy < 0 ? y : y + (n - 1) * sy) + size;
    const ptrdiff_t apart = sy < 0 ? -sy : sy; /* results may not share bytes either, as those of a reduction do */
    return apart >= size && ((x == y && sx == sy) || x_high <= y_low || y_high <= x_low);
}

/* Parts begin at multiples of this many elements, so that two threads seldom write to one line of the cache. */
enum { GRAIN = 64 };

static void run_unary(ss_unary loop, char **args, ptrdiff_t n, const ptrdiff_t *steps, ptrdiff_t size)
{
    const uint64_t mode = ss_float_enter();
    int parts = ss_parts((double)n, 2) > 1 ? ss_parts((double)n, ss_threads()) : 1;
    if (parts > 1 && !independent(args[0], steps[0], args[1], steps[1], n, size)) parts = 1;
    if (parts == 1) {
        loop(args[0], steps[0], args[1], steps[1], n);
        ss_float_leave(mode);
        return;
    }
    const ptrdiff_t share = n / parts / GRAIN * GRAIN;
#pragma omp parallel for num_threads(parts) schedule(static, 1)
    for (int part = 0; part < parts; part++) {
        const ptrdiff_t first = share * part, count = part + 1 < parts ? share : n - first;
        const uint64_t own = ss_float_enter();
        loop(args[0] + first * steps[0], steps[0], args[1] + first * steps[1], steps[1], count);
        ss_float_leave(own);
    }
    ss_float_leave(mode);
}

static void run_binary(ss_binary loop, char **args, ptrdiff_t n, const ptrdiff_t *steps, ptrdiff_t size)
{
    const uint64_t mode = ss_float_enter();
    int parts = ss_parts((double)n, 2) > 1 ? ss_parts((double)n, ss_threads()) : 1;
    for (int i = 0; i < 2 && parts > 1; i++)
        if (!independent(args[i], steps[i], args[2], steps[2], n, size)) parts = 1;
    if (parts == 1) {
        loop(args[0], steps[0], args[1], steps[1], args[2], steps[2], n);
        ss_float_leave(mode);
        return;
    }
    const ptrdiff_t share = n / parts / GRAIN * GRAIN;
#pragma omp parallel for num_threads(parts) schedule(static, 1)
    for (int part = 0; part < parts; part++) {
        const ptrdiff_t first = share * part, count = part + 1 < parts ? share : n - first;
        const uint64_t own = ss_float_enter();
        loop(args[0] + first * steps[0], steps[0], args[1] + first * steps[1], steps[1], args[2] + first * steps[2],
             steps[2], count);
        ss_float_leave(own);
    }
    ss_float_leave(mode);
}

#define REAL_LOOPS(letter, type, real) \
    void ss_loop1_##letter(char **args, const ptrdiff_t *n, const ptrdiff_t *steps, void *data) \
    { \
        run_unary(chosen->unary[type][INDEX(data)], args, n[0], steps, (ptrdiff_t)sizeof(real)); \
        forget_flags(); \
    } \
    void ss_loop2_##letter(char **args, const ptrdiff_t *n, const ptrdiff_t *steps, void *data) \
    { \
        run_binary(chosen->binary[type][INDEX(data)], args, n[0], steps, (ptrdiff_t)sizeof(real)); \
        forget_flags(); \
    }

#define BUFFER_LOOPS(letter, type, real, put) \
    void ss_loop1_##letter(char **args, const ptrdiff_t *n, const ptrdiff_t *steps, void *data) \
    { \
        const uint64_t mode = ss_float_enter(); \
        real x[PIECE]; \
        for (ptrdiff_t i = 0; i < n[0]; i += PIECE) { \
            const ptrdiff_t count = n[0] - i < PIECE ? n[0] - i : PIECE; \
            get_##letter(args[0] + i * steps[0], steps[0], x, count); \
            chosen->unary[type][INDEX(data)]((char *)x, sizeof(real), (char *)x, sizeof(real), count); \
            put(args[1] + i * steps[1], steps[1], x, count); \
        } \
        ss_float_leave(mode); \
        forget_flags(); \
    } \
    void ss_loop2_##letter(char **args, const ptrdiff_t *n, const ptrdiff_t *steps, void *data) \
    { \
        const uint64_t mode = ss_float_enter(); \
        real a[PIECE], b[PIECE]; \
        const ptrdiff_t most = piece(args, steps); \
        for (ptrdiff_t i = 0; i < n[0]; i += most) { \
            const ptrdiff_t count = n[0] - i < most ? n[0] - i : most; \
            get_##letter(args[0] + i * steps[0], steps[0], a, count); \
            get_##letter(args[1] + i * steps[1], steps[1], b, count); \
            chosen->binary[type][INDEX(data)]((char *)a, sizeof(real), (char *)b, sizeof(real), (char *)a, \
                                              sizeof(real), count); \
            put(args[2] + i * steps[2], steps[2], a, count); \
        } \
        ss_float_leave(mode); \
        forget_flags(); \
    }

REAL_LOOPS(f, 0, float)
REAL_LOOPS(d, 1, double)
BUFFER_LOOPS(q, 1, double, put_d)
BUFFER_LOOPS(Q, 1, double, put_d)
BUFFER_LOOPS(e, 0, float, put_e)

/* ---- long double ---- */

static long double softplus(long double x) { return (x > 0 ? x : 0) + log1pl(expl(-fabsl(x))); }

static long double log1mexp(long double x)
{
    if (x >= 0) return x > 0 ? NAN : -INFINITY;
    return x > -0.6931471805599453L ? logl(-expm1l(x)) : log1pl(-expl(x));
}

static long double expit(long double x)
{
    const long double term = expl(-fabsl(x));
    return (x < 0 ? term : 1) / (1 + term);
}

static long double log_expit(long double x) { return -softplus(-x); }

static long double logit(long double p)
{
    if (!(p >= 0 && p <= 1)) return NAN;
    return p > 0.25L && p < 0.75L ? log1pl((2 * p - 1) / (1 - p)) : logl(p) - log1pl(-p);
}

static long double logaddexp(long double a, long double b)
{
    if (isnan(a) || isnan(b)) return a + b;
    const long double larger = a > b ? a : b, smaller = a > b ? b : a;
    return isinf(larger) ? larger : larger + log1pl(expl(smaller - larger));
}

static long double logsubexp(long double a, long double b)
{
    if (a == b) return -INFINITY;
    if (!(a > b)) return NAN;
    return isinf(a) || isinf(b) ? a : a + log1mexp(b - a);
}

void ss_loop1_g(char **args, const ptrdiff_t *n, const ptrdiff_t *steps, void *data)
{
    static long double (*const functions[SS_UNARIES])(long double) = {expit, log_expit, softplus, logit, log1mexp};
    for (ptrdiff_t i = 0; i < n[0]; i++) {
        long double x;
        memcpy(&x, args[0] + i * steps[0], sizeof x);
        x = functions[INDEX(data)](x);
        memcpy(args[1] + i * steps[1], &x, sizeof x);
    }
    forget_flags();
}

void ss_loop2_g(char **args, const ptrdiff_t *n, const ptrdiff_t *steps, void *data)
{
    static long double (*const functions[SS_BINARIES])(long double, long double) = {logaddexp, logsubexp};
    for (ptrdiff_t i = 0; i < n[0]; i++) {
        long double a, b;
        memcpy(&a, args[0] + i * steps[0], sizeof a);
        memcpy(&b, args[1] + i * steps[1], sizeof b);
        a = functions[INDEX(data)](a, b);
        memcpy(args[2] + i * steps[2], &a, sizeof a);
    }
    forget_flags();
}
